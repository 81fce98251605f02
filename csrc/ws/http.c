/* Heads of HTTP/1.1; see http.h. Owns nothing; spans point into the caller's head. Never repairs
 * what is malformed: a proxy in front might read it in another way. */
#include "ws/http_private.h"

/* tchar of RFC 9110 5.6.2 */
static int is_token_char(char c) {
  if (is_letter(c) || is_digit(c)) return 1;
  return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static struct dop_span trimmed(struct dop_span s) {
  while (s.len != 0 && is_blank(s.data[0])) {
    s.data++;
    s.len--;
  }
  while (s.len != 0 && is_blank(s.data[s.len - 1])) s.len--;
  return s;
}

int dop_span_is(struct dop_span s, const char *word) {
  return equal(s, span_of(word), 1);
}

int dop_span_has_token(struct dop_span value, const char *word, int fold) {
  struct dop_span wanted = span_of(word);
  size_t from = 0;

  for (size_t i = 0; i <= value.len && value.len != 0; i++) {
    if (i < value.len && value.data[i] != ',') continue;
    if (equal(trimmed(span(value.data + from, i - from)), wanted, fold)) return 1;
    from = i + 1;
  }
  return 0;
}

int dop_span_equal(struct dop_span a, struct dop_span b) {
  return equal(a, b, 0);
}

int dop_span_next(struct dop_span *list, struct dop_span *element) {
  while (list->len != 0) {
    const char *comma = memchr(list->data, ',', list->len);
    size_t len = comma != NULL ? (size_t)(comma - list->data) : list->len;

    *element = trimmed(span(list->data, len));
    if (comma != NULL) len++;
    list->data += len;
    list->len -= len;
    if (element->len != 0) return 1;
  }
  return 0;
}

int dop_http_name_ok(const char *name, size_t len) {
  return len != 0 && all(span(name, len), is_token_char);
}

int dop_http_value_ok(const char *value, size_t len) {
  return all(span(value, len), is_value_char);
}

/* ---- Reading a head ---------------------------------------------------------------------- */

size_t dop_http_head_end(const char *data, size_t len, size_t *seen) {
  size_t at = *seen;

  while (at < len) {
    const char *lf = memchr(data + at, '\n', len - at);

    if (lf == NULL) break;
    at = (size_t)(lf - data) + 1;
    if (at >= 4 && memcmp(lf - 3, "\r\n\r", 3) == 0) {
      *seen = at;
      return at;
    }
  }
  *seen = len;
  return 0;
}

/* What is still to be read of a head. */
struct reader {
  const char *at, *end;
};

/* Takes the next line without its CRLF: 1, or 0 when there is none that ends rightly. */
static int next_line(struct reader *r, struct dop_span *line, const char **why) {
  size_t left = (size_t)(r->end - r->at), len;
  const char *lf = left != 0 ? memchr(r->at, '\n', left) : NULL;

  if (lf == NULL) {
    *why = "The head is not whole.";
    return 0;
  }
  len = (size_t)(lf - r->at);
  if (len == 0 || lf[-1] != '\r') {
    *why = "A line ends in a bare LF.";
    return 0;
  }
  *line = span(r->at, len - 1);
  r->at = lf + 1;
  return 1;
}

/* Splits "name: value" (RFC 9112 section 5). Returns what is wrong, NULL when nothing is. */
static const char *read_field(struct dop_span line, struct dop_field *field) {
  const char *colon;

  if (is_blank(line.data[0])) return "A header is folded over two lines.";
  colon = memchr(line.data, ':', line.len);
  if (colon == NULL) return "A header has no colon.";
  field->name = span(line.data, (size_t)(colon - line.data));
  if (!dop_http_name_ok(field->name.data, field->name.len)) {
    if (field->name.len != 0 && is_blank(colon[-1])) return "There is a blank before a colon.";
    return "The name of a header is not a token.";
  }
  field->value = trimmed(span(colon + 1, line.len - field->name.len - 1));
  if (!all(field->value, is_value_char)) return "There is a control byte in a header.";
  return NULL;
}

/* Reads all fields up to the empty line, behind which nothing may come. 0, or the status that
 * refuses them; what was read before the fault stays in the head. */
static unsigned read_fields(struct reader *r, struct dop_head *head, unsigned max_fields,
                            const char **why) {
  struct dop_span line;

  if (max_fields > DOP_HTTP_FIELDS_MAX) max_fields = DOP_HTTP_FIELDS_MAX;
  for (;;) {
    const char *wrong;

    if (!next_line(r, &line, why)) return 400;
    if (line.len == 0) break;
    if (head->count == max_fields) {
      *why = "There are too many headers.";
      return 431;
    }
    wrong = read_field(line, &head->fields[head->count]);
    if (wrong != NULL) {
      *why = wrong;
      return 400;
    }
    head->count++;
  }
  if (r->at == r->end) return 0;
  *why = "Something comes behind the head.";
  return 400;
}

unsigned dop_head_find(const struct dop_head *head, const char *name, struct dop_span *first) {
  struct dop_span wanted = span_of(name);
  unsigned found = 0;

  *first = span(NULL, 0);
  for (unsigned i = 0; i < head->count; i++) {
    if (!equal(head->fields[i].name, wanted, 1)) continue;
    if (found++ == 0) *first = head->fields[i].value;
  }
  return found;
}

struct dop_span dop_head_get(const struct dop_head *head, const char *name) {
  struct dop_span value;

  (void)dop_head_find(head, name, &value);
  return value;
}

int dop_head_lists(const struct dop_head *head, const char *name, const char *token) {
  struct dop_span wanted = span_of(name);

  for (unsigned i = 0; i < head->count; i++) {
    if (equal(head->fields[i].name, wanted, 1) &&
        dop_span_has_token(head->fields[i].value, token, 1))
      return 1;
  }
  return 0;
}

/* "method SP target SP HTTP/1.1" (RFC 9112 section 3): one space each, nothing around. */
static const char *read_request_line(struct dop_span line, struct dop_head *head) {
  const char *end = line.data + line.len, *gap, *gap2;

  gap = line.len != 0 ? memchr(line.data, ' ', line.len) : NULL;
  gap2 = gap != NULL ? memchr(gap + 1, ' ', (size_t)(end - gap - 1)) : NULL;
  if (gap2 == NULL) return "The request line is malformed.";
  head->method = span(line.data, (size_t)(gap - line.data));
  head->target = span(gap + 1, (size_t)(gap2 - gap - 1));
  if (!dop_http_name_ok(head->method.data, head->method.len) || head->target.len == 0 ||
      !all(head->target, is_visible))
    return "The request line is malformed.";
  if (!equal(span(gap2 + 1, (size_t)(end - gap2 - 1)), span_of("HTTP/1.1"), 0))
    return "The HTTP version is not 1.1.";
  return NULL;
}

unsigned dop_http_parse_request(struct dop_head *head, const char *data, size_t len,
                                unsigned max_fields, const char **why) {
  struct reader r = {data, len ? data + len : data};
  struct dop_span line;

  memset(head, 0, offsetof(struct dop_head, fields));
  if (!next_line(&r, &line, why)) return 400;
  *why = read_request_line(line, head);
  if (*why != NULL) return 400;
  return read_fields(&r, head, max_fields, why);
}

/* "HTTP/1.1 101 reason" (RFC 9112 section 4). The status of an older HTTP/1.0 is read too, for the
 * sake of proxies that answer with an error in it. Returns whether the version is 1.1; the status
 * stays 0 when this is no HTTP. Many servers leave out the space before an empty reason. */
static int read_status_line(struct dop_span line, struct dop_head *head) {
  const char *p = line.data;

  if (line.len < 12 || memcmp(p, "HTTP/1.", 7) != 0 || !is_digit(p[7]) || p[8] != ' ') return 0;
  if (p[9] < '1' || p[9] > '9' || !is_digit(p[10]) || !is_digit(p[11])) return 0;
  if (line.len > 12 && p[12] != ' ') return 0;
  if (!all(span(p + 12, line.len - 12), is_value_char)) return 0;
  head->status =
      (unsigned)(p[9] - '0') * 100 + (unsigned)(p[10] - '0') * 10 + (unsigned)(p[11] - '0');
  return p[7] == '1';
}

int dop_http_parse_response(struct dop_head *head, const char *data, size_t len,
                            unsigned max_fields, const char **why) {
  struct reader r = {data, len ? data + len : data};
  struct dop_span line;

  memset(head, 0, offsetof(struct dop_head, fields));
  if (!next_line(&r, &line, why)) return -1;
  head->is_1_1 = read_status_line(line, head) != 0;
  if (head->status == 0) {
    *why = "The answer is not HTTP.";
    return -1;
  }
  return read_fields(&r, head, max_fields, why) != 0 ? -1 : 0;
}

int dop_http_redirects(unsigned status) {
  return (status >= 300 && status <= 303) || status == 307 || status == 308;
}

static int is_slash(char c) {
  return c == '/' || c == '\\';
}

/* A name before a host is in front of an @ behind two slashes, or more: people and browsers take
 * any number for two, and one of a malformed reference may not hide the next. What is not visible
 * is not there, or it would hide slashes that people see. */
size_t dop_http_location(const struct dop_head *head, char *to, size_t size) {
  struct dop_span url = dop_head_get(head, "Location");
  size_t len = 0, host = 0; /* where what follows the slashes begins, 0: in no authority */
  char before = 0;

  for (size_t i = 0; i < url.len && url.data[i] != '?' && url.data[i] != '#'; i++) {
    char c = url.data[i];
    if (!is_visible(c)) continue;
    if (c == '@' && host) {
      len = host;
      before = '/'; /* what it follows now, of either kind */
      continue;
    }
    if (len + 1 < size) to[len] = c;
    len++;
    if (is_slash(c)) host = is_slash(before) ? len : 0;
    before = c;
  }
  if (len >= size) len = size - 1;
  to[len] = 0;
  return len;
}

uint32_t dop_http_retry_after(const struct dop_head *head) {
  struct dop_span value;
  uint32_t seconds = 0;

  if (dop_head_find(head, "Retry-After", &value) != 1 || !all(value, is_digit)) return 0;
  for (size_t i = 0; i < value.len; i++) {
    seconds = seconds * 10 + (uint32_t)(value.data[i] - '0');
    if (seconds > 100000000) return 1000000000;
  }
  return seconds;
}

/* ---- Writing ----------------------------------------------------------------------------- */

int dop_http_append(struct dop_bytes *out, const struct dop_span *parts, unsigned count) {
  size_t size = 0;
  char *to;

  for (unsigned i = 0; i < count; i++) {
    if (parts[i].len > SIZE_MAX - size) return -1;
    size += parts[i].len;
  }
  to = dop_bytes_room(out, size);
  if (to == NULL) return -1;
  for (unsigned i = 0; i < count; i++) {
    if (parts[i].len == 0) continue;
    memcpy(to, parts[i].data, parts[i].len);
    to += parts[i].len;
  }
  out->len += (uint32_t)size;
  return 0;
}

/* Writes a number in decimal to the end of `digits`, free of the locale. */
static struct dop_span decimal(size_t n, char digits[20]) {
  char *p = digits + 20;

  do {
    *--p = (char)('0' + n % 10);
    n /= 10;
  } while (n != 0);
  return span(p, (size_t)(digits + 20 - p));
}

int dop_http_write_connect(struct dop_bytes *out, const char *to, const char *headers) {
  const struct dop_span parts[] = {
      span_of("CONNECT "), span_of(to),     span_of(" HTTP/1.1\r\nHost: "),
      span_of(to),         span_of("\r\n"), span_of(headers),
      span_of("\r\n"),
  };

  return dop_http_append(out, parts, COUNT(parts));
}

/* The headers that HTTP wants with a status (RFC 9110 15.5.6, 15.5.22; RFC 6455 4.4). */
static const char *headers_of(unsigned status) {
  if (status == 405) return "Connection: close\r\nAllow: GET\r\n";
  if (status == 426)
    return "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  return "Connection: close\r\n";
}

struct dop_answer dop_answer_text(unsigned status, const char *headers, const char *text) {
  struct dop_answer a = {.status = status, .headers = headers, .body = text, .len = strlen(text)};
  return a;
}

int dop_upgrade_write_answer(struct dop_bytes *out, const struct dop_answer *a) {
  char digits[20], digits2[20];
  int content = a->status != 204 && a->status != 304; /* RFC 9110 8.6, 15.4.5 */
  const struct dop_span parts[] = {
      span_of("HTTP/1.1 "),
      decimal(a->status, digits),
      span_of(" "),
      span_of(dop_http_reason(a->status)),
      span_of("\r\n"),
      span_of(headers_of(a->status)),
      span_of(content && !a->typed ? "Content-Type: text/plain; charset=utf-8\r\n" : NULL),
      span_of(content ? "Content-Length: " : NULL),
      content ? decimal(a->len, digits2) : span(NULL, 0),
      span_of(content ? "\r\n" : NULL),
      span_of(a->headers),
      span_of("\r\n"),
      content && !a->head_only ? span(a->body, a->len) : span(NULL, 0),
  };

  return dop_http_append(out, parts, COUNT(parts));
}

const char *dop_http_reason(unsigned status) {
  static const struct {
    unsigned status;
    const char *reason;
  } known[] = {
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {402, "Payment Required"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {417, "Expectation Failed"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {451, "Unavailable For Legal Reasons"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {511, "Network Authentication Required"},
  };

  for (unsigned i = 0; i < COUNT(known); i++) {
    if (known[i].status == status) return known[i].reason;
  }
  return status >= 400 ? "Refused" : "Answered";
}
