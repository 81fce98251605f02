/* What goes wrong in a schedule; see world.h. Each function is one kind of fault; chance picks. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proof/world.h"

#define below dop_sim_below

__attribute__((format(printf, 2, 3))) static void name(struct world *w, const char *format, ...) {
  char text[64];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  dop_sim_trace(&w->k, "fault: %s", text);
  dop_sim_cover(w->k.coverage, "fault %s", text);
}

/* --- sockets --- */

static void lose(struct world *w, struct dop_sim_conn *c, unsigned who) {
  dop_sim_check_turn(&w->k);
  dop_sim_cut(&w->net, c, who);
  dop_sim_turn(w);
}

static void blackhole(struct world *w, struct dop_sim_conn *c) {
  int up = (int)below(w, 2), down = !up || below(w, 2);
  name(w, "blackhole%s%s", up ? " up" : "", down ? " down" : "");
  dop_sim_swallow(c, up, down);
  if (below(w, 3) == 0) dop_sim_wait(w, 25000 + below(w, 12000));
}

static void delay(struct world *w, struct dop_sim_conn *c) {
  name(w, "delay");
  c->up.until = w->engine.now + below(w, 4000);
  c->down.until = w->engine.now + below(w, 4000);
  if (below(w, 2)) { /* and the client, who has just written, gives up on it */
    for (uint64_t n = below(w, 8); n; n--) dop_sim_send_one(w, CLIENT);
    dop_sim_flush(&w->net);
    lose(w, c, 1);
  }
}

static void half_close(struct world *w, struct dop_sim_conn *c) {
  name(w, "half-close");
  if (below(w, 2))
    c->up.ended = 1;
  else
    c->down.ended = 1;
}

static void drop(struct world *w) {
  struct dop_node *n = dop_sim_sender(w, (int)below(w, 2));
  name(w, "drop");
  dop_sim_check_turn(&w->k);
  if (n) dop_node_drop(n, (int)below(w, 2));
}

/* The connection of the client is lost, and it comes back at a moment around a deadline. */
static void return_at(struct world *w, uint64_t after) {
  struct dop_sim_conn *c = w->net.conns;
  while (c && c->guest) c = c->next;
  if (!c || w->over) return;
  dop_sim_check_turn(&w->k);
  dop_sim_cut(&w->net, c, 3);
  dop_sim_turn(w);
  if (w->over || !dop_transport_awaits_socket(w->ends[CLIENT])) return;
  w->dial_at = w->engine.now + after;
  dop_sim_wait(w, after);
  dop_sim_carry_all(w);
}

static void around_a_deadline(struct world *w) {
  const struct dop_node *n = w->ends[CLIENT]->current;
  int half = n && n->status == DOP_PRECONNECTED;
  uint64_t most = half ? 10000 : 60000;
  uint64_t after = below(w, 3) ? most - 100 + below(w, 3) * 100 : most - 1 + below(w, 3);
  if (below(w, 6) == 0) { /* a night and a day */
    after = most + 24u * 3600 * 1000 - 1000 + below(w, 3) * 1000;
    name(w, "away for a day");
  } else {
    name(w, half ? "away from a half-confirmed session" : "away until the window");
  }
  return_at(w, after);
}

/* --- pauses --- */

/* What is paused and read again before the checker looks was deaf all the same. */
void dop_sim_pause(struct world *w, struct dop_socket *s, int paused) {
  s->ops->pause(s, paused);
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next)
    if ((c->client && &c->client->socket == s) || (c->server && &c->server->socket == s))
      c->stopped |= dop_socket_stopped(s);
}

static void pause_node(struct world *w, int side, int paused) {
  struct dop_node *n = dop_sim_sender(w, side);
  if (n && n->socket) dop_sim_pause(w, n->socket, paused);
}

/* Time passes and the network works; the schedule is watched meanwhile. */
static void work(struct world *w, uint64_t ms) {
  for (uint64_t passed = 0; passed < ms && !w->k.wrong[0]; passed += 4000) {
    if (below(w, 2)) dop_sim_send_one(w, (int)below(w, 2));
    dop_sim_turn(w);
    dop_sim_carry_all(w);
    dop_sim_check_step(&w->k);
    dop_sim_wait(w, 4000);
  }
}

static void disconnect(struct world *w, int side) {
  struct dop_node *n = dop_sim_sender(w, side);
  dop_sim_trace(&w->k, "%s disconnects", dop_sim_sides[side]);
  dop_sim_check_turn(&w->k);
  if (n) dop_sim_disconnect(w, n);
  dop_sim_turn(w);
}

