/* A host: one engine and the Lua state on which its handlers run. The place where events of the
 * machine become calls of Lua functions.
 *
 * Every entry into Lua is one protected call of a C function that also does the pushing, so that no
 * Lua error, not even for memory, crosses a driver. Handlers run on the state that called `run` (or
 * that fed the link), never on the coroutine that registered them. The block outlives its userdata.
 */
#ifndef DOP_BIND_HOST_H
#define DOP_BIND_HOST_H

#include "bind/compat.h"
#include "link/driver.h"

struct dop_host {
  struct dop_engine engine;
  lua_State *L; /* handlers run here; NULL: events wait */
  struct dop_transport_box *transports;
  struct dop_transport *telling; /* whose handler runs now, NULL: none */
  struct dop_random_seed seed;   /* of its randomness, when it is no real host's */
  int (*tls_facts)(void *driver, struct dop_tls_facts *f); /* see driver.h */
  uint32_t refs;
  uint32_t round_left;    /* messages that sockets may still hand out in this round */
  uint32_t inflated_left; /* bytes that they may still inflate */
  unsigned gc_always : 1; /* a full collection after every handler: for specs */
  unsigned seeded : 1;    /* randomness comes from `seed` */
  unsigned own : 1;       /* userdata are anchored in a table of its own, see anchor.c */
  unsigned watched : 1;   /* a function there is told of every event */
};

#define DOP_ENGINE_TYPE "dop.engine"

/* The engine's host at `arg`; raises when it is something else or closed. */
struct dop_host *dop_check_host(lua_State *L, int arg);

void dop_host_ref(struct dop_host *h);
void dop_host_unref(struct dop_host *h);

/* Handlers run on L until dop_host_leave() gets back what this returned. */
lua_State *dop_host_enter(struct dop_host *h, lua_State *L);
void dop_host_leave(struct dop_host *h, lua_State *before);

/* Hands out queued events, then what `s` has (may be NULL). Runs handlers. */
void dop_host_deliver(struct dop_host *h, struct dop_socket *s);

/* n bytes came for the link, which has its turn with them. Runs handlers. */
void dop_host_feed(struct dop_host *h, struct dop_link *l, char *data, size_t n);

/* Hands out queued events and the messages of ready sockets, one round. Runs handlers. */
void dop_host_turn(struct dop_host *h);

/* Whether another round would find something. */
int dop_host_waiting(const struct dop_host *h);

/* Calls fn with `ud` as a light userdata on the state that handlers run on, protected; does nothing
 * while there is none. An error goes to stderr, with its traceback, as one "in `what`". For what
 * belongs to no transport, such as timers. 0, or -1 when it was not called or ended with an error.
 */
int dop_host_call(struct dop_host *h, lua_CFunction fn, void *ud, const char *what);

/* The same with the Lua function on top of L, which it pops; on L. Needs two free slots. */
void dop_host_call_top(struct dop_host *h, lua_State *L, const char *what);

/* Anchors: what keeps alive a userdata that the application may have let go. The registry does; for
 * a host that is to be collected as a whole, with all that is open in it, a table of its own that
 * only its engine's userdata refers to. dop_anchor() pops the value and returns its reference. */
void dop_anchor_own(lua_State *L, struct dop_host *h, int engine); /* before the first anchor */
int dop_anchor(lua_State *L, struct dop_host *h);
void dop_unanchor(lua_State *L, struct dop_host *h, int ref);      /* never raises */
void dop_push_anchored(lua_State *L, struct dop_host *h, int ref); /* raises: its world is gone */

/* Pushes the function that is told of every event; nil when there is none. */
void dop_push_watcher(lua_State *L, struct dop_host *h);
void dop_set_watcher(lua_State *L, struct dop_host *h); /* pops it */

static inline struct dop_host *dop_host_of(const struct dop_transport *t) {
  return DOP_CONTAINER(t->engine, struct dop_host, engine);
}

/* Registers dop.engine in L and pushes nothing. */
void dop_engine_register(lua_State *L);

extern const struct dop_driver_api dop_core_api;

#endif
