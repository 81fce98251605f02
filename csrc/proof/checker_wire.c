/* What the ends write, instruction by instruction; see checker.h. Reads frames as they leave, and
 * says which answer a resumption must have. Owns nothing but what it saw of each connection. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "proof/checker.h"

enum { SERVER = DOP_SIM_SERVER, CLIENT = DOP_SIM_CLIENT };
#define LOOKED_AT 400 /* bytes of a payload that may be an instruction, or a token */

#define STUCK_MOST 10

static struct dop_sim_seen *wire_of(struct dop_sim_checker *k, unsigned number) {
  if (number >= k->wire_count) {
    uint32_t n = number + 64;
    k->wires = realloc(k->wires, n * sizeof *k->wires);
    if (!k->wires) abort();
    memset(k->wires + k->wire_count, 0, (n - k->wire_count) * sizeof *k->wires);
    k->wire_count = n;
  }
  return &k->wires[number];
}

/* --- what a resumption must be answered with --- */

/* Whether the server still knows what a session that is over had delivered. */
static int remembered(const struct dop_sim_checker *k, const struct dop_sim_book *s,
                      const struct dop_sim_conn *c) {
  if (!s || !s->buried) return 0;
  const struct dop_limits *l = &k->ends[SERVER]->limits;
  uint32_t most = s->connected ? l->max_tombstones : l->max_unconfirmed;
  return s->process == k->process && k->burials[s->connected] - s->buried < most &&
         k->engine->now < s->buried_at + 24u * 3600 * 1000 &&
         dop_sim_is_principal(s->node->principal, c->who);
}

/* The count of resumptions after which nothing had moved, were this one taken. */
static unsigned stuck_after(const struct dop_sim_book *s, uint64_t h) {
  unsigned before = s->before.acked != s->resumed.acked || s->before.received != s->resumed.received
                        ? 0
                        : s->stuck;
  return h != s->before.acked || s->before.written == h ? 0 : before + 1;
}

static int impossible(const struct dop_sim_book *s, uint64_t h) {
  return h < s->before.acked || h > s->before.written || stuck_after(s, h) >= STUCK_MOST;
}

static int is_live(const struct dop_sim_book *s) {
  return s && !s->ended && s->node->status != DOP_DISCONNECTED;
}

static void refused(struct dop_sim_checker *k, struct dop_sim_conn *c, struct dop_sim_seen *w,
                    unsigned code) {
  struct dop_sim_book *s = dop_sim_find(k, SERVER, w->token, strlen(w->token));
  unsigned right = !is_live(s)                                         ? 0
                   : w->n <= s->attempt                                ? 4409
                   : !dop_sim_is_principal(s->node->principal, c->who) ? 4403
                                                                       : 0;
  if (s && s->turn == k->turn && s->ended && impossible(s, w->h)) right = 4400;
  if (code != right) dop_sim_wrong(k, "a resumption was refused with %u, not with %u", code, right);
  if (is_live(s) && s->turn == k->turn)
    dop_sim_wrong(k, "a resumption that was refused with %u touched the session", code);
  dop_sim_cover(k->coverage, "resumption %u%s", code, c->guest ? " of a guest" : "");
  w->answer = 'c';
}

