--- Coroutine style: dop.go, dop.sleep, node:receive, node:messages.

local dop = require "dop"
local sim = require "dop.sim"
local real = require "spec.support.real"

describe("dop.go", function()
  after_each(real.close)

  it("runs the function at once, with its arguments, until it first waits", function()
    local steps = {}
    dop.go(function(a, b)
      steps[#steps + 1] = a + b
      dop.sleep(0.001)
      steps[#steps + 1] = "later"
    end, 1, 2)
    assert.same({ 3 }, steps)
    dop.run()
    assert.same({ 3, "later" }, steps)
  end)

  it("contains an error: others go on", function()
    local done
    local printed = real.script([[
      local dop = require "dop"
      dop.go(function() dop.sleep(0) error("in a coroutine") end)
      dop.go(function() dop.sleep(0.01) print("others go on") end)
      dop.run()
    ]])
    assert.truthy(printed:find("in a coroutine", 1, true))
    assert.truthy(printed:find("traceback", 1, true))
    assert.truthy(printed:find("others go on", 1, true))
    dop.go(function() done = true end)
    assert.is_true(done)
  end)

  it("waits for what it waits for, whoever else resumes it", function()
    local _, client = real.pair()
    local steps = {}
    local function step(...) steps[#steps + 1] = table.concat({ ... }, " ") end
    local thread, early
    thread = dop.go(function()
      dop.sleep(0.01)
      step "slept"
      step(client.node:receive())
      dop.timer(0, function() early = coroutine.resume(thread) end)
      step(select(3, client.node:receive(0.01)))
    end)
    assert.is_true(coroutine.resume(thread))
    assert.same({}, steps)
    real.wait("the sleep", function() return steps[1] end)
    assert.is_true(coroutine.resume(thread))
    assert.same({ "slept" }, steps)
    client:send "hello"
    real.wait("the time", function() return steps[3] end)
    assert.is_true(early)
    assert.same({ "slept", "hello text", "TIMEOUT" }, steps)
  end)

  if coroutine.close then
    it("may be closed while it waits: nothing is reported, and its node reads on", function()
      local printed = real.script [[
        local dop = require "dop"
        local server = assert(dop.listen { url = "local:x" })
        server:on("message", function(node, message) node:send(message) end)
        local client = assert(dop.connect { url = "local:x" })
        local reader = dop.go(function() client.node:receive() end)
        local sleeper = dop.go(function() dop.sleep(0.01) end)
        coroutine.close(reader)
        coroutine.close(sleeper)
        client:send "taken by nobody"
        client:send "second"
        client:on("message", function(_, message)
          print(message)
          if message == "second" then client:close() server:close() end
        end)
        dop.run() ]]
      assert.equal("taken by nobody\nsecond\n", printed)
    end)

    it("closes what is <close> in it when it raises, behind the traceback", function()
      local printed = real.script [[
        local dop = require "dop"
        dop.go(load "local x <close> = setmetatable({}, { __close = function() print 'closed' end }) error 'an error'")
        print "on it goes" ]]
      assert.truthy(printed:find "error in a coroutine: [^\n]*an error\nstack traceback:", printed)
      assert.truthy(printed:find "closed\n.*on it goes\n", printed)
    end)
  end

  it("lets its node read on when it raises, even what cannot be told", function()
    local _, client = real.pair()
    local heard
    client:on("message", function(_, message) heard = message end)
    pcall(dop.go, function()
      client:send "first"
      client.node:receive(0.001) -- reads the node from here on
      error(setmetatable({}, { __tostring = function() error "no words" end }))
    end)
    real.wait("the error", function() return heard == "first" end)
    for _, message in ipairs { "second", "third" } do client:send(message) end
    real.wait("the next messages", function() return heard == "third" end)
  end)

  it("is what everything that waits asks for", function()
    local _, client = real.pair()
    for _, call in ipairs {
      function() dop.sleep(0) end,
      function() client.node:receive() end,
      function() client.node:messages() end,
      function() coroutine.wrap(function() dop.sleep(0) end)() end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.truthy(message:find("dop.go", 1, true), message)
    end
    assert.is_false((pcall(dop.go, "no function")))
  end)
end)

describe("node:receive", function()
  after_each(real.close)

  it("gives one message after the other, and waits for the next", function()
    local _, client = real.pair()
    local heard = {}
    dop.go(function()
      for i = 1, 3 do
        client:send("message " .. i, i == 2 and "binary" or "text")
        heard[i] = { client.node:receive() }
      end
    end)
    real.wait("three", function() return #heard == 3 end)
    assert.same({ { "message 1", "text" }, { "message 2", "binary" }, { "message 3", "text" } }, heard)
  end)

  it("waits no longer than it is told", function()
    local _, client = real.pair()
    local result
    dop.go(function()
      result = { client.node:receive(0.01) }
      client:send("x")
      result[4] = client.node:receive(5)
    end)
    real.wait("both", function() return result and result[4] end)
    assert.is_nil(result[1])
    assert.equal("TIMEOUT", result[3])
    assert.equal("x", result[4])
  end)

  it("tells the end of the session, after everything that came before it", function()
    local _, client, node = real.pair()
    local heard = {}
    dop.go(function()
      repeat
        local message, why, code = client.node:receive()
        heard[#heard + 1] = message or code
        assert(message or why)
        dop.sleep(0.002)
      until not message
    end)
    for i = 1, 5 do node:send("m" .. i) end
    node:disconnect()
    real.wait("the end", function() return heard[#heard] == "CLOSED" end)
    assert.same({ "m1", "m2", "m3", "m4", "m5", "CLOSED" }, heard)
  end)

  it("is for one coroutine at a time", function()
    local _, client = real.pair()
    local message
    dop.go(function() client.node:receive(0.05) end)
    dop.go(function() message = select(2, pcall(client.node.receive, client.node)) end)
    assert.truthy(message:find("another coroutine", 1, true))
    dop.timer(0.06, dop.stop)
    dop.run()
  end)
end)

describe("node:messages", function()
  after_each(real.close)

  it("goes on over a lost socket, until the session is over", function()
    local _, client, node = real.pair()
    local heard = {}
    dop.go(function()
      for message in client.node:messages() do heard[#heard + 1] = message end
      heard[#heard + 1] = "over"
    end)
    node:send("one")
    real.wait("the first", function() return #heard == 1 end)
    client.node:drop { reset = true }
    real.wait("the loss", function() return node.status == "RECONNECTING" end)
    node:send("two")
    real.wait("the second", function() return #heard == 2 end)
    node:disconnect()
    real.wait("the end", function() return #heard == 3 end)
    assert.same({ "one", "two", "over" }, heard)
  end)

  it("counts a message that came on another socket only when the loop asks for the next one", function()
    local unacked = {}
    sim.new():run(60, function()
      local server = dop.listen { url = "ws://server:80/", lossless = true }
      server:on("connect", function(node)
        dop.go(function()
          for _ in node:messages() do dop.sleep(10) end
        end)
      end)
      local client = dop.connect { url = "ws://server:80/", lossless = true }
      client:send "one" -- in the body of the loop until 10
      dop.timer(5, function()
        client.node:drop()
        client:send "two" -- and this one from then on until 20
      end)
      for _, at in ipairs { 15, 25 } do
        dop.timer(at, function() unacked[#unacked + 1] = client.node.unacked end)
      end
    end)
    assert.same({ 1, 0 }, unacked)
  end)

  -- What a socket holds differs from system to system: a megabyte a message is beyond all of them.
  it("holds a fast sender back while the body of the loop is busy; nothing is lost", function()
    local server, client, node = real.pair({ queue_messages = 4 }, {})
    local size, sent, full, heard = 512 * 1024, 0, false, {}
    local busy = true
    dop.go(function()
      for message in client.node:messages() do
        heard[#heard + 1] = tonumber(message:match("^%d+"))
        while busy do dop.sleep(0.005) end
      end
    end)
    local function send()
      while sent < 100 do
        local ok, _, code = node:send(("%d:"):format(sent + 1) .. ("x"):rep(size))
        if not ok then
          full = code
          return
        end
        sent = sent + 1
        if sent % 2 == 0 then dop.timer(0, send) return end
      end
    end
    server:on("drain", send)
    send()
    real.wait("FULL", function() return full end)
    assert.equal("FULL", full)
    assert.truthy(#heard <= 1)
    local before = sent
    busy = false
    real.wait("all of them", function() return #heard == 100 end, 20)
    assert.truthy(before < 100)
    for i = 1, 100 do assert.equal(i, heard[i]) end
  end)
end)
