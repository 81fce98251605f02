/* The life of a node: lists, statuses, sockets that come and go, and what an application asks of
 * it. Owns tokens and queue. The messages of the protocol are in dialogue.c. */
#include <stdio.h>
#include <string.h>

#include "session/lossless.h"
#include "session/node_private.h"

const char *dop_status_name(enum dop_status s) {
  static const char *const names[] = {"OPEN", "PRECONNECTED", "CONNECTED", "RECONNECTING",
                                      "DISCONNECTED"};
  return names[s];
}

static void window_passed(struct dop_timer *timer) {
  struct dop_node *n = DOP_CONTAINER(timer, struct dop_node, window);
  n->transport->expired++;
  dop_node_end(n, 1000, "expired");
}

struct dop_token *dop_node_fresh_half(struct dop_transport *t) {
  struct dop_message m;
  if (!dop_queue_front(&t->halves, &m))
    return dop_token_random(t->engine->random, t->engine->random_ctx);
  struct dop_token *half = dop_token_new(m.data, m.len);
  dop_queue_pop(&t->halves);
  return half;
}

struct dop_node *dop_node_new(struct dop_transport *t) {
  struct dop_node *n = dop_zalloc(sizeof *n);
  if (!n) return NULL;
  n->local = dop_node_fresh_half(t);
  /* A session is not lost because there is no memory when its socket is. */
  if (!n->local || (t->role == DOP_SERVER && dop_timers_reserve(&t->engine->timers, &n->window))) {
    dop_token_free(n->local);
    dop_free(n);
    return NULL;
  }
  n->transport = t;
  dop_transport_ref(t);
  n->window.fire = window_passed;
  dop_node_list(n, 0);
  return n;
}

void dop_node_ref(struct dop_node *n) {
  n->refs++;
}

void dop_node_unref(struct dop_node *n) {
  if (--n->refs) return;
  struct dop_transport *t = n->transport;
  dop_token_free(n->local);
  dop_token_free(n->remote);
  dop_token_free(n->token);
  dop_token_free(n->principal);
  dop_node_free_question(n);
  dop_account_free(n);
  dop_queue_dispose(&n->queue);
  dop_queue_tally(&n->queue, &t->bytes);
  dop_transport_tallied(t);
  if (t->current == n) t->current = NULL;
  dop_free(n);
  dop_transport_unref(t);
}

/* --- lists --- */

static struct dop_node_list *list_of(struct dop_node *n) {
  struct dop_transport *t = n->transport;
  return !n->detached ? &t->attached : n->connected ? &t->detached : &t->unconfirmed;
}

/* Enters a node without a socket into the sums that are capped, or (-1) takes it out. */
static void count_detached(struct dop_node *n, int one) {
  struct dop_transport *t = n->transport;
  uint64_t held = dop_queue_held(&n->queue);
  if (!n->detached) return;
  *(n->connected ? &t->detached_count : &t->unconfirmed_count) += (uint32_t)one;
  t->detached_bytes += one > 0 ? held : 0 - held;
}

static void unlink_node(struct dop_node *n) {
  struct dop_node_list *l = list_of(n);
  if (n->prev)
    n->prev->next = n->next;
  else
    l->first = n->next;
  if (n->next)
    n->next->prev = n->prev;
  else
    l->last = n->prev;
  n->prev = n->next = NULL;
  count_detached(n, -1);
}

void dop_node_list(struct dop_node *n, int detached) {
  if (n->listed) {
    unlink_node(n);
  } else {
    n->listed = 1;
    n->transport->node_count++;
    dop_node_ref(n);
  }
  n->detached = detached != 0;
  struct dop_node_list *l = list_of(n);
  n->prev = l->last;
  if (l->last)
    l->last->next = n;
  else
    l->first = n;
  l->last = n;
  /* It may wait for long, and what counts is what it holds. */
  if (detached) dop_queue_trim(&n->queue);
  dop_node_tally(n);
  count_detached(n, 1);
}

