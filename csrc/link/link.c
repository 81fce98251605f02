/* The life of a link; see link.h. Owns buffers and the timer; the handshake is in handshake.c. */
#include "link/link.h"

#include <string.h>

#include "link/link_private.h"
#include "session/r1.h"

#define EARLY_MAX   1024   /* bytes of a message before CONNECTED */
#define SPARE_MAX   131072 /* a larger block goes back to the system */
#define TURN_FRAMES 256    /* that are no message, before others have their turn */
#define FRAME_BYTES 128    /* of a message that grows weigh as much as a frame */
#define PONGS_MAX   65536  /* bytes of output above which no pong is added */

static struct dop_link *as_link(struct dop_socket *s) {
  return (struct dop_link *)s;
}

static struct dop_engine *engine(const struct dop_link *l) {
  return l->socket.transport->engine;
}

static const struct dop_limits *limits(const struct dop_link *l) {
  return &l->socket.transport->limits;
}

/* --- buffers --- */

struct dop_bytes *dop_link_out(struct dop_link *l) {
  dop_bytes_borrow(&l->out, &engine(l)->spare); /* an idle link holds no block */
  dop_socket_mark_dirty(&l->socket);
  return &l->out;
}

const char *dop_link_output(const struct dop_link *l, size_t *len) {
  *len = l->out.len - l->out_at;
  return *len ? l->out.data + l->out_at : NULL;
}

/* Enters what its buffers hold into the transport's sum, in place of what it entered before. */
static void tally(struct dop_link *l) {
  struct dop_transport *t = l->socket.transport;
  /* Of a message that is inflated only what is there takes memory, see connection.c. */
  uint32_t gathered = l->ws.packed ? l->ws.assembly.len : l->ws.assembly.cap;
  uint64_t held = (uint64_t)l->in.cap + l->out.cap + gathered + l->in_flight;
  if (held > UINT32_MAX) held = UINT32_MAX;
  t->bytes += held - l->held;
  l->held = (uint32_t)held;
}

void dop_link_sent(struct dop_link *l, size_t n) {
  l->out_at += (uint32_t)n;
  if (l->out_at == l->out.len) {
    l->out_at = 0;
    dop_bytes_leave(&l->out, &engine(l)->spare, SPARE_MAX);
    tally(l);
    dop_transport_tallied(l->socket.transport);
  }
  dop_node_writable(&l->socket);
}

void dop_link_take(struct dop_link *l, struct dop_bytes *b, uint32_t *at) {
  *b = l->out;
  *at = l->out_at;
  l->in_flight = l->out.len - l->out_at;
  memset(&l->out, 0, sizeof l->out);
  l->out_at = 0;
  tally(l);
}

void dop_link_wrote(struct dop_link *l) {
  l->in_flight = 0;
  tally(l);
  dop_transport_tallied(l->socket.transport);
  if (l->state == DOP_LINK_DEAD) return;
  dop_node_writable(&l->socket);
  dop_socket_mark_dirty(&l->socket);
}

static size_t link_backlog(const struct dop_socket *s) {
  const struct dop_link *l = (const struct dop_link *)s;
  return l->out.len - l->out_at + l->in_flight;
}

/* --- ends --- */

static void arm(struct dop_link *l, uint64_t after) {
  /* Without memory for a deadline the socket may not stay. */
  if (dop_timers_arm(&engine(l)->timers, &l->timer, engine(l)->now + after)) dop_link_die(l, 1);
}

void dop_link_die(struct dop_link *l, int reset) {
  if (l->state == DOP_LINK_DEAD) return;
  if (l->state == DOP_LINK_ENDING) l->socket.transport->lingering_count--;
  dop_link_count_less(l, 1);
  l->state = DOP_LINK_DEAD;
  l->dead = 1;
  l->reset = reset != 0;
  dop_timers_disarm(&engine(l)->timers, &l->timer);
  dop_socket_mark_dirty(&l->socket);
  dop_socket_retire(&l->socket);
}

