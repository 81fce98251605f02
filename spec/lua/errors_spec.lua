--- What goes wrong, and who is told: misuse raises and names what was wrong; what the world can cause
-- returns nil, a sentence and a code, or goes to the policy; and the other sessions notice nothing.

local dop = require "dop"
local frames = require "spec.support.frames"
local real = require "spec.support.real"
local wire = require "spec.support.wire"

describe("a bad URL", function()
  local bad = {
    "", "nonsense", "127.0.0.1:4444", "//127.0.0.1/", "http://127.0.0.1/", "ws:127.0.0.1/",
    "wss:127.0.0.1/", "wss://", "wss://127.0.0.1:x/", "wss+unix:x",
    "ws:/127.0.0.1/", "ws://", "ws:///dop", "ws://:4444/",
    "ws://127.0.0.1:/", "ws://127.0.0.1:x/", "ws://127.0.0.1:-1/", "ws://127.0.0.1:65536/",
    "ws://127.0.0.1:99999999999/",
    "ws://127.0.0.1:80x/", "ws://[::1/", "ws://[]/", "ws://[::1]x/", "ws://127.0.0.1/#fragment", "ws://127.0.0.1/a b",
    "ws://127.0.0.1/\195\164", "ws://127.0.0.1/a\r\nX: y", "ws://127.0.0.1/\0", "ws://host name/", "ws+unix:",
    "ws+unix:relative.sock", "ws+unix:/x.sock:no-slash", "ws+unix:/x.sock:/a b", "local:", "local:a\nb",
    "ws", ":", "1ws://x/",
  }
  for _, url in ipairs(bad) do
    it(("is nil, a sentence with it, and BADURL: %q"):format(url), function()
      for _, make in ipairs { dop.listen, dop.connect } do
        local transport, why, code = make { url = url }
        assert.is_nil(transport)
        assert.equal("BADURL", code)
        assert.truthy(why:find(("%q"):format(url), 1, true), why)
        assert.truthy(why:find("^bad URL "), why)
      end
    end)
  end

  it("is told without what may be a password, and without its query", function()
    for url, told in pairs {
      ["ws://user@127.0.0.1/"] = "ws://...", ["ws://a:secret@127.0.0.1/"] = "ws://...",
      ["http://a:secret@127.0.0.1/"] = "http://...", ["a:secret@127.0.0.1"] = "a:...",
      ["ws://a:x/secret@127.0.0.1/"] = "ws://...", ["ws://a:1secret@127.0.0.1:x/"] = "ws://...",
      ["ws://127.0.0.1:x/?key=secret"] = "ws://127.0.0.1:x/?...", ["ws://127.0.0.1/?key=secret#x"] = "?...",
      ["ws+unix:relative.sock:/?key=secret"] = "ws+unix:relative.sock:/?...",
      ["ws:127.0.0.1?key=secret"] = "ws:127.0.0.1?...",
    } do
      for _, make in ipairs { dop.listen, dop.connect } do
        local transport, why, code = make { url = url }
        assert.same({ nil, "BADURL" }, { transport, code }, url)
        assert.truthy(why:find(told .. '"', 1, true), why)
        assert.is_nil(why:find("secret", 1, true), why)
      end
    end
  end)

  it("leaves no transport behind", function()
    local before = real.registry_count()
    for _ = 1, 10 do dop.listen { url = "nonsense" } end
    assert.equal(before, real.registry_count())
  end)
end)

