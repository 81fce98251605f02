/* Runs the named schedules; see named.h. Owns nothing. */
#include "proof/named.h"

#include <stdio.h>
#include <string.h>

static const struct named *const lists[] = {
    named_counterexamples, named_wire, named_account, named_resume, named_gone,
    named_client,          named_ends, named_plain};

/* The stage is static: what a jump out of the middle of a schedule leaves is well defined. */
static int run_one(const struct named *n) {
  static struct stage w;
  stage_init(&w);
  int failed = setjmp(w.failed);
  if (!failed) {
    n->run(&w);
    stage_dispose(&w);
  }
  printf("%s  %s  %s\n", failed ? "FAILED" : "ok", n->name, n->says);
  if (failed) printf("  %s\n", w.why);
  fflush(stdout);
  return failed;
}

int named_run(const char *name) {
  int count = 0, failed = 0;
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    for (const struct named *n = lists[i]; n->name; n++) {
      if (name && strcmp(n->name, name) != 0) continue;
      count++;
      failed += run_one(n);
    }
  }
  printf("%d named schedules, %d failed\n", count, failed);
  return count ? failed : -1;
}
