/* A lossless session of somebody else, on a socket that does nothing by itself; see machine.h. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/machine.h"

struct quiet {
  struct dop_socket socket; /* first */
  struct fuzz_bystander *owner;
  unsigned dead;
};

static int quiet_send(struct dop_socket *s, const struct dop_message *m) {
  if (m->kind == DOP_BINARY) ((struct quiet *)s)->owner->heard++;
  return 0;
}

static void end(struct dop_socket *s) {
  struct quiet *q = (struct quiet *)s;
  if (q->dead) return;
  q->dead = 1;
  dop_socket_retire(s);
}

static void quiet_close(struct dop_socket *s, unsigned code, const char *reason) {
  (void)code;
  (void)reason;
  end(s);
}

static void quiet_drop(struct dop_socket *s, int reset) {
  (void)reset;
  end(s);
}

static int quiet_probe(struct dop_socket *s, const uint8_t payload[DOP_PROBE_LEN]) {
  (void)s;
  (void)payload;
  return 0;
}

static void quiet_connected(struct dop_socket *s) {
  if (s->pending) s->transport->pending_count--;
  s->pending = 0;
}

static int quiet_next(struct dop_socket *s, struct dop_message *m) {
  (void)s;
  (void)m;
  return 0;
}

static size_t quiet_backlog(const struct dop_socket *s) {
  (void)s;
  return 0;
}

static void quiet_pause(struct dop_socket *s, int paused) {
  s->paused = paused != 0;
}

static void quiet_free(struct dop_socket *s) {
  free(s);
}

static const struct dop_socket_ops quiet_ops = {
    .send = quiet_send,
    .close = quiet_close,
    .drop = quiet_drop,
    .probe = quiet_probe,
    .connected = quiet_connected,
    .next = quiet_next,
    .backlog = quiet_backlog,
    .pause = quiet_pause,
    .free = quiet_free,
};

static void hear(struct fuzz_bystander *b, const char *text) {
  struct dop_message m = {.kind = DOP_TEXT, .data = text, .len = strlen(text)};
  fuzz_check(dop_node_hear(b->socket, &m) == 0, "a bystander was handed an instruction");
}

void fuzz_bystander_begin(struct fuzz_machine *m, struct fuzz_bystander *b,
                          struct dop_transport *t) {
  static const char own[] = "A_bystander's_half_of_30_bytes";
  const struct dop_message one = {.kind = DOP_BINARY, .data = "one", .len = 3};
  struct quiet *q = calloc(1, sizeof *q);
  if (!q) abort();
  q->owner = b;
  dop_socket_init(&q->socket, &quiet_ops, t);
  q->socket.lossless = 1;
  b->transport = t;
  b->socket = &q->socket;
  b->node = dop_node_new(t);
  dop_node_ref(b->node);
  dop_node_open(b->node, b->socket);
  hear(b, own);
  hear(b, own);
  hear(b, "\x10p60000 1048576 1048576 1024");
  fuzz_check(dop_node_send(b->node, &one) == DOP_SENT, "a bystander cannot send");
  fuzz_machine_events(m);
  b->before = *b->node->account;
  fuzz_bystander_check(b);
}

void fuzz_bystander_check(const struct fuzz_bystander *b) {
  const struct dop_node *n = b->node;
  fuzz_check(n->status == DOP_CONNECTED && n->socket == b->socket && b->socket->node == n,
             "a bystander lost its session");
  fuzz_check(memcmp(n->account, &b->before, sizeof b->before) == 0 && n->queue.count == 1 &&
                 b->heard == 1,
             "a bystander's account has changed");
}

void fuzz_bystander_end(struct fuzz_bystander *b) {
  struct dop_message m = {.kind = DOP_BINARY, .data = "two", .len = 3};
  fuzz_bystander_check(b);
  hear(b, "\x10"
          "a1");
  fuzz_check(b->node->queue.count == 0, "a bystander's message is not settled");
  fuzz_check(dop_node_send(b->node, &m) == DOP_SENT && b->heard == 2,
             "a bystander cannot send any more");
  fuzz_check(dop_node_hear(b->socket, &m) == 1, "a bystander hears no more");
  dop_node_delivered(b->socket);
}
