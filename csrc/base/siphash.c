/* SipHash-2-4 over one run of bytes. Pure; reads by the byte, so that neither alignment nor byte
 * order matters (compilers make one load of it). */
#include "base/siphash.h"

struct state {
  uint64_t v0, v1, v2, v3;
};

static uint64_t load(const uint8_t *p) {
  uint64_t x = 0;

  for (unsigned i = 0; i < 8; i++) x |= (uint64_t)p[i] << (8 * i);
  return x;
}

static uint64_t rotate(uint64_t x, unsigned bits) {
  return x << bits | x >> (64 - bits);
}

static void rounds(struct state *s, unsigned n) {
  while (n-- > 0) {
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
  }
}

static void absorb(struct state *s, uint64_t word) {
  s->v3 ^= word;
  rounds(s, 2);
  s->v0 ^= word;
}

uint64_t dop_siphash(const uint8_t key[16], const void *data, size_t len) {
  const uint8_t *p = data;
  uint64_t k0 = load(key), k1 = load(key + 8);
  uint64_t last = (uint64_t)len << 56; /* the length modulo 256 closes the final word */
  struct state s;

  /* The constants spell "somepseudorandomlygeneratedbytes". */
  s.v0 = k0 ^ 0x736f6d6570736575u;
  s.v1 = k1 ^ 0x646f72616e646f6du;
  s.v2 = k0 ^ 0x6c7967656e657261u;
  s.v3 = k1 ^ 0x7465646279746573u;
  for (; len >= 8; len -= 8, p += 8) absorb(&s, load(p));
  for (size_t i = 0; i < len; i++) last |= (uint64_t)p[i] << (8 * i);
  absorb(&s, last);
  s.v2 ^= 0xff;
  rounds(&s, 4);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
