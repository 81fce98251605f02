/* Fuzz target: the machine of sessions over sockets that the input plays. Input: options, then a
 * program of steps: sockets come and go, messages are said on them, time passes, the application
 * acts, memory runs out. After each step everything is looked at. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/machine.h"

#define MOST 8

struct wire {
  struct dop_socket socket; /* first */
  struct fuzz_machine *m;
  size_t backlog;
  uint8_t probe[DOP_PROBE_LEN];
  unsigned who : 2; /* its principal; 0: none */
  unsigned dead : 1;
};

/* The driver's references. */
struct stage {
  struct fuzz_machine m;
  struct wire *wires[MOST];
};

static struct wire *as_wire(struct dop_socket *s) {
  return (struct wire *)s;
}

static void die(struct dop_socket *s) {
  if (as_wire(s)->dead) return;
  as_wire(s)->dead = 1;
  dop_socket_retire(s);
}

static int wire_send(struct dop_socket *s, const struct dop_message *m) {
  struct wire *w = as_wire(s);
  fuzz_check(!w->dead, "something is said on a socket that is gone");
  /* A socket of its own needs memory, too. */
  void *block = dop_malloc(m->len);
  if (!block) return -1;
  dop_free(block);
  fuzz_machine_said(w->m, s, m);
  w->backlog += m->len;
  fuzz_check(w->backlog <= dop_limits_default.high_mark + 8192,
             "more is written than the socket takes");
  return 0;
}

static void wire_close(struct dop_socket *s, unsigned code, const char *reason) {
  fuzz_check((code >= 1000 && code <= 1013) || (code >= 4000 && code <= 4999) || code == 0,
             "no close code");
  fuzz_check(!reason || strlen(reason) < 128, "a reason is too long");
  die(s);
}

static void wire_drop(struct dop_socket *s, int reset) {
  (void)reset;
  die(s);
}

static int wire_probe(struct dop_socket *s, const uint8_t payload[DOP_PROBE_LEN]) {
  memcpy(as_wire(s)->probe, payload, DOP_PROBE_LEN);
  return 0;
}

static void wire_connected(struct dop_socket *s) {
  if (s->pending) s->transport->pending_count--;
  s->pending = 0;
}

static int wire_next(struct dop_socket *s, struct dop_message *m) {
  dop_node_delivered(s);
  return !s->transport->engine->first && dop_node_unpark(s, m);
}

static size_t wire_backlog(const struct dop_socket *s) {
  return ((const struct wire *)s)->backlog;
}

static void wire_pause(struct dop_socket *s, int paused) {
  s->paused = paused != 0;
  if (!paused) dop_socket_mark_ready(s);
}

static void wire_free(struct dop_socket *s) {
  dop_free(s);
}

static const struct dop_socket_ops wire_ops = {
    .send = wire_send,
    .close = wire_close,
    .drop = wire_drop,
    .probe = wire_probe,
    .connected = wire_connected,
    .next = wire_next,
    .backlog = wire_backlog,
    .pause = wire_pause,
    .free = wire_free,
};

/* What waits for a handler although nothing new came. */
static void hand_out(struct stage *st, struct dop_socket *s) {
  struct dop_message m;
  dop_socket_ref(s);
  for (;;) {
    fuzz_machine_events(&st->m);
    if (!s->ops->next(s, &m)) break;
    fuzz_machine_handed(&st->m, s->node, &m);
  }
  fuzz_machine_events(&st->m);
  dop_socket_unref(s);
}

static void turn(struct stage *st) {
  struct dop_socket *s;
  fuzz_machine_events(&st->m);
  while ((s = dop_socket_take_ready(&st->m.engine))) {
    if (!as_wire(s)->dead) hand_out(st, s);
    dop_socket_unref(s);
  }
  while ((s = dop_socket_take_dirty(&st->m.engine))) dop_socket_unref(s);
  for (unsigned i = 0; i < MOST; i++) {
    if (!st->wires[i] || !st->wires[i]->dead) continue;
    dop_socket_unref(&st->wires[i]->socket);
    st->wires[i] = NULL;
  }
  fuzz_machine_events(&st->m);
}

static struct dop_token *principal(unsigned who) {
  return who == 0 ? NULL : dop_token_new(who == 1 ? "alice" : "bob", who == 1 ? 5 : 3);
}

/* A socket is up; how the two ends came to speak a dialect is the upgrade's affair. */
static void open_socket(struct stage *st, unsigned at, unsigned how) {
  struct dop_transport *t = st->m.ends[how & 1 ? DOP_CLIENT : DOP_SERVER];
  if (st->wires[at] || t->closed) return;
  if (t->role == DOP_CLIENT ? !dop_transport_awaits_socket(t)
                            : dop_transport_room(t) != DOP_ADMITTED)
    return;
  struct wire *w = dop_zalloc(sizeof *w);
  struct dop_node *n = !w ? NULL : t->role == DOP_CLIENT ? t->current : dop_node_new(t);
  if (!n) {
    dop_free(w);
    return;
  }
  dop_socket_init(&w->socket, &wire_ops, t);
  w->m = &st->m;
  st->wires[at] = w;
  w->socket.lossless = t->lossless && (how & 2) && !dop_transport_keeps_plain(t);
  if (t->role == DOP_SERVER) {
    w->who = how >> 2 & 3 ? (how >> 2 & 3) == 1 ? 1 : 2 : 0;
    w->socket.principal = principal(w->who);
    if (w->who && !w->socket.principal) w->who = 3; /* without memory: nobody knows */
  }
  dop_node_open(n, &w->socket);
}

