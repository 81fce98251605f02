--- What dop.listen and dop.connect have in common: checking options, and turning them into a transport.

local core = require "dop.core"
local emitter = require "dop.emitter"
local loop = require "dop.loop"
local url = require "dop.url"

local options = {}

local limits = {}
for _, name in ipairs(core.limits) do
  -- A half shorter than 16 bytes is for tests of the machine alone.
  if name ~= "half_min" then limits[name] = true end
end

--- Raises, at that level, for an object of a method written in Lua that is no server or client; `call` is how
-- it is to be written.
function options.check_self(object, call, level)
  if type(object) == "userdata" and object.role then return end
  error(("a server or client expected, got %s: write %s, with a colon"):format(type(object), call), level + 1)
end

--- Raises, at that level, for keys of a list that nobody would read.
function options.check_list(list, what, level)
  for key in pairs(list) do
    if type(key) ~= "number" or key ~= 1 and list[key - 1] == nil then
      error(("%s: a list expected, got the key %s"):format(what, tostring(key)), level + 1)
    end
  end
end

-- Further subprotocols as the machine takes them.
local function check_protocols(list, where)
  options.check_list(list, ('%s: option "protocols"'):format(where), 4)
  local seen = {}
  for i, name in ipairs(list) do
    local ours = type(name) == "string" and (name .. "."):find("^[Dd][Oo][Pp]%.")
    if type(name) ~= "string" or #name > 48 or not core.header_ok(name, "") or ours then
      error(('%s: option "protocols": a token of at most 48 bytes, not dop, expected, got %s'):format(where,
        tostring(name)), 4)
    end
    if seen[name] or i > 16 then
      error(('%s: option "protocols": at most 16 different ones expected, got %q'):format(where, name), 4)
    end
    seen[name] = true
  end
end

--- Raises for an option that is not a limit and not among `known` (name to type), of a wrong type, or
-- out of range.
function options.check(given, known, where)
  if type(given) ~= "table" then
    error(("%s: a table of options expected, as in { url = ... }, got %s"):format(where, type(given)), 3)
  end
  for name, value in pairs(given) do
    local kind = known[name]
    if name == 1 then
      error(("%s has no option without a name: write url = ..., not the URL alone"):format(where), 3)
    end
    if not kind and not limits[name] then
      error(("%s has no option %q"):format(where, tostring(name)), 3)
    end
    if kind and not (" " .. kind .. " "):find(" " .. type(value) .. " ", 1, true) then
      error(("%s: option %q: %s expected, got %s"):format(where, name, kind:gsub(" ", " or "), type(value)), 3)
    end
  end
  local wrong = core.wrong_limit(given) or core.wrong_compression(given.compression)
  if wrong then error(("%s: %s"):format(where, wrong), 3) end
  local high, low = given.high_mark or core.defaults.high_mark, given.low_mark
  if low and low > high then
    error(('%s: option "low_mark": at most "high_mark" expected, %d, got %d'):format(where, high, low), 3)
  end
  if given.protocols then check_protocols(given.protocols, where) end
  if not given.url then error(("%s: option \"url\" is missing"):format(where), 3) end
end

-- What Lua, the core and libuv say alike.
local function is_memory(message)
  return type(message) == "string" and message:find("not enough memory", 1, true) ~= nil
end

--- Calls fn(transport, ...), which returns nothing, or true, message, code where it fails. Returns the
-- transport, or nil, message, code, also when there is not enough memory; the transport is closed then.
function options.finish(transport, fn, ...)
  local ok, failed, why, code = pcall(fn, transport, ...)
  if ok and not failed then return transport end
  transport:close()
  if ok then return nil, why, code end
  if is_memory(failed) then return nil, failed, "ENOMEM" end
  error(failed, 0)
end

local function furnish(transport, given, host)
  core.values(transport).host = host -- which is there as long as one of its transports
  if host.made then host.made(transport, given.url) end
  for event, fn in pairs(given.on or {}) do emitter.on(transport, event, fn) end
end

--- A transport of that role with its URL and the handlers of options.on, for the caller to finish. nil,
-- message, code for a URL that is none.
function options.transport(role, given)
  local parsed, why, code = url.parse(given.url)
  if not parsed then return nil, why, code end
  -- What is wrong must raise before there is a transport: an open one keeps itself.
  for event, fn in pairs(given.on or {}) do emitter.check(event, fn, 4) end
  local passed = { lossless = given.lossless ~= false, compression = given.compression, unkept = true }
  if given.protocols and given.protocols[1] then passed.protocols = table.concat(given.protocols, ", ") end
  for name in pairs(limits) do passed[name] = given[name] end
  local host = loop.host()
  local ok, engine = pcall(host.engine)
  if not ok then return nil, engine, "ENOMEM" end -- nothing else can be wrong with it
  local transport
  transport, why, code = core.transport(engine, role, passed)
  if not transport then return nil, why, code end
  local made
  made, why, code = options.finish(transport, furnish, given, host)
  if not made then return nil, why, code end
  return transport, parsed
end

return options
