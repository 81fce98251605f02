/* What a driver may call, as the table of link/driver.h: the core behind it is found by no other
 * way. Owns nothing. */
#include "bind/host.h"

static void api_advance(struct dop_host *h, uint64_t now) {
  dop_engine_advance(&h->engine, now);
}

static void api_set_time(struct dop_host *h, uint64_t now) {
  if (now > h->engine.now) h->engine.now = now;
}

static uint64_t api_next(struct dop_host *h) {
  return dop_engine_next(&h->engine);
}

static int api_owing(const struct dop_host *h) {
  return h->engine.later != NULL;
}

static void api_down(struct dop_transport *t, const char *code_name, const char *why) {
  dop_transport_down(t, 0, code_name, why);
}

static struct dop_link *api_take_dirty(struct dop_host *h) {
  struct dop_socket *s;
  while ((s = dop_socket_take_dirty(&h->engine))) {
    struct dop_link *l = dop_link_of(s);
    if (l && l->driver) return l;
    dop_socket_unref(s);
  }
  return NULL;
}

static void api_unref(struct dop_link *l) {
  dop_socket_unref(&l->socket);
}

static void api_set_tls_facts(struct dop_host *h, int (*facts)(void *, struct dop_tls_facts *)) {
  h->tls_facts = facts;
}

const struct dop_driver_api dop_core_api = {
    .size = sizeof(struct dop_driver_api),
    .zalloc = dop_zalloc,
    .free = dop_free,
    .host_ref = dop_host_ref,
    .host_unref = dop_host_unref,
    .enter = dop_host_enter,
    .leave = dop_host_leave,
    .call = dop_host_call,
    .advance = api_advance,
    .next = api_next,
    .set_time = api_set_time,
    .accept = dop_link_accept,
    .dial = dop_link_dial,
    .feed = dop_host_feed,
    .refuse_tls = dop_link_refuse_tls,
    .set_tls_facts = api_set_tls_facts,
    .eof = dop_link_eof,
    .lost = dop_link_lost,
    .turn = dop_host_turn,
    .waiting = dop_host_waiting,
    .owing = api_owing,
    .down = api_down,
    .take_dirty = api_take_dirty,
    .output = dop_link_output,
    .sent = dop_link_sent,
    .take = dop_link_take,
    .wrote = dop_link_wrote,
    .reading = dop_link_reading,
    .unref = api_unref,
    .dispose_bytes = dop_bytes_dispose,
    .transport_ref = dop_transport_ref,
    .transport_unref = dop_transport_unref,
};
