/* Counting, acknowledging, writing again: a CONNECTED session that loses nothing (docs/protocol.md,
 * "dop.r1"). Owns the node's account. How a session comes back on another socket is resume.c. */
#include "session/lossless.h"

#include <string.h>

#include "session/node_private.h"

#define ACK_AFTER    1000 /* ms from the first delivery that the peer does not know of */
#define ACK_MESSAGES 64

static const char LIMITS_FIRST[] = "the limits are the first message of a socket";

static struct dop_engine *engine(const struct dop_node *n) {
  return n->transport->engine;
}

static void on_timer(struct dop_timer *timer);

int dop_account_open(struct dop_node *n) {
  struct dop_account *a = dop_zalloc(sizeof *a);
  if (!a) return -1;
  a->node = n;
  a->timer.fire = on_timer;
  n->account = a;
  return 0;
}

void dop_account_free(struct dop_node *n) {
  struct dop_account *a = n->account;
  if (!a) return;
  dop_timers_disarm(&engine(n)->timers, &a->timer);
  dop_queue_dispose(&a->parked);
  dop_queue_tally(&a->parked, &n->transport->bytes);
  dop_free(a->hand);
  dop_free(a);
  n->account = NULL;
}

/* Whether it takes a closer look to tell a message from an instruction or the token. */
static inline int looks_special(const struct dop_node *n, const struct dop_message *m) {
  return m->kind == DOP_TEXT && (dop_r1_marked(m->data, m->len) || m->len == n->token->len);
}

/* The largest payload that this end takes: its limit is not known to a peer that begins. */
static size_t most_taken(const struct dop_limits *l) {
  return l->max_message > DOP_R1_ANY_MESSAGE ? l->max_message : DOP_R1_ANY_MESSAGE;
}

/* The peer does what no correct one does: the session is over, as what it counts means nothing. */
static DOP_SELDOM void violation(struct dop_node *n, const char *why) {
  dop_node_part(n->socket, 4400, "PROTOCOL", why);
}

int dop_lossless_begin(struct dop_node *n) {
  const struct dop_limits *l = &n->transport->limits;
  struct dop_r1_limits ours = {l->resume_window, l->max_message, l->queue_bytes, l->queue_messages};
  char text[DOP_R1_LONGEST];
  struct dop_account *a = n->account;
  a->heard_limits = 0;
  a->next = a->acked;
  dop_queue_rewind(&n->queue);
  return dop_node_say_text(n, text, dop_r1_write_limits(text, &ours));
}

/* --- what arrives --- */

static void hear_limits(struct dop_node *n, const struct dop_r1_limits *l) {
  struct dop_account *a = n->account;
  if (a->heard_limits) {
    violation(n, "the limits came twice on one socket");
  } else if (l->max_message < a->peer.max_message || l->max_bytes < a->peer.max_bytes ||
             l->max_messages < a->peer.max_messages || l->window_ms < a->peer.window_ms ||
             !l->max_message || !l->max_messages) {
    violation(n, "a limit became smaller within a session, or is zero");
  } else {
    a->peer = *l;
    a->heard_limits = 1;
    dop_node_pump(n);
  }
}

static void hear_ack(struct dop_node *n, uint64_t h) {
  if (dop_lossless_settle(n, h)) violation(n, "an acknowledgement of what was never sent");
}

static void end_by(struct dop_node *n, const char *why) {
  struct dop_transport *t = n->transport;
  dop_transport_ref(t);
  n->account->ended = 1;
  dop_node_end(n, 1000, why);
  if (t->role == DOP_CLIENT) dop_transport_finish(t);
  dop_transport_unref(t);
}

/* The peer ends the session, or answers our end: its last word on what it delivered. The answer to
 * an end is an end, never an acknowledgement. */
static void hear_end(struct dop_node *n, uint64_t h) {
  struct dop_account *a = n->account;
  char text[DOP_R1_LONGEST];
  if (dop_lossless_settle(n, h)) {
    violation(n, "an end that counts what was never sent");
    return;
  }
  a->settled = 1;
  if (a->closing) {
    end_by(n, a->end_why);
  } else if (dop_node_say_text(n, text, dop_r1_write_one(text, 'd', a->received)) == 0) {
    a->told = a->received;
    a->in_hand = 0; /* our end counts it: no acknowledgement may follow that does not */
    end_by(n, "peer");
  }
}

