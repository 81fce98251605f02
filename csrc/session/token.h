/* Tokens: the halves that two ends exchange and the secret they merge into (docs/protocol.md,
 * "Connection" and "Merge").
 *
 * A token is plain bytes with a length, never compared in an order that a locale could change, and
 * always compared in constant time. Each is one heap block that its holder frees; freeing wipes it.
 */
#ifndef DOP_SESSION_TOKEN_H
#define DOP_SESSION_TOKEN_H

#include "base/base.h"

#define DOP_HALF_LEN 22  /* of our own halves: 131 bits of base62 */
#define DOP_HALF_MIN 16  /* of a peer's */
#define DOP_HALF_MAX 256 /* of a peer's */

struct dop_token {
  uint16_t len;
  char text[];
};

/* A copy of len bytes, NULL without memory. */
struct dop_token *dop_token_new(const char *text, size_t len);

/* A fresh half of DOP_HALF_LEN base62 characters, NULL when randomness or memory is missing. */
struct dop_token *dop_token_random(dop_random_fn random, void *ctx);

/* Another half in the place of this one, for which no memory is needed. 0, or -1: there is no
 * randomness, or the old one is shorter than a half; what it is then must not be used. */
int dop_token_renew(struct dop_token *t, dop_random_fn random, void *ctx);

/* Wipes and frees; accepts NULL. */
void dop_token_free(struct dop_token *t);

/* The session's secret: the longer half cut to the shorter, ordered by bytes, joined. NULL without
 * memory. The same whichever way round. */
struct dop_token *dop_token_merge(const struct dop_token *a, const struct dop_token *b);

/* Whether these bytes may be a peer's half: `min` to DOP_HALF_MAX bytes of 0x21 to 0x7E. */
int dop_token_half_ok(const char *text, size_t len, size_t min);

/* Whether these bytes are equal, in a time that does not depend on them. */
int dop_token_same(const char *a, const char *b, size_t len);

/* Constant time in the contents; a different length is told at once. NULL equals nothing. */
static inline int dop_token_is(const struct dop_token *t, const char *text, size_t len) {
  return t && t->len == len && dop_token_same(t->text, text, len);
}

/* Whether the two are equal after the longer is cut to the shorter: what an echo looks like. */
int dop_token_mirrors(const struct dop_token *t, const char *text, size_t len);

#endif
