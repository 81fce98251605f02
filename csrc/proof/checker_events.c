/* What ends hear of their sessions and sockets: fates, close codes, statuses; see checker.h. Owns
 * nothing. */
#include <string.h>

#include "proof/checker.h"

enum { SERVER = DOP_SIM_SERVER, CLIENT = DOP_SIM_CLIENT };
#define names dop_sim_sides

/* --- ends --- */

/* What is handed back is the end of what was accepted, each message with a fate that is true. */
static void check_end(struct dop_sim_checker *k, struct dop_sim_book *b, struct dop_event *ev) {
  struct dop_message m;
  const char *who = names[b->side];
  uint32_t left = ev->unsettled.count, first = b->count - left, i = 0;
  int client = b->side == CLIENT, unknown = strcmp(ev->why, "unknown") == 0;
  if (left > b->count) {
    dop_sim_wrong(k, "%s got more back than it gave", who);
    return;
  }
  for (; dop_queue_front(&ev->unsettled, &m); i++, dop_queue_pop(&ev->unsettled)) {
    if (!dop_sim_is_body(k, b->side, b->accepted[first + i], &m))
      dop_sim_wrong(k, "%s got another message back than number %u", who, first + i + 1);
    dop_sim_cover(k->coverage, "%s fate %s", who,
                  i >= ev->written ? "unsent"
                  : ev->settled    ? "undelivered"
                                   : "unknown");
  }
  b->ended = 1;
  b->most = first + (ev->settled || k->plain ? 0 : ev->written);
  if (b->delivered > b->most)
    dop_sim_wrong(k, "%s got message %u back as not delivered, but %u were", who, b->most + 1,
                  b->delivered);
  if (k->plain) return;
  if (b->delivered < first || (ev->settled && b->delivered != first))
    dop_sim_wrong(k, "%s was told that %u messages were delivered, but %u were", who, first,
                  b->delivered);
  if (b->wire > first + ev->written)
    dop_sim_wrong(k, "%s got message %u back as unsent, but it was on a socket", who, b->wire);
  const struct dop_account *a = ev->node->account;
  b->settled = ev->settled;
  if (a && (uint64_t)ev->written + first != a->written)
    dop_sim_wrong(k, "%s wrote %llu messages and reports %u", who, (unsigned long long)a->written,
                  first + ev->written);
  if (b->end_waits && !ev->settled && !unknown)
    dop_sim_wrong(k, "%s forgot what the peer's end had settled", who);
  if (b->peer_first && strcmp(ev->why, "peer") != 0)
    dop_sim_wrong(k, "%s takes the end of its peer for its own", who);
  if (client && unknown && ev->settled != b->gone_known)
    dop_sim_wrong(k, "the client was%s told what had been delivered, and reports the %s",
                  b->gone_known ? "" : " not", ev->settled ? "one" : "other");
  if (client && unknown && b->gone_formally)
    dop_sim_wrong(k, "the client takes a formal end for a loss");
  if (!b->connected) return;
  if (strcmp(ev->why, "peer") == 0) {
    if (!ev->settled) dop_sim_wrong(k, "%s: the peer's end settled nothing", who);
    if (b->node->account->parked.count)
      dop_sim_wrong(k, "%s ended before it was given what came before the end", who);
  }
}

/* Whether a session that is in this status ends with its socket. */
static int is_fatal(const struct dop_sim_book *b, int client, unsigned code) {
  switch (code) {
  case 4001:
  case 4400:
    return 1;
  case 1002:
  case 1003:
  case 1007:
  case 1009:
    return b->status == DOP_CONNECTED;
  case 4403:
  case 4409:
    return client && b->status != DOP_CONNECTED;
  default:
    return 0;
  }
}