void dop_node_unlist(struct dop_node *n) {
  if (!n->listed) return;
  unlink_node(n);
  n->listed = 0;
  dop_timers_release(&n->transport->engine->timers, &n->window);
  n->transport->node_count--;
  dop_transport_sweep(n->transport);
  dop_node_unref(n);
}

/* The oldest go first when there are too many, or when they hold too much: of those that never were
 * confirmed, which cost whoever makes them nothing, before any session. */
static void enforce_caps(struct dop_transport *t) {
  const struct dop_limits *l = &t->limits;
  for (;;) {
    int heavy = t->detached_bytes > l->max_detached_bytes;
    struct dop_node *unconfirmed = t->unconfirmed.first, *session = t->detached.first;
    if (!unconfirmed || (!heavy && t->unconfirmed_count <= l->max_unconfirmed)) unconfirmed = NULL;
    if (!session || (!heavy && t->detached_count <= l->max_detached)) session = NULL;
    if (!unconfirmed && !session) return;
    t->evicted++;
    dop_node_end(unconfirmed ? unconfirmed : session, 1000, "evicted");
  }
}

/* --- statuses --- */

int dop_node_set_status(struct dop_node *n, enum dop_status status, const char *why) {
  struct dop_event *ev = dop_engine_event(n->transport, n, DOP_EVENT_STATUS, why);
  if (ev) {
    ev->now = status;
    ev->before = n->status;
  }
  n->status = (uint8_t)status;
  return ev ? 0 : -1;
}

static void report_close(struct dop_node *n, unsigned code, const char *code_name,
                         const char *why) {
  struct dop_event *ev = dop_engine_event(n->transport, n, DOP_EVENT_CLOSE, why);
  if (!ev) return;
  ev->code = code;
  dop_event_code(ev, code_name);
}

void dop_node_hand_back(struct dop_node *n, struct dop_event *ev) {
  if (n->account) {
    ev->written = (uint32_t)(n->account->written - n->account->acked);
    ev->settled = n->account->settled;
  }
  dop_queue_move(&n->queue, &ev->unsettled);
}

void dop_node_end(struct dop_node *n, unsigned code, const char *why) {
  struct dop_transport *t = n->transport;
  struct dop_socket *s = n->socket;
  if (n->status == DOP_DISCONNECTED) return;
  dop_node_ref(n);
  if (n->account && s) dop_lossless_acknowledge(n);
  s = n->socket; /* saying that may have cost it */
  if (n->status == DOP_DISCONNECTED) {
    dop_node_unref(n);
    return;
  }
  if (s) {
    s->node = NULL;
    n->socket = NULL;
    report_close(n, code, NULL, why);
  }
  dop_timers_disarm(&t->engine->timers, &n->window);
  if (n->account) dop_timers_disarm(&t->engine->timers, &n->account->timer);
  dop_claim_withdraw(n);
  if (n->token) dop_directory_remove(&t->directory, n);
  if (n->account && t->role == DOP_SERVER) dop_resume_bury(n);
  dop_node_unlist(n); /* while the queue still counts */
  int lost = dop_node_set_status(n, DOP_DISCONNECTED, why);
  if (n->connected || t->role == DOP_CLIENT) {
    struct dop_event *ev = dop_engine_event(t, n, DOP_EVENT_DISCONNECT, why);
    t->handed_back += n->queue.count;
    if (ev) dop_node_hand_back(n, ev);
    t->disconnects++;
  } else if (lost) { /* the binding learns from an event that nothing more is told */
    dop_engine_event(t, n, DOP_EVENT_GONE, NULL);
  }
  dop_claim_dispose(n);
  if (s) s->ops->close(s, code, why);
  dop_node_unref(n);
}

/* A client that lost its socket before it was CONNECTED begins again with another half: the old one
 * was heard, and may be known to whoever listened. */