static void not_pending(struct dop_link *l) {
  dop_link_count_less(l, 0);
  if (l->socket.pending) l->socket.transport->pending_count--;
  l->socket.pending = 0;
}

void dop_link_linger(struct dop_link *l) {
  const struct dop_limits *lim = limits(l);
  uint32_t most = lim->max_pending;
  if (lim->max_sockets && lim->max_sockets < most) most = lim->max_sockets;
  l->state = DOP_LINK_ENDING;
  l->fin = 1;
  /* Waiting for the peer's end lets it read why it was refused. Who refuses a flood may not be made
   * to hold it. */
  if (++l->socket.transport->lingering_count > most) l->over = 1;
  dop_link_count_less(l, 1);
  not_pending(l);
  dop_socket_mark_dirty(&l->socket);
  arm(l, limits(l)->close_timeout);
}

/* Mask bytes of a client's frame, NULL for a server. `*ok` is 0 when there is no randomness. */
static const uint8_t *mask_for(struct dop_link *l, uint8_t mask[4], int *ok) {
  *ok = 1;
  if (l->ws.server) return NULL;
  *ok = dop_engine_mask(engine(l), mask) == 0;
  return mask;
}

static int write_frame(struct dop_link *l, enum dop_ws_opcode op, const char *data, size_t len) {
  uint8_t mask[4];
  int ok;
  const uint8_t *m = mask_for(l, mask, &ok);
  if (!ok) return -1;
  uint32_t cap = l->out.cap;
  int failed = dop_ws_write(dop_link_out(l), op, data, len, m);
  if (l->out.cap != cap) tally(l);
  return failed;
}

static int write_close(struct dop_link *l, unsigned code, const char *reason) {
  uint8_t mask[4];
  int ok;
  const uint8_t *m = mask_for(l, mask, &ok);
  return ok ? dop_ws_write_close(dop_link_out(l), code, reason, m) : -1;
}

static void link_close(struct dop_socket *s, unsigned code, const char *reason) {
  struct dop_link *l = as_link(s);
  s->ops->pause(s, 0); /* or the peer's close frame would not be heard */
  switch (l->state) {
  case DOP_LINK_TUNNELLING:
  case DOP_LINK_UPGRADING:
  case DOP_LINK_ASKED:
    if (s->transport->role == DOP_SERVER && (code == 1001 || code == 1012))
      dop_link_refuse_for(l, DOP_REFUSED_CLOSING, 503, DOP_RETRY_LATER, "The server is closing.\n");
    else
      dop_link_die(l, 0);
    break;
  case DOP_LINK_OPEN:
    not_pending(l);
    if (write_close(l, code, reason)) {
      dop_link_die(l, 0);
    } else {
      l->state = DOP_LINK_CLOSING;
      arm(l, limits(l)->close_timeout);
    }
    break;
  default:
    break;
  }
}

static void link_drop(struct dop_socket *s, int reset) {
  dop_link_die(as_link(s), reset);
}

static void end_attempt(struct dop_link *l, const char *code_name, const char *why,
                        const struct dop_head *answer) {
  struct dop_transport *t = l->socket.transport;
  struct dop_event *ev = dop_transport_down(t, 0, code_name, why);
  if (!ev || !answer) return;
  ev->code = answer->status;
  ev->retry_after = dop_http_retry_after(answer);
}

static void lost(struct dop_link *l, const char *code_name, const char *why,
                 const struct dop_head *answer) {
  struct dop_transport *t = l->socket.transport;
  int early = l->state < DOP_LINK_OPEN;
  if (l->state == DOP_LINK_DEAD) return;
  dop_socket_ref(&l->socket);
  dop_link_die(l, 0);
  if (l->socket.node)
    dop_node_lost(&l->socket, 1006, code_name, why);
  else if (early && t->role == DOP_CLIENT)
    end_attempt(l, code_name, why, answer);
  dop_socket_unref(&l->socket);
}

void dop_link_lost(struct dop_link *l, const char *code_name, const char *why) {
  lost(l, code_name, why, NULL);
}

