/* UTF-8 checked as it arrives. Pure: the caller keeps the state, one number. Never decodes for
 * anybody. */
#include "ws/utf8.h"

#include <string.h>

/* A state inside a character says what the next byte may be and how many follow:
 * how many << 16 | highest << 8 | lowest. Only the byte after the first one has a narrower range
 * than 80..BF (RFC 3629 section 4), which is what shuts out surrogates, overlong forms and
 * everything above U+10FFFF at the earliest byte. */
#define EXPECT(left, lowest, highest) ((uint32_t)(left) << 16 | (highest) << 8 | (lowest))

static uint32_t after_first(unsigned c) {
  if (c < 0x80) return DOP_UTF8_START;
  if (c < 0xC2) return DOP_UTF8_BAD;
  if (c < 0xE0) return EXPECT(1, 0x80, 0xBF);
  if (c == 0xE0) return EXPECT(2, 0xA0, 0xBF);
  if (c == 0xED) return EXPECT(2, 0x80, 0x9F);
  if (c < 0xF0) return EXPECT(2, 0x80, 0xBF);
  if (c == 0xF0) return EXPECT(3, 0x90, 0xBF);
  if (c < 0xF4) return EXPECT(3, 0x80, 0xBF);
  if (c == 0xF4) return EXPECT(3, 0x80, 0x8F);
  return DOP_UTF8_BAD;
}

static uint32_t after_next(uint32_t state, unsigned c) {
  uint32_t left = state >> 16;

  if (c < (state & 0xFF) || c > (state >> 8 & 0xFF)) return DOP_UTF8_BAD;
  return left > 1 ? EXPECT(left - 1, 0x80, 0xBF) : DOP_UTF8_START;
}

static uint64_t load(const unsigned char *p) {
  uint64_t x;

  memcpy(&x, p, sizeof x);
  return x;
}

#define HIGH_BITS 0x8080808080808080u

/* Passes ASCII in strides; up to 7 bytes of it may remain before the first other byte. */
static const unsigned char *skip_ascii(const unsigned char *p, const unsigned char *end) {
  for (; end - p >= 32; p += 32) {
    if (((load(p) | load(p + 8) | load(p + 16) | load(p + 24)) & HIGH_BITS) != 0) break;
  }
  for (; end - p >= 8; p += 8) {
    if ((load(p) & HIGH_BITS) != 0) break;
  }
  return p;
}

static int continues(unsigned c) {
  return (c & 0xC0) == 0x80;
}

/* The length of the character of two or three bytes at p, of which four can be read. 0 for any
 * other and for a wrong one: those are looked at byte by byte. */
static size_t short_character(const unsigned char *p) {
  if (p[0] >= 0xC2 && p[0] < 0xE0) return continues(p[1]) ? 2 : 0;
  if ((p[0] & 0xF0) == 0xE0 && continues(p[1]) && continues(p[2])) {
    unsigned high = (p[0] & 0x0Fu) << 6 | (p[1] & 0x3Fu); /* the code point without 6 low bits */
    return high >= 0x800u >> 6 && high >> 5 != 0xD800u >> 11 ? 3 : 0;
  }
  return 0;
}

uint32_t dop_utf8_check(uint32_t state, const char *data, size_t len) {
  const unsigned char *p = (const unsigned char *)data, *end;

  if (len == 0 || state == DOP_UTF8_BAD) return state;
  end = p + len;
  while (p < end) {
    if (state != DOP_UTF8_START) {
      state = after_next(state, *p++);
      if (state == DOP_UTF8_BAD) break;
    } else if (*p < 0x80) {
      p = skip_ascii(p, end);
      while (p < end && *p < 0x80) p++;
    } else {
      size_t n = end - p >= 4 ? short_character(p) : 0;
      if (n == 0) {
        n = 1;
        state = after_first(*p);
        if (state == DOP_UTF8_BAD) break;
      }
      p += n;
    }
  }
  return state;
}
