--- Compressed messages that come (RFC 7692 section 7.2.2): what they mean, what is wrong with them, and
-- that a bomb stops at the limit. What is sent here was made by a compressor in Lua.

local core = require "dop.core"
local deflate = require "spec.support.deflate"
local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"
local both, text, binary, ping, last = stream.both(it), stream.text, stream.binary, stream.ping, stream.last
local TEXT, BINARY, MORE = frames.TEXT, frames.BINARY, frames.CONTINUATION
local MEBI = 1048576

local RSV1 = { rsv = 4 }
local NONE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

local function with(options)
  local limits = { compression = true, deflate = NONE }
  for k, v in pairs(options or {}) do limits[k] = v end
  return limits
end

local FRESH = with() -- each message for itself
local KEPT = { compression = { takeover = true, peer_takeover = true }, deflate = "permessage-deflate" }

local function packed(payload) return text(payload, RSV1) end

local function packed_binary(payload) return binary(payload, RSV1) end

-- The first fragment of a compressed message.
local function first(opcode, payload) return { opcode, payload, { rsv = 4, fin = false } } end

local function part(payload) return { MORE, payload, { fin = false } } end

-- What comes of a stream that is fed once as a whole, and of one by the byte: for what is large.
local function each(role, list, limits)
  local bytes, step = stream.bytes(role, list), nil
  return function()
    if step == 1 then return nil end
    step = step and 1 or #bytes
    local w, p = stream.session(role, limits, true)
    for at = 1, #bytes, step do p.link:feed(bytes:sub(at, at + step - 1)) end
    w:turn()
    local seen = stream.seen(role, w, p)
    stream.over(w, p)
    return seen
  end
end

-- A message of many bytes that no compressor makes much smaller.
local function noise(size)
  local out, x = {}, 12345
  for i = 1, size do
    x = (x * 1103515245 + 12345) % 2147483648
    out[i] = string.char(math.floor(x / 65536) % 256)
  end
  return table.concat(out)
end

