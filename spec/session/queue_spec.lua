--- What a node does with messages: accepted once, written in order, kept while they cannot leave, bounded,
-- and given back when the session ends.

local wire = require "spec.support.wire"

after_each(wire.close)

local MARK = 65536 -- bytes that wait in a socket before the node keeps the rest in its queue

-- A CONNECTED server node whose socket takes nothing: the spec does not pull.
local function stuck(options)
  local w = wire.new { server = options }
  local p, token = w:connected_server()
  while p:take() do end
  return w, p, w.server:nodes()[1], token
end

local function texts(p)
  local list = {}
  while true do
    local payload, opcode = p:take()
    if not payload then return list end
    if opcode == 1 then list[#list + 1] = payload end
  end
end

local function fill(node, size)
  local sent = {}
  for i = 1, 1e6 do
    local message = ("%06d"):format(i) .. ("x"):rep(size - 6)
    local ok, _, code = node:send(message)
    if not ok then return sent, code end
    sent[i] = message
  end
end

describe("a slow socket", function()
  it("takes 64 KiB; the node's queue takes the rest up to its limits; then send is refused with FULL", function()
    local w, p, node = stuck { queue_messages = 10 }
    local sent, code = fill(node, 1000)
    assert.equal("FULL", code)
    assert.equal(math.ceil(MARK / 1004) + 10, #sent)
    assert.same(sent, texts(p))
    assert.equal(0, w:count("server", "close"))
  end)

  it("counts bytes as well as messages", function()
    local _, p, node = stuck { queue_bytes = 50000 }
    local sent, code = fill(node, 10000)
    assert.equal("FULL", code)
    assert.equal(math.ceil(MARK / 10004) + 4, #sent)
    assert.truthy(node.queued >= MARK + 40000)
    assert.same(sent, texts(p))
    assert.equal(0, node.queued)
  end)

  it("is followed by `drain` once half of the queue is free, and only after a FULL", function()
    local w, p, node = stuck { queue_messages = 10 }
    fill(node, 1000)
    assert.equal(0, w:count("server", "drain"))
    texts(p)
    w:turn()
    assert.equal(1, w:count("server", "drain"))
    node:send("one")
    texts(p)
    w:turn()
    assert.equal(1, w:count("server", "drain"))
  end)

  it("loses with itself only what it had taken: the queue leaves over the next one, in order", function()
    local w, p, node, token = stuck {}
    local sent = {}
    for i = 1, 200 do
      sent[i] = ("%06d"):format(i) .. ("x"):rep(994)
      assert.is_true(node:send(sent[i]))
    end
    p:lose()
    local q = w:to_server()
    q:take()
    q:give(token)
    local heard = texts(q)
    assert.equal(token, table.remove(heard, 1))
    local first = 200 - #heard + 1
    assert.equal(math.ceil(MARK / 1004) + 1, first)
    for i, message in ipairs(heard) do assert.equal(sent[first + i - 1], message) end
  end)

  it("does not keep a disconnection from sending everything before it", function()
    local _, p, node, token = stuck {}
    local sent = {}
    for i = 1, 200 do
      sent[i] = ("%06d"):format(i) .. ("x"):rep(994)
      node:send(sent[i])
    end
    node:disconnect()
    sent[201] = token
    assert.same(sent, texts(p))
  end)
end)

describe("a queue", function()
  it("takes any one message up to max_message when it is empty, whatever its limits", function()
    local w = wire.new { client = { queue_bytes = 10, queue_messages = 1 } }
    assert.is_true(w.client.node:send(("x"):rep(1048576)))
    assert.equal("FULL", select(3, w.client.node:send("")))
    assert.equal("TOOLARGE", select(3, w.client.node:send(("x"):rep(1048577))))
  end)

  it("keeps order, kinds, empty messages and zero bytes", function()
    local w = wire.new()
    local p = w:from_client()
    local sent = { { "", "text" }, { "\0\1\255", "binary" }, { "", "binary" }, { "ä\0", "text" } }
    for _, m in ipairs(sent) do assert.is_true(w.client.node:send(m[1], m[2])) end
    p:take()
    p:give(("Y"):rep(16)):give(("Y"):rep(16))
    p:take()
    for _, m in ipairs(sent) do
      local payload, opcode = p:take()
      assert.same(m, { payload, opcode == 1 and "text" or "binary" })
    end
    assert.is_nil(p:take())
  end)

  it("is given back, in order and labelled, when the session ends", function()
    local w = wire.new()
    local p = w:connected_server()
    local node = w.server:nodes()[1]
    p:lose()
    node:send("one")
    node:send("two", "binary")
    w:wait(60)
    assert.same({
      { message = "one", kind = "text", fate = "unsent" },
      { message = "two", kind = "binary", fate = "unsent" },
    }, w:last("server", "disconnect")[2])
  end)

  it("of a detached session counts against the cap of all of them: the oldest goes first", function()
    local w = wire.new { server = { max_detached_bytes = 3000 } }
    local nodes = {}
    for i = 1, 3 do
      local p = w:connected_server(("%016d"):format(i))
      nodes[i] = w:last("server", "connect").node
      p:lose()
      assert.is_true(nodes[i]:send(("x"):rep(900)))
    end
    assert.equal("RECONNECTING", nodes[1].status)
    assert.is_true(nodes[3]:send(("y"):rep(900)))
    w:turn()
    assert.equal("DISCONNECTED", nodes[1].status)
    assert.equal("evicted", w:last("server", "disconnect")[1])
    assert.equal("RECONNECTING", nodes[2].status)
    assert.equal(1, w:count("server", "disconnect"))
  end)
end)

describe("a client whose session was forgotten", function()
  it("can send what comes back unsettled again at once: its node is the new one by then", function()
    local w = wire.new()
    local p, token = w:connected_client()
    local old = w.client.node
    p:lose()
    old:send("one")
    w.client:on("disconnect", function(node, reason, unsettled)
      assert.equal("unknown", reason)
      assert.equal(old, node)
      for _, entry in ipairs(unsettled) do w.client.node:send(entry.message, entry.kind) end
    end)
    p = w:from_client()
    p:take()
    p:give(("O"):rep(20)):give(("O"):rep(20))
    assert.same({ token, "one" }, texts(p))
    assert.are_not.equal(old, w.client.node)
    assert.equal(0, w:count("client", "error"))
  end)
end)

describe("a client that begins again", function()
  it("takes a half that nobody has heard, each time", function()
    local w, seen = wire.new(), {}
    for _ = 1, 50 do
      local p = w:from_client()
      local half = p:take()
      assert.is_nil(seen[half])
      seen[half] = true
      p:lose()
    end
  end)
end)
