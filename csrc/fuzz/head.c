/* Oracles for heads; see head.h. */
#include "fuzz/head.h"

#include <string.h>

size_t fuzz_head_end(const char *data, size_t len) {
  size_t seen = 0, whole = dop_http_head_end(data, len, &seen);
  for (size_t step = 1; step <= 7; step += 3) {
    size_t found = 0, cut_seen = 0;
    for (size_t n = 0; n < len && !found; n += step)
      found = dop_http_head_end(data, n < len ? n : len, &cut_seen);
    if (!found) found = dop_http_head_end(data, len, &cut_seen);
    fuzz_check(found == whole, "where a head ends depends on the cut");
  }
  fuzz_check(whole <= len, "a head ends behind its bytes");
  fuzz_check(!whole || (whole >= 4 && memcmp(data + whole - 4, "\r\n\r\n", 4) == 0),
             "a head does not end in an empty line");
  return whole;
}

void fuzz_head_clean(const char *data, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)data[i];
    if (c == '\r') {
      fuzz_check(i + 1 < len && data[i + 1] == '\n', "a bare CR was accepted");
    } else if (c == '\n') {
      fuzz_check(i && data[i - 1] == '\r', "a bare LF was accepted");
      fuzz_check(i + 1 == len || (data[i + 1] != ' ' && data[i + 1] != '\t'),
                 "a folded line was accepted");
    } else {
      fuzz_check(c == '\t' || (c >= 0x20 && c != 0x7F), "a control byte was accepted");
    }
  }
}

static int inside(struct dop_span s, const char *data, size_t len) {
  return s.data >= data && s.data + s.len <= data + len;
}

void fuzz_head_inside(const struct dop_head *head, const char *data, size_t len, unsigned most) {
  fuzz_check(head->count <= most && head->count <= DOP_HTTP_FIELDS_MAX, "too many fields");
  for (unsigned i = 0; i < head->count; i++) {
    struct dop_span name = head->fields[i].name, value = head->fields[i].value;
    fuzz_check(inside(name, data, len) && inside(value, data, len), "a field lies elsewhere");
    fuzz_check(dop_http_name_ok(name.data, name.len), "a field's name may not be written");
    fuzz_check(dop_http_value_ok(value.data, value.len), "a field's value may not be written");
    fuzz_check(!value.len || (value.data[0] != ' ' && value.data[value.len - 1] != ' '),
               "a value has blanks around it");
  }
}

void fuzz_append(struct dop_bytes *out, struct dop_span s) {
  fuzz_check(dop_bytes_append(out, s.data, s.len) == 0, "no memory");
}

void fuzz_append_text(struct dop_bytes *out, const char *text) {
  fuzz_append(out, (struct dop_span){text, strlen(text)});
}

void fuzz_head_write(struct dop_bytes *out, const struct dop_head *head) {
  for (unsigned i = 0; i < head->count; i++) {
    fuzz_append(out, head->fields[i].name);
    fuzz_append_text(out, ": ");
    fuzz_append(out, head->fields[i].value);
    fuzz_append_text(out, "\r\n");
  }
  fuzz_append_text(out, "\r\n");
}

static int same(struct dop_span a, struct dop_span b) {
  return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

void fuzz_head_same(const struct dop_head *a, const struct dop_head *b) {
  fuzz_check(same(a->method, b->method) && same(a->target, b->target) && a->status == b->status &&
                 a->count == b->count,
             "a head that is written again is another");
  for (unsigned i = 0; i < a->count; i++)
    fuzz_check(same(a->fields[i].name, b->fields[i].name) &&
                   same(a->fields[i].value, b->fields[i].value),
               "a field that is written again is another");
}