/* What comes while the application does not read waits here, up to what the peer said that it would
 * send unacknowledged. Instructions are heard meanwhile. */
static DOP_SELDOM void park(struct dop_node *n, const struct dop_message *m) {
  struct dop_account *a = n->account;
  const struct dop_limits *l = &n->transport->limits;
  const struct dop_queue *q = &a->parked;
  uint64_t bytes = dop_queue_size(q) - (uint64_t)q->count * DOP_QUEUE_OVERHEAD + m->len;
  if (q->count && (q->count >= a->peer.max_messages || bytes > a->peer.max_bytes))
    violation(n, "more unacknowledged messages than the limits said");
  else if (dop_transport_full(n->transport, m->len))
    dop_node_shed(n->socket);
  else if (dop_queue_push(&a->parked, m))
    dop_node_give_up_socket(n);
  else if (dop_node_tally(n), dop_queue_size(q) > (uint64_t)l->queue_bytes + l->max_message) {
    /* The peer may hold more than we care to: the rest waits in its hands. */
    n->socket->crammed = 1;
    dop_socket_mark_dirty(n->socket);
  }
}

static int count_data(struct dop_account *a, const struct dop_message *m);

static int hear_data(struct dop_node *n, const struct dop_message *m) {
  struct dop_account *a = n->account;
  if (a->closing) return 0; /* the peer learns from our end that this one was not delivered */
  if (m->len > most_taken(&n->transport->limits)) {
    dop_node_part(n->socket, 1009, "PROTOCOL", "The message is longer than the limit.");
    return 0;
  }
  if (n->socket->paused || a->parked.count) {
    park(n, m);
    return 0;
  }
  return count_data(a, m);
}

/* The copy of a parked message has served. */
static void let_go(struct dop_account *a) {
  dop_free(a->hand);
  a->hand = NULL;
}

int dop_lossless_unpark(struct dop_node *n, struct dop_message *m) {
  struct dop_account *a = n->account;
  if (!dop_queue_front(&a->parked, m)) {
    if (a->end_parked) {
      a->end_parked = 0;
      hear_end(n, a->end_h);
    }
    return 0;
  }
  /* A copy: the queue may grow while the handler runs. What is there still is of a handler that
   * lost its socket, and returned after the session had another. */
  let_go(a);
  a->hand = dop_malloc(m->len);
  if (!a->hand) {
    dop_node_give_up_socket(n);
    return 0;
  }
  memcpy(a->hand, m->data, m->len);
  m->data = a->hand;
  dop_queue_pop(&a->parked);
  dop_node_tally(n);
  if (!a->parked.count) n->socket->crammed = 0;
  return count_data(a, m);
}

void dop_lossless_undelivered(struct dop_node *n) {
  struct dop_account *a = n->account;
  if (!a->in_hand) return;
  a->in_hand = 0;
  n->transport->delivered--;
  a->received--;
  let_go(a);
}

void dop_lossless_forget_parked(struct dop_node *n) {
  dop_queue_dispose(&n->account->parked);
  dop_node_tally(n);
  n->account->end_parked = 0;
  if (n->socket) n->socket->crammed = 0; /* there is room again, also for the answer to an end */
}

static int count_data(struct dop_account *a, const struct dop_message *m) {
  a->stuck = 0;
  a->node->transport->delivered++;
  a->received++;
  a->owed_bytes += (uint32_t)m->len;
  a->in_hand = 1;
  a->held = 0;
  return 1;
}

/* A text that begins with the mark. 1: it is a literal, and m is what it means. */
static DOP_SELDOM int hear_instruction(struct dop_node *n, struct dop_message *m) {
  struct dop_account *a = n->account;
  struct dop_r1 r;
  dop_r1_parse(&r, m->data, m->len);
  if (!a->heard_limits && r.type != DOP_R1_LIMITS) {
    violation(n, LIMITS_FIRST);
    return 0;
  }
  switch (r.type) {
  case DOP_R1_LITERAL:
    m->data += DOP_R1_ESCAPE;
    m->len -= DOP_R1_ESCAPE;
    return 1;
  case DOP_R1_LIMITS:
    hear_limits(n, &r.limits);
    break;
  case DOP_R1_ACK:
    hear_ack(n, r.h);
    break;
  case DOP_R1_END:
    if (a->parked.count && !a->closing && dop_lossless_settle(n, r.h) == 0) {
      a->settled = 1;    /* whatever happens now */
      a->end_parked = 1; /* what came before it is delivered before it */
      a->end_h = r.h;
    } else {
      hear_end(n, r.h);
    }
    break;
  default:
    violation(n, "an instruction that is none, or not now");
  }
  return 0;
}

