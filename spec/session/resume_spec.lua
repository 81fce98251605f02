--- dop.r1 in the machine: whose session it is, what half-confirmed records may cost, when a message of a
-- coroutine counts as delivered, and what a transport counts.

local core = require "dop.core"
local co = require "dop.co"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

after_each(wire.close)

-- A world whose server lets everybody in as the principal that the header `User` names.
local function world(server, same)
  server = server or {}
  server.lossless = server.lossless ~= false
  local w = wire.new { server = server, client = { lossless = true } }
  core.configure(w.server, function(request) return request.headers.user or true end, false, same)
  return w
end

-- A socket to the server; the spec is the client. `offer`: the subprotocols.
local function socket(w, user, offer)
  local p = w:to_server(true)
  p.link:feed(wire.REQUEST .. "Sec-WebSocket-Protocol: " .. (offer or "dop, dop.r1") .. "\r\n" ..
    (user and "User: " .. user .. "\r\n" or "") .. "\r\n")
  w:turn()
  w.kept = { p, w.kept } -- a link that is collected is a socket that is lost
  return p:pull()
end

local function lossless_session(w, user, half)
  local p = socket(w, user)
  half = half or ("Z"):rep(16)
  local theirs = p:take()
  p:give(half)
  p:take()
  p:give(half)
  p:take()
  p:give "\16p60000 1048576 1048576 1024"
  return p, core.merge(half, theirs)
end

-- Says the first message on a new socket of that user. Returns what comes after the server's half: a
-- text, or the close code.
local function present(w, user, text, offer)
  local p = socket(w, user, offer)
  p:take()
  p:give(text)
  local payload, opcode = p:take()
  if opcode == frames.CLOSE then return payload:byte(1) * 256 + payload:byte(2), p end
  return payload and payload:gsub("\16", "^"), p
end

