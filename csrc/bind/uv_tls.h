/* dop.tls: what connections are encrypted with, as Lua sees it: a context of uv/tls_context.h. */
#ifndef DOP_BIND_UV_TLS_H
#define DOP_BIND_UV_TLS_H

#include "bind/compat.h"
#include "uv/uv.h"

/* A type of dop.uv: its metatable with that finalizer and those methods. */
void dop_uv_type(lua_State *L, const char *name, lua_CFunction gc, const luaL_Reg *methods);

/* The context at `arg`; raises when it is something else. */
struct dop_tls_context *dop_check_tls(lua_State *L, int arg);

/* Of loop:tls(role, settings), which has checked the loop: makes the userdata. Settings: cert, key,
 * ca, ciphers, min_version, and a server's client_cert and hosts, a client's name and verify. Their
 * types are checked by lua/. */
int dop_tls_new_userdata(lua_State *L, struct dop_loop *loop);

void dop_tls_register(lua_State *L);

#endif
