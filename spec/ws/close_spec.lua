--- The end of a WebSocket (RFC 6455 5.5.1 and section 7): both directions of it, and no end at all.

local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local both, text, ping, close = stream.both(it), stream.text, stream.ping, stream.close

-- A client waits for the server to end the socket (7.1.1); a server ends it once it has answered.
local ENDING = { server = "over", client = "fin" }

describe("a close frame", function()
  both("without a code is answered by one without a code, and the application hears 1005", function(role)
    local seen = stream.feed(role, { close() })
    assert.equal(1005, seen.code)
    assert.equal(1005, seen.closed)
    assert.equal(ENDING[role], seen.ending)
  end)

  for _, code in ipairs { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
    4000, 4999 } do
    both(("with code %d is answered with that code"):format(code), function(role)
      local seen = stream.feed(role, { text("before"), close(code, "a reason") })
      assert.same({ code, code, "a reason" }, { seen.code, seen.closed, seen.why })
      assert.same({ "text:before" }, seen.messages)
      assert.same({ "close " .. code, "status RECONNECTING", "reconnecting a reason" }, seen.events)
      assert.equal(ENDING[role], seen.ending)
      assert.equal("", seen.reason)
    end)
  end

  for _, code in ipairs { 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535 } do
    both(("with code %d, which may not be on the wire, is refused: 1002"):format(code), function(role)
      stream.refused(role, { close(code) }, 1002)
      stream.refused(role, { close(code, "with a reason") }, 1002)
    end)
  end

  both("of one byte is refused: 1002", function(role)
    stream.refused(role, { close("\3") }, 1002)
  end)

  both("may have a reason of 123 bytes", function(role)
    local seen = stream.feed(role, { close(1000, ("r"):rep(123)) })
    assert.same({ 1000, ("r"):rep(123) }, { seen.code, seen.why })
  end)

  both("may have a reason in every script", function(role)
    local reason = "\206\186\225\189\185\207\131\206\188\206\181 \240\159\145\139"
    local seen = stream.feed(role, { close(1000, reason) })
    assert.same({ 1000, reason }, { seen.code, seen.why })
  end)

  both("with a reason of 124 bytes, 126 in all, is refused: 1002", function(role)
    stream.refused(role, { close(1000, ("r"):rep(124)) }, 1002)
  end)

  both("in fragments is refused: 1002", function(role)
    stream.refused(role, { { frames.CLOSE, frames.u16(1000), { fin = false } } }, 1002)
  end)

  for _, reason in ipairs { "\255", "a\206", "\237\160\128", "\192\175", ("r"):rep(119) .. "\244\144\128\128" } do
    both(("with a reason that is not UTF-8 (%d bytes) is refused: 1007"):format(#reason), function(role)
      stream.refused(role, { close(1000, reason) }, 1007)
    end)
  end

  both("is refused at the byte that shows what is wrong, whatever may still come", function(role)
    -- A frame that announces more, of which only so much has come.
    local options = { length = 100, mask = role == "server" and "\0\0\0\0" }
    local function so_far(payload)
      return stream.feed(role, { stream.text("before"), { frames.CLOSE, payload, options } }).code
    end
    assert.is_nil(so_far("\3"))
    assert.is_nil(so_far("\3\232"))
    assert.equal(1002, so_far("\3\237"))
    assert.is_nil(so_far("\3\232good \225\189"))
    assert.equal(1007, so_far("\3\232bad \225\189\192"))
  end)

  both("with a wrong code is refused for that, whatever its reason: 1002", function(role)
    stream.refused(role, { close(1005, "\255") }, 1002)
  end)

  both("is the last thing that is heard: data, pings and further close frames are ignored", function(role)
    local seen = stream.feed(role, { close(1000), text("late"), ping("late"), close(1002), "\255\255\255\255\255" })
    assert.same({ {}, {}, 1000, 1000 }, { seen.messages, seen.pongs, seen.code, seen.closed })
    assert.equal(ENDING[role], seen.ending)
  end)

  both("comes behind what was heard before it, all of it", function(role)
    local seen = stream.feed(role, { text("one"), ping("p"), stream.binary("two"), close(1000), text("three") })
    assert.same({ { "text:one", "binary:two" }, { "p" }, 1000 }, { seen.messages, seen.pongs, seen.code })
  end)
end)

-- A session whose link has said the last word first: the node is disconnected by its application.
local function closing(role, limits)
  local w, p = stream.session(role, limits)
  local node = role == "server" and w.server:nodes()[1] or w.client.node
  assert(node:disconnect())
  w:turn()
  local token, opcode = p:take() -- the formal end
  assert.equal(frames.TEXT, opcode)
  assert.equal(32, #token)
  return w, p
end

describe("a close frame of ours", function()
  both("says 1000 for a formal end, and the socket waits for the peer's", function(role)
    local w, p = closing(role)
    local seen = stream.seen(role, w, p)
    assert.equal(1000, seen.code)
    assert.is_nil(seen.ending)
    assert.same({ "status DISCONNECTED", "disconnect local", "close 1000" },
      { seen.events[2], seen.events[3], seen.events[1] })
  end)

  for _, letter in ipairs { "r", "\195\188", "\225\189\185", "\240\159\145\139" } do
    it(("has its reason cut where a character of %d bytes ends, at 123 bytes at most"):format(#letter), function()
      local w, p = stream.session("client")
      w.client:give_up("1" .. letter:rep(123))
      assert.equal("1" .. letter:rep(math.floor(122 / #letter)), stream.seen("client", w, p).reason)
    end)
  end

  both("is answered: then the socket ends, and nothing is written any more", function(role)
    local w, p = closing(role)
    p:give(frames.u16(1000), frames.CLOSE)
    assert.equal(1000, stream.seen(role, w, p).code)
    assert.equal(ENDING[role], (p.link:ending()))
    assert.equal("", p.link:output())
  end)

  both("may cross messages of the peer, large ones too: they are not heard, the answer is awaited", function(role)
    local w, p = closing(role)
    p:give("late")
    p:give(("late"):rep(1000))
    p:give(("late"):rep(1000), frames.BINARY, { fin = false })
    p:give("late", frames.PING)
    local seen = stream.seen(role, w, p)
    assert.same({ {}, {}, 1000 }, { seen.messages, seen.pongs, seen.code })
    assert.is_nil(seen.ending)
    p:give(frames.u16(1000), frames.CLOSE)
    assert.equal(ENDING[role], (p.link:ending()))
  end)

  both("may cross a violation of the peer: there is no second close frame", function(role)
    local w, p = closing(role)
    p:give("x", 3)
    assert.equal(1000, stream.seen(role, w, p).code)
    assert.equal("fin", (p.link:ending()))
  end)

  both("may cross one of the peer: there is no second answer", function(role)
    local w, p = closing(role)
    p:give(frames.u16(4000), frames.CLOSE)
    assert.equal(1000, stream.seen(role, w, p).code)
    assert.equal(ENDING[role], (p.link:ending()))
  end)

  both("that nobody answers is given up after 5 s", function(role)
    local w, p = closing(role)
    w:wait(4.9)
    assert.is_nil((p.link:ending()))
    w:wait(0.2)
    local ending, reset = p.link:ending()
    assert.same({ "dead", false }, { ending, reset })
  end)

  both("that nobody answers is given up after the close_timeout that was set", function(role)
    local w, p = closing(role, { close_timeout = 0.5 })
    w:wait(0.4)
    assert.is_nil((p.link:ending()))
    w:wait(0.2)
    assert.equal("dead", (p.link:ending()))
  end)

  both("is not kept waiting by a peer that goes on talking", function(role)
    local w, p = closing(role)
    for _ = 1, 4 do
      p:give("still here")
      w:wait(1.2)
    end
    assert.is_nil((p.link:ending()))
    p:give("still here")
    w:wait(0.3)
    assert.equal("dead", (p.link:ending()))
  end)
end)

describe("an end of the socket", function()
  both("without a close frame loses the socket, code 1006, and keeps the session", function(role)
    local w, p = stream.session(role)
    p:lose()
    local seen = stream.seen(role, w, p)
    assert.same({ 1006, "status RECONNECTING" }, { seen.closed, seen.events[2] })
    assert.is_nil(seen.code)
    assert.equal("dead", seen.ending)
  end)

  both("inside a frame or a message is the same, and what had come of it is not heard", function(role)
    for _, list in ipairs {
      { "\129" },
      { { frames.TEXT, "Hel", { length = 5 } } },
      { stream.part(frames.TEXT, "Hello") },
      { stream.part(frames.TEXT, "Hello"), { frames.CONTINUATION, "wor", { length = 100 } } },
    } do
      local w, p = stream.session(role)
      p.link:feed((stream.bytes(role, list)))
      p:lose()
      local seen = stream.seen(role, w, p)
      assert.same({ {}, 1006 }, { seen.messages, seen.closed })
      assert.equal("dead", seen.ending)
    end
  end)

  both("behind a close frame of the peer is no further event", function(role)
    local w, p = stream.session(role)
    p:give(frames.u16(1000), frames.CLOSE)
    local before = #w.log
    p:lose()
    assert.equal(before, #w.log)
    assert.equal("dead", (p.link:ending()))
  end)

  both("behind a close frame of ours is no further event", function(role)
    local w, p = closing(role)
    local before = #w.log
    p:lose()
    assert.equal(before, #w.log)
    assert.equal("dead", (p.link:ending()))
  end)

  both("behind a violation is no further event", function(role)
    local w, p = stream.session(role)
    p:give("x", 3)
    local before = #w.log
    p:lose()
    assert.equal(before, #w.log)
    assert.equal("dead", (p.link:ending()))
  end)

  both("comes after 5 s at most when the peer has closed but does not end it", function(role)
    local w, p = stream.session(role)
    p:give(frames.u16(1000), frames.CLOSE)
    w:wait(4.9)
    assert.equal(ENDING[role], (p.link:ending()))
    w:wait(0.2)
    assert.equal("dead", (p.link:ending()))
  end)

  both("comes after 5 s at most when a violation was refused", function(role)
    local w, p = stream.session(role)
    p:give("x", 3)
    w:wait(4.9)
    assert.equal("fin", (p.link:ending()))
    w:wait(0.2)
    assert.equal("dead", (p.link:ending()))
  end)

  both("makes bytes that still come of no use, and they do no harm", function(role)
    local w, p = stream.session(role)
    p:lose()
    local before = #w.log
    p:give("Hello")
    p:lose()
    assert.equal(before, #w.log)
    assert.equal("", p.link:output())
  end)

  it("before the upgrade is none of a session on the server", function()
    for _, bytes in ipairs { "", "G", "GET /dop HTTP/1.1\r\nHost: localhost\r\n" } do
      local w = require "spec.support.wire".new()
      local p = w:to_server(true)
      p.link:feed(bytes)
      p:lose()
      assert.equal(0, #w.log)
      assert.equal("", p.link:output())
      assert.equal("dead", (p.link:ending()))
      assert.equal(0, w.server:stats().pending)
    end
  end)

  both("before CONNECTED forgets all that was said", function(role)
    local w = require "spec.support.wire".new()
    local p = role == "server" and w:to_server() or w:from_client()
    p:give(("Q"):rep(16))
    p:lose()
    assert.equal(1006, w:last(role, "close")[1])
    assert.equal(role == "server" and "DISCONNECTED" or "OPEN", w:last(role, "status")[1])
    assert.equal(role == "server" and 0 or 1, w[role]:stats().nodes)
  end)
end)
