/* What a run of the simulator reached, counted by name; see coverage.h. Owns the table. */
#include "sim/coverage.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MOST 320
#define SLOTS      1024 /* a power of two */

struct dop_sim_coverage {
  struct {
    char name[64];
    uint64_t count;
  } all[NAMES_MOST];
  unsigned count;
  uint16_t slots[SLOTS]; /* by the name's hash: 1 + its place, 0: free */
};

struct dop_sim_coverage *dop_sim_coverage_new(void) {
  return calloc(1, sizeof(struct dop_sim_coverage));
}

void dop_sim_coverage_free(struct dop_sim_coverage *c) {
  free(c);
}

void dop_sim_cover(struct dop_sim_coverage *c, const char *format, ...) {
  char name[64];
  va_list args;
  if (!c) return;
  va_start(args, format);
  vsnprintf(name, sizeof name, format, args);
  va_end(args);
  uint32_t hash = 2166136261u;
  for (const char *p = name; *p; p++) hash = (hash ^ (unsigned char)*p) * 16777619u;
  uint16_t *slot = &c->slots[hash % SLOTS];
  while (*slot && strcmp(c->all[*slot - 1].name, name) != 0)
    if (++slot == c->slots + SLOTS) slot = c->slots;
  if (!*slot) {
    if (c->count == NAMES_MOST) abort(); /* a coverage that forgets would be none */
    memcpy(c->all[c->count++].name, name, sizeof name);
    *slot = (uint16_t)c->count;
  }
  c->all[*slot - 1].count++;
}

/* What each run must have reached at least once. */
static const char *const wanted[] = {
    "client OPEN->PRECONNECTED",
    "client OPEN->DISCONNECTED",
    "client PRECONNECTED->CONNECTED",
    "client PRECONNECTED->RECONNECTING",
    "client CONNECTED->RECONNECTING",
    "client RECONNECTING->PRECONNECTED",
    "client CONNECTED->DISCONNECTED",
    "client RECONNECTING->DISCONNECTED",
    "client PRECONNECTED->DISCONNECTED",
    "server OPEN->PRECONNECTED",
    "server PRECONNECTED->CONNECTED",
    "server OPEN->DISCONNECTED",
    "server CONNECTED->RECONNECTING",
    "server RECONNECTING->CONNECTED",
    "server RECONNECTING->DISCONNECTED",
    "server CONNECTED->DISCONNECTED",
    "client connect",
    "client reconnect",
    "client disconnect unknown",
    "client disconnect local",
    "client disconnect peer",
    "server disconnect expired",
    "server disconnect peer",
    "server disconnect local",
    "client fate unsent",
    "server fate unsent",
    "client drain",
    "server drain",
    "client full",
    "server full",
    "fault cut",
    "fault one side",
    "fault blackhole",
    "fault half-close",
    "fault delay",
    "fault drop",
    "fault pause",
    "fault kill",
};
static const char *const wanted_plain[] = {"client PRECONNECTED->OPEN",
                                           "server PRECONNECTED->DISCONNECTED"};
static const char *const wanted_lossless[] = {
    "server PRECONNECTED->RECONNECTING",
    "client fate unknown",
    "server fate unknown",
    "client fate undelivered",
    "server fate undelivered",
    "client replayed",
    "server replayed",
    "server close 4001",
    "server close 4409",
    "escaped",
};

static uint64_t count_of(const struct dop_sim_coverage *c, const char *name) {
  for (unsigned i = 0; i < c->count; i++)
    if (strcmp(c->all[i].name, name) == 0) return c->all[i].count;
  return 0;
}

static unsigned missing(const struct dop_sim_coverage *c, const char *const *list, size_t n,
                        FILE *out) {
  unsigned found = 0;
  for (size_t i = 0; i < n; i++) {
    if (count_of(c, list[i])) continue;
    fprintf(out, "never reached: %s\n", list[i]);
    found++;
  }
  return found;
}

static int by_name(const void *a, const void *b) {
  return strcmp(a, b);
}

unsigned dop_sim_coverage_print(const struct dop_sim_coverage *c, FILE *out, int plain, int all) {
  struct dop_sim_coverage sorted = *c;
  qsort(sorted.all, sorted.count, sizeof sorted.all[0], by_name);
  for (unsigned i = 0; all && i < sorted.count; i++)
    fprintf(out, "%12llu  %s\n", (unsigned long long)sorted.all[i].count, sorted.all[i].name);
  unsigned n = missing(c, wanted, sizeof wanted / sizeof *wanted, out);
  return n + (plain ? missing(c, wanted_plain, sizeof wanted_plain / sizeof *wanted_plain, out)
                    : missing(c, wanted_lossless, sizeof wanted_lossless / sizeof *wanted_lossless,
                              out));
}

static int is_in(const char *name, const char *const *list, size_t n) {
  while (n && strcmp(list[n - 1], name) != 0) n--;
  return n != 0;
}

/* Whether the total table of docs/protocol.md has such a change of status, for any reason. */
int dop_sim_in_table(const char *name, int plain) {
  if (is_in(name, wanted, sizeof wanted / sizeof *wanted)) return 1;
  return plain ? is_in(name, wanted_plain, sizeof wanted_plain / sizeof *wanted_plain)
               : is_in(name, wanted_lossless, sizeof wanted_lossless / sizeof *wanted_lossless);
}
