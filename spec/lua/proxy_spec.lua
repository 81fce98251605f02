--- Through which HTTP proxy a client goes: the option, the environment, and a proxy that the spec is
-- itself.

local dop = require "dop"
local proxy = require "dop.proxy"
local real = require "spec.support.real"
local tunnel = require "spec.support.tunnel"
local url = require "dop.url"

local function choose(target, given, environment)
  local function getenv(name) return (environment or {})[name] end
  return proxy.choose(assert(url.parse(target)), given, getenv)
end

local function where(way) return way and way.proxy_host .. ":" .. way.proxy_port or way end

describe("the proxy of a client", function()
  after_each(real.close)

  it("is what the option says", function()
    local way = choose("ws://example.com/dop", "http://127.0.0.1:3128")
    assert.same({ proxy_host = "127.0.0.1", proxy_port = "3128", tunnel = "example.com:80" }, way)
    assert.equal("proxy:80", where(choose("ws://example.com/", "http://proxy/")))
    assert.equal("proxy:81", where(choose("ws://example.com/", "proxy:81")))
    assert.equal("::1:3128", where(choose("ws://example.com/", "http://[::1]:3128")))
    assert.equal("proxy:80", where(choose("ws://127.0.0.1/", "http://proxy"))) -- for this machine too
  end)

  it("is asked for the server by name and port, an IPv6 address in brackets", function()
    assert.equal("example.com:8080", choose("ws://example.com:8080/", "p:1").tunnel)
    assert.equal("[::1]:80", choose("ws://[::1]/", "p:1").tunnel)
  end)

  it("is told who we are", function()
    local function told(text) return choose("ws://example.com/", text).tunnel_headers end
    assert.is_nil(told "http://proxy")
    assert.equal("Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n",
      told "http://Aladdin:open%20sesame@proxy:3128")
    assert.equal(told "http://a:b%40c@proxy", told "http://a:b@c@proxy")
    assert.equal("Proxy-Authorization: Basic YTo=\r\n", told "http://a@proxy")
  end)

  it("is none with false, whatever the environment says, and for a unix socket", function()
    assert.is_nil(choose("ws://example.com/", false, { http_proxy = "http://p:1" }))
    assert.is_nil(choose("ws+unix:/tmp/x.sock", "http://p:1"))
    assert.is_nil(choose("local:x", nil, { all_proxy = "http://p:1" }))
  end)

  for _, text in ipairs { "", "http://", "http://:3128", "http://p:0", "http://p:65536", "http://p:x",
    "http://p/path", "http://p?q", "http://a b", "http://[::1", "https://p:1", "socks5://p:1", "http://a:%0d%0ab@p",
    "http://a%3ab@p" } do
    it(("is BADURL, without the password, when it is %q"):format(text), function()
      local secret = text:find("@", 1, true) and text or text:gsub("://", "://secret:secret@")
      for _, given in ipairs { text, secret } do
        local client, why, code = dop.connect { url = "ws://127.0.0.1:1/", proxy = given }
        if client then client:close() end
        assert.is_nil(client)
        assert.equal("BADURL", code)
        assert.truthy(why:find('^bad proxy %(option "proxy"%): '))
        assert.is_nil(why:find("secret", 1, true))
      end
    end)
  end

  it("is a URL or false: anything else is misuse", function()
    for _, given in ipairs { true, 1, {} } do
      local ok, why = pcall(dop.connect, { url = "ws://127.0.0.1:1/", proxy = given })
      assert.is_false(ok)
      assert.truthy(why:find('option "proxy"', 1, true))
    end
  end)
end)

