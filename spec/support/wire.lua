--- A wire in memory, for specs of the machine: an engine with a clock that stands still until it is
-- told, a server and clients on it, and sockets whose bytes the spec carries by hand, message by
-- message. Nothing here opens a real socket.

local core = require "dop.core"
require "dop.emitter"
local frames = require "spec.support.frames"

local wire = {}
wire.__index = wire

local worlds = setmetatable({}, { __mode = "k" })

--- Ends every world since the last call: transports that are open are anchored, and a full collection
-- after each handler would visit them all. For after_each.
function wire.close()
  for w in pairs(worlds) do
    w.log = {}
    w.client:end_sessions()
    w.server:end_sessions()
    w:turn()
    worlds[w] = nil
  end
end

--- A world: options of the server and of the client, of core.transport. `w.log` collects every event
-- of both as {who, event, node, ...}. `deflate`: what the spec offers, or answers, as its extensions.
function wire.new(o)
  o = o or {}
  local w = setmetatable({ log = {}, engine = core.engine(), deflate = o.deflate }, wire)
  worlds[w] = true
  w.engine:advance(1000)
  w.engine:collect_always(true)
  w.server = core.transport(w.engine, "server", o.server or {})
  w.client = core.transport(w.engine, "client", o.client or {})
  for _, who in ipairs { "server", "client" } do
    for event in pairs(core.events) do
      w[who]:on(event, function(node, ...)
        w.log[#w.log + 1] = { who = who, event = event, node = node, ... }
      end)
    end
  end
  return w
end

--- Lets time pass.
function wire:wait(seconds)
  self.engine:advance(self.engine:now() + seconds)
  self:turn()
end

function wire:turn()
  while self.engine:turn() do end
end

--- How often the event was seen, by whom; without arguments, forgets what was seen.
function wire:count(who, event)
  local n = 0
  for _, e in ipairs(self.log) do
    if e.who == who and (not event or e.event == event) then n = n + 1 end
  end
  return n
end

--- The last such event, nil when there was none.
function wire:last(who, event)
  for i = #self.log, 1, -1 do
    if self.log[i].who == who and self.log[i].event == event then return self.log[i] end
  end
end

-- One end of a socket that the spec holds: `link`, and what came out of it as whole messages.
local peer = {}
peer.__index = peer

local function read_head(bytes)
  local stop = select(2, bytes:find("\r\n\r\n", 1, true))
  if not stop then return nil, bytes end
  return bytes:sub(1, stop), bytes:sub(stop + 1)
end

--- Takes the link's output and keeps its frames in `self.sent`.
function peer:pull()
  self.raw = (self.raw or "") .. self.link:output()
  if not self.head then
    self.head, self.raw = read_head(self.raw)
    if not self.head then return self end
  end
  local list
  list, self.raw = frames.decode_all(self.raw)
  for _, frame in ipairs(list) do self.sent[#self.sent + 1] = frame end
  return self
end

--- The next message or control frame that the link sent: payload, opcode; nil when there is none.
function peer:take()
  self:pull()
  local frame = table.remove(self.sent, 1)
  if frame then return frame.payload, frame.opcode end
end

--- Gives the link a text message (or a frame of another opcode).
function peer:give(payload, opcode, options)
  options = options or {}
  if options.mask == nil then options.mask = self.mask end
  self.link:feed(frames.encode(opcode or frames.TEXT, payload, options))
  self.w:turn()
  return self
end

function peer:lose()
  self.link:lost()
  self.w:turn()
end

--- The close code that the link sent, after what else it had to say; nil when it sent no close frame.
function peer:closed_with()
  while true do
    local payload, opcode = self:take()
    if not payload then return nil end
    if opcode == frames.CLOSE then
      return #payload >= 2 and payload:byte(1) * 256 + payload:byte(2) or 1005
    end
  end
end

wire.KEY = "dGhlIHNhbXBsZSBub25jZQ=="
wire.REQUEST = "GET /dop HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ..
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " .. wire.KEY .. "\r\n"

--- A socket to the server: the spec is the client. The upgrade is done. `raw`: it is not.
function wire:to_server(raw)
  local link = core.accept(self.server, "127.0.0.1:5")
  local p = setmetatable({ w = self, link = link, sent = {}, mask = true }, peer)
  if raw then return p end
  local extensions = self.deflate and "Sec-WebSocket-Extensions: " .. self.deflate .. "\r\n" or ""
  p.link:feed(wire.REQUEST .. "Sec-WebSocket-Protocol: dop\r\n" .. extensions .. "\r\n")
  self:turn()
  return p:pull()
end

local function base64(bytes)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for k = 3, 0, -1 do
      local digit = math.floor(n / 64 ^ k) % 64
      out[#out + 1] = (k == 1 and not b or k == 0 and not c) and "=" or alphabet:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(out)
end
wire.base64 = base64

--- The server's answer to a request that the link of a client wrote. The accept key is computed by a
-- second server of ours, whose answer to the RFC's sample key has a spec of its own.
function wire:answer_to(head)
  local other = core.transport(self.engine, "server", {})
  local link = core.accept(other)
  link:feed(head)
  local answer = read_head(link:output())
  link:lost()
  other:end_sessions()
  return answer
end

--- A socket from the client: the spec is the server. The upgrade is done. `raw`: it is not.
function wire:from_client(raw)
  local link = core.dial(self.client, "localhost", "/dop")
  local p = setmetatable({ w = self, link = link, sent = {}, mask = false }, peer)
  p:pull()
  if raw then return p end
  local answer = self:answer_to(p.head)
  if self.deflate then
    answer = answer:sub(1, -3) .. "Sec-WebSocket-Extensions: " .. self.deflate .. "\r\n\r\n"
  end
  p.link:feed(answer)
  self:turn()
  return p:pull()
end

--- Brings a socket of the server to CONNECTED with the given half (16 letters without one). Returns
-- the peer and the token.
function wire:connected_server(half)
  local p = self:to_server()
  half = half or ("Z"):rep(16)
  local theirs = p:take()
  p:give(half)
  assert(p:take() == theirs, "the server's half comes a second time")
  p:give(half)
  return p, core.merge(half, theirs)
end

--- The same for the client.
function wire:connected_client(half)
  local p = self:from_client()
  half = half or ("Y"):rep(16)
  local theirs = p:take()
  p:give(half)
  assert(p:take() == theirs, "the client's half comes a second time")
  p:give(half)
  return p, core.merge(half, theirs)
end

--- A socket between the world's own client and server, upgraded, its messages still on the way:
-- returns the server's end and the client's. `carry` brings one message across.
function wire:join()
  local client = setmetatable({ w = self, link = core.dial(self.client, "localhost", "/dop"), sent = {} }, peer)
  local server = setmetatable({ w = self, link = core.accept(self.server, "127.0.0.1:5"), sent = {} }, peer)
  client.mask, server.mask = false, true
  client:pull()
  server.link:feed(client.head)
  self:turn()
  server:pull()
  client.link:feed(server.head)
  self:turn()
  return server, client
end

--- Takes the oldest message that `from` sent and gives it to `to`. Returns it.
function wire.carry(from, to)
  local payload, opcode = from:take()
  assert(payload, "nothing is on the way")
  to:give(payload, opcode)
  return payload
end

return wire
