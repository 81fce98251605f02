/* What a driver in C calls: the core's services as one table of functions.
 *
 * The drivers are a module of their own (dop.uv), which cannot see the core's symbols: Lua loads
 * modules privately. The core leaves a pointer to this table where the driver's binding finds it.
 * Functions that say so may run handlers of the application; after them only what the caller holds
 * a reference to is certain to be there.
 */
#ifndef DOP_LINK_DRIVER_H
#define DOP_LINK_DRIVER_H

#include "link/link.h"

struct lua_State;
struct dop_host; /* the binding's: an engine and the Lua state that its handlers run on */

/* What a driver knows of a connection that is encrypted. Strings belong to the connection or lie in
 * `text`; NULL: there is none. */
struct dop_tls_facts {
  const char *version, *cipher, *protocol;
  const char *server_name;           /* asked for by the client */
  const char *subject, *fingerprint; /* of the peer's certificate; SHA-256 in hexadecimal digits */
  unsigned resumed : 1;
  char text[1200];
};

struct dop_driver_api {
  uint32_t size; /* of this table: a core and a driver of different builds are told apart */

  /* Memory by the core's one hook, see base/alloc.h. */
  void *(*zalloc)(size_t size);
  void (*free)(void *block);

  void (*host_ref)(struct dop_host *h);
  void (*host_unref)(struct dop_host *h);

  /* Handlers run on L until leave() gets back what enter() returned. `call` calls fn with `ud` as a
   * light userdata on that state, protected, as part of `what`; it may run handlers. 0, or -1 when
   * that failed. */
  struct lua_State *(*enter)(struct dop_host *h, struct lua_State *L);
  void (*leave)(struct dop_host *h, struct lua_State *before);
  int (*call)(struct dop_host *h, int (*fn)(struct lua_State *L), void *ud, const char *what);

  /* Sets the time in ms and fires the machine's timers. Runs no handler: their events are queued.
   */
  void (*advance)(struct dop_host *h, uint64_t now);
  uint64_t (*next)(struct dop_host *h); /* when that is needed again, DOP_TIMERS_NEVER: never */

  /* Sets the time alone, which never goes back. */
  void (*set_time)(struct dop_host *h, uint64_t now);

  /* New links, see link.h. */
  struct dop_link *(*accept)(struct dop_transport *t, const char *address);
  struct dop_link *(*dial)(struct dop_transport *t, const char *host, const char *target,
                           const char *headers, const struct dop_tunnel *via);

  /* n bytes came: parses them and hands every event and message to the application. May run
   * handlers. The caller holds a reference. */
  void (*feed)(struct dop_host *h, struct dop_link *l, char *data, size_t n);

  /* The TLS handshake of a server's link failed: it is answered with 400 and `text`, or ended
   * without a word when that is NULL. Counted, and told to who reads the log. Runs no handler. */
  void (*refuse_tls)(struct dop_link *l, const char *code_name, const char *why, const char *text);

  /* Who is asked, with link->driver, for the facts of an encrypted connection: 0, or -1 when it is
   * none. NULL: nobody any more. */
  void (*set_tls_facts)(struct dop_host *h, int (*facts)(void *driver, struct dop_tls_facts *f));

  /* The socket ended, or failed. Run no handler. */
  void (*eof)(struct dop_link *l);
  void (*lost)(struct dop_link *l, const char *code_name, const char *why);

  /* Hands queued events, and messages of sockets that need no new bytes, to the application. May
   * run handlers. */
  void (*turn)(struct dop_host *h);

  /* Whether there is something for turn() to hand out: come back without waiting. */
  int (*waiting)(const struct dop_host *h);

  /* Whether something was put off that somebody waits for: next() says until when. The loop may not
   * end before. */
  int (*owing)(const struct dop_host *h);

  /* A client's attempt came to nothing before there was a link: as dop_transport_down(). */
  void (*down)(struct dop_transport *t, const char *code_name, const char *why);

  /* The next link with something for its driver, with a reference; NULL: none. */
  struct dop_link *(*take_dirty)(struct dop_host *h);
  const char *(*output)(const struct dop_link *l, size_t *len);
  void (*sent)(struct dop_link *l, size_t n);
  void (*take)(struct dop_link *l, struct dop_bytes *b, uint32_t *at);
  void (*wrote)(struct dop_link *l);
  int (*reading)(const struct dop_link *l);
  void (*unref)(struct dop_link *l);
  void (*dispose_bytes)(struct dop_bytes *b);

  void (*transport_ref)(struct dop_transport *t);
  void (*transport_unref)(struct dop_transport *t);
};

#endif
