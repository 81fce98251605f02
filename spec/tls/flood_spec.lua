--- wss: a crowd of handshakes leaves the others their turn, and each of it has its own.

local certificates = require "spec.support.certificates"
local dop = require "dop"
local frames = require "spec.support.frames"
local hand = require "spec.support.hand"
local loop = require "dop.loop"
local real = require "spec.support.real"
local socket = require "socket"
local wire = require "spec.support.wire"

local pki = certificates.new()
teardown(function() pki:remove() end)
local sockets = {}
after_each(function()
  loop.engine():collect_always(true)
  for _, s in ipairs(sockets) do s:close() end -- a server waits for their ends
  sockets = {}
  real.close()
  wire.close()
end)

local MASKED = { mask = "\0\0\0\0" }

local function text(payload) return frames.encode(frames.TEXT, payload, MASKED) end

local function secure(options)
  options = options or {}
  return real.listen {
    url = "wss://127.0.0.1:0/dop",
    tls = pki:identity "server",
    handshake_timeout = options.timeout,
    close_timeout = options.timeout,
    max_sockets = options.max_sockets,
    authorize = options.authorize,
  }
end

-- A modest client beside, of which one message is heard a round: returns what calls `done` at each, until it is
-- true, and then how many those were.
local function rounds_counted()
  local server = real.listen()
  local modest = hand.client(server)
  modest:connect(("m"):rep(16))
  real.wait("the modest", function() return server:stats().connects == 1 end)
  return function(what, done)
    local rounds, over = 0, false
    server:on("message", function()
      rounds = rounds + 1
      over = over or done()
      if not over then modest:send(text "again") end
    end)
    modest:send(text "one")
    real.wait(what, function() return over end)
    return rounds
  end
end

