/* A second reading of RFC 6455 sections 5 to 7 and of RFC 3629, written from the text and not from
 * the parser: it sees the whole stream, copies what it likes, and takes its time. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/frames.h"

/* Table 3-7 of the Unicode standard, row by row. */
int fuzz_utf8(const uint8_t *s, size_t len) {
  static const struct {
    uint8_t first[2], second[2], more;
  } rows[] = {
      {{0x00, 0x7F}, {0, 0}, 0},       {{0xC2, 0xDF}, {0x80, 0xBF}, 1},
      {{0xE0, 0xE0}, {0xA0, 0xBF}, 2}, {{0xE1, 0xEC}, {0x80, 0xBF}, 2},
      {{0xED, 0xED}, {0x80, 0x9F}, 2}, {{0xEE, 0xEF}, {0x80, 0xBF}, 2},
      {{0xF0, 0xF0}, {0x90, 0xBF}, 3}, {{0xF1, 0xF3}, {0x80, 0xBF}, 3},
      {{0xF4, 0xF4}, {0x80, 0x8F}, 3},
  };
  for (size_t i = 0; i < len;) {
    size_t row = 0;
    while (row < 9 && (s[i] < rows[row].first[0] || s[i] > rows[row].first[1])) row++;
    if (row == 9) return -1;
    for (size_t k = 1; k <= rows[row].more; k++) {
      if (i + k == len) return 0;
      uint8_t low = k == 1 ? rows[row].second[0] : 0x80, high = k == 1 ? rows[row].second[1] : 0xBF;
      if (s[i + k] < low || s[i + k] > high) return -1;
    }
    i += 1 + rows[row].more;
  }
  return 1;
}

struct frame {
  const uint8_t *payload; /* still masked */
  uint8_t mask[4];
  uint64_t length;
  size_t there; /* so much of it came */
  unsigned op, fin;
  size_t size; /* of the header */
};

/* 1; 0: it is not whole; or the code that it is refused with. */
static int header(struct frame *fr, const uint8_t *p, size_t len, int server, int inside) {
  if (len < 2) return 0;
  fr->fin = p[0] >> 7;
  fr->op = p[0] & 15;
  unsigned short_length = p[1] & 127, masked = p[1] >> 7;
  if (p[0] & 0x70) return 1002;
  if ((fr->op > 2 && fr->op < 8) || fr->op > 10) return 1002;
  if (fr->op >= 8 && (!fr->fin || short_length > 125 || (fr->op == 8 && short_length == 1)))
    return 1002;
  if (fr->op < 8 && (fr->op == 0) != inside) return 1002;
  if (masked != (unsigned)server) return 1002;
  unsigned more = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
  fr->length = more ? 0 : short_length;
  fr->size = 2 + more;
  if (len < fr->size) return 0;
  for (unsigned i = 0; i < more; i++) fr->length = fr->length * 256 + p[2 + i];
  if (more == 2 && fr->length <= 125) return 1002;
  if (more == 8 && (fr->length <= 65535 || fr->length > INT64_MAX)) return 1002;
  return 1;
}

static int code_allowed(unsigned code) {
  static const uint16_t defined[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                     1009, 1010, 1011, 1012, 1013, 1014};
  for (size_t i = 0; i < sizeof defined / sizeof *defined; i++)
    if (code == defined[i]) return 1;
  return code >= 3000 && code < 5000;
}

/* The close frame's part that is there: 0 when nothing is wrong with it, or the code. */
static unsigned close_wrong(const uint8_t *text, size_t n, int whole) {
  if (n < 2) return 0;
  if (!code_allowed(text[0] * 256u + text[1])) return 1002;
  int utf8 = fuzz_utf8(text + 2, n - 2);
  return utf8 < 0 || (whole && utf8 == 0) ? 1007 : 0;
}

static void error(struct fuzz_items *l, unsigned code) {
  fuzz_items_add(l, DOP_WS_ERROR, code, NULL, 0);
}

/* A control frame: whether the stream goes on behind it. */
static int control(struct fuzz_items *l, const struct frame *fr, const uint8_t *text) {
  int whole = fr->there == fr->length;
  if (fr->op == 8) {
    unsigned wrong = close_wrong(text, fr->there, whole);
    if (wrong) {
      error(l, wrong);
      return 0;
    }
    if (!whole) return 0;
    size_t skip = fr->there >= 2 ? 2 : 0;
    fuzz_items_add(l, DOP_WS_CLOSE, skip ? text[0] * 256u + text[1] : 1005,
                   (const char *)text + skip, fr->there - skip);
    return 0;
  }
  if (whole)
    fuzz_items_add(l, fr->op == 9 ? DOP_WS_PING : DOP_WS_PONG, 0, (const char *)text, fr->there);
  return whole;
}

void fuzz_reading(struct fuzz_items *l, const uint8_t *p, size_t len, int server, size_t most) {
  uint8_t *text = malloc(len + 1), *message = malloc(len + 1);
  size_t at = 0, gathered = 0;
  unsigned op = 0, inside = 0;
  if (!text || !message) abort();
  for (;;) {
    struct frame fr;
    int right = header(&fr, p + at, len - at, server, (int)inside);
    if (right > 1) error(l, (unsigned)right);
    if (right != 1) break;
    if (fr.op < 8 && (gathered > most || fr.length > most - gathered)) {
      error(l, 1009);
      break;
    }
    memset(fr.mask, 0, 4);
    if (server) {
      if (len - at < fr.size + 4) break;
      memcpy(fr.mask, p + at + fr.size, 4);
      fr.size += 4;
    }
    at += fr.size;
    fr.there = len - at < fr.length ? len - at : (size_t)fr.length;
    for (size_t i = 0; i < fr.there; i++) text[i] = p[at + i] ^ fr.mask[i % 4];
    at += fr.there;
    if (fr.op >= 8) {
      if (!control(l, &fr, text)) break;
      continue;
    }
    if (fr.op) op = fr.op;
    memcpy(message + gathered, text, fr.there);
    gathered += fr.there;
    int whole = fr.there == fr.length, utf8 = op == 1 ? fuzz_utf8(message, gathered) : 1;
    if (utf8 < 0 || (whole && fr.fin && utf8 == 0)) {
      error(l, 1007);
      break;
    }
    if (!whole) break;
    inside = !fr.fin;
    if (inside) continue;
    fuzz_items_add(l, op == 1 ? DOP_WS_TEXT : DOP_WS_BINARY, 0, (const char *)message, gathered);
    gathered = 0;
  }
  free(text);
  free(message);
}