describe("an option that is wrong raises, and the message names it", function()
  local function raises(make, options, ...)
    local ok, why = pcall(make, options)
    assert.is_false(ok)
    for _, text in ipairs { ... } do assert.truthy(why:find(text, 1, true), why) end
    return why
  end

  it("when no such option exists", function()
    raises(dop.listen, { url = "local:x", resume_windw = 1 }, "dop.listen has no option", '"resume_windw"')
    raises(dop.connect, { url = "local:x", Url = 1 }, "dop.connect has no option", '"Url"')
    raises(dop.connect, { url = "local:x", "ws://127.0.0.1" }, "no option without a name")
    raises(dop.connect, { url = "local:x", authorize = print }, '"authorize"')
    raises(dop.connect, { url = "local:x", mode = 384 }, '"mode"')
    raises(dop.listen, { url = "local:x", retry = print }, '"retry"')
    raises(dop.listen, { url = "local:x", half_min = 1 }, '"half_min"')
    raises(dop.listen, { url = "local:x", halves = {} }, '"halves"')
  end)

  it("when a subprotocol cannot be one, or is one of ours", function()
    for _, name in ipairs { "", "a b", "a,b", "dop", "dop.r2", "DOP", ("x"):rep(49), 1 } do
      for _, make in ipairs { dop.listen, dop.connect } do
        raises(make, { url = "local:x", protocols = { name } }, '"protocols"')
      end
    end
    raises(dop.listen, { url = "local:x", protocols = { "a", "a" } }, '"protocols"', "different")
    raises(dop.listen, { url = "local:x", protocols = "a" }, '"protocols"')
  end)

  it("when the URL is missing, or there is no table at all", function()
    for _, make in ipairs { dop.listen, dop.connect } do
      raises(make, {}, '"url" is missing')
      raises(make, nil, "table of options expected", "nil")
      raises(make, "ws://127.0.0.1:4444/", "table of options expected", "string")
    end
  end)

  it("when its type is wrong", function()
    local both = { url = 1, on = "connect" }
    local listens = { authorize = "yes", origins = true, mode = "600" }
    local connects = { retry = 5, headers = "X: y", stable = "5" }
    local cases = { { dop.listen, both }, { dop.connect, both }, { dop.listen, listens }, { dop.connect, connects } }
    for _, case in ipairs(cases) do
      for name, value in pairs(case[2]) do
        local options = { url = "local:x" }
        options[name] = value
        raises(case[1], options, ("option %q"):format(name), "expected", type(value))
      end
    end
    raises(dop.listen, { url = "local:x", origins = "http://here" }, '"origins"', '"*"')
    raises(dop.listen, { url = "local:x", origins = { 1 } }, '"origins"', "number")
    for _, origin in ipairs { "", "*", "here", "http://here/", "http://", "http://a@here", "http://*.here",
      "http://a b" } do
      raises(dop.listen, { url = "local:x", origins = { origin } }, '"origins"', ("%q is none"):format(origin))
    end
    for _, mode in ipairs { 1.5, -1, 512 } do raises(dop.listen, { url = "local:x", mode = mode }, '"mode"') end
    for _, stable in ipairs { -1, 0 / 0 } do raises(dop.connect, { url = "local:x", stable = stable }, '"stable"') end
  end)

  it("when a header is none; what may be a secret of it is not told", function()
    local function told(headers, ...)
      local why = raises(dop.connect, { url = "local:x", headers = headers }, '"headers"', ...)
      assert.is_nil(why:find("secret", 1, true), why)
    end
    told({ ["X-Count"] = 5 }, '"X-Count"', "a string", "got number")
    told({ ["X-Count"] = { "1", 2 } }, '"X-Count"', "got number")
    told({ Authorization = "Bearer secret\n" }, '"Authorization": its value')
    told({ ["Authorization: secret"] = "" }, '"Authorization": a name')
    told({ "Authorization: secret" }, "the name of a header is a string, got 1")
  end)

  it("when a list has keys that nobody would read", function()
    for _, list in ipairs { { [2] = "a" }, { x = "a" }, { "a", x = "b" } } do
      raises(dop.connect, { url = "local:x", protocols = list }, '"protocols": a list expected, got the key')
      raises(dop.listen, { url = "local:x", origins = list }, '"origins": a list expected, got the key')
    end
  end)

  it("when a proxy is given where there can be none", function()
    for _, url in ipairs { "local:x", "ws+unix:/tmp/x.sock" } do
      raises(dop.connect, { url = url, proxy = "http://127.0.0.1:1" }, '"proxy" does nothing here')
    end
  end)

  it("when a field of compression is out of range", function()
    raises(dop.listen, { url = "local:x", compression = { level = 10 } }, "level", "from 1 to 9 expected, got 10")
    raises(dop.listen, { url = "local:x", compression = { level = "9" } }, 'got the string "9"')
  end)

  it("and points at the line of the caller", function()
    local why = raises(function() dop.connect { url = "local:x", nonsense = 1 } end)
    assert.truthy(why:find("errors_spec.lua", 1, true), why)
    why = raises(function() dop.connect { url = "local:x", headers = { ["a b"] = "c" } } end)
    assert.truthy(why:find("errors_spec.lua", 1, true), why)
  end)

  it("and leaves no transport behind", function()
    local before = real.registry_count()
    for _ = 1, 5 do
      pcall(dop.listen, { url = "local:x", origins = "x" })
      pcall(dop.listen, { url = "local:x", max_message = "x" })
      pcall(dop.connect, { url = "local:x", headers = { a = "b\n" } })
    end
    assert.equal(before, real.registry_count())
  end)
end)

