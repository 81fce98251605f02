/* Bytes out: what a link has to say, as frames, and what of it has left. Owns the link's output;
 * when something is said, link.c and input.c know. */
#include <string.h>

#include "link/link_private.h"

#define SPARE_MAX 131072 /* a larger block goes back to the system */

struct dop_bytes *dop_link_out(struct dop_link *l) {
  /* Or what has left would stay in front for as long as there is always more to come. To move what
   * is left costs no more than it did to write the rest. */
  if (l->out_at && l->out_at >= l->out.len - l->out_at) {
    dop_bytes_consume(&l->out, l->out_at);
    l->out_at = 0;
  }
  dop_bytes_borrow(&l->out, &dop_link_engine(l)->spare); /* an idle link holds no block */
  dop_socket_mark_dirty(&l->socket);
  return &l->out;
}

const char *dop_link_output(const struct dop_link *l, size_t *len) {
  *len = l->out.len - l->out_at;
  return *len ? l->out.data + l->out_at : NULL;
}

void dop_link_tally(struct dop_link *l) {
  struct dop_transport *t = l->socket.transport;
  /* Of a message that is inflated only what is there takes memory, see connection.c. */
  uint32_t gathered = l->ws.packed ? l->ws.assembly.len : l->ws.assembly.cap;
  uint64_t held = (uint64_t)l->in.cap + l->out.cap + gathered + l->in_flight;
  if (held > UINT32_MAX) held = UINT32_MAX;
  t->bytes += held - l->held;
  l->held = (uint32_t)held;
}

void dop_link_sent(struct dop_link *l, size_t n) {
  l->out_at += (uint32_t)n;
  if (l->out_at == l->out.len) {
    l->out_at = 0;
    dop_bytes_leave(&l->out, &dop_link_engine(l)->spare, SPARE_MAX);
    dop_link_tally(l);
    dop_transport_tallied(l->socket.transport);
  }
  dop_node_writable(&l->socket);
}

void dop_link_take(struct dop_link *l, struct dop_bytes *b, uint32_t *at) {
  *b = l->out;
  *at = l->out_at;
  l->in_flight = l->out.len - l->out_at;
  memset(&l->out, 0, sizeof l->out);
  l->out_at = 0;
  dop_link_tally(l);
}

void dop_link_wrote(struct dop_link *l) {
  l->in_flight = 0;
  dop_link_tally(l);
  dop_transport_tallied(l->socket.transport);
  if (l->state == DOP_LINK_DEAD) return;
  dop_node_writable(&l->socket);
  dop_socket_mark_dirty(&l->socket);
}

size_t dop_link_backlog(const struct dop_socket *s) {
  const struct dop_link *l = (const struct dop_link *)s;
  return l->out.len - l->out_at + l->in_flight;
}

/* Mask bytes of a client's frame, NULL for a server. `*ok` is 0 when there is no randomness. */
static const uint8_t *mask_for(struct dop_link *l, uint8_t mask[4], int *ok) {
  *ok = 1;
  if (l->ws.server) return NULL;
  *ok = dop_engine_mask(dop_link_engine(l), mask) == 0;
  return mask;
}

int dop_link_say(struct dop_link *l, enum dop_ws_opcode op, const char *data, size_t len) {
  uint8_t mask[4];
  int ok;
  const uint8_t *m = mask_for(l, mask, &ok);
  if (!ok) return -1;
  uint32_t cap = l->out.cap;
  int failed = dop_ws_write(dop_link_out(l), op, data, len, m);
  if (l->out.cap != cap) dop_link_tally(l);
  return failed;
}

int dop_link_say_close(struct dop_link *l, unsigned code, const char *reason) {
  uint8_t mask[4];
  int ok;
  const uint8_t *m = mask_for(l, mask, &ok);
  return ok ? dop_ws_write_close(dop_link_out(l), code, reason, m) : -1;
}

/* 1 when the message left compressed, 0: it is to be sent as it is, -1: there is no randomness. */
static DOP_SELDOM int send_packed(struct dop_link *l, enum dop_ws_opcode op,
                                  const struct dop_message *m) {
  struct dop_transport *t = l->socket.transport;
  uint8_t mask[4];
  int ok;
  const uint8_t *key = mask_for(l, mask, &ok);
  if (!ok) return -1;
  size_t size = dop_deflate_write(l->ws.deflate, dop_link_out(l), op, m->data, m->len, key);
  dop_link_tally(l);
  if (!size) return 0;
  t->deflated_from += m->len;
  t->deflated_to += size;
  return 1;
}

int dop_link_send(struct dop_socket *s, const struct dop_message *m) {
  struct dop_link *l = dop_link_from(s);
  enum dop_ws_opcode op = m->kind == DOP_TEXT ? DOP_WS_OP_TEXT : DOP_WS_OP_BINARY;
  const struct dop_deflate *d = l->ws.deflate;
  if (d && m->compress && (m->compress == DOP_COMPRESS_ALWAYS || m->len >= d->min_size)) {
    int done = send_packed(l, op, m);
    if (done) return done > 0 ? 0 : -1;
  }
  return dop_link_say(l, op, m->data, m->len);
}
