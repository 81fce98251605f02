/* The system as a spec wants it, for scripts that are run with this preloaded (preload.lua):
 *
 *   NAME, ADDRESSES, DELAY: the name NAME resolves to the list ADDRESSES (numeric, by commas) after
 * DELAY milliseconds; every other name is the system's affair.
 *   HURRY: the time of day goes so many times as fast.
 *   FULL: sockets take nothing at once, as if they were full, but later.
 *   COUNT: the process ends with a line that says how often it wrote, and how many bytes it
 * searched for the ends of lines, how many it moved, and how many malloc() has given out at the
 * end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* --- names --- */

typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res) {
  lookup system = (lookup)dlsym(RTLD_NEXT, "getaddrinfo");
  const char *name = getenv("NAME"), *delay = getenv("DELAY"), *all = getenv("ADDRESSES");
  if (!node || !name || !all || strcmp(node, name) != 0) return system(node, service, hints, res);
  if (delay) usleep((useconds_t)atoi(delay) * 1000);
  char list[256], *rest = NULL;
  strncpy(list, all, sizeof list - 1);
  list[sizeof list - 1] = 0;
  struct addrinfo **end = res;
  *res = NULL;
  for (char *a = strtok_r(list, ",", &rest); a; a = strtok_r(NULL, ",", &rest)) {
    int err = system(a, service, hints, end);
    if (err) return err;
    while (*end) end = &(*end)->ai_next;
  }
  return 0;
}

/* --- the time of day --- */

static time_t began;

time_t time(time_t *to) {
  struct timespec now;
  const char *factor = getenv("HURRY");
  clock_gettime(CLOCK_REALTIME, &now);
  if (!began) began = now.tv_sec;
  double gone = (double)(now.tv_sec - began) + (double)now.tv_nsec / 1e9;
  time_t is = factor ? began + (time_t)(gone * atoi(factor)) : now.tv_sec;
  if (to) *to = is;
  return is;
}

/* --- writes, by whatever call --- */

static unsigned writes;

/* Whether this write to a socket finds no room: each that is made at once, and of others each first
 * one. What is no socket has always room. */
static int is_full(int fd, int at_once) {
  static int tried = -1;
  struct stat st;
  if (!getenv("FULL") || fstat(fd, &st) || !S_ISSOCK(st.st_mode)) return 0;
  int again = !at_once && tried == fd;
  if (!at_once) tried = again ? -1 : fd;
  errno = EAGAIN;
  return !again;
}

ssize_t write(int fd, const void *data, size_t len) {
  writes++;
  if (is_full(fd, 0)) return -1;
  return ((ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, data, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  writes++;
  return ((ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev"))(fd, parts, count);
}

ssize_t send(int fd, const void *data, size_t len, int flags) {
  writes++;
  if (is_full(fd, 1)) return -1;
  return ((ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send"))(fd, data, len,
                                                                                flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  writes++;
  return ((ssize_t(*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg"))(fd, message,
                                                                                    flags);
}

/* --- looking for the end of a line, and making room in front --- */

static unsigned long searched, moved;

void *memchr(const void *data, int c, size_t len) {
  const unsigned char *p = data;
  size_t i = 0;
  while (i < len && p[i] != (unsigned char)c) i++;
  if (c == '\n') searched += i < len ? i + 1 : len;
  return i < len ? (void *)(p + i) : NULL;
}

void *memmove(void *to, const void *from, size_t len) {
  volatile unsigned char *t = to; /* or the compiler makes this loop a call of memmove */
  const unsigned char *f = from;
  moved += len;
  if (t < f)
    for (size_t i = 0; i < len; i++) t[i] = f[i];
  else
    while (len--) t[len] = f[len];
  return to;
}

__attribute__((destructor)) static void tell(void) {
  struct mallinfo2 m = mallinfo2();
  if (getenv("COUNT"))
    printf("writes: %u searched: %lu moved: %lu held: %zu\n", writes, searched, moved,
           m.uordblks + m.hblkhd);
}
