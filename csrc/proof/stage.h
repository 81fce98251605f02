/* The stage of a named schedule: real ends under a clock that stands still, and a log of what each
 * was told. The other side of every socket is a hand, see hand.h.
 *
 * Owns the engine, at most one server and one client, and the hands. The first thing that is not as
 * wanted ends the schedule.
 */
#ifndef DOP_PROOF_STAGE_H
#define DOP_PROOF_STAGE_H

#include <setjmp.h>

#include "link/link.h"

enum { SERVER, CLIENT };

struct hand;

struct stage {
  struct dop_engine engine;
  struct dop_limits limits; /* of the ends; to be changed before they are first asked for */
  struct dop_transport *ends[2];
  struct hand *hands; /* the newest first */
  unsigned hand_count;
  unsigned plain : 1; /* the ends speak plain DOP only */
  uint64_t random;
  char log[2][8192]; /* what each end was told and was not looked at yet */
  /* What handlers do beside being told; may be NULL. */
  void (*on_message)(struct stage *w, struct dop_node *n);
  void (*on_event)(struct stage *w, struct dop_node *n, enum dop_event_type type);
  struct hand *other;     /* for handlers: a hand that they use */
  struct dop_node *asker; /* whose principal the application is asked about */
  jmp_buf failed;
  char why[1024];
};

void stage_init(struct stage *w);
void stage_dispose(struct stage *w);

/* The ends; made when they are first asked for. */
struct dop_transport *the_server(struct stage *w);
struct dop_transport *the_client(struct stage *w);

/* The client's node; the server's newest one that has a session, NULL without one. */
struct dop_node *client_node(struct stage *w);
struct dop_node *server_node(struct stage *w);

/* Hands out events and messages to the ends' handlers, and their output to the hands. */
void stage_turn(struct stage *w);

/* The same for a socket to which bytes came. */
void stage_deliver(struct stage *w, struct dop_socket *s);

/* So many milliseconds pass, from deadline to deadline. */
void stage_wait(struct stage *w, uint64_t ms);

/* An end's handlers send a text (in a hand's notation), one of so many bytes, or a binary message,
 * pause and go on, or end the session. */
enum dop_sent stage_send(struct stage *w, struct dop_node *n, const char *text);
enum dop_sent stage_send_long(struct stage *w, struct dop_node *n, size_t len);
enum dop_sent stage_send_binary(struct stage *w, struct dop_node *n, const char *data, size_t len);
void stage_pause(struct stage *w, struct dop_node *n, int paused);
void stage_disconnect(struct stage *w, struct dop_node *n);

/* The process of the server dies, and another one takes its place. */
void stage_kill_server(struct stage *w);

__attribute__((format(printf, 4, 5), noreturn)) void stage_fail(struct stage *w, const char *file,
                                                                int line, const char *format, ...);
void stage_told(struct stage *w, int side, const char *wanted, const char *file, int line);

#define CHECK(w, wanted)                                                     \
  do {                                                                       \
    if (!(wanted)) stage_fail(w, __FILE__, __LINE__, "not so: %s", #wanted); \
  } while (0)

/* What that end's handlers were told since the last look is exactly this. */
#define TOLD(w, side, wanted) stage_told(w, side, wanted, __FILE__, __LINE__)

/* Whatever it was is of no interest. */
static inline void forget_log(struct stage *w) {
  w->log[SERVER][0] = w->log[CLIENT][0] = 0;
}

#endif
