/* Tombstones: what a server remembers of lossless sessions that are over, so that a client who
 * comes late can settle its account exactly (docs/protocol.md, "Window").
 *
 * A fixed number of them, the oldest making room, each for a day. They hold no token: a keyed hash
 * of it is enough to recognize one. Owns its table and copies of principals' hashes, no more.
 */
#ifndef DOP_SESSION_TOMBS_H
#define DOP_SESSION_TOMBS_H

#include "session/token.h"

struct dop_tomb {
  uint64_t name[2];      /* keyed hash of the token */
  uint64_t principal[2]; /* keyed hash of the principal, zeros without one */
  uint64_t received;     /* h: how many of the client's messages were delivered */
  uint64_t until;        /* ms; no longer true from then on */
  uint32_t next;         /* in its bucket, counted from 1; 0: the last */
  unsigned by_application : 1;
};

struct dop_tombs {
  struct dop_tomb *ring; /* the oldest is overwritten */
  uint32_t *buckets;     /* the first of each, counted from 1 */
  uint32_t size;         /* places in the ring, 0 until the first burial */
  uint32_t at;           /* the place that is written next */
  uint32_t count;        /* places that were written */
};

/* Remembers a session for DOP_TOMB_MS from `now` on, among at most `most` of them (0: none).
 * Without memory nothing is remembered: a late client is then told that the session is unknown.
 * `key` keys the hash; `principal` may be NULL. */
void dop_tombs_bury(struct dop_tombs *tombs, const uint8_t key[16], uint32_t most, uint64_t now,
                    const struct dop_token *token, const struct dop_token *principal,
                    uint64_t received, int by_application);

/* The session of these bytes, when it was the same principal's; NULL otherwise. */
const struct dop_tomb *dop_tombs_find(const struct dop_tombs *tombs, const uint8_t key[16],
                                      uint64_t now, const char *token, size_t len,
                                      const struct dop_token *principal);

void dop_tombs_dispose(struct dop_tombs *tombs);

#define DOP_TOMB_MS (24u * 3600 * 1000)

#endif
