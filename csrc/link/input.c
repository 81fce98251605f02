/* Bytes in: from what a driver read to messages for the node, and answers to what is none. Owns the
 * link's input. A socket that shares its loop stops after a number of frames; see link.h. */
#include <string.h>

#include "link/link_private.h"
#include "session/r1.h"

#define EARLY_MAX   1024  /* bytes of a message before CONNECTED */
#define TURN_FRAMES 256   /* that are no message, before others have their turn */
#define FRAME_BYTES 128   /* of a message that grows weigh as much as a frame */
#define PONGS_MAX   65536 /* bytes of output above which no pong is added */

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
  if (!same_second(l->heard_at, dop_link_engine(l)->now)) l->idle = 0;
  if (l->input) use_up(l);
  l->heard_at = dop_link_engine(l)->now;
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
  /* The next turn goes on where this one ended: to move the rest costs more than a turn. */
  if (!l->borrowed && l->socket.ready && l->input_len) return;
  if (l->borrowed)
    failed = l->input_len && dop_bytes_append(&l->in, l->input, l->input_len);
  else
    use_up(l);
  if (l->in.len == 0) dop_bytes_dispose(&l->in);
  l->input = NULL;
  l->input_len = 0;
  uint32_t held = l->held;
  dop_link_tally(l);
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
    dop_link_say_close(l, item->code == 1005 ? 0 : item->code, NULL);
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
  uint32_t most = dop_link_limits(l)->max_idle_frames;
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
    if (l->state == DOP_LINK_OPEN && dop_link_backlog(&l->socket) < PONGS_MAX &&
        dop_link_say(l, DOP_WS_OP_PONG, item->data, item->len))
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
  size_t most = early ? EARLY_MAX : dop_link_limits(l)->max_message;
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

int dop_link_next(struct dop_socket *s, struct dop_message *m) {
  struct dop_link *l = dop_link_from(s);
  if (!l->input && l->in.len) {
    l->input = l->in.data;
    l->input_len = l->in.len;
    l->borrowed = 0;
  }
  unsigned frames = 0;
  dop_node_delivered(s); /* or so it was, when this is not the first call */
  if (!dop_link_engine(l)->first && dop_node_unpark(s, m)) return 1;
  /* What the last step did to the session is told before the next one is taken. */
  while (l->input && !dop_socket_stopped(s) && !dop_link_engine(l)->first) {
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

void dop_link_eof(struct dop_link *l) {
  /* What came before the end is heard before it, be it after a pause. */
  if (l->shares && l->in.len && (l->socket.ready || dop_socket_stopped(&l->socket))) {
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
