--- Whatever a callback does, the loop lives: each callback by each thing that it should better not do,
-- over a real socket and in-process. After each, both ends come to the statuses that docs/protocol.md
-- has for what was done, the other sessions still work, and nothing is left.

local certificates = require "spec.support.certificates"
local dop = require "dop"
local loop = require "dop.loop"
local real = require "spec.support.real"

-- For wss:, over which only the ends of sockets are another matter than over ws:.
local pki = certificates.new()
teardown(function() pki:remove() end)

local function connected(client)
  real.wait("CONNECTED", function() return client.node.status == "CONNECTED" end)
end

-- For each callback: install(s, fn) makes it call `fn(node)`, provoke(s) makes it happen. `s` has the
-- server, the client of which it is about, and where errors are collected; `early` callbacks need no
-- session before. `over`: the session has ended formally by then. `options` are the server's. `one_url`: it
-- is the same over all URLs, and one of them is enough.
local callbacks = {}

local function event_of(side, event, provoke, early)
  callbacks[#callbacks + 1] = {
    name = side .. " " .. event,
    early = early,
    install = function(s, fn) s[side]:on(event, fn) end,
    provoke = provoke,
  }
end

-- The client dials from the start: its first socket provokes what it needs.
local function begin() end
local function drop(s) s.client.node:drop() end

