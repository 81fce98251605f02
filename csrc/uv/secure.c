/* Bytes between an encrypted socket and its link; see secure.h. */
#include "uv/secure.h"

#include <stdio.h>
#include <string.h>

/* Steps of handshakes in a round: one, which may take a millisecond, a hundred messages of others;
 * more where rounds are so long that they are a quarter of them. Or a crowd that comes back to a
 * busy server would be late, and come back again. */
#define ROUND_SHARE 4
#define ROUND_MOST  16

#define QUEUED_MAX 262144 /* what a peer may make us say that does not read: alerts, handshakes */

struct sending {
  uv_write_t req;
  uint32_t len;
  char data[];
};

struct dop_tls_shared *dop_secure_shared(struct dop_loop *loop) {
  if (!loop->tls) {
    loop->tls = dop_tls_shared_new(loop->api);
    if (loop->tls) loop->api->set_tls_facts(loop->host, dop_secure_facts);
  }
  return loop->tls;
}

int dop_secure_stream(struct dop_stream *s, struct dop_tls_context *c) {
  struct dop_tls_shared *shared = dop_secure_shared(s->loop);
  s->tls = shared ? dop_tls_new(shared, c) : NULL;
  return s->tls ? 0 : UV_ENOMEM;
}

/* --- writing --- */

static void account(struct dop_stream *s) {
  s->writing = s->tls->requests != 0;
  s->link->in_flight = s->tls->queued;
}

static void on_sent(uv_write_t *req, int status) {
  struct sending *w = DOP_CONTAINER(req, struct sending, req);
  struct dop_stream *s = DOP_CONTAINER(req->handle, struct dop_stream, uv.stream);
  struct dop_loop *loop = s->loop;
  s->tls->queued -= w->len;
  s->tls->requests--;
  loop->api->free(w);
  if (s->closing) return;
  account(s);
  loop->api->set_time(loop->host, uv_now(&loop->uv));
  if (status < 0)
    dop_secure_lost(s, status);
  else if (!s->writing)
    loop->api->wrote(s->link);
  dop_loop_flush(loop);
}

static int send_later(struct dop_stream *s, const char *data, size_t len) {
  if (s->tls->queued + len > QUEUED_MAX) return UV_ENOBUFS;
  struct sending *w = s->loop->api->zalloc(sizeof *w + len);
  if (!w) return UV_ENOMEM;
  w->len = (uint32_t)len;
  memcpy(w->data, data, len);
  uv_buf_t buf = uv_buf_init(w->data, w->len);
  int err = uv_write(&w->req, &s->uv.stream, &buf, 1, on_sent);
  if (err) {
    s->loop->api->free(w);
    return err;
  }
  s->tls->queued += w->len;
  s->tls->requests++;
  account(s);
  return 0;
}

/* Empties the loop's buffer into the socket: what the system does not take goes with a request. */
static int push(struct dop_stream *s) {
  struct dop_tls_shared *shared = s->loop->tls;
  size_t len = shared->out_len, sent = 0;
  shared->out_len = 0;
  if (!len) return 0;
  if (!s->writing) {
    ssize_t n = dop_stream_send(s, shared->out, len);
    if (n < 0 && n != UV_EAGAIN) return (int)n;
    if (n > 0) sent = (size_t)n;
  }
  return sent < len ? send_later(s, shared->out + sent, len - sent) : 0;
}

static void fail(struct dop_stream *s) {
  const struct dop_driver_api *api = s->loop->api;
  const struct dop_tls_shared *shared = s->loop->tls;
  /* A server stays until the client has read the alert, for the close timeout at most. */
  if (s->tls->context->server && !s->tls->ready)
    api->refuse_tls(s->link, shared->code, shared->why, NULL);
  else
    api->lost(s->link, shared->code, shared->why);
}

