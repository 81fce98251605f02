--- wss: handshakes that fail at a server are counted, and told to who reads the log: by code, sentence and
-- address.

local certificates = require "spec.support.certificates"
local dop = require "dop"
local real = require "spec.support.real"

local pki = certificates.new()
teardown(function() pki:remove() end)

local entries
before_each(function()
  entries = {}
  dop.log(function(level, event, fields)
    if event == "refuse" then
      fields.level = level
      entries[#entries + 1] = fields
    end
  end)
end)
after_each(function()
  dop.log(nil)
  real.close()
end)

local function listen(more)
  return real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity("server", more) }
end

-- The entry for what just happened at the server.
local function told(server)
  real.wait("the entry", function() return entries[1] end)
  local stats = server:stats()
  assert.equal(1, stats.refused_tls)
  assert.equal(1, stats.refused)
  assert.equal(1, #entries)
  local entry = entries[1]
  assert.equal("tls", entry.cause)
  assert.equal("info", entry.level)
  assert.equal("server", entry.role)
  assert.truthy(entry.address:find "^127%.0%.0%.1:%d+$", entry.address)
  return entry
end

local function dial(server, tls) return real.connect(server, { tls = tls, retry = function() end }) end

describe("a server of wss: tells of a handshake that failed because", function()
  it("the client does not trust it", function()
    local server = listen()
    dial(server, { ca = pki.other_ca })
    local entry = told(server)
    assert.equal("TLS_CERT", entry.code)
    assert.equal(0, entry.status)
    assert.truthy(entry.why:find("the client refuses this server's certificate", 1, true), entry.why)
  end)

  it("the client has no certificate", function()
    local server = listen { ca = pki.ca, client_cert = "required" }
    dial(server, { ca = pki.ca })
    local entry = told(server)
    assert.equal("TLS_CLIENTCERT", entry.code)
    assert.truthy(entry.why:find("has no certificate", 1, true), entry.why)
  end)

  it("the client speaks plain HTTP, and nothing of the request is told but its first word", function()
    local server = listen()
    real.raw_client(server, "GET /dop?key=secret HTTP/1.1\r\n\r\n")
    local entry = told(server)
    assert.equal("TLS_NOTTLS", entry.code)
    assert.equal(400, entry.status)
    assert.equal('the client does not speak TLS: it began with "GET"', entry.why)
  end)

  it("the client went away in the middle", function()
    local server = listen()
    real.raw_client(server, "\22\3\1\2\0\1"):close()
    local entry = told(server)
    assert.equal("EOF", entry.code)
  end)

  it("and of none when a client only looked whether somebody is there", function()
    local server = listen()
    real.raw_client(server):close()
    real.wait("its end", function() return server:stats().sockets_opened == 1 and server:stats().sockets == 0 end)
    assert.equal(0, server:stats().refused_tls)
    assert.same({}, entries)
  end)
end)
