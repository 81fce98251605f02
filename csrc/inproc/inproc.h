/* The in-process transport: two sockets without a wire, for `local:` URLs.
 *
 * What one end sends waits in the other's queue until the host's next turn takes it out, so that
 * events come in the same order and as asynchronously as over a network. Each end owns what waits
 * for it. There is no upgrade and no liveness: both ends live in one process.
 */
#ifndef DOP_INPROC_H
#define DOP_INPROC_H

#include "session/session.h"

/* Joins `client` to `server`, which lives on the same engine; `name` is what was asked for. The
 * server may ask its application first (DOP_EVENT_REQUEST). 0; or -1 when the server has no room or
 * there is no memory: nothing happened then. */
int dop_inproc_connect(struct dop_transport *client, struct dop_transport *server,
                       const char *name);

/* Whether `s` is an end of this transport, and the name that the client asked for. */
int dop_inproc_is(const struct dop_socket *s);
const char *dop_inproc_name(const struct dop_socket *s);

/* The server's answer to a request; elsewhere they do nothing. */
int dop_inproc_waits(const struct dop_socket *s); /* whether the decision is still to come */
void dop_inproc_allow(struct dop_socket *s);
void dop_inproc_refuse(struct dop_socket *s, unsigned status);

#endif