void dop_link_answered(struct dop_link *l, const char *code_name, const char *why,
                       const struct dop_head *answer) {
  lost(l, code_name, why, answer);
}

void dop_link_eof(struct dop_link *l) {
  if (l->shares && l->socket.ready && l->in.len) { /* what came before the end is heard before it */
    l->ended = 1;
    return;
  }
  dop_link_lost(l, "EOF",
                l->state == DOP_LINK_TUNNELLING
                    ? "the proxy ended the connection before its answer was whole"
                : l->state == DOP_LINK_UPGRADING
                    ? "the server ended the connection before its answer was whole"
                    : "the peer ended the connection without a closing handshake");
}

/* --- what time does --- */

static void idle(struct dop_link *l) {
  const struct dop_limits *lim = limits(l);
  uint64_t quiet = engine(l)->now - l->heard_at;
  if (l->ws.deflate) dop_deflate_rest(l->ws.deflate);
  /* A paused reader hears nothing: its peer is not to blame. */
  if (dop_socket_stopped(&l->socket) || quiet < lim->ping_interval) {
    l->pinged = 0;
    arm(l, dop_socket_stopped(&l->socket) ? lim->ping_interval : lim->ping_interval - quiet);
  } else if (l->pinged) {
    dop_link_lost(l, "TIMEOUT", "the peer did not answer a ping");
  } else if (write_frame(l, DOP_WS_OP_PING, NULL, 0)) {
    dop_link_lost(l, "ENOMEM", "no memory for a ping");
  } else {
    l->pinged = 1;
    arm(l, lim->ping_timeout);
  }
}

static void handshake_late(struct dop_link *l) {
  static const char why[] = "the handshake took too long";
  if (l->state == DOP_LINK_OPEN)
    dop_node_part(&l->socket, 1013, "TIMEOUT", why);
  else if (l->socket.transport->role == DOP_SERVER)
    dop_link_refuse_for(l, DOP_REFUSED_TIMEOUT, 408, NULL, "The request took too long.\n");
  else
    dop_link_lost(l, "TIMEOUT", why);
}

static void on_timer(struct dop_timer *timer) {
  struct dop_link *l = DOP_CONTAINER(timer, struct dop_link, timer);
  dop_socket_ref(&l->socket);
  if (l->state >= DOP_LINK_CLOSING)
    dop_link_die(l, 0);
  else if (l->socket.pending)
    handshake_late(l);
  else
    idle(l);
  dop_socket_unref(&l->socket);
}

static void link_connected(struct dop_socket *s) {
  struct dop_link *l = as_link(s);
  not_pending(l);
  l->heard_at = engine(l)->now;
  if (limits(l)->ping_interval)
    arm(l, limits(l)->ping_interval);
  else
    dop_timers_disarm(&engine(l)->timers, &l->timer);
}

/* --- bytes in --- */

/* What was parsed of the bytes in `in` goes. */
static void use_up(struct dop_link *l) {
  dop_bytes_consume(&l->in, l->in.len - l->input_len);
  l->input = NULL;
}

/* Seconds of 1024 ms do to count by, and need no time of their own to be kept. */
static int same_second(uint64_t a, uint64_t b) {
  return a >> 10 == b >> 10;
}

void dop_link_feed(struct dop_link *l, char *data, size_t n) {
  if (!same_second(l->heard_at, engine(l)->now)) l->idle = 0;
  if (l->input) use_up(l);
  l->heard_at = engine(l)->now;
  l->pinged = 0;
  if (l->in.len == 0) {
    l->input = data;
    l->input_len = (uint32_t)n;
    l->borrowed = 1;
    return;
  }
  if (dop_bytes_append(&l->in, data, n)) {
    dop_link_lost(l, "ENOMEM", "no memory for the bytes that came");
    return;
  }
  l->input = l->in.data;
  l->input_len = l->in.len;
  l->borrowed = 0;
}

void dop_link_skip(struct dop_link *l, size_t n) {
  l->input += n;
  l->input_len -= (uint32_t)n;
}

