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

  it("waits for its client with no more memory than its messages need", function()
    local w, s, c = connected()
    for _ = 1, 20 do assert(w.node:send(("x"):rep(400))) end
    flow(s, c)
    w:wait(1.1)
    flow(s, c)
    assert.equal(0, w.node.unacked)
    for _ = 1, 4 do assert(w.node:send(("x"):rep(400))) end
    s:lose()
    assert.equal(4 * 408, w.server:stats().detached_bytes)
    w.node:disconnect()
    assert.equal(0, w.server:stats().detached_bytes)
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

  it("carries what is as long as the token, and is not the token, as it is", function()
    local w, s, c = connected()
    local token = w.client.node.token:reveal()
    local text = ("x"):rep(#token)
    local seen = {}
    assert(w.client.node:send(text))
    assert(w.client.node:send(token, "binary"))
    flow(s, c, seen)
    assert.same({ "C: " .. text }, seen)
    assert.same({ text, token }, w.heard.server)
    assert.equal("CONNECTED", w.client.node.status)
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

-- A socket to the server on which dop.r1 was negotiated; the spec is the client.
local function raw(w)
  local p = w:to_server(true)
  p.link:feed(wire.REQUEST .. "Sec-WebSocket-Protocol: dop, dop.r1\r\n\r\n")
  w:turn()
  return p:pull()
end

local function raw_session(w, limits)
  local p, half = raw(w), ("Z"):rep(16)
  local theirs = p:take()
  p:give(half)
  p:take()
  p:give(half)
  p:take()
  p:give(limits or "\16p60000 1048576 1048576 1024")
  return p, core.merge(half, theirs)
end

local function end_of(w, who)
  local event = w:last(who, "disconnect")
  local fates = {}
  for i, entry in ipairs(event[2]) do fates[i] = entry.message .. " " .. entry.fate end
  return event[1], fates
end

describe("a message above 65,536 bytes", function()
  it("that was accepted before the peer's limit is known waits for it", function()
    local w = world()
    assert(w.client.node:send(("x"):rep(100000)))
    local s, c = w:join()
    flow(s, c)
    assert.equal(100000, #w.heard.server[1])
  end)

  it("waits also in a session that was half-confirmed when its socket was lost", function()
    local w = world()
    local s, c = w:join()
    wire.carry(s, c)
    wire.carry(c, s)
    assert(w.client.node:send(("x"):rep(100000)))
    s, c = again(w, s, c)
    flow(s, c)
    assert.equal(100000, #w.heard.server[1])
    assert.equal(1, w:count("client", "connect"))
    assert.is_nil(w.server:nodes()[1].token_remote)
  end)
end)

describe("an end that comes while its hearer is paused", function()
  -- The client has confirmed three messages and ended the session; one of its own waits unread.
  local function parked()
    local w, s, c = connected()
    for i = 1, 3 do w.node:send("s" .. i) end
    flow(s, c)
    w.node:pause()
    w.client.node:send("c1")
    w.client.node:disconnect()
    flow(s, c)
    return w, s, c
  end

  it("is what counts when the hearer ends the session, too", function()
    local w, s, c = parked()
    w.node:disconnect()
    flow(s, c)
    assert.same({}, select(2, end_of(w, "server")))
    assert.same({ "c1 undelivered" }, select(2, end_of(w, "client")))
  end)

  it("keeps its word though the socket is lost before it was read", function()
    local w, s, c = parked()
    c:lose()
    s:lose()
    w:wait(61)
    assert.same({}, select(2, end_of(w, "server")))
  end)
end)

describe("an end that meets a message above the peer's limit", function()
  it("ends the client, too, though the session is over for another reason", function()
    local w = world { max_message = 70000 }
    for _, size in ipairs { 60000, 60000, 100000 } do w.client.node:send(("x"):rep(size)) end
    local s, c = w:join()
    s:give(c:take())
    c:give(s:take())
    s:give(c:take())
    -- From here on nothing leaves the client: the message that is too long waits behind the others.
    c:give(s:take())
    c:give(s:take())
    w.client.node:disconnect()
    w:turn()
    assert.equal("protocol", (end_of(w, "client")))
    assert.same({ true, "DISCONNECTED" }, { w.client.closed, w.client.node.status })
  end)
end)

describe("nothing follows an end", function()
  local function after_end(seen, who)
    local found, behind = false, {}
    for _, line in ipairs(seen) do
      if found and line:sub(1, 1) == who then behind[#behind + 1] = line end
      found = found or line:find("^" .. who .. ": %^d") ~= nil
    end
    assert.is_true(found)
    return behind
  end

  it("not what waited for the peer's limits", function()
    local w, seen = world(), {}
    assert(w.client.node:send(("x"):rep(100000)))
    local s, c = w:join()
    wire.carry(c, s)
    wire.carry(s, c)
    wire.carry(s, c) -- the client is CONNECTED, the server's limits are not said yet
    w.client.node:disconnect()
    flow(s, c, seen)
    assert.same({}, after_end(seen, "C"))
    assert.equal("peer", (end_of(w, "server")))
    assert.equal(1, #select(2, end_of(w, "client")))
  end)

  it("not an acknowledgement without the message whose handler answered the peer's end", function()
    local w, s, c = connected()
    local seen = {}
    w.node:pause()
    w.client.node:send("c1")
    w.client.node:send("c2")
    w.client.node:disconnect()
    flow(s, c)
    w.server:on("message", function(node) node:disconnect() end)
    w.node:resume()
    w:turn()
    flow(s, c, seen)
    assert.same({ "c1" }, w.heard.server)
    assert.same({}, after_end(seen, "S"))
    assert.same({ "c2 undelivered" }, select(2, end_of(w, "client")))
  end)
end)

describe("the reason of the end", function()
  it("is \"closed\" for a client that closes as a whole", function()
    local w, s, c = connected()
    w.client:end_sessions()
    flow(s, c)
    assert.equal("closed", (end_of(w, "client")))
  end)

  it("is never the peer's own text", function()
    local w, _, c = connected()
    c:give(frames.u16(4400) .. "local", frames.CLOSE)
    assert.equal("protocol", (end_of(w, "client")))
    assert.equal("OPEN", w.client.node.status) -- and the client goes on with a new node
  end)

  it("is \"taken\" when another one resumed the session; one close frame answers", function()
    local w, s, c = connected()
    local thief = raw(w)
    thief:take()
    thief:give(w.client.node.token:reveal() .. " r 1 0")
    local closes = 0
    repeat
      local payload, opcode = s:take()
      if payload then c:give(payload, opcode) end
    until not payload
    repeat
      local payload, opcode = c:take()
      if opcode == frames.CLOSE then closes = closes + 1 end
    until not payload
    assert.equal(1, closes)
    assert.equal("taken", (end_of(w, "client")))
    assert.is_true(w.client.closed)
  end)
end)

describe("what a correct peer never sends", function()
  for what, text in pairs {
    ["an acknowledgement of what was never sent"] = "\16a1",
    ["an end that counts what was never sent"] = "\16d1",
    ["the limits a second time"] = "\16p60000 1048576 1048576 1024",
    ["an answer to a resumption"] = "\16r1 0",
    ["a number that is not canonical"] = "\16a00",
    ["a number that is too large"] = "\16a9007199254740992",
    ["an instruction that is none"] = "\16z",
    ["nothing but the mark"] = "\16",
  } do
    it(what .. " ends the session: 4400", function()
      local w = world()
      local p = raw_session(w)
      local bystander = raw_session(world())
      p:give(text)
      assert.equal(4400, p:closed_with())
      assert.equal("protocol", (end_of(w, "server")))
      assert.is_nil(bystander:closed_with())
    end)
  end

  it("limits that shrink within a session, the window too, end it: 4400", function()
    for _, limits in ipairs { "1 1048576 1048576 1024", "60000 9 1048576 1024", "60000 1048576 9 1024",
      "60000 1048576 1048576 9" } do
      local w = world()
      local p, token = raw_session(w)
      p:lose()
      local q = raw(w)
      q:take()
      q:give(token .. " r 1 0")
      q:give("\16p" .. limits)
      assert.equal(4400, q:closed_with())
    end
  end)

  it("data before the limits ends the session: 4400", function()
    local w = world()
    local p, half = raw(w), ("Z"):rep(16)
    p:take()
    p:give(half)
    p:give(half)
    p:give("data")
    assert.equal(4400, p:closed_with())
  end)

  it("a bare token on the socket of the other dialect is 1008 and touches nothing", function()
    local w = world()
    local p, token = raw_session(w)
    p:lose()
    local plain, bare = w:to_server(), raw(w)
    plain:give(token)
    assert.equal(1008, plain:closed_with())
    bare:give(token)
    assert.equal(1008, bare:closed_with())
    assert.equal("RECONNECTING", w.server:nodes()[1].status)
  end)

  it("a second half that is another one leaves nothing registered: 1008", function()
    local w = world()
    local p = raw(w)
    p:take()
    p:give(("Z"):rep(16))
    p:give(("Y"):rep(16))
    assert.equal(1008, p:closed_with())
    assert.same({}, w.server:nodes())
  end)

  for what, give in pairs {
    ["a binary message"] = function(c) c:give("binary", frames.BINARY) end,
    ["an acknowledgement"] = function(c) c:give("\16a0") end,
    ["data"] = function(c) c:give("some data here") end,
  } do
    it(what .. " before the answer to a resumption ends the client's session: 4400", function()
      local w, s, c = connected()
      w.client.node:send("kept")
      local lost = w.client.node
      c = select(2, again(w, s, c))
      give(c)
      assert.equal(4400, c:closed_with())
      assert.equal("DISCONNECTED", lost.status)
      assert.same({ "kept unknown" }, select(2, end_of(w, "client")))
    end)
  end
end)

describe("a paused node", function()
  it("is given the next message whole, when the handler of the last one lost the socket", function()
    local w, s, c = connected()
    w.node:pause()
    w.client.node:send("the first message")
    flow(s, c)
    local drop = function(node) node:drop() end
    w.server:on("message", drop)
    w.node:resume()
    w:turn()
    w.server:off("message", drop)
    w.server:on("reconnect", function(node) node:pause() end)
    c:lose()
    s, c = w:join()
    w.client.node:send("another")
    flow(s, c)
    w.node:resume()
    w:turn()
    assert.same({ "the first message", "another" }, w.heard.server)
  end)

  it("keeps aside no more than it cares to, whatever the peer says that it may send", function()
    local w = world { queue_bytes = 1000, max_message = 1000 }
    local p = raw_session(w, "\16p60000 1048576 9007199254740991 9007199254740991")
    w.server:nodes()[1]:pause()
    for _ = 1, 100 do p:give(("x"):rep(900)) end
    w.server:nodes()[1]:resume()
    w:turn()
    assert.equal(100, #w.heard.server)
  end)

  it("that keeps no more aside hears the answer to its end, paused again or not", function()
    local w, s, c = connected { queue_bytes = 10, max_message = 10 }
    w.node:pause()
    for _ = 1, 10 do w.client.node:send("0123456789") end
    flow(s, c)
    w.node:send("one")
    w.node:disconnect()
    w.node:pause()
    flow(s, c)
    assert.same({ "local", {} }, { end_of(w, "server") })
  end)
end)

describe("a server that closes", function()
  it("ends every session, also while a newcomer waits for a probe", function()
    local w = wire.new()
    local _, token = w:connected_server(("A"):rep(16))
    local newcomer = w:to_server()
    newcomer:take()
    newcomer:give(token)
    local one = w:connected_server(("B"):rep(16))
    local other = w:connected_server(("C"):rep(16))
    w.server:end_sessions()
    w:turn()
    assert.same({}, w.server:nodes())
    assert.equal(1001, one:closed_with())
    assert.equal(1001, other:closed_with())
  end)
end)
