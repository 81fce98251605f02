/*
 * breaker.c - a TCP proxy that breaks the connections it carries, for specs over real sockets.
 *
 *   breaker PORT SEED MEAN HOLD     forwards to 127.0.0.1:PORT; prints "listening PORT"
 *
 * Each connection is given a fault, a direction and an offset when it is accepted: once so many
 * bytes have passed that way, the fault happens. One of five offsets lies in the handshake (up to
 * 1,500 bytes), the others are exponential with MEAN. Each eighth connection ends in order and not
 * before eight times MEAN: ten attempts in a row that bring nothing would end a session of dop.r1,
 * and rightly so. The same seed gives the n-th connection the same fault.
 *
 * The faults:
 * - fin: both ends see an orderly end; what was under way is swallowed
 * - rst: both ends see a reset
 * - one: one end sees a reset, the other an end
 * - half: one end sees an end while the other direction goes on, for 200 ms at most
 * - hold: nothing passes for up to HOLD ms; then the connection is reset, or goes on late, with
 *   another fault before it
 *
 * SIGUSR1: no more faults; what is held is reset. SIGTERM: prints what it did, and ends.
 *
 * Owns: its sockets, the dice, one thread. Never: changes a byte that it lets pass.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 400, BLOCK = 16 * 1024, HANDSHAKE = 1500, DRAIN_MS = 1000, HALF_MS = 200 };
enum { ONE_IN = 8, FAR = 8 }; /* connections end late: behind so many times MEAN */
enum fault { FIN, RST, ONE, HALF, HOLD, FAULTS };
static const char *const fault_names[FAULTS] = {"fin", "rst", "one", "half", "hold"};
static const int weights[FAULTS] = {31, 31, 20, 16, 2}; /* of a hundred; a hold costs time */

enum state { FREE, FLOWING, HELD, DRAINING, HALVED };

struct way { /* from fd[i] to fd[!i] */
  size_t start, end;
  uint64_t passed;
  bool ended, told; /* the source ended; the other end was told */
  char block[BLOCK];
};

struct pair {
  enum state state;
  int fd[2]; /* the client's, the server's */
  struct way way[2];
  enum fault fault;
  int side;       /* the way that is counted; the end that is treated differently */
  uint64_t at;    /* bytes that pass before the fault; UINT64_MAX: none */
  uint64_t until; /* ms: the state ends */
  bool go_on;     /* of a hold: late bytes pass after it */
};

static struct pair pairs[PAIRS];
static uint64_t dice;
static double mean;
static unsigned hold_ms, port;
static unsigned long accepted, done[FAULTS], late;
static volatile sig_atomic_t calm, over;

static void on_signal(int number) {
  if (number == SIGUSR1)
    calm = 1;
  else
    over = 1;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t roll(uint64_t sides) { /* splitmix64 */
  uint64_t z = (dice += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) % sides;
}

static void choose(struct pair *p) {
  int of_hundred = (int)roll(100), fault = 0;
  while (of_hundred >= weights[fault]) of_hundred -= weights[fault++];
  p->fault = (enum fault)fault;
  p->side = (int)roll(2);
  p->go_on = roll(2);
  uint64_t early = roll(HANDSHAKE);
  double far = -log((double)(roll(1u << 30) + 1) / (1u << 30)) * mean;
  p->at = roll(5) == 0 ? early : (uint64_t)far;
  p->until = roll(hold_ms) + 50; /* how long, if it is a hold */
  if (calm) p->at = UINT64_MAX;
}

static void set_up(int fd) {
  int one = 1;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void close_end(struct pair *p, int i, bool reset) {
  struct linger now = {1, 0};
  if (reset) setsockopt(p->fd[i], SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(p->fd[i]);
  p->fd[i] = -1;
}

static void finish(struct pair *p, bool reset) {
  for (int i = 0; i < 2; i++)
    if (p->fd[i] >= 0) close_end(p, i, reset);
  p->state = FREE;
}

static void enter(struct pair *p, enum state state, uint64_t ms) {
  p->state = state;
  p->until = now_ms() + ms;
}

static void strike(struct pair *p) {
  done[p->fault]++;
  p->at = UINT64_MAX;
  switch (p->fault) {
  case FIN:
    shutdown(p->fd[0], SHUT_WR);
    shutdown(p->fd[1], SHUT_WR);
    enter(p, DRAINING, DRAIN_MS);
    break;
  case ONE:
    close_end(p, p->side, true);
    finish(p, false);
    break;
  case HALF:
    shutdown(p->fd[p->side], SHUT_WR);
    enter(p, HALVED, HALF_MS);
    break;
  case HOLD:
    enter(p, HELD, p->until);
    break;
  default:
    finish(p, true);
  }
}

static void accept_one(int listener) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct pair *p = pairs;
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) return;
  while (p < pairs + PAIRS && p->state != FREE) p++;
  if (p == pairs + PAIRS) {
    close(fd);
    return;
  }
  accepted++;
  memset(p, 0, sizeof *p);
  choose(p);
  if (accepted % ONE_IN == 0 && !calm) {
    p->fault = FIN;
    p->at += (uint64_t)(FAR * mean);
  }
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  p->fd[0] = fd;
  p->fd[1] = socket(AF_INET, SOCK_STREAM, 0);
  if (p->fd[1] < 0) die("socket");
  p->state = FLOWING;
  if (connect(p->fd[1], (struct sockaddr *)&to, sizeof to)) { /* loopback: at once */
    finish(p, true);
    return;
  }
  set_up(fd);
  set_up(p->fd[1]);
  if (!p->at) strike(p);
}

/* What a draining end, or the way to an end that was told, still says is swallowed. */
static bool swallows(const struct pair *p, int i) {
  return p->state == DRAINING || (p->state == HALVED && i == !p->side);
}

static size_t room(const struct pair *p, int i) {
  const struct way *w = &p->way[i];
  uint64_t left = p->at - w->passed;
  if (p->state != FLOWING || p->side != i || left >= BLOCK) return BLOCK;
  return (size_t)left;
}

static bool wants_read(const struct pair *p, int i) {
  return !p->way[i].ended && p->way[i].start == p->way[i].end;
}

/* False when the pair is gone. */
static bool take(struct pair *p, int i) {
  struct way *w = &p->way[i];
  ssize_t n = recv(p->fd[i], w->block, room(p, i), 0);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return true;
    finish(p, true);
    return false;
  }
  w->start = 0;
  w->end = swallows(p, i) ? 0 : (size_t)n;
  w->ended = n == 0;
  return true;
}

