/* The course of one schedule; see schedule.h. Says what happens and when; what may go wrong is in
 * faults.c, what the applications do in host.c, what is right in checker.h. */
#include "proof/schedule.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "proof/world.h"

#define MESSAGES   50 /* that each end sends at least */
#define FAULTS     3  /* that the network commits at least */
#define STEPS_MOST 100000

uint64_t dop_sim_draw(struct world *w) {
  uint64_t z = w->random += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

uint64_t dop_sim_below(struct world *w, uint64_t n) {
  return dop_sim_draw(w) % n;
}
#define below dop_sim_below

static int fill_random(void *ctx, void *out, size_t n) {
  struct world *w = ctx;
  unsigned char *p = out;
  while (n--) *p++ = (unsigned char)dop_sim_draw(w);
  return 0;
}

/* --- sending --- */

static struct dop_node *nth(struct dop_node_list *l, uint64_t skip) {
  struct dop_node *n = l->first, *found = NULL;
  for (; n; n = n->next) {
    if (!n->connected) continue;
    found = n;
    if (!skip--) break;
  }
  return found;
}

struct dop_node *dop_sim_sender(struct world *w, int side) {
  struct dop_transport *t = w->ends[side];
  if (side == CLIENT) return t->current;
  /* A session that waits for a client has something to say now and then. */
  struct dop_node *waits = nth(&t->detached, below(w, 3));
  if (waits && below(w, 4) == 0) return waits;
  struct dop_node *n = nth(&t->attached, 0);
  return n ? n : waits;
}

int dop_sim_send_one(struct world *w, int side) {
  struct dop_node *n = dop_sim_sender(w, side);
  return !n || dop_sim_send(&w->k, n, dop_sim_draw(w));
}

int dop_sim_carry_one(struct world *w, struct dop_sim_conn *c, int up, size_t n) {
  dop_sim_check_turn(&w->k);
  int carried = dop_sim_carry(&w->net, c, up, n);
  dop_sim_turn(w);
  return carried;
}

void dop_sim_carry_all(struct world *w) {
  for (int rounds = 0, carried = 1; carried && rounds < 1000; rounds++) {
    carried = 0;
    for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) {
      carried |= dop_sim_carry_one(w, c, 1, 65536);
      carried |= dop_sim_carry_one(w, c, 0, 65536);
    }
  }
}

/* --- what may happen --- */

void dop_sim_dial_as(struct world *w, struct dop_transport *t, const char *who) {
  if (dop_sim_dial(&w->net, t, w->ends[SERVER])) abort();
  w->net.conns->who = who;
  w->net.conns->guest = t == w->guest;
  dop_sim_turn(w);
}

void dop_sim_wait(struct world *w, uint64_t ms) {
  uint64_t until = w->engine.now + ms;
  /* From deadline to deadline, so that each is seen in its time. */
  do {
    uint64_t next = dop_engine_next(&w->engine);
    if (w->dial_at && w->dial_at < next) next = w->dial_at;
    if (next > until) next = until;
    if (next < w->engine.now) next = w->engine.now;
    dop_sim_check_turn(&w->k);
    dop_engine_advance(&w->engine, next);
    dop_sim_check_timers(&w->k);
    dop_sim_turn(w);
    if (w->dial_at && w->engine.now >= w->dial_at && !w->over) {
      w->dial_at = 0;
      dop_sim_trace(&w->k, "client dials");
      if (dop_transport_awaits_socket(w->ends[CLIENT]))
        dop_sim_dial_as(w, w->ends[CLIENT], w->k.owner);
    }
  } while (w->engine.now < until);
}

struct dop_sim_conn *dop_sim_some_conn(struct world *w) {
  struct dop_sim_conn *c = w->net.conns;
  /* The newest as often as the one before it, whose bytes may still be under way. */
  uint64_t which = below(w, 8), skip = which < 4 ? 0 : which < 7 ? 1 : below(w, 8);
  for (; skip && c && c->next; skip--) c = c->next;
  return c;
}

static void tap(void *ctx, struct dop_sim_conn *c, int up, const char *bytes, size_t len) {
  struct world *w = ctx;
  dop_sim_check_wire(&w->k, c, up, bytes, len);
}

