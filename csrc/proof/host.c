/* What a host does in a schedule: hands out events and messages, lets sockets in, and has handlers
 * that do what handlers may. See world.h. */
#include <stdlib.h>
#include <string.h>

#include "proof/world.h"

#define below dop_sim_below

/* The server's application says who comes. */
static void admit(struct world *w, struct dop_event *ev) {
  struct dop_sim_conn *c = w->net.conns;
  while (c && (!c->server || &c->server->socket != ev->socket)) c = c->next;
  if (!c) return; /* it went in the meantime */
  if (c->who && !(ev->socket->principal = dop_token_new(c->who, strlen(c->who)))) abort();
  dop_link_allow(c->server, NULL);
}

static void hear_guest(struct world *w, const struct dop_event *ev) {
  if (ev->type == DOP_EVENT_CLOSE) {
    dop_sim_trace(&w->k, "guest close %u %s", ev->code, ev->why);
    dop_sim_cover(w->k.coverage, "guest close %u", ev->code);
  }
  if (ev->type == DOP_EVENT_RECONNECT && !w->guest_rightful)
    dop_sim_wrong(&w->k, "somebody else took the session");
  if (ev->type == DOP_EVENT_RECONNECT || ev->type == DOP_EVENT_DISCONNECT ||
      ev->type == DOP_EVENT_CONNECT || ev->type == DOP_EVENT_DOWN)
    w->guest_over = 1;
}

/* An application that hears that its session goes on may have no time for it. */
static void welcome_back(struct world *w, struct dop_node *n) {
  int parked = n->account && n->account->hand; /* its handler was given that, and lost the socket */
  if (w->calm || !n->socket || below(w, parked ? 2 : 12)) return;
  dop_sim_cover(w->k.coverage, "%s pauses as it is back",
                dop_sim_sides[n->transport->role == DOP_CLIENT]);
  dop_sim_pause(w, n->socket, 1);
}

static void hear_event(struct world *w, struct dop_event *ev) {
  if (ev->type == DOP_EVENT_REQUEST) {
    admit(w, ev);
  } else if (ev->transport == w->guest) {
    hear_guest(w, ev);
  } else if (ev->type == DOP_EVENT_DOWN && ev->transport == w->ends[CLIENT]) {
    dop_sim_trace(&w->k, "client is down: %s", ev->why);
    if (!w->over && !w->dial_at)
      w->dial_at = w->engine.now + 1 + (w->calm ? 10 : below(w, 2) ? below(w, 30) : below(w, 3000));
  } else if (ev->type == DOP_EVENT_OVER && ev->transport == w->ends[CLIENT]) {
    w->over = 1;
    w->dial_at = 0;
  } else {
    dop_sim_check_event(&w->k, ev);
    if (ev->type == DOP_EVENT_RECONNECT) welcome_back(w, ev->node);
  }
}

static void hear_events(struct world *w) {
  struct dop_event *ev;
  while ((ev = dop_engine_take(&w->engine))) {
    hear_event(w, ev);
    dop_event_free(ev);
  }
}

void dop_sim_disconnect(struct world *w, struct dop_node *n) {
  dop_sim_check_disconnect(&w->k, n);
  dop_node_disconnect(n, 1000, "local");
}

/* A handler may answer, stop reading, lose the socket, or end the session. */
static void handler(struct world *w, struct dop_socket *s) {
  int side = s->transport->role == DOP_SERVER ? SERVER : CLIENT;
  struct dop_node *n = s->node;
  uint64_t what = below(w, 1600);
  if (what < 220) dop_sim_send(&w->k, n, dop_sim_draw(w));
  if (n->account && n->account->hand && below(w, 6) == 0) what = 1586 + below(w, 14);
  if (w->calm || what < 1586) return;
  dop_sim_cover(w->k.coverage, "%s handler %s", dop_sim_sides[side],
                what < 1592   ? "drops"
                : what < 1597 ? "pauses"
                : what < 1599 ? "disconnects"
                              : "closes");
  if (what < 1592)
    dop_node_drop(n, 1);
  else if (what < 1597)
    dop_sim_pause(w, s, 1);
  else if (what < 1599)
    dop_sim_disconnect(w, n);
  else if (s->transport == w->ends[side])
    dop_transport_close(s->transport, 1001); /* a new one follows, see step() */
}

/* Takes one message out and hands it over. 0: there is none. */
static int hand_out(struct world *w, struct dop_socket *s) {
  struct dop_message m;
  struct dop_sim_owed owed = dop_sim_owed_before(&w->k, s);
  int found = s->ops->next(s, &m);
  dop_sim_owed_after(&w->k, &owed);
  if (!found) return 0;
  struct dop_node *n = s->node;
  if (n && n->account && !w->calm && below(w, 2000) == 0) { /* no memory to hand it over */
    dop_sim_cover(w->k.coverage, "fault not handed over");
    dop_node_ref(n);
    dop_node_undelivered(s);
    dop_node_part(s, 1011, "ENOMEM", "no memory to hand a message over");
    dop_sim_check_withheld(&w->k, n);
    dop_node_unref(n);
    hear_events(w);
    return 1;
  }
  dop_sim_check_message(&w->k, s, &m);
  size_t len = m.len;
  if (n) {
    dop_node_ref(n);
    handler(w, s);
    dop_sim_check_returned(&w->k, n, len);
    dop_node_unref(n);
  }
  hear_events(w);
  return 1;
}

/* What a host does: events first, then the socket's messages, then events again. */
void dop_sim_deliver(void *ctx, struct dop_socket *s) {
  struct world *w = ctx;
  struct dop_message m;
  do {
    hear_events(w);
    if (s && s->transport == w->guest) {
      while (!w->guest_over && s->ops->next(s, &m)) {
      }
    } else if (s) {
      while (hand_out(w, s)) {
      }
    }
  } while (w->engine.first);
}

void dop_sim_turn(struct world *w) {
  struct dop_socket *s;
  dop_sim_deliver(w, NULL);
  while ((s = dop_socket_take_ready(&w->engine))) {
    dop_sim_deliver(w, s);
    struct dop_link *l = dop_link_of(s);
    if (l) dop_link_settle(l);
    dop_socket_unref(s);
  }
  dop_sim_flush(&w->net);
  if (w->guest && w->guest_over) dop_sim_dismiss(w);
}
