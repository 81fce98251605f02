--- Peers over real sockets that speak WebSocket and DOP by hand: the spec says each message, and sees
-- each frame that comes. They do nothing by themselves but answer the upgrade.

local core = require "dop.core"
local frames = require "spec.support.frames"
local real = require "spec.support.real"
local wire = require "spec.support.wire"

local hand = {}

-- Adds to a peer of real.lua: `head` (of the upgrade), `list` (frames that nobody took yet), and the
-- methods below.
local methods = {}

local function hear(p, bytes)
  p.rest = p.rest .. bytes
  if not p.head then
    local stop = select(2, p.rest:find("\r\n\r\n", 1, true))
    if not stop then return end
    p.head, p.rest = p.rest:sub(1, stop), p.rest:sub(stop + 1)
    if not p.masks then p:send(p.amend(wire.new():answer_to(p.head))) end
  end
  local more
  more, p.rest = frames.decode_all(p.rest)
  for _, frame in ipairs(more) do p.list[#p.list + 1] = frame end
end

local function become(p, masks)
  p.masks, p.rest, p.list, p.on_bytes = masks, "", {}, hear
  for name, fn in pairs(methods) do p[name] = fn end
  return p
end

--- Says a text message, or sends a frame of another opcode.
function methods:say(payload, opcode)
  self:send(frames.encode(opcode or frames.TEXT, payload, { mask = self.masks }))
end

--- Waits for the next frame. Returns its payload and opcode.
function methods:take(seconds)
  real.wait("a frame", function() return self.list[1] end, seconds)
  local frame = table.remove(self.list, 1)
  return frame.payload, frame.opcode
end

--- Waits for the close frame, past what comes before it. Returns its code.
function methods:closed_with()
  local payload, opcode
  repeat payload, opcode = self:take() until opcode == frames.CLOSE
  return payload:byte(1) * 256 + payload:byte(2)
end

--- How many frames of that opcode came and were not taken.
function methods:count(opcode)
  local n = 0
  for _, frame in ipairs(self.list) do if frame.opcode == opcode then n = n + 1 end end
  return n
end

--- Says the half `half` and confirms the other end's: CONNECTED. Returns the token.
function methods:connect(half)
  local theirs = self:take()
  self:say(half)
  assert(self:take() == theirs, "the half comes a second time")
  self:say(half)
  return core.merge(half, theirs)
end

--- The bytes of a request.
hand.REQUEST = wire.REQUEST .. "Sec-WebSocket-Protocol: dop\r\n\r\n"

--- A client of the server, upgraded: its next frame is the server's half. `lines`, if any, come on top of
-- its request; `dial` is real.raw_client, or something like it.
function hand.client(server, lines, dial)
  local p = become((dial or real.raw_client)(server), true)
  p:send((hand.REQUEST:gsub("\r\n\r\n$", "\r\n" .. (lines or "") .. "\r\n")))
  return p
end

--- A server that is none of ours. `peers` are its sockets, in the order in which they came; socket(n)
-- waits for the n-th and returns it. `listen` is real.raw_server, or something like it; `amend`, if any, makes
-- another answer of the right one.
function hand.server(listen, amend)
  local peers = {}
  local listening = (listen or real.raw_server)(function(p)
    peers[#peers + 1] = become(p, false)
    p.amend = amend or function(answer) return answer end
  end)
  return {
    url = listening.url,
    peers = peers,
    socket = function(_, n)
      real.wait("socket " .. n, function() return peers[n] and peers[n].head end)
      return peers[n]
    end,
  }
end

return hand
