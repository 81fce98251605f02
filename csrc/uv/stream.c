/* One connection between libuv and its link; see stream.h. */
#include "uv/stream.h"

#include <errno.h>
#include <sys/socket.h>

#include "uv/dialer.h"
#include "uv/secure.h"

#ifdef MSG_NOSIGNAL
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)
#else
#define SEND_FLAGS MSG_DONTWAIT
#endif

struct writing {
  uv_write_t req;
  struct dop_bytes bytes;
};

static struct dop_stream *stream_of(uv_stream_t *handle) {
  return DOP_CONTAINER(handle, struct dop_stream, uv.stream);
}

/* What goes to a proxy is not encrypted: that begins behind the tunnel. */
static int encrypted(const struct dop_stream *s) {
  return s->tls && s->link->state != DOP_LINK_TUNNELLING;
}

static void lost(struct dop_stream *s, int err) {
  if (encrypted(s))
    dop_secure_lost(s, err);
  else
    s->loop->api->lost(s->link, uv_err_name(err), uv_strerror(err));
}

/* --- reading --- */

/* libuv would read a socket that fills the buffer 32 times in a row, and whoever sends without end
 * would have the loop to himself: one read in a round is enough for everybody, and none while there
 * is something left of the last. No buffer is how libuv is told to stop: it asks the system nothing
 * more, and comes back in the next round. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  struct dop_stream *s = stream_of((uv_stream_t *)handle);
  int waits = s->loop->fed == s || s->link->socket.ready || dop_secure_waits(s);
  (void)suggested;
  *buf = uv_buf_init(s->loop->buffer, waits ? 0 : s->loop->share);
}

/* The bytes of a proxy; TLS begins as soon as it has made the tunnel. */
static void feed_tunnel(struct dop_stream *s, char *data, size_t n) {
  s->loop->api->feed(s->loop->host, s->link, data, n);
  if (!encrypted(s) || s->link->dead) return;
  dop_secure_begin(s);
  dop_stream_service(s);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf) {
  struct dop_stream *s = stream_of(handle);
  struct dop_loop *loop = s->loop;
  if (n == UV_ENOBUFS && dop_secure_waits(s)) dop_secure_queue(s);
  if (n == 0 || n == UV_ENOBUFS) return;
  dop_loop_wake(loop);
  loop->fed = s;
  if (n == (ssize_t)loop->share) loop->greedy++;
  loop->api->set_time(loop->host, uv_now(&loop->uv));
  if (n > 0 && s->tls && !encrypted(s))
    feed_tunnel(s, buf->base, (size_t)n);
  else if (n > 0 && s->tls)
    dop_secure_feed(s, buf->base, (size_t)n);
  else if (n > 0)
    loop->api->feed(loop->host, s->link, buf->base, (size_t)n);
  else if (n == UV_EOF && encrypted(s))
    dop_secure_eof(s);
  else if (n == UV_EOF)
    loop->api->eof(s->link);
  else
    lost(s, (int)n);
  dop_loop_flush(loop);
}

static void set_reading(struct dop_stream *s, int on) {
  if (s->reading == (on != 0)) return;
  s->reading = on != 0;
  if (on)
    uv_read_start(&s->uv.stream, on_alloc, on_read);
  else
    uv_read_stop(&s->uv.stream);
}

/* --- writing --- */

static void on_written(uv_write_t *req, int status) {
  struct writing *w = DOP_CONTAINER(req, struct writing, req);
  struct dop_stream *s = stream_of(req->handle);
  struct dop_loop *loop = s->loop;
  loop->api->dispose_bytes(&w->bytes);
  loop->api->free(w);
  s->writing = 0;
  if (s->closing) return;
  loop->api->set_time(loop->host, uv_now(&loop->uv));
  if (status < 0)
    lost(s, status);
  else
    loop->api->wrote(s->link);
  dop_loop_flush(loop);
}

/* The system took less than all of it: the rest goes with a request. */
static int write_later(struct dop_stream *s) {
  struct writing *w = s->loop->api->zalloc(sizeof *w);
  uint32_t at;
  if (!w) return UV_ENOMEM;
  s->loop->api->take(s->link, &w->bytes, &at);
  uv_buf_t buf = uv_buf_init(w->bytes.data + at, w->bytes.len - at);
  int err = uv_write(&w->req, &s->uv.stream, &buf, 1, on_written);
  if (err) {
    s->loop->api->dispose_bytes(&w->bytes);
    s->loop->api->free(w);
    return err;
  }
  s->writing = 1;
  return 0;
}

