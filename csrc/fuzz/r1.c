/* Fuzz target: the grammar of dop.r1, and tokens. Input: a byte that chooses the way. From the
 * text: what was read is written again byte for byte, so there is one form of each instruction.
 * From numbers: what was written is read again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "session/r1.h"
#include "session/token.h"

static size_t write(char *out, const struct dop_r1 *m) {
  switch (m->type) {
  case DOP_R1_LIMITS:
    return dop_r1_write_limits(out, &m->limits);
  case DOP_R1_ACK:
    return dop_r1_write_one(out, 'a', m->h);
  case DOP_R1_END:
    return dop_r1_write_one(out, 'd', m->h);
  case DOP_R1_RESUMED:
    return dop_r1_write_resumed(out, m->n, m->h);
  case DOP_R1_GONE:
    return dop_r1_write_gone(out, m->has_h, m->h, m->by_application);
  default:
    return 0;
  }
}

static void from_text(const char *text, size_t len) {
  struct dop_r1 m;
  uint64_t n = 0, h = 0;
  char out[DOP_R1_LONGEST];
  dop_r1_parse(&m, text, len);
  fuzz_check((m.type == DOP_R1_DATA) == !(len && text[0] == DOP_R1_MARK), "the mark decides alone");
  fuzz_check((m.type == DOP_R1_LITERAL) == (len > 1 && text[0] == DOP_R1_MARK && text[1] == 'm'),
             "a literal is what begins as one");
  if (m.type > DOP_R1_DATA && m.type != DOP_R1_LITERAL) {
    size_t again = write(out, &m);
    fuzz_check(again == len && memcmp(out, text, len) == 0, "an instruction has a second form");
  }
  size_t token = dop_r1_parse_resume(text, len, &n, &h);
  if (!token) return;
  fuzz_check(n <= DOP_R1_MOST && h <= DOP_R1_MOST && !memchr(text, ' ', token), "a wrong question");
  size_t rest = dop_r1_write_resume(out, n, h);
  fuzz_check(token + rest == len && memcmp(out, text + token, rest) == 0,
             "a question has a second form");
}

static void from_numbers(struct fuzz *f) {
  static const enum dop_r1_type types[] = {DOP_R1_LIMITS, DOP_R1_ACK, DOP_R1_END, DOP_R1_RESUMED,
                                           DOP_R1_GONE};
  struct dop_r1 m = {.type = types[fuzz_below(f, 5)]}, again;
  char out[DOP_R1_LONGEST];
  uint64_t v[4];
  for (int i = 0; i < 4; i++) v[i] = fuzz_number(f, 7) & DOP_R1_MOST;
  if (m.type == DOP_R1_LIMITS) m.limits = (struct dop_r1_limits){v[0], v[1], v[2], v[3]};
  if (m.type == DOP_R1_RESUMED) m.n = v[1];
  m.has_h = m.type == DOP_R1_GONE && fuzz_below(f, 2);
  m.by_application = m.type == DOP_R1_GONE && fuzz_below(f, 2);
  if (m.type != DOP_R1_LIMITS && (m.type != DOP_R1_GONE || m.has_h)) m.h = v[0];
  size_t len = write(out, &m);
  fuzz_check(len && len <= DOP_R1_LONGEST, "an instruction is longer than the longest");
  char *text = fuzz_copy(out, len);
  dop_r1_parse(&again, text, len);
  free(text);
  fuzz_check(again.type == m.type && again.n == m.n && again.h == m.h && again.has_h == m.has_h &&
                 again.by_application == m.by_application &&
                 memcmp(&again.limits, &m.limits, sizeof m.limits) == 0,
             "an instruction that was written reads as another");
}

/* Two halves: whichever way round, one token, as long as the shorter allows. */
static void halves(struct fuzz *f) {
  size_t n = fuzz_byte(f), rest;
  const uint8_t *one = fuzz_take(f, &n);
  rest = fuzz_left(f) < UINT16_MAX ? fuzz_left(f) : UINT16_MAX;
  const uint8_t *other = fuzz_take(f, &rest);
  struct dop_token *a = dop_token_new((const char *)one, n);
  struct dop_token *b = dop_token_new((const char *)other, rest);
  struct dop_token *ab = dop_token_merge(a, b), *ba = dop_token_merge(b, a);
  size_t least = n < rest ? n : rest;
  fuzz_check(ab->len == 2 * least && dop_token_is(ab, ba->text, ba->len), "the order decides");
  fuzz_check(dop_token_mirrors(a, b->text, b->len) == (memcmp(one, other, least) == 0),
             "a mirror is one that is equal as far as it goes");
  int ok = n >= DOP_HALF_MIN && n <= DOP_HALF_MAX;
  for (size_t i = 0; i < n; i++) ok = ok && one[i] > 0x20 && one[i] < 0x7F;
  fuzz_check(dop_token_half_ok(a->text, n, DOP_HALF_MIN) == ok, "a half is printable ASCII");
  dop_token_free(a);
  dop_token_free(b);
  dop_token_free(ab);
  dop_token_free(ba);
}

void fuzz_run(struct fuzz *f) {
  unsigned way = fuzz_below(f, 4);
  size_t n = fuzz_left(f);
  if (way == 0) {
    from_numbers(f);
  } else if (way == 1) {
    halves(f);
  } else {
    char *text = fuzz_copy(fuzz_take(f, &n), n);
    from_text(text, n);
    free(text);
  }
}
