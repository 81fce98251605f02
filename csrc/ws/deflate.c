/* zlib's raw deflate, a message at a time; see deflate.h. Owns the states, lent or kept. */
#include "ws/deflate.h"

#include <string.h>
#include <zlib.h>

#include "base/alloc.h"

#define SPARE_MAX  65536 /* a larger block goes back to the system */
#define TAIL       4     /* the 00 00 FF FF that every flush ends with, and no message has */
#define ROOM_FIRST 512
#define ROOM_MOST  16384

struct dop_deflater {
  z_stream z;
  uint8_t level, window, mem_level;
};

struct dop_inflater {
  z_stream z;
  uint8_t window;
  unsigned clean : 1; /* between two blocks: nothing of one has been read */
};

/* --- memory --- */

static void *allocate(void *ctx, uInt items, uInt size) {
  (void)ctx;
  return size && items > SIZE_MAX / size ? NULL : dop_malloc((size_t)items * size);
}

static void release(void *ctx, void *block) {
  (void)ctx;
  dop_free(block);
}

static void free_deflater(struct dop_deflater *f) {
  if (!f) return;
  deflateEnd(&f->z);
  dop_free(f);
}

static void free_inflater(struct dop_inflater *f) {
  if (!f) return;
  inflateEnd(&f->z);
  dop_free(f);
}

void dop_deflate_pool_free(struct dop_deflate_pool *pool) {
  if (!pool) return;
  free_deflater(pool->deflater);
  free_inflater(pool->inflater);
  dop_bytes_dispose(&pool->out);
  dop_free(pool);
}

struct dop_deflate *dop_deflate_new(struct dop_deflate_pool *pool,
                                    const struct dop_deflate_options *o,
                                    const struct dop_deflate_terms *terms) {
  struct dop_deflate *d = dop_zalloc(sizeof *d);
  if (!d) return NULL;
  d->pool = pool;
  d->min_size = o->min_size;
  d->level = o->level;
  d->mem_level = o->mem_level;
  d->window = terms->window;
  d->peer_window = terms->peer_window;
  d->takeover = terms->takeover;
  d->peer_takeover = terms->peer_takeover;
  return d;
}

void dop_deflate_free(struct dop_deflate *d) {
  if (!d) return;
  dop_deflate_release(d);
  dop_free(d);
}

/* --- states that come and go --- */

static struct dop_deflater *new_deflater(const struct dop_deflate *d) {
  struct dop_deflater *f = dop_zalloc(sizeof *f);
  if (!f) return NULL;
  f->z.zalloc = allocate;
  f->z.zfree = release;
  f->level = d->level;
  f->window = d->window;
  f->mem_level = d->mem_level;
  if (deflateInit2(&f->z, d->level, Z_DEFLATED, -d->window, d->mem_level, Z_DEFAULT_STRATEGY) ==
      Z_OK)
    return f;
  dop_free(f);
  return NULL;
}

/* The pool's, if it is of the kind that is needed. */
static int have_deflater(struct dop_deflate *d) {
  struct dop_deflater *f = d->pool->deflater;
  if (d->deflater) return 1;
  if (f) {
    d->pool->deflater = NULL;
    if (f->level != d->level || f->window != d->window || f->mem_level != d->mem_level) {
      free_deflater(f);
      f = NULL;
    } else {
      deflateReset(&f->z);
    }
  }
  d->deflater = f ? f : new_deflater(d);
  return d->deflater != NULL;
}

static void leave_deflater(struct dop_deflate *d) {
  struct dop_deflater *f = d->deflater;
  d->deflater = NULL;
  if (f && !d->pool->deflater)
    d->pool->deflater = f;
  else
    free_deflater(f);
}

/* zlib makes with 9 bits what it is asked to make with 8, and reads with 9 what was made with 8. */
static unsigned reading_window(const struct dop_deflate *d) {
  return d->peer_window < DOP_DEFLATE_WINDOW_MIN ? DOP_DEFLATE_WINDOW_MIN : d->peer_window;
}

static int have_inflater(struct dop_deflate *d) {
  struct dop_inflater *f = d->pool->inflater;
  if (d->inflater) return 1;
  d->pool->inflater = NULL;
  if (!f) {
    f = dop_zalloc(sizeof *f);
    if (!f) return 0;
    f->z.zalloc = allocate;
    f->z.zfree = release;
    if (inflateInit2(&f->z, -(int)reading_window(d)) != Z_OK) {
      dop_free(f);
      return 0;
    }
  } else {
    inflateReset2(&f->z, -(int)reading_window(d));
  }
  f->clean = 1;
  d->inflater = f;
  return 1;
}

