--- A client that its server attacks, over real sockets: whatever the server says, the client's policy is told why and
-- decides, the client holds no more than its limits allow, and another client's session in the process goes on.
-- What each word of DOP brings about is in spec/session, each frame in spec/ws and spec/conformance.

local cutter = require "spec.support.cutter"
local deflate = require "spec.support.deflate"
local dop = require "dop"
local frames = require "spec.support.frames"
local hand = require "spec.support.hand"
local real = require "spec.support.real"

after_each(real.close)

local HALF = ("h"):rep(16)
local SLACK = 150000 -- what is read at once, and half of a block that grows

-- A client of that URL that gives up after its first attempt, and a session beside it. The client has `told`,
-- what its policy heard, and `most`, the most bytes that it held.
local function attacked(url, options)
  local _, beside = real.pair()
  local victim = { told = nil, most = 0, heard = {} }
  local given = { url = url, close_timeout = 0.05, retry = function(_, why, code, info)
    victim.told = { why = why, code = code, info = info }
    return nil
  end }
  for name, value in pairs(options or {}) do given[name] = value end
  victim.client = real.connect(nil, given)
  victim.client:on("message", function(_, message) victim.heard[#victim.heard + 1] = message end)

  --- Waits until the policy is told. Fails when that is another code (or close code), says something else, or when
  -- more was held, or when anything is left, or the other session noticed.
  function victim.gives_up(code, words, bound)
    real.wait("the policy", function()
      victim.most = math.max(victim.most, victim.client:stats().bytes)
      return victim.told
    end)
    local told = victim.told
    assert.equal(code, type(code) == "string" and told.code or told.info.close, told.why)
    assert.truthy(told.why:find(words, 1, true), told.why)
    assert.truthy(victim.most <= (bound or 0) + SLACK, victim.most)
    assert.equal("DISCONNECTED", victim.client.node.status)
    real.wait("the sockets' end", function() return victim.client:stats().sockets == 0 end)
    assert.equal(0, victim.client:stats().bytes)
    local echo
    beside:on("message", function() echo = true end)
    beside:send "still here"
    real.wait("the other session's echo", function() return echo end)
    assert.equal(0, beside:stats().reconnects)
  end
  return victim
end

describe("an answer to the upgrade that", function()
  -- Says these bytes when it was asked, and then goes on with `more` for as long as somebody listens.
  local function answering(bytes, more, options)
    local server
    server = real.raw_server(nil, function(peer)
      if peer.asked then return end
      peer.asked = true
      peer:send(bytes)
      local function go_on()
        if peer.ended or peer.closed or not more then return end
        peer:send(more)
        dop.timer(0.001, go_on)
      end
      go_on()
    end)
    return attacked(server.url, options), server
  end
  local ANSWER = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"

  it("never comes to its end is too large", function()
    answering(ANSWER, ("X-Header: %s\r\n"):format(("x"):rep(500))).gives_up("UPGRADE", "too large")
    answering(ANSWER .. "X-Header: ", ("x"):rep(500)).gives_up("UPGRADE", "too large")
    answering(("\r\n"):rep(5000)).gives_up("UPGRADE", "not HTTP")
  end)

  it("has too many headers is refused", function()
    answering(ANSWER .. ("X: y\r\n"):rep(100) .. "\r\n").gives_up("UPGRADE", "headers")
  end)

  it("drips has as long as any other", function()
    answering("H", "T", { handshake_timeout = 0.1 }).gives_up("TIMEOUT", "took too long")
  end)

  it("redirects to itself is told, and not followed", function()
    local server = real.raw_server(nil, function(peer)
      peer:send("HTTP/1.1 302 Found\r\nLocation: " .. peer.received:match "GET (%S+)" .. "\r\n\r\n")
    end)
    local attempts = {}
    local victim
    victim = attacked(server.url, { retry = function(attempt, why, code, info)
      attempts[#attempts + 1] = code
      victim.told = attempt == 3 and { why = why, code = code, info = info } or nil
      return attempt < 3 and 0 or nil
    end })
    victim.gives_up("REDIRECT", "not followed")
    assert.same({ "REDIRECT", "REDIRECT", "REDIRECT", "REDIRECT" }, attempts)
    assert.equal(4, server.accepted)
  end)

  it("asks for patience again and again is none", function()
    answering(("HTTP/1.1 100 Continue\r\n\r\n"):rep(1000)).gives_up("UPGRADE", "status 100")
  end)
end)

-- A server in the hands of the spec, and its client, CONNECTED in plain DOP, or over what `amend` makes of the
-- answer. Returns what gives_up() is called on, the server's end of the socket, the server, and the token.
local function connected(options, amend)
  local server = hand.server(nil, amend)
  local victim = attacked(server.url, options)
  local p = server:socket(1)
  local token = p:connect(HALF)
  real.wait("the session", function() return victim.client.node.status == "CONNECTED" end)
  return victim, p, server, token
end

describe("a flood of", function()
  for what, frame in pairs {
    pings = frames.encode(frames.PING, ("p"):rep(125)),
    pongs = frames.encode(frames.PONG, ("p"):rep(125)),
    ["empty fragments"] = frames.encode(frames.CONTINUATION, "", { fin = false }),
  } do
    it(what .. " ends the connection", function()
      local victim, p = connected { max_idle_frames = 50 } -- a slow machine, too, reads more in a second
      p:send(frames.encode(frames.TEXT, "", { fin = false }) .. frame:rep(3000))
      victim.gives_up("PROTOCOL", "too many frames without data")
    end)
  end

  it("fragments of a byte each is too large in the end, and holds no more than a message", function()
    local victim, p = connected { max_message = 20000 }
    p:send(frames.encode(frames.BINARY, "", { fin = false }))
    p:send(frames.encode(frames.CONTINUATION, "x", { fin = false }):rep(20001))
    victim.gives_up("PROTOCOL", "longer than the limit", 20000)
    assert.same({}, victim.heard)
  end)
end)

describe("a frame that", function()
  local cases = {
    { "says that it is longer than everything", frames.encode(frames.BINARY, "x", { length_bytes = 8, length = 2^31 }),
      1009, "longer than the limit" },
    { "is masked", frames.encode(frames.TEXT, "hello", { mask = true }), 1002, "masked" },
    { "has a reserved bit", frames.encode(frames.TEXT, "hello", { rsv = 4 }), 1002, "reserved bit" },
    { "is none", "\131\0", 1002, "opcode" },
    { "goes on with nothing", frames.encode(frames.CONTINUATION, "x"), 1002, "continuation" },
    { "is a long ping", frames.encode(frames.PING, ("x"):rep(126)), 1002, "control" },
    { "is no text", frames.encode(frames.TEXT, "\255"), 1007, "UTF-8" },
    { "closes with a code that is none", frames.close(1005, ""), 1002, "close code" },
    { "closes with half a code", frames.encode(frames.CLOSE, "\3"), 1002, "close" },
    { "closes with a reason that is no text", frames.close(1000, "\255"), 1007, "UTF-8" },
  }
  for _, case in ipairs(cases) do
    local what, bytes, code, words = case[1], case[2], case[3], case[4]
    it(what .. " ends the connection", function()
      local victim, p = connected()
      p:send(frames.encode(frames.TEXT, "before") .. bytes .. frames.encode(frames.TEXT, "after"))
      assert.equal(code, p:closed_with())
      victim.gives_up("PROTOCOL", words)
      assert.same({ "before" }, victim.heard)
    end)
  end

  it("comes after the close is not heard", function()
    local victim, p = connected()
    p:send(frames.close(4321, "enough") .. frames.encode(frames.TEXT, "after"):rep(1000))
    assert.equal(4321, p:closed_with())
    victim.gives_up(4321, "enough")
    assert.same({}, victim.heard)
  end)
end)

describe("a compressed message", function()
  local function compressing(answer)
    return answer:sub(1, -3) .. "Sec-WebSocket-Extensions: permessage-deflate; " ..
      "server_no_context_takeover; client_no_context_takeover\r\n\r\n"
  end

  it("that unfolds to a thousand times its size stops at max_message", function()
    local victim, p = connected({ compression = true, max_message = 100000 }, compressing)
    p:send(frames.encode(frames.TEXT, deflate.bomb(200), { rsv = 4 }))
    real.wait("a message", function() return victim.heard[1] end)
    assert.equal(1 + 258 * 200, #victim.heard[1])
    p:send(frames.encode(frames.TEXT, deflate.bomb(40000), { rsv = 4 }):rep(20))
    assert.equal(1009, p:closed_with())
    victim.gives_up("PROTOCOL", "longer than the limit", 100000)
    assert.equal(1, #victim.heard)
  end)

  it("that is none ends the connection", function()
    local victim, p = connected({ compression = true }, compressing)
    p:send(frames.encode(frames.TEXT, "\255\255\255", { rsv = 4 }))
    assert.equal(1007, p:closed_with())
    victim.gives_up("PROTOCOL", "")
  end)
end)

describe("a word of DOP that", function()
  -- What is said to a client whose half the spec has heard, and the words with which that is refused.
  local first = {
    { "is another half than the first", function(p) p:say(HALF) p:say(("i"):rep(16)) end, "" },
    { "is binary", function(p) p:say(HALF) p:say(HALF, frames.BINARY) end, "" },
    { "is too long", function(p) p:say(HALF) p:say(("x"):rep(1025)) end, "" },
    { "is the client's own half", function(p, half) p:say(half) end, "our own" },
    { "begins with the client's own half", function(p, half) p:say(half .. HALF) end, "our own" },
    { "is no half", function(p) p:say "welcome to the chat" end, "half" },
  }
  for _, case in ipairs(first) do
    it(case[1] .. " is refused before CONNECTED", function()
      local server = hand.server()
      local victim = attacked(server.url)
      local p = server:socket(1)
      case[2](p, (p:take()))
      assert.equal(1008, p:closed_with())
      victim.gives_up("PROTOCOL", case[3])
    end)
  end

  local back = {
    { "is the token before a half", function(p, token) p:say(token) end },
    { "begins with the token", function(p, token) p:say(token .. "x") end },
    { "is another token", function(p) p:say(HALF) p:say(("t"):rep(32)) end },
    { "is the token as binary", function(p, token) p:say(HALF) p:say(token, frames.BINARY) end },
    { "is data before the token", function(p) p:say(HALF) p:say "some data" end },
  }
  for _, case in ipairs(back) do
    it(case[1] .. " is refused to a client that comes back", function()
      local attempts = 0
      local victim, p, server, token
      victim, p, server, token = connected { retry = function(_, why, code, info)
        attempts = attempts + 1
        if attempts == 1 then return 0 end
        victim.told = { why = why, code = code, info = info }
        return nil
      end }
      p:reset()
      p = server:socket(2)
      assert.equal(token, (p:take()))
      case[2](p, token)
      assert.equal(1008, p:closed_with())
      victim.gives_up("PROTOCOL", "")
      assert.same({}, victim.heard)
    end)
  end
end)

describe("a token that", function()
  it("a server made too long for any other one does not keep the client from that", function()
    local first = hand.server()
    local where = { url = first.url }
    local client = real.connect(cutter.new(where))
    local log = real.record(client, { "disconnect", "connect" })
    local p = first:socket(1)
    p:connect(("a"):rep(256))
    for i = 2, 4 do
      p:reset()
      p = first:socket(i)
      p:take()
      for _ = 1, 2 do p:say(string.char(96 + i):rep(256)) end
      real.wait("a session of another token", function() return log:count "connect" == i end)
    end
    assert.truthy(#client.node.token:reveal() > 256)
    local honest = real.listen()
    where.url = honest.url
    p:reset()
    real.wait("the session", function() return honest:stats().connects == 1 and log:count "connect" == 5 end)
    assert.equal("unknown", log:last("disconnect")[1])
  end)
end)

describe("an instruction of dop.r1 that", function()
  local function lossless(answer) return (answer:gsub("(Protocol: )dop\r", "%1dop.r1\r")) end
  local LIMITS = "\16p60000 1048576 1048576 1024"

  for what, instruction in pairs {
    ["acknowledges what was never sent"] = "\16a7",
    ["ends behind what was never sent"] = "\16d7",
    ["counts with a sign"] = "\16a+0",
    ["counts with a zero in front"] = "\16a00",
    ["counts further than integers go"] = "\16a" .. ("9"):rep(400),
    ["says the limits a second time"] = LIMITS,
    ["resumes what was not lost"] = "\16r1 0",
    ["nobody knows"] = "\16z",
    ["is empty"] = "\16",
  } do
    it(what .. " ends the connection", function()
      local victim, p = connected(nil, lossless)
      assert.is_true(victim.client.node.lossless)
      p:say(LIMITS)
      p:say "data"
      p:say(instruction)
      assert.equal(4400, p:closed_with())
      victim.gives_up("PROTOCOL", "")
      assert.same({ "data" }, victim.heard)
    end)
  end
end)

describe("a server that resets at each step", function()
  it("is dialled again each time, and the session goes on in the end", function()
    local codes = {}
    local function listen(on_accept)
      local count = 0
      return real.raw_server(function(p)
        count = count + 1
        if count == 1 then
          p:reset()
        elseif count <= 3 then
          function p.on_bytes()
            if count == 3 then p:send "HTTP/1.1 101 Switching" end
            p:reset()
          end
        else
          on_accept(p)
        end
      end)
    end
    local server = hand.server(listen)
    local _, beside = real.pair()
    local client = real.connect(server, { retry = function(_, _, code)
      codes[#codes + 1] = code
      return 0
    end })
    local log = real.record(client, { "connect", "reconnect", "disconnect", "message" })
    local socket = 0
    local function next_socket()
      socket = socket + 1
      return server:socket(socket)
    end

    next_socket():reset() -- after the answer
    local p = next_socket()
    p:send(frames.encode(frames.TEXT, HALF):sub(1, 9))
    p:reset()
    p = next_socket()
    p:say(HALF)
    p:take()
    p:reset()
    p = next_socket()
    local token = p:connect(HALF)
    real.wait("the session", function() return log:count "connect" == 1 end)
    p:reset()
    p = next_socket()
    assert.equal(token, (p:take()))
    p:reset()
    p = next_socket()
    p:take()
    p:say(("i"):rep(16))
    p:reset()
    p = next_socket()
    p:take()
    p:say(("i"):rep(16))
    p:say(token)
    p:say "at last"
    real.wait("the message", function() return log:count "message" == 1 end)

    assert.equal(9, #codes)
    for i, code in ipairs(codes) do
      assert.truthy(code == "ECONNRESET" or code == "EOF", i .. ": " .. tostring(code))
    end
    assert.same({ 1, 1, 0 }, { log:count "connect", log:count "reconnect", log:count "disconnect" })
    assert.equal("CONNECTED", beside.node.status)
    assert.equal(0, beside:stats().reconnects)
  end)
end)
