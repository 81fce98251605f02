/* The world of the machine; see engine.h. Owns events and timers, delivers neither. */
#include "session/engine.h"

#include <stdio.h>
#include <string.h>

#include "session/node.h"

void dop_engine_init(struct dop_engine *e, dop_random_fn random, void *ctx) {
  memset(e, 0, sizeof *e);
  e->last = &e->first;
  e->later_last = &e->later;
  e->random = random;
  e->random_ctx = ctx;
}

/* The oldest event that was put off, NULL when there is none. */
static struct dop_event *take_later(struct dop_engine *e) {
  struct dop_event *ev = e->later;
  if (!ev) return NULL;
  e->later = ev->next;
  if (!e->later) e->later_last = &e->later;
  return ev;
}

void dop_engine_forget(struct dop_engine *e) {
  struct dop_event *ev;
  struct dop_socket *s;
  while ((ev = dop_engine_take(e)) || (ev = take_later(e))) dop_event_free(ev);
  while ((s = dop_socket_take_ready(e))) dop_socket_unref(s);
  while ((s = dop_socket_take_dirty(e))) dop_socket_unref(s);
}

void dop_engine_dispose(struct dop_engine *e) {
  dop_engine_forget(e); /* an end that nobody drove any more may have left something */
  dop_timers_dispose(&e->timers);
  dop_bytes_dispose(&e->spare);
  dop_bytes_dispose(&e->spare_queue);
  if (e->deflate) e->free_deflate(e->deflate);
  dop_wipe(e->pool, sizeof e->pool);
}

/* What is too long is cut before the character that does not fit. */
static void set_why(struct dop_event *ev, const char *why) {
  size_t len = strlen(why);
  if (len >= sizeof ev->why) {
    len = sizeof ev->why - 1;
    while (len && ((unsigned char)why[len] & 0xC0) == 0x80) len--;
  }
  memcpy(ev->why, why, len);
}

/* --- events that may not be lost ---
 *
 * One that finds no memory lies in the engine's reserve. While that is in use, whoever the event is
 * about goes on a list, with a bit that says what it is to be told; the rest stays where it was. */

#define AGAIN 20 /* ms until what was put off is told again */

/* In the order in which one node, or one transport, is told of them. */
static const enum dop_event_type never_lost[] = {DOP_EVENT_DRAIN, DOP_EVENT_DISCONNECT,
                                                 DOP_EVENT_DOWN, DOP_EVENT_OVER, DOP_EVENT_GONE};

#define NEVER_LOST (sizeof never_lost / sizeof never_lost[0])

/* The bit of such an event, 0 for the others. */
static unsigned owed_as(enum dop_event_type type) {
  for (unsigned i = 0; i < NEVER_LOST; i++)
    if (never_lost[i] == type) return 1u << i;
  return 0;
}

/* Takes out the first event of those that are owed; there must be one. */
static enum dop_event_type next_owed(uint8_t *owed) {
  unsigned i = 0;
  while (!(*owed & 1u << i)) i++;
  *owed &= (uint8_t) ~(1u << i);
  return never_lost[i];
}

static struct dop_event *new_event(struct dop_engine *e, int reserve) {
  struct dop_event *ev = dop_zalloc(sizeof *ev);
  if (ev || !reserve || e->reserve.transport) return ev;
  memset(&e->reserve, 0, sizeof e->reserve);
  return &e->reserve;
}

static struct dop_event *append(struct dop_event *ev, struct dop_transport *t,
                                struct dop_node *node, enum dop_event_type type, const char *why) {
  ev->type = type;
  ev->transport = t;
  dop_transport_ref(t);
  ev->node = node;
  if (node) {
    dop_node_ref(node);
    node->events++;
  }
  t->events++;
  if (why) set_why(ev, why);
  *t->engine->last = ev;
  t->engine->last = &ev->next;
  return ev;
}

static void owe(struct dop_transport *t, struct dop_node *n, enum dop_event_type type,
                const char *why) {
  struct dop_engine *e = t->engine;
  uint8_t *owed = n ? &n->owed : &t->owed;
  if (!*owed && n) {
    dop_node_ref(n);
    n->events++;
    t->events++;
    n->owed_next = e->owed;
    e->owed = n;
  } else if (!*owed) {
    dop_transport_ref(t);
    t->events++;
    t->owed_next = e->owing;
    e->owing = t;
  }
  *owed |= (uint8_t)owed_as(type);
  if (type == DOP_EVENT_DISCONNECT) snprintf(n->end_why, sizeof n->end_why, "%s", why);
}

