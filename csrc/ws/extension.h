/* Sec-WebSocket-Extensions (RFC 6455 9.1): its grammar, and what is agreed about
 * permessage-deflate, the one extension that is known here (RFC 7692 section 7), in both roles.
 *
 * Reads parsed heads and writes header values into the caller's array. Linear, allocates nothing,
 * owns nothing, knows nothing of zlib.
 */
#ifndef DOP_WS_EXTENSION_H
#define DOP_WS_EXTENSION_H

#include "ws/upgrade.h"

/* --- the grammar --- */

/* The extensions of a head, which may stand in several fields. Start with zeros but for `head`. */
struct dop_extensions {
  const struct dop_head *head;
  struct dop_span rest; /* of the field that is being read */
  unsigned next;        /* field to look at behind it */
};

struct dop_extension {
  struct dop_span name;
  struct dop_span params; /* for dop_extension_param() */
};

struct dop_extension_param {
  struct dop_span name;
  int has_value;
  size_t len;    /* of the value, without quotes and backslashes */
  char value[4]; /* its first bytes: no parameter that is known has more */
};

/* The next extension: 1; 0 when there is none; -1 when the field is not what the grammar allows. An
 * empty field, or an empty element of a list, is none. */
int dop_extension_next(struct dop_extensions *all, struct dop_extension *e);

/* The next parameter of an extension, taken off `params`: 1, or 0 when there is none. */
int dop_extension_param(struct dop_span *params, struct dop_extension_param *p);

/* --- permessage-deflate --- */

#define DOP_DEFLATE_WINDOW_MIN 9 /* zlib has no raw deflate with a window of 8 bits */
#define DOP_DEFLATE_WINDOW_MAX 15

/* What an end wants. */
struct dop_deflate_options {
  uint32_t min_size;          /* of a message; a smaller one goes as it is */
  uint8_t level;              /* 1 to 9, of what it sends */
  uint8_t window;             /* DOP_DEFLATE_WINDOW_MIN to _MAX, of what it sends */
  uint8_t mem_level;          /* 1 to 9, of what it sends */
  uint8_t peer_window;        /* the largest that the peer may use */
  unsigned takeover : 1;      /* what it sends may refer to earlier messages */
  unsigned peer_takeover : 1; /* what the peer sends may */
};

extern const struct dop_deflate_options dop_deflate_defaults;

/* What two ends agreed on, from the side of one. */
struct dop_deflate_terms {
  uint8_t window;      /* of what it sends; 0: it cannot compress so, and sends everything as is */
  uint8_t peer_window; /* 8 to 15 */
  unsigned takeover : 1, peer_takeover : 1;
};

#define DOP_DEFLATE_TEXT_MAX                                           \
  160 /* bytes of the longest header value written here, with its zero \
       */

/* The server's choice among the offers of a request, in their order: the first that is valid and
 * that `o` can go with. Writes the answer. 1; 0 when there is none, or when `o` is NULL; -1 when
 * the header is malformed. */
int dop_deflate_choose(const struct dop_head *head, const struct dop_deflate_options *o,
                       struct dop_deflate_terms *terms, char answer[DOP_DEFLATE_TEXT_MAX]);

/* A client's offer. */
void dop_deflate_offer(const struct dop_deflate_options *o, char offer[DOP_DEFLATE_TEXT_MAX]);

/* What a server made of that offer; `o` is NULL when there was none. 1 when it goes with it, 0 when
 * it uses no extension; -1 when the answer must fail the connection, *why is a sentence then. */
int dop_deflate_agree(const struct dop_head *head, const struct dop_deflate_options *o,
                      struct dop_deflate_terms *terms, const char **why);

#endif
