/* Frames of RFC 6455 section 5: the header on the wire, and masking. Pure, never allocates except
 * in the buffer it appends to. Reading is in connection.h, because a frame makes sense only there.
 */
#ifndef DOP_WS_FRAME_H
#define DOP_WS_FRAME_H

#include "base/bytes.h"

enum dop_ws_opcode {
  DOP_WS_OP_CONTINUATION = 0x0,
  DOP_WS_OP_TEXT = 0x1,
  DOP_WS_OP_BINARY = 0x2,
  DOP_WS_OP_CLOSE = 0x8,
  DOP_WS_OP_PING = 0x9,
  DOP_WS_OP_PONG = 0xA
};

#define DOP_WS_RSV1        0x40 /* on an opcode: the message is compressed (RFC 7692 section 6) */
#define DOP_WS_HEADER_MAX  14   /* 2 + 8 of length + 4 of mask */
#define DOP_WS_CONTROL_MAX 125  /* RFC 6455 5.5 */

/* XORs `data` in place with `mask`; `phase` is how many bytes of the same payload went before
 * (RFC 6455 5.3). Eight bytes at a time. */
void dop_ws_mask(char *data, size_t len, const uint8_t mask[4], size_t phase);

/* Appends one whole frame (FIN set) to `out`: the header in its shortest form, with an opcode of
 * the above and perhaps DOP_WS_RSV1, then the payload, masked when `mask` is not NULL. 0, or -1
 * without memory (nothing was appended then). */
int dop_ws_write(struct dop_bytes *out, unsigned op, const char *data, size_t len,
                 const uint8_t *mask);

/* The same for a close frame: `code` 0 writes an empty one; a reason that is too long for 125
 * bytes is cut at a character boundary (RFC 6455 5.5.1). `reason` may be NULL. */
int dop_ws_write_close(struct dop_bytes *out, unsigned code, const char *reason,
                       const uint8_t *mask);

#endif
