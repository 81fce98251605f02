--- Faults that make fuzz must see: faults.lua [NUMBER], run by make fuzz-sees.
--
-- `from` stands in `file` once and becomes `to`; the target must find that from the inputs that are kept, within
-- SECONDS (60) of fuzzing. Without a fault it must pass over those inputs. The objects are those of make fuzz.
-- JOBS (2) faults are tried at a time.

local ROOT, BUILD = "build/fuzz-faults", os.getenv "BUILD" or "build/lua5.4-fuzz"
local SECONDS, JOBS = tonumber(os.getenv "SECONDS" or 60), tonumber(os.getenv "JOBS" or 2)
local CC = ("%s -std=gnu11 -fPIC -fvisibility=hidden -w -Icsrc %s"):format(os.getenv "CC" or "clang",
  os.getenv "CFLAGS" or error "make fuzz-sees says how it is built")

local connection, deflate, extension = "ws/connection.c", "ws/deflate.c", "ws/extension.c"
local http, upgrade, r1, token = "ws/http.c", "ws/upgrade.c", "session/r1.c", "session/token.c"
local resume, lossless, principal = "session/resume.c", "session/lossless.c", "session/principal.c"
local tunnel, handshake, link, input = "link/tunnel.c", "link/handshake.c", "link/link.c", "link/input.c"

