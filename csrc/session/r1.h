/* dop.r1: the grammar of the lossless dialect (docs/protocol.md, "dop.r1"). Text in, numbers out,
 * and back. Pure: it knows no node, keeps no state and allocates nothing.
 *
 * On a CONNECTED r1 socket a text that begins with DOP_R1_MARK is an instruction, or data behind a
 * two-byte escape. Integers are decimals in their one shortest form, 0 to 2^53 - 1.
 */
#ifndef DOP_SESSION_R1_H
#define DOP_SESSION_R1_H

#include <stddef.h>
#include <stdint.h>

#define DOP_R1_MARK        '\x10'
#define DOP_R1_ANY_MESSAGE 65536 /* bytes of payload that every end takes, whatever its limit */
#define DOP_R1_MOST        ((UINT64_C(1) << 53) - 1) /* the largest integer on the wire */
#define DOP_R1_ESCAPE      2                         /* bytes before the payload of a literal */
#define DOP_R1_LONGEST     80 /* bytes of the longest instruction without a token */

enum dop_r1_type {
  DOP_R1_BAD,     /* begins with the mark and is none of the below */
  DOP_R1_DATA,    /* does not begin with the mark */
  DOP_R1_LIMITS,  /* ^p<window> <max_message> <max_bytes> <max_messages> */
  DOP_R1_ACK,     /* ^a<h> */
  DOP_R1_LITERAL, /* ^m<payload> */
  DOP_R1_END,     /* ^d<h> */
  DOP_R1_RESUMED, /* ^r<n> <h> */
  DOP_R1_GONE     /* ^x, ^x<h>, each perhaps followed by " d" */
};

/* What an end promises to take, and what it holds as a sender. */
struct dop_r1_limits {
  uint64_t window_ms;    /* how long its server side keeps a session without a socket */
  uint64_t max_message;  /* largest payload that it takes */
  uint64_t max_bytes;    /* it holds at most so many bytes ... */
  uint64_t max_messages; /* ... and messages unacknowledged */
};

struct dop_r1 {
  enum dop_r1_type type;
  uint64_t n, h;               /* of RESUMED, ACK, END, GONE */
  struct dop_r1_limits limits; /* of LIMITS */
  unsigned has_h : 1;          /* of GONE */
  unsigned by_application : 1; /* of GONE: " d" */
};

/* Whether a text is more than data. */
static inline int dop_r1_marked(const char *text, size_t len) {
  return len && text[0] == DOP_R1_MARK;
}

/* Reads a text message that came on a CONNECTED or resuming socket. */
void dop_r1_parse(struct dop_r1 *r, const char *text, size_t len);

/* Reads "<T> r <n> <h>", the first message on a new socket. Returns the length of T, which begins
 * the text, or 0 when it is none. T is not looked at but for having no space. */
size_t dop_r1_parse_resume(const char *text, size_t len, uint64_t *n, uint64_t *h);

/* Write an instruction of letter 'a' or 'd' with one number, 'r' with two, into `out` of at least
 * DOP_R1_LONGEST bytes. Return its length; no zero follows. */
size_t dop_r1_write_one(char *out, char letter, uint64_t h);
size_t dop_r1_write_resumed(char *out, uint64_t n, uint64_t h);
size_t dop_r1_write_limits(char *out, const struct dop_r1_limits *l);

/* The answer that a session is gone; `h` is left out when `has_h` is 0. */
size_t dop_r1_write_gone(char *out, int has_h, uint64_t h, int by_application);

/* " r <n> <h>", which goes behind the token. */
size_t dop_r1_write_resume(char *out, uint64_t n, uint64_t h);

#endif
