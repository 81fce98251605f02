--- The way through an HTTP proxy (RFC 9110 9.3.6), as a client's link sees it: what it asks, which
-- answers it takes, and that nothing of the proxy's is taken for the server's. Every answer is fed
-- whole, byte by byte and cut in two at each point.

local core = require "dop.core"
local stream = require "spec.ws.stream"
local wire = require "spec.support.wire"

local SECRET = "Proxy-Authorization: Basic c2VjcmV0\r\n"
local ASKED = "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n" .. SECRET .. "\r\n"

local function attempt(options)
  local w = wire.new { client = options }
  local link = core.dial(w.client, "example.com", "/dop", "Cookie: a=b\r\n", "example.com:80", SECRET)
  local a = { w = w, link = link, asked = link:output() }
  core.values(w.client)[core.down] = {
    function(_, why, code, held, status, retry_after)
      assert(not a.down and held == 0, "an attempt fails once")
      a.down, a.why, a.status, a.retry_after = code, why, status, retry_after
    end,
  }
  return a
end

-- What becomes of an attempt whose proxy says these bytes, in every way.
local function hear(bytes, options)
  return stream.cuts(bytes, {}, function(pieces, fast)
    local a = attempt(options)
    a.w.engine:collect_always(not fast)
    a.wrote = ""
    for _, piece in ipairs(pieces) do
      a.link:feed(piece)
      a.w:turn()
      a.wrote = a.wrote .. a.link:output()
    end
    a.ending = a.link:ending()
    a.link:lost()
    return a
  end, function(a, b, how)
    -- The keys are random; what is whole and what is in pieces have the same length.
    assert(a.down == b.down and a.why == b.why and a.ending == b.ending and #a.wrote == #b.wrote, how)
  end)
end

local function opens(bytes, options)
  local a = hear(bytes, options)
  assert.is_nil(a.down)
  assert.is_nil(a.ending)
  assert.truthy(a.wrote:find("^GET /dop HTTP/1%.1\r\nHost: example%.com\r\n.*\r\nCookie: a=b\r\n\r\n$"))
  assert.is_nil(a.wrote:find("Proxy", 1, true))
  return a
end

local function fails(code, bytes, options)
  local a = hear(bytes, options)
  assert.equal(code, a.down)
  assert.equal("", a.wrote)
  assert.equal("dead", a.ending)
  assert.is_nil(a.why:find("c2VjcmV0", 1, true))
  return a
end

describe("a tunnel", function()
  it("is asked for before anything else is said", function()
    local a = attempt()
    assert.equal(ASKED, a.asked)
    assert.equal("", a.link:output())
    a.link:lost()
  end)

  it("is up with any 2xx, of HTTP/1.0 too, whatever headers come with it", function()
    opens "HTTP/1.1 200 OK\r\n\r\n"
    opens "HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n"
    opens "HTTP/1.1 204 No Content\r\n\r\n"
    opens "HTTP/1.1 299\r\n\r\n"
    opens "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" -- to be ignored
  end)

  it("carries the upgrade, and then the session", function()
    local a = attempt()
    a.link:feed("HTTP/1.1 200 OK\r\n\r\n")
    a.link:feed(a.w:answer_to(a.link:output()))
    a.w:turn()
    assert.equal(1, a.w:count("client", "open"))
    assert.is_true(#a.link:output() > 16)
  end)

  it("has the upgrade's own answer behind it: one that fails is the server's", function()
    local a = attempt()
    a.link:feed("HTTP/1.1 200 OK\r\n\r\n")
    a.link:output()
    a.link:feed("HTTP/1.1 404 Not Found\r\n\r\n")
    a.w:turn()
    assert.equal("UPGRADE", a.down)
    assert.equal(404, a.status)
  end)

  it("has its limits each time anew: the proxy's head counts for itself", function()
    local head = "HTTP/1.1 200 OK\r\nX: " .. ("y"):rep(256 - 24) .. "\r\n\r\n"
    assert.equal(256, #head)
    opens(head, { max_header = 256 })
    opens("HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(64) .. "\r\n")
    local a = attempt { max_header = 256 }
    a.link:feed(head)
    a.link:feed(a.w:answer_to(a.link:output()))
    a.w:turn()
    assert.equal(1, a.w:count("client", "open"))
  end)
end)

describe("a proxy that makes no tunnel fails the attempt:", function()
  for _, status in ipairs { 100, 101, 300, 302, 400, 403, 404, 405, 500, 502, 503, 504, 599 } do
    it(("status %d"):format(status), function()
      local a = fails("PROXY", ("HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n"):format(status))
      assert.equal(status, a.status)
      assert.truthy(a.why:find(("the proxy answered with status %d: "):format(status), 1, true))
    end)
  end

  it("407 has a code of its own", function()
    local a = fails("PROXY_AUTH", "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n")
    assert.equal(407, a.status)
    a = fails("PROXY_AUTH", "HTTP/1.1 401 Who\r\n\r\n") -- of tinyproxy, when the password is wrong
    assert.equal(401, a.status)
    assert.truthy(a.why:find("who we are", 1, true))
  end)

  it("a Retry-After goes along", function()
    assert.equal(9, fails("PROXY", "HTTP/1.1 503 Busy\r\nRetry-After: 9\r\n\r\n").retry_after)
  end)

  local wrong = {
    ["no HTTP"] = "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ["an empty head"] = "\r\n\r\n",
    ["HTTP/2"] = "HTTP/2 200\r\n\r\n",
    ["a folded header"] = "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    ["a NUL"] = "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    ["a bare LF"] = "HTTP/1.1 200 OK\nX: a\r\n\r\n",
    ["65 headers"] = "HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(65) .. "\r\n",
    ["a head one byte above the limit"] = "HTTP/1.1 200 OK\r\nX: " .. ("y"):rep(513 - 24) .. "\r\n\r\n",
    ["a bare CR"] = "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    ["a head without an end"] = ("y"):rep(513),
  }
  for name, bytes in pairs(wrong) do
    it(name, function() fails("PROXY", bytes, { max_header = 512 }) end)
  end

  it("one that says more than its answer, which nobody asked for", function()
    -- Only what comes in one piece can be told from the server's answer to the request.
    for _, more in ipairs { "x", "HTTP/1.1 101 Switching Protocols\r\n\r\n" } do
      local a = attempt()
      a.link:feed("HTTP/1.1 200 OK\r\n\r\n" .. more)
      a.w:turn()
      assert.equal("PROXY", a.down)
      assert.equal("", a.link:output())
    end
  end)

  it("one that ends", function()
    for _, bytes in ipairs { "", "HTTP/1.1 200 OK\r\n" } do
      local a = attempt()
      a.link:feed(bytes)
      a.link:lost()
      a.w:turn()
      assert.equal("EOF", a.down)
      assert.truthy(a.why:find("the proxy", 1, true))
    end
  end)

  it("one that waits, at the deadline of the whole attempt", function()
    local a = attempt()
    a.link:feed("HTTP/1.1 200 OK\r\n")
    a.w:wait(10)
    assert.equal("TIMEOUT", a.down)
    assert.equal("dead", (a.link:ending()))
  end)

  it("one that is asked by a client that closes meanwhile", function()
    local a = attempt()
    a.w.client:end_sessions()
    a.w:turn()
    assert.equal("dead", (a.link:ending()))
    a.link:feed("HTTP/1.1 200 OK\r\n\r\n")
    assert.equal("", a.link:output())
  end)

  it("one for which there was no memory, at each allocation", function()
    local n, failed = 1, 0 -- the first is the host's own, for the bytes that it hands over
    repeat
      n = n + 1
      local a = attempt()
      local count = core.allocations(function() a.link:feed("HTTP/1.1 200 OK\r\n\r\n") end, n)
      a.w:turn()
      if a.down then
        failed = failed + 1
        assert.equal("ENOMEM", a.down)
      end
      a.link:lost()
    until count < n
    assert.is_true(failed >= 1)
  end)
end)
