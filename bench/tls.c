/* Socket calls through OpenSSL; see tls.h. It reads ahead, in both ends: a record costs one system
 * call instead of two. */
#define _GNU_SOURCE 1
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static SSL_CTX *ctx;
static SSL **sessions; /* by descriptor */
static int room;
static bool server;

static bool begin(bool as_server, bool keep_buffers) {
  long mode = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
  server = as_server;
  ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  if (!ctx) return false;
  SSL_CTX_set_mode(ctx, keep_buffers ? mode : mode | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 1);
  return true;
}

bool tls_server(const char *cert, const char *key, bool keep_buffers) {
  return begin(true, keep_buffers) && SSL_CTX_use_certificate_chain_file(ctx, cert) == 1 &&
         SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1;
}

bool tls_client(void) {
  return begin(false, true);
}

static SSL *new_session(int fd) {
  SSL *ssl = SSL_new(ctx);
  if (!ssl || SSL_set_fd(ssl, fd) != 1) {
    fprintf(stderr, "no memory for TLS\n");
    exit(1);
  }
  if (server)
    SSL_set_accept_state(ssl);
  else
    SSL_set_connect_state(ssl);
  return ssl;
}

static SSL *session(int fd) {
  if (fd >= room) {
    int more = fd < 512 ? 1024 : 2 * fd;
    sessions = realloc(sessions, (size_t)more * sizeof *sessions);
    if (!sessions) abort();
    while (room < more) sessions[room++] = NULL;
  }
  if (!sessions[fd]) sessions[fd] = new_session(fd);
  return sessions[fd];
}

static ssize_t result(SSL *ssl, int n) {
  if (n > 0) return n;
  errno = 0;
  switch (SSL_get_error(ssl, n)) {
  case SSL_ERROR_WANT_READ:
  case SSL_ERROR_WANT_WRITE:
    errno = EAGAIN;
    return -1;
  case SSL_ERROR_ZERO_RETURN:
    return 0;
  default:
    ERR_clear_error();
    if (!errno) errno = EPROTO;
    return -1;
  }
}

ssize_t tls_recv(int fd, void *to, size_t size) {
  if (!ctx) return recv(fd, to, size, 0);
  SSL *ssl = session(fd);
  ERR_clear_error();
  /* What came with one call of the system is handed out together. */
  size_t sum = 0;
  int n;
  while ((n = SSL_read(ssl, (char *)to + sum, (int)(size - sum))) > 0) {
    sum += (size_t)n;
    if (sum == size || !SSL_has_pending(ssl)) break;
  }
  return sum ? (ssize_t)sum : result(ssl, n);
}

ssize_t tls_send(int fd, const void *from, size_t size) {
  if (!ctx) return send(fd, from, size, MSG_NOSIGNAL);
  ERR_clear_error();
  return result(session(fd), SSL_write(session(fd), from, (int)size));
}

bool tls_pending(int fd) {
  return ctx && fd < room && sessions[fd] && SSL_has_pending(sessions[fd]);
}

void tls_end(int fd) {
  if (ctx) SSL_shutdown(session(fd));
  shutdown(fd, SHUT_WR);
}

void tls_close(int fd) {
  if (ctx && fd < room && sessions[fd]) {
    SSL_set_shutdown(sessions[fd], SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(sessions[fd]);
    sessions[fd] = NULL;
  }
  close(fd);
}