void dop_link_settle(struct dop_link *l) {
  int failed = 0;
  if (!l->input) return;
  if (l->state == DOP_LINK_DEAD) l->input_len = 0;
  /* The next turn goes on where this one ended: to move the rest each time costs more than a turn.
   */
  if (!l->borrowed && l->socket.ready && l->input_len) return;
  if (l->borrowed)
    failed = l->input_len && dop_bytes_append(&l->in, l->input, l->input_len);
  else
    use_up(l);
  if (l->in.len == 0) dop_bytes_dispose(&l->in);
  l->input = NULL;
  l->input_len = 0;
  uint32_t held = l->held;
  tally(l);
  dop_transport_tallied(l->socket.transport);
  if (failed)
    dop_link_lost(l, "ENOMEM", "no memory for the bytes that came");
  else if (l->held > held && l->state == DOP_LINK_OPEN &&
           (l->in.len || l->ws.in_frame || l->ws.in_message) &&
           dop_transport_full(l->socket.transport, 0))
    dop_node_shed(&l->socket); /* it sends more of what is not whole */
  if (l->ended && !l->socket.ready && !dop_socket_stopped(&l->socket)) dop_link_eof(l);
}

/* The peer's close frame: answered once, then the socket ends, the server's side first (RFC 6455
 * 5.5.1, 7.1.1). */
static void heard_close(struct dop_link *l, const struct dop_ws_item *item) {
  char reason[DOP_WS_CONTROL_MAX + 1];
  memcpy(reason, item->data, item->len); /* at most 123 bytes */
  reason[item->len] = 0;
  if (l->state == DOP_LINK_OPEN) {
    l->state = DOP_LINK_CLOSING; /* nobody else closes it meanwhile */
    dop_node_lost(&l->socket, item->code, NULL, item->len ? reason : "closed by the peer");
    write_close(l, item->code == 1005 ? 0 : item->code, NULL);
  }
  if (l->state == DOP_LINK_DEAD) return;
  dop_link_linger(l);
  if (l->ws.server) l->over = 1;
}

static void violation(struct dop_link *l, const struct dop_ws_item *item, int early) {
  unsigned code = early && item->code == 1009 ? 1008 : item->code;
  if (l->state == DOP_LINK_OPEN) dop_node_part(&l->socket, code, "PROTOCOL", item->why);
  /* Nothing of what still comes can be understood, the answer to the close frame included. */
  if (l->state != DOP_LINK_DEAD) dop_link_linger(l);
}

/* A frame that brings the application nothing: whoever sends them without end is no peer of use. */
static int too_idle(struct dop_link *l) {
  static const char why[] = "too many frames without data";
  uint32_t most = limits(l)->max_idle_frames;
  if (l->state != DOP_LINK_OPEN || !most || ++l->idle <= most) return 0;
  dop_node_part(&l->socket, 1008, "PROTOCOL", why);
  if (l->state != DOP_LINK_DEAD) dop_link_linger(l);
  return 1;
}

/* Everything that is not a data message. */
static void heard_control(struct dop_link *l, const struct dop_ws_item *item, int early) {
  switch (item->type) {
  case DOP_WS_PING:
    /* Whoever does not read his pongs gets no more of them (RFC 6455 5.5.3 asks for the last). */
    if (l->state == DOP_LINK_OPEN && link_backlog(&l->socket) < PONGS_MAX &&
        write_frame(l, DOP_WS_OP_PONG, item->data, item->len))
      dop_link_lost(l, "ENOMEM", "no memory for a pong");
    break;
  case DOP_WS_PONG:
    dop_node_pong(&l->socket, item->data, item->len);
    break;
  case DOP_WS_CLOSE:
    heard_close(l, item);
    break;
  default:
    violation(l, item, early);
  }
}

/* What a compressed message grew by is taken off what may be inflated in this turn. */
static DOP_SELDOM void count_growth(struct dop_link *l, uint32_t before) {
  struct dop_deflate_pool *pool = l->ws.deflate->pool;
  uint32_t len = l->ws.assembly.len, grown = len > before ? len - before : 0;
  pool->left -= grown < pool->left ? grown : pool->left;
}

