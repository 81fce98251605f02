/* The stream of frames under every cut; see frames.h. */
#include "fuzz/frames.h"

#include <stdlib.h>
#include <string.h>

void fuzz_items_add(struct fuzz_items *l, enum dop_ws_type type, unsigned code, const char *data,
                    size_t len) {
  struct fuzz_item item = {type, code, len, fuzz_copy(data, len)};
  l->all = realloc(l->all, (l->count + 1) * sizeof item);
  if (!l->all) abort();
  l->all[l->count++] = item;
}

void fuzz_items_free(struct fuzz_items *l) {
  for (size_t i = 0; i < l->count; i++) free(l->all[i].data);
  free(l->all);
  memset(l, 0, sizeof *l);
}

static size_t piece(enum fuzz_cut cut, uint32_t *seed, size_t left) {
  size_t n = left;
  if (cut == FUZZ_BYTES) n = 1;
  if (cut == FUZZ_CHANCE) {
    *seed = *seed * 1664525u + 1013904223u;
    n = 1 + (*seed >> 24) % (*seed & 0x10000 ? 7 : 200);
  }
  return n < left ? n : left;
}

/* The parser sees a block that holds exactly what is unused and what is new, as a driver would have
 * it. */
void fuzz_feed(struct fuzz_items *l, const uint8_t *data, size_t len, const struct fuzz_end *end,
               enum fuzz_cut cut, uint32_t seed) {
  struct dop_ws ws;
  size_t kept = 0, steps = 0;
  char *block = fuzz_copy(NULL, 0);
  dop_ws_init(&ws, end->server);
  ws.deflate = end->deflate;
  for (size_t at = 0; at < len;) {
    size_t n = piece(cut, &seed, len - at), used = 0;
    struct dop_ws_item item;
    char *more = malloc(kept + n);
    if (!more) abort();
    memcpy(more, block, kept);
    memcpy(more + kept, data + at, n);
    free(block);
    block = more;
    at += n;
    kept += n;
    do {
      size_t took = dop_ws_next(&ws, block + used, kept - used, end->most, &item);
      fuzz_check(took <= kept - used, "more was used than there is");
      used += took;
      fuzz_check(item.len <= end->most || (item.type != DOP_WS_TEXT && item.type != DOP_WS_BINARY),
                 "a message above the limit");
      fuzz_check(++steps <= 4 * len + 8, "the parser goes round without getting on");
      /* How a message comes in parts is the cut's affair. */
      if (item.type > DOP_WS_PART) fuzz_items_add(l, item.type, item.code, item.data, item.len);
      fuzz_check((item.type == DOP_WS_ERROR) == (item.why != NULL), "an error says why");
    } while (item.type != DOP_WS_MORE);
    kept -= used;
    fuzz_check(kept <= 130, "more than 130 bytes were left unread");
    fuzz_check(!ws.closed || !kept, "bytes were left behind the end");
    memmove(block, block + used, kept);
  }
  free(block);
  dop_ws_dispose(&ws);
}

void fuzz_items_same(const struct fuzz_items *a, const struct fuzz_items *b, const char *what) {
  fuzz_check(a->count == b->count, what);
  for (size_t i = 0; i < a->count; i++) {
    const struct fuzz_item *x = &a->all[i], *y = &b->all[i];
    fuzz_check(x->type == y->type && x->code == y->code && x->len == y->len &&
                   memcmp(x->data, y->data, x->len) == 0,
               what);
  }
}

/* What was read is written, and read again. */
static void rewrite(const struct fuzz_items *items, const struct fuzz_end *end, uint32_t seed) {
  static const enum dop_ws_opcode ops[] = {[DOP_WS_TEXT] = DOP_WS_OP_TEXT,
                                           [DOP_WS_BINARY] = DOP_WS_OP_BINARY,
                                           [DOP_WS_PING] = DOP_WS_OP_PING,
                                           [DOP_WS_PONG] = DOP_WS_OP_PONG};
  struct dop_bytes out = {0};
  struct fuzz_items kept = {0}, again = {0};
  uint8_t mask[4];
  memcpy(mask, &seed, 4);
  for (size_t i = 0; i < items->count && items->all[i].type != DOP_WS_ERROR; i++) {
    const struct fuzz_item *x = &items->all[i];
    uint32_t before = out.len;
    char reason[128] = {0};
    if (x->type == DOP_WS_CLOSE && memchr(x->data, 0, x->len)) break; /* no reason of ours */
    if (x->type == DOP_WS_CLOSE) memcpy(reason, x->data, x->len);
    int failed = x->type == DOP_WS_CLOSE
                     ? dop_ws_write_close(&out, x->code == 1005 ? 0 : x->code, reason,
                                          end->server ? mask : NULL)
                     : dop_ws_write(&out, ops[x->type], x->data, x->len, end->server ? mask : NULL);
    fuzz_check(!failed, "a message could not be written");
    fuzz_check(out.len - before <= x->len + 2 + DOP_WS_HEADER_MAX, "a frame's head is too long");
    fuzz_items_add(&kept, x->type, x->code, x->data, x->len);
  }
  if (out.len) fuzz_feed(&again, (const uint8_t *)out.data, out.len, end, FUZZ_CHANCE, seed);
  fuzz_items_same(&kept, &again, "what was written reads as something else");
  fuzz_items_free(&kept);
  fuzz_items_free(&again);
  dop_bytes_dispose(&out);
}

void fuzz_frames(struct fuzz *f, int server) {
  static const size_t limits[] = {0,    1,     125,   126,   127,     1000,
                                  4096, 65535, 65536, 65537, 1 << 20, SIZE_MAX};
  struct fuzz_end end = {limits[fuzz_below(f, 12)], NULL, server};
  size_t n;
  uint32_t seed = (uint32_t)fuzz_number(f, 2) * 65537u;
  struct fuzz_items wanted = {0}, got = {0};
  n = fuzz_left(f);
  const uint8_t *data = fuzz_take(f, &n);
  fuzz_reading(&wanted, data, n, server, end.most);
  for (enum fuzz_cut cut = FUZZ_WHOLE; cut <= FUZZ_CHANCE; cut++) {
    fuzz_feed(&got, data, n, &end, cut, seed);
    fuzz_items_same(&wanted, &got,
                    "a second reading of the RFC, or another cut, has other messages");
    fuzz_items_free(&got);
    /* While a run of bytes moves to a place half as large again, both are there. */
    fuzz_check(fuzz_memory.peak <= 5 * (n < end.most ? n : end.most) / 2 + 512,
               "memory out of proportion to the input or to the limit");
  }
  rewrite(&wanted, &end, seed);
  fuzz_items_free(&wanted);
}
