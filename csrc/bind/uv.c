/* dop.uv: loop, listeners, dialers and timers as Lua sees them. A module of its own, so that hosts
 * without libuv need none. Owns the loop; takes the core's services from where luaopen_dop_core
 * left them, which is why `require "dop.core"` comes first. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bind/uv_tls.h"

#define LOOP_TYPE     "dop.loop"
#define LISTENER_TYPE "dop.listener"
#define TIMER_TYPE    "dop.timer"

/* --- helpers; check.c is part of the other module --- */

static int fail(lua_State *L, const char *code, const char *message) {
  lua_pushnil(L);
  lua_pushstring(L, message);
  lua_pushstring(L, code);
  return 3;
}

/* The field `tls` of the table at `table`, NULL when there is none. */
static struct dop_tls_context *tls_field(lua_State *L, int table) {
  lua_getfield(L, table, "tls"); /* stays on the stack */
  return lua_isnil(L, -1) ? NULL : dop_check_tls(L, -1);
}

static int fail_uv(lua_State *L, int err, const char *what) {
  lua_pushfstring(L, "%s: %s", what, uv_strerror(err));
  return fail(L, uv_err_name(err), lua_tostring(L, -1));
}

struct loop_box {
  struct dop_loop *loop;
};

static struct dop_loop *check_loop(lua_State *L) {
  struct dop_loop *loop = ((struct loop_box *)luaL_checkudata(L, 1, LOOP_TYPE))->loop;
  if (!loop) luaL_argerror(L, 1, "this loop is closed");
  /* An epoll descriptor is shared across a fork: two processes would steal each other's events. */
  if (loop->pid != getpid())
    luaL_error(L, "this loop was made by another process; after a fork make a new one");
  return loop;
}

/* The userdata of the core begin with a pointer to what they stand for; their types are checked by
 * name. */
static void *check_core(lua_State *L, int arg, const char *type) {
  void **box = luaL_checkudata(L, arg, type);
  if (!*box) luaL_argerror(L, arg, "it is closed");
  return *box;
}

/* --- loop --- */

/* uv.loop(engine) -> loop | nil, message, code */
static int loop_new(lua_State *L) {
  struct dop_host *host = check_core(L, 1, "dop.engine");
  int err;
  lua_getfield(L, LUA_REGISTRYINDEX, "dop.driver_api");
  const struct dop_driver_api *api = lua_touserdata(L, -1);
  if (!api || api->size != sizeof *api)
    return luaL_error(L, "dop.uv and dop.core are of different versions");
  struct loop_box *box = dop_newuserdata(L, sizeof *box);
  box->loop = NULL;
  luaL_getmetatable(L, LOOP_TYPE);
  lua_setmetatable(L, -2);
  box->loop = dop_loop_new(api, host, &err);
  return box->loop ? 1 : fail_uv(L, err, "cannot make a loop");
}

static int loop_gc(lua_State *L) {
  struct loop_box *box = luaL_checkudata(L, 1, LOOP_TYPE);
  struct dop_loop *loop = box->loop;
  box->loop = NULL;
  if (loop && loop->pid == getpid()) dop_loop_free(loop);
  return 0;
}

/* loop:run() -> true | nil, "interrupted", "INTERRUPTED" */
static int loop_run(lua_State *L) {
  struct dop_loop *loop = check_loop(L);
  if (loop->running) return luaL_error(L, "the loop runs already: run was called from a handler");
  if (dop_loop_run(loop, L)) return fail(L, "INTERRUPTED", "interrupted");
  lua_pushboolean(L, 1);
  return 1;
}

/* loop:step() -> whether anything is left that could happen. For other hosts, see pollfd(). */
static int loop_step(lua_State *L) {
  struct dop_loop *loop = check_loop(L);
  if (loop->running) return luaL_error(L, "the loop runs already: step was called from a handler");
  lua_pushboolean(L, dop_loop_step(loop, L));
  return 1;
}

static int loop_stop(lua_State *L) {
  dop_loop_stop(check_loop(L));
  return 0;
}