static int hear(struct dop_node *n, struct dop_message *m) {
  if (m->kind == DOP_TEXT && dop_token_is(n->token, m->data, m->len)) {
    end_by(n, "peer"); /* it settles nothing */
    return 0;
  }
  if (m->kind == DOP_TEXT && dop_r1_marked(m->data, m->len) && !hear_instruction(n, m)) return 0;
  if (!n->account->heard_limits) {
    violation(n, LIMITS_FIRST);
    return 0;
  }
  return hear_data(n, m);
}

static DOP_SELDOM int hear_any(struct dop_node *n, struct dop_message *m) {
  dop_node_ref(n);
  int data = hear(n, m);
  dop_node_unref(n);
  return data;
}

int dop_lossless_hear(struct dop_node *n, struct dop_message *m) {
  struct dop_account *a = n->account;
  /* The usual case: data for a handler that waits for it. */
  if (a->heard_limits && !a->closing && !a->parked.count && !n->socket->paused &&
      m->len <= most_taken(&n->transport->limits) && !looks_special(n, m))
    return count_data(a, m);
  return hear_any(n, m);
}

/* --- acknowledging --- */

void dop_lossless_acknowledge(struct dop_node *n) {
  struct dop_account *a = n->account;
  uint64_t delivered = a->received - a->in_hand;
  char text[DOP_R1_LONGEST];
  if (!n->socket || n->status != DOP_CONNECTED || a->closing || delivered == a->told) return;
  a->told = delivered;
  a->owed_bytes = 0;
  dop_timers_disarm(&engine(n)->timers, &a->timer);
  dop_node_say_text(n, text, dop_r1_write_one(text, 'a', delivered));
}

static int acknowledgement_due(const struct dop_account *a) {
  uint64_t owed = a->received - a->told;
  return owed >= ACK_MESSAGES || owed >= a->peer.max_messages / 4 ||
         a->owed_bytes >= a->peer.max_bytes / 4;
}

static DOP_SELDOM void after_delivery(struct dop_node *n) {
  struct dop_account *a = n->account;
  let_go(a);
  if (n->status != DOP_CONNECTED) return; /* the next resumption counts it */
  if (acknowledgement_due(a) ||
      (!a->timer.slot && dop_timers_arm(&engine(n)->timers, &a->timer, engine(n)->now + ACK_AFTER)))
    dop_lossless_acknowledge(n);
}

void dop_lossless_delivered(struct dop_node *n) {
  struct dop_account *a = n->account;
  if (!a->in_hand || a->held) return;
  a->in_hand = 0;
  /* Between two acknowledgements there is nothing to do. */
  if (acknowledgement_due(a) || !a->timer.slot || a->hand) after_delivery(n);
}

static void on_timer(struct dop_timer *timer) {
  struct dop_account *a = DOP_CONTAINER(timer, struct dop_account, timer);
  struct dop_node *n = a->node;
  if (!a->closing) {
    dop_lossless_acknowledge(n);
    return;
  }
  end_by(n, a->end_why); /* no answer to our end: what the peer did not acknowledge is unknown */
}

int dop_lossless_settle(struct dop_node *n, uint64_t h) {
  struct dop_account *a = n->account;
  if (h < a->acked || h > a->written) return -1;
  if (h != a->acked) a->stuck = 0;
  n->transport->acknowledged += h - a->acked;
  dop_queue_drop(&n->queue, h - a->acked, &engine(n)->spare_queue);
  dop_node_tally(n);
  a->acked = h;
  if (a->next < a->acked) a->next = a->acked;
  dop_node_check_drain(n);
  return 0;
}

/* --- writing --- */

