--- What a node, a token and a transport tell about themselves, and what becomes of them.

local core = require "dop.core"
local dop = require "dop"
local real = require "spec.support.real"
local wire = require "spec.support.wire"

describe("a token", function()
  it("shows itself only to whoever asks for it", function()
    local w = wire.new()
    local _, secret = w:connected_server()
    local node = w.server:nodes()[1]
    assert.equal(secret, node.token:reveal())
    assert.equal(#secret, #node.token)
    for _, shown in ipairs { tostring(node.token), tostring(node), tostring(w.server), tostring(node.token_local) } do
      assert.is_nil(shown:find(secret:sub(1, 8), 1, true))
      assert.is_nil(shown:find(secret:sub(-8), 1, true))
    end
    assert.is_true(node.token == node.token)
    assert.is_false(node.token == w.client.node.token_local)
  end)

  it("is in no event, no reason and no error", function()
    local w = wire.new()
    local p, secret = w:connected_server()
    local node = w.server:nodes()[1]
    local _, reserved = node:send(secret)
    p:give("short") -- data
    p:lose()
    local q = w:to_server()
    q:take()
    q:give(secret)
    q:give(secret)
    for _, entry in ipairs(w.log) do
      for _, value in ipairs(entry) do assert.is_nil(tostring(value):find(secret, 1, true)) end
    end
    assert.is_nil(reserved:find(secret, 1, true))
  end)
end)

describe("a node", function()
  after_each(real.close)

  it("tells what it is", function()
    local server, client, node = real.pair()
    assert.equal("CONNECTED", node.status)
    assert.equal(2, dop.STATUS[node.status])
    assert.equal("CONNECTED", dop.STATUS[2])
    assert.equal(server, node.transport)
    assert.equal(client, client.node.transport)
    assert.is_true(node.token == client.node.token)
    assert.is_nil(node.token_local)
    assert.is_nil(node.token_remote)
    assert.equal(1, node.socket)
    assert.is_true(node.attached)
    assert.equal(0, node.queued)
    assert.truthy(node.peer:find("^127%.0%.0%.1:%d+$"))
    assert.is_nil(node.nothing)
  end)

  it("counts its sockets", function()
    local _, client, node = real.pair()
    node:drop()
    assert.is_false(node.attached)
    assert.is_nil(node.peer)
    assert.equal("NOSOCKET", select(3, node:drop()))
    real.wait("the reconnection", function() return client.node.status == "CONNECTED" and node.attached end)
    assert.equal(2, node.socket)
  end)

  it("carries the application's data, and nothing else can be set", function()
    local _, _, node = real.pair()
    assert.is_nil(node.data)
    node.data = { user = 1 }
    collectgarbage()
    assert.equal(1, node.data.user)
    node.data = nil
    assert.is_nil(node.data)
    assert.is_false((pcall(function() node.status = "OPEN" end)))
  end)

  it("keeps the request when it is asked for by `connect`, and gives it up otherwise", function()
    local seen, server = {}, real.listen()
    server:on("connect", function(node)
      if #seen == 0 then seen[1] = node.request end
    end)
    local one = real.connect(server)
    real.wait("the first", function() return one.node.status == "CONNECTED" and #seen == 1 end)
    local two = real.connect(server)
    real.wait("the second", function() return server:stats().connects == 2 end)
    local kept = 0
    for _, node in ipairs(server:nodes()) do
      if node.request then
        kept = kept + 1
        assert.equal("/dop", node.request.path)
      end
    end
    assert.equal(1, kept)
    assert.equal("websocket", seen[1].headers.upgrade)
    assert.is_nil(two.node.request)
  end)

  it("can be asked when it is DISCONNECTED, and used without harm", function()
    local _, client, node = real.pair()
    node:disconnect()
    real.wait("the end", function() return client.node.status == "DISCONNECTED" end)
    for _, n in ipairs { node, client.node } do
      assert.equal("DISCONNECTED", n.status)
      assert.truthy(n.token:reveal())
      assert.is_false(n.attached)
      for _, result in ipairs { { n:send("x") }, { n:disconnect() } } do assert.equal("CLOSED", result[3]) end
      n:pause()
      n:resume()
    end
  end)

  it("refuses misuse by an error", function()
    local _, _, node = real.pair()
    for _, call in ipairs {
      function() node.send("x") end, function() node:send() end, function() node:send(1) end,
      function() node:send("x", "json") end, function() node:drop("reset") end,
      function() node:drop { rset = true } end, function() node:drop { reset = 1 } end,
      function() node.send({}, "x") end,
      function() node:on("message") end, function() node:on("nothing", print) end,
      function() getmetatable(node).__gc(node) end,
    } do assert.is_false((pcall(call))) end
    assert.equal("CONNECTED", node.status)
  end)
end)

describe("a transport", function()
  after_each(real.close)

  it("lists its nodes and counts what happened", function()
    local server, client, node = real.pair()
    assert.same({ node }, server:nodes())
    assert.same({ client.node }, client:nodes())
    client.node:drop()
    real.wait("the reconnection", function() return server:stats().reconnects == 1 and client.node.attached end)
    local stats = server:stats()
    assert.equal(1, stats.nodes)
    assert.equal(1, stats.connects)
    assert.equal(2, stats.sockets_opened)
    assert.equal(0, stats.detached)
    assert.equal(0, stats.pending)
    assert.equal(0, stats.lost_events)
    assert.equal("server", server.role)
    assert.equal("client", client.role)
    assert.is_false(server.closed)
  end)

  it("can be closed twice, and sends for a client only", function()
    local server, client = real.pair()
    assert.is_false((pcall(server.send, server, "x")))
    for _ = 1, 2 do
      client:close()
      server:close()
    end
    assert.is_true(server.closed)
    assert.is_true(client.closed)
  end)
end)

describe("garbage", function()
  it("is what a transport and its nodes become after the end", function()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local server, client, node = real.pair()
      weak[server], weak[client], weak[node], weak[client.node] = 1, 1, 1, 1
      node.data = { server, client }
      server:on("close", function() return server end)
      real.close()
    end
    for _ = 1, 3 do collectgarbage() end
    assert.is_nil(next(weak))
  end)

  it("does not grow: 2,000 sessions leave nothing behind", function()
    local w = wire.new()
    w.engine:collect_always(false)
    local function round(n)
      for _ = 1, n do
        local p, token = w:connected_server()
        w.log = {}
        p:give("data")
        p:give(token)
        p:closed_with()
        p.link:lost()
        w:turn()
      end
      w.log = {}
      for _ = 1, 3 do collectgarbage() end
      local registry = 0
      for _ in pairs(debug.getregistry()) do registry = registry + 1 end
      return collectgarbage("count"), registry
    end
    -- The first time Lua's own tables may double; a leak grows each time, and one of a userdata a
    -- session by more than 100 KiB.
    round(2000)
    local kilobytes, registry = round(2000)
    local more_kilobytes, more_registry = round(2000)
    assert.truthy(more_kilobytes < kilobytes + 50, ("%.0f, then %.0f KiB"):format(kilobytes, more_kilobytes))
    assert.truthy(more_registry <= registry + 4)
    assert.same({}, w.server:nodes())
    assert.equal(0, w.server:stats().sockets)
  end)

  it("is collected after every handler in these specs, so that what is used is anchored", function()
    local w = wire.new()
    local collected = 0
    w.server:on("connect", function()
      setmetatable({}, { __gc = function() collected = collected + 1 end })
      if newproxy then -- Lua 5.1 finalizes userdata only
        getmetatable(newproxy(true)).__gc = function() collected = collected + 1 end
      end
    end)
    w:connected_server()
    w:turn()
    assert.truthy(collected > 0)
  end)

  it("includes transports that were never used, and engines", function()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local engine = core.engine()
      local t = core.transport(engine, "client", {})
      weak[engine], weak[t] = 1, 1
      t:end_sessions()
      engine:turn()
    end
    for _ = 1, 3 do collectgarbage() end
    assert.is_nil(next(weak))
  end)
end)
