/* The life of a link, from the first byte to the last; see link.h. Owns its block and its timer.
 * What goes in and out is in input.c and output.c, how it begins in handshake.c. */
#include "link/link_private.h"

/* --- ends --- */

static void arm(struct dop_link *l, uint64_t after) {
  /* Without memory for a deadline the socket may not stay. */
  if (dop_timers_arm(&dop_link_engine(l)->timers, &l->timer, dop_link_engine(l)->now + after))
    dop_link_die(l, 1);
}

void dop_link_die(struct dop_link *l, int reset) {
  if (l->state == DOP_LINK_DEAD) return;
  if (l->state == DOP_LINK_ENDING) l->socket.transport->lingering_count--;
  dop_link_count_less(l, 1);
  l->state = DOP_LINK_DEAD;
  l->dead = 1;
  l->reset = reset != 0;
  dop_timers_disarm(&dop_link_engine(l)->timers, &l->timer);
  dop_socket_mark_dirty(&l->socket);
  dop_socket_retire(&l->socket);
}

static void not_pending(struct dop_link *l) {
  dop_link_count_less(l, 0);
  if (l->socket.pending) l->socket.transport->pending_count--;
  l->socket.pending = 0;
}

void dop_link_linger(struct dop_link *l) {
  const struct dop_limits *lim = dop_link_limits(l);
  uint32_t most = lim->max_pending;
  if (lim->max_sockets && lim->max_sockets < most) most = lim->max_sockets;
  l->state = DOP_LINK_ENDING;
  l->fin = 1;
  /* Waiting for the peer's end lets it read why it was refused. Who refuses a flood may not be made
   * to hold it. */
  if (++l->socket.transport->lingering_count > most) l->over = 1;
  dop_link_count_less(l, 1);
  not_pending(l);
  dop_socket_mark_dirty(&l->socket);
  arm(l, lim->close_timeout);
}

static void link_close(struct dop_socket *s, unsigned code, const char *reason) {
  struct dop_link *l = dop_link_from(s);
  s->ops->pause(s, 0); /* or the peer's close frame would not be heard */
  switch (l->state) {
  case DOP_LINK_TUNNELLING:
  case DOP_LINK_UPGRADING:
  case DOP_LINK_ASKED:
    if (s->transport->role == DOP_SERVER && (code == 1001 || code == 1012))
      dop_link_refuse_for(l, DOP_REFUSED_CLOSING, 503, DOP_RETRY_LATER, "The server is closing.\n");
    else
      dop_link_die(l, 0);
    break;
  case DOP_LINK_OPEN:
    not_pending(l);
    if (dop_link_say_close(l, code, reason)) {
      dop_link_die(l, 0);
    } else {
      l->state = DOP_LINK_CLOSING;
      arm(l, dop_link_limits(l)->close_timeout);
    }
    break;
  default:
    break;
  }
}

static void link_drop(struct dop_socket *s, int reset) {
  dop_link_die(dop_link_from(s), reset);
}

static void end_attempt(struct dop_link *l, const char *code_name, const char *why,
                        const struct dop_head *answer) {
  struct dop_transport *t = l->socket.transport;
  struct dop_event *ev = dop_transport_down(t, 0, code_name, why);
  if (!ev || !answer) return;
  ev->code = answer->status;
  ev->retry_after = dop_http_retry_after(answer);
}

static void lost(struct dop_link *l, const char *code_name, const char *why,
                 const struct dop_head *answer) {
  struct dop_transport *t = l->socket.transport;
  int early = l->state < DOP_LINK_OPEN;
  if (l->state == DOP_LINK_DEAD) return;
  dop_socket_ref(&l->socket);
  dop_link_die(l, 0);
  if (l->socket.node)
    dop_node_lost(&l->socket, 1006, code_name, why);
  else if (early && t->role == DOP_CLIENT)
    end_attempt(l, code_name, why, answer);
  dop_socket_unref(&l->socket);
}

void dop_link_lost(struct dop_link *l, const char *code_name, const char *why) {
  lost(l, code_name, why, NULL);
}

void dop_link_answered(struct dop_link *l, const char *code_name, const char *why,
                       const struct dop_head *answer) {
  lost(l, code_name, why, answer);
}

/* --- what time does --- */

static void idle(struct dop_link *l) {
  const struct dop_limits *lim = dop_link_limits(l);
  uint64_t quiet = dop_link_engine(l)->now - l->heard_at;
  if (l->ws.deflate) dop_deflate_rest(l->ws.deflate);
  /* A paused reader hears nothing: its peer is not to blame. */
  if (dop_socket_stopped(&l->socket) || quiet < lim->ping_interval) {
    l->pinged = 0;
    arm(l, dop_socket_stopped(&l->socket) ? lim->ping_interval : lim->ping_interval - quiet);
  } else if (l->pinged) {
    dop_link_lost(l, "TIMEOUT", "the peer did not answer a ping");
  } else if (dop_link_say(l, DOP_WS_OP_PING, NULL, 0)) {
    dop_link_lost(l, "ENOMEM", "no memory for a ping");
  } else {
    l->pinged = 1;
    arm(l, lim->ping_timeout);
  }
}

