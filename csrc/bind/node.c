/* dop.node: one end of a session as Lua sees it. Owns one reference of the node; what the
 * application and its handlers keep with it lies in a table of user values, made when it is needed:
 * an idle session has none. */
#include <string.h>

#include "bind/check.h"
#include "bind/objects.h"
#include "session/lossless.h"

struct dop_node_box *dop_push_node(lua_State *L, struct dop_node *n) {
  if (n->app) {
    dop_push_anchored(L, dop_host_of(n->transport), n->app);
    return lua_touserdata(L, -1);
  }
  struct dop_node_box *box = dop_newuserdata(L, sizeof *box);
  memset(box, 0, sizeof *box);
  luaL_getmetatable(L, DOP_NODE_TYPE);
  lua_setmetatable(L, -2);
  box->tag = DOP_NODE_TAG;
  box->node = n;
  dop_node_ref(n);
  lua_pushvalue(L, -1);
  n->app = dop_anchor(L, dop_host_of(n->transport));
  if (n != n->transport->current) return box;
  /* A client's node is there for as long as its transport, also when it has ended. */
  dop_push_transport(L, n->transport);
  if (!lua_isnil(L, -1)) {
    dop_get_values(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "node");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return box;
}

void dop_release_node(lua_State *L, struct dop_node *n) {
  if (!n->app || n->events || n->status != DOP_DISCONNECTED) return;
  dop_unanchor(L, dop_host_of(n->transport), n->app);
  n->app = 0;
}

/* Every message comes through here: size and tag tell a node without a search in the registry. */
static struct dop_node_box *check_box(lua_State *L, int arg) {
  struct dop_node_box *box = lua_touserdata(L, arg);
  if (box && lua_rawlen(L, arg) == sizeof *box && box->tag == DOP_NODE_TAG) return box;
  return luaL_checkudata(L, arg, DOP_NODE_TYPE);
}

/* A finalizer may still use a node after node_gc(), when the Lua state closes. */
struct dop_node *dop_check_node(lua_State *L, int arg) {
  struct dop_node *n = check_box(L, arg)->node;
  if (!n) luaL_argerror(L, arg, "this node is gone: the Lua state is closing");
  return n;
}

void dop_node_values(lua_State *L, int i) {
  struct dop_node_box *box = lua_touserdata(L, i);
  if (box->has_values) {
    dop_get_values(L, i);
    return;
  }
  i = lua_absindex(L, i);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  dop_set_values(L, i);
  box->has_values = 1;
}

/* At the end of the Lua state anchors mean nothing: the node is taken from its transport by that
 * transport's own end. */
static int node_gc(lua_State *L) {
  struct dop_node_box *box = check_box(L, 1);
  struct dop_node *n = box->node;
  box->node = NULL;
  if (!n) return 0;
  n->app = 0;
  dop_node_unref(n);
  return 0;
}

static int node_tostring(lua_State *L) {
  struct dop_node *n = dop_check_node(L, 1);
  lua_pushfstring(L, "dop.node(%s, socket %d)", dop_status_name(n->status), (int)n->socket_number);
  return 1;
}

/* --- methods --- */

/* Why a message was not accepted: the results of node:send(). */
static int not_sent(lua_State *L, struct dop_node *n, enum dop_sent sent, size_t len) {
  const struct dop_limits *l = &n->transport->limits;
  switch (sent) {
  case DOP_SEND_FULL:
    return dop_fail(L, "FULL",
                    "%d messages of %d bytes wait to be written (limits: %d messages, %d bytes); "
                    "wait for 'drain'",
                    (int)n->queue.count, (int)dop_queue_size(&n->queue), (int)l->queue_messages,
                    (int)l->queue_bytes);
  case DOP_SEND_TOOLARGE:
    if (n->account && !n->account->peer.max_message)
      return dop_fail(L, "TOOLARGE",
                      "a message of %d bytes is above %d bytes, the most until the peer has said "
                      "what it takes",
                      (int)len, (int)dop_node_max_message(n));
    return dop_fail(L, "TOOLARGE", "a message of %d bytes is above max_message%s, %d bytes",
                    (int)len, n->account ? " of the peer" : "", (int)dop_node_max_message(n));
  case DOP_SEND_RESERVED:
    return dop_fail(L, "RESERVED",
                    "a text equal to the session's token means its end and cannot be sent");
  case DOP_SEND_CLOSED:
    return dop_fail(L, "CLOSED", "this session is DISCONNECTED");
  default:
    return dop_fail(L, "ENOMEM", "no memory for a message of %d bytes", (int)len);
  }
}

/* node:send(message [, kind [, {compress = boolean}]]) -> true | nil, message, code
 * Accepts a message: it leaves in order as soon as the node is CONNECTED. Codes: FULL, TOOLARGE,
 * RESERVED, BADUTF8, CLOSED, ENOMEM. */
static int node_send(lua_State *L) {
  struct dop_node *n = dop_check_node(L, 1);
  size_t len;
  const char *data = dop_check_string(L, 2, &len);
  enum dop_kind kind = dop_check_kind(L, 3);
  const struct dop_message m = {kind, dop_check_compress(L, 4), data, len};
  if (kind == DOP_TEXT && dop_utf8_check(DOP_UTF8_START, data, len) != DOP_UTF8_START)
    return dop_fail(L, "BADUTF8", "a text message must be UTF-8; send bytes as \"binary\"");
  enum dop_sent sent = dop_node_send(n, &m);
  if (sent != DOP_SENT) return not_sent(L, n, sent, len);
  lua_pushboolean(L, 1);
  return 1;
}

/* node:disconnect() -> true | nil, message, "CLOSED"
 * The formal end: what is queued leaves first, the peer is told, the session cannot come back. */
static int node_disconnect(lua_State *L) {
  struct dop_node *n = dop_check_node(L, 1);
  if (dop_node_disconnect(n, 1000, "local"))
    return dop_fail(L, "CLOSED", "this session is DISCONNECTED");
  lua_pushboolean(L, 1);
  return 1;
}

/* node:drop{reset = bool} -> true | nil, message, "NOSOCKET"
 * Loses the socket and keeps the session; with reset the peer sees a TCP reset. */
static int node_drop(lua_State *L) {
  struct dop_node *n = dop_check_node(L, 1);
  int reset = dop_check_flag(L, 2, "reset") > 0;
  if (dop_node_drop(n, reset)) return dop_fail(L, "NOSOCKET", "this node has no socket to drop");
  lua_pushboolean(L, 1);
  return 1;
}

/* node:pause(), node:resume(): stop and go on reading from the socket. A new socket of the session
 * reads again. */
static int set_paused(lua_State *L, int paused) {
  struct dop_node *n = dop_check_node(L, 1);
  if (n->socket) n->socket->ops->pause(n->socket, paused);
  return 0;
}

static int node_pause(lua_State *L) {
  return set_paused(L, 1);
}

static int node_resume(lua_State *L) {
  return set_paused(L, 0);
}

/* core.hold(node), core.release(node): see dop_node_hold(). */
static int node_hold(lua_State *L) {
  dop_node_hold(dop_check_node(L, 1));
  return 0;
}

static int node_release(lua_State *L) {
  dop_node_release(dop_check_node(L, 1));
  return 0;
}

/* --- properties --- */

static int get_status(lua_State *L) {
  lua_pushstring(L, dop_status_name(dop_check_node(L, 1)->status));
  return 1;
}

/* What `authorize` returned for it: a string, nil without one. */
static int get_principal(lua_State *L) {
  const struct dop_token *p = dop_check_node(L, 1)->principal;
  if (!p) return 0;
  lua_pushlstring(L, p->text, p->len);
  return 1;
}

static int get_lossless(lua_State *L) {
  lua_pushboolean(L, dop_check_node(L, 1)->account != NULL);
  return 1;
}

/* Whether its socket has agreed on permessage-deflate. */
static int get_compression(lua_State *L) {
  struct dop_socket *s = dop_check_node(L, 1)->socket;
  struct dop_link *l = s ? dop_link_of(s) : NULL;
  lua_pushboolean(L, l && l->ws.deflate);
  return 1;
}

/* Messages that were written and that the peer is not known to have delivered. */
static int get_unacked(lua_State *L) {
  lua_pushinteger(L, dop_node_unacked(dop_check_node(L, 1)));
  return 1;
}

static int get_token(lua_State *L) {
  dop_push_token(L, dop_check_node(L, 1)->token);
  return 1;
}

/* While a client presents its token, that is its half as far as the server can tell. */
static int get_token_local(lua_State *L) {
  struct dop_node *n = dop_check_node(L, 1);
  dop_push_token(L, n->local ? n->local : n->remote ? n->token : NULL);
  return 1;
}

static int get_token_remote(lua_State *L) {
  dop_push_token(L, dop_check_node(L, 1)->remote);
  return 1;
}

/* Bytes accepted that the system has not taken yet, each message with a few bytes of overhead. */
static int get_queued(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)dop_node_queued(dop_check_node(L, 1)));
  return 1;
}

