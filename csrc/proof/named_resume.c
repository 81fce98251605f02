/* How a server's session of dop.r1 comes back on another socket: the order of the checks, what
 * changes nothing, what is written again, and what ends it. */
#include "proof/named.h"

#include <stdio.h>
#include <string.h>

static void stale(struct stage *w) {
  struct hand *h = hand_resume(hand_session(w), 5, 0);
  RESUMED(h, "^r5 0");
  forget_log(w);
  static const unsigned old[] = {5, 4, 0};
  for (size_t i = 0; i < 3; i++) { /* CONNECTED: the holder notices nothing */
    HEARS(hand_resume(h, old[i], 0), "close 4409");
    TOLD(w, SERVER, "open, close 4409");
    SILENT(h);
  }
  hand_say(h, "one");
  TOLD(w, SERVER, "one");
  hand_lose(h); /* RECONNECTING */
  HEARS(hand_resume(h, 5, 1), "close 4409");
  struct hand *next = hand_resume(h, 6, 0);
  RESUMED(next, "^r6 1");
  stage_send(w, server_node(w), "mine");
  stage_disconnect(w, server_node(w)); /* closing */
  forget_log(w);
  HEARS(hand_resume(h, 6, 1), "close 4409");
  TOLD(w, SERVER, "open, close 4409");
  HEARS(next, "mine");
  HEARS(next, "^d1");
  hand_say(next, "^d1");
  TOLD(w, SERVER, "close 1000, disconnect local");

  /* Half-confirmed: no attempt is number 0. */
  struct hand *half = hand_client(w);
  HEARS(half, "half");
  hand_say(half, "half");
  HEARS(half, "half");
  hand_name(half);
  HEARS(hand_resume(half, 0, 0), "close 4409");
  HEARS(hand_resume(half, 1, 0), "^r1 0");
}

static void order_of_checks(struct stage *w) {
  struct hand *h = hand_session_of(w, "alice");
  hand_lose(h);
  h = hand_resume_as(h, 3, 0, "alice");
  RESUMED(h, "^r3 0");
  HEARS(hand_resume_as(h, 3, 9, "mallory"), "close 4409"); /* n first */
  HEARS(hand_resume_as(h, 4, 9, "mallory"), "close 4403"); /* then who it is */
  hand_say(h, "untouched");
  HEARS(hand_resume_as(h, 3, 9, "alice"), "close 4409");
  forget_log(w);
  HEARS(hand_resume_as(h, 4, 9, "alice"), "close 4400"); /* h last, and that ends the session */
  TOLD(w, SERVER, "open, close 4400, close 4400, disconnect protocol");
}

static void thief(struct stage *w) {
  struct hand *h = hand_session_of(w, "alice");
  static const char *const others[] = {"mallory", NULL, "alic", "alicia"};
  forget_log(w);
  for (size_t i = 0; i < 4; i++) {
    HEARS(hand_resume_as(h, 7, 0, others[i]), "close 4403");
    TOLD(w, SERVER, "open, close 4403");
  }
  hand_say(h, "goes on");
  TOLD(w, SERVER, "goes on");
  hand_lose(h);
  HEARS(hand_resume_as(h, 1, 0, "alice"), "^r1 1"); /* 7 was not taken for an attempt */
  struct hand *nobodys = hand_session(w);
  HEARS(hand_resume_as(nobodys, 1, 0, "mallory"), "close 4403");
}

/* Somebody presents the token of a session of plain DOP. */
static struct hand *present(struct hand *h, const char *principal) {
  struct hand *other = hand_dial(h->stage, "dop", principal);
  HEARS(other, "half");
  memcpy(other->token, h->token, sizeof h->token);
  hand_say(other, "T");
  return other;
}

static void thief_of_plain(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_session_of(w, "alice");
  HEARS(present(h, "mallory"), "close 1008");
  SILENT(h); /* no probe: the holder notices nothing */
  hand_lose(h);
  HEARS(present(h, "mallory"), "close 1008");
  HEARS(present(h, NULL), "close 1008");
  HEARS(present(h, "alice"), "T");
}

static void keep_asker(struct stage *w, struct dop_node *n, enum dop_event_type type) {
  if (type != DOP_EVENT_PRINCIPAL) return;
  w->asker = n;
  dop_node_ref(n);
}

/* The application is asked whether two principals are one, and takes its time. */
static struct hand *asked_about(struct hand *h, unsigned n, const char *principal) {
  struct stage *w = h->stage;
  the_server(w)->ask_principal = 1;
  w->on_event = keep_asker;
  w->asker = NULL;
  struct hand *next = hand_resume_as(h, n, 0, principal);
  CHECK(w, w->asker);
  SILENT(next);
  return next;
}

static void decide(struct stage *w, int same) {
  dop_node_decide(w->asker, same);
  dop_node_unref(w->asker);
  stage_turn(w);
}

