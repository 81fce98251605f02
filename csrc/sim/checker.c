/* Books, bodies, what handlers are given and what sessions end with; see checker.h. Owns the books.
 */
#include "sim/checker.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SERVER = DOP_SIM_SERVER, CLIENT = DOP_SIM_CLIENT };
const char *const dop_sim_sides[] = {"server", "client"};
#define names dop_sim_sides

static char pattern[DOP_SIM_BODY_MOST + 26];

void dop_sim_checker_begin(void) {
  if (pattern[0]) return;
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)('a' + i % 26);
}

void dop_sim_checker_dispose(struct dop_sim_checker *k) {
  for (uint32_t i = 0; i < k->book_count; i++) {
    dop_node_unref(k->books[i].node);
    free(k->books[i].accepted);
  }
  for (uint32_t i = 0; i < k->token_count; i++) dop_token_free(k->tokens[i]);
  free(k->tokens);
  free(k->wires);
  free(k->halves);
}

void dop_sim_wrong(struct dop_sim_checker *k, const char *format, ...) {
  va_list args;
  if (k->wrong[0]) return; /* the first one says most */
  va_start(args, format);
  vsnprintf(k->wrong, sizeof k->wrong, format, args);
  va_end(args);
  dop_sim_trace(k, "WRONG: %s", k->wrong);
}

void dop_sim_trace(struct dop_sim_checker *k, const char *format, ...) {
  va_list args;
  if (!k->trace) return;
  va_start(args, format);
  fprintf(k->trace, "%8llu ", (unsigned long long)k->engine->now);
  vfprintf(k->trace, format, args);
  fputc('\n', k->trace);
  va_end(args);
}

/* --- books --- */

static int side_of(const struct dop_transport *t) {
  return t->role == DOP_SERVER ? SERVER : CLIENT;
}

static struct dop_sim_book *known(struct dop_sim_checker *k, const struct dop_node *n) {
  for (uint32_t i = k->book_count; i; i--)
    if (k->books[i - 1].node == n) return &k->books[i - 1];
  return NULL;
}

struct dop_sim_book *dop_sim_book_of(struct dop_sim_checker *k, struct dop_node *n) {
  struct dop_sim_book *b = known(k, n);
  if (b) return b;
  if (k->book_count == DOP_SIM_BOOKS_MOST) {
    dop_sim_wrong(k, "more than %d nodes", DOP_SIM_BOOKS_MOST);
    return NULL;
  }
  b = &k->books[k->book_count++];
  memset(b, 0, sizeof *b);
  b->node = n;
  b->side = side_of(n->transport);
  b->most = UINT32_MAX;
  b->process = k->process;
  dop_node_ref(n);
  return b;
}

struct dop_sim_book *dop_sim_find(struct dop_sim_checker *k, int side, const char *token,
                                  size_t len) {
  for (uint32_t i = k->book_count; i; i--) {
    struct dop_sim_book *b = &k->books[i - 1];
    const struct dop_token *t = b->node->token;
    if (b->side == side && t && t->len == len && memcmp(t->text, token, len) == 0) return b;
  }
  return NULL;
}

struct dop_sim_book *dop_sim_partner(struct dop_sim_checker *k, struct dop_sim_book *b) {
  const struct dop_token *t = b->node->token;
  if (b->peer) return &k->books[b->peer - 1];
  struct dop_sim_book *other = t ? dop_sim_find(k, !b->side, t->text, t->len) : NULL;
  if (!other || !b->connected || !other->connected) return other;
  b->peer = (uint32_t)(other - k->books) + 1;
  other->peer = (uint32_t)(b - k->books) + 1;
  return other;
}

static void note(struct dop_sim_book *b, struct dop_sim_entry e) {
  if (b->count == b->cap) {
    b->cap = b->cap ? b->cap * 2 : 64;
    b->accepted = realloc(b->accepted, b->cap * sizeof *b->accepted);
    if (!b->accepted) abort();
  }
  b->accepted[b->count++] = e;
}

/* --- messages --- */

/* Every 16th looks like an instruction, every 8th is binary, every 64th is long. What quotes a
 * token is that token and nothing else. */
