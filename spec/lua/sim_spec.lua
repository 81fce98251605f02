--- dop.sim: worlds on a virtual clock, whose network breaks as it is told or by seed. No socket is opened and
-- nothing waits: a minute of a world takes milliseconds.

local core = require "dop.core"
local dop = require "dop"
local loop = require "dop.loop"
local sim = require "dop.sim"
local real = require "spec.support.real"
local worlds = require "spec.support.worlds"

local URL, pair, connected, record = worlds.URL, worlds.pair, worlds.connected, worlds.record

-- Half a second of talk, a reset, and the way back.
local TRACE = [[
     0.000 server1 is made: ws://server:80/
     0.000 client1 is made: ws://server:80/
     0.000 client1 dials server, connection 1
     0.045 connection 1: client1 to server1
     0.057 server1.1 has a socket
     0.117 client1.1 has a socket
     0.117 client1.1 OPEN -> PRECONNECTED
     0.148 server1.1 OPEN -> PRECONNECTED
     0.148 server1.1 PRECONNECTED -> CONNECTED
     0.148 server1.1 connect
     0.189 client1.1 PRECONNECTED -> CONNECTED
     0.189 client1.1 connect
     1.000 fault: connection 1 reset: 0 of 0 bytes to the server still come, 0 of 0 to the client
     1.000 server1.1 lost its socket: 1006 connection reset by peer
     1.000 server1.1 CONNECTED -> RECONNECTING: connection reset by peer
     1.000 server1.1 reconnecting: connection reset by peer
     1.000 client1.1 lost its socket: 1006 connection reset by peer
     1.000 client1.1 CONNECTED -> RECONNECTING: connection reset by peer
     1.000 client1.1 reconnecting: connection reset by peer
     1.000 client1 has no socket: connection reset by peer
     1.406 client1 dials server, connection 2
     1.454 connection 2: client1 to server1
     1.454 server1.2 has a socket
     1.513 client1.1 has a socket
     1.513 client1.1 RECONNECTING -> PRECONNECTED
     1.585 server1.1 RECONNECTING -> CONNECTED
     1.585 server1.1 reconnect: away 0.585, replayed 0
     1.607 client1.1 PRECONNECTED -> CONNECTED
     1.607 client1.1 reconnect: away 0.607, replayed 0
]]

describe("wss: in a world", function()
  local TLS = { cert = "/nowhere/cert.pem", key = "/nowhere/key.pem" }

  it("encrypts nothing and reads no file, and is as it is outside for the rest", function()
    local _, server, client = connected(nil, { url = "wss://server/", tls = TLS }, { url = "wss://server/" })
    assert.equal("wss://server:443/", server.url)
    assert.is_nil(client.node.tls)
    assert.is_nil(server:nodes()[1].tls)
    connected(nil, { url = "wss+unix:/run/app.sock", tls = TLS }, { url = "wss+unix:/run/app.sock" })
  end)

  it("takes a certificate anew, and goes on", function()
    local world, server, client = connected(nil, { url = "wss://server/", tls = TLS }, { url = "wss://server/" })
    world:run(10, function()
      assert.is_true(server:reload_tls())
      assert.is_true(server:reload_tls { cert = "/nowhere/renewed.pem" })
      assert.is_false((pcall(server.reload_tls, server, { crt = "x" })))
      client.node:drop()
    end)
    assert.equal(1, server:stats().reconnects)
    world:run(1, function()
      server:close()
      assert.equal("CLOSED", select(3, server:reload_tls()))
      local plain = dop.listen { url = "ws://plain/" }
      assert.error_matches(function() plain:reload_tls() end, "only a server of wss: has TLS")
    end)
  end)

  it("checks its options", function()
    sim.new():run(1, function()
      for tls, words in pairs { [{}] = "cert is missing", [{ cert = "x", crt = "y" }] = "there is no crt" } do
        assert.error_matches(function() dop.listen { url = "wss://server/", tls = tls } end, words)
      end
      assert.error_matches(function() dop.listen { url = "ws://server/", tls = TLS } end, "begins with wss:")
    end)
  end)

  it("and ws: do not understand each other: the policies are told", function()
    local told = {}
    local function policy(of)
      return function(_, _, code)
        told[of] = code
        return nil
      end
    end
    sim.new():run(10, function()
      assert(dop.listen { url = "wss://secure/", tls = TLS })
      assert(dop.listen { url = "ws://plain/" })
      dop.connect { url = "ws://secure:443/", retry = policy "plain" }
      dop.connect { url = "wss://plain:80/", retry = policy "secure" }
    end)
    assert.same({ plain = "UPGRADE", secure = "TLS_NOTTLS" }, told)
  end)
end)

