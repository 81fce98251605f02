/* A queue of whole messages in one growable block: what a session has accepted, and is not done
 * with.
 *
 * Owns its block; a queue that was emptied holds none. Records lie one behind the other, so that a
 * long queue costs one allocation now and then, not one a message. A cursor parts what was written
 * on the current socket, and may have to be written again, from what was not: in plain DOP nothing
 * is before it.
 */
#ifndef DOP_SESSION_QUEUE_H
#define DOP_SESSION_QUEUE_H

#include "base/base.h"

enum dop_kind { DOP_TEXT = 1, DOP_BINARY = 2 };

/* Whether a socket that can may compress a message. What the protocol says is never compressed: the
 * length of a text that has a secret in it must not depend on what else it has. */
enum dop_compress {
  DOP_COMPRESS_NEVER,
  DOP_COMPRESS_MAY, /* when it is large enough to be worth it */
  DOP_COMPRESS_ALWAYS
};

struct dop_queue {
  struct dop_bytes bytes; /* records from `head` on */
  uint32_t head;
  uint32_t count;
  uint32_t cursor;  /* bytes behind `head` at which the next message to write lies */
  uint32_t tallied; /* see dop_queue_tally() */
};

struct dop_message {
  enum dop_kind kind;
  enum dop_compress compress; /* of one that is sent */
  const char *data;           /* in the queue: valid until the queue changes */
  size_t len;
};

#define DOP_QUEUE_OVERHEAD 8 /* bytes that each message is counted with beside its own */

/* Bytes held, overhead included. */
static inline size_t dop_queue_size(const struct dop_queue *q) {
  return q->bytes.len - q->head;
}

/* Bytes of memory it has, those included that no message needs. */
static inline size_t dop_queue_held(const struct dop_queue *q) {
  return q->bytes.cap;
}

/* Enters what the queue holds into a sum, in place of what it entered there before. Whatever else
 * is done to the queue, also disposing of it, leaves that to be said again. */
static inline void dop_queue_tally(struct dop_queue *q, uint64_t *sum) {
  *sum = *sum - q->tallied + q->bytes.cap;
  q->tallied = q->bytes.cap;
}

/* Gives back what no message needs, if the system can. */
void dop_queue_trim(struct dop_queue *q);

/* Copies the message. 0, or -1 without memory (nothing changes then). */
int dop_queue_push(struct dop_queue *q, const struct dop_message *m);

/* The oldest message: 1, or 0 when there is none. */
int dop_queue_front(const struct dop_queue *q, struct dop_message *m);

/* The message at the cursor, which moves behind it: 1, or 0 when there is none. */
int dop_queue_advance(struct dop_queue *q, struct dop_message *m);

/* Whether there is a message at the cursor. */
static inline int dop_queue_unwritten(const struct dop_queue *q) {
  return q->cursor != dop_queue_size(q);
}

/* Moves the cursor back to the oldest message. */
static inline void dop_queue_rewind(struct dop_queue *q) {
  q->cursor = 0;
}

/* Moves the cursor behind the youngest. */
static inline void dop_queue_forward(struct dop_queue *q) {
  q->cursor = (uint32_t)dop_queue_size(q);
}

/* Drops the oldest message; there must be one. */
void dop_queue_pop(struct dop_queue *q);

/* Drops the `n` oldest messages, there must be as many. The block of a queue that becomes empty
 * goes to `spare`, unless that has one. */
void dop_queue_drop(struct dop_queue *q, uint64_t n, struct dop_bytes *spare);

/* Lets a queue without a block begin with the spare one. */
static inline void dop_queue_borrow(struct dop_queue *q, struct dop_bytes *spare) {
  dop_bytes_borrow(&q->bytes, spare);
}

/* Moves everything to `to`, which must be empty. */
void dop_queue_move(struct dop_queue *q, struct dop_queue *to);

void dop_queue_dispose(struct dop_queue *q);

#endif
