/* How a lossless session comes back on another socket, and what is left of it when it does not
 * (docs/protocol.md, "dop.r1"). Each step can be repeated: nothing is given up before the peer has
 * proved that it knows. Owns nothing but the server's tombstones. */
#include <string.h>

#include "session/lossless.h"
#include "session/node_private.h"

#define ATTEMPT_LONGEST 48 /* " r <n> <h>" */
#define STUCK_MOST      10 /* resumes in a row after which nothing had moved */

/* --- half-confirmed --- */

int dop_resume_hold(struct dop_node *n) {
  n->token = dop_token_merge(n->local, n->remote);
  if (n->token && dop_account_open(n) == 0) return 0;
  dop_token_free(n->token);
  n->token = NULL;
  return -1;
}

/* --- the client --- */

void dop_resume_ask(struct dop_node *n) {
  struct dop_account *a = n->account;
  if (a->attempt == DOP_R1_MOST) {
    dop_lossless_exhaust(n);
    return;
  }
  char *text = dop_malloc(n->token->len + ATTEMPT_LONGEST);
  if (!text) {
    dop_node_give_up_socket(n);
    return;
  }
  memcpy(text, n->token->text, n->token->len);
  size_t len = n->token->len;
  len += dop_r1_write_resume(text + len, ++a->attempt, a->received);
  dop_node_say_text(n, text, len);
  dop_wipe(text, len);
  dop_free(text);
}

/* What this end has said of the peer's messages with a resumption, or is about to say, counts the
 * one that is with its handler. */
static void tell_all(struct dop_account *a) {
  a->in_hand = 0;
  a->told = a->received;
  a->owed_bytes = 0;
}

/* ^r: the session goes on over this socket. */
static void resumed(struct dop_node *n, const struct dop_r1 *r) {
  struct dop_account *a = n->account;
  if (r->n != a->attempt || dop_lossless_settle(n, r->h)) {
    dop_node_part(n->socket, 4400, "PROTOCOL",
                  "an answer to another attempt, or an impossible one");
    return;
  }
  dop_token_free(n->remote);
  n->remote = NULL;
  tell_all(a);
  if (dop_node_resumed(n) == 0 && dop_lossless_begin(n) == 0) dop_node_pump(n);
}

int dop_resume_let_go(struct dop_node *n) {
  struct dop_token *fresh = dop_node_fresh_half(n->transport);
  if (!fresh) {
    dop_node_give_up_socket(n);
    return -1;
  }
  dop_account_free(n);
  dop_token_free(n->token);
  n->token = NULL;
  dop_queue_rewind(&n->queue);
  dop_token_free(n->local);
  n->local = fresh;
  return 0;
}

/* A session that the server never confirmed: the same node begins again with a fresh half. The
 * server's half was heard already, so ours is said twice. */
static void begin_unconfirmed(struct dop_node *n) {
  if (dop_resume_let_go(n) == 0 && dop_node_say(n, n->local) == 0) dop_node_say(n, n->local);
}

/* ^x: the server's last word. The old node ends; unless the application ended the session, a new
 * one takes the socket. */
static void gone(struct dop_node *n, const struct dop_r1 *r) {
  struct dop_transport *t = n->transport;
  struct dop_account *a = n->account;
  struct dop_socket *s = n->socket;
  if (!n->connected && !r->by_application) {
    begin_unconfirmed(n);
    return;
  }
  /* A count that cannot be tells as little as none. */
  a->settled = r->has_h && dop_lossless_settle(n, r->h) == 0;
  if (r->by_application) {
    dop_node_end(n, 1000, "peer");
    dop_transport_finish(t);
    return;
  }
  struct dop_node *fresh = dop_node_new(t);
  if (!fresh) {
    dop_node_part(s, 1011, "ENOMEM", "no memory for a session");
    return;
  }
  dop_node_hand_over(n, fresh);
  dop_node_end(n, 1000, "unknown");
  if (dop_node_say(fresh, fresh->local) == 0) dop_node_say(fresh, fresh->local);
}

void dop_resume_answer(struct dop_node *n, const struct dop_message *m) {
  struct dop_r1 r;
  dop_r1_parse(&r, m->data, m->len);
  if (r.type == DOP_R1_RESUMED)
    resumed(n, &r);
  else if (r.type == DOP_R1_GONE)
    gone(n, &r);
  else
    dop_node_part(n->socket, 4400, "PROTOCOL", "neither an answer to the resumption nor the half");
}

