/* Memory: the one door through which the core asks for it.
 *
 * Everything below the drivers allocates here and nowhere else, so that a test can fail every
 * request in turn and a host can bring an allocator of its own. Never used for Lua's own objects.
 */
#ifndef DOP_BASE_ALLOC_H
#define DOP_BASE_ALLOC_H

#include <stddef.h>

/* Replaces realloc for the whole core: `allocate(ctx, old, size)` behaves like realloc, and like
 * free when size is 0. Set it before the first allocation; NULL brings libc's back. */
typedef void *(*dop_allocate_fn)(void *ctx, void *old, size_t size);
void dop_alloc_set(dop_allocate_fn allocate, void *ctx);

/* Each returns NULL when there is no memory; the caller owns the block. */
void *dop_malloc(size_t size);
void *dop_zalloc(size_t size); /* zeroed */
void *dop_realloc(void *block, size_t size);

/* Accepts NULL. */
void dop_free(void *block);

/* Overwrites a secret before its memory is given back; the compiler must not drop it. */
void dop_wipe(void *block, size_t size);

#endif
