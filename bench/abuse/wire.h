/* wire - what both sides of the abuse bench, healthy and not, write to a WebSocket server.
 *
 * Owns nothing. Keeps no state but that of its random numbers, which guard nothing here.
 */
#ifndef DOP_ABUSE_WIRE_H
#define DOP_ABUSE_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { WIRE_HEAD = 14, WIRE_REQUEST = 512, WIRE_HALF = 22 };
enum { OP_MORE = 0, OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, RSV1 = 0x40, FIN = 0x80 };

/* A socket that connects to 127.0.0.1, without blocking; -1 with errno. */
int wire_connect(int port);

/* An upgrade request without the empty line that ends it; `lines` come on top. */
size_t wire_request(char out[WIRE_REQUEST], int port, const char *lines);

/* A masked frame with this first byte: FIN and opcode. At most WIRE_HEAD bytes more than n. */
size_t wire_frame(uint8_t *to, unsigned first, const void *payload, size_t n);

/* Half of a session's token. */
void wire_half(char half[WIRE_HALF]);

uint64_t wire_chance(void);

#endif