static void resumed(struct dop_sim_checker *k, struct dop_sim_conn *c, struct dop_sim_seen *w,
                    uint64_t n, uint64_t h) {
  struct dop_sim_book *s = dop_sim_find(k, SERVER, w->token, strlen(w->token));
  struct dop_sim_book *client = s ? dop_sim_partner(k, s) : NULL;
  w->answer = 'r';
  w->told_h = h;
  if (!s || s->ended) { /* perhaps its socket went again in the same turn, and it with that */
    if (!s || s->turn != k->turn) dop_sim_wrong(k, "a session was resumed that is none");
    return;
  }
  unsigned stuck = stuck_after(s, w->h);
  if (n != w->n || n <= s->attempt)
    dop_sim_wrong(k, "attempt %llu was taken after %llu", (unsigned long long)w->n,
                  (unsigned long long)s->attempt);
  if (!dop_sim_is_principal(s->node->principal, c->who))
    dop_sim_wrong(k, "a session was resumed by another principal");
  if (s->node->account->closing) dop_sim_wrong(k, "a session was resumed that was ending");
  if (w->h < s->before.acked || w->h > s->before.written)
    dop_sim_wrong(k, "a session was resumed with a count that cannot be");
  if (stuck >= STUCK_MOST) dop_sim_wrong(k, "%u resumptions in a row moved nothing", stuck);
  if (h != (client ? client->delivered : 0))
    dop_sim_wrong(k, "the server says that %llu were delivered, but %u were", (unsigned long long)h,
                  client ? client->delivered : 0);
  if (stuck == 5) dop_sim_cover(k->coverage, "resumed, and five times stuck");
  dop_sim_cover(k->coverage, "resumption taken%s", c->guest ? " by a guest" : "");
  s->attempt = n;
  s->stuck = stuck;
  s->resumed.acked = w->h;
  s->resumed.received = h;
}

static void gone(struct dop_sim_checker *k, struct dop_sim_conn *c, struct dop_sim_seen *w,
                 const struct dop_r1 *r) {
  struct dop_sim_book *s = dop_sim_find(k, SERVER, w->token, strlen(w->token));
  struct dop_sim_book *client = dop_sim_find(k, CLIENT, w->token, strlen(w->token));
  int known = remembered(k, s, c);
  uint64_t h = known && client ? client->delivered : 0;
  w->answer = 'x';
  if (is_live(s)) dop_sim_wrong(k, "a session that lives was said to be gone");
  if (s && s->turn == k->turn && s->formally && !s->settled)
    dop_sim_wrong(k, "the server ended a session that came back, and forgot what it said");
  if (r->has_h != (unsigned)known)
    dop_sim_wrong(k, "the server %s what a session had delivered", known ? "forgot" : "knows");
  if (r->h != h)
    dop_sim_wrong(k, "the server says that %llu had been delivered, but %llu were",
                  (unsigned long long)r->h, (unsigned long long)h);
  if (r->by_application != (unsigned)(known && s->formally))
    dop_sim_wrong(k, "a session %s ended formally, but the server says the contrary",
                  known && s->formally ? "was" : "was not");
  dop_sim_cover(k->coverage, "gone%s%s%s", r->has_h ? " h" : "", r->by_application ? " d" : "",
                c->guest ? " for a guest" : "");
  if (!client || c->guest) return;
  client->gone_known = known != 0;
  client->gone_formally = r->by_application;
}

/* --- what an end may write, and when --- */

/* A half that was heard once is no secret: each connection has halves of its own. */
static void half(struct dop_sim_checker *k, struct dop_sim_conn *c, int side, const char *text,
                 size_t len) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < len; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
  for (uint32_t i = k->half_count; i; i--) {
    if (k->halves[i - 1].hash != hash) continue;
    if (k->halves[i - 1].number != c->number)
      dop_sim_wrong(k, "%s says a half that it said before", dop_sim_sides[side]);
    return;
  }
  if (k->half_count % 64 == 0) {
    k->halves = realloc(k->halves, (k->half_count + 64) * sizeof *k->halves);
    if (!k->halves) abort();
  }
  k->halves[k->half_count].hash = hash;
  k->halves[k->half_count++].number = c->number;
}

static void ask(struct dop_sim_checker *k, struct dop_sim_conn *c, struct dop_sim_seen *w,
                const char *text, size_t len) {
  uint64_t n, h;
  size_t token = dop_r1_parse_resume(text, len, &n, &h);
  if (!token || token >= sizeof w->token) return;
  memcpy(w->token, text, token);
  w->n = n;
  w->h = h;
  if (c->guest) return;
  struct dop_sim_book *b = dop_sim_find(k, CLIENT, text, token);
  struct dop_sim_book *s = dop_sim_find(k, SERVER, text, token);
  if (!b) return;
  if (n == 1 && !b->connected) b->attempt = 0; /* its node may have begun again */
  if (n != b->attempt + 1)
    dop_sim_wrong(k, "the client's attempt after %llu is %llu", (unsigned long long)b->attempt,
                  (unsigned long long)n);
  if (h != (s ? s->delivered : 0))
    dop_sim_wrong(k, "the client says that %llu were delivered, but %u were", (unsigned long long)h,
                  s ? s->delivered : 0);
  b->attempt = n;
}

