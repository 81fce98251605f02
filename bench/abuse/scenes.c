/* What the attackers do; see attack.h. */
#define _GNU_SOURCE 1
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "attack.h"
#include "wire.h"

enum { BLOCK = 16384, KIB = 1024, MIB = 1024 * 1024 };

static const char packed_session[] =
    "Sec-WebSocket-Protocol: dop\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
static const char session[] = "Sec-WebSocket-Protocol: dop\r\n\r\n";

/* What a socket costs at most, by the limits that the server runs with (docs/api.md): the link, its
 * stream and its node; a head that is gathered, in a buffer that grows by halves, and kept; a
 * message before CONNECTED; one after it; what waits to be written. */
enum {
  BARE = 4 * KIB,
  HEAD = BARE + 2 * 8192 + 8192 / 2,
  EARLY = BARE + 8192 + 2 * KIB,
  MESSAGE = BARE + 3 * MIB / 2,
  PACKED = MESSAGE + 512 * KIB, /* both windows and their hash tables, by zlib's zconf.h */
  SECURE = HEAD + 64 * KIB,     /* OpenSSL's objects and buffers during a handshake */
  QUEUE = BARE + 3 * MIB / 2 + 64 * KIB + 64 * KIB,
};

/* --- before the upgrade --- */

static bool slow_head(struct attacker *a) {
  static char head[KIB];
  static size_t len;
  if (!len) {
    len = wire_request(head, 80, NULL);
    memset(head + len, 'x', sizeof head - len);
  }
  attack_say(a, head + a->at++ % sizeof head, 1);
  return true;
}

static bool large_head(struct attacker *a) {
  static char head[BLOCK];
  static size_t len;
  if (!len) {
    len = wire_request(head, 80, "X-Large: ");
    memset(head + len, 'x', sizeof head - len);
  }
  attack_pour(a, head, sizeof head);
  return true;
}

static bool many_fields(struct attacker *a) {
  static char head[KIB];
  static size_t len;
  if (!len) {
    len = wire_request(head, 80, "");
    for (int i = 0; i < 65; i++) len += (size_t)sprintf(head + len, "A: b\r\n");
    len += (size_t)sprintf(head + len, "\r\n");
  }
  attack_pour(a, head, len);
  return true;
}

static bool garbage(struct attacker *a) {
  static uint64_t bytes[BLOCK / 8];
  /* Random bytes hardly ever hold the end of a head, which is when one is looked at. */
  if (!bytes[0])
    for (size_t i = 0; i < BLOCK / 8; i++) bytes[i] = wire_chance();
  for (size_t i = 0; i < sizeof bytes; i += 512) memcpy((char *)bytes + i + 64, "\r\n\r\n", 4);
  attack_pour(a, bytes, sizeof bytes);
  return true;
}

static bool hang_up(struct attacker *a) {
  (void)a;
  return false;
}

/* --- frames --- */

/* Fills `block` with as many frames as fit, alike but for their masks. */
static size_t fill(uint8_t block[BLOCK], unsigned first, const void *payload, size_t n) {
  size_t len = 0;
  while (len + n + WIRE_HEAD <= BLOCK) len += wire_frame(block + len, first, payload, n);
  return len;
}

static bool pings(struct attacker *a) {
  static uint8_t block[BLOCK];
  static size_t len;
  if (!len) len = fill(block, FIN | OP_PING, "", 0);
  attack_pour(a, block, len);
  return true;
}

static bool pongs(struct attacker *a) {
  static uint8_t block[BLOCK];
  static size_t len;
  if (!len) len = fill(block, FIN | OP_PONG, "", 0);
  attack_pour(a, block, len);
  return true;
}

static bool fragments(struct attacker *a, const void *payload, size_t n) {
  static uint8_t block[BLOCK];
  static size_t len;
  uint8_t start[WIRE_HEAD + 1];
  if (!len) len = fill(block, OP_MORE, payload, n);
  if (!a->at) attack_say(a, start, wire_frame(start, OP_TEXT, payload, n));
  attack_pour(a, block, len);
  return true;
}

static bool tiny_fragments(struct attacker *a) {
  return fragments(a, "x", 1);
}

static bool empty_fragments(struct attacker *a) {
  return fragments(a, "", 0);
}

static bool messages(struct attacker *a) {
  static uint8_t block[BLOCK];
  static size_t len;
  if (!len) len = fill(block, FIN | OP_TEXT, "x", 1);
  attack_pour(a, block, len);
  return true;
}

static bool large_messages(struct attacker *a) {
  static uint8_t block[BLOCK];
  static char text[BLOCK];
  static size_t len;
  if (!len) {
    memset(text, 'x', sizeof text);
    len = fill(block, FIN | OP_TEXT, text, BLOCK - 2 * WIRE_HEAD);
  }
  attack_pour(a, block, len);
  return true;
}

static bool drip(struct attacker *a) {
  static uint8_t frame[64 + WIRE_HEAD];
  static size_t len;
  if (!len) {
    char text[64];
    memset(text, 'x', sizeof text);
    len = wire_frame(frame, FIN | OP_TEXT, text, sizeof text);
  }
  attack_say(a, frame + a->at++ % len, 1);
  return true;
}

