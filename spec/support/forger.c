/* forger.c - a TLS end whose every record the spec says, for specs over real sockets (forger.lua).
 *
 *   forger client PORT VERSION            a client of the TLS server on 127.0.0.1:PORT
 *   forger server PORT VERSION CERT KEY   a server; what it hears goes to 127.0.0.1:PORT
 *
 * It prints "listening PORT" and couples each connection there with one of its own to the other
 * PORT. One of the two speaks TLS (VERSION is 1.2 or 1.3), the other is the spec's: what comes by
 * TLS goes there in plaintext, and what the spec says are orders, a byte, a length of two and that
 * many bytes: 20 to 24 is a record of that type, which leaves encrypted, whatever it says; the
 * others are listed below. Orders that come together leave in one write.
 *
 * OpenSSL makes the handshake and reads. Records are written by hand, with the keys of that
 * handshake, for it would not write what a spec wants to see refused. A process for each
 * connection, which ends with either side, after 20 s at the latest. Never: checks a certificate.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum order {
  RAW,    /* these bytes, as they are */
  UPDATE, /* a KeyUpdate, its last byte given; what follows has the next key (1.3) */
  RESET,  /* the connection's end, told rudely */
  FIN,    /* nothing more will be said */
  SPOIL,  /* a record of data whose last byte is wrong */
  DRIP,   /* from now on each byte leaves by itself */
};

enum { DATA = 23, HANDSHAKE = 22, ROOM = 1 << 20, RECORD = 16640 };

static bool server, tls13, drips;
static bool deaf; /* OpenSSL reads no more; only the end is still looked for */
static SSL *ssl;
static int wire, spec; /* descriptors */
static uint8_t secret[32], key[16], iv[12];
static uint64_t sequence;
static uint8_t out[ROOM];
static size_t out_len;

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* --- keys --- */

/* RFC 8446 7.1, for lengths that one block of the hash covers. */
static void expand(const char *label, uint8_t *to, size_t len) {
  uint8_t info[64], block[32];
  size_t n = strlen(label);
  info[0] = 0;
  info[1] = (uint8_t)len;
  info[2] = (uint8_t)(6 + n);
  memcpy(info + 3, "tls13 ", 6);
  memcpy(info + 9, label, n);
  info[9 + n] = 0;
  info[10 + n] = 1;
  HMAC(EVP_sha256(), secret, sizeof secret, info, 11 + n, block, NULL);
  memcpy(to, block, len);
}

static void use_secret(void) {
  expand("key", key, sizeof key);
  expand("iv", iv, sizeof iv);
  sequence = 0;
}

/* The key block of TLS 1.2 for AES-128-GCM (RFC 5246 6.3, RFC 5288 3). */
static void use_master(void) {
  uint8_t master[48], seed[13 + 64], a[32], block[64], more[32 + sizeof seed];
  SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
  memcpy(seed, "key expansion", 13);
  SSL_get_server_random(ssl, seed + 13, 32);
  SSL_get_client_random(ssl, seed + 45, 32);
  HMAC(EVP_sha256(), master, sizeof master, seed, sizeof seed, a, NULL);
  for (int i = 0; i < 2; i++) {
    memcpy(more, a, 32);
    memcpy(more + 32, seed, sizeof seed);
    HMAC(EVP_sha256(), master, sizeof master, more, sizeof more, block + 32 * i, NULL);
    HMAC(EVP_sha256(), master, sizeof master, more, 32, a, NULL);
  }
  memcpy(key, block + (server ? 16 : 0), 16);
  memcpy(iv, block + 32 + (server ? 4 : 0), 4);
  sequence = 1; /* Finished was 0 */
}

static void on_key(const SSL *of, const char *line) {
  const char *wanted = server ? "SERVER_TRAFFIC_SECRET_0 " : "CLIENT_TRAFFIC_SECRET_0 ";
  (void)of;
  if (strncmp(line, wanted, strlen(wanted)) != 0) return;
  const char *hex = strrchr(line, ' ') + 1;
  for (size_t i = 0; i < sizeof secret; i++) sscanf(hex + 2 * i, "%2hhx", &secret[i]);
}