for _, side in ipairs { "server", "client" } do
  local is_client = side == "client"
  event_of(side, "open", begin, true)
  event_of(side, "connect", begin, true)
  event_of(side, "status", begin, true)
  event_of(side, "message", function(s)
    if is_client then s.node:send("a message") else s.client:send("a message") end
  end)
  event_of(side, "close", drop)
  event_of(side, "reconnecting", drop)
  event_of(side, "reconnect", drop)
  event_of(side, "disconnect", function(s) s.client.node:disconnect() end)
  callbacks[#callbacks].over = true
end
event_of("client", "drain", function(s)
  repeat until not s.client:send("fill")
end, true)
event_of("server", "drain", function(s)
  s.node:drop()
  repeat until not s.node:send("fill")
end)
for _, side in ipairs { "server", "client" } do
  callbacks[#callbacks + 1] = {
    name = side .. " error",
    unreported = true,
    install = function(s, fn)
      s[side]:off("error")
      s[side]:on("error", fn)
      s[side]:once("message", function() error("to call the error handler") end)
    end,
    provoke = function(s)
      if side == "client" then s.node:send("a message") else s.client:send("a message") end
    end,
  }
end
-- A session that the server forgets: its client is let in again only after that.
local function forgotten(name, options)
  callbacks[#callbacks + 1] = {
    name = "server disconnect, " .. name,
    options = options,
    one_url = true,
    install = function(s, fn)
      local told
      s.server:on("disconnect", function(node, reason)
        if node == s.node then assert(reason == name) end
        told = true
        return fn(node)
      end)
      s.authorize = function() return told, 503 end
    end,
    provoke = drop,
  }
end
forgotten("expired", { resume_window = 0.01 })
forgotten("evicted", { max_detached = 0 })

-- Handlers of the node itself, and handlers for one time.
local function other_handler(name, object_of, how, event, provoke, over)
  callbacks[#callbacks + 1] = {
    name = name,
    over = over,
    one_url = true,
    install = function(s, fn)
      local object = object_of(s)
      object[how](object, event, fn)
    end,
    provoke = provoke,
  }
end
local function say(s) s.client:send("a message") end
local function answer(s) s.node:send("a message") end
local function leave(s) s.client.node:disconnect() end
other_handler("server node message", function(s) return s.node end, "on", "message", say)
other_handler("client node message", function(s) return s.client.node end, "on", "message", answer)
other_handler("server node reconnecting, once", function(s) return s.node end, "once", "reconnecting", drop)
other_handler("client node disconnect", function(s) return s.client.node end, "on", "disconnect", leave, true)
other_handler("server message, once", function(s) return s.server end, "once", "message", say)
callbacks[#callbacks + 1] = {
  name = "retry before the first CONNECTED",
  one_url = true,
  early = true,
  install = function(s, fn)
    local asked = 0
    s.authorize = function()
      asked = asked + 1
      return asked > 1, 503
    end
    s.retry = function()
      fn()
      return 0.005
    end
  end,
  provoke = begin,
}
callbacks[#callbacks + 1] = {
  name = "authorize",
  early = true,
  install = function(s, fn) s.authorize = fn end,
  provoke = begin,
}
callbacks[#callbacks + 1] = {
  name = "retry",
  one_url = true,
  install = function(s, fn)
    s.retry = function()
      fn()
      return 0.005
    end
  end,
  provoke = drop,
}
callbacks[#callbacks + 1] = {
  name = "a timer",
  one_url = true,
  unreported = true,
  install = function(_, fn) dop.timer(0.001, fn) end,
  provoke = function() end,
}
callbacks[#callbacks + 1] = {
  name = "a coroutine",
  one_url = true,
  unreported = true,
  may_yield = true,
  install = function(_, fn)
    dop.go(function()
      dop.sleep(0.001)
      fn()
    end)
  end,
  provoke = function() end,
}

-- --- the end: what both ends come to, by kind of action ---

-- What the server has of the client that it is about: the statuses of its nodes.
local function statuses(s)
  local list = {}
  for _, node in ipairs(s.server:nodes()) do
    if node ~= s.bystander then list[#list + 1] = node.status end
  end
  return list
end

local function only(list, status)
  for _, one in ipairs(list) do if one ~= status then return false end end
  return true
end

local ends = {}

-- Nothing, or a socket, was lost: both ends are CONNECTED by the same token, if it was not over before.
function ends.together(s)
  local client = s.client.node
  if s.over then return client.status == "DISCONNECTED" and #statuses(s) == 0 end
  if client.status ~= "CONNECTED" then return false end
  for _, node in ipairs(s.server:nodes()) do
    if node.status == "CONNECTED" and node.token == client.token then return true end
  end
end

-- The client's session is over. Its server was told if the client was CONNECTED; else it may have to
-- wait out its window.
function ends.client(s)
  if not s.client.closed or s.client.node.status ~= "DISCONNECTED" then return false end
  return #statuses(s) == 0 or not s.told and only(statuses(s), "RECONNECTING")
end

-- The server closed: that is no formal end for its clients.
function ends.server(s)
  local status = s.client.node.status
  return s.server.closed and #s.server:nodes() == 0 and s.bystander.status == "DISCONNECTED" and
    (s.over and status == "DISCONNECTED" or not s.over and (status == "OPEN" or status == "RECONNECTING"))
end

function ends.both(s)
  return s.server.closed and #s.server:nodes() == 0 and s.client.closed and s.client.node.status == "DISCONNECTED"
end

-- The node was ended. A client that did not hear of it formally begins a new session.
function ends.node(s)
  if s.acted.status ~= "DISCONNECTED" then return false end
  return ends.client(s) or s.acted.transport == s.server and ends.together(s)
end

-- What is done in it. `fn(s, node)`; `raises`: what the report must say; `ends`: whose server is gone;
-- `to`: the end, if it is not that both are together.
local actions = {
  {
    name = "closes the client",
    to = ends.client,
    fn = function(s)
      s.told = s.client.node.status == "CONNECTED"
      s.client:close()
    end,
  },
  { name = "closes the server", ends = true, to = ends.server, fn = function(s) s.server:close() end },
  {
    name = "closes both, twice",
    ends = true,
    to = ends.both,
    fn = function(s)
      for _ = 1, 2 do
        s.server:close()
        s.client:close()
      end
    end,
  },
  {
    name = "disconnects the node",
    to = ends.node,
    fn = function(s, node)
      node:disconnect()
      s.refused = { node:disconnect() }
    end,
    check = function(s) assert.equal("CLOSED", s.refused[3]) end,
  },
  {
    name = "disconnects the peer's node",
    to = ends.client,
    fn = function(s)
      for _, node in ipairs(s.server:nodes()) do
        if node ~= s.bystander then node:disconnect() end
      end
      if s.client then s.client.node:disconnect() end
    end,
  },
  { name = "drops the socket", fn = function(_, node) node:drop {} end },
  { name = "drops the socket by a reset", fn = function(_, node) node:drop { reset = true } end },
  {
    name = "drops the sockets of both ends",
    fn = function(s)
      for _, node in ipairs(s.server:nodes()) do
        if node ~= s.bystander then node:drop { reset = true } end
      end
      if s.client then s.client.node:drop() end
    end,
  },
  {
    name = "sends, drops and disconnects",
    to = ends.node,
    fn = function(_, node)
      node:send("one")
      node:drop()
      node:send("two")
      node:disconnect()
      node:send("three")
      node:drop()
    end,
  },
  { name = "raises a string", raises = "on purpose", fn = function() error("on purpose") end },
  { name = "raises a table", raises = "table", fn = function() error({}) end },
  { name = "raises nil", raises = "nil", fn = function() error(nil) end },
  { name = "raises a number", raises = "42", fn = function() error(42) end },
  {
    name = "collects garbage",
    fn = function()
      collectgarbage()
      collectgarbage("step")
      collectgarbage()
    end,
  },
  {
    name = "removes all handlers and collects garbage",
    fn = function(s)
      for _, object in ipairs { s.server, s.client } do
        for _, event in ipairs { "open", "message", "close", "connect", "reconnecting", "reconnect", "disconnect" } do
          object:off(event)
        end
      end
      collectgarbage()
    end,
  },
  { name = "stops the loop", fn = function() dop.stop() end, stops = true },
  {
    name = "runs the loop",
    fn = function(s) s.nested = { pcall(dop.run) } end,
    check = function(s)
      assert.is_false(s.nested[1])
      assert.truthy(s.nested[2]:find("runs already", 1, true))
    end,
  },
  {
    name = "steps the loop",
    fn = function(s)
      local ours = dop.loop()
      s.nested = { pcall(ours.step, ours) }
    end,
    check = function(s)
      assert.is_false(s.nested[1])
      assert.truthy(s.nested[2]:find("runs already", 1, true))
    end,
  },
  { name = "runs the loop and lets it raise", raises = "runs already", fn = function() dop.run() end },
  { name = "yields", yields = true, raises = "dop.go", fn = function() coroutine.yield() end },
  {
    name = "opens and closes other transports",
    fn = function(s)
      local server = assert(dop.listen { url = s.url })
      local client = assert(dop.connect { url = server.url })
      client:send("never")
      client:close()
      server:close()
    end,
  },
}

-- A server that echoes, with a session that has nothing to do with it all. A collection after each
-- handler is for the callback that it is about and what it leads to: the rest goes without.
local function stage(url, options)
  local s = { errors = {}, url = url, trust = url:find "^wss:" and { ca = pki.ca } or nil }
  options = options or {}
  loop.engine():collect_always(false)
  s.server = real.listen {
    url = url:gsub("spec$", "stage"),
    tls = s.trust and pki:identity(),
    resume_window = options.resume_window or 2,
    max_detached = options.max_detached,
    authorize = function(...)
      if s.authorize then return s.authorize(...) end
      return true
    end,
    queue_messages = 4,
  }
  s.other = real.connect(s.server, { tls = s.trust })
  connected(s.other)
  real.wait("the other's node", function() return #s.server:nodes() == 1 and s.server:stats().connects == 1 end)
  s.bystander = s.server:nodes()[1]
  -- Echoes by a handler of its own, so that nobody takes it off by accident.
  s.bystander:on("message", function(node, message) node:send(message) end)
  s.server:on("error", function(_, message) s.errors[#s.errors + 1] = message end)
  loop.engine():collect_always(true)
  return s
end

-- The client that it is about: not yet dialling before dial().
local function subject(s)
  s.client = real.connect(s.server, {
    queue_messages = 4,
    tls = s.trust,
    retry = function(...)
      if s.retry then return s.retry(...) end
      return 0.005
    end,
  })
  s.client:on("error", function(_, message) s.errors[#s.errors + 1] = message end)
end

local function echoes(client, what)
  local heard
  local fn = client:on("message", function(_, message) heard = message == what or heard end)
  client:send(what)
  real.wait("the echo of " .. what, function() return heard end)
  client:off("message", fn)
end

local function try(url, callback, action)
  local s = stage(url, callback.options)
  s.over = callback.over
  local called = 0
  local function fn(node)
    -- The first time only, and never for the session that has nothing to do with it.
    if called > 0 or node == s.bystander then return true end
    called = called + 1
    if type(node) ~= "userdata" or not s.client then node = s.client.node end
    s.acted = node
    action.fn(s, node)
    return true
  end
  subject(s)
  if callback.early then
    callback.install(s, fn)
  else
    connected(s.client)
    real.wait("the server's node", function() return s.server:stats().connects == 2 end)
    for _, node in ipairs(s.server:nodes()) do
      if node ~= s.bystander then s.node = node end
    end
    callback.install(s, fn)
  end
  callback.provoke(s)
  if action.stops then
    -- real.wait() runs the loop until something is true: here it is the callback that ends the run.
    local watch = dop.timer(5, dop.stop)
    dop.run()
    assert.is_true(watch:stop(), "the run went on")
    assert.equal(1, called)
  else
    real.wait("the callback", function() return called > 0 end)
  end
  if action.raises then
    real.wait("a report", function() return #s.errors > 0 end)
    assert.truthy(s.errors[1]:find(action.raises, 1, true), s.errors[1])
  end
  if action.check then action.check(s) end
  real.wait("the end of both", function() return (action.to or ends.together)(s) end)
  loop.engine():collect_always(false)
  -- The loop and the others live.
  if not action.ends then
    echoes(s.other, "still here")
    assert.equal("CONNECTED", s.bystander.status)
    s.authorize = nil
    connected(real.connect(s.server, { tls = s.trust }))
  end
  local ticked
  dop.timer(0, function() ticked = true end)
  real.wait("a timer", function() return ticked end)
end

for _, url in ipairs { "ws://127.0.0.1:0/dop", "wss://127.0.0.1:0/dop", "local:spec" } do
  for _, callback in ipairs(callbacks) do
    local elsewhere = callback.one_url and not url:find("^ws:")
    if not elsewhere then describe(callback.name .. " over " .. url, function()
      local before
      setup(function() before = real.registry_count() end)
      after_each(function()
        real.close()
        loop.engine():collect_always(true)
      end)
      -- After all of them: a count takes longer than most of these specs.
      teardown(function() assert.equal(before, real.registry_count(), "something is kept for ever") end)

      for _, action in ipairs(actions) do
        -- What nobody takes goes to stderr: those have specs below.
        local unheard = action.raises and callback.unreported
        local same = url:find "^wss:" and not (action.to or action.name:find "^drops")
        if not unheard and not same and not (action.yields and callback.may_yield) then
          it(action.name, function() try(url, callback, action) end)
        end
      end
    end) end
  end
end

describe("an error that no handler takes", function()
  -- A script in which the callback `where` raises everything, one after the other.
  local function outcome(where)
    return real.script([[
      local dop = require "dop"
      local values = { "on purpose", {}, false, 42 }
      local alive = 0
      local server = assert(dop.listen { url = "ws://127.0.0.1:0" })
      local policy
      local client = assert(dop.connect {
        url = server.url,
        retry = function()
          if policy then policy() end
          return 0.01
        end,
      })
      local function raise(i)
        if i <= 4 then error(values[i]) end
        if i == 5 then dop.run() end
        if i == 6 then coroutine.yield() end
      end
      local function turn(i)
        ]] .. where .. [[

      end
      client:once("connect", function()
        local function step(i)
          policy = nil
          if i > 6 then
            client:close()
            server:close()
            return
          end
          if client.node.status ~= "CONNECTED" then return dop.timer(0.01, function() step(i) end) end
          turn(i)
          alive = alive + 1
          dop.timer(0.01, function() step(i + 1) end)
        end
        step(1)
      end)
      assert(dop.run())
      print("alive", alive)
    ]])
  end

  local places = {
    ["a handler"] = 'server:once("message", function() raise(i) end) client:send("x")',
    ["an error handler"] = 'server:off("error") server:on("error", function() raise(i) end)\n' ..
      'server:once("message", function() error("first") end) client:send("x")',
    ["a timer"] = "dop.timer(0, function() raise(i) end)",
    ["a coroutine"] = "dop.go(function() raise(i) end)",
    ["a policy"] = "policy = function() raise(i) end client.node:drop()",
  }
  for place, code in pairs(places) do
    it("in " .. place .. " goes to stderr with a traceback, and the loop goes on", function()
      local output, status = outcome(code)
      assert.equal(0, status, output)
      assert.truthy(output:find("alive%s+6"), output)
      for _, text in ipairs { "on purpose", "42", "runs already", "traceback" } do
        assert.truthy(output:find(text, 1, true), text .. " is missing in:\n" .. output)
      end
      if place ~= "a coroutine" then assert.truthy(output:find("dop.go", 1, true), output) end
    end)
  end

  it("leaves the loop stopped or running as it was: a second run works", function()
    local output, status = real.script([[
      local dop = require "dop"
      dop.timer(0, function() dop.stop() error("after stop") end)
      dop.timer(0.01, function() print("second") end)
      assert(dop.run())
      print("between")
      assert(dop.run())
    ]])
    assert.equal(0, status)
    assert.truthy(output:find("after stop.*between.*second"), output)
  end)
end)
