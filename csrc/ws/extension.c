/* Which extensions a head names, and what two ends agree on; see extension.h. Never repairs: what
 * the grammar does not allow ends the handshake, an offer that cannot be is passed over. */
#include "ws/extension.h"

#include <stdio.h>
#include <string.h>

const struct dop_deflate_options dop_deflate_defaults = {
    .min_size = 1024,
    .level = 6,
    .window = 15,
    .mem_level = 8,
    .peer_window = 15,
};

/* --- the grammar --- */

static void skip_blanks(struct dop_span *s) {
  while (s->len && (*s->data == ' ' || *s->data == '\t')) {
    s->data++;
    s->len--;
  }
}

/* Takes the byte `c`: 1, or 0 when another one or none is next. */
static int take(struct dop_span *s, char c) {
  if (!s->len || *s->data != c) return 0;
  s->data++;
  s->len--;
  return 1;
}

static int take_token(struct dop_span *s, struct dop_span *token) {
  size_t n = 0;
  while (n < s->len && dop_http_name_ok(s->data + n, 1)) n++;
  *token = (struct dop_span){s->data, n};
  s->data += n;
  s->len -= n;
  return n != 0;
}

static int add_to_value(struct dop_extension_param *p, char c) {
  if (p->len < sizeof p->value) p->value[p->len] = c;
  p->len++;
  return dop_http_name_ok(&c, 1);
}

/* A quoted string whose content is a token, also behind backslashes. */
static int take_quoted(struct dop_span *s, struct dop_extension_param *p) {
  if (!take(s, '"')) return 0;
  while (s->len && *s->data != '"') {
    take(s, '\\');
    if (!s->len || !add_to_value(p, *s->data)) return 0;
    s->data++;
    s->len--;
  }
  return take(s, '"') && p->len;
}

static int take_value(struct dop_span *s, struct dop_extension_param *p) {
  struct dop_span token;
  p->has_value = 1;
  if (!take_token(s, &token)) return take_quoted(s, p);
  for (size_t i = 0; i < token.len; i++) add_to_value(p, token.data[i]);
  return 1;
}

/* ";" and what follows: 1, 0 when no semicolon is next, -1 when it is malformed. */
static int take_param(struct dop_span *s, struct dop_extension_param *p) {
  memset(p, 0, sizeof *p);
  skip_blanks(s);
  if (!take(s, ';')) return 0;
  skip_blanks(s);
  if (!take_token(s, &p->name)) return -1;
  skip_blanks(s);
  if (!take(s, '=')) return 1;
  skip_blanks(s);
  return take_value(s, p) ? 1 : -1;
}

int dop_extension_param(struct dop_span *params, struct dop_extension_param *p) {
  return take_param(params, p) == 1;
}

/* Finds a field with something in it. */
static int more(struct dop_extensions *all) {
  for (;;) {
    skip_blanks(&all->rest);
    while (take(&all->rest, ',')) skip_blanks(&all->rest);
    if (all->rest.len) return 1;
    if (all->next == all->head->count) return 0;
    const struct dop_field *f = &all->head->fields[all->next++];
    if (dop_span_is(f->name, "Sec-WebSocket-Extensions")) all->rest = f->value;
  }
}

int dop_extension_next(struct dop_extensions *all, struct dop_extension *e) {
  struct dop_extension_param p;
  int found;
  if (!more(all)) return 0;
  if (!take_token(&all->rest, &e->name)) return -1;
  const char *from = all->rest.data;
  while ((found = take_param(&all->rest, &p)) == 1) continue;
  e->params = (struct dop_span){from, (size_t)(all->rest.data - from)};
  if (found < 0 || (all->rest.len && *all->rest.data != ',')) return -1;
  return 1;
}

/* --- permessage-deflate --- */

enum {
  SERVER_TAKEOVER = 1,
  CLIENT_TAKEOVER = 2,
  SERVER_WINDOW = 4,
  CLIENT_WINDOW = 8
}; /* parameters */

