/* Sessions of dop.r1 that never were whole, or are over: half-confirmed ones, the window, the caps,
 * tombstones. */
#include "proof/named.h"

/* --- half-confirmed --- */

static struct hand *half_confirmed(struct stage *w) {
  struct hand *h = hand_client(w);
  HEARS(h, "half");
  hand_say(h, "half");
  HEARS(h, "half");
  hand_name(h);
  return h;
}

static void half_confirmed_life(struct stage *w) {
  struct hand *h = half_confirmed(w), *late = half_confirmed(w);
  stage_send(w, server_node(w), "queued");
  hand_lose(h);
  hand_lose(late);
  stage_wait(w, 9999);
  HEARS(hand_resume(h, 1, 0), "^r1 0");
  stage_wait(w, 1);
  HEARS(hand_resume(late, 1, 0), "^x0");
  /* The same when nobody confirms it in time: its socket is lost first. */
  struct hand *slow = half_confirmed(w);
  stage_wait(w, 10000);
  HEARS(slow, "close 1013");
  HEARS(hand_resume(slow, 1, 0), "^r1 0");
}

static void half_confirmed_other(struct stage *w) {
  struct hand *h = half_confirmed(w);
  forget_log(w);
  hand_say(h, "Another00000half");
  HEARS(h, "close 1008");
  HEARS(hand_resume(h, 1, 0), "^x");
  /* Nothing was sent, so nothing can have been delivered. */
  struct hand *second = half_confirmed(w);
  HEARS(hand_resume(second, 1, 1), "close 4400");
}

/* --- what is left of a session --- */

static void window(struct stage *w) {
  struct hand *h = hand_session(w), *late = hand_session(w);
  hand_say(late, "one");
  hand_say(late, "two");
  hand_lose(h);
  hand_lose(late);
  stage_wait(w, 59900);
  HEARS(hand_resume(h, 1, 0), "^r1 0");
  forget_log(w);
  stage_wait(w, 200);
  TOLD(w, SERVER, "disconnect expired");
  HEARS(hand_resume(late, 1, 0), "^x2");
}

static void tombs_for_their_owner(struct stage *w) {
  struct hand *h = hand_session_of(w, "alice");
  hand_say(h, "one");
  hand_lose(h);
  stage_wait(w, 60000);
  HEARS(hand_resume_as(h, 1, 0, "mallory"), "^x");
  HEARS(hand_resume_as(h, 1, 0, NULL), "^x");
  HEARS(hand_resume_as(h, 1, 0, "alice"), "^x1");
  struct hand *nobodys = hand_session(w);
  hand_lose(nobodys);
  stage_wait(w, 60000);
  HEARS(hand_resume_as(nobodys, 1, 0, "alice"), "^x");
  HEARS(hand_resume_as(nobodys, 1, 0, NULL), "^x0");
}

static void tombs_for_a_day(struct stage *w) {
  struct hand *h = hand_session(w);
  hand_say(h, "one");
  hand_lose(h);
  stage_wait(w, 60000 + 24u * 3600 * 1000 - 1);
  HEARS(hand_resume(h, 1, 0), "^x1");
  stage_wait(w, 1);
  HEARS(hand_resume(h, 2, 0), "^x");
}

static void tombs_in_number(struct stage *w) {
  w->limits.max_tombstones = 70; /* more than the table begins with */
  struct hand *h[100];
  for (int i = 0; i < 100; i++) {
    h[i] = hand_session(w);
    hand_say(h[i], "one");
    hand_say(h[i], "^d0");
    HEARS(h[i], "^d1");
  }
  HEARS(hand_resume(h[29], 1, 0), "^x");
  HEARS(hand_resume(h[30], 1, 0), "^x1 d");
  HEARS(hand_resume(h[99], 1, 0), "^x1 d");
}

static void killed(struct stage *w) {
  struct hand *h = hand_session(w);
  hand_say(h, "one");
  stage_kill_server(w);
  HEARS(hand_resume(h, 1, 0), "^x");
}

static void ended_by_application(struct stage *w) {
  struct hand *h = hand_session(w);
  hand_say(h, "one");
  hand_lose(h);
  stage_send(w, server_node(w), "unsent");
  forget_log(w);
  stage_disconnect(w, server_node(w));
  TOLD(w, SERVER, "disconnect local (unsent unsent)");
  HEARS(hand_resume(h, 1, 0), "^x1 d");
}

static void evicted_by_number(struct stage *w) {
  w->limits.max_detached = 2;
  struct hand *h[3];
  for (int i = 0; i < 3; i++) {
    h[i] = hand_session(w);
    hand_say(h[i], "one");
  }
  for (int i = 0; i < 3; i++) hand_lose(h[i]);
  HEARS(hand_resume(h[0], 1, 0), "^x1"); /* the oldest became a tombstone */
  HEARS(hand_resume(h[1], 1, 0), "^r1 1");
  HEARS(hand_resume(h[2], 1, 0), "^r1 1");
}

static void evicted_by_bytes(struct stage *w) {
  w->limits.max_detached_bytes = 5000;
  struct hand *first = hand_session(w), *second;
  stage_send_long(w, server_node(w), 3000);
  second = hand_session(w);
  struct dop_node *n = server_node(w);
  hand_lose(first);
  hand_lose(second);
  forget_log(w);
  stage_send_long(w, n, 1900);
  TOLD(w, SERVER, "");
  stage_send_long(w, n, 100);
  TOLD(w, SERVER, "disconnect evicted (3000 bytes unknown)");
  HEARS(hand_resume(first, 1, 0), "^x0");
  HEARS(hand_resume(second, 1, 0), "^r1 0");
}

/* Who opens sockets in number, and says no more than a half on each, pushes nobody else out. */
static void unconfirmed_in_number(struct stage *w) {
  w->limits.max_unconfirmed = 2;
  w->limits.max_detached = w->limits.max_tombstones = 1;
  struct hand *ended = hand_session(w), *away = hand_session(w), *halves[3];
  hand_say(ended, "one");
  hand_say(ended, "^d0");
  hand_lose(away);
  for (int i = 0; i < 3; i++) {
    halves[i] = half_confirmed(w);
    hand_lose(halves[i]);
  }
  HEARS(hand_resume(halves[0], 1, 0), "^x0"); /* the oldest of its kind made room */
  HEARS(hand_resume(halves[2], 1, 0), "^r1 0");
  HEARS(hand_resume(ended, 1, 0), "^x1 d");
  HEARS(hand_resume(away, 1, 0), "^r1 0");
}

const struct named named_gone[] = {
    {"half-life", "a half-confirmed session is kept for the time of a handshake, then h is 0",
     half_confirmed_life},
    {"half-number", "half-confirmed sessions have a cap and tombstones of their own",
     unconfirmed_in_number},
    {"half-other", "a refused half leaves nothing, and an impossible count is one",
     half_confirmed_other},
    {"window", "a session is kept for 60 s, and then remembered", window},
    {"tomb-owner", "a tombstone tells nothing to another principal", tombs_for_their_owner},
    {"tomb-day", "a tombstone is kept for a day", tombs_for_a_day},
    {"tomb-number", "so many tombstones are kept, the oldest goes first", tombs_in_number},
    {"killed", "a server that was killed knows nothing", killed},
    {"tomb-ended", "a client that comes late hears that the application ended the session",
     ended_by_application},
    {"evicted", "above the number of detached sessions the oldest becomes a tombstone",
     evicted_by_number},
    {"evicted-bytes", "so it does above their bytes", evicted_by_bytes},
    {0},
};
