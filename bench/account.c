/* The load generator's side of dop.r1; see account.h. */
#include "account.h"

#include <stdio.h>

/* Ours, as a client of the library has them. */
enum { WINDOW_MS = 60000, LEAST_MAX_MESSAGE = 1 << 20, MAX_BYTES = 1 << 20, MAX_MESSAGES = 1024 };

enum { ACK_MESSAGES = 64 };
static const uint64_t ACK_AFTER = 1000000000; /* ns */

size_t account_say_limits(char *out, size_t size) {
  return (size_t)snprintf(out, INSTRUCTION_MAX, "%cp%d %zu %d %d", MARK, WINDOW_MS,
                          size > LEAST_MAX_MESSAGE ? size : LEAST_MAX_MESSAGE, MAX_BYTES,
                          MAX_MESSAGES);
}

size_t account_say(struct account *a, char *out, char letter, uint64_t heard) {
  a->told = heard;
  return (size_t)snprintf(out, INSTRUCTION_MAX, "%c%c%llu", MARK, letter,
                          (unsigned long long)heard);
}

/* Reads so many numbers, a space between two, to the end of the text. */
static bool read_numbers(const uint8_t *p, size_t n, uint64_t *v, int count) {
  const uint8_t *end = p + n, *from;
  for (int i = 0; i < count; i++) {
    if (i && (p == end || *p++ != ' ')) return false;
    for (v[i] = 0, from = p; p < end && *p >= '0' && *p <= '9'; p++) {
      v[i] = v[i] * 10 + (uint64_t)(*p - '0');
      if (v[i] >> 53) return false;
    }
    if (p == from || (*from == '0' && p - from > 1)) return false;
  }
  return p == end;
}

static void hear_limits(struct account *a, const struct conn *c, const uint64_t v[4], size_t size) {
  if (a->max_messages) fail(c, "the limits came twice");
  if (v[1] < size) fail(c, "max_message of the server is %llu", (unsigned long long)v[1]);
  if (!v[3]) fail(c, "the server may hold no message at all");
  a->max_bytes = v[2];
  a->max_messages = v[3];
}

char account_hear(struct account *a, const struct conn *c, const uint8_t *p, size_t n, size_t size,
                  uint64_t sent, bool over) {
  char letter = n > 1 ? (char)p[1] : ' ';
  uint64_t v[4];
  if (n < 2 || !read_numbers(p + 2, n - 2, v, letter == 'p' ? 4 : 1))
    fail(c, "an instruction of %zu bytes that is none", n);
  if (letter == 'p') {
    hear_limits(a, c, v, size);
  } else if (!a->max_messages) {
    fail(c, "instruction '%c' before the limits", letter);
  } else if (letter == 'a' && !over) {
    if (v[0] <= a->acked || v[0] > sent)
      fail(c, "%llu acknowledged after %llu, %llu were sent", (unsigned long long)v[0],
           (unsigned long long)a->acked, (unsigned long long)sent);
    a->acked = v[0];
  } else if (letter == 'd' && over && !a->ended) {
    if (v[0] != sent)
      fail(c, "%llu of %llu messages delivered at the end", (unsigned long long)v[0],
           (unsigned long long)sent);
    a->ended = true;
  } else {
    fail(c, "instruction '%c' now", letter);
  }
  return letter;
}

void account_heard(struct account *a, const struct conn *c, uint64_t heard, uint64_t now) {
  if (heard - a->told == 1) a->owed_at = now;
  /* It knows our limits: a quarter of them is more than 64. */
  if (heard > a->acked + ACK_MESSAGES)
    fail(c, "%llu echoes, but only %llu messages acknowledged", (unsigned long long)heard,
         (unsigned long long)a->acked);
}

bool account_due(const struct account *a, uint64_t heard, size_t size, uint64_t now) {
  uint64_t owed = heard - a->told, quarter = a->max_messages / 4;
  return owed && (owed >= ACK_MESSAGES || owed >= quarter || owed * size >= a->max_bytes / 4 ||
                  now - a->owed_at >= ACK_AFTER);
}

bool account_holds(const struct account *a, int depth) {
  return (uint64_t)depth + ACK_MESSAGES <= a->max_messages;
}

bool account_room(const struct account *a, uint64_t sent, size_t size) {
  uint64_t held = sent - a->acked;
  return !held || (held < MAX_MESSAGES && (held + 1) * size <= MAX_BYTES);
}
