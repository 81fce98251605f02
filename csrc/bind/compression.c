/* The option `compression` and its ranges. Owns nothing. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "bind/check.h"

struct field {
  const char *name;
  enum { FLAG, BYTE, WORD } type;
  size_t offset; /* of a number */
  int least, most;
};

#define NUMBER(name, type, least, most) \
  { #name, type, offsetof(struct dop_deflate_options, name), least, most }

static const struct field fields[] = {
    NUMBER(level, BYTE, 1, 9),
    NUMBER(window, BYTE, DOP_DEFLATE_WINDOW_MIN, DOP_DEFLATE_WINDOW_MAX),
    NUMBER(mem_level, BYTE, 1, 9),
    NUMBER(peer_window, BYTE, DOP_DEFLATE_WINDOW_MIN, DOP_DEFLATE_WINDOW_MAX),
    NUMBER(min_size, WORD, 0, 1 << 30),
    {"takeover", FLAG, 0, 0, 0},
    {"peer_takeover", FLAG, 0, 0, 0},
};

#define FIELDS (sizeof fields / sizeof fields[0])

/* Whether the value on top will do. If not, pushes a sentence that says why. */
static int fits(lua_State *L, const struct field *f) {
  double value = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
  if (f->type == FLAG && lua_isboolean(L, -1)) return 1;
  if (f->type == FLAG)
    lua_pushfstring(L, "option \"compression\": %s: true or false expected, got %s", f->name,
                    luaL_typename(L, -1));
  else if (value >= f->least && value <= f->most && value == floor(value))
    return 1;
  else {
    dop_push_offending(L);
    lua_pushfstring(L, "option \"compression\": %s: a whole number from %d to %d expected, got %s",
                    f->name, f->least, f->most, lua_tostring(L, -1));
  }
  return 0;
}

static void set(lua_State *L, const struct field *f, struct dop_deflate_options *o) {
  char *at = (char *)o + f->offset;
  if (f->type == BYTE)
    *(uint8_t *)at = (uint8_t)lua_tonumber(L, -1);
  else if (f->type == WORD)
    *(uint32_t *)(void *)at = (uint32_t)lua_tonumber(L, -1);
  else if (strcmp(f->name, "takeover") == 0)
    o->takeover = lua_toboolean(L, -1) != 0;
  else
    o->peer_takeover = lua_toboolean(L, -1) != 0;
}

static const struct field *find(const char *name) {
  for (size_t i = 0; i < FIELDS; i++)
    if (strcmp(fields[i].name, name) == 0) return &fields[i];
  return NULL;
}

/* Reads the table at `i`: 1, or 0 and a sentence is pushed that says why not. */
static int read_table(lua_State *L, int i, struct dop_deflate_options *o) {
  lua_pushnil(L);
  while (lua_next(L, i)) {
    const struct field *f = lua_type(L, -2) == LUA_TSTRING ? find(lua_tostring(L, -2)) : NULL;
    if (!f) {
      if (lua_type(L, -2) == LUA_TSTRING)
        lua_pushfstring(L, "option \"compression\" has no \"%s\"", lua_tostring(L, -2));
      else
        lua_pushliteral(L, "option \"compression\": names expected, as in { level = 9 }");
      return 0;
    }
    if (!fits(L, f)) return 0;
    set(L, f, o);
    lua_pop(L, 1);
  }
  return 1;
}

/* 1: it is on, 0: it is off, -1: it is wrong, and a sentence that says why is on top. */
static int read_option(lua_State *L, int i, struct dop_deflate_options *o) {
  *o = dop_deflate_defaults;
  if (lua_isnoneornil(L, i)) return 0;
  if (lua_isboolean(L, i)) return lua_toboolean(L, i);
  if (lua_istable(L, i)) return read_table(L, lua_absindex(L, i), o) ? 1 : -1;
  lua_pushfstring(L, "option \"compression\": true, false or a table expected, got %s",
                  luaL_typename(L, i));
  return -1;
}

int dop_check_compression(lua_State *L, int arg, struct dop_deflate_options *o) {
  int on = read_option(L, arg, o);
  if (on < 0) return luaL_error(L, "%s", lua_tostring(L, -1));
  return on;
}

int dop_wrong_compression(lua_State *L) {
  struct dop_deflate_options o;
  return read_option(L, 1, &o) < 0;
}
