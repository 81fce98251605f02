/* dop.transport: a listener's or a client's sessions as Lua sees them. Owns one reference of the
 * transport and one of its host. How sockets come to be is the driver's, the policy is lua/dop's.
 */
#include <string.h>

#include "bind/check.h"
#include "bind/objects.h"

/* A finalizer may still use a transport after transport_gc(), when the Lua state closes. */
struct dop_transport_box *dop_check_transport(lua_State *L, int arg) {
  struct dop_transport_box *box = luaL_checkudata(L, arg, DOP_TRANSPORT_TYPE);
  if (!box->transport) luaL_argerror(L, arg, "this transport is gone: the Lua state is closing");
  return box;
}

void dop_push_transport(lua_State *L, struct dop_transport *t) {
  struct dop_transport_box *box = t->app;
  if (box && box->anchor != LUA_NOREF)
    dop_push_anchored(L, box->host, box->anchor);
  else
    lua_pushnil(L);
}

/* Anchors the transport at index i: from here on it is there until it is closed. */
static void keep(lua_State *L, int i) {
  struct dop_transport_box *box = lua_touserdata(L, i);
  lua_pushvalue(L, i);
  box->anchor = dop_anchor(L, box->host);
  box->next = box->host->transports;
  box->host->transports = box;
}

/* core.transport(engine, role, options) -> transport; with options.unkept it is garbage until
 * core.keep(transport), which is for whoever has more to make that may fail. role is "server" or
 * "client". Raises for options that are wrong. The options of the machine's tests: halves, a list
 * of strings to use as halves one after the other. */