static const struct {
  const char *name;
  unsigned param;
} names[] = {
    {"server_no_context_takeover", SERVER_TAKEOVER},
    {"client_no_context_takeover", CLIENT_TAKEOVER},
    {"server_max_window_bits", SERVER_WINDOW},
    {"client_max_window_bits", CLIENT_WINDOW},
};

/* Which parameters one extension has. */
struct params {
  unsigned has;                      /* a set of the above */
  unsigned server_bits, client_bits; /* 0: no value */
};

static int is_exactly(struct dop_span s, const char *word) {
  return s.len == strlen(word) && memcmp(s.data, word, s.len) == 0;
}

/* "8" to "15", no zero before them (RFC 7692 7.1.2.1); 0 for everything else. */
static unsigned bits_of(const struct dop_extension_param *p) {
  if (p->len == 1 && (p->value[0] == '8' || p->value[0] == '9')) return (unsigned)p->value[0] - '0';
  if (p->len == 2 && p->value[0] == '1' && p->value[1] >= '0' && p->value[1] <= '5')
    return 10 + (unsigned)p->value[1] - '0';
  return 0;
}

static int read_param(struct params *out, const struct dop_extension_param *p) {
  unsigned param = 0, bits = bits_of(p);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (is_exactly(p->name, names[i].name)) param = names[i].param;
  if (!param || out->has & param) return 0;
  out->has |= param;
  if (param == SERVER_TAKEOVER || param == CLIENT_TAKEOVER) return !p->has_value;
  if (param == CLIENT_WINDOW && !p->has_value) return 1;
  *(param == SERVER_WINDOW ? &out->server_bits : &out->client_bits) = bits;
  return bits != 0;
}

/* Whether `e` is permessage-deflate with parameters that may stand there, each once. */
static int read_params(struct params *out, const struct dop_extension *e) {
  struct dop_span rest = e->params;
  struct dop_extension_param p;
  memset(out, 0, sizeof *out);
  if (!is_exactly(e->name, "permessage-deflate")) return 0;
  while (dop_extension_param(&rest, &p))
    if (!read_param(out, &p)) return 0;
  return 1;
}

static void write_params(const struct params *p, char out[DOP_DEFLATE_TEXT_MAX]) {
  char server[16] = "", client[16] = "";
  if (p->server_bits) snprintf(server, sizeof server, "=%u", p->server_bits);
  if (p->client_bits) snprintf(client, sizeof client, "=%u", p->client_bits);
  snprintf(out, DOP_DEFLATE_TEXT_MAX, "permessage-deflate%s%s%s%s%s%s",
           p->has & SERVER_TAKEOVER ? "; server_no_context_takeover" : "",
           p->has & CLIENT_TAKEOVER ? "; client_no_context_takeover" : "",
           p->has & SERVER_WINDOW ? "; server_max_window_bits" : "", server,
           p->has & CLIENT_WINDOW ? "; client_max_window_bits" : "", client);
}

static unsigned smaller(unsigned a, unsigned b) {
  return a < b ? a : b;
}

/* Whether a server with these options can go with an offer; `answer` is what it says then. It
 * declines a bound that it cannot keep to, and a client that does not say that it can be bound when
 * that is wanted (7.1.2). */
static int go_with(const struct params *offer, const struct dop_deflate_options *o,
                   struct params *answer) {
  unsigned most = offer->client_bits ? offer->client_bits : DOP_DEFLATE_WINDOW_MAX;
  memset(answer, 0, sizeof *answer);
  answer->has = offer->has & (SERVER_TAKEOVER | CLIENT_TAKEOVER);
  if (!o->takeover) answer->has |= SERVER_TAKEOVER;
  if (!o->peer_takeover) answer->has |= CLIENT_TAKEOVER;
  if (offer->has & SERVER_WINDOW) {
    if (offer->server_bits < DOP_DEFLATE_WINDOW_MIN) return 0;
    answer->has |= SERVER_WINDOW;
    answer->server_bits = smaller(o->window, offer->server_bits);
  }
  if (!(offer->has & CLIENT_WINDOW)) return o->peer_window == DOP_DEFLATE_WINDOW_MAX;
  most = smaller(most, o->peer_window);
  if (most < DOP_DEFLATE_WINDOW_MAX) {
    answer->has |= CLIENT_WINDOW;
    answer->client_bits = most;
  }
  return 1;
}