int dop_secure_write(struct dop_stream *s) {
  const struct dop_driver_api *api = s->loop->api;
  for (;;) {
    const char *out = NULL;
    size_t len = 0;
    enum dop_tls_step step = DOP_TLS_WAIT;
    if (s->tls->ready && !s->tls->failed && !s->writing && !s->link->dead)
      out = api->output(s->link, &len);
    if (len > DOP_TLS_CHUNK) len = DOP_TLS_CHUNK;
    if (out) step = dop_tls_write(s->tls, out, len, uv_now(&s->loop->uv));
    int err = push(s);
    if (err) return err;
    if (step == DOP_TLS_DONE)
      api->sent(s->link, len);
    else if (step == DOP_TLS_FAILED)
      fail(s);
    if (step != DOP_TLS_DONE && step != DOP_TLS_MORE) return 0;
  }
}

int dop_secure_mute(const struct dop_stream *s) {
  return s->tls && (!s->tls->ready || s->tls->failed);
}

void dop_secure_end(struct dop_stream *s) {
  dop_tls_end(s->tls);
  s->tls->failed |= !s->tls->ready; /* who is refused shall not cost a handshake */
  s->tls->over |= s->tls->failed;
  if (s->tls->failed) dop_secure_leave(s);
  push(s); /* if it cannot leave, the socket's own end follows all the same */
}

/* --- the turns of handshakes --- */

/* First come, first served, in two lines that take turns: who has begun goes on before all others
 * have. Otherwise nobody of a crowd would be done before each of it was answered, and that may take
 * longer than a handshake may. Who queues is not read from: the system would name the whole crowd
 * again in every round, which for thousands takes longer than the one step that is made in it. */

/* Where the handshake stands; a private key is used on the way from one place to the next. */
static int progress(const struct dop_stream *s) {
  if (!s->tls || s->tls->ready) return -1;
  return s->tls->ssl ? (int)SSL_get_state(s->tls->ssl) : TLS_ST_BEFORE;
}

static int full(const struct dop_loop *loop) {
  if (loop->handshakes == 0) return 0;
  return loop->handshakes >= ROUND_MOST ||
         loop->handshakes * ROUND_SHARE * loop->crowd.step >= loop->busy;
}

static struct dop_stream *foremost(const struct dop_crowd *crowd) {
  struct dop_stream *s = crowd->lines[crowd->next].first;
  return s ? s : crowd->lines[!crowd->next].first;
}

/* What is not, or no more, of a handshake costs no step: the bytes of a proxy, those that come
 * before the end of a stream that was refused. */
int dop_secure_waits(const struct dop_stream *s) {
  const struct dop_tls *t = s->tls;
  return t && !t->ready && !t->failed && !t->turn && s->link->state != DOP_LINK_TUNNELLING &&
         (foremost(&s->loop->crowd) || full(s->loop));
}

/* A place is kept for each whose turn it is: who came last shall not take it. For a turn in which
 * no step was made the next round has one more: who says a handshake byte by byte, or ends it, does
 * not keep the others waiting for long. */
static void let_in(struct dop_later *later) {
  struct dop_loop *loop = DOP_CONTAINER(later, struct dop_loop, crowd.later);
  struct dop_crowd *crowd = &loop->crowd;
  struct dop_stream *s;
  unsigned spare = crowd->spare;
  crowd->spare = 0;
  while ((s = foremost(crowd)) && loop->handshakes < ROUND_MOST) {
    if (full(loop) && spare-- == 0) break;
    dop_secure_leave(s);
    crowd->next = !crowd->next;
    s->tls->turn = 1;
    loop->handshakes++;
    dop_stream_service(s);
  }
  if (foremost(crowd)) dop_later_add(loop, later);
}

void dop_secure_queue(struct dop_stream *s) {
  struct dop_crowd *crowd = &s->loop->crowd;
  struct dop_tls *t = s->tls;
  t->queues = 1;
  t->line = progress(s) != TLS_ST_BEFORE;
  struct dop_line *line = &crowd->lines[t->line];
  t->ahead = line->last;
  t->behind = NULL;
  *(line->last ? &line->last->tls->behind : &line->first) = s;
  line->last = s;
  crowd->later.run = let_in;
  dop_later_add(s->loop, &crowd->later);
  dop_stream_service(s);
}

