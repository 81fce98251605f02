/* What host.c (the order of delivery) and decide.c (what the application decides) share. */
#ifndef DOP_BIND_DELIVER_H
#define DOP_BIND_DELIVER_H

#include "bind/objects.h"

/* What one delivery works with; lives on the C stack of host.c's deliver(). */
struct dop_delivery {
  struct dop_host *h;
  struct dop_socket *socket;
  int explain;   /* stack index of the message handler */
  unsigned left; /* messages that may still be handed out before the loop has its turn */
  int in_hand;   /* a message was taken from the socket and not handed out yet */
  int told;      /* a handler was called */
};

/* A function of the application raised: its error message is on top. Goes to the `error` handlers,
 * with the value at stack index `subject` as their first argument; pops it. */
void dop_contain(lua_State *L, struct dop_delivery *d, struct dop_transport *t, int subject,
                 struct dop_node_box *box, int event);

/* Lets the application decide when the event asks it to. 0: it is an event of another kind. */
int dop_decide(lua_State *L, struct dop_delivery *d, struct dop_event *ev);

/* Lua had no memory to ask: whoever waits for the answer is told so. 0: an event of another kind.
 */
int dop_undecided(struct dop_event *ev);

#endif