/* A text that would read as an instruction goes behind the escape; the token is not compressed. */
static DOP_SELDOM int write_special(struct dop_node *n, const struct dop_message *m) {
  struct dop_socket *s = n->socket;
  int is_token = dop_token_is(n->token, m->data, m->len);
  if (!dop_r1_marked(m->data, m->len) && !is_token) return s->ops->send(s, m);
  char *text = dop_malloc(DOP_R1_ESCAPE + m->len);
  if (!text) return -1;
  text[0] = DOP_R1_MARK;
  text[1] = 'm';
  memcpy(text + DOP_R1_ESCAPE, m->data, m->len);
  const struct dop_message escaped = {DOP_TEXT, is_token ? DOP_COMPRESS_NEVER : m->compress, text,
                                      DOP_R1_ESCAPE + m->len};
  int failed = s->ops->send(s, &escaped);
  dop_free(text);
  return failed;
}

DOP_SELDOM void dop_lossless_exhaust(struct dop_node *n) {
  struct dop_transport *t = n->transport;
  dop_node_ref(n);
  dop_node_part(n->socket, 1000, "EXHAUSTED", "no number is left for a message or an attempt");
  dop_node_end(n, 1000, "exhausted");
  if (t->role == DOP_CLIENT && (n->account->ended || dop_transport_begin(t)))
    dop_transport_finish(t);
  dop_node_unref(n);
}

/* 0, or -1: the socket was lost, perhaps with the session. */
static int write_counted(struct dop_node *n, const struct dop_message *m) {
  struct dop_account *a = n->account;
  struct dop_socket *s = n->socket;
  if (a->next == DOP_R1_MOST) {
    dop_lossless_exhaust(n);
    return -1;
  }
  int failed = looks_special(n, m) ? write_special(n, m) : s->ops->send(s, m);
  if (failed) {
    dop_node_give_up_socket(n);
    return -1;
  }
  a->next++;
  if (a->written < a->next) a->written = a->next;
  return 0;
}

void dop_lossless_write(struct dop_node *n, const struct dop_message *m) {
  dop_queue_forward(&n->queue);
  write_counted(n, m);
}

int dop_lossless_pump(struct dop_node *n, int all) {
  struct dop_account *a = n->account;
  struct dop_message m;
  /* Behind our end nothing follows, not even what waited for the peer's limits. */
  while (n->status == DOP_CONNECTED && !a->closing && dop_queue_unwritten(&n->queue) &&
         (all || dop_node_takes_more(n))) {
    dop_queue_advance(&n->queue, &m);
    if (!a->heard_limits && m.len > DOP_R1_ANY_MESSAGE) { /* it waits for the peer's own limit */
      n->queue.cursor -= (uint32_t)(DOP_QUEUE_OVERHEAD + m.len);
      return 0;
    }
    /* What the peer would close on would be written again for ever. */
    if (m.len > DOP_R1_ANY_MESSAGE && m.len > dop_lossless_max_message(n)) {
      violation(n, "the peer takes no message as long as one that waits");
      return -1;
    }
    if (write_counted(n, &m)) return -1;
  }
  return 0;
}

/* --- ends --- */

void dop_lossless_end(struct dop_node *n, const char *why) {
  struct dop_account *a = n->account;
  char text[DOP_R1_LONGEST];
  dop_node_ref(n);
  if (a->end_parked) { /* the peer was first */
    dop_lossless_forget_parked(n);
    hear_end(n, a->end_h);
    dop_node_unref(n);
    return;
  }
  a->ended = 1; /* also when writing what is queued costs the session: no other follows then */
  if (dop_lossless_pump(n, 1) == 0) {
    a->closing = 1;
    a->end_why = why;
    dop_lossless_forget_parked(n);
    n->socket->ops->pause(n->socket, 0); /* or the answer would not be heard */
    dop_timers_disarm(&engine(n)->timers, &a->timer);
    a->told = a->received;
    if (dop_node_say_text(n, text, dop_r1_write_one(text, 'd', a->received)) == 0 &&
        dop_timers_arm(&engine(n)->timers, &a->timer,
                       engine(n)->now + n->transport->limits.close_timeout))
      end_by(n, why);
  } else if (n->status != DOP_DISCONNECTED) {
    end_by(n, why);
  }
  dop_node_unref(n);
}

int dop_lossless_fatal(const struct dop_node *n, enum dop_status status, unsigned code) {
  if (n->account->closing) return 1;
  if (code == 4400) return 1;
  if (status != DOP_CONNECTED) return code == 4403 || code == 4409;
  return code == 1002 || code == 1003 || code == 1007 || code == 1009 ||
         (code == 4001 && n->transport->role == DOP_CLIENT);
}
