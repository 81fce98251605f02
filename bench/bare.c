/*
 * bare.c - the yardstick of the benchmark: a WebSocket echo server with nothing between epoll and
 * the frames. Usage: bare [PORT [CERT KEY [keep]]], 0 or nothing for any free port. With a
 * certificate and its key it speaks TLS; with "keep" sessions keep OpenSSL's buffers, see tls.h.
 *
 * It does what every correct echo must do: the RFC 6455 upgrade, partial frames, bounds, opcodes,
 * unmasking, ping and close, partial writes. All answers of one read leave in one write.
 *
 * Owns: its connections, one shared read buffer, one thread.
 * Never: checks UTF-8, keeps a session, sets a timer, runs Lua, listens beyond 127.0.0.1, or uses
 * code of the library that is measured against it.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls.h"

enum {
  READ_SIZE = 64 * 1024,
  MAX_FRAME = 16 * 1024 * 1024,
  MAX_HEAD = 8 * 1024,
  EVENTS = 256,
  SLACK = 4, /* A refusal takes 4 bytes and may answer a frame of which only 2 are here. */
};

enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum { UPGRADED = 1, IN_MESSAGE = 2, ENDING = 4 }; /* The bits of conn.flags. */

/* Kept small: what an idle connection costs here is the floor for everybody. */
struct conn {
  uint8_t *in;  /* An incomplete frame or request head, or NULL. */
  uint8_t *out; /* What a full socket did not take, or NULL. */
  uint32_t in_len;
  uint32_t out_len;
  uint32_t out_off;
  int fd;
  uint8_t flags;
};

static int poller;
static uint8_t shared[READ_SIZE + SLACK];

static void fatal(const char *what) {
  fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *grab(void *old, size_t size) {
  void *p = realloc(old, size);
  if (!p) fatal("memory");
  return p;
}

static void watch(struct conn *c, int how, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = c};
  if (epoll_ctl(poller, how, c->fd, &e) != 0) fatal("epoll_ctl");
}

static void drop(struct conn *c) {
  tls_close(c->fd);
  free(c->in);
  free(c->out);
  free(c);
}

/* ---- writing ---- */

/* Sends what it can and keeps the rest. False: the socket is broken. */
static bool put(struct conn *c, const uint8_t *p, size_t n) {
  ssize_t sent = 0;
  if (!c->out) {
    sent = tls_send(c->fd, p, n);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent < 0) sent = 0;
    if ((size_t)sent == n) return true;
  }
  size_t rest = n - (size_t)sent;
  c->out = grab(c->out, c->out_len + rest);
  memcpy(c->out + c->out_len, p + sent, rest);
  c->out_len += (uint32_t)rest;
  watch(c, EPOLL_CTL_MOD, EPOLLOUT); /* No reading until it is gone: that is the backpressure. */
  return true;
}

static bool on_writable(struct conn *c) {
  ssize_t sent = tls_send(c->fd, c->out + c->out_off, c->out_len - c->out_off);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  c->out_off += (uint32_t)sent;
  if (c->out_off < c->out_len) return true;
  free(c->out);
  c->out = NULL;
  c->out_len = c->out_off = 0;
  if (c->flags & ENDING) tls_end(c->fd);
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
  return true;
}

/* ---- frames ---- */

/* `to` may lie before `from` in the same buffer, so it goes forward and never reads behind. */
static void unmask(uint8_t *to, const uint8_t *from, size_t n, uint32_t key) {
  uint64_t key2 = (uint64_t)key << 32 | key, word;
  uint8_t key1[4];
  size_t i = 0;
  memcpy(key1, &key, 4);
  for (; i + 8 <= n; i += 8) {
    memcpy(&word, from + i, 8);
    word ^= key2;
    memcpy(to + i, &word, 8);
  }
  for (; i < n; i++) to[i] = from[i] ^ key1[i & 3];
}

static size_t put_head(uint8_t *to, uint8_t first, size_t size) {
  to[0] = first;
  if (size < 126) {
    to[1] = (uint8_t)size;
    return 2;
  }
  if (size < 65536) {
    to[1] = 126;
    to[2] = (uint8_t)(size >> 8);
    to[3] = (uint8_t)size;
    return 4;
  }
  to[1] = 127;
  for (int i = 0; i < 8; i++) to[2 + i] = (uint8_t)((uint64_t)size >> (56 - 8 * i));
  return 10;
}

static size_t refuse(struct conn *c, uint8_t *to, unsigned code) {
  c->flags |= ENDING;
  to[0] = 0x80 | OP_CLOSE;
  to[1] = 2;
  to[2] = (uint8_t)(code >> 8);
  to[3] = (uint8_t)code;
  return 4;
}