/* Before the limits: halves, a question and its answer. */
static void early(struct dop_sim_checker *k, struct dop_sim_conn *c, struct dop_sim_seen *w,
                  int side, const struct dop_r1 *r, const char *text, size_t len) {
  const char *who = dop_sim_sides[side];
  struct dop_link *l = side == CLIENT ? c->client : c->server;
  switch (r->type) {
  case DOP_R1_LIMITS:
    w->dir[side].limits = 1;
    w->dir[side].book = l->socket.node ? dop_sim_book_of(k, l->socket.node) : NULL;
    if (w->answer == 'r') {
      w->dir[side].next = side == CLIENT ? w->told_h : w->h;
      w->dir[side].said = side == CLIENT ? w->h : w->told_h;
    }
    if (w->token[0] && !w->answer) dop_sim_wrong(k, "%s goes on before the answer", who);
    break;
  case DOP_R1_RESUMED:
  case DOP_R1_GONE:
    if (side == CLIENT || !w->token[0] || w->answer)
      dop_sim_wrong(k, "%s answers what nobody asked", who);
    else if (r->type == DOP_R1_GONE)
      gone(k, c, w, r);
    else
      resumed(k, c, w, r->n, r->h);
    break;
  case DOP_R1_DATA: /* a half, or the question */
    if (side == CLIENT && w->dir[side].texts == 1) ask(k, c, w, text, len);
    if (w->answer != 'r' && dop_token_half_ok(text, len, DOP_HALF_MIN)) {
      half(k, c, side, text, len);
      break;
    }
    if (side == CLIENT && w->token[0] && w->dir[side].texts == 1) break;
    /* fall through */
  default:
    dop_sim_wrong(k, "%s wrote something else before its limits", who);
  }
}

static void data(struct dop_sim_checker *k, struct dop_sim_seen *w, int side, enum dop_kind kind,
                 const char *text, size_t len) {
  struct dop_sim_book *b = w->dir[side].book;
  if (!b) return;
  const struct dop_token *t = b->node->token;
  if (kind == DOP_TEXT && t && t->len == len && memcmp(t->text, text, len) == 0)
    dop_sim_wrong(k, "%s wrote its token as data", dop_sim_sides[side]);
  if (++w->dir[side].next > b->count)
    dop_sim_wrong(k, "%s wrote more messages than it accepted", dop_sim_sides[side]);
  if (b->wire < w->dir[side].next) b->wire = (uint32_t)w->dir[side].next;
}

static void counts(struct dop_sim_checker *k, struct dop_sim_seen *w, int side, int end,
                   uint64_t h) {
  struct dop_sim_book *b = w->dir[side].book;
  struct dop_sim_book *from = b ? dop_sim_partner(k, b) : NULL;
  const char *who = dop_sim_sides[side];
  if (!from) return;
  if (h > (end ? from->delivered : from->returned) || h < w->dir[side].said + !end)
    dop_sim_wrong(k, "%s says that %llu were delivered after %llu, but %u were", who,
                  (unsigned long long)h, (unsigned long long)w->dir[side].said, from->delivered);
  w->dir[side].said = h;
  const struct dop_account *a = b->node->account; /* what is too long may wait for the limits */
  if (end && a->closing && a->heard_limits && w->dir[side].next != b->count)
    dop_sim_wrong(k, "%s ends before it wrote what it had accepted", who);
  if (!end)
    dop_sim_count(k->coverage, side == SERVER ? "server acknowledges" : "client acknowledges");
}