describe("a world", function()
  it("runs unchanged code on a virtual clock, and opens nothing", function()
    local printed, status = real.script [[
      package.preload["dop.uv"] = function() error "the driver was loaded" end
      local dop, sim = require "dop", require "dop.sim"
      local from, world, heard = os.clock(), sim.new(), nil
      world:run(3600, function()
        local server = assert(dop.listen { url = "ws://server:80/" })
        server:on("message", function(node, message) node:send(message:upper()) end)
        local client = assert(dop.connect { url = "ws://server:80/" })
        client:on("message", function(_, message) heard = message end)
        client:send "hello"
      end)
      print(heard, world:now(), os.clock() - from < 5)]]
    assert.same({ "HELLO\t3600.0\ttrue\n", 0 }, { printed:gsub("3600\t", "3600.0\t"), status })
  end)

  it("has its own timers, sleep, randomness and stop", function()
    local log = {}
    local world = sim.new { seed = 3 }
    local function note(what) log[#log + 1] = ("%.3f %s"):format(world:now(), what) end
    local numbers = {}
    local how = world:run(100, function()
      dop.timer(2, function() note "second" end)
      dop.timer(1, function() note "first" end)
      dop.timer(2, function() note "third" end)
      dop.timer(1.5, function() note "never" end):stop()
      dop.go(function()
        dop.sleep(10)
        note "slept"
        for i = 1, 3 do numbers[i] = dop.random() end
        dop.timer(0, function()
          note "stops"
          dop.stop()
        end)
      end)
    end)
    assert.equal("stopped", how)
    assert.same({ "1.000 first", "2.000 second", "2.000 third", "10.000 slept", "10.001 stops" }, log)
    assert.equal(10.001, world:now())
    local draw = core.generator(3, 2)
    assert.same({ draw(), draw(), draw() }, numbers)
    assert.equal("time", world:run(1.999))
    assert.equal(12, world:now())
  end)

  it("draws the same numbers from the same seed on every machine", function()
    local draw = core.generator(7, 0)
    local numbers = {}
    for i = 1, 4 do numbers[i] = ("%.12f"):format(draw()) end
    assert.same({ "0.950161381936", "0.879686980905", "0.901108343029", "0.061999144256" }, numbers)
    assert.are_not.equal(core.generator(8, 0)(), core.generator(7, 0)())
    assert.are_not.equal(core.generator(7, 1)(), core.generator(7, 0)())
  end)

  local function noisy(seed)
    local world = sim.new {
      seed = seed, faults = { every = 2, cut = 2, reset = 1, half_close = 1, blackhole = 1, delay = 1, refuse = 1 },
    }
    local how = world:run(120, function()
      local server, client = pair()
      local function chat()
        client:send(("x"):rep(math.floor(dop.random() * 2000)))
        local nodes = server:nodes()
        if nodes[1] then nodes[1]:send "server" end
        dop.timer(dop.random(), chat)
      end
      chat()
    end)
    assert.equal("time", how)
    return world:trace()
  end

  it("does the same again with the same seed, and something else with another", function()
    local trace = noisy(5)
    assert.truthy(#trace > 3000)
    assert.equal(trace, noisy(5))
    assert.are_not.equal(trace, noisy(6))
  end)

  it("has tokens by its seed", function()
    local function token(seed)
      local _, _, client = connected { seed = seed }
      return client.node.token:reveal()
    end
    assert.equal(token(1), token(1))
    assert.are_not.equal(token(1), token(2))
  end)

  it("has the same trace on every Lua", function()
    local world = sim.new { seed = 11, latency = { 0.02, 0.08 } }
    world:run(3, function()
      local _, client = pair()
      client:send "hello"
      dop.timer(1, function() world:reset() end)
    end)
    assert.equal(TRACE, world:trace())
  end)

  it("has a network whose bytes take time, drawn from between two bounds", function()
    local world = sim.new { latency = { 0.1, 0.2 } }
    local sent, waits = {}, {}
    world:run(60, function()
      local server, client = pair()
      server:on("connect", function(node)
        for i = 1, 100 do
          dop.timer(i / 4, function()
            sent[i] = world:now()
            node:send(tostring(i))
          end)
        end
      end)
      client:on("message", function(_, message) waits[tonumber(message)] = world:now() - sent[tonumber(message)] end)
    end)
    local least, most = 1, 0
    assert.equal(100, #waits)
    for _, wait in ipairs(waits) do least, most = math.min(least, wait), math.max(most, wait) end
    assert.truthy(least >= 0.0999 and least < 0.12, least)
    assert.truthy(most <= 0.2001 and most > 0.18, most)
  end)

  it("refuses a dial where nobody listens, and a second listener", function()
    local world = sim.new()
    local told, code
    world:run(5, function()
      dop.connect { url = "ws://nowhere:80/", retry = function(_, why) told = why end }
      pair()
      code = select(3, dop.listen { url = URL })
      assert(dop.listen { url = "ws://server:81/" })
      assert(dop.listen { url = "ws+unix:/run/dop.sock" })
    end)
    assert.equal("connection refused", told)
    assert.equal("EADDRINUSE", code)
  end)

  it("gives out ports, hears any name on 0.0.0.0, knows unix sockets and local:", function()
    local world = sim.new()
    local urls = { "ws://any:0/", "ws://0.0.0.0:8080/", "ws+unix:/run/dop.sock:/", "local:here" }
    local heard = {}
    world:run(5, function()
      for i, url in ipairs(urls) do
        local server = assert(dop.listen { url = url })
        assert.truthy(i ~= 1 or server.url:find "^ws://any:%d+/$")
        server:on("message", function(_, message) heard[i] = message end)
        dop.connect({ url = i == 2 and "ws://whatever:8080/" or server.url }):send(tostring(i))
      end
    end)
    assert.same({ "1", "2", "3", "4" }, heard)
  end)

  it("has no memory for bytes: a connection ends, and no stream has a gap", function()
    local function talk(n)
      local world, heard, said = sim.new { trace = false }, {}, 0
      local client
      world:run(1, function()
        local server = dop.listen { url = URL, lossless = true }
        server:on("message", function(_, message) heard[#heard + 1] = tonumber(message) end)
        client = dop.connect { url = URL, lossless = true }
      end)
      local count = core.allocations(function()
        world:run(1, function()
          for i = 1, 5 do
            dop.timer(i / 10, function() if client:send(tostring(said + 1)) then said = said + 1 end end)
          end
        end)
      end, n)
      world:run(10)
      return count, heard, said
    end
    local most, heard = talk(0)
    assert.same({ 1, 2, 3, 4, 5 }, heard)
    for n = 1, most do
      local _, some, said = talk(n)
      for i, number in ipairs(some) do assert.equal(i, number, "without the memory of request " .. n) end
      assert.truthy(said >= #some)
    end
  end)

  it("keeps its local: names to itself, and its clock goes on whatever answers what", function()
    local world, other = sim.new(), sim.new()
    local count = 0
    world:run(1, function()
      local server = assert(dop.listen { url = "local:name" })
      server:on("message", function(node, message)
        count = count + 1
        node:send(message)
      end)
      local client = dop.connect { url = "local:name" }
      client:on("message", function(node, message) node:send(message) end)
      client:send "ping"
    end)
    assert.truthy(count > 100)
    assert.equal(1, world:now())
    other:run(1, function() assert(dop.listen { url = "local:name" }) end)
    local server = assert(dop.listen { url = "local:name" }) -- the real one
    server:close()
  end)

  it("keeps more aside for a paused local: end than that end cares to", function()
    local heard = 0
    sim.new():run(3, function()
      local server = dop.listen { url = "local:small", lossless = true, queue_bytes = 1000, max_message = 1000 }
      server:on("connect", function(node)
        node:pause()
        dop.timer(1, function() node:resume() end)
      end)
      server:on("message", function() heard = heard + 1 end)
      local client = dop.connect { url = "local:small", lossless = true }
      for _ = 1, 20 do client:send(("x"):rep(1000)) end
    end)
    assert.equal(20, heard)
  end)

  it("may be spoken to between two runs", function()
    local world, server, client = connected()
    local log = record(world, server, "message")
    assert.is_true(client:send "between")
    assert.equal(0, #log)
    world:run(1)
    assert.equal("between", log[1][3])
    client:close()
    local gone = record(world, server, "disconnect")
    world:run(1)
    assert.equal("peer", gone[1][3])
  end)
end)

describe("world:run", function()
  it("leaves the outer host as it was, also after an error, which it raises as it is", function()
    local before = loop.host()
    local world = sim.new()
    local mistake = {}
    local ok, err = pcall(world.run, world, 1, function() error(mistake) end)
    assert.is_false(ok)
    assert.equal(mistake, err)
    assert.equal(before, loop.host())
    assert.equal("time", world:run(1))
    assert.equal(before, loop.host())
  end)

  it("inside itself is refused, as is dop.run", function()
    local world = sim.new()
    local told = {}
    world:run(1, function()
      told[1] = select(2, pcall(world.run, world, 1))
      told[2] = select(2, pcall(dop.run))
      dop.timer(0.5, function()
        told[3] = select(2, pcall(world.run, world, 1))
        local other = sim.new()
        told[4] = select(2, pcall(other.run, other, 1))
      end)
    end)
    for i = 1, 4 do assert.truthy(tostring(told[i]):find "runs already", i .. tostring(told[i])) end
    assert.equal(1, world:now())
  end)

  -- In a process of its own: what is reported goes to stderr, which is caught there.
  local function script(text)
    local printed, status = real.script([[
      local dop, sim, loop = require "dop", require "dop.sim", require "dop.loop"
      local world, host = sim.new(), loop.host()
    ]] .. text)
    assert.equal(0, status, printed)
    return printed
  end

  it("lets no coroutine out", function()
    local printed = script [[
      assert(coroutine.resume(coroutine.create(function()
        print(pcall(world.run, world, 1, function() coroutine.yield() end))
        world:run(1, function() dop.timer(0.1, function() coroutine.yield() end) end)
        print("the end", world:now(), #world:errors(), host == loop.host())
      end)))]]
    assert.truthy(printed:find "false\t[^\n]*yield", printed)
    assert.truthy(printed:find "error in a timer: [^\n]*yield", printed)
    assert.truthy(printed:find "the end\t1%.?0?\t1\ttrue\n", printed)
  end)

  it("reports the errors of handlers, timers, coroutines and policies as usual, and goes on", function()
    local printed = script [[
      world:run(20, function()
        local server = dop.listen { url = "ws://server:80/" }
        local client = dop.connect { url = "ws://server:80/", retry = function() error "in the policy" end }
        server:on("message", function() error "in the handler" end)
        dop.timer(1, function() error "in the timer" end)
        dop.go(function() error "in the coroutine" end)
        client:send "hello"
        dop.timer(2, function() world:reset() end)
        dop.timer(10, function() print(client.node.status) end)
      end)
      print(#world:errors())
      print("listed: " .. table.concat(world:errors(), "\n"))]]
    local list = printed:match "listed: (.*)"
    for _, what in ipairs { "handler", "timer", "coroutine", "policy" } do
      assert.truthy(list:find(":%d+: in the " .. what), what)
      assert.truthy(printed:find("dop: [^\n]*:%d+: in the " .. what), what)
    end
    assert.truthy(printed:find "\nCONNECTED\n4\n", printed)
  end)

  it("has room for whole programs, whose dop.run waits for their own dop.stop", function()
    local world = sim.new()
    local log = {}
    local function note(what) log[#log + 1] = ("%d %s"):format(math.floor(world:now()), what) end
    local how = world:run(60, function()
      world:process(function()
        local server = assert(dop.listen { url = URL })
        server:on("message", function(node, message)
          node:send(message)
          if message == "stop" then dop.stop() end
        end)
        note "serves"
        assert(dop.run())
        note "stopped"
        server:close()
        dop.timer(5, function() note "late" dop.stop() end)
        assert(dop.run())
        note "ends"
      end)
      note "begun"
      local client = dop.connect { url = URL }
      dop.timer(10, function() client:send "stop" end)
      dop.timer(40, dop.stop)
    end)
    assert.same({ "0 serves", "0 begun", "10 stopped", "15 late", "15 ends" }, log)
    assert.same({ "stopped", 40 }, { how, world:now() })
    local went_on = 0
    world:run(20, function()
      local function program(stop)
        return world:process(function()
          dop.timer(2, stop)
          dop.run()
          went_on = went_on + 1
        end)
      end
      local early, late = program(dop.stop), nil
      dop.timer(1, function() world:kill(early) end)
      late = program(function()
        dop.stop()
        world:kill(late)
      end)
    end)
    assert.equal(0, went_on)
  end)

  it("raises what a program raises, and refuses one that yields", function()
    local world = sim.new()
    local mistake = {}
    world:run(1, function()
      assert.equal(mistake, select(2, pcall(world.process, world, function() error(mistake) end)))
      local ok, why = pcall(world.process, world, function() coroutine.yield() end)
      assert.is_false(ok)
      assert.truthy(why:find "dop.go")
    end)
  end)

  it("works with a collection after every handler", function()
    local world = sim.new { seed = 9, faults = { every = 1, cut = 2, blackhole = 1, delay = 1, half_close = 1 } }
    world.host.machine:collect_always(true)
    local heard = 0
    world:run(60, function()
      local _, client = pair(nil, { ping_interval = 2, ping_timeout = 1 })
      client:on("message", function(node, message)
        heard = heard + 1
        dop.timer(0.5, function() node:send(message) end)
      end)
      client:send "x"
    end)
    assert.truthy(heard > 10, heard)
  end)

  it("works inside a handler of the real loop, which then goes on", function()
    local order = {}
    dop.timer(0.001, function()
      local world = sim.new()
      world:run(60, function() dop.timer(30, function() order[#order + 1] = "world" end) end)
      order[#order + 1] = "after"
      dop.timer(0.001, function() order[#order + 1] = "real" end)
    end)
    dop.run()
    assert.same({ "world", "after", "real" }, order)
  end)
end)

describe("a world that nobody refers to", function()
  it("is collected with all that is open in it, though its handlers refer to it", function()
    local weak = setmetatable({}, { __mode = "v" })
    local registry = real.registry_count()
    do
      local world, server, client = connected { faults = { every = 1, reset = 1 } }
      client:on("message", function() world:cut(server) end)
      server:nodes()[1]:on("message", function() world:reset() end)
      for i = 1, 10 do client:send(tostring(i)) end
      world:run(0.01)
      weak[1], weak[2], weak[3], weak[4] = world, server, client, client.node
    end
    assert.truthy(weak[1])
    for _ = 1, 4 do collectgarbage() end
    assert.same({}, { weak[1], weak[2], weak[3], weak[4] })
    assert.equal(registry, real.registry_count())
  end)

  it("stays while one of its transports does", function()
    local client
    do
      local _, _, its = connected()
      client = its
    end
    for _ = 1, 4 do collectgarbage() end
    assert.equal("CONNECTED", client.node.status)
    assert.is_true(client:send "into the void")
    assert.equal(client, client.node.transport)
  end)

  it("goes with the Lua state, at any time", function()
    for _, when in ipairs {
      "", "dop.timer(5, function() os.exit(0, true) end) client:send 'x'",
      "server:on('message', function() os.exit(0, true) end) client:send 'x'",
      "dop.timer(1, function() world:kill(server) os.exit(0, true) end)",
    } do
      local printed, status = real.script(([[
        local dop, sim = require "dop", require "dop.sim"
        local world = sim.new { faults = { every = 1, cut = 1, delay = 1 } }
        keep = setmetatable({}, { __gc = function() pcall(function() return kept.node.status end) end })
        world:run(10, function()
          local server = dop.listen { url = "ws://server:80/" }
          local client = dop.connect { url = "ws://server:80/" }
          kept = client
          for i = 1, 100 do client:send(("x"):rep(1000)) end
          %s
        end)
        os.exit(0, true)]]):format(when))
      assert.same({ "", 0 }, { printed, status })
    end
  end)
end)

describe("misuse of a world raises", function()
  local world = sim.new()
  for what, case in pairs {
    ["an unknown option"] = { function() sim.new { sead = 1 } end, "sead" },
    ["a seed that is no whole number"] = { function() sim.new { seed = 1.5 } end, "seed" },
    ["a latency below 0"] = { function() sim.new { latency = -1 } end, "latency" },
    ["an unknown fault"] = { function() sim.new { faults = { cuts = 1 } } end, "cuts" },
    ["faults without a weight"] = { function() sim.new { faults = { every = 1 } } end, "weight" },
    ["seconds that are none"] = { function() world:run "60" end, "seconds" },
    ["a side that is none"] = { function() world:cut(nil, "left") end, "left" },
    ["a process outside of run"] = { function() world:process(function() end) end, "while the world runs" },
    ["killing what is no process"] = { function() world:kill {} end, "process" },
    ["killing some userdata"] = { function() world:kill(io.stdout) end, "process" },
    ["a target that is none"] = { function() world:cut "server" end, "a transport or a node" },
    ["an option of try that is none"] = { function() sim.try { seed = 1, print } end, "seed" },
  } do
    it(what, function()
      local ok, message = pcall(case[1])
      assert.is_false(ok)
      assert.truthy(message:find(case[2], 1, true), message)
      assert.truthy(message:find "^%S*sim_spec.lua:%d+: ", message)
    end)
  end
end)