static void draw_limits(struct world *w) {
  for (int side = 0; side < 2; side++) {
    struct dop_limits *l = &w->limits[side];
    *l = dop_limits_default;
    l->queue_messages = (uint32_t)(below(w, 4) ? 8 + below(w, 60) : 1 + below(w, 12));
    if (below(w, 16) == 0) l->queue_messages = 400; /* the 64th delivery is acknowledged */
    l->queue_bytes = 4000 + (uint32_t)below(w, 200000);
    if (below(w, 8) == 0) l->queue_bytes = 200 + (uint32_t)below(w, 2000);
    if (l->queue_bytes % 4 == 0) { /* sockets that take little at once */
      l->high_mark = 1 + l->queue_bytes % 3000;
      l->low_mark = l->high_mark / (1 + l->queue_bytes % 5);
    }
    if (below(w, 4) == 0) l->max_message = 4000 + (uint32_t)below(w, 70000);
  }
  struct dop_limits *s = &w->limits[SERVER];
  if (below(w, 6) == 0) s->max_tombstones = 1 + (uint32_t)below(w, 2);
  if (below(w, 8) == 0) s->max_detached = 1;
  if (below(w, 6) == 0) s->max_unconfirmed = (uint32_t)below(w, 2);
  if (below(w, 8) == 0) s->max_detached_bytes = 500 + below(w, 5000);
}

/* In every third schedule messages are compressed; by the seed alone, so that the others are what
 * they would be without. Windows and memory are small: each socket has its own. */
static void choose_compression(struct world *w, uint64_t seed) {
  struct dop_deflate_options *o = &w->compression;
  uint64_t how = seed / 3;
  w->compresses = seed % 3 == 0;
  *o = dop_deflate_defaults;
  o->level = (uint8_t)(1 + how % 9);
  o->mem_level = (uint8_t)(1 + how % 4);
  o->window = (uint8_t)(DOP_DEFLATE_WINDOW_MIN + how % 3);
  o->min_size = how % 5 == 0 ? 30 : 0;
  o->takeover = how % 4 != 0;
  o->peer_takeover = how % 4 != 1;
}

struct dop_transport *dop_sim_new_end(struct world *w, int side) {
  struct dop_transport *t =
      dop_transport_new(&w->engine, side == SERVER ? DOP_SERVER : DOP_CLIENT, &w->limits[side]);
  if (!t) abort();
  t->lossless = !w->k.plain;
  t->ask = side == SERVER;
  if (!w->compresses) return t;
  t->compression = dop_malloc(sizeof *t->compression);
  if (!t->compression) abort();
  *t->compression = w->compression;
  return t;
}

void dop_sim_new_client(struct world *w) {
  struct dop_transport *old = w->ends[CLIENT];
  w->ends[CLIENT] = dop_sim_new_end(w, CLIENT);
  if (dop_transport_begin(w->ends[CLIENT])) abort();
  w->over = 0;
  w->dial_at = w->engine.now + 1 + below(w, 3000);
  if (old) dop_transport_unref(old);
}

void dop_sim_new_server(struct world *w) {
  struct dop_transport *old = w->ends[SERVER];
  dop_sim_check_killed(&w->k, SERVER);
  dop_transport_close(old, 1001);
  dop_sim_turn(w);
  dop_transport_unref(old);
  w->ends[SERVER] = dop_sim_new_end(w, SERVER);
}

static void step(struct world *w) {
  uint64_t what = below(w, 100);
  dop_sim_reap(&w->net);
  struct dop_sim_conn *c = dop_sim_some_conn(w);
  if (what < 50 && c) {
    size_t n = below(w, 3) ? (size_t)below(w, 400) + 1 : below(w, 2) ? 1 : 65536;
    dop_sim_carry_one(w, c, (int)below(w, 2), n);
  } else if (what < 80) {
    /* Who has no room tries again when something has moved. */
    if (!dop_sim_send_one(w, (int)below(w, 2)) && c)
      dop_sim_carry_one(w, c, (int)below(w, 2), 1 + (size_t)below(w, 4000));
  } else if (what < 97) {
    dop_sim_wait(w, below(w, 16) ? below(w, 40) : below(w, 8) ? below(w, 1500) : below(w, 40000));
  } else {
    dop_sim_fault(w);
  }
  /* Handshakes are short: what may go wrong in them would be rare otherwise. */
  const struct dop_node *n = w->ends[CLIENT]->current;
  if (n && n->socket && n->status != DOP_CONNECTED && below(w, 30) == 0) dop_sim_fault(w);
  n = w->ends[CLIENT]->current; /* perhaps another one now */
  const struct dop_account *a = n && n->status == DOP_CONNECTED ? n->account : NULL;
  if (a && !a->heard_limits && !a->closing && w->k.huge && below(w, 10) == 0)
    dop_sim_disconnect(w, w->ends[CLIENT]->current);
  dop_sim_turn(w);
  if (w->over || w->ends[CLIENT]->closed) dop_sim_new_client(w);
  if (w->ends[SERVER]->closed) dop_sim_new_server(w);
  dop_sim_check_step(&w->k);
}

