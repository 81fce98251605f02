/* options - what the load generator was asked for. Owns it, and never changes it after reading. */
#ifndef DOP_BENCH_OPTIONS_H
#define DOP_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
  char path[256];
  uint16_t port;
  int connections, depth, pid;
  int at_once; /* connections coming up at the same time; any listen backlog holds the default */
  size_t size;
  double seconds;
  bool dop, r1, idle; /* --r1 is a session too: dop and r1. */
  bool tls;           /* the URL begins with wss: */
};

extern struct options opt;

/* Reads the command line; says how it is written, and exits 1, when it is wrong. */
void read_options(int argc, char **argv);

#endif
