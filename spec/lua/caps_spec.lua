--- Caps: how many sockets a server has, in all and by address, what those hear that are above, and what
-- stats() says of each refusal.

local core = require "dop.core"
local dop = require "dop"
local frames = require "spec.support.frames"
local real = require "spec.support.real"
local sim = require "dop.sim"
local wire = require "spec.support.wire"

after_each(wire.close)
after_each(real.close)

local function server(options) return wire.new { server = options } end

-- Whether a socket of that address may begin its handshake.
local function comes_in(w, address)
  local link = core.accept(w.server, address)
  local answer = link:output()
  w.kept = w.kept or {} -- one that is collected is gone
  w.kept[#w.kept + 1] = link
  if answer == "" then return link end
  assert.truthy(answer:find("^HTTP/1.1 503 [^\r]*\r\n"))
  assert.truthy(answer:find("\r\nRetry%-After: %d+\r\n"))
  return nil
end

describe("max_sockets", function()
  it("counts those that are CONNECTED and those that are not yet: what is above hears 503", function()
    local w = server { max_sockets = 2 }
    w:connected_server()
    local second = w:to_server(true)
    assert.is_nil(comes_in(w, "10.0.0.1:1"))
    assert.equal(1, w.server:stats().refused_full)
    second.link:lost()
    assert.truthy(comes_in(w, "10.0.0.1:2"))
  end)

  it("does not count those that it refused: they cannot keep a place that is free", function()
    local w = server { max_sockets = 2 }
    local one = w:connected_server()
    w:connected_server(("2"):rep(16))
    for i = 1, 50 do assert.is_nil(comes_in(w, "10.0.0.1:" .. i)) end
    one:lose()
    assert.truthy(comes_in(w, "10.0.0.1:51"))
  end)

  it("bounds how many of those are waited for", function()
    local w = server { max_sockets = 2 }
    local first, second = w:connected_server(), w:connected_server(("2"):rep(16))
    local endings = {}
    for i = 1, 4 do
      local link = core.accept(w.server, "10.0.0.1:" .. i)
      link:output()
      endings[i] = link:ending()
    end
    assert.same({ "fin", "fin", "over", "over" }, endings)
    assert.is_nil((first.link:ending()))
    assert.is_nil((second.link:ending()))
  end)
end)

describe("a server of local:", function()
  local function connected(client) return client.node.status == "CONNECTED" end

  it("has the caps of all others: who is above max_sockets comes in when one has left", function()
    local host = real.listen { url = "local:caps", max_sockets = 2 }
    local first, second = real.connect(host), real.connect(host)
    real.wait("two", function() return connected(first) and connected(second) end)
    local third = real.connect(host)
    real.wait("a refusal", function() return host:stats().refused_full > 0 end)
    assert.equal(2, host:stats().sockets)
    assert.equal("OPEN", third.node.status)
    first:close()
    real.wait("the third", function() return connected(third) end)
  end)

  it("lets nobody in above max_bytes", function()
    local host = real.listen { url = "local:caps", max_bytes = 1000 }
    local client = real.connect(host, { retry = function() return 60 end })
    real.wait("the session", function() return connected(client) end)
    client.node:drop()
    local node = host:nodes()[1]
    while node:send(("x"):rep(100)) do end
    assert.is_true(host:stats().bytes > 1000)
    local other = real.connect(host)
    real.wait("a refusal", function() return host:stats().refused_bytes > 0 end)
    node:disconnect()
    real.wait("the other", function() return connected(other) end)
  end)
end)

describe("the caps by address", function()
  it("count one address whatever its port, and leave the others alone", function()
    local w = server { max_sockets_per_address = 2 }
    local one = comes_in(w, "10.0.0.1:1")
    assert.truthy(one)
    assert.truthy(comes_in(w, "10.0.0.1:2"))
    assert.is_nil(comes_in(w, "10.0.0.1:3"))
    assert.truthy(comes_in(w, "10.0.0.11:3"))
    assert.equal(1, w.server:stats().refused_address)
    one:lost()
    assert.truthy(comes_in(w, "10.0.0.1:4"))
    assert.is_nil(comes_in(w, "10.0.0.1:5"))
  end)

  it("go on counting a socket that is CONNECTED, until it is gone", function()
    local w = server { max_sockets_per_address = 1, max_pending_per_address = 1 }
    local p = w:connected_server() -- from 127.0.0.1
    assert.is_nil(comes_in(w, "127.0.0.1:7"))
    p:lose()
    assert.truthy(comes_in(w, "127.0.0.1:8"))
  end)

  it("of those that are not CONNECTED yet stop counting one that is", function()
    local w = server { max_pending_per_address = 1 }
    w:connected_server()
    assert.truthy(comes_in(w, "127.0.0.1:7"))
    assert.is_nil(comes_in(w, "127.0.0.1:8"))
  end)

  it("take 64 bits of an IPv6 address for one: the rest is its owner's choice", function()
    local w = server { max_sockets_per_address = 1 }
    assert.truthy(comes_in(w, "[2001:db8:1:2::1]:1"))
    assert.is_nil(comes_in(w, "[2001:db8:1:2:ffff:1:2:3]:1"))
    assert.truthy(comes_in(w, "[2001:db8:1:3::1]:1"))
  end)

  it("take an IPv4 address that comes as IPv6 for what it is", function()
    local w = server { max_sockets_per_address = 1 }
    assert.truthy(comes_in(w, "[::ffff:10.0.0.1]:1"))
    assert.is_nil(comes_in(w, "10.0.0.1:1"))
    assert.truthy(comes_in(w, "[::ffff:10.0.0.2]:1"))
  end)

  it("do not count unix sockets, which have none", function()
    local w = server { max_sockets_per_address = 1 }
    for _ = 1, 3 do assert.truthy(comes_in(w, "unix")) end
  end)

  it("forget an address of which nothing is left, however many there were", function()
    local w = server { max_sockets_per_address = 1 }
    local links = {}
    for i = 0, 499 do links[#links + 1] = comes_in(w, ("10.0.%d.%d:1"):format(math.floor(i / 250), i % 250)) end
    assert.equal(500, #links)
    for i = 0, 499 do
      assert.is_nil(comes_in(w, ("10.0.%d.%d:2"):format(math.floor(i / 250), i % 250)), i)
    end
    for _, link in ipairs(links) do link:lost() end
    for i = 0, 499 do
      assert.truthy(comes_in(w, ("10.0.%d.%d:3"):format(math.floor(i / 250), i % 250)), i)
    end
  end)

  it("hold no memory for an address of which nothing is left", function()
    local w = server { max_sockets_per_address = 1 }
    local _, _, bytes = core.allocations(function()
      for i = 1, 200 do core.accept(w.server, ("10.0.2.%d:1"):format(i)):lost() end
      w:turn()
      collectgarbage()
      collectgarbage()
    end)
    assert.equal(0, bytes)
  end)

  it("let nobody in uncounted when there is no memory for the count", function()
    local w = server { max_sockets_per_address = 1 }
    local kept = {}
    for n = 1, 12 do
      local address = ("10.0.1.%d:"):format(n)
      core.allocations(function() pcall(function() kept[n] = core.accept(w.server, address .. 1) end) end, n)
      if kept[n] and kept[n]:output() == "" then assert.is_nil(comes_in(w, address .. 2), n) end
    end
    assert.is_true(w.server:stats().refused_memory > 0)
  end)
end)

describe("max_bytes", function()
  local function nodes(options, n)
    local w = server(options)
    local peers, list = {}, {}
    for i = 1, n do
      peers[i] = w:connected_server(("%016d"):format(i))
      list[i] = w:last("server", "connect").node
    end
    w.log = {}
    return w, peers, list
  end

  it("bounds what all sessions hold together: a send above it finds no room, whoever has the rest", function()
    local w, peers, list = nodes({ max_bytes = 20000 }, 2)
    while list[1]:send(("x"):rep(1000)) do end
    assert.is_true(w.server:stats().bytes > 15000)
    assert.is_true(w.server:stats().bytes <= 30000) -- a block grows by half
    assert.equal("FULL", select(3, list[2]:send(("y"):rep(6000))))
    w:turn()
    assert.equal(0, w:count("server", "drain"))
    -- The first one's messages leave: both are told, once.
    while peers[1].link:output() ~= "" do end
    w:turn()
    assert.equal(2, w:count("server", "drain"))
    assert.is_true(list[2]:send(("y"):rep(6000)))
  end)

  it("tells whoever found no room also when it is the room of sessions that end", function()
    local w, _, list = nodes({ max_bytes = 20000 }, 2)
    list[1]:drop()
    while list[1]:send(("x"):rep(1000)) do end
    assert.equal("FULL", select(3, list[2]:send(("y"):rep(6000))))
    w.log = {}
    list[1]:disconnect()
    w:turn()
    assert.equal(1, w:count("server", "drain"))
    assert.equal(list[2], w:last("server", "drain").node)
  end)

  it("lets no further socket in: 503", function()
    local w, _, list = nodes({ max_bytes = 20000 }, 1)
    list[1]:drop()
    while list[1]:send(("x"):rep(1000)) do end
    assert.is_true(w.server:stats().bytes > 20000)
    assert.is_nil(comes_in(w, "10.0.0.1:1"))
    assert.equal(1, w.server:stats().refused_bytes)
  end)

  it("closes with 1013 the socket that brings more of a message than there is room for", function()
    local w, peers = nodes({ max_bytes = 20000 }, 2)
    local function part(size)
      return frames.encode(frames.BINARY, ("x"):rep(100000), { mask = true }):sub(1, size)
    end
    peers[1].link:feed(part(12000))
    w:turn()
    assert.equal(0, w.server:stats().shed)
    peers[2].link:feed(part(12000))
    w:turn()
    assert.equal(1, w.server:stats().shed)
    assert.equal(1013, peers[2]:closed_with())
    assert.is_nil((peers[1].link:ending()))
    assert.equal("RECONNECTING", w:last("server", "status")[1])
    peers[2]:lose()
    peers[2].link = nil
    collectgarbage() -- a driver lets go of a link at once
    collectgarbage()
    peers[1].link:feed(part(12100):sub(12001)) -- which has room again
    w:turn()
    assert.equal(1, w.server:stats().shed)
  end)

  it("is of no concern to what is whole and small", function()
    local w, peers, list = nodes({ max_bytes = 20000 }, 2)
    list[1]:drop()
    while list[1]:send(("x"):rep(1000)) do end
    peers[2]:give "still heard"
    assert.equal("still heard", w:last("server", "message")[1])
    assert.equal(0, w.server:stats().shed)
  end)

  it("counts nothing any more once everything is gone, however it went", function()
    for seed = 1, 10 do
      local world, s = sim.new { seed = seed, faults = { cut = 5, reset = 3, delay = 3 } }, nil
      world:run(40, function()
        s = assert(dop.listen { url = "ws://server:80/", max_bytes = 30000, queue_messages = 100 })
        s:on("message", function(node, message)
          node:send(message)
          if #message % 7 == 0 then
            node:pause()
            dop.timer(0.3, function() node:resume() end)
          end
        end)
        for i = 1, 5 do
          local client = assert(dop.connect { url = "ws://server:80/", lossless = i % 2 == 0 })
          local function talk(n)
            if client.closed then return end
            client:send(("x"):rep(n * 37 % 3000))
            dop.timer(0.02, function() talk(n + 1) end)
          end
          talk(i)
        end
      end)
      assert.is_true(s:stats().delivered > 50)
      assert.is_true(s:stats().bytes > 0)
      world:run(20, function() s:close() end)
      assert.same({}, world:errors())
      assert.equal(0, s:stats().sockets)
      assert.equal(0, s:stats().bytes)
    end
  end)
end)

describe("stats()", function()
  it("has a count for each cause of a refusal", function()
    local w = server { max_pending = 3, handshake_timeout = 1 }
    core.configure(w.server, function(request) return request.path == "/dop" end, false)
    w:to_server(true).link:feed "nonsense\r\n\r\n"
    w:to_server(true).link:feed(wire.REQUEST .. "Origin: http://elsewhere.example\r\n\r\n")
    w:to_server(true).link:feed((wire.REQUEST:gsub("/dop", "/no")) .. "\r\n")
    w:turn()
    for _ = 1, 4 do w:to_server(true) end
    w:wait(1.1)
    local stats = w.server:stats()
    local causes = {}
    for name, value in pairs(stats) do causes[name:match "^refused_(%w+)$" or ""] = value end
    causes[""], causes.resumes = nil, nil
    assert.same({ request = 1, origin = 1, authorize = 1, timeout = 3, pending = 1, full = 0, address = 0, closing = 0,
      bytes = 0, memory = 0, tls = 0 }, causes)
    assert.equal(7, stats.refused)
  end)

  it("never takes a lack of memory for the application's word", function()
    local without = 0
    for n = 1, 20 do
      local w = server()
      core.configure(w.server, function() return "alice" end, false)
      local link = w:to_server(true).link
      core.allocations(function() pcall(link.feed, link, wire.REQUEST .. "\r\n") end, n)
      w:turn()
      assert.equal(0, w.server:stats().refused_authorize, n)
      without = without + w.server:stats().refused_memory
    end
    assert.is_true(without > 0)
  end)
end)

describe("a flood of sockets that are refused", function()
  it("reaches a client as what it is: 503, told to its policy, and the others go on", function()
    local s, c = real.pair { max_sockets = 1 }
    local told
    real.connect(s, { retry = function(_, why)
      told = why
      return nil
    end })
    real.wait("the refusal", function() return told end)
    assert.truthy(told:find "503")
    local echoed
    c:on("message", function(_, message) echoed = message end)
    assert(c:send "still here")
    real.wait("the echo", function() return echoed == "still here" end)
  end)
end)
