/* One schedule and its checker; see schedule.h. Owns both ends, the clock and the network. */
#include "sim/schedule.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "session/lossless.h"
#include "sim/coverage.h"
#include "sim/network.h"

enum { SERVER, CLIENT };
static const char *const names[] = {"server", "client"};

#define MESSAGES   50 /* that each end sends at least */
#define FAULTS     3  /* that the network commits at least */
#define NODES_MOST 256
#define STEPS_MOST 100000

/* --- the world --- */

/* One node as the checker sees it: what it accepted, and what became of that. Messages have numbers
 * that count through the whole schedule, for each end. */
struct book {
  struct dop_node *node; /* with a reference */
  int side;
  uint32_t peer;      /* whose messages it is given: a book's number + 1, 0: not known yet */
  uint64_t *accepted; /* the numbers, in order */
  uint32_t count, cap;
  uint32_t delivered; /* so many of them were given to the peer's handlers */
  uint32_t most;      /* no more than so many may ever be */
  unsigned ended : 1; /* its hand-back was checked */
};

struct world {
  const struct dop_sim_options *o;
  struct dop_sim_coverage *coverage;
  struct dop_engine engine;
  struct dop_sim_net net;
  struct dop_transport *ends[2];
  struct book books[NODES_MOST];
  uint32_t book_count;
  uint64_t random;
  uint64_t sent[2]; /* the number of the last message that each end accepted */
  uint64_t dial_at; /* ms; 0: no attempt is due */
  unsigned faults, kills;
  unsigned over : 1; /* the client makes no further attempt */
  unsigned calm : 1;
  unsigned large : 1; /* all messages are long: sockets are slow to take them */
  char wrong[256];
};