describe("the environment", function()
  it("names the proxy, in small letters for ws: HTTP_PROXY may be anybody's", function()
    local target = "ws://example.com/"
    assert.equal("p:1", where(choose(target, nil, { http_proxy = "http://p:1", all_proxy = "http://q:2" })))
    assert.equal("q:2", where(choose(target, nil, { all_proxy = "http://q:2" })))
    assert.equal("q:2", where(choose(target, nil, { ALL_PROXY = "http://q:2" })))
    assert.is_nil(choose(target, nil, { HTTP_PROXY = "http://p:1", https_proxy = "http://p:1" }))
    assert.is_nil(choose(target, nil, { http_proxy = "", all_proxy = "http://q:2" }))
    assert.is_nil(choose(target, nil, {}))
  end)

  it("that names something else than an HTTP proxy is told so", function()
    local way, why = choose("ws://example.com/", nil, { all_proxy = "socks5://secret:secret@p:1" })
    assert.is_false(way)
    assert.truthy(why:find("bad proxy (all_proxy): ", 1, true))
    assert.is_nil(why:find("secret", 1, true))
  end)

  for _, host in ipairs { "127.0.0.1", "127.8.9.10", "[::1]", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST",
    "localhost.", "a.localhost", "0.0.0.0", "[::]" } do
    it("never names one for this machine: " .. host, function()
      assert.is_nil(choose("ws://" .. host .. ":4444/", nil, { http_proxy = "http://p:1", all_proxy = "http://p:1" }))
    end)
  end

  local lists = {
    -- no_proxy, then who goes straight on, then who does not
    { "*", { "example.com", "10.0.0.1", "[2001:db8::1]" }, {} },
    { "example.com", { "example.com", "EXAMPLE.com", "a.b.example.com", "example.com." },
      { "example.org", "xexample.com", "example.com.evil.org" } },
    { ".example.com", { "example.com", "a.example.com" }, { "xexample.com" } },
    { "*.example.com", { "a.example.com" }, { "xexample.com" } },
    { "a.org, example.com\tb.org", { "a.org", "example.com", "b.org" }, { "c.org" } },
    { "example.com:8080", { "example.com:8080", "a.example.com:8080" }, { "example.com" } },
    { "10.1.2.3", { "10.1.2.3" }, { "10.1.2.4", "x.10.1.2.3" } },
    { "10.1.2.3:80", { "10.1.2.3" }, { "10.1.2.3:81" } },
    { "10.0.0.0/8", { "10.255.0.1" }, { "11.0.0.1", "10.example.com" } },
    { "10.16.0.0/12", { "10.16.0.1", "10.31.255.255" }, { "10.32.0.0", "10.15.255.255" } },
    { "10.1.2.3/32", { "10.1.2.3" }, { "10.1.2.2" } },
    { "0.0.0.0/0", { "10.1.2.3" }, { "[2001:db8::1]", "example.com" } },
    { "10.0.0.0/33", {}, { "10.0.0.0" } },
    { "2001:db8::/33", { "[2001:db8:7fff::1]" }, { "[2001:db8:8000::1]", "[2001:db9::1]" } },
    { "[2001:db8::1]:80", { "[2001:db8:0:0:0:0:0:1]" }, { "[2001:db8::1]:81", "[2001:db8::2]" } },
    { "2001:db8::1", { "[2001:db8::1]" }, { "[2001:db8::2]" } },
    { "::ffff:10.0.0.1", { "10.0.0.1" }, { "10.0.0.2" } },
    { "", {}, { "example.com" } },
    { ", ,.", {}, { "example.com" } },
    { "1.2.3.4.5,256.1.1.1,::1::,/8", {}, { "1.2.3.4", "example.com" } },
  }
  for _, list in ipairs(lists) do
    it(("leaves out with no_proxy %q whom that means, and nobody else"):format(list[1]), function()
      for name in pairs { no_proxy = 1, NO_PROXY = 1 } do
        local environment = { http_proxy = "http://p:1", [name] = list[1] }
        for _, host in ipairs(list[2]) do assert.is_nil(choose("ws://" .. host .. "/", nil, environment), host) end
        for _, host in ipairs(list[3]) do
          assert.equal("p:1", where(choose("ws://" .. host .. "/", nil, environment)), host)
        end
      end
    end)
  end
end)

describe("a client behind a proxy", function()
  after_each(real.close)

  it("has its session through it, and the server's name is the proxy's to resolve", function()
    local server, asked = real.listen(), {}
    server:on("message", function(node, message) node:send(message:upper()) end)
    local middle = tunnel(server, "HTTP/1.1 200 Connection established\r\n\r\n", asked)
    local client = real.connect(server, {
      url = "ws://nothing.invalid:4444/dop", proxy = middle.proxy:gsub("//", "//a:b@"),
    })
    local heard
    client:on("message", function(_, message) heard = message end)
    client:send("through")
    real.wait("the echo", function() return heard end)
    assert.equal("THROUGH", heard)
    assert.equal("CONNECT nothing.invalid:4444 HTTP/1.1\r\nHost: nothing.invalid:4444\r\n" ..
      "Proxy-Authorization: Basic YTpi\r\n\r\n", asked[1])
    -- And so again for each socket.
    client.node:drop { reset = true }
    real.wait("the reconnection", function() return server:stats().reconnects == 1 end)
    assert.equal(2, #asked)
  end)

  it("hears of a proxy that refuses, by its code", function()
    for answer, code in pairs {
      ["HTTP/1.1 407 Who\r\n\r\n"] = "PROXY_AUTH", ["HTTP/1.1 502 Gone\r\n\r\n"] = "PROXY",
      ["nonsense\r\n\r\n"] = "PROXY",
    } do
      local server, told = real.listen(), nil
      local middle = tunnel(server, answer, {})
      real.connect(server, {
        proxy = middle.proxy,
        retry = function(_, why, c, info)
          told = { why, c, info.status }
          return nil
        end,
      })
      real.wait("the policy", function() return told end)
      assert.equal(code, told[2])
      assert.equal(tonumber(answer:match("(%d%d%d) ")), told[3])
      assert.equal(0, server:stats().sockets_opened)
    end
  end)

  it("hears of a proxy that is not there, by the proxy's name", function()
    local told
    real.connect({ url = "ws://127.0.0.1:1/" }, {
      proxy = "http://secret:secret@proxy.invalid:3128",
      retry = function(_, why) told = why return nil end,
    })
    real.wait("the policy", function() return told end)
    assert.truthy(told:find("proxy.invalid", 1, true), told)
    assert.is_nil(told:find("secret", 1, true))
  end)

  it("finds it in its environment", function()
    local asked = {}
    local middle = real.raw_server(nil, function(peer)
      asked[1] = peer.received
      peer:send("HTTP/1.1 403 No\r\n\r\n")
    end)
    local child = real.background([[
      local dop = require "dop"
      dop.connect { url = "ws://nothing.invalid/dop", retry = function(_, _, code) print(code) end }
      dop.run()
    ]], "no_proxy= http_proxy=" .. middle.url:gsub("^ws://", "http://"):gsub("/dop$", ""))
    real.wait("CONNECT", function() return asked[1] and asked[1]:find("\r\n\r\n", 1, true) end)
    assert.truthy(asked[1]:find("^CONNECT nothing%.invalid:80 HTTP/1%.1\r\n"))
    child:expect "^PROXY$"
  end)
end)
