/* What must hold after each step, and once the network is calm; see checker.h. Looks into accounts
 * and sockets of both ends; changes nothing of them. */
#include <string.h>

#include "proof/checker.h"

enum { SERVER = DOP_SIM_SERVER, CLIENT = DOP_SIM_CLIENT };

/* The moment before something happens: what a resumption that comes now is judged by. */
void dop_sim_check_turn(struct dop_sim_checker *k) {
  const struct dop_transport *t = k->ends[SERVER];
  k->turn++;
  struct dop_node *client = k->ends[CLIENT]->current;
  struct dop_sim_book *c = client && client->account ? dop_sim_book_of(k, client) : NULL;
  if (c) dop_sim_owed_look(c);
  for (int detached = 0; detached < 2; detached++)
    for (struct dop_node *n = detached ? t->detached.first : t->attached.first; n; n = n->next) {
      struct dop_sim_book *b = n->account ? dop_sim_book_of(k, n) : NULL;
      if (!b) continue;
      dop_sim_owed_look(b);
      b->before.acked = n->account->acked;
      b->before.received = n->account->received;
      b->before.written = n->account->written;
    }
}

/* An acknowledgement that waits for more leaves after a second, not before. */
static void timer_of(struct dop_sim_checker *k, const struct dop_node *n) {
  const struct dop_account *a = n->account;
  struct dop_sim_book *b = a && n->status == DOP_CONNECTED && !a->closing
                               ? dop_sim_book_of(k, (struct dop_node *)n)
                               : NULL;
  if (b && a->told != b->owed_told && k->engine->now < b->owed_at + 1000)
    dop_sim_wrong(k, "%s acknowledged before a second had passed", dop_sim_sides[b->side]);
}

void dop_sim_check_timers(struct dop_sim_checker *k) {
  if (k->ends[CLIENT]->current) timer_of(k, k->ends[CLIENT]->current);
  for (struct dop_node *n = k->ends[SERVER]->attached.first; n; n = n->next) timer_of(k, n);
}

static void limits(struct dop_sim_checker *k, struct dop_sim_book *b, struct dop_sim_book *other) {
  const struct dop_r1_limits *p = &b->node->account->peer;
  const struct dop_limits *l = &other->node->transport->limits;
  if (p->max_message && (p->max_message != l->max_message || p->max_messages != l->queue_messages ||
                         p->max_bytes != l->queue_bytes || p->window_ms != l->resume_window))
    dop_sim_wrong(k, "%s holds limits that its peer does not have", dop_sim_sides[b->side]);
}

/* The oldest delivery that the peer does not know of waits for a second at most. */
static void owed(struct dop_sim_checker *k, struct dop_sim_book *b) {
  const struct dop_account *a = b->node->account;
  dop_sim_owed_look(b);
  if (b->owed_at && !a->closing && k->engine->now - b->owed_at >= 1000)
    dop_sim_wrong(k, "%s does not acknowledge what came a second ago", dop_sim_sides[b->side]);
}

