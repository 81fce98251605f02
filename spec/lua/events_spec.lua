--- What happens to a session is told by events: on the transport, with the node first, and on the node
-- itself. Which there are, with what arguments, in which order; on, once and off.

local dop = require "dop"
local real = require "spec.support.real"

local EVENTS = {
  "open", "message", "close", "error", "connect", "reconnecting", "reconnect", "disconnect", "status", "drain",
}

-- The events of a log as one line: "open status connect".
local function names(log)
  local list = {}
  for i, entry in ipairs(log) do list[i] = entry.event end
  return table.concat(list, " ")
end

-- A client that waits for its server: handlers can be added before anything happens.
local function client_of(server, options)
  local client = real.connect(server, options)
  return client, real.record(client, EVENTS)
end

local function connected(client)
  real.wait("CONNECTED", function() return client.node.status == "CONNECTED" end)
end

for _, url in ipairs { "ws://127.0.0.1:0/dop", "local:events" } do
  describe("events over " .. url, function()
    local server, server_log

    before_each(function()
      server = real.listen { url = url }
      server_log = real.record(server, EVENTS)
    end)

    after_each(real.close)

    it("tell how a session begins: open, status, connect, at both ends", function()
      local client, log = client_of(server)
      real.wait("connect", function() return log:count "connect" > 0 and server_log:count "connect" > 0 end)
      assert.equal("open status status connect", names(log))
      assert.equal("open status status connect", names(server_log))
      for _, l in ipairs { log, server_log } do
        assert.equal("PRECONNECTED", l[2][1])
        assert.equal("OPEN", l[2][2])
        assert.equal("CONNECTED", l[3][1])
        assert.equal("PRECONNECTED", l[3][2])
        assert.is_nil(l[3][3])
        for _, entry in ipairs(l) do assert.equal(l[1].node, entry.node) end
      end
      assert.equal(client.node, log[1].node)
      assert.equal(server:nodes()[1], server_log[1].node)
      for _, event in ipairs { "open", "connect" } do assert.is_nil(log:last(event)[1]) end
    end)

    it("give a message with its kind, after connect", function()
      local client = client_of(server)
      client:send("before there is a connection")
      client:send("\0\255", "binary")
      real.wait("the messages", function() return server_log:count "message" == 2 end)
      assert.equal("open status status connect message message", names(server_log))
      assert.equal("before there is a connection", server_log[5][1])
      assert.equal("text", server_log[5][2])
      assert.equal("\0\255", server_log[6][1])
      assert.equal("binary", server_log[6][2])
      assert.is_nil(server_log[6][3])
      assert.equal(server:nodes()[1], server_log[6].node)
    end)

    it("tell of a lost socket and its return: close, status, reconnecting, open, status, reconnect", function()
      local client, log = client_of(server)
      connected(client)
      real.wait("the server", function() return server_log:count "connect" > 0 end)
      local node, token = client.node, client.node.token
      for i = #log, 1, -1 do log[i] = nil end
      for i = #server_log, 1, -1 do server_log[i] = nil end
      assert(node:drop())
      real.wait("reconnect", function() return log:count "reconnect" > 0 and server_log:count "reconnect" > 0 end)
      assert.equal("close status reconnecting open status status reconnect", names(log))
      assert.equal("dropped by this end", log:last("close")[2])
      assert.is_nil(log:last("close")[1])
      assert.same({ "RECONNECTING", "CONNECTED", "dropped by this end" }, { log[2][1], log[2][2], log[2][3] })
      assert.equal("dropped by this end", log:last("reconnecting")[1])
      assert.same({ "PRECONNECTED", "RECONNECTING" }, { log[5][1], log[5][2] })
      assert.same({ "CONNECTED", "PRECONNECTED" }, { log[6][1], log[6][2] })
      local how = log:last("reconnect")[1]
      assert.is_number(how.away)
      assert.is_true(how.away >= 0.005 and how.away < 5)
      assert.equal(0, how.replayed)
      for _, entry in ipairs(log) do assert.equal(node, entry.node) end
      assert.equal(token, client.node.token)
      -- The server opened a second node for the socket, of which nothing was told but that.
      assert.equal("close status reconnecting open status reconnect", names(server_log))
      assert.equal(1006, server_log:last("close")[1])
      assert.is_string(server_log:last("close")[2])
      assert.equal(server_log:last("close")[2], server_log:last("reconnecting")[1])
      assert.equal(server_log[1].node, server_log:last("reconnect").node)
    end)

    it("tell of the end: close, status, disconnect, with the reason of each end", function()
      local client, log = client_of(server)
      connected(client)
      real.wait("the server", function() return server_log:count "connect" > 0 end)
      for i = #log, 1, -1 do log[i] = nil end
      for i = #server_log, 1, -1 do server_log[i] = nil end
      assert(client.node:disconnect())
      real.wait("disconnect", function() return log:count "disconnect" > 0 and server_log:count "disconnect" > 0 end)
      assert.equal("close status disconnect", names(log))
      assert.equal("close status disconnect", names(server_log))
      assert.same({ "DISCONNECTED", "CONNECTED", "local" }, { log[2][1], log[2][2], log[2][3] })
      assert.same({ "DISCONNECTED", "CONNECTED", "peer" }, { server_log[2][1], server_log[2][2], server_log[2][3] })
      assert.equal("local", log[3][1])
      assert.equal("peer", server_log[3][1])
      assert.same({}, log[3][2])
      assert.same({}, server_log[3][2])
      assert.equal(1000, log[1][1])
    end)

    it("hand back with disconnect what never left", function()
      local gate = false
      server:close()
      local other = real.listen { url = url, authorize = function() return gate, 503 end }
      local client, log = client_of(other)
      client:send("one")
      client:send("\0", "binary")
      client:close()
      real.wait("disconnect", function() return log:count "disconnect" == 1 end)
      assert.equal("closed", log:last("disconnect")[1])
      assert.same({
        { message = "one", kind = "text", fate = "unsent" },
        { message = "\0", kind = "binary", fate = "unsent" },
      }, log:last("disconnect")[2])
    end)

    it("tell with drain that there is room again after a send found none", function()
      local client, log = client_of(server, { queue_messages = 4 })
      for i = 1, 4 do assert.is_true(client:send("message " .. i)) end
      assert.equal(0, log:count "drain")
      assert.equal("FULL", select(3, client:send("too much")))
      real.wait("drain", function() return log:count "drain" > 0 end)
      assert.equal(client.node, log:last("drain").node)
      assert.is_nil(log:last("drain")[1])
      real.wait("all messages", function() return server_log:count "message" == 4 end)
      assert.equal(1, log:count "drain")
      assert.is_true(client:send("room"))
    end)

    it("tell with error what a handler raised, and go on with the next handler", function()
      local reached
      server:on("message", function() error("spoiled") end)
      server:on("message", function() reached = true end)
      local client = client_of(server)
      client:send("x")
      real.wait("the error", function() return server_log:count "error" == 1 end)
      assert.truthy(server_log:last("error")[1]:find("spoiled", 1, true))
      assert.truthy(server_log:last("error")[1]:find("traceback", 1, true))
      assert.equal(server:nodes()[1], server_log:last("error").node)
      assert.is_true(reached)
      assert.equal("CONNECTED", server_log:last("error").node.status)
    end)

    it("reach a node's own handlers after the transport's, with the same arguments", function()
      local order = {}
      local function note(who) return function(...) order[#order + 1] = { who, select("#", ...), ... } end end
      server:on("message", note "transport")
      server:on("connect", function(node)
        for _, event in ipairs(EVENTS) do
          node:on(event, function() order[event] = (order[event] or 0) + 1 end)
        end
        node:on("message", note "node")
        node:on("message", function() error("on purpose") end)
      end)
      local client = client_of(server)
      client:send("hello")
      real.wait("both", function() return #order == 2 end)
      local node = server:nodes()[1]
      assert.same({ "transport", 3, node, "hello", "text" }, order[1])
      assert.same({ "node", 3, node, "hello", "text" }, order[2])
      client.node:drop()
      real.wait("reconnect", function() return order.reconnect end)
      client.node:disconnect()
      real.wait("disconnect", function() return order.disconnect end)
      assert.same({ 1, 2, 1, 1, 1, 1 }, {
        order.message, order.close, order.reconnecting, order.reconnect, order.disconnect, order.error,
      })
      assert.equal(3, order.status)
    end)

    it("of one node do not reach the handlers of another", function()
      local heard = 0
      local one, two = client_of(server), client_of(server)
      connected(one)
      connected(two)
      one.node:on("message", function() heard = heard + 1 end)
      real.wait("both sessions", function() return server:stats().connects == 2 end)
      local got = 0
      two:on("message", function() got = got + 1 end)
      for _, node in ipairs(server:nodes()) do
        node:send("to all")
      end
      real.wait("both messages", function() return got == 1 and heard == 1 end)
    end)

    it("begin anew when the session cannot be resumed: disconnect \"unknown\" of the old node, then connect", function()
      local client, log = client_of(server)
      connected(client)
      real.wait("the server", function() return server_log:count "connect" > 0 end)
      local old = client.node
      local where = server.url
      for i = #log, 1, -1 do log[i] = nil end
      server:close()
      local again
      real.wait("the address to be free", function()
        again = again or dop.listen { url = where }
        return again
      end)
      finally(function() again:close() end)
      real.wait("a new session", function() return log:count "connect" > 0 end)
      assert.not_equal(old, client.node)
      assert.equal("CONNECTED", client.node.status)
      assert.equal("DISCONNECTED", old.status)
      local line = names(log)
      assert.truthy(line:find("close status reconnecting ", 1, true))
      assert.truthy(line:find(" open status status disconnect status connect", 1, true), line)
      assert.equal(old, log:last("disconnect").node)
      assert.equal("unknown", log:last("disconnect")[1])
      assert.equal(client.node, log:last("connect").node)
    end)
  end)
end

describe("on, once and off", function()
  local server, client

  before_each(function()
    server, client = real.pair()
  end)

  after_each(real.close)

  local function echo(message)
    local got
    local fn = client:on("message", function() got = true end)
    client:send(message or "x")
    real.wait("the echo", function() return got end)
    client:off("message", fn)
  end

  it("keep the order in which handlers were added, and on returns its function", function()
    local order = {}
    for i = 1, 5 do
      local fn = function() order[#order + 1] = i end
      assert.equal(fn, client:on("message", fn))
    end
    echo()
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  it("call a function as often as it was added, and off takes all of it away and says how many", function()
    local n = 0
    local function fn() n = n + 1 end
    client:on("message", fn)
    client:on("message", fn)
    echo()
    assert.equal(2, n)
    assert.equal(2, client:off("message", fn))
    assert.equal(0, client:off("message", fn))
    echo()
    assert.equal(2, n)
  end)

  it("off without a function takes every handler of that event, of no other", function()
    local messages, statuses = 0, 0
    client:on("message", function() messages = messages + 1 end)
    client:once("message", function() messages = messages + 1 end)
    client:on("status", function() statuses = statuses + 1 end)
    assert.equal(2, client:off("message"))
    echo()
    client.node:drop()
    real.wait("a status", function() return statuses > 0 end)
    assert.equal(0, messages)
  end)

  it("once calls once, passes the arguments, returns its function and can be taken off by it", function()
    local calls = {}
    local function fn(...) calls[#calls + 1] = { ... } end
    assert.equal(fn, client:once("message", fn))
    echo("first")
    echo("second")
    assert.same({ { client.node, "first", "text" } }, calls)
    client:once("message", fn)
    assert.equal(1, client:off("message", fn))
    echo("third")
    assert.equal(1, #calls)
  end)

  it("once that raises is taken off all the same", function()
    local n, errors = 0, 0
    client:on("error", function() errors = errors + 1 end)
    client:once("message", function()
      n = n + 1
      error("once")
    end)
    echo()
    echo()
    assert.same({ 1, 1 }, { n, errors })
  end)

  it("a handler that is added inside a handler is called from the next event on", function()
    local late, added = 0, false
    client:on("message", function()
      if added then return end
      added = true
      client:on("message", function() late = late + 1 end)
    end)
    echo()
    assert.equal(0, late)
    echo()
    assert.equal(1, late)
  end)

  it("a handler that is taken off inside a handler is still called for this event, and never again", function()
    local first, second = 0, 0
    local function victim() second = second + 1 end
    client:on("message", function()
      first = first + 1
      client:off("message", victim)
    end)
    client:on("message", victim)
    echo()
    echo()
    assert.same({ 2, 1 }, { first, second })
  end)

  it("a handler may take off itself, or everything", function()
    local n = 0
    local function fn()
      n = n + 1
      client:off("message", fn)
    end
    client:on("message", fn)
    echo()
    echo()
    assert.equal(1, n)
    local removed
    server:on("message", function() removed = server:off("message") end)
    client:send("last")
    real.wait("the end of all handlers", function() return removed end)
    assert.equal(2, removed)
    assert.equal(0, server:off("message"))
  end)

  it("raise for an event that does not exist, naming it, and for what is no function", function()
    for _, object in ipairs { server, client, client.node } do
      assert.error_matches(function() object:on("massage", function() end) end, 'no such event: "massage"')
      assert.error_matches(function() object:once("", function() end) end, 'no such event: ""')
      assert.error_matches(function() object:off("massage") end, "massage")
      assert.error_matches(function() object:on(nil, function() end) end, "no such event")
      assert.error_matches(function() object:on(1, function() end) end, "no such event")
      assert.error_matches(function() object:on("message") end, "function expected, got nil")
      assert.error_matches(function() object:on("message", "print") end, "function expected, got string")
      assert.error_matches(function() object:once("message", {}) end, "function expected, got table")
    end
    assert.error_matches(function() client:on("down", function() end) end, "no such event")
    assert.error_matches(function() client:on("request", function() end) end, "no such event")
  end)

  it("a node of a transport that is over takes handlers all the same", function()
    local node = client.node
    client:close()
    real.wait("the end", function() return node.status == "DISCONNECTED" end)
    local function fn() end
    node:on("message", fn)
    assert.equal(1, node:off("message", fn))
  end)
end)

describe("the option on", function()
  after_each(real.close)

  it("adds handlers before anything can happen, at servers and clients", function()
    local seen = {}
    local function note(name) return function() seen[#seen + 1] = name end end
    local server = real.listen { on = { open = note "server open", connect = note "server connect" } }
    local client = real.connect(server, { on = { open = note "client open", connect = note "client connect" } })
    real.wait("all four", function() return #seen == 4 end)
    table.sort(seen)
    assert.same({ "client connect", "client open", "server connect", "server open" }, seen)
    assert.equal(1, client:off("open"))
  end)

  it("raises for unknown events and for what is no function, and leaves nothing behind", function()
    local before = real.registry_count()
    for _, make in ipairs { dop.listen, dop.connect } do
      assert.error_matches(function()
        make { url = "local:on", on = { massage = function() end } }
      end, 'no such event: "massage"')
      assert.error_matches(function() make { url = "local:on", on = { message = 1 } } end, "function expected")
      assert.error_matches(function() make { url = "local:on", on = true } end, '"on"')
      assert.error_matches(function() make { url = "local:on", on = { print } } end, "no such event")
    end
    assert.equal(before, real.registry_count())
  end)
end)