static int all_delivered(const struct world *w) {
  for (uint32_t i = 0; i < w->k.book_count; i++) {
    const struct dop_sim_book *b = &w->k.books[i];
    if (!b->ended && b->delivered != b->count) return 0;
  }
  return 1;
}

/* No more faults: everything is carried, and time passes, until nothing is left to do. */
static void calm_down(struct world *w) {
  w->calm = 1;
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) {
    if (c->client) c->client->socket.ops->pause(&c->client->socket, 0);
    if (c->server) c->server->socket.ops->pause(&c->server->socket, 0);
  }
  if (w->dial_at > w->engine.now + 3000) w->dial_at = w->engine.now + 10;
  for (int i = 0; i < 400 && !w->k.wrong[0]; i++) {
    dop_sim_carry_all(w);
    struct dop_node *n = w->ends[CLIENT]->current;
    if (i > 10 && (w->over || (n && n->status == DOP_CONNECTED && all_delivered(w)))) break;
    dop_sim_wait(w, 500);
    dop_sim_check_step(&w->k);
  }
  /* What the server's half of a lost session still holds comes back when its window has passed. */
  dop_sim_reap(&w->net);
  for (int i = 0; i < 30 && !w->k.wrong[0]; i++) {
    dop_sim_carry_all(w);
    dop_sim_wait(w, 4000);
    dop_sim_check_step(&w->k);
  }
  dop_sim_carry_all(w);
}

static void dispose(struct world *w) {
  dop_sim_dispose(&w->net);
  dop_sim_check_killed(&w->k, SERVER);
  dop_sim_check_killed(&w->k, CLIENT);
  if (w->guest) dop_sim_dismiss(w);
  for (int side = 0; side < 2; side++) {
    dop_transport_close(w->ends[side], 1001);
    dop_sim_turn(w);
  }
  dop_sim_checker_dispose(&w->k);
  dop_transport_unref(w->ends[0]);
  dop_transport_unref(w->ends[1]);
  dop_engine_dispose(&w->engine);
}

const char *dop_sim_run(uint64_t seed, const struct dop_sim_options *o,
                        struct dop_sim_coverage *c) {
  static struct world w;
  static const char *const owners[] = {"owner", NULL};
  mallopt(M_TRIM_THRESHOLD, 64 << 20); /* the next schedule needs as much again */
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  memset(&w, 0, sizeof w);
  dop_sim_checker_begin();
  w.random = seed;
  w.k.plain = o->plain;
  w.k.trace = o->trace;
  w.k.coverage = c;
  w.k.engine = &w.engine;
  w.k.net = &w.net;
  w.k.ends = w.ends;
  w.k.owner = owners[below(&w, 3) == 0];
  dop_engine_init(&w.engine, fill_random, &w);
  dop_engine_advance(&w.engine, 1000);
  w.net = (struct dop_sim_net){.engine = &w.engine, .deliver = dop_sim_deliver, .ctx = &w};
  if (!o->plain) w.net.tap = tap;
  w.k.large = below(&w, 8) == 0;
  w.k.huge = below(&w, 25) == 0;
  draw_limits(&w);
  choose_compression(&w, seed);
  w.ends[SERVER] = dop_sim_new_end(&w, SERVER);
  dop_sim_new_client(&w);
  for (int i = 0; i < STEPS_MOST && !w.k.wrong[0]; i++) {
    step(&w);
    if (w.k.sent[0] >= MESSAGES && w.k.sent[1] >= MESSAGES && w.faults >= FAULTS &&
        below(&w, 20) == 0)
      break;
  }
  if (!w.k.wrong[0]) calm_down(&w);
  if (!w.k.wrong[0]) dop_sim_check_calm(&w.k, w.over);
  static char told[sizeof w.k.wrong];
  memcpy(told, w.k.wrong, sizeof told);
  dispose(&w);
  return told[0] ? told : NULL;
}
