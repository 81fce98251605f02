/* Reads frames and makes messages of them (RFC 6455 sections 5 to 7). Owns the assembly of a
 * message that did not come whole. Never answers: that is the caller's. */
#include "ws/connection.h"

#include <string.h>

#include "ws/utf8.h"

#define INFLATE_FIRST 256   /* bytes of output to have room for at least */
#define INFLATE_STEP  8192  /* and at most; others may have their turn behind so many */
#define INFLATE_PIECE 2048  /* compressed bytes that are looked at at a time */
#define INFLATE_LARGE 16384 /* a message that grew beyond moves no more, or hardly */

/* What the header of one frame says. */
struct header {
  uint64_t length; /* of the payload */
  size_t size;     /* of the header itself */
  unsigned op;
  unsigned final;
  unsigned packed; /* RSV1 */
};

void dop_ws_init(struct dop_ws *ws, int server) {
  memset(ws, 0, sizeof *ws);
  ws->server = server != 0;
}

void dop_ws_dispose(struct dop_ws *ws) {
  dop_bytes_dispose(&ws->assembly);
  ws->handed_out = 0;
}

int dop_ws_code_ok(unsigned code) {
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

static void give(struct dop_ws_item *item, enum dop_ws_type type, char *data, size_t len) {
  item->type = type;
  item->code = 0;
  item->data = data;
  item->len = len;
  item->why = NULL;
}

/* Ends the connection for this parser; a message that was being gathered is of no use any more. */
static void shut(struct dop_ws *ws) {
  dop_bytes_dispose(&ws->assembly);
  if (ws->deflate != NULL) dop_deflate_release(ws->deflate);
  ws->in_frame = 0;
  ws->closed = 1;
}

static void fail(struct dop_ws *ws, struct dop_ws_item *item, unsigned code, const char *why) {
  shut(ws);
  give(item, DOP_WS_ERROR, NULL, 0);
  item->code = (uint16_t)code;
  item->why = why;
}

static const char not_utf8[] = "The text is not UTF-8.";
static const char too_long[] = "The message is longer than the limit.";
static const char corrupt[] = "The compressed message is corrupt.";
static const char no_memory[] = "There is no memory for the message.";

/* What is wrong about the first two bytes of a frame, NULL when nothing is. */
static const char *wrong_start(const struct dop_ws *ws, unsigned b0, unsigned b1) {
  unsigned op = b0 & 0x0F, length = b1 & 0x7F;

  if ((b0 & 0x70) != 0) {
    /* RFC 7692 section 6: on the first frame of a message and nowhere else. */
    if ((b0 & 0x30) != 0 || ws->deflate == NULL || op >= 8 || op == DOP_WS_OP_CONTINUATION)
      return "A reserved bit is set.";
  }
  if (op >= 8) {
    if (op > DOP_WS_OP_PONG) return "The opcode is unknown.";
    if ((b0 & 0x80) == 0) return "A control frame is fragmented.";
    if (length > DOP_WS_CONTROL_MAX) return "A control frame is longer than 125 bytes.";
    if (op == DOP_WS_OP_CLOSE && length == 1) return "A close frame has half a code.";
  } else {
    if (op > DOP_WS_OP_BINARY) return "The opcode is unknown.";
    if (op == DOP_WS_OP_CONTINUATION && !ws->in_message)
      return "A continuation comes without a beginning.";
    if (op != DOP_WS_OP_CONTINUATION && ws->in_message)
      return "A message begins inside an unfinished one.";
  }
  if (b1 >> 7 != ws->server)
    return ws->server ? "A frame of the client is not masked." : "A frame of the server is masked.";
  return NULL;
}

/* Reads a length of n bytes. *why is set when it is not in the one form that 5.2 allows. */
static uint64_t long_length(const unsigned char *p, unsigned n, const char **why) {
  uint64_t length = 0;

  for (unsigned i = 0; i < n; i++) length = length << 8 | p[i];
  if (length >> 63 != 0) {
    *why = "The top bit of a length is set.";
  } else if (length < (n == 2 ? 126u : 0x10000u)) {
    *why = "A length is not in its shortest form.";
  }
  return length;
}

/* Reads a header: 1 when it is whole and right, 0 when bytes are missing, -1 when it is wrong and
 * the item says so. Each fault is reported at the byte that shows it, so that the cut of the
 * stream never decides which of two faults is seen. */
static int read_header(struct dop_ws *ws, const char *in, size_t len, size_t max_message,
                       struct header *h, struct dop_ws_item *item) {
  const unsigned char *p = (const unsigned char *)in;
  const char *why;
  unsigned more;

  if (len < 2) return 0;
  why = wrong_start(ws, p[0], p[1]);
  h->op = p[0] & 0x0F;
  h->final = p[0] >> 7;
  h->packed = (p[0] & DOP_WS_RSV1) != 0 || (h->op == DOP_WS_OP_CONTINUATION && ws->packed);
  h->length = p[1] & 0x7F;
  more = h->length < 126 ? 0 : h->length == 126 ? 2 : 8;
  h->size = 2 + more;
  if (why == NULL && more != 0) {
    if (len < h->size) return 0;
    h->length = long_length(p + 2, more, &why);
  }
  if (why != NULL) {
    fail(ws, item, 1002, why);
    return -1;
  }
  /* Subtracting on the side of the limit cannot overflow, whatever the length. */
  if (h->op < 8 && !h->packed &&
      (ws->assembly.len > max_message || h->length > max_message - ws->assembly.len)) {
    fail(ws, item, 1009, too_long);
    return -1;
  }
  if (ws->server) h->size += 4;
  return len >= h->size;
}

/* Looks at a close payload, of which n bytes are there (5.5.1). 1 when nothing is wrong so far. */
static int close_ok(struct dop_ws *ws, const char *payload, size_t n, int whole,
                    struct dop_ws_item *item) {
  const unsigned char *p = (const unsigned char *)payload;
  uint32_t utf8;

  if (n < 2) return 1;
  if (!dop_ws_code_ok((unsigned)p[0] << 8 | p[1])) {
    fail(ws, item, 1002, "The close code must not be on the wire.");
    return 0;
  }
  utf8 = dop_utf8_check(DOP_UTF8_START, payload + 2, n - 2);
  if (utf8 == DOP_UTF8_BAD || (whole && utf8 != DOP_UTF8_START)) {
    fail(ws, item, 1007, "The close reason is not UTF-8.");
    return 0;
  }
  return 1;
}

/* A control frame is used only when it is whole, and presented again until then. The part of a
 * close frame that is there must be right all the same; it is unmasked in a copy for that. */
static void peek_close(struct dop_ws *ws, const char *payload, size_t n, const uint8_t *mask,
                       struct dop_ws_item *item) {
  char copy[DOP_WS_CONTROL_MAX];

  if (n == 0) return;
  memcpy(copy, payload, n);
  if (ws->server) dop_ws_mask(copy, n, mask, 0);
  (void)close_ok(ws, copy, n, 0, item);
}

/* A control frame, whole or not. Returns how many bytes are used. */
static size_t control(struct dop_ws *ws, const struct header *h, char *in, size_t len,
                      struct dop_ws_item *item) {
  const uint8_t *mask = (const uint8_t *)in + h->size - 4 * (size_t)ws->server;
  char *payload = in + h->size;
  size_t n = (size_t)h->length;

  if (len - h->size < n) {
    if (h->op == DOP_WS_OP_CLOSE) peek_close(ws, payload, len - h->size, mask, item);
    return 0;
  }
  if (ws->server) dop_ws_mask(payload, n, mask, 0);
  if (h->op != DOP_WS_OP_CLOSE) {
    give(item, h->op == DOP_WS_OP_PING ? DOP_WS_PING : DOP_WS_PONG, payload, n);
  } else if (close_ok(ws, payload, n, 1, item)) {
    shut(ws);
    give(item, DOP_WS_CLOSE, payload + (n >= 2 ? 2 : 0), n >= 2 ? n - 2 : 0);
    item->code =
        n < 2 ? 1005 : (uint16_t)((unsigned char)payload[0] << 8 | (unsigned char)payload[1]);
  }
  return h->size + n;
}

/* Hands out a message that lies whole in the input. */
static void in_place(struct dop_ws *ws, unsigned op, char *payload, size_t n,
                     struct dop_ws_item *item) {
  if (op == DOP_WS_OP_TEXT) {
    if (dop_utf8_check(DOP_UTF8_START, payload, n) != DOP_UTF8_START) {
      fail(ws, item, 1007, not_utf8);
    } else {
      give(item, DOP_WS_TEXT, payload, n);
    }
  } else {
    give(item, DOP_WS_BINARY, payload, n);
  }
}

/* Reads the beginning of a frame. Returns how many bytes are used: 0 when nothing could be done
 * yet, a whole frame when the item says something, else a header, and the payload is gathered. */
static size_t begin(struct dop_ws *ws, char *in, size_t len, size_t max_message,
                    struct dop_ws_item *item) {
  struct header h;

  if (read_header(ws, in, len, max_message, &h, item) != 1) return 0;
  if (h.op >= 8) return control(ws, &h, in, len, item);
  if (ws->server) memcpy(ws->mask, in + h.size - 4, 4);
  if (h.final && !ws->in_message && !h.packed && len - h.size >= h.length) {
    if (ws->server) dop_ws_mask(in + h.size, (size_t)h.length, ws->mask, 0);
    in_place(ws, h.op, in + h.size, (size_t)h.length, item);
    return h.size + (size_t)h.length;
  }
  if (h.op != DOP_WS_OP_CONTINUATION) {
    ws->opcode = h.op;
    ws->utf8 = DOP_UTF8_START;
    ws->packed = h.packed;
    if (h.packed) ws->deflate->came = 0;
  }
  ws->in_frame = 1;
  ws->final = h.final;
  ws->missing = h.length;
  ws->phase = 0;
  return h.size;
}

/* The last frame of a gathered message has come. */
static void finish(struct dop_ws *ws, char *in, struct dop_ws_item *item) {
  struct dop_bytes *b = &ws->assembly;

  ws->in_message = 0;
  if (ws->opcode == DOP_WS_OP_TEXT && ws->utf8 != DOP_UTF8_START) {
    fail(ws, item, 1007, not_utf8);
    return;
  }
  ws->handed_out = 1;
  /* Nobody has to ask whether the data of an empty message is NULL. */
  give(item, ws->opcode == DOP_WS_OP_TEXT ? DOP_WS_TEXT : DOP_WS_BINARY,
       b->data != NULL ? b->data : in, b->len);
}

/* Room for what comes out next, at most `most` bytes of it. A small message grows with what is
 * there. A large one has room for all that it may become: a page of it that nothing is written to
 * costs nothing, while to move a megabyte costs more than to inflate one. NULL without memory. */
static char *inflate_room(struct dop_bytes *b, size_t len, size_t most, size_t *room) {
  size_t more = INFLATE_FIRST + 4 * len;

  *room = b->cap - b->len;
  if (*room == 0 && b->len < INFLATE_LARGE) {
    *room = more;
  } else if (*room == 0) {
    more = 63 * (size_t)b->len;
    if (more > most) more = most;
    if (dop_bytes_room(b, more) == NULL) return NULL;
    *room = more;
  }
  if (*room > INFLATE_STEP) *room = INFLATE_STEP;
  if (*room > most) *room = most;
  return dop_bytes_room(b, *room);
}

/* Appends what a compressed payload means, until so much has come out that others may have their
 * turn: *len is lowered to what is left of it then. What the inflater itself still holds is little
 * and comes out. Behind the limit one byte is enough to know. Returns whether nothing is wrong so
 * far. */
static int inflate_into(struct dop_ws *ws, const char *in, size_t *len, size_t max_message,
                        struct dop_ws_item *item) {
  struct dop_bytes *b = &ws->assembly;
  uint32_t before = b->len;
  enum dop_inflate_result result;

  do {
    char beyond, *to = &beyond;
    size_t most = max_message > b->len ? max_message - b->len : 0, room = 0, n;

    if (most != 0) to = inflate_room(b, *len, most, &room);
    if (to == NULL) {
      fail(ws, item, 1011, no_memory);
      return 0;
    }
    n = room != 0 ? room : 1;
    result = dop_inflate(ws->deflate, &in, len, to, &n);
    if (room == 0 && n != 0) {
      fail(ws, item, 1009, too_long);
      return 0;
    }
    b->len += (uint32_t)n;
    if (ws->opcode == DOP_WS_OP_TEXT) ws->utf8 = dop_utf8_check(ws->utf8, to, n);
    if (ws->opcode == DOP_WS_OP_TEXT && ws->utf8 == DOP_UTF8_BAD) {
      fail(ws, item, 1007, not_utf8);
      return 0;
    }
  } while (result == DOP_INFLATE_MORE && (*len == 0 || b->len - before < INFLATE_STEP));
  if (result == DOP_INFLATE_DONE || result == DOP_INFLATE_MORE) return 1;
  if (result == DOP_INFLATE_NOMEM) {
    fail(ws, item, 1011, no_memory);
  } else {
    fail(ws, item, 1007, corrupt);
  }
  return 0;
}

/* The same at the end of a compressed message. */
static int inflate_rest(struct dop_ws *ws, size_t max_message, struct dop_ws_item *item) {
  const char *tail;
  size_t n = dop_inflate_tail(ws->deflate, &tail), left = n;

  while (left != 0)
    if (!inflate_into(ws, tail + n - left, &left, max_message, item)) return 0;
  ws->deflate->came -= n;
  if (dop_inflate_end(ws->deflate) == 0) return 1;
  fail(ws, item, 1007, corrupt);
  return 0;
}

/* Appends n bytes of a payload that is not compressed. */
static void take_plain(struct dop_ws *ws, const char *in, size_t n, struct dop_ws_item *item) {
  if (ws->opcode == DOP_WS_OP_TEXT) {
    ws->utf8 = dop_utf8_check(ws->utf8, in, n);
    if (ws->utf8 == DOP_UTF8_BAD) {
      fail(ws, item, 1007, not_utf8);
      return;
    }
  }
  if (dop_bytes_append(&ws->assembly, in, n)) fail(ws, item, 1011, no_memory);
}

/* The same of a compressed payload. Returns how many bytes were used: those behind them are as they
 * came, and seen again. */
static size_t take_packed(struct dop_ws *ws, char *in, size_t n, size_t max_message,
                          struct dop_ws_item *item) {
  size_t left = n;

  if (n == 0 || !inflate_into(ws, in, &left, max_message, item)) return n;
  n -= left;
  if (ws->server) dop_ws_mask(in + n, left, ws->mask, (uint32_t)((ws->phase + n) & 3));
  return n;
}

/* Gathers what there is of the current frame's payload. Returns how many bytes are used. */
static size_t gather(struct dop_ws *ws, char *in, size_t len, size_t max_message,
                     struct dop_ws_item *item) {
  size_t n = len < ws->missing ? len : (size_t)ws->missing;

  if (ws->packed && n > INFLATE_PIECE) n = INFLATE_PIECE;
  if (ws->server) dop_ws_mask(in, n, ws->mask, ws->phase);
  if (ws->packed) {
    n = take_packed(ws, in, n, max_message, item);
  } else {
    take_plain(ws, in, n, item);
  }
  if (ws->closed) return n;
  ws->phase = (uint32_t)((ws->phase + n) & 3);
  ws->missing -= n;
  if (ws->missing != 0) {
    if (n < len) give(item, DOP_WS_PART, NULL, n);
    return n;
  }
  ws->in_frame = 0;
  if (!ws->final) {
    ws->in_message = 1;
    give(item, DOP_WS_PART, NULL, n);
  } else if (!ws->packed || inflate_rest(ws, max_message, item)) {
    finish(ws, in, item);
  }
  return n;
}

/* The way of everything that is not a small whole frame. */
static size_t walk(struct dop_ws *ws, char *in, size_t len, size_t max_message,
                   struct dop_ws_item *item) {
  size_t used = 0, n;

  give(item, DOP_WS_MORE, NULL, 0);
  if (ws->closed || len == 0) return len;
  for (;;) {
    if (ws->in_frame) {
      used += gather(ws, in + used, len - used, max_message, item);
      if (ws->in_frame || item->type != DOP_WS_MORE) break;
    }
    n = begin(ws, in + used, len - used, max_message, item);
    used += n;
    if (n == 0 || item->type != DOP_WS_MORE) break;
  }
  return item->type == DOP_WS_ERROR ? len : used;
}

/* Between messages a small frame with FIN is told by its first two bytes: taken as one number
 * they lie in [first, first + 126), one range for text and the next page for binary. */
size_t dop_ws_next(struct dop_ws *ws, char *in, size_t len, size_t max_message,
                   struct dop_ws_item *item) {
  size_t size = 2 + 4 * (size_t)ws->server, n;
  unsigned kind;

  if (ws->handed_out) dop_ws_dispose(ws);
  if (len < size || ws->in_frame | ws->in_message | ws->closed)
    return walk(ws, in, len, max_message, item);
  kind = ((unsigned)(unsigned char)in[0] << 8 | (unsigned char)in[1]) - 0x8100u -
         ((unsigned)ws->server << 7);
  n = kind & 0xFF;
  if ((kind >= 126 && kind - 0x100 >= 126) || n > max_message || n > len - size)
    return walk(ws, in, len, max_message, item);
  if (ws->server) dop_ws_mask(in + size, n, (const uint8_t *)in + 2, 0);
  in_place(ws, kind < 126 ? DOP_WS_OP_TEXT : DOP_WS_OP_BINARY, in + size, n, item);
  return item->type == DOP_WS_ERROR ? len : size + n;
}
