/* The machine's life under a fuzz target; see machine.h. */
#include "fuzz/machine.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/frames.h"
#include "ws/extension.h"

/* Small limits, so that a short input reaches them. */
static struct dop_limits some_limits(struct fuzz *f) {
  struct dop_limits l = dop_limits_default;
  unsigned what = fuzz_byte(f);
  l.queue_messages = 4;
  l.queue_bytes = 4000;
  l.max_message = what & 1 ? 600 : 1 << 20;
  l.max_detached = 3;
  l.max_unconfirmed = 2;
  l.max_detached_bytes = 9000;
  l.max_tombstones = what & 2 ? 3 : 0;
  l.max_pending = what & 4 ? 3 : 10000;
  l.max_pending_per_address = what & 8 ? 2 : 0;
  l.ping_interval = what & 16 ? 20000 : 0;
  l.max_header = 2048;
  return l;
}

static struct dop_transport *new_end(struct fuzz_machine *m, enum dop_role role, unsigned options) {
  struct dop_limits l = some_limits(m->input);
  struct dop_transport *t = dop_transport_new(&m->engine, role, &l);
  t->lossless = options & 1;
  t->ask = (options & 2) && m->on_request;
  t->ask_principal = (options & 4) != 0;
  if (m->compressing && (options & 4)) {
    t->compression = dop_malloc(sizeof *t->compression);
    *t->compression = *m->compressing;
  }
  t->ask_http = (options & 8) && m->on_request;
  return t;
}

/* Nobody who makes up inputs may know a bystander's token: it depends on every byte. */
static uint64_t hash(const struct fuzz *f) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const uint8_t *p = f->at; p < f->end; p++) h = (h ^ *p) * 0x100000001b3u;
  return h;
}

void fuzz_machine_begin(struct fuzz_machine *m, struct fuzz *f) {
  m->input = f;
  dop_random_seed(&m->chance, hash(f), 1);
  dop_engine_init(&m->engine, dop_random_seeded, &m->chance);
  m->engine.now = 1000;
  unsigned options = fuzz_byte(f);
  m->ends[DOP_SERVER] = new_end(m, DOP_SERVER, options | 1);
  m->ends[DOP_CLIENT] = new_end(m, DOP_CLIENT, options >> 4);
  fuzz_check(dop_transport_begin(m->ends[DOP_CLIENT]) == 0, "a client could not begin");
  struct dop_limits few = dop_limits_default;
  few.max_tombstones = 1; /* a table for 100,000 of them takes its time */
  struct dop_transport *other = dop_transport_new(&m->engine, DOP_SERVER, &few);
  fuzz_bystander_begin(m, &m->apart, other);
  fuzz_bystander_begin(m, &m->beside, m->ends[DOP_SERVER]);
  /* What they send now, and at the end. */
  fuzz_book_of(m, m->apart.node)->accepted = 1;
  fuzz_book_of(m, m->beside.node)->accepted = 1;
}

static void end_transport(struct fuzz_machine *m, struct dop_transport *t) {
  dop_transport_abandon(t);
  fuzz_machine_events(m);
  fuzz_check(t->node_count == 0 && t->directory.count == 0, "a closed transport keeps nodes");
  fuzz_check(t->socket_count == 0, "a closed transport keeps sockets");
  fuzz_check(t->events == 0 && t->refs == 1, "a closed transport is held by somebody");
  dop_transport_unref(t);
}

static void end_bystander(struct fuzz_bystander *b) {
  dop_node_unref(b->node);
  dop_socket_unref(b->socket);
}

