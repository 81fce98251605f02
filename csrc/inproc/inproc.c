/* Two sockets without a wire; see inproc.h. */
#include "inproc/inproc.h"

#include <stdio.h>
#include <string.h>

struct end {
  struct dop_socket socket; /* first: a socket of this kind is an end */
  struct end *peer;         /* NULL once one of the two is gone */
  struct dop_queue in;      /* what the peer sent */
  struct dop_bytes hand;    /* the message handed out: `in` may change while it is looked at */
  uint8_t pong[DOP_PROBE_LEN];
  unsigned code;           /* the peer closed: with this code, after what waits in `in` */
  unsigned asked : 1;      /* waits for the server's decision */
  unsigned handed_out : 1; /* `hand` is with the application */
  unsigned pong_due : 1;
  unsigned ended : 1; /* the peer is gone, code and why tell how */
  unsigned dead : 1;
  char why[128];
  char name[];
};

static const struct dop_socket_ops end_ops;

static struct end *as_end(struct dop_socket *s) {
  return (struct end *)s;
}

static void die(struct end *e) {
  if (e->dead) return;
  e->dead = 1;
  dop_socket_retire(&e->socket);
  dop_socket_unref(&e->socket); /* its own: from now on only lists and callers hold it */
}

/* Tells the peer that this end is gone, and parts the two. */
static void end_peer(struct end *e, unsigned code, const char *why) {
  struct end *peer = e->peer;
  if (!peer) return;
  e->peer = peer->peer = NULL;
  peer->ended = 1;
  peer->code = code;
  snprintf(peer->why, sizeof peer->why, "%s", why);
  dop_socket_mark_ready(&peer->socket);
}

static int end_send(struct dop_socket *s, const struct dop_message *m) {
  struct end *peer = as_end(s)->peer;
  if (!peer) return 0; /* as on any socket, what is sent to a peer that went is not delivered */
  if (dop_queue_push(&peer->in, m)) return -1;
  dop_socket_mark_ready(&peer->socket);
  return 0;
}

static void end_close(struct dop_socket *s, unsigned code, const char *reason) {
  struct end *e = as_end(s);
  end_peer(e, code, reason ? reason : "closed by the peer");
  die(e);
}

static void end_drop(struct dop_socket *s, int reset) {
  struct end *e = as_end(s);
  struct end *peer = e->peer;
  end_peer(e, 1006, reset ? "reset by the peer" : "dropped by the peer");
  /* What was on the way is lost, as it would be on a wire. */
  if (peer) dop_queue_dispose(&peer->in);
  die(e);
}

static int end_probe(struct dop_socket *s, const uint8_t payload[DOP_PROBE_LEN]) {
  struct end *e = as_end(s);
  memcpy(e->pong, payload, DOP_PROBE_LEN);
  e->pong_due = e->peer != NULL;
  dop_socket_mark_ready(s);
  return 0;
}

static void end_connected(struct dop_socket *s) {
  if (s->pending) s->transport->pending_count--;
  s->pending = 0;
}

/* The message that the application had is done with; its sender may go on. */
static void put_away(struct end *e) {
  if (!e->handed_out) return;
  e->handed_out = 0;
  dop_bytes_dispose(&e->hand);
  if (e->peer) dop_node_writable(&e->peer->socket);
}

static void gone(struct end *e) {
  struct dop_socket *s = &e->socket;
  dop_socket_ref(s);
  if (s->node)
    dop_node_lost(s, e->code, e->code == 1006 ? "EOF" : NULL, e->why);
  else if (s->transport->role == DOP_CLIENT)
    dop_transport_down(s->transport, 0, "REFUSED", e->why);
  die(e);
  dop_socket_unref(s);
}

/* Takes the oldest message out: 1, 0 when there is none, -1 when the socket had to be given up. */
static int take(struct end *e, struct dop_message *m) {
  struct dop_socket *s = &e->socket;
  if (!dop_queue_front(&e->in, m)) return 0;
  if (!s->lossless && m->len > s->transport->limits.max_message) { /* else the node looks */
    dop_node_part(s, 1009, "PROTOCOL", "The message is longer than the limit.");
    return -1;
  }
  if (dop_bytes_append(&e->hand, m->data, m->len)) {
    dop_node_part(s, 1011, "ENOMEM", "no memory for a message");
    return -1;
  }
  dop_queue_pop(&e->in);
  m->data = e->hand.data ? e->hand.data : "";
  e->handed_out = 1;
  return 1;
}

