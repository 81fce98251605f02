/*
 * abuse.c - what an attack costs everybody else.
 *
 *   abuse [--brief] [--rounds N] [--scene NAME]... SERVER...
 *
 * SERVER is the command that starts bench/abuse/server.lua, once for each scene. A healthy client
 * exchanges messages with it; rounds alternate, quiet and attacked; a line for each scene tells
 * what was measured. Exit 1 when something was lost, when the attack was not refused as it should
 * be, when memory went beyond what the limits allow, or, unless --brief, when the healthy client's
 * 99th percentile grew beyond twice the quiet one.
 *
 * Owns the server, the attackers and their counts; all are gone when it ends.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../gauge.h"
#include "../load.h"
#include "attack.h"
#include "healthy.h"

enum { ROUNDS_MAX = 99, SCENES_MAX = 32 };

/* Below it a percentile is not compared: the attacker and the healthy client share one CPU, and
 * what the one takes from the other there, in slices of the scheduler, is not the server's doing.
 */
static const double FLOOR_US = 1000;
static const double MOST = 2;
static const double SLACK = 4 << 20;     /* bytes: what the allocator and Lua keep unused */
static const double DETACHED = 32 << 20; /* max_detached_bytes of server.lua */
static const double SESSION = 2048;      /* a session without a socket, beside its queue */

struct figures {
  double p50, p99, most, cpu; /* us, us, us, share of one CPU */
};

static struct {
  bool brief;
  int rounds, picked_count;
  double quiet, attacked; /* seconds of a round */
  const char *picked[SCENES_MAX];
  char **server;
  int words; /* of the server's command, behind which there is room for one more */
} opt = {.rounds = 5, .quiet = 2, .attacked = 3};

static pid_t server, attacker;
static struct tally *tally;

void fail(const struct conn *c, const char *format, ...) {
  va_list args;
  (void)c;
  fflush(stdout);
  fprintf(stderr, "abuse: ");
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  if (attacker > 0) kill(attacker, SIGKILL);
  if (server > 0) kill(server, SIGKILL);
  exit(1);
}

/* --- processes --- */

/* Ahead of what else this machine does, where that is allowed, and of the attacker, which would be
 * another machine. Where Linux groups processes by session, only a session of its own has a rank.
 */
static void be_quick(void) {
  setsid();
  setpriority(PRIO_PROCESS, 0, -15);
  FILE *f = fopen("/proc/self/autogroup", "w");
  if (!f) return;
  fputs("-15", f);
  fclose(f);
}

