/* What the parts of the load generator share: how it fails. */
#ifndef DOP_BENCH_LOAD_H
#define DOP_BENCH_LOAD_H

struct conn;

/* Says what is wrong, on which connection (NULL: on none), and exits 1. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(const struct conn *c, const char *format,
                                                          ...);

#endif
