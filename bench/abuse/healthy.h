/* healthy - the client that must not notice: a few lossless sessions, a small message at a steady
 * rate.
 *
 * It sends by the clock, whatever has come back so far, so that a server that stops for a while is
 * seen in every message that fell into it. Each echo is compared, byte by byte and in order; the
 * end of each session has to count every message. Owns its sockets. Anything that is wrong ends the
 * bench.
 */
#ifndef DOP_ABUSE_HEALTHY_H
#define DOP_ABUSE_HEALTHY_H

enum { HEALTHY = 4, HEALTHY_RATE = 400, REPORT_MAX = 2048 };

/* Brings the sessions up. */
void healthy_begin(int port);

/* Exchanges messages for so long; their round trips are counted by the gauge. */
void healthy_run(double seconds);

/* What the server counted, as "?name=value name=value ... ". Messages go on meanwhile. */
const char *healthy_ask(void);

/* Ends the sessions formally. Returns how many messages each way they carried. */
unsigned long long healthy_end(void);

#endif
