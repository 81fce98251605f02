/* uv: the drivers on libuv. Bytes between sockets and links, time for the engine. Knows no Lua.
 *
 *   loop      a libuv loop that drives one engine
 *   stream    one connection
 *   secure    a connection that is encrypted: between its socket and its link stands ...
 *   tls       ... a TLS session, made with ...
 *   tls_context  ... a certificate, a key, and whom they trust
 *   listener  accepts connections for a server
 *   dialer    makes a connection for a client
 *   address   addresses for people
 */
#ifndef DOP_UV_H
#define DOP_UV_H

#include "uv/address.h"
#include "uv/dialer.h"
#include "uv/listener.h"
#include "uv/loop.h"
#include "uv/secure.h"
#include "uv/stream.h"

#endif
