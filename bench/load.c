/*
 * load.c - the load generator of the benchmark.
 *
 * Opens connections to a WebSocket echo server on 127.0.0.1, with --dop brings a plain DOP session
 * on each to CONNECTED, with --r1 a lossless one, keeps a number of messages in flight on each, and
 * compares every byte that comes back. Reports one line of key=value figures. With --idle it sends
 * no message and reports the server's memory a connection.
 *
 * Owns: its connections, its clocks, the counted window, one thread.
 * Never: talks to another host, retries, forgives a wrong byte, or starts or stops a server. The
 * first thing that is wrong ends it: a message that names the connection, exit 1.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "account.h"
#include "gauge.h"
#include "load.h"
#include "options.h"
#include "tls.h"

enum {
  READ_SIZE = 64 * 1024,
  EVENTS = 256,
  STEP = 61, /* So many messages of one connection in a row are different. */
  HALF = 22,
  HALF_MIN = 16,
  HALF_MAX = 256,
  HEAD_MAX = 14,
  REPLY_MAX = 8 * 1024,
};

enum { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

static const double PATIENCE = 10; /* Seconds without any progress that are a failure. */

/* A connection of dop.r1 is CONNECTED until it has heard the server's limits. */
enum state { CONNECTING, UPGRADING, OPEN, PRECONNECTED, CONNECTED, READY, CLOSING, CLOSED };
static const char *const state_names[] = {"connecting", "upgrading", "OPEN",    "PRECONNECTED",
                                          "CONNECTED",  "ready",     "closing", "closed"};

struct conn {
  enum state state;
  int fd;
  uint8_t *in, *out; /* An incomplete frame; what a full socket did not take. Or NULL. */
  size_t in_len, out_len, out_off;
  uint64_t sent, heard; /* Messages. */
  uint64_t *left_at;    /* When message n left: left_at[n % depth]. */
  char *text;           /* Message n is text + n % STEP. */
  size_t other_len;
  char half[HALF], other[HALF_MAX]; /* The two halves of the session's token. */
  struct account account;           /* With --r1. */
};

static struct conn *conns;
static int poller, ready, closed;
static bool sending, counting;
static uint64_t messages, heard_at; /* Counted messages; when the last byte came. */
static uint8_t shared[READ_SIZE], *outgoing;
static uint64_t random_state;

/* ---- failing ---- */

void fail(const struct conn *c, const char *format, ...) {
  va_list args;
  fflush(stdout);
  fprintf(stderr, "load: ");
  if (c) fprintf(stderr, "connection %d (%s): ", (int)(c - conns), state_names[c->state]);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  exit(1);
}

static void *grab(void *old, size_t size) {
  void *p = realloc(old, size ? size : 1);
  if (!p) fail(NULL, "out of memory");
  return p;
}

/* ---- time and chance ---- */

static double since(uint64_t start) {
  return (double)(gauge_now() - start) / 1e9;
}

/* xorshift64*: masks and texts must vary; they guard nothing here. */
static uint64_t chance(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 2685821657736338717u;
}

static void random_half(char half[HALF]) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  uint8_t byte;
  for (int n = 0; n < HALF;) {
    if (getrandom(&byte, 1, 0) != 1) fail(NULL, "getrandom: %s", strerror(errno));
    if (byte < 248) half[n++] = alphabet[byte % 62];
  }
}

/* ---- writing ---- */

static void watch(struct conn *c, int how, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = c};
  if (epoll_ctl(poller, how, c->fd, &e) != 0) fail(c, "epoll_ctl: %s", strerror(errno));
}

static void put(struct conn *c, const void *p, size_t n) {
  ssize_t sent = 0;
  if (!c->out) {
    sent = tls_send(c->fd, p, n);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) fail(c, "send: %s", strerror(errno));
    if (sent < 0) sent = 0;
    if ((size_t)sent == n) return;
    watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  }
  size_t rest = n - (size_t)sent;
  c->out = grab(c->out, c->out_len + rest);
  memcpy(c->out + c->out_len, (const uint8_t *)p + sent, rest);
  c->out_len += rest;
}

