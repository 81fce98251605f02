-- A server that sends back whatever it is sent.  lua5.4 examples/echo.lua ws://127.0.0.1:4444/dop
local dop = require "dop"

local server = assert(dop.listen { url = arg[1] or "ws://127.0.0.1:4444/dop" })
server:on("message", function(node, message, kind)
  node:send(message, kind)
end)
print("listening on " .. server.url)
io.stdout:flush()
dop.run()