local faults = {
  { "frames_server", "a control frame of 126 bytes", connection, "length > DOP_WS_CONTROL_MAX)",
    "length > DOP_WS_CONTROL_MAX + 1)" },
  { "frames_server", "a character may be cut off at the end of a frame", connection,
    "  ws->in_frame = 0;\n  if (!ws->final) {",
    "  ws->in_frame = 0;\n  ws->utf8 = DOP_UTF8_START;\n  if (!ws->final) {" },
  { "frames_server", "the mask begins anew behind a cut", connection, "ws->phase = (uint32_t)((ws->phase + n) & 3)",
    "ws->phase = (uint32_t)(n & 3)" },
  { "frames_server", "the mask is read before it is there", connection, "  return len >= h->size;", "  return 1;" },
  { "frames_server", "one byte above the limit", connection, "h->length > max_message - ws->assembly.len)",
    "h->length > max_message - ws->assembly.len + 1)" },
  { "frames_server", "the limit is each frame's", connection,
    "(ws->assembly.len > max_message || h->length > max_message - ws->assembly.len)", "h->length > max_message" },
  { "frames_client", "a server may mask", connection, "if (b1 >> 7 != ws->server)", "if (b1 >> 7 < ws->server)" },
  { "frames_client", "a long form of a short length", connection, "length < (n == 2 ? 126u : 0x10000u)",
    "n == 2 && length < 126u" },
  { "frames_client", "1015 on the wire", connection, "code <= 1014);", "code <= 1015);" },
  { "frames_client", "half a close code is read", connection, "  if (n < 2) return 1;\n", "  if (n < 1) return 1;\n" },
  { "frames_client", "a text inside an unfinished message", connection,
    "    if (op != DOP_WS_OP_CONTINUATION && ws->in_message)\n",
    "    if (op == DOP_WS_OP_BINARY && ws->in_message)\n" },
  { "deflate", "a state for the next message is not reset", deflate,
    "    inflateReset2(&f->z, -(int)reading_window(d));\n", "    f->z.avail_in = 0;\n" },
  { "deflate", "one byte above the limit", connection, "max_message - b->len : 0, room",
    "max_message - b->len + 1 : 0, room" },
  { "deflate", "a bit on a continuation", connection, "|| op >= 8 || op == DOP_WS_OP_CONTINUATION)", "|| op >= 8)" },
  { "deflate", "a second state is left", deflate, "  else\n    free_inflater(f);\n", "" },
  { "deflate", "what was not sent is referred to", deflate, "if (failed || !d->takeover) leave",
    "if (!d->takeover) leave" },
  { "deflate", "a message may end inside a block", deflate, "int whole = !d->inflater || d->inflater->clean;",
    "int whole = 1;" },
  { "deflate", "an answer above the offer", extension, "smaller(o->window, offer->server_bits)", "o->window" },
  { "deflate", "a parameter twice", extension, "if (!param || out->has & param) return 0;", "if (!param) return 0;" },
  { "upgrade_request", "one field too many", http, "if (head->count == max_fields) {",
    "if (head->count > max_fields) {" },
  { "upgrade_request", "a line may end in a bare LF", http, "if (len == 0 || lf[-1] != '\\r') {", "if (len == 0) {" },
  { "upgrade_request", "the end is looked for from the cut on", http, "    if (at >= 4 && memcmp(lf - 3",
    "    if (at >= *seen + 4 && memcmp(lf - 3" },
  { "upgrade_request", "a key that is too short", upgrade, "return key.len == KEY_LEN &&", "return key.len >= 20 &&" },
  { "upgrade_request", "two Host headers", upgrade, "  if (hosts > 1) return", "  if (hosts > 2) return" },
  { "upgrade_request", "a colon that is not there", http, "  if (colon == NULL) return \"A header has no colon.\";\n",
    "" },
  { "upgrade_response", "any accept of the right length", upgrade, "      !equal(value, span(accept, ACCEPT_LEN), 0))",
    "      value.len != ACCEPT_LEN)" },
  { "upgrade_response", "a password is told", http, "if (at == NULL) at = url.data + *scheme;",
    "at = url.data + *scheme;" },
  { "upgrade_response", "where it leads is cut too late", http, "i < scheme + rest.len && len + 1 < size;",
    "i < scheme + rest.len && len < size;" },
  { "upgrade_response", "a wait for ever", http, "    if (seconds > 100000000) return 1000000000;\n", "" },
  { "upgrade_response", "two subprotocols", upgrade,
    "  if (count > 1 || memchr(protocol->data, ',', protocol->len) != NULL)", "  if (count > 2)" },
  { "tunnel", "what comes with the proxy's answer is the server's", tunnel, "} else if (l->input_len > len) {",
    "} else if (0) {" },
  { "tunnel", "a redirect makes a tunnel", tunnel, "head.status <= 299;", "head.status <= 399;" },
  { "tunnel", "a head above the limit", tunnel, "> limits->max_header) {", "> limits->max_header + 1) {" },
  { "tunnel", "a malformed answer makes a tunnel", tunnel, "if (faulty && (made || !head.status)) {",
    "if (faulty && !head.status) {" },
  { "tunnel", "the server is told what the proxy was", handshake,
    "t->compression ? extensions : NULL, headers) == 0 &&",
    "t->compression ? extensions : NULL, via ? via->headers : headers) == 0 &&" },
  { "r1", "a zero before a number", r1, "(*from == '0' && r->at - from > 1)", "0" },
  { "r1", "one above the largest number", r1, "if (v > DOP_R1_MOST) return 0;", "if (v > DOP_R1_MOST + 1) return 0;" },
  { "r1", "something behind an instruction", r1, "!body(&r, *r.at++, m) || !ended(&r)) {",
    "!body(&r, *r.at++, m)) {" },
  { "r1", "the letter is not there", r1, "} else if (ended(&r) || !body", "} else if (!body" },
  { "r1", "the order of the halves decides", token, "if (memcmp(a->text, b->text, len) > 0) {", "if (0) {" },
  { "r1", "a mirror is read behind its end", token, "t->len < len ? t->len : len);", "len);" },
  { "node", "an attempt may be heard twice", resume, "if (holder && n <= a->attempt) {",
    "if (holder && n < a->attempt) {" },
  { "node", "anybody may have a session", principal, "if (!owner || !other) return DOP_MAY_NOT;",
    "if (!owner || !other) return DOP_MAY;" },
  { "node", "the answer of one stands for another", principal,
    "    newcomer->principal = q->owner;\n    q->owner = NULL;\n", "    newcomer->principal = q->owner;\n" },
  { "node", "a session by the beginning of its token", "session/directory.c",
    "if (n->hash == (uint32_t)hash && dop_token_is(n->token, text, len)) return n;",
    "if (len && dop_token_is(n->token, text, n->token->len)) return n;" },
  { "node", "what was never written is acknowledged", lossless,
    "  if (h < a->acked || h > a->written) return -1;", "  if (h < a->acked) return -1;" },
  { "node", "what is with a handler is acknowledged", lossless, "a->received - a->in_hand;", "a->received;" },
  { "node", "an old claim is not withdrawn", "session/claim.c", "  newcomer->claims = NULL;\n  if (holder &&",
    "  if (0 && holder &&" },
  { "node", "the old half is left", resume, "  dop_token_free(n->local);\n  n->local = fresh;",
    "  n->local = fresh;" },
  { "link", "a pong behind the close frame", input,
    "if (l->state == DOP_LINK_OPEN && dop_link_backlog(&l->socket) < PONGS_MAX &&",
    "if (dop_link_backlog(&l->socket) < PONGS_MAX &&" },
  { "link", "pongs without end", input, "dop_link_backlog(&l->socket) < PONGS_MAX &&", "1 &&" },
  { "link", "a request that is forgotten twice", handshake, "  dop_free(l->upgrade);\n  l->upgrade = NULL;\n",
    "  dop_free(l->upgrade);\n" },
  { "link", "what was not agreed on is left", handshake, "    dop_deflate_free(deflate);\n    dop_node_end",
    "    dop_node_end" },
  { "link", "an ended link is counted on", link, "  dop_link_count_less(l, 1);\n  not_pending(l);\n",
    "  dop_link_count_less(l, 1);\n" },
  { "link", "the rest of the input is forgotten", input,
    "    failed = l->input_len && dop_bytes_append(&l->in, l->input, l->input_len);", "    failed = 0;" },
}

