/* One listener's or one client's sessions; see transport.h. */
#include "session/transport.h"

#include <string.h>

#include "session/lossless.h"
#include "session/node_private.h"

#define DRAIN_EVERY   20   /* ms between two looks at what still waits */
#define TELL_EVERY    1000 /* ms between two refusals of one cause that are told */
#define DOP_COME_BACK 1012 /* "service restart": later, or to another process */

const struct dop_limits dop_limits_default = {
    .resume_window = 60000,
    .probe_timeout = 2000,
    .handshake_timeout = 10000,
    .ping_interval = 20000,
    .ping_timeout = 10000,
    .close_timeout = 5000,
    .max_message = 1 << 20,
    .max_header = 8192,
    .max_fields = 64,
    .max_idle_frames = 1000,
    .queue_bytes = 1 << 20,
    .queue_messages = 1024,
    .high_mark = 65536,
    .low_mark = 32768,
    .max_detached = 100000,
    .max_detached_bytes = 256u << 20,
    .max_unconfirmed = 10000,
    .max_pending = 10000,
    .max_pending_per_address = 0,
    .max_sockets = 0,
    .max_sockets_per_address = 0,
    .max_bytes = 1u << 30,
    .max_tombstones = 100000,
    .half_min = DOP_HALF_MIN,
};

struct dop_transport *dop_transport_new(struct dop_engine *e, enum dop_role role,
                                        const struct dop_limits *limits) {
  struct dop_transport *t = dop_zalloc(sizeof *t);
  if (!t) return NULL;
  t->engine = e;
  t->role = role;
  t->limits = *limits;
  t->refs = 1;
  if (e->random(e->random_ctx, t->directory.key, sizeof t->directory.key) ||
      (role == DOP_SERVER && dop_timers_reserve(&e->timers, &t->drain))) {
    dop_free(t);
    return NULL;
  }
  return t;
}

int dop_transport_begin(struct dop_transport *t) {
  t->current = dop_node_new(t);
  return t->current ? 0 : -1;
}

void dop_transport_ref(struct dop_transport *t) {
  t->refs++;
}

void dop_transport_unref(struct dop_transport *t) {
  if (--t->refs) return;
  dop_directory_dispose(&t->directory);
  dop_addresses_dispose(&t->addresses);
  dop_tombs_dispose(&t->tombs);
  dop_tombs_dispose(&t->unconfirmed_tombs);
  dop_queue_dispose(&t->halves);
  dop_free(t->compression);
  dop_free(t->protocols);
  dop_free(t);
}

/* A client that closes is done with its session and says so; a server that closes may be back soon,
 * and a client of it shall try. */
static void end_node(struct dop_node *n, unsigned code) {
  if (n->transport->role == DOP_CLIENT)
    dop_node_disconnect(n, code, "closed");
  else
    dop_node_end(n, code, "closed");
}

/* Those that have no node any more: in the middle of an upgrade, or closing already. */
static void close_sockets(struct dop_transport *t, unsigned code) {
  for (struct dop_socket *s = t->sockets, *next; s; s = next) {
    next = s->next;
    dop_socket_ref(s);
    if (next) dop_socket_ref(next);
    if (!s->node) s->ops->close(s, code, "closed");
    if (next) dop_socket_unref(next);
    dop_socket_unref(s);
  }
}

/* The end of a lossless client's session is answered before it is one: its node stays in the list
 * meanwhile. Ending one node may end others. */
static struct dop_node *first_to_end(const struct dop_transport *t) {
  struct dop_node *n = t->attached.first;
  while (n && n->account && n->account->closing) n = n->next;
  return n;
}

void dop_transport_close(struct dop_transport *t, unsigned code) {
  struct dop_node *n;
  dop_transport_ref(t);
  if (t->draining) {
    t->draining = 0;
    dop_timers_disarm(&t->engine->timers, &t->drain);
    dop_engine_event(t, NULL, DOP_EVENT_OVER, NULL);
    code = DOP_COME_BACK;
  }
  t->closed = 1;
  dop_timers_release(&t->engine->timers, &t->drain); /* here: the engine may be gone before us */
  while ((n = first_to_end(t))) end_node(n, code);
  while (t->detached.first) end_node(t->detached.first, code);
  while (t->unconfirmed.first) end_node(t->unconfirmed.first, code);
  close_sockets(t, code);
  dop_transport_sweep(t);
  dop_transport_unref(t);
}

/* Ends the sessions of which nothing waits. What they have in flight is known to nobody here; the
 * newcomers, that could be ended with them, are gone. */
static void end_settled(struct dop_transport *t) {
  struct dop_node *next;
  for (struct dop_node *n = t->attached.first; n; n = next) {
    next = n->next;
    if (next) dop_node_ref(next);
    if (dop_node_is_settled(n)) dop_node_end(n, DOP_COME_BACK, "closed");
    if (!next) return;
    int there = next->listed;
    dop_node_unref(next);
    if (!there) return; /* the next look finds the rest */
  }
}

