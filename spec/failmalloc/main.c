/* A Lua state in which every request for memory can be made to fail: the one of run.lua.
 *
 *   failmalloc SCRIPT ARGUMENT...
 *
 * Runs the script with the core and its driver built in, each of which asks for memory through this
 * file: the core's hook (zlib asks there, too), lua_Alloc, libuv's allocator, OpenSSL's. Owns the
 * counters. After lua_close() nothing may be left of any of them; what is left, is told and is exit
 * code 3. Never shipped.
 *
 * The script finds these functions in the global table `memory`:
 *
 *   call(source, mode, n, fn)  runs fn() while the n-th request of the source ("core", "lua", "uv",
 * "ssl") fails; from then on each ("always"), this one ("once"), or the first try of it ("retry":
 * Lua 5.4 asks again after a collection).
 *                              -> ok, error, how many requests there were, whether one failed
 *   state(source, mode, n, fn) the same for the function's bytecode in a state of its own, which is
 *                              also closed before memory is back -> error, requests, failed, left
 *   failed()                   whether a request has failed in the call() that is under way
 *   live()                     blocks of the core, of libuv and of OpenSSL that are there now
 *   proxy()                    the port of an HTTP proxy
 *   sites()                    those of OpenSSL, by the place that asked for them: {[place] =
 * number}
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/alloc.h"
#include "proxy.h"

int luaopen_dop_core(lua_State *L);
int luaopen_dop_uv(lua_State *L);

enum which { CORE, LUA, UV, TLS, SOURCES };
enum mode { ONCE, ALWAYS, RETRY };

static const char *const source_names[] = {"core", "lua", "uv", "ssl", NULL};
static const char *const mode_names[] = {"once", "always", "retry", NULL};

static struct source {
  size_t count;   /* requests while armed */
  size_t fail_at; /* 0: none */
  size_t live;    /* blocks */
  enum mode mode;
  int armed, failed;
  int again; /* Lua's second try of what failed is to fail as well ... */
  void *old; /* ... which is told by these */
  size_t from, size;
} sources[SOURCES];

/* Whether this request finds no memory. */
static int fails(struct source *s, void *old, size_t from, size_t size) {
  if (!s->armed) return 0;
  if (s->again && s->old == old && s->from == from && s->size == size) {
    s->again = 0;
    return 1;
  }
  s->count++;
  if (!s->fail_at || s->count < s->fail_at) return 0;
  if (s->mode != ALWAYS && s->count != s->fail_at) return 0;
  s->failed = 1;
  if (s->mode == ONCE) {
    s->again = s == &sources[LUA] && LUA_VERSION_NUM >= 502;
    s->old = old;
    s->from = from;
    s->size = size;
  }
  return 1;
}

static void *give(struct source *s, void *old, size_t size) {
  void *block = realloc(old, size);
  if (block && !old) s->live++;
  return block;
}

static void take_back(struct source *s, void *old) {
  if (old) s->live--;
  free(old);
}

static void *core_memory(void *ctx, void *old, size_t size) {
  struct source *s = ctx;
  if (size == 0) {
    take_back(s, old);
    return NULL;
  }
  return fails(s, old, 0, size) ? NULL : give(s, old, size);
}

/* Each state of its own: what it leaves behind is seen at its end. */
static void *lua_memory(void *ctx, void *old, size_t from, size_t size) {
  struct source *s = ctx;
  if (size == 0) {
    take_back(s, old);
    return NULL;
  }
  if (!old) from = 0; /* a type, in Lua 5.4 */
  /* Lua takes for granted that a block can be made smaller. */
  return size > from && fails(s, old, from, size) ? NULL : give(s, old, size);
}

/* Of its blocks libuv makes one larger: the table of its watchers, by descriptor. It aborts when
 * that finds no memory, so it always does. */
static void *uv_memory_realloc(void *old, size_t size) {
  struct source *s = &sources[UV];
  if (size != 0) return give(s, old, size);
  take_back(s, old);
  return NULL;
}

static void *uv_memory_malloc(size_t size) {
  struct source *s = &sources[UV];
  size = size ? size : 1;
  return fails(s, NULL, 0, size) ? NULL : give(s, NULL, size);
}

