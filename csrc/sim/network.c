/* Links without sockets; see network.h. Never decides anything by itself: chance is the caller's.
 */
#include "sim/network.h"

#include <string.h>

static void hear(struct dop_sim_net *net, struct dop_socket *s) {
  net->deliver(net->ctx, s);
}

static struct dop_sim_conn *conn_of(struct dop_link *l) {
  return l->driver;
}

/* The end lets go of its socket: what it wrote travels on, what it did not read is lost. */
static void let_go(struct dop_sim_conn *c, struct dop_link **end) {
  struct dop_link *l = *end;
  struct dop_sim_pipe *out = end == &c->client ? &c->up : &c->down;
  struct dop_sim_pipe *in = end == &c->client ? &c->down : &c->up;
  if (!l) return;
  *end = NULL;
  out->ended = 1;
  in->closed = 1;
  dop_bytes_dispose(&in->bytes);
  l->driver = NULL;
  dop_socket_unref(&l->socket);
}

struct dop_sim_conn *dop_sim_call(struct dop_sim_net *net, struct dop_transport *client,
                                  const char *host, const char *target, const char *headers) {
  struct dop_sim_conn *c = dop_zalloc(sizeof *c);
  if (!c) return NULL;
  c->client = dop_link_dial(client, host, target, headers, NULL);
  if (!c->client) {
    dop_free(c);
    return NULL;
  }
  c->client->driver = c;
  c->next = net->conns;
  net->conns = c;
  c->number = net->count++;
  return c;
}

int dop_sim_answer(struct dop_sim_conn *c, struct dop_transport *server, const char *address) {
  c->server = dop_link_accept(server, address);
  if (!c->server) return -1;
  c->server->driver = c;
  return 0;
}

int dop_sim_dial(struct dop_sim_net *net, struct dop_transport *client,
                 struct dop_transport *server) {
  struct dop_sim_conn *c = dop_sim_call(net, client, "sim", "/", NULL);
  if (!c) return -1;
  if (dop_sim_answer(c, server, "sim:1") == 0) return 0;
  let_go(c, &c->client);
  return -1;
}

/* Takes the link's output, then ends it as it asks. */
static void serve(struct dop_sim_net *net, struct dop_sim_conn *c, struct dop_link *l) {
  struct dop_link **end = l == c->client ? &c->client : &c->server;
  struct dop_sim_pipe *out = l == c->client ? &c->up : &c->down;
  const char *bytes;
  size_t len;
  while (!l->dead && (bytes = dop_link_output(l, &len))) {
    if (net->tap) net->tap(net->ctx, c, l == c->client, bytes, len);
    if (!out->swallowed && !out->closed && !out->shut && dop_bytes_append(&out->bytes, bytes, len))
      dop_link_lost(l, "ENOMEM", "no memory for bytes on their way"); /* no gap in a stream */
    else
      dop_link_sent(l, len);
  }
  if (l->reset) { /* a reset overtakes what was written */
    dop_bytes_dispose(&out->bytes);
    out->reset = 1;
  }
  if (l->fin) out->ended = 1;
  if (!l->dead && l->over) dop_link_lost(l, "EOF", "the socket was closed");
  if (l->dead) let_go(c, end);
  if (net->served) net->served(net->ctx, c);
}

void dop_sim_flush(struct dop_sim_net *net) {
  struct dop_socket *s;
  while ((s = dop_socket_take_dirty(net->engine))) {
    struct dop_link *l = dop_link_of(s);
    if (l && l->driver) serve(net, conn_of(l), l); /* else it has no wire, or no more of it */
    dop_socket_unref(s);
  }
}

int dop_sim_carry(struct dop_sim_net *net, struct dop_sim_conn *c, int up, size_t n) {
  struct dop_sim_pipe *p = up ? &c->up : &c->down;
  struct dop_link *l = up ? c->server : c->client;
  if (p->closed || !l || !dop_link_reading(l) || p->until > net->engine->now) return 0;
  if (p->bytes.len) {
    if (n > p->bytes.len) n = p->bytes.len;
    /* A copy, as a driver's buffer is: the pipe may be disposed while it is read. */
    char *copy = dop_malloc(n);
    if (!copy) return 0;
    memcpy(copy, p->bytes.data, n);
    dop_bytes_consume(&p->bytes, n);
    p->fed = net->engine->now;
    dop_socket_ref(&l->socket);
    dop_link_feed(l, copy, n);
    hear(net, &l->socket);
    dop_link_settle(l);
    dop_socket_unref(&l->socket);
    dop_free(copy);
  } else if (p->ended && !p->swallowed) {
    p->closed = 1;
    if (p->reset)
      dop_link_lost(l, "ECONNRESET", "connection reset by peer");
    else
      dop_link_eof(l);
    hear(net, NULL);
  } else {
    return 0;
  }
  dop_sim_flush(net);
  return 1;
}

void dop_sim_cut(struct dop_sim_net *net, struct dop_sim_conn *c, unsigned who) {
  if (who & 1 && c->client) dop_link_lost(c->client, "ECONNRESET", "connection reset by peer");
  if (who & 2 && c->server) dop_link_lost(c->server, "ECONNRESET", "connection reset by peer");
  hear(net, NULL);
  dop_sim_flush(net);
}

void dop_sim_swallow(struct dop_sim_conn *c, int up, int down) {
  if (up) {
    c->up.swallowed = 1;
    dop_bytes_dispose(&c->up.bytes);
  }
  if (down) {
    c->down.swallowed = 1;
    dop_bytes_dispose(&c->down.bytes);
  }
}

void dop_sim_reap(struct dop_sim_net *net) {
  for (struct dop_sim_conn **p = &net->conns, *c; (c = *p);) {
    if (c->client || c->server) {
      p = &c->next;
      continue;
    }
    *p = c->next;
    dop_bytes_dispose(&c->up.bytes);
    dop_bytes_dispose(&c->down.bytes);
    dop_free(c);
  }
}

void dop_sim_dispose(struct dop_sim_net *net) {
  struct dop_sim_conn *c;
  for (c = net->conns; c; c = c->next) dop_sim_cut(net, c, 3);
  while ((c = net->conns)) {
    net->conns = c->next;
    let_go(c, &c->client);
    let_go(c, &c->server);
    dop_bytes_dispose(&c->up.bytes);
    dop_bytes_dispose(&c->down.bytes);
    dop_free(c);
  }
}
