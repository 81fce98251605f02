/* What the fuzz targets share: the input as a program reads it, memory that is counted, and the
 * end of a run that found something wrong.
 *
 * A target is a file with one function, fuzz_run(). It is linked twice: with libFuzzer, which makes
 * up inputs (make fuzz), and with replay.c, which feeds files (make fuzz-replay). A run depends on
 * its input alone: no clock, no randomness of the system, nothing that an earlier run left behind.
 */
#ifndef DOP_FUZZ_FUZZ_H
#define DOP_FUZZ_FUZZ_H

#include "base/base.h"

struct fuzz {
  const uint8_t *at, *end; /* what of the input is still to be read */
  size_t size;             /* of the whole input */
};

/* One run. Everything that it takes from base/alloc.h must be given back when it returns. */
void fuzz_run(struct fuzz *f);

/* libFuzzer's door, which is replay.c's too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Something is wrong: says what and where, and ends the process. */
__attribute__((noreturn)) void fuzz_wrong(const char *file, int line, const char *what);
#define fuzz_check(holds, what) ((holds) ? (void)0 : fuzz_wrong(__FILE__, __LINE__, what))

/* Reading. An input that is at its end reads as zeros. */
static inline size_t fuzz_left(const struct fuzz *f) {
  return (size_t)(f->end - f->at);
}
unsigned fuzz_byte(struct fuzz *f);
unsigned fuzz_below(struct fuzz *f, unsigned n); /* 0 to n - 1, n at most 256: one byte */
uint64_t fuzz_number(struct fuzz *f, unsigned bytes);
const uint8_t *fuzz_take(struct fuzz *f, size_t *n); /* at most *n bytes, *n says how many */

/* A block of libc of exactly this size, so that a byte read behind it is seen. To be freed. */
char *fuzz_copy(const void *data, size_t n);

/* Memory: blocks and bytes that live, the most bytes since the run began, and whether the n-th
 * request from now on fails (1: the next one; 0: none does). */
struct fuzz_memory {
  size_t blocks, bytes, peak;
  unsigned fail;
  unsigned failed; /* so many requests of this run did */
};
extern struct fuzz_memory fuzz_memory;

#endif
