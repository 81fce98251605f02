/* Certificates, keys and trust for TLS sessions; see tls_context.h. Never shows key material: what
 * is told names the file, and OpenSSL's reason. */
#include "uv/tls_context.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "uv/tls.h"

#define FILE_MAX (1 << 20) /* of a file in PEM: what is larger is not one */
/* RFC 9525 6.3, and 2: a subject is no name to dial. */
#define HOST_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

struct dop_tls_host {
  struct dop_tls_host *next;
  SSL_CTX *ctx; /* keeps the certificate, its chain and its key; no session is of it */
  char name[];
};

/* What a context is being made with: where it goes wrong is told here. */
struct making {
  const char **code;
  char *why;
};

static const char *reason(void) {
  const char *text = ERR_reason_error_string(ERR_peek_last_error());
  return text ? text : "no reason given";
}

static int no_memory(struct making *m) {
  snprintf(m->why, DOP_TLS_WHY, "no memory for TLS");
  *m->code = "ENOMEM";
  return -1;
}

__attribute__((format(printf, 2, 3))) static int fail(struct making *m, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(m->why, DOP_TLS_WHY, format, args);
  va_end(args);
  *m->code = "BADTLS";
  return -1;
}

/* The same for what OpenSSL cannot use: it says why, or it has no memory. */
__attribute__((format(printf, 2, 3))) static int refuse(struct making *m, const char *format, ...) {
  va_list args;
  int silent = !ERR_peek_error();
  va_start(args, format);
  vsnprintf(m->why, DOP_TLS_WHY, format, args);
  va_end(args);
  *m->code = "BADTLS";
  return dop_tls_lacked_memory() || silent ? no_memory(m) : -1;
}

/* --- files --- */

/* Also with words before it, as some tools write them, and where lines show that it is a text, if
 * of something else: it may be a key, and would be told as the name of a file. */
static int is_pem(const char *text) {
  return strstr(text, "-----BEGIN") || strchr(text, '\n');
}

/* How a source is called in a sentence: a text in PEM is not repeated. */
static const char *shown(const char *source) {
  return is_pem(source) ? "(PEM text)" : source;
}

/* The text in a new memory BIO; `what` is "key". NULL with the sentence. */
static BIO *read_source(struct making *m, const char *what, const char *source) {
  BIO *bio = BIO_new(BIO_s_mem());
  char block[4096];
  size_t n, sum = 0;
  if (!bio) {
    no_memory(m);
    return NULL;
  }
  if (is_pem(source)) {
    if (BIO_write(bio, source, (int)strlen(source)) > 0) return bio;
    no_memory(m);
    BIO_free(bio);
    return NULL;
  }
  FILE *file = fopen(source, "rbe");
  int err = file ? 0 : errno;
  while (!err && (n = fread(block, 1, sizeof block, file)) > 0) {
    sum += n;
    if (sum > FILE_MAX)
      err = EFBIG;
    else if (BIO_write(bio, block, (int)n) <= 0)
      err = ENOMEM;
  }
  if (file && !err && ferror(file)) err = errno;
  if (file) fclose(file);
  OPENSSL_cleanse(block, sizeof block);
  if (!err) return bio;
  BIO_free(bio);
  if (err == ENOMEM)
    no_memory(m);
  else
    fail(m, "cannot read the %s %s: %s", what, source, strerror(err));
  return NULL;
}

/* OpenSSL would ask at the terminal, and the process would stand still. */
static int no_passphrase(char *buf, int size, int writing, void *asked) {
  (void)buf, (void)size, (void)writing;
  *(int *)asked = 1;
  return -1;
}

static int use_certificates(struct making *m, SSL_CTX *ctx, const char *source) {
  BIO *bio = read_source(m, "certificate", source);
  int asked = 0, err = -1;
  if (!bio) return -1;
  X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &asked);
  if (!cert) {
    refuse(m, "no certificate in PEM in %s: %s", shown(source), reason());
  } else if (SSL_CTX_use_certificate(ctx, cert) != 1) {
    refuse(m, "the certificate %s cannot be used: %s", shown(source), reason());
  } else {
    err = 0;
    X509 *link;
    while (!err && (link = PEM_read_bio_X509(bio, NULL, no_passphrase, &asked))) {
      if (SSL_CTX_add0_chain_cert(ctx, link) == 1) continue;
      X509_free(link);
      err = refuse(m, "the chain in %s cannot be used: %s", shown(source), reason());
    }
    if (!err && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
      err = refuse(m, "the chain in %s cannot be read: %s", shown(source), reason());
    ERR_clear_error();
  }
  X509_free(cert);
  BIO_free(bio);
  return err;
}