static int transport_new(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  static const char *const roles[] = {"server", "client", NULL};
  enum dop_role role = luaL_checkoption(L, 2, NULL, roles) ? DOP_CLIENT : DOP_SERVER;
  struct dop_limits limits;
  struct dop_deflate_options compression;
  dop_check_limits(L, 3, &limits);
  lua_getfield(L, 3, "compression");
  int compresses = dop_check_compression(L, -1, &compression);
  struct dop_transport_box *box = dop_newuserdata(L, sizeof *box);
  memset(box, 0, sizeof *box);
  box->anchor = LUA_NOREF;
  luaL_getmetatable(L, DOP_TRANSPORT_TYPE);
  lua_setmetatable(L, -2);
  int self = lua_gettop(L);
  lua_newtable(L);
  dop_set_values(L, self);
  box->transport = dop_transport_new(&h->engine, role, &limits);
  if (!box->transport) return dop_fail(L, "ENOMEM", "no memory or no randomness for a transport");
  struct dop_transport *t = box->transport;
  t->app = box;
  box->host = h;
  dop_host_ref(h);
  if (compresses) {
    t->compression = dop_malloc(sizeof compression);
    if (!t->compression) return dop_fail(L, "ENOMEM", "no memory for a transport");
    *t->compression = compression;
  }
  lua_getfield(L, 3, "lossless");
  t->lossless = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  lua_getfield(L, 3, "protocols");
  if (!lua_isnil(L, -1)) {
    size_t size;
    const char *protocols = dop_check_string(L, -1, &size);
    t->protocols = dop_malloc(++size);
    if (!t->protocols) return dop_fail(L, "ENOMEM", "no memory for a transport");
    memcpy(t->protocols, protocols, size);
  }
  lua_pop(L, 1);
  lua_getfield(L, 3, "halves");
  for (int i = 1; lua_istable(L, -1) && i <= (int)lua_rawlen(L, -1); i++) {
    size_t len;
    lua_rawgeti(L, -1, i);
    const char *half = dop_check_string(L, -1, &len);
    dop_transport_inject_half(t, half, len);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  /* All of this before the anchor: what raises leaves garbage, which is closed as such. */
  if (role == DOP_CLIENT) {
    if (dop_transport_begin(t)) return dop_fail(L, "ENOMEM", "no memory or no randomness");
    dop_get_values(L, self);
    dop_push_node(L, t->current);
    lua_setfield(L, -2, "node");
    lua_pop(L, 1);
  }
  lua_getfield(L, 3, "unkept");
  if (!lua_toboolean(L, -1)) keep(L, self);
  lua_settop(L, self);
  return 1;
}

/* core.keep(transport): see above. */
static int transport_keep(lua_State *L) {
  if (dop_check_transport(L, 1)->anchor == LUA_NOREF) keep(L, 1);
  return 0;
}

static void unanchor(struct dop_host *h, struct dop_transport_box *box) {
  for (struct dop_transport_box **p = &h->transports; *p; p = &(*p)->next) {
    if (*p != box) continue;
    *p = box->next;
    break;
  }
  if (h->L) dop_unanchor(h->L, h, box->anchor);
  box->anchor = LUA_NOREF;
}

void dop_release_transports(struct dop_host *h) {
  if (!h->engine.sweep) return;
  h->engine.sweep = 0;
  for (struct dop_transport_box *box = h->transports, *next; box; box = next) {
    struct dop_transport *t = box->transport;
    next = box->next;
    /* The last session is gone before anybody looked: nothing keeps a loop going any more. */
    if (t->draining && !t->node_count) dop_transport_close(t, 1012);
    if (t->closed && !t->node_count && !t->socket_count && !t->events) unanchor(h, box);
  }
}

static int transport_gc(lua_State *L) {
  struct dop_transport_box *box = luaL_checkudata(L, 1, DOP_TRANSPORT_TYPE);
  struct dop_transport *t = box->transport;
  struct dop_host *h = box->host;
  if (!t) return 0;
  box->transport = NULL;
  if (h) {
    if (box->anchor != LUA_NOREF) { /* the end of the Lua state */
      h->L = NULL;
      unanchor(h, box);
    } else if (t->current && t->current->app) { /* what was never kept: nobody is told of its end */
      dop_unanchor(L, h, t->current->app);
      t->current->app = 0;
    }
    t->app = NULL;
    dop_transport_abandon(t);
  }
  dop_transport_unref(t);
  if (h) dop_host_unref(h);
  return 0;
}

static int transport_tostring(lua_State *L) {
  struct dop_transport *t = dop_check_transport(L, 1)->transport;
  lua_pushfstring(L, "dop.%s(%d nodes, %d sockets%s)", t->role == DOP_SERVER ? "server" : "client",
                  (int)t->node_count, (int)t->socket_count, t->closed ? ", closed" : "");
  return 1;
}

/* transport:end_sessions(): everything that the machine does for close(); lua/ adds the rest. */
static int transport_end_sessions(lua_State *L) {
  dop_transport_close(dop_check_transport(L, 1)->transport, 1001);
  return 0;
}

/* transport:drain_sessions(seconds): the same for a server, once nothing waits; see
 * dop_transport_drain(). */
static int transport_drain_sessions(lua_State *L) {
  struct dop_transport *t = dop_check_transport(L, 1)->transport;
  if (t->role != DOP_SERVER) return luaL_argerror(L, 1, "a server expected");
  dop_transport_drain(t, dop_check_ms(L, 2, 0));
  return 0;
}

/* transport:give_up(reason): a client's policy wants no further attempt: its node ends. */
static int transport_give_up(lua_State *L) {
  struct dop_transport *t = dop_check_transport(L, 1)->transport;
  const char *reason = luaL_checkstring(L, 2);
  if (t->current) dop_node_end(t->current, 1000, reason);
  dop_transport_finish(t);
  return 0;
}

/* core.unreachable(client, code, why): a client could not even begin an attempt: it has no socket.
 */
static int transport_unreachable(lua_State *L) {
  struct dop_transport *t = dop_check_transport(L, 1)->transport;
  dop_transport_down(t, 0, luaL_optstring(L, 2, NULL), luaL_checkstring(L, 3));
  return 0;
}

/* core.kill(transport): its process dies, in a simulation. Its sockets reset, its sessions are
 * gone, and no handler of it is called any more. */
static int transport_kill(lua_State *L) {
  struct dop_transport_box *box = dop_check_transport(L, 1);
  struct dop_transport *t = box->transport;
  struct dop_socket *s;
  box->killed = 1;
  while ((s = t->sockets)) { /* one that a node loses may bring it another */
    dop_socket_ref(s);
    if (s->node)
      dop_node_drop(s->node, 1);
    else
      s->ops->drop(s, 1);
    dop_socket_unref(s);
  }
  dop_transport_abandon(t);
  return 0;
}

/* transport:nodes() -> list of the nodes that live, RECONNECTING ones included. */
static int transport_nodes(lua_State *L) {
  struct dop_transport *t = dop_check_transport(L, 1)->transport;
  int i = 0;
  lua_createtable(L, (int)t->node_count, 0);
  const struct dop_node_list *lists[] = {&t->attached, &t->detached, &t->unconfirmed};
  for (int k = 0; k < 3; k++) {
    for (struct dop_node *n = lists[k]->first; n; n = n->next) {
      dop_push_node(L, n);
      lua_rawseti(L, -2, ++i);
    }
  }
  return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* transport:stats() -> table of counts: what is there now, and what happened since the beginning.
 */
static int transport_stats(lua_State *L) {
  struct dop_transport *t = dop_check_transport(L, 1)->transport;
  lua_createtable(L, 0, 40);
  set_count(L, "nodes", t->node_count);
  set_count(L, "sockets", t->socket_count);
  set_count(L, "pending", t->pending_count);
  set_count(L, "detached", t->detached_count);
  set_count(L, "detached_bytes", t->detached_bytes);
  set_count(L, "bytes", t->bytes);
  set_count(L, "unconfirmed", t->unconfirmed_count);
  set_count(L, "tombstones", (uint64_t)t->tombs.count + t->unconfirmed_tombs.count);
  set_count(L, "sockets_opened", t->opened);
  set_count(L, "connects", t->connects);
  set_count(L, "reconnects", t->reconnects);
  set_count(L, "disconnects", t->disconnects);
  set_count(L, "refused", t->refused);
  set_count(L, "http", t->http);
  for (int i = DOP_ADMITTED + 1; i < DOP_REFUSALS; i++) {
    lua_pushfstring(L, "refused_%s", dop_refusal_name(i));
    lua_pushinteger(L, (lua_Integer)t->refusals[i]);
    lua_rawset(L, -3);
  }
  set_count(L, "expired", t->expired);
  set_count(L, "evicted", t->evicted);
  set_count(L, "shed", t->shed);
  set_count(L, "takeovers", t->takeovers);
  set_count(L, "refused_resumes", t->refused_resumes);
  set_count(L, "delivered", t->delivered);
  set_count(L, "acknowledged", t->acknowledged);
  set_count(L, "replayed", t->replayed);
  set_count(L, "handed_back", t->handed_back);
  set_count(L, "lost_events", t->lost_events);
  set_count(L, "deflated_from", t->deflated_from);
  set_count(L, "deflated_to", t->deflated_to);
  set_count(L, "inflated_from", t->inflated_from);
  set_count(L, "inflated_to", t->inflated_to);
  return 1;
}

/* core.configure(transport, authorize, any_origin, same_principal, http): `authorize` (function or
 * nil) decides who may come in; any_origin lets browsers come from every site; same_principal
 * (function or nil) whether two principals are one; http (function or nil) what a request without
 * an upgrade hears. See decide.c for what they return. */
static int transport_configure(lua_State *L) {
  struct dop_transport *t = dop_check_transport(L, 1)->transport;
  lua_settop(L, 5);
  t->ask_http = lua_isfunction(L, 5) != 0;
  t->ask_principal = lua_isfunction(L, 4) != 0;
  t->ask = lua_isfunction(L, 2) != 0;
  t->any_origin = lua_toboolean(L, 3) != 0;
  dop_get_values(L, 1);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "authorize");
  lua_pushvalue(L, 4);
  lua_setfield(L, -2, "same_principal");
  lua_pushvalue(L, 5);
  lua_setfield(L, -2, "http");
  return 0;
}

/* core.accepting(server) -> whether it would take a further session now. */
static int transport_accepting(lua_State *L) {
  lua_pushboolean(L, dop_transport_room(dop_check_transport(L, 1)->transport) == DOP_ADMITTED);
  return 1;
}

/* core.values(transport or node) -> its table of user values. */
static int object_values(lua_State *L) {
  if (luaL_testudata(L, 1, DOP_NODE_TYPE)) {
    dop_node_values(L, 1);
    ((struct dop_node_box *)lua_touserdata(L, 1))->has_handlers = 1;
  } else {
    dop_check_transport(L, 1);
    dop_get_values(L, 1);
  }
  return 1;
}

/* core.inproc(client, server, name) -> true | nil, message, code */
static int inproc_connect(lua_State *L) {
  struct dop_transport *c = dop_check_transport(L, 1)->transport;
  struct dop_transport *s = dop_check_transport(L, 2)->transport;
  const char *name = luaL_checkstring(L, 3);
  if (c->engine != s->engine || c->role != DOP_CLIENT || s->role != DOP_SERVER)
    return luaL_error(L, "a client and a server of the same engine expected");
  if (dop_inproc_connect(c, s, name))
    return dop_fail(L, "REFUSED", "local:%s has no room for another connection", name);
  lua_pushboolean(L, 1);
  return 1;
}

static int get_closed(lua_State *L) {
  lua_pushboolean(L, dop_check_transport(L, 1)->transport->closed);
  return 1;
}

/* Whether it closes, and waits for what its sessions have to say. */
static int get_draining(lua_State *L) {
  lua_pushboolean(L, dop_check_transport(L, 1)->transport->draining);
  return 1;
}

static int get_role(lua_State *L) {
  lua_pushstring(L, dop_check_transport(L, 1)->transport->role == DOP_SERVER ? "server" : "client");
  return 1;
}

/* A client's node: the one that begins while the old one's `disconnect` is told is the client's
 * node already, so that what comes back unsettled can be sent again there and then. */
static int get_node(lua_State *L) {
  struct dop_transport *t = dop_check_transport(L, 1)->transport;
  if (t->current && t->current->status != DOP_DISCONNECTED) {
    dop_push_node(L, t->current);
    return 1;
  }
  dop_get_values(L, 1);
  lua_getfield(L, -1, "node");
  return 1;
}

static int get_url(lua_State *L) {
  dop_get_values(L, 1);
  lua_getfield(L, -1, "url");
  return 1;
}

static int transport_newindex(lua_State *L) {
  return luaL_error(L, "nothing can be set on a transport; a node has 'data'");
}

static const luaL_Reg transport_meta[] = {{"__gc", transport_gc},
                                          {"__tostring", transport_tostring},
                                          {"__newindex", transport_newindex},
                                          {NULL, NULL}};
static const luaL_Reg transport_methods[] = {{"end_sessions", transport_end_sessions},
                                             {"drain_sessions", transport_drain_sessions},
                                             {"give_up", transport_give_up},
                                             {"nodes", transport_nodes},
                                             {"stats", transport_stats},
                                             {NULL, NULL}};
static const luaL_Reg transport_getters[] = {{"closed", get_closed}, {"draining", get_draining},
                                             {"role", get_role},     {"node", get_node},
                                             {"url", get_url},       {NULL, NULL}};

void dop_transport_register(lua_State *L) {
  static const luaL_Reg functions[] = {{"transport", transport_new},
                                       {"configure", transport_configure},
                                       {"values", object_values},
                                       {"accepting", transport_accepting},
                                       {"inproc", inproc_connect},
                                       {"kill", transport_kill},
                                       {"keep", transport_keep},
                                       {"unreachable", transport_unreachable},
                                       {NULL, NULL}};
  dop_new_type(L, DOP_TRANSPORT_TYPE, transport_meta, transport_methods, transport_getters);
  luaL_setfuncs(L, functions, 0);
}
