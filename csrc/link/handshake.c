/* The upgrade of a link, both roles (RFC 6455 section 4). Owns the request while it is of use. */
#include <stdio.h>
#include <string.h>

#include "link/link_private.h"

#define PROTOCOLS_TEXT_MAX 1024 /* lua/dop allows less */

void dop_link_free_upgrade(struct dop_link *l) {
  if (!l->upgrade) return;
  dop_bytes_dispose(&l->upgrade->head);
  dop_free(l->upgrade);
  l->upgrade = NULL;
}

/* Answers, and counts that as a refusal of that cause, unless it is what a request without an
 * upgrade asked for. */
static void answer(struct dop_link *l, const struct dop_answer *a, enum dop_refusal cause,
                   const char *why) {
  struct dop_answer own = *a;
  if (l->state != DOP_LINK_UPGRADING && l->state != DOP_LINK_ASKED) return;
  own.head_only = l->upgrade->head_only;
  if (l->upgrade->plain)
    l->socket.transport->http++;
  else
    dop_transport_refused(l->socket.transport, &l->socket, cause, a->status, why);
  if (a->status && dop_upgrade_write_answer(dop_link_out(l), &own))
    dop_link_die(l, 0);
  else
    dop_link_linger(l);
}

void dop_link_answer(struct dop_link *l, const struct dop_answer *a) {
  answer(l, a, DOP_REFUSED_AUTHORIZE, NULL); /* not what others say */
}

void dop_link_refuse_for(struct dop_link *l, enum dop_refusal cause, unsigned status,
                         const char *headers, const char *text) {
  struct dop_answer a = dop_answer_text(status, headers, text);
  answer(l, &a, cause, text);
}

void dop_link_refuse_tls(struct dop_link *l, const char *code_name, const char *why,
                         const char *text) {
  struct dop_answer a = dop_answer_text(text ? 400 : 0, NULL, text ? text : "");
  char told[256];
  snprintf(told, sizeof told, "%s: %s", code_name, why);
  answer(l, &a, DOP_REFUSED_TLS, told);
}

void dop_link_insist(struct dop_link *l) {
  if (l->state != DOP_LINK_ASKED || !l->upgrade->plain) return;
  l->upgrade->plain = 0; /* counted among what was refused */
  dop_link_refuse_for(l, DOP_REFUSED_REQUEST, 426, NULL,
                      "The request does not ask for an upgrade to websocket.\n");
}

void dop_link_out_of_memory(struct dop_link *l) {
  dop_link_refuse_for(l, DOP_REFUSED_MEMORY, 503, DOP_RETRY_LATER, "Out of memory.\n");
}

/* What both ends agreed on at work; NULL without memory. */
static struct dop_deflate *compressing(const struct dop_transport *t,
                                       const struct dop_deflate_terms *terms) {
  struct dop_engine *e = t->engine;
  if (!e->deflate) {
    e->deflate = dop_zalloc(sizeof *e->deflate);
    e->free_deflate = dop_deflate_pool_free;
  }
  return e->deflate ? dop_deflate_new(e->deflate, t->compression, terms) : NULL;
}

/* --- the server --- */

static const char CLOSING[] = "The server is closing.\n";

struct dop_link *dop_link_accept(struct dop_transport *t, const char *address) {
  struct dop_link *l = dop_link_new(t);
  if (!l) return NULL;
  if (address) {
    size_t size = strlen(address) + 1;
    l->address = dop_malloc(size);
    if (l->address) memcpy(l->address, address, size);
  }
  struct dop_event *ev =
      t->engine->watched ? dop_engine_event(t, NULL, DOP_EVENT_ACCEPT, NULL) : NULL;
  if (ev) dop_event_socket(ev, &l->socket);
  /* Without its address it would come in uncounted. */
  enum dop_refusal refusal = address && !l->address ? DOP_REFUSED_MEMORY : dop_link_room(l);
  if (refusal)
    dop_link_refuse_for(l, refusal, 503, DOP_RETRY_LATER,
                        refusal == DOP_REFUSED_CLOSING ? CLOSING
                                                       : "Too many connections at once.\n");
  return l;
}

/* Same-origin as browsers have it: Origin names the host and port that were asked. Clients that are
 * no browsers send no Origin. */
static int origin_ok(const struct dop_transport *t, const struct dop_upgrade_request *r) {
  return t->any_origin || !r->origin.data || dop_origin_is(r->origin, r->host);
}

/* Keeps the request and lets the application decide. */
static void ask(struct dop_link *l, enum dop_event_type type) {
  struct dop_event *ev = dop_engine_event(l->socket.transport, NULL, type, NULL);
  if (!ev) {
    dop_link_out_of_memory(l);
    return;
  }
  dop_event_socket(ev, &l->socket);
}