static enum dop_kind body(const struct dop_sim_checker *k, int side, struct dop_sim_entry e,
                          char *out, size_t *len) {
  uint64_t mix = e.number * 0x9E3779B97F4A7C15u >> 32;
  enum dop_kind kind = e.number % 8 == 3 ? DOP_BINARY : DOP_TEXT;
  if (e.quotes) {
    const struct dop_token *t = k->tokens[e.quotes - 1];
    memcpy(out, t->text, t->len);
    *len = t->len;
    return kind;
  }
  static const char letters[] = "admprx";
  char *p = out, digits[24];
  int n = 0;
  if (e.number % 16 == 5) {
    *p++ = DOP_R1_MARK;
    *p++ = letters[mix % 6];
  }
  *p++ = names[side][0];
  *p++ = ' ';
  for (uint64_t v = e.number; v || !n; v /= 10) digits[n++] = (char)('0' + v % 10);
  while (n) *p++ = digits[--n];
  *p++ = ' ';
  size_t size = (size_t)(p - out);
  size += k->large || e.number % 64 == 9 ? mix % 3900 : mix % 40;
  if (k->huge && e.number % 8 == 1) size = 60000 + mix % 12000;
  memcpy(p, pattern + mix % 26, size - (size_t)(p - out));
  *len = size;
  return kind;
}

/* What a send must answer. */
static enum dop_sent answer_to(const struct dop_node *n, enum dop_kind kind, const char *text,
                               size_t len) {
  const struct dop_limits *l = &n->transport->limits;
  const struct dop_account *a = n->account;
  if (n->status == DOP_DISCONNECTED || (a && a->closing)) return DOP_SEND_CLOSED;
  size_t most = !a ? l->max_message : a->peer.max_message ? a->peer.max_message : 65536;
  if (len > most) return DOP_SEND_TOOLARGE;
  const struct dop_token *t = n->token;
  if (!a && kind == DOP_TEXT && t && t->len == len && memcmp(t->text, text, len) == 0)
    return DOP_SEND_RESERVED;
  if (!a && !n->queue.count && n->status == DOP_CONNECTED &&
      n->socket->ops->backlog(n->socket) < DOP_SOCKET_MARK)
    return DOP_SENT;
  size_t size = n->queue.bytes.len - n->queue.head;
  return n->queue.count && (n->queue.count >= l->queue_messages || size + len + 8 > l->queue_bytes)
             ? DOP_SEND_FULL
             : DOP_SENT;
}

static uint32_t quote(struct dop_sim_checker *k, const struct dop_token *t) {
  k->tokens = realloc(k->tokens, (k->token_count + 1) * sizeof *k->tokens);
  if (!k->tokens) abort();
  k->tokens[k->token_count++] = dop_token_new(t->text, t->len);
  return k->token_count;
}

int dop_sim_send(struct dop_sim_checker *k, struct dop_node *n, uint64_t chance) {
  static const char *const answers[] = {"sent", "full", "toolarge", "reserved", "closed", "nomem"};
  static char text[DOP_SIM_BODY_MOST];
  int side = side_of(n->transport);
  struct dop_sim_entry e = {k->sent[side] + 1, 0};
  size_t len;
  if (chance % 24 == 0 && n->token) e.quotes = quote(k, n->token);
  enum dop_kind kind = body(k, side, e, text, &len);
  enum dop_sent wanted = answer_to(n, kind, text, len);
  enum dop_sent sent = dop_node_send(n, kind, text, len);
  if (sent != wanted)
    dop_sim_wrong(k, "%s: a send was answered with %s, not with %s", names[side], answers[sent],
                  answers[wanted]);
  if (sent != DOP_SENT) dop_sim_cover(k->coverage, "%s send %s", names[side], answers[sent]);
  struct dop_sim_book *b = sent == DOP_SENT || sent == DOP_SEND_FULL ? dop_sim_book_of(k, n) : NULL;
  if (sent == DOP_SEND_TOOLARGE || sent == DOP_SEND_RESERVED) k->sent[side]++; /* another body */
  if (!b) return 0;
  if (sent == DOP_SEND_FULL) {
    b->full = 1;
    return 0;
  }
  note(b, e);
  k->sent[side]++;
  if (e.quotes) dop_sim_cover(k->coverage, "%s quotes its token", names[side]);
  if (kind == DOP_TEXT && text[0] == DOP_R1_MARK) dop_sim_cover(k->coverage, "escaped");
  if (len > k->ends[!side]->limits.max_message) b->oversize = 1;
  dop_sim_trace(k, "%s sends %llu (%zu bytes)", names[side], (unsigned long long)e.number, len);
  return 1;
}

