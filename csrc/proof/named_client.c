/* A client of dop.r1 whose server is a hand: attempts, answers, and what each close code does. */
#include "proof/named.h"

#include <stdio.h>
#include <string.h>

#include "session/lossless.h"

/* One message was written, the socket was lost, another was accepted, and the session asked for. */
static struct hand *asking(struct stage *w) {
  struct hand *h = hand_host(w);
  stage_send(w, client_node(w), "one");
  HEARS(h, "one");
  hand_lose(h);
  stage_send(w, client_node(w), "two");
  h = hand_asked(h);
  forget_log(w);
  SILENT(h); /* no data before the answer */
  return h;
}

static void attempts_grow(struct stage *w) {
  struct hand *h = hand_host(w);
  hand_say(h, "one");
  char wanted[32];
  for (unsigned n = 1; n <= 12; n++) {
    hand_lose(h);
    struct hand *next = hand_server(w);
    memcpy(next->token, h->token, sizeof h->token);
    snprintf(wanted, sizeof wanted, "T r %u 1", n);
    HEARS(next, wanted);
    h = next;
  }
  hand_say(h, "half");
  hand_say(h, "^r12 0");
  HEARS(h, LIMITS);
  hand_lose(h);
  struct hand *next = hand_server(w);
  memcpy(next->token, h->token, sizeof h->token);
  HEARS(next, "T r 13 1"); /* also after one that came through */
}

static void exhausted(struct stage *w) {
  struct hand *h = hand_host(w);
  client_node(w)->account->attempt = DOP_R1_MOST - 1;
  hand_lose(h);
  struct hand *next = hand_server(w);
  memcpy(next->token, h->token, sizeof h->token);
  HEARS(next, "T r 9007199254740991 0");
  hand_lose(next);
  forget_log(w);
  next = hand_server(w);
  HEARS(next, "close 1000");
  TOLD(w, CLIENT, "open, close 1000, down, disconnect exhausted");
  CHECK(w, client_node(w)->status == DOP_OPEN); /* another one, for another session */
}

static void resumed(struct stage *w) {
  struct hand *h = asking(w);
  hand_say(h, "^r1 0");
  HEARS(h, LIMITS);
  HEARS(h, "one");
  HEARS(h, "two");
  SILENT(h);
  hand_say(h, LIMITS);
  hand_say(h, "theirs");
  TOLD(w, CLIENT, "reconnect, theirs");
  hand_lose(h);
  h = hand_asked(h);
  hand_say(h, "^r2 2");
  HEARS(h, LIMITS);
  SILENT(h);
  CHECK(w, dop_node_unacked(client_node(w)) == 0);
}

static void wrong_answers(struct stage *w) {
  static const char *const answers[] = {"data",  "^a0",   "^d0",   "^p1 1 1 1", "^m",
                                        "^r2 0", "^r0 0", "^r1 2", "^r1",       "^r1 01",
                                        "^x01",  "^x1 e", "T",     "half"};
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    struct hand *h = asking(w);
    hand_say(h, "%s", answers[i]);
    HEARS(h, "close 4400");
    TOLD(w, CLIENT, "close 4400, disconnect protocol (one unknown, two unsent), down");
  }
  struct hand *h = asking(w);
  hand_frame(h, DOP_WS_OP_BINARY, "data", 4);
  HEARS(h, "close 4400");

  /* A count below what was acknowledged before. */
  h = hand_host(w);
  stage_send(w, client_node(w), "one");
  hand_say(h, "^a1");
  hand_lose(h);
  h = hand_asked(h);
  hand_say(h, "^r1 0");
  HEARS(h, "close 4400");
}

/* The client goes on with another session on the same socket. */
static void goes_on(struct hand *h) {
  HEARS(h, "half");
  HEARS(h, "half");
  hand_say(h, "half");
  hand_name(h);
  HEARS(h, LIMITS);
  hand_say(h, LIMITS);
}

static void gone(struct stage *w) {
  static const struct {
    const char *answer, *told;
  } cases[] = {
      {"^x", "disconnect unknown (one unknown, two unsent), connect"},
      {"^x0", "disconnect unknown (one undelivered, two unsent), connect"},
      {"^x1", "disconnect unknown (two unsent), connect"},
      {"^x2", "disconnect unknown (one unknown, two unsent), connect"}, /* it cannot be */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hand *h = asking(w);
    hand_say(h, "%s", cases[i].answer);
    goes_on(h);
    TOLD(w, CLIENT, cases[i].told);
    stage_send(w, client_node(w), "anew");
    HEARS(h, "anew");
    hand_lose(h);
    struct hand *next = hand_asked(h); /* so that the next case finds a fresh client */
    hand_say(next, "^x");
    goes_on(next);
    hand_close(next, 4400);
    forget_log(w);
  }
  /* Below what was acknowledged: it cannot be, either. */
  struct hand *h = hand_host(w);
  stage_send(w, client_node(w), "one");
  stage_send(w, client_node(w), "two");
  hand_say(h, "^a1");
  hand_lose(h);
  h = hand_asked(h);
  forget_log(w);
  hand_say(h, "^x0");
  TOLD(w, CLIENT, "disconnect unknown (two unknown)");
}

