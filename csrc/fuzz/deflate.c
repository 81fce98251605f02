/* Fuzz target: permessage-deflate. Input: a byte that chooses the way, options, and then a header's
 * value, which is negotiated about; or a stream of frames, which are inflated under every cut; or
 * messages, which are deflated and read back. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fuzz/frames.h"

static struct dop_deflate_options options(struct fuzz *f) {
  struct dop_deflate_options o = dop_deflate_defaults;
  unsigned what = fuzz_byte(f);
  o.takeover = what & 1;
  o.peer_takeover = what >> 1 & 1;
  o.window = (uint8_t)(9 + (what >> 2 & 7) % 7);
  o.peer_window = (uint8_t)(9 + (what >> 5) % 7);
  o.level = 1;
  o.mem_level = 1;
  return o;
}

static void in_range(const struct dop_deflate_terms *t, const struct dop_deflate_options *o) {
  fuzz_check(t->window == 0 || (t->window >= 9 && t->window <= o->window), "a window of its own");
  fuzz_check(t->peer_window >= 8 && t->peer_window <= 15, "a window that there is not");
  fuzz_check(!t->takeover || o->takeover, "it refers to what it did not want to keep");
}

/* Ends that agreed understand each other. */
static void fits(const struct dop_deflate_terms *from, const struct dop_deflate_terms *to) {
  fuzz_check(from->window <= to->peer_window, "more is referred to than is kept");
  fuzz_check(!from->takeover || to->peer_takeover, "what is referred to was forgotten");
}

static struct dop_head head_of(const char *value, size_t len) {
  struct dop_head head = {.count = 1};
  head.fields[0].name = (struct dop_span){"Sec-WebSocket-Extensions", 24};
  head.fields[0].value = (struct dop_span){value, len};
  return head;
}

/* A client with its own options and a server with its own. */
static void talk(const struct dop_deflate_options *client,
                 const struct dop_deflate_options *server) {
  char offer[DOP_DEFLATE_TEXT_MAX], answer[DOP_DEFLATE_TEXT_MAX];
  struct dop_deflate_terms ours, theirs;
  const char *why = NULL;
  dop_deflate_offer(client, offer);
  struct dop_head head = head_of(offer, strlen(offer));
  int chosen = dop_deflate_choose(&head, server, &theirs, answer);
  fuzz_check(chosen == 1, "our own server does not go with our client's offer");
  head = head_of(answer, strlen(answer));
  fuzz_check(dop_deflate_agree(&head, client, &ours, &why) == 1, "our client refuses the answer");
  in_range(&ours, client);
  in_range(&theirs, server);
  fits(&ours, &theirs);
  fits(&theirs, &ours);
}

/* An offer that was good is none any more with a parameter that comes twice. */
static void twice(const char *value, size_t n, const struct dop_deflate_options *o) {
  static const char more[] = "; client_no_context_takeover; client_no_context_takeover";
  char offer[2100], answer[DOP_DEFLATE_TEXT_MAX];
  struct dop_deflate_terms terms;
  memcpy(offer, value, n);
  memcpy(offer + n, more, sizeof more - 1);
  struct dop_head head = head_of(offer, n + sizeof more - 1);
  fuzz_check(dop_deflate_choose(&head, o, &terms, answer) != 1, "a parameter may come twice");
}

static void negotiate(struct fuzz *f) {
  struct dop_deflate_options o = options(f), other = options(f);
  struct dop_deflate_terms terms, ignored;
  char answer[DOP_DEFLATE_TEXT_MAX];
  const char *why = NULL;
  size_t n = fuzz_left(f);
  char *value = fuzz_copy(fuzz_take(f, &n), n);
  struct dop_head head = head_of(value, n), said;
  talk(&o, &other);
  int chosen = dop_deflate_choose(&head, &o, &terms, answer);
  if (chosen == 1 && n < 2000 && !memchr(value, ',', n)) twice(value, n, &o);
  if (chosen == 1) {
    struct dop_extension e;
    in_range(&terms, &o);
    fuzz_check(terms.window && terms.peer_window <= o.peer_window, "a bound is not kept to");
    fuzz_check(!terms.peer_takeover || o.peer_takeover, "more is kept than was wanted");
    said = head_of(answer, strlen(answer));
    struct dop_extensions all = {.head = &said};
    fuzz_check(dop_extension_next(&all, &e) == 1 && dop_extension_next(&all, &e) == 0,
               "the answer is not one extension");
    /* Whether a client of ours goes with it depends on what it offered. */
    if (dop_deflate_agree(&said, &o, &ignored, &why) < 0) fuzz_check(why && *why, "no reason");
  }
  fuzz_check((chosen < 0) == (dop_deflate_choose(&head, NULL, NULL, NULL) < 0),
             "what is malformed depends on who reads it");
  int agreed = dop_deflate_agree(&head, &o, &terms, &why);
  if (agreed == 1) in_range(&terms, &o);
  fuzz_check(agreed >= 0 || (why && *why), "a refusal without a reason");
  fuzz_check(dop_deflate_agree(&head, NULL, &terms, &why) <= 0, "an extension that nobody offered");
  free(value);
}

