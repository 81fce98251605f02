/* What http.c and upgrade.c share: spans and characters. ASCII alone, whatever the locale says. */
#ifndef DOP_WS_HTTP_PRIVATE_H
#define DOP_WS_HTTP_PRIVATE_H

#include <stddef.h>
#include <string.h>

#include "ws/http.h"

static inline struct dop_span span(const char *data, size_t len) {
  struct dop_span s = {data, len};
  return s;
}

static inline struct dop_span span_of(const char *word) {
  return span(word, word != NULL ? strlen(word) : 0);
}

static inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
static inline int is_digit(char c) {
  return c >= '0' && c <= '9';
}
static inline int is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
static inline int is_blank(char c) {
  return c == ' ' || c == '\t';
}

/* What a header value or a reason phrase is made of: bytes from 0x80 on are opaque (9110 5.5). */
static inline int is_value_char(char c) {
  unsigned char u = (unsigned char)c;
  return (u >= 0x20 && u != 0x7F) || u == '\t';
}

static inline int is_visible(char c) {
  return c > 0x20 && (unsigned char)c < 0x7F;
}

static inline int all(struct dop_span s, int (*is)(char)) {
  for (size_t i = 0; i < s.len; i++) {
    if (!is(s.data[i])) return 0;
  }
  return 1;
}

static inline int equal(struct dop_span s, struct dop_span other, int fold) {
  if (s.len != other.len) return 0;
  for (size_t i = 0; i < s.len; i++) {
    if (fold ? lower(s.data[i]) != lower(other.data[i]) : s.data[i] != other.data[i]) return 0;
  }
  return 1;
}

#define COUNT(parts) (sizeof(parts) / sizeof *(parts))

/* Appends all parts or, without memory, none: -1. */
int dop_http_append(struct dop_bytes *out, const struct dop_span *parts, unsigned count);

#endif