static void gone_by_application(struct stage *w) {
  struct hand *h = asking(w);
  hand_say(h, "^x0 d");
  HEARS(h, "close 1000");
  TOLD(w, CLIENT, "close 1000, disconnect peer (one undelivered, two unsent), over");
  CHECK(w, the_client(w)->closed);
}

static void gone_by_application_unknown(struct stage *w) {
  struct hand *h = asking(w);
  hand_say(h, "^x d");
  HEARS(h, "close 1000");
  TOLD(w, CLIENT, "close 1000, disconnect peer (one unknown, two unsent), over");
}

static void taken_by_another(struct stage *w) {
  struct hand *h = hand_host(w);
  stage_send(w, client_node(w), "one");
  hand_close(h, 4001);
  TOLD(w, CLIENT, "close 4001, disconnect taken (one unknown), over");
  CHECK(w, the_client(w)->closed);
}

/* --- close codes --- */

#define NONE 1006u /* the socket ends without a close frame */

static void end_socket(struct hand *h, unsigned code) {
  if (code == NONE)
    hand_lose(h);
  else if (code == 1005)
    hand_frame(h, DOP_WS_OP_CLOSE, "", 0);
  else
    hand_close(h, code);
}

static const unsigned ends_connected[] = {1002, 1003, 1007, 1009, 4400};
static const unsigned keeps_connected[] = {1000, 1001, 1005, NONE, 1008, 1011, 1012, 1013,
                                           1014, 3000, 4000, 4002, 4403, 4409, 4999};

static void codes_connected(struct stage *w) {
  char wanted[128];
  for (size_t i = 0; i < sizeof ends_connected / sizeof *ends_connected; i++) {
    struct hand *h = hand_host(w);
    stage_send(w, client_node(w), "one");
    end_socket(h, ends_connected[i]);
    snprintf(wanted, sizeof wanted, "close %u, disconnect protocol (one unknown), down",
             ends_connected[i]);
    TOLD(w, CLIENT, wanted);
    CHECK(w, client_node(w)->status == DOP_OPEN);
  }
  struct hand *h = hand_host(w);
  for (unsigned i = 0; i < sizeof keeps_connected / sizeof *keeps_connected; i++) {
    end_socket(h, keeps_connected[i]);
    snprintf(wanted, sizeof wanted, "close %u, reconnecting, down", keeps_connected[i]);
    TOLD(w, CLIENT, wanted);
    h = hand_asked(h);
    hand_say(h, "^r%u 0", i + 1);
    HEARS(h, LIMITS);
    hand_say(h, LIMITS);
    TOLD(w, CLIENT, "open, reconnect");
  }
}

static void codes_server(struct stage *w) {
  char wanted[128];
  for (size_t i = 0; i < sizeof ends_connected / sizeof *ends_connected; i++) {
    struct hand *h = hand_session(w);
    end_socket(h, ends_connected[i]);
    snprintf(wanted, sizeof wanted, "close %u, disconnect protocol", ends_connected[i]);
    TOLD(w, SERVER, wanted);
  }
  for (size_t i = 0; i < sizeof keeps_connected / sizeof *keeps_connected; i++) {
    struct hand *h = hand_session(w);
    end_socket(h, keeps_connected[i]);
    snprintf(wanted, sizeof wanted, "close %u, reconnecting", keeps_connected[i]);
    TOLD(w, SERVER, wanted);
    HEARS(hand_resume(h, 1, 0), "^r1 0");
  }
  /* That somebody took the session is for a server to say. */
  struct hand *h = hand_session(w);
  hand_close(h, 4001);
  TOLD(w, SERVER, "close 4001, reconnecting");
}

static void codes_before_answer(struct stage *w) {
  static const unsigned ends[] = {4400, 4403, 4409};
  static const unsigned keeps[] = {1000, 1001, 1002, 1003, 1005, NONE, 1007, 1008, 1009,
                                   1011, 1012, 1013, 1014, 3000, 4000, 4001, 4002, 4999};
  char wanted[128];
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    struct hand *h = asking(w);
    end_socket(h, ends[i]);
    snprintf(wanted, sizeof wanted, "close %u, disconnect protocol (one unknown, two unsent), down",
             ends[i]);
    TOLD(w, CLIENT, wanted);
    CHECK(w, client_node(w)->status == DOP_OPEN);
  }
  struct hand *h = asking(w);
  for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
    end_socket(h, keeps[i]);
    snprintf(wanted, sizeof wanted, "close %u, down", keeps[i]);
    TOLD(w, CLIENT, wanted);
    h = hand_asked(h);
    forget_log(w);
  }
  hand_say(h, "^r19 1");
  HEARS(h, LIMITS);
  HEARS(h, "two");
}

