/* Fuzz target: frames as a client reads them; see frames.h. */
#include "fuzz/frames.h"

void fuzz_run(struct fuzz *f) {
  fuzz_frames(f, 0);
}