static int use_key(struct making *m, SSL_CTX *ctx, const char *source, const char *cert) {
  BIO *bio = read_source(m, "key", source);
  int asked = 0, err = 0;
  if (!bio) return -1;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
  if (!key && asked)
    err = fail(m, "the key %s is encrypted: give one without a passphrase", shown(source));
  else if (!key)
    err = refuse(m, "no private key in PEM in %s: %s", shown(source), reason());
  else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
    err = refuse(m, "the key %s does not fit the certificate %s: %s", shown(source), shown(cert),
                 reason());
  EVP_PKEY_free(key);
  BIO_free(bio);
  return err;
}

static int use_identity(struct making *m, SSL_CTX *ctx, const char *cert, const char *key) {
  if (!cert) return fail(m, "there is no certificate: cert is missing");
  return use_certificates(m, ctx, cert) ? -1 : use_key(m, ctx, key ? key : cert, cert);
}

/* --- trust --- */

/* These take the next of its kind out of `bio`: 1, 0 when there is none, -1 when it cannot be used.
 */
static int add_authority(SSL_CTX *ctx, BIO *bio, int tell) {
  int asked = 0;
  X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &asked);
  if (!cert) return 0;
  int ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) == 1 &&
           (!tell || SSL_CTX_add_client_CA(ctx, cert) == 1);
  X509_free(cert);
  return ok ? 1 : -1;
}

static int add_list(SSL_CTX *ctx, BIO *bio, int tell) {
  int asked = 0;
  (void)tell;
  X509_CRL *list = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, &asked);
  if (!list) return 0;
  int ok = X509_STORE_add_crl(SSL_CTX_get_cert_store(ctx), list) == 1;
  X509_CRL_free(list);
  return ok ? 1 : -1;
}

/* Adds all that `source` holds; `what` one of it is called. A server tells its clients the names of
 * the authorities. */
static int add_all(struct making *m, SSL_CTX *ctx, const char *what, const char *source,
                   int (*add)(SSL_CTX *ctx, BIO *bio, int tell), int tell) {
  BIO *bio = read_source(m, what, source);
  int count = 0, added, err = 0;
  if (!bio) return -1;
  while ((added = add(ctx, bio, tell)) > 0) count++;
  if (added < 0)
    err = refuse(m, "the %s in %s cannot be used: %s", what, shown(source), reason());
  else if (count && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    err = refuse(m, "a %s that cannot be read in %s: %s", what, shown(source), reason());
  else if (!count)
    err = refuse(m, "no %s in PEM in %s: %s", what, shown(source), reason());
  if (!err) ERR_clear_error();
  BIO_free(bio);
  return err;
}

/* A list of everybody in the chain is wanted: who leaves one away shall not have lifted the ban. */
static int use_lists(struct making *m, SSL_CTX *ctx, const char *source) {
  X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx),
                       X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return add_all(m, ctx, "revocation list", source, add_list, 0);
}

static int trust(struct making *m, SSL_CTX *ctx, const char *source, int tell) {
  struct stat st;
  if (is_pem(source) || stat(source, &st) || !S_ISDIR(st.st_mode))
    return add_all(m, ctx, "certificate", source, add_authority, tell);
  if (SSL_CTX_load_verify_locations(ctx, NULL, source) == 1) return 0;
  return refuse(m, "the authorities in %s cannot be used: %s", source, reason());
}

X509_STORE *dop_tls_system_store(void) {
  X509_STORE *store = X509_STORE_new();
  if (store && X509_STORE_set_default_paths(store) != 1) {
    X509_STORE_free(store);
    store = NULL;
  }
  ERR_clear_error();
  return store;
}

/* Whether the certificate names whom a client dials. OpenSSL was asked as well, but it copies the
 * name twice before it looks, and without memory for a copy it goes on as if there was none. */
static int names_peer(const struct dop_tls_context *c, X509 *cert) {
  if (c->server) return 1;
  if (c->by_address) return X509_check_ip_asc(cert, c->name, 0) == 1;
  return X509_check_host(cert, c->name, 0, HOST_FLAGS, NULL) == 1;
}

/* The certificate is at hand only now. */
static int note_verdict(int ok, X509_STORE_CTX *x) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct dop_tls *t = SSL_get_app_data(ssl);
  X509 *cert = X509_STORE_CTX_get_current_cert(x);
  if (ok && X509_STORE_CTX_get_error_depth(x) == 0 && !names_peer(dop_tls_context_of(t), cert)) {
    X509_STORE_CTX_set_error(x, X509_V_ERR_OUT_OF_MEM);
    ok = 0;
  }
  if (!ok) {
    dop_tls_explain_certificate(t, X509_STORE_CTX_get_error(x), cert);
    t->judged = 1;
  }
  return ok;
}