/* The bench itself, in a process of its own session; this one waits for it. */
static void step_aside(void) {
  pid_t parent = getpid(), child = fork();
  int status;
  if (child < 0) fail(NULL, "fork: %s", strerror(errno));
  if (child) {
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
}

/* The server has a CPU of its own; whoever talks to it shares the other one. */
static void pin(int cpu) {
  cpu_set_t set;
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

/* Returns the port of ws:; *secure is that of wss:, when the scene needs one. */
static int start_server(bool tls, int *secure) {
  int out[2], port = 0;
  char line[256] = "";
  if (pipe(out)) fail(NULL, "pipe: %s", strerror(errno));
  pid_t parent = getpid();
  server = fork();
  if (server < 0) fail(NULL, "fork: %s", strerror(errno));
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    pin(0);
    be_quick();
    dup2(out[1], 1);
    close(out[0]);
    close(out[1]);
    opt.server[opt.words] = tls ? "tls" : NULL;
    execvp(opt.server[0], opt.server);
    _exit(127);
  }
  close(out[1]);
  FILE *f = fdopen(out[0], "r");
  const char *at = f && fgets(line, sizeof line, f) ? strstr(line, "ws://127.0.0.1:") : NULL;
  if (at) port = atoi(at + 15);
  at = strstr(line, "wss://127.0.0.1:");
  *secure = at ? atoi(at + 16) : 0;
  if (f) fclose(f);
  if (!port || (tls && !*secure)) fail(NULL, "the server did not say where it listens");
  return port;
}

static void stop_server(void) {
  int status;
  kill(server, SIGINT);
  if (waitpid(server, &status, 0) != server) fail(NULL, "the server is gone");
  server = 0;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail(NULL, "the server ended with status %x", status);
}

static void stop_attack(const struct scene *s) {
  int status;
  kill(attacker, SIGKILL);
  waitpid(attacker, &status, 0);
  attacker = 0;
  if (!WIFSIGNALED(status)) fail(NULL, "the attack %s ended by itself", s->name);
}

/* A line of /proc/PID/status, in bytes. */
static double status_bytes(const char *name) {
  char path[64], line[256];
  long kib = -1;
  snprintf(path, sizeof path, "/proc/%d/status", (int)server);
  FILE *f = fopen(path, "r");
  if (!f) fail(NULL, "the server is gone");
  size_t n = strlen(name);
  while (kib < 0 && fgets(line, sizeof line, f))
    if (strncmp(line, name, n) == 0) kib = atol(line + n);
  fclose(f);
  if (kib < 0) fail(NULL, "%s has no %s", path, name);
  return (double)kib * 1024;
}

static double counted(const char *report, const char *name) {
  char key[64];
  int n = snprintf(key, sizeof key, " %s=", name);
  const char *at = strstr(report, key);
  if (at) return atof(at + n);
  key[0] = '?';
  return strncmp(report, key, (size_t)n) == 0 ? atof(report + n) : 0;
}

/* --- rounds --- */

static struct figures measure(double seconds) {
  struct figures f;
  uint64_t cpu = gauge_cpu(server), began = gauge_now();
  gauge_reset();
  healthy_run(seconds);
  f.cpu = (double)(gauge_cpu(server) - cpu) / (double)(gauge_now() - began);
  f.p50 = gauge_trips_us(0.50);
  f.p99 = gauge_trips_us(0.99);
  f.most = gauge_longest_us();
  return f;
}

/* Until the server has nobody but the healthy client. */
static void settle(const struct scene *s) {
  for (int i = 0; i < 200; i++) {
    if (counted(healthy_ask(), "sockets") == HEALTHY) return;
    healthy_run(0.05);
  }
  fail(NULL, "%s: sockets stay after the attack: %s", s->name, healthy_ask());
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(const struct figures *f, size_t offset) {
  double v[ROUNDS_MAX];
  for (int i = 0; i < opt.rounds; i++) v[i] = *(const double *)((const char *)&f[i] + offset);
  qsort(v, (size_t)opt.rounds, sizeof *v, by_size);
  return (v[(opt.rounds - 1) / 2] + v[opt.rounds / 2]) / 2;
}

static double most(const struct figures *f) {
  double m = 0;
  for (int i = 0; i < opt.rounds; i++)
    if (f[i].most > m) m = f[i].most;
  return m;
}

static void print_raw(const char *what, const struct figures *f) {
  printf("    %-8s p99 us:", what);
  for (int i = 0; i < opt.rounds; i++) printf(" %.0f", f[i].p99);
  putchar('\n');
}

/* Whether the server and the attackers agree that the attack was refused as it should be. */
static bool refused(const struct scene *s, const char *report, const struct tally *sum) {
  char name[32];
  bool ok = true;
  if (s->status) {
    ok = counted(report, "refused") > 0 && sum->status[s->status] > 0;
    printf("    refused with %u: %.0f counted by the server, %llu read by the attackers%s\n",
           s->status, counted(report, "refused"), (unsigned long long)sum->status[s->status],
           ok ? "" : "   FAILED");
  }
  if (s->refused) {
    ok = counted(report, "refused") > 0;
    printf("    refused: %.0f counted by the server%s\n", counted(report, "refused"),
           ok ? "" : "   FAILED");
  }
  if (s->code) {
    snprintf(name, sizeof name, "closed%u", s->code);
    ok = counted(report, name) > 0 && (s->deaf || sum->code[s->code] > 0);
    printf("    closed with %u: %.0f counted by the server, %llu read by the attackers%s\n",
           s->code, counted(report, name), (unsigned long long)sum->code[s->code],
           ok ? "" : "   FAILED");
  }
  return ok;
}

static void add(struct tally *sum, const struct tally *one) {
  const uint64_t *from = (const uint64_t *)one;
  uint64_t *to = (uint64_t *)sum;
  for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) to[i] += from[i];
}

static bool play(const struct scene *s) {
  struct figures quiet[ROUNDS_MAX], attacked[ROUNDS_MAX];
  struct tally *sum = calloc(1, sizeof *sum);
  int secure, port = start_server(s->tls, &secure);
  /* In a brief round only the deadline of a handshake needs its two seconds. */
  bool late = s->status == 408 || s->code == 1013 || (s->refused && !s->act);
  double attacked_for = opt.brief && !late ? 1.2 : opt.attacked;
  healthy_begin(port);
  healthy_run(0.3);
  double before = status_bytes("VmRSS:");
  for (int i = 0; i < opt.rounds; i++) {
    quiet[i] = measure(opt.quiet);
    attacker = attack_start(s, s->tls ? secure : port, tally);
    attacked[i] = measure(attacked_for);
    stop_attack(s);
    add(sum, tally);
    settle(s);
  }
  double grown = status_bytes("VmHWM:") - before;
  /* A session whose socket is lost waits for its client, with what it had to send. */
  double sessions = s->session ? (double)sum->upgraded * SESSION + DETACHED : 0;
  double bound = s->sockets * (double)s->holds + sessions + SLACK;
  double was = median(quiet, offsetof(struct figures, p99));
  double is = median(attacked, offsetof(struct figures, p99));
  double ratio = is / (was > FLOOR_US ? was : FLOOR_US);
  bool slow = !opt.brief && ratio > MOST, fat = grown > bound;
  printf("%-16s %5.0f %6.0f %7.0f   %5.0f %6.0f %7.0f  %5.2fx  %3.0f%% %3.0f%%  %6.1f %6.1f%s%s\n",
         s->name, median(quiet, offsetof(struct figures, p50)), was, most(quiet),
         median(attacked, offsetof(struct figures, p50)), is, most(attacked), is / was,
         100 * median(quiet, offsetof(struct figures, cpu)),
         100 * median(attacked, offsetof(struct figures, cpu)), grown / (1 << 20),
         bound / (1 << 20), slow ? "   TOO SLOW" : "", fat ? "   TOO MUCH MEMORY" : "");
  printf("    %s; %llu sockets opened, %.1f MiB sent\n", s->what, (unsigned long long)sum->opened,
         (double)sum->bytes / (1 << 20));
  print_raw("quiet", quiet);
  print_raw("attacked", attacked);
  bool good = refused(s, healthy_ask(), sum) && !slow && !fat;
  printf("    healthy: %llu messages, each back once and in order, each acknowledged\n",
         healthy_end());
  stop_server();
  free(sum);
  fflush(stdout);
  return good;
}

/* --- the bench --- */

static bool picked(const struct scene *s) {
  for (int i = 0; i < opt.picked_count; i++)
    if (strcmp(opt.picked[i], s->name) == 0) return true;
  return opt.picked_count == 0;
}

static void read_options(int argc, char **argv) {
  static const struct option known[] = {{"brief", 0, NULL, 'b'},
                                        {"rounds", 1, NULL, 'r'},
                                        {"scene", 1, NULL, 's'},
                                        {NULL, 0, NULL, 0}};
  int option, rounds = 0;
  while ((option = getopt_long(argc, argv, "+", known, NULL)) != -1) {
    if (option == 'b') {
      opt.brief = true;
      opt.rounds = 1;
      opt.quiet = 0.5;
      opt.attacked = 2.5;
    } else if (option == 'r') {
      rounds = atoi(optarg);
      if (rounds < 1 || rounds > ROUNDS_MAX) fail(NULL, "1 to %d rounds", ROUNDS_MAX);
    } else if (option == 's' && opt.picked_count < SCENES_MAX) {
      opt.picked[opt.picked_count++] = optarg;
    } else {
      fail(NULL, "usage: abuse [--brief] [--rounds N] [--scene NAME]... SERVER...");
    }
  }
  if (rounds) opt.rounds = rounds;
  opt.words = argc - optind;
  if (!opt.words) fail(NULL, "which server?");
  opt.server = calloc((size_t)opt.words + 2, sizeof *opt.server);
  if (!opt.server) fail(NULL, "out of memory");
  memcpy(opt.server, argv + optind, (size_t)opt.words * sizeof *opt.server);
}

static void raise_files(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 6000) fail(NULL, "6,000 open files are needed, see ulimit -n");
}