void fuzz_machine_end(struct fuzz_machine *m) {
  fuzz_memory.fail = 0;
  fuzz_machine_events(m);
  fuzz_machine_check(m);
  fuzz_bystander_end(&m->apart);
  fuzz_book_of(m, m->apart.node)->accepted++;
  if (!m->server_ended) {
    fuzz_bystander_end(&m->beside);
    fuzz_book_of(m, m->beside.node)->accepted++;
  }
  dop_transport_abandon(m->apart.transport);
  dop_transport_abandon(m->ends[DOP_SERVER]);
  fuzz_machine_events(m);
  end_bystander(&m->apart);
  end_bystander(&m->beside);
  dop_engine_forget(&m->engine);
  end_transport(m, m->apart.transport);
  end_transport(m, m->ends[DOP_SERVER]);
  end_transport(m, m->ends[DOP_CLIENT]);
  dop_engine_dispose(&m->engine);
  free(m->books);
}

struct fuzz_book *fuzz_book_of(struct fuzz_machine *m, struct dop_node *n) {
  if (!n->app) {
    m->books = realloc(m->books, (m->book_count + 1) * sizeof *m->books);
    if (!m->books) abort();
    memset(&m->books[m->book_count], 0, sizeof *m->books);
    n->app = (int32_t)++m->book_count;
  }
  return &m->books[n->app - 1];
}

static void check_end(struct fuzz_machine *m, struct dop_event *ev) {
  const struct dop_node *n = ev->node;
  struct fuzz_book *b = fuzz_book_of(m, ev->node);
  fuzz_check(n->status == DOP_DISCONNECTED && !n->socket && !n->listed,
             "a session ended and goes on");
  if (!n->account) return;
  fuzz_check(ev->unsettled.count == b->accepted - n->account->acked,
             "not everything unsettled is handed back");
  fuzz_check(ev->written <= ev->unsettled.count, "more was written than is handed back");
}

void fuzz_machine_events(struct fuzz_machine *m) {
  struct dop_event *ev;
  while ((ev = dop_engine_take(&m->engine))) {
    size_t len = strnlen(ev->why, sizeof ev->why);
    fuzz_check(len < sizeof ev->why && fuzz_utf8((const uint8_t *)ev->why, len) == 1,
               "a reason is no text");
    if (ev->type == DOP_EVENT_DISCONNECT) check_end(m, ev);
    if ((ev->type == DOP_EVENT_REQUEST || ev->type == DOP_EVENT_HTTP) && m->on_request)
      m->on_request(m, ev);
    if (ev->type == DOP_EVENT_PRINCIPAL && m->let_in) {
      m->said_yes |= m->let_in == 1;
      dop_node_decide(ev->node, m->let_in == 1);
    }
    dop_event_free(ev);
  }
}

void fuzz_machine_send(struct fuzz_machine *m, struct dop_node *n) {
  char text[FUZZ_WORD_MOST];
  enum dop_kind kind;
  size_t len = fuzz_word(m, n, text, &kind);
  uint64_t acked = n->account ? n->account->acked : 0;
  uint32_t before = n->queue.count;
  if (fuzz_utf8((const uint8_t *)text, len) != 1) kind = DOP_BINARY; /* the binding looks */
  const struct dop_message msg = {kind, (enum dop_compress)fuzz_below(m->input, 3), text, len};
  enum dop_sent sent = dop_node_send(n, &msg);
  struct fuzz_book *b = fuzz_book_of(m, n);
  /* A plain session's messages are on their own once the socket has them. */
  if (sent == DOP_SENT) b->accepted++;
  fuzz_check(sent == DOP_SENT || n->status == DOP_DISCONNECTED || n->queue.count <= before ||
                 (n->account && n->account->acked != acked),
             "a message that was refused is kept");
}

void fuzz_machine_handed(struct fuzz_machine *m, struct dop_node *n,
                         const struct dop_message *msg) {
  size_t most = n->transport->limits.max_message;
  if (n->account && most < DOP_R1_ANY_MESSAGE) most = DOP_R1_ANY_MESSAGE;
  fuzz_check(n->connected && n->token, "a message was handed out before there was a session");
  fuzz_check(msg->len <= most, "a message above the limit was handed out");
  fuzz_check(msg->kind != DOP_TEXT || n->account || !dop_token_is(n->token, msg->data, msg->len),
             "the token was handed out as a message");
  fuzz_book_of(m, n)->handed++;
}

