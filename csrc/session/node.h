/* A node: one end of a session, and the connectivity protocol itself (docs/protocol.md, section 1).
 *
 * Sockets come and go under it. What it hears and sends are whole messages; what happens to it is
 * reported as events of the engine. Owns its tokens and its queue. Never calls an application,
 * never reads a clock. One function a message of the protocol, one table of states in
 * docs/protocol.md.
 */
#ifndef DOP_SESSION_NODE_H
#define DOP_SESSION_NODE_H

#include "session/transport.h"

enum dop_status { /* the proposal's numbers */
                  DOP_OPEN = 0,
                  DOP_PRECONNECTED = 1,
                  DOP_CONNECTED = 2,
                  DOP_RECONNECTING = 3,
                  DOP_DISCONNECTED = 4
};

/* "OPEN", "PRECONNECTED", ... */
const char *dop_status_name(enum dop_status s);

struct dop_account; /* lossless.h */
struct dop_probe;
struct dop_question;

struct dop_node {
  struct dop_transport *transport;
  struct dop_socket *socket;     /* NULL while there is none */
  struct dop_token *local;       /* our half; after CONNECTED NULL */
  struct dop_token *remote;      /* the peer's half while PRECONNECTED */
  struct dop_token *token;       /* the session's secret once CONNECTED */
  struct dop_queue queue;        /* accepted; lossless: and not known to be delivered */
  struct dop_account *account;   /* of a lossless session, NULL in plain DOP */
  struct dop_token *principal;   /* whose session it is, as `authorize` says; NULL: nobody's */
  struct dop_node *prev, *next;  /* in one of the transport's lists */
  struct dop_node *hash_next;    /* in the directory */
  struct dop_probe *probe;       /* a newcomer claims this session, or did within a second */
  struct dop_question *question; /* a newcomer waits for dop_node_decide() */
  struct dop_node *claims;       /* the CONNECTED node whose session this newcomer claims */
  union {
    struct dop_timer window; /* a server's resume window */
    char end_why[24];        /* of one that has ended, while its `disconnect` is owed */
  };
  struct dop_node *owed_next; /* of those to whom an event is owed, see engine.c */
  uint64_t since;             /* ms; when it became CONNECTED, or stopped to be */
  uint32_t hash;
  uint32_t refs;
  uint32_t socket_number; /* of the socket it has, or had last */
  uint32_t events;        /* about it, queued */
  uint8_t status;
  uint8_t owed;           /* which events */
  unsigned full : 1;      /* a send found no room: drain is owed */
  unsigned listed : 1;    /* in a list of the transport, which holds a reference */
  unsigned detached : 1;  /* in the detached list */
  unsigned connected : 1; /* was CONNECTED at some time */
  unsigned untold : 1;    /* its `connect` is to come with the next socket */
  unsigned asked : 1;     /* a newcomer that presented a session and was told that it is gone */
  int32_t app;            /* the binding's */
};

/* A node that is OPEN, in the transport's list, with a half of its own; NULL without memory or
 * randomness. The transport holds a reference until it is DISCONNECTED. */
struct dop_node *dop_node_new(struct dop_transport *t);
void dop_node_ref(struct dop_node *n);
void dop_node_unref(struct dop_node *n);

/* --- what a socket tells its node --- */

/* The socket is up; it becomes the node's. Sends the half, or the token of a session that the
 * client wants back. */
void dop_node_open(struct dop_node *n, struct dop_socket *s);

/* A whole message came. Returns 1 when it is data for the application, 0 when the protocol took
 * it; s->node may be another node afterwards, or none. */
int dop_node_hear(struct dop_socket *s, struct dop_message *m);

/* Takes out a message that came while the socket was paused, now that it is not: 1, or 0 when there
 * is none. */
int dop_node_unpark(struct dop_socket *s, struct dop_message *m);

/* The last message that was data never came to a handler; its socket is given up. */
void dop_node_undelivered(struct dop_socket *s);

/* The handlers of the last message that was data have returned. */
void dop_node_delivered(struct dop_socket *s);

/* The message in hand counts as delivered only once it is released, or the next one is in hand, or
 * the session resumes. Nothing in plain DOP. */
void dop_node_hold(struct dop_node *n);
void dop_node_release(struct dop_node *n);

/* The pong with this payload came. */
void dop_node_pong(struct dop_socket *s, const char *payload, size_t len);

/* The socket is gone, or as good as gone: nothing more can be sent or heard on it. `code` is a
 * close code or 0, `why` a sentence, `code_name` an error code of docs/api.md or NULL. */
void dop_node_lost(struct dop_socket *s, unsigned code, const char *code_name, const char *why);

/* The same, when it is this end that wants no more of the socket: it is closed with `code`. */
void dop_node_part(struct dop_socket *s, unsigned code, const char *code_name, const char *why);

/* What the socket brings would be more than the server may hold: it is closed, to be tried later.
 */
void dop_node_shed(struct dop_socket *s);

/* The system took bytes: what waited in the queue may go on. */
void dop_node_writable(struct dop_socket *s);

/* --- what an application asks of a node --- */

enum dop_sent {
  DOP_SENT,
  DOP_SEND_FULL,
  DOP_SEND_TOOLARGE,
  DOP_SEND_RESERVED,
  DOP_SEND_CLOSED,
  DOP_SEND_NOMEM
};

/* Accepts a message, to be written as soon as the node is CONNECTED, in order. Copies its data. */
enum dop_sent dop_node_send(struct dop_node *n, const struct dop_message *m);

/* The formal end: the peer hears it if it can. 0, or -1 when the node is DISCONNECTED already, or
 * on its way there. */
int dop_node_disconnect(struct dop_node *n, unsigned code, const char *why);

/* Loses the socket and keeps the session. 0, or -1 when there is no socket. */
int dop_node_drop(struct dop_node *n, int reset);

/* Ends the session without telling the peer (a policy that gave up, a window that passed): the node
 * is DISCONNECTED, its socket, if any, is closed with `code`. Does nothing the second time. A
 * server's node that never was CONNECTED ends without a `disconnect` event. */
void dop_node_end(struct dop_node *n, unsigned code, const char *why);

/* DOP_EVENT_PRINCIPAL: a newcomer of the principal `*other` asks for a session of `*owner`. 0, or
 * -1 when it does so no more. Valid until the machine is called. */
int dop_node_principals(const struct dop_node *newcomer, const struct dop_token **owner,
                        const struct dop_token **other);

/* The application's answer: whether the two are the same. Does nothing when nobody asks any more.
 */
void dop_node_decide(struct dop_node *newcomer, int same);

/* Gives the event of its end what was not settled. */
void dop_node_hand_back(struct dop_node *n, struct dop_event *ev);

/* The session's `connect` could not be told: its socket is given up, and with the next one it is
 * told again. */
void dop_node_untold(struct dop_node *n);

/* Whether nothing waits: no message that was accepted and not written (lossless: not acknowledged),
 * and none that the application has in hand. */
int dop_node_is_settled(const struct dop_node *n);

/* Bytes accepted and not taken by the system. */
size_t dop_node_queued(const struct dop_node *n);

/* The largest payload that dop_node_send() takes now: in plain DOP this end's limit, otherwise the
 * peer's. */
size_t dop_node_max_message(const struct dop_node *n);

/* Messages that were written and that the peer is not known to have delivered; 0 in plain DOP. */
uint32_t dop_node_unacked(const struct dop_node *n);

#endif
