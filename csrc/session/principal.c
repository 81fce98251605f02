/* Whose session it is (docs/protocol.md, "Principal"): a resumption by another principal than the
 * session's is refused, unless the application says that the two are one. Owns the question that
 * waits for its answer, never the newcomer. */
#include <string.h>

#include "session/node_private.h"

struct dop_question {
  struct dop_token *owner; /* whose session was asked for */
  struct dop_token *said;  /* what the newcomer said, to be heard again */
  unsigned answered : 1;
};

void dop_node_free_question(struct dop_node *n) {
  struct dop_question *q = n->question;
  if (!q) return;
  n->question = NULL;
  dop_token_free(q->owner);
  dop_token_free(q->said);
  dop_free(q);
}

/* Asks the application. 0, or -1 without memory. */
static int ask(struct dop_node *newcomer, const struct dop_token *owner,
               const struct dop_message *m) {
  struct dop_question *q = newcomer->question = dop_zalloc(sizeof *q);
  if (!q) return -1;
  q->owner = dop_token_new(owner->text, owner->len);
  q->said = dop_token_new(m->data, m->len);
  return q->owner && q->said &&
                 dop_engine_event(newcomer->transport, newcomer, DOP_EVENT_PRINCIPAL, NULL)
             ? 0
             : -1;
}

enum dop_may dop_node_may_have(const struct dop_node *holder, struct dop_node *newcomer,
                               const struct dop_message *m) {
  const struct dop_token *owner = holder->principal, *other = newcomer->principal;
  if (!owner && !other) return DOP_MAY;
  if (!owner || !other) return DOP_MAY_NOT; /* nobody is nobody else */
  if (dop_token_is(owner, other->text, other->len)) return DOP_MAY;
  if (!newcomer->transport->ask_principal || newcomer->question) return DOP_MAY_NOT;
  if (ask(newcomer, owner, m))
    dop_node_part(newcomer->socket, 1011, "ENOMEM", "no memory to ask whose session it is");
  return DOP_MAY_WAIT;
}

int dop_node_principals(const struct dop_node *newcomer, const struct dop_token **owner,
                        const struct dop_token **other) {
  const struct dop_question *q = newcomer->question;
  if (!q || q->answered || !newcomer->socket) return -1;
  *owner = q->owner;
  *other = newcomer->principal;
  return 0;
}

void dop_node_decide(struct dop_node *newcomer, int same) {
  struct dop_question *q = newcomer->question;
  if (!q || q->answered || !newcomer->socket) return;
  q->answered = 1;
  if (same) { /* from here on it is the owner who asks */
    dop_token_free(newcomer->principal);
    newcomer->principal = q->owner;
    q->owner = NULL;
  }
  dop_node_ref(newcomer);
  dop_node_hear_first(newcomer, &(struct dop_message){
                                    .kind = DOP_TEXT, .data = q->said->text, .len = q->said->len});
  dop_node_free_question(newcomer);
  dop_node_unref(newcomer);
}
