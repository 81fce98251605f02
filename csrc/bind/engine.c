/* dop.engine: a world for the machine. `core.engine()` makes one; a driver of sockets, a Lua host
 * or a spec then makes transports on it and says what time it is. Owns its host's block. */
#include <string.h>

#include "bind/check.h"
#include "bind/objects.h"

struct engine_box {
  struct dop_host *host;
};

void dop_host_ref(struct dop_host *h) {
  h->refs++;
}

void dop_host_unref(struct dop_host *h) {
  if (--h->refs) return;
  dop_engine_dispose(&h->engine);
  dop_free(h);
}

lua_State *dop_host_enter(struct dop_host *h, lua_State *L) {
  lua_State *before = h->L;
  h->L = L;
  return before;
}

void dop_host_leave(struct dop_host *h, lua_State *before) {
  h->L = before;
}

struct dop_host *dop_check_host(lua_State *L, int arg) {
  struct engine_box *box = luaL_checkudata(L, arg, DOP_ENGINE_TYPE);
  if (!box->host) luaL_argerror(L, arg, "this engine is closed");
  return box->host;
}

/* core.engine([seed]) -> engine. With a seed it is one for a simulated world: it draws no
 * randomness from the system, and everything on it is collected once nobody refers to it any more.
 */
static int engine_new(lua_State *L) {
  int seeded = !lua_isnoneornil(L, 1);
  uint64_t seed = seeded ? dop_check_seed(L, 1) : 0;
  struct engine_box *box = dop_newuserdata(L, sizeof *box);
  box->host = NULL;
  luaL_getmetatable(L, DOP_ENGINE_TYPE);
  lua_setmetatable(L, -2);
  box->host = dop_zalloc(sizeof *box->host);
  if (!box->host) return luaL_error(L, "not enough memory");
  box->host->refs = 1;
  struct dop_host *h = box->host;
  h->seeded = seeded != 0;
  dop_random_seed(&h->seed, seed, 0);
  dop_engine_init(&h->engine, seeded ? dop_random_seeded : dop_random_system, &h->seed);
  if (seeded) dop_anchor_own(L, h, -1);
  return 1;
}

static int engine_gc(lua_State *L) {
  struct engine_box *box = luaL_checkudata(L, 1, DOP_ENGINE_TYPE);
  struct dop_host *h = box->host;
  box->host = NULL;
  if (!h) return 0;
  h->L = NULL;
  if (h->watched && !h->own) { /* another may come to lie where this one did */
    lua_pushnil(L);
    dop_set_watcher(L, h);
  }
  dop_engine_forget(&h->engine);
  dop_host_unref(h);
  return 0;
}

/* engine:advance(seconds): sets the time, on any clock that never goes back, and fires what is due;
 * runs no handler. */
static int engine_advance(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  dop_engine_advance(&h->engine, dop_check_ms(L, 2, 0));
  return 0;
}

/* engine:next() -> seconds until advance() is needed, nil: never. */
static int engine_next(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  uint64_t at = dop_engine_next(&h->engine);
  if (at == DOP_TIMERS_NEVER) return 0;
  lua_pushnumber(L, at > h->engine.now ? (lua_Number)(at - h->engine.now) / 1000 : 0);
  return 1;
}

/* engine:now() -> seconds */
static int engine_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)dop_check_host(L, 1)->engine.now / 1000);
  return 1;
}

/* engine:turn() -> whether there is more: hands events and messages to handlers. */
static int engine_turn(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  lua_State *before = dop_host_enter(h, L);
  dop_host_turn(h);
  dop_host_leave(h, before);
  lua_pushboolean(L, dop_host_waiting(h));
  return 1;
}

/* engine:collect_always(on): a full collection after every handler, for specs. */
static int engine_collect_always(lua_State *L) {
  dop_check_host(L, 1)->gc_always = lua_toboolean(L, 2) != 0;
  return 0;
}

static int no_random(void *ctx, void *out, size_t n) {
  (void)ctx, (void)out, (void)n;
  return -1;
}

/* engine:fail_random(on): while on, the system's randomness fails; for specs. */
static int engine_fail_random(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  h->engine.random = lua_toboolean(L, 2) ? no_random
                     : h->seeded         ? dop_random_seeded
                                         : dop_random_system;
  return 0;
}

/* engine:call(fn, what): calls fn() as a handler is called, an error in it is one in `what`. */
static int engine_call(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  const char *what = luaL_checkstring(L, 3);
  lua_pushvalue(L, 2);
  dop_host_call_top(h, L, what);
  return 0;
}

/* engine:watch(fn or nil): fn(name, node or transport, ...) is told of every event, before its
 * handlers, and fn("complaint", text) of every error that goes to stderr, unless it returns true.
 */
static int engine_watch(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  dop_set_watcher(L, h);
  return 0;
}

/* engine:telling() -> the transport of which a handler runs now, nil: of none. */
static int engine_telling(lua_State *L) {
  struct dop_host *h = dop_check_host(L, 1);
  if (!h->telling) return 0;
  dop_push_transport(L, h->telling);
  return 1;
}

/* core.generator(seed, stream) -> a function that returns numbers in [0, 1), the same for the same
 * two. */
static int draw(lua_State *L) {
  struct dop_random_seed *s = lua_touserdata(L, lua_upvalueindex(1));
  lua_pushnumber(L, (lua_Number)(dop_random_draw(s) >> 11) / 9007199254740992.0);
  return 1;
}

static int generator_new(lua_State *L) {
  uint64_t seed = dop_check_seed(L, 1), stream = dop_check_seed(L, 2);
  dop_random_seed(dop_newuserdata(L, sizeof(struct dop_random_seed)), seed, stream);
  lua_pushcclosure(L, draw, 1);
  return 1;
}

static const luaL_Reg engine_meta[] = {{"__gc", engine_gc}, {NULL, NULL}};
static const luaL_Reg engine_methods[] = {{"advance", engine_advance},
                                          {"next", engine_next},
                                          {"now", engine_now},
                                          {"turn", engine_turn},
                                          {"collect_always", engine_collect_always},
                                          {"fail_random", engine_fail_random},
                                          {"call", engine_call},
                                          {"watch", engine_watch},
                                          {"telling", engine_telling},
                                          {NULL, NULL}};

void dop_engine_register(lua_State *L) {
  dop_new_type(L, DOP_ENGINE_TYPE, engine_meta, engine_methods, NULL);
  lua_pushcfunction(L, engine_new);
  lua_setfield(L, -2, "engine");
  lua_pushcfunction(L, generator_new);
  lua_setfield(L, -2, "generator");
}
