/* What all sockets share; see socket.h. The lists hold a reference each, the socket's memory is
 * its implementation's. */
#include "session/socket.h"

#include <string.h>

#include "session/node.h"

void dop_socket_init(struct dop_socket *s, const struct dop_socket_ops *ops,
                     struct dop_transport *t) {
  memset(s, 0, sizeof *s);
  s->ops = ops;
  s->transport = t;
  s->refs = 1;
  s->number = ++t->socket_number;
  s->pending = 1;
  s->next = t->sockets;
  if (s->next) s->next->prev = s;
  t->sockets = s;
  t->socket_count++;
  t->pending_count++;
  t->opened++;
  dop_transport_ref(t);
}

void dop_socket_ref(struct dop_socket *s) {
  s->refs++;
}

void dop_socket_unref(struct dop_socket *s) {
  if (--s->refs) return;
  struct dop_transport *t = s->transport;
  dop_token_free(s->principal);
  s->ops->free(s);
  dop_transport_unref(t);
}

void dop_socket_retire(struct dop_socket *s) {
  struct dop_transport *t = s->transport;
  if (s->prev)
    s->prev->next = s->next;
  else
    t->sockets = s->next;
  if (s->next) s->next->prev = s->prev;
  t->socket_count--;
  dop_transport_sweep(t);
  if (s->pending) t->pending_count--;
  s->pending = 0;
}

void dop_socket_mark_dirty(struct dop_socket *s) {
  struct dop_engine *e = s->transport->engine;
  if (s->dirty) return;
  s->dirty = 1;
  dop_socket_ref(s);
  s->dirty_next = e->dirty;
  e->dirty = s;
}

void dop_socket_mark_ready(struct dop_socket *s) {
  struct dop_engine *e = s->transport->engine;
  if (s->ready) return;
  s->ready = 1;
  dop_socket_ref(s);
  s->ready_next = e->ready;
  e->ready = s;
}

struct dop_socket *dop_socket_take_dirty(struct dop_engine *e) {
  struct dop_socket *s = e->dirty;
  if (!s) return NULL;
  e->dirty = s->dirty_next;
  s->dirty = 0;
  return s;
}

struct dop_socket *dop_socket_take_ready(struct dop_engine *e) {
  struct dop_socket *s = e->ready;
  if (!s) return NULL;
  e->ready = s->ready_next;
  s->ready = 0;
  return s;
}
