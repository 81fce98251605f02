--- What went wrong in other libraries, so that it does not go wrong here. Each is named after the
-- library and the year of the report, with its number where there is one.

local core = require "dop.core"
local deflate = require "spec.support.deflate"
local handshake = require "spec.ws.handshake"
local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"
local both = stream.both(it)
local request, ask = handshake.request, handshake.ask

-- Work of a size at which a parser that is not linear would keep the whole suite waiting: the suite's
-- bound is the check, not a clock.
local function ends(size, work) work(size) end

describe("ws 2016 (CVE-2016-10542): a payload above the limit kills the process", function()
  both("here it closes that socket with 1009, and others go on", function(role)
    local w, p = stream.session(role)
    local mask = role == "server" and 128 or 0
    for _, size in ipairs { "\0\0\0\0\0\16\0\1", "\0\0\0\0\255\255\255\255", "\127\255\255\255\255\255\255\255" } do
      assert.equal(1009, stream.feed(role, { "\130" .. string.char(127 + mask) .. size .. ("\0"):rep(100) }).code)
    end
    p:give("still here")
    assert.equal("still here", w:last(role, "message")[1])
  end)
end)

describe("ws 2017 (GHSA-5v72-xg48-5rpm): names that every object has crash the parser of extensions", function()
  local NAMES = { "constructor", "__proto__", "toString", "hasOwnProperty", "__index", "__gc", "__metatable", "nil" }

  it("here they are extensions that nobody knows", function()
    for _, name in ipairs(NAMES) do
      for _, offer in ipairs { name, name .. "; " .. name, "x; " .. name .. "=" .. name, name .. ", " .. name } do
        assert.equal(101, ask(request { "Sec-WebSocket-Extensions: " .. offer }).status)
      end
    end
  end)

  it("here they are headers and subprotocols like others", function()
    for _, name in ipairs(NAMES) do
      local got = ask(request { name .. ": " .. name, "Sec-WebSocket-Protocol: " .. name })
      assert.equal(101, got.status)
      assert.is_nil(got.fields["sec-websocket-protocol"])
    end
  end)

  it("here the application can read them all", function()
    local w = wire.new()
    local headers
    w.server:on("open", function(node) headers = node.request.headers end)
    local p = w:to_server(true)
    local lines = {}
    for i, name in ipairs(NAMES) do lines[i] = name .. ": " .. i end
    p.link:feed(request(lines))
    w:turn()
    for i, name in ipairs(NAMES) do assert.equal(tostring(i), headers[name:lower()]) end
    assert.is_nil(headers.x)
  end)
end)

