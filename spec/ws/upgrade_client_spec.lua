--- The upgrade as a client sees it (RFC 6455 4.1): its request, and the answers that it takes. Every
-- answer is fed whole, byte by byte and cut in two at each point.

local core = require "dop.core"
local handshake = require "spec.ws.handshake"
local stream = require "spec.ws.stream"
local wire = require "spec.support.wire"
local answer = handshake.answer

-- The answer of a server to the request, with lines replaced or added: {pattern, replacement}...
local function right(...)
  local changes = { ... }
  return function(w, head)
    local text = w:answer_to(head)
    for _, change in ipairs(changes) do
      local count
      text, count = text:gsub(change[1], function() return change[2] end)
      assert(count == 1, "the change changes something")
    end
    return text
  end
end

local function plus(lines) return right { "\r\n\r\n", "\r\n" .. lines .. "\r\n\r\n" } end

local function accepted(make, o)
  local got = answer(make, o)
  assert.is_nil(got.down)
  assert.equal("open", got.events)
  assert.equal("1:" .. handshake.HALF, got.raw)
  assert.is_nil(got.ending)
  return got
end

local function fails(make, o, code)
  local got = answer(make, o)
  assert.equal(code or "UPGRADE", got.down)
  assert.is_true(#got.why > 0)
  assert.equal("", got.events)
  assert.equal("", got.raw)
  assert.equal("dead", got.ending)
  return got
end

local function says(text)
  return function() return text end
end

describe("the request of a client", function()
  local w = wire.new()
  local link = core.dial(w.client, "example.com:8080", "/a?b=c", "Cookie: d=e\r\nOrigin: http://example.com:8080\r\n")
  local bytes = link:output()

  it("asks for version 13 and the subprotocol dop, and offers no extension", function()
    local key = bytes:match("\r\nSec%-WebSocket%-Key: ([%w+/]+==)\r\n")
    assert.equal(24, #key)
    assert.equal("GET /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ..
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " .. key .. "\r\nSec-WebSocket-Protocol: dop\r\n" ..
      "Cookie: d=e\r\nOrigin: http://example.com:8080\r\n\r\n", bytes)
  end)

  it("has another key each time", function()
    local keys, count = {}, 0
    for _ = 1, 50 do
      local other = wire.new():from_client(true)
      local key = other.head:match("Key: (%S+)")
      if not keys[key] then keys[key], count = true, count + 1 end
    end
    assert.equal(50, count)
  end)

  it("is one that a server takes", function()
    assert.equal(101, handshake.ask(bytes).status)
  end)
end)

describe("an answer", function()
  it("that is right opens the WebSocket", function() accepted(right()) end)

  it("may select no subprotocol", function()
    accepted(right { "Sec%-WebSocket%-Protocol: dop\r\n", "" })
  end)

  it("may write names and tokens in any case, blanks around values, and any reason", function()
    accepted(right({ "Upgrade: websocket", "UPGRADE:WebSocket\t " }, { "Connection: Upgrade", "connection: upgrade" },
      { " 101 [%w ]+", " 101 Whatever it is" }))
  end)

  it("may have no reason, with its blank or without", function()
    accepted(right { " 101 [%w ]+", " 101 " })
    accepted(right { " 101 [%w ]+", " 101" })
  end)

  it("may list upgrade among other options, and carry headers that mean nothing to us", function()
    accepted(right { "Connection: Upgrade", "Connection: keep-alive, Upgrade" })
    accepted(plus "Server: x/1 \195\188\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nSec-WebSocket-Extensions:")
  end)

  it("may bring the first messages of the session along", function()
    local half = stream.text(("Q"):rep(16))
    local more = stream.bytes("client", { half, half, stream.text("Hello"), stream.ping("?") })
    local got = answer(function(w, head) return w:answer_to(head) .. more end)
    assert.equal("open, status PRECONNECTED, status CONNECTED, connect, message Hello", got.events)
    assert.equal(("1:%s, 1:%s, 10:?"):format(handshake.HALF, handshake.HALF), got.raw)
    assert.is_nil(got.down)
  end)
end)

describe("an answer that announces a body", function()
  it("has none: a 101 ends with its head, and what comes behind it are frames (RFC 9110 15.2)", function()
    local half = stream.text(("Q"):rep(16))
    local more = stream.bytes("client", { half, half, stream.text("Hello") })
    for _, line in ipairs { "Content-Length: 7", "Transfer-Encoding: chunked" } do
      local make = plus(line)
      local got = answer(function(w, head) return make(w, head) .. more end)
      assert.equal("open, status PRECONNECTED, status CONNECTED, connect, message Hello", got.events)
      assert.is_nil(got.down)
    end
  end)
end)

describe("an answer whose status is", function()
  local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }
  for _, status in ipairs { 100, 102, 200, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 407, 426, 429, 500,
    502, 503, 599 } do
    it(("%d fails the attempt, and the policy hears of it"):format(status), function()
      local code = redirects[status] and "REDIRECT" or "UPGRADE"
      local got = fails(says(("HTTP/1.1 %d Something\r\nContent-Length: 0\r\n\r\n"):format(status)), nil, code)
      assert.equal(status, got.status)
      assert.truthy(got.why:find(("status %d: "):format(status), 1, true))
      fails(right { " 101 Switching Protocols", " " .. status .. " Right but for the status" }, nil, code)
    end)
  end

  local places = {
    ["http://localhost/other"] = "http://localhost/other",
    ["/other"] = "/other",
    ["//other.example/a"] = "//other.example/a",
    ["https://user:secret@other.example/a@b"] = "https://other.example/a@b",
    ["https://user@secret@other.example"] = "https://other.example",
    ["ws://other.example/a?token=secret"] = "ws://other.example/a",
    ["ws://other.example/a#secret"] = "ws://other.example/a",
    ["?secret"] = false,
    ["ws:/\146/user:secret@other.example/x"] = "ws://other.example/x",
    ["ws:\\\\user:secret@other.example/x"] = "ws:\\\\other.example/x",
    ["ws://other.example/\t\195\188 \226\128\174x"] = "ws://other.example/x",
    ["\\\\\\x:http://user:secret@other.example"] = "\\\\\\x:http://other.example",
    ["ws:////user:secret@other.example"] = "ws:////other.example",
    ["ws://user@/secret@other.example"] = "ws:///other.example",
    ["\\\\user@/secret@\\again@other.example"] = "\\\\/\\other.example",
    ["ws://" .. ("u"):rep(500) .. "@other.example"] = "ws://other.example",
    ["ws://" .. ("o"):rep(500)] = "ws://" .. ("o"):rep(58),
  }
  for location, shown in pairs(places) do
    it(("302 to %q says where, but no secret, and the client does not follow"):format(location:sub(1, 60)), function()
      local got = fails(says("HTTP/1.1 302 Found\r\nLocation: " .. location .. "\r\n\r\n"), nil, "REDIRECT")
      if shown then
        assert.equal("the server redirects with status 302 to " .. shown .. ": not followed", got.why)
      else
        assert.truthy(got.why:find("redirect", 1, true))
      end
      assert.is_nil(got.why:find("secret", 1, true))
    end)
  end

  for value, seconds in pairs {
    ["5"] = 5, ["0"] = false, ["120"] = 120, ["007"] = 7, ["1000000000"] = 1e9, ["99999999999999999999"] = 1e9,
    [""] = false, ["-5"] = false, ["1.5"] = false, ["5s"] = false, ["Fri, 31 Dec 1999 23:59:59 GMT"] = false,
    ["5\r\nRetry-After: 6"] = false,
  } do
    it(("503 with Retry-After: %s asks for %s"):format(value, tostring(seconds)), function()
      local got = fails(says("HTTP/1.1 503 Busy\r\nRetry-After: " .. value .. "\r\n\r\n"))
      assert.equal(seconds or nil, got.retry_after)
    end)
  end

  it("of HTTP/1.0 says what the proxy said", function()
    assert.truthy(fails(says("HTTP/1.0 503 Busy\r\n\r\n")).why:find("failed", 1, true))
  end)

  it("not 101 counts more than a fault in its headers", function()
    assert.truthy(fails(says("HTTP/1.1 503 Busy\r\nBad Header : x\r\n\r\n")).why:find("failed", 1, true))
  end)
end)

describe("an answer that is wrong fails the attempt:", function()
  local ACCEPT = "(Sec%-WebSocket%-Accept: )%S+"
  local cases = {
    ["without Upgrade"] = right { "Upgrade: websocket\r\n", "" },
    ["Upgrade to something else"] = right { "Upgrade: websocket", "Upgrade: h2c" },
    ["two Upgrades"] = plus "Upgrade: websocket",
    ["without Connection"] = right { "Connection: Upgrade\r\n", "" },
    ["Connection: close"] = right { "Connection: Upgrade", "Connection: close" },
    ["without Accept"] = right { "Sec%-WebSocket%-Accept: %S+\r\n", "" },
    ["an Accept for another key"] = right { ACCEPT, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" },
    ["an empty Accept"] = right { ACCEPT, "Sec-WebSocket-Accept: " },
    ["two Accepts"] = plus "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ["an Accept with more behind it"] = function(w, head)
      return (w:answer_to(head):gsub("(Accept: %S+)", "%1x"))
    end,
    ["an Accept in capitals"] = function(w, head)
      return (w:answer_to(head):gsub("Accept: %S+", string.upper):gsub("ACCEPT: ", "Accept: "))
    end,
    ["an extension"] = plus "Sec-WebSocket-Extensions: permessage-deflate",
    ["an extension on a second line"] = plus "Sec-WebSocket-Extensions:\r\nSec-WebSocket-Extensions: x",
    ["a foreign subprotocol"] = right { "Protocol: dop", "Protocol: chat" },
    ["a subprotocol in other case"] = right { "Protocol: dop", "Protocol: DOP" },
    ["two subprotocols"] = right { "Protocol: dop", "Protocol: dop, chat" },
    ["two lines of subprotocols"] = plus "Sec-WebSocket-Protocol: dop",
    ["an empty subprotocol"] = right { "Protocol: dop", "Protocol: " },
    ["HTTP/1.0"] = right { "HTTP/1%.1", "HTTP/1.0" },
    ["HTTP/2"] = right { "HTTP/1%.1", "HTTP/2.0" },
    ["a folded header"] = plus "X: a\r\n b",
    ["a blank before a colon"] = plus "X : a",
    ["a NUL"] = plus "X: a\0b",
    ["a bare LF"] = plus "X: a\nY: b",
    ["a bare CR"] = plus "X: a\rY: b",
    ["a CR CR LF"] = plus "X: a\r",
    ["a header without a name"] = plus ": a",
    ["a header without a colon"] = plus "X",
    ["a status of two digits"] = right { " 101 ", " 10 " },
    ["a status of four digits"] = right { " 101 ", " 1010 " },
    ["no HTTP"] = says("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ["garbage"] = says(("\0\255\r\r\n"):rep(20) .. "\r\n\r\n"),
    ["an empty head"] = says("\r\n\r\n"),
  }
  for name, make in pairs(cases) do
    it(name, function() fails(make) end)
  end
end)

describe("the size of an answer", function()
  local function of_fields(n)
    return function(w, head)
      local text = w:answer_to(head)
      local more, have = {}, select(2, text:gsub("\n", "")) - 2
      for i = 1, n - have do more[i] = ("X-%d: y\r\n"):format(i) end
      return text:sub(1, -3) .. table.concat(more) .. "\r\n"
    end
  end
  local function of_size(n)
    return function(w, head)
      local text = w:answer_to(head):sub(1, -3) .. "X: "
      return text .. ("y"):rep(n - #text - 4) .. "\r\n\r\n"
    end
  end

  it("is 64 headers and 8 KiB at most", function()
    accepted(of_fields(64))
    fails(of_fields(65))
    accepted(of_size(8192))
    fails(of_size(8193))
  end)

  it("is what was allowed", function()
    accepted(of_fields(9), { limits = { max_fields = 9 } })
    fails(of_fields(10), { limits = { max_fields = 9 } })
    accepted(of_size(256), { limits = { max_header = 256 } })
    fails(of_size(257), { limits = { max_header = 256 } })
  end)

  it("is seen before the head is whole", function()
    local got = fails(says("HTTP/1.1 101 Switching Protocols\r\nX: " .. ("y"):rep(8192)))
    assert.truthy(got.why:find("too large", 1, true))
    fails(says(("y"):rep(8193)))
  end)
end)

describe("an attempt", function()
  local function watched()
    local w = wire.new()
    local p = w:from_client(true)
    local downs = {}
    core.values(w.client)[core.down] = { function(_, why, code) downs[#downs + 1] = { code, why } end }
    return w, p, downs
  end

  it("whose socket ends before the answer is whole has failed: EOF", function()
    for _, bytes in ipairs { "", "H", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" } do
      local w, p, downs = watched()
      p.link:feed(bytes)
      p:lose()
      assert.equal("EOF", downs[1][1])
      assert.equal(1, #downs)
      assert.equal(0, #w.log)
    end
  end)

  it("reports the error of the socket as the driver names it", function()
    local w, p, downs = watched()
    p.link:lost("ECONNREFUSED", "nobody listens there")
    w:turn()
    assert.same({ { "ECONNREFUSED", "nobody listens there" } }, downs)
  end)

  it("that is answered when the session has another socket already ends, and nothing else does", function()
    local w = wire.new()
    local first, second = w:from_client(true), w:from_client(true)
    first.link:feed(w:answer_to(first.head))
    w:turn()
    first.link:output()
    second.link:feed(w:answer_to(second.head))
    w:turn()
    assert.equal("dead", (second.link:ending()))
    assert.equal("", second.link:output())
    assert.is_nil(first.link:ending())
    assert.equal(1, w:count("client", "open"))
  end)

  it("leaves the session as it is: the next attempt may open it", function()
    local w, p = watched()
    p.link:feed("HTTP/1.1 503 Busy\r\n\r\n")
    w:turn()
    w:connected_client()
    assert.equal("CONNECTED", w.client.node.status)
  end)
end)