static void message(struct dop_sim_checker *k, struct dop_sim_conn *c, struct dop_sim_seen *w,
                    int side, enum dop_kind kind, const char *text, size_t len) {
  struct dop_r1 r = {.type = DOP_R1_DATA};
  if (kind == DOP_TEXT) dop_r1_parse(&r, text, len > LOOKED_AT ? LOOKED_AT : len);
  w->dir[side].texts++;
  if (c->guest && (side == CLIENT || w->answer)) {
    if (w->dir[side].texts == 1) ask(k, c, w, text, len);
    return;
  }
  if (w->dir[side].end) {
    dop_sim_wrong(k, "%s wrote after its end", dop_sim_sides[side]);
    return;
  }
  if (!w->dir[side].limits) {
    early(k, c, w, side, &r, text, len);
    return;
  }
  switch (r.type) {
  case DOP_R1_DATA:
  case DOP_R1_LITERAL:
    data(k, w, side, r.type == DOP_R1_DATA ? kind : DOP_BINARY, text, len);
    break;
  case DOP_R1_ACK:
    counts(k, w, side, 0, r.h);
    break;
  case DOP_R1_END:
    counts(k, w, side, 1, r.h);
    w->dir[side].end = 1;
    break;
  default:
    dop_sim_wrong(k, "%s wrote an instruction that has no place there", dop_sim_sides[side]);
  }
}

/* --- frames --- */

/* Reads a frame's head; returns where its payload begins. */
static const unsigned char *frame(const unsigned char *p, uint64_t *len,
                                  const unsigned char **mask) {
  int masked = p[1] >> 7, bytes = 0;
  *len = p[1] & 127;
  if (*len >= 126) bytes = *len == 126 ? 2 : 8;
  if (bytes) *len = 0;
  p += 2;
  for (; bytes; bytes--) *len = *len << 8 | *p++;
  *mask = masked ? p : NULL;
  return masked ? p + 4 : p;
}

void dop_sim_check_wire(struct dop_sim_checker *k, struct dop_sim_conn *c, int up,
                        const char *bytes, size_t len) {
  struct dop_sim_seen *w = wire_of(k, c->number);
  const unsigned char *p = (const unsigned char *)bytes, *to = p + len, *mask;
  int side = up ? CLIENT : SERVER;
  char text[LOOKED_AT];
  if (!w->dir[side].head) {
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end || (!up && memcmp(bytes, "HTTP/1.1 101", 12) != 0)) return;
    w->dir[side].head = 1;
    p = (const unsigned char *)end + 4;
  }
  while (p < to) {
    uint64_t n;
    unsigned op = *p & 15;
    int packed = (*p & DOP_WS_RSV1) != 0;
    p = frame(p, &n, &mask);
    size_t seen = n < LOOKED_AT ? (size_t)n : LOOKED_AT;
    memcpy(text, p, seen);
    for (size_t i = 0; mask && i < seen; i++) text[i] = (char)(p[i] ^ mask[i & 3]);
    if (op == 1 || op == 2) {
      /* What is compressed is not read here. Were it not data, it would be one message too many. */
      if (packed && !c->guest && !w->dir[side].limits)
        dop_sim_wrong(k, "%s compressed what came before its limits", dop_sim_sides[side]);
      if (packed) dop_sim_cover(k->coverage, "%s compresses", dop_sim_sides[side]);
      message(k, c, w, side, op == 1 && !packed ? DOP_TEXT : DOP_BINARY, text, (size_t)n);
    } else if (op == 8 && n >= 2) {
      unsigned code = (unsigned)(unsigned char)text[0] << 8 | (unsigned char)text[1];
      if (!up && w->token[0] && !w->answer && (code == 1008 || code >= 4000))
        refused(k, c, w, code);
      w->dir[side].closed = 1;
      if (code == 1000 && w->dir[side].limits && w->dir[!side].end && !w->dir[side].end &&
          !w->dir[!side].closed)
        dop_sim_wrong(k, "%s did not answer an end", dop_sim_sides[side]);
    }
    p += n;
  }
}
