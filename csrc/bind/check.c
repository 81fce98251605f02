/* Arguments and results; see check.h. */
#include "bind/check.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

int dop_fail(lua_State *L, const char *code, const char *format, ...) {
  va_list args;
  lua_pushnil(L);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_pushstring(L, code);
  return 3;
}

#define SECONDS_MAX 1e9 /* thirty years: what is longer is a mistake */

uint64_t dop_check_ms(lua_State *L, int arg, double least) {
  double seconds = luaL_checknumber(L, arg);
  if (!(seconds >= least && seconds <= SECONDS_MAX))
    luaL_argerror(L, arg, "seconds between 0 and 1e9 expected");
  return (uint64_t)llround(seconds * 1000);
}

uint64_t dop_check_seed(lua_State *L, int arg) {
  lua_Number n = luaL_checknumber(L, arg);
  if (!(n >= 0 && n <= 9007199254740992.0 && n == floor(n)))
    luaL_argerror(L, arg, "a whole number from 0 to 2^53 expected");
  return (uint64_t)n;
}

enum dop_kind dop_check_kind(lua_State *L, int arg) {
  int type = lua_type(L, arg);
  size_t len = 0;
  if (type <= LUA_TNIL) return DOP_TEXT; /* none is below nil */
  const char *kind = type == LUA_TSTRING ? lua_tolstring(L, arg, &len) : NULL;
  if (len == 4 && memcmp(kind, "text", 4) == 0) return DOP_TEXT;
  if (len != 6 || memcmp(kind, "binary", 6) != 0)
    luaL_argerror(L, arg, "\"text\" or \"binary\" expected");
  return DOP_BINARY;
}

int dop_check_flag(lua_State *L, int arg, const char *name) {
  int flag = -1;
  if (lua_type(L, arg) <= LUA_TNIL) return flag;
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, arg)) {
    if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), name) != 0)
      luaL_argerror(L, arg,
                    lua_pushfstring(L, "{ %s = true } or { %s = false } expected", name, name));
    if (!lua_isboolean(L, -1))
      luaL_argerror(
          L, arg,
          lua_pushfstring(L, "%s: true or false expected, got %s", name, luaL_typename(L, -1)));
    flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  return flag;
}

enum dop_compress dop_check_compress(lua_State *L, int arg) {
  int flag = dop_check_flag(L, arg, "compress");
  if (flag < 0) return DOP_COMPRESS_MAY;
  return flag ? DOP_COMPRESS_ALWAYS : DOP_COMPRESS_NEVER;
}

const char *dop_check_string(lua_State *L, int arg, size_t *len) {
  if (lua_type(L, arg) != LUA_TSTRING) luaL_checktype(L, arg, LUA_TSTRING); /* raises */
  return lua_tolstring(L, arg, len);
}

enum unit { MS, U32, U64 };

