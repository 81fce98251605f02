/* dop.token: a secret that does not show itself. tostring() is redacted, so that no log has it by
 * accident; reveal() is for whoever means it. Owns a copy of the token. */
#include <string.h>

#include "bind/objects.h"

struct token_box {
  struct dop_token *token;
};

void dop_push_token(lua_State *L, const struct dop_token *t) {
  if (!t) {
    lua_pushnil(L);
    return;
  }
  struct token_box *box = dop_newuserdata(L, sizeof *box);
  box->token = NULL;
  luaL_getmetatable(L, DOP_TOKEN_TYPE);
  lua_setmetatable(L, -2);
  box->token = dop_token_new(t->text, t->len);
  if (!box->token) luaL_error(L, "no memory for a token");
}

static const struct dop_token *check_token(lua_State *L, int arg) {
  const struct dop_token *t = ((struct token_box *)luaL_checkudata(L, arg, DOP_TOKEN_TYPE))->token;
  if (!t) luaL_argerror(L, arg, "this token is gone: the Lua state is closing");
  return t;
}

static int token_gc(lua_State *L) {
  struct token_box *box = luaL_checkudata(L, 1, DOP_TOKEN_TYPE);
  dop_token_free(box->token);
  box->token = NULL;
  return 0;
}

/* token:reveal() -> string */
static int token_reveal(lua_State *L) {
  const struct dop_token *t = check_token(L, 1);
  lua_pushlstring(L, t->text, t->len);
  return 1;
}

static int token_tostring(lua_State *L) {
  lua_pushfstring(L, "token(%d bytes)", (int)check_token(L, 1)->len);
  return 1;
}

static int token_len(lua_State *L) {
  lua_pushinteger(L, check_token(L, 1)->len);
  return 1;
}

/* By content: the same session's token is equal wherever it was asked for. */
static int token_eq(lua_State *L) {
  const struct dop_token *a = check_token(L, 1), *b = check_token(L, 2);
  lua_pushboolean(L, dop_token_is(a, b->text, b->len));
  return 1;
}

static const luaL_Reg token_meta[] = {{"__gc", token_gc},
                                      {"__tostring", token_tostring},
                                      {"__len", token_len},
                                      {"__eq", token_eq},
                                      {NULL, NULL}};
static const luaL_Reg token_methods[] = {{"reveal", token_reveal}, {NULL, NULL}};

void dop_token_register(lua_State *L) {
  dop_new_type(L, DOP_TOKEN_TYPE, token_meta, token_methods, NULL);
}
