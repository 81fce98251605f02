/* Two sockets for one session: a newcomer presents the token of a node that is CONNECTED (docs/
 * protocol.md, "Hardened"). The holder keeps the session if its socket answers a probe in time.
 * Owns the record of the claim, neither node. */
#include <string.h>

#include "session/node_private.h"

#define PROBE_SPACING 1000 /* ms: one probe a session a second */

struct dop_probe {
  struct dop_timer timer; /* the answer is late; or the second is over */
  uint64_t begun;
  struct dop_node *holder;
  struct dop_node *newcomer; /* who waits, NULL: nobody any more */
  uint8_t payload[DOP_PROBE_LEN];
};

static void send_away(struct dop_node *newcomer) {
  newcomer->claims = NULL;
  dop_node_part(newcomer->socket, 1013, "BUSY", "the session is in use, try again");
}

static void free_probe(struct dop_probe *p) {
  dop_timers_disarm(&p->holder->transport->engine->timers, &p->timer);
  p->holder->probe = NULL;
  dop_free(p);
}

/* Nobody waits any more: the record stays until a second has passed since the probe. */
static void rest(struct dop_probe *p) {
  struct dop_engine *e = p->holder->transport->engine;
  p->newcomer = NULL;
  if (e->now >= p->begun + PROBE_SPACING ||
      dop_timers_arm(&e->timers, &p->timer, p->begun + PROBE_SPACING))
    free_probe(p);
}

/* The holder's socket is dead: losing it hands the session to the newcomer. */
static void late(struct dop_timer *timer) {
  struct dop_probe *p = DOP_CONTAINER(timer, struct dop_probe, timer);
  if (!p->newcomer) {
    free_probe(p);
    return;
  }
  struct dop_socket *s = p->holder->socket;
  dop_socket_ref(s);
  dop_node_lost(s, 0, "SUPERSEDED", "the socket did not answer a probe, another took its place");
  s->ops->drop(s, 1);
  dop_socket_unref(s);
}

static struct dop_probe *begin_probe(struct dop_node *holder) {
  struct dop_engine *e = holder->transport->engine;
  struct dop_probe *p = dop_zalloc(sizeof *p);
  if (!p) return NULL;
  p->timer.fire = late;
  p->begun = e->now;
  p->holder = holder;
  if (e->random(e->random_ctx, p->payload, sizeof p->payload) ||
      dop_timers_arm(&e->timers, &p->timer, e->now + holder->transport->limits.probe_timeout) ||
      holder->socket->ops->probe(holder->socket, p->payload)) {
    dop_timers_disarm(&e->timers, &p->timer);
    dop_free(p);
    return NULL;
  }
  holder->probe = p;
  return p;
}

void dop_claim(struct dop_node *holder, struct dop_node *newcomer) {
  struct dop_probe *p = holder->probe;
  struct dop_node *older = p ? p->newcomer : NULL;
  if (p && !older) {
    send_away(newcomer);
    return;
  }
  if (!p) p = begin_probe(holder);
  if (!p) {
    send_away(newcomer);
    return;
  }
  p->newcomer = newcomer;
  newcomer->claims = holder;
  /* The newest wins: an older one is the same client that has given up on that socket. */
  if (older) send_away(older);
}

void dop_node_pong(struct dop_socket *s, const char *payload, size_t len) {
  struct dop_probe *p = s->node ? s->node->probe : NULL;
  if (!p || !p->newcomer || len != DOP_PROBE_LEN || memcmp(payload, p->payload, len) != 0) return;
  struct dop_node *newcomer = p->newcomer;
  rest(p);
  send_away(newcomer);
}

struct dop_node *dop_claim_take(struct dop_node *holder) {
  struct dop_probe *p = holder->probe;
  struct dop_node *newcomer = p ? p->newcomer : NULL;
  if (p) free_probe(p);
  if (newcomer) newcomer->claims = NULL;
  return newcomer;
}

void dop_claim_withdraw(struct dop_node *newcomer) {
  struct dop_node *holder = newcomer->claims;
  newcomer->claims = NULL;
  if (holder && holder->probe && holder->probe->newcomer == newcomer) rest(holder->probe);
}

void dop_claim_dispose(struct dop_node *holder) {
  struct dop_node *newcomer = dop_claim_take(holder);
  if (newcomer) send_away(newcomer);
}
