--- Hosts that are names: which of its addresses is dialled and listened on, and what happens while it
-- resolves. The scripts see a resolver of the spec's (spec/support/preload.lua).

local preload = require "spec.support.preload"
local real = require "spec.support.real"

after_each(real.close)

describe("a host that is a name", function()
  it("is listened on and dialled, whatever addresses it has here", function()
    local server = real.listen { url = "ws://localhost:0/" }
    assert.truthy(server.url:match("^ws://localhost:[1-9]%d*/$"), server.url)
    local client = real.connect(server)
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
  end)

  it("is dialled at the next address when the first refuses", function()
    -- Nobody listens at 127.0.0.2, and there may be no IPv6 at all.
    local printed = preload.names("several.test", "127.0.0.2,::1,127.0.0.1", 0, [[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      local attempts = 0
      local client = assert(dop.connect {
        url = "ws://several.test:" .. server.url:match(":(%d+)/"),
        retry = function(_, why) attempts = attempts + 1 print(why) return nil end,
      })
      client:on("connect", function() print("connected", attempts) client:close() end)
      client:on("disconnect", function() server:close() end)
      print(dop.run())
    ]])
    assert.equal("connected\t0\ntrue\n", printed)
  end)

  it("tells the policy of the last address when all refuse", function()
    local printed = preload.names("several.test", "127.0.0.2,127.0.0.1", 0, [[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      local url = server.url:gsub("127.0.0.1", "several.test")
      server:close()
      assert(dop.connect { url = url, retry = function(_, why) print(why) return nil end })
      print(dop.run())
    ]])
    assert.equal("connection refused\ntrue\n", printed)
  end)

  it("is listened on at the next address when the first is not of this machine", function()
    local printed = preload.names("several.test", "192.0.2.1,127.0.0.1", 0, [[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://several.test:0/" })
      local client = assert(dop.connect { url = "ws://127.0.0.1:" .. server.url:match(":(%d+)/") })
      client:on("connect", function() print("connected") client:close() server:close() end)
      print(dop.run())
    ]])
    assert.equal("connected\ntrue\n", printed)
  end)

  it("is not listened on when no address can be bound: the last one's error is told", function()
    local printed = preload.names("several.test", "192.0.2.1,203.0.113.1", 0, [[
      local dop = require "dop"
      print(select(3, dop.listen { url = "ws://several.test:0/" }))
      print(dop.run())
    ]])
    assert.equal("EADDRNOTAVAIL\ntrue\n", printed)
  end)

  it("is not listened on at the next address when the port is in use at the first", function()
    local printed = preload.names("several.test", "127.0.0.1,127.0.0.2", 0, [[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      print(select(3, dop.listen { url = "ws://several.test:" .. server.url:match(":(%d+)/") }))
      server:close()
      print(dop.run())
    ]])
    assert.equal("EADDRINUSE\ntrue\n", printed)
  end)

  it("keeps the loop from nothing while it resolves", function()
    local printed = preload.names("slow.test", "127.0.0.1", 300, [[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      local ticks = 0
      local ticking
      local function tick()
        ticks = ticks + 1
        ticking = dop.timer(0.01, tick)
      end
      tick()
      local client = assert(dop.connect { url = "ws://slow.test:" .. server.url:match(":(%d+)/") })
      client:on("connect", function()
        print("connected", ticks > 5)
        ticking:stop()
        client:close()
        server:close()
      end)
      print(dop.run())
    ]])
    assert.equal("connected\ttrue\ntrue\n", printed)
  end)

  it("is forgotten by a client that closes while it resolves: nobody is dialled, nothing is left", function()
    local printed = preload.names("slow.test", "127.0.0.1", 300, [[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      local client = assert(dop.connect { url = "ws://slow.test:" .. server.url:match(":(%d+)/") })
      client:on("disconnect", function(_, reason) print(reason) end)
      dop.timer(0.05, function() client:close() end)
      -- Long after the resolver has answered: whoever dials has come by then.
      dop.timer(0.6, function()
        print(server:stats().sockets_opened, client:stats().sockets)
        server:close()
      end)
      print(dop.run())
    ]])
    assert.equal("closed\n0\t0\ntrue\n", printed)
  end)
end)
