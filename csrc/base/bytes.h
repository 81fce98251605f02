/* A growable run of bytes: what a socket still has to parse or still has to send.
 *
 * Owns its block and nothing else. An empty one holds no memory, which is what keeps ten thousand
 * idle sessions small. Lengths are below 4 GiB: every limit of the product is far below that.
 */
#ifndef DOP_BASE_BYTES_H
#define DOP_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct dop_bytes {
  char *data;
  uint32_t len;
  uint32_t cap;
};

/* Makes room for `more` bytes behind the last one and returns where they go, or NULL without
 * memory (nothing changes then). The caller raises `len` by what it wrote. Growth is geometric. */
static inline char *dop_bytes_room(struct dop_bytes *b, size_t more);

/* The same, when the block is too small or there is none. */
char *dop_bytes_grow(struct dop_bytes *b, size_t more);

static inline char *dop_bytes_room(struct dop_bytes *b, size_t more) {
  return b->data && more <= b->cap - b->len ? b->data + b->len : dop_bytes_grow(b, more);
}

/* Copies n bytes to the end. 0, or -1 without memory (nothing changes then). */
int dop_bytes_append(struct dop_bytes *b, const void *data, size_t n);

/* Drops the first n bytes, n <= len; what follows moves to the front. */
void dop_bytes_consume(struct dop_bytes *b, size_t n);

/* Gives back the room behind the last byte, as far as the allocator can. */
void dop_bytes_trim(struct dop_bytes *b);

/* One block for many that are empty most of the time: whoever begins without a block takes the
 * spare one, if there is one; whoever is done with all that it holds leaves its block there, unless
 * there is one already or it is above `most` bytes, when it goes back to the system. */
static inline void dop_bytes_borrow(struct dop_bytes *b, struct dop_bytes *spare) {
  if (b->data || !spare->data) return;
  *b = *spare;
  *spare = (struct dop_bytes){0};
}
void dop_bytes_leave(struct dop_bytes *b, struct dop_bytes *spare, uint32_t most);

/* Gives the block back; the value is then empty and usable. */
void dop_bytes_dispose(struct dop_bytes *b);

#endif
