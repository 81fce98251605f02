/* How many sockets each address has: what the caps by address ask.
 *
 * A chained hash table with a keyed hash, since whoever has many addresses could choose where they
 * land. An address is there only while something of it is counted. Owns its entries, knows no
 * socket.
 */
#ifndef DOP_SESSION_ADDRESSES_H
#define DOP_SESSION_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>

#define DOP_ADDRESS_KEY 9 /* bytes: the family, and what of the address counts */

struct dop_address {
  struct dop_address *next;
  uint32_t sockets; /* in all */
  uint32_t pending; /* those of them that are not CONNECTED yet */
  uint8_t key[DOP_ADDRESS_KEY];
};

struct dop_addresses {
  struct dop_address **table;
  uint32_t mask; /* size - 1; size is 0 or a power of two */
  uint32_t count;
};

/* What of "1.2.3.4:80" or "[::1]:80" counts: all of an IPv4 address, also of one that comes as
 * IPv6, and of an IPv6 address the first 64 bits: the rest is the choice of whoever has the network
 * (RFC 4291 2.5.1), so that a count of whole addresses would count nothing. 0, or -1 when the text
 * is no address. */
int dop_address_key(const char *text, uint8_t key[DOP_ADDRESS_KEY]);

/* The entry of that address, NULL when there is none, or for dop_addresses_enter() no memory. */
struct dop_address *dop_addresses_find(const struct dop_addresses *d, const uint8_t secret[16],
                                       const uint8_t key[DOP_ADDRESS_KEY]);
struct dop_address *dop_addresses_enter(struct dop_addresses *d, const uint8_t secret[16],
                                        const uint8_t key[DOP_ADDRESS_KEY]);

/* Takes out an entry that counts nothing any more. */
void dop_addresses_leave(struct dop_addresses *d, const uint8_t secret[16], struct dop_address *a);

void dop_addresses_dispose(struct dop_addresses *d);

#endif