/* --- what a handler is given --- */

static int is_body(struct dop_sim_checker *k, int side, struct dop_sim_entry e,
                   const struct dop_message *m) {
  static char text[DOP_SIM_BODY_MOST];
  size_t len;
  return body(k, side, e, text, &len) == m->kind && len == m->len &&
         memcmp(text, m->data, len) == 0;
}

/* It must be the next one that the other end's node accepted, byte for byte. In plain DOP some may
 * be missing before it. */
void dop_sim_check_message(struct dop_sim_checker *k, struct dop_socket *s,
                           const struct dop_message *m) {
  struct dop_node *n = s->node;
  struct dop_sim_book *b = n ? dop_sim_book_of(k, n) : NULL;
  if (!b) return;
  struct dop_sim_book *from = dop_sim_partner(k, b);
  const char *who = names[b->side];
  if (n->socket != s || n->status != DOP_CONNECTED)
    dop_sim_wrong(k, "%s was given a message over a socket that its session does not have", who);
  if (b->ended) dop_sim_wrong(k, "%s was given a message after its end", who);
  if (s->paused) dop_sim_wrong(k, "%s was given a message while it was paused", who);
  if (n->account && n->account->closing)
    dop_sim_wrong(k, "%s was given a message after it had ended the session", who);
  if (!from) {
    dop_sim_wrong(k, "%s was given what nobody sent", who);
    return;
  }
  uint32_t i = from->delivered;
  while (k->plain && i < from->count && !is_body(k, !b->side, from->accepted[i], m)) i++;
  if (i >= from->count || (!k->plain && !is_body(k, !b->side, from->accepted[i], m))) {
    dop_sim_wrong(k, "%s was given another message than %u of %u", who, from->delivered + 1,
                  from->count);
    return;
  }
  from->delivered = i + 1;
  if (from->delivered > from->most)
    dop_sim_wrong(k, "%s was given message %u, which had been handed back", who, from->delivered);
  dop_sim_trace(k, "%s is given %llu", who, (unsigned long long)from->accepted[i].number);
  dop_sim_cover(k->coverage, "%s message", who);
}

void dop_sim_owed_look(struct dop_sim_book *b) {
  const struct dop_account *a = b->node->account;
  if (!a || (a->told == b->owed_told && b->node->status == DOP_CONNECTED)) return;
  b->owed_told = a->told;
  b->owed_at = 0;
  b->owed_bytes = 0;
}

void dop_sim_check_returned(struct dop_sim_checker *k, struct dop_node *n, size_t len) {
  struct dop_sim_book *b = dop_sim_book_of(k, n);
  const struct dop_account *a = n->account;
  struct dop_sim_book *from = b ? dop_sim_partner(k, b) : NULL;
  if (!from) return;
  if (a && a->in_hand && !a->closing && a->told >= a->received)
    dop_sim_wrong(k, "%s acknowledged a message that was with its handler", names[b->side]);
  from->returned = from->delivered;
  dop_sim_owed_look(b);
  if (!b->owed_at) b->owed_at = k->engine->now;
  b->owed_bytes += len;
}

void dop_sim_check_withheld(struct dop_sim_checker *k, struct dop_node *n) {
  struct dop_sim_book *b = dop_sim_book_of(k, n);
  const struct dop_account *a = n->account;
  if (!b) return;
  b->resumed.received = UINT64_MAX; /* it moved, and back */
  if (a->in_hand || a->told != a->received)
    dop_sim_wrong(k, "%s gave up its socket and did not say what had come", names[b->side]);
}

void dop_sim_check_disconnect(struct dop_sim_checker *k, struct dop_node *n) {
  struct dop_sim_book *b = dop_sim_book_of(k, n);
  if (b && n->account && n->account->end_parked) b->peer_first = 1;
}

