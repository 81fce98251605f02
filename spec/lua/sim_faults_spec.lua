--- The faults of dop.sim: each as it is told, and by seed; the death of a process; many seeds at once.

local dop = require "dop"
local sim = require "dop.sim"
local real = require "spec.support.real"
local worlds = require "spec.support.worlds"

local URL, pair, connected, record = worlds.URL, worlds.pair, worlds.connected, worlds.record

describe("a fault of a world", function()
  it("cut: a random part of what is under way arrives, up to any byte, and both ends see a reset", function()
    local inside = 0
    for seed = 1, 20 do
      local world, server, client = connected { seed = seed, latency = 0.1 }
      local lost, reset = record(world, client, "close"), record(world, server, "close")
      client:on("reconnect", dop.stop)
      for _ = 1, 20 do client:send(("x"):rep(90)) end
      world:run(60, function() dop.timer(0.05, function() assert.equal(1, world:cut()) end) end)
      assert.same({ 1006, "connection reset by peer" }, { lost[1][3], lost[1][4] })
      assert.same({ 1006, "connection reset by peer" }, { reset[1][3], reset[1][4] })
      local some, all = world:trace():match "cut: (%d+) of (%d+) bytes to the server"
      assert.truthy(tonumber(all) > 1800)
      if tonumber(some) > 0 and tonumber(some) < tonumber(all) then inside = inside + 1 end
    end
    assert.truthy(inside >= 18, inside)
  end)

  it("reset: nothing that was under way arrives", function()
    local world, server, client = connected({ latency = 0.1 }, nil, { lossless = false, retry = function() end })
    local heard, lost = record(world, server, "message"), record(world, server, "close")
    client:send "lost"
    world:run(1, function() dop.timer(0.05, function() world:reset() end) end)
    assert.equal(0, #heard)
    assert.equal("connection reset by peer", lost[1][4])
    assert.truthy(world:trace():find "reset: 0 of %d+ bytes to the server")
  end)

  it("of one side: the other hears nothing of it until it speaks", function()
    local world, server, client = connected(nil, nil, { retry = function() return 1 end })
    local at_client, at_server = record(world, client, "close"), record(world, server, "close")
    world:run(0.5, function() world:reset(nil, "client") end)
    assert.same({ 1, 0 }, { #at_client, #at_server })
    world:run(10) -- the client comes back, and the probe of its old socket fails
    assert.equal("CONNECTED", client.node.status)
    assert.equal(1, #at_server)
    assert.equal(1, client:stats().reconnects)
  end)

  it("half_close: the other end hears that nothing more comes", function()
    for _, side in ipairs { "client", "server" } do
      local world, server, client = connected()
      local other = side == "client" and server or client
      local lost = record(world, other, "close")
      world:run(0.2, function() world:half_close(client, side) end)
      assert.equal("the peer ended the connection without a closing handshake", lost[1][4])
      world:run(10)
      assert.equal("CONNECTED", client.node.status)
    end
  end)

  it("blackhole: found out by pings, and attempts hang until the hole is gone", function()
    local world, server, client = connected(nil, nil, { ping_interval = 4, ping_timeout = 3, handshake_timeout = 2 })
    local at = world:now()
    local lost, back = record(world, client, "close"), record(world, client, "reconnect")
    local downs = 0
    world:run(60, function()
      assert.equal(1, world:blackhole(20))
      client:on("reconnect", dop.stop)
      server:on("message", function() error "it came through" end)
      client:send "nowhere"
    end)
    for _ in world:trace():gmatch "has no socket: the handshake took too long" do downs = downs + 1 end
    assert.equal("the peer did not answer a ping", lost[1][4])
    assert.truthy(lost[1][1] - at > 5 and lost[1][1] - at < 8)
    assert.truthy(downs >= 3, downs)
    assert.same({}, world:errors())
    assert.truthy(back[1][1] - at > 20)
  end)

  it("delay: what is written comes later, and in order", function()
    local world, server, client = connected({ latency = 0.01 })
    local heard = record(world, server, "message")
    local at = world:now()
    client:send "under way"
    world:run(20, function()
      dop.timer(0.005, function() assert.equal(1, world:delay(5, client)) end)
      for i = 1, 3 do dop.timer(i, function() client:send(tostring(i)) end) end
      dop.timer(10, function() client:send "after" end)
    end)
    local order = {}
    for i, entry in ipairs(heard) do order[i] = ("%.2f %s"):format(entry[1] - at, entry[3]) end
    assert.same({ "5.00 under way", "5.00 1", "5.00 2", "5.00 3", "10.01 after" }, order)
  end)

  it("delay: what is written comes later when nothing was under way, too", function()
    local world, server, client = connected({ latency = 0.01 })
    local heard = record(world, server, "message")
    local at = world:now()
    world:run(10, function()
      world:delay(5)
      client:send "hello"
    end)
    assert.equal("5.00 hello", ("%.2f %s"):format(heard[1][1] - at, heard[1][3]))
  end)

  it("delay: a new connection overtakes an old one", function()
    local world, server, client = connected(nil, nil, { retry = function() return 0.1 end })
    local heard, back = record(world, server, "message"), record(world, client, "reconnect")
    local at = world:now()
    world:run(20, function()
      world:delay(8, client)
      client:send "late"
      dop.timer(1, function() client.node:drop() end)
    end)
    assert.truthy(back[1][1] - at < 8)
    assert.equal(1, #heard) -- over the new one, once: what comes on the old one is nobody's any more
    assert.truthy(heard[1][1] - at < 8)
  end)

  it("refuse: the policy hears why, until it is over", function()
    local whys = {}
    local world, _, client = connected(nil, nil, { retry = function(_, why) whys[#whys + 1] = why return 1 end })
    world:run(30, function()
      world:refuse(5)
      world:reset()
      client:on("reconnect", dop.stop)
    end)
    assert.equal("connection reset by peer", whys[1])
    assert.equal("connection refused", whys[2])
    assert.truthy(#whys >= 5 and #whys <= 7, #whys)
    assert.truthy(world:now() >= 7 and world:now() < 10)
  end)

  it("strikes the connections of one transport or node alone", function()
    local world, server, first = connected()
    local second
    world:run(2, function() second = dop.connect { url = URL } end)
    local a, b = record(world, first, "close"), record(world, second, "close")
    assert.equal(1, world:reset(second))
    world:run(0.3)
    assert.same({ 0, 1 }, { #a, #b })
    world:run(5)
    assert.equal(1, world:reset(first.node))
    world:run(0.3)
    assert.same({ 1, 1 }, { #a, #b })
    world:run(5)
    assert.equal(2, world:cut(server))
    world:run(5)
    assert.same({ 2, 2 }, { #a, #b })
  end)

  it("comes by itself at the given rate, by weight, until the world is calm", function()
    local world = sim.new { seed = 2, faults = { every = 3, seconds = 2, cut = 3, delay = 1 } }
    world:run(600, function() pair() end)
    local cuts, delays = 0, 0
    for _ in world:trace():gmatch "cut:" do cuts = cuts + 1 end
    for _ in world:trace():gmatch "stalls for [01]%." do delays = delays + 1 end
    assert.truthy(cuts > 80 and cuts < 180, cuts)
    assert.truthy(delays > 20 and delays < 80, delays)
    world:calm()
    local from = #world:trace()
    world:run(600)
    assert.is_nil(world:trace():find("fault", from, true))
    assert.equal(1, world.host.network:count()) -- nothing is left of the hundred that broke
  end)

  it("that has a time ends when the world is calm", function()
    local world, _, client = connected(nil, nil, { retry = function() return 1 end, handshake_timeout = 1 })
    world:refuse(1000)
    world:blackhole(1000)
    world:blackhole(1000, client)
    world:run(100)
    assert.equal("RECONNECTING", client.node.status)
    world:calm()
    world:run(5)
    assert.equal("CONNECTED", client.node.status)
  end)

  it("comes at the same time whatever the application does", function()
    local function times(application)
      local world = sim.new { seed = 4, faults = { every = 3, cut = 1, refuse = 1 } }
      world:run(100, application)
      local list = {}
      for line in world:trace():gmatch "[^\n]+attempts are refused[^\n]+" do list[#list + 1] = line end
      assert.truthy(#list > 5)
      return table.concat(list, "\n")
    end
    local nothing = times(nil)
    assert.equal(nothing, times(function() pair() end))
    assert.equal(nothing, times(function()
      local _, client = pair()
      client:on("message", function(_, m) client:send(m .. dop.random()) end)
      client:send "x"
    end))
  end)
end)

describe("world:kill", function()
  it("of a server: no word to it, a reset for its peers, and its address is free", function()
    local world, server, client = connected()
    local words, ticks = 0, 0
    for _, event in ipairs { "close", "status", "reconnecting", "disconnect", "message" } do
      server:on(event, function() words = words + 1 end)
      server:nodes()[1]:on(event, function() words = words + 1 end)
    end
    server:on("message", function()
      local function tick()
        ticks = ticks + 1
        dop.timer(1, tick)
      end
      tick()
    end)
    local lost, over = record(world, client, "close"), record(world, client, "disconnect")
    client:send "go"
    world:run(3.5)
    assert.equal(4, ticks)
    assert.truthy(words > 0)
    words = 0
    world:run(20, function()
      assert.is_true(world:kill(server))
      assert.is_false(world:kill(server))
      assert(dop.listen { url = URL })
    end)
    assert.same({ 0, 4 }, { words, ticks })
    assert.equal("connection reset by peer", lost[1][4])
    assert.equal("unknown", over[1][3])
    assert.equal("CONNECTED", client.node.status)
    assert.is_true(server.closed)
  end)

  it("of a client: the server waits for it as long as its window", function()
    local world, server, client = connected(nil, { resume_window = 30 })
    local lost, over = record(world, server, "close"), record(world, server, "disconnect")
    local words = 0
    client:on("status", function() words = words + 1 end)
    world:run(60, function() world:kill(client) end)
    assert.equal("connection reset by peer", lost[1][4])
    assert.equal("expired", over[1][3])
    assert.truthy(over[1][1] - lost[1][1] == 30)
    assert.equal(0, words)
    assert.equal("CLOSED", select(3, client:send "from beyond"))
  end)

  it("from one of its own handlers: those behind it are not called any more", function()
    local world, server, client = connected()
    local called = {}
    server:on("message", function()
      called[#called + 1] = "first"
      world:kill(server)
      dop.timer(1, function() called[#called + 1] = "timer" end)
      local ok, why = pcall(dop.listen, { url = URL })
      assert(not ok and why:find "killed")
    end)
    server:on("message", function() called[#called + 1] = "second" end)
    client:send "one"
    client:send "two"
    world:run(10)
    assert.same({ "first" }, called)
  end)

  it("of a process: all that it made, and made later", function()
    local world = sim.new()
    local process, inner, outer
    local ticks = 0
    world:run(3, function()
      outer = pair()
      process = world:process(function()
        local front = dop.listen { url = "ws://front:80/" }
        front:on("message", function(_, message)
          inner = inner or dop.connect { url = URL }
          inner:send(message)
        end)
        dop.go(function()
          while true do
            dop.sleep(0.5)
            ticks = ticks + 1
          end
        end)
      end)
      dop.connect({ url = "ws://front:80/" }):send "hello"
    end)
    assert.equal("CONNECTED", inner.node.status)
    assert.truthy(ticks == 5 or ticks == 6)
    local before = ticks
    world:kill(process)
    world:run(5)
    assert.equal(before, ticks)
    assert.is_true(inner.closed)
    assert.is_false(outer.closed)
  end)

  it("of a process: what it made while it was asked for principals, too", function()
    local world = sim.new()
    local asked, rang, client, process = 0, false, nil, nil
    world:run(2, function()
      process = world:process(function()
        dop.listen {
          url = URL,
          lossless = true,
          authorize = function()
            asked = asked + 1
            return "name " .. asked
          end,
          same_principal = function()
            dop.timer(5, function() rang = true end)
            return true
          end,
        }
      end)
      client = dop.connect { url = URL, lossless = true }
    end)
    client.node:drop()
    world:run(2)
    assert.same({ 2, "CONNECTED" }, { asked, client.node.status })
    world:kill(process)
    world:run(10)
    assert.is_false(rang)
  end)

  it("of local: ends is noticed too", function()
    local world = sim.new()
    local server, client
    world:run(1, function()
      server = dop.listen { url = "local:here" }
      client = dop.connect { url = "local:here" }
    end)
    local lost = record(world, client, "close")
    world:kill(server)
    world:run(1, function() assert(dop.listen { url = "local:here" }) end)
    assert.equal("reset by the peer", lost[1][4])
  end)
end)

-- Both ends say numbers through random faults; then the network is calm.
local function chat(world)
  local sent, heard = { 0, 0 }, { 0, 0 }
  local node
  local function expect(end_of)
    return function(_, message)
      heard[end_of] = heard[end_of] + 1
      if tonumber(message:match "%d+") ~= heard[end_of] then
        error(("end %d: expected %d, heard %s"):format(end_of, heard[end_of], message))
      end
    end
  end
  local server = dop.listen { url = URL, resume_window = 600 }
  local client = dop.connect { url = URL, retry = dop.backoff { most = 2 }, ping_interval = 5, ping_timeout = 2 }
  server:on("connect", function(new) node = new end)
  server:on("message", expect(1))
  client:on("message", expect(2))
  local function say(by, from)
    local text = ("%d %s"):format(sent[by] + 1, ("x"):rep(math.floor(dop.random() * 500)))
    if from and from:send(text) then sent[by] = sent[by] + 1 end
  end
  local function go_on()
    if world:now() > 60 then return world:calm() end
    say(1, client)
    say(2, node)
    dop.timer(dop.random() * 0.5, go_on)
  end
  go_on()
  return function()
    if sent[1] < 100 or sent[2] < 100 then return "hardly anything was said" end
    if heard[1] ~= sent[1] or heard[2] ~= sent[2] then
      return ("%d and %d were sent, %d and %d came"):format(sent[1], sent[2], heard[1], heard[2])
    end
  end
end

describe("sim.try", function()
  local faults = { every = 4, cut = 3, reset = 2, half_close = 1, blackhole = 1, delay = 2, refuse = 1 }

  it("runs many seeds: a lossless session loses nothing and doubles nothing in any of them", function()
    assert.equal(60, assert(sim.try { seeds = { 1, 60 }, seconds = 100, world = { faults = faults }, chat }))
  end)

  it("names the first seed that fails, how to replay it, and its trace", function()
    local function run(world)
      world:refuse(1)
      return function() return world.seed ~= 5, "five" end
    end
    local count, text, world = sim.try { seeds = { 1, 9 }, seconds = 1, run }
    assert.is_nil(count)
    assert.equal(5, world.seed)
    assert.truthy(text:find("seed 5 failed: five\nreplay: DOP_SEED=5, or sim.try { seeds = { 5 }", 1, true), text)
    assert.truthy(text:find("fault: attempts are refused for 1.000 s", 1, true))
  end)

  it("takes an error of the function, its check or a handler for a failure, a message or false too", function()
    local cases = {
      ["in the function"] = function() error "in the function" end,
      ["in the check"] = function() return function() error "in the check" end end,
      ["the check returned false"] = function() return function() return false end end,
      ["a message"] = function() return function() return "a message" end end,
    }
    for what, fn in pairs(cases) do
      local _, text = sim.try { seeds = { 3 }, seconds = 1, fn }
      assert.truthy(text:find("seed 3 failed: ", 1, true) and text:find(what, 1, true), text)
    end
    assert.equal(2, sim.try { seeds = { 3, 4 }, seconds = 1, function() return function() return true end end })
  end)

  it("takes what is reported for a failure", function()
    local printed = real.script [[
      local dop, sim = require "dop", require "dop.sim"
      print(select(2, sim.try { seeds = { 3 }, seconds = 1, function()
        dop.timer(0.5, function() error "in a timer" end)
      end }))]]
    assert.truthy(printed:find "seed 3 failed: error in a timer: [^\n]*: in a timer\n", printed)
  end)

  it("runs the seed in DOP_SEED alone", function()
    local printed = real.script([[
      local seeds = {}
      print(require("dop.sim").try { seeds = { 1, 9 }, seconds = 1, function(w) seeds[#seeds + 1] = w.seed end })
      print(table.concat(seeds, " "))]], "DOP_SEED=77 %s")
    assert.equal("1\n77\n", printed)
  end)
end)

