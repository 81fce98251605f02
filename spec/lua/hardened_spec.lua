--- What is hardened, over real sockets and real time: relayed halves, the probe and its spacing, and a
-- system without randomness. The cells one by one, on a clock that stands still, are in spec/session.

local core = require "dop.core"
local dop = require "dop"
local frames = require "spec.support.frames"
local hand = require "spec.support.hand"
local loop = require "dop.loop"
local real = require "spec.support.real"
local wire = require "spec.support.wire"

after_each(function()
  loop.engine():fail_random(false)
  real.close()
  wire.close()
end)

local function now() return require("socket").gettime() end

describe("two sockets to which the halves of each other are relayed", function()
  for _, order in ipairs { { 1, 2 }, { 2, 1 } } do
    it(("make one session, of which the newcomer is refused (closed in the order %d, %d)"):format(order[1], order[2]),
      function()
        local server = real.listen()
        local log = real.record(server, { "message", "reconnecting", "reconnect", "disconnect" })
        local p = { hand.client(server), hand.client(server) }
        local half = { (p[1]:take()), (p[2]:take()) }
        p[1]:say(half[2])
        p[2]:say(half[1])
        assert.equal(half[1], (p[1]:take()))
        assert.equal(half[2], (p[2]:take()))
        p[1]:say(half[2])
        real.wait("the session", function() return server:stats().connects == 1 end)
        p[2]:say(half[1])
        assert.equal(1008, p[2]:closed_with())

        -- The holder has noticed nothing.
        local holder = server:nodes()[1]
        p[1]:say("still here")
        real.wait("the message", function() return log:count "message" == 1 end)
        assert.equal(holder, log[1].node)
        assert.equal("CONNECTED", holder.status)

        -- However the two sockets end, the directory finds the holder, and only it.
        p[order[1]]:close()
        p[order[2]]:close()
        real.wait("the loss", function() return holder.status == "RECONNECTING" end)
        local back = hand.client(server)
        back:take()
        local token = core.merge(half[1], half[2])
        back:say(token)
        assert.equal(token, (back:take()))
        assert.equal(holder, log:last("reconnect").node)
        assert.equal(1, server:stats().connects)
        assert.equal(0, log:count "disconnect")
      end)
  end
end)

-- A session that a raw peer holds, on a server with these options. Returns the server, the peer and
-- the token.
local function held(options)
  local server = real.listen(options)
  local holder = hand.client(server)
  local token = holder:connect(("h"):rep(16))
  real.wait("the session", function() return server:stats().connects == 1 end)
  return server, holder, token
end

-- Another socket presents the token. Returns it.
local function claim(server, token)
  local newcomer = hand.client(server)
  newcomer:take()
  newcomer:say(token)
  return newcomer
end

describe("the probe of a holder's socket", function()
  it("is answered by a pong with its bytes: the newcomer hears 1013", function()
    local server, holder, token = held { probe_timeout = 5 }
    local newcomer = claim(server, token)
    local payload, opcode = holder:take()
    assert.equal(frames.PING, opcode)
    assert.equal(8, #payload)
    holder:say(payload, frames.PONG)
    assert.equal(1013, newcomer:closed_with())
    assert.equal("CONNECTED", server:nodes()[1].status)
    assert.equal(1, server:nodes()[1].socket)
  end)

  it("is answered by nothing else: the newcomer has the session after probe_timeout", function()
    local server, holder, token = held { probe_timeout = 0.3 }
    local log = real.record(server, { "message", "reconnecting", "reconnect" })
    local from = now()
    local newcomer = claim(server, token)
    local payload = holder:take()
    local last = payload:byte(8)
    holder:say("data")
    holder:say("", frames.PONG)
    holder:say(payload:sub(1, 7), frames.PONG)
    holder:say(payload:sub(1, 7) .. string.char((last + 1) % 256), frames.PONG)
    holder:say(payload .. "\0", frames.PONG)
    holder:say(payload, frames.PING)
    assert.equal(token, (newcomer:take()))
    assert.truthy(now() - from >= 0.29, now() - from)
    assert.equal("data", log:last("message")[1])
    assert.equal(1, log:count "reconnecting")
    assert.equal(1, log:count "reconnect")
    real.wait("the reset of the old socket", function() return holder.ended end)
    newcomer:say("here now")
    real.wait("its message", function() return log:count "message" == 2 end)
  end)

  it("comes once a second, however many newcomers come", function()
    local server, holder, token = held { probe_timeout = 5 }
    local pings, newcomers = 0, 0
    -- The holder lives, and answers.
    local function answer()
      while holder.list[1] do
        local payload, opcode = holder:take()
        assert(opcode == frames.PING)
        pings = pings + 1
        holder:say(payload, frames.PONG)
      end
    end
    local from = now()
    local function another()
      newcomers = newcomers + 1
      local newcomer = claim(server, token)
      real.wait("an answer", function()
        answer()
        return newcomer:count(frames.CLOSE) == 1
      end)
      assert.equal(1013, newcomer:closed_with())
    end
    for _ = 1, 5 do another() end
    -- The rest of a machine's second may be over by then; more than one a second is wrong anyway.
    assert.truthy(pings >= 1 and pings <= 1 + math.floor(now() - from + 0.05), pings)
    -- After the second the next newcomer is worth a probe again.
    while pings < 2 and now() - from < 5 do another() end
    assert.equal(2, pings)
    assert.truthy(now() - from >= 0.95, now() - from)
    assert.truthy(newcomers > 5)
    assert.equal("CONNECTED", server:nodes()[1].status)
  end)
end)

describe("a system without randomness", function()
  it("has no new transport", function()
    loop.engine():fail_random(true)
    for _, make in ipairs { dop.listen, dop.connect } do
      local transport, why, code = make { url = "ws://127.0.0.1:0/" }
      assert.is_nil(transport)
      assert.truthy(why:find("no randomness", 1, true), why)
      assert.equal("ENOMEM", code)
    end
  end)

  it("costs a newcomer its socket, not the sessions that are there", function()
    local server, holder, token = held()
    loop.engine():fail_random(true)
    local stranger = real.raw_client(server, hand.REQUEST)
    real.wait("the refusal", function() return stranger.ended end)
    assert.truthy(stranger.received:find("^HTTP/1.1 503 "), stranger.received)
    server:on("message", function(node, message) node:send(message) end)
    holder:say("still here")
    assert.equal("still here", (holder:take()))
    loop.engine():fail_random(false)
    assert.equal(1, #server:nodes())
    -- Who comes when it works again is served.
    claim(server, token)
    assert.equal(frames.PING, select(2, holder:take()))
  end)
end)
