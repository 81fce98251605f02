/* What a handler of each event is called with, and what a watcher is told besides. Owns nothing;
 * takes nothing out of the event. */
#include "bind/deliver.h"

/* Takes nothing out: without memory it is all told another time. */
static void push_unsettled(lua_State *L, struct dop_event *ev) {
  struct dop_queue *q = &ev->unsettled;
  struct dop_message m;
  uint32_t i = 0;
  lua_createtable(L, (int)q->count, 0);
  dop_queue_rewind(q);
  while (dop_queue_advance(q, &m)) {
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, m.data, m.len);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, m.kind == DOP_TEXT ? "text" : "binary");
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, i >= ev->written ? "unsent" : ev->settled ? "undelivered" : "unknown");
    lua_setfield(L, -2, "fate");
    lua_rawseti(L, -2, (int)++i);
  }
}

static void push_optional(lua_State *L, unsigned number) {
  if (number)
    lua_pushinteger(L, (lua_Integer)number);
  else
    lua_pushnil(L);
}

int dop_push_arguments(lua_State *L, struct dop_event *ev) {
  switch (ev->type) {
  case DOP_EVENT_CLOSE:
    push_optional(L, ev->code);
    lua_pushstring(L, ev->why);
    return 2;
  case DOP_EVENT_ERROR:
  case DOP_EVENT_RECONNECTING:
    lua_pushstring(L, ev->why);
    return 1;
  case DOP_EVENT_RECONNECT:
    lua_createtable(L, 0, 2);
    lua_pushnumber(L, (lua_Number)ev->elapsed / 1000);
    lua_setfield(L, -2, "away");
    lua_pushinteger(L, (lua_Integer)ev->written);
    lua_setfield(L, -2, "replayed");
    return 1;
  case DOP_EVENT_DISCONNECT:
    lua_pushstring(L, ev->why);
    push_unsettled(L, ev);
    return 2;
  case DOP_EVENT_STATUS:
    lua_pushstring(L, dop_status_name(ev->now));
    lua_pushstring(L, dop_status_name(ev->before));
    if (ev->why[0])
      lua_pushstring(L, ev->why);
    else
      lua_pushnil(L);
    return 3;
  case DOP_EVENT_DOWN:
    lua_pushstring(L, ev->why);
    lua_pushstring(L, ev->code_name[0] ? ev->code_name : NULL);
    lua_pushnumber(L, (lua_Number)ev->elapsed / 1000);
    push_optional(L, ev->code);
    push_optional(L, ev->retry_after);
    return 5;
  default:
    return 0;
  }
}

static int push_address(lua_State *L, struct dop_event *ev) {
  struct dop_link *l = ev->socket ? dop_link_of(ev->socket) : NULL;
  lua_pushstring(L, l ? l->address : "local");
  return 1;
}

int dop_push_more(lua_State *L, struct dop_event *ev) {
  switch (ev->type) {
  case DOP_EVENT_CLOSE:
    lua_pushstring(L, ev->code_name[0] ? ev->code_name : NULL);
    return 1;
  case DOP_EVENT_ACCEPT:
    push_address(L, ev);
    lua_pushinteger(L, ev->socket->number);
    return 2;
  case DOP_EVENT_REFUSE:
    push_address(L, ev);
    lua_pushinteger(L, (lua_Integer)ev->code);
    lua_pushstring(L, ev->why[0] ? ev->why : NULL);
    lua_pushstring(L, ev->code_name);
    lua_pushinteger(L, (lua_Integer)ev->written);
    return 5;
  default:
    return 0;
  }
}
