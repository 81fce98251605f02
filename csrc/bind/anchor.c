/* Where userdata are anchored; see host.h. Owns, for hosts with a table of their own, the table in
 * the registry that finds it by the host: weak, so that such a world goes when nobody refers to it,
 * with everything that is open in it. */
#include "bind/host.h"

static const char worlds; /* its address is the key in the registry */

/* The index of the host's table; for a table of its own that was pushed, nil once it is gone. */
static int anchors(lua_State *L, struct dop_host *h) {
  if (!h->own) return LUA_REGISTRYINDEX;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &worlds);
  lua_rawgetp(L, -1, h);
  lua_remove(L, -2);
  return lua_gettop(L);
}

static int live_anchors(lua_State *L, struct dop_host *h) {
  int t = anchors(L, h);
  if (t != LUA_REGISTRYINDEX && !lua_istable(L, t)) luaL_error(L, "this world is gone");
  return t;
}

void dop_anchor_own(lua_State *L, struct dop_host *h, int engine) {
  engine = lua_absindex(L, engine);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &worlds);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &worlds);
  }
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, -3, h);
  dop_set_values(L, engine);
  lua_pop(L, 1);
  h->own = 1;
}

int dop_anchor(lua_State *L, struct dop_host *h) {
  int t = live_anchors(L, h);
  if (t == LUA_REGISTRYINDEX) return luaL_ref(L, t);
  lua_insert(L, -2);
  int ref = luaL_ref(L, -2);
  lua_pop(L, 1);
  return ref;
}

void dop_unanchor(lua_State *L, struct dop_host *h, int ref) {
  int t = anchors(L, h);
  if (t == LUA_REGISTRYINDEX) {
    luaL_unref(L, t, ref);
    return;
  }
  if (lua_istable(L, t)) luaL_unref(L, t, ref);
  lua_pop(L, 1);
}

void dop_push_anchored(lua_State *L, struct dop_host *h, int ref) {
  int t = live_anchors(L, h);
  lua_rawgeti(L, t, ref);
  if (t != LUA_REGISTRYINDEX) lua_remove(L, t);
}

static const char watcher[] = "watcher";

void dop_push_watcher(lua_State *L, struct dop_host *h) {
  if (!h->watched) {
    lua_pushnil(L);
    return;
  }
  if (!h->own) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, h);
    return;
  }
  int t = anchors(L, h);
  if (!lua_istable(L, t)) return; /* nil, as it should be */
  lua_getfield(L, t, watcher);
  lua_remove(L, t);
}

void dop_set_watcher(lua_State *L, struct dop_host *h) {
  h->watched = lua_isfunction(L, -1);
  h->engine.watched = h->watched;
  if (!h->own) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, h);
    return;
  }
  live_anchors(L, h);
  lua_insert(L, -2);
  lua_setfield(L, -2, watcher);
  lua_pop(L, 1);
}
