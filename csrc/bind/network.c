/* dop.network: the simulated network as lua/dop/sim.lua sees it. Owns the wire and one reference of
 * the host whose engine it lives on. Who listens where, and when a fault strikes, is Lua's; a
 * connection is a number here, which means nothing any more once both ends let go of it. */
#include <string.h>

#include "bind/check.h"
#include "bind/objects.h"
#include "sim/wire.h"

struct network_box {
  struct dop_host *host; /* NULL once the Lua state is closing */
  struct dop_sim_wire wire;
  unsigned busy : 1;
};

static struct network_box *check_network(lua_State *L) {
  struct network_box *box = luaL_checkudata(L, 1, DOP_NETWORK_TYPE);
  if (!box->host) luaL_argerror(L, 1, "this network is gone");
  return box;
}

static void deliver(void *ctx, struct dop_socket *s) {
  dop_host_deliver(((struct network_box *)ctx)->host, s);
}

/* core.network(engine, seed, least, most) -> network; latencies in seconds. */
static int network_new(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  uint64_t seed = dop_check_seed(L, 2);
  uint64_t least = dop_check_ms(L, 3, 0), most = dop_check_ms(L, 4, 0);
  if (most < least) return luaL_argerror(L, 4, "not below the least latency");
  struct network_box *box = dop_newuserdata(L, sizeof *box);
  memset(box, 0, sizeof *box);
  luaL_getmetatable(L, DOP_NETWORK_TYPE);
  lua_setmetatable(L, -2);
  box->host = h;
  dop_host_ref(h);
  dop_sim_wire_init(&box->wire, &h->engine, seed, deliver, box);
  box->wire.least = least;
  box->wire.most = most;
  return 1;
}

static int network_gc(lua_State *L) {
  struct network_box *box = luaL_checkudata(L, 1, DOP_NETWORK_TYPE);
  struct dop_host *h = box->host;
  if (!h) return 0;
  h->L = NULL; /* no handler is told */
  dop_sim_wire_dispose(&box->wire);
  box->host = NULL;
  dop_host_unref(h);
  return 0;
}

/* --- connections --- */

static struct dop_sim_conn *find(lua_State *L, struct network_box *box, int arg) {
  lua_Number number = luaL_checknumber(L, arg);
  struct dop_sim_conn *c = box->wire.net.conns;
  while (c && ((struct dop_sim_wired *)c->app)->number != number) c = c->next;
  return c;
}

/* network:call(client, host, target, headers) -> number, seconds after which it gets there; or nil,
 * message, code. */
static int network_call(lua_State *L) {
  struct network_box *box = check_network(L);
  struct dop_transport_box *t = dop_check_transport(L, 2);
  if (t->host != box->host) return luaL_argerror(L, 2, "it is of another world");
  struct dop_sim_conn *c = dop_sim_wire_call(&box->wire, t->transport, luaL_checkstring(L, 3),
                                             luaL_checkstring(L, 4), luaL_optstring(L, 5, NULL));
  if (!c) return dop_fail(L, "ENOMEM", "cannot dial: no memory");
  const struct dop_sim_wired *wired = c->app;
  lua_pushinteger(L, (lua_Integer)wired->number);
  lua_pushnumber(L, (lua_Number)(wired->up.last - box->host->engine.now) / 1000);
  return 2;
}

/* network:answer(number, server, address) -> whether the client still waits. */
static int network_answer(lua_State *L) {
  struct network_box *box = check_network(L);
  struct dop_sim_conn *c = find(L, box, 2);
  struct dop_transport_box *t = dop_check_transport(L, 3);
  const char *address = luaL_checkstring(L, 4);
  int waits = c && c->client && !c->server;
  lua_pushboolean(L, waits && dop_sim_wire_answer(c, t->transport, address) == 0);
  return 1;
}

/* network:refuse(number, code, why) -> whether the client still waited. */
static int network_refuse(lua_State *L) {
  struct network_box *box = check_network(L);
  struct dop_sim_conn *c = find(L, box, 2);
  const char *code = luaL_checkstring(L, 3), *why = luaL_checkstring(L, 4);
  int waits = c && c->client && !c->server;
  if (waits) dop_link_lost(c->client, code, why);
  lua_pushboolean(L, waits);
  return 1;
}

static int end_is(struct dop_link *l, const struct dop_transport *t, const struct dop_node *n) {
  return l && (n ? l->socket.node == n : l->socket.transport == t);
}

/* network:connections([transport or node]) -> the numbers of its sound connections, or of all; the
 * newest first. */
