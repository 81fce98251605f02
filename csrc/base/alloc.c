/* Memory through one hook. Owns the hook, the only mutable global of the core; it is set once
 * before anything is allocated and never guarded by a lock. */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static dop_allocate_fn hook; /* NULL: libc */
static void *hook_ctx;

void dop_alloc_set(dop_allocate_fn allocate, void *ctx) {
  hook = allocate;
  hook_ctx = ctx;
}

/* Size 0 would mean "free" to the hook, and NULL must mean "no memory" to the caller. */
static size_t at_least_one(size_t size) {
  return size != 0 ? size : 1;
}

void *dop_realloc(void *block, size_t size) {
  size = at_least_one(size);
  return hook != NULL ? hook(hook_ctx, block, size) : realloc(block, size);
}

void *dop_malloc(size_t size) {
  return dop_realloc(NULL, size);
}

void *dop_zalloc(size_t size) {
  void *block;

  /* libc knows which pages are fresh and need no zeroing. */
  if (hook == NULL) return calloc(1, at_least_one(size));
  block = dop_malloc(size);
  if (block != NULL) memset(block, 0, at_least_one(size));
  return block;
}

void dop_free(void *block) {
  if (block == NULL) return;
  if (hook != NULL) {
    (void)hook(hook_ctx, block, 0);
  } else {
    free(block);
  }
}

void dop_wipe(void *block, size_t size) {
  if (size == 0) return;
  memset(block, 0, size);
  /* The compiler must believe that somebody reads the zeros. */
  __asm__ __volatile__("" : : "r"(block) : "memory");
}
