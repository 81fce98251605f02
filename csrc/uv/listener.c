/* Accepts connections for a server; see listener.h. */
#include "uv/listener.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "uv/address.h"
#include "uv/secure.h"

#define BACKLOG       1024
#define ROUND_ACCEPTS 16 /* in a round: a flood of connections leaves the others their turn */

union any_handle {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
};

struct dop_listener {
  union any_handle uv;
  union any_handle refused; /* a connection for which there was no memory, while it is closed */
  struct dop_resource resource;
  struct dop_loop *loop;
  struct dop_transport *transport;
  struct dop_tls_context *tls;
  struct dop_later later; /* a connection that was put off to the next round */
  uint32_t round, accepted;
  struct dop_listener **owner; /* see dop_listener_own() */
  unsigned is_pipe : 1, closing : 1, closed : 1;
  unsigned refusing : 1; /* `refused` is in use */
  unsigned again : 1;    /* and another connection waits behind it */
};

static void free_listener(struct dop_listener *l) {
  if (!l->closed || l->refusing) return;
  dop_resource_remove(l->loop, &l->resource);
  dop_tls_context_unref(l->tls);
  l->loop->api->transport_unref(l->transport);
  l->loop->api->free(l);
}

static void on_closed(uv_handle_t *handle) {
  struct dop_listener *l = DOP_CONTAINER(handle, struct dop_listener, uv.handle);
  l->closed = 1;
  free_listener(l);
}

void dop_listener_close(struct dop_listener *l) {
  /* After a fork the child shares the parent's epoll and file: both must stay as they are. */
  if (l->closing || l->loop->pid != getpid()) return;
  l->closing = 1;
  dop_later_remove(l->loop, &l->later);
  if (l->owner) *l->owner = NULL;
  uv_close(&l->uv.handle, on_closed);
}

void dop_listener_own(struct dop_listener *l, struct dop_listener **owner) {
  l->owner = owner;
  *owner = l;
}

void dop_listener_secure(struct dop_listener *l, struct dop_tls_context *tls) {
  if (tls) dop_tls_context_ref(tls);
  dop_tls_context_unref(l->tls);
  l->tls = tls;
}

struct dop_tls_context *dop_listener_tls(const struct dop_listener *l) {
  return l->tls;
}

static void shut_listener(struct dop_resource *r) {
  dop_listener_close(DOP_CONTAINER(r, struct dop_listener, resource));
}

/* --- accepting --- */

static void peer_name(struct dop_stream *s, char out[DOP_ADDRESS_MAX]) {
  struct sockaddr_storage address;
  int len = sizeof address;
  if (s->is_pipe)
    strcpy(out, "unix");
  else if (uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&address, &len) == 0)
    dop_address_format((struct sockaddr *)&address, out);
  else
    strcpy(out, "?");
}

static int init_handle(struct dop_listener *l, union any_handle *h) {
  return l->is_pipe ? uv_pipe_init(&l->loop->uv, &h->pipe, 0) : uv_tcp_init(&l->loop->uv, &h->tcp);
}

static void on_connection(uv_stream_t *handle, int status);

static void on_refused(uv_handle_t *handle) {
  struct dop_listener *l = DOP_CONTAINER(handle, struct dop_listener, refused.handle);
  int again = l->again;
  l->refusing = l->again = 0;
  if (l->closing)
    free_listener(l);
  else if (again)
    on_connection(&l->uv.stream, 0);
}

/* No memory for this one. It is taken and closed all the same, in a handle of our own: libuv
 * announces no other before somebody took it. */
static void refuse(struct dop_listener *l) {
  if (l->refusing) {
    l->again = 1;
    return;
  }
  if (init_handle(l, &l->refused)) return;
  l->refusing = 1;
  uv_accept(&l->uv.stream, &l->refused.stream);
  uv_close(&l->refused.handle, on_refused);
}

static void accept_now(struct dop_later *later) {
  on_connection(&DOP_CONTAINER(later, struct dop_listener, later)->uv.stream, 0);
}

/* libuv announces no further connection until the one that it has is taken. */
static int may_accept(struct dop_listener *l) {
  if (l->round != l->loop->round) l->accepted = 0;
  l->round = l->loop->round;
  if (l->accepted++ < ROUND_ACCEPTS) return 1;
  dop_later_add(l->loop, &l->later);
  return 0;
}

