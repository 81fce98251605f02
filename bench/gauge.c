/* Clocks, CPU, memory, round trips; see gauge.h. */
#define _GNU_SOURCE 1
#include "gauge.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "load.h"

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0) fail(NULL, "no clock: is the server still there?");
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t gauge_now(void) {
  return nanoseconds(CLOCK_MONOTONIC);
}

uint64_t gauge_cpu(int pid) {
  clockid_t clock;
  if (clock_getcpuclockid(pid, &clock) != 0) fail(NULL, "no process %d", pid);
  return nanoseconds(clock);
}

long gauge_memory(int pid) {
  char path[64], line[256];
  long kib = -1;
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  FILE *f = fopen(path, "r");
  if (!f) fail(NULL, "%s: %s", path, strerror(errno));
  while (kib < 0 && fgets(line, sizeof line, f)) sscanf(line, "Anonymous: %ld kB", &kib);
  fclose(f);
  if (kib < 0) fail(NULL, "%s has no Anonymous line", path);
  return kib * 1024;
}

/* 64 steps an octave. */
static uint32_t trips[64 * 64];
static uint64_t counted, longest;

void gauge_trip(uint64_t ns) {
  unsigned octave = ns < 128 ? 0 : 57 - (unsigned)__builtin_clzll(ns);
  trips[octave * 64 + (ns >> octave)]++;
  counted++;
  if (ns > longest) longest = ns;
}

void gauge_reset(void) {
  memset(trips, 0, sizeof trips);
  counted = longest = 0;
}

double gauge_longest_us(void) {
  return (double)longest / 1000;
}

double gauge_trips_us(double share) {
  uint64_t want = (uint64_t)(share * (double)counted), sum = 0;
  size_t i = 0;
  while (i < sizeof trips / sizeof *trips - 1 && (sum += trips[i]) <= want) i++;
  /* Octave 0 holds 0..127 as they are; every other one holds 64..127, shifted. */
  size_t octave = i < 128 ? 0 : i / 64 - 1;
  return (double)((uint64_t)(i - octave * 64) << octave) / 1000;
}
