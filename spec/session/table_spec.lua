--- The total table of docs/protocol.md: each status by each input, every cell a spec that bears its
-- name. The last spec compares the names here with those in the document, both ways.

local core = require "dop.core"
local cells = require "spec.support.cells"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

local quiet, said, seen = cells.quiet, cells.said, cells.seen

after_each(wire.close)

local HALF, OTHER = ("h"):rep(20), ("o"):rep(20)

--- The states -------------------------------------------------------------------------------------
-- Each function brings a fresh world to one row of the table: w, the node, and p, the socket's other
-- end that the spec holds (nil without a socket). What was said and seen so far is forgotten.

local function server_world()
  local w = wire.new { server = { queue_bytes = 100000, max_detached = 2 } }
  local lost, lost_token = w:connected_server(("l"):rep(16))
  lost:lose()
  local live, live_token = w:connected_server(("m"):rep(16))
  while live:take() do end
  return { w = w, transport = w.server, lost_token = lost_token, live = live, live_token = live_token,
    live_node = w:last("server", "connect").node }
end

local states = {}

states["S-OPEN"] = function()
  local c = server_world()
  c.p = c.w:to_server()
  c.node = c.w:last("server", "open").node
  return quiet(c)
end

states["S-WAIT"] = function()
  local c = states["S-OPEN"]()
  c.p:give(c.live_token)
  c.probe = c.live:take()
  return quiet(c)
end

states["S-PRE"] = function()
  local c = states["S-OPEN"]()
  c.p:give(HALF)
  c.heard = HALF
  return quiet(c)
end

states["S-CONN"] = function()
  local c = server_world()
  c.p, c.token = c.w:connected_server(HALF)
  c.heard = HALF
  c.node = c.w:last("server", "connect").node
  return quiet(c)
end

states["S-RECON"] = function()
  local c = states["S-CONN"]()
  c.p:lose()
  c.p = nil
  return quiet(c)
end

states["S-DISC"] = function()
  local c = states["S-CONN"]()
  c.p:give(c.token)
  return quiet(c)
end

local function client_world()
  local w = wire.new { client = { queue_bytes = 100000 } }
  local c = { w = w, transport = w.client, node = w.client.node, asked = 0 }
  core.values(w.client)[core.down] = { function() c.asked = c.asked + 1 end }
  return c
end

states["C-OPEN"] = function()
  local c = client_world()
  c.p = c.w:from_client()
  return quiet(c)
end

states["C-PRE"] = function()
  local c = states["C-OPEN"]()
  c.p:give(HALF)
  c.heard = HALF
  return quiet(c)
end

states["C-CONN"] = function()
  local c = client_world()
  c.p, c.token = c.w:connected_client(HALF)
  c.heard = HALF
  return quiet(c)
end

states["C-RECON"] = function()
  local c = states["C-CONN"]()
  c.p:lose()
  c.p = nil
  return quiet(c)
end

states["C-BACK"] = function()
  local c = states["C-RECON"]()
  c.p = c.w:from_client()
  return quiet(c)
end

states["C-RES"] = function()
  local c = states["C-BACK"]()
  c.p:give(OTHER)
  c.heard = OTHER
  return quiet(c)
end

states["C-DISC"] = function()
  local c = states["C-CONN"]()
  c.p:give(c.token)
  return quiet(c)
end

--- The inputs -------------------------------------------------------------------------------------

local function text(get)
  return function(c) c.p:give(get(c)) end
end

local inputs = {
  half = text(function(c) return c.heard and ("n"):rep(24) or HALF end),
  mirror = text(function(c) return c.token and c.token:sub(1, 16) or c.half end),
  again = text(function(c) return c.heard or HALF end),
  other = text(function() return ("q"):rep(30) end),
  lostT = text(function(c) return c.lost_token end),
  liveT = text(function(c) return c.live_token end),
  ownT = text(function(c) return c.token end),
  bad = text(function() return "too short" end),
  data = text(function() return "any text at all, with spaces" end),
  big = text(function() return ("b"):rep(1025) end),
  toobig = text(function() return ("b"):rep(1048577) end),
  heard = text(function() return "left over" end),
  binary = function(c) c.p:give(("x"):rep(20), frames.BINARY) end,
  lost = function(c) c.p:lose() end,
  late = function(c) c.w:wait(10) end,
  send = function(c) c.result = { c.node:send("queued") } end,
  disconnect = function(c) c.result = { c.node:disconnect() } c.w:turn() end,
  drop = function(c) c.result = { c.node:drop() } c.w:turn() end,
  pong = function(c) c.p:give("12345678", frames.PONG) end,
  shut = function(c) c.transport:end_sessions() c.w:turn() end,
  window = function(c) c.w:wait(60) end,
  giveup = function(c) c.transport:give_up("gaveup") c.w:turn() end,
  failed = function(c)
    local link = core.dial(c.w.client, "localhost", "/")
    link:lost("ECONNREFUSED", "connection refused")
    c.w:turn()
  end,
}

