/* tls - the socket calls of both ends of the benchmark: through OpenSSL once one of the first two
 * was called, else the system's own. Owns the SSL objects, by descriptor; descriptors are the
 * caller's, and do not block. */
#ifndef DOP_BENCH_TLS_H
#define DOP_BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A server either gives the buffers of a session back whenever they are empty, or keeps them: the
 * first is what a server of many idle sessions does, the second is faster. False: a file is none.
 */
bool tls_server(const char *cert, const char *key, bool keep_buffers);

/* A client that takes every certificate: it is the bench's own. False: no memory. */
bool tls_client(void);

/* As recv() and send(); EPROTO is what OpenSSL does not forgive. */
ssize_t tls_recv(int fd, void *to, size_t size);
ssize_t tls_send(int fd, const void *from, size_t size);

bool tls_pending(int fd); /* there is more, which the poller does not see */
void tls_end(int fd);     /* nothing more will be sent */
void tls_close(int fd);

#endif
