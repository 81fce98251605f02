--- Backpressure: the marks of a socket's own queue, `drain`, reading that pauses, and slow readers, which cost
-- nobody but themselves.

local dop = require "dop"
local frames = require "spec.support.frames"
local process = require "spec.real.process"
local real = require "spec.support.real"
local sim = require "dop.sim"
local wire = require "spec.support.wire"

after_each(wire.close)
after_each(process.close)
after_each(real.close)

local function server(options)
  local w = wire.new { server = options }
  local p = w:connected_server()
  return w, p, w:last("server", "connect").node
end

describe("high_mark", function()
  it("is how much of a node's messages goes to its socket before the system takes any", function()
    local _, p, node = server { high_mark = 1000 }
    for _ = 1, 20 do node:send(("x"):rep(198)) end -- 202 bytes as a frame
    local first = #frames.decode_all(p.link:output())
    assert.equal(5, first)
  end)

  it("lets the rest follow, in order", function()
    local _, p, node = server { high_mark = 1000 }
    for i = 1, 20 do node:send(("%03d"):format(i) .. ("x"):rep(197)) end
    local seen = {}
    for payload in function() return p:take() end do seen[#seen + 1] = tonumber(payload:sub(1, 3)) end
    assert.equal(20, #seen)
    for i = 1, 20 do assert.equal(i, seen[i]) end
  end)

  it("is what a lost socket takes along in plain DOP: what is above is handed back", function()
    local w, _, node = server { high_mark = 1000, resume_window = 1 }
    for i = 1, 20 do node:send(("%03d"):format(i) .. ("x"):rep(197)) end
    node:drop()
    w:wait(2)
    local unsettled = w:last("server", "disconnect")[2]
    assert.equal(15, #unsettled)
    assert.equal("006", unsettled[1].message:sub(1, 3))
  end)
end)

describe("low_mark", function()
  -- In one process, where a socket's own queue is what the peer has not heard: it hears six of ten, then the
  -- socket is lost with what was in it.
  local function kept(options)
    options.url = "local:marks"
    options.lossless = false
    local heard = 0
    local s = real.listen(options)
    local c = real.connect(s, { lossless = false })
    real.wait("the session", function() return #s:nodes() == 1 and c.node.status == "CONNECTED" end)
    local node = s:nodes()[1]
    c:on("message", function()
      heard = heard + 1
      if heard == 6 then
        c.node:pause()
        dop.timer(0.01, function() c.node:drop() end)
      end
    end)
    for i = 1, 40 do assert(node:send(("%092d"):format(i))) end -- 100 bytes each
    real.wait("the second socket", function() return s:stats().reconnects == 1 and node.queued == 0 end)
    return heard
  end

  it("is where a socket is filled again: not with each byte that the system takes", function()
    assert.equal(36, kept { high_mark = 1000, low_mark = 0 }) -- ten in the socket, six of them heard
  end)

  it("may be the high one: then it is", function()
    assert.equal(30, kept { high_mark = 1000, low_mark = 1000 }) -- six more went there meanwhile
  end)

  it("is misuse above the high one", function()
    local ok, message = pcall(dop.listen, { url = "local:marks", high_mark = 10, low_mark = 11 })
    assert.is_false(ok)
    assert.truthy(message:find('dop.listen: option "low_mark": at most "high_mark" expected, 10, got 11', 1, true),
      message)
  end)
end)

describe("drain", function()
  -- What a sender sees: a FULL is followed by one drain, unless the session is over, and nothing else is.
  local function watch(node, seen)
    seen.fulls, seen.drains, seen.owed = 0, 0, false
    node:on("drain", function()
      assert(seen.owed, "a drain without a FULL")
      seen.owed, seen.drains = false, seen.drains + 1
    end)
    return function(message)
      local ok, _, code = node:send(message)
      if code == "FULL" then
        if not seen.owed then seen.fulls = seen.fulls + 1 end
        seen.owed = true
      end
      return ok
    end
  end

  it("comes when half of the queue is free, once, however many sends were refused", function()
    local w, p, node = server { high_mark = 1, queue_messages = 8 }
    local seen = {}
    local send = watch(node, seen)
    for _ = 1, 20 do send "x" end -- one in the socket, eight behind it
    assert.is_true(seen.owed)
    for left = 7, 5, -1 do
      p.link:output()
      w:turn()
      assert.equal(0, seen.drains, left)
    end
    p.link:output()
    w:turn()
    assert.equal(1, seen.drains)
    while p.link:output() ~= "" do end
    w:turn()
    assert.equal(1, seen.drains)
  end)

  it("comes when half of the queue's bytes are free, however few messages that is", function()
    local w, p, node = server { high_mark = 1, queue_bytes = 8000 }
    local seen, accepted = {}, 0
    local send = watch(node, seen)
    while send(("x"):rep(1000)) do accepted = accepted + 1 end
    assert.equal(8, accepted) -- one in the socket, seven behind it
    for left = 6, 4, -1 do
      p.link:output()
      w:turn()
      assert.equal(0, seen.drains, left)
    end
    p.link:output()
    w:turn()
    assert.equal(1, seen.drains)
  end)

  it("is not owed for a message that is too long, or none at all", function()
    local w, _, node = server { max_message = 100 }
    local seen = {}
    local send = watch(node, seen)
    assert.is_nil(send(("x"):rep(101)))
    w:turn()
    assert.same({ fulls = 0, drains = 0, owed = false }, seen)
  end)

  it("comes with the acknowledgement that makes the room, when nothing else happens", function()
    local world, drained = sim.new(), nil
    world:run(10, function()
      local s = assert(dop.listen { url = "ws://server:80/", queue_messages = 10 })
      assert(dop.connect { url = "ws://server:80/" })
      s:on("drain", function() drained = world:now() end)
      s:on("connect", function(node)
        while node:send "x" do end
      end)
    end)
    assert.truthy(drained)
  end)

  for seed = 1, 20 do
    it(("comes after each FULL, also across lost sockets: seed %d"):format(seed), function()
      local world, seen, ended = sim.new { seed = seed, faults = { cut = 4, delay = 4 } }, {}, nil
      world:run(60, function()
        local s = assert(dop.listen { url = "ws://server:80/", queue_messages = 6, high_mark = 40, low_mark = 10 })
        assert(dop.connect { url = "ws://server:80/" })
        s:on("disconnect", function(_, why) ended = why end)
        s:once("connect", function(node)
          local send = watch(node, seen)
          local function talk()
            send "something to say"
            dop.timer(0.01, talk)
          end
          talk()
        end)
      end)
      assert.is_nil(ended)
      assert.same({}, world:errors())
      assert.is_true(seen.fulls > 5, seen.fulls)
      assert.is_true(seen.fulls - seen.drains <= 1)
      -- It is missed by nobody: a talker that waits for it each time goes on.
      assert.is_true(seen.drains > 5, seen.drains)
    end)
  end
end)

describe("a node that is paused", function()
  it("is not asked whether its peer lives, for as long as it likes", function()
    local w, p, node = server { ping_interval = 4, ping_timeout = 2 }
    node:pause()
    for _ = 1, 10 do w:wait(3) end
    assert.is_nil(p:take())
    assert.equal("CONNECTED", node.status)
  end)

  it("does not lose a peer that owed a pong: it may have come, unread", function()
    local w, p, node = server { ping_interval = 4, ping_timeout = 2 }
    w:wait(4)
    assert.equal(frames.PING, select(2, p:take()))
    node:pause()
    w:wait(1.9)
    node:resume()
    w:wait(0.2)
    assert.equal("CONNECTED", node.status)
  end)

  it("gives its peer a whole ping_interval when it is resumed, then asks, then gives it up", function()
    local w, p, node = server { ping_interval = 4, ping_timeout = 2 }
    node:pause()
    for _ = 1, 78 do w:wait(0.1) end -- what would have been asked at 4 and 8 s is not
    node:resume()
    w:wait(3.9)
    assert.is_nil(p:take())
    w:wait(0.2)
    assert.equal(frames.PING, select(2, p:take()))
    w:wait(1.9)
    assert.equal("CONNECTED", node.status)
    w:wait(0.2)
    assert.equal("RECONNECTING", node.status)
  end)

  it("keeps a peer that sends large messages waiting in TCP: nothing of them is held here", function()
    local held = process.script([[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/", lossless = false, on = {
        connect = function(node) node:pause() end } })
      print("listening " .. server.url)
      local function resident()
        local file = assert(io.open "/proc/self/statm")
        local _, pages = file:read("*n", "*n")
        file:close()
        return pages * 4096
      end
      local before = resident()
      local function report()
        collectgarbage()
        print(("memory more=%d"):format(math.max(0, resident() - before)))
        dop.timer(0.2, report)
      end
      report()
      dop.run() ]], "")
    local url = held:expect "^listening (%S+)$"
    local client = real.connect({ url = url }, {
      lossless = false, queue_bytes = 64 * 1024 * 1024, queue_messages = 1000,
    })
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    local body = ("x"):rep(1000000)
    for _ = 1, 40 do assert(client:send(body, "binary")) end
    -- What the two kernels take is taken; the rest stays where it is.
    local before
    real.wait("TCP to be full", function()
      local now = client.node.queued
      local still = before == now
      before = now
      return still and now < 40 * 1000000
    end, 20, 0.3)
    assert.is_true(client.node.queued > 20 * 1000000, client.node.queued)
    local last
    for _ = 1, 2 do last = process.figures(held:expect "^memory (.*)$") end
    assert.is_true(last.more < 4 * 1024 * 1024, ("%d bytes are held for it"):format(last.more))
  end)
end)

describe("a peer that never reads", function()
  it("costs only itself: bounded memory, others stay fast, and liveness ends it", function()
    local s = real.listen {
      ping_interval = 0.4, ping_timeout = 0.4, queue_bytes = 500000, queue_messages = 100000, high_mark = 65536,
      resume_window = 30,
    }
    local stuck_at, lost_at, most = nil, nil, 0
    s:on("message", function(node, message, kind) node:send(message, kind) end)
    local sleeper = process.script([[
      local dop = require "dop"
      local client = assert(dop.connect { url = ..., on = { connect = function() print "connected" end } })
      dop.run() ]], s.url)
    sleeper:expect "^connected$"
    local node = s:nodes()[1]
    local quick = real.connect(s)
    real.wait("another client", function() return quick.node.status == "CONNECTED" end)
    node:on("reconnecting", function(_, why) lost_at = { dop.loop():now(), why } end)
    sleeper:signal "STOP"
    local body, size = ("x"):rep(20000), 20000
    local function fill()
      if lost_at then return end
      while node:send(body) do end -- until FULL
      stuck_at = stuck_at or dop.loop():now()
      most = math.max(most, node.queued)
      dop.timer(0.01, fill)
    end
    fill()
    local slowest, asked_at, answers = 0, nil, 0
    local function ask()
      asked_at = dop.loop():now()
      quick:send "quick"
    end
    quick:on("message", function()
      slowest = math.max(slowest, dop.loop():now() - asked_at)
      answers = answers + 1
      if not lost_at then dop.timer(0.005, ask) end
    end)
    ask()
    real.wait("its end", function() return lost_at end, 10)
    sleeper:signal "CONT"
    assert.truthy(lost_at[2]:find "ping")
    assert.is_true(lost_at[1] - stuck_at < 0.4 + 0.4 + 1, lost_at[1] - stuck_at)
    -- The node's queue, the socket's own up to the mark, one message above that, and frames.
    assert.is_true(most <= 500000 + 65536 + 2 * size, most)
    assert.is_true(answers > 10, answers)
    assert.is_true(slowest < 0.2, slowest)
  end)
end)

describe("the least that a socket can take", function()
  it("is a byte at a time: what was sent arrives whole and in order", function()
    local w, p, node = server { high_mark = 1, low_mark = 0 }
    for i = 1, 50 do node:send("message " .. i) end
    local bytes = {}
    repeat
      local out = p.link:output()
      bytes[#bytes + 1] = out
      w:turn()
    until out == ""
    local list = frames.decode_all(table.concat(bytes))
    assert.equal(50, #list)
    for i = 1, 50 do assert.equal("message " .. i, list[i].payload) end
  end)
end)
