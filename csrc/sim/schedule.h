/* A schedule: one seed, one client and one server, messages both ways through a network that
 * breaks, then calm; and the checker that says what is right. See docs/simulator.md.
 *
 * What is checked, for each direction and each session, byte for byte: what handlers were given is
 * an exact prefix of what send accepted; at the end accepted is delivered plus handed back; what
 * was handed back as unsent or undelivered was not delivered; and once the network is calm,
 * everything arrives. The same seed gives the same schedule, to the byte.
 */
#ifndef DOP_SIM_SCHEDULE_H
#define DOP_SIM_SCHEDULE_H

#include <stdint.h>
#include <stdio.h>

struct dop_sim_options {
  int plain;   /* plain DOP: what was under way when a socket died may be missing */
  FILE *trace; /* every step, NULL: none */
};

/* What a run reached, by name; see dop_sim_cover(). */
struct dop_sim_coverage;
struct dop_sim_coverage *dop_sim_coverage_new(void);
void dop_sim_coverage_free(struct dop_sim_coverage *c);

/* Prints each name with its count, sorted, when `all` is set, and the names that a run must reach
 * and this one did not. Returns how many those are. */
unsigned dop_sim_coverage_print(const struct dop_sim_coverage *c, FILE *out,
                                const struct dop_sim_options *o, int all);

/* Runs the schedule of that seed. NULL when nothing was wrong, else a sentence, valid until the
 * next call. */
const char *dop_sim_run(uint64_t seed, const struct dop_sim_options *o, struct dop_sim_coverage *c);

#endif
