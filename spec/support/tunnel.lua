--- An HTTP proxy on 127.0.0.1 that the spec is itself: tunnel(server, answer, asked). What it is asked
-- goes into `asked`; `answer` is what it says, and with a 200 it leads to the server, whatever was asked.
-- `proxy` is its URL.

local real = require "spec.support.real"

return function(server, answer, asked)
  local ends = {}
  local to = { url = server.url:gsub("^wss:", "ws:") }
  local middle = real.raw_server(nil, function(peer, bytes)
    if ends[peer] then return ends[peer]:send(bytes) end
    if not peer.received:find("\r\n\r\n", 1, true) then return end
    asked[#asked + 1] = peer.received
    peer:send(answer)
    if not answer:find("^HTTP/1%.1 200") then return peer:close() end
    ends[peer] = real.raw_client(to)
    ends[peer].on_bytes = function(_, back) peer:send(back) end
  end)
  middle.proxy = middle.url:gsub("^ws://", "http://"):gsub("/dop$", "")
  return middle
end
