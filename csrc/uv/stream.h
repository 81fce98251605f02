/* A stream: one connection, TCP or unix socket, between libuv and its link.
 *
 * Reads into the loop's buffer and feeds the link in place; writes with one system call what one
 * turn produced, and only what the system does not take at once goes into a request. Owns the
 * handle and one reference of the link. Freed in the handle's close callback and nowhere else.
 */
#ifndef DOP_UV_STREAM_H
#define DOP_UV_STREAM_H

#include "uv/loop.h"

struct dop_tls;     /* secure.c: what it is encrypted with */
struct dop_dialing; /* dialer.c: a connection that is not there yet */

struct dop_stream {
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv;
  struct dop_resource resource;
  struct dop_loop *loop;
  struct dop_link *link;
  struct dop_dialing *dialing; /* NULL once it is connected */
  struct dop_tls *tls;         /* NULL: it is not encrypted */
  unsigned is_pipe : 1, open : 1, reading : 1, writing : 1, shut : 1, closing : 1;
};

/* Without a handle and a link yet; NULL without memory. The loop shuts it when it ends. */
struct dop_stream *dop_stream_new(struct dop_loop *loop, int is_pipe);

/* For a stream that has no handle; one that has is freed by dop_stream_close(). */
void dop_stream_free(struct dop_stream *s);

/* Makes the handle. 0 or a libuv error. */
int dop_stream_open(struct dop_stream *s);

/* The connection is there: begins to read, and to write what the link has. */
void dop_stream_begin(struct dop_stream *s);

/* Does what the link asks for: write, stop or begin to read, end. */
void dop_stream_service(struct dop_stream *s);

/* For secure.c: writes with one system call; how many bytes the system took, or a libuv error. */
ssize_t dop_stream_send(struct dop_stream *s, const char *data, size_t len);

/* Closes the handle; frees the stream and gives the link back when that is done. */
void dop_stream_close(struct dop_stream *s, int reset);

#endif
