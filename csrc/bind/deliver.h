/* What the files of delivery share: host.c (its order), call.c (calls that let no error out),
 * arguments.c (what handlers are called with), decide.c (what the application decides). */
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

/* --- call.c --- */

/* Message handler: a traceback, and for a yield the way out. */
int dop_explain(lua_State *L);

/* The error message on top, which stays, goes to whoever watches the host, and to stderr unless
 * that one says that this is done with. */
void dop_complain(struct dop_host *h, lua_State *L, const char *what);

/* --- arguments.c --- */

/* Pushes what goes behind the node in a handler's arguments; returns how many values. */
int dop_push_arguments(lua_State *L, struct dop_event *ev);

/* What nobody but a watcher is told, behind them. Returns how many values. */
int dop_push_more(lua_State *L, struct dop_event *ev);

/* --- host.c --- */

/* A function of the application raised: its error message is on top. Goes to the `error` handlers,
 * with the value at stack index `subject` as their first argument; pops it. */
void dop_contain(lua_State *L, struct dop_delivery *d, struct dop_transport *t, int subject,
                 struct dop_node_box *box, int event);

/* --- decide.c --- */

/* Lets the application decide when the event asks it to. 0: it is an event of another kind. */
int dop_decide(lua_State *L, struct dop_delivery *d, struct dop_event *ev);

/* Lua had no memory to ask: whoever waits for the answer is told so. 0: an event of another kind.
 */
int dop_undecided(struct dop_event *ev);

#endif
