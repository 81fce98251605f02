/* Why TLS failed, in words and as a code of docs/api.md: what was wrong, with which value, and what
 * to do about it. Reads OpenSSL's queue and the peer's certificate; decides nothing. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "uv/tls.h"

__attribute__((format(printf, 3, 4))) static void tell(const struct dop_tls *t, const char *code,
                                                       const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(t->shared->why, DOP_TLS_WHY, format, args);
  va_end(args);
  t->shared->code = code;
}

int dop_tls_lacked_memory(void) {
  unsigned long error;
  int lacked = 0;
  while ((error = ERR_get_error()) != 0) lacked |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
  return lacked;
}

static void tell_no_memory(const struct dop_tls *t) {
  tell(t, "ENOMEM", "no memory for TLS");
}

/* --- certificates --- */

static int print_bio(BIO *bio, char *out, size_t size) {
  char *text;
  long len = BIO_get_mem_data(bio, &text);
  if (len < 0 || (size_t)len >= size) return -1;
  for (long i = 0; i < len; i++) out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
  out[len] = 0;
  return 0;
}

static int print_name(const X509_NAME *name, char *out, size_t size) {
  BIO *bio = BIO_new(BIO_s_mem());
  int ok = bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0;
  int err = ok ? print_bio(bio, out, size) : -1;
  BIO_free(bio);
  return err;
}

int dop_tls_subject(const X509 *cert, char *out, size_t size) {
  return print_name(X509_get_subject_name(cert), out, size);
}

static void print_time(const ASN1_TIME *time, char *out, size_t size) {
  BIO *bio = BIO_new(BIO_s_mem());
  if (!bio || ASN1_TIME_print(bio, time) != 1 || print_bio(bio, out, size))
    snprintf(out, size, "at an unreadable time");
  BIO_free(bio);
}

/* The first names that a certificate is for, "a, b, ...". */
static void print_names(const X509 *cert, char *out, size_t size) {
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  size_t used = 0;
  out[0] = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    BIO *bio = BIO_new(BIO_s_mem());
    char one[80];
    int ok = bio && GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(names, i)) == 1 &&
             print_bio(bio, one, sizeof one) == 0;
    BIO_free(bio);
    if (!ok) continue;
    if (used + strlen(one) + 8 > size) {
      strcpy(out + used, ", ...");
      break;
    }
    used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", one);
  }
  if (!out[0])
    snprintf(out, size, names ? "names that cannot be shown" : "nobody (it has no subjectAltName)");
  GENERAL_NAMES_free(names);
}

void dop_tls_explain_certificate(const struct dop_tls *t, int verdict, const X509 *cert) {
  const char *name = t->context->name ? t->context->name : "the client";
  char text[96] = "?";
  switch (verdict) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
    if (cert) print_time(X509_get0_notAfter(cert), text, sizeof text);
    tell(t, "TLS_EXPIRED", "the certificate of %s, or of its issuer, has expired (%s): renew it",
         name, text);
    break;
  case X509_V_ERR_CERT_NOT_YET_VALID:
    if (cert) print_time(X509_get0_notBefore(cert), text, sizeof text);
    tell(t, "TLS_EXPIRED", "the certificate of %s is not valid yet (from %s): is the clock right?",
         name, text);
    break;
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH:
    if (cert) print_names(cert, text, sizeof text);
    tell(t, "TLS_HOST", "the certificate is not for %s but for %s: dial that, or set server_name",
         name, text);
    break;
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_CERT_UNTRUSTED:
    if (cert) print_name(X509_get_issuer_name(cert), text, sizeof text);
    tell(t, "TLS_UNTRUSTED", "nobody trusted signed the certificate of %s (issuer %s): see \"ca\"",
         name, text);
    break;
  case X509_V_ERR_UNABLE_TO_GET_CRL:
    if (cert) print_name(X509_get_issuer_name(cert), text, sizeof text);
    tell(t, "TLS_CERT", "\"crl\" has no list of who signed the certificate of %s (issuer %s)", name,
         text);
    break;
  case X509_V_ERR_OUT_OF_MEM:
    tell_no_memory(t);
    break;
  default:
    tell(t, "TLS_CERT", "the certificate of %s cannot be used: %s", name,
         X509_verify_cert_error_string(verdict));
  }
}

/* --- alerts and reasons --- */

static int is_alert(int reason) {
  return reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
}