static const struct limit {
  const char *name;
  enum unit unit;
  size_t offset;
  double least, most;
} all_limits[] = {
#define LIMIT(name, unit, least, most) \
  { #name, unit, offsetof(struct dop_limits, name), least, most }
    LIMIT(resume_window, MS, 0, SECONDS_MAX),
    LIMIT(probe_timeout, MS, 0.001, SECONDS_MAX),
    LIMIT(handshake_timeout, MS, 0.001, SECONDS_MAX),
    LIMIT(ping_interval, MS, 0, SECONDS_MAX),
    LIMIT(ping_timeout, MS, 0.001, SECONDS_MAX),
    LIMIT(close_timeout, MS, 0.001, SECONDS_MAX),
    LIMIT(max_message, U32, 1, 1 << 30),
    LIMIT(max_header, U32, 256, 1 << 20),
    LIMIT(max_fields, U32, 4, DOP_HTTP_FIELDS_MAX),
    LIMIT(max_idle_frames, U32, 0, 65534),
    LIMIT(queue_bytes, U32, 0, 1 << 30),
    LIMIT(queue_messages, U32, 1, 1 << 30),
    LIMIT(high_mark, U32, 1, 1 << 30),
    LIMIT(low_mark, U32, 0, 1 << 30),
    LIMIT(max_detached, U32, 0, 1 << 30),
    LIMIT(max_detached_bytes, U64, 0, 1e15),
    LIMIT(max_pending, U32, 1, 1 << 30),
    LIMIT(max_pending_per_address, U32, 0, 1 << 30),
    LIMIT(max_sockets, U32, 0, 1 << 30),
    LIMIT(max_sockets_per_address, U32, 0, 1 << 30),
    LIMIT(max_bytes, U64, 0, 1e15),
    LIMIT(max_unconfirmed, U32, 0, 1 << 24),
    LIMIT(max_tombstones, U32, 0, 1 << 24),
    LIMIT(half_min, U32, 1, DOP_HALF_MAX),
#undef LIMIT
};

#define LIMITS (sizeof all_limits / sizeof all_limits[0])

/* Numbers as people write them: 64, not 64.0 as Lua 5.4 would print it. */
static void push_number(lua_State *L, double value) {
  char text[32];
  snprintf(text, sizeof text, "%.16g", value);
  lua_pushstring(L, isnan(value) ? "nan" : text);
}

void dop_push_offending(lua_State *L) {
  switch (lua_type(L, -1)) {
  case LUA_TNUMBER:
    push_number(L, lua_tonumber(L, -1));
    break;
  case LUA_TSTRING:
    lua_pushfstring(L, "the string \"%s\"", lua_tostring(L, -1));
    break;
  case LUA_TBOOLEAN:
    lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    break;
  default:
    lua_pushstring(L, luaL_typename(L, -1));
  }
}

/* Whether the value on top will do. If not, pushes a sentence that says why. */
static int limit_fits(lua_State *L, const struct limit *limit) {
  double value = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
  if (value >= limit->least && value <= limit->most && (limit->unit == MS || value == floor(value)))
    return 1;
  dop_push_offending(L);
  push_number(L, limit->least);
  push_number(L, limit->most);
  lua_pushfstring(L, "option \"%s\": %s from %s to %s expected, got %s", limit->name,
                  limit->unit == MS ? "seconds" : "a whole number", lua_tostring(L, -2),
                  lua_tostring(L, -1), lua_tostring(L, -3));
  return 0;
}

static void read_limit(lua_State *L, const struct limit *limit, struct dop_limits *limits) {
  char *field = (char *)limits + limit->offset;
  if (!limit_fits(L, limit)) luaL_error(L, "%s", lua_tostring(L, -1));
  double value = lua_tonumber(L, -1);
  switch (limit->unit) {
  case MS:
    *(uint64_t *)(void *)field = (uint64_t)llround(value * 1000);
    break;
  case U32:
    *(uint32_t *)(void *)field = (uint32_t)value;
    break;
  default:
    *(uint64_t *)(void *)field = (uint64_t)value;
  }
}

void dop_check_limits(lua_State *L, int arg, struct dop_limits *limits) {
  *limits = dop_limits_default;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (size_t i = 0; i < LIMITS; i++) {
    lua_getfield(L, arg, all_limits[i].name);
    if (!lua_isnil(L, -1)) read_limit(L, &all_limits[i], limits);
    lua_pop(L, 1);
  }
}

int dop_wrong_limit(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  for (size_t i = 0; i < LIMITS; i++) {
    lua_settop(L, 1);
    lua_getfield(L, 1, all_limits[i].name);
    if (!lua_isnil(L, -1) && !limit_fits(L, &all_limits[i])) return 1;
  }
  return 0;
}

void dop_push_limit_names(lua_State *L) {
  lua_createtable(L, LIMITS, 0);
  for (size_t i = 0; i < LIMITS; i++) {
    lua_pushstring(L, all_limits[i].name);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static void push_default(lua_State *L, const struct limit *limit) {
  const void *field = (const char *)&dop_limits_default + limit->offset;
  uint64_t value = limit->unit == U32 ? *(const uint32_t *)field : *(const uint64_t *)field;
  if (limit->unit == MS)
    lua_pushnumber(L, (lua_Number)value / 1000);
  else
    lua_pushinteger(L, (lua_Integer)value);
}

void dop_push_defaults(lua_State *L) {
  lua_createtable(L, 0, LIMITS);
  for (size_t i = 0; i < LIMITS; i++) {
    push_default(L, &all_limits[i]);
    lua_setfield(L, -2, all_limits[i].name);
  }
}
