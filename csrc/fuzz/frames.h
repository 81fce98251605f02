/* The frames of one role as a fuzz target: what the parser makes of a stream must be what a second,
 * slow reading of RFC 6455 makes of it, wherever the stream is cut. */
#ifndef DOP_FUZZ_FRAMES_H
#define DOP_FUZZ_FRAMES_H

#include "fuzz/fuzz.h"
#include "ws/ws.h"

/* What was handed out; kept apart from the input, which may change. */
struct fuzz_item {
  enum dop_ws_type type;
  unsigned code;
  size_t len;
  char *data;
};

struct fuzz_items {
  struct fuzz_item *all;
  size_t count;
};

void fuzz_items_add(struct fuzz_items *l, enum dop_ws_type type, unsigned code, const char *data,
                    size_t len);
void fuzz_items_free(struct fuzz_items *l);

void fuzz_items_same(const struct fuzz_items *a, const struct fuzz_items *b, const char *what);

/* Who reads the stream. */
struct fuzz_end {
  size_t most; /* bytes of a message */
  struct dop_deflate *deflate;
  int server;
};

/* How the stream is cut: whole, byte by byte, or by chance from a seed. */
enum fuzz_cut { FUZZ_WHOLE, FUZZ_BYTES, FUZZ_CHANCE };

/* Feeds the stream and writes down what is handed out. */
void fuzz_feed(struct fuzz_items *l, const uint8_t *data, size_t len, const struct fuzz_end *end,
               enum fuzz_cut cut, uint32_t seed);

/* reading.c: the second reading, of the whole stream at once. */
void fuzz_reading(struct fuzz_items *l, const uint8_t *data, size_t len, int server, size_t most);

/* How much of this is UTF-8: 1: all; 0: all but for a character that is cut off at its end; -1:
 * it is none. */
int fuzz_utf8(const uint8_t *data, size_t len);

/* Input: a byte for the limit, two for the cuts, then the stream. */
void fuzz_frames(struct fuzz *f, int server);

#endif
