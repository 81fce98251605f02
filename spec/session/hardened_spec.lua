--- What the protocol refuses so that a stranger cannot take, mirror, double or exhaust a session: each
-- refusal closes with 1008, registers nothing, and costs nobody else anything (docs/protocol.md).

local core = require "dop.core"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

after_each(wire.close)

local function refused(w, p, code)
  assert.equal(code or 1008, p:closed_with())
  assert.equal(0, w.server:stats().connects)
  assert.same({}, w.server:nodes())
end

describe("a half that a server hears first", function()
  local bad = { ["an empty one"] = "", ["one of 257 bytes"] = ("a"):rep(257) }
  for n = 1, 15 do bad[("one of %d bytes"):format(n)] = ("a"):rep(n) end
  for byte = 0, 255 do
    -- Bytes from 0x80 on are sent as the character with that number: a text message is UTF-8.
    if byte < 0x21 or byte > 0x7E then
      local char = byte < 0x80 and string.char(byte)
        or string.char(0xC0 + math.floor(byte / 64), 0x80 + byte % 64)
      bad[("one with the character 0x%02X"):format(byte)] = ("a"):rep(15) .. char
    end
  end
  for what, half in pairs(bad) do
    it("is refused: " .. what, function()
      local w = wire.new()
      local p = w:to_server()
      local theirs = p:take()
      refused(w, p:give(half))
      assert.equal(22, #theirs)
    end)
  end

  for n, half in pairs { [16] = ("a"):rep(16), [256] = ("~!"):rep(128) } do
    it(("is taken with %d bytes"):format(n), function()
      local w = wire.new()
      local _, token = w:connected_server(half)
      assert.equal(token, w.server:nodes()[1].token:reveal())
    end)
  end

  it("is refused as a binary message, and above 1,024 bytes with 1008 rather than 1009", function()
    local w = wire.new()
    local p = w:to_server()
    refused(w, p:give(("a"):rep(22), frames.BINARY))
    p = w:to_server()
    refused(w, p:give(("a"):rep(1025)))
    p = w:to_server()
    p.link:feed(frames.encode(frames.TEXT, "", { mask = true, length = 1048576, length_bytes = 8 }))
    refused(w, p)
  end)

  it("is refused when it is the server's own, whole or cut to the shorter", function()
    for _, cut in ipairs { 22, 21, 16 } do
      local w = wire.new()
      local p = w:to_server()
      refused(w, p:give(p:take():sub(1, cut)))
    end
    local w = wire.new()
    local p = w:to_server()
    refused(w, p:give(p:take() .. "and more"))
  end)

  it("is confirmed by itself and by nothing else", function()
    for _, second in ipairs { ("b"):rep(16), ("a"):rep(17), "" } do
      local w = wire.new()
      local p = w:to_server()
      p:give(("a"):rep(16)):give(second)
      refused(w, p)
    end
    local w = wire.new()
    local p = w:to_server()
    p:give(("a"):rep(16)):give(("a"):rep(16), frames.BINARY)
    refused(w, p)
  end)
end)

describe("a client", function()
  it("refuses its own half from an echo server, and tries again with another", function()
    local w = wire.new()
    local p = w:from_client()
    local half = p:take()
    assert.equal(1008, p:give(half):closed_with())
    assert.equal("OPEN", w.client.node.status)
    local again = w:from_client():take()
    assert.are_not.equal(half, again)
  end)

  it("does not let an echo of its token, or a part of it, complete a reconnection", function()
    local w = wire.new()
    local p, token = w:connected_client()
    for _, echo in ipairs { token, token:sub(1, 16), token .. "x" } do
      p:lose()
      p = w:from_client()
      assert.equal(token, p:take())
      assert.equal(1008, p:give(echo):closed_with())
      assert.equal("RECONNECTING", w.client.node.status)
    end
    assert.equal(0, w:count("client", "reconnect"))
  end)

  it("keeps its session when a resumed socket answers anything else", function()
    local w = wire.new()
    local p, token = w:connected_client()
    p:lose()
    p = w:from_client()
    p:give(("s"):rep(16)):give(("t"):rep(16))
    p:take()
    assert.equal(1008, p:closed_with())
    assert.equal("RECONNECTING", w.client.node.status)
    assert.equal(token, w.client.node.token:reveal())
  end)
end)

describe("two sockets to which the halves of each other are relayed", function()
  for _, order in ipairs { { 1, 2 }, { 2, 1 } } do
    it(("make one session; the newcomer is refused (closed in the order %d, %d)"):format(order[1], order[2]), function()
      local w = wire.new()
      local p = { w:to_server(), w:to_server() }
      local half = { p[1]:take(), p[2]:take() }
      for round = 1, 2 do
        for i = 1, 2 do
          if round == 1 or i == 1 then p[i]:give(half[3 - i]) end
        end
      end
      assert.equal(1, w.server:stats().connects)
      p[2]:give(half[1])
      assert.equal(1008, p[2]:closed_with())
      local holder = w.server:nodes()[1]
      assert.equal("CONNECTED", holder.status)
      p[1]:give("still here")
      assert.equal("still here", w:last("server", "message")[1])
      p[order[1]]:lose()
      p[order[2]]:lose()
      assert.equal("RECONNECTING", holder.status)
      -- The directory still finds the holder, and only it.
      local q = w:to_server()
      q:take()
      q:give(core.merge(half[1], half[2]))
      assert.equal("CONNECTED", holder.status)
    end)
  end
end)

describe("the token of a session that is CONNECTED", function()
  -- Another socket presents the token. Returns the world, the holder's socket, the newcomer's, the
  -- token and the payload of the probe that the holder's socket got.
  local function claimed(options)
    local w = wire.new(options)
    local holder, token = w:connected_server()
    while holder:take() do end
    local newcomer = w:to_server()
    newcomer:take()
    newcomer:give(token)
    local payload, opcode = holder:take()
    assert.equal(frames.PING, opcode)
    assert.equal(8, #payload)
    return w, holder, newcomer, token, payload
  end

  it("is answered with 1013 once the holder's socket has answered the probe", function()
    local w, holder, newcomer, _, payload = claimed()
    assert.is_nil(newcomer:take())
    holder:give(payload, frames.PONG)
    assert.equal(1013, newcomer:closed_with())
    assert.equal(1, #w.server:nodes())
    assert.equal(0, w:count("server", "reconnecting"))
  end)

  it("is not decided by other bytes of the holder, nor by another pong", function()
    local w, holder, newcomer, token = claimed()
    holder:give("data"):give("\0\0\0\0\0\0\0\0", frames.PONG):give("", frames.PONG)
    assert.is_nil(newcomer:take())
    w:wait(2)
    assert.equal(token, newcomer:take())
    assert.equal("dead", (holder.link:ending()))
  end)

  it("takes the session over when the probe is not answered within 2 s", function()
    local w, holder, newcomer, token = claimed()
    local node = w.server:nodes()[1]
    w:wait(1.9)
    assert.equal("CONNECTED", node.status)
    assert.is_nil(newcomer:take())
    w:wait(0.2)
    assert.equal(token, newcomer:take())
    assert.equal(1, w:count("server", "reconnecting"))
    assert.equal(1, w:count("server", "reconnect"))
    assert.equal(2, node.socket)
    assert.equal("dead", (holder.link:ending()))
    newcomer:give("here now")
    assert.equal(node, w:last("server", "message").node)
  end)

  it("is taken by the newest newcomer; the older one hears 1013", function()
    local w, _, older, token = claimed()
    w:wait(1)
    local newest = w:to_server()
    newest:take()
    newest:give(token)
    assert.equal(1013, older:closed_with())
    w:wait(1.1)
    assert.equal(token, newest:take())
  end)

  it("is probed once a second at most", function()
    local w, holder, first, token, payload = claimed()
    holder:give(payload, frames.PONG)
    assert.equal(1013, first:closed_with())
    local second = w:to_server()
    second:take()
    second:give(token)
    assert.equal(1013, second:closed_with())
    assert.is_nil(holder:take())
    w:wait(1)
    local third = w:to_server()
    third:take()
    third:give(token)
    assert.equal(frames.PING, select(2, holder:take()))
  end)

  it("goes to the newcomer at once when the holder's socket is lost meanwhile", function()
    local w, holder, newcomer, token = claimed()
    holder:lose()
    assert.equal(token, newcomer:take())
    assert.equal("CONNECTED", w.server:nodes()[1].status)
    w:wait(5)
    assert.equal(1, #w.server:nodes())
  end)

  it("is no longer waited for when the newcomer goes, or says more", function()
    local w, holder, newcomer, token = claimed()
    newcomer:lose()
    w:wait(5)
    assert.equal(0, w:count("server", "reconnecting"))
    assert.equal(1, #w.server:nodes())
    local impatient = w:to_server()
    impatient:take()
    impatient:give(token):give(token)
    assert.equal(1008, impatient:closed_with())
    w:wait(5)
    assert.equal(0, w:count("server", "reconnecting"))
    holder:give("alive")
    assert.equal("alive", w:last("server", "message")[1])
  end)

  it("tells the newcomer to try again (1013) when the session ends meanwhile", function()
    local w, _, newcomer = claimed()
    w.server:nodes()[1]:disconnect()
    w:turn()
    assert.equal(1013, newcomer:closed_with())
    assert.same({}, w.server:nodes())
  end)
end)

describe("tokens", function()
  it("merge as the protocol says: cut, ordered by bytes, joined, the same both ways round", function()
    local vectors = {
      { "AAAA", "BBBB", "AAAABBBB" },
      { "AAAABBBB", "DDDD", "AAAADDDD" },
      { "b", "a", "ab" },
      { "a", "B", "Ba" }, -- bytes, never a locale's order
      { "Z", "a", "Za" },
      { "abcdef", "abc", "abcabc" },
      { "~~~~", "!!!!", "!!!!~~~~" },
      { "__proto__", "__proto_`", "__proto____proto_`" },
    }
    for _, v in ipairs(vectors) do
      assert.equal(v[3], core.merge(v[1], v[2]))
      assert.equal(v[3], core.merge(v[2], v[1]))
    end
  end)

  it("are halves of 22 base62 characters, different each time", function()
    local w, seen = wire.new(), {}
    for _ = 1, 500 do
      local half = w:to_server():take()
      assert.truthy(half:match("^%w+$"))
      assert.equal(22, #half)
      assert.is_nil(seen[half])
      seen[half] = true
    end
  end)

  it("are plain bytes to the directory: prototype names collide with nothing", function()
    local w = wire.new()
    local names = { "__proto__________", "constructor_______", "hasOwnProperty____" }
    local tokens = {}
    for _, name in ipairs(names) do
      local p, token = w:connected_server(name)
      p:lose()
      tokens[#tokens + 1] = token
    end
    for i, token in ipairs(tokens) do
      local p = w:to_server()
      p:take()
      p:give(token)
      assert.equal(token, p:take(), names[i])
    end
    assert.equal(3, w.server:stats().reconnects)
  end)
end)