int dop_deflate_choose(const struct dop_head *head, const struct dop_deflate_options *o,
                       struct dop_deflate_terms *terms, char answer[DOP_DEFLATE_TEXT_MAX]) {
  struct dop_extensions all = {.head = head};
  struct dop_extension e;
  struct params offer, said;
  int found, chosen = 0;
  while ((found = dop_extension_next(&all, &e)) == 1) {
    if (chosen || !o || !read_params(&offer, &e) || !go_with(&offer, o, &said)) continue;
    chosen = 1;
    terms->window = (uint8_t)(said.server_bits ? said.server_bits : o->window);
    terms->peer_window = (uint8_t)(said.client_bits ? said.client_bits : DOP_DEFLATE_WINDOW_MAX);
    terms->takeover = !(said.has & SERVER_TAKEOVER);
    terms->peer_takeover = !(said.has & CLIENT_TAKEOVER);
    write_params(&said, answer);
  }
  return found < 0 ? -1 : chosen;
}

static void offer_of(const struct dop_deflate_options *o, struct params *offer) {
  memset(offer, 0, sizeof *offer);
  offer->has = CLIENT_WINDOW; /* lets the server bound it, and says by how much it is bound */
  if (o->window < DOP_DEFLATE_WINDOW_MAX) offer->client_bits = o->window;
  if (!o->takeover) offer->has |= CLIENT_TAKEOVER;
  if (!o->peer_takeover) offer->has |= SERVER_TAKEOVER;
  if (o->peer_window < DOP_DEFLATE_WINDOW_MAX) {
    offer->has |= SERVER_WINDOW;
    offer->server_bits = o->peer_window;
  }
}

void dop_deflate_offer(const struct dop_deflate_options *o, char offer[DOP_DEFLATE_TEXT_MAX]) {
  struct params p;
  offer_of(o, &p);
  write_params(&p, offer);
}

/* Whether an answer keeps to the offer: what binds the server must be in it (7.1.1.1, 7.1.2.1); a
 * window of the client has a value there. */
static int keeps_to(const struct params *said, const struct params *offer) {
  if (offer->has & SERVER_TAKEOVER && !(said->has & SERVER_TAKEOVER)) return 0;
  if (offer->has & SERVER_WINDOW && (!said->server_bits || said->server_bits > offer->server_bits))
    return 0;
  return !(said->has & CLIENT_WINDOW) || said->client_bits;
}

int dop_deflate_agree(const struct dop_head *head, const struct dop_deflate_options *o,
                      struct dop_deflate_terms *terms, const char **why) {
  struct dop_extensions all = {.head = head};
  struct dop_extension e, other;
  struct params offer, said;
  int found = dop_extension_next(&all, &e), again;
  if (!found) return 0;
  again = found == 1 ? dop_extension_next(&all, &other) : -1;
  if (again < 0) {
    *why = "The Sec-WebSocket-Extensions header is malformed.";
    return -1;
  }
  if (!o || again || !is_exactly(e.name, "permessage-deflate")) {
    *why = "The server uses an extension that was not offered.";
    return -1;
  }
  offer_of(o, &offer);
  if (!read_params(&said, &e) || !keeps_to(&said, &offer)) {
    *why = "The server's permessage-deflate is not what was offered.";
    return -1;
  }
  terms->window = (uint8_t)smaller(o->window, said.client_bits ? said.client_bits : o->window);
  if (terms->window < DOP_DEFLATE_WINDOW_MIN) terms->window = 0;
  terms->peer_window = (uint8_t)(said.server_bits ? said.server_bits : DOP_DEFLATE_WINDOW_MAX);
  terms->takeover = o->takeover && !(said.has & CLIENT_TAKEOVER);
  terms->peer_takeover = !(said.has & SERVER_TAKEOVER);
  return 1;
}
