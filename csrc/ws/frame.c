/* Frames on their way out, and masking for both ways (RFC 6455 section 5). Owns nothing; never
 * allocates except in the buffer it appends to, once for each frame. */
#include "ws/frame.h"

#include <string.h>

#define FIN  0x80u
#define MASK 0x80u

static void xor_word(char *p, uint64_t mask) {
  uint64_t x;

  memcpy(&x, p, sizeof x);
  x ^= mask;
  memcpy(p, &x, sizeof x);
}

void dop_ws_mask(char *data, size_t len, const uint8_t mask[4], size_t phase) {
  uint8_t turned[4];
  uint32_t narrow;
  uint64_t wide;

  /* The common case reads the mask where it lies; it is turned only in the middle of a payload. */
  if ((phase & 3) == 0) {
    memcpy(&narrow, mask, 4);
  } else {
    for (unsigned i = 0; i < 4; i++) turned[i] = mask[(phase + i) & 3];
    memcpy(&narrow, turned, 4);
  }
  wide = (uint64_t)narrow << 32 | narrow; /* the same four bytes twice in either byte order */
  for (; len >= 32; len -= 32, data += 32) {
    for (unsigned i = 0; i < 32; i += 8) xor_word(data + i, wide);
  }
  for (; len >= 8; len -= 8, data += 8) xor_word(data, wide);
  memcpy(turned, &narrow, 4);
  for (size_t i = 0; i < len; i++) data[i] = (char)((uint8_t)data[i] ^ turned[i & 3]);
}

/* Writes the header in its shortest form (5.2) and returns its size. */
static size_t put_header(char *out, unsigned op, size_t len, const uint8_t *mask) {
  unsigned bit = mask != NULL ? MASK : 0;
  uint64_t rest = len;
  size_t size = 2;

  out[0] = (char)(FIN | op);
  if (len < 126) {
    out[1] = (char)(bit | len);
  } else {
    size += len <= 0xFFFF ? 2 : 8;
    out[1] = (char)(bit | (len <= 0xFFFF ? 126 : 127));
    for (size_t i = size - 1; i >= 2; i--, rest >>= 8) out[i] = (char)(rest & 0xFF);
  }
  if (mask != NULL) {
    memcpy(out + size, mask, 4);
    size += 4;
  }
  return size;
}

int dop_ws_write(struct dop_bytes *out, unsigned op, const char *data, size_t len,
                 const uint8_t *mask) {
  char *to;
  size_t size;

  if (len > UINT32_MAX - DOP_WS_HEADER_MAX) return -1; /* more than a buffer can ever hold */
  to = dop_bytes_room(out, DOP_WS_HEADER_MAX + len);
  if (to == NULL) return -1;
  size = put_header(to, op, len, mask);
  if (len != 0) memcpy(to + size, data, len);
  if (mask != NULL) dop_ws_mask(to + size, len, mask, 0);
  out->len += (uint32_t)(size + len);
  return 0;
}

/* How much of the reason fits: a character that would be cut in two is left out whole. */
static size_t fitting(const char *reason) {
  size_t len = strlen(reason);

  if (len <= DOP_WS_CONTROL_MAX - 2) return len;
  len = DOP_WS_CONTROL_MAX - 2;
  while (len > 0 && ((unsigned char)reason[len] & 0xC0) == 0x80) len--;
  return len;
}

int dop_ws_write_close(struct dop_bytes *out, unsigned code, const char *reason,
                       const uint8_t *mask) {
  char payload[DOP_WS_CONTROL_MAX];
  size_t len = 0;

  if (code != 0) {
    payload[0] = (char)(code >> 8 & 0xFF);
    payload[1] = (char)(code & 0xFF);
    len = 2;
    if (reason != NULL) {
      size_t n = fitting(reason);
      memcpy(payload + 2, reason, n);
      len += n;
    }
  }
  return dop_ws_write(out, DOP_WS_OP_CLOSE, payload, len, mask);
}
