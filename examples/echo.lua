-- A server that sends back whatever it is sent.  lua5.4 examples/echo.lua ws://127.0.0.1:4444/dop
-- Encrypted:  lua5.4 examples/echo.lua wss://127.0.0.1:4444/dop cert.pem key.pem
local dop = require "dop"

local server = assert(dop.listen {
  url = arg[1] or "ws://127.0.0.1:4444/dop",
  tls = arg[2] and { cert = arg[2], key = arg[3] },
})
server:on("message", function(node, message, kind)
  node:send(message, kind)
end)
print("listening on " .. server.url)
io.stdout:flush()
dop.run()
