/* Fuzz target: a server's answer as the client reads it. Input: a byte that chooses the limit of
 * fields, then the bytes of the head. The client's key is that of RFC 6455 1.3. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz/head.h"

static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static void accepted(const struct dop_head *head, struct dop_span protocol, const char *data,
                     size_t len, unsigned most) {
  struct dop_head again;
  struct dop_span chosen, value = dop_head_get(head, "Sec-WebSocket-Accept");
  struct dop_bytes out = {0};
  const char *why = NULL;
  fuzz_head_clean(data, len);
  fuzz_check(head->status == 101 && value.len == 28 && memcmp(value.data, accept, 28) == 0,
             "an answer to another key was accepted");
  unsigned selected = 0;
  for (unsigned i = 0; i < head->count; i++)
    selected += dop_span_is(head->fields[i].name, "Sec-WebSocket-Protocol") != 0;
  fuzz_check(selected == (protocol.data != NULL), "more than one subprotocol is selected");
  fuzz_check(!protocol.data || (protocol.len && dop_http_name_ok(protocol.data, protocol.len)),
             "the subprotocol is not a token");
  fuzz_append_text(&out, "HTTP/1.1 101 X\r\n");
  fuzz_head_write(&out, head);
  fuzz_check(dop_upgrade_parse_response(&again, out.data, out.len, most, key, &chosen, &why) == 0,
             "an accepted answer that is written again is refused");
  fuzz_head_same(head, &again);
  fuzz_check(protocol.len == chosen.len, "the subprotocol is another");
  dop_bytes_dispose(&out);
}

/* Who is in front of a host, is nobody's business. */
static void tells_nobody(const char *where) {
  for (const char *p = where; *p; p++) {
    if (strspn(p, "/\\") < 2) continue;
    size_t n = strcspn(p + 2, "/\\");
    fuzz_check(!memchr(p + 2, '@', n), "a password is told");
  }
}

/* The same by other means: the one Retry-After, when it is a number. */
static void waits_rightly(const struct dop_head *head) {
  double seconds = 0;
  unsigned count = 0;
  for (unsigned i = 0; i < head->count; i++) {
    struct dop_span name = head->fields[i].name, value = head->fields[i].value;
    if (name.len != 11 || strncasecmp(name.data, "Retry-After", 11) != 0) continue;
    count++;
    for (size_t k = 0; k < value.len && seconds >= 0; k++)
      seconds =
          value.data[k] >= '0' && value.data[k] <= '9' ? seconds * 10 + (value.data[k] - '0') : -1;
  }
  if (count != 1 || seconds < 0) seconds = 0;
  fuzz_check(dop_http_retry_after(head) == (seconds > 1e8 ? 1000000000 : (uint32_t)seconds),
             "a wait of another length");
}

static void parse(const char *data, size_t len, unsigned most) {
  struct dop_head head;
  struct dop_span protocol;
  const char *why = NULL;
  int failed = dop_upgrade_parse_response(&head, data, len, most, key, &protocol, &why);
  fuzz_head_inside(&head, data, len, most);
  if (dop_http_redirects(head.status)) {
    char where[64];
    size_t n = dop_http_location(&head, where, sizeof where);
    fuzz_check(n < sizeof where && strlen(where) == n, "where a redirect leads is no string");
    for (size_t i = 0; i < n; i++)
      fuzz_check(where[i] > 0x20 && where[i] < 0x7F && !strchr("?#", where[i]),
                 "a secret of a URL is told, or what cannot be seen");
    tells_nobody(where);
  }
  waits_rightly(&head);
  if (failed) {
    fuzz_check(why && *why, "a refusal without a reason");
    fuzz_check(!protocol.data, "a refused answer selects a subprotocol");
    fuzz_check(!head.status || (head.status >= 100 && head.status <= 999), "no such status");
  } else {
    accepted(&head, protocol, data, len, most);
  }
}

void fuzz_run(struct fuzz *f) {
  unsigned most = fuzz_below(f, DOP_HTTP_FIELDS_MAX + 1);
  size_t n = fuzz_left(f), end;
  char *data = fuzz_copy(fuzz_take(f, &n), n);
  parse(data, n, most);
  end = fuzz_head_end(data, n);
  if (end && end != n) {
    char *head = fuzz_copy(data, end);
    parse(head, end, most);
    free(head);
  }
  free(data);
  fuzz_check(fuzz_memory.peak <= 4096 + 8 * n, "memory out of proportion to the input");
}
