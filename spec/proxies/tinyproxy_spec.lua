--- tinyproxy between a client and its server: sessions over CONNECT, with TLS and without, that outlive cut
-- sockets; and what a client hears when the proxy does not let it through.

local certificates = require "spec.support.certificates"
local programs = require "spec.proxies.programs"
local real = require "spec.support.real"

local pki = certificates.new()
teardown(function() pki:remove() end)
after_each(programs.close)
after_each(real.close)

local function echo_server(options)
  local server = real.listen(options)
  server:on("message", function(node, message, kind) node:send(message, kind) end)
  return server
end

local function port_of(server) return server.url:match ":(%d+)/" end

-- Waits until the proxy was asked for the server as often as that.
local function was_asked(program, server, times)
  for _ = 1, times do program:expect("Request.* CONNECT 127%.0%.0%.1:" .. port_of(server) .. " HTTP/1%.1") end
end

-- Messages of all sizes come back whole, before a cut and after it, each socket through the proxy.
local function has_its_session(server, options)
  local heard, client = {}, real.connect(server, options)
  client:on("message", function(_, message) heard[#heard + 1] = message end)
  for round, message in ipairs { "small", ("x"):rep(300000), "after a cut", ("\0\255"):rep(100000) } do
    assert(client:send(message, "binary"))
    real.wait("message " .. round, function() return #heard == round end, 10)
    assert.is_true(heard[round] == message)
    if round == 2 then
      server:nodes()[1]:drop { reset = true }
      real.wait("the return", function() return server:stats().reconnects == 1 end, 10)
    end
  end
  return client
end

describe("a client behind tinyproxy", function()
  it("has its session with a ws: server", function()
    local proxy, program = programs.tinyproxy()
    local server = echo_server()
    has_its_session(server, { proxy = proxy })
    was_asked(program, server, 2)
  end)

  it("has its session with a wss: server, whose certificate it sees and not the proxy's word", function()
    local proxy, program = programs.tinyproxy()
    local server = echo_server { url = "wss://127.0.0.1:0/dop", tls = pki:identity "server" }
    local client = has_its_session(server, { proxy = proxy, tls = { ca = pki.ca } })
    assert.equal("TLSv1.3", client.node.tls.version)
    was_asked(program, server, 2)
    local code
    real.connect(server, { proxy = proxy, tls = { ca = pki.other_ca }, retry = function(_, _, c) code = c end })
    real.wait("the refusal", function() return code end, 10)
    assert.equal("TLS_UNTRUSTED", code)
  end)

  it("is let through by name and password", function()
    local proxy, program = programs.tinyproxy "BasicAuth somebody open.sesame"
    local server = echo_server()
    has_its_session(server, { proxy = proxy:gsub("//", "//somebody:open%%2esesame@") })
    was_asked(program, server, 2)
  end)
end)

-- Dials once, and returns what the policy hears.
local function refusal(server, options)
  local told
  options.retry = function(_, why, code, info) told = { why = why, code = code, status = info.status } end
  real.connect(server, options)
  real.wait("the policy", function() return told end, 10)
  return told
end

describe("tinyproxy that does not let a client through", function()
  it("because it does not know who that is: PROXY_AUTH, without the password in it", function()
    local proxy = programs.tinyproxy "BasicAuth somebody sesame"
    local server = echo_server()
    for _, who in ipairs { "", "somebody:secret@", "secret@" } do
      local told = refusal(server, { proxy = proxy:gsub("//", "//" .. who) })
      -- Who says nothing hears 407, who says something wrong 401.
      assert.same({ "PROXY_AUTH", who == "" and 407 or 401 }, { told.code, told.status })
      assert.is_nil(told.why:find("secret", 1, true))
    end
    assert.equal(0, server:stats().sockets_opened)
  end)

  it("because its filter is against that server: PROXY, 403", function()
    local proxy = programs.tinyproxy('Filter "FILTER"', "^127\\.0\\.0\\.1$\n")
    local server = echo_server()
    local told = refusal(server, { proxy = proxy })
    assert.same({ "PROXY", 403 }, { told.code, told.status })
    assert.equal(0, server:stats().sockets_opened)
  end)

  it("because the port is none for CONNECT: PROXY, 403", function()
    local proxy = programs.tinyproxy "ConnectPort 443"
    local server = echo_server()
    local told = refusal(server, { proxy = proxy })
    assert.same({ "PROXY", 403 }, { told.code, told.status })
    assert.equal(0, server:stats().sockets_opened)
  end)

  it("because nobody listens there: PROXY, 500", function()
    local proxy = programs.tinyproxy()
    local server = echo_server()
    local url = server.url
    server:close()
    real.wait("the end", function() return server:stats().sockets == 0 end)
    local told = refusal(nil, { url = url, proxy = proxy })
    assert.same({ "PROXY", 500 }, { told.code, told.status })
  end)
end)
