/* Named schedules: each shows one thing that a wrong reading of the wire would break, at one real
 * end with a hand at the other, see stage.h and hand.h. They read like documentation.
 */
#ifndef DOP_PROOF_NAMED_H
#define DOP_PROOF_NAMED_H

#include "proof/hand.h"

struct named {
  const char *name, *says;
  void (*run)(struct stage *w);
};

/* One list a file, each with an end mark. */
extern const struct named named_counterexamples[], named_wire[], named_account[], named_resume[],
    named_gone[], named_client[], named_ends[], named_plain[];

/* Runs all of them, or the one of that name, and prints a line for each. Returns how many failed,
 * -1 when there is none of that name. */
int named_run(const char *name);

#endif
