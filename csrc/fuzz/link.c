/* Fuzz target: links of both roles, from the upgrade to the last byte, several on each transport.
 * Input: options, then a program of steps: links begin, bytes come on them, whole or cut, well made
 * or raw; the system takes what was written or does not; time passes, the application acts, memory
 * runs out. What the links write must be what a peer can read. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/machine.h"
#include "link/link_private.h"

#define MOST 6

/* One real socket as its driver has it, and what was read of what the link wrote. */
struct end {
  struct dop_link *link; /* with the driver's reference; NULL: no socket */
  struct dop_bytes flight;
  char *read; /* what came and is not a whole item yet */
  size_t read_len, seen;
  size_t came; /* bytes that the link was fed */
  struct dop_ws ws;
  uint8_t ping[DOP_WS_CONTROL_MAX];
  size_t ping_len;
  unsigned tunnels : 1; /* through a proxy */
  unsigned asked : 1;   /* which was asked for the way */
  unsigned open : 1;    /* the head was read */
  unsigned closed : 1;  /* a close frame, or an answer that ends it */
  unsigned slow : 1;    /* takes nothing */
  unsigned whole : 1;   /* takes the buffer as it is, for a write that ends later */
};

struct stage {
  struct fuzz_machine m; /* first */
  struct end ends[MOST];
  struct dop_deflate_pool *pool; /* for reading what links write */
  size_t fed;                    /* bytes that came on any link */
  unsigned fail; /* which request for memory of the machine's next step fails; 0: none */
};

/* --- what links write --- */

static int is_server(const struct end *e) {
  return e->link->socket.transport->role == DOP_SERVER;
}

/* Small windows: it is not zlib that is looked at. */
static const struct dop_deflate_options packing = {
    .min_size = 8,
    .level = 1,
    .window = 9,
    .mem_level = 1,
    .peer_window = 15,
    .takeover = 1,
    .peer_takeover = 1,
};

/* From here on it may write compressed messages. */
static void inflates(struct stage *st, struct end *e) {
  const struct dop_deflate *d = e->link->ws.deflate;
  if (!d || e->ws.deflate) return;
  struct dop_deflate_terms terms = {9, d->window ? d->window : 15, 0, d->takeover};
  e->ws.deflate = dop_deflate_new(st->pool, &packing, &terms);
}

static const struct dop_tunnel way = {"example.com:80", "Proxy-Authorization: Basic c2VjcmV0\r\n"};

/* What a client asks a proxy for; nothing may follow before the answer. */
static size_t read_connect(struct end *e, size_t len) {
  static const char asks[] = "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n"
                             "Proxy-Authorization: Basic c2VjcmV0\r\n\r\n";
  fuzz_check(len == sizeof asks - 1 && memcmp(e->read, asks, len) == 0,
             "a proxy is asked for something else");
  fuzz_check(e->link->state != DOP_LINK_TUNNELLING || e->read_len == len,
             "something is said before there is a tunnel");
  e->asked = 1;
  e->seen = 0;
  e->read_len -= len;
  memmove(e->read, e->read + len, e->read_len);
  return dop_http_head_end(e->read, e->read_len, &e->seen);
}

/* A server's answer, or a client's request. Returns its length, 0: it is not whole. */
static size_t read_head(struct end *e) {
  size_t len = dop_http_head_end(e->read, e->read_len, &e->seen);
  struct dop_head head;
  struct dop_upgrade_request req;
  const char *why = NULL;
  if (len && e->tunnels && !e->asked) len = read_connect(e, len);
  if (!len) return 0;
  e->open = 1;
  dop_ws_init(&e->ws, !is_server(e));
  if (!is_server(e)) {
    fuzz_check(dop_upgrade_parse_request(&req, e->read, len, 64, &why) == 0,
               "a client's request is none");
    fuzz_check(!dop_head_get(&req.head, "Proxy-Authorization").data,
               "the server is told what the proxy was");
    return len;
  }
  fuzz_check(dop_http_parse_response(&head, e->read, len, 64, &why) == 0, "an answer is none");
  e->closed = head.status != 101;
  return e->closed ? e->read_len : len;
}

