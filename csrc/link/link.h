/* A link: one WebSocket's worth of protocol, from the first byte to the last.
 *
 * Bytes go in, bytes and data messages come out; between them stand the upgrade, the WebSocket and
 * the node. A driver owns the real socket, feeds the link and writes what it asks to be written.
 * The link owns its buffers, never a descriptor; it reads no clock and calls nobody but the layers
 * below.
 *
 * What a driver does:
 *   bytes came     dop_link_feed(), then take messages with link->socket.ops->next() until there is
 *                  none, then dop_link_settle(): until then `data` must stay where it is
 *   they end       dop_link_eof(), or dop_link_lost() with an error
 *   after each     for every socket of dop_socket_take_dirty(): write dop_link_output(), report
 * with dop_link_sent(), and do what `fin`, `over`, `dead` say
 */
#ifndef DOP_LINK_H
#define DOP_LINK_H

#include "session/session.h"
#include "ws/ws.h"

struct dop_upgrade; /* what is needed until the session is CONNECTED */

enum dop_link_state {
  DOP_LINK_TUNNELLING, /* client: a proxy has not answered yet; see struct dop_tunnel */
  DOP_LINK_UPGRADING,  /* the head of the request, or of the answer, is not whole */
  DOP_LINK_ASKED,      /* server: waits for dop_link_allow(), dop_link_answer() ... */
  DOP_LINK_OPEN,
  DOP_LINK_CLOSING, /* our close frame is on its way, the peer's has not come */
  DOP_LINK_ENDING,  /* everything is said: only the flush and the peer's end are missing */
  DOP_LINK_DEAD
};

struct dop_link {
  struct dop_socket socket; /* first: a socket of this kind is a link */
  struct dop_timer timer;   /* the handshake's deadline, then idleness, then the close timeout */
  struct dop_ws ws;
  struct dop_upgrade *upgrade;
  struct dop_bytes in;  /* bytes that could not be parsed yet */
  struct dop_bytes out; /* bytes to send, from out_at on */
  char *input;          /* what is being parsed: the driver's bytes, or those in `in` */
  uint32_t input_len;
  uint32_t out_at;
  uint32_t in_flight;    /* bytes that the driver took away to write */
  uint32_t held;         /* bytes of memory that are entered into the transport's sum */
  uint64_t heard_at;     /* ms; when the last byte came */
  char *address;         /* the peer's, for people; may be NULL */
  void *driver;          /* the driver's */
  uint8_t state;         /* enum dop_link_state */
  unsigned borrowed : 1; /* input is the driver's */
  unsigned counted : 1;  /* among the sockets of its address */
  unsigned pinged : 1;   /* a ping went out after heard_at */
  unsigned fin : 1;      /* for the driver: close the writing side once output has left */
  unsigned over : 1;     /* for the driver: close the socket once output has left */
  unsigned dead : 1;     /* for the driver: close the socket now */
  unsigned reset : 1;    /* for the driver: and do it by a reset */
  unsigned shares : 1;   /* from the driver: the loop is not its alone, see dop_link_feed() */
  unsigned ended : 1;    /* the peer will send no more, but not all that came was looked at */
  unsigned idle : 16;    /* frames without data since the last message, in this second */
};

/* A socket that was accepted. `address` is copied. NULL without memory. When the transport has no
 * room the link is there all the same and answers 503. The reference is the driver's, to be given
 * back with dop_socket_unref() when the real socket is closed. */
struct dop_link *dop_link_accept(struct dop_transport *t, const char *address);

/* A way to the server through an HTTP proxy, to which the driver connects. While the link is
 * TUNNELLING its bytes are between it and the proxy; what follows goes to the server, and would be
 * encrypted for it. */
struct dop_tunnel {
  const char *to;      /* the server's host:port */
  const char *headers; /* for the proxy: lines that end in CRLF, or NULL */
};

/* A client's attempt, to be created before the connection is there, so that one deadline covers all
 * of it. `host` goes into the Host field, `headers` are lines that end in CRLF, or NULL; `via` is
 * NULL when the way is straight. NULL without memory or randomness. */
struct dop_link *dop_link_dial(struct dop_transport *t, const char *host, const char *target,
                               const char *headers, const struct dop_tunnel *via);

/* n bytes came. They are parsed by ops->next(), in place. Of a link that `shares`, next() returns 0
 * after a number of frames, and leaves the socket on the engine's list of those that are ready: its
 * driver should read nothing more until it is off that list. */
void dop_link_feed(struct dop_link *l, char *data, size_t n);

/* The driver's bytes go away: keeps what is not parsed yet. */
void dop_link_settle(struct dop_link *l);

/* The peer will send no more. */
void dop_link_eof(struct dop_link *l);

/* The socket, or the attempt to have one, failed: `code_name` of docs/api.md, `why` a sentence. */
void dop_link_lost(struct dop_link *l, const char *code_name, const char *why);

/* What is to be written, NULL and 0 when nothing is. Valid until the next call. */
const char *dop_link_output(const struct dop_link *l, size_t *len);

/* The system took the first n bytes of it. */
void dop_link_sent(struct dop_link *l, size_t n);

/* Takes the whole output away, for a write that ends later; the caller owns `b` and writes it from
 * `*at` on. dop_link_wrote() says that this is done. */
void dop_link_take(struct dop_link *l, struct dop_bytes *b, uint32_t *at);
void dop_link_wrote(struct dop_link *l);

/* Whether the driver should read: not while paused, nor once dead. */
int dop_link_reading(const struct dop_link *l);

/* --- the server's decision, in state ASKED; elsewhere they do nothing --- */

/* Lets the socket in; `headers`, may be NULL, are lines for the 101 that end in CRLF. */
void dop_link_allow(struct dop_link *l, const char *headers);

/* Answers, to let nobody in: with an error, or with what a request without an upgrade asked for.
 * `head_only` is the request's affair; with status 0 nothing is said. While UPGRADING too. */
void dop_link_answer(struct dop_link *l, const struct dop_answer *a);

/* The same with 503: there is no memory to decide. */
void dop_link_out_of_memory(struct dop_link *l);

/* The same for a TLS handshake that failed. Without `text` it ends without a word: mostly the
 * client would not understand one. */
void dop_link_refuse_tls(struct dop_link *l, const char *code_name, const char *why,
                         const char *text);

/* A request without an upgrade is answered as if nobody cared for such: 426. */
void dop_link_insist(struct dop_link *l);

/* The parsed request of a server's link: 0, or -1 when it is kept no more (from CONNECTED on, once
 * the application has been told). Spans live as long as the request is kept. */
int dop_link_request(const struct dop_link *l, struct dop_upgrade_request *req);
void dop_link_forget_request(struct dop_link *l);

/* The subprotocol that was selected, data NULL when none was, or not yet. */
struct dop_span dop_link_protocol(const struct dop_link *l);

/* The link of a socket, NULL when the socket is of another kind. */
struct dop_link *dop_link_of(struct dop_socket *s);

#endif