static void leave_inflater(struct dop_deflate *d) {
  struct dop_inflater *f = d->inflater;
  d->inflater = NULL;
  if (f && !d->pool->inflater)
    d->pool->inflater = f;
  else
    free_inflater(f);
}

void dop_deflate_release(struct dop_deflate *d) {
  leave_deflater(d);
  leave_inflater(d);
}

void dop_deflate_rest(struct dop_deflate *d) {
  if (!d->used) leave_deflater(d);
  d->used = 0;
}

/* --- out --- */

/* Deflates everything into `out`, of which `most` bytes are of use: more than a message itself has
 * need not be made when nothing that follows will refer to it. -1: they were not enough, or there
 * was no memory. */
static int run(struct dop_deflater *f, const char *data, size_t len, struct dop_bytes *out,
               size_t most) {
  size_t room = len / 4 < ROOM_FIRST ? ROOM_FIRST : len / 4;
  f->z.next_in = (Bytef *)(uintptr_t)data;
  f->z.avail_in = (uInt)len;
  do {
    char *to;
    if (room > most - out->len) room = most - out->len;
    to = room ? dop_bytes_room(out, room) : NULL;
    if (!to) return -1;
    f->z.next_out = (Bytef *)to;
    f->z.avail_out = (uInt)room;
    deflate(&f->z, Z_SYNC_FLUSH);
    out->len += (uint32_t)(room - f->z.avail_out);
  } while (!f->z.avail_out);
  return 0;
}

/* 0, or -1 when the message is better sent as it is: no later one refers to it then. */
static int pack(struct dop_deflate *d, const char *data, size_t len, struct dop_bytes *out) {
  if (!have_deflater(d)) return -1;
  d->used = 1;
  /* With takeover what was made must be sent, also when it is a few bytes longer than the message:
   * the peer has to see all that later messages refer to. */
  if (run(d->deflater, data, len, out, d->takeover ? UINT32_MAX / 2 : len + TAIL)) return -1;
  out->len -= TAIL;
  return d->takeover || out->len < len ? 0 : -1;
}

size_t dop_deflate_write(struct dop_deflate *d, struct dop_bytes *out, enum dop_ws_opcode op,
                         const char *data, size_t len, const uint8_t *mask) {
  struct dop_bytes *packed = &d->pool->out;
  if (!len || !d->window) return 0; /* an empty message has nothing to flush behind another one */
  packed->len = 0;
  int failed = pack(d, data, len, packed) ||
               dop_ws_write(out, op | DOP_WS_RSV1, packed->data, packed->len, mask);
  if (failed || !d->takeover) leave_deflater(d);
  size_t size = packed->len;
  if (packed->cap > SPARE_MAX) dop_bytes_dispose(packed);
  return failed ? 0 : size;
}

/* --- in --- */

enum dop_inflate_result dop_inflate(struct dop_deflate *d, const char **in, size_t *in_len,
                                    char *out, size_t *len) {
  size_t room = *len;
  int result;
  *len = 0;
  if (!have_inflater(d)) return DOP_INFLATE_NOMEM;
  struct dop_inflater *f = d->inflater;
  z_stream *z = &f->z;
  d->came += *in_len;
  if (f->clean && !*in_len) return DOP_INFLATE_DONE; /* nothing is under way in there */
  z->next_in = (Bytef *)(uintptr_t)*in;
  z->avail_in = (uInt)*in_len;
  z->next_out = (Bytef *)out;
  z->avail_out = (uInt)room;
  do {
    result = inflate(z, Z_SYNC_FLUSH);
    f->clean = result == Z_STREAM_END || (z->data_type & (128 | 63)) == 128;
    /* A final block ends no message: another one may follow, and may look back (7.2.1). */
    if (result == Z_STREAM_END) inflateResetKeep(z);
  } while (result == Z_STREAM_END && z->avail_in && z->avail_out);
  d->came -= z->avail_in;
  *in += *in_len - z->avail_in;
  *in_len = z->avail_in;
  *len = room - z->avail_out;
  if (result == Z_MEM_ERROR) return DOP_INFLATE_NOMEM;
  if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return DOP_INFLATE_CORRUPT;
  return z->avail_out ? DOP_INFLATE_DONE : DOP_INFLATE_MORE;
}

size_t dop_inflate_tail(const struct dop_deflate *d, const char **in) {
  if (!d->inflater || d->inflater->clean) return 0;
  *in = "\0\0\377\377";
  return TAIL;
}

int dop_inflate_end(struct dop_deflate *d) {
  int whole = !d->inflater || d->inflater->clean;
  if (!d->peer_takeover) leave_inflater(d); /* which is reset before anybody has it again */
  return whole ? 0 : -1;
}
