/* The system's CSPRNG through getentropy, which every Unix that we build on has. Never falls back
 * to anything weaker and keeps no state, so a fork needs no care. Beside it SplitMix64, for worlds
 * that must be the same again. */
#include "base/random.h"

#include <errno.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif

#define CHUNK 256u /* the most that getentropy gives in one call */

int dop_random_system(void *ctx, void *out, size_t n) {
  char *to = out;

  (void)ctx;
  while (n != 0) {
    size_t part = n < CHUNK ? n : CHUNK;

    if (getentropy(to, part) == 0) {
      to += part;
      n -= part;
    } else if (errno != EINTR) {
      return -1;
    }
  }
  return 0;
}

static uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

void dop_random_seed(struct dop_random_seed *s, uint64_t seed, uint64_t stream) {
  /* Mixed twice, so that neighbouring seeds and streams are nowhere near each other. */
  s->state = mix(mix(seed + 0x9E3779B97F4A7C15u) + stream * 0xD1B54A32D192ED03u);
}

uint64_t dop_random_draw(struct dop_random_seed *s) {
  return mix(s->state += 0x9E3779B97F4A7C15u);
}

int dop_random_seeded(void *ctx, void *out, size_t n) {
  unsigned char *to = out;
  while (n != 0) {
    uint64_t bits = dop_random_draw(ctx);
    /* By value and not by memory: the order of bytes in a word differs between machines. */
    for (int i = 0; i < 8 && n != 0; i++, n--, bits >>= 8) *to++ = (unsigned char)bits;
  }
  return 0;
}
