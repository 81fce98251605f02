/* The grammar of dop.r1; see r1.h. Owns nothing, never guesses: what is not canonical is refused.
 */
#include "session/r1.h"

#include <string.h>

/* What is still to be read. */
struct reader {
  const char *at, *end;
};

static int ended(const struct reader *r) {
  return r->at == r->end;
}

/* Takes the byte `c`: 1, or 0 when another one or none is next. */
static int take(struct reader *r, char c) {
  if (ended(r) || *r->at != c) return 0;
  r->at++;
  return 1;
}

/* Takes an integer in its shortest form: 1, or 0 when there is none or it is too large. */
static int number(struct reader *r, uint64_t *value) {
  const char *from = r->at;
  uint64_t v = 0;
  for (; !ended(r) && *r->at >= '0' && *r->at <= '9'; r->at++) {
    v = v * 10 + (uint64_t)(*r->at - '0');
    if (v > DOP_R1_MOST) return 0;
  }
  if (r->at == from || (*from == '0' && r->at - from > 1)) return 0;
  *value = v;
  return 1;
}

static int limits(struct reader *r, struct dop_r1_limits *l) {
  return number(r, &l->window_ms) && take(r, ' ') && number(r, &l->max_message) && take(r, ' ') &&
         number(r, &l->max_bytes) && take(r, ' ') && number(r, &l->max_messages);
}

static int gone(struct reader *r, struct dop_r1 *m) {
  if (!ended(r) && *r->at != ' ') {
    if (!number(r, &m->h)) return 0;
    m->has_h = 1;
  }
  if (ended(r)) return 1;
  m->by_application = 1;
  return take(r, ' ') && take(r, 'd');
}

/* Reads what follows the letter; 1 when it is right so far. */
static int body(struct reader *r, char letter, struct dop_r1 *m) {
  switch (letter) {
  case 'p':
    m->type = DOP_R1_LIMITS;
    return limits(r, &m->limits);
  case 'a':
    m->type = DOP_R1_ACK;
    return number(r, &m->h);
  case 'd':
    m->type = DOP_R1_END;
    return number(r, &m->h);
  case 'r':
    m->type = DOP_R1_RESUMED;
    return number(r, &m->n) && take(r, ' ') && number(r, &m->h);
  case 'x':
    m->type = DOP_R1_GONE;
    return gone(r, m);
  default:
    return 0;
  }
}

void dop_r1_parse(struct dop_r1 *m, const char *text, size_t len) {
  struct reader r = {text, text + len};
  memset(m, 0, sizeof *m);
  if (!take(&r, DOP_R1_MARK)) {
    m->type = DOP_R1_DATA;
  } else if (take(&r, 'm')) {
    m->type = DOP_R1_LITERAL;
  } else if (ended(&r) || !body(&r, *r.at++, m) || !ended(&r)) {
    m->type = DOP_R1_BAD;
  }
}

size_t dop_r1_parse_resume(const char *text, size_t len, uint64_t *n, uint64_t *h) {
  const char *space = len ? memchr(text, ' ', len) : NULL;
  struct reader r = {space, text + len};
  if (!space || space == text) return 0;
  if (!take(&r, ' ') || !take(&r, 'r') || !take(&r, ' ') || !number(&r, n) || !take(&r, ' ') ||
      !number(&r, h) || !ended(&r))
    return 0;
  return (size_t)(space - text);
}

/* Appends a decimal, free of the locale; returns where it ends. */
static char *put(char *out, uint64_t value) {
  char digits[20], *p = digits + sizeof digits;
  do {
    *--p = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  size_t len = (size_t)(digits + sizeof digits - p);
  memcpy(out, p, len);
  return out + len;
}

static char *head(char *out, char letter) {
  out[0] = DOP_R1_MARK;
  out[1] = letter;
  return out + 2;
}

size_t dop_r1_write_one(char *out, char letter, uint64_t h) {
  return (size_t)(put(head(out, letter), h) - out);
}

static char *put_two(char *p, uint64_t a, uint64_t b) {
  p = put(p, a);
  *p++ = ' ';
  return put(p, b);
}

size_t dop_r1_write_resumed(char *out, uint64_t n, uint64_t h) {
  return (size_t)(put_two(head(out, 'r'), n, h) - out);
}

size_t dop_r1_write_limits(char *out, const struct dop_r1_limits *l) {
  char *p = put_two(head(out, 'p'), l->window_ms, l->max_message);
  *p++ = ' ';
  return (size_t)(put_two(p, l->max_bytes, l->max_messages) - out);
}

size_t dop_r1_write_gone(char *out, int has_h, uint64_t h, int by_application) {
  char *p = head(out, 'x');
  if (has_h) p = put(p, h);
  if (by_application) {
    *p++ = ' ';
    *p++ = 'd';
  }
  return (size_t)(p - out);
}

size_t dop_r1_write_resume(char *out, uint64_t n, uint64_t h) {
  memcpy(out, " r ", 3);
  return (size_t)(put_two(out + 3, n, h) - out);
}
