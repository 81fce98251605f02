--- wss: a crowd of handshakes leaves the others their turn, and what came before a peer's end is heard.

local certificates = require "spec.support.certificates"
local frames = require "spec.support.frames"
local hand = require "spec.support.hand"
local real = require "spec.support.real"
local socket = require "socket"
local wire = require "spec.support.wire"

local pki = certificates.new()
teardown(function() pki:remove() end)
after_each(function()
  real.close()
  wire.close()
end)

local MASKED = { mask = "\0\0\0\0" }

local function text(payload) return frames.encode(frames.TEXT, payload, MASKED) end

local function secure() return real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity "server" } end

-- The first bytes of a client: a whole ClientHello.
local function hello()
  local peer
  local listening = real.raw_server(function(p) peer = p end)
  real.connect({ url = (listening.url:gsub("^ws:", "wss:")) }, { tls = { ca = pki.ca } })
  real.wait("a ClientHello", function() return peer and #peer.received > 0 end)
  return peer.received
end

describe("a crowd of handshakes", function()
  it("makes two steps a round, then the others are heard", function()
    local bytes, server, plain = hello(), secure(), real.listen()
    local crowd, modest = {}, {}
    for i = 1, 2 do
      modest[i] = hand.client(plain)
      modest[i]:connect(("m"):rep(15) .. i)
    end
    for i = 1, 40 do
      local host, port = server.url:match "^wss://([%d.]+):(%d+)"
      crowd[i] = assert(socket.connect(host, tonumber(port)))
      crowd[i]:settimeout(0)
    end
    real.wait("the crowd", function() return server:stats().sockets == 40 and plain:stats().connects == 2 end)
    local heard, answered = 0, 0
    local function count()
      for i, s in ipairs(crowd) do
        local whole, _, part = s:receive(65536)
        if #(whole or part or "") > 0 then answered, crowd[i] = answered + 1, { receive = function() end } end
      end
      return answered
    end
    local then_answered
    plain:on("message", function()
      heard = heard + 1
      then_answered = count()
    end)
    modest[1]:send(text "one")
    for _, s in ipairs(crowd) do s:send(bytes) end
    modest[2]:send(text "other")
    socket.sleep(0.05) -- until all of it lies in the server's sockets
    real.wait("the messages", function() return heard == 2 end)
    assert.truthy(then_answered <= 4, then_answered)
    real.wait("all answers", function() return count() == 40 end)
  end)
end)
