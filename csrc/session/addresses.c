/* Counts by address; see addresses.h. */
#include "session/addresses.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/base.h"

int dop_address_key(const char *text, uint8_t key[DOP_ADDRESS_KEY]) {
  static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
  char host[INET6_ADDRSTRLEN];
  uint8_t ip[16];
  int six = text[0] == '[';
  size_t len = strcspn(text += six, six ? "%]" : ":"); /* a zone is this machine's own affair */
  if (len >= sizeof host) return -1;
  memcpy(host, text, len);
  host[len] = 0;
  if (inet_pton(six ? AF_INET6 : AF_INET, host, six ? ip : ip + 12) != 1) return -1;
  memset(key, 0, DOP_ADDRESS_KEY);
  if (!six || memcmp(ip, mapped, sizeof mapped) == 0) {
    key[0] = 4;
    memcpy(key + 1, ip + 12, 4);
  } else {
    key[0] = 6;
    memcpy(key + 1, ip, 8);
  }
  return 0;
}

static struct dop_address **bucket(const struct dop_addresses *d, const uint8_t secret[16],
                                   const uint8_t *key) {
  return &d->table[dop_siphash(secret, key, DOP_ADDRESS_KEY) & d->mask];
}

struct dop_address *dop_addresses_find(const struct dop_addresses *d, const uint8_t secret[16],
                                       const uint8_t key[DOP_ADDRESS_KEY]) {
  struct dop_address *a = d->count ? *bucket(d, secret, key) : NULL;
  while (a && memcmp(a->key, key, DOP_ADDRESS_KEY) != 0) a = a->next;
  return a;
}

/* Doubles the table when it is full. Without memory for that the chains grow instead. */
static void grow(struct dop_addresses *d, const uint8_t secret[16]) {
  uint32_t size = d->table ? d->mask + 1 : 0;
  if (d->count < size) return;
  struct dop_addresses bigger = *d;
  bigger.mask = size ? 2 * size - 1 : 15;
  bigger.table = dop_zalloc((bigger.mask + (size_t)1) * sizeof *bigger.table);
  if (!bigger.table) return;
  for (uint32_t i = 0; i < size; i++) {
    for (struct dop_address *a = d->table[i], *next; a; a = next) {
      next = a->next;
      struct dop_address **place = bucket(&bigger, secret, a->key);
      a->next = *place;
      *place = a;
    }
  }
  dop_free(d->table);
  *d = bigger;
}

struct dop_address *dop_addresses_enter(struct dop_addresses *d, const uint8_t secret[16],
                                        const uint8_t key[DOP_ADDRESS_KEY]) {
  struct dop_address *a = dop_addresses_find(d, secret, key);
  if (a) return a;
  grow(d, secret);
  a = d->table ? dop_zalloc(sizeof *a) : NULL;
  if (!a) return NULL;
  memcpy(a->key, key, DOP_ADDRESS_KEY);
  struct dop_address **place = bucket(d, secret, key);
  a->next = *place;
  *place = a;
  d->count++;
  return a;
}

void dop_addresses_leave(struct dop_addresses *d, const uint8_t secret[16], struct dop_address *a) {
  struct dop_address **p = bucket(d, secret, a->key);
  while (*p != a) p = &(*p)->next;
  *p = a->next;
  dop_free(a);
  if (--d->count == 0) dop_addresses_dispose(d); /* after a flood nothing stays of its table */
}

void dop_addresses_dispose(struct dop_addresses *d) {
  for (uint32_t i = 0; d->count && i <= d->mask; i++) {
    for (struct dop_address *a = d->table[i], *next; a; a = next) {
      next = a->next;
      dop_free(a);
    }
  }
  dop_free(d->table);
  memset(d, 0, sizeof *d);
}