static int check_peer(struct making *m, struct dop_tls_context *c) {
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(c->ctx);
  SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, note_verdict);
  X509_VERIFY_PARAM_set_hostflags(param, HOST_FLAGS);
  int ok = c->by_address ? X509_VERIFY_PARAM_set1_ip_asc(param, c->name)
                         : X509_VERIFY_PARAM_set1_host(param, c->name, 0);
  return ok == 1 ? 0 : refuse(m, "no certificate can be checked for the name \"%s\"", c->name);
}

/* Tickets bring a client's certificate back unchecked: they count only where the same authorities
 * are trusted in the same way, and the same certificates revoked. */
static int session_context(struct making *m, SSL_CTX *ctx, const struct dop_tls_settings *s) {
  unsigned char id[EVP_MAX_MD_SIZE] = {0};
  unsigned len = 0;
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  int mode = s->ask_cert + 2 * s->need_cert;
  int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(md, &mode, sizeof mode) == 1;
  if (ok && s->ca) ok = EVP_DigestUpdate(md, s->ca, strlen(s->ca)) == 1;
  STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
  for (int i = 0; ok && i < sk_X509_OBJECT_num(objects); i++) {
    unsigned char print[EVP_MAX_MD_SIZE];
    unsigned n;
    X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);
    X509 *cert = X509_OBJECT_get0_X509(object);
    X509_CRL *list = X509_OBJECT_get0_X509_CRL(object);
    if (cert)
      ok = X509_digest(cert, EVP_sha256(), print, &n) == 1;
    else if (list)
      ok = X509_CRL_digest(list, EVP_sha256(), print, &n) == 1;
    else
      continue;
    ok = ok && EVP_DigestUpdate(md, print, n) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(md, id, &len) == 1 &&
       SSL_CTX_set_session_id_context(ctx, id, len) == 1;
  EVP_MD_CTX_free(md);
  return ok ? 0 : no_memory(m);
}

/* --- what a handshake asks --- */