static void print_terms(void) {
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  double load[3] = {0};
  getloadavg(load, 3);
  printf(
      "A healthy client (%d lossless sessions, %d messages of 64 bytes a second in all) beside an\n"
      "attack, all on 127.0.0.1. %d pairs of rounds, quiet for %g s, attacked for %g s, in turns; "
      "a\n"
      "percentile is the median of the rounds', a maximum the worst of all. %s\n",
      HEALTHY, HEALTHY_RATE, opt.rounds, opt.quiet, opt.attacked,
      cpus > 1 ? "CPU 0 is the server's; the\nhealthy client and the attacker share CPU 1."
               : "All share one CPU.");
  if (opt.brief)
    printf("Speed is not judged.\n");
  else
    printf("Judged: the attacked p99 to the quiet one, at most %g; a quiet p99 below %g us counts "
           "as that\n"
           "much, because the attacker takes slices of the healthy client's CPU.\n",
           MOST, FLOOR_US);
  printf(
      "Memory: growth of the server's peak; the bound is what the limits let so many sockets and\n"
      "sessions hold, and %g MiB.  %ld CPUs, load %.2f %.2f %.2f\n\n",
      SLACK / (1 << 20), cpus, load[0], load[1], load[2]);
}

int main(int argc, char **argv) {
  int played = 0, bad = 0;
  read_options(argc, argv);
  raise_files();
  signal(SIGPIPE, SIG_IGN);
  step_aside();
  pin(1);
  be_quick();
  tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (tally == MAP_FAILED) fail(NULL, "mmap: %s", strerror(errno));
  print_terms();
  printf("%-16s %20s   %20s  %6s  %9s  %13s\n", "", "quiet, us", "attacked, us", "p99", "CPU",
         "memory, MiB");
  printf("%-16s %5s %6s %7s   %5s %6s %7s  %6s  %9s  %6s %6s\n", "", "p50", "p99", "max", "p50",
         "p99", "max", "", "of one", "grown", "bound");
  for (size_t i = 0; i < scene_count; i++) {
    if (!picked(&scenes[i])) continue;
    played++;
    if (!play(&scenes[i])) bad++;
  }
  if (!played) fail(NULL, "no such scene");
  printf("\n%d scenes, %d bad\n", played, bad);
  return bad != 0;
}