static void put_rest(struct conn *c) {
  ssize_t sent = tls_send(c->fd, c->out + c->out_off, c->out_len - c->out_off);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) fail(c, "send: %s", strerror(errno));
  if (sent > 0) c->out_off += (size_t)sent;
  if (c->out_off < c->out_len) return;
  free(c->out);
  c->out = NULL;
  c->out_len = c->out_off = 0;
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

/* Writes a masked frame and returns its length, at most HEAD_MAX more than n. */
static size_t frame(uint8_t *to, unsigned op, const void *payload, size_t n) {
  const uint8_t *from = payload;
  uint32_t key = (uint32_t)(chance() >> 32);
  uint64_t key2 = (uint64_t)key << 32 | key, word;
  size_t wide = n < 126 ? 0 : n < 65536 ? 2 : 8, i = 0;
  uint8_t key1[4];
  to[0] = (uint8_t)(0x80 | op);
  to[1] = (uint8_t)(0x80 | (wide == 0 ? n : wide == 2 ? 126 : 127));
  for (; i < wide; i++) to[2 + i] = (uint8_t)((uint64_t)n >> (8 * (wide - 1 - i)));
  memcpy(key1, &key, 4);
  memcpy(to + 2 + wide, key1, 4);
  to += 2 + wide + 4;
  for (i = 0; i + 8 <= n; i += 8) {
    memcpy(&word, from + i, 8);
    word ^= key2;
    memcpy(to + i, &word, 8);
  }
  for (; i < n; i++) to[i] = from[i] ^ key1[i & 3];
  return 2 + wide + 4 + n;
}

/* For everything but the measured messages. */
static void put_small(struct conn *c, unsigned op, const void *payload, size_t n) {
  uint8_t bytes[2 * HALF_MAX + HEAD_MAX];
  put(c, bytes, frame(bytes, op, payload, n));
}

static bool may_send(const struct conn *c) {
  return sending && c->sent - c->heard < (uint64_t)opt.depth &&
         (!opt.r1 || account_room(&c->account, c->sent, opt.size));
}

/* Fills the connection up to its depth, in one write, with the acknowledgement that is due. */
static void top_up(struct conn *c) {
  size_t n = 0;
  uint64_t t = gauge_now();
  if (opt.r1 && account_due(&c->account, c->heard, opt.size, t)) {
    char text[INSTRUCTION_MAX];
    n = frame(outgoing, OP_TEXT, text, account_say(&c->account, text, 'a', c->heard));
  }
  for (; may_send(c); c->sent++) {
    n += frame(outgoing + n, OP_TEXT, c->text + c->sent % STEP, opt.size);
    c->left_at[c->sent % (uint64_t)opt.depth] = t;
  }
  if (n) put(c, outgoing, n);
}

/* ---- a connection's life ---- */

static void start(struct conn *c) {
  static const char request[] =
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n";
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
  int on = 1;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail(c, "socket: %s", strerror(errno));
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0 && errno != EINPROGRESS)
    fail(c, "connect: %s", strerror(errno));
  /* The request waits as the rest of a write: the socket takes it as soon as it is open. */
  c->out = grab(NULL, 1024);
  c->out_len = (size_t)snprintf((char *)c->out, 1024, request, opt.path, opt.port,
                                opt.r1    ? "Sec-WebSocket-Protocol: dop, dop.r1\r\n"
                                : opt.dop ? "Sec-WebSocket-Protocol: dop\r\n"
                                          : "");
  watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void become_ready(struct conn *c) {
  c->state = READY;
  ready++;
}

static void become_closed(struct conn *c) {
  tls_close(c->fd);
  free(c->in);
  free(c->out);
  c->in = c->out = NULL;
  c->in_len = c->out_len = 0;
  c->state = CLOSED;
  closed++;
}