/* The number of the socket that it has, or had last; nil before the first. */
static int get_socket(lua_State *L) {
  struct dop_node *n = dop_check_node(L, 1);
  if (!n->socket_number) return 0;
  lua_pushinteger(L, n->socket_number);
  return 1;
}

/* Whether the node has a socket now. */
static int get_attached(lua_State *L) {
  lua_pushboolean(L, dop_check_node(L, 1)->socket != NULL);
  return 1;
}

/* The subprotocol of its socket, nil without one. */
static int get_protocol(lua_State *L) {
  struct dop_node *n = dop_check_node(L, 1);
  struct dop_link *l = n->socket ? dop_link_of(n->socket) : NULL;
  struct dop_span name = {NULL, 0};
  if (l) name = dop_link_protocol(l);
  if (name.data)
    lua_pushlstring(L, name.data, name.len);
  else
    lua_pushnil(L);
  return 1;
}

/* The peer's address, nil without a socket; "local" for the in-process transport. */
static int get_peer(lua_State *L) {
  struct dop_socket *s = dop_check_node(L, 1)->socket;
  struct dop_link *l = s ? dop_link_of(s) : NULL;
  if (!s) return 0;
  lua_pushstring(L, l ? l->address : "local");
  return 1;
}

/* What its socket is encrypted with; nil when it is not. */
static int get_tls(lua_State *L) {
  struct dop_socket *s = dop_check_node(L, 1)->socket;
  struct dop_link *l = s ? dop_link_of(s) : NULL;
  if (!l) return 0;
  dop_push_tls(L, l);
  return 1;
}

