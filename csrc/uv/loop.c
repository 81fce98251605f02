/* A libuv loop that drives one engine; see loop.h. */
#include "uv/loop.h"

#include <signal.h>
#include <unistd.h>

#include "uv/stream.h"
#include "uv/tls.h"

/* --- resources --- */

void dop_resource_add(struct dop_loop *loop, struct dop_resource *r,
                      void (*shut)(struct dop_resource *r)) {
  r->shut = shut;
  r->prev = NULL;
  r->next = loop->resources;
  if (r->next) r->next->prev = r;
  loop->resources = r;
}

void dop_resource_remove(struct dop_loop *loop, struct dop_resource *r) {
  if (r->prev)
    r->prev->next = r->next;
  else
    loop->resources = r->next;
  if (r->next) r->next->prev = r->prev;
}

void dop_later_add(struct dop_loop *loop, struct dop_later *later) {
  if (later->waits) return;
  later->waits = 1;
  later->next = loop->later;
  loop->later = later;
}

void dop_later_remove(struct dop_loop *loop, struct dop_later *later) {
  struct dop_later **at = &loop->later;
  if (!later->waits) return;
  while (*at != later) at = &(*at)->next;
  *at = later->next;
  later->waits = 0;
}

/* What they put off once more waits for the round after this one. */
static void do_later(struct dop_loop *loop) {
  struct dop_later *later = loop->later, *next;
  loop->later = NULL;
  for (; later; later = next) {
    next = later->next;
    later->waits = 0;
    later->run(later);
  }
}

/* --- a round --- */

void dop_loop_flush(struct dop_loop *loop) {
  struct dop_link *l;
  while ((l = loop->api->take_dirty(loop->host))) {
    dop_stream_service(l->driver);
    loop->api->unref(l);
  }
}

/* Only ends the wait of the poll. Deadlines are looked at behind it, in on_check(): what the peer
 * sent in time is read first, however long a handler has kept the loop from reading it. */
static void on_timer(uv_timer_t *timer) {
  struct dop_loop *loop = DOP_CONTAINER(timer, struct dop_loop, timer);
  loop->timer_at = DOP_TIMERS_NEVER;
}

void dop_loop_wake(struct dop_loop *loop) {
  if (!loop->woke) loop->woke = uv_hrtime();
}

/* What a socket may be read of in the next round: many that send without end share one. */
static void share_round(struct dop_loop *loop) {
  unsigned most = loop->greedy ? DOP_LOOP_ROUND / loop->greedy : DOP_LOOP_BUFFER;
  if (most > DOP_LOOP_BUFFER) most = DOP_LOOP_BUFFER;
  loop->share = most < DOP_LOOP_LEAST ? DOP_LOOP_LEAST : most;
  loop->greedy = loop->handshakes = 0;
  loop->fed = NULL;
  loop->round++;
}

static void on_check(uv_check_t *check) {
  struct dop_loop *loop = DOP_CONTAINER(check, struct dop_loop, check);
  dop_loop_wake(loop);
  share_round(loop);
  /* Events and output wait for on_prepare(), which comes before the next poll. */
  if (loop->api->next(loop->host) <= uv_now(&loop->uv))
    loop->api->advance(loop->host, uv_now(&loop->uv));
}

static void arm_timer(struct dop_loop *loop) {
  uint64_t at = loop->api->next(loop->host), now = uv_now(&loop->uv);
  if (loop->api->owing(loop->host))
    uv_ref((uv_handle_t *)&loop->timer);
  else
    uv_unref((uv_handle_t *)&loop->timer);
  if (at == loop->timer_at) return;
  loop->timer_at = at;
  if (at == DOP_TIMERS_NEVER)
    uv_timer_stop(&loop->timer);
  else
    uv_timer_start(&loop->timer, on_timer, at > now ? at - now : 0, 0);
}

static void on_idle(uv_idle_t *idle) {
  (void)idle;
}

/* Lets handlers run, writes what they sent, and says how long the next poll may wait: not at all
 * when the writing has made room that somebody waits for. */
static void turn(struct dop_loop *loop) {
  loop->api->set_time(loop->host, uv_now(&loop->uv));
  do_later(loop);
  loop->api->turn(loop->host);
  dop_loop_flush(loop);
  if (loop->later || loop->api->waiting(loop->host))
    uv_idle_start(&loop->idle, on_idle);
  else
    uv_idle_stop(&loop->idle);
  arm_timer(loop);
  if (loop->woke) loop->busy = uv_hrtime() - loop->woke;
  loop->woke = 0;
}

static void on_prepare(uv_prepare_t *prepare) {
  turn(DOP_CONTAINER(prepare, struct dop_loop, prepare));
}

static void on_sigint(uv_signal_t *signal, int number) {
  struct dop_loop *loop = DOP_CONTAINER(signal, struct dop_loop, sigint);
  (void)number;
  loop->interrupted = 1;
  uv_signal_stop(signal); /* the second one does what it always does */
  uv_stop(&loop->uv);
}