static void look_at_drain(struct dop_timer *timer) {
  struct dop_transport *t = DOP_CONTAINER(timer, struct dop_transport, drain);
  struct dop_engine *e = t->engine;
  dop_transport_ref(t);
  if (e->now < t->drain_until) end_settled(t);
  uint64_t next = e->now + DRAIN_EVERY;
  if (next > t->drain_until) next = t->drain_until;
  if (e->now >= t->drain_until || !t->attached.first || dop_timers_arm(&e->timers, &t->drain, next))
    dop_transport_close(t, DOP_COME_BACK);
  dop_transport_unref(t);
}

void dop_transport_drain(struct dop_transport *t, uint64_t ms) {
  struct dop_engine *e = t->engine;
  struct dop_node *n;
  if (t->closed || t->draining) return;
  dop_transport_ref(t);
  t->draining = 1;
  t->drain_until = e->now + ms;
  t->drain.fire = look_at_drain;
  while (t->detached.first) end_node(t->detached.first, DOP_COME_BACK);
  while (t->unconfirmed.first) end_node(t->unconfirmed.first, DOP_COME_BACK);
  do { /* ending one may end others */
    n = t->attached.first;
    while (n && n->status == DOP_CONNECTED) n = n->next;
    if (n) dop_node_end(n, DOP_COME_BACK, "closed");
  } while (n);
  close_sockets(t, DOP_COME_BACK);
  uint64_t first = ms < DRAIN_EVERY ? ms : DRAIN_EVERY; /* who calls this may have more to send */
  if (dop_timers_arm(&e->timers, &t->drain, e->now + first)) dop_transport_close(t, DOP_COME_BACK);
  dop_transport_sweep(t);
  dop_transport_unref(t);
}

void dop_transport_abandon(struct dop_transport *t) {
  dop_transport_ref(t);
  dop_transport_close(t, 1001);
  while (t->attached.first) dop_node_end(t->attached.first, 1001, "closed");
  dop_transport_unref(t);
}

void dop_transport_finish(struct dop_transport *t) {
  if (t->closed) return;
  dop_transport_ref(t);
  t->closed = 1;
  dop_engine_event(t, NULL, DOP_EVENT_OVER, NULL);
  close_sockets(t, 1000);
  dop_transport_sweep(t);
  dop_transport_unref(t);
}

void dop_transport_relieve(struct dop_transport *t) {
  const struct dop_node_list *lists[] = {&t->attached, &t->detached, &t->unconfirmed};
  /* An eighth of room, so that this walk is not made for each message. */
  if (t->bytes > t->limits.max_bytes - t->limits.max_bytes / 8) return;
  t->starved = 0;
  for (int k = 0; k < 3; k++)
    for (struct dop_node *n = lists[k]->first; n; n = n->next) dop_node_check_drain(n);
}

const char *dop_refusal_name(enum dop_refusal cause) {
  static const char *const names[DOP_REFUSALS] = {"",        "request", "origin", "authorize",
                                                  "timeout", "pending", "full",   "address",
                                                  "bytes",   "closing", "memory", "tls"};
  return names[cause];
}

/* One of a cause a second: a flood must not become a flood of what is told about it. */
static DOP_SELDOM void tell_refusal(struct dop_transport *t, struct dop_socket *s,
                                    enum dop_refusal cause, unsigned status, const char *why) {
  if (t->engine->now < t->tell_after[cause]) {
    t->untold[cause]++;
    return;
  }
  struct dop_event *ev = dop_engine_event(t, NULL, DOP_EVENT_REFUSE, why);
  if (!ev) return;
  if (s) dop_event_socket(ev, s);
  dop_event_code(ev, dop_refusal_name(cause));
  ev->code = status;
  ev->written = t->untold[cause];
  t->untold[cause] = 0;
  t->tell_after[cause] = t->engine->now + TELL_EVERY;
}

void dop_transport_refused(struct dop_transport *t, struct dop_socket *s, enum dop_refusal cause,
                           unsigned status, const char *why) {
  t->refused++;
  t->refusals[cause]++;
  if (t->engine->watched) tell_refusal(t, s, cause, status, why);
}

enum dop_refusal dop_transport_room(const struct dop_transport *t) {
  const struct dop_limits *l = &t->limits;
  if (t->closed || t->draining) return DOP_REFUSED_CLOSING;
  if (l->max_sockets && t->socket_count - t->lingering_count > l->max_sockets)
    return DOP_REFUSED_FULL;
  if (dop_transport_full(t, 0)) return DOP_REFUSED_BYTES;
  return t->pending_count > l->max_pending ? DOP_REFUSED_PENDING : DOP_ADMITTED;
}

int dop_transport_keeps_plain(const struct dop_transport *t) {
  return t->current && t->current->token && !t->current->account;
}

int dop_transport_awaits_socket(const struct dop_transport *t) {
  const struct dop_node *n = t->current;
  return n && n->status != DOP_DISCONNECTED && !n->socket;
}

struct dop_event *dop_transport_down(struct dop_transport *t, uint64_t held, const char *code_name,
                                     const char *why) {
  if (t->closed) return NULL;
  struct dop_event *ev = dop_engine_event(t, NULL, DOP_EVENT_DOWN, why);
  if (!ev) return NULL;
  dop_event_code(ev, code_name);
  ev->elapsed = held;
  return ev;
}

int dop_transport_inject_half(struct dop_transport *t, const char *text, size_t len) {
  const struct dop_message half = {.kind = DOP_TEXT, .data = text, .len = len};
  return dop_queue_push(&t->halves, &half);
}