/* loop:pollfd() -> a descriptor that is readable when step() has something to do. */
static int loop_pollfd(lua_State *L) {
  lua_pushinteger(L, uv_backend_fd(&check_loop(L)->uv));
  return 1;
}

/* loop:timeout() -> seconds after which step() is to be called at the latest, nil: no limit. */
static int loop_timeout(lua_State *L) {
  struct dop_loop *loop = check_loop(L);
  uv_update_time(&loop->uv);
  int ms = loop->api->waiting(loop->host) ? 0 : uv_backend_timeout(&loop->uv);
  if (ms < 0) return 0;
  lua_pushnumber(L, (lua_Number)ms / 1000);
  return 1;
}

/* loop:now() -> seconds on the clock that the machine sees. */
static int loop_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)uv_now(&check_loop(L)->uv) / 1000);
  return 1;
}

/* loop:running() -> whether run() or step() is under way. */
static int loop_running(lua_State *L) {
  lua_pushboolean(L, check_loop(L)->running);
  return 1;
}

static int loop_hold(lua_State *L) {
  dop_loop_hold(check_loop(L));
  return 0;
}

/* For a loop that is closed already there is nothing to let go. */
static int loop_release(lua_State *L) {
  struct dop_loop *loop = ((struct loop_box *)luaL_checkudata(L, 1, LOOP_TYPE))->loop;
  if (loop && loop->holds) dop_loop_release(loop);
  return 0;
}

/* --- listeners --- */

struct listener_box {
  struct dop_listener *listener;
};

static const char *field(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  return lua_tostring(L, -1); /* stays on the stack, so the string stays */
}

/* loop:listen(server, {host, port} or {socket, mode}, with tls or not) -> listener, port | nil,
 * message, code */
static int loop_listen(lua_State *L) {
  struct dop_loop *loop = check_loop(L);
  struct dop_transport *t = check_core(L, 2, "dop.transport");
  luaL_checktype(L, 3, LUA_TTABLE);
  int err, mode = -1;
  struct listener_box *box = dop_newuserdata(L, sizeof *box);
  box->listener = NULL;
  luaL_getmetatable(L, LISTENER_TYPE);
  lua_setmetatable(L, -2);
  int self = lua_gettop(L);
  dop_loop_touch(loop);
  struct dop_tls_context *tls = tls_field(L, 3);
  const char *path = field(L, 3, "socket");
  struct dop_listener *listener;
  if (path) {
    lua_getfield(L, 3, "mode");
    if (lua_isnumber(L, -1)) mode = (int)lua_tointeger(L, -1);
    listener = dop_listen_unix(loop, t, path, mode, &err);
  } else {
    const char *host = field(L, 3, "host");
    const char *port = field(L, 3, "port");
    lua_getfield(L, 3, "reuse_port");
    listener = dop_listen_tcp(loop, t, host, port, lua_toboolean(L, -1), &err);
  }
  if (!listener) return fail_uv(L, err, "cannot listen");
  dop_listener_own(listener, &box->listener);
  dop_listener_secure(listener, tls);
  lua_pushvalue(L, self);
  lua_pushinteger(L, dop_listener_port(box->listener));
  return 2;
}

static int listener_close(lua_State *L) {
  struct listener_box *box = luaL_checkudata(L, 1, LISTENER_TYPE);
  if (box->listener) dop_listener_close(box->listener);
  return 0;
}

/* listener:secure(tls): new connections are encrypted with it. What it is encrypted with already
 * leaves the keys of its tickets to it. true | nil, message, code */
static int listener_secure(lua_State *L) {
  struct listener_box *box = luaL_checkudata(L, 1, LISTENER_TYPE);
  struct dop_tls_context *tls = dop_check_tls(L, 2), *before;
  if (!box->listener) return fail(L, "CLOSED", "the server is closed");
  before = dop_listener_tls(box->listener);
  if (before && dop_tls_context_inherit(tls, before)) return fail(L, "ENOMEM", "no memory for TLS");
  dop_listener_secure(box->listener, tls);
  lua_pushboolean(L, 1);
  return 1;
}

/* --- dialling --- */

