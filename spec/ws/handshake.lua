--- Heads of HTTP for the specs of the upgrade, and what a link makes of them, whole and in pieces.

local core = require "dop.core"
local wire = require "spec.support.wire"
local stream = require "spec.ws.stream"

local handshake = {}

local HALF = "ABCDEFGHIJKLMNOP"
handshake.HALF = HALF -- the half of every link under test

local BASE = {
  { "Host", "localhost" },
  { "Upgrade", "websocket" },
  { "Connection", "Upgrade" },
  { "Sec-WebSocket-Version", "13" },
  { "Sec-WebSocket-Key", wire.KEY },
}

--- A request that is right but for what `o` changes: `line`, fields by name (false: leave it out),
-- and more lines, in the list part of `o`, as they stand.
function handshake.request(o)
  o = o or {}
  local out = { o.line or "GET /dop HTTP/1.1" }
  for _, field in ipairs(BASE) do
    local value = o[field[1]]
    if value == nil then value = field[2] end
    if value then out[#out + 1] = field[1] .. ": " .. value end
  end
  for _, line in ipairs(o) do out[#out + 1] = line end
  return table.concat(out, "\r\n") .. "\r\n\r\n"
end

local function read_answer(raw)
  local answer = { raw = raw, fields = {} }
  local stop = raw:find("\r\n\r\n", 1, true)
  if not stop then return answer end
  local head = raw:sub(1, stop + 1)
  answer.status = tonumber(head:match("^HTTP/1%.1 (%d%d%d) [%w ]+\r\n"))
  for line in head:gsub("^[^\n]*\n", ""):gmatch("([^\n]*)\r\n") do
    local name, value = line:match("^([%w-]+): (.*)$")
    assert(name and not answer.fields[name:lower()], "the answer has a wrong or repeated line: " .. line)
    answer.fields[name:lower()] = value
  end
  answer.body = raw:sub(stop + 4)
  return answer
end

local function equal(a, b, how)
  if a.raw == b.raw and a.ending == b.ending and a.events == b.events and a.down == b.down then return end
  error(("whole: %q %s %s %s\n%s: %q %s %s %s"):format(a.raw, tostring(a.ending), a.events, tostring(a.down),
    how, b.raw, tostring(b.ending), b.events, tostring(b.down)), 0)
end

local function events_of(w)
  local list = {}
  for i, e in ipairs(w.log) do list[i] = e.event .. (e[1] and " " .. tostring(e[1]) or "") end
  return table.concat(list, ", ")
end

local function world(o, fast)
  local options = { halves = { HALF, HALF } }
  for k, v in pairs(o.limits or {}) do options[k] = v end
  local w = wire.new { server = options, client = options }
  w.engine:collect_always(not fast)
  if o.any_origin or o.http or o.authorize then
    core.configure(w.server, o.authorize, o.any_origin, nil, o.http)
  end
  return w
end

-- Whatever is no 101 is one answer, behind which the connection ends.
local function check_answer(got, bytes)
  local empty = bytes:find("^HEAD ") or got.status == 204 or got.status == 304
  local length = tonumber(got.fields["content-length"])
  assert(got.fields.connection:find("close", 1, true), "an answer says that the connection closes")
  assert(empty and got.body == "" or length == #got.body, "an answer says how long its body is")
  assert((length ~= nil) == (got.status ~= 204 and got.status ~= 304), "what has no content has no length")
  assert(got.ending == "fin", "an answer ends the socket")
  assert(got.events == "", "the application hears of no socket")
  return got
end

--- Gives a server the bytes, in every way. Returns its answer: `status` (nil: none yet), `fields` by
-- their names in lower case, `body` (for 101: what the WebSocket sent), `events` as one string,
-- `ending`, and the counts `refused` and `http`. Options: limits, any_origin; authorize and http as of
-- core.configure.
function handshake.ask(bytes, o)
  o = o or {}
  local got = stream.cuts(bytes, {}, function(pieces, fast)
    local w = world(o, fast)
    local p = w:to_server(true)
    local raw = ""
    for _, piece in ipairs(pieces) do
      p.link:feed(piece)
      w:turn()
      raw = raw .. p.link:output()
    end
    local answer = read_answer(raw)
    answer.ending, answer.events = p.link:ending(), events_of(w)
    local stats = w.server:stats()
    answer.refused, answer.http = stats.refused, stats.http
    stream.over(w, p)
    return answer
  end, equal)
  if got.status and got.status ~= 101 then
    assert(got.refused + got.http == 1, "an answer is counted, once")
    check_answer(got, bytes)
  end
  return got
end

--- Gives a client that has dialled what `make` makes of its request (a function of the world and the
-- head), in every way. Returns `down`, the code by which the attempt failed (nil: it did not), `why`,
-- `status` and `retry_after` of the answer, `request`, `events`, `ending`, and `raw`, what the client wrote.
function handshake.answer(make, o)
  o = o or {}
  local function run(cut)
    local w = world(o, cut)
    local p = w:from_client(true)
    local got = { raw = "", request = p.head }
    core.values(w.client)[core.down] = {
      function(_, why, code, held, status, retry_after)
        assert(not got.down and held == 0, "an attempt fails once")
        got.down, got.why, got.status, got.retry_after = code, why, status, retry_after
      end,
    }
    local bytes = make(w, p.head)
    for _, piece in ipairs(cut and cut(bytes) or { bytes }) do
      p.link:feed(piece)
      w:turn()
      got.raw = got.raw .. p.link:output()
    end
    -- Masks are random: what is compared is their length and what they hide.
    p.raw, p.sent = got.raw, {}
    local shown = {}
    for _, frame in ipairs(p:pull().sent) do shown[#shown + 1] = frame.opcode .. ":" .. frame.payload end
    got.size, got.raw = #bytes, table.concat(shown, ", ")
    got.ending, got.events = p.link:ending(), events_of(w)
    core.values(w.client)[core.down] = nil
    stream.over(w, p)
    return got
  end
  local whole = run()
  stream.cuts(("x"):rep(whole.size), {}, function(pieces)
    return run(function(bytes)
      local list, at = {}, 1
      for i, piece in ipairs(pieces) do
        list[i], at = bytes:sub(at, at + #piece - 1), at + #piece
      end
      return list
    end)
  end, function(_, other, how) equal(whole, other, how) end)
  return whole
end

return handshake