static uint64_t draw(struct world *w) {
  uint64_t z = w->random += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static uint64_t below(struct world *w, uint64_t n) {
  return draw(w) % n;
}

static int fill_random(void *ctx, void *out, size_t n) {
  struct world *w = ctx;
  unsigned char *p = out;
  while (n--) *p++ = (unsigned char)draw(w);
  return 0;
}

__attribute__((format(printf, 2, 3))) static void wrong(struct world *w, const char *format, ...) {
  va_list args;
  if (w->wrong[0]) return; /* the first one says most */
  va_start(args, format);
  vsnprintf(w->wrong, sizeof w->wrong, format, args);
  va_end(args);
}

__attribute__((format(printf, 2, 3))) static void trace(struct world *w, const char *format, ...) {
  va_list args;
  if (!w->o->trace) return;
  va_start(args, format);
  fprintf(w->o->trace, "%8llu ", (unsigned long long)w->engine.now);
  vfprintf(w->o->trace, format, args);
  fputc('\n', w->o->trace);
  va_end(args);
}

/* --- messages --- */

#define BODY_MOST 4096

/* Message `number` of an end: its content follows from the two alone. Every 16th looks like an
 * instruction, every 8th is binary, every 64th is long. */
static enum dop_kind body_of(const struct world *w, int side, uint64_t number, char *out,
                             size_t *len) {
  uint64_t mix = number * 0x9E3779B97F4A7C15u >> 32;
  int n = snprintf(out, BODY_MOST, "%s%c %llu ",
                   number % 16 == 5 ? "\x10"
                                      "a"
                                    : "",
                   names[side][0], (unsigned long long)number);
  size_t size = (size_t)n + (w->large || number % 64 == 9 ? mix % 3900 : mix % 40);
  for (size_t i = (size_t)n; i < size; i++) out[i] = (char)('a' + (mix + i) % 26);
  *len = size;
  return number % 8 == 3 ? DOP_BINARY : DOP_TEXT;
}

static struct book *book_of(struct world *w, struct dop_node *n) {
  for (uint32_t i = 0; i < w->book_count; i++)
    if (w->books[i].node == n) return &w->books[i];
  if (w->book_count == NODES_MOST) {
    wrong(w, "more than %d nodes", NODES_MOST);
    return NULL;
  }
  struct book *b = &w->books[w->book_count++];
  memset(b, 0, sizeof *b);
  b->node = n;
  b->side = n->transport->role == DOP_SERVER ? SERVER : CLIENT;
  b->most = UINT32_MAX;
  dop_node_ref(n);
  return b;
}

static void note(struct book *b, uint64_t number) {
  if (b->count == b->cap) {
    b->cap = b->cap ? b->cap * 2 : 64;
    b->accepted = realloc(b->accepted, b->cap * sizeof *b->accepted);
    if (!b->accepted) abort();
  }
  b->accepted[b->count++] = number;
}

/* The node that a side sends on: the client's, or one of the server's that were CONNECTED. */
static struct dop_node *sender(struct world *w, int side) {
  struct dop_transport *t = w->ends[side];
  if (side == CLIENT) return t->current;
  struct dop_node *n = t->attached.first;
  for (; n; n = n->next)
    if (n->connected) return n;
  return t->detached.last && t->detached.last->connected ? t->detached.last : NULL;
}

static void send_one(struct world *w, int side) {
  struct dop_node *n = sender(w, side);
  char text[BODY_MOST];
  size_t len;
  if (!n) return;
  enum dop_kind kind = body_of(w, side, w->sent[side] + 1, text, &len);
  enum dop_sent sent = dop_node_send(n, kind, text, len);
  if (sent == DOP_SEND_FULL) dop_sim_cover(w->coverage, "%s full", names[side]);
  if (sent != DOP_SENT) return;
  struct book *b = book_of(w, n);
  if (b) note(b, ++w->sent[side]);
  if (kind == DOP_TEXT && text[0] == DOP_R1_MARK) dop_sim_cover(w->coverage, "escaped");
  trace(w, "%s sends %llu", names[side], (unsigned long long)w->sent[side]);
}

/* --- the checker --- */

/* A handler is given a message: it must be the next one that some node of the other end accepted,
 * always the same node, byte for byte. In plain DOP some may be missing before it. */
static void check_message(struct world *w, struct dop_node *n, const struct dop_message *m) {
  struct book *b = book_of(w, n), *from = NULL;
  char text[BODY_MOST], scanned;
  unsigned long long number;
  size_t len;
  if (!b) return;
  int other = !b->side;
  /* The messages are no strings; the head of each is. */
  char head[64] = {0};
  memcpy(head, m->data, m->len < sizeof head - 1 ? m->len : sizeof head - 1);
  const char *at = head[0] == DOP_R1_MARK ? head + 2 : head;
  if (sscanf(at, "%c %llu ", &scanned, &number) != 2 || scanned != names[other][0]) {
    wrong(w, "%s was given what nobody sent", names[b->side]);
    return;
  }
  enum dop_kind kind = body_of(w, other, number, text, &len);
  if (kind != m->kind || len != m->len || memcmp(text, m->data, len) != 0) {
    wrong(w, "%s was given message %llu changed", names[b->side], number);
    return;
  }
  uint32_t index = 0;
  for (uint32_t i = 0; i < w->book_count && !from; i++) {
    struct book *c = &w->books[i];
    if (c->side != other || !c->count || number < c->accepted[0] ||
        number > c->accepted[c->count - 1])
      continue;
    for (index = 0; index < c->count && c->accepted[index] != number; index++) {
    }
    if (index < c->count) from = c;
  }
  if (!from) {
    wrong(w, "%s was given message %llu, which was never accepted", names[b->side], number);
    return;
  }
  uint32_t who = (uint32_t)(from - w->books) + 1;
  if (b->peer && b->peer != who) wrong(w, "%s was given another session's message", names[b->side]);
  b->peer = who;
  if (w->o->plain ? index < from->delivered : index != from->delivered)
    wrong(w, "%s was given message %llu (%u of its session) after %u", names[b->side], number,
          index + 1, from->delivered);
  from->delivered = index + 1;
  if (from->delivered > from->most)
    wrong(w, "%s was given message %llu, which had been handed back", names[b->side], number);
  trace(w, "%s is given %llu", names[b->side], number);
  dop_sim_cover(w->coverage, "%s message", names[b->side]);
}

/* A session ended at this end: what is handed back is the end of what it accepted, each with a fate
 * that is true. */
static void check_end(struct world *w, struct book *b, struct dop_event *ev) {
  struct dop_message m;
  uint32_t left = ev->unsettled.count, first = b->count - left, i = 0;
  char text[BODY_MOST];
  size_t len;
  if (left > b->count) {
    wrong(w, "%s got more back than it gave", names[b->side]);
    return;
  }
  for (; dop_queue_front(&ev->unsettled, &m); i++, dop_queue_pop(&ev->unsettled)) {
    enum dop_kind kind = body_of(w, b->side, b->accepted[first + i], text, &len);
    if (kind != m.kind || len != m.len || memcmp(text, m.data, len) != 0)
      wrong(w, "%s got another message back than %llu", names[b->side],
            (unsigned long long)b->accepted[first + i]);
    dop_sim_cover(w->coverage, "%s fate %s", names[b->side],
                  i >= ev->written ? "unsent"
                  : ev->settled    ? "undelivered"
                                   : "unknown");
  }
  /* While the server lives, it knows how far each session came, or a tombstone of it does. */
  if (!w->o->plain && b->side == CLIENT && ev->written && !ev->settled && !w->kills &&
      strcmp(ev->why, "unknown") == 0)
    wrong(w, "the server forgot a session without a tombstone");
  b->ended = 1;
  b->most = first + (ev->settled ? 0 : ev->written);
  if (w->o->plain) b->most = first; /* nothing that comes back was ever written */
  if (b->delivered > b->most)
    wrong(w, "%s got message %u back as not delivered, but %u were", names[b->side], b->most + 1,
          b->delivered);
  if (!w->o->plain && b->delivered < first)
    wrong(w, "%s was told that %u messages were delivered, but %u were", names[b->side], first,
          b->delivered);
}

/* Both ends are ours: neither may find fault with the other. */
static void check_close(struct world *w, int side, const struct dop_event *ev) {
  switch (ev->code) {
  case 1002:
  case 1003:
  case 1007:
  case 1008:
  case 1009:
  case 4400:
  case 4403:
    wrong(w, "%s lost its socket with %u: %s", names[side], ev->code, ev->why);
    break;
  case 4001: /* another holder took the session: there is none */
  case 4409: /* its newest attempt was not the newest */
    if (side == CLIENT) wrong(w, "the client lost its socket with %u", ev->code);
    break;
  default:
    break;
  }
}

static void hear_event(struct world *w, struct dop_event *ev) {
  struct dop_node *n = ev->node;
  int side = ev->transport->role == DOP_SERVER ? SERVER : CLIENT;
  char change[64];
  switch (ev->type) {
  case DOP_EVENT_STATUS:
    trace(w, "%s %s -> %s", names[side], dop_status_name(ev->before), dop_status_name(ev->now));
    snprintf(change, sizeof change, "%s %s->%s", names[side], dop_status_name(ev->before),
             dop_status_name(ev->now));
    dop_sim_cover(w->coverage, "%s", change);
    if (!dop_sim_in_table(change)) wrong(w, "%s, which the table does not have", change);
    break;
  case DOP_EVENT_CLOSE:
    trace(w, "%s close %u %s", names[side], ev->code, ev->why);
    dop_sim_cover(w->coverage, "%s close %u", names[side], ev->code);
    check_close(w, side, ev);
    break;
  case DOP_EVENT_CONNECT:
    book_of(w, n);
    dop_sim_cover(w->coverage, "%s connect", names[side]);
    break;
  case DOP_EVENT_RECONNECT:
    dop_sim_cover(w->coverage, "%s reconnect", names[side]);
    if (ev->written) dop_sim_cover(w->coverage, "%s replayed", names[side]);
    break;
  case DOP_EVENT_DISCONNECT: {
    struct book *b = book_of(w, n);
    trace(w, "%s disconnect %s", names[side], ev->why);
    dop_sim_cover(w->coverage, "%s disconnect %.40s", names[side], ev->why);
    if (b) check_end(w, b, ev);
    break;
  }
  case DOP_EVENT_DRAIN:
    dop_sim_cover(w->coverage, "%s drain", names[side]);
    break;
  case DOP_EVENT_DOWN:
    trace(w, "client is down: %s", ev->why);
    if (!w->over)
      w->dial_at = w->engine.now + 1 + (w->calm ? 10 : below(w, 2) ? below(w, 30) : below(w, 3000));
    break;
  case DOP_EVENT_OVER:
    w->over = 1;
    w->dial_at = 0;
    break;
  default:
    break;
  }
}

/* What a host does: events first, then the socket's messages, then events again. */
static void deliver(void *ctx, struct dop_socket *s) {
  struct world *w = ctx;
  struct dop_event *ev;
  struct dop_message m;
  do {
    while ((ev = dop_engine_take(&w->engine))) {
      hear_event(w, ev);
      dop_event_free(ev);
    }
    while (s && s->ops->next(s, &m)) {
      check_message(w, s->node, &m);
      /* A handler may answer, lose the socket, or end the session. */
      uint64_t what = below(w, 400);
      if (what < 60) send_one(w, s->transport->role == DOP_SERVER ? SERVER : CLIENT);
      if (what == 399 && !w->calm && s->node) dop_node_drop(s->node, 1);
      while ((ev = dop_engine_take(&w->engine))) {
        hear_event(w, ev);
        dop_event_free(ev);
      }
    }
  } while (w->engine.first);
}

static void turn(struct world *w) {
  struct dop_socket *s;
  deliver(w, NULL);
  while ((s = dop_socket_take_ready(&w->engine))) {
    deliver(w, s);
    struct dop_link *l = dop_link_of(s);
    if (l) dop_link_settle(l);
    dop_socket_unref(s);
  }
  dop_sim_flush(&w->net);
}

/* --- what may happen --- */

static void wait(struct world *w, uint64_t ms) {
  uint64_t until = w->engine.now + ms;
  /* From deadline to deadline, so that each is seen in its time. */
  do {
    uint64_t next = dop_engine_next(&w->engine);
    if (w->dial_at && w->dial_at < next) next = w->dial_at;
    if (next > until) next = until;
    if (next < w->engine.now) next = w->engine.now;
    dop_engine_advance(&w->engine, next);
    turn(w);
    if (w->dial_at && w->engine.now >= w->dial_at && !w->over) {
      w->dial_at = 0;
      trace(w, "client dials");
      if (dop_transport_awaits_socket(w->ends[CLIENT]))
        dop_sim_dial(&w->net, w->ends[CLIENT], w->ends[SERVER]);
      turn(w);
    }
  } while (w->engine.now < until);
}

static struct dop_sim_conn *some_conn(struct world *w) {
  struct dop_sim_conn *c = w->net.conns;
  if (!c) return NULL;
  /* The newest as often as the one before it, whose bytes may still be under way. */
  uint64_t which = below(w, 8), skip = which < 4 ? 0 : which < 7 ? 1 : below(w, w->net.count);
  for (; skip && c->next; skip--) c = c->next;
  return c;
}

static struct dop_transport *new_end(struct world *w, enum dop_role role) {
  struct dop_limits l = dop_limits_default;
  l.queue_messages = 8 + (uint32_t)below(w, 60);
  l.queue_bytes = 4000 + (uint32_t)below(w, 200000);
  struct dop_transport *t = dop_transport_new(&w->engine, role, &l);
  if (!t) abort();
  t->lossless = !w->o->plain;
  return t;
}

/* The process of the server dies: all it knew is gone, and another one takes its place. What it had
 * accepted is nobody's to hand back. */
static void kill_server(struct world *w) {
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) dop_sim_cut(&w->net, c, 3);
  for (uint32_t i = 0; i < w->book_count; i++)
    if (w->books[i].side == SERVER) w->books[i].ended = 1;
  struct dop_transport *old = w->ends[SERVER];
  dop_transport_close(old, 1001);
  turn(w);
  dop_transport_unref(old);
  w->ends[SERVER] = new_end(w, DOP_SERVER);
  w->kills++;
}