/* Both ends are ours: neither may find fault with the other. */
static void check_close(struct dop_sim_checker *k, const struct dop_event *ev) {
  struct dop_sim_book *b = dop_sim_known(k, ev->node);
  struct dop_sim_book *other = b ? dop_sim_partner(k, b) : NULL;
  int client = ev->transport->role == DOP_CLIENT;
  int thief = !client && !dop_sim_is_principal(ev->node->principal, k->owner);
  int right = 1;
  switch (ev->code) {
  case 1002:
  case 1003:
  case 1007:
    right = 0;
    break;
  case 1009: /* it was sent when the limit was not known yet */
    right = (b && b->oversize) || (other && other->oversize);
    break;
  case 1008: /* of a newcomer who is somebody else, in plain DOP */
    right = thief && k->plain;
    break;
  case 4403: /* which is judged where it is written */
    right = thief;
    break;
  case 4400: /* so too, with its holder; else what waits is too long */
    right = (!client && (!b || strcmp(ev->why, "protocol") == 0 || ev->node->account->closing)) ||
            (b && b->oversize) || (other && (other->oversize || other->ended));
    break;
  case 4001: /* another holder took the session */
  case 4409: /* its newest attempt was not the newest */
    right = !client || (b && b->taken);
    break;
  default:
    break;
  }
  if (b) b->fatal = is_fatal(b, client, ev->code) != 0;
  if (!right)
    dop_sim_wrong(k, "%s lost its socket with %u: %s", names[!!client], ev->code, ev->why);
  if (ev->code == 1006 && strcmp(ev->why, "the peer did not answer a ping") == 0) {
    const struct dop_limits *l = &ev->transport->limits;
    uint64_t quiet = l->ping_interval + l->ping_timeout;
    right = 0;
    for (struct dop_sim_conn *c = k->net->conns; c && !right; c = c->next) {
      const struct dop_link *end = client ? c->client : c->server;
      uint64_t from = client ? c->down.fed : c->up.fed;
      if (b && b->held_at > from) from = b->held_at;
      right = end && end->dead && k->engine->now - from >= quiet;
    }
    if (!right) dop_sim_wrong(k, "%s gave up a socket that is not dead", names[!!client]);
    dop_sim_cover(k->coverage, "%s ping unanswered", names[!!client]);
  }
}

/* Who ended formally, or lost its session to another holder, makes no further attempt. */
static void check_transport(struct dop_sim_checker *k, const struct dop_event *ev) {
  static const char *const over[] = {"peer", "local", "taken", "closed"};
  int is_over = 0;
  for (size_t i = 0; i < sizeof over / sizeof *over; i++) is_over |= strcmp(ev->why, over[i]) == 0;
  if (ev->transport->role == DOP_CLIENT && (int)ev->transport->closed < is_over)
    dop_sim_wrong(k, "the client goes on after its session ended: %s", ev->why);
}

static void check_evicted(struct dop_sim_checker *k, const struct dop_sim_book *b) {
  for (uint32_t i = 0; i < k->book_count; i++) {
    const struct dop_sim_book *c = &k->books[i];
    if (c->node->transport == b->node->transport && c->node->status == DOP_RECONNECTING &&
        !c->node->events && /* nothing of it is still to be told */
        c->connected == b->connected && c->lost_at < b->lost_at)
      dop_sim_wrong(k, "a detached session went before an older one");
  }
}

