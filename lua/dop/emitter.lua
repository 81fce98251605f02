--- on, off and once, for transports and nodes alike. The lists of handlers lie where the core finds
-- them, under the event's number; a list is never changed, on and off put a new one in its place, so
-- that a handler may add and remove handlers of the event that it is called for.

local core = require "dop.core"

local emitter = {}

-- From the wrapper of once() that stands in a list to its function, which the wrapper keeps: weak on
-- both sides, since LuaJIT would keep a function, and all that it refers to, for ever.
local wrappers = setmetatable({}, { __mode = "kv" })

local function unknown(event)
  if type(event) == "function" then return "no such event: a function; write object:on(...), with a colon" end
  local names = {}
  for name in pairs(core.events) do names[#names + 1] = name end
  table.sort(names)
  return ("no such event: %s (there are %s)"):format(
    type(event) == "string" and ("%q"):format(event) or type(event), table.concat(names, ", "))
end

--- Raises for an event that does not exist and for what is no function, at that level.
function emitter.check(event, fn, level)
  if not core.events[event] then error(unknown(event), level) end
  if type(fn) ~= "function" then error(("a function expected, got %s"):format(type(fn)), level) end
end

local function add(object, event, fn)
  local handlers, number = core.values(object), core.events[event]
  local list = { fn }
  for i, other in ipairs(handlers[number] or {}) do
    list[i], list[i + 1] = other, fn
  end
  handlers[number] = list
end

--- Calls `fn` for every such event from the next one on, after those that were there before.
-- Returns `fn`. Raises for an event that does not exist.
function emitter.on(object, event, fn)
  emitter.check(event, fn, 3)
  add(object, event, fn)
  return fn
end

--- The same, for one event only. `off` takes the same `fn`.
function emitter.once(object, event, fn)
  emitter.check(event, fn, 3)
  local function wrapper(...)
    emitter.off(object, event, wrapper)
    return fn(...)
  end
  wrappers[wrapper] = fn
  add(object, event, wrapper)
  return fn
end

--- Removes `fn`, as often as it was added; without `fn` all handlers of the event. Returns how many.
function emitter.off(object, event, ...)
  local fn = ...
  if fn == nil and select("#", ...) > 0 then error("a function expected, got nil", 2) end
  local number = core.events[event]
  if not number then error(unknown(event), 2) end
  local handlers = core.values(object)
  local old, list = handlers[number] or {}, {}
  for _, other in ipairs(old) do
    if fn ~= nil and other ~= fn and wrappers[other] ~= fn then list[#list + 1] = other end
  end
  handlers[number] = #list > 0 and list or nil
  return #old - #list
end

for name, method in pairs { on = emitter.on, once = emitter.once, off = emitter.off } do
  core.transport_methods[name] = method
  core.node_methods[name] = method
end

return emitter