static struct dop_deflate *reader(struct dop_deflate_pool *pool,
                                  const struct dop_deflate_options *o) {
  struct dop_deflate_terms terms = {o->window, o->peer_window, o->takeover, o->peer_takeover};
  return dop_deflate_new(pool, o, &terms);
}

/* Gives zlib some bytes of a message. Returns whether it stands between two blocks, and has used
 * every bit. */
static int between(z_stream *z, uint8_t *in, size_t n) {
  char out[4096];
  int result;
  z->next_in = in;
  z->avail_in = (uInt)n;
  do {
    z->next_out = (Bytef *)out;
    z->avail_out = sizeof out;
    result = inflate(z, Z_SYNC_FLUSH);
    if (result == Z_STREAM_END) inflateResetKeep(z);
  } while ((result == Z_OK || result == Z_STREAM_END) && (z->avail_in || !z->avail_out));
  return !z->avail_in && (result == Z_STREAM_END || (z->data_type & (128 | 63)) == 128);
}

/* zlib alone: whether this payload, masked or not, is a whole message of its own, with what every
 * flush ends with or without it. */
static int inflates(const uint8_t *payload, size_t n, const uint8_t *mask) {
  uint8_t tail[] = {0, 0, 255, 255};
  z_stream z = {0};
  uint8_t *in = (uint8_t *)fuzz_copy(payload, n);
  for (size_t i = 0; i < n && mask; i++) in[i] ^= mask[i & 3];
  if (inflateInit2(&z, -15) != Z_OK) abort();
  int whole = between(&z, in, n) || between(&z, tail, sizeof tail);
  inflateEnd(&z);
  free(in);
  return whole;
}

/* Of a stream that the parser took: RSV1 stands on the first frame of a message and nowhere else,
 * RSV2 and RSV3 nowhere (RFC 7692 6); a message of one frame that refers to no other is whole. */
static void reads_rightly(const struct fuzz_items *items, const uint8_t *data, size_t len,
                          int server, int alone) {
  const struct fuzz_item *last = items->count ? &items->all[items->count - 1] : NULL;
  if (last && (last->type == DOP_WS_ERROR || last->type == DOP_WS_CLOSE)) return;
  for (size_t at = 0; len - at >= 2;) {
    unsigned op = data[at] & 0x0F, bits = data[at] & 0x70;
    uint64_t n = data[at + 1] & 0x7F;
    size_t more = n < 126 ? 0 : n == 126 ? 2 : 8;
    fuzz_check(!bits || (bits == 0x40 && op > 0 && op < 8),
               "a reserved bit stands where it may not");
    if (len - at < 2 + more) return;
    if (more) n = 0;
    for (size_t i = 0; i < more; i++) n = n << 8 | data[at + 2 + i];
    size_t head = 2 + more + 4 * (size_t)server;
    if (len - at < head || n > len - at - head) return;
    fuzz_check(!alone || (data[at] & 0xC0) != 0xC0 || !n ||
                   inflates(data + at + head, (size_t)n, server ? data + at + head - 4 : NULL),
               "half a message is taken for a whole one");
    at += head + (size_t)n;
  }
}

/* Somebody else of the same pool, in the middle of a message ("Hello", RFC 7692 7.2.3.1). */
static const char hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff";

static void goes_on(struct dop_deflate *d, size_t from, size_t to, char *text, size_t *have) {
  const char *in = hello + from;
  size_t n = to - from, room = 16 - *have;
  fuzz_check(dop_inflate(d, &in, &n, text + *have, &room) == DOP_INFLATE_DONE && n == 0,
             "somebody else's message is disturbed");
  *have += room;
}