static void hear_status(struct dop_sim_checker *k, const struct dop_event *ev) {
  int side = dop_sim_side_of(ev->transport);
  static char changes[2][5][5][64]; /* their names, as they come up */
  char *change = changes[side][ev->before][ev->now];
  if (!change[0])
    snprintf(change, sizeof changes[0][0][0], "%s %s->%s", names[side], dop_status_name(ev->before),
             dop_status_name(ev->now));
  dop_sim_trace(k, "%s", change);
  dop_sim_count(k->coverage, change);
  if (!dop_sim_in_table(change, k->plain) &&
      (strcmp(ev->why, "closed") != 0 || ev->now != DOP_DISCONNECTED))
    dop_sim_wrong(k, "%s, which the table does not have", change);
  struct dop_sim_book *b = ev->node->account || ev->now == DOP_CONNECTED
                               ? dop_sim_book_of(k, ev->node)
                               : dop_sim_known(k, ev->node);
  if (!b) return;
  b->turn = k->turn;
  b->status = ev->now;
  if (!k->plain && !b->killed && side == CLIENT) {
    int lost = strcmp(ev->why, "protocol") == 0 || strcmp(ev->why, "taken") == 0;
    if (ev->now == DOP_DISCONNECTED ? lost && !b->fatal : b->fatal)
      dop_sim_wrong(k, "the client %s with its socket",
                    b->fatal ? "did not end its session" : "ended its session");
  }
  if (ev->now == DOP_CONNECTED && !b->connected) {
    b->connected = 1;
    memset(&b->last, 0, sizeof b->last);
    if (side == CLIENT && ev->node->account) b->attempt = ev->node->account->attempt;
  }
  if (ev->now == DOP_CONNECTED) b->held_at = k->engine->now;
  if (ev->now == DOP_RECONNECTING) b->lost_at = k->engine->now;
  if (ev->now != DOP_DISCONNECTED || side != SERVER) return;
  const struct dop_account *a = ev->node->account;
  if (a && !b->killed && ev->before == DOP_CONNECTED && strcmp(ev->why, "closed") == 0 &&
      a->told != a->received - a->in_hand)
    dop_sim_wrong(k, "the server closed and did not say what had come");
  uint64_t gone = k->engine->now - b->lost_at;
  const struct dop_limits *l = &ev->transport->limits;
  if (strcmp(ev->why, "expired") == 0 &&
      gone != (b->connected ? l->resume_window : l->handshake_timeout))
    dop_sim_wrong(k, "a session was forgotten after %llu ms", (unsigned long long)gone);
  if (strcmp(ev->why, "evicted") == 0) check_evicted(k, b);
  if (!b->connected) {
    dop_sim_cover(k->coverage, "server half-confirmed %.30s", ev->why);
    b->ended = 1;
  }
  b->formally = strcmp(ev->why, "peer") == 0 || strcmp(ev->why, "local") == 0 || (a && a->closing);
  if (!ev->node->account || b->killed) return;
  b->buried = ++k->burials[b->connected];
  b->buried_at = k->engine->now;
}

void dop_sim_check_event(struct dop_sim_checker *k, struct dop_event *ev) {
  int side = dop_sim_side_of(ev->transport);
  struct dop_sim_book *b;
  switch (ev->type) {
  case DOP_EVENT_STATUS:
    hear_status(k, ev);
    break;
  case DOP_EVENT_CLOSE:
    dop_sim_trace(k, "%s close %u %s", names[side], ev->code, ev->why);
    dop_sim_cover(k->coverage, "%s close %u", names[side], ev->code);
    check_close(k, ev);
    break;
  case DOP_EVENT_CONNECT:
    b = dop_sim_book_of(k, ev->node);
    dop_sim_cover(k->coverage, "%s connect", names[side]);
    if (b && b->announced) dop_sim_wrong(k, "%s was told twice of a session", names[side]);
    if (b) b->announced = 1;
    break;
  case DOP_EVENT_RECONNECT:
    dop_sim_cover(k->coverage, "%s reconnect", names[side]);
    if (ev->written) dop_sim_cover(k->coverage, "%s replayed", names[side]);
    if (ev->node->account && ev->node->account->in_hand)
      dop_sim_wrong(k, "%s resumes with a message in its hand", names[side]);
    break;
  case DOP_EVENT_DISCONNECT:
    b = dop_sim_book_of(k, ev->node);
    dop_sim_trace(k, "%s disconnect %s", names[side], ev->why);
    if (!b || b->killed) break;
    dop_sim_cover(k->coverage, "%s disconnect %.40s", names[side], ev->why);
    check_end(k, b, ev);
    check_transport(k, ev);
    break;
  case DOP_EVENT_DRAIN:
    b = dop_sim_book_of(k, ev->node);
    dop_sim_cover(k->coverage, "%s drain", names[side]);
    if (b) b->full = ev->node->full; /* another send may have found none since */
    break;
  default:
    break;
  }
}

void dop_sim_check_killed(struct dop_sim_checker *k, int side) {
  for (uint32_t i = 0; i < k->book_count; i++) {
    struct dop_sim_book *b = &k->books[i];
    if (b->side != side) continue;
    if (!b->ended) b->killed = 1;
    b->ended = 1;
  }
  if (side == SERVER) {
    k->process++;
    k->burials[0] = k->burials[1] = 0;
  }
}
