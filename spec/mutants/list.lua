--- Small faults, each a mistake that somebody could make, by the points of dop.r1 (docs/protocol.md; 1
-- counting, 2 acknowledging, 3 bounds, 4 the server resumes, 5 the client resumes, 6 half-confirmed, 7 how
-- a socket ends, 8 window and tombstones, 9 the end and what is handed back, 10 liveness and pausing, 11
-- abuse, 12 principal), "wire" for its grammar and limits, "plain" for plain DOP. Around the machine: "upgrade"
-- for what comes before a session, "deflate" and "extension" for compression and how two ends agree on it,
-- "idle" for frames that bring no data, "caps", "drain", "marks", and "tls" for streams that are encrypted.
--
-- `schedule` is the named schedule that must see it; `survives` why nothing does; `specs` those that must see
-- what no machine would. Run by run.lua.

local list, fault = require "spec.support.planted".list "point"

local lossless, resume, node = "csrc/session/lossless.c", "csrc/session/resume.c", "csrc/session/node.c"
local dialogue, claim, principal = "csrc/session/dialogue.c", "csrc/session/claim.c", "csrc/session/principal.c"
local tombs, r1 = "csrc/session/tombs.c", "csrc/session/r1.c"
local http, upgrade, tunnel = "csrc/ws/http.c", "csrc/ws/upgrade.c", "csrc/link/tunnel.c"
local link, input = "csrc/link/link.c", "csrc/link/input.c"

-- The counterexamples of the model check.
fault(9, "ack-answers-end", lossless, [[    hear_ack(n, r.h);
    break;]], [[    hear_ack(n, r.h);
    if (a->closing && n->socket) end_by(n, a->end_why);
    break;]], { schedule = "V1" })
fault(9, "end-answered-by-ack", lossless, [[dop_r1_write_one(text, 'd', a->received)) == 0) {
    a->told]], [[dop_r1_write_one(text, 'a', a->received)) == 0) {
    a->told]], { schedule = "V1" })
fault(9, "delivers-after-own-end", lossless, [[if (a->closing) return 0; /* the peer learns]],
  [[/* the peer learns]], { schedule = "V2" })
fault(9, "delivers-after-own-end-at-once", lossless, [[  if (a->heard_limits && !a->closing && !a->parked.count &&]],
  [[  if (a->heard_limits && !a->parked.count &&]], { schedule = "V2" })
fault(4, "closing-session-resumed", resume, [[} else if (a->closing) {]], [[} else if (0) {]], { schedule = "V3" })
fault(6, "only-first-attempt-confirms", resume, [[  if (holder && n <= a->attempt) {]],
  [[  if (holder && (n <= a->attempt || (!holder->connected && n != 1))) {]], { schedule = "V4" })
fault(6, "record-only-once-noticed", resume, [[  struct dop_account *a = holder ? holder->account : NULL;
  if (newcomer]], [[  if (holder && holder->status == DOP_PRECONNECTED) holder = NULL;
  struct dop_account *a = holder ? holder->account : NULL;
  if (newcomer]], { schedule = "V5" })
fault("wire", "limits-on-first-socket-only", lossless,
  [[  return dop_node_say_text(n, text, dop_r1_write_limits(text, &ours));]],
  [[  if (a->peer.max_messages) return 0;
  return dop_node_say_text(n, text, dop_r1_write_limits(text, &ours));]], { schedule = "V6" })
fault("wire", "limits-wanted-on-first-socket-only", lossless, [[  a->heard_limits = 0;
]], "", { schedule = "V6" })
fault(5, "half-answered", dialogue, [[  else if (n->token) /* RECONNECTING */
    take_half(n, m);]], [[  else if (n->token) { /* RECONNECTING */
    if (take_half(n, m) == 0 && n->account) dop_node_say(n, n->token);
  }]], { schedule = "V7" })
fault(5, "half-not-kept", resume, [[  dop_node_end(n, 1000, "unknown");
  if (dop_node_say]], [[  dop_node_end(n, 1000, "unknown");
  dop_token_free(fresh->remote);
  fresh->remote = NULL;
  fresh->status = DOP_OPEN;
  if (dop_node_say]], { schedule = "V7" })
fault(5, "fresh-half-once", resume,
  [[  if (dop_node_say(fresh, fresh->local) == 0) dop_node_say(fresh, fresh->local);]],
  [[  dop_node_say(fresh, fresh->local);]], { schedule = "V7" })
fault(5, "old-socket-heard-on", node, [[  if (n->account) dop_lossless_forget_parked(n);
  dop_node_ref(n);]], [[  dop_node_ref(n);]], { schedule = "V8" })
fault(5, "unread-counted", lossless, [[    park(n, m);
    return 0;]], [[    park(n, m);
    a->received++;
    return 0;]], { schedule = "V8" })
fault("plain", "T-again-after-half", dialogue, [[  else if (n->token) /* RECONNECTING */
    take_half(n, m);]], [[  else if (n->token) { /* RECONNECTING */
    if (take_half(n, m) == 0 && !n->account) dop_node_say(n, n->token);
  }]], { schedule = "P1" })
fault("plain", "older-newcomer-wins", claim, [[  p->newcomer = newcomer;
  newcomer->claims = holder;]], [[  if (older) {
    send_away(newcomer);
    return;
  }
  p->newcomer = newcomer;
  newcomer->claims = holder;]], { schedule = "P2" })
fault("plain", "newer-newcomer-waits-on", claim, [[  if (older) send_away(older);]], [[  (void)older;]],
  { schedule = "P2" })
fault("plain", "any-pong-answers", claim, [[|| len != DOP_PROBE_LEN || memcmp(payload, p->payload, len) != 0) return;]],
  [[) return;
  (void)payload;
  (void)len;]], { schedule = "P3" })