static int unfolds_much(const struct dop_link *l) {
  return l->ws.deflate && !l->ws.deflate->pool->left;
}

static DOP_SELDOM void count_inflated(struct dop_link *l, size_t len) {
  struct dop_transport *t = l->socket.transport;
  t->inflated_from += l->ws.deflate->came;
  t->inflated_to += len;
  l->ws.packed = 0;
}

/* Adds to *work what it cost beside a frame: growth of a message that was gathered, or inflated. */
static int next_frame(struct dop_link *l, struct dop_message *m, unsigned *work) {
  uint32_t before = l->ws.handed_out ? 0 : l->ws.assembly.len;
  const struct dop_node *n = l->socket.node;
  /* What crosses our close frame is of no use, but may be as long as it was allowed to be. */
  int early = l->state == DOP_LINK_OPEN && (!n || n->status != DOP_CONNECTED);
  struct dop_ws_item item;
  size_t most = early ? EARLY_MAX : limits(l)->max_message;
  /* An escape comes on top of the largest payload, and instructions come whatever that is: the node
   * looks at the payload itself. */
  if (l->socket.lossless) {
    if (!early && most < DOP_R1_ANY_MESSAGE) most = DOP_R1_ANY_MESSAGE;
    most = most + DOP_R1_ESCAPE;
  }
  size_t used = dop_ws_next(&l->ws, l->input, l->input_len, most, &item);
  dop_link_skip(l, used);
  if (l->ws.packed) count_growth(l, before);
  switch (item.type) {
  case DOP_WS_MORE:
    return -1;
  case DOP_WS_TEXT:
  case DOP_WS_BINARY:
    if (l->ws.packed) count_inflated(l, item.len);
    m->kind = item.type == DOP_WS_TEXT ? DOP_TEXT : DOP_BINARY;
    m->data = item.data;
    m->len = item.len;
    l->idle = 0;
    return dop_node_hear(&l->socket, m);
  case DOP_WS_PART:
    if (!l->ws.packed && l->ws.assembly.len > before)
      *work += (l->ws.assembly.len - before) / FRAME_BYTES;
    if (item.len == 0) too_idle(l);
    return 0;
  case DOP_WS_PING:
  case DOP_WS_PONG:
    if (too_idle(l)) return 0;
    /* fall through */
  default:
    heard_control(l, &item, early);
    return 0;
  }
}

static int link_next(struct dop_socket *s, struct dop_message *m) {
  struct dop_link *l = as_link(s);
  if (!l->input && l->in.len) {
    l->input = l->in.data;
    l->input_len = l->in.len;
    l->borrowed = 0;
  }
  unsigned frames = 0;
  dop_node_delivered(s); /* or so it was, when this is not the first call */
  if (!engine(l)->first && dop_node_unpark(s, m)) return 1;
  /* What the last step did to the session is told before the next one is taken. */
  while (l->input && !dop_socket_stopped(s) && !engine(l)->first) {
    int found;
    if (l->shares && (frames++ >= TURN_FRAMES || unfolds_much(l))) {
      dop_socket_mark_ready(s);
      return 0;
    }
    switch (l->state) {
    case DOP_LINK_TUNNELLING:
      if (!dop_link_hear_tunnel(l)) return 0;
      break;
    case DOP_LINK_UPGRADING:
      if (!dop_link_handshake(l)) return 0;
      break;
    case DOP_LINK_OPEN:
    case DOP_LINK_CLOSING:
      found = next_frame(l, m, &frames);
      if (found) return found > 0;
      break;
    case DOP_LINK_ASKED:
      return 0;
    default: /* nobody listens any more */
      dop_link_skip(l, l->input_len);
      return 0;
    }
  }
  return 0;
}

/* --- the rest of what a node asks of its socket --- */

