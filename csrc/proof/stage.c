/* The ends of a named schedule and what they were told; see stage.h. Decides nothing by chance. */
#include "proof/stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proof/hand.h"
#include "session/lossless.h"

static int fill_random(void *ctx, void *out, size_t n) {
  struct stage *w = ctx;
  unsigned char *p = out;
  while (n--) {
    uint64_t z = w->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    *p++ = (unsigned char)(z ^ z >> 31);
  }
  return 0;
}

void stage_init(struct stage *w) {
  memset(w, 0, sizeof *w);
  w->limits = dop_limits_default;
  dop_engine_init(&w->engine, fill_random, w);
  dop_engine_advance(&w->engine, 1000);
}

static struct dop_transport *end_of(struct stage *w, int side) {
  struct dop_transport *t = w->ends[side];
  if (t) return t;
  t = dop_transport_new(&w->engine, side == SERVER ? DOP_SERVER : DOP_CLIENT, &w->limits);
  if (!t) abort();
  t->lossless = !w->plain;
  if (side == CLIENT && dop_transport_begin(t)) abort();
  return w->ends[side] = t;
}

struct dop_transport *the_server(struct stage *w) {
  return end_of(w, SERVER);
}

struct dop_transport *the_client(struct stage *w) {
  return end_of(w, CLIENT);
}

struct dop_node *client_node(struct stage *w) {
  return the_client(w)->current;
}

struct dop_node *server_node(struct stage *w) {
  struct dop_transport *t = the_server(w);
  for (struct dop_node *n = t->attached.last; n; n = n->prev)
    if (n->token) return n;
  return t->detached.last;
}

/* --- the log --- */

__attribute__((format(printf, 3, 4))) static void note(struct stage *w, int side,
                                                       const char *format, ...) {
  char *log = w->log[side];
  size_t at = strlen(log);
  va_list args;
  if (at) at += (size_t)snprintf(log + at, sizeof w->log[0] - at, ", ");
  va_start(args, format);
  if (at < sizeof w->log[0]) vsnprintf(log + at, sizeof w->log[0] - at, format, args);
  va_end(args);
}

static void note_message(struct stage *w, int side, const struct dop_message *m) {
  char text[128];
  hand_print(text, sizeof text, m->data, m->len);
  note(w, side, "%s%s", m->kind == DOP_BINARY ? "binary " : "", m->len ? text : "(empty)");
}

/* "disconnect peer (one unknown, two unsent)" */
static void note_end(struct stage *w, int side, struct dop_event *ev) {
  struct dop_message m;
  char fates[4096] = "", text[128];
  for (uint32_t i = 0; dop_queue_front(&ev->unsettled, &m); i++, dop_queue_pop(&ev->unsettled)) {
    size_t at = strlen(fates);
    hand_print(text, sizeof text, m.data, m.len);
    snprintf(fates + at, sizeof fates - at, "%s%s %s", i ? ", " : " (", text,
             i >= ev->written ? "unsent"
             : ev->settled    ? "undelivered"
                              : "unknown");
  }
  note(w, side, "disconnect %s%s%s", ev->why, fates, fates[0] ? ")" : "");
}

static void hear_event(struct stage *w, struct dop_event *ev) {
  int side = ev->transport->role == DOP_SERVER ? SERVER : CLIENT;
  struct dop_node *n = ev->node;
  switch (ev->type) {
  case DOP_EVENT_OPEN:
    note(w, side, "open");
    break;
  case DOP_EVENT_CLOSE:
    note(w, side, "close %u", ev->code);
    break;
  case DOP_EVENT_CONNECT:
    note(w, side, "connect");
    break;
  case DOP_EVENT_RECONNECTING:
    note(w, side, "reconnecting");
    break;
  case DOP_EVENT_RECONNECT:
    note(w, side, "reconnect");
    break;
  case DOP_EVENT_DISCONNECT:
    note_end(w, side, ev);
    break;
  case DOP_EVENT_DRAIN:
    note(w, side, "drain");
    break;
  case DOP_EVENT_DOWN:
    note(w, side, "down");
    break;
  case DOP_EVENT_OVER:
    note(w, side, "over");
    break;
  case DOP_EVENT_ERROR:
    note(w, side, "error");
    break;
  default:
    break;
  }
  if (w->on_event) w->on_event(w, n, ev->type);
}

