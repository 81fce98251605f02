/* SHA-1 and Base64 for the accept key of the upgrade. Pure: no context is kept between calls, and
 * nothing here guards a secret. */
#include "base/sha1.h"

#include <string.h>

static uint32_t rotate(uint32_t x, unsigned bits) {
  return x << bits | x >> (32 - bits);
}

/* The round function and constant of the four quarters (FIPS 180-4, 4.1.1 and 4.2.1). */
static uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d) {
  if (round < 20) return ((b & c) | (~b & d)) + 0x5a827999u;
  if (round < 40) return (b ^ c ^ d) + 0x6ed9eba1u;
  if (round < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
  return (b ^ c ^ d) + 0xca62c1d6u;
}

/* The message schedule needs the last 16 words only, so it runs in a ring. */
static uint32_t schedule(uint32_t w[16], const uint8_t *block, unsigned round) {
  if (round < 16) {
    const uint8_t *p = block + 4 * round;
    w[round] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  } else {
    w[round & 15] =
        rotate(w[(round - 3) & 15] ^ w[(round - 8) & 15] ^ w[(round - 14) & 15] ^ w[round & 15], 1);
  }
  return w[round & 15];
}

static void digest_block(uint32_t h[5], const uint8_t *block) {
  uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
  uint32_t w[16];

  for (unsigned round = 0; round < 80; round++) {
    uint32_t next = rotate(a, 5) + mix(round, b, c, d) + e + schedule(w, block, round);
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = next;
  }
  h[0] += a;
  h[1] += b;
  h[2] += c;
  h[3] += d;
  h[4] += e;
}

/* The rest of the message, the bit 1, zeros, and the length in bits: one block or two (5.1.1). */
static void digest_tail(uint32_t h[5], const uint8_t *rest, size_t n, uint64_t bits) {
  uint8_t tail[128] = {0};
  size_t size = n < 56 ? 64 : 128;

  if (n != 0) memcpy(tail, rest, n);
  tail[n] = 0x80;
  for (unsigned i = 1; i <= 8; i++, bits >>= 8) tail[size - i] = (uint8_t)bits;
  digest_block(h, tail);
  if (size == 128) digest_block(h, tail + 64);
}

void dop_sha1(const void *data, size_t len, uint8_t digest[20]) {
  uint32_t h[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
  const uint8_t *p = data;
  size_t n = len;

  for (; n >= 64; n -= 64, p += 64) digest_block(h, p);
  digest_tail(h, p, n, (uint64_t)len * 8);
  for (unsigned i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

size_t dop_base64(const void *data, size_t len, char *out) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz"
                                "0123456789+/";
  const uint8_t *p = data;
  char *to = out;

  for (size_t i = 0; i < len; i += 3) {
    size_t n = len - i;
    uint32_t group = (uint32_t)p[i] << 16;

    if (n > 1) group |= (uint32_t)p[i + 1] << 8;
    if (n > 2) group |= p[i + 2];
    *to++ = letters[group >> 18];
    *to++ = letters[group >> 12 & 63];
    *to++ = n > 1 ? letters[group >> 6 & 63] : '=';
    *to++ = n > 2 ? letters[group & 63] : '=';
  }
  return (size_t)(to - out);
}