static bool valid_close(const uint8_t *p, size_t size) {
  if (size == 0) return true;
  if (size == 1) return false;
  unsigned code = (unsigned)p[0] << 8 | p[1];
  if (code >= 3000) return code < 5000;
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

static bool valid_first(struct conn *c, uint8_t first, uint8_t second) {
  unsigned op = first & 15;
  if (first & 0x70 || !(second & 0x80)) return false;
  if (op >= OP_CLOSE) return op <= OP_PONG && first & 0x80 && (second & 127) < 126;
  if (op > OP_BINARY) return false;
  return (op == OP_MORE) == !!(c->flags & IN_MESSAGE);
}

/*
 * Turns every complete frame in p[0..len) into its answer, in place: an answer is never longer than
 * its frame, because it has no mask. Fragments are answered as fragments. Returns the bytes
 * consumed; p[0..*answered) is what to send.
 */
static size_t echo_frames(struct conn *c, uint8_t *p, size_t len, size_t *answered) {
  size_t in = 0, out = 0;
  while (!(c->flags & ENDING) && len - in >= 2) {
    const uint8_t *f = p + in;
    uint8_t first = f[0];
    uint64_t size = f[1] & 127;
    size_t wide = size == 127 ? 8 : size == 126 ? 2 : 0, head = 2 + wide + 4;
    if (!valid_first(c, first, f[1])) {
      out += refuse(c, p + out, 1002);
      break;
    }
    if (len - in < head) break;
    if (wide) {
      uint64_t least = wide == 8 ? 65536 : 126;
      size = 0;
      for (size_t i = 0; i < wide; i++) size = size << 8 | f[2 + i];
      if (size < least || size > MAX_FRAME) {
        out += refuse(c, p + out, size < least ? 1002 : 1009);
        break;
      }
    }
    if (len - in - head < size) break;
    in += head + size;

    uint32_t key;
    memcpy(&key, f + head - 4, 4);
    unsigned op = first & 15;
    if (op == OP_PONG) continue;
    if (op == OP_PING) first = 0x80 | OP_PONG;
    size_t start = out;
    out += put_head(p + out, first, size);
    unmask(p + out, f + head, size, key);
    out += size;
    if (op == OP_CLOSE) {
      if (!valid_close(p + start + 2, size)) {
        out = start + refuse(c, p + start, 1002);
      } else if (size > 2) { /* The code is enough; nobody here has checked the reason. */
        p[start + 1] = 2;
        out = start + 4;
      }
      c->flags |= ENDING;
    } else if (op < OP_CLOSE) {
      if (first & 0x80)
        c->flags &= (uint8_t)~IN_MESSAGE;
      else
        c->flags |= IN_MESSAGE;
    }
  }
  *answered = out;
  return c->flags & ENDING ? len : in;
}

/* ---- the upgrade ---- */

static void accept_for(const char *key, char answer[29]) {
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  static const char code[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint8_t text[24 + sizeof guid - 1], d[21] = {0}; /* d[20] is the padding of base64. */
  memcpy(text, key, 24);
  memcpy(text + 24, guid, sizeof guid - 1);
  SHA1(text, sizeof text, d);
  for (size_t i = 0, o = 0; i < 21; i += 3, o += 4) {
    answer[o] = code[d[i] >> 2];
    answer[o + 1] = code[(d[i] & 3) << 4 | d[i + 1] >> 4];
    answer[o + 2] = code[(d[i + 1] & 15) << 2 | d[i + 2] >> 6];
    answer[o + 3] = code[d[i + 2] & 63];
  }
  answer[27] = '=';
  answer[28] = 0;
}

/* The value of the header named `name` ("\r\nName:"), cut at 63 bytes; empty when there is none. */
static void header(const char *head, const char *name, char value[64]) {
  const char *at = strcasestr(head, name);
  size_t n = 0;
  if (at) {
    at += strlen(name);
    at += strspn(at, " \t");
    n = strcspn(at, "\r");
    while (n > 0 && isblank((unsigned char)at[n - 1])) n--;
    if (n > 63) n = 63;
    memcpy(value, at, n);
  }
  value[n] = 0;
}

static bool valid_request(const char *head, char key[64]) {
  char upgrade[64], connection[64], version[64], host[64];
  const char *line = strstr(head, "\r\n");
  header(head, "\r\nUpgrade:", upgrade);
  header(head, "\r\nConnection:", connection);
  header(head, "\r\nSec-WebSocket-Version:", version);
  header(head, "\r\nSec-WebSocket-Key:", key);
  header(head, "\r\nHost:", host);
  return strncmp(head, "GET /", 5) == 0 && line - head >= 14 &&
         strncmp(line - 9, " HTTP/1.1", 9) == 0 && strcasecmp(upgrade, "websocket") == 0 &&
         strcasestr(connection, "upgrade") && strcmp(version, "13") == 0 && host[0] &&
         strlen(key) == 24;
}

/* Answers a complete request head. Returns the bytes consumed; 0: not complete. */
static size_t upgrade(struct conn *c, const uint8_t *p, size_t len, bool *alive) {
  char head[MAX_HEAD + 1], key[64], answer[29], text[256];
  const uint8_t *end = memmem(p, len < MAX_HEAD ? len : MAX_HEAD, "\r\n\r\n", 4);
  if (!end && len < MAX_HEAD) return 0;
  size_t n = end ? (size_t)(end - p) + 4 : 0;
  memcpy(head, p, n);
  head[n] = 0;
  if (end && valid_request(head, key)) {
    accept_for(key, answer);
    snprintf(text, sizeof text,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
             answer);
    c->flags |= UPGRADED;
  } else {
    snprintf(text, sizeof text,
             "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
             "Content-Length: 0\r\nSec-WebSocket-Version: 13\r\n\r\n");
    c->flags |= ENDING;
    n = len;
  }
  *alive = put(c, (const uint8_t *)text, strlen(text));
  return n;
}

/* ---- the loop ---- */

static bool read_once(struct conn *c) {
  ssize_t got = tls_recv(c->fd, shared, READ_SIZE);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  if (c->flags & ENDING) return true; /* Our side is closed; the peer is still closing his. */

  uint8_t *p = shared;
  size_t len = (size_t)got, used = 0, answered = 0;
  bool alive = true;
  if (c->in) {
    p = c->in = grab(c->in, c->in_len + len + SLACK);
    memcpy(p + c->in_len, shared, len);
    len += c->in_len;
  }
  if (!(c->flags & UPGRADED)) used = upgrade(c, p, len, &alive);
  if (c->flags & UPGRADED) {
    uint8_t *frames = p + used;
    used += echo_frames(c, frames, len - used, &answered);
    if (answered) alive = alive && put(c, frames, answered);
  }
  if (!alive) return false;
  if (c->flags & ENDING && !c->out) tls_end(c->fd);

  size_t rest = len - used;
  if (rest == 0) {
    free(c->in);
    c->in = NULL;
  } else if (!c->in) {
    c->in = grab(NULL, rest + SLACK);
    memcpy(c->in, p + used, rest);
  } else if (used > 0) {
    memmove(c->in, p + used, rest);
  }
  c->in_len = (uint32_t)rest;
  return true;
}

/* OpenSSL may hold more than one buffer takes, which the poller knows nothing of. */
static bool on_readable(struct conn *c) {
  bool alive;
  do {
    alive = read_once(c);
  } while (alive && !c->out && tls_pending(c->fd));
  return alive;
}

static void on_connection(int listener) {
  int on = 1, fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct conn *c = calloc(1, sizeof *c);
    if (!c) fatal("memory");
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
  }
  if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) fatal("accept");
}

