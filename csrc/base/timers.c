/* Deadlines on a binary heap. Owns the array of pointers, not the timers. Never reads a clock and
 * never calls `fire`. */
#include "base/timers.h"

#include "base/alloc.h"

/* Neither doubling nor the size in bytes can overflow below it, even with 32 bits. */
#define MOST (UINT32_MAX / 16)

/* Slots count from 1, so that 0 can mean "not armed"; the array counts from 0. */
static void put(struct dop_timers *ts, uint32_t slot, struct dop_timer *t) {
  ts->heap[slot - 1] = t;
  t->slot = slot;
}

static struct dop_timer *get(const struct dop_timers *ts, uint32_t slot) {
  return ts->heap[slot - 1];
}

/* Places `t` at the free place `slot` or above it. */
static void sift_up(struct dop_timers *ts, uint32_t slot, struct dop_timer *t) {
  while (slot > 1 && get(ts, slot / 2)->at > t->at) {
    put(ts, slot, get(ts, slot / 2));
    slot /= 2;
  }
  put(ts, slot, t);
}

/* Places `t` at the free place `slot` or below it. */
static void sift_down(struct dop_timers *ts, uint32_t slot, struct dop_timer *t) {
  while (slot <= ts->count / 2) {
    uint32_t child = slot * 2;

    if (child < ts->count && get(ts, child + 1)->at < get(ts, child)->at) child++;
    if (get(ts, child)->at >= t->at) break;
    put(ts, slot, get(ts, child));
    slot = child;
  }
  put(ts, slot, t);
}

/* Places `t` where it belongs, beginning at the free place `slot`. */
static void settle(struct dop_timers *ts, uint32_t slot, struct dop_timer *t) {
  if (slot > 1 && get(ts, slot / 2)->at > t->at) {
    sift_up(ts, slot, t);
  } else {
    sift_down(ts, slot, t);
  }
}

/* Room for one more. */
static int make_room(struct dop_timers *ts) {
  uint32_t cap = ts->cap != 0 ? ts->cap * 2 : 16;
  struct dop_timer **heap;

  if (ts->count + ts->reserved < ts->cap) return 0;
  if (cap > MOST) return -1;
  heap = dop_realloc(ts->heap, cap * sizeof *heap);
  if (heap == NULL) return -1;
  ts->heap = heap;
  ts->cap = cap;
  return 0;
}

int dop_timers_arm(struct dop_timers *ts, struct dop_timer *t, uint64_t at) {
  if (t->slot != 0) {
    t->at = at;
    settle(ts, t->slot, t);
    return 0;
  }
  if (t->reserved) {
    ts->reserved--;
  } else if (make_room(ts) != 0) {
    return -1;
  }
  t->at = at;
  sift_up(ts, ++ts->count, t);
  return 0;
}

int dop_timers_reserve(struct dop_timers *ts, struct dop_timer *t) {
  if (t->reserved) return 0;
  if (t->slot == 0) { /* or it has one already */
    if (make_room(ts) != 0) return -1;
    ts->reserved++;
  }
  t->reserved = 1;
  return 0;
}

void dop_timers_release(struct dop_timers *ts, struct dop_timer *t) {
  if (t->reserved && t->slot == 0) ts->reserved--;
  t->reserved = 0;
}

void dop_timers_disarm(struct dop_timers *ts, struct dop_timer *t) {
  uint32_t slot = t->slot;
  struct dop_timer *last;

  if (slot == 0) return;
  t->slot = 0;
  if (t->reserved) ts->reserved++;
  last = get(ts, ts->count--);
  if (last != t) settle(ts, slot, last);
}

uint64_t dop_timers_next(const struct dop_timers *ts) {
  return ts->count != 0 ? ts->heap[0]->at : DOP_TIMERS_NEVER;
}

struct dop_timer *dop_timers_due(struct dop_timers *ts, uint64_t now) {
  struct dop_timer *t;

  if (ts->count == 0 || ts->heap[0]->at > now) return NULL;
  t = ts->heap[0];
  dop_timers_disarm(ts, t);
  return t;
}

void dop_timers_dispose(struct dop_timers *ts) {
  /* A timer that outlives its heap may be disarmed later without harm. */
  while (ts->count != 0) dop_timers_disarm(ts, get(ts, ts->count));
  dop_free(ts->heap);
  ts->heap = NULL;
  ts->cap = 0;
}