static int network_connections(lua_State *L) {
  struct network_box *box = check_network(L);
  const struct dop_transport *t = NULL;
  const struct dop_node *n = NULL;
  int all = lua_isnoneornil(L, 2), i = 0;
  if (!all && luaL_testudata(L, 2, DOP_NODE_TYPE))
    n = dop_check_node(L, 2);
  else if (!all)
    t = dop_check_transport(L, 2)->transport;
  lua_newtable(L);
  for (struct dop_sim_conn *c = box->wire.net.conns; c; c = c->next) {
    if (!dop_sim_wire_sound(c)) continue;
    if (!all && !end_is(c->client, t, n) && !end_is(c->server, t, n)) continue;
    lua_pushinteger(L, (lua_Integer)((struct dop_sim_wired *)c->app)->number);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

/* network:count() -> how many connections there are of which anything is left. */
static int network_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_network(L)->wire.net.count);
  return 1;
}

/* --- faults: each of a connection by its number; nothing happens to one that is gone --- */

/* Pushes how many bytes are under way to the server and to the client. */
static int under_way(lua_State *L, const struct dop_sim_conn *c) {
  lua_pushinteger(L, (lua_Integer)c->up.bytes.len);
  lua_pushinteger(L, (lua_Integer)c->down.bytes.len);
  return 2;
}

/* network:cut(number, client, server, some) -> bytes under way before and after: of what is, some
 * arrives; `client` and `server` say who sees a reset then. */
static int network_cut(lua_State *L) {
  struct network_box *box = check_network(L);
  struct dop_sim_conn *c = find(L, box, 2);
  unsigned who = (lua_toboolean(L, 3) ? 1u : 0) | (lua_toboolean(L, 4) ? 2u : 0);
  if (!c) return 0;
  under_way(L, c);
  dop_sim_wire_cut(c, who, lua_toboolean(L, 5));
  return 2 + under_way(L, c);
}

/* network:half_close(number, client) -> bytes under way: the client, or the server, can say no
 * more.
 */
static int network_half_close(lua_State *L) {
  struct dop_sim_conn *c = find(L, check_network(L), 2);
  if (!c) return 0;
  dop_sim_wire_half_close(c, lua_toboolean(L, 3));
  return under_way(L, c);
}

/* network:swallow(number) -> bytes under way, which vanish. */
static int network_swallow(lua_State *L) {
  struct dop_sim_conn *c = find(L, check_network(L), 2);
  if (!c) return 0;
  int results = under_way(L, c);
  dop_sim_wire_swallow(c);
  return results;
}

/* network:delay(number, seconds) -> bytes under way */
static int network_delay(lua_State *L) {
  struct dop_sim_conn *c = find(L, check_network(L), 2);
  uint64_t ms = dop_check_ms(L, 3, 0);
  if (!c) return 0;
  dop_sim_wire_delay(c, ms);
  return under_way(L, c);
}

/* --- time --- */

/* network:turn() -> whether there is more to do now: handlers run, what they wrote goes out, what
 * has arrived is heard. */
static int network_turn(lua_State *L) {
  struct network_box *box = check_network(L);
  struct dop_host *h = box->host;
  if (box->busy) return luaL_error(L, "this network is at work already");
  lua_State *before = dop_host_enter(h, L);
  box->busy = 1;
  dop_host_turn(h);
  dop_sim_flush(&box->wire.net);
  dop_sim_wire_carry(&box->wire);
  dop_sim_flush(&box->wire.net);
  dop_sim_wire_reap(&box->wire);
  box->busy = 0;
  dop_host_leave(h, before);
  lua_pushboolean(L, dop_host_waiting(h) || box->wire.due);
  return 1;
}

static const luaL_Reg network_meta[] = {{"__gc", network_gc}, {NULL, NULL}};
static const luaL_Reg network_methods[] = {{"call", network_call},
                                           {"answer", network_answer},
                                           {"refuse", network_refuse},
                                           {"connections", network_connections},
                                           {"cut", network_cut},
                                           {"half_close", network_half_close},
                                           {"swallow", network_swallow},
                                           {"delay", network_delay},
                                           {"turn", network_turn},
                                           {"count", network_count},
                                           {NULL, NULL}};

void dop_network_register(lua_State *L) {
  dop_new_type(L, DOP_NETWORK_TYPE, network_meta, network_methods, NULL);
  lua_pushcfunction(L, network_new);
  lua_setfield(L, -2, "network");
}