static void pauses(struct world *w, struct dop_sim_conn *c) {
  int side = (int)below(w, 2);
  uint64_t then = below(w, 10);
  if (below(w, 3) == 0) {
    name(w, "reads again");
    pause_node(w, side, 0);
    return;
  }
  name(w, "pause");
  pause_node(w, side, 1);
  if (then < 5) return;
  if (then < 7) {
    name(w, "pause for long");
    work(w, 32000 + below(w, 12000));
    pause_node(w, side, 0);
    return;
  }
  for (uint64_t n = below(w, w->k.large ? 40 : 6); n; n--) dop_sim_send_one(w, !side);
  dop_sim_turn(w);
  if (below(w, 2)) dop_sim_carry_all(w);
  if (then == 7) {
    name(w, "disconnect while paused");
    disconnect(w, (int)below(w, 2));
    if (below(w, 2)) dop_sim_carry_all(w);
    if (below(w, 2)) pause_node(w, side, 0);
  } else {
    name(w, "lost while paused");
    lose(w, c, 1 + (unsigned)below(w, 3));
  }
}

/* --- ends --- */

/* One end or both end the session, and the socket may be lost over it, for the one that waits for
 * the answer or for the other, who comes back to a session that is ending. */
static void ends(struct world *w, struct dop_sim_conn *c) {
  int side = (int)below(w, 2);
  uint64_t then = below(w, 6);
  name(w, "disconnect");
  for (uint64_t n = below(w, w->k.huge ? 12 : 2); n; n--) dop_sim_send_one(w, side);
  disconnect(w, side);
  if (then == 0) {
    name(w, "both disconnect");
    disconnect(w, !side);
  }
  if (then == 1 || then == 2) {
    name(w, "lost while ending");
    if (below(w, 2)) dop_sim_carry_one(w, c, side == CLIENT, 1 + (size_t)below(w, 200));
    lose(w, c, 1 + (unsigned)below(w, 3));
  }
  if (then == 3 && side == SERVER && !w->over && w->ends[CLIENT]->current) {
    name(w, "back to what is ending");
    lose(w, c, 1);
    if (dop_transport_awaits_socket(w->ends[CLIENT])) w->dial_at = w->engine.now + 1;
    c->up.until = w->engine.now + 8000;
    dop_sim_wait(w, 1);
    dop_sim_carry_all(w);
  }
}

/* --- processes --- */

/* The process of the server dies: all it knew is gone, and another one takes its place. */
static void kill_server(struct world *w) {
  name(w, "kill");
  w->kills++;
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) dop_sim_cut(&w->net, c, 3);
  dop_sim_turn(w);
  dop_sim_new_server(w);
}

/* It closes, and another one takes its place. */
static void close_server(struct world *w) {
  name(w, "the server closes");
  w->kills++;
  dop_transport_close(w->ends[SERVER], 1001);
  dop_sim_turn(w);
  dop_sim_new_server(w);
}

/* The process of the client dies, or its machine does, and the server is told or not. */
static void kill_client(struct world *w) {
  int silent = (int)below(w, 2);
  name(w, "kill of the client");
  w->kills++;
  dop_sim_check_killed(&w->k, CLIENT);
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) {
    if (c->guest || !c->client) continue;
    if (silent) dop_sim_swallow(c, 1, 1);
    dop_sim_cut(&w->net, c, 1);
  }
  dop_transport_close(w->ends[CLIENT], 1001);
  dop_sim_turn(w);
  dop_sim_new_client(w);
}

/* --- storms --- */

/* The socket is lost again and again: with nothing to say, or before what one end says can come. */
static void storm(struct world *w) {
  int idle = (int)below(w, 2);
  if (w->storms++ || w->over) return;
  name(w, idle ? "storm over an idle session" : "storm");
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next) c->up.until = c->down.until = 0;
  if (idle) dop_sim_carry_all(w);
  if (idle) dop_sim_wait(w, 1100);
  if (idle) dop_sim_carry_all(w);
  for (uint64_t i = idle ? 0 : 1 + below(w, 3); i; i--) dop_sim_send_one(w, below(w, 4) == 0);
  for (uint64_t i = 11 + below(w, 4); i && !w->k.wrong[0] && !w->over; i--) {
    dop_sim_turn(w);
    struct dop_sim_conn *c = w->net.conns;
    while (c && c->guest) c = c->next;
    if (c) lose(w, c, 3);
    if (w->over || !dop_transport_awaits_socket(w->ends[CLIENT])) return;
    w->dial_at = w->engine.now + 1;
    dop_sim_wait(w, 1);
    c = w->net.conns;
    dop_sim_carry_one(w, c, 1, 65536);
    dop_sim_carry_one(w, c, 0, 65536);
    dop_sim_carry_one(w, c, 1, 65536);
    if (idle)
      dop_sim_carry_all(w);
    else if (below(w, 2))
      dop_sim_carry_one(w, c, 0, 1 + (size_t)below(w, 60));
    dop_sim_check_step(&w->k);
  }
}

/* --- guests --- */

void dop_sim_dismiss(struct world *w) {
  struct dop_transport *t = w->guest;
  for (struct dop_sim_conn *c = w->net.conns; c; c = c->next)
    if (c->guest) dop_sim_cut(&w->net, c, 3);
  dop_transport_close(t, 1000);
  while (w->engine.first) w->net.deliver(w->net.ctx, NULL);
  w->guest = NULL;
  dop_transport_unref(t);
}

