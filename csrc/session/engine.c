/* The world of the machine; see engine.h. Owns events and timers, delivers neither. */
#include "session/engine.h"

#include <stdio.h>
#include <string.h>

#include "session/node.h"

void dop_engine_init(struct dop_engine *e, dop_random_fn random, void *ctx) {
  memset(e, 0, sizeof *e);
  e->last = &e->first;
  e->random = random;
  e->random_ctx = ctx;
}

void dop_engine_forget(struct dop_engine *e) {
  struct dop_event *ev;
  struct dop_socket *s;
  while ((ev = dop_engine_take(e))) dop_event_free(ev);
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

struct dop_event *dop_engine_event(struct dop_transport *t, struct dop_node *node,
                                   enum dop_event_type type, const char *why) {
  struct dop_event *ev = dop_zalloc(sizeof *ev);
  if (!ev) {
    t->lost_events++;
    return NULL;
  }
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
  dop_queue_dispose(&ev->unsettled);
  ev->transport->events--;
  dop_transport_sweep(ev->transport);
  if (ev->node) {
    ev->node->events--;
    dop_node_unref(ev->node);
  }
  if (ev->socket) dop_socket_unref(ev->socket);
  dop_transport_unref(ev->transport);
  dop_free(ev);
}

void dop_engine_advance(struct dop_engine *e, uint64_t now) {
  struct dop_timer *due;
  if (now > e->now) e->now = now;
  while ((due = dop_timers_due(&e->timers, e->now))) due->fire(due);
}

uint64_t dop_engine_next(const struct dop_engine *e) {
  return dop_timers_next(&e->timers);
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