fault("plain", "shorter-pong-answers", claim, [[|| len != DOP_PROBE_LEN || memcmp(]],
  [[|| len > DOP_PROBE_LEN || memcmp(]], { schedule = "P3" })

-- 1. Counting in one place.
fault(1, "instructions-counted", lossless, [[    hear_ack(n, r.h);
    break;]], [[    hear_ack(n, r.h);
    a->received++;
    break;]])
fault(1, "binary-not-counted", lossless, [[  a->received++;
  a->owed_bytes]], [[  if (m->kind == DOP_TEXT) a->received++;
  a->owed_bytes]])
fault(1, "literal-not-counted", lossless,
  [[  if (m->kind == DOP_TEXT && dop_r1_marked(m->data, m->len) && !hear_instruction(n, m)) return 0;]],
  [[  if (m->kind == DOP_TEXT && dop_r1_marked(m->data, m->len)) return hear_instruction(n, m);]])
fault(1, "acknowledged-before-delivered", lossless, [[a->received - a->in_hand;]], [[a->received;]])
fault(1, "parked-not-counted", lossless, [[  if (!a->parked.count) n->socket->crammed = 0;
  return count_data(a, m);]], [[  if (!a->parked.count) n->socket->crammed = 0;
  return 1;]])

-- 2. Acknowledging.
fault(2, "ack-after-65", lossless, [[#define ACK_MESSAGES 64]], [[#define ACK_MESSAGES 65]])
fault(2, "ack-after-half", lossless, [[owed >= a->peer.max_messages / 4 ||]], [[owed >= a->peer.max_messages / 2 ||]])
fault(2, "ack-after-more-bytes", lossless, [[a->owed_bytes >= a->peer.max_bytes / 4;]],
  [[a->owed_bytes > a->peer.max_bytes / 4;]])
fault(2, "owed-bytes-never-paid", lossless, [[  a->told = delivered;
  a->owed_bytes = 0;]], [[  a->told = delivered;]])
fault(2, "timer-never-armed", lossless, [[      (!a->timer.slot && dop_timers_arm(]], [[      (0 && dop_timers_arm(]])
fault(2, "timer-pushed-back", lossless,
  [[  if (acknowledgement_due(a) || !a->timer.slot || a->hand) after_delivery(n);]],
  [[  dop_timers_disarm(&engine(n)->timers, &a->timer);
  after_delivery(n);]])
fault(2, "ack-noticed-at-the-timer-only", lossless,
  [[  if (acknowledgement_due(a) || !a->timer.slot || a->hand) after_delivery(n);]],
  [[  if (!a->timer.slot || a->hand) after_delivery(n);]])
fault(2, "timer-not-taken-back", lossless, [[  dop_timers_disarm(&engine(n)->timers, &a->timer);
  dop_node_say_text(n, text, dop_r1_write_one(text, 'a', delivered));]],
  [[  dop_node_say_text(n, text, dop_r1_write_one(text, 'a', delivered));]])
fault(2, "ack-for-nothing", lossless, [[|| a->closing || delivered == a->told) return;]], [[|| a->closing) return;]])
fault(2, "no-ack-before-end", node, [[  if (n->account && s) dop_lossless_acknowledge(n);]], "")
fault(2, "no-ack-before-close", node, [[  if (s->node && s->node->account) dop_lossless_acknowledge(s->node);]], "")

-- 3. Bounds.
fault(3, "one-message-too-many", node, [[n->queue.count >= l->queue_messages ||]],
  [[n->queue.count > l->queue_messages ||]])
fault(3, "bytes-unbounded", node, [[ || dop_queue_size(&n->queue) + size > l->queue_bytes)) {]], [[)) {]])
fault(3, "overhead-not-counted", node, [[  size_t size = m->len + DOP_QUEUE_OVERHEAD;]], [[  size_t size = m->len;]])
fault(3, "empty-queue-refuses", node, [[  if (n->queue.count &&
      (n->queue.count]], [[  if ((n->queue.count]])
fault(3, "drain-never-told", lossless, [[  dop_node_check_drain(n);
  return 0;]], [[  return 0;]])
fault(3, "drain-told-at-once", node, [[  if (n->queue.count > l->queue_messages / 2 ||]],
  [[  if (n->queue.count > l->queue_messages ||]])
fault(3, "too-large-accepted", node, [[  if (m->len > dop_lossless_max_message(n)) return DOP_SEND_TOOLARGE;
]], "")
fault(3, "waits-for-no-limit", lossless, [[    if (!a->heard_limits && m.len > DOP_R1_ANY_MESSAGE) {]],
  [[    if (0) {]])
fault(3, "limit-taken-for-known", lossless, [[
    if (m.len > DOP_R1_ANY_MESSAGE && m.len > dop_lossless_max_message(n)) {]], [[
    if (a->heard_limits && m.len >= dop_lossless_max_message(n)) {]])
fault(3, "waiting-one-refused", lossless, [[m.len > DOP_R1_ANY_MESSAGE && m.len > dop_loss]], [[m.len > dop_loss]])
fault(3, "small-limit-holds-at-once", lossless, [[
  return l->max_message > DOP_R1_ANY_MESSAGE ? l->max_message : DOP_R1_ANY_MESSAGE;]], [[
  return l->max_message;]])
fault(3, "small-limit-of-the-socket", input, [[
    if (!early && most < DOP_R1_ANY_MESSAGE) most = DOP_R1_ANY_MESSAGE;]], "")
fault(3, "escape-has-no-room", input, [[    most = most + DOP_R1_ESCAPE;]],
  [[    most = most + 0;]])
fault(3, "limit-forgotten-at-once", lossless, [[
      m->len <= most_taken(&n->transport->limits) && !looks]], [[
      !looks]])
fault(3, "escape-room-taken-for-data", lossless, [[  if (m->len > most_taken(&n->transport->limits)) {]],
  [[  if (0) {]])

-- 4. The server resumes.
fault(4, "stale-attempt-accepted", resume, [[  if (holder && n <= a->attempt) {]],
  [[  if (holder && n < a->attempt) {]])
fault(4, "attempt-not-kept", resume, [[  a->attempt = n;
]], "")
fault(4, "count-before-principal", resume, [[  enum dop_may may = holder ?]],
  [[  if (holder && (h < a->acked || h > a->written)) {
    refuse(newcomer, 4400, "PROTOCOL", "an impossible count");
    dop_node_end(holder, 4400, "protocol");
    return;
  }
  enum dop_may may = holder ?]])
fault(4, "principal-before-attempt", resume, [[  if (holder && n <= a->attempt) {]],
  [[  if (holder && n <= a->attempt && dop_node_may_have(holder, newcomer, m) == DOP_MAY) {]])
fault(4, "count-below-accepted", resume,
  [[  } else if (h < a->acked || h > a->written || (!a->closing && is_stuck(a, h))) {]],
  [[  } else if (h > a->written || (!a->closing && is_stuck(a, h))) {]])
fault(4, "count-above-accepted", resume,
  [[  } else if (h < a->acked || h > a->written || (!a->closing && is_stuck(a, h))) {]],
  [[  } else if (h < a->acked || (!a->closing && is_stuck(a, h))) {]])
fault(4, "old-socket-left-open", resume, [[  old->ops->close(old, 4001, "resumed on another socket");
]], "")
fault(4, "old-socket-still-heard", node, [[  n->socket->node = NULL;
  n->socket = NULL;
  dop_lossless_forget_parked(n);]], [[  n->socket = NULL;
  dop_lossless_forget_parked(n);]])
fault(4, "parked-survive-takeover", node, [[  n->socket = NULL;
  dop_lossless_forget_parked(n);]], [[  n->socket = NULL;]])
fault(4, "takeover-tells-nothing", resume, [[  if (dop_lossless_settle(holder, h)) return; /* it was looked at before */
  tell_all(a);]], [[  if (dop_lossless_settle(holder, h)) return; /* it was looked at before */
  a->in_hand = 0;]])
fault(4, "takeover-keeps-in-hand", resume, [[  if (dop_lossless_settle(holder, h)) return; /* it was looked at before */
  tell_all(a);]], [[  if (dop_lossless_settle(holder, h)) return; /* it was looked at before */
  a->told = a->received;]])
fault(4, "takeover-settles-nothing", resume,
  [[  if (dop_lossless_settle(holder, h)) return; /* it was looked at before */
]], "")
fault(4, "not-rewound", lossless, [[  dop_queue_rewind(&n->queue);
  return dop_node_say_text]], [[  return dop_node_say_text]])
fault(4, "numbers-not-rewound", lossless, [[  a->next = a->acked;
  dop_queue_rewind]], [[  dop_queue_rewind]])
fault(4, "written-forgotten", lossless, [[  a->next = a->acked;
  dop_queue_rewind]], [[  a->next = a->written = a->acked;
  dop_queue_rewind]])

-- 5. The client resumes.
fault(5, "attempts-begin-anew", resume, [[  dop_token_free(n->remote);
  n->remote = NULL;
  tell_all(a);]], [[  dop_token_free(n->remote);
  n->remote = NULL;
  a->attempt = 0;
  tell_all(a);]])
fault(5, "answer-to-another-attempt", resume, [[  if (r->n != a->attempt || dop_lossless_settle(n, r->h)) {]],
  [[  if (dop_lossless_settle(n, r->h)) {]])
fault(5, "answer-of-any-count", resume, [[  if (r->n != a->attempt || dop_lossless_settle(n, r->h)) {]],
  [[  if (r->n != a->attempt || (dop_lossless_settle(n, r->h), 0)) {]])
fault(5, "answer-settles-nothing", resume, [[  if (r->n != a->attempt || dop_lossless_settle(n, r->h)) {]],
  [[  if (r->n != a->attempt) {]])
fault(5, "others-before-answer-ignored", resume, [[  else
    dop_node_part(n->socket, 4400, "PROTOCOL", "neither an answer to the resumption nor the half");]], "")
fault(5, "taken-and-dials-on", node, [[  if (ended || taken)]], [[  if (ended)]])
fault(5, "asks-with-what-was-told", resume, [[++a->attempt, a->received);]], [[++a->attempt, a->told);]])
fault(5, "attempts-run-over", resume, [[  if (a->attempt == DOP_R1_MOST) {]], [[  if (0) {]])

-- 6. Half-confirmed.
fault(6, "kept-for-the-whole-window", node, [[n->connected ? t->limits.resume_window : t->limits.handshake_timeout;]],
  [[t->limits.resume_window;]])
fault(6, "client-forgets-the-half", node, [[s->lossless && status == DOP_PRECONNECTED && !n->token;]], [[0;]])
fault(6, "refused-half-leaves-record", dialogue, [[  if (n->token && !n->connected && !client) {]], [[  if (0) {]])
fault(6, "confirmed-without-connect", node, [[  if (n->connected && !n->untold) {
    struct dop_event]], [[  if (n->account || n->connected) {
    struct dop_event]])
fault(6, "no-tombstone-for-half", node, [[  if (n->account && t->role == DOP_SERVER) dop_resume_bury(n);]],
  [[  if (n->account && n->connected && t->role == DOP_SERVER) dop_resume_bury(n);]])
fault(6, "unconfirmed-session-ends", resume, [[  if (!n->connected && !r->by_application) {]], [[  if (0) {]])
fault(6, "equal-token-accepted", dialogue, [[  if (token && is_taken(n, token)) {]],
  [[  if (0 && is_taken(n, token)) {]])
fault(6, "unconfirmed-half-said-once", resume,
  [[  if (dop_resume_let_go(n) == 0 && dop_node_say(n, n->local) == 0) dop_node_say(n, n->local);]],
  [[  if (dop_resume_let_go(n) == 0) dop_node_say(n, n->local);]])

-- 7. How a socket ends.
fault(7, "4001-ends-nothing", lossless, [[ ||
         (code == 4001 && n->transport->role == DOP_CLIENT);]], [[;]])
fault(7, "4001-ends-the-server's", lossless, [[(code == 4001 && n->transport->role == DOP_CLIENT)]], [[code == 4001]])
fault(7, "1009-ends-nothing", lossless, [[code == 1007 || code == 1009 ||]], [[code == 1007 ||]])
fault(7, "1008-ends", lossless, [[code == 1007 || code == 1009 ||]],
  [[code == 1007 || code == 1008 || code == 1009 ||]])
fault(7, "4400-ends-nothing", lossless, [[  if (code == 4400) return 1;
]], "")
fault(7, "stale-attempt-tried-on", lossless, [[return code == 4403 || code == 4409;]], [[return code == 4403;]])
fault(7, "principal-tried-on", lossless, [[return code == 4403 || code == 4409;]], [[return code == 4409;]])
fault(7, "any-4xxx-ends-an-attempt", lossless, [[return code == 4403 || code == 4409;]], [[return code >= 4000;]])
fault(7, "early-1002-ends", lossless, [[return code == 4403 || code == 4409;]],
  [[return code == 1002 || code == 4403 || code == 4409;]])
fault(7, "malformed-is-4400", dialogue, [[n->account && client ? 4400 : 1008, "PROTOCOL", why);]],
  [[n->socket->lossless ? 4400 : 1008, "PROTOCOL", why);]])
fault(7, "violation-is-1008", lossless, [[  dop_node_part(n->socket, 4400, "PROTOCOL", why);]],
  [[  dop_node_part(n->socket, 1008, "PROTOCOL", why);]])
fault(7, "client-gives-up-after-violation", node, [[  if (ended || taken)]], [[  if (ended || code)]])
fault(9, "disconnect-forgotten-in-the-pump", node, [[  if (ended || taken)]], [[  if (closing || taken)]])

-- 8. Window and tombstones.
fault(8, "window-half", node, [[t->engine->now + window); /* it]], [[t->engine->now + window / 2); /* it]])
fault(8, "window-runs-on", node, [[  dop_timers_disarm(&t->engine->timers, &holder->window);
]], "")
fault(8, "no-tombstones", node, [[  if (n->account && t->role == DOP_SERVER) dop_resume_bury(n);
]], "")
fault(8, "tombstone-of-what-was-told", resume, [[n->principal, a->received, a->ended);]],
  [[n->principal, a->told, a->ended);]])
fault(8, "tombstone-for-ever", tombs, [[    if (tomb->until <= now || ]], [[    (void)now;
    if (]])
fault(8, "tombstone-for-an-hour", tombs, [[  tomb->until = now + DOP_TOMB_MS;]],
  [[  tomb->until = now + DOP_TOMB_MS / 24;]])
fault(8, "tombstones-unbounded", tombs, [[  if (t->at >= most) t->at = 0;
]], "")
fault(8, "newest-tombstone-goes", tombs, [[  if (t->at >= most) t->at = 0;]],
  [[  if (t->at >= most) t->at = most - 1;]])
fault(8, "last-word-not-believed", resume, [[  a->settled = r->has_h && dop_lossless_settle(n, r->h) == 0;]],
  [[  a->settled = 0;]])
fault(8, "no-word-believed", resume, [[  a->settled = r->has_h && dop_lossless_settle(n, r->h) == 0;]],
  [[  a->settled = !r->has_h || dop_lossless_settle(n, r->h) == 0;]])
fault(8, "impossible-word-believed", resume, [[  a->settled = r->has_h && dop_lossless_settle(n, r->h) == 0;]],
  [[  a->settled = r->has_h;
  if (r->has_h) dop_lossless_settle(n, r->h);]])

-- 9. The end, and what is handed back.
fault(9, "end-waits-for-ever", lossless,
  [[                       engine(n)->now + n->transport->limits.close_timeout))]],
  [[                       engine(n)->now + 10 * n->transport->limits.close_timeout))]])
fault(9, "end-before-what-waits", lossless, [[  if (dop_lossless_pump(n, 1) == 0) {]], [[  if (n->socket) {]])
fault(9, "end-settles-nothing", lossless, [[  a->settled = 1;
  if (a->closing) {]], [[  if (a->closing) {]])
fault(9, "bare-token-settles", lossless, [[    end_by(n, "peer"); /* it settles nothing */]],
  [[    n->account->settled = 1;
    end_by(n, "peer");]])
fault(9, "sends-accepted-after-end", node, [[  if (n->account->closing) return DOP_SEND_CLOSED;
]], "")
fault(9, "end-overtakes-parked", lossless,
  [[    if (a->parked.count && !a->closing && dop_lossless_settle(n, r.h) == 0) {]],
  [[    if (0) {]])
fault(9, "parked-end-forgotten", lossless, [[      a->settled = 1;    /* whatever happens now */
]], "")
fault(9, "parked-delivered-after-end", lossless, [[    a->end_why = why;
    dop_lossless_forget_parked(n);]], [[    a->end_why = why;]])
fault(9, "end-by-application-ignored", resume, [[  if (r->by_application) {]], [[  if (0) {]])
fault(9, "end-by-application-not-told", resume, [[n->principal, a->received, a->ended);]],
  [[n->principal, a->received, 0);]])
fault(9, "this-socket's-is-written", node, [[(uint32_t)(n->account->written - n->account->acked);
    ev->settled]], [[(uint32_t)(n->account->next - n->account->acked);
    ev->settled]])
fault(9, "all-undelivered", node, [[    ev->settled = n->account->settled;]], [[    ev->settled = 1;]])

-- 10. Liveness and pausing.
fault(10, "ping-waits-too-long", link, [[    arm(l, lim->ping_timeout);]], [[    arm(l, lim->ping_interval);]])
fault(10, "bytes-are-no-life", input, [[  l->heard_at = dop_link_engine(l)->now;
  l->pinged = 0;
  if (l->in.len == 0)]], [[  if (l->in.len == 0)]])
fault(10, "never-given-up", link, [[  } else if (l->pinged) {
    dop_link_lost]], [[  } else if (0) {
    dop_link_lost]])
fault(10, "acks-unheard-while-paused", input, [[
  while (l->input && !dop_socket_stopped(s) && !dop_link_engine(l)->first) {]], [[
  while (l->input && !s->paused && !dop_link_engine(l)->first) {]])
fault(10, "parked-one-too-many", lossless, [[q->count >= a->peer.max_messages ||]],
  [[q->count > a->peer.max_messages ||]])
fault(10, "parked-bytes-unbounded", lossless, [[ || bytes > a->peer.max_bytes))]], [[))]])
fault(10, "parked-out-of-order", lossless, [[  if (n->socket->paused || a->parked.count) {]],
  [[  if (n->socket->paused) {]],
  { survives = "A link hands out everything that is parked before it parses on, so the second test never decides." })
fault(10, "crammed-never", lossless, [[    n->socket->crammed = 1;
]], "")
fault(10, "paused-delivers", lossless, [[!a->parked.count && !n->socket->paused &&
      m->len]], [[!a->parked.count &&
      m->len]])
fault(10, "crammed-for-ever", lossless, [[  if (!a->parked.count) n->socket->crammed = 0;
]], "")

-- 11. Abuse.
fault(11, "any-number-of-resumptions", resume, [[  if (newcomer->asked || (holder && !a)) {]],
  [[  if (holder && !a) {]])
fault(11, "stuck-for-ever", resume, [[(!a->closing && is_stuck(a, h))) {]], [[0) {]])
fault(11, "stuck-before-late", resume, [[(!a->closing && is_stuck(a, h))) {]], [[is_stuck(a, h)) {]])
fault(11, "stuck-once-more", resume, [[  return a->stuck >= STUCK_MOST;]], [[  return a->stuck > STUCK_MOST;]])
fault(11, "idle-is-stuck", resume, [[  int moves = h != a->acked || a->written == a->acked;]],
  [[  int moves = h != a->acked;]])
fault(11, "messages-move-nothing", lossless, [[  a->stuck = 0;
  a->node]], [[  a->node]])
fault(11, "acks-move-nothing", lossless, [[  if (h != a->acked) a->stuck = 0;
]], "")
fault(11, "one-detached-too-few", node, [[t->detached_count <= l->max_detached)]],
  [[t->detached_count < l->max_detached)]])
fault(6, "unconfirmed-without-a-cap", node, [[t->unconfirmed_count <= l->max_unconfirmed)]], [[1)]])
fault(6, "sessions-go-before-unconfirmed", node, [[dop_node_end(unconfirmed ? unconfirmed : session,]],
  [[dop_node_end(session ? session : unconfirmed,]])
fault(11, "newest-evicted", node, [[*session = t->detached.first;]], [[*session = t->detached.last;]])
fault(11, "detached-sends-not-counted", node, [[    t->detached_bytes += dop_queue_held(&n->queue) - held;
]], "")
fault(10, "crammed-after-its-end", lossless, [[  if (n->socket) n->socket->crammed = 0; /* there]], [[  /* there]])
fault(11, "acknowledged-room-kept", node, [[  if (detached) dop_queue_trim(&n->queue);
]], "")
fault(11, "spare-block-not-counted", node, [[  if (!n->detached) dop_queue_borrow(]], [[  dop_queue_borrow(]])

-- 12. Principal.
fault(12, "any-principal-resumes", resume, [[  } else if (may == DOP_MAY_NOT) {]], [[  } else if (0) {]])
fault(12, "nobody-is-anybody", principal, [[  if (!owner || !other) return DOP_MAY_NOT;]],
  [[  if (!owner || !other) return DOP_MAY;]])
fault(12, "principal-by-prefix", principal, [[  if (dop_token_is(owner, other->text, other->len)) return DOP_MAY;]],
  [[  if (dop_token_mirrors(owner, other->text, other->len)) return DOP_MAY;]])
fault(12, "thief-ends-the-session", resume,
  [[    refuse(newcomer, 4403, "PRINCIPAL", "the session belongs to somebody else");]],
  [[    refuse(newcomer, 4403, "PRINCIPAL", "the session belongs to somebody else");
    dop_node_end(holder, 4403, "protocol");]])
fault(12, "thief's-attempt-counts", resume,
  [[    refuse(newcomer, 4403, "PRINCIPAL", "the session belongs to somebody else");]],
  [[    a->attempt = n;
    refuse(newcomer, 4403, "PRINCIPAL", "the session belongs to somebody else");]])
fault(12, "tombstone-for-anybody", tombs,
  [[    if (tomb->until <= now || tomb->principal[0] != who[0] || tomb->principal[1] != who[1])]],
  [[    if (tomb->until <= now)]])
fault(12, "tombstone-without-principal", resume, [[n->principal, a->received, a->ended);]],
  [[NULL, a->received, a->ended);]])
fault(12, "any-principal-resumes-plain", dialogue, [[  if (may == DOP_MAY_NOT)]], [[  if (0)]])
fault(12, "says-something-while-asked-about", dialogue, [[  else if (n->question)]], [[  else if (0)]])
fault(12, "answer-is-always-yes", principal, [[  if (same) { /*]], [[  if (1) { /*]])
fault(12, "asked-about-nobody", principal, [[  if (!owner || !other) return DOP_MAY_NOT;]],
  [[  if (!owner) return DOP_MAY_NOT;
  if (!other) other = owner;]])

-- The grammar, the limits, the dialects.
fault("wire", "limits-twice", lossless, [[  if (a->heard_limits) {]], [[  if (0) {]])
fault("wire", "data-before-limits-at-once", lossless, [[  if (a->heard_limits && !a->closing &&]],
  [[  if (!a->closing &&]])
fault("wire", "data-before-limits", lossless, [[  if (!n->account->heard_limits) {]], [[  if (0) {]])
fault("wire", "window-shrinks", lossless, [[ || l->window_ms < a->peer.window_ms ||]], [[ ||]])
fault("wire", "messages-shrink", lossless, [[             l->max_messages < a->peer.max_messages ||]], "")
fault("wire", "nothing-taken", lossless, [[             !l->max_message || !l->max_messages) {]],
  [[             !l->max_message) {]])
fault("wire", "leading-zeros", r1, [[  if (r->at == from || (*from == '0' && r->at - from > 1)) return 0;]],
  [[  if (r->at == from) return 0;]])
fault("wire", "no-digits", r1, [[  if (r->at == from || (*from]], [[  if ((*from]])
fault("wire", "2^53", r1, [[    if (v > DOP_R1_MOST) return 0;]], [[    if (v > DOP_R1_MOST + 1) return 0;]])
fault("wire", "rest-ignored", r1, [[body(&r, *r.at++, m) || !ended(&r)) {]], [[body(&r, *r.at++, m)) {]])
fault("wire", "token-not-escaped", lossless,
  [[  if (!dop_r1_marked(m->data, m->len) && !is_token)]],
  [[  if (!dop_r1_marked(m->data, m->len))]])
fault("wire", "acked-again", lossless, [[  if (h < a->acked || h > a->written) return -1;
  if (h != a->acked) a->stuck]], [[  if (h > a->written) return -1;
  if (h != a->acked) a->stuck]])
fault("wire", "plain-token-on-lossless", dialogue, [[  else if (holder && (holder->account || n->socket->lossless))]],
  [[  else if (holder && holder->account && !n->socket->lossless)]])
fault("wire", "lossless-session-goes-on-plain", dialogue, [[    dop_node_end(n, 1000, "unknown");
  }
  if (fresh->status]], [[    dop_node_end(n, 1000, "local");
  }
  if (fresh->status]])

-- Plain DOP.
fault("plain", "echo-accepted", dialogue,
  [[  if (dop_token_mirrors(n->token ? n->token : n->local, m->data, m->len)) {]],
  [[  if (0) {]])
fault("plain", "probe-forgotten-at-once", claim, [[  if (e->now >= p->begun + PROBE_SPACING ||]],
  [[  if (1 || e->now >= p->begun + PROBE_SPACING ||]])
fault("plain", "merge-unordered", "csrc/session/token.c", [[  if (memcmp(a->text, b->text, len) > 0) {]],
  [[  if (0) {]])
fault("plain", "outgrown-token-for-ever", node, [[  else if (outgrown(n, status, code, code_name))]], [[  else if (0)]])
fault("plain", "any-token-outgrown", node, [[n->token->len > DOP_HALF_MAX && ]], "")
fault("plain", "token-sendable", node,
  [[  if (m->kind == DOP_TEXT && dop_token_is(n->token, m->data, m->len)) return DOP_SEND_RESERVED;
]], "")
fault("plain", "second-half-any", dialogue, [[  if (dop_token_is(n->remote, m->data, m->len)) {
    connect_node(n);]], [[  if (m->len == n->remote->len) {
    connect_node(n);]])
fault("plain", "holder-lost-unnoticed", node, [[  struct dop_node *newcomer = dop_claim_take(n);
  if (newcomer) {]], [[  struct dop_node *newcomer = dop_claim_take(n);
  if (0) {]])

-- What comes before a session: heads of HTTP, the upgrade, the way through a proxy.
local by_server = { specs = "spec/ws/upgrade_server_spec.lua" }
local by_client = { specs = "spec/ws/upgrade_client_spec.lua" }
local by_offers, by_tunnel = { specs = "spec/ws/protocols_spec.lua" }, { specs = "spec/ws/tunnel_spec.lua" }
fault("upgrade", "head-from-its-beginning", http, [[  size_t at = *seen;]], [[  size_t at = 0;]],
  { specs = "spec/ws/linear_spec.lua" })
fault("upgrade", "bare-lf", http, [[  if (len == 0 || lf[-1] != '\r') {]], [[  if (len == 0) {]], by_server)
fault("upgrade", "folded", http,
  [[  if (is_blank(line.data[0])) return "A header is folded over two lines.";]], "", by_server)
fault("upgrade", "control-bytes", http, [[  if (!all(field->value, is_value_char)) return]],
  [[  if (0) return]], by_server)
fault("upgrade", "one-field-less", http, [[    if (head->count == max_fields) {]],
  [[    if (head->count + 1 == max_fields) {]],
  by_server)
fault("upgrade", "empty-elements", http, [[    if (element->len != 0) return 1;]], [[    return 1;]], by_offers)
fault("upgrade", "shows-user-of-location", http, [[    if (c == '@' && host) {]], [[    if (0) {]], by_client)
fault("upgrade", "chunked", upgrade, [[    if (dop_span_is(f->name, "Transfer-Encoding")) return 1;]], "", by_server)
fault("upgrade", "two-hosts", upgrade, [[  if (hosts > 1) return]], [[  if (0) return]], by_server)
fault("upgrade", "origin-of-other-port", upgrade, [[    return port >= 0 && port == asked &&]],
  [[    return port >= 0 &&]],
  by_server)
fault("upgrade", "offered-twice", upgrade, [[      if (is_offered(req, element)) return]],
  [[      if (0) return]], by_offers)
fault("upgrade", "two-accepts", upgrade, [[  if (dop_head_find(head, "Sec-WebSocket-Accept", &value) != 1 ||]],
  [[  if (dop_head_find(head, "Sec-WebSocket-Accept", &value) == 0 ||]], by_client)
fault("upgrade", "proxy-speaks-for-server", tunnel, [[  } else if (l->input_len > len) {]],
  [[  } else if (0) {]], by_tunnel)
fault("upgrade", "proxy-refusal-malformed", tunnel, [[  if (faulty && (made || !head.status)) {]],
  [[  if (faulty && !head.status) {]], by_tunnel)
fault("upgrade", "proxy-head-without-limit", tunnel, [[  if ((len ? len : l->input_len) > limits->max_header) {]],
  [[  if (0) {]], by_tunnel)
fault("upgrade", "tunnel-for-ever", tunnel, [[  l->state = DOP_LINK_UPGRADING;]], "", by_tunnel)
local handshake = "csrc/link/handshake.c"
fault("upgrade", "what-comes-behind-is-of-the-head", handshake, [[  if ((len ? len : l->input_len) >]],
  [[  if (l->input_len >]], by_server)
fault("upgrade", "any-origin", handshake, [[  if (!l->upgrade->plain && !origin_ok(t, &req)) {]], [[  if (0) {]],
  by_server)
fault("upgrade", "not-offered-is-selected", handshake, [[  } else if (protocol.data && number == NONE) {]],
  [[  } else if (0) {]], by_offers)
fault("upgrade", "answer-of-http-1.0", upgrade, [[  } else if (!head->is_1_1) {]], [[  } else if (0) {]], by_client)
fault("upgrade", "headers-say-more-than-the-status", upgrade,
  [[  if (faulty && (head->status == 0 || head->status == 101)) return -1;]], [[  if (faulty) return -1;]], by_client)
fault("upgrade", "head-hears-a-body", http, [[content && !a->head_only ? span]], [[content ? span]],
  { specs = "spec/ws/plain_spec.lua" })

-- What compresses a connection: zlib's states, which are lent and taken back.
local deflate, extension, connection = "csrc/ws/deflate.c", "csrc/ws/extension.c", "csrc/ws/connection.c"
local by_deflated, by_inflated = { specs = "spec/ws/deflate_send_spec.lua" },
  { specs = "spec/ws/deflate_receive_spec.lua" }
fault("deflate", "state-of-another-window", deflate, [[f->level != d->level || f->window != d->window ||]],
  [[f->level != d->level ||]], by_deflated)
fault("deflate", "state-not-reset", deflate, [[      deflateReset(&f->z);]], [[      f->z.avail_in = 0;]], by_deflated)
fault("deflate", "state-kept-without-takeover", deflate, [[  if (failed || !d->takeover) leave_deflater(d);]],
  [[  if (failed) leave_deflater(d);]], by_deflated)
fault("deflate", "unsent-is-referred-to", deflate, [[  if (failed || !d->takeover) leave_deflater(d);]],
  [[  if (!d->takeover) leave_deflater(d);]], by_deflated)
fault("deflate", "longer-than-the-message", deflate,
  [[  if (run(d->deflater, data, len, out, d->takeover ? UINT32_MAX / 2 : len + TAIL)) return -1;
  out->len -= TAIL;
  return d->takeover || out->len < len ? 0 : -1;]], [[  if (run(d->deflater, data, len, out, UINT32_MAX / 2)) return -1;
  out->len -= TAIL;
  return 0;]], by_deflated)
fault("deflate", "tail-is-sent", deflate, [[  out->len -= TAIL;]], "", by_deflated)
fault("deflate", "never-rests", deflate, [[  d->used = 0;]], "", by_deflated)
fault("deflate", "rests-in-use", deflate, [[  if (!d->used) leave_deflater(d);]], [[  leave_deflater(d);]], by_deflated)
fault("deflate", "large-block-stays", deflate, [[  if (packed->cap > SPARE_MAX) dop_bytes_dispose(packed);]], "",
  by_deflated)
fault("deflate", "inflater-not-reset", deflate, [[    inflateReset2(&f->z, -(int)reading_window(d));]],
  [[    f->z.avail_in = 0;]], by_inflated)
fault("deflate", "inflater-kept-without-takeover", deflate, [[  if (!d->peer_takeover) leave_inflater(d);]],
  [[  if (0) leave_inflater(d);]],
  by_inflated)
fault("deflate", "ends-inside-a-block", deflate, [[  int whole = !d->inflater || d->inflater->clean;]],
  [[  int whole = 1;]], by_inflated)
fault("deflate", "8-bits-read-with-8", deflate,
  [[  return d->peer_window < DOP_DEFLATE_WINDOW_MIN ? DOP_DEFLATE_WINDOW_MIN : d->peer_window;]],
  [[  return d->peer_window;]], by_inflated)
fault("deflate", "one-byte-above-the-limit", connection, [[max_message - b->len : 0, room]],
  [[max_message - b->len + 1 : 0, room]], by_inflated)

-- What two ends agree on for that.
local by_extension = { specs = "spec/ws/extension_spec.lua" }
fault("extension", "answer-above-the-offer", extension, [[smaller(o->window, offer->server_bits)]], [[o->window]],
  by_extension)
fault("extension", "answer-of-8-bits", extension, [[    if (offer->server_bits < DOP_DEFLATE_WINDOW_MIN) return 0;
]], "", by_extension)
fault("extension", "binds-who-cannot-be-bound", extension, [[return o->peer_window == DOP_DEFLATE_WINDOW_MAX;]],
  [[return 1;]], by_extension)
fault("extension", "offered-takeover-ignored", extension,
  [[  answer->has = offer->has & (SERVER_TAKEOVER | CLIENT_TAKEOVER);]], [[  answer->has = 0;]], by_extension)
fault("extension", "last-offer-wins", extension, [[    if (chosen || !o ||]], [[    if (!o ||]], by_extension)
fault("extension", "parameter-twice", extension, [[  if (!param || out->has & param) return 0;]],
  [[  if (!param) return 0;]], by_extension)
fault("extension", "zero-before-the-bits", extension,
  [[  if (p->len == 1 && (p->value[0] == '8' || p->value[0] == '9')) return (unsigned)p->value[0] - '0';]],
  [[  if (p->len == 2 && p->value[0] == '0') return (unsigned)p->value[1] - '0';
  if (p->len == 1 && (p->value[0] == '8' || p->value[0] == '9')) return (unsigned)p->value[0] - '0';]], by_extension)
fault("extension", "takeover-with-a-value", extension, [[return !p->has_value;]], [[return 1;]], by_extension)
fault("extension", "server-takes-over-all-the-same", extension,
  [[  if (offer->has & SERVER_TAKEOVER && !(said->has & SERVER_TAKEOVER)) return 0;
]], "", by_extension)
fault("extension", "server-widens-its-window", extension, [[ || said->server_bits > offer->server_bits))]], [[))]],
  by_extension)
fault("extension", "second-extension", extension, [[  if (!o || again || !is_exactly]], [[  if (!o || !is_exactly]],
  by_extension)

-- Frames that bring no data, of which a peer may send so many a second.
local by_control = { specs = "spec/ws/control_spec.lua" }
fault("idle", "one-frame-more", input, [[++l->idle <= most) return 0;]], [[++l->idle <= most + 1) return 0;]],
  by_control)
fault("idle", "no-limit-is-none", input, [[ || !most || ++l->idle]], [[ || ++l->idle]], by_control)
fault("idle", "data-does-not-count", input, [[    l->idle = 0;
    return dop_node_hear]], [[    return dop_node_hear]], by_control)
fault("idle", "for-ever", input, [[  if (!same_second(l->heard_at, dop_link_engine(l)->now)) l->idle = 0;]], "",
  by_control)
fault("idle", "each-read-anew", input, [[  if (!same_second(l->heard_at, dop_link_engine(l)->now)) l->idle = 0;]],
  [[  l->idle = 0;]], by_control)
fault("idle", "pongs-do-not-count", input, [[  case DOP_WS_PING:
  case DOP_WS_PONG:
    if (too_idle(l)) return 0;
    /* fall through */]], [[  case DOP_WS_PING:
    if (too_idle(l)) return 0;
    /* fall through */
  case DOP_WS_PONG:]], by_control)
fault("idle", "empty-fragments-do-not-count", input, [[    if (item.len == 0) too_idle(l);
]], "", by_control)
fault("idle", "every-fragment-counts", input, [[    if (item.len == 0) too_idle(l);]], [[    too_idle(l);]], by_control)
fault("idle", "heard-on", input, [[  dop_node_part(&l->socket, 1008, "PROTOCOL", why);
  if (l->state != DOP_LINK_DEAD) dop_link_linger(l);]], [[  dop_node_part(&l->socket, 1008, "PROTOCOL", why);]],
  by_control)

-- The caps of a server.
local caps, transport = "csrc/link/caps.c", "csrc/session/transport.c"
local by_caps = { specs = "spec/lua/caps_spec.lua" }
fault("caps", "one-socket-more", transport, [[t->socket_count - t->lingering_count > l->max_sockets)]],
  [[t->socket_count - t->lingering_count > l->max_sockets + 1)]], by_caps)
fault("caps", "the-refused-take-room", transport, [[t->socket_count - t->lingering_count > l->max_sockets)]],
  [[t->socket_count > l->max_sockets)]], by_caps)
fault("caps", "the-refused-are-waited-for", link, [[  if (++l->socket.transport->lingering_count > most) l->over = 1;]],
  [[  ++l->socket.transport->lingering_count;]], by_caps)
fault("caps", "one-socket-more-of-an-address", caps, [[a->sockets >= lim->max_sockets_per_address]],
  [[a->sockets > lim->max_sockets_per_address]], by_caps)
fault("caps", "one-pending-more-of-an-address", caps, [[a->pending >= lim->max_pending_per_address]],
  [[a->pending > lim->max_pending_per_address]], by_caps)
fault("caps", "pending-for-ever", caps, [[  if (l->socket.pending) a->pending--;
]], "", by_caps)
fault("caps", "nobody-leaves-an-address", caps, [[  if (--a->sockets == 0) dop_addresses]], [[  if (0) dop_addresses]],
  by_caps)
fault("caps", "addresses-are-kept", caps, [[  if (--a->sockets == 0) dop_addresses]],
  [[  if (--a->sockets == 0 && 0) dop_addresses]], by_caps)
fault("caps", "uncounted-without-memory", caps, [[  if (!a) return DOP_REFUSED_MEMORY;]],
  [[  if (!a) return DOP_ADMITTED;]],
  by_caps)
fault("caps", "bytes-let-anybody-in", transport, [[  if (dop_transport_full(t, 0)) return DOP_REFUSED_BYTES;
]], "", by_caps)
fault("caps", "half-messages-grow-on", input, [[    dop_node_shed(&l->socket); /*]], [[    (void)0; /*]], by_caps)
fault("caps", "the-starved-are-not-told", transport,
  [[    for (struct dop_node *n = lists[k]->first; n; n = n->next) dop_node_check_drain(n);]],
  [[    (void)lists[k];]], by_caps)

-- A server that drains.
local by_drain = { specs = "spec/lua/drain_spec.lua" }
fault("drain", "waits-for-nobody", transport, [[    if (dop_node_is_settled(n)) dop_node_end]], [[    dop_node_end]],
  by_drain)
fault("drain", "waits-too-long", transport, [[  t->drain_until = e->now + ms;]],
  [[  t->drain_until = e->now + 2 * ms;]], by_drain)
fault("drain", "detached-stay", transport, [[  t->drain.fire = look_at_drain;
  while (t->detached.first) end_node(t->detached.first, DOP_COME_BACK);]], [[  t->drain.fire = look_at_drain;]],
  by_drain)
fault("drain", "lost-ones-are-waited-for", node, [[  if (t->draining) {
    dop_node_end]], [[  if (0) {
    dop_node_end]], by_drain)
fault("drain", "newcomers-are-let-in", transport, [[  if (t->closed || t->draining) return DOP_REFUSED_CLOSING;]],
  [[  if (t->closed) return DOP_REFUSED_CLOSING;]], by_drain)
fault("drain", "gone-for-good", transport, [[    code = DOP_COME_BACK;
]], "", by_drain)
fault("drain", "half-way-sockets-stay", transport, [[  close_sockets(t, DOP_COME_BACK);
  uint64_t first]], [[  uint64_t first]], by_drain)

-- How much a socket takes before the system does.
local by_marks = { specs = "spec/lua/pressure_spec.lua" }
fault("marks", "filled-above", node, [[         n->socket->ops->backlog(n->socket) < n->transport->limits.high_mark;]],
  [[
         n->socket->ops->backlog(n->socket) <= n->transport->limits.high_mark;]], by_marks)
fault("marks", "filled-with-each-byte", node, [[n->socket->ops->backlog(n->socket) <= n->transport->limits.low_mark;]],
  [[n->socket->ops->backlog(n->socket) <= n->transport->limits.high_mark;]], by_marks)
fault("marks", "low-one-is-not-low", node, [[n->socket->ops->backlog(n->socket) <= n->transport->limits.low_mark;]],
  [[n->socket->ops->backlog(n->socket) < n->transport->limits.low_mark;]], by_marks)
fault("marks", "filled-when-empty", node, [[n->socket->ops->backlog(n->socket) <= n->transport->limits.low_mark;]],
  [[n->socket->ops->backlog(n->socket) == 0;]], by_marks)
fault("marks", "drain-by-messages-alone", node, [[ || dop_queue_size(&n->queue) > l->queue_bytes / 2)]], [[)]],
  by_marks)

-- A stream that is encrypted.
local secure, tls, context = "csrc/uv/secure.c", "csrc/uv/tls.c", "csrc/uv/tls_context.c"
local by_stream, by_hostile = { specs = "spec/tls/stream_spec.lua" }, { specs = "spec/tls/hostile_spec.lua" }
local by_flood = { specs = "spec/tls/flood_spec.lua" }
local by_records, by_verify = { specs = "spec/tls/records_spec.lua" }, { specs = "spec/tls/verify_spec.lua" }
fault("tls", "no-close_notify", tls, [[  SSL_shutdown(t->ssl);
]], "", by_hostile)
fault("tls", "rest-is-forgotten", secure, [[  return sent < len ? send_later(s, shared->out + sent, len - sent) : 0;]],
  [[  return 0;]], by_stream)
fault("tls", "encrypts-without-end", secure, [[!s->tls->failed && !s->writing && !s->link->dead)]],
  [[!s->tls->failed && !s->link->dead)]], by_stream)
fault("tls", "nobody-is-told-of-room", secure, [[    loop->api->wrote(s->link);]], [[    (void)0;]], by_stream)
fault("tls", "what-is-pending-waits", tls, [[      if (!shared->in_len && !SSL_has_pending(t->ssl)) break;]],
  [[      break;]], by_stream)
fault("tls", "large-records-at-once", tls, [[  limit_records(ssl, SMALL);
  if (c->server)]], [[  if (c->server)]], by_stream)
fault("tls", "large-records-after-a-rest", tls, [[    if (!t->cautious) limit_records(t->ssl, SMALL);]], "", by_stream)
fault("tls", "small-records-for-ever", tls,
  [[  if (!t->cautious) limit_records(t->ssl, SSL3_RT_MAX_PLAIN_LENGTH);]], "", by_stream)
fault("tls", "session-is-broken", tls,
  [[    if (!t->failed) SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
]], "", by_verify)
fault("tls", "the-refused-cost-a-handshake", secure, [[  s->tls->failed |= !s->tls->ready;]], [[  (void)0;]],
  by_hostile)
fault("tls", "who-looked-is-refused", secure, [[s->tls->begun && !s->tls->ready && !s->tls->failed)]],
  [[!s->tls->ready && !s->tls->failed)]], { specs = "spec/tls/log_spec.lua" })
fault("tls", "plain-http-is-a-fault", tls,
  [[  return t->context->server && first >= 'A' && first <= 'Z' ? DOP_TLS_HTTP : DOP_TLS_FAILED;]],
  [[  return DOP_TLS_FAILED;]], by_hostile)
fault("tls", "handshakes-without-end", secure, [[  return loop->handshakes >= ROUND_MOST ||
         loop->handshakes * ROUND_SHARE * loop->crowd.step >= loop->busy;]], [[  return 0;]],
  by_flood)
fault("tls", "handshakes-are-not-counted", secure, [[  if (!promised) loop->handshakes++;
]], "", by_flood)
fault("tls", "one-handshake-in-a-long-round", secure,
  [[loop->handshakes * ROUND_SHARE * loop->crowd.step >= loop->busy;]], [[loop->handshakes >= 1;]], by_flood)
fault("tls", "many-handshakes-in-a-short-round", secure,
  [[ ||
         loop->handshakes * ROUND_SHARE * loop->crowd.step >= loop->busy;]], [[;]], by_flood)
fault("tls", "a-proxy-waits", secure, [[!t->turn && s->link->state != DOP_LINK_TUNNELLING &&]],
  [[!t->turn &&]], by_flood)
fault("tls", "one-handshake-however-busy", secure, [[#define ROUND_MOST  16]], [[#define ROUND_MOST  1]], by_flood)
fault("tls", "the-last-come-find-room", secure, [[(foremost(&s->loop->crowd) || full(s->loop))]], [[full(s->loop)]],
  by_flood)
fault("tls", "the-refused-queue", secure, [[!t->ready && !t->failed]], [[!t->ready]], by_flood)
fault("tls", "idle-turns-are-lost", secure, [[if (full(loop) && spare-- == 0) break;]], [[(void)spare;
    if (full(loop)) break;]], by_flood)
fault("tls", "the-begun-are-newcomers", secure, [[t->line = progress(s) != TLS_ST_BEFORE;]], [[t->line = 0;]], by_flood)
fault("tls", "the-last-come-take-the-turn", secure, [[    s->tls->turn = 1;
]], "", by_flood)
fault("tls", "the-closed-keep-their-place", "csrc/uv/stream.c", [[  dop_secure_leave(s);
]], "", by_flood)
fault("tls", "one-turn-and-no-other", secure, [[  if (foremost(crowd)) dop_later_add(loop, later);
]], "", by_flood)
fault("tls", "talk-without-end", tls, [[  if (t->talk <= TALK_MAX) t->talk++;]], "", by_records)
fault("tls", "talk-in-all", tls, [[  if (t->second != (uint32_t)(now >> 10)) t->talk = 0;]], "", by_records)
fault("tls", "end-before-what-a-pause-holds", input, [[(l->socket.ready || dop_socket_stopped(&l->socket))]],
  [[l->socket.ready]], by_records)
fault("tls", "buffers-kept", context, [[SSL_MODE_RELEASE_BUFFERS | ]], "", by_records)
fault("tls", "reset-in-handshake-uncounted", secure,
  [[  broken_off(s, uv_err_name(err), "the connection was lost during the TLS handshake");]], "",
  { specs = "spec/tls/cut_spec.lua" })
fault("tls", "close-notify-in-handshake-uncounted", secure, [[    dop_secure_eof(s);
]], [[    api->eof(s->link);
]], by_hostile)
fault("tls", "revoked-comes-by-ticket", context, [[      ok = X509_CRL_digest(list, EVP_sha256(), print, &n) == 1;]],
  [[      continue;]], by_verify)
fault("tls", "subject-is-a-name", context, [[X509_CHECK_FLAG_NEVER_CHECK_SUBJECT]], [[0]], by_verify)

return list
