/* Fuzz target: a client that reaches its server through a proxy. Input: how the stream is cut and
 * how many bytes are the proxy's, those, then the server's. What the client makes of the proxy's
 * answer is what a second reading of RFC 9110 9.3.6 makes of it, wherever it is cut; what it tells
 * the proxy about itself it tells nobody else, and it tells nobody anything before its time. */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>
#include <string.h>

#include "fuzz/frames.h"
#include "fuzz/head.h"
#include "link/link_private.h"

#define FIELDS   8
#define HEAD_MAX 512

static const struct dop_tunnel via = {"h:80", "Proxy-Authorization: Basic c2VjcmV0\r\n"};
static const char secret[] = "c2VjcmV0";
static const char asks[] = "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n"
                           "Proxy-Authorization: Basic c2VjcmV0\r\n\r\n";

/* What one run came to. */
struct outcome {
  struct dop_bytes said; /* by the client, after the tunnel is up */
  unsigned state, code, retry_after;
  char code_name[24], why[200];
};

struct client {
  struct dop_engine engine;
  struct dop_random_seed chance;
  struct dop_transport *transport;
  struct dop_link *link;
  size_t asked; /* bytes of what the proxy is asked for that were seen */
};

static void begin(struct client *c) {
  struct dop_limits l = dop_limits_default;
  memset(c, 0, sizeof *c);
  l.max_header = HEAD_MAX;
  l.max_fields = FIELDS;
  dop_random_seed(&c->chance, 1, 1);
  dop_engine_init(&c->engine, dop_random_seeded, &c->chance);
  c->engine.now = 1000;
  c->transport = dop_transport_new(&c->engine, DOP_CLIENT, &l);
  fuzz_check(dop_transport_begin(c->transport) == 0, "a client could not begin");
  c->link = dop_link_dial(c->transport, "h", "/", NULL, &via);
  fuzz_check(c->link && c->link->state == DOP_LINK_TUNNELLING, "no attempt");
}

/* Takes what the client says: first what it asks of the proxy, then what is the server's. */
static void listen(struct client *c, struct outcome *o) {
  size_t n;
  const char *data = dop_link_output(c->link, &n);
  size_t ours = sizeof asks - 1 - c->asked;
  if (!data) return;
  if (ours > n) ours = n;
  fuzz_check(memcmp(data, asks + c->asked, ours) == 0, "a proxy is asked for something else");
  c->asked += ours;
  fuzz_check(n == ours || c->link->state != DOP_LINK_TUNNELLING,
             "something is said before there is a tunnel");
  fuzz_append(&o->said, (struct dop_span){data + ours, n - ours});
  dop_link_sent(c->link, n);
}

static void events(struct client *c, struct outcome *o) {
  struct dop_event *ev;
  while ((ev = dop_engine_take(&c->engine))) {
    fuzz_check(!strstr(ev->why, secret), "an error tells a secret");
    if (ev->type == DOP_EVENT_DOWN) {
      o->code = ev->code;
      o->retry_after = ev->retry_after;
      memcpy(o->code_name, ev->code_name, sizeof o->code_name);
      memcpy(o->why, ev->why, sizeof o->why);
    }
    dop_event_free(ev);
  }
}

static void feed(struct client *c, struct outcome *o, const char *data, size_t n) {
  struct dop_message m;
  char *copy = fuzz_copy(data, n);
  if (n && c->link->state != DOP_LINK_DEAD) {
    dop_link_feed(c->link, copy, n);
    do events(c, o);
    while (c->link->socket.ops->next(&c->link->socket, &m) || c->engine.first);
    dop_link_settle(c->link);
    listen(c, o);
  }
  free(copy);
  events(c, o);
}

static void feed_cut(struct client *c, struct outcome *o, const char *data, size_t len,
                     enum fuzz_cut cut, size_t step) {
  if (cut == FUZZ_WHOLE || !step) step = len;
  if (cut == FUZZ_BYTES) step = 1;
  for (size_t at = 0; at < len; at += step)
    feed(c, o, data + at, len - at < step ? len - at : step);
}

static void end(struct client *c, struct outcome *o) {
  o->state = c->link->state;
  dop_link_lost(c->link, "EOF", "the end");
  c->link->driver = NULL;
  dop_socket_unref(&c->link->socket);
  struct dop_socket *s;
  while ((s = dop_socket_take_ready(&c->engine))) dop_socket_unref(s);
  while ((s = dop_socket_take_dirty(&c->engine))) dop_socket_unref(s);
  dop_transport_abandon(c->transport);
  struct dop_event *ev;
  while ((ev = dop_engine_take(&c->engine))) dop_event_free(ev);
  dop_engine_forget(&c->engine);
  dop_transport_unref(c->transport);
  dop_engine_dispose(&c->engine);
}

/* The second reading of an answer's head: its status, 0 when there is none, and whether all of it
 * is as RFC 9112 wants it. */
static unsigned reading(const char *p, size_t len, int *whole) {
  const char *stop = p + len - 2; /* the empty line */
  unsigned status = 0, lines = 0;
  *whole = 0;
  if (len < 16 || memcmp(p, "HTTP/1.", 7) != 0 || p[7] < '0' || p[7] > '9' || p[8] != ' ') return 0;
  for (int i = 9; i < 12; i++) {
    if (p[i] < '0' || p[i] > '9') return 0;
    status = status * 10 + (unsigned)(p[i] - '0');
  }
  if (status < 100 || (p[12] != ' ' && p[12] != '\r')) return 0;
  for (p += 12; p < stop; lines++) {
    const char *line_end = memchr(p, '\r', (size_t)(stop - p));
    int ok = line_end && line_end[1] == '\n';
    for (const char *q = p; ok && q < line_end; q++)
      ok = *q == '\t' || ((unsigned char)*q >= 0x20 && *q != 0x7F);
    if (ok && lines) { /* the first is the status line's rest */
      const char *colon = memchr(p, ':', (size_t)(line_end - p));
      ok = colon && dop_http_name_ok(p, (size_t)(colon - p));
    }
    if (!ok) return lines ? status : 0;
    p = line_end + 2;
  }
  *whole = lines - 1 <= FIELDS;
  return status;
}

