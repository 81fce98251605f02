/* Faults on purpose, so that `make asan` can show that it would see one. Never part of the product. */
#include <lauxlib.h>
#include <stdlib.h>

__attribute__((noinline)) static int overflow_on_purpose(lua_State *L) {
  volatile char *block = malloc(16);
  block[luaL_checkinteger(L, 1)] = 1;
  free((void *)block);
  return 0;
}

__attribute__((noinline)) static int leak_on_purpose(lua_State *L) {
  void *volatile block = malloc(4242);
  (void)L;
  block = NULL;
  (void)block;
  return 0;
}

int luaopen_dop_fault(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, overflow_on_purpose);
  lua_setfield(L, -2, "overflow");
  lua_pushcfunction(L, leak_on_purpose);
  lua_setfield(L, -2, "leak");
  return 1;
}
