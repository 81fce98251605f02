/* Latency for the simulated network, and faults that strike what is under way; see wire.h. What is
 * known of a pipe's bytes follows what the network does to them: account() looks after each. */
#include "sim/wire.h"

#include <string.h>

struct dop_sim_part {
  uint64_t at;  /* ms */
  uint32_t len; /* 0: the end */
};

static struct dop_sim_pipe *pipe_of(const struct dop_sim_way *way) {
  return way == &way->of->up ? &way->of->conn->up : &way->of->conn->down;
}

static struct dop_link *reader_of(const struct dop_sim_way *way) {
  return way == &way->of->up ? way->of->conn->server : way->of->conn->client;
}

static struct dop_engine *engine_of(const struct dop_sim_way *way) {
  return way->of->wire->net.engine;
}

/* --- parts --- */

static struct dop_sim_part *first_part(const struct dop_sim_way *way) {
  return way->parts.len ? (struct dop_sim_part *)(void *)way->parts.data : NULL;
}

static void fall_due(struct dop_sim_way *way) {
  struct dop_sim_wire *w = way->of->wire;
  if (way->due) return;
  way->due = 1;
  way->next = NULL;
  *w->due_last = way;
  w->due_last = &way->next;
}

static void on_arrival(struct dop_timer *timer) {
  fall_due(DOP_CONTAINER(timer, struct dop_sim_way, timer));
}

/* Waits for the first part. What finds no memory for a timer is carried with the next thing that
 * happens on the connection. */
static void await(struct dop_sim_way *way) {
  struct dop_engine *e = engine_of(way);
  struct dop_sim_part *part = first_part(way);
  if (!part)
    dop_timers_disarm(&e->timers, &way->timer);
  else if (part->at <= e->now)
    fall_due(way);
  else
    dop_timers_arm(&e->timers, &way->timer, part->at);
}

static void forget_parts(struct dop_sim_way *way) {
  dop_bytes_dispose(&way->parts);
  way->len = 0;
  way->ended = 0;
}

static void add_part(struct dop_sim_way *way, uint64_t at, uint32_t len) {
  struct dop_sim_part part = {0};
  if (at < way->last) at = way->last;
  part.at = way->last = at;
  part.len = len;
  if (dop_bytes_append(&way->parts, &part, sizeof part)) return; /* tried again with the next */
  way->len += len;
  if (!len) way->ended = 1;
}

uint64_t dop_sim_wire_latency(struct dop_sim_wire *w) {
  return w->least + dop_random_draw(&w->chance) % (w->most - w->least + 1);
}

/* Makes parts of what is new on the way. */
static void account(struct dop_sim_way *way) {
  struct dop_sim_pipe *p = pipe_of(way);
  struct dop_sim_wire *w = way->of->wire;
  uint64_t now = engine_of(way)->now;
  if (p->bytes.len < way->len || p->closed || p->swallowed) forget_parts(way);
  if (!p->closed && !p->swallowed) {
    /* A reset overtakes what was written before it, not the latency. */
    if (p->bytes.len > way->len)
      add_part(way, now + dop_sim_wire_latency(w), p->bytes.len - way->len);
    if (p->ended && !way->ended) add_part(way, now + dop_sim_wire_latency(w), 0);
  }
  await(way);
}

static void on_served(void *ctx, struct dop_sim_conn *c) {
  struct dop_sim_wired *wired = c->app;
  (void)ctx;
  if (!wired) return;
  account(&wired->up);
  account(&wired->down);
}

/* --- carrying --- */

static void carry_way(struct dop_sim_wire *w, struct dop_sim_way *way) {
  struct dop_sim_conn *c = way->of->conn;
  struct dop_sim_part *part;
  while ((part = first_part(way)) && part->at <= w->net.engine->now) {
    struct dop_link *reader = reader_of(way);
    uint32_t len = part->len;
    if (pipe_of(way)->closed) {
      forget_parts(way);
      break;
    }
    /* The answer, and reading again, are accounted for, and begin anew. */
    if (!reader || !dop_link_reading(reader)) return;
    dop_bytes_consume(&way->parts, sizeof *part);
    way->len -= len;
    dop_sim_carry(&w->net, c, way == &way->of->up, len);
  }
  await(way);
}

void dop_sim_wire_carry(struct dop_sim_wire *w) {
  struct dop_sim_way *way = w->due, *next;
  w->due = NULL; /* what falls due meanwhile comes in the next round */
  w->due_last = &w->due;
  for (; way; way = next) {
    next = way->next;
    way->due = 0;
    carry_way(w, way);
  }
}

/* --- life --- */

void dop_sim_wire_init(struct dop_sim_wire *w, struct dop_engine *e, uint64_t seed,
                       void (*deliver)(void *ctx, struct dop_socket *s), void *ctx) {
  memset(w, 0, sizeof *w);
  w->net.engine = e;
  w->net.deliver = deliver;
  w->net.served = on_served;
  w->net.ctx = ctx;
  w->due_last = &w->due;
  dop_random_seed(&w->chance, seed, 1);
}

static void way_init(struct dop_sim_way *way, struct dop_sim_wired *of) {
  way->of = of;
  way->timer.fire = on_arrival;
}

