/* A WebSocket after its upgrade (RFC 6455 sections 5 to 7): bytes in, messages and control frames
 * out. It decides what is a violation; what to do about it is the caller's.
 *
 * A message that lies whole in the input in one frame is unmasked and checked in place and handed
 * out where it lies: nothing is allocated, nothing is copied. Otherwise the parts are gathered in
 * `assembly`, unmasked and checked as they arrive, so at most a header or a control frame is left
 * unread. Owns `assembly`; the input is the caller's. Never writes to the socket.
 */
#ifndef DOP_WS_CONNECTION_H
#define DOP_WS_CONNECTION_H

#include "base/bytes.h"
#include "ws/deflate.h"

struct dop_ws {
  struct dop_bytes assembly;   /* the message that is being gathered; grows as bytes arrive, never
                                  ahead of them on the word of a length field */
  struct dop_deflate *deflate; /* permessage-deflate is in use; the caller's. NULL: it is not */
  uint64_t missing;            /* payload bytes of the current data frame still to come */
  uint32_t utf8;               /* state of the check of the current text message */
  uint32_t phase;              /* bytes of the current frame already unmasked, modulo 4 matters */
  uint8_t mask[4];
  unsigned server : 1;   /* we are the server: frames must come masked (5.1), else they must not */
  unsigned in_frame : 1; /* inside a data frame whose payload has not all come */
  unsigned in_message : 1; /* a fragmented message has begun */
  unsigned final : 1;      /* the current data frame has FIN */
  unsigned handed_out : 1; /* assembly belongs to an item that was handed out */
  unsigned packed : 1;     /* the message that is being gathered comes compressed */
  unsigned closed : 1;     /* a close frame or an error was handed out: nothing follows */
  unsigned opcode : 4;     /* of the message: text or binary */
};

enum dop_ws_type {
  DOP_WS_MORE, /* nothing whole: come back with what is left and more bytes behind it */
  DOP_WS_PART, /* a fragment was used up, or a piece of it that may have cost a while, and its
                  message goes on: come back at will; len: the bytes that were used */
  DOP_WS_TEXT,
  DOP_WS_BINARY,
  DOP_WS_PING,
  DOP_WS_PONG,
  DOP_WS_CLOSE, /* code: as received, 1005 when the frame was empty; data: the reason */
  DOP_WS_ERROR  /* code: what to close with (1002, 1007, 1009, 1011 without memory); why: a sentence
                 */
};

struct dop_ws_item {
  enum dop_ws_type type;
  uint16_t code;
  char *data; /* in the input or in `assembly`: valid until the next call, writable */
  size_t len;
  const char *why; /* static; for an error only */
};

void dop_ws_init(struct dop_ws *ws, int server);
void dop_ws_dispose(struct dop_ws *ws);

/* Parses the next item out of `in`. Returns how many bytes of it are used up; the caller presents
 * the rest again, from its beginning, together with what came since. Bytes of `in` are changed
 * (unmasked). At most 130 bytes stay unused when the result is DOP_WS_MORE.
 *
 * `max_message` bounds a message after reassembly, seen at the header, before its bytes (1009).
 * A compressed message (RFC 7692) is inflated as it comes, and bounded by what comes out of it:
 * 1009 before a byte beyond the limit has memory, whatever its header says. What no compressor
 * makes is 1007: the frames are right, but the message is not what it says that it is. Refused with
 * 1002: a set RSV bit (but RSV1 at the beginning of a message, when permessage-deflate is in use),
 * an unknown opcode, a control frame that is fragmented or longer than 125, a continuation without
 * a beginning or a new message inside an unfinished one, a length that is not in its shortest form
 * or has the top bit set (5.2), a mask where there must be none and none where there must be one
 * (5.1), a close payload of one byte, a close code that must not be on the wire (7.4). Refused with
 * 1007: bytes that are not UTF-8, as soon as they come, in a text message or in a close reason.
 * After DOP_WS_CLOSE or DOP_WS_ERROR everything is swallowed. */
size_t dop_ws_next(struct dop_ws *ws, char *in, size_t len, size_t max_message,
                   struct dop_ws_item *item);

/* Whether an endpoint may send this close code (RFC 6455 7.4.1, 7.4.2 and the IANA registry). */
int dop_ws_code_ok(unsigned code);

#endif