static void begin_again(struct dop_node *n, const char *why) {
  struct dop_engine *e = n->transport->engine;
  struct dop_token *fresh = dop_node_fresh_half(n->transport);
  dop_token_free(n->remote);
  n->remote = NULL;
  if (fresh) {
    dop_token_free(n->local);
    n->local = fresh;
  } else if (dop_token_renew(n->local, e->random, e->random_ctx)) {
    dop_node_end(n, 0, "no randomness for a new half");
    dop_transport_finish(n->transport);
    return;
  }
  if (n->status != DOP_OPEN) dop_node_set_status(n, DOP_OPEN, why);
}

static void detach(struct dop_node *n, const char *why) {
  struct dop_transport *t = n->transport;
  dop_token_free(n->remote);
  n->remote = NULL;
  int was_connected = n->status == DOP_CONNECTED;
  if (was_connected) n->since = t->engine->now;
  if (n->account) dop_timers_disarm(&t->engine->timers, &n->account->timer);
  if (n->status != DOP_RECONNECTING) dop_node_set_status(n, DOP_RECONNECTING, why);
  if (was_connected && !n->untold) dop_engine_event(t, n, DOP_EVENT_RECONNECTING, why);
  if (t->role == DOP_CLIENT) return;

  if (t->draining) {
    dop_node_end(n, 1000, "closed"); /* nobody lets it come back here */
    return;
  }
  struct dop_node *newcomer = dop_claim_take(n);
  if (newcomer) {
    dop_node_adopt(n, newcomer);
    return;
  }
  dop_node_list(n, 1);
  /* Who never was CONNECTED is waited for only as long as a handshake takes. */
  uint64_t window = n->connected ? t->limits.resume_window : t->limits.handshake_timeout;
  dop_timers_arm(&t->engine->timers, &n->window, t->engine->now + window); /* it has a place */
  enforce_caps(t);
}

/* A lossless session that cannot go on: what the peer did not settle is unknown. A client goes on
 * dialling with a new node, unless another holder took the session or the application ended it. */
static void lose_session(struct dop_node *n, unsigned code) {
  struct dop_transport *t = n->transport;
  int closing = n->account->closing, taken = code == 4001, ended = n->account->ended;
  dop_node_end(n, code, closing ? n->account->end_why : taken ? "taken" : "protocol");
  if (t->role != DOP_CLIENT) return;
  if (ended || taken)
    dop_transport_finish(t);
  else if (dop_transport_begin(t))
    dop_transport_finish(t);
}

/* Whether a plain session's token, merged again and again with long halves, became longer than a
 * half may be, and a server that does not have it refuses it as one: it would do so for ever. */
static int outgrown(const struct dop_node *n, enum dop_status status, unsigned code,
                    const char *code_name) {
  return code == 1008 && !code_name && status != DOP_CONNECTED && n->token && !n->account &&
         n->token->len > DOP_HALF_MAX && n->transport->role == DOP_CLIENT;
}

static void forget_session(struct dop_node *n, unsigned code) {
  struct dop_transport *t = n->transport;
  dop_node_end(n, code, "unknown");
  if (dop_transport_begin(t)) dop_transport_finish(t);
}

void dop_node_supersede(struct dop_node *n, unsigned code, const char *why) {
  struct dop_transport *t = n->transport;
  int was_connected = n->status == DOP_CONNECTED;
  n->socket->node = NULL;
  n->socket = NULL;
  dop_lossless_forget_parked(n);
  dop_token_free(n->remote);
  n->remote = NULL;
  report_close(n, code, NULL, why);
  dop_timers_disarm(&t->engine->timers, &n->account->timer);
  if (was_connected) n->since = t->engine->now;
  dop_node_set_status(n, DOP_RECONNECTING, why);
  if (was_connected) dop_engine_event(t, n, DOP_EVENT_RECONNECTING, why);
}

