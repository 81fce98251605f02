--- Reconnection policies. A policy is any function(attempt, why, code, info) that returns the seconds to wait
-- before the next attempt, or nil to give up; `attempt` counts from 0 since the client was last
-- CONNECTED for a while, `why` is a sentence, `code` and `info` what a program can make of it: see
-- docs/api.md.

local loop = require "dop.loop"

local LONGEST = 1e9

local defaults = { first = 0.5, factor = 2, most = 20, jitter = true, attempts = math.huge, heed = 300 }

local function check(options)
  if type(options) ~= "table" then
    error(("dop.backoff: a table of options expected, got %s"):format(type(options)), 3)
  end
  for name, value in pairs(options) do
    local default = defaults[name]
    if default == nil then error(("dop.backoff has no option %q"):format(tostring(name)), 3) end
    if type(value) ~= type(default) then
      error(("dop.backoff: option %q: %s expected, got %s"):format(name, type(default), type(value)), 3)
    end
    local least = name == "factor" and 1 or 0
    if type(value) == "number" and (value < least or value ~= value) then
      error(("dop.backoff: option %q: at least %d expected, got %s"):format(name, least, value), 3)
    end
  end
end

--- The default policy: waits at most `first` seconds (0.5) before the first attempt, at most `factor`
-- (2) times as long before each further one, never above `most` (20). With `jitter` (true) the wait is
-- drawn evenly from 0 to that bound, so that a thousand clients which lost the same server do not
-- come back in the same instant. When the server asks to be left alone for some seconds (Retry-After),
-- they come first, up to `heed` (300). Gives up after `attempts` (never).
return function(options)
  if options == nil then options = {} end
  check(options)
  local o = setmetatable({}, { __index = defaults })
  for name, value in pairs(options) do o[name] = value end
  return function(attempt, _, _, info)
    if attempt >= o.attempts then return nil end
    -- No wait is longer than a policy's may be, and zero times what is larger than any number is zero.
    local bound = math.min(o.most, LONGEST, o.first * math.min(o.factor ^ attempt, 1e300))
    local asked = info and info.retry_after or 0
    return math.min(LONGEST, math.min(asked, o.heed) + (o.jitter and bound * loop.random() or bound))
  end
end