static void pause_one(struct world *w, int side) {
  struct dop_node *n = sender(w, side);
  if (n && n->socket) n->socket->ops->pause(n->socket, below(w, 2) != 0);
}

static void resume_all(struct world *w) {
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) {
    if (c->client) c->client->socket.ops->pause(&c->client->socket, 0);
    if (c->server) c->server->socket.ops->pause(&c->server->socket, 0);
  }
}

static void fault(struct world *w) {
  struct dop_sim_conn *c = some_conn(w);
  uint64_t kind = below(w, 100);
  if (!c) return;
  w->faults++;
  if (kind < 30) {
    trace(w, "fault: cut");
    dop_sim_cover(w->coverage, "fault cut");
    dop_sim_cut(&w->net, c, 3);
  } else if (kind < 50) {
    unsigned who = below(w, 3) ? 1 : 2;
    trace(w, "fault: %s notices", names[who & 1]);
    dop_sim_cover(w->coverage, "fault one side");
    dop_sim_cut(&w->net, c, who);
  } else if (kind < 65) {
    int up = (int)below(w, 2), down = !up || below(w, 2);
    trace(w, "fault: blackhole%s%s", up ? " up" : "", down ? " down" : "");
    dop_sim_cover(w->coverage, "fault blackhole");
    dop_sim_swallow(c, up, down);
  } else if (kind < 75) {
    trace(w, "fault: delay");
    dop_sim_cover(w->coverage, "fault delay");
    c->up.until = w->engine.now + below(w, 4000);
    c->down.until = w->engine.now + below(w, 4000);
    if (below(w, 2)) { /* and the client, who has just written, gives up on it */
      for (uint64_t n = below(w, 8); n; n--) send_one(w, CLIENT);
      dop_sim_flush(&w->net);
      dop_sim_cut(&w->net, c, 1);
    }
  } else if (kind < 78) {
    trace(w, "fault: half-close");
    dop_sim_cover(w->coverage, "fault half-close");
    if (below(w, 2))
      c->up.ended = 1;
    else
      c->down.ended = 1;
  } else if (kind < 84) {
    int side = (int)below(w, 2);
    struct dop_node *n = sender(w, side);
    trace(w, "fault: %s drops", names[side]);
    dop_sim_cover(w->coverage, "fault drop");
    if (n) dop_node_drop(n, (int)below(w, 2));
  } else if (kind < 94) {
    dop_sim_cover(w->coverage, "fault pause");
    pause_one(w, (int)below(w, 2));
  } else if (kind < 96 && w->kills < 2) {
    trace(w, "fault: the server dies");
    dop_sim_cover(w->coverage, "fault kill");
    kill_server(w);
  } else if (kind < 98) {
    int side = (int)below(w, 2);
    struct dop_node *n = sender(w, side);
    trace(w, "%s disconnects", names[side]);
    if (n) dop_node_disconnect(n, 1000, "local");
  } else {
    wait(w, 50000 + below(w, 30000)); /* about the resume window */
  }
  turn(w);
}