struct dop_sim_owed dop_sim_owed_before(struct dop_sim_checker *k, struct dop_socket *s) {
  struct dop_sim_owed o = {0};
  struct dop_node *n = s->node;
  const struct dop_account *a = n ? n->account : NULL;
  if (!a || n->status != DOP_CONNECTED || !a->in_hand || a->closing) return o;
  struct dop_sim_book *b = dop_sim_book_of(k, n);
  uint64_t most = a->peer.max_messages / 4;
  if (!b) return o;
  dop_sim_owed_look(b);
  o = (struct dop_sim_owed){n, s, a->told, a->received, 0};
  o.due =
      a->received - a->told >= (most > 64 ? 64 : most) || b->owed_bytes >= a->peer.max_bytes / 4;
  return o;
}

void dop_sim_owed_after(struct dop_sim_checker *k, const struct dop_sim_owed *o) {
  struct dop_node *n = o->node;
  if (!n || n->socket != o->socket || n->status != DOP_CONNECTED || n->account->closing) return;
  if (n->account->told == (o->due ? o->received : o->told)) return;
  dop_sim_wrong(k, "%s, with %u deliveries that the peer does not know of, %s",
                names[side_of(n->transport)], (unsigned)(o->received - o->told),
                o->due ? "did not acknowledge" : "acknowledged too early");
}

/* --- ends --- */

/* What is handed back is the end of what was accepted, each message with a fate that is true. */
static void check_end(struct dop_sim_checker *k, struct dop_sim_book *b, struct dop_event *ev) {
  struct dop_message m;
  const char *who = names[b->side];
  uint32_t left = ev->unsettled.count, first = b->count - left, i = 0;
  int client = b->side == CLIENT, unknown = strcmp(ev->why, "unknown") == 0;
  if (left > b->count) {
    dop_sim_wrong(k, "%s got more back than it gave", who);
    return;
  }
  for (; dop_queue_front(&ev->unsettled, &m); i++, dop_queue_pop(&ev->unsettled)) {
    if (!is_body(k, b->side, b->accepted[first + i], &m))
      dop_sim_wrong(k, "%s got another message back than number %u", who, first + i + 1);
    dop_sim_cover(k->coverage, "%s fate %s", who,
                  i >= ev->written ? "unsent"
                  : ev->settled    ? "undelivered"
                                   : "unknown");
  }
  b->ended = 1;
  b->most = first + (ev->settled || k->plain ? 0 : ev->written);
  if (b->delivered > b->most)
    dop_sim_wrong(k, "%s got message %u back as not delivered, but %u were", who, b->most + 1,
                  b->delivered);
  if (k->plain) return;
  if (b->delivered < first || (ev->settled && b->delivered != first))
    dop_sim_wrong(k, "%s was told that %u messages were delivered, but %u were", who, first,
                  b->delivered);
  if (b->wire > first + ev->written)
    dop_sim_wrong(k, "%s got message %u back as unsent, but it was on a socket", who, b->wire);
  const struct dop_account *a = ev->node->account;
  b->settled = ev->settled;
  if (a && (uint64_t)ev->written + first != a->written)
    dop_sim_wrong(k, "%s wrote %llu messages and reports %u", who, (unsigned long long)a->written,
                  first + ev->written);
  if (b->end_waits && !ev->settled && !unknown)
    dop_sim_wrong(k, "%s forgot what the peer's end had settled", who);
  if (b->peer_first && strcmp(ev->why, "peer") != 0)
    dop_sim_wrong(k, "%s takes the end of its peer for its own", who);
  if (client && unknown && ev->settled != b->gone_known)
    dop_sim_wrong(k, "the client was%s told what had been delivered, and reports the %s",
                  b->gone_known ? "" : " not", ev->settled ? "one" : "other");
  if (client && unknown && b->gone_formally)
    dop_sim_wrong(k, "the client takes a formal end for a loss");
  if (!b->connected) return;
  if (strcmp(ev->why, "peer") == 0) {
    if (!ev->settled) dop_sim_wrong(k, "%s: the peer's end settled nothing", who);
    if (b->node->account->parked.count)
      dop_sim_wrong(k, "%s ended before it was given what came before the end", who);
  }
}

/* Whether a session that is in this status ends with its socket. */
static int is_fatal(const struct dop_sim_book *b, int client, unsigned code) {
  switch (code) {
  case 4001:
  case 4400:
    return 1;
  case 1002:
  case 1003:
  case 1007:
  case 1009:
    return b->status == DOP_CONNECTED;
  case 4403:
  case 4409:
    return client && b->status != DOP_CONNECTED;
  default:
    return 0;
  }
}