/* What the peer says of our certificate. */
static int is_about_certificates(int alert) {
  switch (alert) {
  case SSL_AD_BAD_CERTIFICATE:
  case SSL_AD_UNSUPPORTED_CERTIFICATE:
  case SSL_AD_CERTIFICATE_REVOKED:
  case SSL_AD_CERTIFICATE_EXPIRED:
  case SSL_AD_CERTIFICATE_UNKNOWN:
  case SSL_AD_UNKNOWN_CA:
  case SSL_AD_ACCESS_DENIED:
  case SSL_AD_CERTIFICATE_REQUIRED:
    return 1;
  default:
    return 0;
  }
}

static int is_about_versions(int reason) {
  switch (reason) {
  case SSL_R_UNSUPPORTED_PROTOCOL:
  case SSL_R_NO_PROTOCOLS_AVAILABLE:
  case SSL_R_NO_CIPHERS_AVAILABLE:
  case SSL_R_NO_SHARED_CIPHER:
  case SSL_R_WRONG_SSL_VERSION:
  case SSL_R_WRONG_VERSION_NUMBER:
  case SSL_R_UNKNOWN_PROTOCOL:
  case SSL_R_VERSION_TOO_LOW:
  case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
#ifdef SSL_R_NO_SUITABLE_GROUPS
  case SSL_R_NO_SUITABLE_GROUPS:
#endif
  case SSL_R_NO_SUITABLE_KEY_SHARE:
  case SSL_AD_REASON_OFFSET + SSL_AD_PROTOCOL_VERSION:
  case SSL_AD_REASON_OFFSET + SSL_AD_INSUFFICIENT_SECURITY:
    return 1;
  default:
    return 0;
  }
}

static void explain_alert(const struct dop_tls *t, int alert, const char *text) {
  int own = t->asked && SSL_get_certificate(t->ssl) != NULL;
  /* Before TLS 1.3 the handshake's failure is all that a missing certificate is answered with. */
  if (is_about_certificates(alert) || (alert == SSL_AD_HANDSHAKE_FAILURE && t->asked)) {
    if (t->context->server)
      tell(t, "TLS_CERT", "the client refuses this server's certificate: %s", text);
    else if (own)
      tell(t, "TLS_CLIENTCERT", "the server refuses the certificate in tls.cert: %s", text);
    else
      tell(t, "TLS_CLIENTCERT", "the server wants a client certificate: set tls.cert and tls.key");
  } else if (alert == SSL_AD_HANDSHAKE_FAILURE) {
    tell(t, "TLS_VERSION", "the peer shares no version or cipher with this end: %s", text);
  } else if (alert == SSL_AD_NO_APPLICATION_PROTOCOL) {
    tell(t, "TLS", "the peer does not speak http/1.1 on this port (ALPN): %s", text);
  } else {
    tell(t, "TLS", "the peer ended TLS: %s", text);
  }
}

void dop_tls_explain(const struct dop_tls *t) {
  unsigned long error = ERR_peek_error();
  int reason = ERR_GET_REASON(error);
  const char *text = ERR_reason_error_string(error);
  if (!text) text = "no reason given";
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && t->judged)
    return; /* it was told when it was looked at */
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
    tell(t, "TLS_CLIENTCERT", "the client has no certificate, and one is required");
  else if (dop_tls_lacked_memory() || !error)
    tell_no_memory(t);
  else if (is_about_versions(reason))
    tell(t, "TLS_VERSION", "the peer shares no version or cipher with this end: %s", text);
  else if (is_alert(reason))
    explain_alert(t, reason - SSL_AD_REASON_OFFSET, text);
  else
    tell(t, "TLS", "TLS failed: %s", text);
}

void dop_tls_explain_bytes(const struct dop_tls *t, const char *data, size_t len) {
  char shown[25];
  /* A server writes it down: of a request only the first word, behind it may be a secret. */
  const char *ends = t->context->server ? "\r\n ?" : "\r\n";
  size_t n = 0;
  while (n < len && n < sizeof shown - 1 && !(data[n] && strchr(ends, data[n]))) {
    shown[n] = data[n] >= ' ' && data[n] <= '~' && data[n] != '"' ? data[n] : '?';
    n++;
  }
  shown[n] = 0;
  if (t->context->server)
    tell(t, "TLS_NOTTLS", "the client does not speak TLS: it began with \"%s\"", shown);
  else
    tell(t, "TLS_NOTTLS", "no TLS is spoken there: the answer began with \"%s\"; is the URL ws:?",
         shown);
}
