/* One source for Lua 5.4 and LuaJIT 2.1: the dozen functions that Lua 5.1's API lacks, and user
 * values under one name. Included by every file of bind/ in place of lua.h. */
#ifndef DOP_BIND_COMPAT_H
#define DOP_BIND_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen(L, i) lua_objlen(L, i)

static inline int lua_absindex(lua_State *L, int i) {
  return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}

static inline void lua_rawgetp(lua_State *L, int t, const void *key) {
  t = lua_absindex(L, t);
  lua_pushlightuserdata(L, (void *)key);
  lua_rawget(L, t);
}

static inline void lua_rawsetp(lua_State *L, int t, const void *key) {
  t = lua_absindex(L, t);
  lua_pushlightuserdata(L, (void *)key);
  lua_insert(L, -2);
  lua_rawset(L, t);
}
#endif

#ifndef luaL_newlib
#define luaL_newlib(L, funcs) \
  (lua_createtable(L, 0, (int)(sizeof(funcs) / sizeof((funcs)[0])) - 1), luaL_setfuncs(L, funcs, 0))
#endif

/* Calls fn with a light userdata as its argument, protected from the first allocation on: a C
 * function is an object of the collector in Lua 5.1. The result is lua_pcall's. Needs two free
 * slots. */
static inline int dop_cpcall(lua_State *L, lua_CFunction fn, void *ud) {
#if LUA_VERSION_NUM < 502
  return lua_cpcall(L, fn, ud);
#else
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, ud);
  return lua_pcall(L, 1, 0, 0);
#endif
}

/* User values: a table that lives as long as the userdata and is found from it alone. Lua 5.1 knows
 * only an environment, which is never nil: whoever asks must know whether one was set. */
static inline void *dop_newuserdata(lua_State *L, size_t size) {
#if LUA_VERSION_NUM >= 504
  return lua_newuserdatauv(L, size, 1);
#else
  return lua_newuserdata(L, size);
#endif
}

static inline void dop_get_values(lua_State *L, int i) {
#if LUA_VERSION_NUM >= 504
  lua_getiuservalue(L, i, 1);
#else
  lua_getfenv(L, i);
#endif
}

/* Pops the table. */
static inline void dop_set_values(lua_State *L, int i) {
#if LUA_VERSION_NUM >= 504
  lua_setiuservalue(L, i, 1);
#else
  lua_setfenv(L, i);
#endif
}

#endif
