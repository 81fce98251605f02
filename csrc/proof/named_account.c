/* Counting, acknowledging, parking: a CONNECTED session of dop.r1. */
#include "proof/named.h"

#include <stdio.h>
#include <string.h>

#include "session/lossless.h"

static void say_many(struct hand *h, unsigned n) {
  for (unsigned i = 0; i < n; i++) hand_say(h, "m");
}

static void ack_by_number(struct stage *w) {
  struct hand *h = hand_session(w);
  say_many(h, 63);
  SILENT(h);
  say_many(h, 1);
  HEARS(h, "^a64");
  say_many(h, 63);
  SILENT(h);
  say_many(h, 1);
  HEARS(h, "^a128");
  /* A peer that may hold few is told early. */
  struct hand *few = hand_session_with(w, "^p60000 1048576 1048576 100");
  say_many(few, 24);
  SILENT(few);
  say_many(few, 1);
  HEARS(few, "^a25");
}

static void ack_by_bytes(struct stage *w) {
  struct hand *h = hand_session_with(w, "^p60000 1048576 4000 1024");
  hand_say_long(h, 999);
  SILENT(h);
  hand_say(h, "m");
  HEARS(h, "^a2");
  hand_say_long(h, 999); /* from zero again */
  SILENT(h);
  hand_say_long(h, 1000);
  HEARS(h, "^a4");
}

static void ack_by_time(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_wait(w, 5000);
  SILENT(h); /* never for nothing */
  hand_say(h, "one");
  stage_wait(w, 500);
  hand_say(h, "two");
  stage_wait(w, 499);
  SILENT(h);
  stage_wait(w, 1); /* a second from the first */
  HEARS(h, "^a2");
  stage_wait(w, 200);
  hand_say(h, "three");
  stage_wait(w, 999);
  SILENT(h);
  stage_wait(w, 1);
  HEARS(h, "^a3");
  stage_wait(w, 5000);
  SILENT(h);
  /* One that went by number takes the second back. */
  say_many(h, 64);
  HEARS(h, "^a67");
  stage_wait(w, 600);
  hand_say(h, "m");
  stage_wait(w, 999);
  SILENT(h);
  stage_wait(w, 1);
  HEARS(h, "^a68");
}

static void ack_before_close(struct stage *w) {
  struct hand *h = hand_session(w), *idle = hand_session(w);
  hand_say(h, "one");
  SILENT(h);
  dop_transport_close(the_server(w), 1001);
  stage_turn(w);
  HEARS(h, "^a1");
  HEARS(h, "close 1001");
  HEARS(idle, "close 1001");
}

static void close_in_handler(struct stage *w, struct dop_node *n) {
  (void)n;
  dop_transport_close(the_server(w), 1001);
}

static void ack_after_handler(struct stage *w) {
  struct hand *h = hand_session(w);
  hand_say(h, "one");
  w->on_message = close_in_handler;
  hand_say(h, "two");
  HEARS(h, "^a1"); /* the second is still with its handler */
  HEARS(h, "close 1001");
}

/* Neither an acknowledgement nor another instruction is counted or answered. */
static void only_data_counts(struct stage *w) {
  struct hand *h = hand_session(w);
  for (unsigned i = 0; i < 100; i++) hand_say(h, "^a0");
  hand_frame(h, DOP_WS_OP_PING, "", 0);
  HEARS(h, "pong");
  stage_wait(w, 2000);
  SILENT(h);
  hand_frame(h, DOP_WS_OP_BINARY, "", 0);
  hand_say(h, "text");
  stage_wait(w, 1000);
  HEARS(h, "^a2");
  TOLD(w, SERVER, "binary (empty), text");
}

static void full_and_drain(struct stage *w) {
  w->limits.queue_messages = 4;
  struct hand *h = hand_client(w);
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "^p60000 1048576 1048576 4");
  hand_say(h, LIMITS);
  forget_log(w);
  struct dop_node *n = server_node(w);
  for (int i = 0; i < 4; i++) CHECK(w, stage_send(w, n, "m") == DOP_SENT);
  CHECK(w, stage_send(w, n, "m") == DOP_SEND_FULL);
  hand_say(h, "^a1");
  TOLD(w, SERVER, "");
  hand_say(h, "^a2");
  TOLD(w, SERVER, "drain");
  CHECK(w, stage_send(w, n, "m") == DOP_SENT);
  hand_say(h, "^a4");
  TOLD(w, SERVER, ""); /* nobody was refused since */
}