--- The cells --------------------------------------------------------------------------------------

local table_of_plain = cells.new(states, inputs)
local cell, each = table_of_plain.cell, table_of_plain.each

local function result(...)
  local expected = { ... }
  return function(c) for i, value in pairs(expected) do assert.equal(value, c.result[i]) end end
end

local accepted = { after = result(true) }
local closed = { after = function(c) assert.equal("CLOSED", c.result[3]) end }
local no_socket = { after = function(c) assert.equal("NOSOCKET", c.result[3]) end }

-- An OPEN node takes a text that could be a half for one.
local function as_half_or_bad(c)
  c.p:give(("d"):rep(16))
  assert.equal("PRECONNECTED", c.node.status)
  while c.p:take() do end
  c.p:give("not a half")
end

local function still_there(c) -- the session that was claimed, or refused to somebody, goes on
  assert.equal("CONNECTED", c.live_node.status)
  c.live:give("alive")
  assert.equal("alive", c.w:last("server", "message")[1])
end

-- Server, OPEN
cell("S-OPEN-open", "OPEN", function(c) return { c.node.token_local:reveal() } end, { "open" }, {
  input = function(c)
    c.p = c.w:to_server()
    c.node = c.w:last("server", "open").node
  end,
})
cell("S-OPEN-half", "PRECONNECTED", function(c) return { c.half } end, {})
each("S-OPEN", "mirror bad binary big", "DISCONNECTED", { 1008 }, { "close 1008" })
cell("S-OPEN-lostT", "DISCONNECTED", function(c) return { c.lost_token } end, {})
cell("S-OPEN-liveT", "OPEN", {}, {}, { after = function(c) assert.same({ "PING" }, said(c.live)) end })
cell("S-OPEN-liveT-spaced", "DISCONNECTED", { 1013 }, { "close 1013" }, {
  before = function(c)
    c.p:give(c.live_token)
    c.live:give(c.live:take(), frames.PONG)
    c.p = c.w:to_server()
    c.node = c.w:last("server", "open").node
  end,
  input = inputs.liveT,
  after = still_there,
})
cell("S-OPEN-data", "DISCONNECTED", { 1008 }, { "close 1008" }, { input = as_half_or_bad })
cell("S-OPEN-lost", "DISCONNECTED", {}, { "close 1006" })
cell("S-OPEN-late", "DISCONNECTED", { 1013 }, { "close 1013" })
cell("S-OPEN-send", "OPEN", {}, {}, accepted)
cell("S-OPEN-disconnect", "DISCONNECTED", { 1000 }, { "close 1000" }, accepted)
cell("S-OPEN-drop", "DISCONNECTED", {}, { "close -" }, accepted)
cell("S-OPEN-pong", "OPEN", {}, {})
cell("S-OPEN-shut", "DISCONNECTED", { 1001 }, { "close 1001" })

-- Server, OPEN and waiting for the probe
each("S-WAIT", "half again other mirror lostT liveT bad data binary big", "DISCONNECTED", { 1008 }, { "close 1008" },
  { after = still_there })
cell("S-WAIT-pong", "DISCONNECTED", { 1013 }, { "close 1013" }, {
  input = function(c) c.live:give(c.probe, frames.PONG) end,
  after = still_there,
})
local function taken_over(c)
  assert.equal("CONNECTED", c.live_node.status)
  c.p:give("here")
  assert.equal(c.live_node, c.w:last("server", "message").node)
