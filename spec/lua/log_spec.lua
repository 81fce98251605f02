--- dop.log: one hook for what an operator wants to read. Silent by default; no secret is ever in it.

local core = require "dop.core"
local dop = require "dop"
local frames = require "spec.support.frames"
local real = require "spec.support.real"
local sim = require "dop.sim"

local entries

local function collect()
  entries = {}
  dop.log(function(level, event, fields)
    entries[#entries + 1] = { level = level, event = event, fields = fields }
  end)
end

after_each(function()
  real.close()
  dop.log(nil)
end)

local function last(event)
  for i = #entries, 1, -1 do if entries[i].event == event then return entries[i] end end
end

local function count(event)
  local n = 0
  for _, entry in ipairs(entries) do if entry.event == event then n = n + 1 end end
  return n
end

describe("the log", function()
  it("tells the life of a session at both ends", function()
    collect()
    local server, client = real.pair()
    client.node:drop()
    real.wait("the way back", function()
      return server:stats().reconnects == 1 and client.node.status == "CONNECTED"
    end)
    client:close()
    real.wait("the end", function() return server:stats().disconnects == 1 end)
    server:close()
    real.wait("all of it", function() return count "disconnect" == 2 end)
    for event, level in pairs {
      listen = "info", accept = "debug", dial = "debug", open = "debug", status = "debug", connect = "info",
      close = "debug", reconnecting = "info", retry = "info", reconnect = "info", disconnect = "info", closed = "info",
    } do
      assert.equal(level, (last(event) or {}).level, event)
    end
    assert.same({ role = "server", url = server.url, nodes = 0 }, last "closed".fields)
    local connect = {}
    for _, entry in ipairs(entries) do
      if entry.event == "connect" then connect[entry.fields.role] = entry.fields end
    end
    assert.equal(1, connect.server.lossless)
    assert.truthy(connect.server.address:find "^127.0.0.1:%d+$")
    assert.equal("number", type(connect.server.node))
    assert.is_true(connect.client.node ~= connect.server.node)
    assert.equal(client.url, connect.client.url)
    local reasons = {}
    for _, entry in ipairs(entries) do
      if entry.event == "disconnect" then reasons[entry.fields.role] = entry.fields.why end
    end
    assert.same({ client = "closed", server = "peer" }, reasons)
  end)

  it("tells fields that are flat: strings and numbers", function()
    collect()
    local _, client = real.pair()
    client.node:drop()
    real.wait("the way back", function() return last "reconnect" end)
    for _, entry in ipairs(entries) do
      for name, value in pairs(entry.fields) do
        assert.equal("string", type(name))
        assert.is_true(type(value) == "string" or type(value) == "number", entry.event .. "." .. name)
      end
    end
  end)

  it("says who was refused, why, and by which cause", function()
    collect()
    local server = real.listen { authorize = function() return nil, 401, "the password is wrong\n" end }
    local client = real.connect(server, { retry = function() end })
    real.wait("the refusal", function() return last "gaveup" end)
    local fields = last "refuse".fields
    assert.equal(401, fields.status)
    assert.equal("authorize", fields.cause)
    assert.truthy(fields.address:find "^127.0.0.1:")
    assert.is_nil(fields.why) -- the application's own words stay where it said them
    assert.equal("info", last "refuse".level)
    assert.is_true(client.closed)
    assert.equal("warn", last "gaveup".level)
  end)

  it("calls a violation of the peer's by its name", function()
    collect()
    local server = real.listen()
    local p = real.raw_client(server, "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" ..
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    real.wait("the upgrade", function() return p.received:find "101" end)
    p:send(frames.encode(frames.TEXT, "too short", { mask = false }))
    real.wait("the violation", function() return last "violation" end)
    assert.equal("warn", last "violation".level)
    assert.equal(1002, last "violation".fields.code)
  end)

  it("tells a flood of refusals once a second and cause, and how many there were", function()
    collect()
    local world = sim.new()
    world:run(5, function()
      local server = assert(dop.listen { url = "ws://server:80/", max_sockets = 1 })
      for i = 1, 200 do
        dop.timer(1 + i * 0.01, function() core.accept(server, "10.9.9.9:" .. i) end)
      end
    end)
    local told, more = 0, 0
    for _, entry in ipairs(entries) do
      if entry.event == "refuse" then
        assert.equal("warn", entry.level)
        assert.equal("full", entry.fields.cause)
        told, more = told + 1, more + entry.fields.more
      end
    end
    assert.is_true(told >= 2 and told <= 4, told)
    assert.is_true(more >= 95, more)
  end)

  it("tells when a drain begins and when it is over", function()
    collect()
    local server = real.pair()
    server:close { drain = 3 }
    real.wait("the end", function() return server.closed end)
    real.wait("the entry", function() return last "closed" end)
    assert.equal(3, last "draining".fields.seconds)
    assert.equal(1, last "closed".fields.drained)
    assert.equal(1, count "closed")
  end)

  it("has the errors of handlers, timers and coroutines in place of stderr", function()
    local printed = real.script [[
      local dop = require "dop"
      local seen = {}
      dop.log(function(level, event, fields)
        if event == "error" then seen[#seen + 1] = level .. " " .. fields.message:match "my %w+" end
      end)
      local server = assert(dop.listen { url = "local:x", on = { connect = function() error "my handler" end } })
      local client = assert(dop.connect { url = "local:x", retry = function() error "my policy" end })
      dop.timer(0.01, function() error "my timer" end)
      dop.go(function() error "my coroutine" end)
      dop.timer(0.05, function() dop.stop() end)
      dop.run()
      table.sort(seen)
      print(table.concat(seen, ", "))]]
    assert.equal("error my coroutine, error my handler, error my timer\n", printed)
  end)

  it("lets errors go to stderr without a hook, or when the hook fails", function()
    local printed = real.script [[
      local dop = require "dop"
      dop.timer(0.01, function() error "first" end)
      dop.timer(0.02, function() dop.log(function() error "the hook" end) end)
      dop.timer(0.03, function() error "second" end)
      dop.run() ]]
    assert.truthy(printed:find "first")
    assert.truthy(printed:find "error in the log hook: [^\n]*the hook")
    assert.truthy(printed:find "second")
  end)

  it("contains a hook that raises or yields: what it was told about goes on", function()
    local printed, status = real.script [[
      local dop = require "dop"
      dop.log(function(_, event)
        if event == "connect" then coroutine.yield() end
        error("not now")
      end)
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      server:on("message", function(node, message) node:send(message) end)
      dop.go(function()
        local client = assert(dop.connect { url = server.url })
        client:on("message", function(_, message) print("heard " .. message) client:close() server:close() end)
        client:send "hello"
      end)
      dop.run() ]]
    assert.equal(0, status)
    assert.truthy(printed:find "heard hello")
    assert.truthy(printed:find "attempt to yield")
  end)

  it("takes a function or nil, and returns the one before", function()
    local function one() end
    assert.is_nil(dop.log(one))
    assert.equal(one, dop.log(nil))
    local ok, message = pcall(dop.log, "debug")
    assert.is_false(ok)
    assert.truthy(message:find("dop.log: a function or nil expected, got string", 1, true), message)
  end)

  it("works in worlds of dop.sim", function()
    collect()
    sim.new():run(3, function()
      assert(dop.listen { url = "ws://server:80/" })
      assert(dop.connect { url = "ws://server:80/" })
    end)
    assert.equal(2, count "connect")
    assert.equal(1, count "listen")
  end)
end)

describe("a secret", function()
  it("is in no entry: tokens, halves, messages, headers, queries, reasons of the application", function()
    collect()
    local secrets = {
      ["a message"] = "message-SECRET-body", header = "Bearer SECRET-header", cookie = "id=SECRET-cookie",
      query = "SECRET-query", principal = "SECRET-principal", refusal = "SECRET-refusal",
    }
    local server = real.listen {
      authorize = function(request)
        if request.path == "/no" then return nil, 403, secrets.refusal end
        return secrets.principal
      end,
    }
    local url = server.url .. "?key=" .. secrets.query
    local options = { url = url, headers = { Authorization = secrets.header, Cookie = secrets.cookie } }
    local heard = 0
    server:on("message", function(node, message)
      heard = heard + 1
      node:send(message)
    end)
    server:on("open", function(node) secrets["half " .. tostring(node)] = node.token_local:reveal() end)
    local function settle(client)
      client:on("open", function(node)
        if node.token_local then secrets["half " .. tostring(node)] = node.token_local:reveal() end
      end)
      client:send(secrets["a message"])
    end
    local client = real.connect(server, options)
    settle(client)
    real.wait("a message", function() return heard == 1 end)
    secrets.token = client.node.token:reveal()
    client.node:drop { reset = true }
    real.wait("the way back", function() return last "reconnect" end)
    local refused = real.connect(server, {
      url = (url:gsub("/dop", "/no")), headers = options.headers, retry = function() end,
    })
    real.wait("a refusal", function() return refused.closed end)
    local plain = real.connect(server, { url = url, headers = options.headers, lossless = false })
    settle(plain)
    real.wait("another message", function() return heard == 2 end)
    secrets.plain = plain.node.token:reveal()
    -- A client that presents what is none, and one that quotes a token where it does not belong.
    local p = real.raw_client(server, "GET /dop?" .. secrets.query .. " HTTP/1.1\r\nHost: x\r\n\r\n")
    real.wait("an answer", function() return p.ended end)
    client.node:send(secrets["a message"])
    server:close { drain = 1 }
    real.wait("the end", function() return server.closed end)
    real.wait("the entry", function() return last "closed" end)
    local text = {}
    for _, entry in ipairs(entries) do
      text[#text + 1] = entry.event
      for name, value in pairs(entry.fields) do text[#text + 1] = name .. "=" .. tostring(value) end
    end
    text = table.concat(text, "\n")
    assert.is_true(#entries > 30, #entries)
    local checked = 0
    for what, secret in pairs(secrets) do
      checked = checked + 1
      assert.is_nil(text:find(secret, 1, true), what)
    end
    assert.is_true(checked >= 10, checked)
    -- And it would be found: what is no secret is there.
    assert.truthy(text:find(server.url, 1, true))
  end)
end)

describe("without a hook", function()
  it("nothing is made for it: a refusal costs no more memory than before there was a log", function()
    local engine = core.engine()
    local server = core.transport(engine, "server", { max_sockets = 1 })
    local links = { core.accept(server, "10.0.0.1:1") }
    local function refuse() links[#links + 1] = core.accept(server, "10.0.0.1:2") end
    refuse()
    local silent = core.allocations(refuse)
    engine:watch(function() end)
    local watched = core.allocations(refuse)
    assert.equal(silent + 2, watched) -- an entry for its coming, one for the refusal
    engine:watch(nil)
    assert.equal(silent, core.allocations(refuse))
    server:end_sessions()
    engine:turn()
  end)
end)
