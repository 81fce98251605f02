--- The one place through which lua/dop reaches its host: engine, timers, sockets, randomness. The host is
-- the process's one loop on libuv, made when it is first needed; inside world:run of dop.sim it is that
-- world. What is made on a host stays with it.

local core = require "dop.core"
local inproc = require "dop.inproc"
local log = require "dop.log"

local loop = {}

-- A host: engine(), get() for what listens, dials, waits and stops, random(), complain(text), the
-- `names` of its local: URLs, and perhaps made(transport), and getenv where there is an environment.
local real = { random = core.random, names = inproc.names(), getenv = os.getenv }
local host = real

local current, engine

function real.engine()
  if not engine then
    engine = core.engine()
    log.attach(engine)
  end
  return engine
end

function real.get()
  if not current then
    current = assert(require("dop.uv").loop(real.engine()))
  end
  return current
end

function real.stop()
  if current then current:stop() end
end

function real.complain(text)
  if log.feed("complaint", text) then return end
  io.stderr:write("dop: ", text, "\n")
end

--- The host of the moment.
function loop.host() return host end

--- Puts another host in its place and returns the one before. Whoever calls this puts that one back.
function loop.swap(other)
  local before = host
  host = other
  return before
end

--- The engine that transports live on.
function loop.engine() return host.engine() end

--- The loop that drives it.
function loop.get() return host.get() end

--- Runs until nothing is left that could happen, or dop.stop(). Returns true, or nil, "interrupted",
-- "INTERRUPTED" on the first Ctrl-C. Raises when it runs already.
function loop.run()
  local driver = host.get()
  if host == real and driver:running() then
    error("the loop runs already: dop.run was called from a handler", 2)
  end
  return driver:run()
end

--- Makes dop.run() return once the current handlers have returned. What is open stays open.
function loop.stop()
  host.stop()
end

--- Raises for what is no time to wait, at that level above the caller.
function loop.check_seconds(seconds, what, level)
  if type(seconds) == "number" and seconds >= 0 and seconds <= 1e9 then return end
  local got = type(seconds) == "number" and ("%.14g"):format(seconds) or type(seconds)
  error(("%s: seconds from 0 to 1e9 expected, got %s"):format(what, got), level + 1)
end

--- Calls fn once, after `seconds`. Returns a timer with :stop(), which tells whether it was still to
-- come.
function loop.timer(seconds, fn)
  loop.check_seconds(seconds, "dop.timer", 2)
  if type(fn) ~= "function" then error(("dop.timer: a function expected, got %s"):format(type(fn)), 2) end
  return host.get():timer(seconds, fn)
end

--- A number in [0, 1): from the system's CSPRNG, in a world from its seed.
function loop.random() return host.random() end

return loop
