/* permessage-deflate at work (RFC 7692 section 7.2): one connection's compressor and decompressor
 * on zlib, whose memory comes through the core's hook.
 *
 * A direction without context takeover owns nothing between two messages: its zlib state is lent by
 * the pool, of which an engine has one, and goes back there. With takeover it is the connection's
 * until that ends; a compressor may all the same be let go at any time, as a fresh one refers to
 * nothing. What is inflated is bounded by the caller, output by output, never by a promise of the
 * peer.
 */
#ifndef DOP_WS_DEFLATE_H
#define DOP_WS_DEFLATE_H

#include "ws/extension.h"
#include "ws/frame.h"

struct dop_deflater;
struct dop_inflater;

/* States between two owners, at most one of each kind. */
struct dop_deflate_pool {
  struct dop_deflater *deflater;
  struct dop_inflater *inflater;
  struct dop_bytes out; /* what became of a message, until it is in its frame */
  uint32_t left; /* bytes that a link which shares may inflate before others have their turn */
};

void dop_deflate_pool_free(struct dop_deflate_pool *pool);

struct dop_deflate {
  struct dop_deflate_pool *pool;
  struct dop_deflater *deflater; /* NULL while there is none to be kept */
  struct dop_inflater
      *inflater; /* NULL between messages, unless the peer's refer to earlier ones */
  uint64_t came; /* compressed bytes of the message that comes, or came last */
  uint32_t min_size;
  uint8_t level, mem_level;
  uint8_t window; /* of what is sent; 0: everything goes as it is */
  uint8_t peer_window;
  unsigned takeover : 1, peer_takeover : 1;
  unsigned used : 1; /* something was compressed since dop_deflate_rest() */
};

/* NULL without memory. The pool must outlive it. */
struct dop_deflate *dop_deflate_new(struct dop_deflate_pool *pool,
                                    const struct dop_deflate_options *o,
                                    const struct dop_deflate_terms *terms);
void dop_deflate_free(struct dop_deflate *d);

/* Gives both states back: nothing more is read, and what is still sent refers to nothing. */
void dop_deflate_release(struct dop_deflate *d);

/* Called now and then while the peer is silent: a compressor that was not used since the last time
 * is let go. */
void dop_deflate_rest(struct dop_deflate *d);

/* Appends one whole frame to `out`, as dop_ws_write() does, with the message compressed and RSV1
 * set. Returns its payload's length; 0 when nothing was appended: the message is to be sent as it
 * is, for that is not larger, or for want of memory. */
size_t dop_deflate_write(struct dop_deflate *d, struct dop_bytes *out, enum dop_ws_opcode op,
                         const char *data, size_t len, const uint8_t *mask);

enum dop_inflate_result {
  DOP_INFLATE_MORE,    /* `out` is full: call again, with what is left of the input */
  DOP_INFLATE_DONE,    /* everything that the input means is out */
  DOP_INFLATE_CORRUPT, /* the input is not what a compressor makes; `out` may have got some bytes */
  DOP_INFLATE_NOMEM
};

/* Inflates from *in, which it advances, into the room that `out` is given: *len bytes, lowered to
 * what was written. */
enum dop_inflate_result dop_inflate(struct dop_deflate *d, const char **in, size_t *in_len,
                                    char *out, size_t *len);

/* What goes behind the last byte of a message's payload (7.2.2): sets *in to it. Returns its
 * length, 0 when the payload ended with a whole block. */
size_t dop_inflate_tail(const struct dop_deflate *d, const char **in);

/* The message is over. 0, or -1 when it stopped in the middle of a block. */
int dop_inflate_end(struct dop_deflate *d);

#endif
