/* The HTTP proxy of the scenes, on a thread of its own and with no memory that could fail: it makes
 * a tunnel to each port of 127.0.0.1 that it is asked for, and carries bytes both ways. Never
 * shipped.
 */
#include "proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TUNNELS 32

static struct tunnel {
  int ends[2]; /* whose bytes go to the other one; ends[1] < 0: not asked for yet; ends[0]: free */
  char head[1024];
  size_t len;
} tunnels[TUNNELS];

static struct sockaddr_in here(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static void shut(struct tunnel *t) {
  for (int i = 0; i < 2; i++) {
    if (t->ends[i] >= 0) close(t->ends[i]);
    t->ends[i] = -1;
  }
}

static void say(int fd, const char *data, size_t len) {
  for (ssize_t n; len != 0 && (n = send(fd, data, len, MSG_NOSIGNAL)) > 0; len -= (size_t)n)
    data += n;
}

/* "CONNECT 127.0.0.1:PORT HTTP/1.1" and more lines, once they are whole. */
static void hear_head(struct tunnel *t) {
  static const char made[] = "HTTP/1.1 200 OK\r\n\r\n", no[] = "HTTP/1.1 502 No\r\n\r\n";
  int port;
  ssize_t n = recv(t->ends[0], t->head + t->len, sizeof t->head - 1 - t->len, 0);
  if (n <= 0) {
    shut(t);
    return;
  }
  t->len += (size_t)n;
  t->head[t->len] = 0;
  if (!strstr(t->head, "\r\n\r\n")) return;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && sscanf(t->head, "CONNECT 127.0.0.1:%d ", &port) == 1) {
    struct sockaddr_in to = here(port);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
      t->ends[1] = fd;
      say(t->ends[0], made, sizeof made - 1);
      return;
    }
  }
  if (fd >= 0) close(fd);
  say(t->ends[0], no, sizeof no - 1);
  shut(t);
}

static void carry(struct tunnel *t, int from) {
  char block[16384];
  if (t->ends[1] < 0) {
    hear_head(t);
    return;
  }
  ssize_t n = recv(t->ends[from], block, sizeof block, 0);
  if (n > 0)
    say(t->ends[!from], block, (size_t)n);
  else
    shut(t);
}

static void enter(int fd) {
  for (int i = 0; i < TUNNELS && fd >= 0; i++) {
    if (tunnels[i].ends[0] >= 0) continue;
    tunnels[i].ends[0] = fd;
    tunnels[i].len = 0;
    return;
  }
  if (fd >= 0) close(fd);
}

static void *run(void *arg) {
  int listener = *(int *)arg;
  struct pollfd fds[1 + 2 * TUNNELS];
  for (;;) {
    fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (int i = 0; i < 2 * TUNNELS; i++)
      fds[1 + i] = (struct pollfd){.fd = tunnels[i / 2].ends[i % 2], .events = POLLIN};
    if (poll(fds, 1 + 2 * TUNNELS, -1) < 0) continue;
    for (int i = 0; i < 2 * TUNNELS; i++) {
      struct tunnel *t = &tunnels[i / 2];
      if (fds[1 + i].revents && t->ends[i % 2] == fds[1 + i].fd && fds[1 + i].fd >= 0)
        carry(t, i % 2);
    }
    if (fds[0].revents) enter(accept(listener, NULL, NULL));
  }
  return NULL;
}

int proxy_start(void) {
  static int listener;
  struct sockaddr_in a = here(0);
  socklen_t len = sizeof a;
  pthread_t thread;
  for (int i = 0; i < TUNNELS; i++) tunnels[i].ends[0] = tunnels[i].ends[1] = -1;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 64) ||
      getsockname(listener, (struct sockaddr *)&a, &len) ||
      pthread_create(&thread, NULL, run, &listener))
    return -1;
  pthread_detach(thread);
  return ntohs(a.sin_port);
}