/* Bytes are bounded, too; an empty queue takes any one message. */
static void full_by_bytes(struct stage *w) {
  w->limits.queue_bytes = 1000;
  struct hand *h = hand_client(w);
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "^p60000 1048576 1000 1024");
  hand_say(h, LIMITS);
  struct dop_node *n = server_node(w);
  forget_log(w);
  CHECK(w, stage_send_long(w, n, 5000) == DOP_SENT);
  CHECK(w, stage_send(w, n, "m") == DOP_SEND_FULL);
  hand_say(h, "^a1");
  TOLD(w, SERVER, "drain");
  CHECK(w, stage_send_long(w, n, 500) == DOP_SENT);
  CHECK(w, stage_send_long(w, n, 484) == DOP_SENT); /* with 8 bytes for each */
  CHECK(w, stage_send(w, n, "") == DOP_SEND_FULL);
}

static void parked(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  stage_pause(w, n, 1);
  hand_say(h, "one");
  hand_say(h, "two");
  stage_wait(w, 5000);
  SILENT(h);
  TOLD(w, SERVER, "");
  stage_pause(w, n, 0);
  TOLD(w, SERVER, "one, two");
  stage_wait(w, 1000);
  HEARS(h, "^a2");
  /* What is dropped with the socket comes again. */
  stage_pause(w, n, 1);
  hand_say(h, "three");
  struct hand *next = hand_resume(h, 1, 0);
  RESUMED(next, "^r1 2");
  hand_say(next, "three");
  TOLD(w, SERVER, "open, close 4001, reconnecting, reconnect, three");
}

static void drop_at_once(struct stage *w, struct dop_node *n) {
  w->on_message = NULL;
  dop_node_drop(n, 0);
}

/* A parked message counts once its handler was given it, also when that handler gives up the
 * socket; the next one is not mixed up with it. */
static void parked_handler_drops(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  stage_pause(w, n, 1);
  hand_say(h, "the first");
  hand_say(h, "second");
  w->on_message = drop_at_once;
  stage_pause(w, n, 0);
  h = hand_resume(h, 1, 0);
  RESUMED(h, "^r1 1");
  stage_pause(w, n, 1);
  hand_say(h, "second");
  stage_pause(w, n, 0);
  TOLD(w, SERVER, "the first, close 0, reconnecting, open, reconnect, second");
}

static void heard_while_paused(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  stage_send(w, n, "mine");
  HEARS(h, "mine");
  stage_pause(w, n, 1);
  hand_say(h, "parked");
  hand_say(h, "^a1");
  CHECK(w, dop_node_unacked(n) == 0);
  hand_frame(h, DOP_WS_OP_PING, "there?", 6);
  HEARS(h, "pong there?");
  stage_wait(w, 20000);
  HEARS(h, "ping");
  hand_frame(h, DOP_WS_OP_PONG, "", 0);
  stage_wait(w, 15000);
  CHECK(w, n->status == DOP_CONNECTED);
  TOLD(w, SERVER, "");
  /* The end waits behind what came before it. */
  hand_say(h, "^d1");
  SILENT(h);
  TOLD(w, SERVER, "");
  stage_pause(w, n, 0);
  TOLD(w, SERVER, "parked, close 1000, disconnect peer");
  HEARS(h, "^d1");
  HEARS(h, "close 1000");
}

static void end_while_paused(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_pause(w, server_node(w), 1);
  hand_say(h, "^d0"); /* nothing is parked: it is heard at once */
  HEARS(h, "^d0");
  HEARS(h, "close 1000");
  TOLD(w, SERVER, "close 1000, disconnect peer");
}

static void parked_too_much(struct stage *w) {
  struct hand *h = hand_session_with(w, "^p60000 1048576 1048576 4");
  stage_pause(w, server_node(w), 1);
  say_many(h, 4);
  SILENT(h);
  hand_say(h, "m");
  HEARS(h, "close 4400");
  TOLD(w, SERVER, "close 4400, disconnect protocol");

  h = hand_session_with(w, "^p60000 1048576 1000 1024");
  stage_pause(w, server_node(w), 1);
  hand_say_long(h, 500);
  hand_say_long(h, 500);
  SILENT(h);
  hand_say(h, "m");
  HEARS(h, "close 4400");
}

/* A client's session whose server was paused until it kept as much aside as it cares to. */
static struct hand *crammed_session(struct stage *w) {
  w->limits.queue_bytes = w->limits.max_message = 1000;
  struct hand *h = hand_opened(w, "^p60000 1000 1000 1024");
  hand_say(h, "^p60000 1048576 9007199254740991 9007199254740991");
  forget_log(w);
  stage_pause(w, server_node(w), 1);
  for (int i = 0; i < 50; i++) hand_say_long(h, 900);
  CHECK(w, !dop_link_reading(h->link)); /* the rest stays with the peer */
  CHECK(w, server_node(w)->account->parked.count == 3);
  return h;
}

