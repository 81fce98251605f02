--- Whoever sends without end has the loop's attention for a while, never for himself: real sockets, whose
-- bytes all lie ready before the loop runs.

local deflate = require "spec.support.deflate"
local frames = require "spec.support.frames"
local hand = require "spec.support.hand"
local real = require "spec.support.real"
local socket = require "socket"
local wire = require "spec.support.wire"

after_each(function()
  real.close()
  wire.close()
end)

local MASKED = { mask = "\0\0\0\0" }

local function text(payload) return frames.encode(frames.TEXT, payload, MASKED) end

-- Sessions of the server, CONNECTED: one that will send without end, between two that send a little.
-- In whichever order the system names them, one of the two comes behind it.
local function three(server)
  local peers = {}
  for i = 1, 3 do
    peers[i] = hand.client(server)
    peers[i]:connect(("h"):rep(15) .. i)
  end
  real.wait("the sessions", function() return server:stats().connects == 3 end)
  return peers[2], peers[1], peers[3]
end

-- Tells when the bytes that were sent lie in the server's socket.
local function arrived() socket.sleep(0.05) end

describe("a socket that sends without end", function()
  -- All have sent before the loop runs. Returns how many messages of the one the server had heard when
  -- it heard the last of the others.
  local function before_the_others(flood, count)
    local server = real.listen { max_idle_frames = 0 }
    local greedy, one, other = three(server)
    local heard, modest, before = 0, 0, nil
    server:on("message", function(_, message)
      if message == "modest" then
        modest, before = modest + 1, heard
      else
        heard = heard + 1
      end
    end)
    one:send(text "modest")
    greedy:send(flood)
    other:send(text "modest")
    arrived()
    real.wait("all of it", function() return modest == 2 and heard == count end)
    return before
  end

  it("is heard 1,024 messages a turn, then the others are", function()
    local before = before_the_others(text("x"):rep(2500), 2500)
    assert.truthy(before <= 1024, before)
  end)

  it("has one read of 64 KiB a turn, then the others are heard", function()
    local before = before_the_others(text(("x"):rep(8000)):rep(64), 64)
    assert.truthy(before <= 9, before)
  end)

  it("has its pings looked at 256 a turn, then the others are heard", function()
    local ping = frames.encode(frames.PING, "", MASKED)
    local before = before_the_others((ping:rep(400) .. text "x"):rep(10), 10)
    assert.truthy(before <= 1, before)
  end)

  it("has its fragments gathered 256 a turn, then the others are heard", function()
    local function part(opcode) return frames.encode(opcode, "x", { mask = "\0\0\0\0", fin = false }) end
    local last = frames.encode(frames.CONTINUATION, "x", MASKED)
    local message = part(frames.TEXT) .. part(frames.CONTINUATION):rep(400) .. last
    local before = before_the_others(message:rep(10), 10)
    assert.truthy(before <= 1, before)
  end)

  it("is heard to its end though it closes at once", function()
    local server = real.listen()
    local greedy = three(server)
    local heard, closed = 0, nil
    server:on("message", function() heard = heard + 1 end)
    server:on("close", function(_, code) closed = { code, heard } end)
    greedy:send(text("x"):rep(2000))
    greedy:close()
    real.wait("its end", function() return closed end)
    assert.same({ 1006, 2000 }, closed)
  end)
end)

describe("a flood of connections", function()
  it("is taken 16 a turn, then those that are there are heard", function()
    local server = real.listen()
    local _, modest, other = three(server)
    local before
    server:on("message", function() before = server:stats().sockets end)
    other:send(text "modest")
    for _ = 1, 200 do real.raw_client(server) end
    modest:send(text "modest")
    arrived()
    real.wait("the message and all connections", function() return before and server:stats().sockets == 203 end)
    assert.truthy(before <= 3 + 32, before)
  end)

  it("leaves none behind", function()
    local server = real.listen()
    for _ = 1, 100 do hand.client(server) end
    real.wait("all of them", function() return server:stats().sockets_opened == 100 end)
  end)
end)

describe("what compressed messages unfold to", function()
  local OFFER = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
  local SIZE = 1 + 258 * 120 -- bytes of which a message is made by an eighth of a KiB

  local function packed(payload) return frames.encode(frames.TEXT, payload, { mask = "\0\0\0\0", rsv = 4 }) end

  -- So many clients send `flood`, between two that send a little, before the loop runs. Returns how many
  -- bytes all of them were heard to have sent when the last of the two was heard.
  local function before_the_others(clients, flood, messages)
    local server = real.listen { compression = true }
    local peers = {}
    for i = 1, clients + 2 do
      peers[i] = hand.client(server, OFFER)
      peers[i]:connect(("h"):rep(13) .. (100 + i))
    end
    real.wait("the sessions", function() return server:stats().connects == clients + 2 end)
    local heard, modest, before = 0, 0, nil
    server:on("message", function(_, message)
      if message == "modest" then
        modest, before = modest + 1, server:stats().inflated_to
      else
        heard = heard + 1
      end
    end)
    peers[1]:send(text "modest")
    for i = 2, clients + 1 do peers[i]:send(flood) end
    peers[clients + 2]:send(text "modest")
    arrived()
    real.wait("all of it", function() return modest == 2 and heard == messages * clients end, 20)
    return before
  end

  it("is 64 KiB of a socket a turn, then the others are heard", function()
    local before = before_the_others(1, packed(deflate.bomb(120)):rep(100), 100)
    assert.truthy(before <= 65536 + SIZE, before)
  end)

  it("is 64 KiB of one message, which waits with the rest", function()
    local before = before_the_others(1, packed(deflate.bomb(4000)), 1)
    assert.equal(0, before)
  end)

  it("is 128 KiB a round when many send it, and a little of each", function()
    local before = before_the_others(10, packed(deflate.bomb(120)):rep(20), 20)
    assert.truthy(before <= 131072 + 10 * SIZE, before)
  end)
end)
