/* A transport as the machine sees it: one listener's sessions, or one client's.
 *
 * Owns the directory and the list of nodes and sockets, and knows the limits. Opens nothing.
 */
#ifndef DOP_SESSION_TRANSPORT_H
#define DOP_SESSION_TRANSPORT_H

#include "session/addresses.h"
#include "session/directory.h"
#include "session/engine.h"
#include "session/socket.h"
#include "session/tombs.h"

struct dop_deflate_options; /* the links', see ws/extension.h */

enum dop_role { DOP_SERVER, DOP_CLIENT };

/* Every limit of the product with its default; times in ms, sizes in bytes. */
struct dop_limits {
  uint64_t resume_window;           /* 60 s: a server forgets a RECONNECTING node */
  uint64_t probe_timeout;           /* 2 s: to prove that the holder of a claimed session lives */
  uint64_t handshake_timeout;       /* 10 s: from accept, or from dialling, to CONNECTED */
  uint64_t ping_interval;           /* 20 s without a byte: ping; 0: never */
  uint64_t ping_timeout;            /* 10 s more: the socket is lost */
  uint64_t close_timeout;           /* 5 s: for the peer's part of a polite end */
  uint32_t max_message;             /* 1 MiB, after reassembly */
  uint32_t max_header;              /* 8 KiB of HTTP head */
  uint32_t max_fields;              /* 64 header fields */
  uint32_t max_idle_frames;         /* 1000 without data, in a second; 0: no limit */
  uint32_t queue_bytes;             /* 1 MiB of messages not yet written, a node */
  uint32_t queue_messages;          /* 1024 of them */
  uint32_t high_mark;               /* 64 KiB that the system has not taken: the rest waits there */
  uint32_t low_mark;                /* 32 KiB: and follows once no more than this is left */
  uint32_t max_detached;            /* 100,000 RECONNECTING nodes in all */
  uint64_t max_detached_bytes;      /* 256 MiB in their queues */
  uint32_t max_unconfirmed;         /* 10,000 half-confirmed sessions without a socket */
  uint32_t max_pending;             /* 10,000 sockets that are not CONNECTED yet */
  uint32_t max_pending_per_address; /* 0: off */
  uint32_t max_sockets;             /* 0: off; those that only wait for their end not counted */
  uint32_t max_sockets_per_address; /* 0: off */
  uint64_t max_bytes;               /* 1 GiB of messages in all, see bytes; 0: off */
  uint32_t max_tombstones;          /* 100,000 lossless sessions that are over, for a day */
  uint32_t half_min;                /* DOP_HALF_MIN; lower only in a test of the machine */
};

extern const struct dop_limits dop_limits_default;

/* Why a server refuses a socket; each has its count. */
enum dop_refusal {
  DOP_ADMITTED,
  DOP_REFUSED_REQUEST,   /* what was asked is malformed, or not what is served here */
  DOP_REFUSED_ORIGIN,    /* a browser of another site */
  DOP_REFUSED_AUTHORIZE, /* the application says so */
  DOP_REFUSED_TIMEOUT,   /* the request did not come in time */
  DOP_REFUSED_PENDING,   /* max_pending */
  DOP_REFUSED_FULL,      /* max_sockets */
  DOP_REFUSED_ADDRESS,   /* a cap by address */
  DOP_REFUSED_BYTES,     /* max_bytes */
  DOP_REFUSED_CLOSING,   /* the server closes */
  DOP_REFUSED_MEMORY,    /* there is none */
  DOP_REFUSED_TLS,       /* the handshake failed; `why` begins with its error code and ": " */
  DOP_REFUSALS
};

struct dop_node_list {
  struct dop_node *first, *last;
};

struct dop_transport {
  struct dop_engine *engine;
  enum dop_role role;
  struct dop_limits limits;
  struct dop_directory directory;
  struct dop_addresses addresses;   /* while a cap by address is on */
  struct dop_node_list attached;    /* nodes with a socket, or that wait for their first */
  struct dop_node_list detached;    /* a server's RECONNECTING nodes, the oldest first */
  struct dop_node_list unconfirmed; /* those of them that never were CONNECTED */
  struct dop_socket *sockets;
  struct dop_node *current; /* a client's node; NULL once that is DISCONNECTED and forgotten */
  struct dop_queue halves;  /* halves to use before random ones: tests of the machine only */
  uint64_t detached_bytes;
  uint64_t bytes; /* memory in queues, in messages that are not whole and in unsent output */
  struct dop_timer drain; /* looks whether anything waits still */
  uint64_t drain_until;
  uint32_t detached_count, unconfirmed_count, node_count, socket_count, pending_count;
  uint32_t lingering_count; /* sockets that only wait for the peer's end, see link.c */
  uint32_t socket_number;   /* of the newest socket */
  uint32_t refs;
  uint32_t events;      /* about it, queued */
  uint32_t lost_events; /* events that found no memory */
  struct dop_tombs tombs;
  struct dop_tombs unconfirmed_tombs; /* whoever opens sockets in number must not fill the other */
  unsigned lossless : 1;              /* dop.r1 is offered, or selected when it is offered */
  unsigned closed : 1;
  unsigned starved : 1;       /* a send found no room under max_bytes: some node is owed a drain */
  unsigned draining : 1;      /* it closes once nothing waits, see dop_transport_drain() */
  unsigned ask : 1;           /* requests are answered by the application, see DOP_EVENT_REQUEST */
  unsigned ask_principal : 1; /* other principals' resumptions too, see DOP_EVENT_PRINCIPAL */
  unsigned ask_http : 1;      /* requests without an upgrade as well, see DOP_EVENT_HTTP */
  unsigned any_origin : 1;    /* a browser may come from any site */
  uint8_t owed;               /* events, see engine.c */
  struct dop_transport *owed_next;
  struct dop_deflate_options *compression; /* one block, freed with the transport; NULL: none */
  char *protocols; /* the links': further subprotocols, "a, b"; freed with it; may be NULL */
  void *app;       /* the binding's */

