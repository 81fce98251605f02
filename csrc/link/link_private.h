/* What the files of a link share: link.c (its life), input.c and output.c (bytes in, bytes out),
 * handshake.c (the upgrade), tunnel.c (what comes before it) and caps.c (whether there is room). */
#ifndef DOP_LINK_PRIVATE_H
#define DOP_LINK_PRIVATE_H

#include "link/link.h"

#define DOP_RETRY_LATER "Retry-After: 5\r\n" /* seconds, behind a refusal that will pass */

struct dop_upgrade {
  size_t seen; /* bytes of the head that were looked at */
  struct dop_bytes
      head; /* a server keeps the request for the application; a client, until its tunnel is up */
  char key[25];           /* a client's Sec-WebSocket-Key */
  unsigned offered : 1;   /* a client offered dop.r1 */
  unsigned plain : 1;     /* a server's request asks for no upgrade */
  unsigned head_only : 1; /* and is a HEAD */
};

static inline struct dop_link *dop_link_from(struct dop_socket *s) {
  return (struct dop_link *)s; /* its first member */
}

static inline struct dop_engine *dop_link_engine(const struct dop_link *l) {
  return l->socket.transport->engine;
}

static inline const struct dop_limits *dop_link_limits(const struct dop_link *l) {
  return &l->socket.transport->limits;
}

/* The part of a new link that both roles share. NULL without memory. */
struct dop_link *dop_link_new(struct dop_transport *t);

/* Parses the head when it is whole. 1: the state changed, go on; 0: more bytes are needed. */
int dop_link_handshake(struct dop_link *l);

/* Asks the proxy for the tunnel. 0, or -1 without memory. */
int dop_link_ask_tunnel(struct dop_link *l, const struct dop_tunnel *via);

/* Parses its answer when that is whole: as dop_link_handshake(). */
int dop_link_hear_tunnel(struct dop_link *l);

void dop_link_free_upgrade(struct dop_link *l);

/* A client's attempt failed, as dop_link_lost() has it, by an answer of HTTP: its status, and how
 * long it asks to be left alone, go along. */
void dop_link_answered(struct dop_link *l, const char *code_name, const char *why,
                       const struct dop_head *answer);

/* The upgrade is done: the WebSocket begins and the node hears of its socket. `deflate` is what was
 * agreed about permessage-deflate, NULL for nothing; the link's from here on. */
void dop_link_begin(struct dop_link *l, struct dop_node *n, struct dop_deflate *deflate);

/* Everything is said. The driver flushes, closes its writing side, and waits for the peer's end,
 * for the close timeout at most. */
void dop_link_linger(struct dop_link *l);

/* No more bytes in or out, now. */
void dop_link_die(struct dop_link *l, int reset);

/* Refuses as dop_link_answer() does, with a text and for that cause. */
void dop_link_refuse_for(struct dop_link *l, enum dop_refusal cause, unsigned status,
                         const char *headers, const char *text);

/* Whether there is room for a server's new socket, in which case its address counts it; if not,
 * why.
 */
enum dop_refusal dop_link_room(struct dop_link *l);

/* A server's socket that is no longer pending, or no longer counts at all: its address has room. */
void dop_link_count_less(struct dop_link *l, int at_all);

/* --- input.c --- */

/* Uses up n bytes of the input. */
void dop_link_skip(struct dop_link *l, size_t n);

/* ops->next: the next data message, after everything that came before it was heard. */
int dop_link_next(struct dop_socket *s, struct dop_message *m);

/* --- output.c --- */

/* The buffer for output, with the engine's spare block when there is none yet; marks the link. */
struct dop_bytes *dop_link_out(struct dop_link *l);

/* Adds a frame, or a close frame, masked for a server. 0, or -1 without memory or randomness. */
int dop_link_say(struct dop_link *l, enum dop_ws_opcode op, const char *data, size_t len);
int dop_link_say_close(struct dop_link *l, unsigned code, const char *reason);

/* ops->send and ops->backlog. */
int dop_link_send(struct dop_socket *s, const struct dop_message *m);
size_t dop_link_backlog(const struct dop_socket *s);

/* Enters what its buffers hold into the transport's sum, in place of what it entered before. */
void dop_link_tally(struct dop_link *l);

#endif
