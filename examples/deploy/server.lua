-- A server for production, the frame of one: it answers a load balancer, logs, and drains when it is told to
-- end.  DOP_URL=ws://127.0.0.1:4444/dop lua5.4 examples/deploy/server.lua
--
-- SIGINT (Ctrl-C, or systemd's KillSignal) is the sign to drain; a second one ends the process at once.
local dop = require "dop"

-- One line an event, key=value: systemd's journal adds the time.
dop.log(function(level, event, fields)
  if level == "debug" then return end
  local words = {}
  for name, value in pairs(fields) do words[#words + 1] = ("%s=%s"):format(name, value) end
  table.sort(words)
  io.stderr:write(level, " ", event, " ", table.concat(words, " "), "\n")
end)

local server = assert(dop.listen {
  url = os.getenv "DOP_URL" or "ws://127.0.0.1:4444/dop",
  health = "/health",
  reuse_port = true, -- the next process may take the port while this one drains
})

server:on("message", function(node, message, kind)
  node:send(message, kind) -- your application
end)

local _, _, code = dop.run()
if code == "INTERRUPTED" then
  server:close { drain = 20 }
  dop.run()
end
