/* What is right: the checker of a schedule. It keeps books of its own and looks at both ends.
 *
 * checker.c: books, messages' bodies, what handlers are given. checker_events.c: what sessions and
 * sockets end with. checker_wire.c: what the ends write, instruction by instruction, and whether an
 * answer is the right one. checker_invariants.c: what must hold after each step, and once the
 * network is calm. Owns the books; never changes an end, and never decides what happens.
 */
#ifndef DOP_PROOF_CHECKER_H
#define DOP_PROOF_CHECKER_H

#include <stdio.h>

#include "proof/coverage.h"
#include "session/lossless.h"
#include "sim/network.h"

enum { DOP_SIM_SERVER, DOP_SIM_CLIENT };
extern const char *const dop_sim_sides[];

#define DOP_SIM_BOOKS_MOST 400
#define DOP_SIM_BODY_MOST  100000

/* A message: its content follows from its end, its number, and the token that it may quote. */
struct dop_sim_entry {
  uint64_t number;
  uint32_t quotes; /* 1 + the place of the token in the checker's list; 0: none */
};

/* One node as the checker sees it: what it accepted, and what became of that. */
struct dop_sim_book {
  struct dop_node *node; /* with a reference */
  int side;
  uint32_t peer; /* the other end's book + 1, 0: not known yet */
  struct dop_sim_entry *accepted;
  uint32_t count, cap;
  uint32_t delivered;  /* so many of them were given to the peer's handlers ... */
  uint32_t returned;   /* ... which have returned so many times */
  uint32_t most;       /* no more than so many may ever be */
  uint32_t wire;       /* so many of them were on some socket */
  uint64_t attempt;    /* client: the last n that it wrote; server: the last that it took */
  uint64_t held_at;    /* ms; when it became CONNECTED */
  uint64_t lost_at;    /* ms; when it became RECONNECTING */
  uint64_t owed_at;    /* ms; since when the peer does not know of a delivery */
  uint64_t owed_bytes; /* of what it does not know ... */
  uint64_t owed_told;  /* ... behind so many that it does */
  uint64_t buried_at;  /* ms; when a tombstone of it was made ... */
  uint32_t buried;     /* ... and the how manieth that was, 0: none */
  uint32_t process;    /* of the server that it lives in */
  uint32_t turn;       /* in which its status changed last */
  unsigned stuck;      /* resumptions in a row after which nothing had moved */
  struct {
    uint64_t acked, received, written;
  } before, resumed;       /* the account before this turn; after the last resumption */
  uint64_t closing_at;     /* ms; since when it waits for the answer to its end */
  unsigned status;         /* as told */
  unsigned fatal : 1;      /* the close of its socket takes it along */
  unsigned announced : 1;  /* `connect` was told */
  unsigned end_waits : 1;  /* the peer's end waits behind what is parked, or did */
  unsigned peer_first : 1; /* its application ended it when that was so */
  unsigned settled : 1;    /* it ended, and knew what had come */
  unsigned connected : 1;  /* is CONNECTED, or was */
  unsigned ended : 1;      /* it is over */
  unsigned killed : 1;     /* its process died: nobody is told anything */
  unsigned formally : 1;   /* an application ended it */
  unsigned taken : 1;      /* another holder took the session */
  unsigned full : 1;       /* a drain is owed */
  unsigned oversize : 1;   /* it holds what the peer will not take */
  unsigned gone_known : 1; /* it was told that its session is over, and what had come */
  unsigned gone_formally : 1;
  struct {
    uint64_t acked, written, received, told, attempt;
  } last; /* the account after the last step: it only grows */
};

/* What was seen of a connection. */
struct dop_sim_seen {
  char token[128]; /* the session that its client asked for, "" without one */
  uint64_t n, h;   /* of the question */
  uint64_t told_h; /* of the answer */
  char answer;     /* 'r', 'x', 'c': closed; 0: none yet */
  struct {
    struct dop_sim_book *book; /* whose messages these are, NULL: not known */
    uint64_t next, said;       /* data messages of it that were written; h that was said last */
    uint32_t texts;
    unsigned head : 1, limits : 1, end : 1, closed : 1;
  } dir[2]; /* by the writer's side */
};

