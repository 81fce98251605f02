-- Sessions that wait for clients that are gone, more of them and with more in their queues than the caps allow:
-- the oldest make room, and the process takes no more memory than the options promise. Each scenario of caps.lua
-- is a process of its own.
--
-- NETWORK_NODES (24,000): sessions; the caps are as much smaller as this is below 120,000, where they are the
-- defaults.

local process = require "spec.real.process"
local real = require "spec.support.real"

local NODES = process.setting("NETWORK_NODES", 24000)
local SECONDS = 60 + NODES / 200

after_each(process.close)
after_each(real.close)

local table_head = ("\n%-8s %9s %12s %9s %12s %12s %11s"):format("scenario", "sessions", "in queues", "evicted",
  "memory", "bound", "a session")

describe("the memory of sessions that wait is bounded", function()
  for _, scenario in ipairs { "empty", "even", "hollow", "full", "half", "later" } do
    it("in the scenario " .. scenario, function()
      local p = process.lua(process.LUA, nil, SECONDS, "spec/real/caps.lua", scenario, NODES)
      local f = process.figures(p:expect("^scenario=(.*)$", SECONDS))
      print(("%s\n%-8s %9d %12.0f %9d %12.0f %12.0f %11.0f"):format(table_head, scenario, f.detached, f.bytes,
        f.evicted, f.rss, f.bound, f.each))
      table_head = ""
      assert.is_true(f.evicted > 0)
      assert.is_true(f.rss > 0 and f.rss <= f.bound, ("%d bytes are more than %d"):format(f.rss, f.bound))
    end)
  end
end)
