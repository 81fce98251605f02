/* A dialer: brings a client's link to a connection, by name or address, or on a unix socket.
 *
 * Through a proxy it is the proxy's name that is resolved, and the server's only told to it.
 * Names are resolved off the loop; the addresses are tried one after the other; the link's deadline
 * covers all of it. How the attempt ends reaches the application through the link. Owns what
 * belongs to the attempt until the stream is connected.
 */
#ifndef DOP_UV_DIALER_H
#define DOP_UV_DIALER_H

#include "uv/stream.h"

struct dop_target {
  const char *host;                           /* a name or an address; NULL for a unix socket */
  const char *service;                        /* the port */
  const char *path;                           /* of the unix socket */
  struct dop_tls_context *tls;                /* NULL: not encrypted */
  const char *authority, *resource, *headers; /* for the upgrade: Host, target, extra lines */
  const char *proxy, *proxy_service;          /* whom to connect to instead, NULL: nobody */
  struct dop_tunnel tunnel;                   /* what to ask of it */
};

/* Begins an attempt; strings are copied. 0, or a libuv error: nothing was begun then. */
int dop_dial(struct dop_loop *loop, struct dop_transport *t, const struct dop_target *target);

/* Gives up the attempt of a stream that is not connected. The link is dead or lost by then. */
void dop_dialer_cancel(struct dop_stream *s);

#endif