static void another_name(struct stage *w) {
  struct hand *h = hand_session_of(w, "alice");
  struct hand *next = asked_about(h, 1, "al");
  decide(w, 0);
  HEARS(next, "close 4403");
  next = asked_about(h, 1, "alice@home");
  decide(w, 1);
  HEARS(next, "^r1 0");
  HEARS(h, "close 4001");
  h = next;
  /* What was asked is looked at again when the answer comes. */
  struct hand *slow = asked_about(h, 2, "alice@work");
  struct hand *owner = hand_resume_as(h, 3, 0, "alice");
  HEARS(owner, "^r3 0");
  decide(w, 1);
  HEARS(slow, "close 4409");
}

static void impatient(struct stage *w) {
  struct hand *h = hand_session_of(w, "alice");
  struct hand *next = asked_about(h, 1, "al");
  hand_say(next, "half");
  HEARS(next, "close 1008");
  decide(w, 1);
  SILENT(h);
  forget_log(w);
  hand_say(h, "goes on");
  TOLD(w, SERVER, "goes on");
}

static void once_a_socket(struct stage *w) {
  struct hand *h = hand_session(w);
  struct hand *other = hand_client(w);
  HEARS(other, "half");
  hand_say(other, "NoSuchSessionNoSuchSession r 1 0");
  HEARS(other, "^x");
  memcpy(other->token, h->token, sizeof h->token);
  hand_say(other, "T r 1 0");
  HEARS(other, "close 1008");
  SILENT(h);
}

static void anew_after_gone(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_kill_server(w);
  struct hand *next = hand_resume(h, 1, 0);
  HEARS(next, "^x");
  hand_say(next, "half");
  HEARS(next, "half");
  hand_say(next, "half");
  HEARS(next, LIMITS);
  TOLD(w, SERVER, "open, connect");
}

static void idle_cuts(struct stage *w) {
  struct hand *h = hand_session(w);
  char answer[32];
  for (unsigned n = 1; n <= 20; n++) {
    if (n % 2) hand_lose(h);
    h = hand_resume(h, n, 0);
    snprintf(answer, sizeof answer, "^r%u 0", n);
    RESUMED(h, answer);
  }
  forget_log(w);
  hand_say(h, "alive");
  TOLD(w, SERVER, "alive");
}

/* `times` resumptions from attempt n + 1 on, each of which is answered with the same message. */
static struct hand *stuck(struct hand *h, unsigned *n, int times) {
  char answer[32];
  while (times--) {
    h = hand_resume(h, ++*n, 0);
    snprintf(answer, sizeof answer, "^r%u 0", *n);
    HEARS(h, answer);
    HEARS(h, LIMITS);
    HEARS(h, "one");
  }
  return h;
}

static void stuck_ends(struct stage *w) {
  struct hand *h = hand_session(w);
  unsigned n = 0;
  stage_send(w, server_node(w), "one");
  h = stuck(h, &n, 9);
  hand_lose(h);
  forget_log(w);
  HEARS(hand_resume(h, ++n, 0), "close 4400");
  TOLD(w, SERVER, "open, close 4400, disconnect protocol (one unknown)");
}

/* A closing session is settled, however often it came back before. */
static void stuck_and_closing(struct stage *w) {
  struct hand *h = hand_session(w);
  unsigned n = 0;
  stage_send(w, server_node(w), "one");
  h = stuck(h, &n, 9);
  stage_disconnect(w, server_node(w));
  forget_log(w);
  HEARS(hand_resume(h, ++n, 0), "^x0 d");
  TOLD(w, SERVER, "open, close 4001, disconnect local (one undelivered)");
}

static void moving_goes_on(struct stage *w) {
  struct hand *h = hand_session(w);
  char answer[32];
  unsigned n = 0;
  stage_send(w, server_node(w), "one");
  h = stuck(h, &n, 9);
  hand_say(h, LIMITS);
  hand_say(h, "a message from the peer moves");
  for (int i = 0; i < 9; i++) {
    h = hand_resume(h, ++n, 0);
    snprintf(answer, sizeof answer, "^r%u 1", n);
    HEARS(h, answer);
  }
  HEARS(h, LIMITS);
  HEARS(h, "one");
  hand_say(h, LIMITS);
  stage_send(w, server_node(w), "two");
  hand_say(h, "^a1"); /* and so does an acknowledgement */
  for (int i = 0; i < 9; i++) {
    h = hand_resume(h, ++n, 1);
    snprintf(answer, sizeof answer, "^r%u 1", n);
    HEARS(h, answer);
  }
  h = hand_resume(h, ++n, 2); /* and the count of a resumption */
  snprintf(answer, sizeof answer, "^r%u 1", n);
  RESUMED(h, answer);
  SILENT(h);
}

