/* Peers that speak by hand; see hand.h. Never answers anything by itself. */
#include "proof/hand.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";

/* --- the notation --- */

void hand_print(char *out, size_t size, const char *data, size_t len) {
  if (len >= size || len > 120) {
    snprintf(out, size, "%zu bytes", len);
    return;
  }
  size_t n = len < size - 1 ? len : size - 1;
  for (size_t i = 0; i < n; i++)
    out[i] = data[i] == '\x10' ? '^' : data[i] >= 0x20 && data[i] < 0x7F ? data[i] : '.';
  out[n] = 0;
}

size_t hand_scan(char *out, size_t size, const char *text) {
  size_t len = strlen(text);
  if (len >= size) abort();
  for (size_t i = 0; i <= len; i++) out[i] = text[i] == '^' ? '\x10' : text[i];
  return len;
}

/* --- bytes --- */

static void feed(struct hand *h) {
  struct dop_link *l = h->link;
  struct dop_bytes b = h->out;
  if (!l || !b.len || !dop_link_reading(l)) return;
  memset(&h->out, 0, sizeof h->out);
  dop_socket_ref(&l->socket);
  dop_link_feed(l, b.data, b.len);
  stage_deliver(h->stage, &l->socket);
  dop_link_settle(l);
  dop_socket_unref(&l->socket);
  dop_bytes_dispose(&b);
}

void hand_give(struct hand *h) {
  h->corked = 0;
  feed(h);
  stage_turn(h->stage);
}

void hand_cork(struct hand *h) {
  h->corked = 1;
}

static void let_go(struct hand *h) {
  struct dop_link *l = h->link;
  h->link = NULL;
  h->ended = 1;
  l->driver = NULL;
  dop_socket_unref(&l->socket);
}

void hand_serve(struct dop_link *l) {
  struct hand *h = l->driver;
  const char *bytes;
  size_t len;
  if (!h) return;
  while (!l->dead && !h->slow && (bytes = dop_link_output(l, &len))) {
    if (!h->deaf && dop_bytes_append(&h->in, bytes, len)) abort();
    dop_link_sent(l, len);
  }
  if (l->fin) h->ended = 1;
  if (!l->dead && l->over) dop_link_lost(l, "EOF", "the socket was closed");
  if (l->dead)
    let_go(h);
  else if (h->out.len && !h->corked)
    feed(h); /* it reads again */
}

void hand_read(struct hand *h) {
  h->slow = 0;
  if (h->link) dop_socket_mark_dirty(&h->link->socket);
  stage_turn(h->stage);
}

void hand_lose(struct hand *h) {
  if (h->link) dop_link_lost(h->link, "ECONNRESET", "connection reset by peer");
  stage_turn(h->stage);
}

/* --- sockets --- */

static struct hand *new_hand(struct stage *w, struct dop_link *l, int client) {
  struct hand *h = calloc(1, sizeof *h);
  if (!h || !l) abort();
  h->stage = w;
  h->link = l;
  l->driver = h;
  h->client = client != 0;
  dop_ws_init(&h->ws, !client);
  snprintf(h->ours, sizeof h->ours, "Hand%012u", ++w->hand_count);
  h->next = w->hands;
  w->hands = h;
  return h;
}

/* Takes an HTTP head off what came. */
static size_t head_len(struct hand *h) {
  size_t seen = 0, len = dop_http_head_end(h->in.data, h->in.len, &seen);
  if (!len) stage_fail(h->stage, __FILE__, __LINE__, "no head of the upgrade came");
  return len;
}

struct hand *hand_dial(struct stage *w, const char *offer, const char *principal) {
  struct dop_link *l = dop_link_accept(the_server(w), "hand:1");
  struct hand *h = new_hand(w, l, 1);
  struct dop_head head;
  struct dop_span protocol;
  const char *why = NULL;
  if (principal) l->socket.principal = dop_token_new(principal, strlen(principal));
  if (dop_upgrade_write_request(&h->out, "hand", "/", key, offer, NULL, NULL)) abort();
  hand_give(h);
  size_t len = head_len(h);
  if (dop_upgrade_parse_response(&head, h->in.data, len, 64, key, &protocol, &why))
    stage_fail(w, __FILE__, __LINE__, "the server refused: %s", why);
  h->lossless = protocol.data && dop_span_has_token(protocol, "dop.r1", 0);
  dop_bytes_consume(&h->in, (uint32_t)len);
  return h;
}

