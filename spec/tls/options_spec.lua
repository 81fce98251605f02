--- wss: the option `tls`, the URLs, and what a server shows to whom: what is wrong raises, what a file can
-- cause returns nil, a sentence with its path, and BADTLS; and no key is ever shown.

local certificates = require "spec.support.certificates"
local dop = require "dop"
local real = require "spec.support.real"

local pki = certificates.new()
teardown(function() pki:remove() end)
after_each(real.close)

local function listen(tls)
  return dop.listen { url = "wss://127.0.0.1:0/dop", tls = tls }
end

describe("the option tls raises", function()
  local function raises(make, options, text)
    local ok, why = pcall(make, options)
    assert.is_false(ok)
    assert.truthy(why:find(text, 1, true), why)
    assert.truthy(why:find("options_spec.lua", 1, true), "not at the caller's line: " .. why)
  end
  local function listen_here(options) return (dop.listen(options)) end
  local function connect_here(options) return (dop.connect(options)) end
  local function server(tls, text) raises(listen_here, { url = "wss://127.0.0.1:0/", tls = tls }, text) end
  local function client(tls, text) raises(connect_here, { url = "wss://127.0.0.1:1/", tls = tls }, text) end

  it("without a certificate on a server of wss:", function()
    server(nil, "cert is missing")
    server({ key = "x" }, "cert is missing")
  end)

  it("with a URL that says nothing of TLS", function()
    for _, url in ipairs { "ws://127.0.0.1:0/", "ws+unix:/tmp/x.sock", "local:x" } do
      raises(listen_here, { url = url, tls = { cert = pki.server } }, "begins with wss:")
      raises(connect_here, { url = url, tls = {} }, "begins with wss:")
    end
  end)

  it("for a name that it does not know, and for one of the other role", function()
    server({ cert = "x", crt = "y" }, "there is no crt")
    server({ cert = "x", verify = false }, "there is no verify")
    client({ hosts = {} }, "there is no hosts")
    client({ client_cert = "required" }, "there is no client_cert")
    client({ "x" }, "there is no 1")
  end)

  it("for a value that cannot be", function()
    client({ verify = "no" }, "verify: boolean expected, got string")
    client({ ca = 1 }, "ca: string expected, got number")
    client({ ca = "" }, "ca is empty")
    client({ min_version = "1.1" }, 'min_version cannot be "1.1"')
    server({ cert = "x", ca = "y", client_cert = "perhaps" }, 'client_cert cannot be "perhaps"')
  end)

  it("for what does nothing, or cannot work, beside the rest", function()
    server({ cert = "x", client_cert = "required" }, "client_cert needs ca")
    server({ cert = "x", ca = "y" }, "ca does nothing without client_cert")
    client({ key = "x" }, "key does nothing without cert")
    client({ ca = "x", verify = false }, "ca does nothing with verify = false")
    client({ crl = "x" }, "crl does nothing without ca")
    server({ cert = "x", crl = "x" }, "crl does nothing without ca")
  end)

  it("for hosts that have no certificate, or are none", function()
    server({ cert = "x", hosts = { "a" } }, "hosts: {[")
    server({ cert = "x", hosts = { a = {} } }, 'hosts["a"].cert is missing')
    server({ cert = "x", hosts = { a = { cert = "x", ca = "y" } } }, 'there is no hosts["a"].ca')
  end)
end)

