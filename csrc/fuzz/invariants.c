/* What must hold after each step, whatever a peer says; see machine.h. Changes nothing but the
 * books. */
#include <string.h>

#include "fuzz/machine.h"

static void account(struct fuzz_machine *m, struct dop_node *n) {
  const struct dop_account *a = n->account;
  struct fuzz_book *b = fuzz_book_of(m, n);
  /* Until it is connected a node may begin again, with an account of its own. */
  if (!b->connected) b->acked = b->received = b->told = b->written = b->attempt = 0;
  b->connected = n->connected;
  fuzz_check(a->node == n, "an account is somebody else's");
  fuzz_check(a->acked <= a->next && a->next <= a->written && a->told <= a->received,
             "an account counts what cannot be");
  fuzz_check(a->written <= a->acked + n->queue.count, "more was written than accepted");
  /* Without a socket the cursor waits to be set back. */
  fuzz_check(n->status != DOP_CONNECTED ||
                 !dop_queue_unwritten(&n->queue) == (a->next == a->acked + n->queue.count),
             "the cursor stands elsewhere than the count");
  fuzz_check(b->accepted == a->acked + n->queue.count,
             "an accepted message is neither here nor there");
  fuzz_check(b->handed == a->received, "the count of deliveries is not what handlers were given");
  fuzz_check(a->acked >= b->acked && a->received + 1 >= b->received && a->told >= b->told &&
                 a->written >= b->written && a->attempt >= b->attempt,
             "an account counts backwards");
  fuzz_check(n->status == DOP_CONNECTED || (!a->parked.count && !a->end_parked),
             "messages of a socket that is gone are kept");
  fuzz_check(dop_queue_size(&a->parked) <= (uint64_t)n->transport->limits.queue_bytes +
                                               2 * (uint64_t)n->transport->limits.max_message +
                                               2 * DOP_R1_ANY_MESSAGE,
             "more is parked than the limits say");
  fuzz_check(!a->closing || !n->socket || !dop_socket_stopped(n->socket),
             "it waits for an answer and does not read");
  /* Each socket of a session is asked for with an attempt of its own. */
  fuzz_check(!b->socket || !n->socket || b->socket == n->socket || a->attempt > b->attempt,
             "an attempt was heard twice");
  if (n->socket) b->socket = n->connected ? n->socket : NULL;
  b->acked = a->acked;
  b->received = a->received;
  b->told = a->told;
  b->written = a->written;
  b->attempt = a->attempt;
}

static void node(struct fuzz_machine *m, struct dop_transport *t, struct dop_node *n) {
  const struct dop_limits *l = &t->limits;
  fuzz_check(n->transport == t && n->listed && n->status != DOP_DISCONNECTED && n->refs,
             "a list holds a node that is over");
  fuzz_check(!n->socket || n->socket->node == n, "a node's socket is somebody else's");
  fuzz_check(n->status != DOP_CONNECTED || (n->socket && n->token && !n->local && n->connected),
             "a CONNECTED node lacks a part");
  fuzz_check(n->status == DOP_RECONNECTING || n->status == DOP_CONNECTED || !n->detached,
             "a node that waits is not RECONNECTING");
  if (t->role == DOP_SERVER && n->token)
    fuzz_check(dop_directory_find(&t->directory, n->token->text, n->token->len) == n,
               "a session is not where its token points");
  fuzz_check(n->queue.count <= 1 || (n->queue.count <= l->queue_messages &&
                                     dop_queue_size(&n->queue) <= l->queue_bytes),
             "a queue is above its limits");
  if (n->account) account(m, n);
}

static uint32_t list(struct fuzz_machine *m, struct dop_transport *t, struct dop_node_list *l,
                     int detached, int connected, uint64_t *bytes) {
  struct dop_node *before = NULL;
  uint32_t count = 0;
  for (struct dop_node *n = l->first; n; before = n, n = n->next, count++) {
    fuzz_check(n->prev == before, "a list of nodes is broken");
    fuzz_check((int)n->detached == detached, "a node is in the wrong list");
    fuzz_check(!detached || (!n->socket && (int)n->connected == connected),
               "a detached node is in the wrong list");
    if (detached) *bytes += dop_queue_held(&n->queue);
    node(m, t, n);
  }
  fuzz_check(l->last == before, "a list of nodes ends elsewhere");
  return count;
}

static void sockets(const struct dop_transport *t) {
  const struct dop_socket *before = NULL;
  uint32_t count = 0, pending = 0;
  for (struct dop_socket *s = t->sockets; s; before = s, s = s->next) {
    fuzz_check(s->prev == before && s->transport == t, "the list of sockets is broken");
    fuzz_check(!s->node || s->node->socket == s, "a socket's node has another socket");
    count++;
    pending += s->pending;
  }
  fuzz_check(count == t->socket_count && pending == t->pending_count,
             "sockets are counted wrongly");
}

static void transport(struct fuzz_machine *m, struct dop_transport *t) {
  uint64_t bytes = 0;
  uint32_t attached = list(m, t, &t->attached, 0, 0, &bytes);
  uint32_t detached = list(m, t, &t->detached, 1, 1, &bytes);
  uint32_t unconfirmed = list(m, t, &t->unconfirmed, 1, 0, &bytes);
  fuzz_check(attached + detached + unconfirmed == t->node_count, "nodes are counted wrongly");
  fuzz_check(detached == t->detached_count && unconfirmed == t->unconfirmed_count &&
                 bytes == t->detached_bytes,
             "detached sessions are counted wrongly");
  fuzz_check(detached <= t->limits.max_detached && unconfirmed <= t->limits.max_unconfirmed &&
                 bytes <= t->limits.max_detached_bytes,
             "more is kept of detached sessions than the caps say");
  fuzz_check(t->directory.count <= t->node_count, "the directory holds sessions that are over");
  fuzz_check(t->role == DOP_SERVER || (!detached && !unconfirmed), "a client keeps many sessions");
  sockets(t);
}

void fuzz_machine_check(struct fuzz_machine *m) {
  transport(m, m->ends[DOP_SERVER]);
  transport(m, m->ends[DOP_CLIENT]);
  fuzz_bystander_check(&m->apart);
  if (!m->server_ended) fuzz_bystander_check(&m->beside);
}
