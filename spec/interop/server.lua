-- The server under test of the peer's client scenes (README.md): it echoes every data message in its
-- kind, and disconnects on "please disconnect".
--   lua5.4 server.lua [LIMIT=SECONDS ...]     such as resume_window=1
local dop = require "dop"

local options = { url = "ws://127.0.0.1:0/dop" }
for _, given in ipairs(arg) do
  local name, value = given:match("^([%w_]+)=([%d.]+)$")
  options[assert(name, "LIMIT=SECONDS expected, got " .. given)] = tonumber(value)
end

local server = assert(dop.listen(options))

server:on("message", function(node, message, kind)
  if kind == "text" and message == "please disconnect" then
    assert(node:disconnect())
  else
    assert(node:send(message, kind))
  end
end)

io.stdout:write("listening ", server.url, "\n")
io.stdout:flush()
dop.run()
