--- What the scenes of run.lua work with: transports that are closed whatever happens, waits that end, and
-- a bystander, whose session on the same loop must lose nothing whatever the scene does.
--
-- While memory fails a scene may end at any line, so that what must be known afterwards is kept without an
-- allocation: in tables whose places are there before.

local certificates = require "spec.support.certificates"
local core = require "dop.core"
local dop = require "dop"

local kit = { pki = certificates.at(os.getenv "FAILMALLOC_PKI" or "FAILMALLOC_PKI-is-not-set") }

local PATIENCE = 0.05 -- seconds that a scene waits once memory has failed: what does not come is given up
local open = {}
local opened = 0
for i = 1, 96 do open[i] = false end

local loop = dop.loop()
local LONG = tonumber(os.getenv "FAILMALLOC_WAIT" or 20) -- seconds

--- Lets the loop work until condition() is true.
function kit.wait(what, condition)
  local from = loop:now()
  while not condition() do
    loop:step()
    if loop:now() - from > (memory.failed() and PATIENCE or LONG) then error("waited in vain for " .. what, 2) end
  end
end

local wrong = false

--- What has to be so whatever memory there is: without it the round fails, and does not only end early.
function kit.insist(so, what)
  if so then return so end
  wrong = wrong or what
  error(what, 2)
end

-- What OpenSSL makes of a key that found no memory: its decoders forget why they gave up.
local forgotten = { "unsupported$", "internal error$", "ee key too small$", "unknown certificate type$" }

--- Whether that can be for want of memory. The scenes' certificates and keys are good.
function kit.is_excused(code, why)
  if code ~= "BADTLS" then return true end
  for _, text in ipairs(forgotten) do if why:find(text) then return true end end
  return false
end

--- A transport, which is closed at the end of the scene whatever happens.
local function must(transport, why, code)
  if transport then
    opened = opened + 1
    open[opened] = transport
    return transport
  end
  kit.insist(type(why) == "string" and type(code) == "string", "nil needs a message and a code")
  kit.insist(kit.is_excused(code, why), why)
  error(code .. ": " .. why, 0)
end

kit.must = must

local last = false

--- Calls fn at the end of the scene, when memory is back.
function kit.finally(fn) last = fn end

--- dop.listen and dop.connect; what they cannot make for want of memory is an error.
function kit.listen(options)
  options = options or {}
  options.close_timeout = 60 -- longer than anybody waits: each has to be told of the other's end
  options.url = options.url or "ws://127.0.0.1:0/"
  return must(dop.listen(options))
end

--- The options of a server of wss: with that certificate, and more in its `tls`.
function kit.wss(name, more)
  return { url = "wss://127.0.0.1:0/", tls = kit.pki:identity(name, more) }
end

--- The same where another server has just been.
function kit.listen_again(options)
  local server, why, code
  kit.wait("the address", function()
    server, why, code = dop.listen(options)
    return server or code ~= "EADDRINUSE"
  end)
  return must(server, why, code)
end

local function soon() return 0.002 end

function kit.connect(server, options)
  options = options or {}
  options.url = options.url or server.url
  if options.url:find "^wss:" then options.tls = options.tls or { ca = kit.pki.ca } end
  options.retry = options.retry or soon
  options.close_timeout = 60
  return must(dop.connect(options))
end

local function echo(node, message, kind) node:send(message, kind) end

--- A server that echoes, and a client of it that is CONNECTED.
function kit.pair(server_options, client_options)
  local server = kit.listen(server_options)
  server:on("message", echo)
  local client = kit.connect(server, client_options)
  kit.connected(client)
  return server, client
end

function kit.connected(client)
  kit.wait("the session", function() return client.node.status == "CONNECTED" end)
end

--- Sends and waits for the same to come back.
function kit.echo(client, message, kind)
  local back
  local function hear(_, text) back = text end
  client:on("message", hear)
  assert(client:send(message, kind))
  kit.wait("the echo", function() return back end)
  client:off("message", hear)
  assert(back == message)
end

--- Lets everything end that is to end on an engine of the scene's own: turn() is one turn of it.
function kit.run_out(engine, turn)
  for _ = 1, 6 do
    engine:advance(engine:now() + 100)
    if turn then turn() else engine:turn() end
  end
