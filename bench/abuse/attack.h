/* attack - a client that means harm: one scene, in a process of its own.
 *
 * It keeps a number of sockets at one stage of their life, does on each what the scene says, opens
 * another for each that the server ends, and counts what the server answered. A socket that was
 * refused goes on as before until the server cuts it. Owns its sockets and its process. Talks to
 * nobody but 127.0.0.1.
 */
#ifndef DOP_ABUSE_ATTACK_H
#define DOP_ABUSE_ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stage {
  CONNECTING, /* the kernel is at it */
  TALKING,    /* TCP is up; the upgrade, if the scene asks for one, has no answer */
  UPGRADED,   /* and a session too, when the scene asks for one */
};

struct attacker {
  int fd;
  enum stage stage;
  size_t at; /* how much of what it says was said */
  /* What it hears: frames are followed only for the code of a close frame. */
  uint8_t head[16];
  unsigned have;
  uint64_t skip;
  unsigned heard_status : 1;
};

/* What an attack counted; in memory that the bench sees. */
struct tally {
  uint64_t opened, upgraded, ended, bytes;
  uint64_t status[600], code[5000]; /* answers by HTTP status, close frames by code */
};

struct scene {
  const char *name, *what;
  int sockets;         /* kept at once */
  double opens;        /* a second at most */
  double every;        /* seconds between two acts of a socket; 0: as fast as the socket takes it */
  const char *request; /* lines of the upgrade, with its end; NULL: none is sent */
  bool session;        /* and both halves behind it */
  bool deaf;           /* never reads */
  /* One act. Returns false to close the socket. NULL: it is silent. */
  bool (*act)(struct attacker *a);
  /* How the server refuses it: one of the two is not 0, unless nothing is forbidden. */
  unsigned status, code;
  bool refused; /* without a word that the attacker could read: the server counts alone */
  bool tls;     /* on the port that speaks TLS */
  size_t holds; /* bytes that a server's limits let one such socket hold */
};

extern const struct scene scenes[];
extern const size_t scene_count;

/* Begins the scene in a process of its own; returns its pid. Ends with SIGKILL. */
int attack_start(const struct scene *s, int port, struct tally *tally);

/* Writes what the socket takes of `block`, from a->at on, around its end. */
void attack_pour(struct attacker *a, const void *block, size_t size);

/* Writes n bytes at once; what the socket does not take is lost. */
void attack_say(struct attacker *a, const void *bytes, size_t n);

#endif
