/* What link.c (the WebSocket's life), handshake.c (the upgrade) and tunnel.c (what comes before it)
 * share. */
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

/* Refuses as dop_link_refuse() does, for that cause. */
void dop_link_refuse_for(struct dop_link *l, enum dop_refusal cause, unsigned status,
                         const char *headers, const char *text);

/* Whether there is room for a server's new socket, in which case its address counts it; if not,
 * why.
 */
enum dop_refusal dop_link_room(struct dop_link *l);

/* A server's socket that is no longer pending, or no longer counts at all: its address has room. */
void dop_link_count_less(struct dop_link *l, int at_all);

/* Uses up n bytes of the input. */
void dop_link_skip(struct dop_link *l, size_t n);

/* The buffer for output, with the engine's spare block when there is none yet; marks the link. */
struct dop_bytes *dop_link_out(struct dop_link *l);

#endif