/* --- records --- */

static void send_all(const uint8_t *data, size_t len) {
  while (len) {
    ssize_t n = send(wire, data, drips ? 1 : len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) exit(0);
    if (n < 0) {
      struct pollfd p = {wire, POLLOUT, 0};
      if (poll(&p, 1, 5000) <= 0) exit(0);
      continue;
    }
    data += n;
    len -= (size_t)n;
    if (drips) usleep(100);
  }
}

static void flush(void) {
  send_all(out, out_len);
  out_len = 0;
}

static void put(const void *data, size_t len) {
  if (out_len + len > sizeof out) flush();
  memcpy(out + out_len, data, len);
  out_len += len;
}

static void put_number(uint8_t *to, uint64_t n, int size) {
  while (size--) {
    to[size] = (uint8_t)n;
    n >>= 8;
  }
}

static void seal(const uint8_t nonce[12], const uint8_t *aad, int aad_len, const uint8_t *in,
                 int len, uint8_t *to) {
  static EVP_CIPHER_CTX *c;
  int n;
  if (!c) c = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, nonce);
  EVP_EncryptUpdate(c, NULL, &n, aad, aad_len);
  EVP_EncryptUpdate(c, to, &n, in, len);
  EVP_EncryptFinal_ex(c, to + n, &n);
  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, to + len);
}

/* RFC 8446 5.2: the type is encrypted, behind the content. */
static void put_13(uint8_t type, const uint8_t *data, size_t len, uint8_t *record) {
  uint8_t plain[RECORD], nonce[12];
  memcpy(plain, data, len);
  plain[len] = type;
  memcpy(nonce, iv, 12);
  for (int i = 0; i < 8; i++) nonce[4 + i] ^= (uint8_t)(sequence >> (56 - 8 * i));
  record[0] = DATA;
  put_number(record + 3, len + 1 + 16, 2);
  seal(nonce, record, 5, plain, (int)len + 1, record + 5);
}

/* RFC 5246 6.2.3.3, RFC 5288 3. */
static void put_12(uint8_t type, const uint8_t *data, size_t len, uint8_t *record) {
  uint8_t aad[13], nonce[12];
  put_number(aad, sequence, 8);
  aad[8] = type;
  put_number(aad + 9, 0x0303, 2);
  put_number(aad + 11, len, 2);
  memcpy(nonce, iv, 4);
  memcpy(nonce + 4, aad, 8);
  record[0] = type;
  put_number(record + 3, 8 + len + 16, 2);
  memcpy(record + 5, nonce + 4, 8);
  seal(nonce, aad, 13, data, (int)len, record + 13);
}

static void put_record(uint8_t type, const uint8_t *data, size_t len, bool spoilt) {
  uint8_t record[RECORD + 64] = {0, 3, 3};
  if (tls13)
    put_13(type, data, len, record);
  else
    put_12(type, data, len, record);
  size_t size = 5u + record[3] * 256u + record[4];
  if (spoilt) record[size - 1] ^= 1;
  put(record, size);
  sequence++;
}

/* --- orders --- */

