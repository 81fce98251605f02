-- The server under attack: an echo with the library's own limits, but for times that a short round sees
-- the end of, and less memory for sessions that lost their socket, so that it is reached. "?" is answered
-- with what the server counted.
local dop = require "dop"

local closed = {}

local server = assert(dop.listen {
  url = "ws://127.0.0.1:0/dop",
  handshake_timeout = 2,
  close_timeout = 1,
  max_detached_bytes = 32 * 1024 * 1024,
})

server:on("close", function(_, code)
  local name = "closed" .. tostring(code)
  closed[name] = (closed[name] or 0) + 1
end)

local function report()
  local parts = {}
  for name, value in pairs(server:stats()) do parts[#parts + 1] = name .. "=" .. tostring(value) end
  for name, value in pairs(closed) do parts[#parts + 1] = name .. "=" .. value end
  return "?" .. table.concat(parts, " ") .. " "
end

server:on("message", function(node, message, kind)
  if message == "?" then
    node:send(report())
  else
    node:send(message, kind)
  end
end)

print("listening on " .. server.url)
io.stdout:flush()
dop.run()