struct hand *hand_client(struct stage *w) {
  return hand_dial(w, w->plain ? "dop" : "dop, dop.r1", NULL);
}

struct hand *hand_answer(struct stage *w, const char *protocol) {
  struct dop_link *l = dop_link_dial(the_client(w), "hand", "/", NULL, NULL);
  struct hand *h = new_hand(w, l, 0);
  struct dop_upgrade_request req;
  const char *why = NULL;
  stage_turn(w);
  size_t len = head_len(h);
  if (dop_upgrade_parse_request(&req, h->in.data, len, 64, &why))
    stage_fail(w, __FILE__, __LINE__, "the client's request is none: %s", why);
  struct dop_span offer = dop_head_get(&req.head, "Sec-WebSocket-Protocol");
  struct dop_span selected = {protocol, protocol ? strlen(protocol) : 0};
  if (offer.data) snprintf(h->offer, sizeof h->offer, "%.*s", (int)offer.len, offer.data);
  if (dop_upgrade_write_accept(&h->out, req.key, selected, NULL, NULL)) abort();
  h->lossless = protocol && strcmp(protocol, "dop.r1") == 0;
  dop_bytes_consume(&h->in, (uint32_t)len);
  hand_give(h);
  return h;
}

struct hand *hand_server(struct stage *w) {
  return hand_answer(w, w->plain ? "dop" : "dop.r1");
}

void hands_dispose(struct stage *w) {
  struct hand *h;
  for (h = w->hands; h; h = h->next) hand_lose(h);
  while ((h = w->hands)) {
    w->hands = h->next;
    if (h->link) let_go(h);
    dop_ws_dispose(&h->ws);
    dop_bytes_dispose(&h->in);
    dop_bytes_dispose(&h->out);
    free(h);
  }
}

/* --- saying --- */

void hand_frame(struct hand *h, enum dop_ws_opcode op, const void *data, size_t len) {
  static const uint8_t mask[4] = {1, 2, 3, 4};
  if (dop_ws_write(&h->out, op, data, len, h->client ? mask : NULL)) abort();
  if (!h->corked) hand_give(h);
}

