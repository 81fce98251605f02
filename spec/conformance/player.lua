--- Plays a case of the Autobahn testsuite against one end of ours, as its fuzzing client (our server)
-- or its fuzzing server (our client): an application that echoes, a peer that says what the case says.
--
-- A case is data: {number, steps, back = what must come back, ...}, made by `echoes`, `fails` and
-- `closes`. A step is a frame {opcode, payload, options of frames.encode} or a `quiet`. Everything that
-- comes back is compared, with the close frame, what the application is told and how the socket ends;
-- once the case is over nothing more may come, whatever is said.

local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"

local player = {}

local KEY = "\55\250\33\61"
local READ = 65536 -- what is large comes in pieces as large as a read of a driver
local EACH = 4096 -- a case up to here is cut at every point
local KINDS = { [0] = "continuation", "text", "binary", [8] = "close", [9] = "ping", [10] = "pong" }
-- A client waits for the server to end the socket (RFC 6455 7.1.1); a server ends it once it has answered.
local ENDING = { server = "over", client = "fin" }

--- A payload of `size` bytes that repeats `unit`. Masking one costs as much as masking a few units.
function player.blob(unit, size) return { unit = unit, size = size } end

local function plain(payload)
  if type(payload) == "string" then return payload end
  return payload.unit:rep(math.ceil(payload.size / #payload.unit)):sub(1, payload.size)
end
player.plain = plain

-- Four units have a whole number of masks, whatever the unit's length.
local function masked(payload, key)
  if type(payload) == "string" then return frames.mask(payload, key) end
  local four = frames.mask(payload.unit:rep(4), key)
  return four:rep(math.ceil(payload.size / #four)):sub(1, payload.size)
end

local function size_of(payload) return type(payload) == "string" and #payload or payload.size end

--- At this point exactly this has come back since the last one, and the socket lives.
function player.quiet(back) return { quiet = back or {} } end

--- Everything is right: `back` returns, and then the peer closes with 1000 and is answered with 1000.
function player.echoes(number, steps, back, o)
  o = o or {}
  return { number = number, steps = steps, back = back, chop = o.chop, rounds = o.rounds, limits = o.limits }
end

--- Our end fails the connection with `code`, behind `back`, at the last byte of the steps at the latest.
function player.fails(number, steps, back, code, o)
  return { number = number, steps = steps, back = back, code = code, failed = true, chop = o and o.chop }
end

--- The peer closes with `code` (1005: no code) and is answered with that, behind `back`. What else the
-- application sent, `kept` bytes in its queue, stays with its session.
function player.closes(number, steps, back, code, kept)
  return { number = number, steps = steps, back = back, code = code, kept = kept }
end

-- The bytes of a step. `more`: payload of the frame before, whose first `behind` bytes are sent already.
local function encode(role, item)
  local known = item.known or {}
  item.known = known
  if item.more then
    local turn = item.behind % 4
    return role == "client" and item.more or frames.mask(item.more, KEY:sub(turn + 1) .. KEY:sub(1, turn))
  end
  if not known[role] then
    local options = { mask = role == "server" and KEY, length = size_of(item[2] or "") }
    for k, v in pairs(item[3] or {}) do options[k] = v end
    local payload = item[2] or ""
    known[role] = frames.encode(item[1], "", options) .. (role == "server" and masked(payload, KEY) or plain(payload))
  end
  return known[role]
end

-- The frames of an answer, still masked as they are: {kind, payload, key}.
local function read(role, bytes)
  local list, at = {}, 1
  while at <= #bytes do
    local first, second = bytes:byte(at, at + 1)
    local opcode, n = first % 16, second % 128
    assert(first >= 128 and first < 144, "no fragments, no reserved bits")
    assert((second >= 128) == (role == "client"), "a client masks, a server does not")
    at = at + 2
    if n >= 126 then
      local size = n == 126 and 2 or 8
      n = 0
      for i = at, at + size - 1 do n = n * 256 + bytes:byte(i) end
      at = at + size
    end
    local key
    if role == "client" then key, at = bytes:sub(at, at + 3), at + 4 end
    assert(at + n - 1 <= #bytes, "the link sent half a frame")
    list[#list + 1] = { kind = KINDS[opcode], payload = bytes:sub(at, at + n - 1), key = key }
    at = at + n
  end
  return list
end

local function short(s) return ("%q"):format(#s > 60 and s:sub(1, 60) .. "..." or s) end

local function fail(run, text, ...)
  error(("case %s (%s), %s: %s"):format(run.case.number, run.role, run.how, text:format(...)), 0)
end

local function check(run, ok, text, ...)
  if not ok then fail(run, text, ...) end
end

-- What came back must be exactly `back`: {kind, payload} each, and then a close frame with `code`.
local function compare(run, back, code)
  local list = read(run.role, run.p.link:output())
  for i, want in ipairs(back) do
    local got = list[i]
    check(run, got, "%s %s did not come back", want[1], short(plain(want[2])))
    check(run, got.kind == want[1], "%s came back in place of %s", got.kind, want[1])
    local same = got.payload == (got.key and masked(want[2], got.key) or plain(want[2]))
    check(run, same, "%s did not come back as it was sent", short(plain(want[2])))
  end
  local last = list[#back + 1]
  if not code then return check(run, not last, "%s came back as well", last and last.kind) end
  check(run, last and last.kind == "close", "no close frame came back")
  check(run, #list == #back + 1, "something followed the close frame")
  local payload = last.key and frames.mask(last.payload, last.key) or last.payload
  local got = #payload >= 2 and payload:byte(1) * 256 + payload:byte(2) or 1005
  check(run, got == code, "closed with %d, not with %d", got, code)
  return payload:sub(3)
end

local function feed(run, bytes, pieces)
  for _, piece in ipairs(pieces(bytes)) do
    run.p.link:feed(piece)
    run.w:turn()
  end
end

-- The events of the application that are neither messages nor changes of the status.
local function told(run)
  local list = {}
  for _, e in ipairs(run.w.log) do
    if e.event == "close" or e.event == "reconnecting" or e.event == "error" then
      list[#list + 1] = e.event .. " " .. tostring(e[1])
    end
  end
  return table.concat(list, ", ")
end

local function the_end(run)
  local case, role, p = run.case, run.role, run.p
  if not case.code then
    check(run, p.link:ending() == nil, "the socket ends")
    check(run, told(run) == "", "the application was told: %s", told(run))
    feed(run, encode(role, { frames.CLOSE, frames.u16(1000) }), run.pieces)
    compare(run, {}, 1000)
  end
  local code, why = case.code or 1000, run.w:last(role, "close")
  why = why and why[2]
  check(run, told(run) == ("close %d, reconnecting %s"):format(code, tostring(why)), "the application was told: %s",
    told(run))
  local ending, reset = p.link:ending()
  check(run, ending == (case.failed and "fin" or ENDING[role]) and not reset, "the socket ends by %s", tostring(ending))
  check(run, not case.failed or run.reason == why, "the peer and the application hear different reasons")
  local queued = run.w[role]:nodes()[1].queued
  check(run, queued == (case.kept or 0), "the session keeps %d bytes", queued)
  local before = #run.w.log
  feed(run, encode(role, { frames.PING, "late" }) .. encode(role, { frames.TEXT, "late" }), run.pieces)
  check(run, p.link:output() == "" and #run.w.log == before, "something happened behind the end")
end

-- One run. `pieces` cuts the bytes of a stretch between two quiet points.
local function once(role, case, how, pieces, fast)
  local w, p = stream.session(role, case.limits, fast)
  local run = { role = role, case = case, how = how, pieces = pieces, w = w, p = p }
  w[role]:on("message", function(node, message, kind) assert(node:send(message, kind)) end)
  for _ = 1, case.rounds or 1 do
    local bytes = {}
    for _, step in ipairs(case.steps) do
      if step.quiet then
        feed(run, table.concat(bytes), pieces)
        compare(run, step.quiet)
        check(run, p.link:ending() == nil, "the socket ends too early")
        bytes = {}
      else
        bytes[#bytes + 1] = encode(role, step)
      end
    end
    feed(run, table.concat(bytes), pieces)
    run.reason = compare(run, case.back, case.code)
  end
  the_end(run)
  stream.over(w, p)
end

local function pieces_of(size)
  return function(bytes)
    local list = {}
    for at = 1, #bytes, size do list[#list + 1] = bytes:sub(at, at + size - 1) end
    return list
  end
end

-- Cuts whatever is fed in two behind its byte `at`.
local function cut_at(at)
  return function(bytes)
    if at >= #bytes then return { bytes } end
    return { bytes:sub(1, at), bytes:sub(at + 1) }
  end
end

-- Each frame by itself: the pieces are known by the frames that begin the bytes.
local function by_frames(role, steps)
  local known = {}
  for _, step in ipairs(steps) do
    if not step.quiet then known[#known + 1] = encode(role, step) end
  end
  return function(bytes)
    local list = {}
    while #bytes > 0 do
      local frame = bytes
      for _, k in ipairs(known) do
        if bytes:sub(1, #k) == k then
          frame = k
          break
        end
      end
      list[#list + 1], bytes = frame, bytes:sub(#frame + 1)
    end
    return list
  end
end

--- The bytes of a case's longest stretch.
local function longest(role, case)
  local most, here = 0, 0
  for _, step in ipairs(case.steps) do
    here = step.quiet and 0 or here + #encode(role, step)
    most = math.max(most, here)
  end
  return most
end

--- Plays a case for a role ("server" or "client", ours): in its own chops, and, when it is small, as a
-- whole, frame by frame, byte by byte, and cut in two at every point.
function player.play(case, role)
  local size = longest(role, case)
  if size > EACH or case.rounds then
    local chop = case.chop or READ
    once(role, case, "in pieces of " .. chop, pieces_of(chop), true)
    return
  end
  once(role, case, "whole", pieces_of(math.max(size, 1)), false)
  once(role, case, "frame by frame", by_frames(role, case.steps), true)
  once(role, case, "byte by byte", pieces_of(1), true)
  for at = 1, size - 1 do once(role, case, "cut behind byte " .. at, cut_at(at), true) end
end

return player
