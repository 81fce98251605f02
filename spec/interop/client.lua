-- The client under test of the peer's server scenes (README.md): it says a few things after each
-- `connect` and `reconnect`, and one while it has no socket, dials again nearly at once, and
-- disconnects on "please disconnect". Whatever it writes to its output is a complaint.
--   lua5.4 client.lua URL
local dop = require "dop"

local client = assert(dop.connect { url = arg[1], retry = function() return 0.02 end })

-- What was said in this session and did not come back yet, oldest first. Plain DOP loses what is
-- under way when a socket is cut, but it never brings anything twice, changed, or out of order.
local said, count = {}, 0

local function say(node, kind, size)
  count = count + 1
  local message = ("%d %s"):format(count, ("x"):rep(size))
  if kind == "binary" then message = "\0\255" .. message end
  assert(node:send(message, kind))
  said[#said + 1] = { message = message, kind = kind }
end

local function talk(node)
  for _, size in ipairs { 0, 125, 126, 70000 } do
    say(node, "text", size)
    say(node, "binary", size)
  end
end

local function begin(node)
  said = {}
  talk(node)
end

client:on("connect", begin)
client:on("reconnect", talk)
client:on("reconnecting", function(node) say(node, "text", 7) end)

client:on("message", function(node, message, kind)
  if kind == "text" and message == "please disconnect" then
    assert(node:disconnect())
    return
  end
  repeat
    local oldest = table.remove(said, 1)
    if not oldest then
      print(("an echo of nothing that was said: %s of %d bytes, %q"):format(kind, #message, message:sub(1, 48)))
      return
    end
  until oldest.message == message and oldest.kind == kind
end)

dop.run()
