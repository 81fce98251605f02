/* Randomness: the system's CSPRNG, and nothing in its place when it fails. */
#ifndef DOP_BASE_RANDOM_H
#define DOP_BASE_RANDOM_H

#include <stddef.h>

/* Fills `out` with n unpredictable bytes: 0, or -1 when the system gives none. The caller must
 * then refuse to go on. The same shape is handed to the machine, so that a simulator can give
 * it a seed. */
typedef int (*dop_random_fn)(void *ctx, void *out, size_t n);

int dop_random_system(void *ctx, void *out, size_t n); /* ctx is not used */

#endif
