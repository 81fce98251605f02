--- What may be said before a session is CONNECTED: halves, in text of 1024 bytes at most.

local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"
local both = stream.both(it)

local HALF = ("Q"):rep(16)

-- Feeds the frames to a link whose upgrade is done, in every way. `known`: the peer's half has come.
local function feed(role, list, known, limits)
  local bytes, edges = stream.bytes(role, list)
  local function equal(a, b, how)
    for _, key in ipairs { "code", "closed", "why", "ending", "status", "pongs" } do
      if a[key] ~= b[key] then error(("%s: %s, not %s"):format(how, tostring(b[key]), tostring(a[key])), 0) end
    end
  end
  return stream.cuts(bytes, edges, function(pieces, fast)
    local w = wire.new { server = limits, client = limits }
    w.engine:collect_always(not fast)
    local p = role == "server" and w:to_server() or w:from_client()
    if known then p:give(HALF) end
    p:pull()
    p.sent, w.log = {}, {}
    for _, piece in ipairs(pieces) do
      p.link:feed(piece)
      w:turn()
    end
    local seen = { code = nil, pongs = "", ending = p.link:ending() }
    for _, frame in ipairs(p:pull().sent) do
      if frame.opcode == frames.CLOSE then
        seen.code = frame.payload:byte(1) * 256 + frame.payload:byte(2)
      elseif frame.opcode == frames.PONG then
        seen.pongs = seen.pongs .. frame.payload
      end
    end
    for _, e in ipairs(w.log) do
      assert(e.event ~= "message" and e.event ~= "connect", "nothing is registered and no message heard")
      if e.event == "close" then seen.closed, seen.why = e[1], e[2] end
      if e.event == "status" then seen.status = e[1] end
    end
    stream.over(w, p)
    return seen
  end, equal)
end

local function refused(role, list, code, limits)
  for _, known in ipairs { false, true } do
    local seen = feed(role, list, known, limits)
    assert.same({ code, code }, { seen.code, seen.closed })
    -- A server forgets such a session; a client begins again, or has not begun.
    if role == "server" then assert.equal("DISCONNECTED", seen.status) end
    if role == "client" then assert.equal(known and "OPEN" or nil, seen.status) end
  end
end

describe("before CONNECTED", function()
  both("a binary message is refused: 1008", function(role)
    refused(role, { stream.binary(HALF) }, 1008)
    refused(role, { stream.binary("") }, 1008)
  end)

  both("a text of more than 1024 bytes is refused, at its header: 1008", function(role)
    refused(role, { stream.text(("x"):rep(1025)) }, 1008)
    refused(role, { stream.text(("x"):rep(70000)) }, 1008)
    local mask = role == "server" and 128 or 0
    refused(role, { "\129" .. string.char(126 + mask) .. "\4\1" }, 1008)
    refused(role, { "\129" .. string.char(127 + mask) .. "\0\0\0\0\255\255\255\255" }, 1008)
  end)

  both("a text of more than 1024 bytes in fragments is refused: 1008", function(role)
    refused(role, { stream.part(frames.TEXT, ("x"):rep(600)), stream.last(("x"):rep(425)) }, 1008)
  end)

  both("a text of 1024 bytes is read, and refused as a half: 1008", function(role)
    refused(role, { stream.text(("x"):rep(1024)) }, 1008)
  end)

  both("a half in fragments, in pieces and among pings is a half", function(role)
    local seen = feed(role, {
      stream.part(frames.TEXT, HALF:sub(1, 5)), stream.ping("?"), stream.part(frames.CONTINUATION, ""),
      stream.last(HALF:sub(6)),
    })
    assert.same({ "PRECONNECTED", "?" }, { seen.status, seen.pongs })
    assert.is_nil(seen.code)
  end)

  both("the rules of frames are those of later: 1002, 1007", function(role)
    refused(role, { { 3, HALF } }, 1002)
    refused(role, { { frames.TEXT, HALF, { rsv = 4 } } }, 1002)
    refused(role, { { frames.TEXT, HALF, { mask = role == "client" } } }, 1002)
    refused(role, { stream.text(("x"):rep(15) .. "\255") }, 1007)
  end)

  both("a close frame is answered with its code", function(role)
    refused(role, { stream.close(4000, "no") }, 4000)
  end)

  both("the limit of 1024 counts no more once the session is CONNECTED", function(role)
    local s = ("x"):rep(5000)
    stream.hears(role, { stream.text(s), stream.binary(s) }, { "text:" .. s, "binary:" .. s })
  end)
end)
