/* session: the DOP connectivity protocol as a pure machine. Knows neither WebSockets nor Lua.
 *
 *   token      halves, merging, comparing
 *   queue      messages accepted and not yet written
 *   socket     what a node needs of the thing that carries its messages
 *   addresses  how many sockets each address has
 *   directory  from a token to its node
 *   engine     time, randomness, events: the world
 *   transport  one listener's or one client's sessions, and the limits
 *   r1         the grammar of the lossless dialect
 *   lossless   a session's account: counting, acknowledging, writing again
 *   tombs      what is remembered of lossless sessions that are over
 *   node       one end of a session: the protocol; its parts are dialogue, claim, principal, resume
 */
#ifndef DOP_SESSION_H
#define DOP_SESSION_H

#include "session/node.h"

#endif