struct dop_sim_checker {
  int plain;
  FILE *trace; /* NULL: none */
  struct dop_sim_coverage *coverage;
  struct dop_engine *engine;
  struct dop_sim_net *net;
  struct dop_transport **ends;
  struct dop_sim_book books[DOP_SIM_BOOKS_MOST];
  uint32_t book_count;
  struct dop_token **tokens; /* that messages quote */
  uint32_t token_count;
  struct dop_sim_seen *wires; /* by the connection's number */
  uint32_t wire_count;
  struct {
    uint64_t hash;
    unsigned number; /* of the connection */
  } * halves;        /* that were said */
  uint32_t half_count;
  uint32_t burials[2]; /* of the server's process: half-confirmed sessions, others */
  uint32_t process;    /* how manieth that is */
  uint32_t turn;
  uint64_t sent[2];   /* the number of the last message that each end accepted */
  const char *owner;  /* the principal of the sessions, NULL: nobody's */
  unsigned large : 1; /* all messages are long: sockets are slow to take them */
  unsigned huge : 1;  /* some are longer than what every end takes */
  char wrong[256];    /* the first thing that was wrong, "": nothing */
};

/* A schedule begins; all of k is zero. */
void dop_sim_checker_begin(void);
void dop_sim_checker_dispose(struct dop_sim_checker *k);

__attribute__((format(printf, 2, 3))) void dop_sim_wrong(struct dop_sim_checker *k,
                                                         const char *format, ...);
__attribute__((format(printf, 2, 3))) void dop_sim_trace(struct dop_sim_checker *k,
                                                         const char *format, ...);

/* Which of the two an end is. */
int dop_sim_side_of(const struct dop_transport *t);

/* The book of a node, NULL: it has none. */
struct dop_sim_book *dop_sim_known(struct dop_sim_checker *k, const struct dop_node *n);

/* The same, made when there is none; NULL: there are too many. */
struct dop_sim_book *dop_sim_book_of(struct dop_sim_checker *k, struct dop_node *n);

/* The book of the other end of its session, NULL: not known. */
struct dop_sim_book *dop_sim_partner(struct dop_sim_checker *k, struct dop_sim_book *b);

/* The book of a side whose session bears this token, NULL: none. */
struct dop_sim_book *dop_sim_find(struct dop_sim_checker *k, int side, const char *token,
                                  size_t len);

/* Whether this is the principal of that name, NULL: nobody. */
int dop_sim_is_principal(const struct dop_token *p, const char *name);

/* Sends one more message on a node, of any kind, and checks the answer. Returns whether it was
 * accepted. `chance` decides what message it is. */
int dop_sim_send(struct dop_sim_checker *k, struct dop_node *n, uint64_t chance);

/* Whether a message is this one, byte for byte. */
int dop_sim_is_body(struct dop_sim_checker *k, int side, struct dop_sim_entry e,
                    const struct dop_message *m);

/* A handler is given a message; it has returned. */
void dop_sim_check_message(struct dop_sim_checker *k, struct dop_socket *s,
                           const struct dop_message *m);
void dop_sim_check_returned(struct dop_sim_checker *k, struct dop_node *n, size_t len);

/* Looks whether an acknowledgement left meanwhile. */
void dop_sim_owed_look(struct dop_sim_book *b);

/* An application is about to end a session. */
void dop_sim_check_disconnect(struct dop_sim_checker *k, struct dop_node *n);

/* A message could not be handed over, and the socket was given up for it. */
void dop_sim_check_withheld(struct dop_sim_checker *k, struct dop_node *n);

/* Around the call that takes the next message out: an acknowledgement leaves exactly when it must.
 * Begin returns what end wants back. */
struct dop_sim_owed {
  struct dop_node *node;
  struct dop_socket *socket;
  uint64_t told, received;
  int due;
};
struct dop_sim_owed dop_sim_owed_before(struct dop_sim_checker *k, struct dop_socket *s);
void dop_sim_owed_after(struct dop_sim_checker *k, const struct dop_sim_owed *o);

/* Bytes are about to come to an end, or time is to pass. */
void dop_sim_check_turn(struct dop_sim_checker *k);

/* Deadlines have passed. */
void dop_sim_check_timers(struct dop_sim_checker *k);

/* checker_events.c: an application hears an event; a process dies, and its nodes are nobody's any
 * more. */
void dop_sim_check_event(struct dop_sim_checker *k, struct dop_event *ev);
void dop_sim_check_killed(struct dop_sim_checker *k, int side);

/* checker_wire.c: an end writes. */
void dop_sim_check_wire(struct dop_sim_checker *k, struct dop_sim_conn *c, int up,
                        const char *bytes, size_t len);

/* checker_invariants.c: after each step; when the network has been calm for long enough, `over`
 * when the client makes no further attempt. */
void dop_sim_check_step(struct dop_sim_checker *k);
void dop_sim_check_calm(struct dop_sim_checker *k, int over);

#endif