local function run(command, ...) return (os.execute(command:format(...))) end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  assert(f:write(text))
  f:close()
end

local function replaced(fault)
  local name, file, text = fault[2], "csrc/" .. fault[3], fault[4]
  local source = read(file)
  local from, to = source:find(text, 1, true)
  assert(from and not source:find(text, from + 1, true), name .. ": its text does not stand once in " .. file)
  return source:sub(1, from - 1) .. fault[5] .. source:sub(to + 1)
end

-- The target's program with one object in the place of another.
local function build(fault, dir)
  local objects = { ("%s/fuzz/%s.o"):format(BUILD, fault[1]) }
  write(dir .. "/fault.c", replaced(fault))
  assert(run("%s -c -o %s/fault.o %s/fault.c", CC, dir, dir), fault[2] .. ": does not compile")
  for file in os.getenv("FUZZ_C"):gmatch "%S+" do
    objects[#objects + 1] = file == "csrc/" .. fault[3] and dir .. "/fault.o" or BUILD .. file:sub(5, -2) .. "o"
  end
  assert(run("%s %s -o %s/program %s -lz", CC, os.getenv "LDFLAGS", dir, table.concat(objects, " ")))
end

local function fuzz(program, target, dir, flags)
  local words = "spec/fuzz/" .. target .. ".dict"
  words = run("test -f %s", words) and "-dict=" .. words or ""
  return run("ASAN_OPTIONS=quarantine_size_mb=16:detect_leaks=1 timeout -k 5 %d %s -seed=1 -max_len=4096 -timeout=10 "
    .. "-rss_limit_mb=1024 -artifact_prefix=%s/ %s %s %s spec/fuzz/corpus/%s >%s/log 2>&1 </dev/null",
    SECONDS + 30, program, dir, words, flags, dir .. "/corpus", target, dir)
end

-- What the log says was wrong: the target's own sentence, or the sanitizer's headline.
local function said(dir)
  local log = read(dir .. "/log")
  return log:match "csrc/fuzz/[%w_]+%.c:%d+: ([^\n]+)" or log:match "ERROR: (%w+: [^\n]-) on " or
    log:match "runtime error: ([^\n]+)" or log:match "ERROR: ([^\n]+)" or "it ended"
end

local function try(i)
  local fault, dir = faults[i], ("%s/%d"):format(ROOT, i)
  assert(run("rm -rf %s && mkdir -p %s/corpus", dir, dir))
  build(fault, dir)
  local began = os.time()
  local seen = not fuzz(dir .. "/program", fault[1], dir, "-max_total_time=" .. SECONDS)
  print(("%s  %-16s %3d s  %-50s %s"):format(seen and "seen  " or "MISSED", fault[1], os.time() - began, fault[2],
    seen and said(dir) or ""))
  run("rm -rf %s%s", dir, seen and "" or "/program " .. dir .. "/corpus")
  return seen
end

local function passes()
  local dir, done = ROOT .. "/none", {}
  assert(run("rm -rf %s && mkdir -p %s/corpus", dir, dir))
  for _, fault in ipairs(faults) do
    replaced(fault)
    if not done[fault[1]] then
      done[fault[1]] = true
      local passed = fuzz(("%s/fuzz/%s"):format(BUILD, fault[1]), fault[1], dir, "-runs=0")
      assert(passed, fault[1] .. " fails without a fault: " .. dir .. "/log")
    end
  end
end

if arg[1] == "all" then
  passes()
  os.exit(run("seq %d | xargs -P %d -I{} lua5.4 spec/fuzz/faults.lua {}", #faults, JOBS))
else
  os.exit(try(assert(tonumber(arg[1]))))
end
