/* The stream's other way, for connections that are encrypted: between its socket and its link
 * stands a TLS session. Decides how bytes and ends pass through it; owns no socket, and of TLS
 * knows only tls.h.
 */
#ifndef DOP_UV_SECURE_H
#define DOP_UV_SECURE_H

#include "uv/stream.h"
#include "uv/tls.h"

/* What the loop's sessions share, made when it is first needed; NULL without memory. */
struct dop_tls_shared *dop_secure_shared(struct dop_loop *loop);

/* The stream will be encrypted. 0, or UV_ENOMEM. */
int dop_secure_stream(struct dop_stream *s, struct dop_tls_context *c);

/* The connection is there: a client speaks first. */
void dop_secure_begin(struct dop_stream *s);

/* Whether it has to wait with the next step of its handshake: a round has room for so many only. */
int dop_secure_waits(const struct dop_stream *s);

/* It waits: nothing is read until its turn comes, in one of the next rounds. */
void dop_secure_queue(struct dop_stream *s);
/* Gives up its place, or the turn that it has. Who has neither may leave as well. */
void dop_secure_leave(struct dop_stream *s);

static inline int dop_secure_queues(const struct dop_stream *s) {
  return s->tls && s->tls->queues;
}

/* n bytes came: decrypts them and feeds the link. May run handlers. */
void dop_secure_feed(struct dop_stream *s, char *data, size_t n);

/* The peer's end came, by its close_notify or without, or a libuv error in its place. */
void dop_secure_eof(struct dop_stream *s);
void dop_secure_lost(struct dop_stream *s, int err);

/* Encrypts and writes what the link has. 0 or a libuv error. */
int dop_secure_write(struct dop_stream *s);

/* Whether the link's output can never leave: its end shall not wait for that. */
int dop_secure_mute(const struct dop_stream *s);

/* Says that nothing more will come. */
void dop_secure_end(struct dop_stream *s);

/* For the application: the facts of the stream `driver`; see link/driver.h. */
int dop_secure_facts(void *driver, struct dop_tls_facts *facts);

#endif
