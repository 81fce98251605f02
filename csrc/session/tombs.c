/* What is remembered of sessions that are over; see tombs.h. Owns the ring and its index. */
#include "session/tombs.h"

#include <string.h>

#define FIRST 64 /* places to begin with; the ring doubles until it is as large as allowed */

/* Two keyed hashes of 64 bits: the second under another key, so that no two tokens meet in both. */
static void name_of(const uint8_t key[16], const char *text, size_t len, uint64_t name[2]) {
  uint8_t other[16];
  for (int i = 0; i < 16; i++) other[i] = key[i] ^ 0xA5;
  name[0] = dop_siphash(key, text, len);
  name[1] = dop_siphash(other, text, len);
}

static void principal_of(const uint8_t key[16], const struct dop_token *p, uint64_t name[2]) {
  name[0] = name[1] = 0;
  if (p) name_of(key, p->text, p->len, name);
}

static uint32_t *bucket(const struct dop_tombs *t, const uint64_t name[2]) {
  return &t->buckets[name[0] & (t->size - 1)];
}

static void enter(struct dop_tombs *t, uint32_t place) {
  struct dop_tomb *tomb = &t->ring[place];
  uint32_t *first = bucket(t, tomb->name);
  tomb->next = *first;
  *first = place + 1;
}

static void leave(struct dop_tombs *t, uint32_t place) {
  for (uint32_t *p = bucket(t, t->ring[place].name); *p; p = &t->ring[*p - 1].next) {
    if (*p != place + 1) continue;
    *p = t->ring[place].next;
    return;
  }
}

/* Twice the places, up to the power of two that holds `most`. The ring is full: it begins at 0. */
static int grow(struct dop_tombs *t) {
  uint32_t size = t->size ? t->size * 2 : FIRST;
  struct dop_tomb *ring = dop_zalloc(size * sizeof *ring);
  uint32_t *buckets = dop_zalloc(size * sizeof *buckets);
  if (!ring || !buckets) {
    dop_free(ring);
    dop_free(buckets);
    return -1;
  }
  struct dop_tombs old = *t;
  *t = (struct dop_tombs){ring, buckets, size, old.size, old.count};
  for (uint32_t i = 0; i < old.size; i++) {
    ring[i] = old.ring[i];
    enter(t, i);
  }
  dop_free(old.ring);
  dop_free(old.buckets);
  return 0;
}

void dop_tombs_bury(struct dop_tombs *t, const uint8_t key[16], uint32_t most, uint64_t now,
                    const struct dop_token *token, const struct dop_token *principal,
                    uint64_t received, int by_application) {
  if (!most) return;
  if (t->at == t->size && (t->size >= most || grow(t))) t->at = 0;
  if (!t->size) return; /* not even the first few */
  if (t->at >= most) t->at = 0;
  struct dop_tomb *tomb = &t->ring[t->at];
  if (tomb->until)
    leave(t, t->at);
  else
    t->count++;
  memset(tomb, 0, sizeof *tomb);
  name_of(key, token->text, token->len, tomb->name);
  principal_of(key, principal, tomb->principal);
  tomb->received = received;
  tomb->until = now + DOP_TOMB_MS;
  tomb->by_application = by_application != 0;
  enter(t, t->at++);
}

const struct dop_tomb *dop_tombs_find(const struct dop_tombs *t, const uint8_t key[16],
                                      uint64_t now, const char *token, size_t len,
                                      const struct dop_token *principal) {
  uint64_t name[2], who[2];
  if (!t->size) return NULL;
  name_of(key, token, len, name);
  principal_of(key, principal, who);
  for (uint32_t i = *bucket(t, name); i; i = t->ring[i - 1].next) {
    const struct dop_tomb *tomb = &t->ring[i - 1];
    if (tomb->name[0] != name[0] || tomb->name[1] != name[1]) continue;
    if (tomb->until <= now || tomb->principal[0] != who[0] || tomb->principal[1] != who[1])
      return NULL;
    return tomb;
  }
  return NULL;
}

void dop_tombs_dispose(struct dop_tombs *t) {
  dop_free(t->ring);
  dop_free(t->buckets);
  memset(t, 0, sizeof *t);
}
