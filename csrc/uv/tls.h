/* TLS between a socket and its link, both roles: what came from the network goes in and plaintext
 * comes out, plaintext goes in and what is to be sent comes out. Never touches a socket and never
 * waits.
 *
 * All sessions of a loop share one BIO: its read side is the bytes of the moment, its write side a
 * buffer of the loop's that is emptied before another session has its turn. So an idle session
 * holds nothing but OpenSSL's own objects. OpenSSL's queue of errors is empty before each operation
 * and after it: no session sees another's, nor does the rest of the process.
 */
#ifndef DOP_UV_TLS_H
#define DOP_UV_TLS_H

#include "uv/tls_context.h"

#define DOP_TLS_PLAIN 65536 /* bytes of plaintext that are handed on at once */
#define DOP_TLS_CHUNK 65536 /* bytes of plaintext that are encrypted at once */
#define DOP_TLS_OUT   70656 /* room for them with the records' heads and tails */

/* What the sessions of a loop share. */
struct dop_tls_shared {
  const struct dop_driver_api *api;
  BIO_METHOD *method;
  BIO *bio;
  X509_STORE *store; /* the system's authorities, once a client wanted them */
  const char *in;    /* what came and was not looked at yet */
  size_t in_len;
  size_t out_len;        /* bytes in `out` */
  char *plain;           /* DOP_TLS_PLAIN */
  char *out;             /* DOP_TLS_OUT */
  const char *code;      /* of the last operation that failed: of docs/api.md, ... */
  char why[DOP_TLS_WHY]; /* ... and a sentence */
};

struct dop_tls {
  struct dop_tls_shared *shared;
  struct dop_tls_context *context;
  SSL *ssl;          /* made when the first byte comes or goes */
  uint32_t queued;   /* bytes that the stream waits for the system to take */
  uint32_t wrote_at; /* ms */
  uint32_t cautious; /* bytes that still go in small records; 0: they may be large */
  uint32_t second;   /* of what is counted in `talk` */
  struct dop_stream *ahead, *behind; /* for secure.c: of those whose handshakes wait */
  unsigned requests : 16;            /* in so many requests */
  unsigned ready : 1;                /* the handshake is done */
  unsigned asked : 1;                /* a client: the server asked for a certificate */
  unsigned over : 1;                 /* nothing more will be read: the peer said so, or it failed */
  unsigned failed : 1;
  unsigned judged : 1; /* the peer's certificate is bad, and the reason told */
  unsigned begun : 1;  /* something came */
  unsigned queues : 1; /* its stream waits for its turn, */
  unsigned line : 1;   /* ... in this line, */
  unsigned turn : 1;   /* ... or has it */
  unsigned talk : 8;   /* messages of TLS about itself in this second, see dop_tls_count() */
};

enum dop_tls_step {
  DOP_TLS_DONE,   /* all that came was looked at, or all that was given is in `out` */
  DOP_TLS_MORE,   /* there is more: hand the plaintext on, empty `out`, call again */
  DOP_TLS_WAIT,   /* it has to wait for bytes of the peer */
  DOP_TLS_END,    /* the peer's close_notify */
  DOP_TLS_FAILED, /* shared->code, shared->why; an alert may be in `out` */
  DOP_TLS_HTTP,   /* a server: a request in plain HTTP came */
};

/* NULL without memory. */
struct dop_tls_shared *dop_tls_shared_new(const struct dop_driver_api *api);
void dop_tls_shared_free(struct dop_tls_shared *shared); /* NULL is allowed */

/* Holds a reference of the context. NULL without memory. */
struct dop_tls *dop_tls_new(struct dop_tls_shared *shared, struct dop_tls_context *c);
void dop_tls_free(struct dop_tls *t); /* NULL is allowed */

/* A client speaks first. */
enum dop_tls_step dop_tls_begin(struct dop_tls *t);

/* Looks at shared->in, and fills shared->plain with *n bytes; `now` is in ms. */
enum dop_tls_step dop_tls_read(struct dop_tls *t, uint64_t now, size_t *n);

/* Encrypts all of at most DOP_TLS_CHUNK bytes; on MORE and WAIT it is called again with the same
 * ones. A record is worth nothing before its last byte is there, so on a connection that may be a
 * bad one they are small: at first, and after a time without a write; `now` is in ms. */
enum dop_tls_step dop_tls_write(struct dop_tls *t, const char *data, size_t len, uint64_t now);

/* Puts a close_notify into `out`. */
void dop_tls_end(struct dop_tls *t);

struct dop_tls_context *dop_tls_context_of(const struct dop_tls *t);

/* For the context: the peer made OpenSSL work without bringing data. Some of that is part of every
 * session; a flood of it, key updates before all, would cost this end far more than the peer, and
 * OpenSSL has no bound for it. What exceeds ours ends the session. */
void dop_tls_count(struct dop_tls *t);

/* What is known about the session, for the application. -1 before the handshake is done. */
int dop_tls_facts(const struct dop_tls *t, struct dop_tls_facts *facts);

/* For the check of the peer's certificate: it fails for `verdict` (X509_V_ERR_...) and `cert`,
 * which may be NULL. */
void dop_tls_explain_certificate(const struct dop_tls *t, int verdict, const X509 *cert);

/* For tls.c: fills in shared->code and shared->why from OpenSSL's queue; or, for an answer that is
 * no TLS, from how it begins. */
void dop_tls_explain(const struct dop_tls *t);
void dop_tls_explain_bytes(const struct dop_tls *t, const char *data, size_t len);

/* Whether one of the errors in OpenSSL's queue is that there was no memory, whatever the others
 * make of it. Empties the queue. */
int dop_tls_lacked_memory(void);

/* The subject of a certificate in RFC 2253's form, printable ASCII. -1 when it does not fit. */
int dop_tls_subject(const X509 *cert, char *out, size_t size);

#endif
