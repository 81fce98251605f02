--- wss: whom a client believes. It is told what is wrong with a certificate, by sentence and code, and its
-- policy goes on: a certificate can be renewed.

local certificates = require "spec.support.certificates"
local real = require "spec.support.real"

local pki = certificates.new [[
LOCAL=subjectAltName=DNS:localhost,IP:127.0.0.1
CA=basicConstraints=critical,CA:TRUE
issued inter ca /CN=inter "$CA" keyUsage=keyCertSign,cRLSign
issued leaf inter /CN=leaf $LOCAL
cat leaf.pem inter.pem >chain.pem
cp leaf.key chain.key
issued confined ca /CN=confined "$CA" 'nameConstraints=critical,permitted;DNS:example.org'
issued inside confined /CN=inside subjectAltName=DNS:a.example.org
issued outside confined /CN=outside subjectAltName=DNS:localhost
issued pseudo server /CN=pseudo $LOCAL
issued for_clients ca /CN=for_clients $LOCAL extendedKeyUsage=clientAuth
issued for_servers ca /CN=for_servers $LOCAL extendedKeyUsage=serverAuth
issued nameless ca /CN=localhost keyUsage=digitalSignature
issued sixth ca /CN=sixth subjectAltName=IP:2001:db8::1
names=
for i in $(seq 300); do names=$names${names:+,}DNS:host$i.example; done
issued many ca /CN=many subjectAltName=$names
label=$(printf %050d 0)
issued long ca /CN=long subjectAltName=DNS:$label.$label.example
issued spelt ca /CN=spelt subjectAltName=DNS:127.0.0.1
for name in inside outside; do
  cat confined.pem >>$name.pem
done
cat server.pem >>pseudo.pem
issued banned ca /CN=banned $LOCAL
revoked ca before
revoked ca overdue -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z
revoke ca banned
revoked ca after
revoked inter inter_list
cat after.pem inter_list.pem >lists.pem
]]
teardown(function() pki:remove() end)
after_each(real.close)

local function listen(name, more)
  local server = real.listen { url = "wss://127.0.0.1:0/dop", tls = pki:identity(name, more) }
  server:on("message", function(node, message) node:send(message) end)
  return server
end

-- Dials until it is CONNECTED, or was told why not. Returns the client, the sentence and the code.
local function attempt(server, tls, host)
  local why, code
  local client = real.connect(server, {
    url = host and server.url:gsub("127%.0%.0%.1", host) or server.url,
    tls = tls,
    retry = function(_, sentence, name)
      why, code = sentence, name
      return 0.01
    end,
  })
  real.wait("the attempt's end", function() return why or client.node.status == "CONNECTED" end)
  return client, why, code
end

local function is_connected(server, tls, host)
  local client, why = attempt(server, tls, host)
  assert.equal("CONNECTED", client.node.status, why)
  return client
end

local function is_refused(code, words, server, tls, host)
  local client, why, got = attempt(server, tls, host)
  assert.equal(code, got, why)
  assert.truthy(why:find(words, 1, true), why)
  assert.not_equal("CONNECTED", client.node.status)
end

