--- What servers and clients have in common beyond the machine: closing.

local core = require "dop.core"

--- Closes the transport. A server stops listening, its sockets are closed with 1001 and its sessions
-- end (`disconnect`, reason "closed"); the clients do not take that for a formal end and may come
-- back. A client ends its session formally. The second call does nothing.
function core.transport_methods.close(transport)
  local values = core.values(transport)
  local unbind, cancel = values.unbind, values.cancel
  values.unbind, values.cancel = nil, nil
  if unbind then unbind() end
  if cancel then cancel() end
  transport:end_sessions()
end
