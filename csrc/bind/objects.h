/* The userdata that Lua sees: engine, transport, node, token, link, network. One file each.
 *
 * Each userdata holds one reference of its C block. A node is anchored in the registry from the
 * first time Lua hears of it until it is DISCONNECTED and everything about it was told; a transport
 * from its creation until it is closed and its last socket is gone. After that they are ordinary
 * garbage.
 */
#ifndef DOP_BIND_OBJECTS_H
#define DOP_BIND_OBJECTS_H

#include "bind/host.h"
#include "inproc/inproc.h"

#define DOP_TRANSPORT_TYPE "dop.transport"
#define DOP_NODE_TYPE      "dop.node"
#define DOP_TOKEN_TYPE     "dop.token"
#define DOP_LINK_TYPE      "dop.link"
#define DOP_NETWORK_TYPE   "dop.network"

struct dop_transport_box {
  struct dop_transport *transport;
  struct dop_host *host;
  struct dop_transport_box *next; /* in the host's list while anchored */
  int anchor;                     /* see host.h, LUA_NOREF once it is garbage */
  unsigned killed : 1;            /* its process died: nobody there is told anything any more */
};

struct dop_node_box {
  struct dop_node *node;
  unsigned has_values : 1;   /* a table of user values was set */
  unsigned has_handlers : 1; /* and it has handlers in it */
  uint32_t tag;              /* DOP_NODE_TAG: what is looked at before the name of the type */
};

#define DOP_NODE_TAG 0x646f706eu

/* Pushes the node's userdata, creating it when Lua has not seen the node yet. */
struct dop_node_box *dop_push_node(lua_State *L, struct dop_node *n);

/* Lets go of the node's userdata when nothing more will be told about it. Never raises. */
void dop_release_node(lua_State *L, struct dop_node *n);

/* Pushes the table of user values of the node at `i`, creating it. */
void dop_node_values(lua_State *L, int i);

/* Pushes the transport's userdata, nil when it is gone. Its user values are a table with a list of
 * handlers under each event's number, and whatever lua/ keeps there under names. */
void dop_push_transport(lua_State *L, struct dop_transport *t);

/* Lets go of closed transports whose last socket and event are gone. Never raises. */
void dop_release_transports(struct dop_host *h);

/* Pushes a token's userdata, nil for NULL. The token is copied. */
void dop_push_token(lua_State *L, const struct dop_token *t);

/* Pushes a table {method, target, path, query, headers, address, tls} of what a server's socket was
 * asked, or nil when that is kept no more. */
void dop_push_request(lua_State *L, struct dop_socket *s);

/* Pushes a table of what is known of a link's TLS, or nil when it is not encrypted. */
void dop_push_tls(lua_State *L, struct dop_link *l);

struct dop_transport_box *dop_check_transport(lua_State *L, int arg);
struct dop_node *dop_check_node(lua_State *L, int arg);

/* Creates a type: its metatable, `methods`, and the getters of its properties. An object is asked
 * for a method first, then a getter. Idempotent. */
void dop_new_type(lua_State *L, const char *name, const luaL_Reg *meta, const luaL_Reg *methods,
                  const luaL_Reg *getters);

void dop_transport_register(lua_State *L);
void dop_node_register(lua_State *L);
void dop_token_register(lua_State *L);
void dop_link_register(lua_State *L);
void dop_network_register(lua_State *L);

#endif
