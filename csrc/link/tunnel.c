/* What comes before the upgrade of a client that reaches its server through an HTTP proxy (RFC 9110
 * 9.3.6): CONNECT, and the proxy's answer. Owns nothing. Never says in a message what it told the
 * proxy about who we are. */
#include <stdio.h>

#include "link/link_private.h"

int dop_link_ask_tunnel(struct dop_link *l, const struct dop_tunnel *via) {
  l->state = DOP_LINK_TUNNELLING;
  return dop_http_write_connect(dop_link_out(l), via->to, via->headers);
}

/* 407; for a name that it does not like some say 401, which is the server's word otherwise. */
static int wants_to_know_us(unsigned status) {
  return status == 407 || status == 401;
}

static const char *meaning(unsigned status) {
  if (wants_to_know_us(status)) return "it wants to know who we are, or does not like the answer";
  if (status == 403) return "it does not let us through";
  if (status == 405 || status == 501) return "it makes no tunnels";
  if (status >= 500) return "it does not reach the server";
  return "there is no tunnel";
}

static void no_tunnel(struct dop_link *l, const struct dop_head *head) {
  char why[128];
  snprintf(why, sizeof why, "the proxy answered with status %u: %s", head->status,
           meaning(head->status));
  dop_link_answered(l, wants_to_know_us(head->status) ? "PROXY_AUTH" : "PROXY", why, head);
}

/* The tunnel is up: the request that was ready before goes through it. */
static void begin_upgrade(struct dop_link *l) {
  struct dop_bytes *request = &l->upgrade->head;
  l->state = DOP_LINK_UPGRADING;
  l->upgrade->seen = 0;
  if (dop_bytes_append(dop_link_out(l), request->data, request->len))
    dop_link_lost(l, "ENOMEM", "no memory for the request");
  else
    dop_bytes_dispose(request);
}

int dop_link_hear_tunnel(struct dop_link *l) {
  const struct dop_limits *limits = &l->socket.transport->limits;
  struct dop_head head;
  const char *why = NULL;
  size_t len = dop_http_head_end(l->input, l->input_len, &l->upgrade->seen);
  if ((len ? len : l->input_len) > limits->max_header) {
    dop_link_lost(l, "PROXY", "the head of the proxy's answer is too large");
    return 1;
  }
  if (!len) return 0;
  int faulty = dop_http_parse_response(&head, l->input, len, limits->max_fields, &why);
  int made = head.status >= 200 && head.status <= 299;
  if (faulty && (made || !head.status)) {
    dop_link_lost(l, "PROXY", "the proxy's answer is malformed");
  } else if (!made) {
    no_tunnel(l, &head);
  } else if (l->input_len > len) {
    /* A server has nothing to say before it was asked, and what came before TLS begins is nobody's
     * whom TLS would vouch for. */
    dop_link_lost(l, "PROXY", "the proxy sent more than its answer");
  } else {
    dop_link_skip(l, len);
    begin_upgrade(l);
  }
  return 1;
}
