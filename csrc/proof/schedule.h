/* A schedule: one seed, one client and one server at a time, messages both ways through a network
 * that breaks, processes that die, guests who present what is not theirs; then calm.
 *
 * What is checked, for each direction and each session, byte for byte: what handlers were given is
 * an exact prefix of what send accepted; at the end accepted is delivered plus handed back, each
 * message with a fate that is true; each instruction on the wire is the right one, each resumption
 * has the answer that it must have; both accounts agree after each step; deadlines are kept to the
 * millisecond; and once the network is calm, everything arrives and nothing is left over. See
 * checker.h. The same seed gives the same schedule, to the byte.
 */
#ifndef DOP_PROOF_SCHEDULE_H
#define DOP_PROOF_SCHEDULE_H

#include <stdint.h>
#include <stdio.h>

#include "proof/coverage.h"

struct dop_sim_options {
  int plain;   /* plain DOP: what was under way when a socket died may be missing */
  FILE *trace; /* every step, NULL: none */
};

/* Runs the schedule of that seed. NULL when nothing was wrong, else a sentence, valid until the
 * next call. */
const char *dop_sim_run(uint64_t seed, const struct dop_sim_options *o, struct dop_sim_coverage *c);

#endif
