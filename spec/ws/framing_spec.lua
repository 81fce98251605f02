--- Frames as RFC 6455 section 5.2 has them: sizes, masks, reserved bits, opcodes, lengths.

local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local both, text, binary, ping = stream.both(it), stream.text, stream.binary, stream.ping

-- Bytes of every value, so that a wrong mask or a lost byte shows.
local function sample(size)
  local all = {}
  for i = 0, 255 do all[i + 1] = string.char(i) end
  local block = table.concat(all)
  return block:rep(math.ceil(size / 256)):sub(1, size)
end

local function letters(size) return ("*abcdefghijklm"):rep(math.ceil(size / 14)):sub(1, size) end

describe("a frame", function()
  for _, size in ipairs { 0, 1, 7, 8, 9, 31, 33, 125, 126, 127, 128, 4097, 65535, 65536 } do
    both(("carries a text of %d bytes"):format(size), function(role)
      stream.hears(role, { text(letters(size)) }, { "text:" .. letters(size) })
    end)

    both(("carries %d bytes of any value"):format(size), function(role)
      stream.hears(role, { binary(sample(size)) }, { "binary:" .. sample(size) })
    end)
  end

  both("follows another without a gap, and each is a message of its own", function(role)
    local first, second = letters(126), sample(128)
    stream.hears(role, { text("one"), text(first), text(""), binary(second), text("two") },
      { "text:one", "text:" .. first, "text:", "binary:" .. second, "text:two" })
  end)

  both("of 125, 126, 127, 128, 65535 and 65536 bytes is written in the form that fits", function(role)
    for _, size in ipairs { 0, 125, 126, 127, 128, 65535, 65536 } do
      local w, p = stream.session(role)
      local node = role == "server" and w.server:nodes()[1] or w.client.node
      assert(node:send(letters(size)))
      local out = p.link:output()
      local header = size < 126 and 2 or size < 65536 and 4 or 10
      assert.equal(header + (role == "client" and 4 or 0) + size, #out)
      local frame, rest = frames.decode(out)
      assert.equal("", rest)
      assert.equal(role == "client", frame.masked)
      assert.equal(frames.TEXT, frame.opcode)
      assert.is_true(frame.fin)
      assert.equal(0, frame.rsv)
      assert.is_true(letters(size) == frame.payload)
    end
  end)

  it("of the client has a fresh mask each time", function()
    local w, p = stream.session("client")
    local keys, different = {}, 0
    for _ = 1, 50 do
      assert(w.client.node:send("Hello"))
      local key = p.link:output():sub(3, 6)
      if not keys[key] then keys[key], different = true, different + 1 end
    end
    assert.is_true(different >= 49)
  end)
end)

describe("a mask", function()
  for _, key in ipairs { "\0\0\0\0", "\255\255\255\255", "\1\0\0\0", "\0\0\0\128", "\18\52\86\120" } do
    it(("of %d %d %d %d is taken off"):format(key:byte(1, 4)), function()
      stream.hears("server", { binary(sample(300), { mask = key }), text("Hello", { mask = key }) },
        { "binary:" .. sample(300), "text:Hello" })
    end)
  end

  it("may differ in each fragment of a message", function()
    stream.hears("server", {
      { frames.BINARY, sample(21), { fin = false, mask = "\1\2\3\4" } },
      { frames.CONTINUATION, sample(6), { fin = false, mask = "\250\251\252\253" } },
      { frames.CONTINUATION, sample(43), { mask = "\9\0\99\0" } },
    }, { "binary:" .. sample(21) .. sample(6) .. sample(43) })
  end)

  for name, frame in pairs { text = text, binary = binary, ping = ping, pong = stream.pong } do
    it(("is missing on a client's %s: 1002, and it is not heard"):format(name), function()
      local seen = stream.refused("server", { text("before"), frame("Hello", { mask = false }), text("after") }, 1002)
      assert.same({ "text:before" }, seen.messages)
      assert.same({}, seen.pongs)
    end)

    it(("is there on a server's %s: 1002, and it is not heard"):format(name), function()
      local seen = stream.refused("client", { text("before"), frame("Hello", { mask = true }), text("after") }, 1002)
      assert.same({ "text:before" }, seen.messages)
      assert.same({}, seen.pongs)
    end)
  end

  it("is missing on a client's close frame: 1002", function()
    stream.refused("server", { { frames.CLOSE, frames.u16(1000), { mask = false } } }, 1002)
  end)

  it("is there on a server's close frame: 1002", function()
    stream.refused("client", { { frames.CLOSE, frames.u16(1000), { mask = true } } }, 1002)
  end)

  it("is missing on an empty frame of a client: 1002 all the same", function()
    stream.refused("server", { text("", { mask = false }) }, 1002)
  end)

  it("is missing on a continuation of a client: 1002", function()
    stream.refused("server", {
      stream.part(frames.TEXT, "a"), { frames.CONTINUATION, "b", { mask = false } },
    }, 1002)
  end)
end)

describe("a reserved bit", function()
  for rsv = 1, 7 do
    both(("set (%d) is refused on every kind of frame: 1002"):format(rsv), function(role)
      for _, opcode in ipairs { frames.TEXT, frames.BINARY, frames.CLOSE, frames.PING, frames.PONG } do
        local payload = opcode == frames.CLOSE and frames.u16(1000) or "Hello"
        local seen = stream.refused(role, { text("before"), { opcode, payload, { rsv = rsv } }, ping("after") }, 1002)
        assert.same({ "text:before" }, seen.messages)
        assert.same({}, seen.pongs)
      end
    end)
  end

  both("is refused on a continuation and on an empty frame as well", function(role)
    stream.refused(role, { stream.part(frames.TEXT, "a"), { frames.CONTINUATION, "b", { rsv = 4 } } }, 1002)
    stream.refused(role, { { frames.TEXT, "", { rsv = 2 } } }, 1002)
  end)

  both("is refused between the fragments of a message", function(role)
    stream.refused(role, { stream.part(frames.TEXT, "a"), ping("x", { rsv = 1 }), stream.last("b") }, 1002)
  end)
end)

describe("an opcode", function()
  for _, opcode in ipairs { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 } do
    both(("that is reserved (%d) is refused: 1002"):format(opcode), function(role)
      local seen = stream.refused(role, { text("before"), { opcode, "Hello" }, ping("after") }, 1002)
      assert.same({ "text:before" }, seen.messages)
      assert.same({}, seen.pongs)
      stream.refused(role, { { opcode, "" } }, 1002)
      stream.refused(role, { stream.part(frames.TEXT, "a"), { opcode, "" }, stream.last("b") }, 1002)
    end)
  end
end)

describe("a length", function()
  for _, size in ipairs { 0, 1, 125 } do
    both(("of %d in two bytes is refused: 1002"):format(size), function(role)
      stream.refused(role, { binary(sample(size), { length_bytes = 2 }) }, 1002)
    end)
  end

  for _, size in ipairs { 0, 1, 125, 126, 65535 } do
    both(("of %d in eight bytes is refused: 1002"):format(size), function(role)
      stream.refused(role, { binary(sample(size), { length_bytes = 8 }) }, 1002)
    end)
  end

  both("that is not in its shortest form is refused on a continuation: 1002", function(role)
    stream.refused(role, {
      stream.part(frames.TEXT, "a"), { frames.CONTINUATION, "b", { length_bytes = 2 } },
    }, 1002)
  end)

  both("with its top bit set is refused: 1002", function(role)
    local bit = role == "server" and 255 or 127
    for _, rest in ipairs { ("\255"):rep(7), ("\0"):rep(7), ("\0"):rep(6) .. "\5" } do
      stream.refused(role, { "\130" .. string.char(bit) .. "\128" .. rest .. "\0\0\0\0Hello" }, 1002)
    end
  end)

  both("that is refused needs no byte of the mask or the payload", function(role)
    local bit = role == "server" and 128 or 0
    assert.equal(1002, stream.feed(role, { "\130" .. string.char(bit + 126) .. "\0\125" }).code)
    assert.equal(1002, stream.feed(role, { "\130" .. string.char(bit + 127) .. ("\0"):rep(6) .. "\255\255" }).code)
  end)
end)
