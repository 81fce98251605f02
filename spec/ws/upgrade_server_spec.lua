--- The upgrade as a server sees it (RFC 6455 4.2, RFC 9112). Every request is fed whole, byte by byte
-- and cut in two at each point.

local handshake = require "spec.ws.handshake"
local stream = require "spec.ws.stream"
local wire = require "spec.support.wire"
local request, ask = handshake.request, handshake.ask

local OPENED = "open"

local function accepted(bytes, o)
  local got = ask(bytes, o)
  assert.equal(101, got.status)
  assert.equal("websocket", got.fields.upgrade:lower())
  assert.equal("upgrade", got.fields.connection:lower())
  assert.equal("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", got.fields["sec-websocket-accept"])
  assert.is_nil(got.fields["sec-websocket-extensions"])
  assert.equal(OPENED, got.events)
  assert.equal("\129\16" .. handshake.HALF, got.body)
  assert.is_nil(got.ending)
  return got
end

local function refuses(status, bytes, o)
  local got = ask(bytes, o)
  assert.equal(status, got.status)
  return got
end

describe("an upgrade", function()
  it("with the sample key of RFC 6455 1.3 is answered with s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", function()
    accepted(request())
  end)

  it("may write its header names and tokens in any case, and blanks around values", function()
    accepted("GET / HTTP/1.1\r\nhOST:localhost\r\nUPGRADE:\t WebSocket \t\r\nconnection:  uPgRaDe\r\n" ..
      "SEC-WEBSOCKET-VERSION:13\r\nsec-websocket-key: " .. wire.KEY .. "  \r\n\r\n")
  end)

  it("may list upgrade among other options of the connection, on one line or several", function()
    accepted(request { Connection = "keep-alive, Upgrade" })
    accepted(request { Connection = "keep-alive,,Upgrade ,x" })
    accepted(request { Connection = "keep-alive", "Connection: Upgrade" })
  end)

  it("may list websocket among other protocols", function()
    accepted(request { Upgrade = "h2c, websocket" })
    accepted(request { Upgrade = "websocket,h2c/2" })
    accepted(request { Upgrade = "h2c", "Upgrade: websocket" })
    accepted(request { "Upgrade: websocket" })
  end)

  it("may ask for any path and query", function()
    accepted(request { line = "GET /a/b%20c?d=e&f=/?! HTTP/1.1" })
    accepted(request { line = "GET / HTTP/1.1" })
  end)

  it("may carry headers that mean nothing to us, bytes above 127 in them", function()
    accepted(request { "User-Agent: \195\188ber/1.0", "X-Empty:", "Cookie: a=b; c=\"d\"", "Content-Length: 0" })
  end)

  it("may offer extensions: none is selected", function()
    accepted(request { "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-other" })
  end)

  it("may come in bytes, each for itself", function() -- also what `ask` does with every request
    local w = wire.new()
    local p = w:to_server(true)
    local bytes = request()
    for i = 1, #bytes - 1 do
      p.link:feed(bytes:sub(i, i))
      assert.equal("", p.link:output())
    end
    p.link:feed(bytes:sub(-1))
    assert.truthy(p.link:output():find("^HTTP/1%.1 101 "))
  end)

  it("may bring the first messages of the session along", function()
    local token = require("dop.core").merge(("Q"):rep(16), handshake.HALF)
    local said = { stream.text(("Q"):rep(16)), stream.ping("?"), stream.text(("Q"):rep(16)), stream.text("Hello") }
    local got = ask(request() .. stream.bytes("server", said))
    assert.equal("open, status PRECONNECTED, status CONNECTED, connect, message Hello", got.events)
    local half = "\129\16" .. handshake.HALF
    assert.equal(half .. half .. "\138\1?", got.body)
    assert.equal(32, #token)
  end)

  it("may bring a formal end along, at once", function()
    local token = require("dop.core").merge(("Q"):rep(16), handshake.HALF)
    local half = stream.text(("Q"):rep(16))
    local got = ask(request() .. stream.bytes("server", { half, half, stream.text(token), stream.text("late") }))
    assert.equal("open, status PRECONNECTED, status CONNECTED, connect, close 1000, status DISCONNECTED, " ..
      "disconnect peer", got.events)
  end)

  it("is no end of the link when what comes along is wrong: that is a close frame", function()
    local got = ask(request() .. "\129\5Hello")
    assert.equal(101, got.status)
    assert.equal("open, close 1002, status DISCONNECTED", got.events)
    assert.equal("fin", got.ending)
  end)

  it("is done once: a second request is no frame", function()
    local got = ask(request() .. request())
    assert.equal(101, got.status)
    assert.equal("fin", got.ending)
    assert.equal("\136", got.body:sub(19, 19))
  end)
end)

describe("the subprotocol dop", function()
  local offers = {
    "Sec-WebSocket-Protocol: dop",
    "Sec-WebSocket-Protocol: chat, dop",
    "Sec-WebSocket-Protocol: dop,chat",
    "Sec-WebSocket-Protocol: a , \tdop\t, b",
    "sec-websocket-protocol:dop",
    "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: dop",
    "Sec-WebSocket-Protocol: dop\r\nX: y\r\nSec-WebSocket-Protocol: chat",
  }
  for i, lines in ipairs(offers) do
    it(("is selected when it was offered, offer %d"):format(i), function()
      assert.equal("dop", accepted(request { lines }).fields["sec-websocket-protocol"])
    end)
  end

  for i, lines in ipairs { "X: dop", "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: dop2, xdop, DOP",
    "Sec-WebSocket-Protocol:", "Sec-WebSocket-Protocol: ,,," } do
    it(("is not selected when it was not offered, offer %d, and the session opens all the same"):format(i), function()
      assert.is_nil(accepted(request { lines }).fields["sec-websocket-protocol"])
    end)
  end
end)

describe("a request that asks for no WebSocket of version 13", function()
  local cases = {
    ["without Upgrade"] = { Upgrade = false },
    ["with an empty Upgrade"] = { Upgrade = "" },
    ["with Upgrade to something else"] = { Upgrade = "h2c" },
    ["with Upgrade to websocket2"] = { Upgrade = "websocket2" },
    ["with Upgrade to websocket/13"] = { Upgrade = "websocket/13" },
    ["with Upgrade to two things with a blank between"] = { Upgrade = "h2c websocket" },
    ["without Connection"] = { Connection = false },
    ["with Connection: keep-alive"] = { Connection = "keep-alive" },
    ["with Connection: Upgrade2"] = { Connection = "Upgrade2, not upgrade" },
    ["without a version"] = { ["Sec-WebSocket-Version"] = false },
    ["with version 8"] = { ["Sec-WebSocket-Version"] = "8" },
    ["with version 12"] = { ["Sec-WebSocket-Version"] = "12" },
    ["with version 013"] = { ["Sec-WebSocket-Version"] = "013" },
    ["with versions 13, 8"] = { ["Sec-WebSocket-Version"] = "13, 8" },
  }
  for name, o in pairs(cases) do
    it(("(%s) gets a 426 that names the version"):format(name), function()
      local got = refuses(426, request(o))
      assert.equal("13", got.fields["sec-websocket-version"])
      assert.equal("websocket", got.fields.upgrade)
      assert.truthy(got.fields.connection:lower():find("upgrade", 1, true))
    end)
  end
end)

describe("a method", function()
  for _, method in ipairs { "POST", "HEAD", "OPTIONS", "CONNECT", "get", "GETX", "PRI" } do
    it(("%s gets a 405 that names GET"):format(method), function()
      assert.equal("GET", refuses(405, request { line = method .. " /dop HTTP/1.1" }).fields.allow)
    end)
  end
end)

describe("a malformed request", function()
  local key = wire.KEY
  local cases = {
    ["of HTTP/1.0"] = { line = "GET /dop HTTP/1.0" },
    ["of HTTP/2.0"] = { line = "GET /dop HTTP/2.0" },
    ["of HTTP/1.10"] = { line = "GET /dop HTTP/1.10" },
    ["of http/1.1 in small letters"] = { line = "GET /dop http/1.1" },
    ["without a version of HTTP"] = { line = "GET /dop" },
    ["with an empty first line"] = { line = "" },
    ["with two blanks in its first line"] = { line = "GET  /dop HTTP/1.1" },
    ["with a blank behind its first line"] = { line = "GET /dop HTTP/1.1 " },
    ["with a tab in its first line"] = { line = "GET\t/dop\tHTTP/1.1" },
    ["with a blank in front"] = { line = " GET /dop HTTP/1.1" },
    ["with a blank in its target"] = { line = "GET /d op HTTP/1.1" },
    ["with a NUL in its target"] = { line = "GET /d\0op HTTP/1.1" },
    ["with bytes above 127 in its target"] = { line = "GET /d\195\188p HTTP/1.1" },
    ["with an absolute target"] = { line = "GET http://localhost/dop HTTP/1.1" },
    ["with a target without a slash"] = { line = "GET dop HTTP/1.1" },
    ["with the target *"] = { line = "GET * HTTP/1.1" },
    ["with an authority as its target"] = { line = "GET localhost:80 HTTP/1.1" },
    ["without Host"] = { Host = false },
    ["with an empty Host"] = { Host = "" },
    ["with two Hosts"] = { "Host: localhost" },
    ["with two Hosts of different case"] = { "HOST: other" },
    ["with two hosts in one Host"] = { Host = "localhost, other" },
    ["with a path in Host"] = { Host = "localhost/dop" },
    ["with a user in Host"] = { Host = "user@localhost" },
    ["without a key"] = { ["Sec-WebSocket-Key"] = false },
    ["with an empty key"] = { ["Sec-WebSocket-Key"] = "" },
    ["with a key of 15 bytes"] = { ["Sec-WebSocket-Key"] = key:sub(1, 20) },
    ["with a key of 17 bytes"] = { ["Sec-WebSocket-Key"] = "AAAA" .. key },
    ["with a key that is no Base64"] = { ["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25j!Q==" },
    ["with a key without its padding"] = { ["Sec-WebSocket-Key"] = key:sub(1, 22) },
    ["with a key that is 17 bytes in as many letters"] = { ["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQA=" },
    ["with a key with padding in its middle"] = { ["Sec-WebSocket-Key"] = "dGhlIHNhbXBs=SBub25jZQ==" },
    ["with two keys"] = { "Sec-WebSocket-Key: " .. key },
    ["with two versions on two lines"] = { "Sec-WebSocket-Version: 13" },
    ["with two Origins"] = { "Origin: http://localhost", "Origin: http://localhost" },
    ["with a folded header"] = { "X-Folded: one\r\n two" },
    ["with a header folded by a tab"] = { "X-Folded: one\r\n\ttwo" },
    ["with its first header folded"] = { line = "GET /dop HTTP/1.1\r\n X: y" },
    ["with a blank before a colon"] = { "X-Blank : y" },
    ["with a tab before a colon"] = { "X-Blank\t: y" },
    ["with a blank in a name"] = { "X Blank: y" },
    ["with a header without a colon"] = { "X-No-Colon" },
    ["with a header without a name"] = { ": y" },
    ["with a NUL in a value"] = { "X-Nul: a\0b" },
    ["with a NUL in a name"] = { "X\0Nul: b" },
    ["with a bell in a value"] = { "X-Bell: a\7b" },
    ["with a DEL in a value"] = { "X-Del: a\127b" },
    ["with a bare CR in a value"] = { "X-Cr: a\rb" },
    ["with a CR CR LF"] = { "X-Cr: a\r" },
    ["with a bare LF behind a header"] = { "X-Lf: a\nX-More: b" },
    ["with a bare LF in its first line"] = { line = "GET /dop HTTP/1.1\nX: y" },
    ["with bytes above 127 in a name"] = { "X-\195\188: y" },
    ["with quotes in a name"] = { "\"X\": y" },
    ["that announces a body by its length"] = { "Content-Length: 5" },
    ["that announces a body in chunks"] = { "Transfer-Encoding: chunked" },
    ["that announces a body by its length and in chunks"] = { "Content-Length: 0", "Transfer-Encoding: chunked" },
    ["that announces a body of no chunks"] = { "Transfer-Encoding: identity" },
    ["with two lengths"] = { "Content-Length: 0", "Content-Length: 7" },
    ["with a length of +0"] = { "Content-Length: +0" },
  }
  for name, o in pairs(cases) do
    it(("(%s) gets a 400"):format(name), function() refuses(400, request(o)) end)
  end

  it("is told what is wrong with it", function()
    assert.truthy(refuses(400, request { "X-Folded: one\r\n two" }).body:find("folded", 1, true))
    assert.truthy(refuses(400, request { "X-Folded: one\r\n two: three" }).body:find("folded", 1, true))
    assert.truthy(refuses(400, request { "X-Blank : y" }).body:find("blank before a colon", 1, true))
    assert.truthy(refuses(400, request { "X-Lf: a\nX-More: b" }).body:find("bare LF", 1, true))
    assert.truthy(refuses(400, request { Host = false }).body:find("no Host", 1, true))
  end)

  it("is refused once, whatever comes behind it", function()
    local got = refuses(400, request { line = "GET /dop HTTP/1.0" } .. request() .. ("\0"):rep(100))
    assert.is_nil(got.body:find("HTTP", 2, true) and got.body:find("101", 1, true))
  end)

  it("whose lines all end in bare LF is no request: it waits until the deadline, then 408", function()
    local w = wire.new()
    local p = w:to_server(true)
    p.link:feed((request():gsub("\r", "")))
    assert.equal("", p.link:output())
    w:wait(10)
    assert.truthy(p.link:output():find("^HTTP/1%.1 408 "))
  end)

  it("does not end where only the empty line has a CR: the head goes on", function()
    for _, stop in ipairs { "X: y\n\r\n", "X: y\r\n\n", "X: y\n\n" } do
      local w = wire.new()
      local p = w:to_server(true)
      p.link:feed(request():sub(1, -3) .. stop)
      assert.equal("", p.link:output())
      p.link:feed("\r\n\r\n")
      assert.truthy(p.link:output():find("^HTTP/1%.1 400 "))
    end
  end)

  it("that is the beginning of HTTP/2 hears so once, in HTTP/1.1, and the connection ends", function()
    local got = refuses(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    assert.truthy(got.body:find("not 1.1", 1, true))
  end)

  it("that is TLS gets no answer that a client could take for one, and is not kept for ever", function()
    local w = wire.new()
    local p = w:to_server(true)
    p.link:feed("\22\3\1\2\0\1\0\1\252\3\3" .. ("\200"):rep(500))
    assert.equal("", p.link:output())
    w:wait(10)
    assert.equal("fin", (p.link:ending()))
    w:wait(5)
    assert.equal("dead", (p.link:ending()))
  end)
end)

describe("the size of a request", function()
  local function with_fields(n)
    local o = {}
    for i = 1, n - 5 do o[i] = ("X-%d: y"):format(i) end
    return request(o)
  end
  local function of_size(n)
    local rest = n - #request { "X: " }
    return request { "X: " .. ("y"):rep(rest) }
  end

  it("is 64 headers at most: the 65th gets a 431", function()
    accepted(with_fields(64))
    refuses(431, with_fields(65))
  end)

  it("is as many headers as were allowed", function()
    accepted(with_fields(8), { limits = { max_fields = 8 } })
    refuses(431, with_fields(9), { limits = { max_fields = 8 } })
  end)

  it("is 8 KiB at most: one byte more gets a 431", function()
    assert.equal(8192, #of_size(8192))
    accepted(of_size(8192))
    refuses(431, of_size(8193))
  end)

  it("is as many bytes as were allowed", function()
    accepted(of_size(300), { limits = { max_header = 300 } })
    refuses(431, of_size(301), { limits = { max_header = 300 } })
  end)

  it("counts only the head: large messages may come along with it", function()
    local message = stream.binary(("b"):rep(20000))
    local half = stream.text(("Q"):rep(16))
    local got = ask(of_size(300) .. stream.bytes("server", { half, half, message }), { limits = { max_header = 300 } })
    assert.equal(101, got.status)
    assert.is_nil(got.ending)
  end)

  it("is seen before the head is whole: a head without an end gets a 431 at byte 8193", function()
    for _, filling in ipairs { "a", "\r\n", "X: y\r\n", "\n", " ", "," } do
      local w = wire.new()
      local p = w:to_server(true)
      local flood = ("GET / HTTP/1.1\r\nX: " .. filling:rep(8200)):gsub("\r\n\r\n", "\r\r\n"):sub(1, 8193)
      p.link:feed(flood:sub(1, 8192))
      assert.equal("", p.link:output())
      p.link:feed(flood:sub(8193))
      assert.truthy(p.link:output():find("^HTTP/1%.1 431 "))
      assert.equal("fin", (p.link:ending()))
    end
  end)

  it("may be used up by the first line: a target of 8 KiB gets a 431", function()
    refuses(431, request { line = "GET /" .. ("x"):rep(8192) .. " HTTP/1.1" })
  end)
end)

describe("the origin of a request", function()
  local function from(origin, o)
    o = o or {}
    return request { Host = o.host, "Origin: " .. origin }
  end

  it("may be missing: that is no browser", function() accepted(request()) end)

  it("may be the host that was asked, in any scheme and case", function()
    accepted(from "http://localhost")
    accepted(from "https://LOCALHOST")
    accepted(from("http://localhost:8080", { host = "localhost:8080" }))
    accepted(from("https://[::1]:8080", { host = "[::1]:8080" }))
  end)

  for _, origin in ipairs { "http://evil.example", "http://localhost.evil.example", "http://evil.example/localhost",
    "http://localhost:8080", "http://localhost@evil.example", "http://xlocalhost", "http://localhos", "null", "",
    "localhost", "http:localhost", "http:/localhost", "file://", "://", ":", "http://localhost/", "http://" } do
    it(("%q is another one: 403"):format(origin), function() refuses(403, from(origin)) end)
  end

  it("may write its scheme's port, or leave it to Host to do so", function()
    accepted(from "http://localhost:80")
    accepted(from("http://localhost", { host = "localhost:80" }))
    accepted(from("https://localhost", { host = "localhost:443" }))
    accepted(from("https://[::1]:443", { host = "[::1]" }))
    accepted(from "HTTPS://LocalHost") -- a proxy ends TLS in front
  end)

  it("is another one when the scheme's port is another: 403", function()
    refuses(403, from "http://localhost:443")
    refuses(403, from "https://localhost:80")
    refuses(403, from("https://localhost", { host = "localhost:80" }))
    refuses(403, from("http://[::1]:1", { host = "[::1]" }))
    refuses(403, from("http://localhost", { host = "localhost:" }))
    refuses(403, from("http://localhost:", { host = "localhost:" }))
  end)

  it("is another one when neither names a host: 403", function()
    refuses(403, from("http://:80", { host = ":80" }))
    refuses(403, from("http://", { host = ":80" }))
  end)

  for _, origin in ipairs { "http://localhost:65616", "http://localhost:000080", "http://localhost:8O", "http://:80",
    "http://localhost:80:80", "http://localhost:80 ", "http://localhost:80@evil.example",
    "http://evil.example:80@localhost", "http://evil.example#@localhost", "http://evil.example\\@localhost",
    "http://localhost\\.evil.example",
    "http://localhost,http://evil.example", "http://evil.example http://localhost", "ftp://localhost",
    "file://localhost", "chrome-extension://localhost", "http//localhost", "http:\\\\localhost",
    "http://localhost.", "NULL" } do
    it(("%q is no way around: 403"):format(origin), function()
      -- Blanks at the end are the header's, not the origin's.
      if origin:find(" $") then accepted(from(origin)) else refuses(403, from(origin)) end
    end)
  end

  it("is another one when the port differs: 403", function()
    refuses(403, from("http://localhost", { host = "localhost:8080" }))
    refuses(403, from("http://localhost:8081", { host = "localhost:8080" }))
  end)

  it("may be any when the application says so", function()
    for _, origin in ipairs { "http://evil.example", "null", "" } do
      accepted(from(origin), { any_origin = true })
    end
  end)
end)

describe("a server", function()
  it("has room for as many upgrades at once as were allowed, then answers 503", function()
    local w = wire.new { server = { max_pending = 2 } }
    local first, second, third = w:to_server(true), w:to_server(true), w:to_server(true)
    assert.equal("", first.link:output() .. second.link:output())
    local answer = third.link:output()
    assert.truthy(answer:find("^HTTP/1%.1 503 "))
    assert.truthy(answer:find("\r\nRetry%-After: 5\r\n"))
    assert.equal("fin", (third.link:ending()))
    first:lose()
    assert.equal("", w:to_server(true).link:output())
  end)

  it("that is closed while an upgrade is under way answers 503", function()
    local w = wire.new()
    local p = w:to_server(true)
    p.link:feed("GET / HTTP/1.1\r\n")
    w.server:end_sessions()
    assert.truthy(p.link:output():find("^HTTP/1%.1 503 "))
    assert.equal("fin", (p.link:ending()))
  end)
end)