struct dop_sim_conn *dop_sim_wire_call(struct dop_sim_wire *w, struct dop_transport *client,
                                       const char *host, const char *target, const char *headers) {
  struct dop_sim_wired *wired = dop_zalloc(sizeof *wired);
  struct dop_sim_conn *c = wired ? dop_sim_call(&w->net, client, host, target, headers) : NULL;
  if (!c) {
    dop_free(wired);
    return NULL;
  }
  wired->wire = w;
  wired->conn = c;
  wired->number = ++w->number;
  way_init(&wired->up, wired);
  way_init(&wired->down, wired);
  wired->up.last = w->net.engine->now + dop_sim_wire_latency(w);
  c->app = wired;
  return c;
}

int dop_sim_wire_answer(struct dop_sim_conn *c, struct dop_transport *server, const char *address) {
  struct dop_sim_wired *wired = c->app;
  if (dop_sim_answer(c, server, address)) return -1;
  account(&wired->up);
  account(&wired->down);
  return 0;
}

static void free_wired(struct dop_sim_wire *w, struct dop_sim_wired *wired) {
  dop_timers_disarm(&w->net.engine->timers, &wired->up.timer);
  dop_timers_disarm(&w->net.engine->timers, &wired->down.timer);
  dop_bytes_dispose(&wired->up.parts);
  dop_bytes_dispose(&wired->down.parts);
  dop_free(wired);
}

void dop_sim_wire_reap(struct dop_sim_wire *w) {
  for (struct dop_sim_conn **at = &w->net.conns; *at;) {
    struct dop_sim_conn *c = *at;
    struct dop_sim_wired *wired = c->app;
    if (c->client || c->server || wired->up.due || wired->down.due) {
      at = &c->next;
      continue;
    }
    *at = c->next;
    w->net.count--;
    free_wired(w, wired);
    dop_bytes_dispose(&c->up.bytes);
    dop_bytes_dispose(&c->down.bytes);
    dop_free(c);
  }
}

void dop_sim_wire_dispose(struct dop_sim_wire *w) {
  w->net.served = NULL;
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) {
    free_wired(w, c->app);
    c->app = NULL;
  }
  w->due = NULL;
  dop_sim_dispose(&w->net);
}

/* --- faults --- */

/* Keeps the first n of the bytes that are under way. */
static void truncate_way(struct dop_sim_way *way, uint32_t n) {
  struct dop_sim_pipe *p = pipe_of(way);
  struct dop_sim_part *parts = first_part(way);
  uint32_t count = way->parts.len / (uint32_t)sizeof *parts, kept = 0, left = n;
  while (kept < count && left) {
    if (parts[kept].len > left) parts[kept].len = left;
    left -= parts[kept++].len;
  }
  way->parts.len = kept * (uint32_t)sizeof *parts;
  way->len = n;
  way->ended = 0;
  way->last = kept ? parts[kept - 1].at : engine_of(way)->now;
  p->bytes.len = n;
}

static void cut_way(struct dop_sim_way *way, int told, int some) {
  struct dop_sim_pipe *p = pipe_of(way);
  uint64_t n = dop_random_draw(&way->of->wire->chance);
  p->shut = 1;
  if (p->closed || p->swallowed) return;
  if (told) {
    truncate_way(way, some ? (uint32_t)(n % ((uint64_t)way->len + 1)) : 0);
    p->ended = p->reset = 1;
    add_part(way, engine_of(way)->now, 0);
  } else { /* not even an end comes this way */
    p->swallowed = 1;
    dop_bytes_dispose(&p->bytes);
    forget_parts(way);
  }
  await(way);
}

void dop_sim_wire_cut(struct dop_sim_conn *c, unsigned who, int some) {
  struct dop_sim_wired *wired = c->app;
  cut_way(&wired->up, (who & 2) != 0, some);
  cut_way(&wired->down, (who & 1) != 0, some);
}

void dop_sim_wire_half_close(struct dop_sim_conn *c, int up) {
  struct dop_sim_wired *wired = c->app;
  struct dop_sim_way *way = up ? &wired->up : &wired->down;
  pipe_of(way)->shut = pipe_of(way)->ended = 1;
  account(way);
}

void dop_sim_wire_swallow(struct dop_sim_conn *c) {
  struct dop_sim_wired *wired = c->app;
  dop_sim_swallow(c, 1, 1);
  account(&wired->up);
  account(&wired->down);
}

static void delay_way(struct dop_sim_way *way, uint64_t until) {
  struct dop_sim_part *parts = first_part(way);
  uint32_t count = way->parts.len / (uint32_t)sizeof *parts;
  for (uint32_t i = 0; i < count; i++)
    if (parts[i].at < until) parts[i].at = until;
  if (way->last < until) way->last = until;
  await(way);
}

void dop_sim_wire_delay(struct dop_sim_conn *c, uint64_t ms) {
  struct dop_sim_wired *wired = c->app;
  uint64_t until = wired->wire->net.engine->now + ms;
  delay_way(&wired->up, until);
  delay_way(&wired->down, until);
}

int dop_sim_wire_sound(const struct dop_sim_conn *c) {
  return c->client && c->server && !c->up.shut && !c->down.shut && !c->up.swallowed &&
         !c->down.swallowed;
}
