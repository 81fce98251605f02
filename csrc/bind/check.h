/* Arguments and results: what is misuse raises here, what the world can cause is nil, message,
 * code.
 */
#ifndef DOP_BIND_CHECK_H
#define DOP_BIND_CHECK_H

#include <stdint.h>

#include "bind/compat.h"
#include "link/link.h"

/* Pushes nil, a formatted message and the code; returns 3 for the caller to return. */
int dop_fail(lua_State *L, const char *code, const char *format, ...);

/* Seconds at `arg`, as milliseconds. Raises unless it is a number from `least` to 10^9. */
uint64_t dop_check_ms(lua_State *L, int arg, double least);

/* A seed, or the number of a stream of one: a whole number that a double holds exactly. */
uint64_t dop_check_seed(lua_State *L, int arg);

/* "text" (also when absent) or "binary" at `arg`; raises for anything else. */
enum dop_kind dop_check_kind(lua_State *L, int arg);

/* The string at `arg`, not converted from a number; raises otherwise. */
const char *dop_check_string(lua_State *L, int arg, size_t *len);

/* Reads the limits among the options table at `arg` into `limits`, over the defaults. Times are in
 * seconds, sizes in bytes. Raises for a value of the wrong type or out of range, by name.
 * `half_min` is read too: it is for tests of the machine, and dop.listen and dop.connect do not
 * pass it on. */
void dop_check_limits(lua_State *L, int arg, struct dop_limits *limits);

/* core.wrong_limit(options) -> a sentence about the first limit among them that dop_check_limits()
 * would refuse, nil when there is none: for whoever knows the name of the function that was called,
 * and where. */
int dop_wrong_limit(lua_State *L);

/* The option `compression` at `arg`: whether it is on, and how. Raises when it is none. */
int dop_check_compression(lua_State *L, int arg, struct dop_deflate_options *o);

/* core.wrong_compression(value) -> a sentence about what dop_check_compression() would not take,
 * nil when it would. */
int dop_wrong_compression(lua_State *L);

/* The table { name = boolean } at `arg`: 1 or 0, -1 when it is empty or absent. Raises for anything
 * else. */
int dop_check_flag(lua_State *L, int arg, const char *name);

/* Pushes the value on top once more, as an error message shows it. */
void dop_push_offending(lua_State *L);

/* What node:send(message, kind, options) says about compression at `arg`. Raises when it is wrong.
 */
enum dop_compress dop_check_compress(lua_State *L, int arg);

/* Pushes a list of the names of all limits. */
void dop_push_limit_names(lua_State *L);

/* Pushes a table of the defaults of all limits by name, in seconds and bytes. */
void dop_push_defaults(lua_State *L);

#endif