/* Whose session is presented: the client's own, or one that is over. */
static struct dop_sim_book *victim(struct world *w) {
  struct dop_sim_checker *k = &w->k;
  struct dop_sim_book *b = NULL;
  const struct dop_node *n = w->ends[CLIENT]->current;
  if (n && below(w, 8)) b = dop_sim_book_of(k, w->ends[CLIENT]->current);
  if (!b && k->book_count) b = &k->books[below(w, k->book_count)];
  if (!b || b->side != CLIENT || !b->node->token || (!k->plain && !b->node->account)) return NULL;
  return b;
}

static void copy_session(const struct dop_node *from, struct dop_node *to) {
  struct dop_account *a = to->account;
  struct dop_queue q = from->queue;
  struct dop_message m;
  for (dop_queue_rewind(&q); dop_queue_advance(&q, &m);)
    if (dop_queue_push(&to->queue, &m)) abort();
  a->acked = from->account->acked;
  a->written = from->account->written;
  a->peer = from->account->peer;
}

static void carry_guest(struct world *w) {
  for (int i = 0; i < 6; i++)
    for (struct dop_sim_conn *c = w->net.conns; c; c = c->next)
      if (c->guest) {
        dop_sim_carry_one(w, c, 1, 65536);
        dop_sim_carry_one(w, c, 0, 65536);
      }
}

/* Somebody presents the session: the recorded words of its client again, or its token as another
 * principal, or, once in a while, its rightful holder elsewhere. */
static void guest(struct world *w) {
  static const char *const thieves[] = {"owner2", "own", "thief", "OWNER"};
  struct dop_sim_book *b = victim(w);
  if (!b || w->guest) return;
  uint64_t how = w->k.plain ? 0 : below(w, 10);
  struct dop_sim_book *s = dop_sim_partner(&w->k, b);
  const struct dop_account *a = b->node->account;
  uint64_t attempt = a ? a->attempt : 0, n, h = a ? a->received : 0;
  w->guest = dop_sim_new_end(w, CLIENT);
  w->guest_over = w->guest_rightful = 0;
  if (dop_transport_begin(w->guest)) abort();
  struct dop_node *node = w->guest->current;
  const char *who = w->k.owner;
  /* What the server has not heard yet it would take. */
  uint64_t recorded = s && s->attempt < attempt ? s->attempt : attempt;
  if (!s && !b->ended) recorded = 0;
  int whole = s && !s->ended && !b->ended && s->connected && b->connected;
  if (how == 9 && whole && below(w, 3) == 0) {
    n = attempt + 1;
    h = below(w, 2) || !s->node->account->acked ? s->node->account->written + 1 + below(w, 3)
                                                : below(w, s->node->account->acked);
    name(w, "impossible count");
  } else if (how == 9 && whole) {
    n = attempt + 1 + below(w, 2);
    w->guest_rightful = 1;
    b->taken = 1;
    name(w, "another holder");
  } else if (how < 5 || !recorded) {
    who = w->k.owner && below(w, 3) == 0 ? NULL : thieves[below(w, 4)];
    n = attempt + below(w, 3);
    name(w, "thief");
  } else {
    n = below(w, 2) ? recorded : 1 + below(w, recorded);
    name(w, "replay");
  }
  node->token = dop_token_new(b->node->token->text, b->node->token->len);
  node->status = DOP_RECONNECTING;
  node->connected = 1;
  if (!w->k.plain) {
    if (!n) n = 1;
    if (dop_account_open(node)) abort();
    if (w->guest_rightful) copy_session(b->node, node);
    node->account->attempt = n - 1;
    node->account->received = h;
  }
  whole = h == (a ? a->received : 0);
  dop_sim_dial_as(w, w->guest, who);
  if (w->guest_rightful || !whole || below(w, 4)) carry_guest(w);
}

/* --- which --- */

void dop_sim_fault(struct world *w) {
  struct dop_sim_conn *c = dop_sim_some_conn(w);
  uint64_t kind = below(w, 200);
  if (!c) return;
  w->faults++;
  if (kind < 46) {
    name(w, "cut");
    lose(w, c, 3);
  } else if (kind < 80) {
    name(w, "one side");
    lose(w, c, below(w, 3) ? 1 : 2);
  } else if (kind < 100) {
    blackhole(w, c);
  } else if (kind < 120) {
    delay(w, c);
  } else if (kind < 126) {
    half_close(w, c);
  } else if (kind < 136) {
    drop(w);
  } else if (kind < 158) {
    pauses(w, c);
  } else if (kind < 162) {
    if (w->kills < 3) below(w, 3) ? kill_server(w) : close_server(w);
  } else if (kind < 165) {
    if (w->kills < 3) kill_client(w);
  } else if (kind < 173) {
    ends(w, c);
  } else if (kind < 180) {
    around_a_deadline(w);
  } else if (kind < 183) {
    storm(w);
  } else {
    guest(w);
  }
  dop_sim_turn(w);
}
