/* The client that must not notice; see healthy.h. */
#define _GNU_SOURCE 1
#include "healthy.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../account.h"
#include "../gauge.h"
#include "wire.h"

enum { SIZE = 64, IN_MAX = 16384, FLIGHT = 8192 };
enum state { UPGRADING, OPEN, PRECONNECTED, LIMITS, READY, ENDING, CLOSED };
static const uint64_t PATIENCE = 10000000000u; /* ns */

struct conn {
  enum state state;
  int fd, number;
  size_t len;
  uint64_t sent, heard, heard_at;
  uint64_t left_at[FLIGHT]; /* when message n left: left_at[n % FLIGHT] */
  char half[WIRE_HALF], other[256];
  size_t other_len;
  struct account account;
  uint8_t in[IN_MAX];
};

static struct conn conns[HEALTHY];
static char report[REPORT_MAX];
static bool asked;
static uint64_t next_at; /* when the next message is to leave */
static int turn_of;      /* and on which connection */

static void put(struct conn *c, const void *bytes, size_t n) {
  /* So little that a socket that takes less of it is one that nobody reads any more. */
  ssize_t sent = send(c->fd, bytes, n, MSG_NOSIGNAL);
  if (sent != (ssize_t)n)
    fail(NULL, "healthy session %d could not send: %s", c->number,
         sent < 0 ? strerror(errno) : "its socket is full");
}

static void put_text(struct conn *c, unsigned op, const void *text, size_t n) {
  uint8_t bytes[1024];
  put(c, bytes, wire_frame(bytes, FIN | op, text, n));
}

static void say(struct conn *c, char letter) {
  char text[INSTRUCTION_MAX];
  put_text(c, OP_TEXT, text, account_say(&c->account, text, letter, c->heard));
}

/* Message n of a connection; the same text twice would hide a message that came twice. */
static void text_of(const struct conn *c, uint64_t n, char out[SIZE + 1]) {
  memset(out, '.', SIZE);
  out[SIZE] = 0;
  int len = snprintf(out, SIZE, "healthy %d %llu ", c->number, (unsigned long long)n);
  out[len] = '.';
}

static void send_message(struct conn *c, const char *text, size_t n) {
  if (c->sent - c->heard >= FLIGHT || !account_room(&c->account, c->sent, SIZE))
    fail(NULL, "healthy session %d: %llu messages under way", c->number,
         (unsigned long long)(c->sent - c->heard));
  c->left_at[c->sent % FLIGHT] = gauge_now();
  c->sent++;
  put_text(c, OP_TEXT, text, n);
}

/* --- hearing --- */

static void hear_message(struct conn *c, const uint8_t *p, size_t n, uint64_t now) {
  char want[SIZE + 1];
  if (n && p[0] == '?') {
    if (!asked || n >= sizeof report) fail(NULL, "a report of %zu bytes", n);
    memcpy(report, p, n);
    report[n] = 0;
    asked = false;
  } else {
    text_of(c, c->heard, want);
    if (n != SIZE || memcmp(p, want, SIZE) != 0)
      fail(NULL, "healthy session %d: message %llu is not what was sent", c->number,
           (unsigned long long)c->heard);
    gauge_trip(now - c->left_at[c->heard % FLIGHT]);
  }
  c->heard++;
  account_heard(&c->account, NULL, c->heard, now);
}

static void hear_half(struct conn *c, const uint8_t *p, size_t n) {
  if (c->state == OPEN) {
    if (n < 16 || n > sizeof c->other) fail(NULL, "a half-token of %zu bytes", n);
    memcpy(c->other, p, n);
    c->other_len = n;
    put_text(c, OP_TEXT, c->half, WIRE_HALF);
    c->state = PRECONNECTED;
  } else {
    char text[INSTRUCTION_MAX];
    if (n != c->other_len || memcmp(p, c->other, n) != 0) fail(NULL, "another half-token");
    put_text(c, OP_TEXT, text, account_say_limits(text, SIZE));
    c->state = LIMITS;
  }
}

static void hear_frame(struct conn *c, unsigned op, const uint8_t *p, size_t n, uint64_t now) {
  if (op == OP_PING) {
    put_text(c, OP_PONG, p, n);
  } else if (op == OP_CLOSE) {
    if (c->state != ENDING || !c->account.ended)
      fail(NULL, "healthy session %d was closed: code %d %.*s", c->number,
           n < 2 ? 1005 : p[0] << 8 | p[1], n > 2 ? (int)n - 2 : 0,
           n > 2 ? (const char *)p + 2 : "");
    put_text(c, OP_CLOSE, p, n < 2 ? 0 : 2);
    close(c->fd);
    c->state = CLOSED;
  } else if (op != OP_TEXT) {
    fail(NULL, "healthy session %d: opcode %u", c->number, op);
  } else if (c->state >= LIMITS && n && p[0] == MARK) {
    if (account_hear(&c->account, NULL, p, n, SIZE, c->sent, c->state == ENDING) == 'p')
      c->state = READY;
  } else if (c->state < LIMITS) {
    hear_half(c, p, n);
  } else if (c->state == READY) {
    hear_message(c, p, n, now);
  } else {
    fail(NULL, "healthy session %d: %zu bytes out of turn", c->number, n);
  }
}

