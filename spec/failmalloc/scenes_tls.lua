--- Scenes over wss:, see scenes.lua, in which OpenSSL's memory fails as well. What only a context takes is made before
-- memory fails, but in the scenes about that: to read a key and a certificate is three times as much as a handshake.

local kit = require "spec.failmalloc.kit"

local insist, wait, say, pki = kit.insist, kit.wait, kit.bystander.say, kit.pki

-- A client's attempt that must fail, whatever memory there is: somebody has not shown what was asked for. Returns
-- what waits for its end, which has that code, or another where memory failed.
local function refused(server, options, expected)
  local code
  function options.retry(_, _, name)
    code = name
    return nil
  end
  local function never() insist(false, "somebody came in without a certificate that is good") end
  kit.connect(server, options):on("open", never)
  server:on("open", never)
  return function()
    wait("the refusal", function() return code end)
    insist(code == expected or memory.failed(), code)
  end
end

return function(add)
  -- `ready` makes the scene ready, and returns what is done while memory fails. A client that is new begins to dial
  -- when the loop works.
  local function scene(name, ready) add(name, "call", { ready = ready, tls = true }) end
  local function state(name, run) add(name, "state", { run = run, tls = true }) end

  -- --- contexts ---

  scene("server-context", function()
    local hosts = { ["www.example.org"] = { cert = pki.example, key = pki:key "example" } }
    return function()
      kit.listen(kit.wss("server", { ca = pki.ca, client_cert = "optional", hosts = hosts }))
    end
  end)

  scene("client-context", function()
    local options = {
      cert = pki.text(pki.alice), key = pki:key "alice", ca = pki.dir .. "/hashed",
      ciphers = "TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256",
    }
    return function()
      kit.connect(nil, { url = "wss://127.0.0.1:1/", tls = options })
      kit.connect(nil, { url = "wss://127.0.0.1:1/", tls = {} }) -- whom the system trusts
    end
  end)

  scene("reload", function()
    local renewed = pki:identity "renewed"
    local server, client = kit.pair(kit.wss())
    -- OpenSSL takes an algorithm that finds no memory for one that it has not: the context is there, but clients may be
    -- refused until the next one.
    kit.finally(function()
      assert(server:reload_tls(renewed))
      kit.connected(kit.connect(server))
    end)
    return function()
      local ok, why, code = server:reload_tls(renewed)
      insist(ok or kit.is_excused(code, why), why)
      say()
      kit.echo(client, "as before")
    end
  end)

  -- --- handshakes ---

  scene("wss", function()
    local server = kit.listen(kit.wss())
    server:on("message", function(node, message) node:send(message) end)
    local client = kit.connect(server)
    return function()
      kit.connected(client)
      say()
      kit.echo(client, "hello")
      local back = 0
      client:on("reconnect", function() back = back + 1 end)
      client.node:drop()
      wait("the return", function() return back == 1 end) -- with the ticket
      say()
      kit.echo(client, "again")
      client.node:disconnect()
      wait("the end", function() return server:stats().nodes == 0 end)
    end
  end)

  scene("client-certificate", function()
    local server = kit.listen(kit.wss("server", { ca = pki.ca, client_cert = "required" }))
    local subject, fingerprint
    server:on("connect", function(node)
      local facts = node.request.tls
      subject, fingerprint = facts.subject, facts.fingerprint
    end)
    local client = kit.connect(server, { tls = pki:identity("alice", { ca = pki.ca }) })
    return function()
      kit.connected(client)
      wait("the other end", function() return server:stats().connects == 1 end)
      -- Half a name would be another's.
      insist(subject == "CN=alice" or subject == nil and memory.failed(), subject)
      insist(fingerprint and #fingerprint == 64 or memory.failed(), fingerprint)
    end
  end)

  scene("further-name", function()
    local server = kit.listen(kit.wss("server", {
      ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
      hosts = { ["www.example.org"] = { cert = pki.example, key = pki:key "example" } },
    }))
    local client = kit.connect(server, { tls = { ca = pki.ca, server_name = "www.example.org" } })
    return function()
      kit.connected(client)
      local facts = client.node.tls
      insist(facts.subject == "CN=example" or facts.subject == nil and memory.failed(), facts.subject)
      insist(facts.alpn == "http/1.1", facts.alpn)
    end
  end)

  scene("expired", function() return refused(kit.listen(kit.wss "expired"), {}, "TLS_EXPIRED") end)

  scene("untrusted", function()
    return refused(kit.listen(kit.wss()), { tls = { ca = pki.other_ca } }, "TLS_UNTRUSTED")
  end)

  scene("revoked", function()
    return refused(kit.listen(kit.wss "banned"), { tls = { ca = pki.ca, crl = pki.list } }, "TLS_CERT")
  end)

  scene("another-address", function() return refused(kit.listen(kit.wss "example"), {}, "TLS_HOST") end)

  scene("another-name", function()
    return refused(kit.listen(kit.wss "example"), { tls = { ca = pki.ca, server_name = "localhost" } }, "TLS_HOST")
  end)

  scene("no-client-certificate", function()
    return refused(kit.listen(kit.wss("server", { ca = pki.ca, client_cert = "required" })), {}, "TLS_CLIENTCERT")
  end)

  scene("another-client-certificate", function()
    local server = kit.listen(kit.wss("server", { ca = pki.ca, client_cert = "required" }))
    return refused(server, { tls = pki:identity("mallory", { ca = pki.ca }) }, "TLS_CLIENTCERT")
  end)

  scene("tls-and-none", function()
    local secure, plain = kit.listen(kit.wss()), kit.listen { handshake_timeout = 0.02 }
    local one = refused(secure, { url = secure.url:gsub("^wss", "ws") }, "UPGRADE")
    local other = refused(plain, { url = plain.url:gsub("^ws", "wss") }, "TLS_NOTTLS")
    return function()
      one()
      other()
    end
  end)

  -- --- with more of it ---

  scene("wss-huge", function()
    local options = kit.wss()
    options.max_message = 8000000
    local server = kit.listen(options)
    local got
    server:on("message", function(_, message) got = #message end)
    local client = kit.connect(server, { queue_bytes = 8000000, max_message = 8000000, lossless = false })
    kit.connected(client)
    local message = ("0123456789"):rep(600000)
    return function()
      assert(client:send(message, "binary"))
      say()
      wait("it", function() return got == 6000000 or not client.node.attached end)
    end
  end)

  scene("wss-deflate", function()
    local options = kit.wss()
    options.compression = { takeover = true }
    local server, client = kit.pair(options, { compression = { peer_takeover = true } })
    return function()
      kit.echo(client, ("again and "):rep(3000))
      say()
      server:close { drain = 0.02 }
      wait("the end of the drain", function() return server.closed end)
    end
  end)

  scene("wss-proxy", function()
    local server = kit.listen(kit.wss())
    local client = kit.connect(server, { proxy = ("http://127.0.0.1:%d"):format(memory.proxy()) })
    return function() kit.connected(client) end
  end)

  state("abandoned-wss", function()
    local lib = require "dop"
    local pki_of = require("spec.support.certificates").at(os.getenv "FAILMALLOC_PKI")
    local server = lib.listen { url = "wss://127.0.0.1:0/", tls = pki_of:identity() }
    local client = server and lib.connect {
      url = server.url, tls = { ca = pki_of.ca }, retry = function() return 0.002 end,
    }
    if not client then return end
    local loop, back = lib.loop(), false
    client:on("reconnect", function() back = true end)
    local function until_it(condition)
      local from = loop:now()
      repeat loop:step() until condition() or loop:now() - from > (memory.failed() and 0.02 or 20)
    end
    until_it(function() return client.node.status == "CONNECTED" end)
    client.node:drop()
    until_it(function() return back end) -- with the ticket
    -- Nothing is closed.
  end)
end
