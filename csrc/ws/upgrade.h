/* The opening handshake of RFC 6455 section 4 for both roles: a small strict parser of one HTTP/1.1
 * head (RFC 9112), and the few lines that answer it.
 *
 * Works on a head that is whole; dop_http_head_end() finds that out as bytes arrive, looking at
 * each byte once. Spans point into the head and live as long as it. Allocates only in the buffers
 * that it appends to. Never decides who may come in: that is `authorize`, far above.
 */
#ifndef DOP_WS_UPGRADE_H
#define DOP_WS_UPGRADE_H

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

/* Whether the comma separated list in `value` has the token `word`: exact, or without regard to
 * case when `fold`. Linear in the length; never a regular expression. */
int dop_span_has_token(struct dop_span value, const char *word, int fold);

/* Looks for the empty line that ends a head. `*seen` is how many bytes were looked at in earlier
 * calls (start with 0). Returns the head's length including the empty line, 0 when it is not whole
 * yet. Only CRLF ends a line. */
size_t dop_http_head_end(const char *data, size_t len, size_t *seen);

/* A parsed head of either kind. */
struct dop_head {
  struct dop_span method, target; /* of a request */
  unsigned status;                /* of a response */
  struct dop_field fields[DOP_HTTP_FIELDS_MAX];
  unsigned count;
};

/* The value of the first field with that name, data NULL when there is none. */
struct dop_span dop_head_get(const struct dop_head *head, const char *name);

/* A client's upgrade as the server needs it. */
struct dop_upgrade_request {
  struct dop_head head;
  struct dop_span host, key, origin; /* origin: data NULL without one */
  unsigned plain : 1;                /* well-formed HTTP that asks for no upgrade at all */
  unsigned head_only : 1;            /* the method is HEAD */
};

/* Parses and checks a request. Returns 0 when it is a valid upgrade to version 13, else the HTTP
 * status to answer with, and `*why` a sentence (static): 400 malformed (bare LF, folded lines,
 * white space before the colon, control bytes, more than one or no Host, an HTTP version that is
 * not 1.1, a body announced, a target that does not begin with "/", a key that is not 16 bytes of
 * Base64, a header repeated that must not be); 405 a method that is not GET, or HEAD without an
 * upgrade; 426 no upgrade asked for (`plain` when there is no sign of one), or a version that is
 * not 13; 431 more than `max_fields` fields (<= DOP_HTTP_FIELDS_MAX). */
unsigned dop_upgrade_parse_request(struct dop_upgrade_request *req, const char *data, size_t len,
                                   unsigned max_fields, const char **why);

/* Appends the 101 answer. `protocol` is the selected subprotocol or NULL; `headers`, may be NULL,
 * is lines that end in CRLF, put in as they stand. -1 without memory. */
int dop_upgrade_write_accept(struct dop_bytes *out, struct dop_span key, const char *protocol,
                             const char *headers);

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

/* Appends a client's request. `key` is 24 characters of Base64, `protocols` the offer or NULL,
 * `headers` extra lines that end in CRLF or NULL. -1 without memory. */
int dop_upgrade_write_request(struct dop_bytes *out, const char *host, const char *target,
                              const char *key, const char *protocols, const char *headers);

/* Checks a server's answer (RFC 6455 4.1). 0 when it is a valid 101 for `key`; `*protocol` is then
 * the selected subprotocol, data NULL without one (the caller checks that it was offered). -1
 * otherwise and `*why` a sentence (static); head->status is set as far as it was read (0: this is
 * no HTTP). An extension is refused: none was offered. */
int dop_upgrade_parse_response(struct dop_head *head, const char *data, size_t len,
                               unsigned max_fields, const char *key, struct dop_span *protocol,
                               const char **why);

/* Whether a header name and value may be written as they are: a token (RFC 9110 5.6.2); no control
 * byte but tab. Keeps an application's headers from splitting a head. */
int dop_http_name_ok(const char *name, size_t len);
int dop_http_value_ok(const char *value, size_t len);

#endif