static int hear_request(struct dop_link *l, size_t len) {
  struct dop_transport *t = l->socket.transport;
  struct dop_upgrade_request req;
  const char *why = NULL;
  unsigned status =
      dop_upgrade_parse_request(&req, l->input, len, dop_link_limits(l)->max_fields, &why);
  l->upgrade->head_only = req.head_only;
  l->upgrade->plain = req.plain && t->ask_http;
  if (status && !l->upgrade->plain) {
    dop_link_refuse_for(l, DOP_REFUSED_REQUEST, status, NULL, why);
    return 1;
  }
  if (!l->upgrade->plain && dop_deflate_choose(&req.head, NULL, NULL, NULL) < 0) {
    dop_link_refuse_for(l, DOP_REFUSED_REQUEST, 400, NULL,
                        "The Sec-WebSocket-Extensions header is malformed.\n");
    return 1;
  }
  if (!l->upgrade->plain && !origin_ok(t, &req)) {
    dop_link_refuse_for(l, DOP_REFUSED_ORIGIN, 403, NULL, "This origin may not connect.\n");
    return 1;
  }
  if (dop_bytes_append(&l->upgrade->head, l->input, len)) {
    dop_link_out_of_memory(l);
    return 1;
  }
  dop_link_skip(l, len);
  l->state = DOP_LINK_ASKED;
  if (l->upgrade->plain)
    ask(l, DOP_EVENT_HTTP);
  else if (t->ask)
    ask(l, DOP_EVENT_REQUEST);
  else
    dop_link_allow(l, NULL);
  return 1;
}

int dop_link_request(const struct dop_link *l, struct dop_upgrade_request *req) {
  const char *why;
  if (!l->upgrade || !l->upgrade->head.len) return -1;
  unsigned status = dop_upgrade_parse_request(req, l->upgrade->head.data, l->upgrade->head.len,
                                              dop_link_limits(l)->max_fields, &why);
  return status && !req->plain ? -1 : 0;
}

void dop_link_forget_request(struct dop_link *l) {
  dop_link_free_upgrade(l);
}

static int offers(const struct dop_upgrade_request *req, struct dop_span protocol) {
  for (unsigned i = 0; i < req->protocol_count; i++)
    if (dop_span_equal(req->protocols[i], protocol)) return 1;
  return 0;
}

static const char lossless[] = "dop.r1", plain[] = "dop";

/* Subprotocols by number: 0 none, 1 and 2 our own, then those of the transport in their order. */
enum { NONE, PLAIN, LOSSLESS, FURTHER };

static struct dop_span protocol_of(const struct dop_transport *t, unsigned number) {
  struct dop_span name = {NULL, 0}, list = {t->protocols, t->protocols ? strlen(t->protocols) : 0};
  if (number == PLAIN) return (struct dop_span){plain, sizeof plain - 1};
  if (number == LOSSLESS) return (struct dop_span){lossless, sizeof lossless - 1};
  for (unsigned i = FURTHER; i <= number; i++)
    if (!dop_span_next(&list, &name)) return (struct dop_span){NULL, 0};
  return name;
}

struct dop_span dop_link_protocol(const struct dop_link *l) {
  return protocol_of(l->socket.transport, l->socket.protocol);
}

/* The server's choice: ours when it is offered, else the first of the transport's that is. */
static unsigned choose_protocol(const struct dop_transport *t,
                                const struct dop_upgrade_request *req) {
  struct dop_span name;
  if (t->lossless && offers(req, protocol_of(t, LOSSLESS))) return LOSSLESS;
  if (offers(req, protocol_of(t, PLAIN))) return PLAIN;
  for (unsigned i = FURTHER; (name = protocol_of(t, i)).data; i++)
    if (offers(req, name)) return i;
  return NONE;
}

/* The number of what the server selected, NONE when that was not offered. */
static unsigned selected_protocol(const struct dop_link *l, struct dop_span selected) {
  const struct dop_transport *t = l->socket.transport;
  struct dop_span name;
  for (unsigned i = PLAIN; (name = protocol_of(t, i)).data; i++)
    if (dop_span_equal(name, selected)) return i == LOSSLESS && !l->upgrade->offered ? NONE : i;
  return NONE;
}

void dop_link_allow(struct dop_link *l, const char *headers) {
  struct dop_transport *t = l->socket.transport;
  struct dop_upgrade_request req;
  if (l->state != DOP_LINK_ASKED || dop_link_request(l, &req) || req.plain) return;
  int closing = t->closed || t->draining;
  struct dop_node *n = closing ? NULL : dop_node_new(t);
  if (!n) {
    if (closing)
      dop_link_refuse_for(l, DOP_REFUSED_CLOSING, 503, DOP_RETRY_LATER, CLOSING);
    else
      dop_link_out_of_memory(l);
    return;
  }
  l->socket.protocol = (uint8_t)choose_protocol(t, &req);
  l->socket.lossless = l->socket.protocol == LOSSLESS;
  struct dop_deflate_terms terms;
  char extensions[DOP_DEFLATE_TEXT_MAX];
  struct dop_deflate *deflate = NULL; /* without memory for it, it is not agreed on */
  if (dop_deflate_choose(&req.head, t->compression, &terms, extensions) > 0)
    deflate = compressing(t, &terms);
  if (dop_upgrade_write_accept(dop_link_out(l), req.key, dop_link_protocol(l),
                               deflate ? extensions : NULL, headers)) {
    dop_deflate_free(deflate);
    dop_node_end(n, 0, "no memory");
    dop_link_die(l, 0);
    return;
  }
  dop_link_begin(l, n, deflate);
}

