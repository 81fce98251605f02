--- Requests that ask for no upgrade, as a server sees them: what is handed to the application, what is
-- not, and that its answer is one whole head of HTTP. Every request is fed whole, byte by byte and cut
-- in two at each point.

local handshake = require "spec.ws.handshake"
local wire = require "spec.support.wire"

local function plain(o)
  o = o or {}
  for _, name in ipairs { "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key" } do
    if o[name] == nil then o[name] = false end
  end
  return handshake.request(o)
end

-- Asks a server whose `http` says these things; `seen` is the request that it was given.
local function ask(bytes, ...)
  local says, seen = { n = select("#", ...), ... }, nil
  local got = handshake.ask(bytes, {
    http = function(request)
      seen = request
      return (table.unpack or unpack)(says, 1, says.n)
    end,
  })
  got.seen = seen
  return got
end

describe("a request without an upgrade", function()
  it("is the application's, as `authorize` would have it", function()
    local got = ask(plain { line = "GET /status?full=1 HTTP/1.1", "Cookie: a=b", "Origin: http://elsewhere.example" },
      200, "fine\n")
    assert.equal(200, got.status)
    assert.equal("fine\n", got.body)
    assert.equal("GET", got.seen.method)
    assert.equal("/status", got.seen.path)
    assert.equal("full=1", got.seen.query)
    assert.equal("a=b", got.seen.headers.cookie)
    assert.equal("127.0.0.1:5", got.seen.address)
    assert.equal("text/plain; charset=utf-8", got.fields["content-type"])
    assert.equal("close", got.fields.connection)
  end)

  it("is counted apart from what was refused", function()
    local got = ask(plain(), 404, "no\n")
    assert.equal(1, got.http)
    assert.equal(0, got.refused)
  end)

  it("may be answered with bytes of any kind, and with nothing", function()
    assert.equal("a\0b\r\n\r\n\255", ask(plain(), 200, "a\0b\r\n\r\n\255").body)
    assert.equal("", ask(plain(), 200).body)
    assert.equal("0", ask(plain(), 200).fields["content-length"])
  end)

  it("may be answered with headers, the content's type among them", function()
    local got = ask(plain(), 200, "{}", "Content-Type: application/json\r\nX-A: b\r\n", true)
    assert.equal("application/json", got.fields["content-type"])
    assert.equal("b", got.fields["x-a"])
  end)

  it("hears 204 and 304 without a content", function()
    assert.equal("", ask(plain(), 204, "ignored").body)
    assert.equal("", ask(plain(), 304, "ignored").body)
  end)

  it("may be a HEAD, which hears the length and no body", function()
    local got = ask(plain { line = "HEAD / HTTP/1.1" }, 200, "fine\n")
    assert.equal("HEAD", got.seen.method)
    assert.equal("5", got.fields["content-length"])
    assert.equal("", got.body)
  end)

  it("hears 426 when the application does not care, and that is a refusal", function()
    for _, line in ipairs { "GET / HTTP/1.1", "HEAD / HTTP/1.1" } do
      local got = ask(plain { line = line }, nil)
      assert.truthy(got.seen)
      assert.equal(426, got.status)
      assert.equal("13", got.fields["sec-websocket-version"])
      assert.equal(1, got.refused)
      assert.equal(0, got.http)
    end
  end)

  it("hears 500 when the status is none for an answer", function()
    for _, status in ipairs { 100, 101, 199, 600, 0, -1, 0 / 0, 1e300, "200" } do
      assert.equal(500, ask(plain(), status, "x").status)
    end
  end)

  it("may name an upgrade to something else, which we do not make", function()
    assert.equal(200, ask(plain { Upgrade = "h2c", Connection = "Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk" },
      200, "fine\n").status)
  end)
end)

