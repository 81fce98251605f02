--- What time does to a link. The clock stands still until the spec moves it.

local core = require "dop.core"
local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"
local both = stream.both(it)

local function pings(role, w, p)
  local seen = stream.seen(role, w, p)
  return seen.pings
end

describe("a silent peer", function()
  both("is asked with a ping after 20 s", function(role)
    local w, p = stream.session(role)
    w:wait(19.9)
    assert.equal(0, pings(role, w, p))
    w:wait(0.1)
    assert.equal(1, pings(role, w, p))
  end)

  both("that does not answer within 10 s more is lost: 1006, and no close frame", function(role)
    local w, p = stream.session(role)
    w:wait(20)
    w:wait(9.9)
    assert.equal(0, #w.log)
    assert.is_nil((p.link:ending()))
    w:wait(0.1)
    local seen = stream.seen(role, w, p)
    assert.same({ 1006, 1 }, { seen.closed, seen.pings })
    assert.truthy(seen.why:find("ping", 1, true))
    assert.is_nil(seen.code)
    assert.equal("dead", seen.ending)
    assert.equal("RECONNECTING", seen.status)
  end)

  it("is reported to a client as TIMEOUT, with how long the session was CONNECTED", function()
    local w = stream.session("client")
    local got
    core.values(w.client)[core.down] = { function(_, _, code, held) got = { code, held } end }
    w:wait(20)
    w:wait(10)
    assert.same({ "TIMEOUT", 30 }, got)
  end)

  both("is asked again 20 s after each answer, for ever", function(role)
    local w, p = stream.session(role)
    for i = 1, 20 do
      w:wait(20)
      assert.equal(i, pings(role, w, p))
      w:wait(9)
      p:give(p.sent[#p.sent].payload, frames.PONG)
    end
    assert.equal(0, #w.log)
  end)

  -- Whatever comes says that the peer is there, if it is only a byte of it.
  local signs = {
    ["a pong of its own"] = { stream.pong("unasked") },
    ["a message"] = { stream.text("Hello") },
    ["a ping"] = { stream.ping("") },
    ["one byte of a frame"] = { "\129" },
    ["a part of a message"] = { stream.part(frames.TEXT, "Hel") },
  }
  for name, list in pairs(signs) do
    both(("lives when %s comes, before the ping and after it"):format(name), function(role)
      local bytes = stream.bytes(role, list)
      local w, p = stream.session(role)
      w:wait(19)
      p.link:feed(bytes)
      w:wait(19.9)
      assert.equal(0, pings(role, w, p))
      w:wait(0.1)
      assert.equal(1, pings(role, w, p))

      w, p = stream.session(role)
      w:wait(20)
      w:wait(9.9)
      p.link:feed(bytes)
      w:wait(0.1)
      assert.equal(0, w:count(role, "close"))
      w:wait(19.8)
      assert.equal(1, pings(role, w, p))
      w:wait(0.1)
      assert.equal(2, pings(role, w, p))
      w:wait(10)
      assert.equal(1006, w:last(role, "close")[1])
    end)
  end

  both("is not asked while messages go out only: what we say proves nothing of him", function(role)
    local w, p = stream.session(role)
    local node = role == "server" and w.server:nodes()[1] or w.client.node
    for _ = 1, 29 do
      assert(node:send("are you there"))
      p.link:output()
      w:wait(1)
    end
    w:wait(1)
    assert.equal(1006, w:last(role, "close")[1])
  end)

  both("is asked as often as was set, and never when that is 0", function(role)
    local w, p = stream.session(role, { ping_interval = 1, ping_timeout = 0.5 })
    w:wait(0.9)
    assert.equal(0, pings(role, w, p))
    w:wait(0.1)
    assert.equal(1, pings(role, w, p))
    w:wait(0.5)
    assert.equal(1006, w:last(role, "close")[1])

    w, p = stream.session(role, { ping_interval = 0 })
    w:wait(100000)
    assert.equal(0, pings(role, w, p))
    assert.equal(0, #w.log)
  end)

  both("whom we do not read is not to blame", function(role)
    local w, p = stream.session(role)
    local node = role == "server" and w.server:nodes()[1] or w.client.node
    node:pause()
    for _ = 1, 10 do w:wait(20) end
    assert.equal(0, #w.log)
    node:resume()
    w:wait(20)
    assert.equal(1, pings(role, w, p))
  end)
end)

describe("a request", function()
  for name, bytes in pairs {
    ["that never begins"] = "", ["that never ends"] = "GET /dop HTTP/1.1\r\nHost: localhost\r\n",
  } do
    it(name .. " gets a 408 after 10 s, and 5 s to hear it", function()
      local w = wire.new()
      local p = w:to_server(true)
      p.link:feed(bytes)
      w:wait(9.9)
      assert.equal("", p.link:output())
      assert.is_nil((p.link:ending()))
      w:wait(0.1)
      local answer = p.link:output()
      assert.truthy(answer:find("^HTTP/1%.1 408 "))
      assert.equal("fin", (p.link:ending()))
      w:wait(5)
      assert.equal("dead", (p.link:ending()))
      assert.equal(0, #w.log)
      local stats = w.server:stats()
      assert.same({ 0, 0, 0, 1 }, { stats.nodes, stats.sockets, stats.pending, stats.refused })
    end)
  end

  it("that drips gets a 408 all the same: bytes do not move the deadline", function()
    local w = wire.new()
    local p = w:to_server(true)
    for i = 1, 10 do
      assert.equal("", p.link:output())
      p.link:feed(("GET /dop HTTP/1.1\r\n"):sub(i, i))
      w:wait(1)
    end
    assert.truthy(p.link:output():find("^HTTP/1%.1 408 "))
    p.link:feed("T /dop HTTP/1.1\r\n\r\n")
    assert.equal("", p.link:output())
  end)

  it("has as long as was set", function()
    local w = wire.new { server = { handshake_timeout = 2 } }
    local p = w:to_server(true)
    w:wait(1.9)
    assert.equal("", p.link:output())
    w:wait(0.1)
    assert.truthy(p.link:output():find("^HTTP/1%.1 408 "))
  end)
end)

describe("an attempt", function()
  it("whose answer does not come within 10 s has failed: TIMEOUT", function()
    for _, bytes in ipairs { "", "HTTP/1.1 101 Switching Protocols\r\n" } do
      local w = wire.new()
      local p = w:from_client(true)
      local got
      core.values(w.client)[core.down] = { function(_, _, code) got = code end }
      p.link:feed(bytes)
      w:wait(9.9)
      assert.is_nil(got)
      w:wait(0.1)
      assert.equal("TIMEOUT", got)
      assert.equal("dead", (p.link:ending()))
      assert.equal(0, #w.log)
    end
  end)
end)

describe("a handshake", function()
  for _, known in ipairs { false, true } do
    both(("that stops %s gets 1013 when 10 s are over"):format(known and "at one half" or "behind the upgrade"),
      function(role)
        local w = wire.new()
        local p = role == "server" and w:to_server(true) or w:from_client(true)
        w:wait(6)
        p.link:feed(role == "server" and wire.REQUEST .. "\r\n" or w:answer_to(p.head))
        w:turn()
        if known then p:give(("Q"):rep(16)) end
        p:give("?", frames.PING)
        w:wait(3.9)
        assert.is_nil((p.link:ending()))
        assert.is_nil(p:closed_with())
        w:wait(0.1)
        assert.equal(1013, p:closed_with())
        assert.equal(1013, w:last(role, "close")[1])
        assert.is_nil((p.link:ending()))
        w:wait(5)
        assert.equal("dead", (p.link:ending()))
        assert.equal(role == "server" and 0 or 1, w[role]:stats().nodes)
      end)
  end

  both("that is done has no deadline any more", function(role)
    local w = stream.session(role, { ping_interval = 0 })
    w:wait(60)
    assert.equal(0, #w.log)
  end)

  it("that was given up makes room for another", function()
    local w = wire.new { server = { max_pending = 1 } }
    local p = w:to_server()
    assert.equal(1, w.server:stats().pending)
    w:wait(10)
    assert.equal(1013, p:closed_with())
    assert.equal(0, w.server:stats().pending)
    w:connected_server()
    assert.equal(0, w.server:stats().pending)
  end)
end)
