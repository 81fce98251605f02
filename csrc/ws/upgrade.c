/* The opening handshake (RFC 6455 section 4). Owns nothing; spans point into the caller's head. */
#include "ws/upgrade.h"

#include "base/sha1.h"
#include "ws/http_private.h"

#define KEY_LEN    24 /* 16 bytes in Base64 */
#define ACCEPT_LEN 28 /* 20 bytes in Base64 */

/* Base64 of the SHA-1 of the key and the GUID of RFC 6455 4.2.2. */
static void accept_of(const char key[KEY_LEN], char accept[ACCEPT_LEN]) {
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  char joined[KEY_LEN + sizeof guid - 1];
  uint8_t digest[20];

  memcpy(joined, key, KEY_LEN);
  memcpy(joined + KEY_LEN, guid, sizeof guid - 1);
  dop_sha1(joined, sizeof joined, digest);
  (void)dop_base64(digest, sizeof digest, accept);
}

/* ---- The server's side ------------------------------------------------------------------- */

/* An authority may hold none of these; who compares it with an Origin must not be led astray. */
static int is_host_char(char c) {
  return is_visible(c) && strchr("/?#@\\,\"<>", c) == NULL;
}

/* An upgrade has no body; a body that nobody reads would be taken for frames. */
static int announces_body(const struct dop_head *head) {
  for (unsigned i = 0; i < head->count; i++) {
    const struct dop_field *f = &head->fields[i];

    if (dop_span_is(f->name, "Transfer-Encoding")) return 1;
    if (dop_span_is(f->name, "Content-Length") && !dop_span_is(f->value, "0")) return 1;
  }
  return 0;
}

static int is_base64_char(char c) {
  return is_letter(c) || is_digit(c) || c == '+' || c == '/';
}

static int key_ok(struct dop_span key) {
  return key.len == KEY_LEN && key.data[22] == '=' && key.data[23] == '=' &&
         all(span(key.data, 22), is_base64_char);
}

static unsigned refuse(unsigned status, const char *reason, const char **why) {
  *why = reason;
  return status;
}

/* Whether anything in the request is a sign of a WebSocket: a proxy that takes Upgrade away leaves
 * the key. */
static int asks_upgrade(const struct dop_head *head) {
  return dop_head_lists(head, "Upgrade", "websocket") ||
         dop_head_get(head, "Sec-WebSocket-Key").data;
}

/* What HTTP itself asks of the request. */
static unsigned check_http(struct dop_upgrade_request *req, const char **why) {
  struct dop_head *head = &req->head;
  unsigned hosts;

  req->head_only = equal(head->method, span_of("HEAD"), 0) != 0;
  if (!equal(head->method, span_of("GET"), 0) && !(req->head_only && !asks_upgrade(head)))
    return refuse(405, "The method is not GET.", why);
  if (head->target.data[0] != '/')
    return refuse(400, "The target does not begin with a slash.", why);
  hosts = dop_head_find(head, "Host", &req->host);
  if (hosts == 0) return refuse(400, "There is no Host header.", why);
  if (hosts > 1) return refuse(400, "There is more than one Host header.", why);
  if (req->host.len == 0 || !all(req->host, is_host_char))
    return refuse(400, "The Host header is malformed.", why);
  if (announces_body(head)) return refuse(400, "The request announces a body.", why);
  return 0;
}

static int is_offered(const struct dop_upgrade_request *req, struct dop_span protocol) {
  for (unsigned i = 0; i < req->protocol_count; i++)
    if (equal(req->protocols[i], protocol, 0)) return 1;
  return 0;
}

/* Reads what the client offers, on one line or several. Returns what is wrong, NULL when nothing
 * is.
 */
static const char *read_offer(struct dop_upgrade_request *req) {
  for (unsigned i = 0; i < req->head.count; i++) {
    struct dop_span list = req->head.fields[i].value, element;
    if (!dop_span_is(req->head.fields[i].name, "Sec-WebSocket-Protocol")) continue;
    while (dop_span_next(&list, &element)) {
      if (!dop_http_name_ok(element.data, element.len)) return "A subprotocol is no token.";
      if (req->protocol_count == DOP_PROTOCOLS_MAX) return "There are too many subprotocols.";
      if (is_offered(req, element)) return "A subprotocol is offered twice.";
      req->protocols[req->protocol_count++] = element;
    }
  }
  return NULL;
}

