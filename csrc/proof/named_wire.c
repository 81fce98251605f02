/* The grammar and the checks of dop.r1 on a CONNECTED socket: what is refused, with which code, and
 * what is not. */
#include "proof/named.h"

#include <stdio.h>
#include <string.h>

static void limits_first(struct stage *w) {
  static const char *const others[] = {"data", "^a0", "^d0", "^mdata", "^x", "^r1 0"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    struct hand *h = hand_opened(w, LIMITS);
    hand_say(h, "%s", others[i]);
    HEARS(h, "close 4400");
    TOLD(w, SERVER, "close 4400, disconnect protocol");
  }
  struct hand *h = hand_opened(w, LIMITS);
  hand_frame(h, DOP_WS_OP_BINARY, "data", 4);
  HEARS(h, "close 4400");
}

static void limits_once(struct stage *w) {
  struct hand *h = hand_session(w);
  hand_say(h, LIMITS);
  HEARS(h, "close 4400");
  TOLD(w, SERVER, "close 4400, disconnect protocol");
}

static void limits_never_shrink(struct stage *w) {
  static const char *const smaller[] = {
      "^p59999 1048576 1048576 1024", "^p60000 1048575 1048576 1024",
      "^p60000 1048576 1048575 1024", "^p60000 1048576 1048576 1023"};
  for (size_t i = 0; i < 4; i++) {
    struct hand *h = hand_resume(hand_session(w), 1, 0);
    HEARS(h, "^r1 0");
    HEARS(h, LIMITS);
    forget_log(w);
    hand_say(h, "%s", smaller[i]);
    HEARS(h, "close 4400");
    TOLD(w, SERVER, "close 4400, disconnect protocol");
  }
  struct hand *h = hand_resume(hand_session(w), 1, 0);
  HEARS(h, "^r1 0");
  HEARS(h, LIMITS);
  forget_log(w);
  hand_say(h, "^p60001 1048577 1048577 1025"); /* they may grow */
  hand_say(h, "fine");
  TOLD(w, SERVER, "fine");
}

static void limits_not_zero(struct stage *w) {
  static const char *const zero[] = {"^p60000 0 1048576 1024", "^p60000 1048576 1048576 0"};
  for (size_t i = 0; i < 2; i++) {
    struct hand *h = hand_opened(w, LIMITS);
    hand_say(h, "%s", zero[i]);
    HEARS(h, "close 4400");
  }
}

/* One that has written three messages, two of which are acknowledged. */
static struct hand *two_of_three(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_send(w, server_node(w), "one");
  stage_send(w, server_node(w), "two");
  stage_send(w, server_node(w), "three");
  HEARS(h, "one");
  HEARS(h, "two");
  HEARS(h, "three");
  hand_say(h, "^a2");
  CHECK(w, dop_node_unacked(server_node(w)) == 1);
  return h;
}

static void impossible_counts(struct stage *w) {
  static const char *const counts[] = {"^a4", "^a1", "^a0", "^d4", "^d1"};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    struct hand *h = two_of_three(w);
    hand_say(h, "%s", counts[i]);
    HEARS(h, "close 4400");
    TOLD(w, SERVER, "close 4400, disconnect protocol (three unknown)");
  }
  static const uint64_t resumed[] = {4, 1};
  for (size_t i = 0; i < 2; i++) {
    struct hand *h = two_of_three(w);
    hand_lose(h);
    forget_log(w);
    struct hand *next = hand_resume(h, 1, resumed[i]);
    HEARS(next, "close 4400");
    TOLD(w, SERVER, "open, close 4400, disconnect protocol (three unknown)");
  }
  /* The edges are right: nothing more, and everything. */
  struct hand *h = two_of_three(w);
  hand_say(h, "^a2");
  hand_say(h, "^a3");
  SILENT(h);
  CHECK(w, dop_node_unacked(server_node(w)) == 0);
}