/* Before the half was heard, and when there was not even a socket. */
static void failed_attempts(struct stage *w) {
  struct hand *h = hand_host(w);
  hand_lose(h);
  struct hand *next = hand_server(w);
  memcpy(next->token, h->token, sizeof h->token);
  HEARS(next, "T r 1 0");
  hand_close(next, 4409);
  TOLD(w, CLIENT, "close 1006, reconnecting, down, open, close 4409, disconnect protocol, down");

  h = hand_host(w);
  hand_lose(h);
  forget_log(w);
  next = hand_server(w);
  memcpy(next->token, h->token, sizeof h->token);
  HEARS(next, "T r 1 0");
  stage_wait(w, 10000); /* nothing is answered */
  HEARS(next, "close 1013");
  TOLD(w, CLIENT, "open, close 1013, down");
  CHECK(w, client_node(w)->status == DOP_RECONNECTING);
}

/* --- before CONNECTED --- */

static struct hand *half_heard(struct stage *w) {
  struct hand *h = hand_server(w);
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "half");
  hand_name(h);
  return h;
}

static void asks_for_unconfirmed(struct stage *w) {
  struct hand *h = half_heard(w);
  stage_send(w, client_node(w), "queued");
  hand_lose(h);
  forget_log(w);
  struct hand *next = hand_server(w);
  memcpy(next->token, h->token, sizeof h->token);
  HEARS(next, "T r 1 0");
  hand_say(next, "half");
  hand_say(next, "^r1 0");
  HEARS(next, LIMITS);
  HEARS(next, "queued");
  TOLD(w, CLIENT, "open, connect");
}

static void begins_unconfirmed_again(struct stage *w) {
  struct hand *h = half_heard(w);
  stage_send(w, client_node(w), "queued");
  hand_lose(h);
  struct dop_node *n = client_node(w);
  struct hand *next = hand_asked(h);
  forget_log(w);
  hand_say(next, "^x");
  HEARS(next, "half");
  CHECK(w, strcmp(next->theirs, h->theirs) != 0);
  HEARS(next, "half");
  hand_say(next, "half");
  HEARS(next, LIMITS);
  HEARS(next, "queued"); /* nothing was lost, nothing ended */
  TOLD(w, CLIENT, "connect");
  CHECK(w, client_node(w) == n);
}

static void fresh_half_while_open(struct stage *w) {
  struct hand *h = hand_server(w);
  HEARS(h, "half");
  hand_lose(h);
  struct hand *next = hand_server(w);
  HEARS(next, "half");
  CHECK(w, strcmp(next->theirs, h->theirs) != 0);
}

/* --- dialects --- */

static void offers(struct stage *w) {
  struct hand *h = hand_host(w);
  CHECK(w, strcmp(h->offer, "dop, dop.r1") == 0);
  stage_send(w, client_node(w), "one");
  hand_lose(h);
  forget_log(w);
  /* A server that selects plain DOP cannot go on with the session. */
  struct hand *plain = hand_answer(w, "dop");
  CHECK(w, strcmp(plain->offer, "dop, dop.r1") == 0);
  HEARS(plain, "half");
  TOLD(w, CLIENT, "open, disconnect unknown (one unknown)");
  hand_say(plain, "half");
  HEARS(plain, "half");
  hand_say(plain, "half");
  SILENT(plain); /* no limits: this one is plain */
  hand_lose(plain);
  struct hand *next = hand_answer(w, "dop");
  CHECK(w, strcmp(next->offer, "dop") == 0); /* and stays so */
}

const struct named named_client[] = {
    {"attempts", "n grows with each attempt, for as long as the session lives", attempts_grow},
    {"exhausted", "an attempt that cannot be numbered ends the session", exhausted},
    {"resumed", "what was not received is written after ^r, nothing before", resumed},
    {"answers", "anything but the half and an answer before ^r is 4400", wrong_answers},
    {"gone", "^x settles by its count, one that cannot be tells nothing; a session begins anew",
     gone},
    {"gone-d", "after ^x with d the client makes no further attempt", gone_by_application},
    {"gone-bare-d", "so it is without a count", gone_by_application_unknown},
    {"taken-4001", "4001 on the client's socket: another holder has the session", taken_by_another},
    {"codes", "which close codes end a CONNECTED client's session", codes_connected},
    {"codes-server", "which close codes end a CONNECTED server's session", codes_server},
    {"codes-early", "which close codes end a session before ^r", codes_before_answer},
    {"failed", "an attempt that nobody answers keeps the session", failed_attempts},
    {"unconfirmed", "a client that heard the half asks for its session", asks_for_unconfirmed},
    {"unconfirmed-gone", "when that is not known, it begins again with its queue",
     begins_unconfirmed_again},
    {"fresh-half", "a client that heard nothing takes a fresh half", fresh_half_while_open},
    {"offers", "a session keeps its dialect, a server of the other one ends it", offers},
    {0},
};