/* loop:dial(client, {host, port} or {socket}, plus {authority, target, headers, tls} and perhaps
 *   {proxy_host, proxy_port, tunnel, tunnel_headers})
 *   -> true | nil, message, code. How the attempt ends is an event of the client. */
static int loop_dial(lua_State *L) {
  struct dop_loop *loop = check_loop(L);
  struct dop_transport *t = check_core(L, 2, "dop.transport");
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checkstack(L, 16, NULL);
  struct dop_target target;
  target.path = field(L, 3, "socket");
  target.host = field(L, 3, "host");
  target.service = field(L, 3, "port");
  target.authority = field(L, 3, "authority");
  target.resource = field(L, 3, "target");
  target.headers = field(L, 3, "headers");
  target.tls = tls_field(L, 3);
  target.proxy = field(L, 3, "proxy_host");
  target.proxy_service = field(L, 3, "proxy_port");
  target.tunnel.to = field(L, 3, "tunnel");
  target.tunnel.headers = field(L, 3, "tunnel_headers");
  dop_loop_touch(loop);
  int err = dop_dial(loop, t, &target);
  if (err) return fail_uv(L, err, "cannot dial");
  lua_pushboolean(L, 1);
  return 1;
}

/* loop:tls(role, settings) -> what connections are encrypted with | nil, message, code */
static int loop_tls(lua_State *L) {
  struct dop_loop *loop = check_loop(L);
  return dop_tls_new_userdata(L, loop);
}

/* --- timers --- */

struct timer {
  uv_timer_t uv;
  struct dop_resource resource;
  struct dop_loop *loop;
  struct timer_box *box;        /* NULL once the userdata is gone */
  struct dop_transport *client; /* which learns it when the function fails; may be NULL */
  int fn;     /* in the registry: keeps the function; LUA_NOREF once it was called */
  int anchor; /* in the registry: keeps the userdata while the timer runs */
  int started;
};

struct timer_box {
  struct timer *timer; /* NULL once it fired or was stopped */
};

static void on_timer_closed(uv_handle_t *handle) {
  struct timer *t = DOP_CONTAINER(handle, struct timer, uv);
  dop_resource_remove(t->loop, &t->resource);
  if (t->client) t->loop->api->transport_unref(t->client);
  t->loop->api->free(t);
}

static void close_timer(struct timer *t) {
  if (t->box) t->box->timer = NULL;
  t->box = NULL;
  if (!uv_is_closing((uv_handle_t *)&t->uv)) uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

/* At the end of the Lua state: the registry goes with it. */
static void shut_timer(struct dop_resource *r) {
  close_timer(DOP_CONTAINER(r, struct timer, resource));
}

static void release(lua_State *L, struct timer *t) {
  luaL_unref(L, LUA_REGISTRYINDEX, t->fn);
  luaL_unref(L, LUA_REGISTRYINDEX, t->anchor);
  t->fn = t->anchor = LUA_NOREF;
}

#define AGAIN 20 /* ms until a timer is tried again for which Lua had no memory */

/* Runs protected, as everything that touches the registry's table. */
static int call_timer(lua_State *L) {
  struct timer *t = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->fn);
  release(L, t);
  close_timer(t);
  lua_call(L, 0, 0);
  return 0;
}

static void on_lua_timer(uv_timer_t *handle) {
  struct timer *t = DOP_CONTAINER(handle, struct timer, uv);
  struct dop_loop *loop = t->loop;
  loop->api->set_time(loop->host, uv_now(&loop->uv));
  struct dop_transport *client = t->client;
  if (client) loop->api->transport_ref(client); /* the timer is freed before its function ends */
  int failed = loop->api->call(loop->host, call_timer, t, "a timer");
  if (failed && t->fn != LUA_NOREF) { /* it never began */
    uv_timer_start(handle, on_lua_timer, AGAIN, 0);
    failed = 0;
  }
  if (client) {
    if (failed) loop->api->down(client, "ENOMEM", "the timer of the next attempt failed");
    loop->api->transport_unref(client);
  }
  dop_loop_flush(loop);
}