/* RFC 7301: an offer without ours is refused by the alert of that name. */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *len,
                           const unsigned char *offer, unsigned offer_len, void *arg) {
  static const char ours[] = "http/1.1";
  (void)ssl, (void)arg;
  for (unsigned i = 0; i < offer_len; i += 1u + offer[i]) {
    if (offer[i] != sizeof ours - 1 || memcmp(offer + i + 1, ours, sizeof ours - 1) != 0) continue;
    *out = offer + i + 1;
    *len = offer[i];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The name itself goes before a wildcard. */
static struct dop_tls_host *find_host(const struct dop_tls_context *c, const char *name) {
  const char *rest = strchr(name, '.');
  for (struct dop_tls_host *h = c->hosts; h; h = h->next)
    if (strcasecmp(h->name, name) == 0) return h;
  for (struct dop_tls_host *h = rest && rest != name ? c->hosts : NULL; h; h = h->next)
    if (h->name[0] == '*' && strcasecmp(h->name + 1, rest) == 0) return h;
  return NULL;
}

/* The session takes what it shows from there, and nothing else: made one of that context, it would
 * trust nobody, know no ALPN and take any cipher. */
static int show(SSL *ssl, SSL_CTX *ctx) {
  STACK_OF(X509) *chain = NULL;
  SSL_certs_clear(ssl);
  return SSL_CTX_get0_chain_certs(ctx, &chain) == 1 &&
         SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(ctx), SSL_CTX_get0_privatekey(ctx),
                              chain, 1) == 1;
}

static int select_host(SSL *ssl, int *alert, void *arg) {
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const struct dop_tls_host *h = name ? find_host(arg, name) : NULL;
  if (!h) return SSL_TLSEXT_ERR_NOACK; /* the certificate for everybody */
  if (show(ssl, h->ctx)) return SSL_TLSEXT_ERR_OK;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A server wants a certificate, whether there is one or not. */
static int note_request(SSL *ssl, void *arg) {
  struct dop_tls *t = SSL_get_app_data(ssl);
  (void)arg;
  t->asked = 1;
  return 1;
}

/* --- resumption --- */

/* Each connection of TLS 1.3 brings a new ticket that is good for two hours. All that come from one
 * handshake tell when that was, or one after the other they would be good for ever. */
#define CHECKED_FOR 7200 /* seconds */

static int is_fresh(int64_t checked_at) {
  return (int64_t)time(NULL) - checked_at < CHECKED_FOR;
}

/* A server makes a ticket; one that follows another has what that one said. */
static int stamp_ticket(SSL *ssl, void *arg) {
  int64_t now = (int64_t)time(NULL);
  (void)arg;
  return SSL_session_reused(ssl) ||
         SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &now, sizeof now) == 1;
}

/* A ticket came back. One that is not taken is as good as none: the handshake is a whole one. */
static SSL_TICKET_RETURN judge_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                      size_t name_len, SSL_TICKET_STATUS status, void *arg) {
  int64_t checked_at;
  void *data;
  size_t len;
  (void)ssl, (void)name, (void)name_len, (void)arg;
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != sizeof checked_at)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  memcpy(&checked_at, data, len);
  if (!is_fresh(checked_at)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* A server gave out a session: the newest one counts. Keeps the reference. */
static int keep_session(SSL *ssl, SSL_SESSION *session) {
  struct dop_tls *t = SSL_get_app_data(ssl);
  struct dop_tls_context *c = dop_tls_context_of(t);
  if (!SSL_session_reused(ssl)) c->checked_at = (int64_t)time(NULL);
  SSL_SESSION_free(c->last);
  c->last = session;
  return 1;
}

SSL_SESSION *dop_tls_context_session(struct dop_tls_context *c) {
  if (c->last && !is_fresh(c->checked_at)) dop_tls_context_forget(c);
  return c->last;
}

void dop_tls_context_forget(struct dop_tls_context *c) {
  SSL_SESSION_free(c->last);
  c->last = NULL;
}

/* What the peer says of TLS itself, and what it makes us say of it. */
static void note_message(int written, int version, int type, const void *data, size_t len, SSL *ssl,
                         void *arg) {
  (void)version, (void)data, (void)len, (void)arg;
  if (type == (written ? SSL3_RT_ALERT : SSL3_RT_HANDSHAKE)) dop_tls_count(SSL_get_app_data(ssl));
}

/* --- settings --- */

static SSL_CTX *new_ctx(struct making *m, const struct dop_tls_settings *s) {
  SSL_CTX *ctx = SSL_CTX_new(s->server ? TLS_server_method() : TLS_client_method());
  if (!ctx) {
    no_memory(m);
    return NULL;
  }
  SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ctx, 1); /* a record is taken at once, its head with it */
  SSL_CTX_set_msg_callback(ctx, note_message);
  SSL_CTX_set_min_proto_version(ctx, s->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(ctx, 0);
  return ctx;
}

/* Suites of TLS 1.3 begin with "TLS_" and go into a list of their own; a list without a name stays
 * as it was. */
static int use_ciphers(struct making *m, SSL_CTX *ctx, const char *list) {
  char old[1024] = "", new[1024] = "";
  for (const char *p = list; *p;) {
    size_t n = strcspn(p, ":");
    char *to = strncmp(p, "TLS_", 4) == 0 ? new : old;
    if (strlen(to) + n + 2 > sizeof old) return fail(m, "the list of ciphers is too long");
    if (*to) strcat(to, ":");
    strncat(to, p, n);
    p += n + (p[n] == ':');
  }
  if (*old && SSL_CTX_set_cipher_list(ctx, old) != 1)
    return refuse(m, "no cipher of TLS 1.2 is known in \"%s\": %s", old, reason());
  if (*new &&SSL_CTX_set_ciphersuites(ctx, new) != 1)
    return refuse(m, "a cipher of TLS 1.3 is not known in \"%s\": %s", new, reason());
  return 0;
}

static int set_server(struct making *m, struct dop_tls_context *c,
                      const struct dop_tls_settings *s) {
  SSL_CTX *ctx = c->ctx;
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need none */
  SSL_CTX_set_num_tickets(ctx, 1);                         /* a client has one connection */
  SSL_CTX_set_session_ticket_cb(ctx, stamp_ticket, judge_ticket, NULL);
  SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
  SSL_CTX_set_tlsext_servername_callback(ctx, select_host);
  SSL_CTX_set_tlsext_servername_arg(ctx, c);
  int mode = SSL_VERIFY_PEER | (s->need_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
  if (s->ask_cert || s->need_cert) SSL_CTX_set_verify(ctx, mode, note_verdict);
  if (s->ca && trust(m, ctx, s->ca, 1)) return -1;
  if (s->crl && use_lists(m, ctx, s->crl)) return -1;
  return session_context(m, ctx, s);
}

static int set_client(struct making *m, struct dop_tls_context *c, X509_STORE *store,
                      const struct dop_tls_settings *s) {
  static const unsigned char offer[] = "\10http/1.1";
  SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_sess_set_new_cb(c->ctx, keep_session);
  SSL_CTX_set_cert_cb(c->ctx, note_request, NULL);
  if (SSL_CTX_set_alpn_protos(c->ctx, offer, sizeof offer - 1) != 0) return no_memory(m);
  if (s->no_verify) return 0;
  if (s->ca && trust(m, c->ctx, s->ca, 0)) return -1;
  if (s->crl && use_lists(m, c->ctx, s->crl)) return -1; /* never into the system's store */
  if (!s->ca && !store) return no_memory(m);
  if (!s->ca) SSL_CTX_set1_cert_store(c->ctx, store);
  return check_peer(m, c);
}

#define NAME_MAX_LEN 255 /* what SNI has room for */

/* OpenSSL takes a name that begins with a dot for any name that ends so. */
static int take_name(struct making *m, struct dop_tls_context *c, const char *name) {
  unsigned char address[16];
  size_t len = strlen(name);
  if (name[0] == '.' || len > NAME_MAX_LEN)
    return fail(m, "\"%.80s\" is no name that a certificate can be for", name);
  c->name = c->api->zalloc(len + 1);
  if (!c->name) return no_memory(m);
  memcpy(c->name, name, len);
  c->by_address = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
  /* The root's dot is for the resolver: no certificate has it, and SNI may not (RFC 6066 3). */
  if (len > 1 && name[len - 1] == '.') c->name[len - 1] = 0;
  return 0;
}

struct dop_tls_context *dop_tls_context_new(const struct dop_driver_api *api, X509_STORE *store,
                                            const struct dop_tls_settings *s, const char **code,
                                            char why[DOP_TLS_WHY]) {
  struct making m = {code, why};
  struct dop_tls_context *c = api->zalloc(sizeof *c);
  ERR_clear_error();
  if (!c) {
    no_memory(&m);
    return NULL;
  }
  c->api = api;
  c->refs = 1;
  c->server = s->server != 0;
  int err = s->name ? take_name(&m, c, s->name) : 0;
  if (!err) err = (c->ctx = new_ctx(&m, s)) ? 0 : -1;
  if (!err && (s->cert || s->server)) err = use_identity(&m, c->ctx, s->cert, s->key);
  if (!err && s->ciphers) err = use_ciphers(&m, c->ctx, s->ciphers);
  if (!err) err = s->server ? set_server(&m, c, s) : set_client(&m, c, store, s);
  ERR_clear_error();
  if (!err) return c;
  dop_tls_context_unref(c);
  return NULL;
}

int dop_tls_context_host(struct dop_tls_context *c, const char *name, const char *cert,
                         const char *key, const char **code, char why[DOP_TLS_WHY]) {
  struct making m = {code, why};
  size_t len = strlen(name);
  ERR_clear_error();
  struct dop_tls_host *h = c->api->zalloc(sizeof *h + len + 1);
  if (!h) return no_memory(&m);
  memcpy(h->name, name, len);
  h->ctx = SSL_CTX_new(TLS_server_method());
  int err = h->ctx ? use_identity(&m, h->ctx, cert, key) : no_memory(&m);
  ERR_clear_error();
  if (err) {
    SSL_CTX_free(h->ctx);
    c->api->free(h);
    return -1;
  }
  h->next = c->hosts;
  c->hosts = h;
  return 0;
}

int dop_tls_context_inherit(struct dop_tls_context *to, struct dop_tls_context *from) {
  unsigned char keys[128];
  long len = SSL_CTX_get_tlsext_ticket_keys(from->ctx, NULL, 0);
  int ok = len > 0 && len <= (long)sizeof keys &&
           SSL_CTX_get_tlsext_ticket_keys(from->ctx, keys, len) == 1 &&
           SSL_CTX_set_tlsext_ticket_keys(to->ctx, keys, len) == 1;
  OPENSSL_cleanse(keys, sizeof keys);
  ERR_clear_error();
  return ok ? 0 : -1;
}

void dop_tls_context_ref(struct dop_tls_context *c) {
  c->refs++;
}

void dop_tls_context_unref(struct dop_tls_context *c) {
  if (!c || --c->refs) return;
  for (struct dop_tls_host *h = c->hosts, *next; h; h = next) {
    next = h->next;
    SSL_CTX_free(h->ctx);
    c->api->free(h);
  }
  dop_tls_context_forget(c);
  SSL_CTX_free(c->ctx);
  c->api->free(c->name);
  c->api->free(c);
}
