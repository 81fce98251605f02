--- A network between two ends that are really there: a proxy on 127.0.0.1 that passes bytes on, counts them,
-- and cuts connections in the middle of any byte's neighbours, politely or not.

local real = require "spec.support.real"

local cutter = {}

--- A proxy to the server. `after()` says, for each connection, after how many bytes it is cut, nil: never;
-- `see(bytes, from)` is shown what passes, from the "client" or the "server"; `how` is "reset" where both ends
-- shall see a reset. The proxy has `url`, `cuts` and `connections`.
function cutter.new(server, after, see, how)
  local proxy = { cuts = 0, connections = 0 }
  local function couple(client)
    local to_server = real.raw_client(server)
    local left = after and after()
    proxy.connections = proxy.connections + 1
    local function cut()
      client[how or "close"](client)
      to_server[how or "close"](to_server)
    end
    local function pass(from, to)
      return function(_, bytes)
        local most = left and math.min(left, #bytes) or #bytes
        if see then see(bytes:sub(1, most), from) end
        to:send(bytes:sub(1, most))
        if not left then return end
        left = left - most
        if left > 0 or most < 1 then return end
        proxy.cuts = proxy.cuts + 1
        cut()
      end
    end
    client.on_bytes, to_server.on_bytes = pass("client", to_server), pass("server", client)
    client.on_end, to_server.on_end = cut, cut
  end
  local listening = real.raw_server(couple)
  proxy.url = listening.url:gsub("^ws", server.url:match "^wss?")
  return proxy
end

return cutter