/* loop:timer(seconds, fn [, client]) -> timer: calls fn once, unless timer:stop() comes before.
 * From a handler the least is a millisecond. When fn fails, the client has no socket: it is told
 * so. */
static int loop_timer(lua_State *L) {
  struct dop_loop *loop = check_loop(L);
  double seconds = luaL_checknumber(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  struct dop_transport *client = lua_isnoneornil(L, 4) ? NULL : check_core(L, 4, "dop.transport");
  if (!(seconds >= 0 && seconds <= 1e9))
    return luaL_argerror(L, 2, "seconds between 0 and 1e9 expected");
  struct timer_box *box = dop_newuserdata(L, sizeof *box);
  box->timer = NULL;
  luaL_getmetatable(L, TIMER_TYPE);
  lua_setmetatable(L, -2);
  struct timer *t = box->timer = loop->api->zalloc(sizeof *t);
  if (!t) return luaL_error(L, "not enough memory");
  t->loop = loop;
  t->box = box;
  t->fn = t->anchor = LUA_NOREF;
  /* Each may raise; then the timer, which is not started, goes with its userdata. */
  lua_pushvalue(L, 3);
  t->fn = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, -1);
  t->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  t->client = client;
  if (client) loop->api->transport_ref(client);
  t->started = 1;
  dop_loop_touch(loop);
  uv_timer_init(&loop->uv, &t->uv);
  dop_resource_add(loop, &t->resource, shut_timer);
  /* Never before the time, as people read it, and never in the round that started it: a timer that
   * starts itself again must leave the sockets their turn. */
  uint64_t ms = (uint64_t)ceil(seconds * 1000) + dop_loop_lag(loop);
  uv_timer_start(&t->uv, on_lua_timer, ms == 0 && loop->running ? 1 : ms, 0);
  return 1;
}

/* timer:stop() -> whether it was still to come */
static int timer_stop(lua_State *L) {
  struct timer_box *box = luaL_checkudata(L, 1, TIMER_TYPE);
  struct timer *t = box->timer;
  lua_pushboolean(L, t != NULL);
  if (t) {
    release(L, t);
    close_timer(t);
  }
  return 1;
}

static int timer_gc(lua_State *L) {
  struct timer_box *box = luaL_checkudata(L, 1, TIMER_TYPE);
  struct timer *t = box->timer;
  box->timer = NULL;
  if (t && !t->started) {
    release(L, t);
    t->loop->api->free(t);
  } else if (t) {
    close_timer(t);
  }
  return 0;
}

/* --- the module --- */

void dop_uv_type(lua_State *L, const char *name, lua_CFunction gc, const luaL_Reg *methods) {
  if (luaL_newmetatable(L, name)) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_pop(L, 1);
}

static int listener_gc(lua_State *L) {
  return listener_close(L);
}

__attribute__((visibility("default"))) int luaopen_dop_uv(lua_State *L);

int luaopen_dop_uv(lua_State *L) {
  static const luaL_Reg loop_methods[] = {{"run", loop_run},         {"step", loop_step},
                                          {"stop", loop_stop},       {"pollfd", loop_pollfd},
                                          {"timeout", loop_timeout}, {"now", loop_now},
                                          {"running", loop_running}, {"hold", loop_hold},
                                          {"release", loop_release}, {"listen", loop_listen},
                                          {"dial", loop_dial},       {"timer", loop_timer},
                                          {"tls", loop_tls},         {NULL, NULL}};
  static const luaL_Reg listener_methods[] = {
      {"close", listener_close}, {"secure", listener_secure}, {NULL, NULL}};
  static const luaL_Reg timer_methods[] = {{"stop", timer_stop}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"loop", loop_new}, {NULL, NULL}};
  dop_uv_type(L, LOOP_TYPE, loop_gc, loop_methods);
  dop_uv_type(L, LISTENER_TYPE, listener_gc, listener_methods);
  dop_uv_type(L, TIMER_TYPE, timer_gc, timer_methods);
  dop_tls_register(L);
  luaL_newlib(L, functions);
  lua_pushstring(L, uv_version_string());
  lua_setfield(L, -2, "version");
  return 1;
}
