/* The counterexamples of a model check: V1 to V8 for dop.r1, P1 to P3 for plain DOP. Each shows
 * what a wrong reading of the wire would lose, deliver twice, or hand to somebody else. */
#include "proof/named.h"

#include <string.h>

static void v1(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  hand_say(h, "delivered");
  TOLD(w, SERVER, "delivered");
  stage_send(w, n, "one");
  stage_disconnect(w, n);
  HEARS(h, "one");
  HEARS(h, "^d1");
  /* It crossed the end: the peer may still deliver, and is not done. */
  hand_say(h, "^a0");
  hand_say(h, "^a1");
  TOLD(w, SERVER, "");
  CHECK(w, n->status == DOP_CONNECTED);
  hand_say(h, "^d1");
  TOLD(w, SERVER, "close 1000, disconnect local");

  /* And the answer of the other end is an end, though an acknowledgement is due. */
  struct hand *other = hand_session(w);
  hand_say(other, "one");
  hand_say(other, "^d0");
  HEARS(other, "^d1");
  HEARS(other, "close 1000");
}

static void v2(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_disconnect(w, server_node(w));
  HEARS(h, "^d0");
  hand_say(h, "late"); /* it crossed: the peer will learn from ^d0 that it was not delivered */
  TOLD(w, SERVER, "");
  hand_say(h, "^d0");
  TOLD(w, SERVER, "close 1000, disconnect local");
  HEARS(h, "close 1000");
}

static void v3(struct stage *w) {
  struct hand *h = hand_session(w);
  hand_say(h, "theirs");
  TOLD(w, SERVER, "theirs");
  stage_send(w, server_node(w), "one");
  stage_send(w, server_node(w), "two");
  stage_disconnect(w, server_node(w));
  struct hand *late = hand_resume(h, 1, 1);
  HEARS(late, "^x1 d");
  TOLD(w, SERVER, "open, close 4001, disconnect local (two undelivered)");
}

static void v4(struct stage *w) {
  struct hand *h = hand_client(w);
  HEARS(h, "half");
  hand_say(h, "half");
  hand_name(h);
  hand_lose(h);
  forget_log(w);
  /* The first attempt never arrived. */
  struct hand *second = hand_resume(h, 2, 0);
  HEARS(second, "^r2 0");
  TOLD(w, SERVER, "open, connect");
}

static void v5(struct stage *w) {
  struct hand *h = hand_client(w);
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "half");
  hand_name(h);
  forget_log(w);
  /* The client's side of that socket is dead, which the server does not know. */
  struct hand *second = hand_resume(h, 1, 0);
  HEARS(second, "^r1 0");
  HEARS(h, "close 4001");
  TOLD(w, SERVER, "open, close 4001, connect");
}

static void v6(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_send(w, server_node(w), "one");
  for (unsigned n = 1; n <= 3; n++) {
    h = hand_resume(h, n, 0);
    HEARS(h, n == 1 ? "^r1 0" : n == 2 ? "^r2 0" : "^r3 0");
    HEARS(h, LIMITS);
    HEARS(h, "one");
    hand_say(h, LIMITS);
  }
  forget_log(w);
  hand_say(h, "delivered");
  TOLD(w, SERVER, "delivered");
  /* And from the peer: it may not speak before it has said them again. */
  h = hand_resume(h, 4, 1);
  HEARS(h, "^r4 1");
  HEARS(h, LIMITS);
  hand_say(h, "too early");
  HEARS(h, "close 4400");
}

static void v7(struct stage *w) {
  struct hand *h = hand_host(w);
  stage_send(w, client_node(w), "one");
  hand_lose(h);
  struct hand *next = hand_asked(h);
  SILENT(next); /* the half is not answered ... */
  hand_say(next, "^x");
  HEARS(next, "half"); /* ... but kept: a fresh one is said twice at once */
  CHECK(w, strcmp(next->theirs, h->theirs) != 0);
  HEARS(next, "half");
  SILENT(next);
  hand_say(next, "half");
  hand_name(next);
  HEARS(next, LIMITS);
  CHECK(w, client_node(w)->status == DOP_CONNECTED);
  CHECK(w, dop_token_is(client_node(w)->token, next->token, strlen(next->token)));
  TOLD(w, CLIENT,
       "close 1006, reconnecting, down, open, disconnect unknown (one unknown), connect");
}

static void drop_at_once(struct stage *w, struct dop_node *n) {
  (void)w;
  dop_node_drop(n, 0);
}

