--- server:close{drain = seconds}: nobody else is let in, what waits leaves, then the sockets close with 1012.

local dop = require "dop"
local process = require "spec.real.process"
local real = require "spec.support.real"
local sim = require "dop.sim"
local wire = require "spec.support.wire"

after_each(wire.close)
after_each(process.close)
after_each(real.close)

-- A server on the wire with a session, whose socket the spec holds.
local function held(options)
  local w = wire.new { server = options or {} }
  local p = w:connected_server()
  return w, p, w:last("server", "connect").node
end

describe("a server that drains", function()
  it("closes a session of which nothing waits, with 1012, at once", function()
    local w, p = held()
    w.server:close { drain = 10 }
    w:wait(0.02)
    assert.equal(1012, p:closed_with())
    assert.equal("closed", w:last("server", "disconnect")[1])
    assert.is_true(w.server.closed)
  end)

  it("lets what waits leave first", function()
    local w, p, node = held()
    node:send "on the way"
    w.server:close { drain = 10 }
    w:wait(1)
    assert.equal("CONNECTED", node.status)
    assert.is_true(w.server.draining)
    assert.equal("on the way", p:take())
    w:wait(0.02)
    assert.equal(1012, p:closed_with())
  end)

  it("closes the others without waiting for one that is slow", function()
    local w, slow, node = held()
    local quick = w:connected_server(("q"):rep(16))
    node:send "nobody takes this"
    w.server:close { drain = 10 }
    w:wait(0.02)
    assert.equal(1012, quick:closed_with())
    assert.equal("CONNECTED", node.status)
    assert.is_nil((slow.link:ending()))
  end)

  it("does not wait longer than it was told, and hands back what is left", function()
    local w, _, node = held()
    node:send(("x"):rep(70000)) -- in the socket
    node:send "in the queue"
    w.server:close { drain = 3 }
    w:wait(2.9)
    assert.equal("CONNECTED", node.status)
    w:wait(0.2)
    assert.equal("DISCONNECTED", node.status)
    local unsettled = w:last("server", "disconnect")[2]
    assert.equal("in the queue", unsettled[#unsettled].message)
    assert.is_true(w.server.closed)
  end)

  it("takes messages meanwhile, in both directions: answers are what it waits for", function()
    local w, p, node = held()
    node:send "one"
    w.server:close { drain = 10 }
    w:wait(1)
    p:give "a question"
    assert.equal("a question", w:last("server", "message")[1])
    assert.is_true(node:send "an answer")
    assert.equal("one", p:take())
    assert.equal("an answer", p:take())
    w:wait(0.02)
    assert.equal(1012, p:closed_with())
    assert.equal("CLOSED", select(3, node:send "too late"))
  end)

  it("is closed at once by a second close", function()
    local w, p, node = held()
    node:send "on the way"
    w.server:close { drain = 10 }
    w:wait(1)
    w.server:close { drain = 10 }
    assert.equal("DISCONNECTED", node.status)
    assert.is_true(w.server.closed)
    assert.equal("on the way", p:take())
    assert.equal(1012, p:closed_with())
  end)

  it("refuses whoever is not CONNECTED yet: 503 before the upgrade, 1012 after it", function()
    local w, _, node = held()
    local asking, halfway = w:to_server(true), w:to_server()
    node:send "something that waits"
    w.server:close { drain = 10 }
    local answer = asking.link:output()
    assert.truthy(answer:find "^HTTP/1.1 503 ")
    assert.truthy(answer:find "\r\nRetry%-After: %d")
    assert.equal(1012, halfway:closed_with())
    assert.truthy(w:to_server(true).link:output():find "^HTTP/1.1 503 ")
    assert.equal(2, w.server:stats().refused_closing)
    assert.equal(1, w:count("server", "connect"))
  end)

  it("ends sessions without a socket at once: nothing could bring them back", function()
    local w, _, node = held()
    local other = w:connected_server(("o"):rep(16))
    local away = w:last("server", "connect").node
    other:lose()
    node:send "something that waits"
    w.server:close { drain = 10 }
    assert.equal("DISCONNECTED", away.status)
    assert.equal("CONNECTED", node.status)
  end)

  it("ends a session that loses its socket meanwhile", function()
    local w, p, node = held()
    node:send "lost"
    w.server:close { drain = 10 }
    p:lose()
    assert.equal("DISCONNECTED", node.status)
    assert.equal("closed", w:last("server", "disconnect")[1])
    assert.is_true(w.server.closed)
  end)

  it("can do so from a handler, which may send after it", function()
    local w, p = held()
    w.server:on("message", function(node)
      w.server:close { drain = 10 }
      node:send "the answer"
    end)
    p:give "a question"
    w:wait(0.1)
    assert.equal("the answer", p:take())
    w:wait(0.1)
    assert.equal(1012, p:closed_with())
  end)
end)

describe("a drain", function()
  it("is misuse for a client, with other options, and for what is no time", function()
    local w = wire.new()
    local function says(what, object, ...)
      local ok, message = pcall(object.close, object, ...)
      assert.is_false(ok)
      assert.truthy(message:find(what, 1, true), message)
    end
    says('close: option "drain" is for servers', w.client, { drain = 1 })
    says('close: option "drain": seconds from 0 to 1000000000 expected, got -1', w.server, { drain = -1 })
    says('close: option "drain": seconds from 0 to 1000000000 expected, got x', w.server, { drain = "x" })
    says('close has no option "linger"', w.server, { linger = 1 })
    says("close: a table of options expected", w.server, 10)
    assert.is_false(w.server.closed)
  end)

  it("is waited for by dop.run, for local: too, and lets the name go at once", function()
    local server = assert(dop.listen { url = "local:drained" })
    local client = assert(dop.connect { url = "local:drained", retry = function() end })
    local heard = {}
    client:on("message", function(_, message) heard[#heard + 1] = message end)
    server:on("connect", function(node)
      node:send "hello"
      server:close { drain = 5 }
      local other = assert(dop.listen { url = "local:drained" })
      other:close()
      node:send "and goodbye"
    end)
    assert(dop.run())
    assert.is_true(server.closed)
    assert.same({ "hello", "and goodbye" }, heard)
  end)

  it("waits until a lossless peer has acknowledged, on a world's clock", function()
    local world, server, ended, heard = sim.new { latency = { 0.2, 0.2 } }, nil, nil, 0
    world:run(30, function()
      server = assert(dop.listen { url = "ws://server:80/" })
      server:on("connect", function(node)
        for i = 1, 10 do node:send(tostring(i)) end
        server:close { drain = 20 }
      end)
      server:on("disconnect", function(_, why, unsettled)
        ended = { why = why, unsettled = #unsettled, at = world:now() }
        dop.stop()
      end)
      local client = assert(dop.connect { url = "ws://server:80/", retry = function() end })
      client:on("message", function() heard = heard + 1 end)
    end)
    assert.equal(10, heard)
    assert.equal("closed", ended.why)
    assert.equal(0, ended.unsettled)
    -- The acknowledgement is due a second after the first delivery, and takes its way.
    assert.is_true(ended.at > 1 and ended.at < 5, ended.at)
  end)

  it("waits for a message that a coroutine has in hand", function()
    local world, answered = sim.new(), nil
    world:run(30, function()
      local server = assert(dop.listen { url = "ws://server:80/" })
      server:on("connect", function(node)
        dop.go(function()
          for message in node:messages() do
            server:close { drain = 10 }
            dop.sleep(3) -- work
            node:send(message:upper())
          end
        end)
      end)
      local client = assert(dop.connect { url = "ws://server:80/", retry = function() end })
      client:on("connect", function() client:send "work" end)
      client:on("message", function(_, message) answered = message end)
    end)
    assert.equal("WORK", answered)
  end)

  it("tells the client's policy the code, and the session what nobody settled", function()
    local server, client = real.pair()
    local told
    local other = real.connect(server, { retry = function(_, why, _, info)
      told = { why, info.close }
      return nil
    end })
    real.wait("both", function() return server:stats().connects == 2 and other.node.status == "CONNECTED" end)
    client:close()
    server:close { drain = 5 }
    real.wait("the end", function() return told end)
    assert.same({ "closed", 1012 }, told)
  end)

  it("frees the port at once", function()
    local server, client = real.pair()
    client:send(("x"):rep(100))
    server:close { drain = 5 }
    local again = real.listen { url = server.url }
    assert.equal(server.url, again.url)
  end)
end)

describe("reuse_port", function()
  it("lets two servers have one port, if both say so", function()
    local one = real.listen { reuse_port = true }
    local two = real.listen { reuse_port = true, url = one.url }
    assert.equal(one.url, two.url)
    assert.equal("EADDRINUSE", select(3, dop.listen { url = one.url }))
  end)

  it("is misuse where there is no port", function()
    for _, url in ipairs { "local:shared", "ws+unix:/tmp/dop-never-made.sock" } do
      local ok, message = pcall(dop.listen, { url = url, reuse_port = true })
      assert.is_false(ok)
      assert.truthy(message:find('option "reuse_port": only a port can be shared', 1, true), message)
    end
  end)

  -- The old process drains while the new one already listens; a client talks all the time.
  it("makes a rolling restart of two processes, under a client that talks: nothing is silent", function()
    local serve = [[
      local dop = require "dop"
      local server = assert(dop.listen { url = ..., reuse_port = true })
      print("listening " .. server.url)
      local heard = 0
      server:on("message", function(node, message)
        heard = heard + 1
        node:send(message)
        print("heard " .. message)
        if message == "last" then server:close { drain = 1 } end
      end)
      server:on("disconnect", function(_, why, unsettled) print("ended " .. why .. " " .. #unsettled) end)
      dop.run()
      print "gone" ]]
    local old = process.script(serve, "ws://127.0.0.1:0/")
    local url = old:expect "^listening (%S+)$"
    local client = real.connect({ url = url })
    local sent, answered, given_back, n, ends = {}, {}, {}, 0, {}
    client:on("message", function(_, message) answered[message] = (answered[message] or 0) + 1 end)
    client:on("disconnect", function(_, why, unsettled)
      ends[#ends + 1] = why
      for _, entry in ipairs(unsettled) do given_back[entry.message] = entry.fate end
    end)
    local talking = true
    local function talk()
      if not talking then return end
      n = n + 1
      if client:send(tostring(n)) then sent[#sent + 1] = tostring(n) end
      dop.timer(0.01, talk)
    end
    talk()
    real.wait("a talk", function() return n > 20 and next(answered) end)
    local new = process.script(serve, url)
    assert.equal(url, new:expect "^listening (%S+)$")
    assert(client:send "last")
    sent[#sent + 1] = "last"
    old:expect("^ended closed", 15)
    old:expect("^gone$", 15)
    new:expect("^heard ", 15)
    assert.same({ "unknown" }, ends)
    talking = false
    real.wait("what was sent", function() return client.node.queued == 0 end, 15)
    client:close()
    real.wait("the end", function() return client:stats().sockets == 0 end)
    local heard = {}
    for _, p in ipairs { old, new } do
      for message in p:output():gmatch "heard (%w+)\n" do
        assert.is_nil(heard[message], message .. " came twice")
        heard[message] = true
      end
    end
    for _, message in ipairs(sent) do
      assert.is_true(heard[message] or given_back[message] ~= nil, message .. " vanished")
    end
    new:stop()
  end)
end)