static void canonical_integers(struct stage *w) {
  static const char *const wrong[] = {"^a",
                                      "^a00",
                                      "^a01",
                                      "^a+0",
                                      "^a-0",
                                      "^a-1",
                                      "^a 0",
                                      "^a0 ",
                                      "^a0x",
                                      "^a0.0",
                                      "^ax",
                                      "^a9007199254740992",
                                      "^a18446744073709551616",
                                      "^d",
                                      "^d00",
                                      "^d0 0",
                                      "^A0",
                                      "^z",
                                      "^"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct hand *h = hand_session(w);
    hand_say(h, "%s", wrong[i]);
    HEARS(h, "close 4400");
    TOLD(w, SERVER, "close 4400, disconnect protocol");
  }
  static const char *const limits[] = {
      "^p",         "^p1 1 1",     "^p1 1 1 01", "^p1 1 1 1 ",
      "^p1  1 1 1", "^p1 1 1 1 1", "^p 1 1 1 1", "^p1 1 1 9007199254740992",
      "^p-1 1 1 1"};
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    struct hand *h = hand_opened(w, LIMITS);
    hand_say(h, "%s", limits[i]);
    HEARS(h, "close 4400");
  }
  struct hand *h = hand_opened(w, LIMITS);
  hand_say(h, "^p0 1 0 9007199254740991");
  hand_say(h, "^a0");
  SILENT(h);
}

static void answers_out_of_place(struct stage *w) {
  static const char *const texts[] = {"^r1 0", "^x", "^x0", "^x0 d", "^x d"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct hand *h = hand_session(w);
    hand_say(h, "%s", texts[i]);
    HEARS(h, "close 4400");
  }
}

static void literals(struct stage *w) {
  struct hand *h = hand_session(w);
  hand_say(h, "^m^a9");
  hand_say(h, "^mneedless");
  hand_say(h, "^m");
  hand_say(h, "^m^mtwice");
  TOLD(w, SERVER, "^a9, needless, (empty), ^mtwice");
  hand_frame(h, DOP_WS_OP_BINARY,
             "\x10"
             "a9",
             3);
  TOLD(w, SERVER, "binary ^a9");
  char escaped[600];
  snprintf(escaped, sizeof escaped, "^m%s", h->token);
  hand_say(h, "%s", escaped);
  TOLD(w, SERVER, escaped + 2);

  struct dop_node *n = server_node(w);
  stage_send(w, n, h->token);
  HEARS(h, escaped);
  stage_send(w, n, "^a9");
  HEARS(h, "^m^a9");
  stage_send(w, n, "^");
  HEARS(h, "^m^");
  stage_send(w, n, "plain");
  HEARS(h, "plain");
  static const char marked[] = {'\x10', 'a', '9'};
  CHECK(w, stage_send_binary(w, n, marked, sizeof marked) == DOP_SENT);
  HEARS(h, "binary ^a9");
}

static void bare_token(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_send(w, server_node(w), "one");
  HEARS(h, "one");
  hand_say(h, "T");
  HEARS(h, "close 1000");
  TOLD(w, SERVER, "close 1000, disconnect peer (one unknown)");
}

static void dialects_stay_apart(struct stage *w) {
  struct hand *h = hand_session(w);
  hand_lose(h);
  forget_log(w);
  static const char *const offers[] = {"dop, dop.r1", "dop"};
  for (size_t i = 0; i < 2; i++) {
    struct hand *bare = hand_dial(w, offers[i], NULL);
    HEARS(bare, "half");
    memcpy(bare->token, h->token, sizeof h->token);
    hand_say(bare, "T");
    HEARS(bare, "close 1008");
    TOLD(w, SERVER, "open, close 1008");
  }
  struct hand *plain = hand_dial(w, "dop", NULL); /* where there is no such message */
  HEARS(plain, "half");
  memcpy(plain->token, h->token, sizeof h->token);
  hand_say(plain, "T r 1 0");
  HEARS(plain, "close 1008");
  struct hand *next = hand_resume(h, 1, 0);
  HEARS(next, "^r1 0");

  /* A resumption of a session of plain DOP. */
  struct hand *p = hand_dial(w, "dop", NULL);
  HEARS(p, "half");
  hand_say(p, "half");
  HEARS(p, "half");
  hand_say(p, "half");
  hand_name(p);
  struct hand *wrong = hand_resume(p, 1, 0);
  HEARS(wrong, "close 1008");
  forget_log(w);
  hand_say(p, "goes on");
  TOLD(w, SERVER, "goes on");
}

