/* dop.link: a socket's worth of protocol for hosts that are written in Lua and own the real socket:
 * bytes in, bytes out. Also where a request becomes a table. Owns one reference of the link. */
#include <string.h>

#include "bind/check.h"
#include "bind/objects.h"

struct link_box {
  struct dop_link *link;
  struct dop_host *host;
  unsigned busy : 1;
};

/* --- requests --- */

static void push_span(lua_State *L, struct dop_span s) {
  lua_pushlstring(L, s.data, s.len);
}

/* Adds a field to the table on top, its name in lower case; a repeated one is joined by ", ". */
static void add_header(lua_State *L, const struct dop_field *f) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < f->name.len; i++) {
    char c = f->name.data[i];
    luaL_addchar(&b, (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c));
  }
  luaL_pushresult(&b);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    push_span(L, f->value);
  } else {
    lua_pushliteral(L, ", ");
    push_span(L, f->value);
    lua_concat(L, 3);
  }
  lua_rawset(L, -3);
}

static void push_head(lua_State *L, const struct dop_upgrade_request *req, const char *address) {
  const struct dop_head *head = &req->head;
  const char *mark = memchr(head->target.data, '?', head->target.len);
  size_t path = mark ? (size_t)(mark - head->target.data) : head->target.len;
  lua_createtable(L, 0, 6);
  push_span(L, head->method);
  lua_setfield(L, -2, "method");
  push_span(L, head->target);
  lua_setfield(L, -2, "target");
  lua_pushlstring(L, head->target.data, path);
  lua_setfield(L, -2, "path");
  if (mark) {
    lua_pushlstring(L, mark + 1, head->target.len - path - 1);
    lua_setfield(L, -2, "query");
  }
  lua_pushstring(L, address);
  lua_setfield(L, -2, "address");
  lua_createtable(L, (int)req->protocol_count, 0);
  for (unsigned i = 0; i < req->protocol_count; i++) {
    push_span(L, req->protocols[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_setfield(L, -2, "protocols");
  lua_createtable(L, 0, (int)head->count);
  for (unsigned i = 0; i < head->count; i++) add_header(L, &head->fields[i]);
  lua_setfield(L, -2, "headers");
}

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

void dop_push_tls(lua_State *L, struct dop_link *l) {
  const struct dop_host *h = dop_host_of(l->socket.transport);
  struct dop_tls_facts f;
  if (!l->driver || !h->tls_facts || h->tls_facts(l->driver, &f)) {
    lua_pushnil(L);
    return;
  }
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, 0, 7);
  set_text(L, "version", f.version);
  set_text(L, "cipher", f.cipher);
  set_text(L, "alpn", f.protocol);
  set_text(L, "server_name", f.server_name);
  set_text(L, "subject", f.subject);
  set_text(L, "fingerprint", f.fingerprint);
  lua_pushboolean(L, f.resumed);
  lua_setfield(L, -2, "resumed");
}

void dop_push_request(lua_State *L, struct dop_socket *s) {
  struct dop_link *l = dop_link_of(s);
  struct dop_upgrade_request req;
  luaL_checkstack(L, 12, NULL);
  if (l && dop_link_request(l, &req) == 0) {
    push_head(L, &req, l->address);
    dop_push_tls(L, l);
    lua_setfield(L, -2, "tls");
  } else if (dop_inproc_is(s)) {
    lua_createtable(L, 0, 4);
    lua_pushliteral(L, "LOCAL");
    lua_setfield(L, -2, "method");
    lua_pushstring(L, dop_inproc_name(s));
    lua_setfield(L, -2, "path");
    lua_newtable(L);
    lua_setfield(L, -2, "protocols");
    lua_newtable(L);
    lua_setfield(L, -2, "headers");
    lua_pushliteral(L, "local");
    lua_setfield(L, -2, "address");
  } else {
    lua_pushnil(L);
  }
}

/* --- links of Lua hosts --- */

static struct link_box *check_link(lua_State *L) {
  struct link_box *box = luaL_checkudata(L, 1, DOP_LINK_TYPE);
  if (!box->link) luaL_argerror(L, 1, "this link is gone: the Lua state is closing");
  return box;
}

static struct link_box *new_box(lua_State *L, struct dop_host *h) {
  struct link_box *box = dop_newuserdata(L, sizeof *box);
  memset(box, 0, sizeof *box);
  luaL_getmetatable(L, DOP_LINK_TYPE);
  lua_setmetatable(L, -2);
  box->host = h;
  dop_host_ref(h);
  return box;
}

/* A host in Lua asks for the output by itself: the list of sockets that have some, which nobody
 * would empty, does without this one. It was made just now, so it is the list's first or not in it.
 */
static void leave_to_host(struct link_box *box) {
  struct dop_socket *s = &box->link->socket;
  if (s->dirty) dop_socket_unref(dop_socket_take_dirty(&box->host->engine));
  s->dirty = 1;
}

/* core.accept(server [, address]) -> link | nil, message, code */
static int link_accept(lua_State *L) {
  struct dop_transport_box *t = dop_check_transport(L, 1);
  const char *address = luaL_optstring(L, 2, NULL);
  if (t->transport->role != DOP_SERVER) return luaL_argerror(L, 1, "a server expected");
  struct link_box *box = new_box(L, t->host);
  box->link = dop_link_accept(t->transport, address);
  if (!box->link) return dop_fail(L, "ENOMEM", "no memory for a link");
  leave_to_host(box);
  return 1;
}

/* core.dial(client, host, target [, headers [, tunnel [, its headers]]]) -> link | nil, message,
 * code */
static int link_dial(lua_State *L) {
  struct dop_transport_box *t = dop_check_transport(L, 1);
  const char *host = luaL_checkstring(L, 2), *target = luaL_checkstring(L, 3);
  const char *headers = luaL_optstring(L, 4, NULL);
  struct dop_tunnel via = {luaL_optstring(L, 5, NULL), luaL_optstring(L, 6, NULL)};
  if (t->transport->role != DOP_CLIENT) return luaL_argerror(L, 1, "a client expected");
  struct link_box *box = new_box(L, t->host);
  box->link = dop_link_dial(t->transport, host, target, headers, via.to ? &via : NULL);
  if (!box->link) return dop_fail(L, "ENOMEM", "no memory or no randomness for a link");
  leave_to_host(box);
  return 1;
}

static int link_gc(lua_State *L) {
  struct link_box *box = luaL_checkudata(L, 1, DOP_LINK_TYPE);
  if (box->link) {
    dop_link_lost(box->link, "EOF", "the host let go of the link");
    dop_socket_unref(&box->link->socket);
    box->link = NULL;
  }
  if (box->host) dop_host_unref(box->host);
  box->host = NULL;
  return 0;
}

/* link:feed(bytes): they came from the socket. Runs handlers, so it may not be called from one of
 * the same link. Bytes for a link that is over are dropped. */
static int link_feed(lua_State *L) {
  struct link_box *box = check_link(L);
  size_t len;
  const char *bytes = dop_check_string(L, 2, &len);
  if (box->busy) return luaL_error(L, "feed was called from a handler of the same link");
  if (!len) return 0;
  char *copy = dop_malloc(len); /* parsing unmasks in place, and a Lua string may not change */
  if (!copy) return luaL_error(L, "no memory for %d bytes", (int)len);
  memcpy(copy, bytes, len);
  lua_State *before = dop_host_enter(box->host, L);
  box->busy = 1;
  dop_socket_ref(&box->link->socket);
  dop_core_api.feed(box->host, box->link, copy, len);
  dop_socket_unref(&box->link->socket);
  box->busy = 0;
  dop_host_leave(box->host, before);
  dop_free(copy);
  return 0;
}

/* link:output() -> bytes to write, "" when there are none. They count as written. */
static int link_output(lua_State *L) {
  struct link_box *box = check_link(L);
  size_t len;
  const char *out = dop_link_output(box->link, &len);
  lua_pushlstring(L, out ? out : "", len);
  if (len) dop_link_sent(box->link, len);
  return 1;
}

/* link:lost([code [, why]]): the socket ended. */
static int link_lost(lua_State *L) {
  struct link_box *box = check_link(L);
  if (lua_isnoneornil(L, 2))
    dop_link_eof(box->link);
  else
    dop_link_lost(box->link, luaL_checkstring(L, 2), luaL_optstring(L, 3, "the socket failed"));
  return 0;
}

/* link:ending() -> nil while it is in use; "fin": close the writing side once all output is
 * written; "over": close once all output is written; "dead": close now; and whether by reset. */
static int link_ending(lua_State *L) {
  struct dop_link *l = check_link(L)->link;
  if (l->dead)
    lua_pushliteral(L, "dead");
  else if (l->over)
    lua_pushliteral(L, "over");
  else if (l->fin)
    lua_pushliteral(L, "fin");
  else
    lua_pushnil(L);
  lua_pushboolean(L, l->reset);
  return 2;
}

static const luaL_Reg link_meta[] = {{"__gc", link_gc}, {NULL, NULL}};
static const luaL_Reg link_methods[] = {{"feed", link_feed},
                                        {"output", link_output},
                                        {"lost", link_lost},
                                        {"ending", link_ending},
                                        {NULL, NULL}};

void dop_link_register(lua_State *L) {
  static const luaL_Reg functions[] = {{"accept", link_accept}, {"dial", link_dial}, {NULL, NULL}};
  dop_new_type(L, DOP_LINK_TYPE, link_meta, link_methods, NULL);
  luaL_setfuncs(L, functions, 0);
}