void dop_secure_leave(struct dop_stream *s) {
  struct dop_crowd *crowd = &s->loop->crowd;
  struct dop_tls *t = s->tls;
  if (!t) return;
  if (t->turn) crowd->spare++;
  t->turn = 0;
  if (!t->queues) return;
  t->queues = 0;
  struct dop_line *line = &crowd->lines[t->line];
  *(t->ahead ? &t->ahead->tls->behind : &line->first) = t->behind;
  *(t->behind ? &t->behind->tls->ahead : &line->last) = t->ahead;
}

/* --- reading --- */

void dop_secure_begin(struct dop_stream *s) {
  if (s->tls->context->server) return;
  enum dop_tls_step step = dop_tls_begin(s->tls);
  if (step == DOP_TLS_FAILED) fail(s);
}

/* What the client began is a request in plain HTTP: it gets an answer that it understands. */
static void answer_in_plain(struct dop_stream *s) {
  dop_tls_free(s->tls);
  s->tls = NULL;
  const struct dop_tls_shared *shared = s->loop->tls;
  s->loop->api->refuse_tls(s->link, shared->code, shared->why,
                           "This port speaks TLS: the URL begins with wss:.\n");
}

/* A step was made. */
static void count_step(struct dop_loop *loop, uint64_t took, int promised) {
  struct dop_crowd *crowd = &loop->crowd;
  crowd->step = crowd->step ? (7 * crowd->step + took) / 8 : took;
  if (!promised) loop->handshakes++;
}

void dop_secure_feed(struct dop_stream *s, char *data, size_t n) {
  const struct dop_driver_api *api = s->loop->api;
  int before = progress(s), promised = s->tls->turn;
  uint64_t began = before < 0 ? 0 : uv_hrtime(), took = 0;
  struct dop_tls_shared *shared = s->loop->tls;
  enum dop_tls_step step;
  s->tls->turn = 0;
  shared->in = data;
  shared->in_len = n;
  do {
    size_t plain;
    step = dop_tls_read(s->tls, uv_now(&s->loop->uv), &plain);
    /* Before handlers run, whose time is none of the handshake's. */
    if (!took && progress(s) != before) took = uv_hrtime() - began;
    /* Otherwise it waits for what handlers are about to send: one write for both. */
    int err = step == DOP_TLS_MORE ? push(s) : 0;
    if (plain && !err) api->feed(s->loop->host, s->link, shared->plain, plain);
    if (err) {
      dop_secure_lost(s, err);
      step = DOP_TLS_DONE;
    }
  } while (step == DOP_TLS_MORE && !s->link->dead);
  shared->in_len = 0;
  if (took)
    count_step(s->loop, took, promised);
  else if (promised)
    s->loop->crowd.spare++;
  if (step == DOP_TLS_FAILED)
    fail(s);
  else if (step == DOP_TLS_HTTP)
    answer_in_plain(s);
  else if (step == DOP_TLS_END)
    dop_secure_eof(s);
  /* The session's turn ends with its bytes on the way, before another's begins. */
  dop_stream_service(s);
  shared->out_len = 0; /* of a stream that is closing already */
}

/* A handshake that the client broke off is a failed one: many say so what they think of a
 * certificate. Who says nothing at all only looked whether somebody is there. */
static void broken_off(struct dop_stream *s, const char *code, const char *why) {
  if (s->tls->context->server && s->tls->begun && !s->tls->ready && !s->tls->failed)
    s->loop->api->refuse_tls(s->link, code, why, NULL);
}

void dop_secure_lost(struct dop_stream *s, int err) {
  broken_off(s, uv_err_name(err), "the connection was lost during the TLS handshake");
  s->loop->api->lost(s->link, uv_err_name(err), uv_strerror(err));
}

void dop_secure_eof(struct dop_stream *s) {
  const struct dop_driver_api *api = s->loop->api;
  broken_off(s, "EOF", "the client ended the connection during the TLS handshake");
  if (s->tls->ready || s->tls->failed || s->tls->context->server)
    api->eof(s->link);
  else
    api->lost(s->link, "EOF", "the server ended the connection during the TLS handshake");
}

int dop_secure_facts(void *driver, struct dop_tls_facts *facts) {
  const struct dop_stream *s = driver;
  return s && s->tls ? dop_tls_facts(s->tls, facts) : -1;
}