static void account(struct dop_sim_checker *k, struct dop_sim_book *b) {
  const struct dop_node *n = b->node;
  const struct dop_account *a = n->account;
  const struct dop_limits *l = &n->transport->limits;
  const char *who = dop_sim_sides[b->side];
  struct dop_sim_book *other = dop_sim_partner(k, b);
  uint64_t accepted = a->acked + n->queue.count;
  if (!b->connected) memset(&b->last, 0, sizeof b->last); /* it may have begun again */
  if (accepted != b->count)
    dop_sim_wrong(k, "%s accepted %u messages and holds or settled %llu", who, b->count,
                  (unsigned long long)accepted);
  if (a->next < a->acked || a->written < a->next || accepted < a->written || a->told > a->received)
    dop_sim_wrong(k, "%s counts what cannot be", who);
  if (!dop_queue_unwritten(&n->queue) != (a->next == accepted))
    dop_sim_wrong(k, "%s: the cursor stands elsewhere than the count", who);
  if (a->acked < b->last.acked || a->written < b->last.written || a->received < b->last.received ||
      a->attempt < b->last.attempt || a->told < b->last.told)
    dop_sim_wrong(k, "%s counts backwards", who);
  if (a->acked > b->delivered)
    dop_sim_wrong(k, "%s takes %llu for delivered, but %u were", who, (unsigned long long)a->acked,
                  b->delivered);
  if (a->received != (other ? other->delivered : 0))
    dop_sim_wrong(k, "%s was given %u messages and counts %llu", who, other ? other->delivered : 0,
                  (unsigned long long)a->received);
  if (n->status != DOP_CONNECTED && (a->parked.count || a->end_parked))
    dop_sim_wrong(k, "%s keeps messages of a socket that is gone", who);
  if (n->queue.count > 1 &&
      (n->queue.count > l->queue_messages || dop_queue_size(&n->queue) > l->queue_bytes))
    dop_sim_wrong(k, "%s holds more than its limits say", who);
  if (b->full && !n->queue.count) dop_sim_wrong(k, "%s was not told that there is room", who);
  if (b->connected && !b->announced) dop_sim_wrong(k, "%s was not told of its session", who);
  if (a->end_parked) b->end_waits = 1;
  if (a->closing && !b->closing_at) b->closing_at = k->engine->now;
  if (a->closing && k->engine->now - b->closing_at > l->close_timeout)
    dop_sim_wrong(k, "%s waits too long for the answer to its end", who);
  if (a->closing && n->socket && dop_socket_stopped(n->socket))
    dop_sim_wrong(k, "%s waits for an answer and does not read", who);
  owed(k, b);
  b->last.acked = a->acked;
  b->last.written = a->written;
  b->last.received = a->received;
  b->last.told = a->told;
  b->last.attempt = a->attempt;
  if (!other || !other->node->account || other->taken) return;
  const struct dop_account *p = other->node->account;
  limits(k, b, other);
  if (a->acked >
      (other->side == SERVER || other->node->status == DOP_CONNECTED ? p->told : p->received))
    dop_sim_wrong(k, "%s knows of deliveries that it was not told of", who);
}

/* The bytes on the way are none: what one end wrote, the other one has, and knows. */
static void settled(struct dop_sim_checker *k, const struct dop_sim_conn *c) {
  const struct dop_node *ends[] = {c->server->socket.node, c->client->socket.node};
  if (c->up.bytes.len || c->down.bytes.len || c->up.swallowed || c->down.swallowed || c->up.ended ||
      c->down.ended || c->server->in.len || c->client->in.len)
    return;
  for (int side = 0; side < 2; side++) {
    const struct dop_account *a = ends[side]->account, *p = ends[!side]->account;
    if (!a || !p || a->closing || p->closing || ends[side]->status != DOP_CONNECTED ||
        ends[!side]->status != DOP_CONNECTED)
      return;
    if (!a->heard_limits || !p->heard_limits)
      dop_sim_wrong(k, "%s never said its limits", dop_sim_sides[!a->heard_limits ? !side : side]);
    if (a->acked != p->told)
      dop_sim_wrong(k, "%s did not hear an acknowledgement", dop_sim_sides[side]);
    if (a->next != p->received + p->parked.count)
      dop_sim_wrong(k, "%s wrote %llu and %s has %llu", dop_sim_sides[side],
                    (unsigned long long)a->next, dop_sim_sides[!side],
                    (unsigned long long)p->received + p->parked.count);
    if (dop_queue_unwritten(&ends[side]->queue))
      dop_sim_wrong(k, "%s holds back what its socket would take", dop_sim_sides[side]);
  }
}

static void link(struct dop_sim_checker *k, struct dop_sim_conn *c, struct dop_link *l, int side) {
  const struct dop_node *n = l->socket.node;
  const struct dop_limits *lim = &l->socket.transport->limits;
  if (n ? n->socket != &l->socket : l->state == DOP_LINK_OPEN)
    dop_sim_wrong(k, "%s has a socket open that no session has", dop_sim_sides[side]);
  if (dop_socket_stopped(&l->socket)) {
    if (l->socket.crammed && !c->stopped) dop_sim_count(k->coverage, "no more is parked");
    c->stopped = 1;
  }
  if (!n || n->status != DOP_CONNECTED || c->stopped) return;
  uint64_t from = side == CLIENT ? c->down.fed : c->up.fed;
  if (n->since > from) from = n->since;
  if (k->engine->now - from >= lim->ping_interval + lim->ping_timeout)
    dop_sim_wrong(k, "%s did not notice that its socket is dead", dop_sim_sides[side]);
}