static void step(struct world *w) {
  uint64_t what = below(w, 100);
  struct dop_sim_conn *c = some_conn(w);
  if (what < 50 && c) {
    size_t n = below(w, 3) ? (size_t)below(w, 400) + 1 : below(w, 2) ? 1 : 65536;
    dop_sim_carry(&w->net, c, (int)below(w, 2), n);
  } else if (what < 80) {
    send_one(w, (int)below(w, 2));
  } else if (what < 97) {
    wait(w, below(w, 16) ? below(w, 40) : below(w, 8) ? below(w, 1500) : below(w, 40000));
  } else if (!w->calm) {
    fault(w);
  }
  /* Handshakes are short: what may go wrong in them would be rare otherwise. */
  const struct dop_node *n = w->ends[CLIENT]->current;
  if (!w->calm && n && n->socket && n->status != DOP_CONNECTED && below(w, 30) == 0) fault(w);
  turn(w);
}

static int all_delivered(const struct world *w) {
  for (uint32_t i = 0; i < w->book_count; i++) {
    const struct book *b = &w->books[i];
    if (!b->ended && b->delivered != b->count) return 0;
  }
  return 1;
}

/* No more faults: everything is carried, and time passes, until nothing is left to do. */
static void calm_down(struct world *w) {
  w->calm = 1;
  resume_all(w);
  for (int i = 0; i < 400; i++) {
    int carried = 1;
    for (int rounds = 0; carried && rounds < 1000; rounds++) {
      carried = 0;
      for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) {
        carried |= dop_sim_carry(&w->net, c, 1, 65536);
        carried |= dop_sim_carry(&w->net, c, 0, 65536);
      }
      turn(w);
    }
    if (w->wrong[0]) return;
    struct dop_node *n = w->ends[CLIENT]->current;
    if (i > 10 && (w->over || (n && n->status == DOP_CONNECTED && all_delivered(w)))) break;
    wait(w, 500);
  }
  /* What the server's half of a lost session still holds comes back when its window has passed.
   * Everything is carried meanwhile: a cut would settle what nobody acknowledged. */
  for (int i = 0; i < 250; i++) {
    for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) {
      dop_sim_carry(&w->net, c, 1, 65536);
      dop_sim_carry(&w->net, c, 0, 65536);
    }
    wait(w, 500);
  }
}

