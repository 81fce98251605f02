/* The engine: the world as the machine sees it. One for each loop.
 *
 * Time is what the driver says it is, randomness comes through a function, events wait in a queue
 * until the driver delivers them: the machine never calls an application while it is inside
 * itself. Owns the queue of events and the heap of timers.
 */
#ifndef DOP_SESSION_ENGINE_H
#define DOP_SESSION_ENGINE_H

#include "session/queue.h"

struct dop_deflate_pool;
struct dop_node;
struct dop_socket;
struct dop_transport;

enum dop_event_type {
  DOP_EVENT_OPEN,         /* a socket is up */
  DOP_EVENT_MESSAGE,      /* never queued: messages are pulled, see dop_socket_ops.next */
  DOP_EVENT_CLOSE,        /* a socket is gone: code, why */
  DOP_EVENT_ERROR,        /* something went wrong that is nobody's call: why */
  DOP_EVENT_CONNECT,      /* the session exists */
  DOP_EVENT_RECONNECTING, /* its socket is lost: why */
  DOP_EVENT_RECONNECT,    /* it has a socket again: elapsed */
  DOP_EVENT_DISCONNECT,   /* it is over: why, unsettled */
  DOP_EVENT_STATUS,       /* now, before, why */
  DOP_EVENT_DRAIN,        /* there is room again after a send that found none */
  DOP_EVENT_REQUEST,      /* a server's socket asks to be let in: socket */
  DOP_EVENT_PRINCIPAL,    /* another principal asks for a session, see dop_node_principals() */
  DOP_EVENT_HTTP,         /* a server's socket asks for no upgrade: socket */
  DOP_EVENT_DOWN, /* a client has no socket and no session on the way to one: why, code, elapsed */
  DOP_EVENT_OVER, /* a client makes no further attempt */
  DOP_EVENT_ACCEPT, /* for whoever watches alone, as the next: a server got a socket: socket */
  DOP_EVENT_REFUSE, /* it refused one: socket, code (a status), why, code_name (the cause), written
                       (others since the last that was told) */
  DOP_EVENT_GONE    /* for the binding alone: the node ended without an event, let go of it */
};
#define DOP_EVENTS (DOP_EVENT_GONE + 1)

struct dop_event {
  struct dop_event *next;
  enum dop_event_type type;
  unsigned now, before; /* enum dop_status */
  unsigned code;        /* a close code, 0 without one; DOWN: perhaps a status of HTTP instead */
  struct dop_transport *transport;
  struct dop_node *node;      /* with a reference; NULL for DOWN */
  struct dop_socket *socket;  /* with a reference; for REQUEST, HTTP */
  uint64_t elapsed;           /* ms; RECONNECT: without a socket, DOWN: CONNECTED before it */
  uint32_t retry_after;       /* s; of DOWN: for so long the server asks to be left alone */
  uint32_t written;           /* of DISCONNECT: so many of them were written ... */
  unsigned settled : 1;       /* ... and are known not to have been delivered */
  struct dop_queue unsettled; /* messages that were accepted and never written */
  char code_name[24];         /* an error code of docs/api.md, or "" */
  char why[200];              /* a word or a sentence, UTF-8 */
};

struct dop_engine {
  uint64_t now; /* ms; only differences count, it never goes back */
  struct dop_timers timers;
  dop_random_fn random;
  void *random_ctx;
  struct dop_event *first, **last;  /* events, oldest first */
  struct dop_socket *dirty, *ready; /* see socket.h */
  struct dop_bytes spare;           /* an output buffer between two owners, see link.c */
  struct dop_bytes spare_queue;     /* a queue's block between two owners, see lossless.c */
  struct dop_deflate_pool *deflate; /* the links', made with the first that compresses; or NULL */
  void (*free_deflate)(struct dop_deflate_pool *);
  uint8_t pool[128]; /* randomness for mask keys, nothing else */
  uint32_t pool_left;
  unsigned watched : 1; /* somebody wants ACCEPT and REFUSE */
  unsigned sweep : 1;   /* a closed transport may have lost the last thing that kept it */
  struct dop_event *later, **later_last; /* put off, see dop_engine_put_off() */
  uint64_t later_at;                     /* ms; when they are tried again */
  struct dop_node *owed;                 /* events that found no memory and may not be lost: */
  struct dop_transport *owing;           /* whose they are, which says what they are */
  struct dop_event reserve;              /* one such event, in use while it has a transport */
  void *app;                             /* the binding's */
};

void dop_engine_init(struct dop_engine *e, dop_random_fn random, void *ctx);

/* Nobody drives it any more: lets go of the events, and of the sockets on its lists. */
void dop_engine_forget(struct dop_engine *e);
void dop_engine_dispose(struct dop_engine *e); /* everything that used it is gone by then */

/* Appends an event about `node` (may be NULL) of `t`; fills in type, references and `why` (may be
 * NULL). The caller may fill in the rest before it returns to the driver. NULL without memory: the
 * event is then counted in t->lost_events, the machine's state stays right. Those that somebody
 * waits for (DRAIN, DISCONNECT, DOWN, OVER, GONE) are never lost: without memory they are owed, and
 * told a little later, DOWN without its particulars. */
struct dop_event *dop_engine_event(struct dop_transport *t, struct dop_node *node,
                                   enum dop_event_type type, const char *why);

/* For an event about a socket, which it refers to from here on. */
void dop_event_socket(struct dop_event *ev, struct dop_socket *s);

/* Copies the name of an error code, may be NULL, into the event. */
void dop_event_code(struct dop_event *ev, const char *code_name);

/* The oldest event, which the caller then frees with dop_event_free(); NULL when there is none. */
struct dop_event *dop_engine_take(struct dop_engine *e);
void dop_event_free(struct dop_event *ev);

/* Whoever is told had no memory to hear it: the event, which was taken, comes again in a while. */
void dop_engine_put_off(struct dop_engine *e, struct dop_event *ev);

/* Fires every timer that is due at `now`, which becomes the engine's time. */
void dop_engine_advance(struct dop_engine *e, uint64_t now);

/* When dop_engine_advance() is next needed: ms on the same clock, DOP_TIMERS_NEVER for never. */
uint64_t dop_engine_next(const struct dop_engine *e);

/* Four unpredictable bytes for a mask (RFC 6455 5.3), from a small pool. -1 without randomness. */
int dop_engine_mask(struct dop_engine *e, uint8_t mask[4]);

#endif
