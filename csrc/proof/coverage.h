/* What a run of the simulator reached, counted by name: every change of status, close code, reason,
 * fate and fault. A run that misses one of those that it must reach proves less than it says. */
#ifndef DOP_PROOF_COVERAGE_H
#define DOP_PROOF_COVERAGE_H

#include <stdio.h>

struct dop_sim_coverage;

/* NULL without memory. */
struct dop_sim_coverage *dop_sim_coverage_new(void);
void dop_sim_coverage_free(struct dop_sim_coverage *c);

/* Counts one more of that name; c may be NULL. */
__attribute__((format(printf, 2, 3))) void dop_sim_cover(struct dop_sim_coverage *c,
                                                         const char *format, ...);

/* The same for a name that is at hand: at most 63 bytes. */
void dop_sim_count(struct dop_sim_coverage *c, const char *name);

/* Whether the total table of docs/protocol.md has such a change of status ("client OPEN->..."), for
 * any reason. */
int dop_sim_in_table(const char *name, int plain);

/* Prints each name with its count, sorted, when `all` is set, and the names that a run must reach
 * and this one did not. Returns how many those are. */
unsigned dop_sim_coverage_print(const struct dop_sim_coverage *c, FILE *out, int plain, int all);

#endif
