/* The engine of the attacks; see attack.h. */
#define _GNU_SOURCE 1
#include "attack.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gauge.h"
#include "wire.h"

enum { EVENTS = 512, READ_SIZE = 65536 };

static const struct scene *scene;
static struct tally *tally;
static struct attacker *all;
static int poller, port, vacant_count, *vacant;
static uint8_t opening[WIRE_REQUEST + 2 * (WIRE_HALF + WIRE_HEAD)];
static size_t opening_len;
static uint8_t shared[READ_SIZE];

/* Nobody reads what this process could say: it ends, and the bench misses its counts. */
static void must(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "abuse: attack %s: %s: %s\n", scene->name, what, strerror(errno));
  _exit(1);
}

static void end(struct attacker *a) {
  /* A reset: tens of thousands of ports in TIME_WAIT would end the attack, not the server. */
  struct linger hard = {.l_onoff = 1};
  setsockopt(a->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(a->fd);
  a->fd = -1;
  vacant[vacant_count++] = (int)(a - all);
  tally->ended++;
}

void attack_say(struct attacker *a, const void *bytes, size_t n) {
  ssize_t sent = send(a->fd, bytes, n, MSG_NOSIGNAL);
  if (sent > 0) tally->bytes += (uint64_t)sent;
}

void attack_pour(struct attacker *a, const void *block, size_t size) {
  size_t from = a->at % size;
  ssize_t sent = send(a->fd, (const char *)block + from, size - from, MSG_NOSIGNAL);
  if (sent <= 0) return;
  a->at += (size_t)sent;
  tally->bytes += (uint64_t)sent;
}

/* --- hearing --- */

/* The first line of an answer, then the frames behind it. */
static void hear_head(struct attacker *a, const uint8_t *p, size_t n) {
  const uint8_t *over;
  if (!a->heard_status && n >= 12) {
    unsigned status = (unsigned)atoi((const char *)p + 9);
    a->heard_status = 1;
    if (status < 600) tally->status[status]++;
    over = memmem(p, n, "\r\n\r\n", 4);
    if (status != 101 || !over) return;
    a->stage = UPGRADED;
    tally->upgraded++;
    n -= (size_t)(over - p) + 4;
    p = over + 4;
  }
  if (a->stage != UPGRADED) return;
  while (n) {
    if (a->skip) {
      size_t some = n < a->skip ? n : (size_t)a->skip;
      a->skip -= some, p += some, n -= some;
      continue;
    }
    a->head[a->have++] = *p++, n--;
    if (a->have < 2) continue;
    unsigned wide = a->head[1] == 126 ? 2 : a->head[1] == 127 ? 8 : 0;
    unsigned code = (a->head[0] & 15) == OP_CLOSE && a->head[1] >= 2 ? 2 : 0;
    if (a->have < 2 + wide + code) continue;
    for (unsigned i = 0; i < wide; i++) a->skip = a->skip << 8 | a->head[2 + i];
    if (!wide) a->skip = a->head[1] - code;
    if (code) tally->code[(a->head[2] << 8 | a->head[3]) % 5000]++;
    a->have = 0;
  }
}

/* False: it has ended. */
static bool hear(struct attacker *a) {
  ssize_t got = recv(a->fd, shared, sizeof shared, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (got <= 0) return false;
  hear_head(a, shared, (size_t)got);
  return true;
}

/* --- a socket's life --- */

static void watch(struct attacker *a, int how) {
  bool floods = a->stage == CONNECTING || (scene->every == 0 && scene->act);
  struct epoll_event e = {.data.ptr = a};
  if (!scene->deaf || a->stage != UPGRADED) e.events |= EPOLLIN;
  if (floods) e.events |= EPOLLOUT;
  must(epoll_ctl(poller, how, a->fd, &e) == 0, "epoll_ctl");
}

static void open_one(void) {
  struct attacker *a = &all[vacant[--vacant_count]];
  memset(a, 0, sizeof *a);
  a->fd = wire_connect(port);
  must(a->fd >= 0, "connect");
  tally->opened++;
  watch(a, EPOLL_CTL_ADD);
}

static bool ready_to_act(const struct attacker *a) {
  return a->fd >= 0 && scene->act && (scene->request ? a->stage == UPGRADED : a->stage == TALKING);
}

static void on_event(struct attacker *a, uint32_t events) {
  enum stage before = a->stage;
  if (a->fd < 0) return;
  if (a->stage == CONNECTING && events & EPOLLOUT) {
    a->stage = TALKING;
    if (scene->request) attack_say(a, opening, opening_len);
  }
  if (events & EPOLLIN && !hear(a)) {
    end(a);
    return;
  }
  if (!(events & EPOLLIN) && events & (EPOLLERR | EPOLLHUP)) {
    end(a);
    return;
  }
  if (a->stage != before) watch(a, EPOLL_CTL_MOD);
  if (scene->every == 0 && ready_to_act(a) && !scene->act(a)) end(a);
}

/* --- the clock --- */

static void open_due(double elapsed) {
  double due = scene->opens * elapsed;
  while (vacant_count && (double)tally->opened < due) open_one();
}

/* Everybody has one turn in scene->every seconds. */
static void act_due(double elapsed) {
  static uint64_t turn;
  uint64_t due = (uint64_t)(elapsed / scene->every * scene->sockets);
  if (due - turn > (uint64_t)scene->sockets) turn = due - (uint64_t)scene->sockets;
  for (; turn < due; turn++) {
    struct attacker *a = &all[turn % (uint64_t)scene->sockets];
    if (ready_to_act(a) && !scene->act(a)) end(a);
  }
}

static void run(void) {
  struct epoll_event events[EVENTS];
  uint64_t began = gauge_now();
  for (;;) {
    double elapsed = (double)(gauge_now() - began) / 1e9;
    open_due(elapsed);
    if (scene->every > 0) act_due(elapsed);
    int n = epoll_wait(poller, events, EVENTS, 1);
    must(n >= 0 || errno == EINTR, "epoll_wait");
    for (int i = 0; i < n; i++) on_event(events[i].data.ptr, events[i].events);
  }
}

/* The request and, for a session, both halves: the server takes them in one piece. */
static void prepare(void) {
  char half[WIRE_HALF];
  if (!scene->request) return;
  opening_len = wire_request((char *)opening, port, scene->request);
  if (!scene->session) return;
  wire_half(half);
  for (int i = 0; i < 2; i++)
    opening_len += wire_frame(opening + opening_len, FIN | OP_TEXT, half, WIRE_HALF);
}

int attack_start(const struct scene *s, int to, struct tally *into) {
  pid_t parent = getpid(), pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  setpriority(PRIO_PROCESS, 0, 0);
  scene = s;
  port = to;
  tally = into;
  memset(tally, 0, sizeof *tally);
  poller = epoll_create1(EPOLL_CLOEXEC);
  must(poller >= 0, "epoll_create1");
  all = calloc((size_t)s->sockets, sizeof *all);
  vacant = calloc((size_t)s->sockets, sizeof *vacant);
  must(all && vacant, "memory");
  for (int i = s->sockets; i-- > 0;) {
    all[i].fd = -1;
    vacant[vacant_count++] = i;
  }
  prepare();
  run();
  _exit(0);
}
