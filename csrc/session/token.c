/* Tokens; see token.h. Owns nothing, never logs one. */
#include "session/token.h"

#include <string.h>

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static struct dop_token *blank(size_t len) {
  struct dop_token *t = dop_malloc(sizeof *t + len);
  if (t) t->len = (uint16_t)len;
  return t;
}

struct dop_token *dop_token_new(const char *text, size_t len) {
  struct dop_token *t = len <= UINT16_MAX ? blank(len) : NULL;
  if (t) memcpy(t->text, text, len);
  return t;
}

int dop_token_renew(struct dop_token *t, dop_random_fn random, void *ctx) {
  uint8_t raw[DOP_HALF_LEN + 10];
  size_t filled = 0;
  if (t->len < DOP_HALF_LEN) return -1;
  while (filled < t->len) {
    if (random(ctx, raw, sizeof raw)) return -1;
    /* 248 is the largest multiple of 62 in a byte: what lies above would favour some letters. */
    for (size_t i = 0; i < sizeof raw && filled < t->len; i++)
      if (raw[i] < 248) t->text[filled++] = alphabet[raw[i] % 62];
  }
  dop_wipe(raw, sizeof raw);
  return 0;
}

struct dop_token *dop_token_random(dop_random_fn random, void *ctx) {
  struct dop_token *t = blank(DOP_HALF_LEN);
  if (!t || dop_token_renew(t, random, ctx) == 0) return t;
  dop_token_free(t);
  return NULL;
}

void dop_token_free(struct dop_token *t) {
  if (!t) return;
  dop_wipe(t->text, t->len);
  dop_free(t);
}

struct dop_token *dop_token_merge(const struct dop_token *a, const struct dop_token *b) {
  size_t len = a->len < b->len ? a->len : b->len;
  if (memcmp(a->text, b->text, len) > 0) {
    const struct dop_token *swap = a;
    a = b;
    b = swap;
  }
  struct dop_token *t = blank(2 * len);
  if (!t) return NULL;
  memcpy(t->text, a->text, len);
  memcpy(t->text + len, b->text, len);
  return t;
}

int dop_token_half_ok(const char *text, size_t len, size_t min) {
  if (len < min || len > DOP_HALF_MAX) return 0;
  for (size_t i = 0; i < len; i++)
    if (text[i] < 0x21 || text[i] > 0x7E) return 0;
  return 1;
}

int dop_token_same(const char *a, const char *b, size_t len) {
  volatile unsigned char differ = 0;
  for (size_t i = 0; i < len; i++) differ |= (unsigned char)(a[i] ^ b[i]);
  return differ == 0;
}

int dop_token_mirrors(const struct dop_token *t, const char *text, size_t len) {
  return t && dop_token_same(t->text, text, t->len < len ? t->len : len);
}