static void read_item(struct end *e, const struct dop_ws_item *item) {
  fuzz_check(item->type != DOP_WS_ERROR, "what a link writes is no WebSocket");
  if (item->type == DOP_WS_CLOSE) e->closed = 1;
  if (item->type == DOP_WS_PING) {
    memcpy(e->ping, item->data, item->len);
    e->ping_len = item->len;
  }
}

static void took(struct stage *st, struct end *e, const char *data, size_t n) {
  struct dop_ws_item item;
  size_t used = 0;
  fuzz_check(!e->closed, "something is said behind the end");
  e->read = realloc(e->read, e->read_len + n);
  if (!e->read) abort();
  memcpy(e->read + e->read_len, data, n);
  e->read_len += n;
  if (!e->open) used = read_head(e);
  if (!e->open) return;
  inflates(st, e);
  while (!e->closed && used < e->read_len) {
    used += dop_ws_next(&e->ws, e->read + used, e->read_len - used, SIZE_MAX, &item);
    if (item.type == DOP_WS_MORE) break;
    read_item(e, &item);
  }
  fuzz_check(!e->closed || used == e->read_len, "something is said behind the end");
  e->read_len -= used;
  memmove(e->read, e->read + used, e->read_len);
}

/* --- the driver --- */

static void let_go(struct end *e) {
  struct dop_link *l = e->link;
  e->link = NULL;
  l->driver = NULL;
  dop_bytes_dispose(&e->flight);
  /* The parser's own memory is counted, what is read is not. */
  dop_ws_dispose(&e->ws);
  dop_deflate_free(e->ws.deflate);
  free(e->read);
  memset(e, 0, sizeof *e);
  dop_socket_unref(&l->socket);
}

/* A write that was under way is done. */
static void written(struct end *e) {
  if (!e->flight.data) return;
  dop_bytes_dispose(&e->flight);
  dop_link_wrote(e->link);
}

/* Takes what the link wrote, and ends it as it asks. */
static void serve(struct stage *st, struct end *e) {
  struct dop_link *l = e->link;
  const char *data;
  size_t n;
  uint32_t at = 0;
  while (!l->dead && !e->slow && !e->flight.data && (data = dop_link_output(l, &n))) {
    took(st, e, data, n);
    if (e->whole)
      dop_link_take(l, &e->flight, &at);
    else
      dop_link_sent(l, n);
  }
  fuzz_check(l->socket.ops->backlog(&l->socket) <= dop_limits_default.high_mark + 8192 + (1u << 16),
             "more is written than a socket takes");
  if (!l->dead && l->over && !dop_link_output(l, &n) && !e->flight.data)
    dop_link_lost(l, "EOF", "the socket was closed");
  fuzz_check(l->state <= DOP_LINK_OPEN || !l->socket.pending, "a link that ends is still awaited");
  if (l->dead) let_go(e);
}

static void hand_out(struct stage *st, struct dop_socket *s) {
  struct dop_message m;
  for (;;) {
    fuzz_machine_events(&st->m);
    if (!s->ops->next(s, &m)) break;
    fuzz_check(s->node != NULL, "a message of nobody was handed out");
    fuzz_machine_handed(&st->m, s->node, &m);
  }
  fuzz_machine_events(&st->m);
}

static void turn(struct stage *st) {
  struct dop_socket *s;
  fuzz_machine_events(&st->m);
  do {
    while ((s = dop_socket_take_ready(&st->m.engine))) {
      struct dop_link *l = dop_link_of(s);
      if (l) hand_out(st, s);
      if (l) dop_link_settle(l);
      dop_socket_unref(s);
    }
    while ((s = dop_socket_take_dirty(&st->m.engine))) {
      struct dop_link *l = dop_link_of(s);
      if (l && l->driver) serve(st, l->driver);
      dop_socket_unref(s);
    }
    fuzz_machine_events(&st->m);
  } while (st->m.engine.ready || st->m.engine.dirty || st->m.engine.first);
}