static void say(struct stage *st, struct wire *w) {
  char text[FUZZ_WORD_MOST];
  struct dop_message m;
  m.len = fuzz_word(&st->m, w->socket.node, text, &m.kind);
  hand_out(st, &w->socket);
  if (w->dead || dop_socket_stopped(&w->socket)) return;
  /* A link refuses what no handler may be given; the escape of dop.r1 is the node's affair. */
  if (m.len > w->socket.transport->limits.max_message && !w->socket.lossless) return;
  char *data = fuzz_copy(text, m.len);
  m.data = data;
  if (dop_node_hear(&w->socket, &m)) {
    fuzz_check(m.data >= data && m.data + m.len <= data + FUZZ_WORD_MOST,
               "a message lies elsewhere");
    fuzz_machine_handed(&st->m, w->socket.node, &m);
  }
  free(data);
}

/* Several words in a row that lead somewhere. */
static void say_all(struct stage *st, struct wire *w) {
  uint8_t bytes[FUZZ_PHRASE_MOST];
  struct fuzz words = fuzz_phrase(st->m.input, bytes), *input = st->m.input;
  st->m.input = &words;
  while (fuzz_left(&words) && !w->dead) say(st, w);
  st->m.input = input;
}

/* A session is its first principal's, or that of whom the application took for the same. */
static void belongs(struct stage *st, const struct wire *w) {
  struct dop_node *n = w->socket.node;
  if (w->dead || !n || n->transport->role != DOP_SERVER || n->status != DOP_CONNECTED) return;
  struct fuzz_book *b = fuzz_book_of(&st->m, n);
  if (!b->who) b->who = w->who + 1u;
  if (w->who == 3 || b->who == 4) return;
  fuzz_check((w->who == 0) == (b->who == 1), "somebody has nobody's session, or the other way");
  fuzz_check(w->who + 1u == b->who || st->m.said_yes, "a session is another principal's");
}

static void lose(struct wire *w, unsigned how) {
  static const unsigned codes[] = {1000, 1001, 1006, 4001, 4400, 4403, 4409, 1013};
  struct dop_socket *s = &w->socket;
  dop_socket_ref(s);
  die(s);
  if (s->node) dop_node_lost(s, codes[how & 7], how & 8 ? "EOF" : NULL, "lost");
  dop_socket_unref(s);
}

static void step(struct stage *st) {
  struct fuzz *f = st->m.input;
  unsigned op = fuzz_below(f, 16), at = fuzz_below(f, MOST);
  struct wire *w = st->wires[at];
  struct dop_node *n = w ? w->socket.node : NULL;
  switch (op) {
  case 0:
    open_socket(st, at, fuzz_byte(f));
    break;
  case 1:
    if (!w) open_socket(st, at, fuzz_byte(f));
    if (st->wires[at]) say_all(st, st->wires[at]);
    break;
  case 2:
    if (w) lose(w, fuzz_byte(f));
    break;
  case 3:
    if (w) dop_node_pong(&w->socket, (const char *)w->probe, DOP_PROBE_LEN);
    break;
  case 4:
    if (w) w->backlog = fuzz_below(f, 2) ? dop_limits_default.high_mark : 0;
    if (w) dop_node_writable(&w->socket);
    break;
  case 5:
    fuzz_machine_wait(&st->m);
    break;
  case 6:
    if (!n) n = fuzz_machine_node(&st->m);
    if (n) fuzz_machine_act(&st->m, n);
    break;
  case 7:
  case 8:
    if (!n) n = fuzz_machine_node(&st->m);
    if (n) fuzz_machine_send(&st->m, n);
    break;
  case 9: /* and fails in the next step */
    fuzz_memory.fail = 1 + fuzz_below(f, 16);
    return;
  case 10:
    n = fuzz_machine_node(&st->m);
    if (n && fuzz_below(f, 8) == 0) dop_node_end(n, 1000, "policy");
    break;
  default:
    if (w) say(st, w);
  }
  fuzz_memory.fail = 0;
}

void fuzz_run(struct fuzz *f) {
  struct stage st;
  memset(&st, 0, sizeof st);
  fuzz_machine_begin(&st.m, f);
  size_t begun = fuzz_memory.bytes;
  for (unsigned steps = 0; fuzz_left(f) && steps < 1000; steps++) {
    step(&st);
    turn(&st);
    for (unsigned i = 0; i < MOST; i++)
      if (st.wires[i]) belongs(&st, st.wires[i]);
    fuzz_machine_check(&st.m);
    fuzz_check(fuzz_memory.bytes <= begun + (64u << 10), "memory grows");
  }
  for (unsigned i = 0; i < MOST; i++)
    if (st.wires[i]) lose(st.wires[i], 0);
  turn(&st);
  fuzz_machine_end(&st.m);
}