static void malformed_first(struct stage *w) {
  static const char *const texts[] = {"T r",
                                      "T r 1",
                                      "T r 1 ",
                                      "T r 01 0",
                                      "T r 1 00",
                                      "T r +1 0",
                                      "T r 1 -0",
                                      "T  r 1 0",
                                      "T r  1 0",
                                      "T r 1  0",
                                      "T r 1 0 ",
                                      "T r 1 0 0",
                                      "T x 1 0",
                                      "T R 1 0",
                                      "T r 9007199254740992 0",
                                      "T r 1 9007199254740992",
                                      " r 1 0",
                                      "T ",
                                      "^r1 0",
                                      "^x",
                                      "short",
                                      "^p1 1 1 1"};
  struct hand *h = hand_session(w);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct hand *bad = hand_client(w);
    HEARS(bad, "half");
    memcpy(bad->token, h->token, sizeof h->token);
    forget_log(w);
    hand_say(bad, "%s", texts[i]);
    HEARS(bad, "close 1008");
    TOLD(w, SERVER, "close 1008");
  }
  hand_say(h, "goes on");
  TOLD(w, SERVER, "goes on");
  hand_lose(h);
  HEARS(hand_resume(h, 1, 0), "^r1 1");
}

static void too_large(struct stage *w) {
  w->limits.max_message = 70000;
  struct hand *h = hand_opened(w, "^p60000 70000 1048576 1024");
  hand_say(h, "^p60000 5000 1048576 1024");
  forget_log(w);
  struct dop_node *n = server_node(w);
  CHECK(w, stage_send_long(w, n, 5000) == DOP_SENT);
  CHECK(w, stage_send_long(w, n, 5001) == DOP_SEND_TOOLARGE);
  hand_say_long(h, 70000);
  TOLD(w, SERVER, "70000 bytes");
  HEARS(h, "5000 bytes");
  static char literal[70003] = "\x10m"; /* the escape is no part of the payload */
  memset(literal + 2, 'x', 70000);
  hand_frame(h, DOP_WS_OP_TEXT, literal, 70002);
  TOLD(w, SERVER, "70000 bytes");
  hand_say_long(h, 70001);
  HEARS(h, "^a2"); /* before it closes */
  HEARS(h, "close 1009");
  TOLD(w, SERVER, "close 1009, disconnect protocol (5000 bytes unknown)");
}

/* What was accepted before the peer said its limit may be longer than that: no end closes on it. */
static void small_limit(struct stage *w) {
  w->limits.max_message = 1000;
  struct hand *h = hand_opened(w, "^p60000 1000 1048576 1024");
  struct dop_node *n = server_node(w);
  CHECK(w, stage_send_long(w, n, 65536) == DOP_SENT);
  HEARS(h, "65536 bytes");
  hand_say(h, "^p60000 1000 1048576 1024");
  CHECK(w, stage_send_long(w, n, 1001) == DOP_SEND_TOOLARGE);
  hand_lose(h);
  h = hand_resume(h, 1, 0);
  HEARS(h, "^r1 0");
  HEARS(h, "^p60000 1000 1048576 1024");
  HEARS(h, "65536 bytes"); /* written again, though the limit is known now */
  hand_say(h, "^p60000 1000 1048576 1024");
  forget_log(w);
  hand_say_long(h, 65536);
  TOLD(w, SERVER, "65536 bytes");
  hand_say_long(h, 65537);
  HEARS(h, "^a1");
  HEARS(h, "close 1009");
}

