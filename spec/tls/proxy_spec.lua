--- wss: through an HTTP proxy: TLS is with the server, begins behind the tunnel, and the name that the
-- certificate has to be for is the server's.

local certificates = require "spec.support.certificates"
local proxy = require "dop.proxy"
local real = require "spec.support.real"
local tunnel = require "spec.support.tunnel"
local url = require "dop.url"

local pki = certificates.new()
teardown(function() pki:remove() end)
after_each(real.close)

local function through(answer, host)
  local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity() }
  server:on("message", function(node, message) node:send(message:upper()) end)
  local asked, told = {}, nil
  local middle = tunnel(server, answer, asked)
  local client = real.connect(server, {
    url = ("wss://%s:4444/dop"):format(host), proxy = middle.proxy, tls = { ca = pki.ca },
    retry = function(_, why, code)
      told = { code, why }
      return nil
    end,
  })
  return client, asked, server, function() return told end
end

describe("a client of wss: behind a proxy", function()
  it("speaks TLS with the server, and of it the proxy sees nothing but bytes", function()
    local client, asked = through("HTTP/1.1 200 OK\r\n\r\n", "localhost")
    local heard
    client:on("message", function(_, message) heard = message end)
    client:send("through")
    real.wait("the echo", function() return heard end)
    assert.equal("THROUGH", heard)
    assert.equal("CONNECT localhost:4444 HTTP/1.1\r\nHost: localhost:4444\r\n\r\n", asked[1])
  end)

  it("believes nobody who is not the server, the proxy included", function()
    local _, _, server, told = through("HTTP/1.1 200 OK\r\n\r\n", "nothing.invalid")
    real.wait("the policy", told)
    assert.equal("TLS_HOST", told()[1])
    assert.equal(0, server:stats().connects)
  end)

  it("says nothing when the proxy makes no tunnel", function()
    local _, _, server, told = through("HTTP/1.1 407 Who\r\n\r\n", "localhost")
    real.wait("the policy", told)
    assert.equal("PROXY_AUTH", told()[1])
    assert.equal(0, server:stats().sockets)
  end)

  it("takes nothing for TLS that came with the proxy's answer", function()
    local _, _, _, told = through("HTTP/1.1 200 OK\r\n\r\n\22\3\3", "localhost")
    real.wait("the policy", told)
    assert.equal("PROXY", told()[1])
  end)

  it("finds it by https_proxy, in either case, and not by http_proxy", function()
    local function choose(environment)
      return proxy.choose(assert(url.parse "wss://example.com/"), nil, function(name) return environment[name] end)
    end
    assert.equal("example.com:443", choose({ https_proxy = "http://p:1" }).tunnel)
    assert.equal("p", choose({ HTTPS_PROXY = "http://p:1" }).proxy_host)
    assert.is_nil(choose { http_proxy = "http://p:1" })
    assert.is_nil(choose { https_proxy = "http://p:1", no_proxy = "example.com:443" })
  end)
end)