void fuzz_machine_taken_back(struct fuzz_machine *m, struct dop_node *n) {
  fuzz_book_of(m, n)->handed--;
}

struct dop_node *fuzz_machine_node(struct fuzz_machine *m) {
  struct dop_transport *t = m->ends[DOP_SERVER];
  struct dop_node_list *lists[] = {&t->detached, &t->unconfirmed, &t->attached};
  unsigned what = fuzz_byte(m->input);
  if ((what & 3) == 3) return m->ends[DOP_CLIENT]->current;
  struct dop_node *n = lists[what & 3]->first;
  for (unsigned skip = what >> 2; n && skip; skip--) n = n->next;
  return n == m->beside.node ? NULL : n;
}

void fuzz_machine_act(struct fuzz_machine *m, struct dop_node *n) {
  struct fuzz *f = m->input;
  dop_node_ref(n);
  switch (fuzz_below(f, 8)) {
  case 0:
    dop_node_drop(n, (int)fuzz_below(f, 2));
    break;
  case 1:
    dop_node_disconnect(n, 1000, "local");
    break;
  case 2:
    if (n->socket) n->socket->ops->pause(n->socket, 1);
    break;
  case 3:
    if (n->socket && !(n->account && n->account->closing)) n->socket->ops->pause(n->socket, 0);
    break;
  case 4:
    dop_node_hold(n);
    break;
  case 5:
    dop_node_release(n);
    break;
  case 6:
    m->let_in = fuzz_below(f, 3);
    break;
  default:
    if (n->socket && n->account && n->account->in_hand) {
      struct dop_socket *s = n->socket;
      dop_socket_ref(s);
      dop_node_undelivered(s);
      fuzz_machine_taken_back(m, n);
      dop_node_part(s, 1011, "ENOMEM", "no memory to hand a message over");
      dop_socket_unref(s);
    }
  }
  dop_node_unref(n);
}

void fuzz_machine_wait(struct fuzz_machine *m) {
  static const uint32_t times[] = {0, 1, 999, 1000, 2000, 5000, 10000, 20000, 60000, 90000000};
  dop_engine_advance(&m->engine, m->engine.now + times[fuzz_below(m->input, 10)]);
}

/* A peer's end would take what it hears for an instruction, or for data. */
void fuzz_machine_said(struct fuzz_machine *m, const struct dop_socket *s,
                       const struct dop_message *said) {
  struct dop_node *n = s->node;
  const char *data = said->data;
  size_t len = said->len;
  struct dop_r1 r;
  uint64_t attempt, h;
  if (!n) return;
  if (n->status == DOP_CONNECTED && !n->account) return;
  if (n->status != DOP_CONNECTED) {
    int resume = n->account && dop_r1_parse_resume(data, len, &attempt, &h);
    fuzz_check(said->kind == DOP_TEXT && len <= 1024, "a first message is none");
    fuzz_check(said->compress == DOP_COMPRESS_NEVER, "a secret may be compressed");
    fuzz_check(resume || (len && data[0] == DOP_R1_MARK) ||
                   dop_token_half_ok(data, len, DOP_HALF_MIN),
               "what is said is neither half, nor token, nor instruction");
    return;
  }
  if (said->kind != DOP_TEXT) return;
  dop_r1_parse(&r, data, len);
  fuzz_check(r.type != DOP_R1_BAD, "an instruction is none");
  fuzz_check(said->compress == DOP_COMPRESS_NEVER || r.type == DOP_R1_DATA ||
                 r.type == DOP_R1_LITERAL,
             "an instruction may be compressed");
  if (r.type == DOP_R1_ACK)
    fuzz_check(r.h + (n->account->in_hand != 0) <= fuzz_book_of(m, n)->handed,
               "what is with its handler is acknowledged");
  if (r.type == DOP_R1_ACK || r.type == DOP_R1_END || r.type == DOP_R1_RESUMED)
    fuzz_check(r.h <= fuzz_book_of(m, n)->handed, "what no handler was given is acknowledged");
}