describe("ws 2021 (CVE-2021-32640): blanks in the subprotocol header take time that grows with their square", function()
  local function offer(line)
    local w = wire.new { server = { max_header = 1048576 } }
    w.engine:collect_always(false)
    local p = w:to_server(true)
    p.link:feed(request { "Sec-WebSocket-Protocol: " .. line })
    local answer = p.link:output()
    assert(answer:find(line:find("%w[ \t]+%w") and "^HTTP/1%.1 400 " or "^HTTP/1%.1 101 "))
    stream.over(w, p)
    return answer
  end

  for name, filling in pairs {
    blanks = " ", commas = ",", ["commas and blanks"] = ", ", tabs = "\t", ["dop with more behind it"] = "dop x,",
  } do
    it(("here 8 KiB of %s are answered"):format(name), function()
      local line = "b" .. filling:rep(math.floor(7600 / #filling)) .. "x"
      -- What is no list ends the handshake (RFC 6455 4.1, 9.1).
      local whole = not filling:find("[ \t]") or filling == ", "
      local got = ask(request { "Sec-WebSocket-Protocol: " .. line })
      assert.equal(whole and 101 or 400, got.status)
      assert.is_nil(got.fields["sec-websocket-protocol"])
      assert.equal(whole and 101 or 400, ask(request { "Sec-WebSocket-Extensions: " .. line }).status)
    end)

    it(("here a megabyte of %s is answered"):format(name), function()
      ends(1000000, function(n) offer("b" .. filling:rep(math.floor(n / #filling)) .. "x") end)
    end)
  end

  it("here dop is found at the end of it", function()
    assert.truthy(offer((" ,"):rep(3500) .. "dop"):find("Protocol: dop\r\n", 1, true))
  end)
end)

describe("ws 2024 (CVE-2024-37890): more headers than the limit crash the server", function()
  it("here they get a 431, and the server goes on", function()
    local lines = {}
    for i = 1, 2000 do lines[i] = "x: y" end
    assert.equal(431, ask(request(lines):sub(1, 8000) .. "\r\n\r\n").status)
    local big = { limits = { max_header = 1048576 } }
    local w = wire.new { server = big.limits }
    local first, second = w:to_server(true), w:to_server(true)
    first.link:feed(request(lines))
    assert.truthy(first.link:output():find("^HTTP/1%.1 431 "))
    second.link:feed(request())
    assert.truthy(second.link:output():find("^HTTP/1%.1 101 "))
  end)

  it("here an answer with too many headers fails the client's attempt", function()
    local got = handshake.answer(function(w, head)
      return w:answer_to(head):sub(1, -3) .. ("x: y\r\n"):rep(500) .. "\r\n"
    end)
    assert.equal("UPGRADE", got.down)
  end)
end)

describe("ws 2026 (CVE-2026-48779): tiny fragments exhaust the memory", function()
  both("here a thousand empty ones in a second are enough: 1008", function(role)
    local w, p = stream.session(role, nil, true)
    local options = { fin = false, mask = role == "server" and "\0\0\0\0" }
    p.link:feed((stream.bytes(role, { { frames.TEXT, "x", options } })))
    local empty = stream.bytes(role, { { frames.CONTINUATION, "", options } })
    p.link:feed(empty:rep(1000))
    assert.is_nil((p.link:ending()))
    p.link:feed(empty)
    assert.equal(1008, stream.seen(role, w, p).code)
    stream.over(w, p)
  end)

  both("here a million empty ones, where they are allowed, take no memory", function(role)
    local w, p = stream.session(role, { max_idle_frames = 0 }, true)
    local options = { fin = false, mask = role == "server" and "\0\0\0\0" }
    p.link:feed((stream.bytes(role, { { frames.TEXT, "", options } })))
    local batch = stream.bytes(role, { { frames.CONTINUATION, "", options } }):rep(10000)
    p.link:feed(batch)
    -- One allocation a read is the link's copy of what it is fed. Whatever kept as little as a bit for
    -- each fragment would have to grow somewhere.
    local asked = core.allocations(function()
      for _ = 1, 100 do p.link:feed(batch) end
    end)
    assert.equal(100, asked)
    p:give("!", frames.CONTINUATION)
    assert.same({ "text:!" }, stream.seen(role, w, p).messages)
    stream.over(w, p)
  end)

  -- Nothing is kept of a fragment but its bytes, which max_message bounds: those that have some need no limit
  -- on their number.
  both("here a million of one byte take no more than their million of bytes", function(role)
    local w, p = stream.session(role, nil, true)
    local options = { fin = false, mask = role == "server" and "\0\0\0\0" }
    p.link:feed((stream.bytes(role, { { frames.BINARY, "", options } })))
    local batch = stream.bytes(role, { { frames.CONTINUATION, "x", options } }):rep(10000)
    local asked = core.allocations(function()
      for _ = 1, 100 do p.link:feed(batch) end
    end)
    -- A copy of each read, and a block that grows by half as much again.
    assert.is_true(asked <= 130, asked)
    p:give("!", frames.CONTINUATION)
    assert.is_true(stream.seen(role, w, p).messages[1] == "binary:" .. ("x"):rep(1000000) .. "!")
    stream.over(w, p)
  end)

  both("here empty messages and pings between them are heard one by one and forgotten", function(role)
    local w, p = stream.session(role, nil, true)
    local bytes = stream.bytes(role, { stream.text(""), stream.ping("") })
    for _ = 1, 100 do
      p.link:feed(bytes:rep(100))
      p.link:output()
    end
    assert.equal(10000, w:count(role, "message"))
    stream.over(w, p)
  end)
end)

describe("tungstenite 2023 (CVE-2023-43669): a head in pieces is read from its beginning each time", function()
  it("here a head of 256 KiB may come byte by byte", function()
    ends(250000, function(n)
      local w = wire.new { server = { max_header = 1048576 } }
      w.engine:collect_always(false)
      local p = w:to_server(true)
      local line = ("x: y\r\n"):rep(10)
      p.link:feed("GET / HTTP/1.1\r\n")
      for _ = 1, math.floor(n / 60) do
        for i = 1, 60 do p.link:feed(line:sub(i, i)) end
      end
      assert(p.link:output() == "")
      stream.over(w, p)
    end)
  end)

  both("here a message of 100 KB may come byte by byte", function(role)
    ends(100000, function(n)
      local w, p = stream.session(role, nil, true)
      local options = { length = n, mask = role == "server" and "\0\0\0\0" }
      p.link:feed((stream.bytes(role, { { frames.TEXT, "", options } })))
      for _ = 1, n do p.link:feed("x") end
      assert(w:count(role, "message") == 1)
      stream.over(w, p)
    end)
  end)
end)

describe("gorilla 2020 (CVE-2020-27813): lengths that overflow pass the limit", function()
  both("here fragments whose lengths add up to 2^63 or 2^64 are refused: 1009, 1002", function(role)
    local mask, key = role == "server" and 128 or 0, role == "server" and ("\0"):rep(4) or ""
    local function header(first, length) return string.char(first, 127 + mask) .. length .. key end
    local most, top = "\127" .. ("\255"):rep(7), "\128" .. ("\0"):rep(7)
    local limits = { max_message = 1000 }
    for _, first in ipairs { "", "x", ("x"):rep(1000) } do
      local begin = stream.part(frames.BINARY, first)
      assert.equal(1009, stream.feed(role, { begin, header(0, most) }, limits).code)
      assert.equal(1009, stream.feed(role, { begin, header(128, most) }, limits).code)
      assert.equal(1002, stream.feed(role, { begin, header(0, top) }, limits).code)
      assert.equal(1002, stream.feed(role, { begin, header(128, ("\255"):rep(8)) }, limits).code)
      for _, length in ipairs { "\0\0\0\1\0\0\0\0", "\0\0\0\0\255\255\255\255", "\0\0\0\0\255\255\252\24" } do
        assert.equal(1009, stream.feed(role, { begin, header(0, length) }, limits).code)
      end
    end
  end)
end)

describe("undici 2026 (CVE-2026-1526): what a message is inflated to has no bound", function()
  both("here a thousandfold stops at the limit with 1009, in its memory too, and others go on", function(role)
    local NONE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    local w, p = stream.session(role, { compression = true, deflate = NONE }, true)
    local other = role == "server" and w:connected_server(("O"):rep(16))
    local bytes = stream.bytes(role, { stream.binary(deflate.bomb(65536), { rsv = 4 }) }) -- 16 MiB in 16 KiB
    assert.is_true(#bytes < 17000)
    local _, most = core.allocations(function() p.link:feed(bytes) end)
    assert.is_true(most < 1048576 * 1.5 + 65536, most .. " bytes")
    assert.equal(1009, p:closed_with())
    assert.equal(0, w:count(role, "message"))
    if other then assert.equal("still here", other:give("still here") and w:last(role, "message")[1]) end
    stream.over(w, p)
  end)
end)

describe("undici 2026 (CVE-2026-2229): a window that cannot be ends the process", function()
  local BITS = { "0", "7", "16", "99", "-9", "1000000", "4294967305", "x", '"16"', "9.0" }
  local KEEP = { compression = { takeover = true, peer_takeover = true } }

  it("here a server's answer with one fails the client's attempt", function()
    for _, bits in ipairs(BITS) do
      for _, whose in ipairs { "server", "client" } do
        local line = ("Sec-WebSocket-Extensions: permessage-deflate; %s_max_window_bits=%s\r\n"):format(whose, bits)
        local got = handshake.answer(function(w, head)
          return w:answer_to(head):sub(1, -3) .. line .. "\r\n"
        end, { limits = KEEP })
        assert.same({ "UPGRADE", "" }, { got.down, got.events })
      end
    end
  end)

  it("here a client's offer of one is declined, and the session opens without", function()
    for _, bits in ipairs(BITS) do
      for _, whose in ipairs { "server", "client" } do
        local offer = ("permessage-deflate; %s_max_window_bits=%s"):format(whose, bits)
        local got = ask(request { "Sec-WebSocket-Extensions: " .. offer }, { limits = KEEP })
        assert.equal(101, got.status)
        assert.is_nil(got.fields["sec-websocket-extensions"])
      end
    end
  end)
end)

describe("undici 2026 (CVE-2026-1528): a length of 64 bits ends the process", function()
  both("here each is refused at its header: 1009, from 2^63 on 1002", function(role)
    local mask = role == "server" and 128 or 0
    for at = 0, 7 do
      for _, byte in ipairs { 1, 127, 128, 255 } do
        local length = ("\0"):rep(at) .. string.char(byte) .. ("\0"):rep(7 - at)
        local n = byte * 256 ^ (7 - at)
        local code = (n >= 2 ^ 63 or n < 65536) and 1002 or n > 1048576 and 1009 or nil
        assert.equal(code, stream.feed(role, { "\130" .. string.char(127 + mask) .. length }).code)
      end
    end
  end)
end)

describe("lws 2025 (CVE-2025-11677): what a bad upgrade freed is read again", function()
  it("here bytes behind each refusal are dropped", function()
    for _, bad in ipairs { request { Upgrade = false }, request { Host = false }, request { line = "X" },
      request { "X: " .. ("y"):rep(9000) }, request { "Origin: http://evil.example" } } do
      local w = wire.new()
      local p = w:to_server(true)
      p.link:feed(bad .. request() .. "\129\128\0\0\0\0")
      local answer = p.link:output()
      assert.is_nil(answer:find("101 Switching", 1, true))
      p.link:feed(request())
      p.link:feed("x")
      w:wait(60)
      p.link:feed(request())
      assert.equal("", p.link:output())
      assert.equal("dead", (p.link:ending()))
      p:lose()
      assert.equal(0, #w.log)
    end
  end)

  it("here bytes behind what the application refuses are dropped", function()
    for _, answer in ipairs { { nil, 401, "no" }, { false }, { nil, 503 } } do
      local w = wire.new()
      local asked = 0
      core.configure(w.server, function()
        asked = asked + 1
        return answer[1], answer[2], answer[3]
      end)
      local p = w:to_server(true)
      p.link:feed(request() .. "\129\128\0\0\0\0" .. request())
      w:turn()
      assert.truthy(p.link:output():find("^HTTP/1%.1 " .. (answer[2] or 403)))
      for _ = 1, 3 do
        p.link:feed(request())
        w:wait(30)
      end
      assert.same({ 1, "", "dead", 0 }, { asked, p.link:output(), (p.link:ending()), #w.log })
      p:lose()
    end
  end)

  it("here bytes behind an answer that failed are dropped", function()
    local w = wire.new()
    local p = w:from_client(true)
    p.link:feed("HTTP/1.1 404 Not Found\r\n\r\n" .. w:answer_to(p.head))
    p.link:feed(w:answer_to(p.head))
    w:turn()
    assert.equal("", p.link:output())
    assert.equal(0, #w.log)
  end)
end)
