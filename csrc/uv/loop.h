/* The loop: a libuv loop that drives one engine.
 *
 * It brings time, carries bytes between sockets and links, and lets the application's handlers run
 * between two polls. All of the machine's deadlines share one libuv timer. Knows the core only
 * through its table of services, and Lua not at all: a lua_State passes through it unseen.
 *
 * Owns the libuv loop and every handle on it. `handle->data` stays NULL and blocks are found by
 * container_of: whoever shares a loop with other libraries cannot trust that pointer.
 */
#ifndef DOP_UV_LOOP_H
#define DOP_UV_LOOP_H

#include <sys/types.h>
#include <uv.h>

#include "link/driver.h"

#define DOP_LOOP_BUFFER 65536          /* bytes of one read, shared by all sockets of the loop */
#define DOP_LOOP_LEAST  4096           /* of one read when many sockets have more than that */
#define DOP_LOOP_ROUND  (256u * 1024u) /* that such sockets share in a round */

/* Something on the loop that must be shut before the loop can be freed: a stream, a listener, a
 * timer. Embedded in each of them. */
struct dop_resource {
  struct dop_resource *prev, *next;
  void (*shut)(struct dop_resource *r); /* begins the end; a second call does nothing */
};

/* Something that was put off to the next round, so that others have their turn. Embedded too. */
struct dop_later {
  struct dop_later *next;
  void (*run)(struct dop_later *later); /* runs no handler and removes none */
  unsigned waits : 1;
};

/* Streams whose TLS handshakes wait for their turn, see secure.c. */
struct dop_crowd {
  struct dop_line {
    struct dop_stream *first, *last;
  } lines[2];    /* who has not begun, who has */
  unsigned next; /* the line whose turn it is */
  struct dop_later later;
  uint64_t step;  /* ns that one step takes, about */
  unsigned spare; /* turns since the last ones were given in which no step was made */
};

struct dop_loop {
  uv_loop_t uv;
  const struct dop_driver_api *api;
  struct dop_host *host;
  uv_timer_t timer;     /* the machine's next deadline */
  uv_prepare_t prepare; /* before each poll: deliver, flush, arm the timer */
  uv_check_t check;     /* after each poll: the machine's deadlines */
  uv_idle_t idle;       /* runs while there is more to deliver: the poll must not wait */
  uv_async_t keep;      /* never sent; with a reference it keeps the loop alive */
  uv_signal_t sigint;
  struct dop_resource *resources;
  const void *fed; /* the stream that was read last in this round */
  struct dop_later *later;
  uint32_t round;
  unsigned share;      /* bytes of one read in this round */
  unsigned handshakes; /* steps of TLS handshakes in this round, made or promised */
  struct dop_crowd crowd;
  unsigned greedy; /* reads of this round that took all of it */
  uint64_t timer_at;
  uint64_t woke; /* ns: when the round's work began; 0: not yet */
  uint64_t busy; /* ns that the last one took, from there until its turn was over */
  pid_t pid;     /* of the process that made it */
  unsigned holds;
  unsigned running : 1, interrupted : 1, stopped : 1;
  char *buffer;
  struct dop_tls_shared *tls; /* made when it is first needed, see secure.h */
};

/* NULL with a libuv error in `*err`. Ignores SIGPIPE while nobody else cares for it. */
struct dop_loop *dop_loop_new(const struct dop_driver_api *api, struct dop_host *host, int *err);

/* Shuts everything on the loop without running a handler, and frees it. */
void dop_loop_free(struct dop_loop *loop);

/* Runs until nothing is left that could happen, dop_loop_stop(), or the first SIGINT. Handlers run
 * on L. Returns UV_EINTR for the signal, else 0. Not to be called while it runs. */
int dop_loop_run(struct dop_loop *loop, struct lua_State *L);

/* One round without waiting; returns whether anything is left that could happen. */
int dop_loop_step(struct dop_loop *loop, struct lua_State *L);

void dop_loop_stop(struct dop_loop *loop);

/* Brings the engine's time up to now: before anything that an application asks for outside of a
 * callback. */
void dop_loop_touch(struct dop_loop *loop);

/* By how many ms the loop's time, which stands still while handlers run, is behind the clock. */
uint64_t dop_loop_lag(const struct dop_loop *loop);

/* The round has work: the first call counts. */
void dop_loop_wake(struct dop_loop *loop);

/* Lets links write what they have, and end. After every callback that fed the machine. */
void dop_loop_flush(struct dop_loop *loop);

/* Keeps the loop running though there is no socket (in-process transports). Each hold is released
 * once. */
void dop_loop_hold(struct dop_loop *loop);
void dop_loop_release(struct dop_loop *loop);

void dop_later_add(struct dop_loop *loop, struct dop_later *later);
void dop_later_remove(struct dop_loop *loop, struct dop_later *later);

void dop_resource_add(struct dop_loop *loop, struct dop_resource *r,
                      void (*shut)(struct dop_resource *r));
void dop_resource_remove(struct dop_loop *loop, struct dop_resource *r);

#endif
