/* What all userdata types of the core share: methods, properties, user values. Owns the metatables.
 */
#include <string.h>

#include "bind/objects.h"

/* Upvalues: methods, getters. */
static int type_index(lua_State *L) {
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(2));
  lua_CFunction get = lua_tocfunction(L, -1);
  if (!get) return 0;
  lua_settop(L, 2);
  return get(L);
}

void dop_new_type(lua_State *L, const char *name, const luaL_Reg *meta, const luaL_Reg *methods,
                  const luaL_Reg *getters) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  if (!luaL_newmetatable(L, name)) {
    lua_pop(L, 1); /* another luaopen was here: its objects live on with their metatable */
    return;
  }
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "methods"); /* lua/ adds those that are written in Lua */
  lua_newtable(L);
  luaL_setfuncs(L, getters ? getters : none, 0);
  lua_pushcclosure(L, type_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