/* What uv_try_write() would do, by the call that is made for sockets: write() takes the way of
 * files through the kernel first, which is a twentieth of what a small message costs. Returns how
 * many bytes the system took, or a libuv error. */
ssize_t dop_stream_send(struct dop_stream *s, const char *data, size_t len) {
  uv_os_fd_t fd;
  ssize_t n;
  int err = uv_fileno(&s->uv.handle, &fd);
  if (err) return err;
  do {
    n = send(fd, data, len, SEND_FLAGS);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return n;
  return errno == EAGAIN || errno == EWOULDBLOCK ? UV_EAGAIN : uv_translate_sys_error(errno);
}

static int write_now(struct dop_stream *s) {
  const struct dop_driver_api *api = s->loop->api;
  const char *out;
  size_t len;
  int err = 0;
  while (!err && !s->writing && (out = api->output(s->link, &len))) {
    ssize_t n = dop_stream_send(s, out, len);
    if (n > 0) api->sent(s->link, (size_t)n);
    if (n == UV_EAGAIN || (n >= 0 && (size_t)n < len))
      err = write_later(s);
    else if (n < 0)
      err = (int)n;
  }
  return err;
}

/* What uv_shutdown() would do once nothing is left to write, without the request that it needs
 * memory for: a peer that is not told of the end would wait for it until the close timeout. */
static void shut_down(struct dop_stream *s) {
  uv_os_fd_t fd;
  s->shut = 1;
  if (uv_fileno(&s->uv.handle, &fd) == 0)
    shutdown(fd, SHUT_WR); /* fails only where the peer is gone */
}

/* --- ends --- */

static void on_closed(uv_handle_t *handle) {
  dop_stream_free(stream_of((uv_stream_t *)handle));
}

void dop_stream_close(struct dop_stream *s, int reset) {
  if (s->closing) return;
  s->closing = 1;
  dop_secure_leave(s);
  if (!reset || s->is_pipe || uv_tcp_close_reset(&s->uv.tcp, on_closed))
    uv_close(&s->uv.handle, on_closed);
}

void dop_stream_service(struct dop_stream *s) {
  struct dop_link *l = s->link;
  if (s->closing) return;
  if (s->dialing) {
    if (l->dead) dop_dialer_cancel(s);
    return;
  }
  int err = encrypted(s) ? dop_secure_write(s) : l->dead ? 0 : write_now(s);
  if (err) lost(s, err);
  if (l->dead) {
    dop_stream_close(s, l->reset);
    return;
  }
  size_t left;
  int flushed = !s->writing && (dop_secure_mute(s) || !s->loop->api->output(l, &left));
  if (flushed && (l->over || l->fin) && s->tls && !s->shut) dop_secure_end(s);
  if (flushed && l->over) {
    lost(s, UV_EOF); /* it is no loss: nothing was left to say */
    dop_stream_close(s, 0);
    return;
  }
  /* What TLS says at the end may have to wait, and could not follow it. */
  if (flushed && l->fin && !s->shut && !s->writing) shut_down(s);
  set_reading(s, s->loop->api->reading(l) && !dop_secure_queues(s));
}

static void shut_stream(struct dop_resource *r) {
  struct dop_stream *s = DOP_CONTAINER(r, struct dop_stream, resource);
  if (s->link) lost(s, UV_ECANCELED);
  if (s->dialing)
    dop_dialer_cancel(s);
  else
    dop_stream_close(s, 0);
}

struct dop_stream *dop_stream_new(struct dop_loop *loop, int is_pipe) {
  struct dop_stream *s = loop->api->zalloc(sizeof *s);
  if (!s) return NULL;
  s->loop = loop;
  s->is_pipe = is_pipe != 0;
  dop_resource_add(loop, &s->resource, shut_stream);
  return s;
}

void dop_stream_free(struct dop_stream *s) {
  dop_resource_remove(s->loop, &s->resource);
  dop_tls_free(s->tls);
  if (s->link) {
    s->link->driver = NULL;
    s->loop->api->unref(s->link);
  }
  s->loop->api->free(s);
}

int dop_stream_open(struct dop_stream *s) {
  int err = s->is_pipe ? uv_pipe_init(&s->loop->uv, &s->uv.pipe, 0)
                       : uv_tcp_init(&s->loop->uv, &s->uv.tcp);
  if (err) return err;
  s->open = 1;
  return 0;
}

void dop_stream_begin(struct dop_stream *s) {
  /* Everything of one turn leaves in one write: to wait for more would only delay it. */
  if (!s->is_pipe) uv_tcp_nodelay(&s->uv.tcp, 1);
  s->link->shares = 1;
  if (encrypted(s)) dop_secure_begin(s);
  dop_stream_service(s);
}