/* What RFC 6455 4.2.1 asks of it. */
static unsigned check_upgrade(struct dop_upgrade_request *req, const char **why) {
  struct dop_head *head = &req->head;
  struct dop_span version;
  unsigned keys = dop_head_find(head, "Sec-WebSocket-Key", &req->key);
  unsigned versions = dop_head_find(head, "Sec-WebSocket-Version", &version);

  if (!asks_upgrade(head)) {
    req->plain = 1;
    return refuse(426, "The request does not ask for an upgrade to websocket.", why);
  }
  if (dop_head_find(head, "Origin", &req->origin) > 1)
    return refuse(400, "There is more than one Origin header.", why);
  if (versions > 1) return refuse(400, "There is more than one Sec-WebSocket-Version header.", why);
  if (keys > 1) return refuse(400, "There is more than one Sec-WebSocket-Key header.", why);
  if (!dop_head_lists(head, "Upgrade", "websocket"))
    return refuse(426, "The request does not ask for an upgrade to websocket.", why);
  if (!dop_head_lists(head, "Connection", "upgrade"))
    return refuse(426, "The Connection header does not say upgrade.", why);
  if (!equal(version, span_of("13"), 0))
    return refuse(426, "The WebSocket version is not 13.", why);
  if (keys == 0) return refuse(400, "There is no Sec-WebSocket-Key header.", why);
  if (!key_ok(req->key))
    return refuse(400, "The Sec-WebSocket-Key is not 16 bytes of Base64.", why);
  *why = read_offer(req);
  return *why != NULL ? 400 : 0;
}

unsigned dop_upgrade_parse_request(struct dop_upgrade_request *req, const char *data, size_t len,
                                   unsigned max_fields, const char **why) {
  unsigned status = dop_http_parse_request(&req->head, data, len, max_fields, why);

  req->host = req->key = req->origin = span(NULL, 0);
  req->protocol_count = 0;
  req->plain = req->head_only = 0;
  if (status == 0) status = check_http(req, why);
  if (status == 0) status = check_upgrade(req, why);
  return status;
}

/* The port of an authority, which is cut off it; `otherwise` when none is written, -1 for what is
 * none.
 */
static long cut_port(struct dop_span *authority, long otherwise) {
  size_t at = authority->len;
  long port = 0;

  while (at != 0 && is_digit(authority->data[at - 1])) at--;
  if (at == 0 || authority->data[at - 1] != ':') return otherwise;
  if (authority->len == at || authority->len - at > 5) return -1;
  for (size_t i = at; i < authority->len; i++) port = port * 10 + (authority->data[i] - '0');
  authority->len = at - 1;
  return port <= 65535 ? port : -1;
}

int dop_origin_is(struct dop_span origin, struct dop_span host) {
  static const struct {
    const char *scheme;
    long port;
  } web[] = {{"http://", 80}, {"https://", 443}};

  for (unsigned i = 0; i < COUNT(web); i++) {
    struct dop_span scheme = span_of(web[i].scheme), place = origin;
    if (origin.len < scheme.len || !equal(span(origin.data, scheme.len), scheme, 1)) continue;
    place.data += scheme.len;
    place.len -= scheme.len;
    long port = cut_port(&place, web[i].port), asked = cut_port(&host, web[i].port);
    return port >= 0 && port == asked && place.len != 0 && equal(place, host, 1);
  }
  return 0;
}

/* ---- The client's side ------------------------------------------------------------------- */

static const char *not_upgraded(unsigned status) {
  if (status >= 300 && status <= 399) return "The server answers with a redirect.";
  if (status == 401) return "The server wants to know who we are.";
  if (status == 403) return "The server does not let us in.";
  if (status == 404) return "The server knows no such path.";
  if (status == 407) return "A proxy on the way wants to know who we are.";
  if (status == 429) return "The server has heard too much of us.";
  if (status == 426) return "The server asks for another protocol version.";
  if (status >= 500) return "The server or a proxy has failed.";
  return "The status of the answer is not 101.";
}