static void check_calm(struct world *w) {
  struct dop_node *n = w->ends[CLIENT]->current;
  if (!w->over && (!n || n->status != DOP_CONNECTED))
    wrong(w, "the client is %s though the network is calm",
          n ? dop_status_name(n->status) : "without a node");
  for (uint32_t i = 0; i < w->book_count; i++) {
    struct book *b = &w->books[i];
    if (b->ended || w->o->plain) continue;
    if (b->delivered != b->count)
      wrong(w, "%s: %u messages were accepted and %u delivered, though the network is calm",
            names[b->side], b->count, b->delivered);
    if (b->node->full) wrong(w, "%s was never told that there is room again", names[b->side]);
    if (b->node->account && dop_node_unacked(b->node))
      wrong(w, "%s: %u messages are not acknowledged though the network is calm", names[b->side],
            dop_node_unacked(b->node));
  }
}

static void dispose(struct world *w) {
  dop_sim_dispose(&w->net);
  for (int side = 0; side < 2; side++) {
    dop_transport_close(w->ends[side], 1001);
    turn(w);
  }
  for (uint32_t i = 0; i < w->book_count; i++) {
    dop_node_unref(w->books[i].node);
    free(w->books[i].accepted);
  }
  dop_transport_unref(w->ends[0]);
  dop_transport_unref(w->ends[1]);
  dop_engine_dispose(&w->engine);
}

