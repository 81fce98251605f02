--- wss: for how long a handshake stands for those that resume it.

local certificates = require "spec.support.certificates"
local preload = require "spec.support.preload"

local pki = certificates.new()
teardown(function() pki:remove() end)

describe("tickets that follow one another", function()
  -- A session on three connections, the second and the third an hour and two hours after the first by the
  -- clock of one end; the other's goes as always. What its client says of resumption, one word each.
  local function resumed(ahead)
    return (preload.with(ahead == "server" and "HURRY=4000" or "", ([[
      local dop = require "dop"
      local url, ahead = arg[1], %q
      if url then
        local client = assert(dop.connect { url = url, tls = { ca = %q }, retry = function() return 0 end })
        local times = 0
        local function said(node)
          io.write(tostring(node.tls.resumed), " ")
          io.flush()
          times = times + 1
          if times == 3 then client:close() end
        end
        client:on("connect", said)
        client:on("reconnect", said)
        dop.timer(0.9, function() client.node:drop() end)
        dop.timer(2, function() client.node:drop() end)
      else
        local server = assert(dop.listen { url = "wss://127.0.0.1:0/", tls = { cert = %q, key = %q } })
        server:on("disconnect", function() server:close() end)
        local hurry = ahead == "client" and "env HURRY=4000" or "env -u HURRY"
        os.execute(("%%s '%%s' '%%s' %%s &"):format(hurry, arg[-1], arg[0], server.url))
      end
      dop.run()
    ]]):format(ahead, pki.ca, pki.server, pki:key "server")))
  end

  it("bring a client in without its certificate for two hours and no longer", function()
    assert.equal("false true false ", resumed "server")
  end)

  it("spare a server's certificate a client's eyes for two hours and no longer", function()
    assert.equal("false true false ", resumed "client")
  end)
end)
