--- A server that has no descriptor left: sessions go on, who comes is turned away at once, nothing spins, and
-- whoever comes when there are descriptors again gets in.

local process = require "spec.real.process"
local real = require "spec.support.real"

after_each(process.close)
after_each(real.close)

local SERVER = [[
  local dop = require "dop"
  local server = assert(dop.listen { url = ..., lossless = false })
  server:on("message", function(node, message) node:send(message) end)
  local function report()
    print(("at sockets=%d cpu=%.3f"):format(server:stats().sockets, os.clock()))
    dop.timer(0.1, report)
  end
  print("listening " .. server.url)
  report()
  dop.run() ]]

local function figures(server) return process.figures(server:expect "^at (.*)$") end

describe("a server without a descriptor to spare", function()
  it("turns away who comes, serves who is there, and recovers", function()
    local server = process.script(SERVER, "ws://127.0.0.1:0/")
    local url = server:expect "^listening (%S+)$"
    local client = real.connect { url = url }
    local echoed
    client:on("message", function(_, message) echoed = message end)
    local function echo(message)
      client:send(message)
      real.wait("the echo of " .. message, function() return echoed == message end)
    end
    echo "before"
    assert(os.execute(("prlimit --pid %d --nofile=40:40"):format(server.pid)))
    local crowd, turned_away = {}, 0
    for _ = 1, 80 do crowd[#crowd + 1] = real.raw_client { url = url } end
    real.wait("some to be turned away", function()
      turned_away = 0
      for _, p in ipairs(crowd) do if p.ended then turned_away = turned_away + 1 end end
      return turned_away >= 40
    end)
    echo "meanwhile"
    local before = figures(server)
    assert.is_true(before.sockets < 40, before.sockets)
    local after
    for _ = 1, 5 do after = figures(server) end
    assert.is_true(after.cpu - before.cpu < 0.25, ("%.3f s of CPU in half a second"):format(after.cpu - before.cpu))
    for _, p in ipairs(crowd) do p:close() end
    real.wait("the crowd to be gone", function() return figures(server).sockets == 1 end)
    local late = real.connect { url = url }
    real.wait("a late client", function() return late.node.status == "CONNECTED" end)
    echo "after"
    assert.equal(1, client:stats().sockets_opened)
  end)
end)
