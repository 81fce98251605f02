/* make sim: runs seeded schedules and says how many failed.
 *
 *   sim [--plain] [--trace] [--brief] SCHEDULES SEED
 *   sim --named [NAME]
 *
 * The second form runs the named schedules, or one of them, see named.h.
 * A failing seed is printed with the command that replays it. Prints how often everything that may
 * happen did (--brief: only what a run should have reached and did not). Exit 0 only when none
 * failed and nothing is missing; that is asked of runs of 10,000 and more. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proof/named.h"
#include "proof/schedule.h"

#define ENOUGH 10000 /* schedules after which everything should have happened at least once */

/* A run of nothing must not look like one in which nothing failed. */
static int is_number(const char *text, unsigned long long *value) {
  char *end;
  *value = strtoull(text, &end, 10);
  return *text >= '1' && *text <= '9' && *end == 0;
}

static int usage(const char *wrong) {
  fprintf(stderr, "sim: \"%s\"? usage: sim [--plain] [--trace] [--brief] SCHEDULES SEED\n", wrong);
  return 2;
}

static int run_named(const char *name) {
  int failed = named_run(name);
  if (failed < 0) fprintf(stderr, "sim: there is no schedule \"%s\"\n", name ? name : "");
  return failed < 0 ? 2 : failed ? 1 : 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && argc <= 3 && strcmp(argv[1], "--named") == 0)
    return run_named(argc > 2 ? argv[2] : NULL);
  struct dop_sim_options o = {0};
  unsigned long long numbers[2] = {5000, 1}, failed = 0;
  int given = 0, brief = 0;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--plain") == 0)
      o.plain = 1;
    else if (strcmp(argv[i], "--trace") == 0)
      o.trace = stdout;
    else if (strcmp(argv[i], "--brief") == 0)
      brief = 1;
    else if (given == 2 || !is_number(argv[i], &numbers[given++]))
      return usage(argv[i]);
  }
  struct dop_sim_coverage *c = dop_sim_coverage_new();
  clock_t from = clock();
  if (!c) return 1;
  for (unsigned long long i = 0; i < numbers[0]; i++) {
    const char *why = dop_sim_run(numbers[1] + i, &o, c);
    if (!why) continue;
    printf("seed %llu: %s\n  replay: build/sim%s --trace 1 %llu\n", numbers[1] + i, why,
           o.plain ? " --plain" : "", numbers[1] + i);
    if (++failed == 10) {
      numbers[0] = i + 1;
      break;
    }
  }
  double seconds = (double)(clock() - from) / CLOCKS_PER_SEC;
  unsigned missed = dop_sim_coverage_print(c, stdout, o.plain, !brief && !o.trace);
  printf("%llu schedules, %llu failed (%s, seeds from %llu, %.0f a second)\n", numbers[0], failed,
         o.plain ? "plain DOP" : "dop.r1", numbers[1],
         seconds > 0 ? (double)numbers[0] / seconds : 0.0);
  dop_sim_coverage_free(c);
  return failed || (missed && numbers[0] >= ENOUGH) ? 1 : 0;
}
