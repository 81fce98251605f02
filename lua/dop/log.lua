--- dop.log: one hook for what an operator wants to read: fn(level, event, fields). Silent until one is set.
-- What the machine tells a watcher of its engine becomes entries here; what only lua/ knows (listening,
-- dialling, retries, drains) is entered where it happens. No message, token, header or query is ever in it.

local core = require "dop.core"

local log = {}

local hook

-- Numbers for nodes, which have no name but their secret.
local numbers, numbered = setmetatable({}, { __mode = "k" }), 0

local function number_of(node)
  if not numbers[node] then
    numbered = numbered + 1
    numbers[node] = numbered
  end
  return numbers[node]
end

-- A line is a line, whatever a peer wrote; what stands behind the path of a URL may be a secret.
local function clean(text)
  return (text:gsub("%c", " "):gsub("(%a[%w+]*://[^%s?]*)%?%S*", "%1"))
end

--- Whether somebody reads: without, nothing is to be made.
function log.on() return hook ~= nil end

--- Enters something: `fields` becomes the hook's. An error in the hook ends there.
function log.enter(level, event, fields)
  local fn = hook
  if not fn then return false end
  for name, value in pairs(fields) do
    if type(value) == "string" and name ~= "message" then fields[name] = clean(value) end
  end
  -- Through C, so that no coroutine can yield out of it.
  local ok, err = pcall(core.call, fn, level, event, fields)
  if not ok then io.stderr:write("dop: error in the log hook: ", tostring(err), "\n") end
  return ok
end

--- The fields that say of which transport something is.
function log.about(transport, fields)
  fields.role = transport.role
  local url = transport.url
  if url then fields.url = url:gsub("%?.*", "") end
  return fields
end

-- What an event of the machine says: a level and fields, of those behind `node`.
local of = {}

function of.open() return "debug", {} end
function of.connect(node) return "info", { lossless = node.lossless and 1 or 0 } end
function of.reconnecting(_, why) return "info", { why = why } end
function of.reconnect(_, info) return "info", { away = info.away, replayed = info.replayed } end
function of.close(_, code, why) return "debug", { code = code, why = why } end
function of.disconnect(_, why, unsettled) return "info", { why = why, unsettled = #unsettled } end
function of.status(_, new, old, why) return "debug", { new = new, old = old, why = why } end
function of.drain() return "debug", {} end
function of.accept(_, address, socket) return "debug", { address = address, socket = socket } end

-- Those that an operator can do something about, by another limit or another machine.
local caps = { pending = true, full = true, address = true, bytes = true, memory = true }

function of.refuse(_, address, status, why, cause, more)
  local code
  if cause == "tls" then code, why = why:match "^([%u_]+): (.*)$" end
  return caps[cause] and "warn" or "info",
    { address = address, status = status, why = why and why:gsub("%s+$", ""), cause = cause, code = code, more = more }
end

function of.over(transport)
  if transport.role ~= "server" then return end
  return "info", { drained = 1 }, "closed"
end

--- What the watcher of an engine is told. True when a complaint was taken.
function log.feed(event, subject, ...)
  if not hook then return false end
  if event == "complaint" then return log.enter("error", "error", { message = subject }) end
  local tell = of[event]
  if not tell then return false end
  local level, fields, name = tell(subject, ...)
  if not level then return false end
  local transport = subject.transport
  if transport then
    fields.node, fields.socket, fields.address = number_of(subject), subject.socket, subject.peer
  end
  log.about(transport or subject, fields)
  if event == "close" and select(3, ...) == "PROTOCOL" then
    local copy = {}
    for key, value in pairs(fields) do copy[key] = value end
    log.enter("warn", "violation", copy)
  end
  log.enter(level, name or event, fields)
  return false
end

-- The process's engine, once there is one.
local engine

local function watch() engine:watch(hook and log.feed or nil) end

--- The engine of the process's loop is there.
function log.attach(new)
  engine = new
  watch()
end

--- Sets the hook, or with nil takes it away. Returns the one before.
function log.set(fn)
  if fn ~= nil and type(fn) ~= "function" then
    error(("dop.log: a function or nil expected, got %s"):format(type(fn)), 2)
  end
  local before = hook
  hook = fn
  if engine then watch() end
  return before
end

return log
