/* What the TLS sessions of a listener, or of a client, have in common: certificate, key, whom they
 * trust, what they speak.
 *
 * Made once from the application's settings, read by every session, replaced as a whole by a
 * reload; each session holds a reference, so that old ones go on as they began. A client's keeps
 * the newest session that a server gave out, for the next connection to resume. Opens files only
 * while it is made.
 */
#ifndef DOP_UV_TLS_CONTEXT_H
#define DOP_UV_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "link/driver.h"

#define DOP_TLS_WHY 512 /* room for a sentence with a path in it */

/* Files or directories by path, or texts in PEM that begin with "-----BEGIN"; NULL: not given. */
struct dop_tls_settings {
  int server;
  const char *cert, *key, *ca; /* key NULL: it stands in `cert` */
  const char *crl;             /* lists of what was revoked, needs `ca` */
  const char *ciphers;
  const char *name; /* a client's: whom the certificate must name, and SNI */
  int tls13_only;
  int no_verify;           /* a client's: anybody will do */
  int ask_cert, need_cert; /* a server's: for a client certificate */
};

struct dop_tls_host; /* a further name with a certificate of its own */

struct dop_tls_context {
  const struct dop_driver_api *api;
  SSL_CTX *ctx;
  struct dop_tls_host *hosts;
  SSL_SESSION *last;  /* a client's: to be resumed by the next connection */
  int64_t checked_at; /* s; when the certificate that stands behind it was looked at */
  char *name;         /* settings.name */
  uint32_t refs;
  unsigned server : 1;
  unsigned by_address : 1; /* name is an address: there is no SNI for those */
};

/* NULL, with the error's code of docs/api.md and a sentence. `store` are the authorities that a
 * client trusts when `ca` is not given, see dop_tls_system_store(). */
struct dop_tls_context *dop_tls_context_new(const struct dop_driver_api *api, X509_STORE *store,
                                            const struct dop_tls_settings *settings,
                                            const char **code, char why[DOP_TLS_WHY]);

/* Clients that ask for `name` (without regard to case; "*.example.org" is every name one label
 * longer) get this certificate. 0, or -1 as above. */
int dop_tls_context_host(struct dop_tls_context *c, const char *name, const char *cert,
                         const char *key, const char **code, char why[DOP_TLS_WHY]);

/* Tickets that `from` gave out are good with `to`. 0, or -1 without memory. */
int dop_tls_context_inherit(struct dop_tls_context *to, struct dop_tls_context *from);

/* A client's: the session that the next connection may resume, NULL: none; and that none shall. */
SSL_SESSION *dop_tls_context_session(struct dop_tls_context *c);
void dop_tls_context_forget(struct dop_tls_context *c);

void dop_tls_context_ref(struct dop_tls_context *c);
void dop_tls_context_unref(struct dop_tls_context *c); /* NULL is allowed */

/* The system's authorities, NULL without memory. */
X509_STORE *dop_tls_system_store(void);

#endif
