/* What a run of the simulator reached, counted by name; see coverage.h. Owns the table. */
#include "proof/coverage.h"

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
  dop_sim_count(c, name);
}

void dop_sim_count(struct dop_sim_coverage *c, const char *name) {
  if (!c) return;
  uint32_t hash = 2166136261u;
  for (const char *p = name; *p; p++) hash = (hash ^ (unsigned char)*p) * 16777619u;
  uint16_t *slot = &c->slots[hash % SLOTS];
  while (*slot && strcmp(c->all[*slot - 1].name, name) != 0)
    if (++slot == c->slots + SLOTS) slot = c->slots;
  if (!*slot) {
    if (c->count == NAMES_MOST) abort(); /* a coverage that forgets would be none */
    snprintf(c->all[c->count++].name, sizeof c->all[0].name, "%s", name);
    *slot = (uint16_t)c->count;
  }
  c->all[*slot - 1].count++;
}

/* What each run must have reached at least once: changes of status, events, ends, fates, answers to
 * a send, close codes, answers to a resumption, what others did, what handlers did, faults. */
static const char *const wanted[] = {
    "client CONNECTED->DISCONNECTED",
    "client CONNECTED->RECONNECTING",
    "client OPEN->DISCONNECTED",
    "client OPEN->PRECONNECTED",
    "client PRECONNECTED->CONNECTED",
    "client PRECONNECTED->DISCONNECTED",
    "client PRECONNECTED->RECONNECTING",
    "client RECONNECTING->DISCONNECTED",
    "client RECONNECTING->PRECONNECTED",
    "server CONNECTED->DISCONNECTED",
    "server CONNECTED->RECONNECTING",
    "server OPEN->DISCONNECTED",
    "server OPEN->PRECONNECTED",
    "server PRECONNECTED->CONNECTED",
    "server RECONNECTING->CONNECTED",
    "server RECONNECTING->DISCONNECTED",
    "client connect",
    "client drain",
    "client message",
    "client ping unanswered",
    "client reconnect",
    "server connect",
    "server drain",
    "server message",
    "server ping unanswered",
    "server reconnect",
    "client disconnect closed",
    "client disconnect local",
    "client disconnect peer",
    "client disconnect unknown",
    "server disconnect closed",
    "server disconnect evicted",
    "server disconnect expired",
    "server disconnect local",
    "server disconnect peer",
    "client fate unsent",
    "server fate unsent",
    "client quotes its token",
    "client send full",
    "client send toolarge",
    "escaped",
    "server quotes its token",
    "server send full",
    "server send toolarge",
    "client close 0",
    "client close 1000",
    "client close 1001",
    "client close 1006",
    "client close 1013",
    "server close 0",
    "server close 1000",
    "server close 1001",
    "server close 1006",
    "server close 1013",
    "guest close 1006",
    "guest close 1013",
    "client handler closes",
    "client handler disconnects",
    "client handler drops",
    "client handler pauses",
    "client pauses as it is back",
    "server handler closes",
    "server handler disconnects",
    "server handler drops",
    "server handler pauses",
    "server pauses as it is back",
    "fault away for a day",
    "fault away from a half-confirmed session",
    "fault away until the window",
    "fault back to what is ending",
    "fault blackhole down",
    "fault blackhole up",
    "fault blackhole up down",
    "fault both disconnect",
    "fault cut",
    "fault delay",
    "fault disconnect",
    "fault disconnect while paused",
    "fault drop",
    "fault half-close",
    "fault kill",
    "fault kill of the client",
    "fault lost while ending",
    "fault lost while paused",
    "fault one side",
    "fault pause",
    "fault pause for long",
    "fault reads again",
    "fault storm",
    "fault storm over an idle session",
    "fault the server closes",
    "fault thief",
};
static const char *const wanted_plain[] = {
    "client PRECONNECTED->OPEN", "server PRECONNECTED->DISCONNECTED",
    "client send reserved",      "server send reserved",
    "client close 1009",         "server close 1009",
    "server close 1008",         "guest close 1008",
};
static const char *const wanted_lossless[] = {
    "server PRECONNECTED->RECONNECTING",
    "client acknowledges",
    "client compresses",
    "client replayed",
    "server acknowledges",
    "server compresses",
    "server replayed",
    "client disconnect protocol",
    "client disconnect taken",
    "server disconnect protocol",
    "client fate undelivered",
    "client fate unknown",
    "server fate undelivered",
    "server fate unknown",
    "client send closed",
    "server send closed",
    "client close 1011",
    "client close 4001",
    "client close 4400",
    "client close 4409",
    "server close 1011",
    "server close 4001",
    "server close 4400",
    "server close 4403",
    "server close 4409",
    "gone",
    "gone for a guest",
    "gone h",
    "gone h d",
    "gone h d for a guest",
    "gone h for a guest",
    "resumed, and five times stuck",
    "resumption 4400",
    "resumption 4400 of a guest",
    "resumption 4403 of a guest",
    "resumption 4409",
    "resumption 4409 of a guest",
    "resumption taken",
    "resumption taken by a guest",
    "server half-confirmed expired",
    "guest close 1000",
    "guest close 4400",
    "guest close 4403",
    "guest close 4409",
    "fault another holder",
    "fault impossible count",
    "fault not handed over",
    "fault replay",
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

/* The changes of status are the first of each list. */
static int is_in(const char *name, const char *const *list) {
  for (; strstr(*list, "->"); list++)
    if (strcmp(*list, name) == 0) return 1;
  return 0;
}

/* Whether the total table of docs/protocol.md has such a change of status, for any reason. */
int dop_sim_in_table(const char *name, int plain) {
  if (is_in(name, wanted)) return 1;
  return plain ? is_in(name, wanted_plain) : is_in(name, wanted_lossless);
}