static bool reply_has(const char *head, const char *line) {
  const char *at = strcasestr(head, line);
  size_t n = strlen(line);
  return at && at[n + strspn(at + n, " \t")] == '\r';
}

/* Returns the bytes of the reply's head; 0: not complete. */
static size_t hear_reply(struct conn *c, const uint8_t *p, size_t len) {
  char head[REPLY_MAX + 1];
  const uint8_t *end = memmem(p, len, "\r\n\r\n", 4);
  size_t n = end ? (size_t)(end - p) + 4 : 0;
  if (!end && len < REPLY_MAX) return 0;
  if (n == 0 || n > REPLY_MAX) fail(c, "the reply to the upgrade has no end");
  memcpy(head, p, n);
  head[n] = 0;
  if (strncmp(head, "HTTP/1.1 101 ", 13) != 0)
    fail(c, "the upgrade was answered: %.*s", (int)strcspn(head, "\r"), head);
  /* The key is always the example of RFC 6455, so its answer is known without SHA-1. */
  if (!strstr(head, " s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") ||
      !strcasestr(head, "\r\nSec-WebSocket-Accept:"))
    fail(c, "wrong Sec-WebSocket-Accept");
  if (!reply_has(head, "\r\nUpgrade: websocket") || !reply_has(head, "\r\nConnection: upgrade"))
    fail(c, "the reply is no upgrade to WebSocket");
  if (strcasestr(head, "\r\nSec-WebSocket-Extensions:")) fail(c, "an extension nobody offered");
  if (opt.r1 && !reply_has(head, "\r\nSec-WebSocket-Protocol: dop.r1"))
    fail(c, "dop.r1 was not selected");
  if (!opt.r1 && strcasestr(head, "\r\nSec-WebSocket-Protocol:") &&
      !(opt.dop && reply_has(head, "\r\nSec-WebSocket-Protocol: dop")))
    fail(c, "a subprotocol nobody offered");
  if (opt.dop) {
    random_half(c->half);
    put_small(c, OP_TEXT, c->half, HALF);
    c->state = OPEN;
  } else {
    become_ready(c);
  }
  return n;
}

static void hear_half(struct conn *c, const uint8_t *p, size_t n) {
  if (c->state == OPEN) {
    if (n < HALF_MIN || n > HALF_MAX) fail(c, "a half-token of %zu bytes", n);
    for (size_t i = 0; i < n; i++)
      if (p[i] < 0x21 || p[i] > 0x7E) fail(c, "byte 0x%02x in a half-token", p[i]);
    if (memcmp(p, c->half, n < HALF ? n : HALF) == 0) fail(c, "our own half-token came back");
    memcpy(c->other, p, n);
    c->other_len = n;
    put_small(c, OP_TEXT, c->half, HALF);
    c->state = PRECONNECTED;
  } else {
    if (n != c->other_len || memcmp(p, c->other, n) != 0) fail(c, "a second, different half-token");
    if (opt.r1) {
      char text[INSTRUCTION_MAX];
      put_small(c, OP_TEXT, text, account_say_limits(text, opt.size));
      c->state = CONNECTED;
    } else {
      become_ready(c);
    }
  }
}

/* The session's token: both halves, cut to the shorter, in the order of their bytes. */
static size_t token(const struct conn *c, char to[2 * HALF_MAX]) {
  size_t n = c->other_len < HALF ? c->other_len : HALF;
  bool ours_first = memcmp(c->half, c->other, n) < 0;
  memcpy(to, ours_first ? c->half : c->other, n);
  memcpy(to + n, ours_first ? c->other : c->half, n);
  return 2 * n;
}