/* While the loop runs, libuv's own time must stand still between two polls: libuv calls timers
 * until none is due, and moving its time from one of their callbacks would make more of them due,
 * so that two busy timers could keep it from its sockets for ever. */
void dop_loop_touch(struct dop_loop *loop) {
  if (!loop->running) uv_update_time(&loop->uv);
  loop->api->set_time(loop->host, uv_now(&loop->uv) + dop_loop_lag(loop));
}

uint64_t dop_loop_lag(const struct dop_loop *loop) {
  uint64_t now = uv_hrtime() / 1000000; /* the clock that libuv's time is read from */
  return now > uv_now(&loop->uv) ? now - uv_now(&loop->uv) : 0;
}

void dop_loop_hold(struct dop_loop *loop) {
  if (loop->holds++ == 0) uv_ref((uv_handle_t *)&loop->keep);
}

void dop_loop_release(struct dop_loop *loop) {
  if (--loop->holds == 0) uv_unref((uv_handle_t *)&loop->keep);
}

/* --- running --- */

void dop_loop_stop(struct dop_loop *loop) {
  loop->stopped = 1;
  uv_stop(&loop->uv);
}

int dop_loop_run(struct dop_loop *loop, struct lua_State *L) {
  struct lua_State *before = loop->api->enter(loop->host, L);
  loop->running = 1;
  loop->interrupted = loop->stopped = 0;
  loop->woke = 0; /* the last round of another run had no turn: what came since was not its work */
  uv_signal_start(&loop->sigint, on_sigint, SIGINT);
  /* libuv returns when no handle is alive; handlers of the last events may make new ones. */
  do {
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    if (loop->stopped || loop->interrupted) break;
    turn(loop);
  } while (uv_loop_alive(&loop->uv));
  uv_signal_stop(&loop->sigint);
  loop->running = 0;
  loop->api->leave(loop->host, before);
  return loop->interrupted ? UV_EINTR : 0;
}

int dop_loop_step(struct dop_loop *loop, struct lua_State *L) {
  struct lua_State *before = loop->api->enter(loop->host, L);
  loop->running = 1;
  loop->woke = 0; /* as above */
  uv_run(&loop->uv, UV_RUN_NOWAIT);
  turn(loop);
  loop->running = 0;
  loop->api->leave(loop->host, before);
  return uv_loop_alive(&loop->uv);
}

/* --- life --- */

/* libuv writes without MSG_NOSIGNAL: a write after a reset would end the process (libuv 1.44). */
static void ignore_sigpipe(void) {
  struct sigaction action;
  if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
  }
}

static void on_async(uv_async_t *async) {
  (void)async;
}

struct dop_loop *dop_loop_new(const struct dop_driver_api *api, struct dop_host *host, int *err) {
  struct dop_loop *loop = api->zalloc(sizeof *loop);
  char *buffer = api->zalloc(DOP_LOOP_BUFFER);
  *err = UV_ENOMEM;
  if (!loop || !buffer || (*err = uv_loop_init(&loop->uv))) {
    api->free(buffer);
    api->free(loop);
    return NULL;
  }
  ignore_sigpipe();
  loop->buffer = buffer;
  loop->share = DOP_LOOP_BUFFER;
  loop->api = api;
  loop->host = host;
  loop->pid = getpid();
  loop->timer_at = DOP_TIMERS_NEVER;
  api->host_ref(host);
  uv_timer_init(&loop->uv, &loop->timer);
  uv_prepare_init(&loop->uv, &loop->prepare);
  uv_check_init(&loop->uv, &loop->check);
  uv_idle_init(&loop->uv, &loop->idle);
  uv_async_init(&loop->uv, &loop->keep, on_async);
  uv_signal_init(&loop->uv, &loop->sigint);
  uv_prepare_start(&loop->prepare, on_prepare);
  uv_check_start(&loop->check, on_check);
  uv_unref((uv_handle_t *)&loop->timer);
  uv_unref((uv_handle_t *)&loop->prepare);
  uv_unref((uv_handle_t *)&loop->check);
  uv_unref((uv_handle_t *)&loop->keep);
  uv_unref((uv_handle_t *)&loop->sigint);
  dop_loop_touch(loop);
  return loop;
}

void dop_loop_free(struct dop_loop *loop) {
  for (struct dop_resource *r = loop->resources, *next; r; r = next) {
    next = r->next;
    r->shut(r);
  }
  uv_close((uv_handle_t *)&loop->timer, NULL);
  uv_close((uv_handle_t *)&loop->prepare, NULL);
  uv_close((uv_handle_t *)&loop->check, NULL);
  uv_close((uv_handle_t *)&loop->idle, NULL);
  uv_close((uv_handle_t *)&loop->keep, NULL);
  uv_close((uv_handle_t *)&loop->sigint, NULL);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  uv_loop_close(&loop->uv);
  const struct dop_driver_api *api = loop->api;
  if (loop->tls) api->set_tls_facts(loop->host, NULL);
  dop_tls_shared_free(loop->tls);
  api->host_unref(loop->host);
  api->free(loop->buffer);
  api->free(loop);
}
