/* The formal end of dop.r1, and what is handed back with which fate. */
#include "proof/named.h"

#include <stdio.h>
#include <string.h>

#include "session/lossless.h"

static void settles_both(struct stage *w) {
  struct hand *h = hand_session(w);
  for (int i = 1; i <= 3; i++) {
    char text[] = {'m', (char)('0' + i), 0};
    stage_send(w, server_node(w), text);
    HEARS(h, text);
  }
  hand_say(h, "one");
  forget_log(w);
  hand_say(h, "^d2");
  HEARS(h, "^d1");
  HEARS(h, "close 1000");
  TOLD(w, SERVER, "close 1000, disconnect peer (m3 undelivered)");
}

static void says_what_waits(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  stage_send(w, n, "one");
  stage_disconnect(w, n);
  CHECK(w, stage_send(w, n, "late") == DOP_SEND_CLOSED);
  CHECK(w, dop_node_disconnect(n, 1000, "local") == -1);
  HEARS(h, "one");
  HEARS(h, "^d0");
  SILENT(h);
}

/* Also what the socket had not taken. */
static void slow_end(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  h->slow = 1;
  for (int i = 0; i < 4; i++) stage_send_long(w, n, 50000);
  stage_disconnect(w, n);
  hand_read(h);
  for (int i = 0; i < 4; i++) HEARS(h, "50000 bytes");
  HEARS(h, "^d0");
  hand_say(h, "^d4");
  TOLD(w, SERVER, "close 1000, disconnect local");
}

static void unanswered(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_send(w, server_node(w), "one");
  stage_send(w, server_node(w), "two");
  stage_disconnect(w, server_node(w));
  hand_say(h, "^a1"); /* counts, and prolongs nothing */
  stage_wait(w, 4999);
  TOLD(w, SERVER, "");
  stage_wait(w, 1);
  TOLD(w, SERVER, "close 1000, disconnect local (two unknown)");
}

static void lost_while_closing(struct stage *w) {
  static const unsigned codes[] = {0, 1000, 4001, 4400};
  for (size_t i = 0; i < 4; i++) {
    struct hand *h = hand_session(w);
    char wanted[64];
    stage_send(w, server_node(w), "one");
    stage_disconnect(w, server_node(w));
    if (codes[i])
      hand_close(h, codes[i]);
    else
      hand_lose(h);
    snprintf(wanted, sizeof wanted, "close %u, disconnect local (one unknown)",
             codes[i] ? codes[i] : 1006);
    TOLD(w, SERVER, wanted);
  }
}

static void both_at_once(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_send(w, server_node(w), "one");
  stage_disconnect(w, server_node(w));
  hand_say(h, "^d0"); /* it crossed ours: neither is answered */
  HEARS(h, "one");
  HEARS(h, "^d0");
  HEARS(h, "close 1000");
  TOLD(w, SERVER, "close 1000, disconnect local (one undelivered)");
}

static void client_while_reconnecting(struct stage *w) {
  struct hand *h = hand_host(w);
  stage_send(w, client_node(w), "one");
  hand_lose(h);
  stage_send(w, client_node(w), "two");
  forget_log(w);
  stage_disconnect(w, client_node(w));
  TOLD(w, CLIENT, "disconnect local (one unknown, two unsent), over");
}

static void client_while_asking(struct stage *w) {
  struct hand *h = hand_host(w);
  stage_send(w, client_node(w), "one");
  hand_lose(h);
  stage_send(w, client_node(w), "two");
  h = hand_asked(h);
  forget_log(w);
  stage_disconnect(w, client_node(w));
  HEARS(h, "close 1000"); /* and no T: the server waits out its window */
  TOLD(w, CLIENT, "close 1000, disconnect local (one unknown, two unsent), over");
}

static void client_hears_bare_token(struct stage *w) {
  struct hand *h = hand_host(w);
  stage_send(w, client_node(w), "one");
  HEARS(h, "one");
  hand_say(h, "T");
  TOLD(w, CLIENT, "close 1000, disconnect peer (one unknown), over");
}

static void client_ends(struct stage *w) {
  struct hand *h = hand_host(w);
  hand_say(h, "theirs");
  stage_send(w, client_node(w), "one");
  forget_log(w);
  stage_disconnect(w, client_node(w));
  HEARS(h, "one");
  HEARS(h, "^d1");
  hand_say(h, "late");
  hand_say(h, "^d0");
  TOLD(w, CLIENT, "close 1000, disconnect local (one undelivered), over");
}

static void client_hears_end(struct stage *w) {
  struct hand *h = hand_host(w);
  hand_say(h, "theirs");
  stage_send(w, client_node(w), "one");
  HEARS(h, "one");
  forget_log(w);
  hand_say(h, "^d1");
  HEARS(h, "^d1");
  HEARS(h, "close 1000");
  TOLD(w, CLIENT, "close 1000, disconnect peer, over");
}

static void parked_end_lost(struct stage *w) {
  struct hand *h = hand_session(w);
  stage_send(w, server_node(w), "one");
  stage_pause(w, server_node(w), 1);
  hand_say(h, "parked");
  hand_say(h, "^d0"); /* the peer's last word, whatever happens to the socket now */
  hand_lose(h);
  forget_log(w);
  stage_wait(w, 60000);
  TOLD(w, SERVER, "disconnect expired (one undelivered)");
}

static void closing_while_paused(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  stage_send(w, n, "one");
  stage_pause(w, n, 1);
  hand_say(h, "parked");
  stage_disconnect(w, n);
  HEARS(h, "one");
  HEARS(h, "^d0"); /* what is parked was not delivered, and never will be */
  hand_say(h, "^d1");
  TOLD(w, SERVER, "close 1000, disconnect local");
}

/* Nobody will wait until the numbers have run out: the account says that they nearly did. */
static void no_number_for_a_message(struct stage *w) {
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  n->account->acked = n->account->next = n->account->written = DOP_R1_MOST - 1;
  stage_send(w, n, "the last");
  HEARS(h, "the last");
  SILENT(h);
  stage_send(w, n, "one more");
  HEARS(h, "close 1000");
  TOLD(w, SERVER,
       "close 1000, reconnecting, disconnect exhausted (the last unknown, one more unsent)");
}

const struct named named_ends[] = {
    {"end", "an end settles what the peer delivered, and is answered with an end", settles_both},
    {"end-last", "what waits is written before the end, nothing is accepted after it",
     says_what_waits},
    {"end-slow", "so is what a slow socket had not taken", slow_end},
    {"end-late", "an end without an answer leaves what is open unknown after 5 s", unanswered},
    {"end-lost", "so does the loss of the socket, whatever its code", lost_while_closing},
    {"end-crossed", "two ends that cross are not answered", both_at_once},
    {"end-reconnecting", "disconnect while RECONNECTING: over at once", client_while_reconnecting},
    {"end-asking", "disconnect while it asks for its session: a mere close", client_while_asking},
    {"end-bare", "a client that hears T makes no further attempt", client_hears_bare_token},
    {"end-client", "a client that ends its session delivers nothing more", client_ends},
    {"end-heard", "a client that hears an end answers, and makes no further attempt",
     client_hears_end},
    {"end-parked", "an end that waits behind what is parked counts though the socket is lost",
     parked_end_lost},
    {"end-paused", "an end by a paused node drops what is parked", closing_while_paused},
    {"exhausted-message", "a message that cannot be numbered ends the session",
     no_number_for_a_message},
    {0},
};
