/* A listener: accepts connections for a server's transport, on TCP or a unix socket.
 *
 * Owns its handle and one reference of the transport. A unix socket's file is removed when it
 * closes; one that a dead process left behind is replaced.
 */
#ifndef DOP_UV_LISTENER_H
#define DOP_UV_LISTENER_H

#include "uv/loop.h"

struct dop_listener;
struct dop_tls_context;

/* Binds and listens. `host` and `service` are resolved here and now (they may be names); the first
 * address counts; service "0" takes any free port. `shared`: with others who say so, of this user.
 * NULL with a libuv error in *err. */
struct dop_listener *dop_listen_tcp(struct dop_loop *loop, struct dop_transport *t,
                                    const char *host, const char *service, int shared, int *err);

/* The same on a unix socket; `mode` as in chmod, -1: as the umask has it. */
struct dop_listener *dop_listen_unix(struct dop_loop *loop, struct dop_transport *t,
                                     const char *path, int mode, int *err);

/* New connections are encrypted with it, NULL: they are not. Takes a reference. */
void dop_listener_secure(struct dop_listener *l, struct dop_tls_context *tls);
struct dop_tls_context *dop_listener_tls(const struct dop_listener *l);

/* The port that it listens on, 0 for a unix socket. */
int dop_listener_port(const struct dop_listener *l);

/* Where the owner keeps its pointer: it becomes NULL when the listener closes, by whatever cause.
 */
void dop_listener_own(struct dop_listener *l, struct dop_listener **owner);

/* Stops accepting; connections that are there stay. The listener frees itself. */
void dop_listener_close(struct dop_listener *l);

#endif