/* Before the peer's limit is known, what every end accepts may be sent, and no more. */
static void unknown_limit(struct stage *w) {
  struct hand *h = hand_opened(w, LIMITS);
  struct dop_node *n = server_node(w);
  CHECK(w, stage_send_long(w, n, 65537) == DOP_SEND_TOOLARGE);
  CHECK(w, stage_send_long(w, n, 65536) == DOP_SENT);
  HEARS(h, "65536 bytes");
  hand_say(h, "^p60000 100000 1048576 1024");
  CHECK(w, stage_send_long(w, n, 100000) == DOP_SENT);
  HEARS(h, "100000 bytes");
}

/* What was accepted before there was a session may be longer: it waits for the peer's limit. */
static void waits_for_limit(struct stage *w) {
  struct hand *h = hand_server(w);
  CHECK(w, stage_send_long(w, client_node(w), 100000) == DOP_SENT);
  CHECK(w, stage_send(w, client_node(w), "behind it") == DOP_SENT);
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, LIMITS);
  SILENT(h);
  hand_say(h, "^p60000 100000 1048576 1024");
  HEARS(h, "100000 bytes");
  HEARS(h, "behind it");
}

/* Whoever relays the halves of two of his sockets to each other makes two equal tokens. */
static void taken(struct stage *w) {
  static const char half[] = "ServersOwnHalf22222222";
  for (int confirmed = 0; confirmed < 2; confirmed++) {
    dop_transport_inject_half(the_server(w), half, sizeof half - 1);
    dop_transport_inject_half(the_server(w), half, sizeof half - 1);
    struct hand *h = hand_client(w);
    HEARS(h, "half");
    snprintf(h->ours, sizeof h->ours, "ClientsHalf%05d", confirmed);
    hand_say(h, "half");
    HEARS(h, "half");
    hand_name(h);
    if (confirmed) {
      hand_say(h, "half");
      HEARS(h, LIMITS);
      hand_say(h, LIMITS);
    }
    struct hand *second = hand_client(w);
    HEARS(second, "half");
    forget_log(w);
    memcpy(second->ours, h->ours, sizeof h->ours);
    hand_say(second, "half");
    HEARS(second, "close 1008");
    TOLD(w, SERVER, "close 1008");
    SILENT(h);
    hand_lose(h);
    HEARS(hand_resume(h, 1, 0), "^r1 0");
  }
}

const struct named named_wire[] = {
    {"limits-first", "the limits are the first message on a socket, or it is 4400", limits_first},
    {"limits-once", "the limits a second time on a socket are 4400", limits_once},
    {"limits-shrink", "none of the limits becomes smaller within a session", limits_never_shrink},
    {"limits-zero", "a peer that takes nothing is none", limits_not_zero},
    {"counts", "a count above what was sent or below what was acknowledged is 4400",
     impossible_counts},
    {"integers", "an integer has one form, below 2^53", canonical_integers},
    {"out-of-place", "an answer to a resumption on a CONNECTED socket is 4400",
     answers_out_of_place},
    {"literals", "what reads as an instruction goes behind an escape, a needless one is taken",
     literals},
    {"bare-token", "a bare T is a formal end that settles nothing", bare_token},
    {"dialects", "a session keeps its dialect: T on the other's socket is 1008 and touches nothing",
     dialects_stay_apart},
    {"malformed", "a malformed first message is 1008 and touches no session", malformed_first},
    {"too-large", "a message above the receiver's limit is refused by either end", too_large},
    {"small-limit", "every end takes 65,536 bytes, also one whose limit is smaller", small_limit},
    {"unknown-limit", "65,536 bytes may be sent before the peer's limit is known", unknown_limit},
    {"waits-for-limit", "a longer one that was accepted before waits for that limit",
     waits_for_limit},
    {"taken", "halves that make the token of another session are refused, the holder stays", taken},
    {0},
};
