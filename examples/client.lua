-- Says something every second and prints what comes back; stop and start the server meanwhile.
--   lua5.4 examples/client.lua ws://127.0.0.1:4444/dop
local dop = require "dop"

local client = assert(dop.connect {
  url = arg[1] or "ws://127.0.0.1:4444/dop",
  -- The reconnection policy: at most 0.5 s before the first attempt, then 1, 2, 4 ... up to 20.
  retry = function(attempt, why)
    local wait = math.min(20, 0.5 * 2 ^ attempt) * dop.random()
    print(("no connection (%s), next attempt in %.1f s"):format(why, wait))
    return wait
  end,
})

client:on("status", function(_, new, old) print(old .. " -> " .. new) end)
client:on("message", function(_, message) print("received: " .. message) end)

dop.go(function()
  local n = 0
  while not client.closed do
    n = n + 1
    -- Queued while there is no connection; refused, and said so, when the queue is full.
    local ok, why = client:send("hello " .. n)
    if not ok then print("not sent: " .. why) end
    dop.sleep(1)
  end
end)

if select(3, dop.run()) == "INTERRUPTED" then
  client:close() -- a formal end: the server need not wait for us
  dop.run()
end
