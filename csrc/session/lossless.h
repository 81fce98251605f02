/* The account of a lossless session: what was sent, what arrived, who knows of it
 * (docs/protocol.md, "dop.r1"). One for each node whose session speaks dop.r1; a node of plain DOP
 * has none.
 *
 * Messages are numbered from 1 in the order in which they were accepted, in each direction. The
 * node's queue holds those behind `acked`; its cursor stands behind message `next`.
 */
#ifndef DOP_SESSION_LOSSLESS_H
#define DOP_SESSION_LOSSLESS_H

#include "session/node.h"
#include "session/r1.h"

struct dop_account {
  struct dop_node *node;
  uint64_t acked;            /* of our messages the peer says that it delivered so many */
  uint64_t next;             /* of them the last that was written on this socket */
  uint64_t written;          /* the last that was written on any */
  uint64_t received;         /* of the peer's messages a handler was given so many */
  uint64_t told;             /* the peer knows of so many of those */
  uint64_t attempt;          /* n: a client's last, or the last that a server heard */
  struct dop_r1_limits peer; /* what it promised; zeros before its first limits */
  struct dop_timer timer;    /* an acknowledgement is due; the answer to our end is late */
  struct dop_queue parked;   /* came while the node was paused: neither counted nor acknowledged */
  char *hand;                /* the parked message that is with its handler, or NULL */
  union {
    const char *end_why; /* closing: the reason to report, static */
    uint64_t end_h;      /* end_parked: what it says */
  };
  uint32_t owed_bytes;       /* payload of the messages that it does not know delivered */
  uint8_t stuck;             /* resumes in a row after which nothing had moved */
  unsigned heard_limits : 1; /* on this socket */
  unsigned in_hand : 1;      /* the last received message is with its handler */
  unsigned held : 1;         /* and stays there after that has returned */
  unsigned closing : 1;      /* our end is on its way: nothing is delivered any more */
  unsigned settled : 1;      /* the peer's last word on what it delivered is known */
  unsigned end_parked : 1;   /* the peer's end waits, end_h */
  unsigned ended : 1;        /* an application ended it formally */
};

/* -1 without memory. */
int dop_account_open(struct dop_node *n);
void dop_account_free(struct dop_node *n);

/* The node became CONNECTED on a socket, anew or again: says the limits. 0, or -1: it lost the
 * socket over it. */
int dop_lossless_begin(struct dop_node *n);

/* A message on a CONNECTED socket; as dop_node_hear(). `m` may be made shorter. */
int dop_lossless_hear(struct dop_node *n, struct dop_message *m);

/* Takes out the oldest message that was parked, and counts it: 1, or 0 when there is none. */
int dop_lossless_unpark(struct dop_node *n, struct dop_message *m);

/* The socket is gone, and with it what was parked: it will be written again. */
void dop_lossless_forget_parked(struct dop_node *n);

/* The handler of the last message has returned: it may be acknowledged. */
void dop_lossless_delivered(struct dop_node *n);

/* It never came to a handler: it counts as not received. */
void dop_lossless_undelivered(struct dop_node *n);

/* Tells the peer what was delivered, if it does not know. */
void dop_lossless_acknowledge(struct dop_node *n);

/* The peer delivered h of our messages: they are dropped. 0, or -1 when that cannot be. */
int dop_lossless_settle(struct dop_node *n, uint64_t h);

/* Writes what is at the cursor while the socket takes it (all: whatever it takes). 0, or -1: the
 * socket was lost. */
int dop_lossless_pump(struct dop_node *n, int all);

/* Writes the message at the end of the queue, when all before it are written already. */
void dop_lossless_write(struct dop_node *n, const struct dop_message *m);

/* The largest payload that may be sent now. */
static inline size_t dop_lossless_max_message(const struct dop_node *n) {
  uint64_t most = n->account->peer.max_message;
  return most ? (size_t)most : DOP_R1_ANY_MESSAGE;
}

/* No number is left for another message or attempt: the session is over, what waits comes back. */
void dop_lossless_exhaust(struct dop_node *n);

/* Begins the formal end: nothing is delivered or accepted from here on. `why` is static. */
void dop_lossless_end(struct dop_node *n, const char *why);

/* Whether a socket that ended with this close code takes the session with it, seen from a node in
 * that status. */
int dop_lossless_fatal(const struct dop_node *n, enum dop_status status, unsigned code);

/* --- resume.c --- */

/* The client presents its session on a new socket. */
void dop_resume_ask(struct dop_node *n);

/* The server hears "<T> r <n> <h>" on a newcomer's socket; T is the first `len` bytes of m. */
void dop_resume_hear(struct dop_node *newcomer, const struct dop_message *m, size_t len, uint64_t n,
                     uint64_t h);

/* A client's node that never was CONNECTED forgets the session that it asked for, and has a fresh
 * half and its queue. 0, or -1: it gave up the socket. */
int dop_resume_let_go(struct dop_node *n);

/* The client hears the answer. */
void dop_resume_answer(struct dop_node *n, const struct dop_message *m);

/* A client that knows both halves lost its socket: the server may have confirmed the session, so it
 * is worth asking for. 0, or -1 without memory. */
int dop_resume_hold(struct dop_node *n);

/* The server forgets a session: it leaves a tombstone. */
void dop_resume_bury(struct dop_node *n);

#endif
