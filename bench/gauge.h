/* gauge - what the load generator reads off: clocks, the server's CPU and memory, round trips.
 *
 * Owns the table of round trips. Never stops the run but for a server that is gone.
 */
#ifndef DOP_BENCH_GAUGE_H
#define DOP_BENCH_GAUGE_H

#include <stdint.h>

/* Nanoseconds of the clock that never goes back. */
uint64_t gauge_now(void);

/* The CPU time of the whole server: user and system, every thread, also those that have ended. */
uint64_t gauge_cpu(int pid);

/* Heap, stacks and written data, in bytes; pages of files would count the size of libraries. */
long gauge_memory(int pid);

/* Counts one round trip of so many nanoseconds. */
void gauge_trip(uint64_t ns);

/* Forgets the round trips. */
void gauge_reset(void);

/* Below it lay that share of the round trips. Within 1.6 %. */
double gauge_trips_us(double share);

/* The longest of them. */
double gauge_longest_us(void);

#endif
