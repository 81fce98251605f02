/* The messages of plain DOP: what a node says and what it makes of what it hears (docs/protocol.md,
 * section 1). Each function is one step of the protocol. Owns nothing. */
#include <string.h>

#include "session/lossless.h"
#include "session/node_private.h"

#define INSTRUCTION_MAX 1024 /* bytes of any message before CONNECTED */

/* Closes the socket with 1008 and leaves nothing registered: neither does a server's half-confirmed
 * session stay. A client that asked for a lossless session and hears rubbish gives the session up.
 */
static void refuse(struct dop_node *n, const char *why) {
  int client = n->transport->role == DOP_CLIENT;
  if (n->token && !n->connected && !client) {
    dop_directory_remove(&n->transport->directory, n);
    dop_account_free(n);
    dop_token_free(n->token);
    n->token = NULL;
  }
  dop_node_part(n->socket, n->account && client ? 4400 : 1008, "PROTOCOL", why);
}

/* Whoever relays the halves of two of his own sockets to each other makes two equal tokens: the
 * session that is there is not touched. */
static int is_taken(const struct dop_node *n, const struct dop_token *token) {
  return dop_directory_find(&n->transport->directory, token->text, token->len) != NULL;
}

/* The halves become the session's token (protocol, "Merge"), under which it is registered. 0, or
 * -1: the socket was given up. */
static int name_session(struct dop_node *n) {
  struct dop_transport *t = n->transport;
  struct dop_token *token = dop_token_merge(n->local, n->remote);
  if (token && is_taken(n, token)) {
    dop_token_free(token);
    refuse(n, "these halves make the token of another session");
    return -1;
  }
  n->token = token;
  if (token && (!n->socket->lossless || dop_account_open(n) == 0) &&
      dop_directory_add(&t->directory, n) == 0)
    return 0;
  dop_account_free(n);
  dop_token_free(token);
  n->token = NULL;
  dop_node_part(n->socket, 1011, "ENOMEM", "no memory for a session");
  return -1;
}

/* Both ends confirmed. */
static void connect_node(struct dop_node *n) {
  struct dop_transport *t = n->transport;
  if (!n->token && name_session(n)) return;
  dop_token_free(n->local);
  dop_token_free(n->remote);
  n->local = n->remote = NULL;
  n->connected = 1;
  n->since = t->engine->now;
  t->connects++;
  dop_node_set_status(n, DOP_CONNECTED, NULL);
  if (!dop_engine_event(t, n, DOP_EVENT_CONNECT, NULL)) {
    dop_node_untold(n);
    return;
  }
  n->socket->ops->connected(n->socket);
  if (!n->account || dop_lossless_begin(n) == 0) dop_node_pump(n);
}

/* A lossless session came to a server that speaks plain DOP only: it cannot go on there. One that
 * never was CONNECTED has lost nothing, and its node begins again. */
static void begin_plain(struct dop_node *n) {
  struct dop_socket *s = n->socket;
  struct dop_node *fresh = n;
  if (!n->connected) {
    if (dop_resume_let_go(n)) return;
  } else {
    fresh = dop_node_new(n->transport);
    if (!fresh) {
      dop_node_part(s, 1011, "ENOMEM", "no memory for a session");
      return;
    }
    dop_node_hand_over(n, fresh);
    fresh->status = DOP_OPEN;
    dop_node_end(n, 1000, "unknown");
  }
  if (fresh->status != DOP_OPEN) dop_node_set_status(fresh, DOP_OPEN, NULL);
  dop_node_say(fresh, fresh->local);
}

void dop_node_open(struct dop_node *n, struct dop_socket *s) {
  n->socket = s;
  n->socket_number = s->number;
  s->node = n;
  if (s->principal) {
    n->principal = s->principal; /* a server's node has one socket before it is a session's */
    s->principal = NULL;
  }
  dop_engine_event(n->transport, n, DOP_EVENT_OPEN, NULL);
  if (!n->account)
    dop_node_say(n, n->token ? n->token : n->local);
  else if (s->lossless)
    dop_resume_ask(n);
  else
    begin_plain(n);
}

/* Keeps the peer's half: PRECONNECTED. 0, or -1 when it was refused. */
static int take_half(struct dop_node *n, const struct dop_message *m) {
  if (!dop_token_half_ok(m->data, m->len, n->transport->limits.half_min)) {
    refuse(n, "a half is 16 to 256 bytes of printable ASCII without spaces");
    return -1;
  }
  /* An echo, or somebody who mirrors us, must not complete a session with ourselves. */
  if (dop_token_mirrors(n->token ? n->token : n->local, m->data, m->len)) {
    refuse(n, "the half is our own");
    return -1;
  }
  n->remote = dop_token_new(m->data, m->len);
  if (!n->remote) {
    dop_node_part(n->socket, 1011, "ENOMEM", "no memory for a half");
    return -1;
  }
  dop_node_set_status(n, DOP_PRECONNECTED, NULL);
  return 0;
}

/* A half on a lossless socket: from here on the session could come back by its token alone, so it
 * is registered before the half is answered. */
static void server_takes_half(struct dop_node *n, const struct dop_message *m) {
  if (take_half(n, m)) return;
  if (n->socket->lossless && name_session(n)) return;
  dop_node_say(n, n->local);
}