/* Both ends are ours: neither may find fault with the other. */
static void check_close(struct dop_sim_checker *k, const struct dop_event *ev) {
  struct dop_sim_book *b = known(k, ev->node);
  struct dop_sim_book *other = b ? dop_sim_partner(k, b) : NULL;
  const struct dop_token *who = ev->node->principal;
  int client = ev->transport->role == DOP_CLIENT;
  int thief = !client && (who ? !k->owner || strcmp(who->text, k->owner) != 0 : k->owner != NULL);
  int right = 1;
  switch (ev->code) {
  case 1002:
  case 1003:
  case 1007:
    right = 0;
    break;
  case 1009: /* it was sent when the limit was not known yet */
    right = (b && b->oversize) || (other && other->oversize);
    break;
  case 1008: /* of a newcomer who is somebody else, in plain DOP */
    right = thief && k->plain;
    break;
  case 4403: /* which is judged where it is written */
    right = thief;
    break;
  case 4400: /* likewise, when it is a newcomer's; else somebody waits with what is too long */
    right = (!client && !b) || (b && b->oversize) || (other && (other->oversize || other->ended));
    break;
  case 4001: /* another holder took the session */
  case 4409: /* its newest attempt was not the newest */
    right = !client || (b && b->taken);
    break;
  default:
    break;
  }
  if (b) b->fatal = is_fatal(b, client, ev->code) != 0;
  if (!right)
    dop_sim_wrong(k, "%s lost its socket with %u: %s", names[!!client], ev->code, ev->why);
  if (ev->code == 1006 && strcmp(ev->why, "the peer did not answer a ping") == 0) {
    const struct dop_limits *l = &ev->transport->limits;
    uint64_t quiet = l->ping_interval + l->ping_timeout;
    right = 0;
    for (struct dop_sim_conn *c = k->net->conns; c && !right; c = c->next) {
      const struct dop_link *end = client ? c->client : c->server;
      uint64_t from = client ? c->down.fed : c->up.fed;
      if (b && b->held_at > from) from = b->held_at;
      right = end && end->dead && k->engine->now - from >= quiet;
    }
    if (!right) dop_sim_wrong(k, "%s gave up a socket that is not dead", names[!!client]);
    dop_sim_cover(k->coverage, "%s ping unanswered", names[!!client]);
  }
}

/* Who ended formally, or lost its session to another holder, makes no further attempt. */
static void check_transport(struct dop_sim_checker *k, const struct dop_event *ev) {
  static const char *const over[] = {"peer", "local", "taken", "closed"};
  int is_over = 0;
  for (size_t i = 0; i < sizeof over / sizeof *over; i++) is_over |= strcmp(ev->why, over[i]) == 0;
  if (ev->transport->role == DOP_CLIENT && (int)ev->transport->closed < is_over)
    dop_sim_wrong(k, "the client goes on after its session ended: %s", ev->why);
}

static void check_evicted(struct dop_sim_checker *k, const struct dop_sim_book *b) {
  for (uint32_t i = 0; i < k->book_count; i++) {
    const struct dop_sim_book *c = &k->books[i];
    if (c->node->transport == b->node->transport && c->node->status == DOP_RECONNECTING &&
        c->lost_at < b->lost_at)
      dop_sim_wrong(k, "a detached session went before an older one");
  }
}

