--- The names of `local:` URLs: who listens under which, on one host.

local core = require "dop.core"

local inproc = {}

--- The names of a host, none yet. They keep no server: who listens is kept otherwise, and one that found no memory on
-- the way there, perhaps none to be closed either, is garbage.
function inproc.names() return setmetatable({}, { __mode = "v" }) end

--- Enters a server. true, or nil, message, "EADDRINUSE".
function inproc.bind(host, name, server)
  if host.names[name] then collectgarbage() end -- such a one
  if host.names[name] then
    return nil, ("cannot listen: local:%s is in use"):format(name), "EADDRINUSE"
  end
  host.names[name] = server
  return true
end

--- Takes it out again; another server that has the name meanwhile keeps it.
function inproc.unbind(host, name, server)
  if host.names[name] == server then host.names[name] = nil end
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