static void on_connection(uv_stream_t *handle, int status) {
  struct dop_listener *l = DOP_CONTAINER(handle, struct dop_listener, uv.stream);
  struct dop_loop *loop = l->loop;
  char address[DOP_ADDRESS_MAX];
  if (status < 0) return; /* it was not accepted; libuv tries again */
  if (!may_accept(l)) return;
  struct dop_stream *s = dop_stream_new(loop, l->is_pipe);
  if (!s || dop_stream_open(s)) {
    if (s) dop_stream_free(s);
    refuse(l);
    return;
  }
  loop->api->set_time(loop->host, uv_now(&loop->uv));
  if (uv_accept(handle, &s->uv.stream) == 0 && (!l->tls || !dop_secure_stream(s, l->tls))) {
    peer_name(s, address);
    s->link = loop->api->accept(l->transport, address);
  }
  if (!s->link) {
    dop_stream_close(s, 0);
    return;
  }
  s->link->driver = s;
  dop_stream_begin(s);
}

/* --- listening --- */

static struct dop_listener *new_listener(struct dop_loop *loop, struct dop_transport *t,
                                         int is_pipe, int *err) {
  struct dop_listener *l = loop->api->zalloc(sizeof *l);
  *err = UV_ENOMEM;
  if (!l) return NULL;
  l->loop = loop;
  l->transport = t;
  l->is_pipe = is_pipe != 0;
  l->later.run = accept_now;
  *err = init_handle(l, &l->uv);
  if (*err) {
    loop->api->free(l);
    return NULL;
  }
  loop->api->transport_ref(t);
  dop_resource_add(loop, &l->resource, shut_listener);
  return l;
}

static struct dop_listener *finish(struct dop_listener *l, int *err) {
  if (!*err) *err = uv_listen(&l->uv.stream, BACKLOG, on_connection);
  if (!*err) return l;
  dop_listener_close(l);
  return NULL;
}

/* libuv binds without SO_REUSEPORT: the socket that it binds is made here. 0 or a libuv error. */
static int share_port(uv_tcp_t *tcp, int family) {
  int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return uv_translate_sys_error(errno);
  int err = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) ? uv_translate_sys_error(errno)
                                                                     : uv_tcp_open(tcp, fd);
  if (err) close(fd);
  return err;
}

struct dop_listener *dop_listen_tcp(struct dop_loop *loop, struct dop_transport *t,
                                    const char *host, const char *service, int shared, int *err) {
  uv_getaddrinfo_t req;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
  *err = uv_getaddrinfo(&loop->uv, &req, NULL, host, service, &hints);
  if (*err) return NULL;
  /* A name may begin with an address that this machine has not: IPv6 that is switched off, say. A
   * handle that could not be bound has a socket of that family, so the next address needs another.
   * A port that is in use is told by uv_listen(), and ends the search: whoever dials the name would
   * find the other one first. */
  struct dop_listener *l = NULL;
  for (const struct addrinfo *a = req.addrinfo; a; a = a->ai_next) {
    l = new_listener(loop, t, 0, err);
    if (!l) break;
    *err = shared ? share_port(&l->uv.tcp, a->ai_family) : 0;
    if (!*err) *err = uv_tcp_bind(&l->uv.tcp, a->ai_addr, 0);
    if (!*err) break;
    dop_listener_close(l);
    l = NULL;
  }
  uv_freeaddrinfo(req.addrinfo);
  return l ? finish(l, err) : NULL;
}

/* Whether the file is a socket on which nobody listens any more. */
static int is_stale(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct stat st;
  if (lstat(path, &st) || !S_ISSOCK(st.st_mode) || strlen(path) >= sizeof address.sun_path)
    return 0;
  strcpy(address.sun_path, path);
  /* Who does not accept may have no room for another: EAGAIN, and nobody waits for him. */
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  int stale = connect(fd, (struct sockaddr *)&address, sizeof address) && errno == ECONNREFUSED;
  close(fd);
  return stale;
}

struct dop_listener *dop_listen_unix(struct dop_loop *loop, struct dop_transport *t,
                                     const char *path, int mode, int *err) {
  struct sockaddr_un address;
  if (strlen(path) >= sizeof address.sun_path) { /* libuv would cut it in silence */
    *err = UV_ENAMETOOLONG;
    return NULL;
  }
  struct dop_listener *l = new_listener(loop, t, 1, err);
  if (!l) return NULL;
  /* Nobody may connect between the bind and the chmod who may not connect after it. */
  mode_t before = mode >= 0 ? umask(0177) : 0;
  *err = uv_pipe_bind(&l->uv.pipe, path);
  if (*err == UV_EADDRINUSE && is_stale(path) && unlink(path) == 0)
    *err = uv_pipe_bind(&l->uv.pipe, path);
  if (mode >= 0) umask(before);
  if (!*err && mode >= 0 && chmod(path, (mode_t)mode)) *err = uv_translate_sys_error(errno);
  return finish(l, err);
}

int dop_listener_port(const struct dop_listener *l) {
  struct sockaddr_storage address;
  int len = sizeof address;
  if (l->is_pipe || uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&address, &len)) return 0;
  return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                       : ntohs(((struct sockaddr_in *)&address)->sin_port);
}