static void hear_echo(struct conn *c, const uint8_t *p, size_t n, uint64_t t) {
  if (c->heard == c->sent) fail(c, "an echo of nothing that was sent (%zu bytes)", n);
  if (n != opt.size)
    fail(c, "message %llu: %zu bytes instead of %zu", (unsigned long long)c->heard, n, opt.size);
  const char *want = c->text + c->heard % STEP;
  if (memcmp(p, want, n) != 0) {
    size_t i = 0;
    while (p[i] == (uint8_t)want[i]) i++;
    fail(c, "message %llu: byte %zu is 0x%02x instead of 0x%02x", (unsigned long long)c->heard, i,
         p[i], (uint8_t)want[i]);
  }
  if (counting) {
    messages++;
    gauge_trip(t - c->left_at[c->heard % (uint64_t)opt.depth]);
  }
  c->heard++;
  if (opt.r1) account_heard(&c->account, c, c->heard, t);
}

/* A session is ended for good; a lost socket alone would leave it waiting there. */
static void say_goodbye(struct conn *c) {
  char bytes[2 * HALF_MAX];
  if (opt.r1)
    put_small(c, OP_TEXT, bytes, account_say(&c->account, bytes, 'd', c->heard));
  else if (opt.dop)
    put_small(c, OP_TEXT, bytes, token(c, bytes));
  else
    put_small(c, OP_CLOSE, "\x03\xE8", 2);
  c->state = CLOSING;
}

/* ---- reading ---- */

static void hear_text(struct conn *c, const uint8_t *p, size_t n, uint64_t t) {
  if (opt.r1 && c->state >= CONNECTED && n && p[0] == MARK) {
    char said = account_hear(&c->account, c, p, n, opt.size, c->sent, c->state == CLOSING);
    if (said != 'p') return;
    if (!account_holds(&c->account, opt.depth)) fail(c, "the server may not hold so many echoes");
    become_ready(c);
  } else if (c->state == CLOSING) {
    fail(c, "%zu bytes after the end", n);
  } else if (c->state == CONNECTED) {
    fail(c, "%zu bytes before the limits", n);
  } else if (c->state == READY) {
    hear_echo(c, p, n, t);
  } else {
    hear_half(c, p, n);
  }
}

static void hear_close(struct conn *c, const uint8_t *p, size_t n) {
  if (c->state != CLOSING)
    fail(c, "closed by the server, code %d, \"%.*s\"", n >= 2 ? p[0] << 8 | p[1] : 1005,
         n > 2 ? (int)(n - 2) : 0, n > 2 ? (const char *)p + 2 : "");
  if (opt.r1 && !c->account.ended) fail(c, "closed by the server without an answer to the end");
  if (opt.dop) {
    /* The server may have gone by now, so this answer is only tried. */
    uint8_t bytes[125 + HEAD_MAX];
    size_t len = frame(bytes, OP_CLOSE, p, n < 2 ? 0 : 2);
    if (!c->out && tls_send(c->fd, bytes, len) < 0) errno = 0;
  }
  become_closed(c);
}

/* Consumes complete frames; returns how many bytes that was. */
static size_t hear_frames(struct conn *c, const uint8_t *p, size_t len, uint64_t t) {
  size_t in = 0;
  while (len - in >= 2 && c->state != CLOSED) {
    const uint8_t *f = p + in;
    unsigned op = f[0] & 15;
    size_t wide = f[1] == 127 ? 8 : f[1] == 126 ? 2 : 0;
    uint64_t n = f[1];
    if ((f[0] & 0xF0) != 0x80 || f[1] & 0x80) fail(c, "a frame that begins %02x %02x", f[0], f[1]);
    if (op != OP_TEXT && (op < OP_CLOSE || op > OP_PONG || n > 125))
      fail(c, "opcode %u instead of text", op);
    if (len - in < 2 + wide) break;
    if (wide) n = 0;
    for (size_t i = 0; i < wide; i++) n = n << 8 | f[2 + i];
    if (wide && n < (wide == 8 ? 65536 : 126)) fail(c, "a length that is not minimal");
    if (n > opt.size && n > HALF_MAX) fail(c, "a frame of %llu bytes", (unsigned long long)n);
    if (len - in - 2 - wide < n) break;
    in += 2 + wide + n;
    f += 2 + wide;
    if (op == OP_CLOSE) {
      hear_close(c, f, n);
    } else if (op == OP_PING) {
      put_small(c, OP_PONG, f, n);
    } else if (op == OP_TEXT) {
      hear_text(c, f, n, t);
    }
  }
  return in;
}