describe("the application is not asked", function()
  local cases = {
    ["for an upgrade"] = { 101, handshake.request() },
    ["for an upgrade of another version"] = { 426, handshake.request { ["Sec-WebSocket-Version"] = "8" } },
    ["for an upgrade that a proxy took half away"] = { 426, handshake.request { Upgrade = false } },
    ["for an upgrade without Connection"] = { 426, handshake.request { Connection = false } },
    ["for an upgrade by HEAD"] = { 405, handshake.request { line = "HEAD /dop HTTP/1.1" } },
    ["for an upgrade from another site"] = { 403, handshake.request { "Origin: http://evil.example" } },
    ["for a POST"] = { 405, plain { line = "POST / HTTP/1.1" } },
    ["for a method in small letters"] = { 405, plain { line = "get / HTTP/1.1" } },
    ["for a body"] = { 400, plain { "Content-Length: 1" } },
    ["for a body of a HEAD"] = { 400, plain { line = "HEAD / HTTP/1.1", "Content-Length: 1" } },
    ["for a body in chunks"] = { 400, plain { "Transfer-Encoding: chunked" } },
    ["without Host"] = { 400, plain { Host = false } },
    ["for an absolute target"] = { 400, plain { line = "GET http://localhost/ HTTP/1.1" } },
    ["for HTTP/1.0"] = { 400, plain { line = "GET / HTTP/1.0" } },
    ["for a folded header"] = { 400, plain { "X: a\r\n b" } },
    ["for the preface of HTTP/2"] = { 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
  }
  for name, case in pairs(cases) do
    it(name, function()
      local got = ask(case[2], 200, "fine\n")
      assert.equal(case[1], got.status)
      assert.is_nil(got.seen)
      assert.equal(case[1] == 101 and 0 or 1, got.refused)
    end)
  end

  it("when it did not say that it cares: 426", function()
    for _, line in ipairs { "GET / HTTP/1.1", "HEAD / HTTP/1.1" } do
      assert.equal(426, handshake.ask(plain { line = line }).status)
    end
  end)
end)

describe("a plain request's socket", function()
  local core = require "dop.core"

  local function world(http, options)
    local w = wire.new { server = options }
    core.configure(w.server, nil, false, nil, http)
    return w
  end

  it("has no second request: what is behind the first is dropped", function()
    local asked = 0
    local w = world(function() asked = asked + 1 return 200, "fine\n" end)
    local p = w:to_server(true)
    p.link:feed(plain() .. plain() .. handshake.request())
    p.link:feed(handshake.request())
    w:turn()
    assert.equal(1, asked)
    assert.equal(1, select(2, p.link:output():gsub("HTTP/1%.1 ", "")))
    w:wait(5)
    assert.equal("dead", (p.link:ending()))
  end)

  it("is pending until its answer, and has the handshake's deadline before its head is whole", function()
    local w = world(function() return 200 end, { max_pending = 1 })
    local p, second = w:to_server(true), w:to_server(true)
    assert.truthy(second.link:output():find("^HTTP/1%.1 503 "))
    p.link:feed("GET / HTTP/1.1\r\n")
    w:wait(10)
    assert.truthy(p.link:output():find("^HTTP/1%.1 408 "))
    local third = w:to_server(true)
    third.link:feed(plain())
    w:turn()
    assert.truthy(third.link:output():find("^HTTP/1%.1 200 "))
    assert.equal(0, w.server:stats().pending)
  end)

  it("is none of a node: there is no event and no session", function()
    local w = world(function() return 200 end)
    w:to_server(true).link:feed(plain())
    w:turn()
    assert.equal(0, #w.log)
    assert.equal(0, w.server:stats().nodes)
  end)

  it("that ends before the answer is missed by nobody", function()
    local w, p
    w = world(function()
      p.link:lost()
      return 200
    end)
    p = w:to_server(true)
    p.link:feed(plain())
    w:turn()
    assert.equal("", p.link:output())
    assert.equal(0, w.server:stats().sockets)
  end)
end)