static int end_next(struct dop_socket *s, struct dop_message *m) {
  struct end *e = as_end(s);
  put_away(e);
  dop_node_delivered(s);
  if (e->pong_due) {
    e->pong_due = 0;
    dop_node_pong(s, (const char *)e->pong, DOP_PROBE_LEN);
  }
  if (!e->dead && !s->transport->engine->first && dop_node_unpark(s, m)) return 1;
  while (!e->dead && !dop_socket_stopped(s) && !e->asked && !s->transport->engine->first) {
    int taken = take(e, m);
    if (!taken && e->ended) gone(e);
    if (taken <= 0) return 0;
    if (dop_node_hear(s, m)) return 1;
    put_away(e);
  }
  return 0;
}

static size_t end_backlog(const struct dop_socket *s) {
  const struct end *peer = ((const struct end *)s)->peer;
  return peer ? dop_queue_size(&peer->in) : 0;
}

static void end_pause(struct dop_socket *s, int paused) {
  s->paused = paused != 0;
  if (!paused) dop_socket_mark_ready(s);
}

static void end_free(struct dop_socket *s) {
  struct end *e = as_end(s);
  dop_queue_dispose(&e->in);
  dop_bytes_dispose(&e->hand);
  dop_free(e);
}

static const struct dop_socket_ops end_ops = {
    .send = end_send,
    .close = end_close,
    .drop = end_drop,
    .probe = end_probe,
    .connected = end_connected,
    .next = end_next,
    .backlog = end_backlog,
    .pause = end_pause,
    .free = end_free,
};

int dop_inproc_is(const struct dop_socket *s) {
  return s->ops == &end_ops;
}

const char *dop_inproc_name(const struct dop_socket *s) {
  return ((const struct end *)s)->name;
}

static struct end *new_end(struct dop_transport *t, const char *name) {
  size_t size = strlen(name) + 1;
  struct end *e = dop_zalloc(sizeof *e + size);
  if (!e) return NULL;
  memcpy(e->name, name, size);
  dop_socket_init(&e->socket, &end_ops, t);
  return e;
}

/* By flag, as there is no upgrade; a session keeps the dialect that it began with. */
static unsigned speaks_lossless(const struct dop_transport *client,
                                const struct dop_transport *server) {
  return client->lossless && server->lossless && !dop_transport_keeps_plain(client);
}

int dop_inproc_connect(struct dop_transport *client, struct dop_transport *server,
                       const char *name) {
  struct end *s = new_end(server, name);
  enum dop_refusal refusal = s ? dop_transport_room(server) : DOP_ADMITTED;
  if (refusal) dop_transport_refused(server, NULL, refusal, 503, "Too many connections at once.\n");
  struct end *c = s && !refusal ? new_end(client, name) : NULL;
  if (!c) {
    if (s) die(s);
    return -1;
  }
  c->peer = s;
  s->peer = c;
  c->socket.lossless = s->socket.lossless = speaks_lossless(client, server);
  s->asked = 1;
  if (!server->ask) {
    dop_inproc_allow(&s->socket);
    return 0;
  }
  struct dop_event *ev = dop_engine_event(server, NULL, DOP_EVENT_REQUEST, NULL);
  if (ev)
    dop_event_socket(ev, &s->socket);
  else
    dop_inproc_refuse(&s->socket, 503);
  return 0;
}

int dop_inproc_waits(const struct dop_socket *s) {
  const struct end *e = (const struct end *)s;
  return e->asked && !e->dead && e->peer;
}

void dop_inproc_allow(struct dop_socket *s) {
  struct end *e = as_end(s);
  if (!e->asked || e->dead) return;
  e->asked = 0;
  struct dop_transport *client = e->peer ? e->peer->socket.transport : NULL;
  struct dop_node *n = client && !s->transport->closed && !s->transport->draining
                           ? dop_node_new(s->transport)
                           : NULL;
  if (!n || !dop_transport_awaits_socket(client)) {
    if (n) dop_node_end(n, 0, "nobody waits for the answer");
    end_peer(e, 1006, "refused: no room for a session");
    die(e);
    return;
  }
  /* Without memory for its first words this end is gone at once, and the other learns of it. */
  struct end *other = e->peer;
  dop_socket_ref(&other->socket);
  dop_node_open(n, s);
  if (other->peer) dop_node_open(client->current, &other->socket);
  dop_socket_unref(&other->socket);
}

void dop_inproc_refuse(struct dop_socket *s, unsigned status) {
  struct end *e = as_end(s);
  char why[64];
  if (!e->asked || e->dead) return;
  snprintf(why, sizeof why, "refused by the server with status %u", status);
  dop_transport_refused(s->transport, s, DOP_REFUSED_AUTHORIZE, status, why);
  end_peer(e, 1006, why);
  die(e);
}