static void v8(struct stage *w) {
  struct hand *h = hand_host(w);
  stage_pause(w, client_node(w), 1);
  hand_say(h, "one");
  hand_say(h, "two");
  TOLD(w, CLIENT, "");
  hand_lose(h);
  TOLD(w, CLIENT, "close 1006, reconnecting, down");
  /* What was read on the old socket and not handed out is not counted, and never handed out. */
  struct hand *next = hand_asked(h);
  hand_say(next, "^r1 0");
  HEARS(next, LIMITS);
  hand_say(next, LIMITS);
  TOLD(w, CLIENT, "open, reconnect");
  hand_say(next, "one");
  hand_say(next, "two");
  TOLD(w, CLIENT, "one, two");

  /* What was not even parsed is as little heard: the handler of the first gave up the socket. */
  w->on_message = drop_at_once;
  hand_cork(next);
  hand_say(next, "three");
  hand_say(next, "four");
  hand_give(next);
  w->on_message = NULL;
  TOLD(w, CLIENT, "three, close 0, reconnecting, down");
  next = hand_server(w);
  memcpy(next->token, h->token, sizeof next->token);
  HEARS(next, "T r 2 3");
}

static void p1(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_host(w);
  hand_lose(h);
  struct hand *next = hand_server(w);
  memcpy(next->token, h->token, sizeof next->token);
  HEARS(next, "T");
  hand_say(next, "half");
  SILENT(next);
  hand_say(next, "T");
  SILENT(next);
  TOLD(w, CLIENT, "close 1006, reconnecting, down, open, reconnect");
}

/* A newcomer that presents the token of `h`. */
static struct hand *claim(struct hand *h) {
  struct hand *newcomer = hand_client(h->stage);
  HEARS(newcomer, "half");
  memcpy(newcomer->token, h->token, sizeof h->token);
  hand_say(newcomer, "T");
  return newcomer;
}

static void p2(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_session(w);
  struct hand *older = claim(h);
  CHECK(w, strncmp(hand_take(h), "ping ", 5) == 0);
  stage_wait(w, 500);
  struct hand *newer = claim(h);
  HEARS(older, "close 1013");
  SILENT(newer);
  stage_wait(w, 1499);
  SILENT(newer);
  stage_wait(w, 1); /* the probe of the older one counts for the newer */
  HEARS(newer, "T");
  HEARS(h, "end");
  TOLD(w, SERVER, "open, open, close 1013, close 0, reconnecting, reconnect");
}

static void p3(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_session(w);
  struct hand *newcomer = claim(h);
  CHECK(w, strncmp(hand_take(h), "ping ", 5) == 0);
  /* Bytes that were under way when the socket died, and pongs nobody asked for. */
  hand_say(h, "old data");
  hand_frame(h, DOP_WS_OP_PONG, "", 0);
  hand_frame(h, DOP_WS_OP_PONG, "12345678", 8);
  hand_frame(h, DOP_WS_OP_PONG, h->payload, h->payload_len - 1);
  SILENT(newcomer);
  stage_wait(w, 2000);
  HEARS(newcomer, "T");

  /* Only the very pong saves the holder. */
  struct hand *second = claim(newcomer);
  CHECK(w, strncmp(hand_take(newcomer), "ping ", 5) == 0);
  hand_frame(newcomer, DOP_WS_OP_PONG, newcomer->payload, newcomer->payload_len);
  HEARS(second, "close 1013");
  hand_say(newcomer, "goes on");
  TOLD(w, SERVER, "open, old data, close 0, reconnecting, reconnect, open, close 1013, goes on");
}

const struct named named_counterexamples[] = {
    {"V1", "an acknowledgement is no answer to an end", v1},
    {"V2", "nothing is delivered after one's own end", v2},
    {"V3", "a late resume settles a closing session", v3},
    {"V4", "any attempt confirms a half-confirmed session, not only the first", v4},
    {"V5", "a session can come back before the server noticed the death of its socket", v5},
    {"V6", "the limits come first on every socket, not only on the first", v6},
    {"V7", "a resuming client keeps the half that it hears, and answers nothing", v7},
    {"V8", "a client hears nothing of the old socket once it has said what it received", v8},
    {"P1", "a client says T once, not again after the half", p1},
    {"P2", "the newer of two newcomers wins the probe", p2},
    {"P3", "only the pong with the probe's bytes saves the holder", p3},
    {0},
};
