/* Calls into Lua that let no error out, and what becomes of the error: a traceback, then the
 * watcher or stderr. Owns nothing. */
#include <stdio.h>
#include <string.h>

#include "bind/deliver.h"

int dop_explain(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (!message) message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  if (strstr(message, "attempt to yield"))
    message =
        lua_pushfstring(L, "%s (a handler may not yield; start a coroutine with dop.go)", message);
  luaL_traceback(L, L, message, 1);
  return 1;
}

struct complaint {
  struct dop_host *h;
  const char *what, *message;
  int taken;
};

static int tell_watcher(lua_State *L) {
  struct complaint *c = lua_touserdata(L, 1);
  dop_push_watcher(L, c->h);
  lua_pushliteral(L, "complaint");
  lua_pushfstring(L, "error in %s: %s", c->what, c->message);
  lua_call(L, 2, 1);
  c->taken = lua_toboolean(L, -1);
  return 0;
}

void dop_complain(struct dop_host *h, lua_State *L, const char *what) {
  const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  struct complaint c = {h, what, message ? message : "(no message)", 0};
  if (h->watched && lua_checkstack(L, 4) && dop_cpcall(L, tell_watcher, &c)) lua_pop(L, 1);
  if (!c.taken) fprintf(stderr, "dop: error in %s: %s\n", what, c.message);
}

struct call {
  lua_CFunction fn;
  void *ud;
};

static int call_explained(lua_State *L) {
  struct call *c = lua_touserdata(L, 1);
  lua_pushcfunction(L, dop_explain);
  lua_pushcfunction(L, c->fn);
  lua_pushlightuserdata(L, c->ud);
  if (lua_pcall(L, 1, 0, -3)) lua_error(L); /* with its traceback */
  return 0;
}

int dop_host_call(struct dop_host *h, lua_CFunction fn, void *ud, const char *what) {
  struct call c = {fn, ud};
  lua_State *L = h->L;
  if (!L || !lua_checkstack(L, 4)) return -1;
  int failed = dop_cpcall(L, call_explained, &c);
  if (failed) {
    dop_complain(h, L, what);
    lua_pop(L, 1);
  }
  if (h->gc_always) lua_gc(L, LUA_GCCOLLECT, 0);
  return failed ? -1 : 0;
}

void dop_host_call_top(struct dop_host *h, lua_State *L, const char *what) {
  lua_State *before = dop_host_enter(h, L);
  lua_pushcfunction(L, dop_explain);
  lua_insert(L, -2);
  if (lua_pcall(L, 0, 0, -2)) {
    dop_complain(h, L, what);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (h->gc_always) lua_gc(L, LUA_GCCOLLECT, 0);
  dop_host_leave(h, before);
}