/* --- the client --- */

struct dop_link *dop_link_dial(struct dop_transport *t, const char *host, const char *target,
                               const char *headers, const struct dop_tunnel *via) {
  struct dop_link *l = dop_link_new(t);
  uint8_t raw[16];
  if (!l) return NULL;
  if (t->engine->random(t->engine->random_ctx, raw, sizeof raw) == 0) {
    l->upgrade->key[dop_base64(raw, sizeof raw, l->upgrade->key)] = 0;
    /* In this order: some servers select the first one without knowing it. */
    l->upgrade->offered = t->lossless && !dop_transport_keeps_plain(t);
    char offer[PROTOCOLS_TEXT_MAX];
    snprintf(offer, sizeof offer, "%s%s%s", l->upgrade->offered ? "dop, dop.r1" : "dop",
             t->protocols ? ", " : "", t->protocols ? t->protocols : "");
    char extensions[DOP_DEFLATE_TEXT_MAX];
    if (t->compression) dop_deflate_offer(t->compression, extensions);
    struct dop_bytes *to = via ? &l->upgrade->head : dop_link_out(l);
    if (dop_upgrade_write_request(to, host, target, l->upgrade->key, offer,
                                  t->compression ? extensions : NULL, headers) == 0 &&
        (!via || dop_link_ask_tunnel(l, via) == 0))
      return l;
  }
  dop_link_die(l, 0);
  dop_socket_unref(&l->socket);
  return NULL;
}

/* The server answers with something else: says what, and of a redirect where it leads, so that
 * somebody can mend the URL. Nobody follows: where the session's token goes is not the answer's to
 * say. */
static void not_upgraded(struct dop_link *l, const struct dop_head *head, const char *why) {
  char told[128], where[64];
  int redirects = dop_http_redirects(head->status);
  if (redirects && dop_http_location(head, where, sizeof where))
    snprintf(told, sizeof told, "the server redirects with status %u to %s: not followed",
             head->status, where);
  else
    snprintf(told, sizeof told, "the server answered with status %u: %s", head->status, why);
  dop_link_answered(l, redirects ? "REDIRECT" : "UPGRADE", told, head);
}

static int hear_response(struct dop_link *l, size_t len) {
  struct dop_transport *t = l->socket.transport;
  struct dop_head head;
  struct dop_span protocol;
  const char *why = NULL;
  struct dop_deflate_terms terms;
  struct dop_deflate *deflate = NULL;
  unsigned number = NONE;
  int compresses = 0;
  int failed = dop_upgrade_parse_response(&head, l->input, len, dop_link_limits(l)->max_fields,
                                          l->upgrade->key, &protocol, &why);
  if (!failed) compresses = dop_deflate_agree(&head, t->compression, &terms, &why);
  if (compresses < 0) failed = 1;
  if (!failed && protocol.data) number = selected_protocol(l, protocol);
  if (failed && head.status && head.status != 101) {
    not_upgraded(l, &head, why);
  } else if (failed) {
    dop_link_lost(l, "UPGRADE", why);
  } else if (protocol.data && number == NONE) {
    dop_link_lost(l, "UPGRADE", "the server selected a subprotocol that was not offered");
  } else if (!dop_transport_awaits_socket(t)) {
    dop_link_die(l, 0); /* nobody waits for it any more */
  } else if (compresses && !(deflate = compressing(t, &terms))) {
    dop_link_lost(l, "ENOMEM", "no memory for a connection that compresses");
  } else {
    dop_link_skip(l, len);
    dop_link_free_upgrade(l);
    l->socket.protocol = (uint8_t)number;
    l->socket.lossless = number == LOSSLESS;
    dop_link_begin(l, t->current, deflate);
  }
  return 1;
}

/* --- both --- */

int dop_link_handshake(struct dop_link *l) {
  int server = l->socket.transport->role == DOP_SERVER;
  size_t len = dop_http_head_end(l->input, l->input_len, &l->upgrade->seen);
  if ((len ? len : l->input_len) > dop_link_limits(l)->max_header) {
    if (server)
      dop_link_refuse_for(l, DOP_REFUSED_REQUEST, 431, NULL, "The request's head is too large.\n");
    else
      dop_link_lost(l, "UPGRADE", "the head of the server's answer is too large");
    return 1;
  }
  if (!len) return 0;
  return server ? hear_request(l, len) : hear_response(l, len);
}
