--- How large a message may be, and that nothing is believed before it is there.

local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local both, text, binary, ping, part, last =
  stream.both(it), stream.text, stream.binary, stream.ping, stream.part, stream.last
local TEXT, BINARY, MORE = frames.TEXT, frames.BINARY, frames.CONTINUATION
local MEBI = 1048576

describe("a message", function()
  for _, size in ipairs { 65537, 131072, 262144 } do
    both(("of %d bytes arrives"):format(size), function(role)
      local s = ("0123456789abcdef"):rep(math.ceil(size / 16)):sub(1, size)
      stream.hears(role, { binary(s) }, { "binary:" .. s })
    end)

    both(("of %d bytes arrives in fragments of 4096"):format(size), function(role)
      local list, chunk = { part(TEXT, "") }, ("x"):rep(4096)
      for _ = 1, math.floor(size / 4096) do list[#list + 1] = part(MORE, chunk) end
      list[#list + 1] = last("end")
      stream.hears(role, list, { "text:" .. chunk:rep(math.floor(size / 4096)) .. "end" })
    end)
  end

  both("of 1 MiB arrives, of one byte more is refused: 1009", function(role)
    local s = ("m"):rep(MEBI)
    stream.hears(role, { text(s) }, { "text:" .. s })
    local seen = stream.refused(role, { text("before"), text(s .. "!"), text("after") }, 1009)
    assert.same({ "text:before" }, seen.messages)
  end)

  both("of the size that was allowed arrives, of one byte more is refused: 1009", function(role)
    for _, limit in ipairs { 1, 125, 126, 1000, 65535, 65536 } do
      local s = ("m"):rep(limit)
      stream.hears(role, { binary(s) }, { "binary:" .. s }, { max_message = limit })
      stream.refused(role, { binary(s .. "!") }, 1009, { max_message = limit })
    end
  end)

  both("that is too large is refused at its header, before a byte of it", function(role)
    for _, size in ipairs { 1001, 65536, MEBI, 2 ^ 31, 2 ^ 32 - 1 } do
      local header = { BINARY, "", { length = size, mask = false } }
      local bytes = stream.bytes(role, { header })
      if role == "server" then bytes = bytes:sub(1, 1) .. string.char(bytes:byte(2) + 128) .. bytes:sub(3) end
      assert.equal(1009, stream.feed(role, { bytes }, { max_message = 1000 }).code)
    end
  end)

  both("is measured over all its fragments: 1009 at the header that goes beyond", function(role)
    local limits = { max_message = 1000 }
    local kb = { part(BINARY, ("a"):rep(600)), ping("between"), last(("b"):rep(400)) }
    local seen = stream.hears(role, kb, { "binary:" .. ("a"):rep(600) .. ("b"):rep(400) }, limits)
    assert.same({ "between" }, seen.pongs)
    local header = stream.bytes(role, { { MORE, ("b"):rep(401) } }):sub(1, 4)
    seen = stream.refused(role, { part(BINARY, ("a"):rep(600)), header }, 1009, limits)
    assert.same({}, seen.messages)
  end)

  both("may be followed by empty fragments when it is at its limit, not by a byte more", function(role)
    local limits, full = { max_message = 100 }, ("a"):rep(100)
    stream.hears(role, { part(TEXT, full), part(MORE, ""), last("") }, { "text:" .. full }, limits)
    stream.refused(role, { part(TEXT, full), part(MORE, ""), last("b") }, 1009, limits)
  end)

  both("has the limit for itself: many of them may come", function(role)
    local list, messages, s = {}, {}, ("m"):rep(100)
    for i = 1, 20 do list[i], messages[i] = text(s), "text:" .. s end
    stream.hears(role, list, messages, { max_message = 100 })
    list, messages = {}, {}
    for i = 1, 20 do
      list[2 * i - 1], list[2 * i], messages[i] = part(TEXT, s:sub(1, 60)), last(s:sub(61)), "text:" .. s
    end
    stream.hears(role, list, messages, { max_message = 100 })
  end)

  both("that is too large is refused although its text is wrong as well, for what shows first", function(role)
    stream.refused(role, { text(("\255"):rep(101)) }, 1009, { max_message = 100 })
    stream.refused(role, { part(TEXT, "\255"), last(("x"):rep(101)) }, 1007, { max_message = 100 })
  end)

  both("of a control frame is no message: a small limit does not touch pings", function(role)
    local seen = stream.hears(role, { ping(("p"):rep(125)), text("x") }, { "text:x" }, { max_message = 1 })
    assert.same({ ("p"):rep(125) }, seen.pongs)
  end)
end)

describe("tiny fragments", function()
  local function zero(role, opcode, payload, fin)
    return stream.bytes(role, { { opcode, payload, { fin = fin, mask = role == "server" and "\0\0\0\0" } } })
  end

  both("of nothing may be 100,000 where that is allowed: they take no memory, the message still arrives", function(role)
    local w, p = stream.session(role, { max_idle_frames = 0 })
    p.link:feed(zero(role, TEXT, "", false) .. zero(role, MORE, "", false):rep(100000))
    p.link:feed(zero(role, MORE, "Hello", true))
    assert.same({ "text:Hello" }, stream.seen(role, w, p).messages)
    assert.is_nil((p.link:ending()))
    stream.over(w, p)
  end)

  both("of one byte may be 100,000: they are the message", function(role)
    local w, p = stream.session(role)
    p.link:feed(zero(role, TEXT, "", false) .. zero(role, MORE, "x", false):rep(100000) .. zero(role, MORE, "", true))
    assert.is_true(stream.seen(role, w, p).messages[1] == "text:" .. ("x"):rep(100000))
    stream.over(w, p)
  end)

  both("of one byte are refused by the limit: 1009 at the first that goes beyond", function(role)
    local w, p = stream.session(role, { max_message = 5000 })
    p.link:feed(zero(role, TEXT, "", false) .. zero(role, MORE, "x", false):rep(5000))
    assert.is_nil((p.link:ending()))
    p.link:feed(zero(role, MORE, "x", false):rep(95000))
    assert.equal(1009, stream.seen(role, w, p).code)
    stream.over(w, p)
  end)
end)
