/* From a name to a connection; see dialer.h. */
#include "uv/dialer.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "uv/secure.h"

struct dop_dialing {
  uv_getaddrinfo_t resolve;
  uv_connect_t connect;
  struct dop_stream *stream;
  struct addrinfo *addresses, *next; /* next: not tried yet */
  int err;                           /* of the last address */
  unsigned resolving : 1, cancelled : 1;
  char name[]; /* the path of a unix socket, or the host */
};

static void try_next(struct dop_dialing *d);

/* The attempt is over, and there is no handle, or it is connected. */
static void free_dialing(struct dop_dialing *d) {
  d->stream->dialing = NULL;
  if (d->addresses) uv_freeaddrinfo(d->addresses);
  d->stream->loop->api->free(d);
}

/* Gives everything back that an attempt without a connection holds. */
static void drop_stream(struct dop_dialing *d) {
  struct dop_stream *s = d->stream;
  free_dialing(d);
  dop_stream_free(s);
}

static void fail_because(struct dop_dialing *d, int err, const char *why) {
  struct dop_stream *s = d->stream;
  s->loop->api->lost(s->link, uv_err_name(err), why);
  drop_stream(d);
}

static void fail(struct dop_dialing *d, int err) {
  fail_because(d, err, uv_strerror(err));
}

/* The system's words for it do not say which name. */
static void fail_to_resolve(struct dop_dialing *d, int err) {
  char why[128];
  snprintf(why, sizeof why, "%s: %s", uv_strerror(err), d->name);
  fail_because(d, err, why);
}

static void on_handle_closed(uv_handle_t *handle) {
  struct dop_stream *s = DOP_CONTAINER(handle, struct dop_stream, uv.handle);
  s->open = 0;
  if (s->dialing->cancelled)
    drop_stream(s->dialing);
  else
    try_next(s->dialing);
}

static void on_connect(uv_connect_t *req, int status) {
  struct dop_dialing *d = DOP_CONTAINER(req, struct dop_dialing, connect);
  struct dop_stream *s = d->stream;
  struct dop_loop *loop = s->loop;
  if (d->cancelled) return; /* the handle is closing */
  loop->api->set_time(loop->host, uv_now(&loop->uv));
  if (status) {
    d->err = status;
    uv_close(&s->uv.handle, on_handle_closed);
    return;
  }
  free_dialing(d);
  dop_stream_begin(s);
  dop_loop_flush(loop);
}

static int connect_to(struct dop_dialing *d, const struct addrinfo *address) {
  struct dop_stream *s = d->stream;
  int err = dop_stream_open(s);
  if (err) return err;
  if (s->is_pipe) {
    uv_pipe_connect(&d->connect, &s->uv.pipe, d->name, on_connect);
    return 0;
  }
  return uv_tcp_connect(&d->connect, &s->uv.tcp, address->ai_addr, on_connect);
}

static void try_next(struct dop_dialing *d) {
  struct dop_stream *s = d->stream;
  struct addrinfo *address = d->next;
  if (!address) {
    fail(d, d->err);
    return;
  }
  d->next = address->ai_next;
  d->err = connect_to(d, address);
  if (!d->err) return;
  if (s->open)
    uv_close(&s->uv.handle, on_handle_closed);
  else
    fail(d, d->err);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *addresses) {
  struct dop_dialing *d = DOP_CONTAINER(req, struct dop_dialing, resolve);
  struct dop_loop *loop = d->stream->loop;
  d->resolving = 0;
  d->addresses = d->next = addresses;
  loop->api->set_time(loop->host, uv_now(&loop->uv));
  if (d->cancelled)
    drop_stream(d);
  else if (status)
    fail_to_resolve(d, status);
  else
    try_next(d);
  dop_loop_flush(loop);
}

void dop_dialer_cancel(struct dop_stream *s) {
  struct dop_dialing *d = s->dialing;
  if (d->cancelled) return;
  d->cancelled = 1;
  if (d->resolving)
    uv_cancel((uv_req_t *)&d->resolve); /* if it runs already, its callback comes all the same */
  else if (!uv_is_closing(&s->uv.handle))
    uv_close(&s->uv.handle, on_handle_closed);
}

static int begin(struct dop_dialing *d, const struct dop_target *target) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  if (d->stream->is_pipe) return connect_to(d, NULL);
  d->resolving = 1;
  const char *service = target->proxy ? target->proxy_service : target->service;
  return uv_getaddrinfo(&d->stream->loop->uv, &d->resolve, on_resolved, d->name, service, &hints);
}

int dop_dial(struct dop_loop *loop, struct dop_transport *t, const struct dop_target *target) {
  const char *name = target->path ? target->path : target->proxy ? target->proxy : target->host;
  size_t size = strlen(name) + 1;
  /* libuv would cut it in silence, and dial whoever has the shorter name. */
  if (target->path && size > sizeof((struct sockaddr_un *)0)->sun_path) return UV_ENAMETOOLONG;
  struct dop_stream *s = dop_stream_new(loop, target->path != NULL);
  struct dop_dialing *d = s ? loop->api->zalloc(sizeof *d + size) : NULL;
  int ready = d && (!target->tls || dop_secure_stream(s, target->tls) == 0);
  if (ready)
    s->link = loop->api->dial(t, target->authority, target->resource, target->headers,
                              target->proxy ? &target->tunnel : NULL);
  if (!ready || !s->link) {
    if (d) loop->api->free(d);
    if (s) dop_stream_free(s);
    return UV_ENOMEM;
  }
  memcpy(d->name, name, size);
  d->stream = s;
  s->dialing = d;
  s->link->driver = s;
  int err = begin(d, target);
  if (err) fail(d, err);
  return 0;
}