static int listen_on(const char *scheme, uint16_t port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  socklen_t size = sizeof a;
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0) fatal("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&a, size) != 0) fatal("bind");
  if (listen(fd, 1024) != 0) fatal("listen");
  if (getsockname(fd, (struct sockaddr *)&a, &size) != 0) fatal("getsockname");
  printf("%s://127.0.0.1:%d/\n", scheme, ntohs(a.sin_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char **argv) {
  struct epoll_event events[EVENTS];
  struct epoll_event listening = {.events = EPOLLIN};
  char answer[29], *end = NULL;
  unsigned long port = argc > 1 ? strtoul(argv[1], &end, 10) : 0;
  bool keep = argc == 5 && strcmp(argv[4], "keep") == 0;
  if (argc == 3 || argc > 5 || (argc == 5 && !keep) || (end && (*end || end == argv[1])) ||
      port > 65535) {
    fprintf(stderr, "usage: bare [PORT [CERT KEY [keep]]]\n");
    return 1;
  }
  if (argc > 2 && !tls_server(argv[2], argv[3], keep)) {
    fprintf(stderr, "bare: %s and %s are no certificate and key\n", argv[2], argv[3]);
    return 1;
  }
  /* The example of RFC 6455 1.3. It also makes libcrypto allocate now what it allocates once. */
  accept_for("dGhlIHNhbXBsZSBub25jZQ==", answer);
  if (strcmp(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != 0) {
    fprintf(stderr, "bare: wrong SHA-1\n");
    return 1;
  }
  signal(SIGPIPE, SIG_IGN);
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) fatal("epoll_create1");
  int listener = listen_on(argc > 2 ? "wss" : "ws", (uint16_t)port);
  if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &listening) != 0) fatal("epoll_ctl");
  for (;;) {
    int n = epoll_wait(poller, events, EVENTS, -1);
    if (n < 0 && errno != EINTR) fatal("epoll_wait");
    for (int i = 0; i < n; i++) {
      struct conn *c = events[i].data.ptr;
      if (!c)
        on_connection(listener);
      else if (!(c->out ? on_writable(c) : on_readable(c)))
        drop(c);
    }
  }
}
