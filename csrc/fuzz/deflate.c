/* Fuzz target: permessage-deflate. Input: a byte that chooses the way, options, and then a header's
 * value, which is negotiated about; or a stream of frames, which are inflated under every cut; or
 * messages, which are deflated and read back. */
#include <stdlib.h>
#include <string.h>

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
  for (enum fuzz_cut cut = FUZZ_WHOLE; cut <= FUZZ_CHANCE; cut++) {
    end.deflate = reader(pool, &o);
    fuzz_feed(cut == FUZZ_WHOLE ? &first : &got, data, n, &end, cut, seed);
    dop_deflate_free(end.deflate);
    if (cut == FUZZ_WHOLE) continue;
    fuzz_items_same(&first, &got, "what is inflated depends on the cut");
    fuzz_items_free(&got);
  }
  fuzz_check(fuzz_memory.peak <= 3 * end.most + 3 * n + (160u << 10), "a bomb went off");
  fuzz_items_free(&first);
  dop_deflate_pool_free(pool);
}

/* Messages of the input, each several times over. */
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
    size_t size = dop_deflate_write(writer, &out, DOP_WS_OP_BINARY, message.data, message.len,
                                    end.server ? mask : NULL);
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
