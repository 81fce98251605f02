--- Streams of bytes for the specs of the WebSocket: what a link makes of one, and that it makes the
-- same of it however the network cuts it.
--
-- A stream is a list of frames, {opcode, payload, options of frames.encode}, and of strings, which
-- are bytes as they stand. It is fed to the link of a fresh session that is CONNECTED, in the role
-- "server" or "client"; frames to a server are masked unless they say `mask = false`.

local expect = require "luassert" -- the plain assert serves where it runs a million times
local wire = require "spec.support.wire"
local frames = require "spec.support.frames"

local stream = {}

stream.ROLES = { "server", "client" }
local KEY = "\55\250\33\61" -- the key of the examples in RFC 6455 5.7
local HALF = ("Q"):rep(16)
local EACH = 4096 -- a stream up to here is cut at every point

function stream.text(payload, options) return { frames.TEXT, payload, options } end

function stream.binary(payload, options) return { frames.BINARY, payload, options } end

function stream.ping(payload, options) return { frames.PING, payload, options } end

function stream.pong(payload, options) return { frames.PONG, payload, options } end

--- A part of a message: opcode TEXT, BINARY or CONTINUATION. The last one is `last`.
function stream.part(opcode, payload) return { opcode, payload, { fin = false } } end

function stream.last(payload) return { frames.CONTINUATION, payload } end

--- A close frame: code and reason, or a payload as it stands, or nothing.
function stream.close(code, reason)
  return { frames.CLOSE, type(code) == "number" and frames.u16(code) .. (reason or "") or code or "" }
end

--- Makes of a spec's `it` one for each role: it takes the sentence, and a function of the role.
function stream.both(it)
  return function(sentence, test)
    for _, role in ipairs(stream.ROLES) do
      it(("%s (%s)"):format(sentence, role), function() test(role) end)
    end
  end
end

-- Masking in Lua takes its time: what is large gets a key of zeroes, which changes nothing.
local function encode(role, item)
  if type(item) == "string" then return item end
  local options = {}
  for k, v in pairs(item[3] or {}) do options[k] = v end
  if options.mask == nil then options.mask = role == "server" and KEY end
  if options.mask and #(item[2] or "") > 70000 then
    options.mask, options.length = "\0\0\0\0", #item[2]
    return frames.encode(item[1], "", options) .. item[2]
  end
  return frames.encode(item[1], item[2], options)
end