/* The bare token of a session of plain DOP. */
static void server_hears_token(struct dop_node *n, struct dop_node *holder,
                               const struct dop_message *m) {
  enum dop_may may = dop_node_may_have(holder, n, m);
  if (may == DOP_MAY_NOT)
    refuse(n, "the session belongs to somebody else");
  else if (may == DOP_MAY && holder->status == DOP_RECONNECTING)
    dop_node_adopt(holder, n);
  else if (may == DOP_MAY)
    dop_claim(holder, n);
}

void dop_node_hear_first(struct dop_node *n, const struct dop_message *m) {
  struct dop_node *holder = dop_directory_find(&n->transport->directory, m->data, m->len);
  uint64_t attempt, h;
  size_t len = n->socket->lossless ? dop_r1_parse_resume(m->data, m->len, &attempt, &h) : 0;
  if (len)
    dop_resume_hear(n, m, len, attempt, h);
  else if (holder && (holder->account || n->socket->lossless))
    refuse(n, "a session keeps its dialect");
  else if (n->claims)
    refuse(n, "nothing may be said while the session's holder is asked");
  else if (holder)
    server_hears_token(n, holder, m);
  else
    server_takes_half(n, m);
}

static void hears_confirmation(struct dop_node *n, const struct dop_message *m) {
  if (dop_token_is(n->remote, m->data, m->len)) {
    connect_node(n);
    return;
  }
  refuse(n, "the second message is not the half of the first");
}

/* The server does not know the session any more and took its token for a half: the old node ends, a
 * new one takes the socket and says T once more (protocol, "Reconnection that becomes a
 * connection"). */
static void begin_anew(struct dop_node *n) {
  struct dop_transport *t = n->transport;
  struct dop_socket *s = n->socket;
  struct dop_node *fresh = dop_node_new(t);
  struct dop_token *local = fresh ? dop_token_new(n->token->text, n->token->len) : NULL;
  if (!local) {
    if (fresh) dop_node_unlist(fresh);
    dop_node_part(s, 1011, "ENOMEM", "no memory for a session");
    return;
  }
  dop_token_free(fresh->local);
  fresh->local = local;
  dop_node_hand_over(n, fresh);
  dop_node_end(n, 1000, "unknown");
  if (dop_node_say(fresh, fresh->local) == 0) connect_node(fresh);
}

static void client_hears_answer(struct dop_node *n, const struct dop_message *m) {
  if (dop_token_is(n->token, m->data, m->len)) {
    dop_token_free(n->remote);
    n->remote = NULL;
    if (dop_node_resumed(n) == 0) dop_node_pump(n);
  } else if (dop_token_is(n->remote, m->data, m->len)) {
    begin_anew(n);
  } else {
    refuse(n, "the answer to a token is that token, or the same half again");
  }
}

void dop_node_delivered(struct dop_socket *s) {
  if (s->node && s->node->account) dop_lossless_delivered(s->node);
}

void dop_node_hold(struct dop_node *n) {
  if (n->account && n->account->in_hand) n->account->held = 1;
}

void dop_node_release(struct dop_node *n) {
  if (!n->account || !n->account->held) return;
  n->account->held = 0;
  dop_node_ref(n);
  dop_lossless_delivered(n);
  dop_node_unref(n);
}

void dop_node_undelivered(struct dop_socket *s) {
  if (s->node && s->node->account) dop_lossless_undelivered(s->node);
}

int dop_node_unpark(struct dop_socket *s, struct dop_message *m) {
  struct dop_node *n = s->node;
  if (s->paused || !n || !n->account || n->status != DOP_CONNECTED) return 0;
  if (!n->account->parked.count && !n->account->end_parked) return 0;
  dop_node_ref(n);
  int data = dop_lossless_unpark(n, m);
  dop_node_unref(n);
  return data;
}

int dop_node_hear(struct dop_socket *s, struct dop_message *m) {
  struct dop_node *n = s->node;
  if (!n) return 0;
  if (n->status == DOP_CONNECTED && n->account) return dop_lossless_hear(n, m);
  if (n->status == DOP_CONNECTED) {
    if (m->kind != DOP_TEXT || !dop_token_is(n->token, m->data, m->len)) return 1;
    struct dop_transport *t = n->transport;
    dop_node_end(n, 1000, "peer");
    if (t->role == DOP_CLIENT) dop_transport_finish(t);
    return 0;
  }
  dop_node_ref(n);
  if (m->kind != DOP_TEXT)
    refuse(n, "a binary message before the session is CONNECTED");
  else if (m->len > INSTRUCTION_MAX)
    refuse(n, "more than 1024 bytes before the session is CONNECTED");
  else if (n->status == DOP_PRECONNECTED && n->token && n->transport->role == DOP_CLIENT)
    n->account ? dop_resume_answer(n, m) : client_hears_answer(n, m);
  else if (n->status == DOP_PRECONNECTED)
    hears_confirmation(n, m);
  else if (n->token) /* RECONNECTING */
    take_half(n, m);
  else if (n->question)
    refuse(n, "nothing may be said while the application is asked whose session it is");
  else if (n->transport->role == DOP_SERVER)
    dop_node_hear_first(n, m);
  else if (take_half(n, m) == 0)
    dop_node_say(n, n->local);
  dop_node_unref(n);
  return 0;
}
