/* A growable run of bytes. Owns its block. Never reads what it holds and never holds 4 GiB. */
#include "base/bytes.h"

#include <string.h>

#include "base/alloc.h"

#define SMALLEST 64u /* below this the allocator's own overhead is larger than what we save */

/* Half as much again: few moves while a message is gathered, and little that lies unused. */
static uint32_t grown(uint32_t cap, uint32_t need) {
  uint32_t cap_more = cap > UINT32_MAX - cap / 2 ? UINT32_MAX : cap + cap / 2;

  if (cap_more < SMALLEST) cap_more = SMALLEST;
  return need > cap_more ? need : cap_more;
}

char *dop_bytes_grow(struct dop_bytes *b, size_t more) {
  uint32_t cap;
  char *data;

  if (more > UINT32_MAX - b->len) return NULL;
  cap = grown(b->cap, b->len + (uint32_t)more);
  data = dop_realloc(b->data, cap);
  if (data == NULL) return NULL;
  b->data = data;
  b->cap = cap;
  return data + b->len;
}

int dop_bytes_append(struct dop_bytes *b, const void *data, size_t n) {
  char *to;

  if (n == 0) return 0;
  to = dop_bytes_room(b, n);
  if (to == NULL) return -1;
  memcpy(to, data, n);
  b->len += (uint32_t)n;
  return 0;
}

void dop_bytes_consume(struct dop_bytes *b, size_t n) {
  if (n == b->len) {
    dop_bytes_dispose(b); /* An empty one holds no memory. */
  } else if (n != 0) {
    b->len -= (uint32_t)n;
    memmove(b->data, b->data + n, b->len);
  }
}

void dop_bytes_trim(struct dop_bytes *b) {
  char *data;

  if (b->len == b->cap) return;
  if (b->len == 0) {
    dop_bytes_dispose(b);
    return;
  }
  data = dop_realloc(b->data, b->len);
  if (data == NULL) return; /* it stays as large as it was */
  b->data = data;
  b->cap = b->len;
}

void dop_bytes_leave(struct dop_bytes *b, struct dop_bytes *spare, uint32_t most) {
  if (spare->data != NULL || b->cap > most) {
    dop_bytes_dispose(b);
    return;
  }
  *spare = *b;
  spare->len = 0;
  *b = (struct dop_bytes){0};
}

void dop_bytes_dispose(struct dop_bytes *b) {
  dop_free(b->data);
  b->data = NULL;
  b->len = 0;
  b->cap = 0;
}
