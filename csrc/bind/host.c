/* From events to Lua functions; see host.h. Owns the host's block. */
#include "bind/host.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "bind/deliver.h"

/* --- emitting --- */

static const char *const event_names[DOP_EVENTS] = {
    "open",      "message",    "close",  "error",  "connect", "reconnecting",
    "reconnect", "disconnect", "status", "drain",  "request", "principal",
    "http",      "down",       "over",   "accept", "refuse",  "gone"};

/* Whoever sends without end, or answers each message with another one in the same process, may not
 * keep the loop. A round has so many messages for all; a socket may take what is left of them,
 * within these bounds, and waits with the rest until the others had their turn. */
#define ROUND_MESSAGES 2048
#define TURN_MOST      1024
#define TURN_LEAST     128

/* The same of what compressed messages unfold to, which a few bytes are enough to make much of. */
#define ROUND_INFLATED (128u * 1024)
#define INFLATED_MOST  (64u * 1024)
#define INFLATED_LEAST (4u * 1024)

static int emit(lua_State *L, struct dop_delivery *d, struct dop_transport *t, int subject,
                struct dop_node_box *box, int event, int nargs);

void dop_contain(lua_State *L, struct dop_delivery *d, struct dop_transport *t, int subject,
                 struct dop_node_box *box, int event) {
  char what[48];
  if (event != DOP_EVENT_ERROR) {
    lua_pushvalue(L, -1);
    if (emit(L, d, t, subject, box, DOP_EVENT_ERROR, 1)) {
      lua_pop(L, 1);
      return;
    }
  }
  snprintf(what, sizeof what, "a '%s' handler", event_names[event]);
  dop_complain(d->h, L, what);
  lua_pop(L, 1);
}

/* Whether the transport's process died: in a simulation, or while its own handlers run. */
static int is_killed(const struct dop_transport *t) {
  return t->app && ((const struct dop_transport_box *)t->app)->killed;
}

/* Calls each function of the list on top with the subject and the arguments from `args` on. The
 * list never changes: on and off make a new one. Pops it. */
static int run_list(lua_State *L, struct dop_delivery *d, struct dop_transport *t, int subject,
                    struct dop_node_box *box, int event, int args, int nargs) {
  int list = lua_gettop(L);
  int count = (int)lua_rawlen(L, list);
  for (int i = 1; i <= count && !is_killed(t); i++) {
    lua_rawgeti(L, list, i);
    lua_pushvalue(L, subject);
    for (int a = 0; a < nargs; a++) lua_pushvalue(L, args + a);
    if (lua_pcall(L, nargs + 1, 0, d->explain)) {
      /* These are heard by lua/ itself, which fails only for want of memory. */
      if (event == DOP_EVENT_DOWN || event == DOP_EVENT_OVER) lua_error(L);
      dop_contain(L, d, t, subject, box, event);
    }
    d->told = 1;
    if (d->h->gc_always) lua_gc(L, LUA_GCCOLLECT, 0);
  }
  lua_settop(L, list - 1);
  return count;
}

/* Pushes the table of user values of the transport, in which its handlers are; nil when it is gone.
 */
static void push_handlers(lua_State *L, struct dop_transport *t) {
  dop_push_transport(L, t);
  if (lua_isnil(L, -1)) return;
  dop_get_values(L, -1);
  lua_remove(L, -2);
}

/* Calls the handlers of the transport, which are in the table at index `handlers`, then those of
 * the node, with the subject (stack index of the node, or of the transport) and `nargs` arguments
 * from the top of the stack, which it pops. Returns how many there were. */
static int emit_from(lua_State *L, struct dop_delivery *d, struct dop_transport *t, int handlers,
                     int subject, struct dop_node_box *box, int event, int nargs) {
  int args = lua_gettop(L) - nargs + 1, count = 0;
  struct dop_transport *before = d->h->telling;
  luaL_checkstack(L, nargs + 12, "too many handlers inside each other");
  d->h->telling = t;
  if (lua_istable(L, handlers)) {
    lua_rawgeti(L, handlers, event + 1);
    if (lua_istable(L, -1)) count = run_list(L, d, t, subject, box, event, args, nargs);
  }
  if (box && box->has_handlers) {
    dop_get_values(L, subject);
    lua_rawgeti(L, -1, event + 1);
    if (lua_istable(L, -1)) count += run_list(L, d, t, subject, box, event, args, nargs);
  }
  d->h->telling = before;
  lua_settop(L, args - 1);
  return count;
}

static int emit(lua_State *L, struct dop_delivery *d, struct dop_transport *t, int subject,
                struct dop_node_box *box, int event, int nargs) {
  int handlers = lua_gettop(L) - nargs + 1;
  luaL_checkstack(L, 2, "too many handlers inside each other");
  push_handlers(L, t);
  lua_insert(L, handlers);
  int count = emit_from(L, d, t, handlers, subject, box, event, nargs);
  lua_settop(L, handlers - 1);
  return count;
}

