/* What the files of a schedule share: schedule.c (its course), host.c (the applications of both
 * ends), faults.c (what goes wrong in it). Not for anybody else. Owns both ends, the clock and the
 * network. */
#ifndef DOP_PROOF_WORLD_H
#define DOP_PROOF_WORLD_H

#include "proof/checker.h"

enum { SERVER = DOP_SIM_SERVER, CLIENT = DOP_SIM_CLIENT };

struct world {
  struct dop_engine engine;
  struct dop_sim_net net;
  struct dop_transport *ends[2];
  struct dop_transport *guest; /* somebody else who presents a session, NULL: nobody */
  struct dop_limits limits[2]; /* of the ends, whoever they are at the time */
  struct dop_deflate_options compression;
  struct dop_sim_checker k;
  uint64_t random;
  uint64_t dial_at;       /* ms; 0: no attempt is due */
  const char *guest_name; /* its principal */
  unsigned faults, kills, storms;
  unsigned over : 1; /* the client makes no further attempt */
  unsigned calm : 1;
  unsigned compresses : 1;     /* both ends were asked for permessage-deflate */
  unsigned guest_over : 1;     /* it heard its answer, or lost its socket */
  unsigned guest_rightful : 1; /* the session is its own: another holder of it */
};

uint64_t dop_sim_draw(struct world *w);
uint64_t dop_sim_below(struct world *w, uint64_t n);

/* host.c: what waits is handed out; and what is written leaves. */
void dop_sim_deliver(void *ctx, struct dop_socket *s);
void dop_sim_turn(struct world *w);

/* Time passes, from deadline to deadline; the client dials when an attempt is due. */
void dop_sim_wait(struct world *w, uint64_t ms);

/* Carries n bytes of one direction; everything that is on its way, until nothing is. */
int dop_sim_carry_one(struct world *w, struct dop_sim_conn *c, int up, size_t n);
void dop_sim_carry_all(struct world *w);

/* The client dials, or a guest does. */
void dop_sim_dial_as(struct world *w, struct dop_transport *t, const char *who);

/* A new process takes the place of one that is gone. */
struct dop_transport *dop_sim_new_end(struct world *w, int side);
void dop_sim_new_client(struct world *w);
void dop_sim_new_server(struct world *w);

/* An application ends a session. */
void dop_sim_disconnect(struct world *w, struct dop_node *n);

/* The node that a side sends on: the client's, or one of the server's that were CONNECTED. */
struct dop_node *dop_sim_sender(struct world *w, int side);
/* Whether it was accepted, or there is nobody to accept it. */
int dop_sim_send_one(struct world *w, int side);

/* A connection, the newer the likelier; NULL: there is none. */
struct dop_sim_conn *dop_sim_some_conn(struct world *w);

/* faults.c: something goes wrong. */
void dop_sim_fault(struct world *w);

/* faults.c: the guest is gone. */
void dop_sim_dismiss(struct world *w);

/* faults.c: an application stops (1) or goes on (0) reading a socket. */
void dop_sim_pause(struct world *w, struct dop_socket *s, int paused);

#endif