static void hear_status(struct dop_sim_checker *k, const struct dop_event *ev) {
  int side = side_of(ev->transport);
  char change[64];
  snprintf(change, sizeof change, "%s %s->%s", names[side], dop_status_name(ev->before),
           dop_status_name(ev->now));
  dop_sim_trace(k, "%s", change);
  dop_sim_cover(k->coverage, "%s", change);
  if (!dop_sim_in_table(change, k->plain) &&
      (strcmp(ev->why, "closed") != 0 || ev->now != DOP_DISCONNECTED))
    dop_sim_wrong(k, "%s, which the table does not have", change);
  struct dop_sim_book *b = ev->node->account || ev->now == DOP_CONNECTED
                               ? dop_sim_book_of(k, ev->node)
                               : known(k, ev->node);
  if (!b) return;
  b->turn = k->turn;
  b->status = ev->now;
  if (!k->plain && !b->killed && side == CLIENT) {
    int lost = strcmp(ev->why, "protocol") == 0 || strcmp(ev->why, "taken") == 0;
    if (ev->now == DOP_DISCONNECTED ? lost && !b->fatal : b->fatal)
      dop_sim_wrong(k, "the client %s with its socket",
                    b->fatal ? "did not end its session" : "ended its session");
  }
  if (ev->now == DOP_CONNECTED && !b->connected) {
    b->connected = 1;
    memset(&b->last, 0, sizeof b->last);
    if (side == CLIENT && ev->node->account) b->attempt = ev->node->account->attempt;
  }
  if (ev->now == DOP_CONNECTED) b->held_at = k->engine->now;
  if (ev->now == DOP_RECONNECTING) b->lost_at = k->engine->now;
  if (ev->now != DOP_DISCONNECTED || side != SERVER) return;
  const struct dop_account *a = ev->node->account;
  if (a && !b->killed && ev->before == DOP_CONNECTED && strcmp(ev->why, "closed") == 0 &&
      a->told != a->received - a->in_hand)
    dop_sim_wrong(k, "the server closed and did not say what had come");
  uint64_t gone = k->engine->now - b->lost_at;
  const struct dop_limits *l = &ev->transport->limits;
  if (strcmp(ev->why, "expired") == 0 &&
      gone != (b->connected ? l->resume_window : l->handshake_timeout))
    dop_sim_wrong(k, "a session was forgotten after %llu ms", (unsigned long long)gone);
  if (strcmp(ev->why, "evicted") == 0) check_evicted(k, b);
  if (!b->connected) {
    dop_sim_cover(k->coverage, "server half-confirmed %.30s", ev->why);
    b->ended = 1;
  }
  b->formally = strcmp(ev->why, "peer") == 0 || strcmp(ev->why, "local") == 0;
  if (!ev->node->account || b->killed) return;
  b->buried = ++k->burials;
  b->buried_at = k->engine->now;
}

void dop_sim_check_event(struct dop_sim_checker *k, struct dop_event *ev) {
  int side = side_of(ev->transport);
  struct dop_sim_book *b;
  switch (ev->type) {
  case DOP_EVENT_STATUS:
    hear_status(k, ev);
    break;
  case DOP_EVENT_CLOSE:
    dop_sim_trace(k, "%s close %u %s", names[side], ev->code, ev->why);
    dop_sim_cover(k->coverage, "%s close %u", names[side], ev->code);
    check_close(k, ev);
    break;
  case DOP_EVENT_CONNECT:
    b = dop_sim_book_of(k, ev->node);
    dop_sim_cover(k->coverage, "%s connect", names[side]);
    if (b && b->announced) dop_sim_wrong(k, "%s was told twice of a session", names[side]);
    if (b) b->announced = 1;
    break;
  case DOP_EVENT_RECONNECT:
    dop_sim_cover(k->coverage, "%s reconnect", names[side]);
    if (ev->written) dop_sim_cover(k->coverage, "%s replayed", names[side]);
    if (ev->node->account && ev->node->account->in_hand)
      dop_sim_wrong(k, "%s resumes with a message in its hand", names[side]);
    break;
  case DOP_EVENT_DISCONNECT:
    b = dop_sim_book_of(k, ev->node);
    dop_sim_trace(k, "%s disconnect %s", names[side], ev->why);
    if (!b || b->killed) break;
    dop_sim_cover(k->coverage, "%s disconnect %.40s", names[side], ev->why);
    check_end(k, b, ev);
    check_transport(k, ev);
    break;
  case DOP_EVENT_DRAIN:
    b = dop_sim_book_of(k, ev->node);
    dop_sim_cover(k->coverage, "%s drain", names[side]);
    if (b) b->full = ev->node->full; /* another send may have found none since */
    break;
  default:
    break;
  }
}

void dop_sim_check_killed(struct dop_sim_checker *k, int side) {
  for (uint32_t i = 0; i < k->book_count; i++) {
    struct dop_sim_book *b = &k->books[i];
    if (b->side != side) continue;
    if (!b->ended) b->killed = 1;
    b->ended = 1;
  }
  if (side == SERVER) {
    k->process++;
    k->burials = 0;
  }
}
