--- Pings and pongs (RFC 6455 5.5).

local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local both, text, ping, pong = stream.both(it), stream.text, stream.ping, stream.pong

describe("a ping", function()
  both("without a payload is answered by a pong without one", function(role)
    local seen = stream.hears(role, { ping("") }, {})
    assert.same({ "" }, seen.pongs)
  end)

  for _, payload in ipairs { "Hello, world!", "\0\255\254\253\252\251\0\255", ("\254"):rep(125), ("x"):rep(124) } do
    both(("of %d bytes comes back as a pong"):format(#payload), function(role)
      local seen = stream.hears(role, { ping(payload) }, {})
      assert.same({ payload }, seen.pongs)
    end)
  end

  both("of 126 bytes is refused: 1002", function(role)
    local seen = stream.refused(role, { ping(("\254"):rep(126)), text("after") }, 1002)
    assert.same({}, seen.pongs)
    assert.same({}, seen.messages)
  end)

  both("with a length in eight bytes is refused: 1002", function(role)
    stream.refused(role, { ping(("x"):rep(65536)) }, 1002)
    stream.refused(role, { ping("x", { length_bytes = 8 }) }, 1002)
  end)

  both("in fragments is refused: 1002", function(role)
    local seen = stream.refused(role, { ping("Hello", { fin = false }), { frames.CONTINUATION, "x" } }, 1002)
    assert.same({}, seen.pongs)
  end)

  both("is answered in order: ten pings, ten pongs", function(role)
    local list, payloads = {}, {}
    for i = 1, 10 do
      payloads[i] = "payload-" .. i
      list[i] = ping(payloads[i])
    end
    assert.same(payloads, stream.hears(role, list, {}).pongs)
  end)

  both("among messages disturbs none of them", function(role)
    local seen = stream.hears(role, { text("one"), ping("1"), text("two"), ping("2"), text("three") },
      { "text:one", "text:two", "text:three" })
    assert.same({ "1", "2" }, seen.pongs)
  end)

  both("is no event of the application", function(role)
    local w, p = stream.session(role)
    p:give("Hello", frames.PING)
    assert.equal(0, #w.log)
  end)

  both("is not answered any more by the 64 KiB of pongs that nobody reads", function(role)
    local w, p = stream.session(role, { max_idle_frames = 0 })
    local bytes = stream.bytes(role, { ping(("x"):rep(125)) })
    p.link:feed(bytes:rep(5000)) -- 620 kB of pongs
    w:turn()
    local out = #p.link:output()
    assert.is_true(out >= 65536 and out < 65536 + 256)
    p.link:feed(bytes)
    assert.same({ ("x"):rep(125) }, stream.seen(role, w, p).pongs)
  end)
end)

describe("a pong", function()
  both("that nobody asked for is ignored, with and without a payload", function(role)
    local seen = stream.hears(role, { pong(""), pong("unsolicited payload"), pong(("\0"):rep(125)) }, {})
    assert.same({}, seen.pongs)
  end)

  both("that nobody asked for does not disturb the pings that follow", function(role)
    local seen = stream.hears(role, { pong("unsolicited"), ping("ping"), text("Hello") }, { "text:Hello" })
    assert.same({ "ping" }, seen.pongs)
  end)

  both("of 126 bytes is refused: 1002", function(role)
    stream.refused(role, { pong(("\254"):rep(126)) }, 1002)
  end)

  both("in fragments is refused: 1002", function(role)
    stream.refused(role, { pong("Hello", { fin = false }) }, 1002)
  end)
end)

describe("frames that bring no data", function()
  local function many(n, item)
    local list = {}
    for i = 1, n do list[i] = item end
    return list
  end

  local kinds = {
    pings = ping "",
    ["pings with a payload"] = ping "x",
    pongs = pong "",
  }
  for name, item in pairs(kinds) do
    both(("are %s: a thousand pass, one more is refused: 1008"):format(name), function(role)
      local w, p = stream.session(role)
      p.link:feed((stream.bytes(role, many(1000, item))))
      w:turn()
      assert.is_nil(stream.seen(role, w, p).code)
      p.link:feed((stream.bytes(role, { item, text "after" })))
      w:turn()
      local seen = stream.seen(role, w, p)
      assert.equal(1008, seen.code)
      assert.equal("too many frames without data", seen.reason)
      assert.same({}, seen.messages)
      assert.same({ "close 1008", "status RECONNECTING", "reconnecting too many frames without data" }, seen.events)
    end)
  end

  both("are empty fragments: the limit is an option", function(role)
    local list = many(4, stream.part(frames.CONTINUATION, ""))
    table.insert(list, 1, stream.part(frames.TEXT, "begun"))
    list[#list + 1] = stream.last ""
    stream.hears(role, list, { "text:begun" }, { max_idle_frames = 4 })
    list[#list] = stream.part(frames.CONTINUATION, "")
    stream.refused(role, list, 1008, { max_idle_frames = 4 })
  end)

  both("are no fragments of a byte: those are bounded by max_message", function(role)
    local list = many(20, stream.part(frames.CONTINUATION, "x"))
    table.insert(list, 1, stream.part(frames.TEXT, "x"))
    list[#list + 1] = stream.last ""
    stream.hears(role, list, { "text:" .. ("x"):rep(21) }, { max_idle_frames = 4 })
  end)

  both("are counted from 0 again by a message", function(role)
    local list = {}
    for i = 1, 12 do list[i] = i % 4 == 0 and text "data" or ping "" end
    stream.hears(role, list, { "text:data", "text:data", "text:data" }, { max_idle_frames = 3 })
  end)

  both("are counted from 0 again by the next second", function(role)
    local w, p = stream.session(role, { max_idle_frames = 3, ping_interval = 0 })
    for _ = 1, 5 do
      p.link:feed((stream.bytes(role, many(3, ping ""))))
      w:wait(1.1)
    end
    assert.is_nil(stream.seen(role, w, p).code)
    p.link:feed((stream.bytes(role, many(4, ping ""))))
    assert.equal(1008, stream.seen(role, w, p).code)
  end)

  both("may come without end where the limit is 0", function(role)
    local w, p = stream.session(role, { max_idle_frames = 0 })
    p.link:feed((stream.bytes(role, many(70000, pong ""))))
    w:turn()
    assert.is_nil(stream.seen(role, w, p).code)
  end)
end)