/* The bytes of the first whole frame, 0: it is not whole. */
static size_t hear_first(struct conn *c, const uint8_t *p, size_t len, uint64_t now) {
  size_t head = 2, n;
  if (len < 2) return 0;
  n = p[1];
  if ((p[0] & 0xF0) != FIN || n == 127 || n & 0x80) fail(NULL, "a frame %02x %02x", p[0], p[1]);
  if (n == 126) {
    if (len < 4) return 0;
    n = (size_t)p[2] << 8 | p[3];
    head = 4;
  }
  if (n > IN_MAX - 4) fail(NULL, "a frame of %zu bytes", n);
  if (len - head < n) return 0;
  hear_frame(c, p[0] & 15, p + head, n, now);
  return head + n;
}

static size_t hear_reply(struct conn *c) {
  const uint8_t *end = memmem(c->in, c->len, "\r\n\r\n", 4);
  if (!end) return 0;
  if (c->len < 13 || memcmp(c->in, "HTTP/1.1 101 ", 13) != 0)
    fail(NULL, "a healthy upgrade was answered: %.*s", 40, (const char *)c->in);
  if (!memmem(c->in, c->len, "dop.r1\r\n", 8)) fail(NULL, "dop.r1 was not selected");
  wire_half(c->half);
  put_text(c, OP_TEXT, c->half, WIRE_HALF);
  c->state = OPEN;
  return (size_t)(end - c->in) + 4;
}

static void hear(struct conn *c) {
  ssize_t got = recv(c->fd, c->in + c->len, IN_MAX - c->len, 0);
  uint64_t now = gauge_now();
  size_t used = 0, n;
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0)
    fail(NULL, "healthy session %d lost its socket: %s", c->number,
         got ? strerror(errno) : "closed");
  c->len += (size_t)got;
  c->heard_at = now;
  if (c->state == UPGRADING) used = hear_reply(c);
  while (c->state != UPGRADING && c->state != CLOSED &&
         (n = hear_first(c, c->in + used, c->len - used, now)))
    used += n;
  c->len -= used;
  memmove(c->in, c->in + used, c->len);
  if (c->state == READY && account_due(&c->account, c->heard, SIZE, now)) say(c, 'a');
}

/* --- the clock --- */

/* Waits for at most so long, in ns, and hears what comes. */
static void wait_for(uint64_t ns) {
  struct pollfd fds[HEALTHY];
  struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
  for (int i = 0; i < HEALTHY; i++)
    fds[i] = (struct pollfd){.fd = conns[i].state == CLOSED ? -1 : conns[i].fd, .events = POLLIN};
  if (ppoll(fds, HEALTHY, &t, NULL) < 0 && errno != EINTR) fail(NULL, "ppoll: %s", strerror(errno));
  for (int i = 0; i < HEALTHY; i++)
    if (fds[i].revents) hear(&conns[i]);
  for (int i = 0; i < HEALTHY; i++) {
    struct conn *c = &conns[i];
    if ((c->state < READY || c->heard < c->sent) && gauge_now() > c->heard_at + PATIENCE)
      fail(NULL, "healthy session %d heard nothing for 10 s", i);
  }
}

static void send_due(void) {
  char text[SIZE + 1];
  while (gauge_now() >= next_at) {
    struct conn *c = &conns[turn_of];
    turn_of = (turn_of + 1) % HEALTHY;
    /* Nobody waited for an echo: the silence that counts begins now. */
    if (c->heard == c->sent) c->heard_at = gauge_now();
    text_of(c, c->sent, text);
    send_message(c, text, SIZE);
    next_at += 1000000000u / HEALTHY_RATE;
  }
}

void healthy_run(double seconds) {
  uint64_t now = gauge_now(), end = now + (uint64_t)(seconds * 1e9);
  next_at = now;
  while ((now = gauge_now()) < end) {
    if (now >= next_at) send_due();
    now = gauge_now();
    wait_for(next_at > now ? next_at - now : 0);
  }
  /* What is under way counts too: the worst of them may be among these. */
  for (int i = 0; i < HEALTHY; i++)
    while (conns[i].heard < conns[i].sent) wait_for(10000000);
}

const char *healthy_ask(void) {
  asked = true;
  if (conns[0].heard == conns[0].sent) conns[0].heard_at = gauge_now();
  send_message(&conns[0], "?", 1);
  while (asked) wait_for(10000000);
  return report;
}

/* --- life --- */

void healthy_begin(int port) {
  char request[WIRE_REQUEST];
  memset(conns, 0, sizeof conns);
  for (int i = 0; i < HEALTHY; i++) {
    struct conn *c = &conns[i];
    struct pollfd fd = {.events = POLLOUT};
    c->number = i;
    c->fd = fd.fd = wire_connect(port);
    c->heard_at = gauge_now();
    if (c->fd < 0 || poll(&fd, 1, 5000) != 1) fail(NULL, "cannot connect: %s", strerror(errno));
    put(c, request, wire_request(request, port, "Sec-WebSocket-Protocol: dop, dop.r1\r\n\r\n"));
  }
  for (int i = 0; i < HEALTHY; i++)
    while (conns[i].state != READY) wait_for(10000000);
}

unsigned long long healthy_end(void) {
  unsigned long long total = 0;
  for (int i = 0; i < HEALTHY; i++) {
    struct conn *c = &conns[i];
    if (c->state != READY) fail(NULL, "healthy session %d is not up", i);
    total += c->sent;
    c->heard_at = gauge_now();
    say(c, 'd');
    c->state = ENDING;
  }
  for (int i = 0; i < HEALTHY; i++)
    while (conns[i].state != CLOSED) wait_for(10000000);
  return total;
}