static void failed_at_proxy(const struct outcome *o, unsigned status) {
  fuzz_check(o->state == DOP_LINK_DEAD && !o->said.len, "it goes on without a tunnel");
  fuzz_check(strcmp(o->code_name, status == 407 || status == 401 ? "PROXY_AUTH" : "PROXY") == 0,
             "a proxy's refusal has another name");
  fuzz_check(*o->why, "a refusal without a reason");
}

static void asks_server(const struct outcome *o) {
  struct dop_upgrade_request req;
  const char *why = NULL;
  size_t seen = 0, len = dop_http_head_end(o->said.data, o->said.len, &seen);
  fuzz_check(len && dop_upgrade_parse_request(&req, o->said.data, len, 64, &why) == 0,
             "what goes through the tunnel is no upgrade");
  fuzz_check(!dop_head_get(&req.head, "Proxy-Authorization").data,
             "the server is told what the proxy was");
}

/* The proxy's part alone, as far as its head goes, then the server's. */
static void run(struct outcome *o, const char *proxy, size_t len, const char *server, size_t rest,
                enum fuzz_cut cut, size_t step) {
  struct client c;
  memset(o, 0, sizeof *o);
  begin(&c);
  listen(&c, o);
  fuzz_check(c.asked == sizeof asks - 1, "a proxy is not asked");
  feed_cut(&c, o, proxy, len, cut, step);
  if (c.link->state == DOP_LINK_UPGRADING) asks_server(o);
  feed_cut(&c, o, server, rest, cut, step);
  end(&c, o);
}

static void same(const struct outcome *a, const struct outcome *b) {
  fuzz_check(a->state == b->state && a->code == b->code && a->retry_after == b->retry_after &&
                 strcmp(a->code_name, b->code_name) == 0 && strcmp(a->why, b->why) == 0 &&
                 a->said.len == b->said.len &&
                 (!a->said.len || memcmp(a->said.data, b->said.data, a->said.len) == 0),
             "what comes of an answer depends on the cut");
}

/* The key of every attempt is the same, so that an input can hold the answer to it. */
static void answer(struct dop_bytes *out, const uint8_t *from, size_t n, unsigned made) {
  struct client c;
  struct outcome o = {0};
  if (!made) {
    fuzz_append(out, (struct dop_span){(const char *)from, n});
    return;
  }
  begin(&c);
  struct dop_span key = {c.link->upgrade->key, 24}, protocol = {"dop", 3}, none = {NULL, 0};
  fuzz_check(dop_upgrade_write_accept(out, key, made & 1 ? protocol : none, NULL, NULL) == 0,
             "no memory");
  end(&c, &o);
  fuzz_append(out, (struct dop_span){(const char *)from, n});
}

/* Whether the input has the secret, as people see it. */
static int holds_secret(const struct fuzz *f) {
  size_t n = 0;
  char *seen = fuzz_copy(f->at, fuzz_left(f));
  for (const uint8_t *p = f->at; p < f->end; p++)
    if (*p > 0x20 && *p < 0x7F) seen[n++] = (char)*p;
  int holds = memmem(seen, n, secret, sizeof secret - 1) != NULL;
  free(seen);
  return holds;
}

void fuzz_run(struct fuzz *f) {
  if (holds_secret(f)) return; /* it may be told what it says */
  size_t step = fuzz_byte(f), n = fuzz_number(f, 2), rest;
  unsigned made = fuzz_below(f, 3), status = 0;
  int whole = 0;
  struct outcome first, other;
  struct dop_bytes server = {0};
  const uint8_t *data = fuzz_take(f, &n);
  char *proxy = fuzz_copy(data, n);
  rest = fuzz_left(f);
  data = fuzz_take(f, &rest);
  answer(&server, data, rest, made);
  size_t head = fuzz_head_end(proxy, n), used = head ? head : n;
  if (head && head <= HEAD_MAX) status = reading(proxy, head, &whole);

  run(&first, proxy, used, server.data, head ? server.len : 0, FUZZ_WHOLE, 0);
  if (whole && status >= 200 && status <= 299)
    fuzz_check(first.said.len != 0, "a proxy that lets us through is not heard");
  else if (head || used > HEAD_MAX)
    failed_at_proxy(&first, status);
  else
    fuzz_check(first.state == DOP_LINK_TUNNELLING && !first.said.len, "half an answer is enough");
  for (enum fuzz_cut cut = FUZZ_BYTES; cut <= FUZZ_CHANCE; cut++) {
    run(&other, proxy, used, server.data, head ? server.len : 0, cut, step);
    if (used <= HEAD_MAX) same(&first, &other);
    dop_bytes_dispose(&other.said);
  }
  if (head && head < n) { /* more than its answer, at once */
    run(&other, proxy, n, NULL, 0, FUZZ_WHOLE, 0);
    failed_at_proxy(&other, status);
    dop_bytes_dispose(&other.said);
  }
  dop_bytes_dispose(&first.said);
  dop_bytes_dispose(&server);
  free(proxy);
}
