--- What a session's real sockets do: they stop reading and read again, reset, end their half, write what
-- belongs together at once, and are lost in the middle of a handshake.

local dop = require "dop"
local frames = require "spec.support.frames"
local hand = require "spec.support.hand"
local preload = require "spec.support.preload"
local real = require "spec.support.real"
local wire = require "spec.support.wire"

after_each(function()
  real.close()
  wire.close()
end)

local function now() return require("socket").gettime() end

describe("a receiver that does not read", function()
  local SIZE, MOST = 500 * 1024, 64 -- far above what the kernels' buffers hold, far below endless
  local body = ("x"):rep(SIZE)

  -- Offers messages to the node for a second, whenever there may be room. Returns how many it took.
  local function offer(node)
    local taken, over = 0, false
    local function fill()
      while not over and taken < MOST and node:send(("%d:"):format(taken + 1) .. body) do taken = taken + 1 end
    end
    local function again()
      fill()
      if not over then dop.timer(0.005, again) end
    end
    node:on("drain", fill)
    again()
    dop.timer(1, function() over = true end)
    real.wait("the second to pass", function() return over or taken >= MOST end)
    over = true
    return taken
  end

  local function check_order(heard, taken)
    assert.truthy(taken > 1 and taken < MOST, taken)
    assert.equal(taken, #heard)
    for i, message in ipairs(heard) do
      assert.equal(i, tonumber(message:match("^(%d+):")))
      assert.equal(SIZE, #message:match(":(x+)$"))
    end
  end

  it("holds the sender back while it is paused, and gets everything in order when it resumes", function()
    local _, client, node = real.pair()
    local log, heard = real.record(client, { "close" }), {}
    client:on("message", function(_, message) heard[#heard + 1] = message end)
    client.node:pause()
    local taken = offer(node)
    assert.equal(0, #heard)
    client.node:resume()
    real.wait("all of them", function() return #heard == taken end, 15)
    check_order(heard, taken)
    assert.equal(0, log:count "close")
  end)

  it("holds the sender back while the body of a coroutine's loop is busy", function()
    local _, client, node = real.pair()
    local heard, busy = {}, true
    dop.go(function()
      for message in client.node:messages() do
        heard[#heard + 1] = message
        while busy do dop.sleep(0.005) end
      end
    end)
    local taken = offer(node)
    assert.truthy(#heard <= 1)
    busy = false
    real.wait("all of them", function() return #heard == taken end, 15)
    check_order(heard, taken)
  end)
end)

describe("authorize", function()
  it("does not hold up what came in one piece with the request", function()
    local asked = 0
    local server = real.listen { authorize = function()
      asked = asked + 1
      return true
    end }
    local half = frames.encode(frames.TEXT, ("h"):rep(16), { mask = true })
    local log = real.record(server, { "status" })
    real.raw_client(server, hand.REQUEST .. half)
    real.wait("the first", function() return #log == 1 end)
    assert.equal("PRECONNECTED", log[1][1])
    real.raw_client(server, hand.REQUEST .. half .. half)
    real.wait("the second", function() return server:stats().connects == 1 end)
    assert.equal(2, asked)
  end)
end)

describe("node:drop{reset = true}", function()
  for _, who in ipairs { "server", "client" } do
    it("is a connection reset for the other end: the drop of the " .. who, function()
      local server, client, node = real.pair()
      local other = who == "server" and client or server
      local log = real.record(other, { "close", "reconnecting" })
      local dropping = who == "server" and node or client.node
      dropping:drop { reset = true }
      real.wait("the loss", function() return log:count "reconnecting" == 1 end)
      assert.equal(1006, log:last("close")[1])
      assert.equal("connection reset by peer", log:last("close")[2])
      assert.equal("connection reset by peer", log:last("reconnecting")[1])
    end)
  end
end)

describe("the end of a socket", function()
  for _, who in ipairs { "server", "client" } do
    it("comes at once though it was paused: the disconnect of the " .. who, function()
      local server, client, node = real.pair({ close_timeout = 5 }, { close_timeout = 5 })
      local own = who == "server" and node or client.node
      own:pause()
      own:disconnect()
      real.wait("the end of both sockets", function()
        return server:stats().sockets == 0 and client:stats().sockets == 0
      end, 2)
    end)
  end

  it("is the end of a client's half once both have closed, not of its patience", function()
    local peers = hand.server()
    local client = real.connect(peers, { close_timeout = 5 })
    local p = peers:socket(1)
    local token = p:connect(("s"):rep(16))
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    client.node:disconnect()
    assert.equal(token, p:take())
    assert.equal(1000, p:closed_with())
    p:say("\3\232", frames.CLOSE)
    real.wait("the end of its half", function() return p.ended end, 1)
  end)
end)

describe("a write after the peer has gone", function()
  -- A little is written at once; of much, the rest waits for the socket in libuv's hands, which writes
  -- in another way.
  for what, bytes in pairs { ["a little"] = 10, ["much"] = 1000000 } do
    it("does not end the process: " .. what, function()
      -- Sockets in Lua would take care of the signal themselves, so the process has none, and it begins
      -- with the signal as a process does that nobody prepared.
      local name = os.tmpname()
      os.remove(name)
      local printed, status = real.script(([[
        local ignored = io.open("/proc/self/status"):read("*a"):match("SigIgn:%%s*(%%x+)")
        print(math.floor(tonumber(ignored:sub(-4), 16) / 4096) %% 2)
        local dop = require "dop"
        local server = assert(dop.listen { url = "ws+unix:%s", lossless = false })
        local client = assert(dop.connect { url = server.url, retry = function() return nil end })
        local bytes = %d
        server:on("connect", function(node)
          node:pause() -- or it would hear of the end before it writes
          client.node:pause()
          if bytes > 1000 then node:send(("x"):rep(bytes)) end
          client:on("close", function()
            dop.timer(0.02, function() if bytes <= 1000 then node:send(("x"):rep(bytes)) end end)
          end)
          dop.timer(0.02, function() client.node:drop() end)
        end)
        server:on("close", function(_, _, why)
          print(why)
          server:close()
        end)
        dop.run()
      ]]):format(name, bytes), "env --default-signal=PIPE %s")
      assert.equal("0\nbroken pipe\n", printed)
      assert.equal(0, status)
    end)
  end
end)

describe("what one turn produces", function()
  it("leaves in one write: fifty messages, and the fifty answers to them", function()
    local printed, writes = preload.writes [[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      server:on("message", function(node, message) node:send(message) end)
      local client = assert(dop.connect { url = server.url })
      local echoes = 0
      client:on("connect", function(node)
        for i = 1, 50 do node:send("message " .. i) end
      end)
      client:on("message", function(_, message)
        echoes = echoes + 1
        assert(message == "message " .. echoes)
        if echoes < 50 then return end
        client:close()
        server:close()
        print "all"
      end)
      dop.run()
    ]]
    assert.equal("all\n", printed)
    -- The handshakes and the ends are a dozen; one for each message would be a hundred.
    assert.truthy(writes >= 5 and writes < 30, writes)
  end)
end)

describe("a session's end that nobody asked for", function()
  it("is \"expired\" once the window has passed", function()
    local server, client, node = real.pair({ resume_window = 0.05 }, { retry = function() return nil end })
    local log = real.record(server, { "disconnect" })
    local from = now()
    client.node:drop()
    real.wait("the end", function() return #log == 1 end)
    assert.truthy(now() - from >= 0.045)
    assert.equal("expired", log[1][1])
    assert.equal(node, log[1].node)
    assert.equal(0, server:stats().nodes)
  end)

  it("is \"evicted\" when too many wait: the oldest goes, the others may come back", function()
    local server, first, oldest = real.pair({ max_detached = 1 }, { retry = function() return nil end })
    local log = real.record(server, { "disconnect", "reconnecting", "reconnect" })
    local back = false
    local second = real.connect(server, { retry = function() return back and 0 or 0.02 end })
    real.wait("the second session", function() return server:stats().connects == 2 end)
    first.node:drop()
    real.wait("the first loss", function() return log:count "reconnecting" == 1 end)
    second.node:drop()
    real.wait("the end", function() return log:count "disconnect" == 1 end)
    assert.equal("evicted", log:last("disconnect")[1])
    assert.equal(oldest, log:last("disconnect").node)
    real.wait("the other's return", function() return log:count "reconnect" == 1 end)
  end)
end)

describe("a client that loses its socket before the other end has confirmed", function()
  it("goes from PRECONNECTED to OPEN, and says another half on the next socket", function()
    local peers = hand.server()
    local client = real.connect(peers)
    local log = real.record(client, { "status", "close", "disconnect" })
    local p = peers:socket(1)
    local half = p:take()
    p:say(("s"):rep(16))
    real.wait("PRECONNECTED", function() return client.node.status == "PRECONNECTED" end)
    p:close()
    real.wait("OPEN", function() return client.node.status == "OPEN" end)
    assert.same({ "OPEN", "PRECONNECTED" }, { log:last("status")[1], log:last("status")[2] })
    assert.equal(log:last("close")[2], log:last("status")[3])
    local q = peers:socket(2)
    assert.are_not.equal(half, (q:take()))
    assert.equal(0, log:count "disconnect")
  end)

  it("goes from PRECONNECTED to RECONNECTING with its session, and presents the token again", function()
    local peers = hand.server()
    local client = real.connect(peers)
    local log = real.record(client, { "status", "reconnecting", "reconnect" })
    local p = peers:socket(1)
    local token = p:connect(("s"):rep(16))
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    p:close()
    local q = peers:socket(2)
    assert.equal(token, (q:take()))
    q:say(("t"):rep(16))
    real.wait("PRECONNECTED", function() return client.node.status == "PRECONNECTED" end)
    q:close()
    real.wait("RECONNECTING", function() return client.node.status == "RECONNECTING" end)
    assert.same({ "RECONNECTING", "PRECONNECTED" }, { log:last("status")[1], log:last("status")[2] })
    local r = peers:socket(3)
    assert.equal(token, (r:take()))
    r:say(("u"):rep(16))
    r:say(token)
    real.wait("the return", function() return log:count "reconnect" == 1 end)
    assert.equal(1, log:count "reconnecting")
    assert.equal("CONNECTED", client.node.status)
  end)
end)