static void pay_node(struct dop_engine *e, struct dop_event *ev) {
  struct dop_node *n = e->owed;
  struct dop_transport *t = n->transport;
  enum dop_event_type type = next_owed(&n->owed);
  append(ev, t, n, type, type == DOP_EVENT_DISCONNECT ? n->end_why : NULL);
  if (type == DOP_EVENT_DISCONNECT) dop_node_hand_back(n, ev);
  if (n->owed) return;
  e->owed = n->owed_next;
  n->events--;
  t->events--; /* the event that was made has it now */
  dop_node_unref(n);
}

static void pay_transport(struct dop_engine *e, struct dop_event *ev) {
  struct dop_transport *t = e->owing;
  enum dop_event_type type = next_owed(&t->owed);
  append(ev, t, NULL, type, type == DOP_EVENT_DOWN ? "no memory to say why" : NULL);
  if (type == DOP_EVENT_DOWN) dop_event_code(ev, "ENOMEM");
  if (t->owed) return;
  e->owing = t->owed_next;
  t->events--;
  dop_transport_unref(t);
}

static void pay(struct dop_engine *e) {
  struct dop_event *ev;
  while ((e->owed || e->owing) && (ev = new_event(e, 1))) {
    if (e->owed)
      pay_node(e, ev);
    else
      pay_transport(e, ev);
  }
}

struct dop_event *dop_engine_event(struct dop_transport *t, struct dop_node *node,
                                   enum dop_event_type type, const char *why) {
  unsigned owed = owed_as(type);
  struct dop_event *ev = new_event(t->engine, owed != 0);
  if (ev) return append(ev, t, node, type, why);
  if (owed)
    owe(t, node, type, why);
  else
    t->lost_events++;
  return NULL;
}

void dop_engine_put_off(struct dop_engine *e, struct dop_event *ev) {
  if (!e->later) e->later_at = e->now + AGAIN;
  ev->next = NULL;
  *e->later_last = ev;
  e->later_last = &ev->next;
}

void dop_event_socket(struct dop_event *ev, struct dop_socket *s) {
  ev->socket = s;
  dop_socket_ref(s);
}

void dop_event_code(struct dop_event *ev, const char *code_name) {
  snprintf(ev->code_name, sizeof ev->code_name, "%s", code_name ? code_name : "");
}

struct dop_event *dop_engine_take(struct dop_engine *e) {
  struct dop_event *ev = e->first;
  if (!ev) return NULL;
  e->first = ev->next;
  if (!e->first) e->last = &e->first;
  return ev;
}

void dop_event_free(struct dop_event *ev) {
  struct dop_transport *t = ev->transport;
  struct dop_engine *e = t->engine;
  dop_queue_dispose(&ev->unsettled);
  dop_queue_tally(&ev->unsettled, &t->bytes);
  dop_transport_tallied(t);
  t->events--;
  dop_transport_sweep(t);
  if (ev->node) {
    ev->node->events--;
    dop_node_unref(ev->node);
  }
  if (ev->socket) dop_socket_unref(ev->socket);
  ev->transport = NULL;
  if (ev != &e->reserve) dop_free(ev);
  if (e->owed || e->owing) pay(e);
  dop_transport_unref(t);
}

void dop_engine_advance(struct dop_engine *e, uint64_t now) {
  struct dop_timer *due;
  struct dop_event *ev;
  if (now > e->now) e->now = now;
  if (e->later && e->later_at <= e->now) {
    while ((ev = take_later(e))) {
      ev->next = NULL;
      *e->last = ev;
      e->last = &ev->next;
    }
  }
  while ((due = dop_timers_due(&e->timers, e->now))) due->fire(due);
}

uint64_t dop_engine_next(const struct dop_engine *e) {
  uint64_t at = dop_timers_next(&e->timers);
  return e->later && e->later_at < at ? e->later_at : at;
}

int dop_engine_mask(struct dop_engine *e, uint8_t mask[4]) {
  if (e->pool_left < 4) {
    if (e->random(e->random_ctx, e->pool, sizeof e->pool)) return -1;
    e->pool_left = sizeof e->pool;
  }
  e->pool_left -= 4;
  memcpy(mask, e->pool + e->pool_left, 4);
  return 0;
}
