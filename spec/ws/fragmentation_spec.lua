--- Messages in fragments, and what may stand between them (RFC 6455 5.4).

local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local both, text, ping, pong, part, last =
  stream.both(it), stream.text, stream.ping, stream.pong, stream.part, stream.last
local TEXT, BINARY, MORE = frames.TEXT, frames.BINARY, frames.CONTINUATION

describe("a message in fragments", function()
  both("arrives whole: two fragments", function(role)
    stream.hears(role, { part(TEXT, "fragment1"), last("fragment2") }, { "text:fragment1fragment2" })
  end)

  both("keeps the kind of its first fragment", function(role)
    stream.hears(role, { part(BINARY, "\0\1\255"), part(MORE, "\254"), last("\128") }, { "binary:\0\1\255\254\128" })
  end)

  both("may have empty fragments at any place", function(role)
    stream.hears(role, { part(TEXT, ""), part(MORE, ""), last("") }, { "text:" })
    stream.hears(role, { part(BINARY, ""), part(MORE, ""), last("") }, { "binary:" })
    stream.hears(role, { part(TEXT, ""), part(MORE, "middle"), last("") }, { "text:middle" })
    stream.hears(role, { part(TEXT, "a"), part(MORE, ""), last("b") }, { "text:ab" })
  end)

  both("is followed by another one, whole or in fragments", function(role)
    local list = { part(TEXT, "a"), last("b"), text("c"), part(BINARY, "d"), last("e"), part(TEXT, "f"), last("") }
    stream.hears(role, list, { "text:ab", "text:c", "binary:de", "text:f" })
  end)

  both("may be as many fragments as it has bytes", function(role)
    local list = { part(TEXT, "0") }
    for i = 1, 98 do list[#list + 1] = part(MORE, tostring(i % 10)) end
    list[#list + 1] = last("!")
    local whole = ("0123456789"):rep(10):sub(1, 99) .. "!"
    stream.hears(role, list, { "text:" .. whole })
  end)

  both("may have fragments of every form of length", function(role)
    local a, b, c = ("a"):rep(125), ("b"):rep(126), ("c"):rep(65536)
    stream.hears(role, { part(BINARY, a), part(MORE, c), last(b) }, { "binary:" .. a .. c .. b })
  end)

  both("is heard when its last fragment is there, not before", function(role)
    local seen = stream.feed(role, { part(TEXT, "never"), part(MORE, "finished") })
    assert.same({ messages = {}, events = {} }, { messages = seen.messages, events = seen.events })
  end)
end)

describe("between fragments", function()
  both("a ping is answered at once", function(role)
    local seen = stream.feed(role, { part(TEXT, "a"), ping("now") })
    assert.same({ {}, { "now" } }, { seen.messages, seen.pongs })
  end)

  both("pings and pongs may come, and the message stays whole", function(role)
    local seen = stream.hears(role, {
      part(TEXT, "fragment1"), ping("1"), part(MORE, "fragment2"), pong("x"), ping("2"), ping(""), last("fragment3"),
    }, { "text:fragment1fragment2fragment3" })
    assert.same({ "1", "2", "" }, seen.pongs)
  end)

  both("pings may carry 125 bytes, in another mask, and nothing of them is in the message", function(role)
    local seen = stream.hears(role, {
      part(BINARY, ("\1"):rep(200)),
      { frames.PING, ("\2"):rep(125), role == "server" and { mask = "\8\7\6\5" } or nil },
      last(("\3"):rep(3)),
    }, { "binary:" .. ("\1"):rep(200) .. ("\3"):rep(3) })
    assert.same({ ("\2"):rep(125) }, seen.pongs)
  end)

  both("a close frame ends it all, and the unfinished message is not heard", function(role)
    local seen = stream.feed(role, { part(TEXT, "a"), stream.close(1000), last("b"), ping("x") })
    assert.same({ {}, {}, 1000 }, { seen.messages, seen.pongs, seen.code })
  end)

  for name, opcode in pairs { text = TEXT, binary = BINARY } do
    both(("a new %s message is refused: 1002"):format(name), function(role)
      local seen = stream.refused(role, { part(TEXT, "a"), { opcode, "b" }, last("c") }, 1002)
      assert.same({}, seen.messages)
    end)

    both(("the beginning of a new %s message is refused: 1002"):format(name), function(role)
      local seen = stream.refused(role, { part(BINARY, "a"), part(MORE, "b"), part(opcode, "c"), last("d") }, 1002)
      assert.same({}, seen.messages)
    end)
  end

  both("a new message is refused also when the first fragment was empty: 1002", function(role)
    stream.refused(role, { part(TEXT, ""), text("b") }, 1002)
  end)
end)

describe("a continuation", function()
  for _, size in ipairs { 0, 9, 200 } do
    both(("of %d bytes without a beginning is refused: 1002"):format(size), function(role)
      stream.refused(role, { last(("c"):rep(size)), text("after") }, 1002)
      stream.refused(role, { part(MORE, ("c"):rep(size)), text("after") }, 1002)
    end)
  end

  both("behind a finished message is refused: 1002, and the message was heard", function(role)
    local seen = stream.refused(role, { text("whole"), last("more") }, 1002)
    assert.same({ "text:whole" }, seen.messages)
    seen = stream.refused(role, { part(TEXT, "a"), last("b"), last("c"), text("d") }, 1002)
    assert.same({ "text:ab" }, seen.messages)
  end)

  both("behind a large message that came in pieces is refused: 1002", function(role)
    local seen = stream.refused(role, { text(("x"):rep(1000)), part(MORE, "") }, 1002)
    assert.same({ "text:" .. ("x"):rep(1000) }, seen.messages)
  end)
end)