static void crammed(struct stage *w) {
  struct hand *h = crammed_session(w);
  stage_pause(w, server_node(w), 0);
  stage_wait(w, 1000);
  CHECK(w, server_node(w)->account->received == 50);
  /* Pausing again, it hears what is no data as before. */
  stage_send(w, server_node(w), "mine");
  stage_pause(w, server_node(w), 1);
  hand_say(h, "^a1");
  CHECK(w, dop_node_unacked(server_node(w)) == 0);
}

/* What is kept aside is dropped by the end: the answer is heard, paused or not. */
static void crammed_end(struct stage *w) {
  struct hand *h = crammed_session(w);
  struct dop_node *n = server_node(w);
  stage_send(w, n, "mine");
  stage_disconnect(w, n);
  stage_pause(w, n, 1);
  CHECK(w, dop_link_reading(h->link));
  hand_say(h, "^d0");
  TOLD(w, SERVER, "close 1000, disconnect local (mine undelivered)");
}

/* What a slow socket did not take the second time was on the wire the first time: nobody knows
 * whether it arrived. */
static void written_stays_written(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  for (int i = 0; i < 3; i++) stage_send_long(w, n, 50000);
  for (int i = 0; i < 3; i++) HEARS(h, "50000 bytes");
  struct hand *next = hand_client(w);
  HEARS(next, "half");
  memcpy(next->token, h->token, sizeof h->token);
  next->slow = 1;
  hand_say(next, "T r 1 0");
  CHECK(w, dop_node_unacked(n) == 3);
  hand_lose(next);
  forget_log(w);
  stage_wait(w, 60000);
  TOLD(w, SERVER,
       "disconnect expired (50000 bytes unknown, 50000 bytes unknown, 50000 bytes unknown)");
}

/* Above the mark messages wait in the session, which a lost socket does not take along. */
static void unsent_is_unsent(struct stage *w) {
  struct hand *h = hand_session(w);
  h->slow = 1;
  struct dop_node *n = server_node(w);
  for (int i = 0; i < 3; i++) stage_send_long(w, n, 50000);
  CHECK(w, dop_node_unacked(n) == 2);
  hand_lose(h);
  forget_log(w);
  stage_wait(w, 60000);
  TOLD(w, SERVER,
       "disconnect expired (50000 bytes unknown, 50000 bytes unknown, 50000 bytes unsent)");
}

static void liveness(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_wait(w, 19999);
  SILENT(h);
  stage_wait(w, 1);
  HEARS(h, "ping");
  stage_wait(w, 5000);
  hand_say(h, "^a0"); /* any byte counts */
  stage_wait(w, 19999);
  SILENT(h);
  stage_wait(w, 1);
  HEARS(h, "ping");
  stage_wait(w, 9999);
  TOLD(w, SERVER, "");
  stage_wait(w, 1);
  HEARS(h, "end");
  TOLD(w, SERVER, "close 1006, reconnecting");
}

const struct named named_account[] = {
    {"ack-number", "acknowledged after 64 messages, or a quarter of what the peer may hold",
     ack_by_number},
    {"ack-bytes", "acknowledged after a quarter of the peer's bytes", ack_by_bytes},
    {"ack-time", "acknowledged a second after the first, not before, never for nothing",
     ack_by_time},
    {"ack-close", "acknowledged before closing", ack_before_close},
    {"ack-handler", "acknowledged once the handler has returned", ack_after_handler},
    {"only-data", "only data is counted, text and binary alike", only_data_counts},
    {"drain", "a full queue refuses, and tells when there is room again", full_and_drain},
    {"drain-bytes", "bytes are bounded, an empty queue takes any one message", full_by_bytes},
    {"parked",
     "what comes while paused is neither counted nor acknowledged, and goes with the socket",
     parked},
    {"parked-drop", "so it is when the handler of a parked message gives up the socket",
     parked_handler_drops},
    {"paused-hears", "acknowledgements, pings and the end are heard while paused",
     heard_while_paused},
    {"paused-end", "an end with nothing parked before it is heard at once", end_while_paused},
    {"parked-most", "more parked than the peer said that it may hold is 4400", parked_too_much},
    {"crammed", "a paused node keeps no more aside than it cares to", crammed},
    {"crammed-end", "and hears the answer to its end all the same", crammed_end},
    {"written", "what was written on any socket is unknown, not unsent", written_stays_written},
    {"unsent", "what waited above the mark is unsent", unsent_is_unsent},
    {"liveness", "a ping after 20 s, given up 10 s later, any byte counts", liveness},
    {0},
};
