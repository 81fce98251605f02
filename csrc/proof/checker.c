/* Books, bodies, and what handlers are given; see checker.h. Owns the books. */
#include "proof/checker.h"

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

int dop_sim_side_of(const struct dop_transport *t) {
  return t->role == DOP_SERVER ? SERVER : CLIENT;
}

struct dop_sim_book *dop_sim_known(struct dop_sim_checker *k, const struct dop_node *n) {
  for (uint32_t i = k->book_count; i; i--)
    if (k->books[i - 1].node == n) return &k->books[i - 1];
  return NULL;
}

struct dop_sim_book *dop_sim_book_of(struct dop_sim_checker *k, struct dop_node *n) {
  struct dop_sim_book *b = dop_sim_known(k, n);
  if (b) return b;
  if (k->book_count == DOP_SIM_BOOKS_MOST) {
    dop_sim_wrong(k, "more than %d nodes", DOP_SIM_BOOKS_MOST);
    return NULL;
  }
  b = &k->books[k->book_count++];
  memset(b, 0, sizeof *b);
  b->node = n;
  b->side = dop_sim_side_of(n->transport);
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

int dop_sim_is_principal(const struct dop_token *p, const char *name) {
  if (!p || !name) return !p && !name;
  return p->len == strlen(name) && memcmp(p->text, name, p->len) == 0;
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
      n->socket->ops->backlog(n->socket) < l->high_mark)
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
  int side = dop_sim_side_of(n->transport);
  struct dop_sim_entry e = {k->sent[side] + 1, 0};
  size_t len;
  if (chance % 24 == 0 && n->token) e.quotes = quote(k, n->token);
  enum dop_kind kind = body(k, side, e, text, &len);
  enum dop_sent wanted = answer_to(n, kind, text, len);
  enum dop_sent sent =
      dop_node_send(n, &(struct dop_message){kind, (enum dop_compress)(chance % 3), text, len});
  if (sent != wanted)
    dop_sim_wrong(k, "%s: a send was answered with %s, not with %s", names[side], answers[sent],
                  answers[wanted]);
  if (sent == DOP_SEND_FULL)
    dop_sim_count(k->coverage, side == SERVER ? "server send full" : "client send full");
  else if (sent != DOP_SENT)
    dop_sim_cover(k->coverage, "%s send %s", names[side], answers[sent]);
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
  if (len > k->ends[!side]->limits.max_message && (k->plain || len > DOP_R1_ANY_MESSAGE))
    b->oversize = 1;
  dop_sim_trace(k, "%s sends %llu (%zu bytes)", names[side], (unsigned long long)e.number, len);
  return 1;
}

/* --- what a handler is given --- */

int dop_sim_is_body(struct dop_sim_checker *k, int side, struct dop_sim_entry e,
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
  while (k->plain && i < from->count && !dop_sim_is_body(k, !b->side, from->accepted[i], m)) i++;
  if (i >= from->count || (!k->plain && !dop_sim_is_body(k, !b->side, from->accepted[i], m))) {
    dop_sim_wrong(k, "%s was given another message than %u of %u", who, from->delivered + 1,
                  from->count);
    return;
  }
  from->delivered = i + 1;
  if (from->delivered > from->most && !b->taken)
    dop_sim_wrong(k, "%s was given message %u, which had been handed back", who, from->delivered);
  dop_sim_trace(k, "%s is given %llu", who, (unsigned long long)from->accepted[i].number);
  dop_sim_count(k->coverage, b->side == SERVER ? "server message" : "client message");
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
                names[dop_sim_side_of(n->transport)], (unsigned)(o->received - o->told),
                o->due ? "did not acknowledge" : "acknowledged too early");
}