/* The same events under every cut, and no more memory than the limit and zlib's own. */
static void inflate_stream(struct fuzz *f) {
  static const size_t limits[] = {0, 1, 100, 4096, 65536, 1 << 20};
  struct dop_deflate_options o = options(f);
  struct dop_deflate_pool *pool = dop_zalloc(sizeof *pool);
  struct fuzz_end end = {limits[fuzz_below(f, 6)], NULL, (int)fuzz_below(f, 2)};
  struct fuzz_items first = {0}, got = {0};
  uint32_t seed = (uint32_t)fuzz_number(f, 2) * 65537u;
  size_t n = fuzz_left(f);
  const uint8_t *data = fuzz_take(f, &n);
  struct dop_deflate *other = reader(pool, &o);
  char text[16];
  size_t have = 0;
  goes_on(other, 0, 3, text, &have);
  for (enum fuzz_cut cut = FUZZ_WHOLE; cut <= FUZZ_CHANCE; cut++) {
    end.deflate = reader(pool, &o);
    fuzz_feed(cut == FUZZ_WHOLE ? &first : &got, data, n, &end, cut, seed);
    dop_deflate_free(end.deflate);
    if (cut == FUZZ_WHOLE) continue;
    fuzz_items_same(&first, &got, "what is inflated depends on the cut");
    fuzz_items_free(&got);
  }
  reads_rightly(&first, data, n, end.server, !o.peer_takeover);
  goes_on(other, 3, sizeof hello - 1, text, &have);
  fuzz_check(have == 5 && memcmp(text, "Hello", 5) == 0, "somebody else's message is another");
  dop_deflate_free(other);
  fuzz_check(fuzz_memory.peak <= 3 * end.most + 3 * n + (224u << 10), "a bomb went off");
  fuzz_items_free(&first);
  dop_deflate_pool_free(pool);
}

/* Messages of the input, each several times over; for some there is no memory to deflate them. */
static void round_trip(struct fuzz *f) {
  struct dop_deflate_options o = options(f), back = o;
  struct dop_deflate_pool *pool = dop_zalloc(sizeof *pool);
  struct dop_deflate *writer = reader(pool, &o);
  struct fuzz_items sent = {0}, got = {0};
  struct fuzz_end end = {1 << 20, NULL, (int)fuzz_below(f, 2)};
  uint32_t seed = (uint32_t)fuzz_number(f, 2) * 65537u;
  struct dop_bytes out = {0}, message = {0};
  uint8_t mask[4];
  memcpy(mask, &seed, 4);
  while (fuzz_left(f)) {
    size_t n = fuzz_byte(f);
    unsigned times = fuzz_byte(f);
    const uint8_t *part = fuzz_take(f, &n);
    message.len = 0;
    for (unsigned i = 0; i <= times && message.len < 20000; i++)
      if (dop_bytes_append(&message, part, n)) abort();
    uint32_t before = out.len;
    if (times & 0x80) fuzz_memory.fail = 1 + (times >> 2 & 7);
    size_t size = dop_deflate_write(writer, &out, DOP_WS_OP_BINARY, message.data, message.len,
                                    end.server ? mask : NULL);
    fuzz_memory.fail = 0;
    if (!size &&
        dop_ws_write(&out, DOP_WS_OP_BINARY, message.data, message.len, end.server ? mask : NULL))
      abort();
    fuzz_check(o.takeover || out.len - before <= message.len + DOP_WS_HEADER_MAX,
               "a message became larger");
    if (times & 1) dop_deflate_rest(writer);
    fuzz_items_add(&sent, DOP_WS_BINARY, 0, message.data, message.len);
  }
  back.peer_window = o.window;
  back.peer_takeover = o.takeover;
  end.deflate = reader(pool, &back);
  if (out.len) fuzz_feed(&got, (uint8_t *)out.data, out.len, &end, FUZZ_CHANCE, seed);
  fuzz_items_same(&sent, &got, "what was deflated reads as something else");
  fuzz_items_free(&sent);
  fuzz_items_free(&got);
  dop_bytes_dispose(&out);
  dop_bytes_dispose(&message);
  dop_deflate_free(end.deflate);
  dop_deflate_free(writer);
  dop_deflate_pool_free(pool);
}

void fuzz_run(struct fuzz *f) {
  unsigned way = fuzz_below(f, 3);
  if (way == 0)
    negotiate(f);
  else if (way == 1)
    inflate_stream(f);
  else
    round_trip(f);
}
