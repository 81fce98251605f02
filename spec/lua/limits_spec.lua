--- Each limit is an option, and each is reached here: with a small value, on a clock that the spec holds.
-- The defaults are those of the design, in docs/api.md and in the core.

local core = require "dop.core"
local dop = require "dop"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

after_each(wire.close)

local function server(options) return wire.new { server = options } end

describe("the limit", function()
  it("resume_window: a session without a socket is forgotten after it", function()
    local w = server { resume_window = 5 }
    w:connected_server():lose()
    w:wait(4.9)
    assert.equal(1, #w.server:nodes())
    w:wait(0.2)
    assert.equal("expired", w:last("server", "disconnect")[1])
  end)

  it("probe_timeout: a holder has that long to prove that it lives", function()
    local w = server { probe_timeout = 0.5 }
    local _, token = w:connected_server()
    local newcomer = w:to_server()
    newcomer:take()
    newcomer:give(token)
    w:wait(0.4)
    assert.is_nil(newcomer:take())
    w:wait(0.2)
    assert.equal(token, newcomer:take())
  end)

  it("handshake_timeout: from accept to CONNECTED, whatever comes in between", function()
    local w = server { handshake_timeout = 3 }
    local silent, halfway = w:to_server(true), w:to_server()
    w:wait(2)
    halfway:give(("h"):rep(16))
    silent.link:feed("GET ")
    w:wait(0.9)
    assert.is_nil((silent.link:ending()))
    w:wait(0.2)
    assert.truthy(silent.link:output():find("^HTTP/1.1 408 "))
    assert.equal(1013, halfway:closed_with())
    assert.same({}, w.server:nodes())
  end)

  it("handshake_timeout: a client's attempt ends with it", function()
    local w = wire.new { client = { handshake_timeout = 3 } }
    local told = {}
    core.values(w.client)[core.down] = { function(_, why, code) told[#told + 1] = { why, code } end }
    local p = w:from_client(true)
    w:wait(3)
    assert.equal("dead", (p.link:ending()))
    local q = w:from_client()
    w:wait(3)
    assert.equal(1013, q:closed_with())
    assert.same({ { "the handshake took too long", "TIMEOUT" }, { "the handshake took too long", "TIMEOUT" } }, told)
  end)

  it("ping_interval and ping_timeout: a silent peer is asked, then given up; any byte is an answer", function()
    local w = server { ping_interval = 4, ping_timeout = 2 }
    local p = w:connected_server()
    w:wait(3.9)
    assert.is_nil(p:take())
    w:wait(0.2)
    assert.equal(frames.PING, select(2, p:take()))
    w:wait(1.9)
    p.link:feed("\129") -- one byte of a frame
    w:wait(3.9)
    assert.equal("CONNECTED", w.server:nodes()[1].status)
    w:wait(0.2)
    w:wait(2)
    assert.equal("RECONNECTING", w.server:nodes()[1].status)
    assert.truthy(w:last("server", "reconnecting")[1]:find("ping"))
  end)

  it("ping_interval: 0 asks nobody, ever", function()
    local w = server { ping_interval = 0 }
    local p = w:connected_server()
    w:wait(1e6)
    assert.is_nil(p:take())
    assert.equal("CONNECTED", w.server:nodes()[1].status)
  end)

  it("close_timeout: a peer that does not finish the closing handshake is cut off", function()
    local w = server { close_timeout = 2 }
    local p = w:connected_server()
    w.server:nodes()[1]:disconnect()
    assert.equal(1000, p:closed_with())
    w:wait(1.9)
    assert.is_nil((p.link:ending()))
    w:wait(0.2)
    assert.equal("dead", (p.link:ending()))
    assert.equal(0, w.server:stats().sockets)
  end)

  it("max_message: nothing larger is sent or taken", function()
    local w = server { max_message = 2000 }
    local p = w:connected_server()
    local node = w.server:nodes()[1]
    assert.is_true(node:send(("x"):rep(2000)))
    assert.equal("TOOLARGE", select(3, node:send(("x"):rep(2001))))
    p:give(("y"):rep(2000))
    assert.equal(2000, #w:last("server", "message")[1])
    p:give(("y"):rep(2001))
    assert.equal(1009, p:closed_with())
    assert.equal("RECONNECTING", node.status)
  end)

  it("max_header: a longer request is refused with 431", function()
    for _, case in ipairs { { 400, "101" }, { 401, "431" } } do
      local w = server { max_header = 400 }
      local p = w:to_server(true)
      local head = wire.REQUEST .. "X: "
      p.link:feed(head .. ("x"):rep(case[1] - #head - 4) .. "\r\n\r\n")
      w:turn()
      assert.equal(case[2], p.link:output():match("^HTTP/1.1 (%d+)"))
    end
  end)

  it("max_fields: more of them are refused with 431", function()
    for _, case in ipairs { { 5, "101" }, { 6, "431" } } do
      local w = server { max_fields = 10 }
      local p = w:to_server(true)
      p.link:feed(wire.REQUEST .. ("X: y\r\n"):rep(case[1]) .. "\r\n")
      w:turn()
      assert.equal(case[2], p.link:output():match("^HTTP/1.1 (%d+)"))
    end
  end)

  it("queue_messages and queue_bytes: send is refused with FULL", function()
    local w = wire.new { client = { queue_messages = 3 } }
    for _ = 1, 3 do assert.is_true(w.client:send("x")) end
    assert.equal("FULL", select(3, w.client:send("x")))
    w = wire.new { client = { queue_bytes = 100 } }
    assert.is_true(w.client:send(("x"):rep(50)))
    assert.equal("FULL", select(3, w.client:send(("x"):rep(50))))
    assert.is_true(w.client:send(("x"):rep(34)))
  end)

  it("max_detached: the oldest session without a socket goes", function()
    local w = server { max_detached = 2 }
    local nodes = {}
    for i = 1, 3 do
      local p = w:connected_server(("%016d"):format(i))
      nodes[i] = w:last("server", "connect").node
      p:lose()
    end
    assert.equal("DISCONNECTED", nodes[1].status)
    assert.equal("RECONNECTING", nodes[2].status)
    assert.equal("evicted", w:last("server", "disconnect")[1])
    assert.equal(2, w.server:stats().detached)
  end)

  it("max_detached_bytes: so it does when their queues hold too much", function()
    local w = server { max_detached_bytes = 1000 }
    local first = w:connected_server(("1"):rep(16))
    local node = w.server:nodes()[1]
    first:lose()
    node:send(("x"):rep(600))
    assert.equal(608, w.server:stats().detached_bytes)
    local second = w:connected_server(("2"):rep(16))
    second:lose()
    w:last("server", "reconnecting").node:send(("x"):rep(600))
    w:turn()
    assert.equal("DISCONNECTED", node.status)
    assert.equal(608, w.server:stats().detached_bytes)
  end)

  it("max_detached_bytes: what counts is the memory of their queues, the room for more messages too", function()
    local w = server { max_detached_bytes = 1000 }
    w:connected_server():lose()
    local node = w.server:nodes()[1]
    node:send(("x"):rep(600))
    node:send("y")
    assert.is_true(w.server:stats().detached_bytes > 608 + 9) -- it grows by half
    node:send(("z"):rep(400))
    w:turn()
    assert.equal("DISCONNECTED", node.status)
    assert.equal(0, w.server:stats().detached_bytes)
  end)

  it("max_pending: further sockets hear 503 until one of those is CONNECTED or gone", function()
    local w = server { max_pending = 2 }
    local one, two, three = w:to_server(), w:to_server(true), w:to_server(true)
    assert.truthy(three.link:output():find("^HTTP/1.1 503 "))
    assert.equal(2, w.server:stats().pending)
    one:take()
    one:give(("h"):rep(16)):give(("h"):rep(16))
    assert.equal(1, w.server:stats().pending)
    local four = w:to_server()
    assert.equal(22, #four:take())
    two.link:lost()
    four:lose()
    assert.equal(0, w.server:stats().pending)
  end)

  it("max_pending: no more refused ones are waited for either", function()
    local w = server { max_pending = 2 }
    local endings = {}
    for i = 1, 6 do
      local p = w:to_server(true)
      if i > 2 then
        p.link:output()
        endings[#endings + 1] = (p.link:ending())
      end
    end
    assert.same({ "fin", "fin", "over", "over" }, endings)
    w:wait(6)
    assert.equal(2, w.server:stats().sockets)
    local late = w:to_server(true)
    assert.equal("fin", (late.link:ending()))
  end)

  it("max_pending_per_address: the same, for one address, whatever its port", function()
    local w = server { max_pending_per_address = 1 }
    local one = core.accept(w.server, "10.0.0.1:1000")
    local same, other = core.accept(w.server, "10.0.0.1:2000"), core.accept(w.server, "10.0.0.11:1000")
    assert.truthy(same:output():find("^HTTP/1.1 503 "))
    assert.equal("", other:output())
    one:lost()
    assert.equal("", core.accept(w.server, "10.0.0.1:3000"):output())
  end)
end)

describe("the defaults", function()
  -- The design, written down once more: neither the document nor the code can move alone, nor both.
  local designed = {
    resume_window = 60, probe_timeout = 2, handshake_timeout = 10, ping_interval = 20, ping_timeout = 10,
    close_timeout = 5, max_message = 1048576, max_header = 8192, max_fields = 64, max_idle_frames = 1000,
    queue_bytes = 1048576, queue_messages = 1024, max_detached = 100000, max_detached_bytes = 268435456,
    max_pending = 10000, max_tombstones = 100000, max_unconfirmed = 10000, max_pending_per_address = 0,
    half_min = 16,
    max_sockets = 0, max_sockets_per_address = 0, high_mark = 65536, low_mark = 32768, max_bytes = 1073741824,
  }

  it("are those of the design, each limit with one", function()
    assert.same(designed, core.defaults)
    local named = {}
    for _, name in ipairs(core.limits) do named[name] = designed[name] end
    assert.same(designed, named)
  end)

  it("are those of the documentation", function()
    local file = assert(io.open("docs/api.md"))
    local document = file:read("*a")
    file:close()
    local unit = { MiB = 1048576, KiB = 1024, GiB = 1073741824 }
    local documented = {}
    for name, value, u in document:gmatch("\n| `([%w_]+)` | ([%d.]+) ?(%a*)") do
      documented[name] = tonumber(value) * (unit[u] or 1)
    end
    for name, value in pairs(core.defaults) do
      -- What half_min is for has no documentation: it is no option of dop.listen and dop.connect.
      if name ~= "half_min" then assert.equal(value, documented[name], name) end
    end
  end)

  it("are what a transport works by that was given no options", function()
    local w = server {}
    local p = w:connected_server()
    p:lose()
    w:wait(core.defaults.resume_window - 0.1)
    assert.equal(1, #w.server:nodes())
    w:wait(0.2)
    assert.same({}, w.server:nodes())
  end)
end)

describe("a limit that makes no sense", function()
  local NAN = 0 / 0
  local bad = {
    { "resume_window", -1 }, { "resume_window", "60" }, { "resume_window", NAN }, { "resume_window", 1e10 },
    { "probe_timeout", 0 }, { "handshake_timeout", 0 }, { "ping_interval", -0.5 }, { "ping_timeout", 0 },
    { "close_timeout", {} }, { "max_message", 0 }, { "max_message", 1.5 }, { "max_message", 2 ^ 31 },
    { "max_header", 100 }, { "max_fields", 65 }, { "queue_bytes", -1 }, { "queue_messages", 0 },
    { "max_detached", NAN }, { "max_detached_bytes", math.huge }, { "max_pending", 0 },
    { "max_pending_per_address", true }, { "max_sockets", -1 }, { "max_sockets_per_address", 0.5 },
    { "high_mark", 0 }, { "low_mark", -1 }, { "low_mark", 65537 }, { "max_bytes", -1 },
    { "max_messages", 1 }, { "half_min", 4 }, { "halves", {} },
  }
  it("is named with the function, the range and the value, at the caller's line", function()
    local function line(make, name, value)
      return select(2, pcall(function() make { url = "local:none", [name] = value } end))
    end
    local function says(expected, make, name, value)
      local message = line(make, name, value)
      local where, what = message:match("^(%S*limits_spec%.lua):%d+: (.*)$")
      assert.truthy(where, message)
      assert.equal(expected, what)
    end
    says('dop.listen: option "max_fields": a whole number from 4 to 64 expected, got 65', dop.listen, "max_fields", 65)
    says('dop.connect: option "max_fields": a whole number from 4 to 64 expected, got 4.5',
      dop.connect, "max_fields", 4.5)
    says('dop.connect: option "ping_timeout": seconds from 0.001 to 1000000000 expected, got 0',
      dop.connect, "ping_timeout", 0)
    says('dop.listen: option "max_detached_bytes": a whole number from 0 to 1000000000000000 expected, ' ..
      "got 1000000000000001", dop.listen, "max_detached_bytes", 1e15 + 1)
    says('dop.listen: option "resume_window": seconds from 0 to 1000000000 expected, got the string "60"',
      dop.listen, "resume_window", "60")
    says('dop.listen: option "resume_window": seconds from 0 to 1000000000 expected, got nan',
      dop.listen, "resume_window", NAN)
    says('dop.connect: option "max_message": a whole number from 1 to 1073741824 expected, got table',
      dop.connect, "max_message", {})
    says('dop.connect: option "max_message": a whole number from 1 to 1073741824 expected, got false',
      dop.connect, "max_message", false)
  end)

  it("raises in the core as well, for hosts that do without lua/dop", function()
    local ok, message = pcall(core.transport, core.engine(), "server", { max_fields = 65 })
    assert.is_false(ok)
    assert.truthy(message:find('option "max_fields": a whole number from 4 to 64 expected, got 65', 1, true), message)
  end)

  for _, case in ipairs(bad) do
    it(("is misuse and raises: %s = %s"):format(case[1], tostring(case[2])), function()
      for _, open in ipairs { dop.listen, dop.connect } do
        local ok, message = pcall(open, { url = "local:none", [case[1]] = case[2] })
        assert.is_false(ok)
        assert.truthy(message:find(case[1], 1, true), message)
      end
    end)
  end
end)