/* --- events --- */

/* The request of a socket that the node has no more is kept no more: a half-confirmed session may
 * be CONNECTED on another socket than it began on. */
static void renew_request(lua_State *L, int node, struct dop_event *ev) {
  if (ev->type != DOP_EVENT_CONNECT && ev->type != DOP_EVENT_RECONNECT) return;
  dop_get_values(L, node);
  lua_getfield(L, -1, "request");
  if (!lua_isnil(L, -1)) {
    if (ev->type == DOP_EVENT_CONNECT && ev->node->socket)
      dop_push_request(L, ev->node->socket);
    else
      lua_pushnil(L);
    lua_setfield(L, -3, "request");
  }
  lua_pop(L, 2);
}

/* Tells who watches the host: the event's name, its node or transport, and its arguments, which are
 * on top and stay there. */
static void watch(lua_State *L, struct dop_delivery *d, int event, int subject, int nargs) {
  int args = lua_gettop(L) - nargs + 1;
  luaL_checkstack(L, nargs + 4, "too many handlers inside each other");
  dop_push_watcher(L, d->h);
  lua_pushstring(L, event_names[event]);
  lua_pushvalue(L, subject);
  for (int a = 0; a < nargs; a++) lua_pushvalue(L, args + a);
  if (lua_pcall(L, nargs + 2, 0, d->explain)) {
    dop_complain(d->h, L, "the watcher");
    lua_pop(L, 1);
  }
}

static void deliver_event(lua_State *L, struct dop_delivery *d, struct dop_event *ev) {
  struct dop_node_box *box = NULL;
  if (ev->type == DOP_EVENT_GONE) return; /* see deliver_events() */
  if (dop_decide(L, d, ev)) return;
  if (ev->node)
    box = dop_push_node(L, ev->node);
  else
    dop_push_transport(L, ev->transport);
  int subject = lua_gettop(L);
  if (box && box->has_values) renew_request(L, subject, ev);
  int nargs = dop_push_arguments(L, ev);
  if (d->h->watched && !is_killed(ev->transport)) {
    int more = dop_push_more(L, ev);
    watch(L, d, ev->type, subject, nargs + more);
    lua_pop(L, more);
  }
  emit(L, d, ev->transport, subject, box, ev->type, nargs);
  if (ev->node && (ev->type == DOP_EVENT_CONNECT || ev->type == DOP_EVENT_RECONNECT)) {
    struct dop_link *l = ev->node->socket ? dop_link_of(ev->node->socket) : NULL;
    if (l) dop_link_forget_request(l);
  }
  lua_settop(L, subject - 1);
}

/* One event under protection, so that one that finds no memory is lost alone. */
static int deliver_one(lua_State *L) {
  struct dop_delivery *own = lua_touserdata(L, 1);
  struct dop_event *ev = lua_touserdata(L, 2);
  lua_pushcfunction(L, dop_explain);
  own->explain = 3;
  deliver_event(L, own, ev);
  return 0;
}

/* Lua had no memory for the event. What somebody waits for comes again, or is decided without the
 * application. Returns whether the event comes again. */
static int not_told(struct dop_host *h, struct dop_event *ev) {
  switch (ev->type) {
  case DOP_EVENT_DRAIN:
  case DOP_EVENT_DISCONNECT:
  case DOP_EVENT_DOWN:
  case DOP_EVENT_OVER:
    dop_engine_put_off(&h->engine, ev);
    return 1;
  case DOP_EVENT_CONNECT:
    dop_node_untold(ev->node);
    break;
  default:
    if (!dop_undecided(ev)) ev->transport->lost_events++;
  }
  return 0;
}

static void deliver_events(lua_State *L, struct dop_delivery *d) {
  struct dop_engine *e = &d->h->engine;
  struct dop_transport *before = d->h->telling;
  while (e->first) {
    struct dop_delivery own = {.h = d->h};
    lua_pushcfunction(L, deliver_one); /* it may raise: nothing is taken yet */
    struct dop_event *ev = dop_engine_take(e);
    struct dop_node *n = ev->node;
    int again = 0;
    if (n) dop_node_ref(n);
    lua_pushlightuserdata(L, &own);
    lua_pushlightuserdata(L, ev);
    if (lua_pcall(L, 2, 0, d->explain)) {
      d->h->telling = before;
      dop_complain(d->h, L, "a delivery");
      lua_pop(L, 1);
      if (!own.told) again = not_told(d->h, ev);
    }
    if (!again) dop_event_free(ev);
    if (n) {
      dop_release_node(L, n);
      dop_node_unref(n);
    }
  }
}

/* --- messages --- */

/* What is the same from message to message lies on the stack while the node has the socket: first
 * the transport's handlers, then the node. */