-- Clients of which each says `bytes`, and which of them was answered, in that order.
local function crowd_of(server, bytes)
  local crowd, order = {}, {}
  local host, port = server.url:match "^wss://([%d.]+):(%d+)"
  local function connect(_, n)
    for _ = 1, n do
      local s = assert(socket.connect(host, tonumber(port)))
      s:settimeout(0)
      crowd[#crowd + 1] = { socket = s }
      sockets[#sockets + 1] = s
    end
    real.wait("the crowd", function() return server:stats().sockets + server:stats().refused >= #crowd end)
  end
  local function say(_, i, some)
    crowd[i].socket:send(some or bytes)
  end
  local function answered()
    for i, one in ipairs(crowd) do
      local whole, why, part = one.socket:receive(65536)
      one.ended = one.ended or why == "closed"
      if #(whole or part or "") > 0 and not one.answered then
        one.answered = true
        order[#order + 1] = i
      end
    end
    return order
  end
  local function all_ended()
    answered()
    for _, one in ipairs(crowd) do if not one.ended then return false end end
    return true
  end
  return { connect = connect, say = say, answered = answered, all_ended = all_ended }
end

describe("a crowd of handshakes", function()
  -- A server of wss: with a crowd that has said hello, and a message of a modest client's before and behind it.
  -- Calls `heard` with the crowd at each message. From the second on each brings another, in a later round,
  -- until there were options.messages (3).
  local function between_messages(n, heard, options)
    options = options or {}
    local most = options.messages or 3
    local bytes, server, plain = real.client_hello { ca = pki.ca }, secure { timeout = options.timeout }, real.listen()
    local modest, messages = {}, 0
    for i = 1, 2 do
      modest[i] = hand.client(plain)
      modest[i]:connect(("m"):rep(15) .. i)
    end
    local crowd = crowd_of(server, bytes)
    crowd:connect(n)
    real.wait("the modest", function() return plain:stats().connects == 2 end)
    plain:on("message", function()
      messages = messages + 1
      heard(crowd, server)
      if messages >= 2 and messages < most then modest[1]:send(text "again") end
    end)
    modest[1]:send(text "one")
    for i = 1, n do crowd:say(i) end
    modest[2]:send(text "other")
    socket.sleep(0.05) -- until all of it lies in the server's sockets
    real.wait("the messages", function() return messages == most end)
    return crowd, bytes
  end

  it("makes a step a round, then the others are heard", function()
    loop.engine():collect_always(false) -- or rounds are long ones, which have room for more
    local then_answered
    local crowd = between_messages(40, function(crowd) then_answered = #crowd:answered() end, { messages = 2 })
    assert.truthy(then_answered <= 4, then_answered)
    real.wait("all answers", function() return #crowd:answered() == 40 end)
  end)

  it("has a share of a busy server's rounds", function()
    local first = crowd_of(secure(), real.client_hello { ca = pki.ca })
    first:connect(5)
    local took = math.huge -- an answer, when the machine does nothing else meanwhile
    for i = 1, 5 do
      local began = socket.gettime()
      first:say(i)
      real.wait("an answer", function() return #first:answered() == i end)
      took = math.min(took, socket.gettime() - began)
    end
    local a_while = math.max(0.025, 8 * took) -- many steps would be made in that time
    local answered
    between_messages(40, function(crowd)
      socket.sleep(a_while)
      answered = #crowd:answered()
    end, { messages = 24 })
    assert.equal(40, answered)
  end)

  it("is served in the order it came in, whoever comes later", function()
    local bytes, server = real.client_hello { ca = pki.ca }, secure()
    local crowd = crowd_of(server, bytes)
    crowd:connect(60)
    local rounds_until = rounds_counted()
    for i = 1, 20 do crowd:say(i) end
    local said, rounds = 20, 0
    rounds_until("all answers", function()
      local n = #crowd:answered()
      for i = said + 1, math.min(60, said + 2) do crowd:say(i) end
      said, rounds = math.min(60, said + 2), rounds + 1
      if rounds % 2 == 0 then socket.sleep(0.005) end -- behind a long round there is room for more
      return n == 60
    end)
    local expected = {}
    for i = 1, 60 do expected[i] = i end
    assert.same(expected, crowd:answered())
  end)

  -- Who has begun is not behind all who have not.
  it("lets go on who has begun", function()
    loop.engine():collect_always(false)
    local crowd, answered
    local server = secure {
      authorize = function() -- the handshake is over
        answered = #crowd:answered()
        return true
      end,
    }
    crowd = crowd_of(server, real.client_hello { ca = pki.ca })
    crowd:connect(360)
    for i = 1, 150 do crowd:say(i) end
    real.connect(server, { tls = { ca = pki.ca } })
    -- Others come all the time: there are always 150 in front of who comes last.
    local said = 150
    real.wait("the client", function()
      local before = #crowd:answered() + 150
      for i = said + 1, math.min(360, before) do crowd:say(i) end
      said = math.max(said, math.min(360, before))
      return answered
    end)
    -- The client's second step and the server's would have waited for 150 others each.
    assert.truthy(answered < 300, answered)
  end)

  it("is nothing that a proxy's answer waits for", function()
    loop.engine():collect_always(false)
    local crowd = crowd_of(secure(), real.client_hello { ca = pki.ca })
    crowd:connect(200)
    local before
    local proxy = real.raw_server(nil, function(tunnel, bytes)
      if not bytes:find "^CONNECT" then
        before = before or #crowd:answered()
        return
      end
      for i = 1, 200 do crowd:say(i) end
      local function answer_behind_them()
        if #crowd:answered() > 0 then return tunnel:send "HTTP/1.1 200 OK\r\n\r\n" end
        dop.timer(0, answer_behind_them)
      end
      answer_behind_them()
    end)
    real.connect(nil, { url = "wss://127.0.0.1:1/", tls = { ca = pki.ca }, proxy = proxy.url:match("//(.*)/") })
    real.wait("the client's hello behind the proxy", function() return before end)
    assert.truthy(before < 100, before)
  end)

  -- How many rounds somebody waits for his answer who comes behind another and n more, of which each says `bytes`.
  -- They are those of the crowd behind the first `silent`.
  local function rounds_behind(crowd, silent, n, bytes)
    loop.engine():collect_always(false)
    local last = crowd_of(secure(), real.client_hello { ca = pki.ca })
    crowd:connect(silent)
    crowd:connect(n)
    last:connect(2)
    local rounds_until = rounds_counted()
    last:say(1) -- has all others queue
    for i = silent + 1, silent + n do crowd:say(i, bytes) end
    socket.sleep(0.02) -- until all of it lies in the server's sockets
    last:say(2)
    return rounds_until("the last", function() return #last:answered() == 2 end)
  end

  it("has no place for who was refused", function()
    local server = secure { max_sockets = 200 }
    local rounds = rounds_behind(crowd_of(server, real.client_hello { ca = pki.ca }), 200, 200)
    assert.equal(200, server:stats().refused_full)
    assert.truthy(rounds < 8, rounds)
  end)

  it("gives the turns of those on who have nothing to say", function()
    local rounds = rounds_behind(crowd_of(secure()), 0, 60, "\22")
    assert.truthy(rounds < 40, rounds)
  end)

  it("goes on without those who are dropped while they wait", function()
    local crowd = crowd_of(secure(), real.client_hello { ca = pki.ca })
    crowd:connect(40)
    local server, clients = secure(), {}
    for i = 1, 20 do clients[i] = real.connect(server, { tls = { ca = pki.ca } }) end
    local rounds_until = rounds_counted()
    for i = 1, 40 do crowd:say(i) end
    rounds_until("all dropped", function()
      local client = table.remove(clients)
      if client then client.node:drop() client:close() end
      return not client
    end)
    real.wait("all answers", function() return #crowd:answered() == 40 end)
  end)

  -- `heard` ends it while it waits: whoever comes then has his turn.
  local function ends(heard, options)
    local crowd, bytes = between_messages(100, heard, options)
    real.wait("all ends", function() return crowd:all_ended() end)
    assert.truthy(#crowd:answered() < 100, #crowd:answered())
    local next_crowd = crowd_of(secure(), bytes)
    next_crowd:connect(10)
    for i = 1, 10 do next_crowd:say(i) end
    real.wait("all answers", function() return #next_crowd:answered() == 10 end)
  end

  it("may end with its server", function()
    ends(function(_, server) server:close() end)
  end)

  it("may come too late for all but the first", function()
    -- The handlers outlast what a handshake may take, and then what an end may.
    ends(function() socket.sleep(0.4) end, { timeout = 0.3 })
  end)
end)
