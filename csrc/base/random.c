/* The system's CSPRNG through getentropy, which every Unix that we build on has. Never falls back
 * to anything weaker and keeps no state, so a fork needs no care. */
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