void dop_node_hand_over(struct dop_node *n, struct dop_node *fresh) {
  struct dop_socket *s = n->socket;
  fresh->remote = n->remote;
  n->remote = NULL;
  fresh->status = DOP_PRECONNECTED;
  fresh->socket = s;
  fresh->socket_number = s->number;
  s->node = fresh;
  n->socket = NULL;
  n->transport->current = fresh;
}

void dop_node_lost(struct dop_socket *s, unsigned code, const char *code_name, const char *why) {
  struct dop_node *n = s->node;
  if (!n) return;
  struct dop_transport *t = n->transport;
  enum dop_status status = n->status;
  uint64_t held = status == DOP_CONNECTED ? t->engine->now - n->since : 0;
  int half_confirmed = s->lossless && status == DOP_PRECONNECTED && !n->token;
  s->node = NULL;
  n->socket = NULL;
  if (n->account) dop_lossless_forget_parked(n);
  dop_node_ref(n);
  dop_transport_ref(t);
  report_close(n, code, code_name, why);
  if (n->account && dop_lossless_fatal(n, status, code))
    lose_session(n, code);
  else if (outgrown(n, status, code, code_name))
    forget_session(n, code);
  else if (n->token || (half_confirmed && t->role == DOP_CLIENT && dop_resume_hold(n) == 0))
    detach(n, why);
  else if (t->role == DOP_CLIENT)
    begin_again(n, why);
  else
    dop_node_end(n, 0, why);
  struct dop_event *ev = t->role == DOP_CLIENT ? dop_transport_down(t, held, code_name, why) : NULL;
  if (ev) ev->code = code;
  dop_transport_unref(t);
  dop_node_unref(n);
}

void dop_node_part(struct dop_socket *s, unsigned code, const char *code_name, const char *why) {
  dop_socket_ref(s);
  if (s->node && s->node->account) dop_lossless_acknowledge(s->node);
  /* Closed first: what follows from the loss may close every socket that has no node. */
  s->ops->close(s, code, why);
  dop_node_lost(s, code, code_name, why);
  dop_socket_unref(s);
}

void dop_node_shed(struct dop_socket *s) {
  s->transport->shed++;
  dop_node_part(s, 1013, "FULL", "the server holds as much as it may, try again later");
}

void dop_node_take_socket(struct dop_node *holder, struct dop_node *newcomer) {
  struct dop_transport *t = holder->transport;
  struct dop_socket *s = newcomer->socket;
  newcomer->socket = NULL;
  newcomer->status = DOP_DISCONNECTED;
  dop_engine_event(t, newcomer, DOP_EVENT_GONE, NULL);
  dop_node_unlist(newcomer);

  holder->socket = s;
  holder->socket_number = s->number;
  s->node = holder;
  dop_timers_disarm(&t->engine->timers, &holder->window);
  dop_node_list(holder, 0);
}

void dop_node_adopt(struct dop_node *holder, struct dop_node *newcomer) {
  dop_node_take_socket(holder, newcomer);
  if (dop_node_resumed(holder)) return;
  if (dop_node_say(holder, holder->token) == 0) dop_node_pump(holder);
}

int dop_node_resumed(struct dop_node *n) {
  struct dop_transport *t = n->transport;
  dop_node_set_status(n, DOP_CONNECTED, NULL);
  if (n->connected && !n->untold) {
    struct dop_event *ev = dop_engine_event(t, n, DOP_EVENT_RECONNECT, NULL);
    if (ev) {
      ev->elapsed = t->engine->now - n->since;
      ev->written = dop_node_unacked(n);
    }
    t->replayed += dop_node_unacked(n);
    t->reconnects++;
  } else { /* a half-confirmed session is confirmed by coming back */
    dop_token_free(n->local);
    n->local = NULL;
    n->connected = 1;
    n->untold = 0;
    t->connects++;
    if (!dop_engine_event(t, n, DOP_EVENT_CONNECT, NULL)) {
      dop_node_untold(n);
      return -1;
    }
  }
  n->since = t->engine->now;
  n->socket->ops->connected(n->socket);
  return 0;
}