static bool give(struct pair *p, int i) {
  struct way *w = &p->way[i];
  while (w->start < w->end) {
    ssize_t n = send(p->fd[!i], w->block + w->start, w->end - w->start, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n < 0) {
      finish(p, true);
      return false;
    }
    w->start += (size_t)n;
    w->passed += (uint64_t)n;
  }
  if (p->state == FLOWING && p->side == i && w->passed >= p->at) {
    strike(p);
    return p->state != FREE;
  }
  if (w->ended && !w->told) {
    w->told = true;
    if (!swallows(p, i)) shutdown(p->fd[!i], SHUT_WR);
  }
  if (!p->way[0].told || !p->way[1].told) return true;
  finish(p, false);
  return false;
}

static void look_at_time(struct pair *p, uint64_t now) {
  bool held = p->state == HELD;
  if (calm) p->at = UINT64_MAX;
  if (p->state == FREE || p->state == FLOWING || (now < p->until && !calm)) return;
  if (held && p->go_on && !calm) {
    late++;
    p->state = FLOWING;
    choose(p);
    if (p->at != UINT64_MAX) p->at += p->way[p->side].passed + 1;
  } else {
    finish(p, true);
  }
}

static void serve(int listener) {
  struct pollfd polled[1 + 2 * PAIRS];
  while (!over) {
    polled[0] = (struct pollfd){listener, POLLIN, 0};
    for (int k = 0; k < PAIRS; k++) {
      struct pair *p = &pairs[k];
      for (int i = 0; i < 2; i++) {
        struct pollfd *f = &polled[1 + 2 * k + i];
        *f = (struct pollfd){-1, 0, 0};
        if (p->state == FREE || p->state == HELD) continue;
        if (wants_read(p, i)) f->events |= POLLIN;
        if (p->way[!i].start < p->way[!i].end) f->events |= POLLOUT;
        if (f->events) f->fd = p->fd[i];
      }
    }
    if (poll(polled, 1 + 2 * PAIRS, 10) < 0 && errno != EINTR) die("poll");
    uint64_t now = now_ms();
    for (int k = 0; k < PAIRS; k++) {
      struct pair *p = &pairs[k];
      for (int i = 0; i < 2 && p->state != FREE && p->state != HELD; i++) {
        short got = polled[1 + 2 * k + i].fd >= 0 ? polled[1 + 2 * k + i].revents : 0;
        if ((got & (POLLIN | POLLHUP | POLLERR)) && wants_read(p, i) && !take(p, i)) break;
        if (p->state != FREE && !give(p, i)) break;
        if (p->state != FREE && p->state != HELD && (got & POLLOUT) && !give(p, !i)) break;
      }
      look_at_time(p, now);
    }
    if (polled[0].revents) accept_one(listener);
  }
}

int main(int argc, char **argv) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (argc != 5) {
    fprintf(stderr, "usage: breaker PORT SEED MEAN HOLD\n");
    return 2;
  }
  port = (unsigned)atoi(argv[1]);
  dice = strtoull(argv[2], NULL, 10);
  mean = atof(argv[3]);
  hold_ms = (unsigned)atoi(argv[4]);
  signal(SIGUSR1, on_signal);
  signal(SIGTERM, on_signal);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128) ||
      getsockname(listener, (struct sockaddr *)&at, &len))
    die("listen");
  fcntl(listener, F_SETFL, O_NONBLOCK);
  printf("listening %d\n", ntohs(at.sin_port));
  fflush(stdout);
  serve(listener);
  printf("broke connections=%lu", accepted);
  for (int i = 0; i < FAULTS; i++) printf(" %s=%lu", fault_names[i], done[i]);
  printf(" late=%lu\n", late);
  return 0;
}