void hand_say(struct hand *h, const char *format, ...) {
  char text[2048], raw[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const char *rest = text;
  size_t len = 0;
  if (strcmp(text, "half") == 0) {
    len = hand_scan(raw, sizeof raw, h->ours);
    rest = "";
  } else if (text[0] == 'T' && (text[1] == 0 || text[1] == ' ')) {
    len = hand_scan(raw, sizeof raw, h->token);
    rest = text + 1;
  }
  len += hand_scan(raw + len, sizeof raw - len, rest);
  hand_frame(h, DOP_WS_OP_TEXT, raw, len);
}

void hand_say_long(struct hand *h, size_t len) {
  char *text = malloc(len + 1);
  if (!text) abort();
  memset(text, 'x', len);
  hand_frame(h, DOP_WS_OP_TEXT, text, len);
  free(text);
}

void hand_close(struct hand *h, unsigned code) {
  char payload[2] = {(char)(code >> 8), (char)(code & 0xFF)};
  hand_frame(h, DOP_WS_OP_CLOSE, payload, 2);
}

/* --- hearing --- */

static const char *read_text(struct hand *h, const char *data, size_t len) {
  size_t token = strlen(h->token);
  if (token && len >= token && memcmp(data, h->token, token) == 0) {
    h->heard[0] = 'T';
    hand_print(h->heard + 1, sizeof h->heard - 1, data + token, len - token);
    return h->heard;
  }
  if (len == DOP_HALF_LEN && !memchr(data, ' ', len) && *data != '\x10') {
    int same = strlen(h->theirs) == len && memcmp(h->theirs, data, len) == 0;
    const char *what = h->theirs[0] && !same ? "another half" : "half";
    memcpy(h->theirs, data, len);
    h->theirs[len] = 0;
    return what;
  }
  hand_print(h->heard, sizeof h->heard, data, len);
  return h->heard;
}

const char *hand_take(struct hand *h) {
  struct dop_ws_item item;
  char text[128];
  size_t used;
  do {
    if (!h->in.len) return h->ended ? "end" : "";
    used = dop_ws_next(&h->ws, h->in.data, h->in.len, 1u << 30, &item);
    if (item.type != DOP_WS_MORE) break;
    dop_bytes_consume(&h->in, (uint32_t)used);
    if (!used) return "";
  } while (item.type == DOP_WS_MORE);
  hand_print(text, sizeof text, item.data ? item.data : "", item.len);
  const char *what = h->heard;
  switch (item.type) {
  case DOP_WS_TEXT:
    what = read_text(h, item.data, item.len);
    break;
  case DOP_WS_CLOSE:
    snprintf(h->heard, sizeof h->heard, "close %u", item.code);
    break;
  case DOP_WS_ERROR:
    stage_fail(h->stage, __FILE__, __LINE__, "what came is no WebSocket: %s", item.why);
  default:
    if (item.len <= sizeof h->payload) memcpy(h->payload, item.data, h->payload_len = item.len);
    snprintf(h->heard, sizeof h->heard, "%s%s%s",
             item.type == DOP_WS_PING   ? "ping"
             : item.type == DOP_WS_PONG ? "pong"
                                        : "binary",
             text[0] ? " " : "", text);
  }
  if (h->in.len) dop_bytes_consume(&h->in, (uint32_t)used);
  return what;
}

void hand_expect(struct hand *h, const char *wanted, const char *file, int line) {
  const char *what = hand_take(h);
  if (strcmp(what, wanted) != 0)
    stage_fail(h->stage, file, line, "heard \"%s\", not \"%s\"", what, wanted);
}

/* --- dialogues --- */

void hand_name(struct hand *h) {
  struct dop_token *a = dop_token_new(h->ours, strlen(h->ours));
  struct dop_token *b = dop_token_new(h->theirs, strlen(h->theirs));
  struct dop_token *t = dop_token_merge(a, b);
  memcpy(h->token, t->text, t->len);
  h->token[t->len] = 0;
  dop_token_free(a);
  dop_token_free(b);
  dop_token_free(t);
}

/* Both halves, twice each: the session is CONNECTED. */
static void confirm(struct hand *h) {
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "half");
  hand_say(h, "half");
  hand_name(h);
}

struct hand *hand_opened(struct stage *w, const char *theirs) {
  struct hand *h = hand_client(w);
  confirm(h);
  HEARS(h, theirs);
  forget_log(w);
  return h;
}

static struct hand *connect(struct hand *h, const char *limits) {
  confirm(h);
  if (h->lossless) {
    HEARS(h, LIMITS);
    hand_say(h, "%s", limits);
  }
  forget_log(h->stage);
  return h;
}

struct hand *hand_session_of(struct stage *w, const char *principal) {
  return connect(hand_dial(w, w->plain ? "dop" : "dop, dop.r1", principal), LIMITS);
}

struct hand *hand_session_with(struct stage *w, const char *limits) {
  return connect(hand_client(w), limits);
}

struct hand *hand_session(struct stage *w) {
  return hand_session_of(w, NULL);
}

struct hand *hand_host(struct stage *w) {
  return connect(hand_server(w), LIMITS);
}

struct hand *hand_resume_as(struct hand *h, uint64_t n, uint64_t count, const char *principal) {
  struct hand *next = hand_dial(h->stage, "dop, dop.r1", principal);
  HEARS(next, "half");
  memcpy(next->token, h->token, sizeof next->token);
  hand_say(next, "T r %llu %llu", (unsigned long long)n, (unsigned long long)count);
  return next;
}

struct hand *hand_resume(struct hand *h, uint64_t n, uint64_t count) {
  return hand_resume_as(h, n, count, NULL);
}

struct hand *hand_asked(struct hand *h) {
  struct hand *next = hand_server(h->stage);
  memcpy(next->token, h->token, sizeof next->token);
  const char *what = hand_take(next);
  if (strncmp(what, "T r ", 4) != 0)
    stage_fail(h->stage, __FILE__, __LINE__, "the client did not ask for its session: \"%s\"",
               what);
  hand_say(next, "half");
  return next;
}
