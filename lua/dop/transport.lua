--- What servers and clients have in common beyond the machine: closing.

local core = require "dop.core"

--- Closes the transport. A server stops listening, its sockets are closed with 1001 and its sessions
-- end (`disconnect`, reason "closed"); the clients do not take that for a formal end and may come
-- back. A client ends its session formally. The second call does nothing.
function core.transport_methods.close(transport)
  local values = core.values(transport)
  local unbind, state = values.unbind, values.state
  values.unbind = nil
  if unbind then unbind() end
  if state and state.timer then
    state.timer:stop()
    state.timer = nil
  end
  transport:end_sessions()
end