--- The bytes of a stream, and where its frames begin and end in them.
function stream.bytes(role, list)
  local out, at, edges = {}, 0, {}
  for i, item in ipairs(list) do
    out[i] = encode(role, item)
    at = at + #out[i]
    edges[#edges + 1] = at
  end
  return table.concat(out), edges
end

--- A fresh session: the world, the peer that the spec holds, the session's token. `fast`: without the
-- collection after each handler, for what runs a thousand times. `limits` are options of both roles;
-- `deflate` among them is what the peer offers, or answers, as its extensions.
function stream.session(role, limits, fast)
  local w = wire.new { server = limits, client = limits, deflate = limits and limits.deflate }
  w.engine:collect_always(not fast)
  local connect = role == "server" and w.connected_server or w.connected_client
  local p, token = connect(w, HALF)
  w.log = {}
  return w, p, token
end

--- Ends a world: what a spec leaves alive stays in memory, and the collector walks over it each time.
function stream.over(w, p)
  if p then p.link:lost() end
  w.server:end_sessions()
  w.client:end_sessions()
  w:turn()
end

--- What came of it so far: `messages` ("text:Hello"), `pongs`, `code` and `reason` of the close frame
-- that the link sent (nil: none, 1005: an empty one), `events` (all others that the application
-- got), `status` of the node, `ending` of the link. Checks on the way what holds for every frame that
-- a link sends.
function stream.seen(role, w, p)
  local seen = { messages = {}, pongs = {}, pings = 0, events = {}, ending = p.link:ending() }
  for _, e in ipairs(w.log) do
    assert(e.who == role, "an event of the other role")
    seen.status = e.node.status
    if e.event == "message" then
      table.insert(seen.messages, e[2] .. ":" .. e[1])
    else
      local first = e[1]
      table.insert(seen.events, e.event .. (first == nil and "" or " " .. tostring(first)))
      if e.event == "close" then seen.closed, seen.why = first, e[2] end
    end
  end
  p:pull()
  assert(p.raw == "", "the link sent half a frame")
  for _, frame in ipairs(p.sent) do
    assert(frame.masked == (role == "client"), "a client masks, a server does not")
    assert(frame.fin and frame.rsv == 0, "no fragments, no reserved bits")
    assert(not seen.code, "nothing follows a close frame")
    if frame.opcode == frames.PONG then
      table.insert(seen.pongs, frame.payload)
    elseif frame.opcode == frames.PING then
      seen.pings = seen.pings + 1
    else
      assert(frame.opcode == frames.CLOSE, "only pings, pongs and a close frame were to be sent")
      local payload = frame.payload
      seen.code = #payload >= 2 and payload:byte(1) * 256 + payload:byte(2) or 1005
      seen.reason = payload:sub(3)
    end
  end
  return seen
end

-- One string for all of it, so that thousands of runs are compared fast.
local function print_of(seen)
  return table.concat({
    table.concat(seen.messages, "\1"), table.concat(seen.pongs, "\1"), table.concat(seen.events, "\1"),
    tostring(seen.code), tostring(seen.reason), tostring(seen.why), tostring(seen.ending), tostring(seen.pings),
  }, "\2")
end

local function short(s) return #s > 300 and s:sub(1, 300) .. "..." or s end

local function equal(a, b, how)
  local x, y = print_of(a), print_of(b)
  if x == y then return end
  error(("whole: %q\n%s: %q"):format(short(x), how, short(y)), 0)
end

-- The points at which a stream is cut in two.
local function points(size, edges)
  local list = {}
  if size <= EACH then
    for at = 1, size - 1 do list[at] = at end
    return list
  end
  local known = {}
  local function around(edge)
    for at = edge - 3, edge + 16 do
      if at > 0 and at < size and not known[at] then
        known[at], list[#list + 1] = true, at
      end
    end
  end
  around(0)
  -- Of many frames the first ones and the last ones are enough.
  for i, edge in ipairs(edges) do
    if i <= 10 or i > #edges - 10 then around(edge) end
  end
  around(math.floor(size / 2))
  return list
end

--- Calls run(pieces, fast), which must return a result that `same(whole, other, how)` can compare, for
-- the bytes as a whole, in single bytes, and cut in two at each point. All but the whole are `fast`: they
-- differ from it in nothing that a collection could. Returns the result of the whole.
function stream.cuts(bytes, edges, run, same)
  local whole = run({ bytes }, false)
  for _, at in ipairs(points(#bytes, edges)) do
    same(whole, run({ bytes:sub(1, at), bytes:sub(at + 1) }, true), "cut behind byte " .. at)
  end
  -- Beyond 256 KiB single bytes are not worth their time: pieces of a prime number.
  local step = #bytes > 262144 and 4093 or 1
  local pieces = {}
  for at = 1, #bytes, step do pieces[#pieces + 1] = bytes:sub(at, at + step - 1) end
  same(whole, run(pieces, true), step == 1 and "byte by byte" or "in pieces")
  return whole
end

--- Feeds a stream to a fresh session of the role in every way and returns what came of it.
function stream.feed(role, list, limits)
  local bytes, edges = stream.bytes(role, list)
  return stream.cuts(bytes, edges, function(pieces, fast)
    local w, p = stream.session(role, limits, fast)
    for _, piece in ipairs(pieces) do
      p.link:feed(piece)
      w:turn()
    end
    local seen = stream.seen(role, w, p)
    stream.over(w, p)
    return seen
  end, equal)
end

--- The same for a list of messages that must arrive, and nothing else happens.
function stream.hears(role, list, messages, limits)
  local seen = stream.feed(role, list, limits)
  expect.same({ messages = messages, events = {} }, { messages = seen.messages, events = seen.events })
  expect.is_nil(seen.code)
  expect.is_nil(seen.ending)
  return seen
end

--- The same for a stream that breaks the rules: the link says so with `code` in its close frame, the
-- application is told the same, and the socket ends; the session waits for another.
function stream.refused(role, list, code, limits)
  local seen = stream.feed(role, list, limits)
  expect.equal(code, seen.code)
  expect.equal(code, seen.closed)
  expect.same({ "close " .. code, "status RECONNECTING", "reconnecting " .. seen.why }, seen.events)
  expect.equal(seen.why, seen.reason)
  expect.equal("fin", seen.ending)
  return seen
end

return stream