  /* What happened so far, for stats(). */
  uint64_t opened, connects, reconnects, disconnects, refused;
  uint64_t refusals[DOP_REFUSALS];   /* by cause; all of them are `refused` */
  uint64_t tell_after[DOP_REFUSALS]; /* ms; until then a further one is not told, but counted: */
  uint32_t untold[DOP_REFUSALS];
  uint64_t delivered, acknowledged, replayed, handed_back; /* messages of lossless sessions */
  uint64_t takeovers;       /* resumptions of sessions that still had a socket */
  uint64_t refused_resumes; /* 4400, 4403, 4409 */
  uint64_t expired, evicted;
  uint64_t shed;                       /* sockets that were closed for max_bytes */
  uint64_t deflated_from, deflated_to; /* bytes of messages that left compressed */
  uint64_t inflated_from, inflated_to; /* and that came so */
  uint64_t http;                       /* requests without an upgrade that were answered */
};

/* NULL without memory or randomness. One reference is the caller's; each node, socket and event
 * holds one. */
struct dop_transport *dop_transport_new(struct dop_engine *e, enum dop_role role,
                                        const struct dop_limits *limits);

/* Makes a client's node, once. -1 without memory or randomness. */
int dop_transport_begin(struct dop_transport *t);

/* For the binding: something of a closed transport is gone, look whether that was the last. */
static inline void dop_transport_sweep(struct dop_transport *t) {
  if (t->closed || t->draining) t->engine->sweep = 1;
}

void dop_transport_ref(struct dop_transport *t);
void dop_transport_unref(struct dop_transport *t);

/* Ends every session (DISCONNECTED, reason "closed") and closes every socket with `code`. A
 * client's session ends formally, so that the server need not wait for it; a server's clients may
 * come back. */
void dop_transport_close(struct dop_transport *t, unsigned code);

/* A server takes nobody any more, and closes in the end with 1012, which lets clients come back:
 * each session once nothing waits that it sent, or that its application has in hand, the rest after
 * `ms`. Sessions without a socket end at once, since nothing can bring them back. */
void dop_transport_drain(struct dop_transport *t, uint64_t ms);

/* The same, without waiting for a peer's answer to an end: nothing drives the machine any more. */
void dop_transport_abandon(struct dop_transport *t);

/* A client makes no further attempt (DOP_EVENT_OVER) and gives up the one under way; its node has
 * ended. */
void dop_transport_finish(struct dop_transport *t);

/* Whether the socket that a server got last may begin its handshake; if not, why. */
enum dop_refusal dop_transport_room(const struct dop_transport *t);

/* Whether `more` bytes would be above max_bytes. */
static inline int dop_transport_full(const struct dop_transport *t, size_t more) {
  return t->limits.max_bytes && t->role == DOP_SERVER && t->bytes + more > t->limits.max_bytes;
}

/* After `bytes` may have become less: whoever found no room is told, once there is some to speak
 * of. */
void dop_transport_relieve(struct dop_transport *t);
static inline void dop_transport_tallied(struct dop_transport *t) {
  if (t->starved) dop_transport_relieve(t);
}

/* Counts a refusal, of which somebody may be told: with `status` and `why`. */
void dop_transport_refused(struct dop_transport *t, struct dop_socket *s, enum dop_refusal cause,
                           unsigned status, const char *why);

/* "request", "origin" ...: the name of a cause. */
const char *dop_refusal_name(enum dop_refusal cause);

/* Whether a client has a session of plain DOP to resume, for which nothing else may be offered. */
int dop_transport_keeps_plain(const struct dop_transport *t);

/* Whether a client's node lives and has no socket. */
int dop_transport_awaits_socket(const struct dop_transport *t);

/* A client's attempt came to nothing before there was a socket, or its socket is gone: reports
 * DOP_EVENT_DOWN with a sentence and a code ("ECONNREFUSED"), unless the transport is closed.
 * `held` is for how many ms the session was CONNECTED on the socket that is gone. Returns the event
 * for the caller to add what it knows, or NULL. */
struct dop_event *dop_transport_down(struct dop_transport *t, uint64_t held, const char *code_name,
                                     const char *why);

/* For tests of the machine: the next node's half will be these bytes. -1 without memory. */
int dop_transport_inject_half(struct dop_transport *t, const char *text, size_t len);

#endif
