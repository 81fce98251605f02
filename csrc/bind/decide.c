/* What the application decides: who comes in (`authorize`), whether two principals are one
 * (`same_principal`), what a request without an upgrade hears (`http`). Each is one call of one
 * function, whose answer goes back into the machine; one that raises is contained, and the answer
 * is no. Owns nothing. */
#include "bind/deliver.h"

/* One kind of decision. */
struct decision {
  const char *name;                   /* of the function among the transport's values */
  int (*waits)(struct dop_event *ev); /* 0: its socket ended meanwhile */
  int (*push)(lua_State *L, struct dop_event *ev); /* its arguments; returns how many */
  int results;

  /* The results are on the stack from index `first` on; 0: the function raised. */
  void (*take)(lua_State *L, struct dop_event *ev, int first);
};

static int push_request(lua_State *L, struct dop_event *ev) {
  dop_push_request(L, ev->socket);
  return 1;
}

/* The string at index i as it stands, NULL when it is none. Numbers are not converted: the stack
 * stays as it is. */
static const char *text_at(lua_State *L, int i, size_t *len) {
  return lua_type(L, i) == LUA_TSTRING ? lua_tolstring(L, i, len) : NULL;
}

/* The answer that lies on the stack as status, body, header lines, and whether these name the
 * content's type. */
static struct dop_answer answer_at(lua_State *L, int first, unsigned status) {
  struct dop_answer a = {.status = status};
  size_t ignored;
  a.body = text_at(L, first + 1, &a.len);
  a.headers = text_at(L, first + 2, &ignored);
  a.typed = lua_toboolean(L, first + 3) != 0;
  return a;
}

static unsigned status_at(lua_State *L, int i, unsigned least, unsigned otherwise) {
  lua_Number status = lua_type(L, i) == LUA_TNUMBER ? lua_tonumber(L, i) : 0;
  return status >= least && status <= 599 ? (unsigned)status : otherwise;
}

/* --- authorize(request) -> principal or true, header lines | nil, status, text, header lines ---
 */

static int request_waits(struct dop_event *ev) {
  struct dop_socket *s = ev->socket;
  return dop_inproc_is(s) ? dop_inproc_waits(s) : dop_link_of(s)->state == DOP_LINK_ASKED;
}

static void allow(struct dop_socket *s, const char *headers) {
  if (dop_inproc_is(s))
    dop_inproc_allow(s);
  else
    dop_link_allow(dop_link_of(s), headers);
}

static void refuse(struct dop_socket *s, const struct dop_answer *a) {
  if (dop_inproc_is(s))
    dop_inproc_refuse(s, a->status);
  else
    dop_link_answer(dop_link_of(s), a);
}

static void out_of_memory(struct dop_socket *s) {
  if (dop_inproc_is(s))
    dop_inproc_refuse(s, 503);
  else
    dop_link_out_of_memory(dop_link_of(s));
}

static int name_principal(lua_State *L, struct dop_socket *s, int i) {
  size_t len;
  const char *text = lua_tolstring(L, i, &len);
  s->principal = dop_token_new(text, len);
  return s->principal ? 0 : -1;
}

static void take_verdict(lua_State *L, struct dop_event *ev, int first) {
  size_t ignored;
  if (!first) {
    struct dop_answer a = dop_answer_text(500, NULL, "The server failed to decide.\n");
    refuse(ev->socket, &a);
  } else if (lua_isstring(L, first) && name_principal(L, ev->socket, first)) {
    out_of_memory(ev->socket);
  } else if (lua_toboolean(L, first)) {
    allow(ev->socket, text_at(L, first + 1, &ignored));
  } else {
    struct dop_answer a = answer_at(L, first + 1, status_at(L, first + 1, 400, 403));
    static const char refused[] = "This client may not connect.\n";
    if (!a.body) {
      a.body = refused;
      a.len = sizeof refused - 1;
    }
    refuse(ev->socket, &a);
  }
}

/* --- http(request) -> status, text, header lines | nil --- */

static void take_answer(lua_State *L, struct dop_event *ev, int first) {
  struct dop_link *l = dop_link_of(ev->socket);
  struct dop_answer a = dop_answer_text(500, NULL, "The server failed to answer.\n");
  if (first && lua_isnil(L, first)) {
    dop_link_insist(l);
    return;
  }
  if (first) a = answer_at(L, first, status_at(L, first, 200, 500));
  dop_link_answer(l, &a);
}

/* --- same_principal(owner, other) -> whether they are one --- */

static int principal_waits(struct dop_event *ev) {
  const struct dop_token *owner, *other;
  return dop_node_principals(ev->node, &owner, &other) == 0;
}

static int push_principals(lua_State *L, struct dop_event *ev) {
  const struct dop_token *owner, *other;
  dop_node_principals(ev->node, &owner, &other);
  lua_pushlstring(L, owner->text, owner->len);
  lua_pushlstring(L, other->text, other->len);
  return 2;
}

static void take_sameness(lua_State *L, struct dop_event *ev, int first) {
  dop_node_decide(ev->node, first ? lua_toboolean(L, first) : 0);
}

/* --- all of them --- */

static void decide(lua_State *L, struct dop_delivery *d, struct dop_event *ev,
                   const struct decision *q) {
  int top = lua_gettop(L), first = 0;
  struct dop_transport *before = d->h->telling;
  if (!q->waits(ev)) return;
  luaL_checkstack(L, 12, "too many handlers inside each other");
  d->h->telling = ev->transport;
  dop_push_transport(L, ev->transport);
  dop_get_values(L, -1);
  lua_getfield(L, -1, q->name);
  int nargs = q->push(L, ev);
  int failed = lua_pcall(L, nargs, q->results, d->explain);
  if (!failed) first = lua_gettop(L) - q->results + 1;
  q->take(L, ev, first); /* before the error is told, which may fail itself */
  if (failed) dop_contain(L, d, ev->transport, top + 1, NULL, ev->type);
  d->h->telling = before;
  if (d->h->gc_always) lua_gc(L, LUA_GCCOLLECT, 0);
  lua_settop(L, top);
}

int dop_decide(lua_State *L, struct dop_delivery *d, struct dop_event *ev) {
  static const struct decision who = {"authorize", request_waits, push_request, 5, take_verdict},
                               what = {"http", request_waits, push_request, 4, take_answer},
                               same = {"same_principal", principal_waits, push_principals, 1,
                                       take_sameness};
  const struct decision *q = ev->type == DOP_EVENT_REQUEST     ? &who
                             : ev->type == DOP_EVENT_HTTP      ? &what
                             : ev->type == DOP_EVENT_PRINCIPAL ? &same
                                                               : NULL;
  if (q) decide(L, d, ev, q);
  return q != NULL;
}

int dop_undecided(struct dop_event *ev) {
  if (ev->type == DOP_EVENT_PRINCIPAL) {
    if (principal_waits(ev))
      dop_node_part(ev->node->socket, 1011, "ENOMEM", "no memory to ask whose session it is");
    return 1;
  }
  if (ev->type != DOP_EVENT_REQUEST && ev->type != DOP_EVENT_HTTP) return 0;
  if (request_waits(ev)) out_of_memory(ev->socket);
  return 1;
}
