/* Plain DOP: what is hardened, and the scenes that a network's chance seldom plays. */
#include "proof/named.h"

#include <stdio.h>
#include <string.h>

/* A socket that presents the token of `h`. */
static struct hand *present(struct hand *h) {
  struct hand *next = hand_client(h->stage);
  HEARS(next, "half");
  memcpy(next->token, h->token, sizeof h->token);
  hand_say(next, "T");
  return next;
}

static void reserved(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_session(w);
  struct dop_node *n = server_node(w);
  CHECK(w, stage_send(w, n, h->token) == DOP_SEND_RESERVED);
  SILENT(h);
  CHECK(w, stage_send_binary(w, n, h->token, strlen(h->token)) == DOP_SENT);
  CHECK(w, stage_send(w, n, "data") == DOP_SENT);
  hand_take(h);
  HEARS(h, "data");
}

static void echo(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_server(w);
  HEARS(h, "half");
  hand_say(h, "%s", h->theirs);
  HEARS(h, "close 1008");
  h = hand_server(w);
  HEARS(h, "half");
  hand_say(h, "%.16s", h->theirs); /* after cutting */
  HEARS(h, "close 1008");
  h = hand_client(w);
  HEARS(h, "half");
  hand_say(h, "%s-and-more", h->theirs);
  HEARS(h, "close 1008");
  /* And while it asks for its session. */
  h = hand_host(w);
  hand_lose(h);
  struct hand *next = hand_server(w);
  memcpy(next->token, h->token, sizeof h->token);
  HEARS(next, "T");
  hand_say(next, "T");
  HEARS(next, "close 1008");
  CHECK(w, client_node(w)->status == DOP_RECONNECTING);
}

static void bad_halves(struct stage *w) {
  static const char *const bad[] = {"",
                                    "15-bytes-long-.",
                                    "with a space in it",
                                    "with\ttab-in-it--",
                                    "with-DEL-\x7F-in-it",
                                    "with-\xC3\xA4-in-it----",
                                    "^p60000 1 1 1"};
  char lengthy[258];
  w->plain = 1;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct hand *h = hand_client(w);
    HEARS(h, "half");
    hand_say(h, "%s", bad[i]);
    HEARS(h, "close 1008");
  }
  for (size_t len = 255; len <= 257; len++) {
    struct hand *h = hand_client(w);
    HEARS(h, "half");
    memset(lengthy, 'x', len);
    lengthy[len] = 0;
    hand_say(h, "%s", lengthy);
    HEARS(h, len > 256 ? "close 1008" : "half");
  }
  struct hand *h = hand_client(w);
  HEARS(h, "half");
  hand_frame(h, DOP_WS_OP_BINARY, "sixteen-bytes---", 16);
  HEARS(h, "close 1008");
  h = hand_client(w);
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "half");
  hand_say(h, "another-half----");
  HEARS(h, "close 1008");
}

static void probe_spacing(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_session(w);
  struct hand *first = present(h);
  CHECK(w, strncmp(hand_take(h), "ping ", 5) == 0);
  hand_frame(h, DOP_WS_OP_PONG, h->payload, h->payload_len);
  HEARS(first, "close 1013");
  stage_wait(w, 999);
  HEARS(present(h), "close 1013");
  SILENT(h); /* no second probe within a second */
  stage_wait(w, 1);
  struct hand *later = present(h);
  CHECK(w, strncmp(hand_take(h), "ping ", 5) == 0);
  SILENT(later);
  hand_lose(h); /* the holder's socket is lost meanwhile: no need to wait */
  HEARS(later, "T");
}

static void queued(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_session(w);
  stage_send(w, server_node(w), "written");
  HEARS(h, "written");
  hand_lose(h);
  stage_send(w, server_node(w), "one");
  stage_send(w, server_node(w), "two");
  struct hand *next = present(h);
  HEARS(next, "T");
  HEARS(next, "one");
  HEARS(next, "two");
  SILENT(next);
}

static void anew(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_host(w);
  hand_lose(h);
  stage_send(w, client_node(w), "queued");
  forget_log(w);
  struct hand *next = hand_server(w);
  memcpy(next->token, h->token, sizeof h->token);
  HEARS(next, "T");
  hand_say(next, "half");
  SILENT(next);
  hand_say(next, "half"); /* it took T for a half */
  HEARS(next, "T");
  TOLD(w, CLIENT, "open, disconnect unknown (queued unsent), connect");
  memcpy(next->theirs, h->token, sizeof next->theirs);
  hand_name(next);
  CHECK(w, dop_token_is(client_node(w)->token, next->token, strlen(next->token)));
}

static void forgotten(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_session(w), *late = hand_session(w);
  hand_lose(h);
  hand_lose(late);
  stage_wait(w, 59900);
  HEARS(present(h), "T");
  stage_wait(w, 200);
  HEARS(present(late), "half"); /* for the server T is a half like any other */
}

static void ended(struct stage *w) {
  w->plain = 1;
  struct hand *h = hand_session(w);
  hand_say(h, "T");
  HEARS(h, "close 1000");
  TOLD(w, SERVER, "close 1000, disconnect peer");
  h = hand_session(w);
  stage_disconnect(w, server_node(w));
  HEARS(h, "T");
  HEARS(h, "close 1000");
  TOLD(w, SERVER, "close 1000, disconnect local");
  HEARS(present(h), "half"); /* it cannot be recovered */
}

const struct named named_plain[] = {
    {"plain-reserved", "a text that equals T cannot be sent", reserved},
    {"plain-echo", "a half that is one's own after cutting is 1008", echo},
    {"plain-halves", "what is no half, or another one than the first, is 1008", bad_halves},
    {"plain-spacing", "one probe a session a second", probe_spacing},
    {"plain-queued", "what was never written is kept and leaves in order", queued},
    {"plain-anew", "a reconnection becomes a connection where T is not known", anew},
    {"plain-window", "a session is kept for 60 s, then T is a half like any other", forgotten},
    {"plain-end", "T ends the session, whoever says it", ended},
    {0},
};