/* 1 when the message left compressed, 0: it is to be sent as it is, -1: there is no randomness. */
static DOP_SELDOM int send_packed(struct dop_link *l, enum dop_ws_opcode op,
                                  const struct dop_message *m) {
  struct dop_transport *t = l->socket.transport;
  uint8_t mask[4];
  int ok;
  const uint8_t *key = mask_for(l, mask, &ok);
  if (!ok) return -1;
  size_t size = dop_deflate_write(l->ws.deflate, dop_link_out(l), op, m->data, m->len, key);
  tally(l);
  if (!size) return 0;
  t->deflated_from += m->len;
  t->deflated_to += size;
  return 1;
}

static int link_send(struct dop_socket *s, const struct dop_message *m) {
  struct dop_link *l = as_link(s);
  enum dop_ws_opcode op = m->kind == DOP_TEXT ? DOP_WS_OP_TEXT : DOP_WS_OP_BINARY;
  const struct dop_deflate *d = l->ws.deflate;
  if (d && m->compress && (m->compress == DOP_COMPRESS_ALWAYS || m->len >= d->min_size)) {
    int done = send_packed(l, op, m);
    if (done) return done > 0 ? 0 : -1;
  }
  return write_frame(l, op, m->data, m->len);
}

static int link_probe(struct dop_socket *s, const uint8_t payload[DOP_PROBE_LEN]) {
  return write_frame(as_link(s), DOP_WS_OP_PING, (const char *)payload, DOP_PROBE_LEN);
}

static void link_pause(struct dop_socket *s, int paused) {
  if (s->paused == (paused != 0)) return;
  struct dop_link *l = as_link(s);
  int deaf = dop_socket_stopped(s);
  s->paused = paused != 0;
  if (deaf) l->heard_at = engine(l)->now; /* what the peer said was not heard: it begins afresh */
  if (!paused && (l->in.len || s->lossless)) dop_socket_mark_ready(s);
  dop_socket_mark_dirty(s); /* the driver stops or begins to read */
}

int dop_link_reading(const struct dop_link *l) {
  return !dop_socket_stopped(&l->socket) && l->state != DOP_LINK_DEAD;
}

void dop_link_begin(struct dop_link *l, struct dop_node *n, struct dop_deflate *deflate) {
  dop_ws_init(&l->ws, l->socket.transport->role == DOP_SERVER);
  l->ws.deflate = deflate;
  l->state = DOP_LINK_OPEN;
  dop_node_open(n, &l->socket);
}

static void link_free(struct dop_socket *s) {
  struct dop_link *l = as_link(s);
  dop_link_free_upgrade(l);
  dop_ws_dispose(&l->ws);
  dop_deflate_free(l->ws.deflate);
  dop_bytes_dispose(&l->in);
  dop_bytes_dispose(&l->out);
  l->in_flight = 0;
  tally(l);
  dop_transport_tallied(l->socket.transport);
  dop_free(l->address);
  dop_free(l);
}

static const struct dop_socket_ops link_ops = {
    .send = link_send,
    .close = link_close,
    .drop = link_drop,
    .probe = link_probe,
    .connected = link_connected,
    .next = link_next,
    .backlog = link_backlog,
    .pause = link_pause,
    .free = link_free,
};

struct dop_link *dop_link_of(struct dop_socket *s) {
  return s->ops == &link_ops ? as_link(s) : NULL;
}

/* The part of a new link that both roles share. NULL without memory. */
struct dop_link *dop_link_new(struct dop_transport *t) {
  struct dop_link *l = dop_zalloc(sizeof *l);
  if (!l) return NULL;
  l->upgrade = dop_zalloc(sizeof *l->upgrade);
  if (!l->upgrade) {
    dop_free(l);
    return NULL;
  }
  dop_socket_init(&l->socket, &link_ops, t);
  l->state = DOP_LINK_UPGRADING;
  l->timer.fire = on_timer;
  l->heard_at = t->engine->now;
  if (dop_timers_arm(&t->engine->timers, &l->timer, t->engine->now + t->limits.handshake_timeout)) {
    dop_socket_retire(&l->socket);
    dop_socket_unref(&l->socket);
    return NULL;
  }
  return l;
}
