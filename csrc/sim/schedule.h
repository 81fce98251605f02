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

#include "sim/coverage.h"

struct dop_sim_options {
  int plain;   /* plain DOP: what was under way when a socket died may be missing */
  FILE *trace; /* every step, NULL: none */
};

/* Runs the schedule of that seed. NULL when nothing was wrong, else a sentence, valid until the
 * next call. */
const char *dop_sim_run(uint64_t seed, const struct dop_sim_options *o, struct dop_sim_coverage *c);

#endif
