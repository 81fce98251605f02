/* Fuzz target: a client's upgrade as the server reads it. Input: a byte that chooses the limit of
 * fields, then the bytes of the head. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz/head.h"

/* How many fields have this name, by a count of its own. */
static unsigned named(const struct dop_head *head, const char *name) {
  unsigned count = 0;
  for (unsigned i = 0; i < head->count; i++) {
    struct dop_span s = head->fields[i].name;
    count += s.len == strlen(name) && strncasecmp(s.data, name, s.len) == 0;
  }
  return count;
}

/* What may stand in an upgrade once, or not at all, because two readers could choose differently.
 */
static void stands_once(const struct dop_head *head) {
  fuzz_check(named(head, "Host") == 1 && named(head, "Sec-WebSocket-Key") == 1 &&
                 named(head, "Sec-WebSocket-Version") == 1 && named(head, "Origin") <= 1,
             "a field that stands once comes twice, or not");
  fuzz_check(!named(head, "Transfer-Encoding"), "an upgrade has a body");
}

/* What was accepted is accepted again when it is written anew, and its answer suits the client. */
static void accepted(const struct dop_upgrade_request *req, const char *data, size_t len,
                     unsigned most) {
  struct dop_upgrade_request again;
  struct dop_bytes out = {0};
  struct dop_head answer;
  struct dop_span protocol;
  char key[25] = {0};
  const char *why = NULL;
  fuzz_head_clean(data, len);
  stands_once(&req->head);
  fuzz_check(req->head.target.data[0] == '/' && req->key.len == 24 && req->host.len,
             "an accepted upgrade lacks a part");
  fuzz_append(&out, req->head.method);
  fuzz_append_text(&out, " ");
  fuzz_append(&out, req->head.target);
  fuzz_append_text(&out, " HTTP/1.1\r\n");
  fuzz_head_write(&out, &req->head);
  fuzz_check(dop_upgrade_parse_request(&again, out.data, out.len, most, &why) == 0,
             "an accepted upgrade that is written again is refused");
  fuzz_head_same(&req->head, &again.head);
  out.len = 0;
  memcpy(key, req->key.data, 24);
  fuzz_check(dop_upgrade_write_accept(&out, req->key, (struct dop_span){"dop", 3}, NULL, NULL) == 0,
             "no answer was written");
  fuzz_check(dop_upgrade_parse_response(&answer, out.data, out.len, 64, key, &protocol, &why) ==
                     0 &&
                 dop_span_is(protocol, "dop"),
             "our own client refuses the answer");
  dop_bytes_dispose(&out);
}

static void refused(const struct dop_upgrade_request *req, unsigned status, const char *why) {
  struct dop_bytes out = {0};
  struct dop_answer a = dop_answer_text(status, NULL, why);
  struct dop_head answer;
  struct dop_span protocol;
  const char *other = NULL;
  size_t seen = 0, end;
  fuzz_check(status == 400 || status == 405 || status == 426 || status == 431, "an unknown status");
  fuzz_check(why && *why, "a refusal without a reason");
  a.head_only = req->head_only;
  fuzz_check(dop_upgrade_write_answer(&out, &a) == 0, "no refusal was written");
  fuzz_check(out.len <= 512, "a refusal is longer than it may be");
  end = dop_http_head_end(out.data, out.len, &seen);
  fuzz_check(end && out.len - end == (req->head_only ? 0 : strlen(why)),
             "a refusal's body is not its text");
  (void)dop_upgrade_parse_response(&answer, out.data, end, 64, "", &protocol, &other);
  fuzz_check(answer.status == status, "a refusal does not say its status");
  dop_bytes_dispose(&out);
}

static void parse(const char *data, size_t len, unsigned most) {
  struct dop_upgrade_request req;
  const char *why = NULL;
  unsigned status = dop_upgrade_parse_request(&req, data, len, most, &why);
  fuzz_head_inside(&req.head, data, len, most);
  if (!status) {
    fuzz_check(!req.plain && !req.head_only, "an accepted upgrade is none");
    accepted(&req, data, len, most);
    return;
  }
  if (req.plain) { /* it may be answered as HTTP: it has to be that */
    fuzz_head_clean(data, len);
    fuzz_check(req.host.len && req.head.target.len, "a plain request lacks a part");
  }
  refused(&req, status, why);
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