describe("what cannot be used is nil, a sentence and BADTLS:", function()
  local function is_bad(tls, ...)
    for _, make in ipairs { dop.listen, dop.connect } do
      local before = real.registry_count()
      local transport, why, code = make { url = "wss://127.0.0.1:0/", tls = tls }
      assert.is_nil(transport)
      assert.equal("BADTLS", code)
      for _, text in ipairs { ... } do assert.truthy(why:find(text, 1, true), why) end
      assert.is_nil(why:find("BEGIN", 1, true), why)
      assert.equal(before, real.registry_count())
    end
  end

  it("a file that is not there", function()
    is_bad({ cert = "/nowhere/cert.pem", key = pki:key "server" }, "cannot read", "/nowhere/cert.pem", "No such file")
    is_bad({ cert = pki.server, key = "/nowhere/key.pem" }, "cannot read the key /nowhere/key.pem", "No such file")
  end)

  it("a file with something else in it", function()
    is_bad({ cert = pki:key "server", key = pki:key "server" }, "no certificate in PEM in", pki:key "server")
    is_bad({ cert = pki.server, key = pki.server }, "no private key in PEM in", pki.server)
    is_bad({ cert = pki.server }, "no private key in PEM in", pki.server)
  end)

  it("a text with something else in it, which is not repeated", function()
    local key = pki.text(pki:key "server")
    is_bad({ cert = key, key = key }, "no certificate in PEM in (PEM text)")
    is_bad({ cert = pki.server, key = key:sub(1, 60) }, "no private key in PEM in (PEM text)")
    -- Nor is it taken for the name of a file, which would be told.
    is_bad({ cert = pki.server, key = " " .. key:sub(1, 60) }, "no private key in PEM in (PEM text)")
    is_bad({ cert = pki.server, key = key:gsub("-----[^\n]*\n", "") }, "no private key in PEM in (PEM text)")
  end)

  it("a key that does not fit", function()
    is_bad({ cert = pki.server, key = pki:key "alice" }, "the key " .. pki:key "alice",
      " does not fit the certificate " .. pki.server)
  end)

  it("a key that wants a passphrase: nobody is asked at the terminal", function()
    is_bad({ cert = pki.server, key = pki:key "locked" }, pki:key "locked" .. " is encrypted")
  end)

  it("a cipher that nobody knows", function()
    is_bad({ cert = pki.server, key = pki:key "server", ciphers = "ROT13" }, 'no cipher of TLS 1.2 is known in "ROT13"')
    is_bad({ cert = pki.server, key = pki:key "server", ciphers = "TLS_ROT13" }, "TLS 1.3", "TLS_ROT13")
  end)

  it("authorities that are none", function()
    local client, why, code = dop.connect { url = "wss://127.0.0.1:1/", tls = { ca = pki:key "server" } }
    assert.same({ nil, "BADTLS" }, { client, code })
    assert.truthy(why:find("no certificate in PEM in " .. pki:key "server", 1, true), why)
  end)

  it("revocation lists that are none", function()
    local function is_none(crl, ...)
      local client, why, code = dop.connect { url = "wss://127.0.0.1:1/", tls = { ca = pki.ca, crl = crl } }
      assert.same({ nil, "BADTLS" }, { client, code })
      for _, text in ipairs { ... } do assert.truthy(why:find(text, 1, true), why) end
    end
    is_none(pki.ca, "no revocation list in PEM in " .. pki.ca)
    is_none(pki.dir, "cannot read the revocation list " .. pki.dir, "directory")
    is_none("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "no revocation list in PEM in (PEM text)")
  end)

  it("a name that stands for many, or for none", function()
    for _, name in ipairs { ".example.org", ".", ("x"):rep(256) } do
      local client, why, code = dop.connect { url = "wss://127.0.0.1:1/", tls = { ca = pki.ca, server_name = name } }
      if client then client:close() end
      assert.same({ nil, "BADTLS" }, { client, code })
      assert.truthy(why:find("is no name that a certificate can be for", 1, true), why)
    end
  end)

  it("a host's certificate", function()
    local server, why, code = listen(pki:identity("server", { hosts = { ["a.b"] = { cert = "/nowhere/a.pem" } } }))
    assert.same({ nil, "BADTLS" }, { server, code })
    assert.truthy(why:find("/nowhere/a.pem", 1, true), why)
  end)
end)

describe("a server of wss:", function()
  local function connect(server, tls)
    local client = real.connect(server, { tls = tls })
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    return client
  end

  it("may have certificate and key in one file, or both as texts", function()
    for _, tls in ipairs {
      { cert = pki.both },
      { cert = pki.text(pki.server), key = pki.text(pki:key "server") },
      { cert = pki.text(pki.both) },
    } do
      connect(real.listen { url = "wss://127.0.0.1:0/dop", tls = tls }, { ca = pki.ca })
    end
  end)

  it("shows each name its certificate, and the first one to all others", function()
    local asked
    local server = real.listen {
      url = "wss://127.0.0.1:0/dop",
      tls = pki:identity("server", { hosts = {
        ["www.example.org"] = pki:identity "example",
        ["*.Example.org"] = pki:identity "wild",
      } }),
      authorize = function(request)
        asked = request.tls.server_name
        return true
      end,
    }
    for name, subject in pairs {
      ["WWW.example.org"] = "CN=example", ["other.example.org"] = "CN=wild",
    } do
      local client = connect(server, { ca = pki.ca, server_name = name })
      assert.equal(subject, client.node.tls.subject)
      assert.equal(name, asked)
      assert.equal(name, client.node.tls.server_name)
      assert.equal("http/1.1", client.node.tls.alpn)
    end
    local client = connect(server, { ca = pki.ca })
    assert.equal("CN=localhost", client.node.tls.subject)
    assert.is_nil(asked) -- an address is no name
    assert.is_nil(client.node.tls.server_name)
  end)

  it("takes the ciphers that it is given", function()
    local server = real.listen {
      url = "wss://127.0.0.1:0/dop",
      tls = pki:identity("server", { min_version = "1.3", ciphers = "TLS_CHACHA20_POLY1305_SHA256" }),
    }
    assert.equal("TLS_CHACHA20_POLY1305_SHA256", connect(server, { ca = pki.ca }).node.tls.cipher)
  end)

  it("takes no other cipher for a further name", function()
    local server = real.listen {
      url = "wss://127.0.0.1:0/dop",
      tls = pki:identity("server", {
        ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305",
        hosts = { ["example.org"] = pki:identity "example" },
      }),
    }
    real.command(("env -u LD_PRELOAD openssl s_client -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256" ..
      " -servername example.org -connect %s </dev/null"):format(server.url:match "//(.-)/"))
    real.wait("the refusal", function() return server:stats().refused_tls == 1 end)
  end)
end)

describe("server:reload_tls", function()
  local function subject(server)
    local client = real.connect(server, { tls = { ca = pki.ca } })
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    return client.node.tls.subject, client
  end

  it("gives new connections the new certificate, and leaves the old ones alone", function()
    local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity() }
    server:on("message", function(node, message) node:send(message) end)
    local before, old = subject(server)
    assert.equal("CN=localhost", before)
    assert.is_true(server:reload_tls(pki:identity "renewed"))
    assert.equal("CN=renewed", (subject(server)))
    local log = real.record(old, { "message", "close" })
    old:send("still there?")
    real.wait("the echo", function() return log:count "message" == 1 end)
    assert.equal(0, log:count "close")
    assert.equal("CN=localhost", old.node.tls.subject)
  end)

  it("without options reads the files anew", function()
    local path, key = pki.dir .. "/now.pem", pki.dir .. "/now.key"
    local function put(name)
      for to, from in pairs { [path] = pki[name], [key] = pki:key(name) } do
        local file = assert(io.open(to, "w"))
        file:write(pki.text(from))
        file:close()
      end
    end
    put "server"
    local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = { cert = path, key = key } }
    put "renewed"
    assert.equal("CN=localhost", (subject(server)))
    assert.is_true(server:reload_tls())
    assert.equal("CN=renewed", (subject(server)))
  end)

  it("changes nothing when it fails", function()
    local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity() }
    local ok, why, code = server:reload_tls { cert = pki.renewed, key = "/nowhere/key" }
    assert.same({ nil, "BADTLS" }, { ok, code })
    assert.truthy(why:find("/nowhere/key", 1, true), why)
    assert.equal("CN=localhost", (subject(server)))
    assert.is_true(server:reload_tls()) -- still the options from before
    assert.equal("CN=localhost", (subject(server)))
  end)

  it("does not ask the application's table again, which may be another one by then", function()
    local own = pki:identity("server", { hosts = { ["a.b"] = pki:identity "renewed" } })
    local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = own }
    own.cert, own.key, own.hosts["a.b"].cert, own.hosts[1] = nil, nil, nil, {}
    assert.is_true(server:reload_tls())
    own = pki:identity "renewed"
    assert.is_true(server:reload_tls(own))
    own.cert = nil
    assert.is_true(server:reload_tls())
    assert.equal("CN=renewed", (subject(server)))
  end)

  it("keeps the keys of tickets: clients resume their TLS sessions", function()
    local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity() }
    local _, client = subject(server)
    assert.is_true(server:reload_tls(pki:identity "renewed"))
    client.node:drop()
    real.wait("the session", function() return server:stats().reconnects == 1 end)
    assert.is_true(client.node.tls.resumed)
  end)

  it("can be called from a handler, of the connection that just came too", function()
    local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity() }
    for _, event in ipairs { "open", "connect", "message" } do
      server:on(event, function()
        assert(server:reload_tls(pki:identity(event == "open" and "renewed" or "server")))
      end)
    end
    local _, client = subject(server)
    client:send("x")
    client.node:drop()
    real.wait("the session", function() return server:stats().reconnects == 1 end)
  end)

  it("raises for misuse, and says so when the server is closed", function()
    local plain = real.listen()
    assert.has_error(function() plain:reload_tls() end)
    local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity() }
    for _, bad in ipairs { 1, "x", { crt = "x" }, {} } do
      assert.is_false((pcall(server.reload_tls, server, bad)))
    end
    server:close()
    local ok, _, code = server:reload_tls()
    assert.same({ nil, "CLOSED" }, { ok, code })
  end)
end)
