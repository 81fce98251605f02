/* A simulated network: real links of both ends, joined by pipes that a seed may cut, delay,
 * blackhole or half-close at any byte. No sockets, no clock of its own: time is what the engine
 * says it is.
 *
 * A connection is a client's link, a server's link, and the bytes under way between them. Bytes
 * that one end wrote go on travelling when that end is gone, as they do on a real network, so an
 * old connection may be heard after a newer one. Owns the connections and their bytes.
 */
#ifndef DOP_SIM_NETWORK_H
#define DOP_SIM_NETWORK_H

#include "link/link.h"

/* One direction of a connection: what `from` wrote and `to` has not read. */
struct dop_sim_pipe {
  struct dop_bytes bytes;
  uint64_t until; /* ms; nothing is carried before: a slow way, which a newer one overtakes */
  uint64_t fed;   /* ms; when bytes of it last came to their reader, 0: never */
  unsigned swallowed : 1; /* a blackhole: what is written vanishes, nobody is told */
  unsigned ended : 1;     /* the writer is gone: after the bytes comes the end */
  unsigned closed : 1;    /* the reader was told, or is gone */
  unsigned shut : 1;      /* the way takes no more bytes, whatever the writer still says */
  unsigned reset : 1;     /* the end is a reset */
};

struct dop_sim_conn {
  struct dop_sim_conn *next;
  struct dop_link *client, *server; /* NULL once that end let go of its socket */
  struct dop_sim_pipe up, down;     /* to the server, to the client */
  unsigned number;                  /* counted from 0 */
  const char *who;                  /* the caller's: the principal that dialled */
  unsigned guest : 1;               /* the caller's: not the client of the schedule */
  unsigned stopped : 1;             /* the caller's: some end was seen not to read */
  void *app;                        /* the caller's */
};

struct dop_sim_net {
  struct dop_engine *engine;
  struct dop_sim_conn *conns; /* the newest first */
  unsigned count;
  /* Called whenever links may have events or messages: hands them to the application. `s` may be
   * NULL. */
  void (*deliver)(void *ctx, struct dop_socket *s);
  /* Sees everything that an end writes, whole frames at a time, before it travels; NULL: nobody. */
  void (*tap)(void *ctx, struct dop_sim_conn *c, int up, const char *bytes, size_t len);
  /* An end of the connection wrote, ended, or reads again; may be NULL. */
  void (*served)(void *ctx, struct dop_sim_conn *c);
  void *ctx;
};

/* A client's attempt that finds the server. -1 without memory. */
int dop_sim_dial(struct dop_sim_net *net, struct dop_transport *client,
                 struct dop_transport *server);

/* The two halves of it: an attempt on its way, NULL without memory; and that it found the server,
 * as which the client has `address`. -1 without memory. */
struct dop_sim_conn *dop_sim_call(struct dop_sim_net *net, struct dop_transport *client,
                                  const char *host, const char *target, const char *headers);
int dop_sim_answer(struct dop_sim_conn *c, struct dop_transport *server, const char *address);

/* Takes what the links wrote onto the network, and does what they ask for. */
void dop_sim_flush(struct dop_sim_net *net);

/* Carries at most n bytes of one direction to its reader; the end of the stream after the last.
 * Returns whether anything happened. */
int dop_sim_carry(struct dop_sim_net *net, struct dop_sim_conn *c, int up, size_t n);

/* Faults. Which end notices: bit 0 the client, bit 1 the server. */
void dop_sim_cut(struct dop_sim_net *net, struct dop_sim_conn *c, unsigned who);
void dop_sim_swallow(struct dop_sim_conn *c, int up, int down);

/* Forgets the connections that both ends have let go of. */
void dop_sim_reap(struct dop_sim_net *net);

/* Every connection is cut; everything is freed. */
void dop_sim_dispose(struct dop_sim_net *net);

#endif