/* --- the server --- */

void dop_resume_bury(struct dop_node *n) {
  struct dop_transport *t = n->transport;
  struct dop_account *a = n->account;
  dop_tombs_bury(n->connected ? &t->tombs : &t->unconfirmed_tombs, t->directory.key,
                 n->connected ? t->limits.max_tombstones : t->limits.max_unconfirmed,
                 t->engine->now, n->token, n->principal, a->received, a->ended);
}

/* The session is over, or was never there: says what is known of it. */
static void answer_gone(struct dop_node *newcomer, const char *token, size_t len) {
  struct dop_transport *t = newcomer->transport;
  char text[DOP_R1_LONGEST];
  const struct dop_tombs *tombs[] = {&t->tombs, &t->unconfirmed_tombs};
  const struct dop_tomb *tomb = NULL;
  for (int i = 0; i < 2 && !tomb; i++)
    tomb =
        dop_tombs_find(tombs[i], t->directory.key, t->engine->now, token, len, newcomer->principal);
  dop_node_say_text(newcomer, text,
                    tomb ? dop_r1_write_gone(text, 1, tomb->received, tomb->by_application)
                         : dop_r1_write_gone(text, 0, 0, 0));
}

/* Takes the socket from a session that is to have another; nothing more is read from it. */
static void leave_socket(struct dop_node *holder) {
  struct dop_socket *old = holder->socket;
  if (!old) return;
  holder->transport->takeovers++;
  dop_socket_ref(old);
  dop_node_supersede(holder, 4001, "the session was resumed on another socket");
  old->ops->close(old, 4001, "resumed on another socket");
  dop_socket_unref(old);
}

/* The same oldest message was written again and again, and nothing moved: whatever the reason, it
 * would go on for ever. */
static int is_stuck(struct dop_account *a, uint64_t h) {
  int moves = h != a->acked || a->written == a->acked;
  a->stuck = (uint8_t)(moves ? 0 : a->stuck + 1);
  return a->stuck >= STUCK_MOST;
}

static void take_over(struct dop_node *holder, struct dop_node *newcomer, uint64_t n, uint64_t h) {
  struct dop_account *a = holder->account;
  char text[DOP_R1_LONGEST];
  a->attempt = n;
  leave_socket(holder);
  dop_node_take_socket(holder, newcomer);
  if (dop_lossless_settle(holder, h)) return; /* it was looked at before */
  tell_all(a);
  if (dop_node_resumed(holder)) return;
  if (dop_node_say_text(holder, text, dop_r1_write_resumed(text, n, a->received)) == 0 &&
      dop_lossless_begin(holder) == 0)
    dop_node_pump(holder);
}

static void refuse(struct dop_node *newcomer, unsigned code, const char *name, const char *why) {
  newcomer->transport->refused_resumes++;
  dop_node_part(newcomer->socket, code, name, why);
}

void dop_resume_hear(struct dop_node *newcomer, const struct dop_message *m, size_t len, uint64_t n,
                     uint64_t h) {
  struct dop_node *holder = dop_directory_find(&newcomer->transport->directory, m->data, len);
  struct dop_account *a = holder ? holder->account : NULL;
  if (newcomer->asked || (holder && !a)) {
    dop_node_part(newcomer->socket, 1008, "PROTOCOL",
                  "a second resumption on a socket, or one of a plain session");
    return;
  }
  if (holder && n <= a->attempt) {
    refuse(newcomer, 4409, "STALE", "a later attempt was heard already");
    return;
  }
  enum dop_may may = holder ? dop_node_may_have(holder, newcomer, m) : DOP_MAY;
  if (may == DOP_MAY_WAIT) return;
  newcomer->asked = 1;
  if (!holder) {
    answer_gone(newcomer, m->data, len);
  } else if (may == DOP_MAY_NOT) {
    refuse(newcomer, 4403, "PRINCIPAL", "the session belongs to somebody else");
  } else if (h < a->acked || h > a->written || (!a->closing && is_stuck(a, h))) {
    refuse(newcomer, 4400, "PROTOCOL", "an impossible count, or a session that does not move");
    dop_node_end(holder, 4400, a->closing ? a->end_why : "protocol");
  } else if (a->closing) {
    a->settled = dop_lossless_settle(holder, h) == 0;
    dop_node_end(holder, 4001, a->end_why);
    answer_gone(newcomer, m->data, len);
  } else {
    take_over(holder, newcomer, n, h);
  }
}