static void *uv_memory_calloc(size_t count, size_t size) {
  void *block = uv_memory_malloc(count * size);
  if (block) memset(block, 0, count * size);
  return block;
}

static void uv_memory_free(void *old) {
  take_back(&sources[UV], old);
}

/* OpenSSL says where it asks, so that what is left has a name. */
struct ssl_block {
  struct ssl_block *prev, *next;
  const char *file;
  size_t line; /* and a size that keeps what follows aligned */
};

static struct ssl_block ssl_blocks = {&ssl_blocks, &ssl_blocks, NULL, 0};

static void *ssl_memory_realloc(void *old, size_t size, const char *file, int line) {
  struct source *s = &sources[TLS];
  struct ssl_block *b = old ? (struct ssl_block *)old - 1 : NULL;
  int failed = s->failed;
  if (size != 0 && fails(s, old, 0, size)) {
    if (!failed) fprintf(stderr, "-- asked for at %s:%d\n", file, line);
    return NULL;
  }
  if (b) {
    b->prev->next = b->next;
    b->next->prev = b->prev;
  }
  if (size == 0) {
    take_back(s, b);
    return NULL;
  }
  b = give(s, b, sizeof *b + size);
  if (!b) abort();
  *b = (struct ssl_block){&ssl_blocks, ssl_blocks.next, file, (size_t)line};
  b->prev->next = b->next->prev = b;
  return b + 1;
}

static void *ssl_memory_malloc(size_t size, const char *file, int line) {
  return ssl_memory_realloc(NULL, size, file, line);
}

static void ssl_memory_free(void *old, const char *file, int line) {
  ssl_memory_realloc(old, 0, file, line);
}

/* OpenSSL's queue of errors keeps the text of each place that was ever used. Here all of them are,
 * so that these blocks are always there. */
static void fill_error_queue(void) {
  for (int i = 0; i < ERR_NUM_ERRORS; i++) ERR_raise_data(ERR_LIB_USER, 1, "%0200d", 0);
  ERR_clear_error();
}

static void arm(struct source *s, enum mode mode, lua_Integer n) {
  s->count = 0;
  s->fail_at = (size_t)n;
  s->mode = mode;
  s->failed = s->again = 0;
  s->armed = 1;
}

static int memory_call(lua_State *L) {
  struct source *s = &sources[luaL_checkoption(L, 1, NULL, source_names)];
  enum mode mode = (enum mode)luaL_checkoption(L, 2, NULL, mode_names);
  lua_Integer n = luaL_checkinteger(L, 3);
  luaL_checktype(L, 4, LUA_TFUNCTION);
  lua_settop(L, 4);
  arm(s, mode, n);
  int err = lua_pcall(L, 0, 0, 0), failed = s->failed;
  s->armed = s->failed = 0;
  if (!err) lua_pushnil(L);
  lua_pushboolean(L, !err);
  lua_insert(L, -2);
  lua_pushinteger(L, (lua_Integer)s->count);
  lua_pushboolean(L, failed);
  return 4;
}

static int memory_live(lua_State *L) {
  fill_error_queue();
  lua_pushinteger(L, (lua_Integer)(sources[CORE].live + sources[UV].live + sources[TLS].live));
  return 1;
}

static int memory_sites(lua_State *L) {
  lua_newtable(L);
  for (const struct ssl_block *b = ssl_blocks.next; b != &ssl_blocks; b = b->next) {
    lua_pushfstring(L, "%s:%d", b->file, (int)b->line);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_remove(L, -2);
    lua_rawset(L, -3);
  }
  return 1;
}

static int memory_failed(lua_State *L) {
  int any = 0;
  for (int i = 0; i < SOURCES; i++) any |= sources[i].failed;
  lua_pushboolean(L, any);
  return 1;
}

static int memory_proxy(lua_State *L) {
  static int port;
  if (!port) port = proxy_start();
  lua_pushinteger(L, port);
  return 1;
}

static int memory_state(lua_State *L);

static const luaL_Reg memory_functions[] = {{"call", memory_call},
                                            {"failed", memory_failed},
                                            {"live", memory_live},
                                            {"proxy", memory_proxy},
                                            {"sites", memory_sites},
                                            {"state", memory_state},
                                            {NULL, NULL}};

static void preload(lua_State *L, const char *name, lua_CFunction open) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

