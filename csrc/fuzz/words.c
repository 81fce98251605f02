/* What a peer says, made of what the machine knows; see machine.h. */
#include <string.h>

#include "fuzz/machine.h"

/* A number near one that matters, or any. */
static uint64_t number(struct fuzz *f, const struct dop_node *n) {
  const struct dop_account *a = n ? n->account : NULL;
  uint64_t v = 0;
  unsigned what = fuzz_below(f, 9), off = fuzz_below(f, 5);
  switch (what) {
  case 0:
    v = a ? a->acked : 0;
    break;
  case 1:
    v = a ? a->written : 0;
    break;
  case 2:
    v = a ? a->received : 0;
    break;
  case 3:
    v = a ? a->told : 0;
    break;
  case 4:
    v = a ? a->attempt : 0;
    break;
  case 5:
    return off;
  case 6:
    return DOP_R1_MOST - off;
  case 7:
    return fuzz_number(f, 2);
  default:
    return fuzz_number(f, 7) & DOP_R1_MOST;
  }
  return v + off < 2 ? 0 : v + off - 2;
}

static size_t put(char *out, const struct dop_token *t) {
  if (!t || t->len > FUZZ_WORD_MOST / 2) return 0;
  memcpy(out, t->text, t->len);
  return t->len;
}

/* A half by its first letter: a peer may well say the same one twice. */
static size_t half(struct fuzz *f, char *out) {
  unsigned c = fuzz_byte(f);
  size_t len = c & 0x40 ? 16 : c & 0x80 ? 256 : 24;
  memset(out, '0' + (char)(c & 0x3F), len);
  return len;
}

static size_t limits(struct fuzz *f, char *out) {
  static const uint64_t sizes[] = {0, 1, 2, 64, 1000, 65536, 1 << 20, DOP_R1_MOST};
  struct dop_r1_limits l = {60000, sizes[fuzz_below(f, 8)], sizes[fuzz_below(f, 8)],
                            sizes[fuzz_below(f, 8)]};
  return dop_r1_write_limits(out, &l);
}

static size_t raw(struct fuzz *f, char *out, size_t most) {
  size_t n = fuzz_byte(f);
  if (n > 250) n = (n - 250) * 300;
  if (n > most) n = most;
  const uint8_t *from = fuzz_take(f, &n);
  memcpy(out, from, n);
  return n;
}

size_t fuzz_word(struct fuzz_machine *m, const struct dop_node *n, char *out, enum dop_kind *kind) {
  struct fuzz *f = m->input;
  const struct dop_node *other;
  size_t len;
  *kind = DOP_TEXT;
  switch (fuzz_below(f, 16)) {
  case 0:
    return half(f, out);
  case 1: /* what the peer said already: its confirmation */
    return n ? put(out, n->remote) : 0;
  case 2: /* an echo */
    return n ? put(out, n->local) : 0;
  case 3:
    return n ? put(out, n->token) : 0;
  case 4: /* the token of another session */
    other = fuzz_machine_node(m);
    return other ? put(out, other->token) : 0;
  case 5:
    other = fuzz_machine_node(m);
    len = other ? put(out, other->token) : 0;
    return len + dop_r1_write_resume(out + len, number(f, other), number(f, other));
  case 6:
    return dop_r1_write_one(out, 'a', number(f, n));
  case 7:
    return dop_r1_write_one(out, 'd', number(f, n));
  case 8:
    return dop_r1_write_resumed(out, number(f, n), number(f, n));
  case 9:
    len = fuzz_below(f, 4);
    return dop_r1_write_gone(out, len & 1, number(f, n), len & 2);
  case 10:
    return limits(f, out);
  case 11:
    out[0] = DOP_R1_MARK;
    out[1] = 'm';
    return 2 + raw(f, out + 2, FUZZ_WORD_MOST - 2);
  case 12:
    out[0] = DOP_R1_MARK;
    return 1 + raw(f, out + 1, FUZZ_WORD_MOST - 1);
  case 13:
    *kind = DOP_BINARY;
    return raw(f, out, FUZZ_WORD_MOST);
  default:
    return raw(f, out, FUZZ_WORD_MOST);
  }
}

struct fuzz fuzz_phrase(struct fuzz *f, uint8_t bytes[FUZZ_PHRASE_MOST]) {
  const unsigned what = fuzz_below(f, 8), c = fuzz_byte(f);
  const uint8_t half = (uint8_t)c, waits = (uint8_t)((c & 3) << 2), has = waits | 2;
  const struct {
    uint8_t len, bytes[FUZZ_PHRASE_MOST];
  } phrases[] = {
      {7, {0, half, 1, 10, 6, 6, 4}},              /* a half, the same again, limits: CONNECTED */
      {10, {5, waits, 4, 3, 1, 2, 10, 6, 6, 4}},   /* "T r n h" of a session that waits, limits */
      {10, {5, has, 4, 3, 1, 2, 10, 6, 6, 4}},     /* of one that has a socket */
      {11, {0, half, 8, 4, 2, 1, 2, 10, 6, 6, 4}}, /* a half, a server's answer, limits */
      {3, {0, half, 1}},                           /* in plain DOP: CONNECTED */
      {2, {4, waits}},                             /* the token of a session that waits */
      {2, {4, has}},                               /* of one that has a socket */
      {3, {0, half, 3}},                           /* a half, and the session is known */
  };
  memcpy(bytes, phrases[what].bytes, FUZZ_PHRASE_MOST);
  return (struct fuzz){bytes, bytes + phrases[what].len, 0};
}
