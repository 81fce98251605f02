--- wss: peers that are none, or that stop anywhere. Whoever it is costs only itself: a session beside it goes on.

local certificates = require "spec.support.certificates"
local dop = require "dop"
local frames = require "spec.support.frames"
local hand = require "spec.support.hand"
local real = require "spec.support.real"

local pki = certificates.new()
teardown(function() pki:remove() end)
after_each(real.close)

local function listen(more)
  local options = { url = "wss://127.0.0.1:0/dop", tls = pki:identity() }
  for name, value in pairs(more or {}) do options[name] = value end
  local server = real.listen(options)
  server:on("message", function(node, message) node:send(message) end)
  return server
end

-- A healthy session of the server; check() fails unless it still echoes on the socket that it began with.
local function witness(server)
  local client = real.connect(server, { tls = { ca = pki.ca } })
  local log = real.record(client, { "message", "close" })
  real.wait("the witness", function() return client.node.status == "CONNECTED" end)
  return {
    check = function()
      local n = log:count "message"
      assert(client:send "ping")
      real.wait("the echo", function() return log:count "message" > n end)
      assert.equal(0, log:count "close")
    end,
  }
end

describe("a server of wss:", function()
  it("answers a request in plain HTTP with 400, and says why", function()
    local server = listen()
    local beside = witness(server)
    local p = real.raw_client(server, hand.REQUEST)
    real.wait("the end", function() return p.ended end)
    assert.truthy(p.received:find "^HTTP/1%.1 400 ", p.received)
    assert.truthy(p.received:find("This port speaks TLS", 1, true), p.received)
    assert.equal(1, server:stats().refused)
    beside.check()
  end)

  local records = {
    ["bytes that are nothing"] = ("\0\1\2\3"):rep(100),
    ["a WebSocket frame"] = frames.encode(frames.TEXT, "hello", { mask = true }),
    ["SSL 2"] = "\128\46\1\0\2" .. ("\0"):rep(43),
    ["empty records"] = ("\22\3\1\0\0"):rep(40),
    ["a record that is too large"] = "\22\3\1\255\255" .. ("x"):rep(70000),
    ["a record of another kind"] = "\23\3\3\0\5hello",
    ["an alert"] = "\21\3\1\0\2\2\40",
    ["a handshake of nonsense"] = "\22\3\1\0\5\99\0\0\1x",
    ["SSL 3"] = "\22\3\0\0\43\1\0\0\39\3\0" .. ("r"):rep(32) .. "\0\0\2\0\47\1\0",
  }
  for what, bytes in pairs(records) do
    it("ends the connection on " .. what, function()
      local server = listen()
      local beside = witness(server)
      local p = real.raw_client(server, bytes)
      real.wait("the end", function() return p.ended end)
      assert.is_nil(p.received:find("HTTP", 1, true))
      beside.check()
      p:close()
      real.wait("the socket's end", function() return server:stats().sockets == 1 end)
    end)
  end

  it("takes a ClientHello that drips in byte by byte", function()
    local hello = real.client_hello { ca = pki.ca }
    local server = listen()
    local p = real.raw_client(server)
    for i = 1, #hello do
      if i == #hello then assert.equal("", p.received) end
      p:send(hello:sub(i, i))
      -- So that many of them arrive alone.
      if i % 8 == 0 or i == #hello - 1 then
        local done = false
        dop.timer(0.001, function() done = true end)
        real.wait("a round", function() return done end)
      end
    end
    real.wait("the ServerHello", function() return #p.received > 5 end)
    assert.equal(22, p.received:byte(1))
  end)

  local floods = {
    ["changes of cipher"] = "\20\3\3\0\1\1",
    ["what nobody can decrypt"] = "\23\3\3\0\40" .. ("x"):rep(40),
    ["warnings"] = "\21\3\3\0\2\1\41",
    ["empty records"] = "\22\3\3\0\0",
  }
  for what, record in pairs(floods) do
    it("ends a handshake that goes on with nothing but " .. what, function()
      local hello = real.client_hello { ca = pki.ca }
      local server = listen()
      local beside = witness(server)
      for n, bytes in ipairs { hello, hello:sub(1, 20) } do
        local p = real.raw_client(server, bytes .. record:rep(1000))
        real.wait("the refusal", function() return server:stats().refused_tls == n end)
        p:close()
      end
      real.wait("the sockets' end", function() return server:stats().sockets == 1 end)
      beside.check()
    end)
  end

  it("counts a handshake that the client ends, by close_notify too, as one that failed", function()
    local hello = real.client_hello { ca = pki.ca }
    local server = listen()
    for n, how in ipairs { function(p) p:close() end, function(p) p:send "\21\3\3\0\2\1\0" end } do
      local p = real.raw_client(server, hello)
      real.wait("the ServerHello", function() return #p.received > 0 end)
      how(p)
      real.wait("the refusal", function() return server:stats().refused_tls == n end)
      real.wait("its end", function() return server:stats().sockets == 0 end)
    end
  end)

  it("forgets whoever stops in the middle of a ClientHello", function()
    local hello = real.client_hello { ca = pki.ca }
    local server = listen()
    local beside = witness(server)
    for _, n in ipairs { 1, 4, 5, 6, 100, #hello - 1, #hello } do
      local p = real.raw_client(server, hello:sub(1, n))
      real.wait("the socket", function() return server:stats().sockets == 2 end)
      p:close()
      real.wait("its end", function() return server:stats().sockets == 1 end)
    end
    beside.check()
  end)

  it("waits for a handshake as long as handshake_timeout says, for a silent one too", function()
    local hello = real.client_hello { ca = pki.ca }
    local server = listen { handshake_timeout = 0.05 }
    for _, n in ipairs { 0, 100, #hello } do
      local p = real.raw_client(server, hello:sub(1, n))
      real.wait("the end", function() return p.ended end, 2)
      p:close()
    end
    real.wait("the end of all", function() return server:stats().sockets == 0 end)
    assert.equal(0, server:stats().pending)
  end)

  it("refuses the surplus without a handshake", function()
    local server = listen { max_pending = 1 }
    local beside, hello = witness(server), real.client_hello { ca = pki.ca }
    local first = real.raw_client(server)
    real.wait("the first", function() return server:stats().pending == 1 end)
    local second = real.raw_client(server)
    real.wait("the refusal", function() return second.ended end)
    -- It is waited for, and what it says meanwhile is not looked at: nobody tries to answer it.
    second:send(hello)
    beside.check()
    beside.check()
    assert.equal(3, server:stats().sockets)
    assert.equal("", second.received)
    assert.is_nil(first.ended)
  end)
end)

-- Lets the loop run until the command has printed the pattern. Returns all it printed so far.
local function printed(process, pattern)
  local text
  local function found()
    text = pki.text(process.log)
    return text:find(pattern)
  end
  local ok = pcall(real.wait, pattern, found)
  return ok and text or error(("no %q in:\n%s"):format(pattern, text), 2)
end

-- Starts the command with its output in a file, which is looked into while the loop runs, and `input` for what
-- it shall read.
local count, inputs = 0, {}
local function openssl(arguments)
  count = count + 1
  local name = ("%s/openssl%d"):format(pki.dir, count)
  os.execute(("mkfifo '%s.in'; : >'%s.log'"):format(name, name))
  local command = ("sh -c 'unset LD_PRELOAD; exec openssl %s <%s.in >%s.log 2>&1'"):format(arguments, name, name)
  local process = real.command(command)
  process.log, process.input = name .. ".log", assert(io.open(name .. ".in", "w"))
  process.input:setvbuf "no"
  inputs[#inputs + 1] = process.input
  return process
end

after_each(function()
  for _, input in ipairs(inputs) do input:close() end
  inputs = {}
end)

describe("the openssl command as a client", function()
  local function client(server, arguments)
    local port = server.url:match ":(%d+)/"
    return openssl(("s_client -connect 127.0.0.1:%s -CAfile %s %s"):format(port, pki.ca, arguments))
  end

  it("gets http/1.1 when it offers that, and the alert of RFC 7301 when it does not", function()
    local server = listen()
    printed(client(server, "-alpn h2,http/1.1"), "ALPN protocol: http/1%.1")
    printed(client(server, "-alpn h2"), "alert no application protocol")
    printed(client(server, ""), "No ALPN negotiated")
  end)

  it("may speak TLS 1.2 or 1.3, nothing older", function()
    local server = listen()
    printed(client(server, "-tls1_2"), "Protocol *: TLSv1%.2")
    printed(client(server, "-tls1_3"), "TLSv1%.3, Cipher is")
    printed(client(server, "-tls1_1 -cipher DEFAULT:@SECLEVEL=0"), "alert protocol version")
  end)

  it("may not renegotiate", function()
    local process = client(listen(), "-tls1_2")
    printed(process, "Verify return code")
    process.input:write "R\n" -- a command of openssl's
    printed(process, "no renegotiation")
  end)

  it("hears close_notify before the end of a refused request", function()
    local process = client(listen(), "-msg")
    printed(process, "Verify return code")
    process.input:write "GET /dop HTTP/1.1\r\n\r\n"
    local text = printed(process, "<<< [^\n]*close_notify")
    assert.truthy(text:find("HTTP/1.1 400", 1, true), text)
  end)

  it("changes its keys, and asks the server to: the stream goes on", function()
    local process = client(listen(), "-msg -tls1_3")
    printed(process, "Verify return code")
    process.input:write(hand.REQUEST)
    printed(process, "HTTP/1.1 101 ")
    process.input:write "K\n"
    printed(process, ">>> [^\n]*KeyUpdate")
    process.input:write(frames.encode(frames.CLOSE, "", { mask = true }))
    printed(process, "<<< [^\n]*KeyUpdate.*<<< [^\n]*close_notify")
  end)
end)

describe("a client of wss:", function()
  local function told(url, tls, more)
    local why, code
    local options = { url = url, tls = tls or { ca = pki.ca }, retry = function(_, sentence, name)
      if not code then why, code = sentence, name end
      return 0.01
    end }
    for name, value in pairs(more or {}) do options[name] = value end
    local client = real.connect(nil, options)
    real.wait("the reason", function() return why end)
    client:close()
    return code, why
  end

  -- A server that says that much when somebody has spoken, and then ends or waits.
  local function saying(bytes, how)
    local raw = real.raw_server(nil, function(p)
      p:send(bytes)
      if how ~= "wait" then p:close() end
    end)
    return (raw.url:gsub("^ws", "wss"))
  end

  it("is told that a server does not speak TLS, and what it said", function()
    local code, why = told(saying("HTTP/1.1 400 Bad Request\r\n\r\n", "wait"))
    assert.equal("TLS_NOTTLS", code)
    assert.truthy(why:find('"HTTP/1.1 400 Bad Request"', 1, true), why)
    -- A server of ours waits for the end of what it takes for a request.
    code, why = told((real.listen { handshake_timeout = 0.05 }.url:gsub("^ws", "wss")))
    assert.equal("TLS_NOTTLS", code, why)
    assert.equal("TLS_NOTTLS", (told(saying(("\0\255\n"):rep(1000), "wait"))))
  end)

  it("is told of an end or a silence in the handshake", function()
    assert.equal("EOF", (told(saying("\22\3\3\0\122", "end"))))
    local code, why = told(saying("\21\3\3\0\2\1\0", "wait")) -- close_notify
    assert.equal("EOF", code)
    assert.truthy(why:find("during the TLS handshake", 1, true), why)
    assert.equal("TIMEOUT", (told(saying("", "wait"), nil, { handshake_timeout = 0.05 })))
    assert.equal("TIMEOUT", (told(saying("\22\3\3\0\122\2", "wait"), nil, { handshake_timeout = 0.05 })))
  end)

  it("takes 100 KB of certificates and no more", function()
    local chain = pki.text(pki.ca)
    for links, expected in pairs { [100] = false, [300] = "TLS" } do
      local server = listen { tls = pki:identity("server", { cert = pki.text(pki.server) .. chain:rep(links) }) }
      local why, code
      local client = real.connect(server, { tls = { ca = pki.ca }, retry = function(_, sentence, name)
        why, code = sentence, name
        return nil
      end })
      real.wait("the attempt's end", function() return code or client.node.status == "CONNECTED" end)
      assert.equal(expected, code or false, why)
      assert.truthy(not why or why:find("excessive message size", 1, true), why)
    end
  end)

  it("is told of a handshake that makes no sense", function()
    assert.equal("TLS", (told(saying("\22\3\3\0\5\99\0\0\1x", "wait"))))
    assert.equal("TLS", (told(saying("\22\3\3\255\255", "wait"))))
  end)

  -- openssl's server, on a free port that it says.
  local function s_server(arguments)
    local process = openssl(("s_server -accept 127.0.0.1:0 -cert %s -key %s %s"):format(
      pki.server, pki:key "server", arguments))
    local port = printed(process, "ACCEPT 127%.0%.0%.1:%d+"):match "ACCEPT 127%.0%.0%.1:(%d+)"
    return ("wss://127.0.0.1:%s/dop"):format(port), process
  end

  it("is told that there is no version in common", function()
    local code, why = told((s_server "-tls1_1 -cipher DEFAULT:@SECLEVEL=0"))
    assert.equal("TLS_VERSION", code, why)
    code, why = told((s_server "-tls1_2"), { ca = pki.ca, min_version = "1.3" })
    assert.equal("TLS_VERSION", code, why)
    local other = { ca = pki.ca, ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" }
    code, why = told((s_server "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256"), other)
    assert.equal("TLS_VERSION", code, why)
  end)

  it("is told that a server of TLS 1.2 wants a certificate", function()
    local code, why = told((s_server("-tls1_2 -verify_return_error -Verify 1 -CAfile " .. pki.ca)))
    assert.equal("TLS_CLIENTCERT", code, why)
    assert.truthy(why:find("set tls.cert", 1, true), why)
  end)

  it("offers http/1.1, and the name but no address", function()
    local url, process = s_server "-tlsextdebug -alpn http/1.1"
    real.connect(nil, { url = url:gsub("127%.0%.0%.1", "localhost"), tls = { ca = pki.ca } })
    local text = printed(process, "ALPN protocols selected: http/1%.1")
    assert.truthy(text:find('TLS client extension "server name"', 1, true), text)
    url, process = s_server "-tlsextdebug -alpn http/1.1"
    real.connect(nil, { url = url, tls = { ca = pki.ca } })
    text = printed(process, "ALPN protocols selected: http/1%.1")
    assert.is_nil(text:find('TLS client extension "server name"', 1, true), text)
  end)
end)
