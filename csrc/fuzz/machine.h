/* The machine of sessions under a fuzz target: one engine, a server's and a client's transport, and
 * two bystanders, sessions of other people that must come through whatever happens.
 *
 * machine.c: its life, its events, and books of what was accepted and handed out. invariants.c:
 * what must hold after each step. words.c: what a peer may say, made of what the machine knows, so
 * that an input of a few bytes can hold a session's token. How sockets work is the target's.
 *
 * The checker of the simulator (csrc/proof) knows both ends of each connection; here one end is an
 * attacker, so only what holds for one end alone is checked.
 */
#ifndef DOP_FUZZ_MACHINE_H
#define DOP_FUZZ_MACHINE_H

#include "fuzz/fuzz.h"
#include "session/lossless.h"
#include "session/session.h"

#define FUZZ_WORD_MOST 2048

/* One node: found through node->app, which counts from 1. */
struct fuzz_book {
  uint64_t accepted;                                /* messages that dop_node_send() took */
  uint64_t handed;                                  /* messages that a handler was given */
  uint64_t acked, received, told, written, attempt; /* after the last step */
  unsigned connected;                               /* then, or before */
  const void *socket; /* then; NULL: it had none, or was not connected */
  unsigned who;       /* of which principal its first socket was, from 1; 0: not known */
};

struct fuzz_bystander {
  struct dop_transport *transport;
  struct dop_node *node;
  struct dop_socket *socket;
  struct dop_account before;
  uint32_t heard; /* messages that its peer was sent */
};

struct fuzz_machine {
  struct dop_engine engine;
  struct dop_random_seed chance;
  struct dop_transport *ends[2]; /* by enum dop_role */
  struct fuzz_bystander apart;   /* on a transport of its own */
  struct fuzz_bystander beside;  /* on the server's transport */
  struct fuzz_book *books;
  size_t book_count;
  struct fuzz *input;
  const struct dop_deflate_options *compressing; /* what links may offer; NULL: nothing */
  unsigned let_in;       /* how the application answers: 0 not at all, 1 yes, 2 no */
  unsigned said_yes;     /* the application once took one principal for another */
  unsigned server_ended; /* somebody closed the server: its bystander went too */
  /* The target's, for an event about a socket; may be NULL. */
  void (*on_request)(struct fuzz_machine *m, struct dop_event *ev);
};

/* Options of both transports come from the input. */
void fuzz_machine_begin(struct fuzz_machine *m, struct fuzz *f);
/* The target has let go of its sockets before. */
void fuzz_machine_end(struct fuzz_machine *m);

/* Takes the events out, and checks each. */
void fuzz_machine_events(struct fuzz_machine *m);

struct fuzz_book *fuzz_book_of(struct fuzz_machine *m, struct dop_node *n);

/* The application sends; a handler is given a message, and that is taken back. */
void fuzz_machine_send(struct fuzz_machine *m, struct dop_node *n);
void fuzz_machine_handed(struct fuzz_machine *m, struct dop_node *n, const struct dop_message *msg);
void fuzz_machine_taken_back(struct fuzz_machine *m, struct dop_node *n);

/* A node without a socket, or any other, chosen by the input; NULL: there is none. */
struct dop_node *fuzz_machine_node(struct fuzz_machine *m);

/* Something that an application or the clock does, by the input. */
void fuzz_machine_act(struct fuzz_machine *m, struct dop_node *n);
void fuzz_machine_wait(struct fuzz_machine *m);

/* A node writes a message: it may be only what its peer can make sense of. */
void fuzz_machine_said(struct fuzz_machine *m, const struct dop_socket *s,
                       const struct dop_message *said);

/* invariants.c */
void fuzz_machine_check(struct fuzz_machine *m);

/* words.c: a message for this node, may be NULL, into `out` of FUZZ_WORD_MOST bytes. */
size_t fuzz_word(struct fuzz_machine *m, const struct dop_node *n, char *out, enum dop_kind *kind);

/* Several words that lead somewhere, as chance alone seldom does: their bytes for fuzz_word(). */
#define FUZZ_PHRASE_MOST 16
struct fuzz fuzz_phrase(struct fuzz *f, uint8_t bytes[FUZZ_PHRASE_MOST]);

/* bystander.c: it is CONNECTED, and one message of it is on its way; nothing of it has changed; its
 * session works. */
void fuzz_bystander_begin(struct fuzz_machine *m, struct fuzz_bystander *b,
                          struct dop_transport *t);
void fuzz_bystander_check(const struct fuzz_bystander *b);
void fuzz_bystander_end(struct fuzz_bystander *b);

#endif