static void obey(uint8_t order, const uint8_t *data, size_t len) {
  const uint8_t update[] = {24, 0, 0, 1, len ? data[0] : 0};
  const struct linger now = {1, 0};
  switch (order) {
  case RAW:
    put(data, len);
    break;
  case UPDATE:
    put_record(HANDSHAKE, update, sizeof update, false);
    expand("traffic upd", secret, sizeof secret);
    use_secret();
    break;
  case RESET:
    flush();
    setsockopt(wire, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    exit(0);
  case FIN:
    flush();
    shutdown(wire, SHUT_WR);
    break;
  case DRIP:
    flush();
    drips = true;
    break;
  default:
    put_record(order == SPOIL ? DATA : order, data, len, order == SPOIL);
  }
}

/* Orders that came whole. False at the spec's end. */
static bool hear_spec(void) {
  static uint8_t in[ROOM];
  static size_t have;
  size_t at = 0, len;
  ssize_t n = recv(spec, in + have, sizeof in - have, 0);
  if (n <= 0) return false;
  have += (size_t)n;
  while (have - at >= 3 && have - at >= 3 + (len = in[at + 1] * 256u + in[at + 2])) {
    obey(in[at], in + at + 3, len);
    at += 3 + len;
  }
  memmove(in, in + at, have -= at);
  flush();
  return true;
}

static bool hear_peer(void) {
  static char block[65536];
  if (deaf) return recv(wire, block, sizeof block, 0) > 0;
  int n = SSL_read(ssl, block, sizeof block);
  if (n > 0) return send(spec, block, (size_t)n, MSG_NOSIGNAL) == n;
  deaf = SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ;
  return true;
}

static void serve(void) {
  for (;;) {
    struct pollfd p[] = {{spec, POLLIN, 0}, {wire, POLLIN, 0}};
    if (poll(p, 2, -1) < 0) return;
    if (p[1].revents && !hear_peer()) return;
    if (p[0].revents && !hear_spec()) return;
  }
}

/* --- connections --- */

static struct sockaddr_in address(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int dial(int port) {
  struct sockaddr_in to = address(port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
  return fd;
}

static void couple(SSL_CTX *ctx, int accepted, int port) {
  const int one = 1;
  alarm(20);
  if (!server) spec = accepted;
  wire = server ? accepted : dial(port);
  setsockopt(wire, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ssl = SSL_new(ctx);
  SSL_set_fd(ssl, wire);
  if ((server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1) exit(1);
  if (tls13)
    use_secret();
  else
    use_master();
  SSL_set0_wbio(ssl, BIO_new(BIO_s_null())); /* an alert of its own would be out of our order */
  fcntl(wire, F_SETFL, O_NONBLOCK);
  if (server) spec = dial(port);
  serve();
}

static SSL_CTX *prepare(char **argv) {
  SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  int version = tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  bool ok = SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
            SSL_CTX_set_max_proto_version(ctx, version) == 1 &&
            SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") == 1 &&
            SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256") == 1;
  if (ok && server)
    ok = SSL_CTX_use_certificate_chain_file(ctx, argv[4]) == 1 &&
         SSL_CTX_use_PrivateKey_file(ctx, argv[5], SSL_FILETYPE_PEM) == 1;
  if (!ok) exit(1);
  SSL_CTX_clear_mode(ctx,
                     SSL_MODE_AUTO_RETRY); /* a record that is no data shall not make it wait */
  SSL_CTX_set_num_tickets(ctx, 0);         /* they would be records of its own */
  SSL_CTX_set_keylog_callback(ctx, on_key);
  return ctx;
}

int main(int argc, char **argv) {
  struct sockaddr_in at = address(0);
  socklen_t len = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
  if (argc < 4) {
    fprintf(stderr, "usage: forger client|server PORT VERSION [CERT KEY]\n");
    return 2;
  }
  server = strcmp(argv[1], "server") == 0;
  tls13 = strcmp(argv[3], "1.3") == 0;
  signal(SIGCHLD, SIG_IGN);
  SSL_CTX *ctx = prepare(argv);
  if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 128) ||
      getsockname(listener, (struct sockaddr *)&at, &len))
    die("listen");
  printf("listening %d\n", ntohs(at.sin_port));
  fflush(stdout);
  while ((fd = accept(listener, NULL, NULL)) >= 0) {
    if (fork() == 0) {
      close(listener);
      if (!freopen("/dev/null", "w", stdout) || !dup2(1, 2))
        exit(1); /* who reads ours waits for its end */
      couple(ctx, fd, atoi(argv[2]));
      exit(0);
    }
    close(fd);
  }
  return 0;
}