end
cell("S-WAIT-nopong", "DISCONNECTED", function(c) return { c.live_token } end, {}, {
  input = function(c) c.w:wait(2) end,
  after = taken_over,
})
cell("S-WAIT-holder-lost", "DISCONNECTED", function(c) return { c.live_token } end, {}, {
  input = function(c) c.live:lose() end,
  after = taken_over,
})
cell("S-WAIT-holder-ended", "DISCONNECTED", { 1013 }, { "close 1013" }, {
  input = function(c) c.live:give(c.live_token) end,
})
cell("S-WAIT-replaced", "DISCONNECTED", { 1013 }, { "close 1013" }, {
  input = function(c)
    local newer = c.w:to_server()
    newer:give(c.live_token)
  end,
  after = still_there,
})
cell("S-WAIT-lost", "DISCONNECTED", {}, { "close 1006" }, {
  after = function(c)
    still_there(c)
    c.w:wait(5)
    assert.equal("CONNECTED", c.live_node.status)
  end,
})
cell("S-WAIT-late", "DISCONNECTED", { 1013 }, { "close 1013" }, {
  before = function(c) -- the newcomer's deadline is nearer than the probe's
    local w = wire.new { server = { probe_timeout = 60 } }
    c.w, c.transport = w, w.server
    c.live, c.live_token = w:connected_server(("m"):rep(16))
    c.live_node = w:last("server", "connect").node
    while c.live:take() do end
    c.p = w:to_server()
    c.node = w:last("server", "open").node
    c.p:give(c.live_token)
  end,
  after = still_there,
})
cell("S-WAIT-send", "OPEN", {}, {}, accepted)
cell("S-WAIT-disconnect", "DISCONNECTED", { 1000 }, { "close 1000" }, { after = still_there })
cell("S-WAIT-drop", "DISCONNECTED", {}, { "close -" }, { after = still_there })
cell("S-WAIT-shut", "DISCONNECTED", { 1013 }, { "close 1013" })
cell("S-WAIT-shut-older", "DISCONNECTED", { 1001 }, { "close 1001" }, {
  before = function(c) -- the holder loses its socket and comes back over one that is newer than c.p
    c.live:lose()
    c.p = c.w:to_server()
    c.node = c.w:last("server", "open").node
    c.live = c.w:to_server()
    c.live:give(c.live_token)
    assert.equal("CONNECTED", c.live_node.status)
    c.p:give(c.live_token)
  end,
  input = inputs.shut,
})

-- Server, PRECONNECTED
cell("S-PRE-again", "CONNECTED", { "queued" }, { "connect" }, {
  before = function(c) c.node:send("queued") end,
})
cell("S-PRE-again-taken", "DISCONNECTED", { 1008 }, { "close 1008" }, {
  before = function(c)
    local a = c.w:to_server()
    c.a, c.a_node = a, c.w:last("server", "open").node
    local half_a = a:take()
    -- The halves of the two sockets are relayed to each other; the other one is confirmed first.
    local b = c.w:to_server()
    c.node = c.w:last("server", "open").node
    local half_b = b:take()
    a:give(half_b):give(half_b)
    b:give(half_a)
    c.p, c.heard = b, half_a
  end,
  input = inputs.again,
  after = function(c) assert.equal("CONNECTED", c.a_node.status) end,
})
each("S-PRE", "other mirror lostT liveT bad data binary big", "DISCONNECTED", { 1008 }, { "close 1008" })
cell("S-PRE-lost", "DISCONNECTED", {}, { "close 1006" })
cell("S-PRE-late", "DISCONNECTED", { 1013 }, { "close 1013" })
cell("S-PRE-send", "PRECONNECTED", {}, {}, accepted)
cell("S-PRE-disconnect", "DISCONNECTED", { 1000 }, { "close 1000" }, accepted)
cell("S-PRE-drop", "DISCONNECTED", {}, { "close -" }, accepted)
cell("S-PRE-pong", "PRECONNECTED", {}, {})
cell("S-PRE-shut", "DISCONNECTED", { 1001 }, { "close 1001" })

-- Server, CONNECTED
cell("S-CONN-ownT", "DISCONNECTED", { 1000 }, { "close 1000", 'disconnect "peer"' })
each("S-CONN", "half again other lostT liveT bad data big", "CONNECTED", {}, { 'message "text"' })
cell("S-CONN-mirror", "CONNECTED", {}, { 'message "text"' })
cell("S-CONN-binary", "CONNECTED", {}, { 'message "binary"' })
cell("S-CONN-toobig", "RECONNECTING", { 1009 }, { "close 1009", "reconnecting" })
cell("S-CONN-lost", "RECONNECTING", {}, { "close 1006", "reconnecting" })
local function claim_own(c)
  c.newcomer = c.w:to_server()
  c.newcomer:take()
  c.newcomer:give(c.token)
