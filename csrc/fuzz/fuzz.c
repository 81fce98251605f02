/* The frame of every fuzz target; see fuzz.h. Owns the count of memory. */
#include "fuzz/fuzz.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fuzz_memory fuzz_memory;

void fuzz_wrong(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what);
  abort();
}

unsigned fuzz_byte(struct fuzz *f) {
  return f->at < f->end ? *f->at++ : 0;
}

unsigned fuzz_below(struct fuzz *f, unsigned n) {
  return fuzz_byte(f) % n;
}

uint64_t fuzz_number(struct fuzz *f, unsigned bytes) {
  uint64_t value = 0;
  while (bytes--) value = value << 8 | fuzz_byte(f);
  return value;
}

const uint8_t *fuzz_take(struct fuzz *f, size_t *n) {
  const uint8_t *from = f->at;
  if (*n > fuzz_left(f)) *n = fuzz_left(f);
  f->at += *n;
  return from;
}

char *fuzz_copy(const void *data, size_t n) {
  char *copy = malloc(n ? n : 1);
  if (!copy) abort();
  if (n) memcpy(copy, data, n);
  return copy;
}

/* Each block that grows moves, so that whoever kept its old place is seen. */
static void *count(void *ctx, void *old, size_t size) {
  struct fuzz_memory *m = ctx;
  size_t had = old ? malloc_usable_size(old) : 0;
  void *block = NULL;
  if (size) {
    if (m->fail && --m->fail == 0) {
      m->failed++;
      return NULL;
    }
    block = malloc(size);
    if (!block) abort();
    m->blocks++;
    m->bytes += malloc_usable_size(block);
    if (m->bytes > m->peak) m->peak = m->bytes;
    if (old) memcpy(block, old, had < size ? had : size);
  }
  if (old) {
    m->blocks--;
    m->bytes -= had;
    free(old);
  }
  return block;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  /* libFuzzer says that an empty input may be NULL. */
  static const uint8_t nothing[1];
  struct fuzz f = {size ? data : nothing, size ? data + size : nothing, size};
  memset(&fuzz_memory, 0, sizeof fuzz_memory);
  dop_alloc_set(count, &fuzz_memory);
  fuzz_run(&f);
  fuzz_check(fuzz_memory.blocks == 0 && fuzz_memory.bytes == 0, "the run left memory behind");
  return 0;
}
