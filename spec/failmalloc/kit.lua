--- What the scenes of run.lua work with: transports that are closed whatever happens, waits that end, and
-- a bystander, whose session on the same loop must lose nothing whatever the scene does.
--
-- While memory fails a scene may end at any line, so that what must be known afterwards is kept without an
-- allocation: in tables whose places are there before.

local dop = require "dop"

local kit = {}

local PATIENCE = 0.05 -- seconds that a scene waits once memory has failed: what does not come is given up
local open = {}
local opened = 0
for i = 1, 48 do open[i] = false end


local loop = dop.loop()

--- Lets the loop work until condition() is true.
function kit.wait(what, condition)
  local from = loop:now()
  while not condition() do
    loop:step()
    if loop:now() - from > (memory.failed() and PATIENCE or 5) then error("waited in vain for " .. what, 2) end
  end
end

--- A transport, which is closed at the end of the scene whatever happens.
local function must(transport, why, code)
  if transport then
    opened = opened + 1
    open[opened] = transport
    return transport
  end
  assert(type(why) == "string" and type(code) == "string", "nil needs a message and a code")
  error(code .. ": " .. why, 0)
end

kit.must = must

local last = false

--- Calls fn at the end of the scene, when memory is back.
function kit.finally(fn) last = fn end

--- dop.listen and dop.connect; what they cannot make for want of memory is an error.
function kit.listen(options)
  options.url = options.url or "ws://127.0.0.1:0/"
  return must(dop.listen(options))
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
  options.retry = options.retry or soon
  return must(dop.connect(options))
end

--- A server that echoes, and a client of it that is CONNECTED.
function kit.pair(server_options, client_options)
  local server = kit.listen(server_options or {})
  server:on("message", function(node, message, kind) node:send(message, kind) end)
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

--- Closes what the scene left open, and waits until its sockets are gone.
function kit.close()
  local fn = last
  last = false
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
end

-- --- the bystander ---

local bystander = { sent = 0, got = 0, wrong = false, ended = false }
kit.bystander = bystander

function bystander.begin()
  local b = bystander
  b.server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
  b.server:on("message", function(_, message)
    b.got = b.got + 1
    if tonumber(message) ~= b.got then b.wrong = message end
  end)
  b.client = assert(dop.connect { url = b.server.url, retry = soon })
  local function ended() b.ended = true end
  b.server:on("disconnect", ended)
  b.client:on("disconnect", ended)
  kit.connected(b.client)
  b.node = b.client.node
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
end

--- A new session works.
function kit.newcomer()
  local _, client = kit.pair()
  kit.echo(client, "again")
end

return kit