end
cell("S-CONN-lost-waiting", "CONNECTED", {}, { "close 1006", "reconnecting", "reconnect" }, {
  before = claim_own,
  input = function(c) c.node:send("queued") while c.p:take() do end c.p:lose() end,
  after = function(c) assert.same({ c.token }, said(c.newcomer)) end,
})
cell("S-CONN-late", "RECONNECTING", { "PING" }, { "close 1006", "reconnecting" }, {
  input = function(c) c.w:wait(20) c.w:wait(10) end,
})
cell("S-CONN-send", "CONNECTED", { "queued" }, {}, accepted)
cell("S-CONN-disconnect", "DISCONNECTED", function(c) return { c.token, 1000 } end,
  { "close 1000", 'disconnect "local"' }, accepted)
cell("S-CONN-drop", "RECONNECTING", {}, { "close -", "reconnecting" }, accepted)
cell("S-CONN-claim", "CONNECTED", { "PING" }, {}, { input = claim_own })
cell("S-CONN-pong", "CONNECTED", {}, {}, {
  input = function(c)
    claim_own(c)
    c.p:give(c.p:take(), frames.PONG)
  end,
  after = function(c) assert.same({ 1013 }, said(c.newcomer)) end,
})
cell("S-CONN-pong-other", "CONNECTED", {}, {}, {
  before = claim_own,
  input = inputs.pong,
  after = function(c) assert.same({}, said(c.newcomer)) end,
})
cell("S-CONN-nopong", "CONNECTED", {}, { "close -", "reconnecting", "reconnect" }, {
  before = claim_own,
  input = function(c) c.w:wait(2) end,
  after = function(c)
    assert.same({ c.token }, said(c.newcomer))
    assert.same({ "dead", true }, { c.p.link:ending() })
  end,
})
cell("S-CONN-shut", "DISCONNECTED", { 1001 }, { "close 1001", 'disconnect "closed"' })

-- Server, RECONNECTING
cell("S-RECON-lostT", "CONNECTED", {}, { "reconnect" }, {
  input = function(c)
    c.node:send("queued")
    claim_own(c)
  end,
  after = function(c) assert.same({ c.token, "queued" }, said(c.newcomer)) end,
})
cell("S-RECON-window", "DISCONNECTED", {}, { 'disconnect "expired"' })
cell("S-RECON-cap", "DISCONNECTED", {}, { 'disconnect "evicted"' }, {
  before = function(c) -- max_detached is 2, and another is there already: it goes first
    c.live:lose()
    assert.equal("RECONNECTING", c.node.status)
  end,
  input = function(c)
    local one = c.w:connected_server(("v"):rep(16))
    one:lose()
  end,
})
cell("S-RECON-send", "RECONNECTING", {}, {}, accepted)
cell("S-RECON-disconnect", "DISCONNECTED", {}, { 'disconnect "local"' }, accepted)
cell("S-RECON-drop", "RECONNECTING", {}, {}, no_socket)
cell("S-RECON-shut", "DISCONNECTED", {}, { 'disconnect "closed"' })

-- Server, DISCONNECTED
cell("S-DISC-send", "DISCONNECTED", {}, {}, closed)
cell("S-DISC-disconnect", "DISCONNECTED", {}, {}, closed)
cell("S-DISC-drop", "DISCONNECTED", {}, {}, no_socket)
cell("S-DISC-heard", "DISCONNECTED", {}, {})

-- Client, OPEN
local retries = { asks = true, fresh = true }
local function local_end(reason) return ("disconnect %q"):format(reason) end
local function between(c) -- two attempts: the socket is lost, the next one is not there yet
  c.p:lose()
  c.p = nil