void dop_node_untold(struct dop_node *n) {
  if (n->status != DOP_CONNECTED || !n->socket) return;
  n->untold = 1;
  n->transport->connects--;
  dop_node_part(n->socket, 1011, "ENOMEM", "no memory to tell of the session");
}

/* --- sending --- */

void dop_node_give_up_socket(struct dop_node *n) {
  struct dop_socket *s = n->socket;
  dop_socket_ref(s);
  dop_node_lost(s, 0, "ENOMEM", "no memory to write to the socket");
  s->ops->drop(s, 0);
  dop_socket_unref(s);
}

int dop_node_say_text(struct dop_node *n, const char *text, size_t len) {
  const struct dop_message m = {DOP_TEXT, DOP_COMPRESS_NEVER, text, len};
  if (n->socket->ops->send(n->socket, &m) == 0) return 0;
  dop_node_give_up_socket(n);
  return -1;
}

int dop_node_say(struct dop_node *n, const struct dop_token *t) {
  return dop_node_say_text(n, t->text, t->len);
}

int dop_node_takes_more(const struct dop_node *n) {
  return n->status == DOP_CONNECTED &&
         n->socket->ops->backlog(n->socket) < n->transport->limits.high_mark;
}

/* What waits goes on in lots: not with each byte that the system takes. */
static int may_refill(const struct dop_node *n) {
  return n->status == DOP_CONNECTED &&
         n->socket->ops->backlog(n->socket) <= n->transport->limits.low_mark;
}

static int flush_queue(struct dop_node *n, int all) {
  struct dop_message m;
  if (n->account) return dop_lossless_pump(n, all);
  while ((all || dop_node_takes_more(n)) && dop_queue_front(&n->queue, &m)) {
    if (n->socket->ops->send(n->socket, &m)) {
      dop_node_give_up_socket(n);
      return -1;
    }
    dop_queue_pop(&n->queue);
  }
  return 0;
}

void dop_node_pump(struct dop_node *n) {
  int kept = !may_refill(n) || flush_queue(n, 0) == 0;
  dop_node_tally(n);
  if (kept) dop_node_check_drain(n);
}

void dop_node_check_drain(struct dop_node *n) {
  if (!n->full || dop_transport_full(n->transport, 0)) return;
  const struct dop_limits *l = &n->transport->limits;
  if (n->queue.count > l->queue_messages / 2 || dop_queue_size(&n->queue) > l->queue_bytes / 2)
    return;
  n->full = 0;
  dop_engine_event(n->transport, n, DOP_EVENT_DRAIN, NULL);
}

void dop_node_writable(struct dop_socket *s) {
  if (s->node && s->node->status == DOP_CONNECTED) dop_node_pump(s->node);
}

void dop_node_tally(struct dop_node *n) {
  struct dop_transport *t = n->transport;
  dop_queue_tally(&n->queue, &t->bytes);
  if (n->account) dop_queue_tally(&n->account->parked, &t->bytes);
  dop_transport_tallied(t);
}

/* No room in all: the node is told when there is, as if its own queue had been full. */
static DOP_SELDOM enum dop_sent starve(struct dop_node *n) {
  n->full = 1;
  n->transport->starved = 1;
  return DOP_SEND_FULL;
}

static inline enum dop_sent enqueue(struct dop_node *n, const struct dop_message *m) {
  struct dop_transport *t = n->transport;
  const struct dop_limits *l = &t->limits;
  size_t size = m->len + DOP_QUEUE_OVERHEAD;
  /* An empty queue takes any one message: a limit below the largest message would refuse it for
   * ever. */
  if (n->queue.count &&
      (n->queue.count >= l->queue_messages || dop_queue_size(&n->queue) + size > l->queue_bytes)) {
    n->full = 1;
    return DOP_SEND_FULL;
  }
  size_t held = dop_queue_held(&n->queue);
  if (dop_queue_push(&n->queue, m)) return DOP_SEND_NOMEM;
  dop_queue_tally(&n->queue, &t->bytes);
  if (n->detached) {
    t->detached_bytes += dop_queue_held(&n->queue) - held;
    enforce_caps(t);
  }
  return DOP_SENT;
}