describe("a client of wss:", function()
  it("believes a certificate of its authority for the name or the address in its URL", function()
    local server = listen()
    assert.truthy(server.url:find "^wss://127%.0%.0%.1:%d+/dop$", server.url)
    is_connected(server, { ca = pki.ca })
    is_connected(server, { ca = pki.ca }, "localhost")
    is_connected(server, { ca = pki.ca, server_name = "LOCALHOST." })
  end)

  it("takes its authorities as a file, as a text, or as a directory", function()
    local server = listen()
    is_connected(server, { ca = pki.text(pki.ca) })
    is_connected(server, { ca = pki.dir .. "/hashed" })
  end)

  it("trusts the system's authorities when it names none", function()
    local server = listen()
    is_refused("TLS_UNTRUSTED", "issuer CN=ca", server, nil)
    -- OpenSSL's own variables say where those are.
    local printed, status = real.script(([[
      local dop = require "dop"
      local server = assert(dop.listen { url = "wss://127.0.0.1:0/", tls = { cert = %q, key = %q } })
      local client = assert(dop.connect { url = server.url, retry = function(_, why) print(why) dop.stop() end })
      client:on("connect", function() print "connected" dop.stop() end)
      dop.run()
    ]]):format(pki.server, pki:key "server"), "SSL_CERT_FILE='" .. pki.ca .. "' %s")
    assert.equal("connected\n", printed)
    assert.equal(0, status)
  end)

  it("refuses one that has expired, or is not valid yet", function()
    is_refused("TLS_EXPIRED", "has expired (Jan  1 00:00:00 2021 GMT)", listen "expired", { ca = pki.ca })
    is_refused("TLS_EXPIRED", "not valid yet (from Jan  1 00:00:00 2090 GMT)", listen "early", { ca = pki.ca })
  end)

  it("refuses one for another name", function()
    local server = listen "example"
    is_refused("TLS_HOST", "not for 127.0.0.1 but for DNS:www.example.org, DNS:example.org", server, { ca = pki.ca })
    is_refused("TLS_HOST", "not for localhost", server, { ca = pki.ca }, "localhost")
    is_refused("TLS_HOST", "not for example.com", server, { ca = pki.ca, server_name = "example.com" })
  end)

  it("expects the name in server_name instead, when there is one", function()
    is_connected(listen "example", { ca = pki.ca, server_name = "example.org" })
  end)

  it("believes a whole label of a wildcard, never a part of one", function()
    local server = listen "wild"
    is_connected(server, { ca = pki.ca, server_name = "a.example.org" })
    is_refused("TLS_HOST", "a.b.example.org", server, { ca = pki.ca, server_name = "a.b.example.org" })
    is_refused("TLS_HOST", "foo.example.net", server, { ca = pki.ca, server_name = "foo.example.net" })
  end)

  it("looks for the name among the alternative ones alone: a subject is none to dial", function()
    is_refused("TLS_HOST", "not for localhost but for nobody", listen "nameless", { ca = pki.ca }, "localhost")
  end)

  it("tells an address from a name that is spelt like one", function()
    is_refused("TLS_HOST", "not for 127.0.0.1 but for DNS:127.0.0.1", listen "spelt", { ca = pki.ca })
    local server = listen "sixth"
    is_connected(server, { ca = pki.ca, server_name = "2001:db8::1" })
    is_connected(server, { ca = pki.ca, server_name = "2001:DB8:0:0::1" })
    is_refused("TLS_HOST", "not for 2001:db8::2 but for IP Address:2001:DB8:0:0:0:0:0:1", server,
      { ca = pki.ca, server_name = "2001:db8::2" })
  end)

  it("says of many names the first ones, and of one that is too long nothing", function()
    is_refused("TLS_HOST", "but for DNS:host1.example, DNS:host2.example, DNS:host3.example, DNS:host4.example, ...: ",
      listen "many", { ca = pki.ca })
    is_refused("TLS_HOST", "but for names that cannot be shown: dial", listen "long", { ca = pki.ca })
  end)

  it("wants the whole chain: whose issuer is missing is nobody's", function()
    is_connected(listen "chain", { ca = pki.ca })
    is_refused("TLS_UNTRUSTED", "(issuer CN=inter)", listen "leaf", { ca = pki.ca })
    -- Nor is an authority the end of a chain that another one signed.
    is_refused("TLS_UNTRUSTED", "(issuer CN=ca)", listen "leaf", { ca = pki.inter })
  end)

  it("refuses one that is for something else, or that signs what it may not", function()
    is_refused("TLS_CERT", "purpose", listen "for_clients", { ca = pki.ca })
    is_connected(listen "for_servers", { ca = pki.ca })
    is_refused("TLS_CERT", "invalid CA certificate", listen "pseudo", { ca = pki.ca })
    is_connected(listen "inside", { ca = pki.ca, server_name = "a.example.org" })
    is_refused("TLS_CERT", "permitted subtree violation", listen "outside", { ca = pki.ca }, "localhost")
  end)

  it("refuses one that was revoked, when it has the lists", function()
    is_connected(listen "banned", { ca = pki.ca })
    is_connected(listen "banned", { ca = pki.ca, crl = pki.before })
    is_refused("TLS_CERT", "certificate revoked", listen "banned", { ca = pki.ca, crl = pki.after })
    is_connected(listen(), { ca = pki.ca, crl = pki.text(pki.after) })
  end)

  it("wants a list of each authority in the chain, and one that still counts", function()
    for issuer, others in pairs { inter = pki.after, ca = pki.inter_list } do
      local words = ('"crl" has no list of who signed the certificate of 127.0.0.1 (issuer CN=%s)'):format(issuer)
      is_refused("TLS_CERT", words, listen "chain", { ca = pki.ca, crl = others })
    end
    is_connected(listen "chain", { ca = pki.ca, crl = pki.lists })
    is_refused("TLS_CERT", "CRL has expired", listen(), { ca = pki.ca, crl = pki.overdue })
  end)

  it("refuses one that nobody signed whom it trusts", function()
    is_refused("TLS_UNTRUSTED", "(issuer CN=localhost)", listen "self", { ca = pki.ca })
    is_refused("TLS_UNTRUSTED", "(issuer CN=ca)", listen(), { ca = pki.other_ca })
  end)

  it("believes one that signed itself when that is what it was told to trust", function()
    is_connected(listen "self", { ca = pki.self })
  end)

  it("believes anybody with verify = false", function()
    is_connected(listen "expired", { verify = false })
    is_connected(listen "self", { verify = false })
  end)

  it("goes on trying, and is there once the certificate is renewed", function()
    local server = listen "expired"
    local codes = {}
    local client = real.connect(server, {
      tls = { ca = pki.ca },
      retry = function(_, _, code)
        codes[#codes + 1] = code
        return 0.005
      end,
    })
    real.wait("three attempts", function() return #codes >= 3 end)
    assert.equal("TLS_EXPIRED", codes[3])
    assert.is_true(server:reload_tls(pki:identity()))
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
  end)

  it("says on wss+unix: to expect localhost, or server_name", function()
    local path = pki.dir .. "/s.sock"
    local server = real.listen { url = "wss+unix:" .. path .. ":/dop", tls = pki:identity() }
    assert.equal("wss+unix:" .. path .. ":/dop", server.url)
    is_connected(server, { ca = pki.ca })
    is_refused("TLS_HOST", "not for example.org", server, { ca = pki.ca, server_name = "example.org" })
  end)
end)

describe("a client's certificate", function()
  local function asking(how, authorize)
    return real.listen {
      url = "wss://127.0.0.1:0/dop",
      tls = pki:identity("server", { ca = pki.ca, client_cert = how }),
      authorize = authorize,
    }
  end
  local alice = { ca = pki.ca, cert = pki.alice, key = pki:key "alice" }

  it("can name the principal: authorize sees whose it is", function()
    local fingerprint = pki.openssl("x509 -noout -fingerprint -sha256 -in " .. pki.alice)
      :match("=([%x:]+)"):gsub(":", ""):lower()
    local seen
    local server = asking("required", function(request)
      seen = request.tls
      return request.tls.subject
    end)
    is_connected(server, alice)
    assert.equal("CN=alice", server:nodes()[1].principal)
    assert.equal(fingerprint, seen.fingerprint)
    assert.is_false(seen.resumed)
    assert.truthy(seen.version:find "^TLSv1%.[23]$", seen.version)
    assert.truthy(#seen.cipher > 0)
  end)

  it("is required, and missing or of another authority: TLS_CLIENTCERT", function()
    local server = asking "required"
    is_refused("TLS_CLIENTCERT", "set tls.cert and tls.key", server, { ca = pki.ca })
    is_refused("TLS_CLIENTCERT", "refuses the certificate in tls.cert", server,
      { ca = pki.ca, cert = pki.mallory, key = pki:key "mallory" })
    assert.equal(0, server:stats().connects)
    is_connected(server, alice)
  end)

  it("is for clients: one for servers alone will not do", function()
    local server = asking "required"
    is_refused("TLS_CLIENTCERT", "refuses the certificate in tls.cert", server,
      { ca = pki.ca, cert = pki.for_servers, key = pki:key "for_servers" })
    is_connected(server, { ca = pki.ca, cert = pki.for_clients, key = pki:key "for_clients" })
  end)

  it("is refused once it is revoked, an old ticket of it too", function()
    local server = asking "required"
    local banned = { ca = pki.ca, cert = pki.banned, key = pki:key "banned" }
    local codes = {}
    local client = real.connect(server, { tls = banned, retry = function(_, _, code)
      codes[#codes + 1] = code
      return 0.01
    end })
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    local listed = { ca = pki.ca, client_cert = "required", crl = pki.before }
    assert.is_true(server:reload_tls(pki:identity("server", listed)))
    client.node:drop()
    real.wait("the session", function() return server:stats().reconnects == 1 end)
    listed.crl = pki.after
    assert.is_true(server:reload_tls(pki:identity("server", listed)))
    codes = {}
    client.node:drop()
    real.wait("two refusals", function() return #codes >= 3 end)
    assert.equal("TLS_CLIENTCERT", codes[3])
    assert.equal(1, server:stats().reconnects)
    is_connected(server, alice)
  end)

  it("is looked at in the same way under each of a server's names", function()
    local server = real.listen {
      url = "wss://127.0.0.1:0/dop",
      tls = pki:identity("server", {
        ca = pki.ca, client_cert = "required", hosts = { ["example.org"] = pki:identity "example" },
      }),
    }
    local function with(name)
      return { ca = pki.ca, server_name = "example.org", cert = pki[name], key = pki:key(name) }
    end
    is_refused("TLS_CLIENTCERT", "set tls.cert and tls.key", server, { ca = pki.ca, server_name = "example.org" })
    is_refused("TLS_CLIENTCERT", "refuses the certificate in tls.cert", server, with "mallory")
    local client = is_connected(server, with "alice")
    assert.equal("CN=example", client.node.tls.subject)
    client.node:drop()
    real.wait("the session", function() return server:stats().reconnects == 1 end)
    assert.is_true(client.node.tls.resumed)
  end)

  it("is asked for, and judged, alike by each name of the server", function()
    local server = real.listen {
      url = "wss://127.0.0.1:0/dop",
      tls = pki:identity("server", {
        ca = pki.ca, client_cert = "required", crl = pki.after,
        hosts = { ["www.example.org"] = pki:identity "example" },
      }),
    }
    local function to_host(more)
      local tls = { ca = pki.ca, server_name = "www.example.org" }
      for name, value in pairs(more) do tls[name] = value end
      return tls
    end
    is_connected(server, to_host(alice))
    is_refused("TLS_CLIENTCERT", "set tls.cert", server, to_host {})
    for who, words in pairs { mallory = "unknown ca", expired = "expired", banned = "revoked" } do
      is_refused("TLS_CLIENTCERT", words, server, to_host { cert = pki[who], key = pki:key(who) })
    end
  end)

  it("may be left out when it is optional, but not be of another authority", function()
    local subjects = {}
    local server = asking("optional", function(request)
      subjects[#subjects + 1] = request.tls.subject or "none"
      return true
    end)
    is_connected(server, { ca = pki.ca })
    is_connected(server, alice)
    is_refused("TLS_CLIENTCERT", "refuses", server, { ca = pki.ca, cert = pki.mallory, key = pki:key "mallory" })
    assert.same({ "none", "CN=alice" }, subjects)
  end)

  it("comes back with a resumed session, and the principal with it", function()
    local resumed = {}
    local server = asking("required", function(request)
      resumed[#resumed + 1] = request.tls.resumed
      return request.tls.subject
    end)
    local client = is_connected(server, alice)
    client.node:drop()
    real.wait("the session", function() return server:stats().reconnects == 1 end)
    assert.same({ false, true }, resumed)
    assert.is_true(client.node.tls.resumed)
    assert.equal("CN=alice", server:nodes()[1].principal)
  end)

  it("is asked for anew when other authorities are trusted: old tickets bring nobody in", function()
    local server = asking "required"
    local codes = {}
    local client = real.connect(server, { tls = alice, retry = function(_, _, code)
      codes[#codes + 1] = code
      return 0.01
    end })
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    assert.is_true(server:reload_tls(pki:identity("server", { ca = pki.other_ca, client_cert = "required" })))
    client.node:drop()
    real.wait("two refusals", function() return #codes >= 3 end)
    assert.equal("TLS_CLIENTCERT", codes[3])
    assert.equal(0, server:stats().reconnects)
  end)
end)