end
cell("C-OPEN-open", "OPEN", function(c) return { c.node.token_local:reveal() } end, { "open" }, {
  before = between,
  input = function(c) c.p = c.w:from_client() end,
})
cell("C-OPEN-half", "PRECONNECTED", function(c) return { c.half } end, {})
each("C-OPEN", "mirror bad binary big", "OPEN", { 1008 }, { "close 1008" }, retries)
cell("C-OPEN-data", "OPEN", { 1008 }, { "close 1008" }, { input = as_half_or_bad, asks = true })
cell("C-OPEN-lost", "OPEN", {}, { "close 1006" }, retries)
cell("C-OPEN-failed", "OPEN", {}, {}, {
  before = between,
  input = inputs.failed,
  asks = true,
})
cell("C-OPEN-late", "OPEN", { 1013 }, { "close 1013" }, retries)
cell("C-OPEN-send", "OPEN", {}, {}, accepted)
cell("C-OPEN-disconnect", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, accepted)
cell("C-OPEN-disconnect-between", "DISCONNECTED", {}, { local_end "local" }, {
  before = between,
  input = inputs.disconnect,
  after = accepted.after,
})
cell("C-OPEN-drop", "OPEN", {}, { "close -" }, retries)
cell("C-OPEN-drop-between", "OPEN", {}, {}, {
  before = between,
  input = inputs.drop,
  after = no_socket.after,
})
cell("C-OPEN-giveup", "DISCONNECTED", {}, { local_end "gaveup" }, {
  before = between,
  input = inputs.giveup,
})
cell("C-OPEN-pong", "OPEN", {}, {})
cell("C-OPEN-shut", "DISCONNECTED", { 1001 }, { "close 1001", local_end "closed" })
cell("C-OPEN-shut-between", "DISCONNECTED", {}, { local_end "closed" }, { before = between, input = inputs.shut })

-- Client, PRECONNECTED
cell("C-PRE-again", "CONNECTED", { "queued" }, { "connect" }, {
  before = function(c) c.node:send("queued") end,
})
each("C-PRE", "other mirror bad data binary big", "OPEN", { 1008 }, { "close 1008" }, retries)
cell("C-PRE-lost", "OPEN", {}, { "close 1006" }, retries)
cell("C-PRE-late", "OPEN", { 1013 }, { "close 1013" }, retries)
cell("C-PRE-send", "PRECONNECTED", {}, {}, accepted)
cell("C-PRE-disconnect", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, accepted)
cell("C-PRE-drop", "OPEN", {}, { "close -" }, retries)
cell("C-PRE-pong", "PRECONNECTED", {}, {})
cell("C-PRE-shut", "DISCONNECTED", { 1001 }, { "close 1001", local_end "closed" })

-- Client, CONNECTED
local asks = { asks = true }
cell("C-CONN-ownT", "DISCONNECTED", { 1000 }, { "close 1000", local_end "peer" })
each("C-CONN", "half again other mirror bad data big", "CONNECTED", {}, { 'message "text"' })
cell("C-CONN-binary", "CONNECTED", {}, { 'message "binary"' })
cell("C-CONN-toobig", "RECONNECTING", { 1009 }, { "close 1009", "reconnecting" }, asks)
cell("C-CONN-lost", "RECONNECTING", {}, { "close 1006", "reconnecting" }, asks)
cell("C-CONN-late", "RECONNECTING", { "PING" }, { "close 1006", "reconnecting" }, {
  input = function(c) c.w:wait(20) c.w:wait(10) end,
  asks = true,
})
cell("C-CONN-send", "CONNECTED", { "queued" }, {}, accepted)
cell("C-CONN-disconnect", "DISCONNECTED", function(c) return { c.token, 1000 } end,
  { "close 1000", local_end "local" }, accepted)
cell("C-CONN-drop", "RECONNECTING", {}, { "close -", "reconnecting" }, asks)
cell("C-CONN-pong", "CONNECTED", {}, {})
cell("C-CONN-shut", "DISCONNECTED", function(c) return { c.token, 1001 } end, { "close 1001", local_end "closed" })

-- Client, RECONNECTING without a socket
cell("C-RECON-open", "RECONNECTING", function(c) return { c.token } end, { "open" }, {
  input = function(c) c.p = c.w:from_client() end,
})
cell("C-RECON-failed", "RECONNECTING", {}, {}, asks)
cell("C-RECON-giveup", "DISCONNECTED", {}, { local_end "gaveup" })
cell("C-RECON-send", "RECONNECTING", {}, {}, accepted)
cell("C-RECON-disconnect", "DISCONNECTED", {}, { local_end "local" }, accepted)
cell("C-RECON-drop", "RECONNECTING", {}, {}, no_socket)
cell("C-RECON-shut", "DISCONNECTED", {}, { local_end "closed" })