static void handshake_late(struct dop_link *l) {
  static const char why[] = "the handshake took too long";
  if (l->state == DOP_LINK_OPEN)
    dop_node_part(&l->socket, 1013, "TIMEOUT", why);
  else if (l->socket.transport->role == DOP_SERVER)
    dop_link_refuse_for(l, DOP_REFUSED_TIMEOUT, 408, NULL, "The request took too long.\n");
  else
    dop_link_lost(l, "TIMEOUT", why);
}

static void on_timer(struct dop_timer *timer) {
  struct dop_link *l = DOP_CONTAINER(timer, struct dop_link, timer);
  dop_socket_ref(&l->socket);
  if (l->state >= DOP_LINK_CLOSING)
    dop_link_die(l, 0);
  else if (l->socket.pending)
    handshake_late(l);
  else
    idle(l);
  dop_socket_unref(&l->socket);
}

static void link_connected(struct dop_socket *s) {
  struct dop_link *l = dop_link_from(s);
  not_pending(l);
  l->heard_at = dop_link_engine(l)->now;
  if (dop_link_limits(l)->ping_interval)
    arm(l, dop_link_limits(l)->ping_interval);
  else
    dop_timers_disarm(&dop_link_engine(l)->timers, &l->timer);
}

/* --- the rest of what a node asks of its socket --- */

static int link_probe(struct dop_socket *s, const uint8_t payload[DOP_PROBE_LEN]) {
  return dop_link_say(dop_link_from(s), DOP_WS_OP_PING, (const char *)payload, DOP_PROBE_LEN);
}

static void link_pause(struct dop_socket *s, int paused) {
  if (s->paused == (paused != 0)) return;
  struct dop_link *l = dop_link_from(s);
  int deaf = dop_socket_stopped(s);
  s->paused = paused != 0;
  if (deaf)
    l->heard_at = dop_link_engine(l)->now; /* what the peer said was not heard: it begins afresh */
  if (!paused && (l->in.len || s->lossless)) dop_socket_mark_ready(s);
  dop_socket_mark_dirty(s); /* the driver stops or begins to read */
}

int dop_link_reading(const struct dop_link *l) {
  return !dop_socket_stopped(&l->socket) && l->state != DOP_LINK_DEAD;
}

void dop_link_begin(struct dop_link *l, struct dop_node *n, struct dop_deflate *deflate) {
  dop_ws_init(&l->ws, l->socket.transport->role == DOP_SERVER);
  l->ws.deflate = deflate;
  l->state = DOP_LINK_OPEN;
  dop_node_open(n, &l->socket);
}

static void link_free(struct dop_socket *s) {
  struct dop_link *l = dop_link_from(s);
  dop_link_free_upgrade(l);
  dop_ws_dispose(&l->ws);
  dop_deflate_free(l->ws.deflate);
  dop_bytes_dispose(&l->in);
  dop_bytes_dispose(&l->out);
  l->in_flight = 0;
  dop_link_tally(l);
  dop_transport_tallied(l->socket.transport);
  dop_free(l->address);
  dop_free(l);
}

static const struct dop_socket_ops link_ops = {
    .send = dop_link_send,
    .close = link_close,
    .drop = link_drop,
    .probe = link_probe,
    .connected = link_connected,
    .next = dop_link_next,
    .backlog = dop_link_backlog,
    .pause = link_pause,
    .free = link_free,
};

struct dop_link *dop_link_of(struct dop_socket *s) {
  return s->ops == &link_ops ? dop_link_from(s) : NULL;
}

/* The part of a new link that both roles share. NULL without memory. */
struct dop_link *dop_link_new(struct dop_transport *t) {
  struct dop_link *l = dop_zalloc(sizeof *l);
  if (!l) return NULL;
  l->upgrade = dop_zalloc(sizeof *l->upgrade);
  if (!l->upgrade) {
    dop_free(l);
    return NULL;
  }
  dop_socket_init(&l->socket, &link_ops, t);
  l->state = DOP_LINK_UPGRADING;
  l->timer.fire = on_timer;
  l->heard_at = t->engine->now;
  if (dop_timers_arm(&t->engine->timers, &l->timer, t->engine->now + t->limits.handshake_timeout)) {
    dop_socket_retire(&l->socket);
    dop_socket_unref(&l->socket);
    return NULL;
  }
  return l;
}
