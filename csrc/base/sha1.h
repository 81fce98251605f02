/* SHA-1 (FIPS 180-4) and Base64 (RFC 4648), for Sec-WebSocket-Accept alone (RFC 6455 4.2.2).
 *
 * Ours, because the core must load into hosts that bring another OpenSSL. Never use it for a
 * secret. Pure. */
#ifndef DOP_BASE_SHA1_H
#define DOP_BASE_SHA1_H

#include <stddef.h>
#include <stdint.h>

void dop_sha1(const void *data, size_t len, uint8_t digest[20]);

/* Writes 4 * ceil(len / 3) characters, no terminator; returns how many. */
size_t dop_base64(const void *data, size_t len, char *out);

#endif