static void on_readable(struct conn *c) {
  ssize_t got = tls_recv(c->fd, shared, READ_SIZE);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    if (c->state != CLOSING || (opt.r1 && !c->account.ended))
      fail(c, "%s", got ? strerror(errno) : "closed early");
    become_closed(c);
    return;
  }
  heard_at = gauge_now();
  const uint8_t *p = shared;
  size_t len = (size_t)got, used = 0;
  if (c->in) {
    p = c->in = grab(c->in, c->in_len + len);
    memcpy(c->in + c->in_len, shared, len);
    len += c->in_len;
  }
  if (c->state <= UPGRADING) used = hear_reply(c, p, len);
  if (c->state > UPGRADING) used += hear_frames(c, p + used, len - used, heard_at);
  if (c->state == CLOSED) return;

  size_t rest = len - used;
  if (rest == 0) {
    free(c->in);
    c->in = NULL;
  } else if (!c->in) {
    c->in = grab(NULL, rest);
    memcpy(c->in, p + used, rest);
  } else if (used > 0) {
    memmove(c->in, p + used, rest);
  }
  c->in_len = rest;
  if (c->state == READY) top_up(c);
  if (tls_pending(c->fd)) on_readable(c);
}

static void on_writable(struct conn *c) {
  if (c->state == CONNECTING) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) fail(c, "%s", strerror(error));
    c->state = UPGRADING;
  }
  if (c->out) put_rest(c);
}

/* One turn of the loop, of at most so many milliseconds. */
static void turn(int timeout) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(poller, events, EVENTS, timeout);
  if (n < 0 && errno != EINTR) fail(NULL, "epoll_wait: %s", strerror(errno));
  for (int i = 0; i < n; i++) {
    struct conn *c = events[i].data.ptr;
    if (events[i].events & EPOLLOUT || c->state == CONNECTING) on_writable(c);
    if (events[i].events & ~(uint32_t)EPOLLOUT) on_readable(c);
  }
}

/* What was heard on a connection that has fallen silent is acknowledged by the clock. */
static void acknowledge_late(void) {
  static uint64_t looked_at;
  uint64_t t = gauge_now();
  if (!opt.r1 || t - looked_at < 50000000) return;
  looked_at = t;
  for (int i = 0; i < opt.connections; i++)
    if (conns[i].state == READY) top_up(&conns[i]);
}

/* ---- the parts of a run ---- */

static const struct conn *behind(void) {
  for (int i = 0; i < opt.connections; i++)
    if (conns[i].state != CLOSED && (conns[i].state != READY || conns[i].heard < conns[i].sent ||
                                     (opt.r1 && (conns[i].account.acked < conns[i].sent ||
                                                 conns[i].account.told < conns[i].heard))))
      return &conns[i];
  return NULL;
}

static void need_progress(void) {
  if (since(heard_at) > PATIENCE) fail(behind(), "nothing heard for %g s", PATIENCE);
}

static void bring_up(void) {
  int started = 0;
  heard_at = gauge_now();
  while (ready < opt.connections) {
    while (started < opt.connections && started - ready < opt.at_once) start(&conns[started++]);
    turn(100);
    need_progress();
  }
}

static void bring_down(void) {
  heard_at = gauge_now();
  for (int i = 0; i < opt.connections; i++) {
    say_goodbye(&conns[i]);
    turn(0);
  }
  while (closed < opt.connections) {
    turn(100);
    need_progress();
  }
}

static void exchange_until(uint64_t end) {
  while (gauge_now() < end) {
    turn(10);
    acknowledge_late();
    need_progress();
  }
}