static void prepare(lua_State *L) {
  luaL_openlibs(L);
  preload(L, "dop.core", luaopen_dop_core);
  preload(L, "dop.uv", luaopen_dop_uv);
  lua_newtable(L);
  for (const luaL_Reg *f = memory_functions; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  lua_setglobal(L, "memory");
}

struct program {
  const char *code;
  size_t len;
};

static int run_program(lua_State *L) {
  const struct program *p = lua_touserdata(L, 1);
  prepare(L);
  if (luaL_loadbuffer(L, p->code, p->len, "=scene")) return lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

static int run_protected(lua_State *L, lua_CFunction fn, void *ud) {
#if LUA_VERSION_NUM < 502
  return lua_cpcall(L, fn, ud);
#else
  lua_pushcfunction(L, fn); /* no object of the collector */
  lua_pushlightuserdata(L, ud);
  return lua_pcall(L, 1, 0, 0);
#endif
}

/* The state is closed while memory still fails, then it is seen what is left. */
static int memory_state(lua_State *L) {
  struct source *s = &sources[luaL_checkoption(L, 1, NULL, source_names)];
  enum mode mode = (enum mode)luaL_checkoption(L, 2, NULL, mode_names);
  lua_Integer n = luaL_checkinteger(L, 3);
  struct program p;
  char why[200] = "";
  p.code = luaL_checklstring(L, 4, &p.len);
  size_t before[SOURCES];
  fill_error_queue();
  for (int i = 0; i < SOURCES; i++) before[i] = sources[i].live;
  arm(s, mode, n);
  lua_State *inner = lua_newstate(lua_memory, &sources[LUA]);
  if (!inner) {
    snprintf(why, sizeof why, "no state");
  } else {
    if (run_protected(inner, run_program, &p)) {
      const char *text = lua_tostring(inner, -1);
      snprintf(why, sizeof why, "%s", text ? text : "?");
    }
    lua_close(inner);
  }
  s->armed = 0;
  fill_error_queue();
  lua_Integer left[SOURCES];
  for (int i = 0; i < SOURCES; i++) left[i] = (lua_Integer)sources[i].live - (lua_Integer)before[i];
  lua_pushstring(L, why[0] ? why : NULL);
  lua_pushinteger(L, (lua_Integer)s->count);
  lua_pushboolean(L, s->failed);
  lua_newtable(L);
  for (int i = 0; i < SOURCES; i++) {
    lua_pushinteger(L, left[i]);
    lua_setfield(L, -2, source_names[i]);
  }
  return 4;
}

struct command {
  int argc;
  char **argv;
};

static int run_script(lua_State *L) {
  struct command *c = lua_touserdata(L, 1);
  prepare(L);
  if (luaL_loadfile(L, c->argv[1])) return lua_error(L);
  for (int i = 2; i < c->argc; i++) lua_pushstring(L, c->argv[i]);
  lua_call(L, c->argc - 2, 0);
  return 0;
}

int main(int argc, char **argv) {
  struct command c = {argc, argv};
  if (argc < 2) return 2;
  dop_alloc_set(core_memory, &sources[CORE]);
  uv_replace_allocator(uv_memory_malloc, uv_memory_realloc, uv_memory_calloc, uv_memory_free);
  if (CRYPTO_set_mem_functions(ssl_memory_malloc, ssl_memory_realloc, ssl_memory_free) != 1) {
    fprintf(stderr, "failmalloc: OpenSSL has asked for memory already\n");
    return 4;
  }
  /* What it makes once in a process: it fails for good when that finds no memory. */
  OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL);
  lua_State *L = lua_newstate(lua_memory, &sources[LUA]);
  if (!L) {
    fprintf(stderr, "failmalloc: this Lua takes no allocator of ours\n");
    return 4;
  }
  int err = run_protected(L, run_script, &c);
  if (err) fprintf(stderr, "failmalloc: %s\n", lua_tostring(L, -1));
  lua_close(L);
  OPENSSL_cleanup(); /* what it keeps for the whole process is no leak: it goes here */
  for (int i = 0; i < SOURCES; i++) {
    if (!sources[i].live) continue;
    fprintf(stderr, "failmalloc: %d blocks of %s are left after lua_close\n", (int)sources[i].live,
            source_names[i]);
    err = err ? err : 3;
  }
  return err;
}
