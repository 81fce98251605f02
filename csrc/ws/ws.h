/* ws: WebSocket without I/O (RFC 6455). Knows nothing of sessions.
 *
 *   http        heads of HTTP/1.1
 *   upgrade     the opening handshake, both roles
 *   extension   Sec-WebSocket-Extensions, and what is agreed about permessage-deflate
 *   deflate     permessage-deflate at work
 *   connection  frames to messages: fragmentation, control frames, what is a violation
 *   frame       frames on the wire and masking
 *   utf8        the check that runs as text arrives
 */
#ifndef DOP_WS_H
#define DOP_WS_H

#include "ws/connection.h"
#include "ws/deflate.h"
#include "ws/extension.h"
#include "ws/frame.h"
#include "ws/upgrade.h"
#include "ws/utf8.h"

#endif