/* A question that came is answered at once. */
static void answered(struct dop_sim_checker *k, const struct dop_sim_conn *c) {
  if (c->number >= k->wire_count || !k->wires[c->number].token[0] || k->wires[c->number].answer)
    return;
  if (c->server->state == DOP_LINK_OPEN && !c->server->in.len && !c->up.bytes.len &&
      !c->up.swallowed && !c->up.ended)
    dop_sim_wrong(k, "a resumption was not answered");
}

static void caps(struct dop_sim_checker *k) {
  const struct dop_transport *t = k->ends[SERVER];
  const struct dop_node *first[] = {t->unconfirmed.first, t->detached.first};
  uint64_t count[2] = {0, 0}, bytes = 0;
  for (int kind = 0; kind < 2; kind++) {
    for (const struct dop_node *n = first[kind]; n; n = n->next) {
      count[kind]++;
      bytes += dop_queue_held(&n->queue);
      if ((int)n->connected != kind) dop_sim_wrong(k, "a detached session is in the wrong list");
    }
  }
  if (count[0] != t->unconfirmed_count || count[1] != t->detached_count ||
      bytes != t->detached_bytes)
    dop_sim_wrong(k, "the detached sessions are counted wrongly");
  if (count[0] > t->limits.max_unconfirmed || count[1] > t->limits.max_detached ||
      bytes > t->limits.max_detached_bytes)
    dop_sim_wrong(k, "more is kept of detached sessions than the caps say");
}

void dop_sim_check_step(struct dop_sim_checker *k) {
  for (uint32_t i = k->book_count; i; i--) {
    struct dop_sim_book *b = &k->books[i - 1];
    if (!b->ended && b->node->account && b->node->status != DOP_DISCONNECTED) account(k, b);
  }
  for (struct dop_sim_conn *c = k->net->conns; c; c = c->next) {
    if (c->server) link(k, c, c->server, SERVER);
    if (c->client) link(k, c, c->client, CLIENT);
    if (c->server) answered(k, c);
    if (c->server && c->client && c->server->socket.node && c->client->socket.node && !c->guest)
      settled(k, c);
  }
  caps(k);
}

void dop_sim_check_calm(struct dop_sim_checker *k, int over) {
  struct dop_node *n = k->ends[CLIENT]->current;
  if (!over && (!n || n->status != DOP_CONNECTED))
    dop_sim_wrong(k, "the client is %s though the network is calm",
                  n ? dop_status_name(n->status) : "without a node");
  if (k->ends[SERVER]->socket_count != (over ? 0 : 1) || k->ends[CLIENT]->socket_count != !over)
    dop_sim_wrong(k, "the server has %u sockets and the client %u, though the network is calm",
                  k->ends[SERVER]->socket_count, k->ends[CLIENT]->socket_count);
  for (uint32_t i = 0; i < k->book_count; i++) {
    struct dop_sim_book *b = &k->books[i];
    const char *who = dop_sim_sides[b->side];
    if (b->ended) continue;
    struct dop_sim_book *other = dop_sim_partner(k, b);
    if (b->node != n && (!other || other->node != n))
      dop_sim_wrong(k, "%s keeps a session that nobody has any more", who);
    if (b->full) dop_sim_wrong(k, "%s was never told that there is room again", who);
    if (k->plain) continue;
    if (b->delivered != b->count)
      dop_sim_wrong(k, "%s: %u messages were accepted and %u delivered, though the network is calm",
                    who, b->count, b->delivered);
    if (b->node->account && dop_node_unacked(b->node))
      dop_sim_wrong(k, "%s: %u messages are not acknowledged though the network is calm", who,
                    dop_node_unacked(b->node));
  }
}