-- Servers that know nothing and have long halves make the client's token longer than a half may be; then it comes
-- back once more.
local function outgrow(c)
  local p = c.p
  for i = 1, 3 do
    p:lose()
    p = c.w:from_client()
    local half = string.char(96 + i):rep(256)
    p:give(half):give(half)
  end
  p:lose()
  c.p, c.node = c.w:from_client(), c.w.client.node
  assert.truthy(#c.node.token:reveal() > 256)
end

local function refused(c) c.p:give(frames.u16(1008), frames.CLOSE) end

local function begins_anew(c)
  assert.are_not.equal(c.node, c.w.client.node)
  assert.equal("OPEN", c.w.client.node.status)
  assert.equal(22, #c.w:from_client():take())
end

-- Client, RECONNECTING with a socket on which it presented its token
cell("C-BACK-outgrown", "DISCONNECTED", { 1008 }, { "close 1008", local_end "unknown" }, {
  before = outgrow, input = refused, asks = true, after = begins_anew,
})
cell("C-BACK-half", "PRECONNECTED", {}, {})
each("C-BACK", "ownT mirror bad binary big", "RECONNECTING", { 1008 }, { "close 1008" }, asks)
cell("C-BACK-data", "RECONNECTING", { 1008 }, { "close 1008" }, { input = as_half_or_bad, asks = true })
cell("C-BACK-lost", "RECONNECTING", {}, { "close 1006" }, asks)
cell("C-BACK-late", "RECONNECTING", { 1013 }, { "close 1013" }, asks)
cell("C-BACK-send", "RECONNECTING", {}, {}, accepted)
cell("C-BACK-disconnect", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, accepted)
cell("C-BACK-drop", "RECONNECTING", {}, { "close -" }, asks)
cell("C-BACK-pong", "RECONNECTING", {}, {})
cell("C-BACK-shut", "DISCONNECTED", { 1001 }, { "close 1001", local_end "closed" })

-- Client, PRECONNECTED with a session
cell("C-RES-ownT", "CONNECTED", { "queued" }, { "reconnect" }, {
  before = function(c) c.node:send("queued") end,
})
cell("C-RES-again", "DISCONNECTED", function(c) return { c.token } end, { local_end "unknown" }, {
  after = function(c)
    local fresh = c.w.client.node
    assert.equal("CONNECTED", fresh.status)
    assert.equal(core.merge(c.token, OTHER), fresh.token:reveal())
    assert.same({ "connect" }, seen(c, fresh))
  end,
})
each("C-RES", "other mirror bad data binary big", "RECONNECTING", { 1008 }, { "close 1008" }, asks)
cell("C-RES-lost", "RECONNECTING", {}, { "close 1006" }, asks)
cell("C-RES-outgrown", "DISCONNECTED", { 1008 }, { "close 1008", local_end "unknown" }, {
  before = function(c)
    outgrow(c)
    c.p:give(OTHER)
  end,
  input = refused,
  asks = true,
  after = begins_anew,
})
cell("C-RES-late", "RECONNECTING", { 1013 }, { "close 1013" }, asks)
cell("C-RES-send", "PRECONNECTED", {}, {}, accepted)
cell("C-RES-disconnect", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, accepted)
cell("C-RES-drop", "RECONNECTING", {}, { "close -" }, asks)
cell("C-RES-pong", "PRECONNECTED", {}, {})
cell("C-RES-shut", "DISCONNECTED", { 1001 }, { "close 1001", local_end "closed" })

-- Client, DISCONNECTED
cell("C-DISC-send", "DISCONNECTED", {}, {}, closed)
cell("C-DISC-disconnect", "DISCONNECTED", {}, {}, closed)
cell("C-DISC-drop", "DISCONNECTED", {}, {}, no_socket)
cell("C-DISC-heard", "DISCONNECTED", {}, {})

describe("the total table", function() table_of_plain.define(it) end)

describe("a token that could be a half", function()
  it("is presented again after a 1008: the session may be there the next time", function()
    for _, name in ipairs { "C-BACK", "C-RES" } do
      local c = states[name]()
      refused(c)
      assert.equal("RECONNECTING", c.node.status)
      assert.equal(c.token, c.w:from_client():take())
    end
  end)
end)
