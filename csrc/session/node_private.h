/* What the three files of the node share: node.c (its life), dialogue.c (the protocol's messages),
 * claim.c (two sockets for one session). Not for anybody else. */
#ifndef DOP_SESSION_NODE_PRIVATE_H
#define DOP_SESSION_NODE_PRIVATE_H

#include "session/node.h"

/* Goes to `status` and reports it. */
void dop_node_set_status(struct dop_node *n, enum dop_status status, const char *why);

/* Writes an instruction. 0, or -1: there was no memory and the socket was given up. */
int dop_node_say(struct dop_node *n, const struct dop_token *t);

/* Writes what is queued while the socket takes it. */
void dop_node_pump(struct dop_node *n);

/* In and out of the transport's lists; the list holds a reference. */
void dop_node_list(struct dop_node *n, int detached);
void dop_node_unlist(struct dop_node *n);

/* `holder` takes the newcomer's socket and is CONNECTED again; the newcomer is gone without an
 * event (protocol, "Reconnection"). */
void dop_node_adopt(struct dop_node *holder, struct dop_node *newcomer);

/* The node has a socket and is CONNECTED again: reports it. */
void dop_node_resumed(struct dop_node *n);

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
