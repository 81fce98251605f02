/* dop.tls; see uv_tls.h. Owns one reference of its context. */
#include "bind/uv_tls.h"

#include <string.h>

#define TLS_TYPE "dop.tls"

struct tls_box {
  struct dop_tls_context *context;
};

struct dop_tls_context *dop_check_tls(lua_State *L, int arg) {
  struct tls_box *box = luaL_checkudata(L, arg, TLS_TYPE);
  if (!box->context) luaL_argerror(L, arg, "it is gone: the Lua state is closing");
  return box->context;
}

static int tls_gc(lua_State *L) {
  struct tls_box *box = luaL_checkudata(L, 1, TLS_TYPE);
  dop_tls_context_unref(box->context);
  box->context = NULL;
  return 0;
}

static int fail(lua_State *L, const char *code, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  lua_pushstring(L, code);
  return 3;
}

static const char *text(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  return lua_tostring(L, -1); /* stays on the stack, so the string stays */
}

static int is(lua_State *L, int table, const char *name, const char *word) {
  const char *value = text(L, table, name);
  return value && strcmp(value, word) == 0;
}

/* The certificates of a server's further names. */
static int add_hosts(lua_State *L, int table, struct dop_tls_context *c, const char **code,
                     char *why) {
  int err = 0, top = lua_gettop(L);
  lua_getfield(L, table, "hosts");
  if (!lua_istable(L, -1)) return 0;
  lua_pushnil(L);
  while (!err && lua_next(L, top + 1)) {
    const char *name = lua_tostring(L, top + 2);
    const char *cert = text(L, top + 3, "cert"), *key = text(L, top + 3, "key");
    err = dop_tls_context_host(c, name, cert, key, code, why);
    lua_settop(L, top + 2);
  }
  return err;
}

/* The authorities that a client trusts when it names none: read once, for all clients. */
static X509_STORE *system_store(struct dop_loop *loop) {
  struct dop_tls_shared *shared = dop_secure_shared(loop);
  if (shared && !shared->store) shared->store = dop_tls_system_store();
  return shared ? shared->store : NULL;
}

int dop_tls_new_userdata(lua_State *L, struct dop_loop *loop) {
  const char *code = "ENOMEM";
  char why[DOP_TLS_WHY] = "no memory for TLS";
  struct dop_tls_settings s = {.server = strcmp(luaL_checkstring(L, 2), "server") == 0};
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  luaL_checkstack(L, 20, NULL);
  struct tls_box *box = dop_newuserdata(L, sizeof *box);
  box->context = NULL;
  luaL_getmetatable(L, TLS_TYPE);
  lua_setmetatable(L, -2);
  s.cert = text(L, 3, "cert");
  s.key = text(L, 3, "key");
  s.ca = text(L, 3, "ca");
  s.crl = text(L, 3, "crl");
  s.ciphers = text(L, 3, "ciphers");
  s.name = text(L, 3, "name");
  s.tls13_only = is(L, 3, "min_version", "1.3");
  s.need_cert = is(L, 3, "client_cert", "required");
  s.ask_cert = is(L, 3, "client_cert", "optional");
  lua_getfield(L, 3, "verify");
  s.no_verify = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  X509_STORE *store = s.server || s.ca || s.no_verify ? NULL : system_store(loop);
  box->context = dop_tls_context_new(loop->api, store, &s, &code, why);
  if (!box->context || add_hosts(L, 3, box->context, &code, why)) return fail(L, code, why);
  lua_settop(L, 4);
  return 1;
}

void dop_tls_register(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  dop_uv_type(L, TLS_TYPE, tls_gc, none);
}
