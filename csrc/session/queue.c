/* Messages in one block; see queue.h. Owns the block, never looks into a message. */
#include "session/queue.h"

#include <string.h>

struct record {
  uint32_t len;
  uint16_t kind;
  uint16_t compress;
};

_Static_assert(sizeof(struct record) == DOP_QUEUE_OVERHEAD, "a record's head is what is counted");

#define SPARE_MAX 65536 /* a larger block goes back to the system */

/* It is empty; what it entered into a sum is there still. */
static void forget(struct dop_queue *q) {
  uint32_t tallied = q->tallied;
  memset(q, 0, sizeof *q);
  q->tallied = tallied;
}

/* Moves the records to the front once the room before them is the larger part: each byte is then
 * moved at most once on average. */
static DOP_SELDOM void compact(struct dop_queue *q) {
  if (q->head < q->bytes.len / 2) return;
  dop_bytes_consume(&q->bytes, q->head);
  q->head = 0;
}

void dop_queue_trim(struct dop_queue *q) {
  if (q->head) dop_bytes_consume(&q->bytes, q->head);
  q->head = 0;
  dop_bytes_trim(&q->bytes);
}

int dop_queue_push(struct dop_queue *q, const struct dop_message *m) {
  struct record r = {(uint32_t)m->len, (uint16_t)m->kind, (uint16_t)m->compress};
  if (q->head >= 4096) compact(q);
  char *room = dop_bytes_room(&q->bytes, sizeof r + m->len);
  if (!room) return -1;
  memcpy(room, &r, sizeof r);
  if (m->len) memcpy(room + sizeof r, m->data, m->len);
  q->bytes.len += (uint32_t)(sizeof r + m->len);
  q->count++;
  return 0;
}

static void read_at(const struct dop_queue *q, uint32_t at, struct dop_message *m) {
  struct record r;
  memcpy(&r, q->bytes.data + at, sizeof r);
  m->kind = (enum dop_kind)r.kind;
  m->compress = (enum dop_compress)r.compress;
  m->data = q->bytes.data + at + sizeof r;
  m->len = r.len;
}

int dop_queue_front(const struct dop_queue *q, struct dop_message *m) {
  if (!q->count) return 0;
  read_at(q, q->head, m);
  return 1;
}

int dop_queue_advance(struct dop_queue *q, struct dop_message *m) {
  if (!dop_queue_unwritten(q)) return 0;
  read_at(q, q->head + q->cursor, m);
  q->cursor += (uint32_t)(sizeof(struct record) + m->len);
  return 1;
}

/* Takes out the oldest record; an empty queue still has its block then. */
static void skip(struct dop_queue *q) {
  struct record r;
  memcpy(&r, q->bytes.data + q->head, sizeof r);
  uint32_t size = (uint32_t)sizeof r + r.len;
  q->head += size;
  q->cursor -= q->cursor < size ? q->cursor : size;
  q->count--;
}

void dop_queue_pop(struct dop_queue *q) {
  skip(q);
  if (!q->count) dop_queue_dispose(q);
}

void dop_queue_drop(struct dop_queue *q, uint64_t n, struct dop_bytes *spare) {
  if (n < q->count) {
    while (n--) skip(q);
    return;
  }
  dop_bytes_leave(&q->bytes, spare, SPARE_MAX);
  forget(q);
}

void dop_queue_move(struct dop_queue *q, struct dop_queue *to) {
  *to = *q;
  memset(q, 0, sizeof *q);
}

void dop_queue_dispose(struct dop_queue *q) {
  dop_bytes_dispose(&q->bytes);
  forget(q);
}