static void deliver_messages(lua_State *L, struct dop_delivery *d) {
  struct dop_socket *s = d->socket;
  struct dop_node *n = NULL;
  struct dop_node_box *box = NULL;
  struct dop_message m;
  int handlers = lua_gettop(L) + 1, subject = handlers + 1, kind_name = handlers + 2;
  enum dop_kind kind = 0;
  while (d->left && s->ops->next(s, &m)) {
    d->left--;
    d->in_hand = 1;
    if (s->node != n || m.kind != kind) { /* what is the same for each of a row */
      n = s->node;
      kind = m.kind;
      lua_settop(L, handlers - 1);
      push_handlers(L, n->transport);
      box = dop_push_node(L, n);
      lua_pushstring(L, kind == DOP_TEXT ? "text" : "binary");
    }
    lua_pushlstring(L, m.data, m.len);
    lua_pushvalue(L, kind_name);
    d->told = 0;
    emit_from(L, d, n->transport, handlers, subject, box, DOP_EVENT_MESSAGE, 2);
    d->in_hand = 0;
    if (d->h->engine.first) deliver_events(L, d);
  }
  lua_settop(L, handlers - 1);
}

static int deliver(lua_State *L) {
  struct dop_delivery *d = lua_touserdata(L, 1);
  luaL_checkstack(L, 40, "too many calls inside each other");
  lua_pushcfunction(L, dop_explain);
  d->explain = lua_gettop(L);
  do {
    deliver_events(L, d);
    if (d->socket) deliver_messages(L, d);
  } while (d->h->engine.first);
  return 0;
}

/* Returns how many messages it handed out. */
static unsigned deliver_up_to(struct dop_host *h, struct dop_socket *s, unsigned most) {
  struct dop_delivery d = {.h = h, .socket = s, .left = most};
  struct dop_transport *before = h->telling;
  lua_State *L = h->L;
  int failed = 1;
  /* From within a handler: the message that it has is delivered when it returns, and what follows
   * is taken then. */
  if (s && s->busy) d.socket = s = NULL;
  if (s) s->busy = 1;
  if (L && lua_checkstack(L, 8)) {
    failed = dop_cpcall(L, deliver, &d);
    h->telling = before;
    if (failed) {
      dop_complain(h, L, "a delivery");
      lua_pop(L, 1);
    }
  }
  if (!s) return 0;
  s->busy = 0;
  if (!failed && !d.left) dop_node_delivered(s); /* nobody else says so of the last one */
  /* Lua had no memory for this one: what follows would come with a gap before it. */
  if (d.in_hand && !d.told) {
    dop_node_undelivered(s);
    dop_node_part(s, 1011, "ENOMEM", "no memory to hand a message over");
  }
  if (failed || !d.left) dop_socket_mark_ready(s);
  return most - d.left;
}

void dop_host_deliver(struct dop_host *h, struct dop_socket *s) {
  deliver_up_to(h, s, UINT_MAX);
}

int dop_host_waiting(const struct dop_host *h) {
  return h->engine.first != NULL || h->engine.ready != NULL;
}

static unsigned within(unsigned n, unsigned least, unsigned most) {
  return n < least ? least : n > most ? most : n;
}

static unsigned less(unsigned n, unsigned took) {
  return took < n ? n - took : 0;
}

/* The next of so many sockets has its turn. */
static void deliver_turn(struct dop_host *h, struct dop_socket *s, unsigned sockets) {
  unsigned most = within(h->round_left / sockets, TURN_LEAST, TURN_MOST);
  struct dop_deflate_pool *pool = h->engine.deflate; /* made with the first that compresses */
  unsigned inflated = within(h->inflated_left / sockets, INFLATED_LEAST, INFLATED_MOST);
  if (pool) pool->left = inflated;
  h->round_left = less(h->round_left, deliver_up_to(h, s, most));
  if (pool) h->inflated_left = less(h->inflated_left, inflated - pool->left);
}

static unsigned count_ready(const struct dop_socket *s) {
  unsigned n = 0;
  for (; s; s = s->ready_next) n++;
  return n;
}

void dop_host_turn(struct dop_host *h) {
  struct dop_engine *e = &h->engine;
  struct dop_socket *round = e->ready, *next;
  if (!h->L) return;
  e->ready = NULL; /* what becomes ready meanwhile waits for the next round */
  unsigned waiting = count_ready(round);
  h->round_left = ROUND_MESSAGES;
  h->inflated_left = ROUND_INFLATED;
  if (e->first) dop_host_deliver(h, NULL);
  for (struct dop_socket *s = round; s; s = next) {
    struct dop_link *l = s->busy ? NULL : dop_link_of(s);
    next = s->ready_next;
    s->ready = 0;
    deliver_turn(h, s, waiting--);
    if (l) dop_link_settle(l);
    dop_socket_unref(s);
  }
  dop_release_transports(h);
}

void dop_host_feed(struct dop_host *h, struct dop_link *l, char *data, size_t n) {
  dop_link_feed(l, data, n);
  if (l->shares)
    deliver_turn(h, &l->socket, 1);
  else
    dop_host_deliver(h, &l->socket);
  dop_link_settle(l);
}
