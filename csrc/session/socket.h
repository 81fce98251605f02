/* A message socket as a node sees it: something that carries whole messages in order.
 *
 * A WebSocket link and an end of the in-process transport each begin with one. The node calls it
 * through `ops`; it calls the node through node.h. Neither calls out to an application.
 */
#ifndef DOP_SESSION_SOCKET_H
#define DOP_SESSION_SOCKET_H

#include "session/queue.h"
#include "session/token.h"

struct dop_node;
struct dop_socket;
struct dop_transport;

#define DOP_PROBE_LEN 8

struct dop_socket_ops {
  /* Takes a whole message for the peer; its data is copied. -1 without memory. */
  int (*send)(struct dop_socket *s, const struct dop_message *m);

  /* Begins the polite end: what was sent leaves first. The node has let go of the socket. */
  void (*close)(struct dop_socket *s, unsigned code, const char *reason);

  /* The end at once; with `reset` the peer is told so rudely, if the transport can. */
  void (*drop)(struct dop_socket *s, int reset);

  /* Sends a ping whose pong comes back through dop_node_pong(). -1 without memory. */
  int (*probe)(struct dop_socket *s, const uint8_t payload[DOP_PROBE_LEN]);

  /* The node is CONNECTED: the deadline of the handshake no longer counts. */
  void (*connected)(struct dop_socket *s);

  /* Takes the next message out that is data for the application: 1, or 0 when there is none now, or
   * when events wait: they are told first, then the caller asks again.
   * `m` stays valid until the next call into the machine. */
  int (*next)(struct dop_socket *s, struct dop_message *m);

  /* Bytes that were sent and that the system has not taken. */
  size_t (*backlog)(const struct dop_socket *s);

  /* Stops (1) or goes on (0) handing out messages, and reading. */
  void (*pause)(struct dop_socket *s, int paused);

  /* Gives the socket's own reference back; see dop_socket_unref(). */
  void (*free)(struct dop_socket *s);
};

struct dop_socket {
  const struct dop_socket_ops *ops;
  struct dop_node *node; /* who owns the socket now, NULL: nobody any more */
  struct dop_transport *transport;
  struct dop_socket *prev, *next; /* in the transport's list */
  struct dop_socket *dirty_next;  /* in engine->dirty: has something for its driver */
  struct dop_socket *ready_next;  /* in engine->ready: has messages without new bytes */
  struct dop_token *principal;    /* who came in, as the application says; its node takes it */
  uint32_t number;                /* the transport counts its sockets from 1 */
  uint16_t refs;
  unsigned dirty : 1, ready : 1;
  unsigned pending : 1; /* counted among those that are not CONNECTED yet */
  unsigned paused : 1;
  unsigned busy : 1;     /* a handler has its message, or its events are told */
  unsigned crammed : 1;  /* its node keeps as much aside as it cares to */
  unsigned lossless : 1; /* dop.r1 was negotiated for it */
  uint8_t protocol;      /* of a link: its subprotocol, see dop_link_protocol() */
};

void dop_socket_init(struct dop_socket *s, const struct dop_socket_ops *ops,
                     struct dop_transport *t);

/* Whether nothing may be taken from the socket: a lossless one goes on while it is paused, and its
 * node keeps what is data. */
static inline int dop_socket_stopped(const struct dop_socket *s) {
  return s->paused && (!s->lossless || s->crammed);
}

/* References: the driver holds one, whoever calls into a socket holds one meanwhile. */
void dop_socket_ref(struct dop_socket *s);
void dop_socket_unref(struct dop_socket *s);

/* Takes the socket out of its transport's list and counters. Called once by its owner when the
 * socket is over. */
void dop_socket_retire(struct dop_socket *s);

/* Puts the socket on the engine's list of those that have output (dirty) or input (ready). */
void dop_socket_mark_dirty(struct dop_socket *s);
void dop_socket_mark_ready(struct dop_socket *s);

/* Take the first socket off those lists, with a reference for the caller; NULL: none. */
struct dop_engine;
struct dop_socket *dop_socket_take_dirty(struct dop_engine *e);
struct dop_socket *dop_socket_take_ready(struct dop_engine *e);

#endif