end

--- A scene of two ends on an engine of their own, which it carries bytes between and whose clock it moves.
function kit.by_hand(options, talk)
  return function()
    local engine = core.engine()
    local server, client, near, far
    local function turn()
      for _ = 1, 6 do
        engine:turn()
        if far then far:feed(near:output()) end
        engine:turn()
        if far then near:feed(far:output()) end
      end
    end
    kit.finally(function()
      if client then client:close() end
      if server then server:close() end
      if near then near:lost() end
      if far then far:lost() end
      kit.run_out(engine, turn)
    end)
    server = must(core.transport(engine, "server", options))
    client = must(core.transport(engine, "client", options))
    local heard = 0
    server:on("message", function(node, message, kind)
      heard = heard + 1
      node:send(message, kind)
    end)
    near = core.dial(client, "localhost", "/x")
    far = near and core.accept(server, "127.0.0.1:7")
    if not far then error("ENOMEM", 0) end
    turn()
    talk(near, far, turn, client, server, engine, function() return heard end)
  end
end

--- What the registry keeps of ours, as text.
function kit.anchored()
  local list = {}
  for key, value in pairs(debug.getregistry()) do
    local text = type(key) == "number" and type(value) == "userdata" and tostring(value) or ""
    if text:find "^dop%." then list[#list + 1] = text end
  end
  return list
end

function kit.anchors() return #kit.anchored() end

--- Closes what the scene left open, and waits until its sockets are gone. Raises for what is not as it has to be.
function kit.close()
  local fn, what = last, wrong
  last, wrong = false, false
  if fn then fn() end
  for i = 1, opened do
    if open[i] then open[i]:close() end
  end
  kit.wait("the end of the scene's sockets", function()
    local sockets = 0
    for i = 1, opened do
      if open[i] then sockets = sockets + open[i]:stats().sockets end
    end
    return sockets == 0
  end)
  for i = 1, opened do open[i] = false end
  opened = 0
  assert(not what, what)
end

-- --- the bystander ---

local bystander = { sent = 0, got = 0, wrong = false, ended = false }
kit.bystander = bystander

--- `tls`: it speaks it, and so does whoever is new.
function bystander.begin(tls)
  local b = bystander
  local ca = tls and { ca = kit.pki.ca } or nil
  b.server = assert(dop.listen(tls and kit.wss() or { url = "ws://127.0.0.1:0/" }))
  if tls then
    b.door = assert(dop.listen(kit.wss()))
    b.door:on("message", echo)
  end
  b.server:on("message", function(_, message)
    b.got = b.got + 1
    if tonumber(message) ~= b.got then b.wrong = message end
  end)
  b.client = assert(dop.connect { url = b.server.url, retry = soon, tls = ca })
  local function ended() b.ended = true end
  b.server:on("disconnect", ended)
  b.client:on("disconnect", ended)
  kit.connected(b.client)
  b.node = b.client.node
  -- OpenSSL keeps what it looked up, and a resumed session is more than a new one: it shall have been one.
  if not tls then return end
  b.node:drop()
  kit.wait("the return", function() return b.server:stats().reconnects == 1 end)
  kit.connected(b.client)
end

--- One message more; what is not accepted does not count. So long that each copy of it is one in Lua, too.
function bystander.say()
  local b = bystander
  if b.node:send(("%060d"):format(b.sent + 1)) then b.sent = b.sent + 1 end
end

--- Raises when the bystander lost anything.
function bystander.check()
  local b = bystander
  bystander.say()
  kit.wait("the bystander's session", function() return b.node.status == "CONNECTED" and b.got == b.sent end)
  assert(not b.wrong, "the bystander heard a message too many, or too few")
  assert(not b.ended and b.client.node == b.node, "the bystander's session ended")
end

function bystander.finish()
  bystander.client:close()
  bystander.server:close()
  if bystander.door then bystander.door:close() end
end

--- A new session works.
function kit.newcomer()
  local client = bystander.door and kit.connect(bystander.door) or select(2, kit.pair())
  kit.connected(client)
  kit.echo(client, "again")
end

return kit