describe("a session's principal", function()
  it("is asked for again: another one is 4403, and nobody is another one", function()
    local w = world()
    local p, token = lossless_session(w, "ada")
    assert.equal(4403, (present(w, "eve", token .. " r 1 0")))
    assert.equal(4403, (present(w, nil, token .. " r 1 0")))
    p:give "still there"
    assert.equal("still there", w:last("server", "message")[1])
    assert.equal(2, w.server:stats().refused_resumes)
    assert.equal("^r1 1", (present(w, "ada", token .. " r 1 0")))
  end)

  it("comes after the attempt's number: a stale one is 4409, whoever presents it", function()
    local w = world()
    local _, token = lossless_session(w, "ada")
    present(w, "ada", token .. " r 3 0")
    assert.equal(4409, (present(w, "eve", token .. " r 3 0")))
  end)

  for _, dialect in ipairs { "dop.r1", "plain DOP" } do
    local lossless = dialect == "dop.r1"

    local function begin(same)
      local w = world({ lossless = lossless }, same)
      if lossless then return w, select(2, lossless_session(w, "ada")) end
      local p, half = socket(w, "ada", "dop"), ("Z"):rep(16)
      local theirs = p:take()
      p:give(half)
      p:give(half)
      p:lose()
      return w, core.merge(half, theirs)
    end

    local function come(w, token, user)
      return (present(w, user, lossless and token .. " r 1 0" or token, not lossless and "dop" or nil))
    end

    it("may be compared by the application, in " .. dialect, function()
      local asked = {}
      local w, token = begin(function(owner, other)
        asked[#asked + 1] = owner .. " " .. other
        return other == "ada@example.org"
      end)
      assert.equal(lossless and 4403 or 1008, come(w, token, "eve"))
      assert.equal(lossless and "^r1 0" or token, come(w, token, "ada@example.org"))
      assert.same({ "ada eve", "ada ada@example.org" }, asked)
      assert.equal("ada", w.server:nodes()[1].principal)
    end)

    it("is another one when the comparison raises, in " .. dialect, function()
      local w, token = begin(function() error "no database" end)
      assert.equal(lossless and 4403 or 1008, come(w, token, "eve"))
      assert.truthy(w:last("server", "error")[1]:find("no database", 1, true))
      assert.equal(lossless and "^r1 0" or token, come(w, token, "ada"))
    end)
  end

  it("is compared in vain when the session ends, or the socket, while the application decides", function()
    local w, p, token, newcomer
    w = world({}, function()
      w.server:nodes()[1]:disconnect()
      newcomer.link:lost()
      return true
    end)
    p, token = lossless_session(w, "ada")
    newcomer = socket(w, "other")
    newcomer:take()
    newcomer:give(token .. " r 1 0")
    p:give "\16d0"
    assert.same({}, w.server:nodes())
  end)

  it("is not asked for a session that nobody owns", function()
    local w = world({}, function() error "asked" end)
    local _, token = lossless_session(w)
    assert.equal(4403, (present(w, "eve", token .. " r 1 0")))
    assert.is_nil(w:last("server", "error"))
  end)
end)

describe("half-confirmed sessions", function()
  -- A session whose socket was lost when only the server's half and the client's were known.
  local function half_confirmed(w, half)
    local p = socket(w)
    local theirs = p:take()
    p:give(half)
    p:lose()
    return core.merge(half, theirs)
  end

  it("have a cap of their own, the oldest goes first and leaves its count", function()
    local w = world { max_unconfirmed = 2, max_detached = 1 }
    local p, token = lossless_session(w)
    p:lose()
    local first = half_confirmed(w, ("A"):rep(16))
    half_confirmed(w, ("B"):rep(16))
    local last = half_confirmed(w, ("C"):rep(16))
    assert.equal(2, w.server:stats().unconfirmed)
    assert.equal("^x0", (present(w, nil, first .. " r 1 0")))
    assert.equal("^r1 0", (present(w, nil, last .. " r 1 0")))
    assert.equal("^r1 0", (present(w, nil, token .. " r 1 0")))
  end)

  it("leave the memory of real sessions alone, whatever their number", function()
    local w = world { max_tombstones = 1, max_unconfirmed = 1 }
    local p, token = lossless_session(w)
    p:give "one"
    p:lose()
    w:wait(61)
    for i = 0, 5 do half_confirmed(w, ("%016d"):format(i)) end
    assert.equal("^x1", (present(w, nil, token .. " r 1 0")))
    assert.equal(5, w.server:stats().evicted)
    assert.equal(2, w.server:stats().tombstones)
  end)

  it("go before sessions when the queues hold too much", function()
    local w = world { max_detached_bytes = 1000 }
    w.server:on("open", function(node) node:send(("x"):rep(400)) end)
    local p, token = lossless_session(w)
    p:lose()
    half_confirmed(w, ("A"):rep(16))
    half_confirmed(w, ("B"):rep(16))
    assert.equal(1, w.server:stats().evicted)
    assert.equal("^r1 0", (present(w, nil, token .. " r 1 0")))
  end)
end)

describe("a message that a coroutine reads", function()
  -- What the server says in the second after which it acknowledges.
  local function heard(w, p)
    local list = {}
    w:wait(1)
    repeat
      local payload = p:take()
      list[#list + 1] = payload and payload:gsub("\16", "^")
    until not payload
    return list
  end

  it("is acknowledged when the coroutine asks for the next one", function()
    local w = world()
    local p = lossless_session(w)
    local go_on
    local function work()
      local node = w.server:nodes()[1]
      for message in node:messages() do
        if message == "slow" then
          go_on = coroutine.running()
          coroutine.yield()
        end
      end
    end
    co.go(work)
    p:give "slow"
    p:give "quick"
    assert.same({}, heard(w, p))
    assert(coroutine.resume(go_on))
    w:turn()
    assert.same({ "^a2" }, heard(w, p))
  end)

  it("is not, as long as it waits for one that does something else", function()
    local w = world()
    local p = lossless_session(w)
    local node = w.server:nodes()[1]
    local thread = co.go(function()
      node:receive()
      coroutine.yield()
      node:receive()
      node:receive()
    end)
    p:give "one"
    p:give "two"
    assert.same({}, heard(w, p))
    assert(coroutine.resume(thread)) -- takes "two" as soon as there is room for it
    w:turn()
    assert.same({ "^a2" }, heard(w, p))
  end)

  it("is acknowledged when the coroutine ends", function()
    local w = world()
    local p = lossless_session(w)
    local node = w.server:nodes()[1]
    co.go(function() node:receive() end)
    p:give "only"
    assert.same({ "^a1" }, heard(w, p))
  end)
end)

describe("a session that is confirmed on its second socket", function()
  it("has the request of that one", function()
    local w = world()
    w.server:on("open", function(node) assert.equal("ada", node.request.headers.user) end)
    local p, half = socket(w, "ada"), ("Z"):rep(16)
    local theirs = p:take()
    p:give(half)
    p:lose()
    w.server:off("open")
    local q = w:to_server(true)
    q.link:feed(wire.REQUEST .. "Sec-WebSocket-Protocol: dop.r1\r\nUser: ada\r\nX-Second: yes\r\n\r\n")
    q:give(core.merge(half, theirs) .. " r 1 0")
    assert.equal("yes", w.server:nodes()[1].request.headers["x-second"])
  end)
end)

describe("a transport", function()
  it("counts what dop.r1 did", function()
    local w = world { resume_window = 60 }
    local p, token = lossless_session(w)
    local node = w.server:nodes()[1]
    for i = 1, 3 do node:send("s" .. i) end
    p:give "c1"
    p:give "\16a1"
    local answer, q = present(w, nil, token .. " r 1 2") -- the old socket is still there
    assert.equal("^r1 1", answer)
    q:lose()
    w:wait(61)
    local stats = w.server:stats()
    assert.same({ 1, 2, 1, 1, 1, 1, 1, 0, 0 }, {
      stats.delivered, stats.acknowledged, stats.replayed, stats.handed_back, stats.takeovers, stats.expired,
      stats.tombstones, stats.evicted, stats.refused_resumes,
    })
  end)
end)
