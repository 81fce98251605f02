--- The names of `local:` URLs: who listens under which, in this Lua state.

local core = require "dop.core"

local inproc = {}

local servers = {}

--- Enters a server. true, or nil, message, "EADDRINUSE".
function inproc.bind(name, server)
  if servers[name] then
    return nil, ("cannot listen: local:%s is in use"):format(name), "EADDRINUSE"
  end
  servers[name] = server
  return true
end

function inproc.unbind(name)
  servers[name] = nil
end

--- Joins a client to the server of that name. true, or nil, message, code.
function inproc.dial(client, name)
  local server = servers[name]
  if not server then
    return nil, ("nobody listens on local:%s"):format(name), "ECONNREFUSED"
  end
  return core.inproc(client, server, name)
end

return inproc
