--- The shortest story: two ends, a message there and back, over each kind of URL.

local real = require "spec.support.real"

describe("a session", function()
  after_each(real.close)

  local unix = "ws+unix:" .. os.tmpname() .. ".sock:/dop"
  for _, url in ipairs { "ws://127.0.0.1:0/dop", "ws://[::1]:0/dop", unix, "local:spec" } do
    it("carries a message there and back over " .. url, function()
      local _, client = real.pair { url = url }
      local heard
      client:on("message", function(_, message, kind) heard = { message, kind } end)
      client:send("bytes \0\255", "binary")
      real.wait("the echo", function() return heard end)
      assert.same({ "bytes \0\255", "binary" }, heard)
    end)
  end
end)