static void written_again(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  stage_send(w, n, "one");
  stage_send(w, n, "two");
  stage_send(w, n, "three");
  HEARS(h, "one");
  hand_lose(h);
  stage_send(w, n, "four");
  struct hand *next = hand_resume(h, 1, 1);
  HEARS(next, "^r1 0");
  HEARS(next, LIMITS);
  HEARS(next, "two");
  HEARS(next, "three");
  HEARS(next, "four");
  hand_say(next, LIMITS);
  stage_send(w, n, "five");
  HEARS(next, "five");
  SILENT(next);
  hand_say(next, "^a5");
  CHECK(w, dop_node_unacked(n) == 0);
}

/* Another socket resumes the session in the middle of a handler. */
static void resume_now(struct stage *w, struct dop_node *n) {
  (void)n;
  w->on_message = NULL;
  hand_say(w->other, "T r 1 0");
}

static void superseded(struct stage *w) {
  struct hand *h = hand_session(w), *next = hand_client(w);
  HEARS(next, "half");
  memcpy(next->token, h->token, sizeof h->token);
  w->other = next;
  w->on_message = resume_now;
  hand_cork(h);
  hand_say(h, "one");
  hand_say(h, "two");
  hand_say(h, "three");
  hand_give(h);
  HEARS(h, "close 4001");
  RESUMED(next, "^r1 1");
  hand_say(h, "old");
  TOLD(w, SERVER, "open, one, close 4001, reconnecting, reconnect");
  hand_say(next, "two");
  hand_say(next, "three");
  TOLD(w, SERVER, "two, three");
  stage_wait(w, 1000);
  HEARS(next, "^a3");
  hand_close(h, 4001);
  TOLD(w, SERVER, "");
  SILENT(next);
}

static void close_on_reconnect(struct stage *w, struct dop_node *n, enum dop_event_type type) {
  (void)n;
  if (type == DOP_EVENT_RECONNECT) dop_transport_close(the_server(w), 1001);
}

/* `^r` has said what was delivered: neither less nor again is said afterwards. */
static void told_by_resuming(struct stage *w) {
  struct hand *h = hand_session(w);
  for (int i = 0; i < 3; i++) hand_say(h, "m");
  h = hand_resume(h, 1, 0);
  RESUMED(h, "^r1 3");
  stage_wait(w, 5000);
  SILENT(h);
  for (int i = 0; i < 63; i++) hand_say(h, "m");
  SILENT(h);
  hand_say(h, "m");
  HEARS(h, "^a67");

  struct hand *next = hand_client(w);
  HEARS(next, "half");
  memcpy(next->token, h->token, sizeof h->token);
  hand_say(h, "m"); /* its acknowledgement is due in a second */
  hand_lose(h);
  hand_say(next, "T r 2 0");
  HEARS(next, "^r2 68");
  HEARS(next, LIMITS);
  stage_wait(w, 5000);
  SILENT(next);
}

/* The message that is with its handler while the session moves is counted by `^r`: it is not taken
 * back by what is said next. */
static void told_in_hand(struct stage *w) {
  struct hand *h = hand_session(w), *next = hand_client(w);
  HEARS(next, "half");
  memcpy(next->token, h->token, sizeof h->token);
  w->other = next;
  w->on_message = resume_now;
  w->on_event = close_on_reconnect;
  hand_say(h, "in hand");
  HEARS(next, "^r1 1");
  HEARS(next, LIMITS);
  HEARS(next, "close 1001");
}

const struct named named_resume[] = {
    {"stale", "an attempt that is not above the last is 4409 and changes nothing, in every state",
     stale},
    {"order", "first n is looked at, then the principal, then h", order_of_checks},
    {"thief", "another principal is 4403, the session is untouched", thief},
    {"another-name", "the application may say that two principals are one", another_name},
    {"impatient", "nothing may be said while it is asked", impatient},
    {"thief-plain", "in plain DOP another principal is 1008", thief_of_plain},
    {"one-a-socket", "a second resumption on a socket is 1008", once_a_socket},
    {"anew", "after ^x another session begins on the same socket", anew_after_gone},
    {"idle-cuts", "an idle session that is cut twenty times lives on", idle_cuts},
    {"stuck", "ten resumptions that move nothing end the session", stuck_ends},
    {"stuck-closing", "a closing session is settled all the same", stuck_and_closing},
    {"moving", "a session in which anything moves goes on", moving_goes_on},
    {"replay", "what the peer did not receive is written again, in order, then what is new",
     written_again},
    {"superseded", "nothing of the old socket is heard once another one has the session",
     superseded},
    {"told", "an answer to a resumption acknowledges", told_by_resuming},
    {"told-in-hand", "so it does for the message that is with its handler", told_in_hand},
    {0},
};
