--- Compressed messages that leave: which ones do, that an inflater written in Lua reads them, and what
-- they cost in memory. The peer is the spec.

local core = require "dop.core"
local deflate = require "spec.support.deflate"
local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"
local wire = require "spec.support.wire"
local both = stream.both(it)

local NONE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
local TEXT = ("The quick brown fox jumps over the lazy dog. "):rep(60)

local function with(compression, agreed)
  return { compression = compression, deflate = agreed or NONE }
end

local EAGER = with { min_size = 0 }
local KEPT = with({ min_size = 0, takeover = true, peer_takeover = true }, "permessage-deflate")

local function noise(size)
  local out, x = {}, 4711
  for i = 1, size do
    x = x * 16807 % 2147483647 -- no more than a double can tell
    out[i] = string.char(math.floor(x / 65536) % 256)
  end
  return table.concat(out)
end

-- Nothing in it comes twice but its digits.
local DIGITS = noise(1500):gsub(".", function(c) return ("%02x"):format(c:byte()) end)

-- A session whose application sends: returns a function that sends and returns the frame that left.
local function sender(role, limits)
  local w, p = stream.session(role, limits, true)
  p:pull()
  p.sent = {}
  local node = w[role]:nodes()[1]
  return function(...)
    assert.is_true(node:send(...))
    local sent = p:pull().sent
    assert.equal(1, #sent)
    return table.remove(sent)
  end, w, p, node
end

after_each(wire.close)

describe("a message", function()
  both("leaves compressed from 1,024 bytes on, and is what it was", function(role)
    local send = sender(role, with(true))
    for _, size in ipairs { 0, 1, 1023 } do
      local frame = send(TEXT:sub(1, size))
      assert.same({ 0, TEXT:sub(1, size) }, { frame.rsv, frame.payload })
    end
    for _, size in ipairs { 1024, 2000, #TEXT } do
      local frame = send(TEXT:sub(1, size))
      assert.same({ 4, true, frames.TEXT }, { frame.rsv, frame.fin, frame.opcode })
      assert.is_true(#frame.payload < 100)
      assert.is_true(deflate.inflate(frame.payload) == TEXT:sub(1, size))
    end
    local frame = send(TEXT, "binary")
    assert.same({ 4, frames.BINARY }, { frame.rsv, frame.opcode })
    assert.is_true(deflate.inflate(frame.payload) == TEXT)
  end)

  both("does so from the size that was asked for", function(role)
    local send = sender(role, with { min_size = 100 })
    assert.equal(0, send(("x"):rep(99)).rsv)
    assert.equal(4, send(("x"):rep(100)).rsv)
    send = sender(role, EAGER)
    assert.equal(0, send("").rsv)
    assert.equal(4, send(("x"):rep(20)).rsv)
  end)

  both("leaves as it is where nothing was agreed on", function(role)
    for _, limits in ipairs { {}, { compression = true }, { compression = false } } do
      local send, _, _, node = sender(role, limits)
      local frame = send(TEXT, "text", { compress = true })
      assert.same({ 0, TEXT, false }, { frame.rsv, frame.payload, node.compression })
    end
    assert.is_true(select(4, sender(role, EAGER)).compression)
  end)

  both("is compressed or not by its own choice", function(role)
    local send = sender(role, with(true))
    local small = ("x"):rep(50)
    assert.equal(4, send(small, nil, { compress = true }).rsv)
    assert.equal(0, send(small, nil, {}).rsv)
    assert.equal(0, send(small, nil, nil).rsv)
    assert.equal(0, send(TEXT, "binary", { compress = false }).rsv)
    assert.equal(4, send(TEXT, "binary", {}).rsv)
    assert.equal(0, send("", nil, { compress = true }).rsv)
  end)

  both("that does not become smaller leaves as it is", function(role)
    local send, w = sender(role, EAGER)
    local bytes = noise(5000)
    local frame = send(bytes, "binary")
    assert.is_true(frame.rsv == 0 and frame.payload == bytes)
    assert.equal(0, send("x").rsv)
    assert.equal(0, w[role]:stats().deflated_from)
    -- What the next one says does not refer to it.
    frame = send(TEXT)
    assert.is_true(frame.rsv == 4 and deflate.inflate(frame.payload) == TEXT)
  end)

  both("that is large leaves whole", function(role)
    local send = sender(role, EAGER)
    local long = TEXT:rep(300)
    local frame = send(long)
    assert.is_true(frame.rsv == 4 and deflate.inflate(frame.payload) == long)
  end)

  it("takes no choice but that one", function()
    local send, _, _, node = sender("server", EAGER)
    assert.equal(4, send(TEXT).rsv)
    for _, wrong in ipairs { true, "compress", { true }, { compress = 1 }, { compress = "yes" }, { other = true } } do
      assert.has_error(function() node:send("x", "text", wrong) end)
    end
  end)
end)

describe("what carries a secret", function()
  local function dialogue(role, lossless)
    local options = { compression = { min_size = 0 }, lossless = lossless }
    local w = wire.new { server = options, client = options, deflate = NONE }
    return w, role == "server" and w:to_server() or w:from_client()
  end

  both("is never compressed: halves, tokens and their end", function(role)
    local w, p = dialogue(role)
    local half = ("Z"):rep(16)
    p:pull()
    local theirs = p.sent[1].payload
    p:give(half):give(half)
    assert.equal("CONNECTED", w[role]:nodes()[1].status)
    assert.is_true(w[role]:nodes()[1].compression)
    w[role]:nodes()[1]:disconnect()
    p:pull()
    assert.equal(core.merge(half, theirs), p.sent[3].payload)
    for _, frame in ipairs(p.sent) do assert.equal(0, frame.rsv) end
  end)

  it("is never compressed: the token that comes back", function()
    local w, p, token = stream.session("client", EAGER)
    p:lose()
    p = w:from_client()
    assert.same({ token, 0 }, { p.sent[1].payload, p.sent[1].rsv })
  end)
end)

describe("context takeover", function()
  both("lets a message look back at the ones before it", function(role)
    local send = sender(role, KEPT)
    local reader = deflate.reader()
    local one, two, three = send(DIGITS), send(DIGITS), send(TEXT)
    assert.is_true(#two.payload < #one.payload / 10)
    assert.is_true(reader:message(one.payload) == DIGITS)
    assert.is_true(reader:message(two.payload) == DIGITS)
    assert.is_true(reader:message(three.payload) == TEXT)
    -- Without the first the second means nothing.
    assert.has_error(function() deflate.inflate(two.payload) end)
  end)

  both("when it is off makes each message stand alone", function(role)
    local send = sender(role, EAGER)
    assert.is_true(send(TEXT).payload == send(TEXT).payload)
  end)

  both("keeps its thread over what does not become smaller, and over what leaves as it is", function(role)
    local send = sender(role, KEPT)
    local reader, bytes = deflate.reader(), noise(3000)
    assert.is_true(reader:message(send(TEXT).payload) == TEXT)
    local frame = send(bytes, "binary")
    assert.is_true(frame.rsv == 4 and #frame.payload < #bytes + 20)
    assert.is_true(reader:message(frame.payload) == bytes)
    assert.equal(0, send(TEXT:lower(), nil, { compress = false }).rsv)
    assert.equal(0, send("").rsv)
    assert.is_true(reader:message(send(TEXT:lower()).payload) == TEXT:lower())
    frame = send(bytes, "binary")
    assert.is_true(#frame.payload < 200, #frame.payload) -- it was seen
    assert.is_true(reader:message(frame.payload) == bytes)
  end)

  both("begins again after an idle time in which nothing was sent, and the peer need not know", function(role)
    local send, w, p = sender(role, KEPT)
    local reader = deflate.reader()
    local function passes(sends)
      w:wait(20)
      p:give("", frames.PONG)
      p:pull()
      p.sent = {}
      if not sends then return end
      local frame = send(DIGITS)
      assert.is_true(reader:message(frame.payload) == DIGITS)
      return #frame.payload
    end
    local first = passes(true)
    assert.is_true(passes(true) < first / 10)
    passes(false)
    assert.equal(first, passes(true))
    assert.is_true(passes(true) < first / 10)
  end)
end)

describe("a window", function()
  for bits = 9, 15 do
    both(("of %d bits is kept within"):format(bits), function(role)
      local bytes = noise(2 ^ bits - 300)
      local name = role == "server" and "server_max_window_bits=" or "client_max_window_bits="
      local keep = { min_size = 0, takeover = true, peer_takeover = true }
      local own = { min_size = 0, takeover = true, peer_takeover = true, window = bits }
      for _, limits in ipairs { with(keep, "permessage-deflate; " .. name .. bits), with(own, "permessage-deflate") } do
        local send = sender(role, limits)
        local reader = deflate.reader(2 ^ bits)
        for _ = 1, 3 do
          for _, message in ipairs { bytes, TEXT } do
            assert.is_true(reader:message(send(message, "binary").payload) == message)
          end
        end
      end
    end)
  end

  it("is each connection's own, though what compresses is lent from one to the next", function()
    local w = wire.new { server = EAGER }
    for _, bits in ipairs { 15, 9, 12, 15 } do
      w.deflate = NONE .. "; server_max_window_bits=" .. bits
      local p = w:connected_server():pull()
      assert.is_true(w:last("server", "connect").node:send(DIGITS .. DIGITS))
      local frame = p:pull().sent[#p.sent]
      assert.equal(4, frame.rsv)
      assert.is_true(deflate.inflate(frame.payload, 2 ^ bits) == DIGITS .. DIGITS)
    end
  end)

  it("of 8 bits a client cannot keep within, and compresses nothing; what comes it reads", function()
    local send, w, p = sender("client", with({ min_size = 0, takeover = true, peer_takeover = true },
      "permessage-deflate; client_max_window_bits=8; server_max_window_bits=8"))
    assert.equal(0, send(TEXT, nil, { compress = true }).rsv)
    p:give(deflate.fixed "read all the same", frames.TEXT, { rsv = 4 })
    assert.equal("read all the same", w:last("client", "message")[1])
  end)
end)

describe("every level", function()
  for level = 1, 9 do
    it(("%d and as much memory makes what it was"):format(level), function()
      local send = sender("server", with { level = level, mem_level = level })
      local frame = send(TEXT)
      assert.is_true(frame.rsv == 4 and deflate.inflate(frame.payload) == TEXT)
    end)
  end
end)

describe("without memory", function()
  -- Whichever request finds none: what leaves is read rightly, message by message, and nothing is lost.
  both("a message leaves as it is, and the next ones refer to nothing that the peer has not seen", function(role)
    for _, limits in ipairs { KEPT, EAGER } do
      local count
      local n = 0
      repeat
        local _, _, p, node = sender(role, limits)
        local reader, want = limits == KEPT and deflate.reader(), {}
        local function send(message)
          if node:send(message, "binary") then want[#want + 1] = message end
        end
        count = core.allocations(function()
          send(DIGITS)
          send(DIGITS)
        end, n)
        send(DIGITS)
        assert.is_true(#want >= 2)
        for i, frame in ipairs(p:pull().sent) do
          local message = frame.rsv == 0 and frame.payload or (reader or deflate.reader()):message(frame.payload)
          assert.is_true(message == want[i], ("request %d, message %d"):format(n, i))
        end
        assert.equal(#want, #p.sent)
        n = n + 1
      until n > count
      assert.is_true(n > 5)
    end
  end)
end)

describe("memory", function()
  -- What a connection holds after it has sent and heard something, beyond one that does not compress.
  local function held(role, limits, before)
    local kept = {}
    local function run(limits_of)
      local send, _, p = sender(role, limits_of)
      kept[#kept + 1] = p
      send(TEXT)
      if limits_of.deflate then
        p:give(deflate.fixed(("y"):rep(2000)), frames.TEXT, { rsv = 4 })
      else
        p:give(("y"):rep(2000))
      end
      p:pull()
    end
    run(limits) -- what the engine lends is there
    local _, _, plain = core.allocations(function() run(before or {}) end)
    local _, _, bytes = core.allocations(function() run(limits) end)
    return bytes - plain
  end

  it("without takeover is that of the engine: a connection holds less than 100 bytes more", function()
    local w = wire.new { server = EAGER, client = EAGER, deflate = NONE }
    local function run()
      local p = w:connected_server()
      local node = w:last("server", "connect").node
      node:send(TEXT)
      p:give(deflate.fixed(("y"):rep(2000)), frames.TEXT, { rsv = 4 })
      p:pull()
      return p
    end
    local one, two, three = run(), nil, nil -- what the engine lends is there now
    w.deflate = nil
    local _, _, plain = core.allocations(function() two = run() end)
    w.deflate = NONE
    local _, _, bytes = core.allocations(function() three = run() end)
    assert.is_true(one and two and three and bytes - plain <= 100, bytes - plain .. " bytes")
  end)

  it("of a large message goes back to the system", function()
    local send = sender("server", EAGER)
    local large = noise(160000):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    send(TEXT) -- what the engine lends is there
    local _, at_most, bytes = core.allocations(function() assert.is_true(#send(large).payload > 160000) end)
    assert.is_true(at_most > 160000 and bytes < 65536, bytes .. " bytes")
  end)

  it("with takeover is the connection's, by window and level", function()
    local most = {
      -- window, mem_level, bytes to send, bytes to hear
      { 15, 8, 268000, 40500 }, { 12, 5, 42000, 40500 }, { 9, 1, 10300, 40500 },
    }
    for _, m in ipairs(most) do
      local limits = with({ min_size = 0, takeover = true, peer_takeover = true, window = m[1], mem_level = m[2] },
        "permessage-deflate")
      local bytes = held("server", limits)
      assert.is_true(bytes > 0 and bytes < m[3] + m[4], ("%d, %d: %d bytes"):format(m[1], m[2], bytes))
    end
  end)
end)
