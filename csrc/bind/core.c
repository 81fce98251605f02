/* dop.core: the machine without any driver. Loads into every Lua 5.4 and LuaJIT 2.1, needs libc
 * only, opens nothing. Applications use lua/dop; this is what it stands on. */
#include <malloc.h>
#include <stdlib.h>

#include "bind/check.h"
#include "bind/objects.h"

/* core.random() -> a number in [0, 1) from the system's CSPRNG. math.random would give every LuaJIT
 * process the same one, and a herd that jitters alike is a herd. */
static int core_random(lua_State *L) {
  uint64_t bits;
  if (dop_random_system(NULL, &bits, sizeof bits))
    return luaL_error(L, "the system gives no randomness");
  lua_pushnumber(L, (lua_Number)(bits >> 11) / 9007199254740992.0);
  return 1;
}

/* core.merge(a, b) -> the token that two halves make (docs/protocol.md, "Merge"). */
static int core_merge(lua_State *L) {
  size_t alen, blen;
  const char *a = dop_check_string(L, 1, &alen), *b = dop_check_string(L, 2, &blen);
  struct dop_token *ta = dop_token_new(a, alen), *tb = dop_token_new(b, blen);
  struct dop_token *merged = ta && tb ? dop_token_merge(ta, tb) : NULL;
  if (merged) lua_pushlstring(L, merged->text, merged->len);
  dop_token_free(ta);
  dop_token_free(tb);
  dop_token_free(merged);
  return merged ? 1 : luaL_error(L, "no memory, or a half above 65535 bytes");
}

/* core.header_ok(name, value) -> whether they may stand in an HTTP head as they are. */
static int core_header_ok(lua_State *L) {
  size_t nlen, vlen;
  const char *name = dop_check_string(L, 1, &nlen), *value = dop_check_string(L, 2, &vlen);
  lua_pushboolean(L, dop_http_name_ok(name, nlen) && dop_http_value_ok(value, vlen));
  return 1;
}

/* core.base64(bytes) -> their Base64. */
static int core_base64(lua_State *L) {
  size_t len;
  const char *bytes = dop_check_string(L, 1, &len);
  luaL_argcheck(L, len <= 65536, 1, "too long");
  char *out = dop_newuserdata(L, len / 3 * 4 + 5);
  lua_pushlstring(L, out, dop_base64(bytes, len, out));
  return 1;
}

/* core.call(fn, ...) -> its results: a call through which no coroutine can yield. */
static int core_call(lua_State *L) {
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* The allocations of the core while core.allocations() runs. */
struct counting {
  size_t count;
  size_t fail_at;  /* which of them finds no memory; 0: none */
  int64_t held;    /* bytes, beyond what was held before */
  int64_t at_most; /* of them at any time */
};

static void *count_allocation(void *ctx, void *old, size_t size) {
  struct counting *c = ctx;
  int64_t before = old ? (int64_t)malloc_usable_size(old) : 0;
  if (size && ++c->count == c->fail_at) return NULL;
  void *block = size ? realloc(old, size) : NULL;
  if (!size) free(old);
  if (size && !block) return NULL;
  c->held += (block ? (int64_t)malloc_usable_size(block) : 0) - before;
  if (c->held > c->at_most) c->at_most = c->held;
  return block;
}

/* core.allocations(fn [, n]) -> how often the core asked for memory while fn() ran, how many bytes
 * it had at most beyond what it had before, and how many it has afterwards. The n-th time it gets
 * none. For specs. */
static int core_allocations(lua_State *L) {
  struct counting c = {.fail_at = (size_t)luaL_optinteger(L, 2, 0)};
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  /* What is garbage already shall not be freed meanwhile, as if fn() had; twice for finalizers. */
  for (int i = 0; i < 2 && !c.fail_at; i++) lua_gc(L, LUA_GCCOLLECT, 0);
  dop_alloc_set(count_allocation, &c);
  int err = lua_pcall(L, 0, 0, 0);
  dop_alloc_set(NULL, NULL);
  if (err) return lua_error(L);
  lua_pushinteger(L, (lua_Integer)c.count);
  lua_pushinteger(L, (lua_Integer)c.at_most);
  lua_pushinteger(L, (lua_Integer)c.held);
  return 3;
}

static const char *const types[] = {DOP_TRANSPORT_TYPE, DOP_NODE_TYPE};

/* The table's fields `transport_methods` and `node_methods`: where lua/ adds what is written in
 * Lua. */
static void push_methods(lua_State *L) {
  static const char *const names[] = {"transport_methods", "node_methods"};
  for (int i = 0; i < 2; i++) {
    luaL_getmetatable(L, types[i]);
    lua_getfield(L, -1, "methods");
    lua_setfield(L, -3, names[i]);
    lua_pop(L, 1);
  }
}

/* Names of events to the numbers under which lists of handlers are kept. */
static void push_events(lua_State *L) {
  static const char *const names[] = {"open",    "message",      "close",     "error",
                                      "connect", "reconnecting", "reconnect", "disconnect",
                                      "status",  "drain"};
  lua_newtable(L);
  for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
    lua_pushinteger(L, i + 1);
    lua_setfield(L, -2, names[i]);
  }
  lua_setfield(L, -2, "events");
  lua_pushinteger(L, DOP_EVENT_DOWN + 1);
  lua_setfield(L, -2, "down");
  lua_pushinteger(L, DOP_EVENT_OVER + 1);
  lua_setfield(L, -2, "over");
}

__attribute__((visibility("default"))) int luaopen_dop_core(lua_State *L);

int luaopen_dop_core(lua_State *L) {
  static const luaL_Reg functions[] = {{"random", core_random},
                                       {"merge", core_merge},
                                       {"header_ok", core_header_ok},
                                       {"base64", core_base64},
                                       {"allocations", core_allocations},
                                       {"wrong_limit", dop_wrong_limit},
                                       {"wrong_compression", dop_wrong_compression},
                                       {"call", core_call},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  dop_engine_register(L);
  dop_transport_register(L);
  dop_node_register(L);
  dop_token_register(L);
  dop_link_register(L);
  dop_network_register(L);
  push_methods(L);
  push_events(L);
  dop_push_limit_names(L);
  lua_setfield(L, -2, "limits");
  dop_push_defaults(L);
  lua_setfield(L, -2, "defaults");
  /* Where the binding of a driver in C finds the core's services. */
  lua_pushlightuserdata(L, (void *)&dop_core_api);
  lua_setfield(L, LUA_REGISTRYINDEX, "dop.driver_api");
  return 1;
}