/* 8 MiB of zeroes in 8 KiB, again and again. */
static bool bomb(struct attacker *a) {
  static uint8_t frame[BLOCK];
  static size_t len;
  if (!len) {
    uint8_t packed[BLOCK / 2 + KIB], *zeroes = calloc(8, MIB);
    z_stream z = {.next_in = zeroes, .avail_in = 8 * MIB, .next_out = packed};
    z.avail_out = sizeof packed;
    if (!zeroes || deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_in)
      abort();
    len = wire_frame(frame, FIN | RSV1 | OP_TEXT, packed, sizeof packed - z.avail_out - 4);
    deflateEnd(&z);
    free(zeroes);
  }
  attack_pour(a, frame, len);
  return true;
}

/* A whole ClientHello, and the end: the server has used its key for nothing. */
static bool hello(struct attacker *a) {
  static uint8_t bytes[BLOCK];
  static int len;
  if (!len) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = context ? SSL_new(context) : NULL;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (!ssl || !in || !out) abort();
    SSL_set_bio(ssl, in, out);
    SSL_connect(ssl);
    len = BIO_read(out, bytes, sizeof bytes);
    if (len <= 0) abort();
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  if (a->at) return false;
  a->at = 1;
  attack_say(a, bytes, (size_t)len);
  return true;
}

const struct scene scenes[] = {
    {.name = "slowloris",
     .what = "2,000 requests, a byte each half second",
     .sockets = 2000,
     .opens = 4000,
     .every = 0.5,
     .act = slow_head,
     .status = 408,
     .holds = HEAD},
    {.name = "half-open",
     .what = "5,000 TCP connections that say nothing",
     .sockets = 5000,
     .opens = 4000,
     .status = 408,
     .holds = HEAD},
    {.name = "silent",
     .what = "5,000 upgraded sockets that say nothing",
     .sockets = 5000,
     .opens = 4000,
     .request = session,
     .code = 1013,
     .holds = EARLY},
    {.name = "connects",
     .what = "connected and reset, 4,000 a second",
     .sockets = 64,
     .opens = 4000,
     .act = hang_up,
     .holds = HEAD},
    {.name = "large heads",
     .what = "endless heads, 64 at once, 2,000 a second",
     .sockets = 64,
     .opens = 2000,
     .act = large_head,
     .status = 431,
     .holds = HEAD},
    {.name = "many fields",
     .what = "65 fields, 64 sockets at once, 2,000 a second",
     .sockets = 64,
     .opens = 2000,
     .act = many_fields,
     .status = 431,
     .holds = HEAD},
    {.name = "garbage",
     .what = "random bytes, 64 sockets at once, 2,000 a second",
     .sockets = 64,
     .opens = 2000,
     .act = garbage,
     .status = 400,
     .holds = HEAD},
    {.name = "drip",
     .what = "200 sessions, frames of 64 bytes, a byte each 20 ms",
     .sockets = 200,
     .opens = 2000,
     .every = 0.02,
     .request = session,
     .session = true,
     .act = drip,
     .holds = MESSAGE},
    {.name = "pings",
     .what = "16 sessions, empty pings without end",
     .sockets = 16,
     .opens = 500,
     .request = session,
     .session = true,
     .act = pings,
     .code = 1008,
     .holds = MESSAGE},
    {.name = "pongs",
     .what = "16 sessions, empty pongs without end",
     .sockets = 16,
     .opens = 500,
     .request = session,
     .session = true,
     .act = pongs,
     .code = 1008,
     .holds = MESSAGE},
    {.name = "tiny fragments",
     .what = "16 sessions, fragments of a byte without end",
     .sockets = 16,
     .opens = 500,
     .request = session,
     .session = true,
     .act = tiny_fragments,
     .code = 1009,
     .holds = MESSAGE},
    {.name = "empty fragments",
     .what = "16 sessions, empty fragments without end",
     .sockets = 16,
     .opens = 500,
     .request = session,
     .session = true,
     .act = empty_fragments,
     .code = 1008,
     .holds = MESSAGE},
    {.name = "messages",
     .what = "16 sessions, messages of a byte as fast as they are read",
     .sockets = 16,
     .opens = 500,
     .request = session,
     .session = true,
     .act = messages,
     .holds = QUEUE},
    {.name = "slow readers",
     .what = "64 sessions that ask for echoes of 16 KiB and never read",
     .sockets = 64,
     .opens = 500,
     .request = session,
     .session = true,
     .deaf = true,
     .act = large_messages,
     .holds = QUEUE},
    {.name = "bombs",
     .what = "16 sessions, messages of 8 KiB that hold 8 MiB",
     .sockets = 16,
     .opens = 500,
     .request = packed_session,
     .session = true,
     .act = bomb,
     .code = 1009,
     .holds = PACKED},
    {.name = "tls half-open",
     .what = "2,000 TCP connections that say nothing to a port of TLS",
     .sockets = 2000,
     .opens = 4000,
     .refused = true,
     .tls = true,
     .holds = SECURE},
    {.name = "tls hellos",
     .what = "a ClientHello and the end, 1,500 a second",
     .sockets = 64,
     .opens = 1500,
     .every = 0.02,
     .act = hello,
     .tls = true,
     .holds = SECURE},
    {.name = "tls crowd",
     .what = "2,000 clients that each say hello and have no answer for a second, 2,000 a second",
     .sockets = 2000,
     .opens = 2000,
     .every = 1,
     .act = hello,
     .tls = true,
     .holds = SECURE},
    {.name = "tls garbage",
     .what = "random bytes to a port of TLS, 64 sockets at once, 2,000 a second",
     .sockets = 64,
     .opens = 2000,
     .act = garbage,
     .refused = true,
     .tls = true,
     .holds = SECURE},
};
const size_t scene_count = sizeof scenes / sizeof *scenes;
