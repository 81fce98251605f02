/* Heads of HTTP/1.1 (RFC 9112), read strictly and written; and what a server says that is no
 * WebSocket.
 *
 * Works on a head that is whole; dop_http_head_end() finds that out as bytes arrive, looking at
 * each byte once. Spans point into the head and live as long as it. Allocates only in the buffers
 * that it appends to.
 */
#ifndef DOP_WS_HTTP_H
#define DOP_WS_HTTP_H

#include "base/bytes.h"

#define DOP_HTTP_FIELDS_MAX 64

struct dop_span {
  const char *data;
  size_t len;
};

struct dop_field {
  struct dop_span name, value; /* value without the white space around it */
};

/* Compares without regard to ASCII case. `word` is a C string. */
int dop_span_is(struct dop_span s, const char *word);

/* Whether two are the same, byte for byte. */
int dop_span_equal(struct dop_span a, struct dop_span b);

/* Whether the comma separated list in `value` has the token `word`: exact, or without regard to
 * case when `fold`. Linear in the length; never a regular expression. */
int dop_span_has_token(struct dop_span value, const char *word, int fold);

/* Takes the next element of a comma separated list off `list`, without blanks around it: 1, or 0 at
 * the end. Empty elements are passed over (RFC 9110 5.6.1.2). */
int dop_span_next(struct dop_span *list, struct dop_span *element);

/* Looks for the empty line that ends a head. `*seen` is how many bytes were looked at in earlier
 * calls (start with 0). Returns the head's length including the empty line, 0 when it is not whole
 * yet. Only CRLF ends a line. */
size_t dop_http_head_end(const char *data, size_t len, size_t *seen);

/* A parsed head of either kind. */
struct dop_head {
  struct dop_span method, target; /* of a request */
  unsigned status;                /* of a response */
  unsigned is_1_1 : 1;            /* a response is HTTP/1.1, and not older */
  unsigned count;
  struct dop_field fields[DOP_HTTP_FIELDS_MAX];
};

/* Reads a request's head. 0, or the status that refuses it and `*why` a sentence (static): 400, or
 * 431 for more than `max_fields` fields; what was read before the fault stays in the head. */
unsigned dop_http_parse_request(struct dop_head *head, const char *data, size_t len,
                                unsigned max_fields, const char **why);

/* Reads an answer's. -1 when something is wrong with it, and `*why` a sentence; head->status is set
 * as far as it was read, 0: this is no HTTP. */
int dop_http_parse_response(struct dop_head *head, const char *data, size_t len,
                            unsigned max_fields, const char **why);

/* Looks for a header: how often it comes; *first is the value of the first one. */
unsigned dop_head_find(const struct dop_head *head, const char *name, struct dop_span *first);

/* Whether a list that may be spread over several headers has the token, whatever its case. */
int dop_head_lists(const struct dop_head *head, const char *name, const char *token);

/* The value of the first field with that name, data NULL when there is none. */
struct dop_span dop_head_get(const struct dop_head *head, const char *name);

/* Appends the head that asks a proxy for a tunnel to `to`, host:port (RFC 9110 9.3.6); `headers`,
 * may be NULL, is lines that end in CRLF. -1 without memory. */
int dop_http_write_connect(struct dop_bytes *out, const char *to, const char *headers);

/* Whether a status of an answer means: ask elsewhere. */
int dop_http_redirects(unsigned status);

/* Writes where it leads as people may read it, a C string: without user and password, query and
 * fragment, where secrets are; without bytes that are not visible; cut to the size. Returns its
 * length, 0 when the answer does not say. */
size_t dop_http_location(const struct dop_head *head, char *to, size_t size);

/* The seconds that an answer's Retry-After asks for, at most 10^9; 0 without one, or when it is a
 * date, which needs a calendar. */
uint32_t dop_http_retry_after(const struct dop_head *head);

/* What a server says instead of 101. */
struct dop_answer {
  unsigned status;
  const char *headers; /* lines that end in CRLF, put in as they stand; may be NULL */
  const char *body;    /* may be NULL */
  size_t len;
  unsigned typed : 1;     /* `headers` say what kind of content it is; else it is text/plain */
  unsigned head_only : 1; /* to a HEAD: the body's length, not the body */
};

/* The answer with this text, a C string, for its body. */
struct dop_answer dop_answer_text(unsigned status, const char *headers, const char *text);

/* Appends the answer: status line, Connection: close, Content-Length; for 405 Allow, for 426 also
 * Upgrade and Sec-WebSocket-Version: 13. 204 and 304 have no content. -1 without memory. */
int dop_upgrade_write_answer(struct dop_bytes *out, const struct dop_answer *a);

/* The reason phrase that goes with a status ("Forbidden"); "Refused", or "Answered", for one it
 * does not know. */
const char *dop_http_reason(unsigned status);

/* Whether a header name and value may be written as they are: a token (RFC 9110 5.6.2); no control
 * byte but tab. Keeps an application's headers from splitting a head. */
int dop_http_name_ok(const char *name, size_t len);
int dop_http_value_ok(const char *value, size_t len);

#endif