/* Bytes come, in a block of their own that is gone behind them. */
static void feed(struct stage *st, struct end *e, const char *data, size_t n) {
  struct dop_link *l = e->link;
  if (!l || !n || !dop_link_reading(l)) return;
  char *copy = fuzz_copy(data, n);
  st->fed += n;
  dop_socket_ref(&l->socket);
  fuzz_memory.fail = st->fail; /* what the target makes itself never fails */
  st->fail = 0;
  dop_link_feed(l, copy, n);
  hand_out(st, &l->socket);
  dop_link_settle(l);
  fuzz_memory.fail = 0;
  free(copy);
  e->came += n;
  fuzz_check(l->state != DOP_LINK_UPGRADING || l->socket.transport->role != DOP_SERVER ||
                 l->in.len == e->came,
             "a part of a head is forgotten");
  dop_socket_unref(&l->socket);
}

/* The same in two pieces, the cut where the input says. */
static void feed_cut(struct stage *st, struct end *e, const struct dop_bytes *b) {
  size_t cut = fuzz_byte(st->m.input);
  if (cut > b->len) cut = 0;
  feed(st, e, b->data, cut);
  turn(st);
  if (b->len > cut) feed(st, e, b->data + cut, b->len - cut);
}

/* --- what comes --- */

static void text(struct dop_bytes *b, const char *s) {
  fuzz_check(dop_bytes_append(b, s, strlen(s)) == 0, "no memory");
}

