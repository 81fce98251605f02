/* What a server's caps say of a new socket, and how many its address has. Owns nothing: the counts
 * are the transport's. */
#include "link/link_private.h"

void dop_link_count_less(struct dop_link *l, int at_all) {
  struct dop_transport *t = l->socket.transport;
  uint8_t key[DOP_ADDRESS_KEY];
  if (!l->counted || (!at_all && !l->socket.pending) || dop_address_key(l->address, key)) return;
  struct dop_address *a = dop_addresses_find(&t->addresses, t->directory.key, key);
  if (!a) return;
  if (l->socket.pending) a->pending--;
  if (!at_all) return;
  l->counted = 0;
  if (--a->sockets == 0) dop_addresses_leave(&t->addresses, t->directory.key, a);
}

static enum dop_refusal room_of_address(struct dop_link *l) {
  struct dop_transport *t = l->socket.transport;
  const struct dop_limits *lim = &t->limits;
  uint8_t key[DOP_ADDRESS_KEY];
  if (!lim->max_pending_per_address && !lim->max_sockets_per_address) return DOP_ADMITTED;
  if (!l->address || dop_address_key(l->address, key)) return DOP_ADMITTED; /* a unix socket */
  struct dop_address *a = dop_addresses_enter(&t->addresses, t->directory.key, key);
  if (!a) return DOP_REFUSED_MEMORY; /* nobody is let in uncounted */
  if ((lim->max_pending_per_address && a->pending >= lim->max_pending_per_address) ||
      (lim->max_sockets_per_address && a->sockets >= lim->max_sockets_per_address))
    return DOP_REFUSED_ADDRESS;
  a->pending++;
  a->sockets++;
  l->counted = 1;
  return DOP_ADMITTED;
}

enum dop_refusal dop_link_room(struct dop_link *l) {
  enum dop_refusal refusal = dop_transport_room(l->socket.transport);
  return refusal ? refusal : room_of_address(l);
}