const char *dop_sim_run(uint64_t seed, const struct dop_sim_options *o,
                        struct dop_sim_coverage *c) {
  static struct world w;
  memset(&w, 0, sizeof w);
  w.o = o;
  w.coverage = c;
  w.random = seed;
  dop_engine_init(&w.engine, fill_random, &w);
  dop_engine_advance(&w.engine, 1000);
  w.net.engine = &w.engine;
  w.net.deliver = deliver;
  w.net.ctx = &w;
  w.large = below(&w, 8) == 0;
  w.ends[SERVER] = new_end(&w, DOP_SERVER);
  w.ends[CLIENT] = new_end(&w, DOP_CLIENT);
  if (dop_transport_begin(w.ends[CLIENT])) abort();
  w.dial_at = w.engine.now + 1;
  for (int i = 0; i < STEPS_MOST && !w.wrong[0]; i++) {
    step(&w);
    if (w.over) break;
    if (w.sent[0] >= MESSAGES && w.sent[1] >= MESSAGES && w.faults >= FAULTS && below(&w, 20) == 0)
      break;
  }
  if (!w.wrong[0]) calm_down(&w);
  if (!w.wrong[0]) check_calm(&w);
  char told[sizeof w.wrong];
  memcpy(told, w.wrong, sizeof told);
  dispose(&w);
  memcpy(w.wrong, told, sizeof told);
  return w.wrong[0] ? w.wrong : NULL;
}
