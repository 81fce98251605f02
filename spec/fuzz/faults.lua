--- Faults that fuzzing must find: `target` does, from the inputs that are kept. Run by sees.lua.

local list, fault = require "spec.support.planted".list "target"

local connection, deflate, extension = "csrc/ws/connection.c", "csrc/ws/deflate.c", "csrc/ws/extension.c"
local http, upgrade, r1, token = "csrc/ws/http.c", "csrc/ws/upgrade.c", "csrc/session/r1.c", "csrc/session/token.c"
local resume, lossless, principal = "csrc/session/resume.c", "csrc/session/lossless.c", "csrc/session/principal.c"
local tunnel, handshake = "csrc/link/tunnel.c", "csrc/link/handshake.c"
local link, input = "csrc/link/link.c", "csrc/link/input.c"

fault("frames_server", "a control frame of 126 bytes", connection, "length > DOP_WS_CONTROL_MAX)",
  "length > DOP_WS_CONTROL_MAX + 1)")
fault("frames_server", "a character may be cut off at the end of a frame", connection,
  "  ws->in_frame = 0;\n  if (!ws->final) {",
  "  ws->in_frame = 0;\n  ws->utf8 = DOP_UTF8_START;\n  if (!ws->final) {")
fault("frames_server", "the mask begins anew behind a cut", connection, "ws->phase = (uint32_t)((ws->phase + n) & 3)",
  "ws->phase = (uint32_t)(n & 3)")
fault("frames_server", "the mask is read before it is there", connection, "  return len >= h->size;", "  return 1;")
fault("frames_server", "one byte above the limit", connection, "h->length > max_message - ws->assembly.len)",
  "h->length > max_message - ws->assembly.len + 1)")
fault("frames_server", "the limit is each frame's", connection,
  "(ws->assembly.len > max_message || h->length > max_message - ws->assembly.len)", "h->length > max_message")
fault("frames_client", "a server may mask", connection, "if (b1 >> 7 != ws->server)", "if (b1 >> 7 < ws->server)")
fault("frames_client", "a long form of a short length", connection, "length < (n == 2 ? 126u : 0x10000u)",
  "n == 2 && length < 126u")
fault("frames_client", "1015 on the wire", connection, "code <= 1014);", "code <= 1015);")
fault("frames_client", "half a close code is read", connection, "  if (n < 2) return 1;\n", "  if (n < 1) return 1;\n")
fault("frames_client", "a text inside an unfinished message", connection,
  "    if (op != DOP_WS_OP_CONTINUATION && ws->in_message)\n",
  "    if (op == DOP_WS_OP_BINARY && ws->in_message)\n")
fault("deflate", "a state for the next message is not reset", deflate,
  "    inflateReset2(&f->z, -(int)reading_window(d));\n", "    f->z.avail_in = 0;\n")
fault("deflate", "one inflated byte above the limit", connection, "max_message - b->len : 0, room",
  "max_message - b->len + 1 : 0, room")
fault("deflate", "a bit on a continuation", connection, "|| op >= 8 || op == DOP_WS_OP_CONTINUATION)", "|| op >= 8)")
fault("deflate", "a second state is left", deflate, "  else\n    free_inflater(f);\n", "")
fault("deflate", "what was not sent is referred to", deflate, "if (failed || !d->takeover) leave",
  "if (!d->takeover) leave")
fault("deflate", "a message may end inside a block", deflate, "int whole = !d->inflater || d->inflater->clean;",
  "int whole = 1;")
fault("deflate", "an answer above the offer", extension, "smaller(o->window, offer->server_bits)", "o->window")
fault("deflate", "a parameter twice", extension, "if (!param || out->has & param) return 0;", "if (!param) return 0;")
fault("upgrade_request", "one field too many", http, "if (head->count == max_fields) {",
  "if (head->count > max_fields) {")
fault("upgrade_request", "a line may end in a bare LF", http, "if (len == 0 || lf[-1] != '\\r') {", "if (len == 0) {")
fault("upgrade_request", "the end is looked for from the cut on", http, "    if (at >= 4 && memcmp(lf - 3",
  "    if (at >= *seen + 4 && memcmp(lf - 3")
fault("upgrade_request", "a key that is too short", upgrade, "return key.len == KEY_LEN &&", "return key.len >= 20 &&")
fault("upgrade_request", "two Host headers", upgrade, "  if (hosts > 1) return", "  if (hosts > 2) return")
fault("upgrade_request", "a colon that is not there", http, "  if (colon == NULL) return \"A header has no colon.\";\n",
  "")
