/* A queue of whole messages in one growable block: what a session has accepted and not yet written.
 *
 * Owns its block; an empty queue holds none. Records lie one behind the other, so that a long
 * queue costs one allocation now and then, not one a message.
 */
#ifndef DOP_SESSION_QUEUE_H
#define DOP_SESSION_QUEUE_H

#include "base/base.h"

enum dop_kind { DOP_TEXT = 1, DOP_BINARY = 2 };

struct dop_queue {
  struct dop_bytes bytes; /* records from `head` on */
  uint32_t head;
  uint32_t count;
};

struct dop_message {
  enum dop_kind kind;
  const char *data; /* in the queue: valid until the queue changes */
  size_t len;
};

#define DOP_QUEUE_OVERHEAD 8 /* bytes that each message is counted with beside its own */

/* Bytes held, overhead included. */
static inline size_t dop_queue_size(const struct dop_queue *q) {
  return q->bytes.len - q->head;
}

/* 0, or -1 without memory (nothing changes then). */
int dop_queue_push(struct dop_queue *q, enum dop_kind kind, const char *data, size_t len);

/* The oldest message: 1, or 0 when there is none. */
int dop_queue_front(const struct dop_queue *q, struct dop_message *m);

/* Drops the oldest message; there must be one. */
void dop_queue_pop(struct dop_queue *q);

/* Moves everything to `to`, which must be empty. */
void dop_queue_move(struct dop_queue *q, struct dop_queue *to);

void dop_queue_dispose(struct dop_queue *q);

#endif
