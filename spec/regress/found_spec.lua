--- What was found wrong here once, so that it stays found. Each spec failed before its mend.

local core = require "dop.core"
local dop = require "dop"
local real = require "spec.support.real"
local wire = require "spec.support.wire"

after_each(function()
  real.close()
  wire.close()
end)

local function printed(expected, text, around)
  local output, status = real.script(text, around)
  assert.equal(expected, output)
  assert.equal(0, status)
end

describe("the end of the Lua state", function()
  it("does not wait for a client that was still resolving", function()
    local server = real.listen()
    printed("", ([[require("dop").connect { url = %q }]]):format(server.url))
  end)

  it("lets finalizers use what is gone already: an error, no crash", function()
    printed("", [[
      local dop = require "dop"
      -- The finalizer of what was made first runs last.
      local keep = setmetatable({}, { __gc = function(self)
        for _, use in ipairs(self) do pcall(use) end
      end })
      if jit then
        local proxy = newproxy(true)
        local gc = getmetatable(keep).__gc
        getmetatable(proxy).__gc = function() gc(keep) end
        keep.proxy = proxy
      end
      local server = assert(dop.listen { url = "local:x" })
      local client = assert(dop.connect { url = "local:x" })
      client:on("connect", function() dop.stop() end)
      dop.run()
      local node, token = client.node, client.node.token
      for _, use in ipairs {
        function() return node.status end, function() return tostring(node) end, function() node:send("x") end,
        function() return token:reveal() end, function() return tostring(token) end,
        function() return client.node end, function() return tostring(client) end, function() client:send("x") end,
        function() client:close() end, function() server:close() end, function() return server:stats() end,
      } do keep[#keep + 1] = use end
      KEPT = keep
    ]])
  end)

  if jit then
    it("of a forked child leaves the parent its sockets", function()
      printed("true\nconnected\n", [[
        local ffi = require "ffi"
        ffi.cdef "int fork(void); int waitpid(int, int *, int); int access(const char *, int);"
        local dop = require "dop"
        local path = os.tmpname()
        os.remove(path)
        local on_file = assert(dop.listen { url = "ws+unix:" .. path })
        local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
        if ffi.C.fork() == 0 then os.exit(0, true) end
        ffi.C.waitpid(-1, nil, 0)
        print(ffi.C.access(path, 0) == 0)
        local client = assert(dop.connect { url = server.url })
        client:on("connect", function()
          print "connected"
          client:close()
          server:close()
          on_file:close()
        end)
        dop.run()
      ]], "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 %s") -- the child leaves the loop as it is
    end)
  end
end)

describe("the loop", function()
  it("tells `drain` at once, though nothing else happens", function()
    -- The peer is another process: one of ours would wake the loop when it reads.
    local server = real.background [[
      local server = assert(require("dop").listen { url = "ws://127.0.0.1:0/" })
      print(server.url)
      io.stdout:flush()
      server:on("disconnect", function() os.exit(0) end)
      require("dop").run()
    ]]
    local client = real.connect(nil, { url = server:read() })
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    local drains = 0
    local function fill()
      while client:send(("x"):rep(100)) do end
    end
    client:on("drain", function()
      drains = drains + 1
      if drains < 6 then fill() else dop.stop() end
    end)
    fill()
    local late = dop.timer(4, dop.stop)
    dop.run()
    late:stop()
    client:close()
    assert.equal(6, drains)
  end)

  it("has its turn, however fast both ends of local: answer each other", function()
    real.listen { url = "local:busy" }
    local client = real.connect(nil, { url = "local:busy" })
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    local drains, began, fired = 0, nil, nil
    local function fill_again()
      drains = drains + 1
      if drains == 2 then -- they answer each other
        began = os.clock()
        dop.timer(0.02, function() fired = os.clock() - began end)
      end
      if began and os.clock() - began > 2 then return end -- or a loop that is never left would keep the suite
      while client:send(("x"):rep(100)) do end
    end
    client:on("drain", fill_again)
    fill_again()
    real.wait("the timer", function() return fired end)
    assert.truthy(fired < 1, fired)
  end)

  it("ends with the last client, though that waited for its next attempt", function()
    local client = real.connect(nil, { url = "ws://127.0.0.1:1/", retry = function() return 60 end })
    dop.timer(0.05, function() client.node:disconnect() end)
    local late = dop.timer(3, dop.stop)
    client:on("disconnect", function() late:stop() end)
    local from = require("socket").gettime()
    local watch = dop.loop()
    while watch:step() and require("socket").gettime() - from < 3 do end
    assert.truthy(require("socket").gettime() - from < 2)
  end)

  it("is not kept by a request that nobody waits for any more", function()
    local w = wire.new()
    local p = w:from_client(true)
    w.client.node:disconnect()
    assert.equal("dead", (p.link:ending()))
  end)
end)

describe("a server", function()
  it("keeps nothing of a newcomer that gave its socket to a session", function()
    local server, client = real.pair()
    local before = real.registry_count()
    for i = 1, 20 do
      client.node:drop { reset = true }
      real.wait("the session's return", function() return server:stats().reconnects == i end)
    end
    assert.equal(before, real.registry_count())
  end)

  it("accepts the next client when there was no memory for one", function()
    for n = 1, 12 do
      local server = real.listen()
      local first = require("socket").connect("127.0.0.1", tonumber(server.url:match(":(%d+)")))
      dop.timer(0.02, dop.stop)
      -- The n-th request for memory from here on fails; that of the connection is among them.
      core.allocations(function() dop.run() end, n)
      local client = real.connect(server)
      real.wait("the next session", function() return client.node.status == "CONNECTED" end)
      first:close()
      client:close()
      server:close()
    end
  end)

  it("hears the end of a client whose coroutine has ended", function()
    local server = real.listen()
    server:on("connect", function(node)
      dop.go(function() node:send("re " .. node:receive()) end)
    end)
    local client = real.connect(server)
    client:on("message", function() client:close() end)
    client:send("ask")
    real.wait("the end", function() return server:stats().disconnects == 1 end)
    assert.equal(0, server:stats().nodes)
  end)
end)

describe("a client", function()
  it("for which there was no memory is not kept for ever", function()
    local before = real.registry_count()
    for n = 1, 10 do
      local client
      core.allocations(function()
        client = dop.connect { url = "ws://127.0.0.1:1/", retry = function() return nil end }
      end, n)
      if client then client:close() end
      dop.run()
    end
    assert.equal(before, real.registry_count())
  end)
end)

-- What fails in turn here is one request each; `make failmalloc` does it everywhere.
describe("without memory", function()
  it("a client that lost its socket dials again all the same", function()
    for n = 1, 40 do
      local w = wire.new()
      local told = 0
      core.values(w.client)[core.down] = { function() told = told + 1 end }
      local p = w:connected_client()
      core.allocations(function()
        p.link:lost()
        w:turn()
      end, n)
      w:wait(1)
      assert.equal(1, told, n)
    end
  end)

  it("the end of a session is told all the same, with what comes back", function()
    for n = 1, 20 do
      local w = wire.new()
      local node = w.client.node
      node:send "kept"
      core.allocations(function()
        node:disconnect()
        w:turn()
      end, n)
      w:turn()
      assert.equal(1, w:count("client", "disconnect"), n)
      local entry = w:last("client", "disconnect")
      assert.same({ "local", { { message = "kept", kind = "text", fate = "unsent" } } }, { entry[1], entry[2] })
    end
  end)

  it("a newcomer that gave its socket to a session is not kept", function()
    local before = real.registry_count()
    for n = 1, 40 do
      local w = wire.new { server = { lossless = true } }
      local p, token = w:connected_server()
      p:lose()
      local q = w:to_server()
      core.allocations(function() pcall(q.give, q, token) end, n)
      wire.close()
      w:wait(20) -- for its sockets, which nobody carries any further
    end
    assert.equal(before, real.registry_count())
  end)

  it("dop.connect to local: returns, whether somebody listens or not", function()
    real.listen { url = "local:tight" }
    for n = 1, 20 do
      for _, url in ipairs { "local:tight", "local:nobody" } do
        local client, why, code
        core.allocations(function()
          client, why, code = dop.connect { url = url, retry = function() return 0.001 end }
        end, n)
        if not client then assert.same({ "string", "ENOMEM" }, { type(why), code }) end
        if client and url == "local:tight" then
          real.wait("the session", function() return client.node.status == "CONNECTED" end)
        end
        if client then client:close() end
      end
    end
  end)
end)

describe("engine:turn()", function()
  it("inside a handler leaves the handler's message undelivered until it returns", function()
    local engine = core.engine()
    local server = core.transport(engine, "server", { lossless = true })
    local client = core.transport(engine, "client", { lossless = true, queue_messages = 1 }) -- each is acknowledged
    core.inproc(client, server, "here")
    for _ = 1, 10 do engine:turn() end
    local inside
    server:on("message", function(node)
      node:resume()
      for _ = 1, 3 do engine:turn() end
      inside = client.node.unacked
    end)
    assert(client.node:send "only once")
    for _ = 1, 10 do engine:turn() end
    assert.same({ 1, 0 }, { inside, client.node.unacked })
    client:end_sessions()
    server:end_sessions()
    for _ = 1, 10 do engine:turn() end
  end)
end)

describe("a unix socket's path that is too long", function()
  it("is refused, not cut: a shorter name is somebody else's", function()
    local path = "/tmp/" .. ("d"):rep(107 - 5)
    os.remove(path)
    real.listen { url = "ws+unix:" .. path }
    local why
    local client = real.connect(nil, {
      url = "ws+unix:" .. path .. "-other",
      retry = function(_, reason) why = reason return nil end,
    })
    real.wait("the refusal", function() return why end)
    assert.truthy(why:find("name too long", 1, true), why)
    assert.equal("DISCONNECTED", client.node.status)
  end)
end)

describe("local:", function()
  it("knows the receiver's max_message", function()
    local server = real.listen { url = "local:small", max_message = 100, lossless = false }
    local client = real.connect(nil, { url = "local:small" })
    local log = real.record(server, { "message", "close" })
    client:send(("x"):rep(50000))
    real.wait("the close", function() return log:count "close" > 0 end)
    assert.equal(1009, log:last("close")[1])
    assert.equal(0, log:count "message")
  end)
end)

describe("a host in Lua", function()
  it("may name an error by a string that it then forgets", function()
    local w = wire.new()
    local down
    core.values(w.client)[core.down] = { function(_, why, code) down = { why, code } end }
    local p = w:from_client()
    p.link:lost(("E"):rep(10) .. tostring(#w.log), "why")
    collectgarbage()
    collectgarbage()
    w:turn()
    assert.same({ "why", "EEEEEEEEEE1" }, down)
  end)
end)

describe("a request", function()
  it("that a session came with is not told for the one it came back with", function()
    local server, client, node
    server = real.listen()
    server:on("connect", function(n) node = n assert(n.request) end)
    client = real.connect(server, { headers = { ["X-Try"] = "one" } })
    real.wait("the session", function() return node and client.node.status == "CONNECTED" end)
    assert.equal("one", node.request.headers["x-try"])
    client.node:drop()
    real.wait("the return", function() return server:stats().reconnects == 1 end)
    assert.is_nil(node.request)
  end)

  it("is not decided upon once its socket is gone", function()
    local asked = 0
    local function authorize()
      asked = asked + 1
      return true
    end
    real.listen { url = "local:gate", authorize = authorize }
    local gone = real.connect(nil, { url = "local:gate" })
    gone:close()
    local client = real.connect(nil, { url = "local:gate" })
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    assert.equal(1, asked)
  end)
end)

describe("two ends in one process", function()
  local function joined(n)
    local engine = core.engine()
    local server = core.transport(engine, "server", { lossless = true })
    local client = core.transport(engine, "client", { lossless = true })
    local function turn()
      for _ = 1, 10 do engine:turn() end
    end
    local count = core.allocations(function()
      core.inproc(client, server, "here")
      turn()
    end, n)
    return count, client, server, turn
  end

  it("may find no memory for any of their first words", function()
    local most = joined(0)
    assert.truthy(most > 10)
    for n = 1, most do
      local _, client, server, turn = joined(n)
      client:end_sessions()
      server:end_sessions()
      turn()
      assert.same({ 0, 0 }, { client:stats().sockets, server:stats().sockets })
    end
  end)

  -- What is left then is seen by `make asan`.
  it("leave nothing when their engine went before them", function()
    local function survivor()
      local engine = core.engine(1)
      local server = core.transport(engine, "server", { lossless = true })
      local client = core.transport(engine, "client", { lossless = true })
      core.inproc(client, server, "here")
      for _ = 1, 10 do engine:turn() end
      assert.equal("CONNECTED", client.node.status)
      return client
    end
    local client = survivor()
    collectgarbage()
    collectgarbage()
    assert.is_false((pcall(function() return client.node end)))
  end)
end)

describe("a redirect", function()
  -- What the client's policy is told about an answer with these lines.
  local function told(lines)
    local w = wire.new()
    local p, why = w:from_client(true), nil
    core.values(w.client)[core.down] = { function(_, text) why = text end }
    p.link:feed("HTTP/1.1 302 Found\r\n" .. lines .. "\r\n")
    w:turn()
    return why
  end

  it("that does not say where is one all the same", function()
    for _, lines in ipairs { "", "Location:\r\n", "Location: \t\r\n", "Location: #\r\n" } do
      assert.equal("the server answered with status 302: The server answers with a redirect.", told(lines))
    end
  end)

  it("tells no password, also of an authority behind a byte that cannot be seen", function()
    assert.equal("the server redirects with status 302 to http://host/p: not followed",
      told "Location: http:/\146/user:secret@host/p\r\n")
  end)
end)

describe("a node that outlives its engine", function()
  it("touches nothing of it (make asan sees it)", function()
    local node
    do
      local w = wire.new()
      w:connected_server()
      node = w.server:nodes()[1]
      wire.close() -- closes, and forgets the world
    end
    for _ = 1, 3 do collectgarbage() end
    assert.equal("DISCONNECTED", node.status)
    node = nil -- luacheck: ignore 311
    for _ = 1, 3 do collectgarbage() end
  end)
end)
