/* The command line of the load generator; see options.h. */
#define _GNU_SOURCE 1
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options opt;

__attribute__((noreturn)) static void usage(void) {
  fprintf(
      stderr,
      "usage: load --url ws[s]://127.0.0.1:PORT/PATH --pid SERVER_PID [--connections N]\n"
      "            [--depth D] [--size S] [--seconds T] [--dop | --r1] [--idle] [--at-once N]\n");
  exit(1);
}

static double number(const char *text, double least, double most) {
  char *end;
  double n = strtod(text, &end);
  if (end == text || *end || !(n >= least && n <= most)) {
    fprintf(stderr, "load: \"%s\" is not between %.10g and %.10g\n", text, least, most);
    usage();
  }
  return n;
}

static void read_url(const char *url) {
  static const char rest[] = "://127.0.0.1:";
  size_t scheme = strcspn(url, ":");
  char *end;
  opt.tls = strncmp(url, "wss", scheme) == 0 && scheme == 3;
  if (!opt.tls && !(strncmp(url, "ws", scheme) == 0 && scheme == 2)) usage();
  if (strncmp(url + scheme, rest, sizeof rest - 1) != 0) usage();
  unsigned long port = strtoul(url + scheme + sizeof rest - 1, &end, 10);
  if (port < 1 || port > 65535 || (*end && *end != '/') || strlen(end) >= sizeof opt.path) usage();
  if (strpbrk(end, " \r\n")) usage();
  opt.port = (uint16_t)port;
  snprintf(opt.path, sizeof opt.path, "%s", *end ? end : "/");
}

void read_options(int argc, char **argv) {
  static const struct option known[] = {{"url", 1, NULL, 'u'},     {"connections", 1, NULL, 'c'},
                                        {"depth", 1, NULL, 'd'},   {"size", 1, NULL, 's'},
                                        {"seconds", 1, NULL, 't'}, {"pid", 1, NULL, 'p'},
                                        {"dop", 0, NULL, 'D'},     {"r1", 0, NULL, 'R'},
                                        {"idle", 0, NULL, 'I'},    {"at-once", 1, NULL, 'A'},
                                        {NULL, 0, NULL, 0}};
  int option;
  opt.connections = 100;
  opt.depth = 1;
  opt.at_once = 64;
  opt.size = 64;
  opt.seconds = 2;
  while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (option) {
    case 'u':
      read_url(optarg);
      break;
    case 'c':
      opt.connections = (int)number(optarg, 1, 1000000);
      break;
    case 'd':
      opt.depth = (int)number(optarg, 1, 65536);
      break;
    case 'A':
      opt.at_once = (int)number(optarg, 1, 1000000);
      break;
    case 's':
      opt.size = (size_t)number(optarg, 0, 16 << 20);
      break;
    case 't':
      opt.seconds = number(optarg, 0.05, 3600);
      break;
    case 'p':
      opt.pid = (int)number(optarg, 1, 1 << 30);
      break;
    case 'D':
      opt.dop = true;
      break;
    case 'R':
      opt.dop = opt.r1 = true;
      break;
    case 'I':
      opt.idle = true;
      break;
    default:
      usage();
    }
  }
  if (optind < argc || !opt.port || !opt.pid) usage();
  if ((double)opt.depth * (double)opt.size > 256 << 20) {
    fprintf(stderr, "load: more than 256 MiB in flight on a connection\n");
    usage();
  }
}
