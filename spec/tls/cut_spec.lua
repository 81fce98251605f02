--- wss: connections that end in the middle of their handshake, politely or by a reset. Both ends are told so by a
-- code, hold nothing of it, and the client dials again; a session beside it goes on.

local certificates = require "spec.support.certificates"
local cutter = require "spec.support.cutter"
local real = require "spec.support.real"

local pki = certificates.new()
teardown(function() pki:remove() end)
after_each(real.close)

local function connected(url, more)
  local options = { url = url, tls = { ca = pki.ca } }
  for name, value in pairs(more or {}) do options[name] = value end
  local client = real.connect(nil, options)
  real.wait("the session", function() return client.node.status == "CONNECTED" end)
  return client
end

-- How many bytes the client says, and then the server, until it is the client's turn again.
local function rehearse(server)
  local sizes, last = {}, nil
  local proxy = cutter.new(server, nil, function(bytes, from)
    if from ~= last then sizes[#sizes + 1] = 0 end
    last = from
    sizes[#sizes] = sizes[#sizes] + #bytes
  end)
  connected(proxy.url):close()
  real.wait("the end", function() return server:stats().sockets == 0 end)
  return sizes[1], sizes[2]
end

-- Of a reset that comes along with bytes libuv says no more than that it is the end.
local expected = { EOF = true, ECONNRESET = true }

for _, how in ipairs { "close", "reset" } do
  describe("a handshake that ends by a " .. how, function()
    it("at any of its steps, fails at both ends", function()
      local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity() }
      server:on("message", function(node, message) node:send(message) end)
      local hello, answer = rehearse(server)
      local beside = connected(server.url)
      local log = real.record(beside, { "message", "close" })
      local before, refused = real.registry_count(), 0
      for _, at in ipairs {
        1, 5, 6, hello - 1, hello, hello + 1, hello + 5, hello + 200, hello + answer - 1, hello + answer,
        hello + answer + 20,
      } do
        local told = {}
        local proxy
        proxy = cutter.new(server, function() return proxy.connections == 0 and at or nil end, nil, how)
        local client = connected(proxy.url, { retry = function(attempt, why, code)
          told[#told + 1] = code or why
          return attempt < 5 and 0 or nil
        end })
        assert.equal(1, #told, at)
        assert.truthy(expected[told[1]], told[1])
        refused = refused + 1
        assert.equal(refused, server:stats().refused_tls, at)
        client:close()
        real.wait("its end", function() return server:stats().sockets == 1 end)
      end
      assert.equal(0, server:stats().pending)
      assert.equal(before, real.registry_count())
      assert(beside:send "ping")
      real.wait("the echo", function() return log[1] end)
      assert.equal(0, log:count "close")
    end)
  end)
end