describe("listening where one cannot", function()
  after_each(real.close)

  it("is EADDRINUSE on a port that is in use, and the first listener goes on", function()
    local server, client = real.pair()
    local second, why, code = dop.listen { url = server.url }
    assert.is_nil(second)
    assert.equal("EADDRINUSE", code)
    assert.truthy(why:find(server.url:match("127[^/]+"), 1, true), why)
    local heard
    client:on("message", function() heard = true end)
    client:send("x")
    real.wait("an echo", function() return heard end)
  end)

  it("is EADDRINUSE for a local: name that is taken, and free once it is closed", function()
    local first = real.listen { url = "local:taken" }
    local second, why, code = dop.listen { url = "local:taken" }
    assert.is_nil(second)
    assert.equal("EADDRINUSE", code)
    assert.truthy(why:find("taken", 1, true))
    first:close()
    real.listen { url = "local:taken" }
  end)

  it("is an error with a code for an address that is not of this machine, and for a name that is none", function()
    local server, why, code = dop.listen { url = "ws://192.0.2.1:0/" }
    assert.is_nil(server)
    assert.truthy(why:find("192.0.2.1", 1, true), why)
    assert.equal("EADDRNOTAVAIL", code)
    server, why, code = dop.listen { url = "ws://nothing.invalid:0/" }
    assert.is_nil(server)
    assert.truthy(why:find("nothing.invalid", 1, true), why)
    assert.truthy(code:find("^EAI_"), code)
  end)
end)