/* Everything goes through the queue, where it stays until the peer has delivered it. */
static enum dop_sent send_lossless(struct dop_node *n, const struct dop_message *m) {
  if (n->account->closing) return DOP_SEND_CLOSED;
  if (m->len > dop_lossless_max_message(n)) return DOP_SEND_TOOLARGE;
  if (dop_transport_full(n->transport, m->len)) return starve(n);
  /* The usual case: what the peer allows and the socket takes is written from where it lies. */
  int at_once =
      n->account->heard_limits && !dop_queue_unwritten(&n->queue) && dop_node_takes_more(n);
  if (!n->detached) dop_queue_borrow(&n->queue, &n->transport->engine->spare_queue);
  enum dop_sent sent = enqueue(n, m);
  if (sent == DOP_SENT && at_once)
    dop_lossless_write(n, m);
  else if (sent == DOP_SENT && may_refill(n))
    dop_lossless_pump(n, 0);
  return sent;
}

enum dop_sent dop_node_send(struct dop_node *n, const struct dop_message *m) {
  if (n->status == DOP_DISCONNECTED) return DOP_SEND_CLOSED;
  if (n->account) return send_lossless(n, m);
  if (m->len > n->transport->limits.max_message) return DOP_SEND_TOOLARGE;
  if (m->kind == DOP_TEXT && dop_token_is(n->token, m->data, m->len)) return DOP_SEND_RESERVED;
  if (dop_transport_full(n->transport, m->len)) return starve(n);
  if (!n->queue.count && dop_node_takes_more(n))
    return n->socket->ops->send(n->socket, m) ? DOP_SEND_NOMEM : DOP_SENT;
  return enqueue(n, m);
}

size_t dop_node_queued(const struct dop_node *n) {
  return dop_queue_size(&n->queue) + (n->socket ? n->socket->ops->backlog(n->socket) : 0);
}

size_t dop_node_max_message(const struct dop_node *n) {
  return n->account ? dop_lossless_max_message(n) : n->transport->limits.max_message;
}

int dop_node_is_settled(const struct dop_node *n) {
  return !n->queue.count && !(n->account && n->account->in_hand) &&
         !(n->socket && n->socket->ops->backlog(n->socket));
}

uint32_t dop_node_unacked(const struct dop_node *n) {
  return n->account ? (uint32_t)(n->account->written - n->account->acked) : 0;
}

/* --- ends --- */

int dop_node_disconnect(struct dop_node *n, unsigned code, const char *why) {
  if (n->status == DOP_DISCONNECTED || (n->account && n->account->closing)) return -1;
  if (n->account && n->status == DOP_CONNECTED) {
    dop_lossless_end(n, why);
    return 0;
  }
  dop_node_ref(n);
  if (n->account) n->account->ended = 1;
  if (n->status == DOP_CONNECTED && flush_queue(n, 1) == 0) dop_node_say(n, n->token);
  dop_node_end(n, code, why);
  if (n->transport->role == DOP_CLIENT) dop_transport_finish(n->transport);
  dop_node_unref(n);
  return 0;
}

int dop_node_drop(struct dop_node *n, int reset) {
  struct dop_socket *s = n->socket;
  if (!s) return -1;
  dop_socket_ref(s);
  /* Dropped first: a client that ends with this would say goodbye on every socket without a node.
   */
  s->ops->drop(s, reset);
  dop_node_lost(s, 0, "DROPPED", "dropped by this end");
  dop_socket_unref(s);
  return 0;
}