describe("a compressed message", function()
  both("arrives as it was: the examples of RFC 7692 7.2.3", function(role)
    stream.hears(role, { packed "\242\72\205\201\201\7\0" }, { "text:Hello" }, FRESH)
    -- A stored block; a final block, and the byte behind it; two blocks.
    stream.hears(role, { packed "\0\5\0\250\255Hello\0" }, { "text:Hello" }, FRESH)
    stream.hears(role, { packed "\243\72\205\201\201\7\0\0" }, { "text:Hello" }, FRESH)
    stream.hears(role, { packed "\242\72\5\0\0\0\255\255\202\201\201\7\0" }, { "text:Hello" }, FRESH)
  end)

  both("may look back at the one before it when that was agreed on: 7.2.3.2", function(role)
    local list = { packed "\242\72\205\201\201\7\0", packed "\242\0\17\0\0" }
    stream.hears(role, list, { "text:Hello", "text:Hello" }, KEPT)
    local seen = stream.refused(role, list, 1007, FRESH)
    assert.same({ "text:Hello" }, seen.messages)
  end)

  both("may stand among others that are not compressed", function(role)
    stream.hears(role, { text "a", packed(deflate.fixed "b"), binary "c", packed_binary(deflate.stored "d"), text "e" },
      { "text:a", "text:b", "binary:c", "binary:d", "text:e" }, KEPT)
  end)

  both("may be empty: one byte, or by the letter of old senders none", function(role)
    stream.hears(role, { packed "\0", packed(deflate.stored ""), packed(deflate.fixed ""), packed "", text "x" },
      { "text:", "text:", "text:", "text:", "text:x" }, FRESH)
    stream.hears(role, { packed "\0", packed "", packed(deflate.fixed "y"), text "x" },
      { "text:", "text:", "text:y", "text:x" }, KEPT)
  end)

  both("may end with the four bytes that are to be left out", function(role)
    stream.hears(role, { packed(deflate.fixed "a" .. deflate.TAIL), packed(deflate.fixed "b") },
      { "text:a", "text:b" }, KEPT)
  end)

  both("may be several blocks of every kind, the final ones among them", function(role)
    local w = deflate.writer():fixed({ "one " }):stored "two ":fixed({ "three " }, true):align()
      :stored("four ", true):fixed({ "five" }):payload()
    stream.hears(role, { packed(w) }, { "text:one two three four five" }, FRESH)
    stream.hears(role, { packed(w), packed(deflate.fixed({ 4, 4 })) },
      { "text:one two three four five", "text:five" }, KEPT)
  end)

  both("may end in a final block, with nothing behind it", function(role)
    local final = deflate.writer():fixed({ "Hello" }, true):raw()
    stream.hears(role, { packed(final), packed(final) }, { "text:Hello", "text:Hello" }, FRESH)
    -- What follows may still look back over it.
    stream.hears(role, { packed(final), packed(deflate.fixed({ 5, 5 })) }, { "text:Hello", "text:Hello" }, KEPT)
  end)

  both("may look back 32,768 bytes, over other messages", function(role)
    local far = noise(32768 - 8)
    stream.hears(role, { packed_binary(deflate.stored("landmark" .. far)), packed(deflate.fixed({ 8, 32768 })) },
      { "binary:landmark" .. far, "text:landmark" }, KEPT)
  end)

  -- An older zlib that is asked to keep within 8 bits keeps within 9, and says nothing.
  both("of a peer that is bound to a window of 8 bits may look back 512 bytes", function(role)
    local bound = role == "server" and "client_max_window_bits=8" or "server_max_window_bits=8"
    local limits = with { deflate = NONE .. "; " .. bound }
    local far = noise(500)
    local message = deflate.writer():stored("landmark" .. far):fixed({ { 8, 508 } }):payload()
    stream.hears(role, { packed_binary(message) }, { "binary:landmark" .. far .. "landmark" }, limits)
  end)

  both("may come in fragments, also empty ones, with control frames between them", function(role)
    local payload = deflate.fixed("Hello ", { 258, 6 }, "!")
    local whole = ("Hello "):rep(44) .. "!"
    local list = { first(TEXT, "") }
    for i = 1, #payload do
      list[#list + 1] = part(payload:sub(i, i))
      if i % 3 == 0 then list[#list + 1] = ping(tostring(i)) end
    end
    list[#list + 1] = last ""
    local seen = stream.hears(role, list, { "text:" .. whole }, FRESH)
    assert.is_true(#seen.pongs > 2)
    stream.hears(role, { first(BINARY, payload), last "" }, { "binary:" .. whole }, KEPT)
    stream.hears(role, { first(BINARY, ""), part "", last(payload) }, { "binary:" .. whole }, KEPT)
    stream.hears(role, { first(BINARY, ""), last "" }, { "binary:" }, FRESH)
  end)

  both("of 1 MiB arrives", function(role)
    local whole = ("x"):rep(258 * 4063 + 1)
    for seen in each(role, { packed(deflate.bomb(4063)) }, FRESH) do
      assert.is_true(seen.messages[1] == "text:" .. whole)
    end
    local bytes = noise(60000)
    for seen in each(role, { packed_binary(deflate.stored(bytes)) }, FRESH) do
      assert.is_true(seen.messages[1] == "binary:" .. bytes)
    end
  end)

  both("is heard also when it is an instruction: browsers compress whatever they say", function(role)
    local w, p, token = stream.session(role, FRESH)
    p:give(deflate.fixed(token), TEXT, { rsv = 4, mask = p.mask })
    assert.equal("peer", w:last(role, "disconnect")[1])
  end)
end)

describe("RSV1", function()
  both("is refused when nothing was agreed on: 1002", function(role)
    stream.refused(role, { packed(deflate.fixed "a") }, 1002)
    stream.refused(role, { packed(deflate.fixed "a") }, 1002, { compression = true })
  end)

  both("is refused on a continuation: 1002", function(role)
    stream.refused(role, { first(TEXT, ""), { MORE, deflate.fixed "a", RSV1 } }, 1002, FRESH)
    stream.refused(role, { stream.part(TEXT, "a"), { MORE, "b", RSV1 } }, 1002, FRESH)
    stream.refused(role, { { MORE, "b", RSV1 } }, 1002, FRESH)
  end)

  both("is refused on a control frame: 1002", function(role)
    for _, opcode in ipairs { frames.PING, frames.PONG, frames.CLOSE } do
      stream.refused(role, { { opcode, "", RSV1 } }, 1002, FRESH)
      stream.refused(role, { first(TEXT, ""), { opcode, "", RSV1 } }, 1002, FRESH)
    end
  end)

  both("with another reserved bit, and each of those alone, is refused: 1002", function(role)
    for _, rsv in ipairs { 1, 2, 3, 5, 6, 7 } do
      stream.refused(role, { text(deflate.fixed "a", { rsv = rsv }) }, 1002, FRESH)
    end
  end)

  both("on an unknown opcode is refused: 1002", function(role)
    for _, opcode in ipairs { 3, 7, 11, 15 } do stream.refused(role, { { opcode, "", RSV1 } }, 1002, FRESH) end
  end)
end)

describe("a compressed message is refused with 1007", function()
  for what, payload in pairs {
    ["a block of the reserved type"] = "\6\0", ["a stored block whose lengths differ"] = "\0\5\0\0\0Hello\0",
    ["a stored block that does not end"] = "\0\5\0\250\255Hel", ["a block that does not end"] = "\242\72\205\201",
    ["a distance before the beginning"] = deflate.fixed({ 4, 1 }),
    ["a distance beyond what was"] = deflate.fixed("abc", { 4, 4 }),
    ["too many codes"] = deflate.writer():bits(0, 1):bits(2, 2):bits(30, 5):bits(0, 5):bits(0, 4):bits(0, 12):raw(),
    ["codes that are none"] = "\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ["nothing but ones"] = ("\255"):rep(20), ["text that is not compressed"] = "Hello, world! Hello, world!",
    ["a right beginning, then rubbish"] = deflate.writer():fixed { "right" }:raw() .. "\255\255\255\255",
  } do
    both("for " .. what, function(role)
      local seen = stream.refused(role, { text "before", packed(payload), text "after" }, 1007, FRESH)
      assert.same({ "text:before" }, seen.messages)
      stream.refused(role, { packed_binary(payload) }, 1007, KEPT)
      stream.refused(role, { first(BINARY, payload:sub(1, 2)), ping "", last(payload:sub(3)) }, 1007, KEPT)
    end)
  end

  both("for a distance beyond the window that was agreed on", function(role)
    local side = role == "server" and "client" or "server"
    local far = { packed_binary(deflate.stored(("a"):rep(600))), packed_binary(deflate.fixed({ 4, 513 })) }
    local seen = stream.refused(role, far, 1007, {
      compression = { takeover = true, peer_takeover = true, peer_window = 9 },
      deflate = ("permessage-deflate; %s_max_window_bits=9"):format(side),
    })
    assert.equal(1, #seen.messages)
    far[2] = packed_binary(deflate.fixed({ 4, 512 }))
    assert.equal(2, #stream.feed(role, far, {
      compression = { takeover = true, peer_takeover = true, peer_window = 9 },
      deflate = ("permessage-deflate; %s_max_window_bits=9"):format(side),
    }).messages)
  end)

  both("for text that is not UTF-8, as soon as that comes out", function(role)
    local bad = deflate.writer():fixed { "caf\233!" }
    stream.refused(role, { packed(bad:payload()) }, 1007, FRESH)
    -- Neither the rest of the block nor the end of the message is waited for.
    stream.refused(role, { first(TEXT, deflate.fixed "caf\233!") }, 1007, FRESH)
    stream.refused(role, { packed(deflate.fixed "\226\130") }, 1007, FRESH)
    stream.hears(role, { packed_binary(deflate.fixed "caf\233!") }, { "binary:caf\233!" }, FRESH)
    stream.hears(role, { first(TEXT, deflate.fixed "\226\130" .. deflate.TAIL), last(deflate.fixed "\172") },
      { "text:\226\130\172" }, FRESH)
  end)
end)

describe("a bomb", function()
  local bomb = deflate.bomb(4070) -- a KiB that means 1 MiB and more

  both("is refused at the limit, 1 MiB by default: 1009", function(role)
    assert.is_true(#bomb < 1050)
    for seen in each(role, { text "before", packed(bomb), text "after" }, FRESH) do
      assert.same({ 1009, "text:before" }, { seen.code, seen.messages[1] })
      assert.equal(1, #seen.messages)
    end
  end)

  both("of a byte more than the limit is refused, of the limit it arrives", function(role)
    for _, limit in ipairs { 1, 259, 1000, 1033, 16384, 16385, 65536 } do
      local whole, limits = noise(limit), with { max_message = limit }
      local function of(bytes)
        return { packed_binary(deflate.writer():stored(bytes:sub(1, 60000)):stored(bytes:sub(60001)):payload()) }
      end
      for seen in each(role, of(whole), limits) do assert.is_true(seen.messages[1] == "binary:" .. whole) end
      for seen in each(role, of(whole .. "!"), limits) do assert.equal(1009, seen.code) end
    end
    stream.hears(role, { packed(deflate.bomb(10)) }, { "text:" .. ("x"):rep(2581) }, with { max_message = 2581 })
    stream.refused(role, { packed(deflate.bomb(10)) }, 1009, with { max_message = 2580 })
  end)

  both("in fragments is refused at the byte that goes beyond, not at the end", function(role)
    local payload = deflate.bomb(100)
    local list = { first(BINARY, payload:sub(1, -2)) }
    stream.refused(role, list, 1009, with { max_message = 20000 })
  end)

  both("never has more memory than the limit and the decompressor's own", function(role)
    local w, p = stream.session(role, with { max_message = 100000 }, true)
    local bytes = stream.bytes(role, { packed(bomb) })
    local _, most = core.allocations(function() p.link:feed(bytes) end)
    assert.is_true(most < 100000 * 1.5 + 50000 + #bytes, most .. " bytes")
    assert.equal(1009, stream.seen(role, w, p).code)
    stream.over(w, p)
  end)

  both("of messages that fit, one behind the other, is what the application asked for", function(role)
    local w, p = stream.session(role, FRESH, true)
    local bytes = stream.bytes(role, { packed(deflate.bomb(4000)) }):rep(20)
    local _, most = core.allocations(function() p.link:feed(bytes) end)
    assert.equal(20, #stream.seen(role, w, p).messages)
    assert.is_true(most < MEBI * 1.6 + 50000 + #bytes, most .. " bytes")
    stream.over(w, p)
  end)

  both("of blocks that mean nothing takes no memory, and the message still arrives", function(role)
    local w, p = stream.session(role, FRESH, true)
    local nothing = ("\0\0\0\255\255"):rep(2000) .. ("\3\0"):rep(2000)
    local list = { first(TEXT, nothing) }
    for _ = 1, 50 do list[#list + 1] = part(nothing) end
    list[#list + 1] = last(deflate.fixed "Hello")
    for i = 1, #list do list[i][3] = { rsv = i == 1 and 4 or 0, fin = i == #list, mask = p.mask and "\0\0\0\0" } end
    local bytes = stream.bytes(role, list)
    local before = os.clock()
    local _, most = core.allocations(function() p.link:feed(bytes) end)
    assert.same({ "text:Hello" }, stream.seen(role, w, p).messages)
    assert.is_true(most < 60000 + #bytes, most .. " bytes")
    assert.is_true(os.clock() - before < 2)
    stream.over(w, p)
  end)

  both("before the session is CONNECTED is refused at 1,024 bytes: 1008", function(role)
    local wire = require "spec.support.wire"
    local w = wire.new { server = FRESH, client = FRESH, deflate = NONE }
    local p = role == "server" and w:to_server() or w:from_client()
    p:take()
    p:give(deflate.bomb(4), TEXT, { rsv = 4 })
    assert.equal(1008, p:closed_with())
  end)
end)

describe("without memory", function()
  both("a compressed message costs its own socket: 1011, and no other", function(role)
    local payload = deflate.fixed("Hello ", { 258, 6 })
    for _, limits in ipairs { FRESH, KEPT } do
      local count
      local n = 0
      repeat
        local w, p = stream.session(role, limits, true)
        local bytes = stream.bytes(role, { packed(payload), packed(payload) })
        -- The first request is that of `feed` itself, which raises.
        count = core.allocations(function() p.link:feed(bytes) end, n)
        local seen = stream.seen(role, w, p)
        for _, message in ipairs(seen.messages) do assert.equal("text:" .. ("Hello "):rep(44), message) end
        assert.is_true(seen.code == 1011 or seen.ending == "dead" or #seen.messages == 2,
          ("request %d: %s, %s"):format(n, tostring(seen.code), tostring(seen.ending)))
        stream.over(w, p)
        n = n == 0 and 2 or n + 1
      until n > count
      assert.is_true(n > 3)
    end
  end)
end)
