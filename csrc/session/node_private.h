/* What the files of the node share: node.c (its life), dialogue.c (the protocol's messages),
 * claim.c (two sockets for one session), principal.c (whose it is), and for lossless sessions
 * lossless.c and resume.c. Not for anybody else. */
#ifndef DOP_SESSION_NODE_PRIVATE_H
#define DOP_SESSION_NODE_PRIVATE_H

#include "session/node.h"

/* Goes to `status` and reports it. 0, or -1 when there was no memory for the report. */
int dop_node_set_status(struct dop_node *n, enum dop_status status, const char *why);

/* Writes an instruction. 0, or -1: there was no memory and the socket was given up. */
int dop_node_say_text(struct dop_node *n, const char *text, size_t len);
int dop_node_say(struct dop_node *n, const struct dop_token *t);

/* Writes what is queued while the socket takes it. */
void dop_node_pump(struct dop_node *n);

/* Whether the node is CONNECTED and its socket below the mark. */
int dop_node_takes_more(const struct dop_node *n);

/* What the node's queues hold has changed: enters it into the transport's sum. */
void dop_node_tally(struct dop_node *n);

/* Tells `drain` once a send that found no room would find it. */
void dop_node_check_drain(struct dop_node *n);

/* A message could not be written for want of memory: it is kept, the socket is not, for what the
 * peer heard next would come with a gap before it. */
void dop_node_give_up_socket(struct dop_node *n);

/* A half for a node; NULL without memory or randomness. */
struct dop_token *dop_node_fresh_half(struct dop_transport *t);

/* A client's node that ends gives its socket, and the half that was heard on it, to a new one,
 * which is PRECONNECTED. */
void dop_node_hand_over(struct dop_node *n, struct dop_node *fresh);

/* Whether the newcomer, that said `m`, may have the holder's session as far as principals go. */
enum dop_may { DOP_MAY, DOP_MAY_NOT, DOP_MAY_WAIT /* the application is asked */ };
enum dop_may dop_node_may_have(const struct dop_node *holder, struct dop_node *newcomer,
                               const struct dop_message *m);

void dop_node_free_question(struct dop_node *n);

/* The first message on a server's socket: a session's token, or a half. */
void dop_node_hear_first(struct dop_node *n, const struct dop_message *m);

/* The node loses its socket to another one that follows at once; the caller closes the old. */
void dop_node_supersede(struct dop_node *n, unsigned code, const char *why);

/* `holder` takes the newcomer's socket; the newcomer is gone without an event. */
void dop_node_take_socket(struct dop_node *holder, struct dop_node *newcomer);

/* In and out of the transport's lists; the list holds a reference. */
void dop_node_list(struct dop_node *n, int detached);
void dop_node_unlist(struct dop_node *n);

/* `holder` takes the newcomer's socket and is CONNECTED again; the newcomer is gone without an
 * event (protocol, "Reconnection"). */
void dop_node_adopt(struct dop_node *holder, struct dop_node *newcomer);

/* The node has a socket and is CONNECTED again: reports it. 0, or -1: it lost that socket over it.
 */
int dop_node_resumed(struct dop_node *n);

/* --- claim.c --- */

/* `newcomer` presents the token of `holder`, which is CONNECTED: probes the holder's socket. */
void dop_claim(struct dop_node *holder, struct dop_node *newcomer);

/* The newcomer that waits for this node's socket to be found dead, taken out of the claim; NULL. */
struct dop_node *dop_claim_take(struct dop_node *holder);

/* The newcomer is going: its claim is void. */
void dop_claim_withdraw(struct dop_node *newcomer);

/* The holder is going: whoever waits is told to try again (1013), the record is freed. */
void dop_claim_dispose(struct dop_node *holder);

#endif
