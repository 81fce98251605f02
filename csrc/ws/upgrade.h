/* The opening handshake of RFC 6455 section 4 for both roles: what it asks of a head (http.h), and
 * the few lines that say it.
 *
 * Works on a head that is whole. Spans point into the head and live as long as it. Allocates only
 * in the buffers that it appends to. Never decides who may come in: that is `authorize`, far above.
 */
#ifndef DOP_WS_UPGRADE_H
#define DOP_WS_UPGRADE_H

#include "ws/http.h"

/* The subprotocols that one request may offer: each is compared with each. */
#define DOP_PROTOCOLS_MAX 64

/* A client's upgrade as the server needs it. */
struct dop_upgrade_request {
  struct dop_head head;
  struct dop_span host, key, origin;            /* origin: data NULL without one */
  struct dop_span protocols[DOP_PROTOCOLS_MAX]; /* what it offers, in its order */
  unsigned protocol_count;
  unsigned plain : 1;     /* well-formed HTTP that asks for no upgrade at all */
  unsigned head_only : 1; /* the method is HEAD */
};

/* Parses and checks a request. Returns 0 when it is a valid upgrade to version 13, else the HTTP
 * status to answer with, and `*why` a sentence (static): 400 malformed (bare LF, folded lines,
 * white space before the colon, control bytes, more than one or no Host, an HTTP version that is
 * not 1.1, a body announced, a target that does not begin with "/", a key that is not 16 bytes of
 * Base64, subprotocols that are no tokens, or too many, or one twice (6455 4.1), a header repeated
 * that must not be); 405 a method that is not GET, or HEAD without an upgrade; 426 no upgrade asked
 * for (`plain` when there is no sign of one), or a version that is not 13; 431 more than
 * `max_fields` fields (<= DOP_HTTP_FIELDS_MAX). */
unsigned dop_upgrade_parse_request(struct dop_upgrade_request *req, const char *data, size_t len,
                                   unsigned max_fields, const char **why);

/* Whether an Origin is the place that Host names: http or https, the same host, whatever its case,
 * and the same port. A port that is not written is the scheme's, also that of Host: a proxy may end
 * TLS in front. Anything that is not scheme://host[:port] is another place. */
int dop_origin_is(struct dop_span origin, struct dop_span host);

/* Appends the 101 answer. `protocol` is the selected subprotocol, `extensions` what is used of
 * those that were offered, `headers` lines that end in CRLF, put in as they stand; the first may
 * have no data, the others may be NULL. -1 without memory. */
int dop_upgrade_write_accept(struct dop_bytes *out, struct dop_span key, struct dop_span protocol,
                             const char *extensions, const char *headers);

/* Appends a client's request. `key` is 24 characters of Base64, `protocols` and `extensions` the
 * offers or NULL, `headers` extra lines that end in CRLF or NULL. -1 without memory. */
int dop_upgrade_write_request(struct dop_bytes *out, const char *host, const char *target,
                              const char *key, const char *protocols, const char *extensions,
                              const char *headers);

/* Checks a server's answer (RFC 6455 4.1). 0 when it is a valid 101 for `key`; `*protocol` is then
 * the selected subprotocol, data NULL without one (the caller checks that it was offered). -1
 * otherwise and `*why` a sentence (static); head->status is set as far as it was read (0: this is
 * no HTTP). Extensions are the caller's to look at, see extension.h. */
int dop_upgrade_parse_response(struct dop_head *head, const char *data, size_t len,
                               unsigned max_fields, const char *key, struct dop_span *protocol,
                               const char **why);

#endif