/* The selected subprotocol: at most one, and a token. */
static const char *read_protocol(const struct dop_head *head, struct dop_span *protocol) {
  unsigned count = dop_head_find(head, "Sec-WebSocket-Protocol", protocol);

  if (count == 0) return NULL;
  if (count > 1 || memchr(protocol->data, ',', protocol->len) != NULL)
    return "The server selects more than one subprotocol.";
  if (!dop_http_name_ok(protocol->data, protocol->len))
    return "The selected subprotocol is malformed.";
  return NULL;
}

/* What RFC 6455 4.1 asks of a 101. Returns what is wrong, NULL when nothing is. */
static const char *check_answer(const struct dop_head *head, const char *key,
                                struct dop_span *protocol) {
  struct dop_span value;
  char accept[ACCEPT_LEN];

  if (dop_head_find(head, "Upgrade", &value) != 1 || !dop_span_is(value, "websocket"))
    return "The answer does not upgrade to websocket.";
  if (!dop_head_lists(head, "Connection", "upgrade"))
    return "The Connection header of the answer does not say upgrade.";
  if (strlen(key) != KEY_LEN) return "The key of the request is malformed.";
  accept_of(key, accept);
  if (dop_head_find(head, "Sec-WebSocket-Accept", &value) != 1 ||
      !equal(value, span(accept, ACCEPT_LEN), 0))
    return "The Sec-WebSocket-Accept header is not the answer to our key.";
  return read_protocol(head, protocol);
}

int dop_upgrade_parse_response(struct dop_head *head, const char *data, size_t len,
                               unsigned max_fields, const char *key, struct dop_span *protocol,
                               const char **why) {
  int faulty = dop_http_parse_response(head, data, len, max_fields, why);

  *protocol = span(NULL, 0);
  /* The status says more than a fault in the headers that come with it. */
  if (faulty && (head->status == 0 || head->status == 101)) return -1;
  if (head->status != 101) {
    *why = not_upgraded(head->status);
  } else if (!head->is_1_1) {
    *why = "The HTTP version of the answer is not 1.1.";
  } else {
    *why = check_answer(head, key, protocol);
    if (*why == NULL) return 0;
  }
  *protocol = span(NULL, 0);
  return -1;
}

/* ---- Writing ----------------------------------------------------------------------------- */

int dop_upgrade_write_accept(struct dop_bytes *out, struct dop_span key, struct dop_span protocol,
                             const char *extensions, const char *headers) {
  char accept[ACCEPT_LEN];

  if (key.len != KEY_LEN) return -1;
  accept_of(key.data, accept);
  {
    const struct dop_span parts[] = {
        span_of("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Accept: "),
        span(accept, ACCEPT_LEN),
        span_of(protocol.data != NULL ? "\r\nSec-WebSocket-Protocol: " : NULL),
        protocol,
        span_of(extensions != NULL ? "\r\nSec-WebSocket-Extensions: " : NULL),
        span_of(extensions),
        span_of("\r\n"),
        span_of(headers),
        span_of("\r\n"),
    };
    return dop_http_append(out, parts, COUNT(parts));
  }
}

int dop_upgrade_write_request(struct dop_bytes *out, const char *host, const char *target,
                              const char *key, const char *protocols, const char *extensions,
                              const char *headers) {
  const struct dop_span parts[] = {
      span_of("GET "),
      span_of(target),
      span_of(" HTTP/1.1\r\nHost: "),
      span_of(host),
      span_of("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: "),
      span_of(key),
      span_of(protocols != NULL ? "\r\nSec-WebSocket-Protocol: " : NULL),
      span_of(protocols),
      span_of(extensions != NULL ? "\r\nSec-WebSocket-Extensions: " : NULL),
      span_of(extensions),
      span_of("\r\n"),
      span_of(headers),
      span_of("\r\n"),
  };

  return dop_http_append(out, parts, COUNT(parts));
}
