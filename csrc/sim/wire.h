/* The simulated network with a clock: what an end writes arrives after a latency, so that bytes are
 * under way when a fault strikes. For dop.sim; make sim carries bytes by hand.
 *
 * A way is one direction of a connection. What was written at one time is a part; parts arrive in
 * order. Each way has one timer in the engine's heap, for its next part, so the engine's clock
 * drives everything. Owns the connections of its network and what is known about their bytes.
 * Chance is its own, by seed: what the machine and the application draw does not change it.
 */
#ifndef DOP_SIM_WIRE_H
#define DOP_SIM_WIRE_H

#include "sim/network.h"

struct dop_sim_wired;

struct dop_sim_way {
  struct dop_timer timer; /* until the first part is due */
  struct dop_sim_wired *of;
  struct dop_sim_way *next; /* among those that are due */
  struct dop_bytes parts;   /* struct dop_sim_part, the oldest first */
  uint32_t len;             /* bytes in them all */
  uint64_t last;            /* ms; no part arrives before it */
  unsigned due : 1, ended : 1;
};

/* What a connection's `app` points to. */
struct dop_sim_wired {
  struct dop_sim_wire *wire;
  struct dop_sim_conn *conn;
  uint32_t number; /* from 1 */
  struct dop_sim_way up, down;
};

struct dop_sim_wire {
  struct dop_sim_net net;
  struct dop_random_seed chance;
  uint64_t least, most; /* latency, ms */
  uint32_t number;      /* of the newest connection */
  struct dop_sim_way *due, **due_last;
};

/* `deliver` as in network.h. */
void dop_sim_wire_init(struct dop_sim_wire *w, struct dop_engine *e, uint64_t seed,
                       void (*deliver)(void *ctx, struct dop_socket *s), void *ctx);
void dop_sim_wire_dispose(struct dop_sim_wire *w);

/* An attempt, see dop_sim_call(): it reaches the other end's machine at `up.last`. NULL without
 * memory. */
struct dop_sim_conn *dop_sim_wire_call(struct dop_sim_wire *w, struct dop_transport *client,
                                       const char *host, const char *target, const char *headers);

/* And finds a server there, see dop_sim_answer(). -1 without memory. */
int dop_sim_wire_answer(struct dop_sim_conn *c, struct dop_transport *server, const char *address);

/* How long the next byte takes, ms. */
uint64_t dop_sim_wire_latency(struct dop_sim_wire *w);

/* Carries what is due. Runs handlers through `deliver`. Must not be called from one. */
void dop_sim_wire_carry(struct dop_sim_wire *w);

/* Frees connections of which nothing is left. */
void dop_sim_wire_reap(struct dop_sim_wire *w);

/* Faults of a connection; bit 0 of `who` is the client, bit 1 the server. None runs a handler: what
 * they do is heard with dop_sim_wire_carry(). */

/* It breaks on the way: of what is under way to each end a random part, up to any byte, still
 * arrives (`some`), or nothing; then whoever is among `who` sees a reset, the other one nothing. */
void dop_sim_wire_cut(struct dop_sim_conn *c, unsigned who, int some);
/* One way carries no byte more: after what is under way its reader sees the end. `up`: the client
 * is who can say no more. */
void dop_sim_wire_half_close(struct dop_sim_conn *c, int up);
/* What is under way and what will be written vanishes, nobody is told. */
void dop_sim_wire_swallow(struct dop_sim_conn *c);
/* What is under way and what will be written arrives in `ms` at the earliest. */
void dop_sim_wire_delay(struct dop_sim_conn *c, uint64_t ms);

/* Whether both ends are there and no fault struck it for good. */
int dop_sim_wire_sound(const struct dop_sim_conn *c);

#endif
