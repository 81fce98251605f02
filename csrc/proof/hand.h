/* A hand: a peer of one real end that speaks WebSocket and DOP by hand, as client or as server. It
 * does nothing by itself but the upgrade; the schedule says each message and sees each that comes.
 *
 * In texts `^` stands for the byte 0x10, a leading `T` that is the whole text or goes before a
 * space for the session's token, and `half` for the half of who says it. Owns its own bytes and the
 * driver's reference to the link.
 */
#ifndef DOP_PROOF_HAND_H
#define DOP_PROOF_HAND_H

#include "proof/stage.h"

struct hand {
  struct hand *next;
  struct stage *stage;
  struct dop_link *link; /* of the real end; NULL once it let go of its socket */
  struct dop_ws ws;
  struct dop_bytes in;  /* what the real end wrote and nobody took */
  struct dop_bytes out; /* what was said and the real end has not read */
  char ours[264], theirs[264], token[528];
  char heard[256];                  /* what was taken last */
  char offer[64];                   /* what a client offered as subprotocols */
  char payload[DOP_WS_CONTROL_MAX]; /* of the last control frame that was taken */
  size_t payload_len;
  unsigned client : 1;   /* the hand is the client */
  unsigned corked : 1;   /* says nothing before hand_give() */
  unsigned ended : 1;    /* the real end will write no more */
  unsigned slow : 1;     /* takes nothing of what the real end writes */
  unsigned deaf : 1;     /* a blackhole: what the real end writes vanishes */
  unsigned lossless : 1; /* dop.r1 was agreed on */
};

/* A client of the stage's server, upgraded: next comes the server's half. `offer` is what it offers
 * as subprotocols; `principal` who it is, NULL: nobody. */
struct hand *hand_dial(struct stage *w, const char *offer, const char *principal);

/* Which offers everything that the stage's ends speak, and is nobody. */
struct hand *hand_client(struct stage *w);

/* The client dials, and the hand is the server that answers; it selects `protocol`, NULL: none.
 * Next comes the client's first message. */
struct hand *hand_answer(struct stage *w, const char *protocol);
struct hand *hand_server(struct stage *w);

/* The hand as client, or as server, of a CONNECTED session; in dop.r1 both have said their limits.
 * What the real end was told until then is forgotten. */
struct hand *hand_session(struct stage *w);
struct hand *hand_session_of(struct stage *w, const char *principal);
struct hand *hand_host(struct stage *w);

/* A CONNECTED client that heard `theirs` for the server's limits, and has not said its own. */
struct hand *hand_opened(struct stage *w, const char *theirs);

/* A client's session whose own limits are others than usual. */
struct hand *hand_session_with(struct stage *w, const char *limits);

/* Another socket for the session of `h`, which says "<T> r <n> <count>" behind the server's half.
 */
struct hand *hand_resume(struct hand *h, uint64_t n, uint64_t count);
struct hand *hand_resume_as(struct hand *h, uint64_t n, uint64_t count, const char *principal);

/* The client dials anew and asks for the session of `h`: its text is taken, nothing was answered
 * but the half. */
struct hand *hand_asked(struct hand *h);

/* Says a text, in the notation above; a binary message, a ping, a pong or a close frame. */
__attribute__((format(printf, 2, 3))) void hand_say(struct hand *h, const char *format, ...);
void hand_frame(struct hand *h, enum dop_ws_opcode op, const void *data, size_t len);
void hand_close(struct hand *h, unsigned code);

/* A text of so many bytes. */
void hand_say_long(struct hand *h, size_t len);

/* From hand_cork() on what is said waits, until hand_give() lets the real end read all at once. */
void hand_cork(struct hand *h);
void hand_give(struct hand *h);

/* A slow hand takes what waited. */
void hand_read(struct hand *h);

/* The socket fails at the real end. */
void hand_lose(struct hand *h);

/* The token follows from the half that was heard last and the one said. */
void hand_name(struct hand *h);

/* The next frame: a text; "binary ..."; "ping ...", "pong ..."; "close <code>"; "half" (the first
 * time, or the same one again), "another half"; "end" when the socket is over; "" when there is
 * none. Valid until the next call. */
const char *hand_take(struct hand *h);

void hand_expect(struct hand *h, const char *wanted, const char *file, int line);
#define HEARS(h, wanted) hand_expect(h, wanted, __FILE__, __LINE__)
#define SILENT(h)        hand_expect(h, "", __FILE__, __LINE__)

#define LIMITS "^p60000 1048576 1048576 1024" /* of every end that has the usual ones */
#define RESUMED(h, answer) \
  do {                     \
    HEARS(h, answer);      \
    HEARS(h, LIMITS);      \
    hand_say(h, LIMITS);   \
  } while (0)

/* --- for the stage --- */

void hand_serve(struct dop_link *l);
void hands_dispose(struct stage *w);

/* Between bytes and the notation: `^`; bytes that are not printable become a dot. */
void hand_print(char *out, size_t size, const char *data, size_t len);
size_t hand_scan(char *out, size_t size, const char *text);

#endif
