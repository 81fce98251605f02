--- Coroutine style, on the events: dop.go, dop.sleep, node:receive, node:messages. Yields only inside
-- a coroutine that dop.go started; a handler must not yield.

local core = require "dop.core"
local emitter = require "dop.emitter"
local loop = require "dop.loop"

local co = {}

-- The coroutines that dop.go started, each with the nodes that it reads and in which order it began to:
-- weak throughout, since LuaJIT would keep a coroutine that a node of its own refers to.
local started = setmetatable({}, { __mode = "k" })
local reads = 0

local function check_inside(what)
  local thread = coroutine.running()
  if not thread or not started[thread] then
    error(what .. " works only inside a coroutine that dop.go started", 3)
  end
  return thread
end

local close_inbox

-- The coroutine has ended: so has its reading.
local function let_go(thread)
  -- In that order, whatever that of pairs() is: a simulated world is the same each time.
  local nodes, order = {}, started[thread] or {}
  for node in pairs(order) do nodes[#nodes + 1] = node end
  table.sort(nodes, function(a, b) return order[a] < order[b] end)
  for _, node in ipairs(nodes) do close_inbox(node, thread) end
  started[thread] = nil
end

-- Runs the coroutine on; an error in it ends it and is reported, never the loop. Who ended it while it
-- waited (coroutine.close) knows that.
local function resume(thread, ...)
  local ok, message = true, nil
  if coroutine.status(thread) ~= "dead" then ok, message = coroutine.resume(thread, ...) end
  if coroutine.status(thread) == "dead" then let_go(thread) end
  if ok then return end
  local trace = debug.traceback(thread)
  if coroutine.close then coroutine.close(thread) end -- its variables that are <close>, in Lua 5.4
  loop.host().complain(("error in a coroutine: %s\n%s"):format(tostring(message), trace))
end

--- Runs fn(...) in a coroutine, at once, until it first waits. An error in it goes to stderr with its
-- traceback. Returns the coroutine.
function co.go(fn, ...)
  if type(fn) ~= "function" then error(("dop.go: a function expected, got %s"):format(type(fn)), 2) end
  local thread = coroutine.create(fn)
  started[thread] = setmetatable({}, { __mode = "k" })
  resume(thread, ...)
  return thread
end

--- Waits without blocking anybody else.
function co.sleep(seconds)
  local thread = check_inside("dop.sleep")
  loop.check_seconds(seconds, "dop.sleep", 2)
  local over = false
  loop.timer(seconds, function()
    over = true
    resume(thread)
  end)
  repeat coroutine.yield() until over -- whoever else resumes it
end

-- A node that is read by a coroutine has an inbox: at most what one turn brought waits in it, because
-- reading pauses as soon as something is there.
local function inbox_of(node)
  local values = core.values(node)
  local inbox = values.inbox
  if inbox then return inbox end
  inbox = { first = 1, last = 0, handlers = {} }
  values.inbox = inbox
  local function wake()
    local waiting = inbox.waiting
    inbox.waiting = nil
    if waiting then waiting() end
  end
  function inbox.handlers.message(_, message, kind)
    inbox.last = inbox.last + 1
    inbox[inbox.last] = { message, kind }
    node:pause()
    core.hold(node) -- not delivered yet: a coroutine has to take it, and to ask for the next one
    wake()
  end
  inbox.handlers.disconnect = wake
  -- A new socket reads from its first byte on, whatever the old one did.
  function inbox.handlers.reconnect()
    if inbox.last >= inbox.first then node:pause() end
  end
  for event, fn in pairs(inbox.handlers) do emitter.on(node, event, fn) end
  return inbox
end

-- The coroutine that read the node last has ended. Reading goes on without it: a paused socket would
-- never hear that its peer is gone. What it left unread goes with its inbox.
function close_inbox(node, thread)
  local values = core.values(node)
  local inbox = values.inbox
  if not inbox or inbox.reader ~= thread then return end
  values.inbox = nil
  core.release(node)
  for event, fn in pairs(inbox.handlers) do emitter.off(node, event, fn) end
  node:resume()
end

local function take(inbox)
  local entry = inbox[inbox.first]
  if not entry then return nil end
  inbox[inbox.first] = nil
  inbox.first = inbox.first + 1
  inbox.taken = true
  return entry
end

-- The coroutine is done with the message that it took last: from here on it counts as delivered. If
-- another one came meanwhile, on a new socket, the coming back did that, and what is held is the newer.
local function release(node, inbox)
  if not inbox.taken then return end
  inbox.taken = false
  if inbox.first > inbox.last then core.release(node) end
end

--- Waits for the next message. Returns message, kind; or nil, a sentence and "TIMEOUT" after `timeout`
-- seconds (nil: no limit); or nil, a sentence and "CLOSED" once the session is DISCONNECTED and
-- everything was received. A lost socket is waited out. One coroutine at a time may wait on a node.
function co.receive(node, timeout)
  local thread = check_inside("node:receive")
  if timeout ~= nil then loop.check_seconds(timeout, "node:receive", 2) end
  local inbox = inbox_of(node)
  if inbox.waiting then error("another coroutine waits for this node's messages", 2) end
  inbox.reader = thread
  release(node, inbox)
  if not started[thread][node] then
    reads = reads + 1
    started[thread][node] = reads
  end
  local entry = take(inbox)
  if not entry and node.status ~= "DISCONNECTED" then
    local late, woken
    local timer = timeout and loop.timer(timeout, function()
      late, inbox.waiting = true, nil
      resume(thread)
    end)
    inbox.waiting = function()
      woken = true
      resume(thread)
    end
    node:resume()
    repeat coroutine.yield() until late or woken -- whoever else resumes it
    if timer then timer:stop() end
    entry = take(inbox)
    if late and not entry then
      return nil, ("no message within %s seconds"):format(timeout), "TIMEOUT"
    end
  end
  if entry then return entry[1], entry[2] end
  return nil, "this session is DISCONNECTED", "CLOSED"
end

--- for message, kind in node:messages() do ... end: until the session is DISCONNECTED. A message
-- counts as delivered when the loop asks for the next one; reading pauses meanwhile.
function co.messages(node)
  check_inside("node:messages")
  return function() return co.receive(node) end
end

core.node_methods.receive = co.receive
core.node_methods.messages = co.messages

return co
