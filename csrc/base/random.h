/* Randomness: the system's CSPRNG, and nothing in its place when it fails. Simulated worlds have a
 * generator with a seed, which is no secret and never serves a real socket. */
#ifndef DOP_BASE_RANDOM_H
#define DOP_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `out` with n unpredictable bytes: 0, or -1 when the system gives none. The caller must
 * then refuse to go on. The same shape is handed to the machine, so that a simulator can give
 * it a seed. */
typedef int (*dop_random_fn)(void *ctx, void *out, size_t n);

int dop_random_system(void *ctx, void *out, size_t n); /* ctx is not used */

/* The same numbers for the same seed, on every machine. Streams of one seed have nothing in common.
 */
struct dop_random_seed {
  uint64_t state;
};

void dop_random_seed(struct dop_random_seed *s, uint64_t seed, uint64_t stream);
uint64_t dop_random_draw(struct dop_random_seed *s);
int dop_random_seeded(void *ctx, void *out, size_t n); /* ctx: a struct dop_random_seed */

#endif
