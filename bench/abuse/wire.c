/* What a client writes; see wire.h. */
#define _GNU_SOURCE 1
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

int wire_connect(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == EINPROGRESS) return fd;
  int err = errno;
  close(fd);
  errno = err;
  return -1;
}

size_t wire_request(char out[WIRE_REQUEST], int port, const char *lines) {
  return (size_t)snprintf(
      out, WIRE_REQUEST,
      "GET /dop HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s",
      port, lines);
}

/* xorshift64* */
uint64_t wire_chance(void) {
  static uint64_t state;
  while (!state)
    if (getrandom(&state, sizeof state, 0) < 0) state = 88172645463325252u;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 2685821657736338717u;
}

size_t wire_frame(uint8_t *to, unsigned first, const void *payload, size_t n) {
  const uint8_t *from = payload;
  uint32_t key = (uint32_t)(wire_chance() >> 32);
  uint8_t mask[4];
  size_t wide = n < 126 ? 0 : n < 65536 ? 2 : 8;
  memcpy(mask, &key, 4);
  to[0] = (uint8_t)first;
  to[1] = (uint8_t)(0x80 | (wide == 0 ? n : wide == 2 ? 126 : 127));
  for (size_t i = 0; i < wide; i++) to[2 + i] = (uint8_t)((uint64_t)n >> (8 * (wide - 1 - i)));
  memcpy(to + 2 + wide, mask, 4);
  to += 2 + wide + 4;
  for (size_t i = 0; i < n; i++) to[i] = from[i] ^ mask[i & 3];
  return 2 + wide + 4 + n;
}

void wire_half(char half[WIRE_HALF]) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  for (int i = 0; i < WIRE_HALF; i++) half[i] = alphabet[(wire_chance() >> 32) % 62];
}
