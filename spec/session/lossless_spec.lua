--- dop.r1 in the machine: counting, acknowledging, coming back, and what is told when it ends.

local core = require "dop.core"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

after_each(wire.close)

local function printable(s) return (s:gsub("\16", "^")) end

-- Both ends of ours, joined by the spec's own hands. `flow` carries everything until nothing moves.
local function world(server, client)
  server, client = server or {}, client or {}
  server.lossless, client.lossless = true, true
  local w = wire.new { server = server, client = client }
  w.heard = { server = {}, client = {} }
  for _, who in ipairs { "server", "client" } do
    w[who]:on("message", function(_, message) table.insert(w.heard[who], message) end)
  end
  return w
end

local function flow(s, c, seen)
  local moved
  repeat
    moved = false
    for _, pair in ipairs { { c, s, "C" }, { s, c, "S" } } do
      local payload, opcode = pair[1]:take()
      if payload then
        moved = true
        if seen and opcode == frames.TEXT then seen[#seen + 1] = pair[3] .. ": " .. printable(payload) end
        pair[2]:give(payload, opcode)
      end
    end
  until not moved
end

local function connected(server, client)
  local w = world(server, client)
  local s, c = w:join()
  flow(s, c)
  assert.equal("CONNECTED", w.client.node.status)
  w.node = w:last("server", "connect").node
  w.log = {}
  return w, s, c
end

-- Cuts the socket at both ends and joins another one.
local function again(w, s, c)
  if s then s:lose() end
  if c then c:lose() end
  return w:join()
end

describe("a lossless session", function()
  it("begins as in plain DOP, and then both ends say their limits", function()
    local w = world({ halves = { ("S"):rep(16) } }, { halves = { ("C"):rep(16) } })
    local s, c = w:join()
    local seen = {}
    flow(s, c, seen)
    assert.same({
      "C: " .. ("C"):rep(16), "S: " .. ("S"):rep(16), "C: " .. ("C"):rep(16), "S: " .. ("S"):rep(16),
      "C: ^p60000 1048576 1048576 1024", "S: ^p60000 1048576 1048576 1024",
    }, seen)
    assert.is_true(w.client.node.lossless)
    assert.equal("CONNECTED", w.server:nodes()[1].status)
  end)

  it("keeps each message until it is acknowledged", function()
    local w, s, c = connected()
    for i = 1, 3 do assert(w.client.node:send("m" .. i)) end
    assert.equal(3, w.client.node.unacked)
    flow(s, c)
    assert.same({ "m1", "m2", "m3" }, w.heard.server)
    assert.equal(3, w.client.node.unacked)
    w:wait(1.1)
    flow(s, c)
    assert.equal(0, w.client.node.unacked)
  end)

  it("acknowledges after 64 messages, without waiting", function()
    local w, s, c = connected()
    for i = 1, 64 do w.client.node:send("m" .. i) end
    flow(s, c)
    assert.equal(0, w.client.node.unacked)
  end)

  it("escapes what would read as an instruction, and the token", function()
    local w, s, c = connected()
    local token = w.client.node.token:reveal()
    for _, text in ipairs { "\16a1", "\16", token, "" } do assert(w.client.node:send(text)) end
    flow(s, c)
    assert.same({ "\16a1", "\16", token, "" }, w.heard.server)
  end)

  it("writes again what was lost, both ways, in order and once", function()
    local w, s, c = connected()
    for i = 1, 5 do
      w.client.node:send("c" .. i)
      w.node:send("s" .. i)
    end
    -- Two of the client's arrive before the cut, one of the server's.
    wire.carry(c, s)
    wire.carry(c, s)
    wire.carry(s, c)
    s, c = again(w, s, c)
    w.client.node:send("c6")
    w.node:send("s6")
    local seen = {}
    flow(s, c, seen)
    assert.same({ "c1", "c2", "c3", "c4", "c5", "c6" }, w.heard.server)
    assert.same({ "s1", "s2", "s3", "s4", "s5", "s6" }, w.heard.client)
    assert.equal(1, w:count("client", "reconnect"))
    assert.equal(3, w:last("client", "reconnect")[1].replayed)
    assert.equal(4, w:last("server", "reconnect")[1].replayed)
  end)

  it("survives being cut before anything of the resumption arrived, again and again", function()
    local w, s, c = connected()
    w.client.node:send("kept")
    for i = 1, 30 do
      s, c = again(w, s, c)
      for _ = 1, i % 5 do
        if c:take() then break end
      end
    end
    s, c = again(w, s, c)
    flow(s, c)
    assert.same({ "kept" }, w.heard.server)
  end)
end)

describe("the formal end of a lossless session", function()
  it("settles both ends: nothing is unknown", function()
    local w, s, c = connected()
    w.client.node:send("one")
    w.node:send("two")
    w.client.node:disconnect()
    assert.equal("CLOSED", select(3, w.client.node:send("late")))
    local seen = {}
    flow(s, c, seen)
    assert.equal("DISCONNECTED", w.node.status)
    assert.equal("DISCONNECTED", w.client.node.status)
    assert.same({}, w:last("client", "disconnect")[2])
    assert.same({ { message = "two", kind = "text", fate = "undelivered" } }, w:last("server", "disconnect")[2])
    assert.same({ "one" }, w.heard.server)
    assert.same({}, w.heard.client)
  end)

  it("without an answer leaves what was written unknown", function()
    local w, _, _ = connected()
    w.client.node:send("one")
    w.client.node:disconnect()
    w:wait(5.1)
    assert.same({ { message = "one", kind = "text", fate = "unknown" } }, w:last("client", "disconnect")[2])
  end)
end)

describe("a session that the server forgot", function()
  it("is told apart exactly by its tombstone, and another one begins on the same socket", function()
    local w, s, c = connected()
    for i = 1, 3 do w.client.node:send("m" .. i) end
    wire.carry(c, s)
    s:lose()
    c:lose()
    w.client.node:send("m4")
    w:wait(61)
    assert.equal("DISCONNECTED", w.node.status)
    w.log = {}
    s, c = w:join()
    flow(s, c)
    local fates = {}
    for i, entry in ipairs(w:last("client", "disconnect")[2]) do fates[i] = entry.message .. " " .. entry.fate end
    assert.same({ "m2 undelivered", "m3 undelivered", "m4 unsent" }, fates)
    assert.equal("CONNECTED", w.client.node.status)
    assert.equal(1, w:count("client", "connect"))
    w.client.node:send("anew")
    flow(s, c)
    assert.equal("anew", w.heard.server[#w.heard.server])
  end)
end)

describe("two sockets for a lossless session", function()
  it("the newer attempt wins at once; the old socket is closed with 4001", function()
    local w, s, c = connected()
    w.client.node:send("one")
    c:lose() -- the server has not noticed
    local s2, c2 = w:join()
    flow(s2, c2)
    assert.equal("CONNECTED", w.client.node.status)
    assert.equal(4001, s:closed_with())
    assert.same({ "one" }, w.heard.server)
  end)

  it("an attempt that is not the newest changes nothing: 4409", function()
    local w, s, c = connected()
    local token = w.client.node.token:reveal()
    s, c = again(w, s, c)
    flow(s, c)
    local late = w:to_server(true)
    late.link:feed(wire.REQUEST .. "Sec-WebSocket-Protocol: dop, dop.r1\r\n\r\n")
    late:pull()
    late:take()
    late:give(token .. " r 1 0")
    assert.equal(4409, late:closed_with())
    w.client.node:send("still here")
    flow(s, c)
    assert.same({ "still here" }, w.heard.server)
    assert.truthy(core)
  end)
end)
