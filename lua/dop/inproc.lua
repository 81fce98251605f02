--- The names of `local:` URLs: who listens under which, on one host.

local core = require "dop.core"

local inproc = {}

--- Enters a server. true, or nil, message, "EADDRINUSE".
function inproc.bind(host, name, server)
  if host.names[name] then
    return nil, ("cannot listen: local:%s is in use"):format(name), "EADDRINUSE"
  end
  host.names[name] = server
  return true
end

function inproc.unbind(host, name)
  host.names[name] = nil
end

--- Joins a client to the server of that name. true, or nil, message, code.
function inproc.dial(host, client, name)
  local server = host.names[name]
  if not server then
    return nil, ("nobody listens on local:%s"):format(name), "ECONNREFUSED"
  end
  return core.inproc(client, server, name)
end

return inproc