static const char *mode_name(void) {
  return opt.r1 ? "r1" : opt.dop ? "dop" : "plain";
}

static void run(void) {
  double warm = opt.seconds / 10 < 0.5 ? opt.seconds / 10 : 0.5;
  const struct conn *late;
  uint64_t total = 0;
  bring_up();
  outgoing = grab(NULL, INSTRUCTION_MAX + HEAD_MAX + (size_t)opt.depth * (opt.size + HEAD_MAX));
  sending = true;
  for (int i = 0; i < opt.connections; i++) top_up(&conns[i]);
  exchange_until(gauge_now() + (uint64_t)(warm * 1e9));

  uint64_t cpu = gauge_cpu(opt.pid), begin = gauge_now();
  counting = true;
  exchange_until(begin + (uint64_t)(opt.seconds * 1e9));
  counting = false;
  double seconds = since(begin);
  cpu = gauge_cpu(opt.pid) - cpu;

  /* What is still in flight is not counted, but it has to come back and be right. */
  sending = false;
  heard_at = gauge_now();
  while ((late = behind())) {
    turn(100);
    acknowledge_late();
    if (since(heard_at) > PATIENCE)
      fail(late, "%llu of %llu messages never came back, %llu were acknowledged",
           (unsigned long long)(late->sent - late->heard), (unsigned long long)late->sent,
           (unsigned long long)late->account.acked);
  }
  for (int i = 0; i < opt.connections; i++) total += conns[i].sent;
  if (messages == 0) fail(NULL, "no message in %g s", seconds);
  if (cpu == 0) fail(NULL, "process %d echoed, but used no CPU: is it the server?", opt.pid);
  bring_down();
  printf("mode=%s connections=%d depth=%d size=%zu messages=%llu seconds=%.3f rate=%.0f "
         "cpu_us=%.3f server_busy=%.2f p50_us=%.1f p99_us=%.1f total=%llu\n",
         mode_name(), opt.connections, opt.depth, opt.size, (unsigned long long)messages, seconds,
         (double)messages / seconds, (double)cpu / 1000 / (double)messages,
         (double)cpu / 1e9 / seconds, gauge_trips_us(0.50), gauge_trips_us(0.99),
         (unsigned long long)total);
}

static void run_idle(void) {
  long before = gauge_memory(opt.pid), after = -1;
  bring_up();
  /* Quiet: half a second without a byte from the server and with its memory unchanged. */
  uint64_t begin = gauge_now(), steady = begin;
  while (since(steady) < 0.5 || since(heard_at) < 0.5) {
    turn(50);
    long memory = gauge_memory(opt.pid);
    if (memory != after) steady = gauge_now();
    after = memory;
    if (since(begin) > PATIENCE) fail(NULL, "the server is not quiet after %g s", PATIENCE);
  }
  bring_down();
  printf("mode=%s connections=%d bytes_each=%.0f before=%ld after=%ld memory=Anonymous\n",
         mode_name(), opt.connections, (double)(after - before) / opt.connections, before, after);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  if (getrandom(&random_state, sizeof random_state, 0) != sizeof random_state)
    fail(NULL, "getrandom: %s", strerror(errno));
  random_state |= 1; /* Zero would stay zero. */
  if (opt.tls && !tls_client()) fail(NULL, "no memory for TLS");
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) fail(NULL, "epoll_create1: %s", strerror(errno));
  conns = calloc((size_t)opt.connections, sizeof *conns);
  if (!conns) fail(NULL, "out of memory");
  for (int i = 0; i < opt.connections && !opt.idle; i++) {
    struct conn *c = &conns[i];
    c->left_at = grab(NULL, (size_t)opt.depth * sizeof *c->left_at);
    c->text = grab(NULL, opt.size + STEP);
    for (size_t n = 0; n < opt.size + STEP; n++) c->text[n] = (char)(' ' + chance() % 95);
  }
  if (opt.idle)
    run_idle();
  else
    run();
  return 0;
}