-- A client that wrote down what its policy was told, and gives up after `attempts`.
local function asking(url, options)
  options = options or {}
  options.url = url
  local whys = {}
  options.retry = function(attempt, why)
    whys[#whys + 1] = why
    assert(attempt == #whys - 1)
    return attempt < 2 and 0.005 or nil
  end
  local client = real.connect(nil, options)
  return client, whys
end

describe("dialling where nobody is", function()
  after_each(real.close)

  local function each(url, pattern, options)
    local client, whys = asking(url, options)
    assert.equal(0, #whys)
    local reason
    client:on("disconnect", function(_, why) reason = why end)
    assert.equal("OPEN", client.node.status)
    real.wait("the end", function() return reason end, 15)
    assert.equal("gaveup", reason)
    assert.equal(3, #whys)
    for _, why in ipairs(whys) do assert.truthy(why:find(pattern), why) end
  end

  it("tells the policy that it was refused", function()
    local server = real.listen()
    local url = server.url
    server:close()
    each(url, "refused")
  end)

  -- What the resolver says differs from system to system; the name is in it always.
  it("tells the policy which name does not resolve", function()
    each("ws://nothing.invalid:4444/", "%a: nothing%.invalid$")
  end)

  it("tells the policy that there is no such unix socket", function()
    local name = os.tmpname()
    os.remove(name)
    each("ws+unix:" .. name, "no such file")
  end)

  it("tells the policy that nobody listens on a local: name", function()
    each("local:nobody", "nobody listens on local:nobody")
  end)
end)

-- What goes to a client of ours that dialled a server which is none.
local function upgraded(head) return wire.new():answer_to(head) end
local OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
local NO_DOP = frames.encode(frames.TEXT, "Welcome to the chat!")

describe("a server that is none of ours", function()
  after_each(real.close)

  local kinds = {
    -- Whether the request was on its way already decides what the system says.
    { "closes at once", accept = function(peer) peer:close() end, why = { "reset by peer", "before its answer" } },
    { "closes when it is asked", bytes = function(peer) peer:close() end, why = "before its answer was whole" },
    {
      "is no HTTP server",
      accept = function(peer) peer:send("SSH-2.0-nothing\r\n\r\n") end,
      why = "The answer is not HTTP",
    },
    { "says nothing at all", why = "took too long" },
    { "says something that never ends", accept = function(peer) peer:send("HTTP/1.1 101 ") end, why = "took too long" },
    { "talks and talks", accept = function(peer) peer:send(("x"):rep(20000)) end, why = "too large" },
    { "speaks HTTP only", bytes = function(peer) peer:send(OK) end, why = "200" },
    {
      "does not find the page",
      bytes = function(peer) peer:send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") end,
      why = "404",
    },
    {
      "answers with another's key",
      bytes = function(peer)
        peer:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ..
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
      end,
      why = "Sec-WebSocket-Accept header is not the answer to our key",
    },
    {
      "selects a subprotocol that nobody offered",
      bytes = function(peer, bytes)
        peer:send((upgraded(bytes):gsub("(\r\nSec%-WebSocket%-Protocol: )dop", "%1chat")))
      end,
      why = "selected a subprotocol that was not offered",
    },
    {
      "speaks WebSocket and says nothing",
      bytes = function(peer, bytes) peer:send(upgraded(bytes)) end,
      why = "took too long",
    },
    {
      "speaks WebSocket but no DOP",
      bytes = function(peer, bytes) peer:send(upgraded(bytes) .. NO_DOP) end,
      why = "a half is 16 to 256 bytes",
    },
    {
      "echoes what it hears",
      bytes = function(peer, bytes)
        peer:send(upgraded(bytes))
        peer.on_bytes = function(_, more)
          peer.rest = (peer.rest or "") .. more
          local list
          list, peer.rest = frames.decode_all(peer.rest)
          for _, frame in ipairs(list) do peer:send(frames.encode(frame.opcode, frame.payload)) end
        end
      end,
      why = "the half is our own",
    },
    {
      "sends frames that are none",
      bytes = function(peer, bytes) peer:send(upgraded(bytes) .. "\255\255\255\255") end,
      why = "A reserved bit is set",
    },
    { "masks its frames", bytes = function(peer, bytes)
      peer:send(upgraded(bytes) .. frames.encode(frames.TEXT, ("x"):rep(22), { mask = true }))
    end, why = "A frame of the server is masked" },
    {
      "says too much",
      bytes = function(peer, bytes) peer:send(upgraded(bytes) .. frames.encode(frames.TEXT, ("x"):rep(2000))) end,
      why = "longer than the limit",
    },
    {
      "closes instead of an answer",
      bytes = function(peer, bytes) peer:send(upgraded(bytes) .. frames.close(1013, "later")) end,
      why = "later",
    },
  }

  -- Whether one of the sentences is in what the policy was told.
  local function says(why, sentences)
    for _, sentence in ipairs(type(sentences) == "table" and sentences or { sentences }) do
      if why:find(sentence, 1, true) then return true end
    end
  end

  for _, kind in ipairs(kinds) do
    it(kind[1] .. ": the policy is told why, and the client stays OPEN until it gives up", function()
      -- It answers the request; what the client says after that, it does not hear.
      local peers = real.raw_server(kind.accept, kind.bytes and function(peer, bytes)
        if bytes:find("^GET") then kind.bytes(peer, bytes) end
      end)
      local _, bystander = real.pair()
      -- Only where the deadline itself is the point may it be shorter than a slow machine needs.
      local deadline = kind.why == "took too long" and 0.05 or 5
      local client, whys = asking(peers.url, { handshake_timeout = deadline, close_timeout = 0.05 })
      client:send("kept")
      local log = real.record(client, { "connect", "disconnect" })
      real.wait("the end", function() return log:count "disconnect" == 1 end)
      assert.equal(3, #whys)
      for _, why in ipairs(whys) do assert.truthy(says(why, kind.why), why) end
      assert.equal(0, log:count "connect")
      assert.equal("gaveup", log[1][1])
      assert.same({ { message = "kept", kind = "text", fate = "unsent" } }, log[1][2])
      assert.equal("CONNECTED", bystander.node.status)
      real.wait("the sockets' end", function() return client:stats().sockets == 0 end)
    end)
  end
end)

describe("a client that is none of ours", function()
  local server, bystander

  before_each(function()
    server, bystander = real.pair { handshake_timeout = 0.05, close_timeout = 0.05, max_message = 5000 }
  end)

  after_each(real.close)

  -- What the server answered until it closed; nothing else happened to it.
  local function answer(bytes)
    local log = real.record(server, { "connect", "disconnect", "error", "message" })
    local peer = real.raw_client(server, bytes)
    real.wait("the server to close", function() return peer.ended end)
    assert.equal(0, #log)
    real.wait("the socket's end", function() return server:stats().sockets == 1 end)
    local heard
    bystander:on("message", function() heard = true end)
    bystander:send("still here")
    real.wait("the bystander's echo", function() return heard end)
    return peer.received
  end

  -- The close code at the end of what came after the upgrade.
  local function code_of(received)
    local list = frames.decode_all(received:match("\r\n\r\n(.*)$"))
    local last = list[#list]
    assert.equal(frames.CLOSE, last.opcode)
    return last.payload:byte(1) * 256 + last.payload:byte(2)
  end

  local UPGRADE = wire.REQUEST .. "\r\n"
  local function masked(opcode, payload) return frames.encode(opcode, payload, { mask = true }) end

  it("speaks no HTTP: 400", function() assert.truthy(answer("EHLO there\r\n\r\n"):find("^HTTP/1.1 400 ")) end)

  it("asks for a page: 426", function()
    local received = answer("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert.truthy(received:find("^HTTP/1.1 426 "), received)
    assert.truthy(received:lower():find("upgrade: websocket", 1, true))
  end)

  it("says nothing: 408 after handshake_timeout", function()
    assert.truthy(answer(""):find("^HTTP/1.1 408 "))
    assert.truthy(answer("GET / HT"):find("^HTTP/1.1 408 "))
  end)

  it("sends a head without end: 431", function()
    assert.truthy(answer("GET / HTTP/1.1\r\nX: " .. ("x"):rep(10000)):find("^HTTP/1.1 431 "))
  end)

  it("speaks WebSocket and says nothing: 1013 after handshake_timeout", function()
    assert.equal(1013, code_of(answer(UPGRADE)))
  end)

  it("speaks WebSocket but no DOP: 1008", function()
    assert.equal(1008, code_of(answer(UPGRADE .. masked(frames.TEXT, "hello"))))
    assert.equal(1008, code_of(answer(UPGRADE .. masked(frames.BINARY, ("x"):rep(22)))))
    local halves = masked(frames.TEXT, ("x"):rep(22)) .. masked(frames.TEXT, ("y"):rep(22))
    assert.equal(1008, code_of(answer(UPGRADE .. halves)))
  end)

  it("says too much before it is CONNECTED: 1008", function()
    assert.equal(1008, code_of(answer(UPGRADE .. masked(frames.TEXT, ("x"):rep(1025)))))
  end)

  it("breaks the rules of WebSocket: 1002", function()
    assert.equal(1002, code_of(answer(UPGRADE .. frames.encode(frames.TEXT, ("x"):rep(22)))))
    assert.equal(1002, code_of(answer(UPGRADE .. "\255\255\255\255")))
  end)

  it("goes in the middle of everything: nothing is left", function()
    for n = 0, #UPGRADE, 40 do real.raw_client(server, UPGRADE:sub(1, n)):close() end
    real.raw_client(server, UPGRADE):close()
    real.wait("the sockets' end", function()
      local stats = server:stats()
      return stats.sockets == 1 and stats.sockets_opened >= 4
    end)
    assert.equal(1, server:stats().nodes)
  end)
end)

describe("a message above max_message", function()
  after_each(real.close)

  it("of the peer closes the socket with 1009, not the session", function()
    local server, client = real.pair { max_message = 100, lossless = false }
    local log = real.record(client, { "close", "reconnect", "disconnect" })
    local got = {}
    server:on("message", function(_, message) got[#got + 1] = #message end)
    assert.is_true(client:send(("x"):rep(101)))
    real.wait("the loss", function() return log:count "close" == 1 end)
    assert.equal(1009, log[1][1])
    real.wait("the return", function() return log:count "reconnect" == 1 end)
    client:send(("x"):rep(100))
    real.wait("what fits", function() return #got == 1 end)
    assert.equal(100, got[1])
    assert.equal(0, log:count "disconnect")
  end)
end)

describe("send", function()
  after_each(real.close)

  it("is FULL when queue_messages or queue_bytes are reached, and takes one message however large", function()
    local server = real.listen()
    local client = real.connect(server, { queue_messages = 2 })
    assert.is_true(client:send("1"))
    assert.is_true(client:send("2"))
    local ok, why, code = client:send("3")
    assert.is_nil(ok)
    assert.equal("FULL", code)
    assert.truthy(why:find("drain", 1, true), why)
    client = real.connect(server, { queue_bytes = 10 })
    assert.is_true(client:send(("x"):rep(1000)))
    assert.equal("FULL", select(3, client:send("")))
  end)

  for _, lossless in ipairs { true, false } do
    it("is TOOLARGE above max_message of " .. (lossless and "the peer" or "this end, in plain DOP"), function()
      local small = { max_message = 10, lossless = lossless }
      local _, client = real.pair(lossless and small or nil, not lossless and small or nil)
      -- A lossless client knows the server's limit as soon as that has said it.
      local function refused() return not client:send(("x"):rep(11), "binary") end
      if lossless then real.wait("the limit", refused) end
      assert.is_true(client:send(("x"):rep(10)))
      local ok, why, code = client:send(("x"):rep(11), "binary")
      assert.is_nil(ok)
      assert.equal("TOOLARGE", code)
      assert.truthy(why:find("11", 1, true) and why:find("10", 1, true), why)
      assert.equal("CONNECTED", client.node.status)
    end)
  end

  it("is RESERVED for a text that is the session's token, in plain DOP; as binary it may go", function()
    local server, client = real.pair({ lossless = false })
    local token = client.node.token:reveal()
    assert.equal("RESERVED", select(3, client:send(token)))
    assert.equal("RESERVED", select(3, server:nodes()[1]:send(token)))
    assert.is_true(client:send(token .. "x"))
    local got
    client:on("message", function(_, message, kind) got = kind == "binary" and message end)
    assert.is_true(client:send(token, "binary"))
    real.wait("the echo", function() return got end)
    assert.equal(token, got)
    assert.equal("CONNECTED", client.node.status)
  end)

  it("is BADUTF8 for a text that is none; as binary it may go", function()
    local _, client = real.pair()
    for _, bytes in ipairs { "\255", "\192\128", "\237\160\128", "\244\144\128\128", "abc\195" } do
      local ok, why, code = client:send(bytes)
      assert.is_nil(ok)
      assert.equal("BADUTF8", code)
      assert.truthy(why:find("binary", 1, true))
      assert.equal("BADUTF8", select(3, client:send(bytes, "text")))
      assert.is_true(client:send(bytes, "binary"))
    end
    assert.is_true(client:send("\0 \195\164 \240\159\152\128"))
  end)

  it("is CLOSED once the session is DISCONNECTED", function()
    local _, client, node = real.pair()
    client:close()
    real.wait("the end", function() return node.status == "DISCONNECTED" end)
    for _, n in ipairs { node, client.node } do
      local ok, why, code = n:send("x")
      assert.is_nil(ok)
      assert.equal("CLOSED", code)
      assert.truthy(why:find("DISCONNECTED", 1, true))
      assert.equal("CLOSED", select(3, n:disconnect()))
      assert.equal("NOSOCKET", select(3, n:drop()))
    end
    assert.equal("CLOSED", select(3, client:send("x")))
  end)

  it("raises for what is no string, and for a kind that is none", function()
    local server, client = real.pair()
    for _, object in ipairs { client, client.node } do
      for _, value in ipairs { 42, true, {}, print } do
        assert.error_matches(function() object:send(value) end, "string expected")
      end
      assert.error_matches(function() object:send(nil) end, "string expected")
      for _, kind in ipairs { "", "Text", "ping", 1, true, {} } do
        assert.error_matches(function() object:send("x", kind) end, '"text" or "binary" expected')
      end
    end
    assert.error_matches(function() server:send("x") end, "only a client")
  end)

  it("carries the empty message of both kinds", function()
    local _, client = real.pair()
    local log = real.record(client, { "message" })
    client:send("")
    client:send("", "binary")
    real.wait("both", function() return #log == 2 end)
    assert.same({ "", "text", "", "binary" }, { log[1][1], log[1][2], log[2][1], log[2][2] })
  end)
end)

describe("methods and properties", function()
  after_each(real.close)

  it("raise for a self that is none of ours", function()
    local _, client = real.pair()
    local node = client.node
    for _, self in ipairs { {}, 1, "x", io.stdout, client } do
      assert.has_error(function() node.send(self, "x") end)
      assert.has_error(function() node.disconnect(self) end)
      assert.has_error(function() node.drop(self) end)
    end
    for _, self in ipairs { {}, 1, io.stdout, node } do
      assert.has_error(function() client.close(self) end)
      assert.has_error(function() client.nodes(self) end)
      assert.has_error(function() client.stats(self) end)
    end
    assert.error_matches(function() node:drop(true) end, "table expected")
    assert.error_matches(function() node.status = "OPEN" end, "data")
    assert.error_matches(function() client.node = nil end, "nothing can be set on a transport")
    for _, name in ipairs { "state", "host", "headers", "cancel" } do assert.is_nil(client[name]) end
    assert.equal("CONNECTED", node.status)
    assert.is_false(getmetatable(node))
  end)

  it("name the line of the caller, whichever layer found out", function()
    local _, client = real.pair()
    local mistakes = {
      function() client:send(nil) end,
      function() client:send("x", "txt") end,
      function() client.send("x") end,
      function() client:on("conect", print) end,
      function() client.on("connect", print) end,
      function() client.node:send(nil) end,
      function() client.node = nil end,
      function() dop.timer(print, 1) end,
      function() dop.timer(-1, print) end,
      function() dop.timer(1) end,
      function() dop.backoff(3) end,
      function() dop.backoff { first = -1 } end,
      function() dop.sleep(1) end,
      function() dop.connect("ws://127.0.0.1/") end,
      function() dop.connect { url = "local:x", on = { mesage = print } } end,
      function() dop.connect { url = "local:x", protocols = { x = "y" } } end,
      function() dop.listen { url = "local:x", origins = { x = "y" } } end,
      function() client:send("x", "text", { compres = true }) end,
      function() client:send("x", "text", true) end,
      function() client:off("mesage") end,
      function() client:close(5) end,
      function() client.close() end,
      function() client.reconnect_now() end,
      function() client.reload_tls() end,
      function() client:reload_tls() end,
    }
    local asked = false
    dop.go(function()
      mistakes[#mistakes + 1] = function() dop.sleep("x") end
      mistakes[#mistakes + 1] = function() client.node:receive(-1) end
      for i = #mistakes - 1, #mistakes do
        local _, why = pcall(mistakes[i])
        assert.truthy(tostring(why):find("errors_spec.lua:", 1, true), why)
      end
      asked = true
    end)
    assert.is_true(asked)
    local nested
    dop.timer(0, function()
      nested = select(2, pcall(function() dop.run() end))
      dop.stop()
    end)
    dop.run()
    assert.truthy(tostring(nested):find("^[^:]*errors_spec.lua:%d+: the loop runs already"), nested)
    for i, mistake in ipairs(mistakes) do
      local _, why = pcall(mistake)
      assert.truthy(tostring(why):find("^[^:]*errors_spec.lua:%d+: "), i .. ": " .. tostring(why))
    end
  end)

  it("of timers raise for times and functions that are none", function()
    for _, seconds in ipairs { -1, 0 / 0, math.huge, 1e10, "x" } do
      assert.has_error(function() dop.timer(seconds, print) end)
    end
    assert.has_error(function() dop.timer(1) end)
    assert.has_error(function() dop.timer(1, "print") end)
    assert.has_error(function() dop.timer() end)
  end)
end)
