--- The process's one loop: made when it is first needed, shared by all transports of this Lua state.

local core = require "dop.core"

local loop = {}

local current, engine

--- The engine that transports of this Lua state live on.
function loop.engine()
  if not engine then engine = core.engine() end
  return engine
end

--- The libuv loop that drives it.
function loop.get()
  if not current then
    current = assert(require("dop.uv").loop(loop.engine()))
  end
  return current
end

--- Runs until nothing is left that could happen, or dop.stop(). Returns true, or nil, "interrupted",
-- "INTERRUPTED" on the first Ctrl-C. Raises when it runs already.
function loop.run()
  return loop.get():run()
end

--- Makes dop.run() return once the current handlers have returned. What is open stays open.
function loop.stop()
  if current then current:stop() end
end

--- Calls fn once, after `seconds`. Returns a timer with :stop(), which tells whether it was still to
-- come.
function loop.timer(seconds, fn)
  return loop.get():timer(seconds, fn)
end

return loop