static void hear_events(struct stage *w) {
  struct dop_event *ev;
  while ((ev = dop_engine_take(&w->engine))) {
    hear_event(w, ev);
    dop_event_free(ev);
  }
}

void stage_told(struct stage *w, int side, const char *wanted, const char *file, int line) {
  char *log = w->log[side];
  if (strcmp(log, wanted) != 0)
    stage_fail(w, file, line, "the %s was told \"%s\", not \"%s\"",
               side == SERVER ? "server" : "client", log, wanted);
  log[0] = 0;
}

void stage_fail(struct stage *w, const char *file, int line, const char *format, ...) {
  va_list args;
  size_t at = (size_t)snprintf(w->why, sizeof w->why, "%s:%d: ", file, line);
  va_start(args, format);
  vsnprintf(w->why + at, sizeof w->why - at, format, args);
  va_end(args);
  longjmp(w->failed, 1);
}

/* --- what a host does --- */

void stage_deliver(struct stage *w, struct dop_socket *s) {
  struct dop_message m;
  do {
    hear_events(w);
    while (s && s->ops->next(s, &m)) {
      note_message(w, s->transport->role == DOP_SERVER ? SERVER : CLIENT, &m);
      if (w->on_message) w->on_message(w, s->node);
      hear_events(w);
    }
  } while (w->engine.first);
}

void stage_turn(struct stage *w) {
  struct dop_socket *s;
  stage_deliver(w, NULL);
  while ((s = dop_socket_take_ready(&w->engine))) {
    stage_deliver(w, s);
    struct dop_link *l = dop_link_of(s);
    if (l) dop_link_settle(l);
    dop_socket_unref(s);
  }
  while ((s = dop_socket_take_dirty(&w->engine))) {
    hand_serve(dop_link_of(s));
    dop_socket_unref(s);
  }
}

void stage_wait(struct stage *w, uint64_t ms) {
  uint64_t until = w->engine.now + ms;
  do {
    uint64_t next = dop_engine_next(&w->engine);
    if (next > until) next = until;
    if (next < w->engine.now) next = w->engine.now;
    dop_engine_advance(&w->engine, next);
    stage_turn(w);
  } while (w->engine.now < until);
}

static enum dop_sent send_one(struct stage *w, struct dop_node *n, enum dop_kind kind,
                              const char *data, size_t len) {
  const struct dop_message m = {kind, DOP_COMPRESS_MAY, data, len};
  enum dop_sent sent = dop_node_send(n, &m);
  stage_turn(w);
  return sent;
}

enum dop_sent stage_send(struct stage *w, struct dop_node *n, const char *text) {
  char raw[256];
  size_t len = hand_scan(raw, sizeof raw, text);
  return send_one(w, n, DOP_TEXT, raw, len);
}

enum dop_sent stage_send_long(struct stage *w, struct dop_node *n, size_t len) {
  char *text = malloc(len + 1);
  if (!text) abort();
  memset(text, 'x', len);
  enum dop_sent sent = send_one(w, n, DOP_TEXT, text, len);
  free(text);
  return sent;
}

enum dop_sent stage_send_binary(struct stage *w, struct dop_node *n, const char *data, size_t len) {
  return send_one(w, n, DOP_BINARY, data, len);
}

void stage_pause(struct stage *w, struct dop_node *n, int paused) {
  n->socket->ops->pause(n->socket, paused);
  stage_turn(w);
}

void stage_disconnect(struct stage *w, struct dop_node *n) {
  dop_node_disconnect(n, 1000, "local");
  stage_turn(w);
}

void stage_kill_server(struct stage *w) {
  struct dop_transport *old = the_server(w);
  for (struct hand *h = w->hands; h; h = h->next)
    if (h->link && h->link->socket.transport == old) hand_lose(h);
  dop_transport_close(old, 1001);
  stage_turn(w);
  dop_transport_unref(old);
  w->ends[SERVER] = NULL;
  w->log[SERVER][0] = 0;
}

void stage_dispose(struct stage *w) {
  w->on_message = NULL;
  w->on_event = NULL;
  hands_dispose(w);
  for (int side = 0; side < 2; side++) {
    if (!w->ends[side]) continue;
    dop_transport_close(w->ends[side], 1001);
    stage_turn(w);
    dop_transport_abandon(w->ends[side]);
    stage_turn(w);
    dop_transport_unref(w->ends[side]);
  }
  dop_engine_dispose(&w->engine);
}