fault("upgrade_response", "any accept of the right length", upgrade,
  "      !equal(value, span(accept, ACCEPT_LEN), 0))", "      value.len != ACCEPT_LEN)")
fault("upgrade_response", "a password is told", http, "    if (c == '@' && host) {",
  "    if (c == '@' && host && 0) {")
fault("upgrade_response", "a password behind another is told", http, "      before = '/';", "      before = c;")
fault("upgrade_response", "where it leads is cut too late", http, "    if (len + 1 < size) to[len] = c;",
  "    to[len] = c;")
fault("upgrade_response", "a wait for ever", http, "    if (seconds > 100000000) return 1000000000;\n", "")
fault("upgrade_response", "two subprotocols", upgrade,
  "  if (count > 1 || memchr(protocol->data, ',', protocol->len) != NULL)", "  if (count > 2)")
fault("tunnel", "what comes with the proxy's answer is the server's", tunnel, "} else if (l->input_len > len) {",
  "} else if (0) {")
fault("tunnel", "a redirect makes a tunnel", tunnel, "head.status <= 299;", "head.status <= 399;")
fault("tunnel", "a head above the limit", tunnel, "> limits->max_header) {", "> limits->max_header + 1) {")
fault("tunnel", "a malformed answer makes a tunnel", tunnel, "if (faulty && (made || !head.status)) {",
  "if (faulty && !head.status) {")
fault("tunnel", "the server is told what the proxy was", handshake,
  "t->compression ? extensions : NULL, headers) == 0 &&",
  "t->compression ? extensions : NULL, via ? via->headers : headers) == 0 &&")
fault("r1", "a zero before a number", r1, "(*from == '0' && r->at - from > 1)", "0")
fault("r1", "one above the largest number", r1, "if (v > DOP_R1_MOST) return 0;", "if (v > DOP_R1_MOST + 1) return 0;")
fault("r1", "something behind an instruction", r1, "!body(&r, *r.at++, m) || !ended(&r)) {",
  "!body(&r, *r.at++, m)) {")
fault("r1", "the letter is not there", r1, "} else if (ended(&r) || !body", "} else if (!body")
fault("r1", "the order of the halves decides", token, "if (memcmp(a->text, b->text, len) > 0) {", "if (0) {")
fault("r1", "a mirror is read behind its end", token, "t->len < len ? t->len : len);", "len);")
fault("node", "an attempt may be heard twice", resume, "if (holder && n <= a->attempt) {",
  "if (holder && n < a->attempt) {")
fault("node", "anybody may have a session", principal, "if (!owner || !other) return DOP_MAY_NOT;",
  "if (!owner || !other) return DOP_MAY;")
fault("node", "the answer of one stands for another", principal,
  "    newcomer->principal = q->owner;\n    q->owner = NULL;\n", "    newcomer->principal = q->owner;\n")
fault("node", "a session by the beginning of its token", "csrc/session/directory.c",
  "if (n->hash == (uint32_t)hash && dop_token_is(n->token, text, len)) return n;",
  "if (len && dop_token_is(n->token, text, n->token->len)) return n;")
fault("node", "what was never written is acknowledged", lossless,
  "  if (h < a->acked || h > a->written) return -1;", "  if (h < a->acked) return -1;")
fault("node", "what is with a handler is acknowledged", lossless, "a->received - a->in_hand;", "a->received;")
fault("node", "an old claim is not withdrawn", "csrc/session/claim.c", "  newcomer->claims = NULL;\n  if (holder &&",
  "  if (0 && holder &&")
fault("node", "the old half is left", resume, "  dop_token_free(n->local);\n  n->local = fresh;",
  "  n->local = fresh;")
fault("link", "a pong behind the close frame", input,
  "if (l->state == DOP_LINK_OPEN && dop_link_backlog(&l->socket) < PONGS_MAX &&",
  "if (dop_link_backlog(&l->socket) < PONGS_MAX &&")
fault("link", "pongs without end", input, "dop_link_backlog(&l->socket) < PONGS_MAX &&", "1 &&")
fault("link", "a request that is forgotten twice", handshake, "  dop_free(l->upgrade);\n  l->upgrade = NULL;\n",
  "  dop_free(l->upgrade);\n")
fault("link", "what was not agreed on is left", handshake, "    dop_deflate_free(deflate);\n    dop_node_end",
  "    dop_node_end")
fault("link", "an ended link is counted on", link, "  dop_link_count_less(l, 1);\n  not_pending(l);\n",
  "  dop_link_count_less(l, 1);\n")
fault("link", "the rest of the input is forgotten", input,
  "    failed = l->input_len && dop_bytes_append(&l->in, l->input, l->input_len);", "    failed = 0;")

return list
