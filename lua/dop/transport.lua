--- What servers and clients have in common beyond the machine: closing.

local core = require "dop.core"
local log = require "dop.log"
local options = require "dop.options"

local function check(transport, given)
  options.check_self(transport, "transport:close()", 3)
  if given == nil then return end
  if type(given) ~= "table" then
    error(("close: a table of options expected, as in { drain = 10 }, got %s"):format(type(given)), 3)
  end
  for name in pairs(given) do
    if name ~= "drain" then error(("close has no option %q"):format(tostring(name)), 3) end
  end
  local drain = given.drain
  if drain == nil then return end
  if transport.role ~= "server" then error('close: option "drain" is for servers', 3) end
  if type(drain) ~= "number" or not (drain >= 0 and drain <= 1e9) then
    error(('close: option "drain": seconds from 0 to 1000000000 expected, got %s'):format(tostring(drain)), 3)
  end
  return drain
end

--- Closes the transport. A server stops listening, its sockets are closed with 1001 and its sessions
-- end (`disconnect`, reason "closed"); the clients do not take that for a formal end and may come
-- back. With `drain` it stops listening and each session ends, with 1012, once nothing of it waits, the
-- rest after so many seconds. A client ends its session formally. A second call ends a drain, and does
-- nothing otherwise.
function core.transport_methods.close(transport, given)
  local drain = check(transport, given)
  local values = core.values(transport)
  local unbind, cancel = values.unbind, values.cancel
  values.unbind, values.cancel = nil, nil
  -- What keeps a loop going without a socket stays until the end.
  local release = unbind and unbind()
  if cancel then cancel() end
  if drain and not transport.draining and not transport.closed then
    if release then values[core.over] = { release } end
    if log.on() then
      log.enter("info", "draining", log.about(transport, { seconds = drain, nodes = transport:stats().nodes }))
    end
    transport:drain_sessions(drain)
    return
  end
  if release then release() end
  if log.on() and transport.role == "server" and values.url and not transport.closed and not transport.draining then
    log.enter("info", "closed", log.about(transport, { nodes = transport:stats().nodes }))
  end
  transport:end_sessions()
end