static int get_transport(lua_State *L) {
  dop_push_transport(L, dop_check_node(L, 1)->transport);
  return 1;
}

/* What the peer asked for when it came. Kept once it was asked for; otherwise given up after the
 * `connect` or `reconnect` handlers, so that idle sessions do not carry it. */
static int get_request(lua_State *L) {
  struct dop_socket *s = dop_check_node(L, 1)->socket;
  if (s) {
    dop_push_request(L, s);
    if (!lua_isnil(L, -1)) {
      dop_node_values(L, 1);
      lua_pushvalue(L, -2);
      lua_setfield(L, -2, "request");
      lua_pop(L, 1);
      return 1;
    }
  }
  if (!((struct dop_node_box *)lua_touserdata(L, 1))->has_values) return 0;
  dop_get_values(L, 1);
  lua_getfield(L, -1, "request");
  return 1;
}

static int get_data(lua_State *L) {
  if (!check_box(L, 1)->has_values) return 0;
  dop_get_values(L, 1);
  lua_getfield(L, -1, "data");
  return 1;
}

/* node.data = anything: the application's own. */
static int node_newindex(lua_State *L) {
  dop_check_node(L, 1);
  if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "data") != 0)
    return luaL_error(L, "only 'data' can be set on a node");
  dop_node_values(L, 1);
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "data");
  return 0;
}

static const luaL_Reg node_meta[] = {
    {"__gc", node_gc}, {"__tostring", node_tostring}, {"__newindex", node_newindex}, {NULL, NULL}};
static const luaL_Reg node_methods[] = {{"send", node_send},     {"disconnect", node_disconnect},
                                        {"drop", node_drop},     {"pause", node_pause},
                                        {"resume", node_resume}, {NULL, NULL}};
static const luaL_Reg node_getters[] = {{"principal", get_principal},
                                        {"lossless", get_lossless},
                                        {"compression", get_compression},
                                        {"unacked", get_unacked},
                                        {"status", get_status},
                                        {"token", get_token},
                                        {"token_local", get_token_local},
                                        {"token_remote", get_token_remote},
                                        {"queued", get_queued},
                                        {"socket", get_socket},
                                        {"attached", get_attached},
                                        {"peer", get_peer},
                                        {"protocol", get_protocol},
                                        {"tls", get_tls},
                                        {"transport", get_transport},
                                        {"request", get_request},
                                        {"data", get_data},
                                        {NULL, NULL}};

void dop_node_register(lua_State *L) {
  dop_new_type(L, DOP_NODE_TYPE, node_meta, node_methods, node_getters);
  lua_pushcfunction(L, node_hold);
  lua_setfield(L, -2, "hold");
  lua_pushcfunction(L, node_release);
  lua_setfield(L, -2, "release");
}
