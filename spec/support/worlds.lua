--- What specs in simulated worlds share.

local dop = require "dop"
local sim = require "dop.sim"

local worlds = {}

worlds.URL = "ws://server:80/"

--- A server that echoes and a client, made inside a running world. Options of either may be given.
function worlds.pair(server_options, client_options)
  local function given(options)
    local all = { url = worlds.URL }
    for name, value in pairs(options or {}) do all[name] = value end
    return all
  end
  local server = assert(dop.listen(given(server_options)))
  server:on("message", function(node, message, kind) node:send(message, kind) end)
  return server, assert(dop.connect(given(client_options)))
end

--- A world in which the pair was CONNECTED for some seconds.
function worlds.connected(options, server_options, client_options)
  local world = sim.new(options)
  local server, client
  world:run(2, function() server, client = worlds.pair(server_options, client_options) end)
  assert(client.node.status == "CONNECTED", world:trace())
  return world, server, client
end

--- The events of that name, in order: each {seconds, node, ...}.
function worlds.record(world, object, event)
  local log = {}
  object:on(event, function(...) log[#log + 1] = { world:now(), ... } end)
  return log
end

return worlds
