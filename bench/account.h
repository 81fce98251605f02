/* account - one connection's part in dop.r1: the instructions, what either end knows of the other,
 * when to acknowledge (docs/protocol.md, "dop.r1").
 *
 * It holds the server to the protocol: numbers in their shortest form, limits once and first,
 * acknowledgements that never go back, never count what was not sent, and come in time. Never
 * writes to a socket.
 */
#ifndef DOP_BENCH_ACCOUNT_H
#define DOP_BENCH_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load.h"

enum { MARK = 0x10, INSTRUCTION_MAX = 96 };

struct account {
  uint64_t acked;        /* of our messages the server delivered so many */
  uint64_t told;         /* of its messages we told it that so many came */
  uint64_t owed_at;      /* when the first came that it was not told of */
  uint64_t max_messages; /* what the server may hold unacknowledged; 0 before its limits */
  uint64_t max_bytes;
  bool ended; /* it answered our end */
};

/* Write an instruction into `out`, of INSTRUCTION_MAX bytes, and return its length: our limits,
 * with messages of up to `size` bytes; how many came, with letter 'a' or, as the end, 'd'. */
size_t account_say_limits(char *out, size_t size);
size_t account_say(struct account *a, char *out, char letter, uint64_t heard);

/* Hear an instruction, which begins with MARK, and return its letter. So many messages of `size`
 * bytes were sent; `over`: our end was said. */
char account_hear(struct account *a, const struct conn *c, const uint8_t *p, size_t n, size_t size,
                  uint64_t sent, bool over);

/* Message `heard`, counted from 1, came at `now`; its echo is proof that it was delivered there. */
void account_heard(struct account *a, const struct conn *c, uint64_t heard, uint64_t now);

/* Whether `heard` messages have to be acknowledged now. */
bool account_due(const struct account *a, uint64_t heard, size_t size, uint64_t now);

/* Whether the server may hold the echoes of `depth` messages, and as many as we may owe it. */
bool account_holds(const struct account *a, int depth);

/* Whether our limits let one more of `size` bytes leave after `sent`. */
bool account_room(const struct account *a, uint64_t sent, size_t size);

#endif
