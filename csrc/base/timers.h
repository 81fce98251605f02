/* Timers: a binary heap of deadlines, one for each loop.
 *
 * A timer lives inside the object that it wakes (find that with DOP_CONTAINER). Time is a number
 * of milliseconds that the driver hands in: nothing here reads a clock, so a simulator can run a
 * day in a millisecond. The heap owns its array only, never the timers. A timer that must not fail
 * when its time comes has its place in the array reserved while there is somebody to tell.
 */
#ifndef DOP_BASE_TIMERS_H
#define DOP_BASE_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#define DOP_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

struct dop_timer {
  uint64_t at;                       /* ms; meaningful while armed */
  void (*fire)(struct dop_timer *t); /* set once by the owner */
  uint32_t slot;                     /* place in the heap counted from 1; 0: not armed */
  uint8_t reserved;                  /* there is room for it while it is not armed */
};

struct dop_timers {
  struct dop_timer **heap;
  uint32_t count, cap;
  uint32_t reserved; /* places for those that are not armed */
};

#define DOP_TIMERS_NEVER UINT64_MAX

/* Arms `t` for `at`, or moves it there. 0, or -1 without memory (a timer that is armed or has a
 * place reserved never fails). */
int dop_timers_arm(struct dop_timers *ts, struct dop_timer *t, uint64_t at);

/* Reserves a place for `t`, until it is released. 0, or -1 without memory. */
int dop_timers_reserve(struct dop_timers *ts, struct dop_timer *t);
void dop_timers_release(struct dop_timers *ts, struct dop_timer *t);

/* Does nothing when `t` is not armed. */
void dop_timers_disarm(struct dop_timers *ts, struct dop_timer *t);

/* The nearest deadline, DOP_TIMERS_NEVER when nothing is armed. */
uint64_t dop_timers_next(const struct dop_timers *ts);

/* Takes one timer with at <= now out of the heap, or NULL. The caller calls its `fire`. Timers of
 * the same millisecond come in no promised order. */
struct dop_timer *dop_timers_due(struct dop_timers *ts, uint64_t now);

void dop_timers_dispose(struct dop_timers *ts);

#endif