static void request(struct fuzz *f, struct dop_bytes *b) {
  static const char *const methods[] = {"GET / HTTP/1.1\r\n", "HEAD /x HTTP/1.1\r\n",
                                        "GET /%00 HTTP/1.1\r\n", "POST / HTTP/1.1\r\n"};
  static const char *const offers[] = {"", "dop, dop.r1", "dop",
                                       "x\r\nSec-WebSocket-Protocol: dop.r1"};
  unsigned what = fuzz_byte(f);
  text(b, methods[what & 0x80 ? 0 : fuzz_below(f, 4)]);
  text(b, "Host: h\r\n");
  if (!(what & 4)) text(b, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
  if (!(what & 4)) text(b, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
  if (!(what & 8)) text(b, "Sec-WebSocket-Version: 13\r\n");
  if (what & 64) text(b, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  if (what & 16) text(b, what & 32 ? "Origin: http://h\r\n" : "Origin: http://other\r\n");
  if (what & 3) text(b, "Sec-WebSocket-Protocol: ");
  text(b, offers[what & 3]);
  text(b, what & 3 ? "\r\n\r\n" : "\r\n");
}

static void response(struct fuzz *f, const struct dop_link *l, struct dop_bytes *b) {
  static const struct dop_span protocols[] = {{NULL, 0}, {"dop", 3}, {"dop.r1", 6}, {"other", 5}};
  static const unsigned codes[] = {301, 302, 407, 403, 404, 426, 503, 200};
  unsigned what = fuzz_byte(f);
  if (l->state == DOP_LINK_TUNNELLING && (what & 0x84) != 0x84) {
    text(b, what & 32 ? "HTTP/1.0 200 Connection established\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n");
  } else if (what & 4) {
    struct dop_answer a =
        dop_answer_text(codes[what >> 3 & 7],
                        what & 64 ? "Retry-After: 7\r\nLocation: ws://u:p@h/?t\r\n" : NULL, "no");
    fuzz_check(dop_upgrade_write_answer(b, &a) == 0, "no memory");
  } else if (l->upgrade) {
    struct dop_span key = {l->upgrade->key, strlen(l->upgrade->key)};
    fuzz_check(dop_upgrade_write_accept(b, key, protocols[what & 3],
                                        what & 8 ? "permessage-deflate" : NULL, NULL) == 0,
               "no memory");
  }
}

/* One frame by hand: what follows FIN and the opcode is right. */
static void frame(const struct dop_link *l, struct dop_bytes *b, unsigned first, const char *data,
                  size_t n) {
  static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  uint32_t at = b->len;
  fuzz_check(dop_ws_write(b, DOP_WS_OP_TEXT, data, n,
                          l->socket.transport->role == DOP_SERVER ? mask : NULL) == 0,
             "no memory");
  b->data[at] = (char)first;
}

static void message(struct stage *st, struct end *e, struct dop_bytes *b) {
  char word[FUZZ_WORD_MOST];
  enum dop_kind kind;
  size_t n = fuzz_word(&st->m, e->link->socket.node, word, &kind);
  unsigned op = kind == DOP_TEXT ? 1 : 2;
  if (fuzz_below(st->m.input, 8)) {
    frame(e->link, b, 0x80 | op, word, n);
    return;
  }
  frame(e->link, b, op, word, n / 2);
  frame(e->link, b, 0x89, "in between", 10);
  frame(e->link, b, 0x80, word + n / 2, n - n / 2);
}

static void phrase(struct stage *st, struct end *e) {
  uint8_t bytes[FUZZ_PHRASE_MOST];
  struct fuzz words = fuzz_phrase(st->m.input, bytes), *input = st->m.input;
  while (fuzz_left(&words) && e->link) {
    struct dop_bytes b = {0};
    char word[FUZZ_WORD_MOST];
    enum dop_kind kind;
    st->m.input = &words;
    size_t n = fuzz_word(&st->m, e->link->socket.node, word, &kind);
    st->m.input = input;
    frame(e->link, &b, 0x81, word, n);
    feed(st, e, b.data, b.len);
    dop_bytes_dispose(&b);
    turn(st);
  }
}

static void control(struct stage *st, struct end *e, struct dop_bytes *b) {
  unsigned what = fuzz_below(st->m.input, 8);
  char payload[DOP_WS_CONTROL_MAX];
  size_t n = what & 4 ? fuzz_below(st->m.input, 126) : 2;
  const uint8_t *from = fuzz_take(st->m.input, &n);
  memcpy(payload, from, n);
  if ((what & 3) == 0)
    frame(e->link, b, 0x8A, (const char *)e->ping, e->ping_len); /* the answer to its last ping */
  else
    frame(e->link, b, 0x87 + (what & 3), payload, n);
}

/* The same many times over, as a flood is. */
static void flood(struct stage *st, struct end *e) {
  struct dop_bytes one = {0};
  unsigned times = 16 * fuzz_byte(st->m.input);
  if (fuzz_below(st->m.input, 2))
    message(st, e, &one);
  else
    control(st, e, &one);
  char *copy = fuzz_copy(one.data, one.len);
  size_t n = one.len;
  dop_bytes_dispose(&one);
  for (unsigned i = 0; i < times && n <= 64 && e->link; i++) {
    feed(st, e, copy, n);
    turn(st);
  }
  free(copy);
}

static void receive(struct stage *st, struct end *e, unsigned op) {
  struct dop_bytes b = {0};
  char raw[512];
  size_t n;
  if (!e->link) return;
  switch (op) {
  case 0:
    if (is_server(e))
      request(st->m.input, &b);
    else
      response(st->m.input, e->link, &b);
    break;
  case 1:
  case 2:
    message(st, e, &b);
    break;
  case 3:
    control(st, e, &b);
    break;
  default:
    n = fuzz_byte(st->m.input);
    const uint8_t *from = fuzz_take(st->m.input, &n);
    memcpy(raw, from, n);
    fuzz_check(dop_bytes_append(&b, raw, n) == 0, "no memory");
  }
  feed_cut(st, e, &b);
  dop_bytes_dispose(&b);
}

/* --- the program --- */

static void on_request(struct fuzz_machine *m, struct dop_event *ev) {
  struct dop_link *l = dop_link_of(ev->socket);
  struct dop_answer a = dop_answer_text(m->let_in == 2 ? 401 : 200, "X-A: b\r\n", "text");
  if (m->let_in == 1)
    dop_link_allow(l, "X-Hello: there\r\n");
  else if (m->let_in == 2)
    dop_link_answer(l, &a);
  if (m->let_in == 1) dop_link_insist(l);
}

static void begin(struct stage *st, struct end *e, unsigned how) {
  static const char *const from[] = {"192.0.2.1:5", "192.0.2.1:6", "[2001:db8::1]:5", NULL};
  struct dop_transport *t = st->m.ends[how & 1 ? DOP_CLIENT : DOP_SERVER];
  if (e->link || t->closed) return;
  if (t->role == DOP_CLIENT && !dop_transport_awaits_socket(t)) return;
  e->link = t->role == DOP_SERVER
                ? dop_link_accept(t, from[how >> 1 & 3])
                : dop_link_dial(t, "example.com", "/", NULL, how & 32 ? &way : NULL);
  if (!e->link) return;
  e->tunnels = t->role == DOP_CLIENT && how & 32;
  e->link->driver = e;
  e->whole = how >> 3 & 1;
}

/* A link of either role that is open, and a session on it, in one step. */
static void begin_well(struct stage *st, struct end *e, unsigned how) {
  begin(st, e, how);
  fuzz_memory.fail = 0;
  turn(st);
  receive(st, e, 0);
  turn(st);
  if (e->link && e->tunnels) receive(st, e, 0);
  turn(st);
  if (e->link && (how & 16)) phrase(st, e);
}

/* Whether bytes come in this step, which have to be made first. */
static int receives(unsigned op) {
  return op == 3 || op == 12 || op > 13;
}

static void step(struct stage *st) {
  struct fuzz *f = st->m.input;
  unsigned op = fuzz_below(f, 20);
  struct end *e = &st->ends[fuzz_below(f, MOST)];
  struct dop_node *n = e->link ? e->link->socket.node : NULL;
  if (!receives(op)) {
    fuzz_memory.fail = st->fail;
    st->fail = 0;
  }
  switch (op) {
  case 0:
    begin(st, e, fuzz_byte(f));
    break;
  case 1:
  case 2:
    begin_well(st, e, fuzz_byte(f));
    break;
  case 3:
    if (e->link) phrase(st, e);
    break;
  case 4:
    if (e->link)
      fuzz_below(f, 2) ? dop_link_eof(e->link) : dop_link_lost(e->link, "ECONNRESET", "reset");
    break;
  case 5:
    e->slow = e->link && fuzz_below(f, 2);
    if (e->link) written(e);
    if (e->link) dop_socket_mark_dirty(&e->link->socket);
    break;
  case 6:
    fuzz_machine_wait(&st->m);
    break;
  case 7:
    if (!n) n = fuzz_machine_node(&st->m);
    if (n) fuzz_machine_act(&st->m, n);
    break;
  case 8:
  case 9:
    if (!n) n = fuzz_machine_node(&st->m);
    if (n) fuzz_machine_send(&st->m, n);
    break;
  case 10:
    st->fail = 1 + fuzz_below(f, 24);
    break;
  case 11:
    if (e->link && e->link->state >= DOP_LINK_OPEN) dop_link_forget_request(e->link);
    break;
  case 12:
    if (e->link) flood(st, e);
    break;
  case 13:
    if (fuzz_byte(f) == 77) {
      st->m.server_ended = 1;
      dop_transport_close(st->m.ends[DOP_SERVER], 1001);
    }
    break;
  default:
    receive(st, e, op - 14);
  }
  fuzz_memory.fail = 0;
}

void fuzz_run(struct fuzz *f) {
  struct stage st;
  memset(&st, 0, sizeof st);
  st.m.on_request = on_request;
  st.m.let_in = 1;
  st.m.compressing = &packing;
  fuzz_machine_begin(&st.m, f);
  st.pool = dop_zalloc(sizeof *st.pool);
  size_t begun = fuzz_memory.bytes;
  for (unsigned steps = 0; fuzz_left(f) && steps < 600; steps++) {
    step(&st);
    turn(&st);
    fuzz_machine_check(&st.m);
    fuzz_check(fuzz_memory.bytes <= begun + ((MOST + 1) * 160u << 10) + 4 * st.fed, "memory grows");
  }
  for (unsigned i = 0; i < MOST; i++) {
    struct end *e = &st.ends[i];
    if (e->link) written(e);
    if (e->link) dop_link_lost(e->link, "EOF", "the end");
    if (e->link) let_go(e);
  }
  turn(&st);
  dop_deflate_pool_free(st.pool);
  fuzz_machine_end(&st.m);
}
