/* One TLS session on the loop's shared BIO; see tls.h. */
#include "uv/tls.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define HANDSHAKE 0x16 /* what a record begins with, RFC 8446 5.1 */
#define ALERT     0x15

/* Small records, as long as nothing says that large ones arrive: one fits into a segment of TCP,
 * and they cost a fiftieth more. */
#define SMALL    1369
#define CAUTIOUS 65536 /* for so many bytes ... */
#define IDLE_MS  1000  /* ... after so long without a write */

#define TALK_MAX 64 /* messages of TLS about itself in a second; a handshake has a dozen */

/* --- the BIO --- */

static int bio_read(BIO *bio, char *to, int size) {
  struct dop_tls_shared *shared = BIO_get_data(bio);
  size_t n = (size_t)size < shared->in_len ? (size_t)size : shared->in_len;
  BIO_clear_retry_flags(bio);
  if (n == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  memcpy(to, shared->in, n);
  shared->in += n;
  shared->in_len -= n;
  return (int)n;
}

static int bio_write(BIO *bio, const char *data, int len) {
  struct dop_tls_shared *shared = BIO_get_data(bio);
  size_t room = DOP_TLS_OUT - shared->out_len;
  size_t n = (size_t)len < room ? (size_t)len : room;
  BIO_clear_retry_flags(bio);
  if (n == 0) {
    BIO_set_retry_write(bio);
    return -1;
  }
  memcpy(shared->out + shared->out_len, data, n);
  shared->out_len += n;
  return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
  (void)bio, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

struct dop_tls_shared *dop_tls_shared_new(const struct dop_driver_api *api) {
  struct dop_tls_shared *shared = api->zalloc(sizeof *shared);
  if (!shared) return NULL;
  shared->api = api;
  shared->plain = api->zalloc(DOP_TLS_PLAIN);
  shared->out = api->zalloc(DOP_TLS_OUT);
  shared->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "dop");
  int ok = shared->plain && shared->out && shared->method &&
           BIO_meth_set_read(shared->method, bio_read) == 1 &&
           BIO_meth_set_write(shared->method, bio_write) == 1 &&
           BIO_meth_set_ctrl(shared->method, bio_ctrl) == 1 &&
           (shared->bio = BIO_new(shared->method)) != NULL;
  ERR_clear_error();
  if (!ok) {
    dop_tls_shared_free(shared);
    return NULL;
  }
  BIO_set_data(shared->bio, shared);
  BIO_set_init(shared->bio, 1);
  return shared;
}

void dop_tls_shared_free(struct dop_tls_shared *shared) {
  if (!shared) return;
  BIO_free(shared->bio);
  BIO_meth_free(shared->method);
  X509_STORE_free(shared->store);
  shared->api->free(shared->plain);
  shared->api->free(shared->out);
  shared->api->free(shared);
}

/* --- life --- */

struct dop_tls *dop_tls_new(struct dop_tls_shared *shared, struct dop_tls_context *c) {
  struct dop_tls *t = shared->api->zalloc(sizeof *t);
  if (!t) return NULL;
  t->shared = shared;
  t->context = c;
  dop_tls_context_ref(c);
  return t;
}

void dop_tls_free(struct dop_tls *t) {
  if (!t) return;
  if (t->ssl) {
    /* Or OpenSSL would take the session for broken, and a client could not resume it. */
    if (!t->failed) SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    ERR_clear_error();
  }
  dop_tls_context_unref(t->context);
  t->shared->api->free(t);
}

struct dop_tls_context *dop_tls_context_of(const struct dop_tls *t) {
  return t->context;
}

/* Both limits: OpenSSL lowers the second with the first, and does not raise it again. */
static void limit_records(SSL *ssl, long size) {
  SSL_set_max_send_fragment(ssl, size);
  SSL_set_split_send_fragment(ssl, size);
}

static int make_ssl(struct dop_tls *t) {
  struct dop_tls_context *c = t->context;
  SSL *ssl = t->ssl = SSL_new(c->ctx);
  if (!ssl) return -1;
  BIO_up_ref(t->shared->bio);
  SSL_set_bio(ssl, t->shared->bio, t->shared->bio);
  if (SSL_set_app_data(ssl, t) != 1) return -1; /* what OpenSSL calls back relies on it */
  t->cautious = CAUTIOUS;
  limit_records(ssl, SMALL);
  if (c->server) {
    SSL_set_accept_state(ssl);
    return 0;
  }
  SSL_set_connect_state(ssl);
  if (c->name && !c->by_address && SSL_set_tlsext_host_name(ssl, c->name) != 1) return -1;
  SSL_SESSION *last = dop_tls_context_session(c);
  return !last || SSL_set_session(ssl, last) == 1 ? 0 : -1;
}

/* --- operations --- */

static enum dop_tls_step give_up(struct dop_tls *t) {
  struct dop_tls_context *c = t->context;
  t->failed = t->over = 1;
  t->shared->in_len = 0;
  ERR_clear_error();
  if (!c->server && !t->ready) dop_tls_context_forget(c); /* it may be what the server minds */
  return DOP_TLS_FAILED;
}

static enum dop_tls_step no_memory(struct dop_tls *t) {
  t->shared->code = "ENOMEM";
  snprintf(t->shared->why, DOP_TLS_WHY, "no memory for TLS");
  return give_up(t);
}

/* What an operation that did not do all means. */
static enum dop_tls_step judge(struct dop_tls *t, int result) {
  switch (SSL_get_error(t->ssl, result)) {
  case SSL_ERROR_WANT_READ:
    return DOP_TLS_WAIT;
  case SSL_ERROR_WANT_WRITE:
    return DOP_TLS_MORE;
  case SSL_ERROR_ZERO_RETURN:
    t->over = 1;
    t->shared->in_len = 0;
    return DOP_TLS_END;
  default:
    dop_tls_explain(t);
    return give_up(t);
  }
}

enum dop_tls_step dop_tls_begin(struct dop_tls *t) {
  ERR_clear_error();
  if (make_ssl(t)) return no_memory(t);
  int result = SSL_do_handshake(t->ssl);
  return result == 1 ? DOP_TLS_DONE : judge(t, result);
}

void dop_tls_count(struct dop_tls *t) {
  if (t->talk <= TALK_MAX) t->talk++;
  /* OpenSSL looks at nothing more, not at what it has read already either. */
  if (t->talk > TALK_MAX) SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

static enum dop_tls_step too_talkative(struct dop_tls *t) {
  t->shared->code = "TLS";
  snprintf(t->shared->why, DOP_TLS_WHY,
           "the peer sends too many messages of TLS without data: key updates, renegotiations");
  return give_up(t);
}

/* Whether the first bytes can be TLS: a peer that speaks something else is better told so than that
 * a version is wrong. */
static enum dop_tls_step look(struct dop_tls *t) {
  const struct dop_tls_shared *shared = t->shared;
  char first = shared->in[0];
  t->begun = 1;
  if (first == HANDSHAKE || (first == ALERT && !t->context->server)) return DOP_TLS_DONE;
  dop_tls_explain_bytes(t, shared->in, shared->in_len);
  give_up(t);
  return t->context->server && first >= 'A' && first <= 'Z' ? DOP_TLS_HTTP : DOP_TLS_FAILED;
}

enum dop_tls_step dop_tls_read(struct dop_tls *t, uint64_t now, size_t *n) {
  struct dop_tls_shared *shared = t->shared;
  enum dop_tls_step step = DOP_TLS_DONE;
  *n = 0;
  if (t->over) {
    shared->in_len = 0;
    return DOP_TLS_DONE;
  }
  ERR_clear_error();
  if (!t->begun && shared->in_len) step = look(t);
  if (step != DOP_TLS_DONE) return step;
  if (!t->ssl && make_ssl(t)) return no_memory(t);
  if (t->second != (uint32_t)(now >> 10)) t->talk = 0; /* seconds of 1024 ms do to count by */
  t->second = (uint32_t)(now >> 10);
  while (*n < DOP_TLS_PLAIN) {
    size_t got;
    int result = SSL_read_ex(t->ssl, shared->plain + *n, DOP_TLS_PLAIN - *n, &got);
    if (t->talk > TALK_MAX) return too_talkative(t);
    if (result == 1) {
      *n += got;
      /* The call that would only say so is saved. */
      if (!shared->in_len && !SSL_has_pending(t->ssl)) break;
      continue;
    }
    step = judge(t, result);
    break;
  }
  if (!t->ready && !t->failed && SSL_is_init_finished(t->ssl)) t->ready = 1;
  if (*n == DOP_TLS_PLAIN) return DOP_TLS_MORE;
  return step == DOP_TLS_WAIT ? DOP_TLS_DONE : step;
}

/* `len` bytes were encrypted. OpenSSL's buffer of the old size is gone: it keeps none that is
 * empty.
 */
static void note_written(struct dop_tls *t, size_t len) {
  if (!t->cautious) return;
  t->cautious = len < t->cautious ? t->cautious - (uint32_t)len : 0;
  if (!t->cautious) limit_records(t->ssl, SSL3_RT_MAX_PLAIN_LENGTH);
}

enum dop_tls_step dop_tls_write(struct dop_tls *t, const char *data, size_t len, uint64_t now) {
  size_t written;
  if ((uint32_t)now - t->wrote_at >= IDLE_MS) {
    if (!t->cautious) limit_records(t->ssl, SMALL);
    t->cautious = CAUTIOUS;
  }
  t->wrote_at = (uint32_t)now;
  ERR_clear_error();
  int result = SSL_write_ex(t->ssl, data, len, &written);
  if (result != 1) return judge(t, result);
  note_written(t, len);
  return DOP_TLS_DONE;
}

void dop_tls_end(struct dop_tls *t) {
  if (!t->ready || t->failed || SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) return;
  ERR_clear_error();
  SSL_shutdown(t->ssl);
  ERR_clear_error();
}

/* --- facts --- */

static void peer_facts(struct dop_tls_facts *f, X509 *cert) {
  static const char digits[] = "0123456789abcdef";
  unsigned char print[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  char *to = f->text;
  if (X509_digest(cert, EVP_sha256(), print, &len) == 1) {
    f->fingerprint = to;
    for (unsigned i = 0; i < len; i++) {
      *to++ = digits[print[i] >> 4];
      *to++ = digits[print[i] & 15];
    }
    *to++ = 0;
  }
  /* A shortened one could be taken for another's. */
  if (dop_tls_subject(cert, to, (size_t)(f->text + sizeof f->text - to)) == 0) f->subject = to;
}

int dop_tls_facts(const struct dop_tls *t, struct dop_tls_facts *f) {
  memset(f, 0, sizeof *f);
  if (!t->ready || t->failed) return -1;
  const unsigned char *protocol;
  unsigned len;
  f->version = SSL_get_version(t->ssl);
  f->cipher = SSL_get_cipher_name(t->ssl);
  f->resumed = SSL_session_reused(t->ssl) == 1;
  f->server_name = t->context->server       ? SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)
                   : t->context->by_address ? NULL
                                            : t->context->name;
  SSL_get0_alpn_selected(t->ssl, &protocol, &len);
  if (len) f->protocol = "http/1.1"; /* there is no other */
  X509 *cert = SSL_get_peer_certificate(t->ssl);
  if (cert) peer_facts(f, cert);
  X509_free(cert);
  ERR_clear_error();
  return 0;
}
