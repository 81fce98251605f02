--- The total table of docs/protocol.md for lossless sessions: each status by each input, every cell a
-- spec that bears its name. The last spec compares the names here with those in the document.

local cells = require "spec.support.cells"
local given = require "spec.support.lossless_states"
local wire = require "spec.support.wire"

local said, seen = cells.said, cells.seen
local HALF, OTHER, LIMITS, OURS, GONE = given.HALF, given.OTHER, given.LIMITS, given.OURS, given.GONE
local to_server, from_client, begin = given.to_server, given.from_client, given.begin
local gives, asks_for, silence, close_code = given.gives, given.asks_for, given.silence, given.close_code

after_each(wire.close)

--- What follows -----------------------------------------------------------------------------------

local r1 = cells.new(given.states, given.inputs)
local cell, each = r1.cell, r1.each

local function local_end(why) return ("disconnect %q"):format(why) end

-- What came back at the end, each message with its fate.
local function back(...)
  local expected = { ... }
  return function(c)
    local event = c.w:last(c.transport.role, "disconnect")
    local list = {}
    for i, entry in ipairs(event[2]) do list[i] = entry.message .. " " .. entry.fate end
    assert.same(expected, list)
  end
end

local function both(...)
  local all = { ... }
  return function(c) for _, check in ipairs(all) do check(c) end end
end

local function result(...)
  local expected = { ... }
  return function(c) for i, value in pairs(expected) do assert.equal(value, c.result[i]) end end
end

local function newcomer_hears(...)
  local expected = { ... }
  return function(c) assert.same(expected, said(c.newcomer)) end
end

local accepted = { after = result(true) }
local closed = { after = function(c) assert.equal("CLOSED", c.result[3]) end }
local no_socket = { after = function(c) assert.equal("NOSOCKET", c.result[3]) end }
local asks = { asks = true }
local unknown_server = back("s1 unknown", "s2 unknown", "s3 unknown")
local unknown_client = back("c1 unknown", "c2 unknown", "c3 unknown")

-- The session that was asked for goes on where it was.
local function holder_unharmed(c)
  assert.equal("CONNECTED", c.holder.status)
  c.holder_p:give "alive"
  local last = c.w:last("server", "message")
  assert.equal(c.holder, last.node)
  assert.equal("alive", last[1])
end

-- The session has the newcomer's socket: what was not confirmed is written again, a message comes in.
local function goes_on(answer, ...)
  local expected = { answer, OURS, ... }
  return function(c)
    local p = c.newcomer or c.p
    assert.same(expected, said(p))
    p:give(LIMITS)
    p:give "here"
    assert.equal(c.holder or c.node, c.w:last("server", "message").node)
  end
end

-- The client's new node.
local function fresh_node(status)
  return function(c)
    assert.are_not.equal(c.node, c.w.client.node)
    assert.equal(status, c.w.client.node.status)
  end
end

--- Server, a new socket ---------------------------------------------------------------------------
cell("S-NEW-half", "PRECONNECTED", function(c) return { c.half } end, {})
cell("S-NEW-live", "DISCONNECTED", {}, {}, {
  input = function(c) asks_for("1 1")(c) c.newcomer, c.p = c.p, nil end,
  after = goes_on("^r1 2", "s2", "s3"),
})
cell("S-NEW-away", "DISCONNECTED", {}, {}, {
  input = function(c)
    c.holder_p:lose()
    asks_for("1 1")(c)
    c.newcomer, c.p = c.p, nil
  end,
  after = goes_on("^r1 2", "s2", "s3"),
})
cell("S-NEW-stale", "DISCONNECTED", { 4409 }, { "close 4409" }, { input = asks_for "0 1", after = holder_unharmed })
cell("S-NEW-stranger", "DISCONNECTED", { 4403 }, { "close 4403" }, {
  before = function(c)
    c.p = to_server(c.w, "eve")
    c.node = c.w:last("server", "open").node
  end,
  input = asks_for "1 1",
  after = holder_unharmed,
})
cell("S-NEW-impossible", "DISCONNECTED", { 4400 }, { "close 4400" }, {
  input = asks_for "1 4",
  after = function(c)
    assert.equal("DISCONNECTED", c.holder.status)
    assert.same({ "close 4400", local_end "protocol" }, seen(c, c.holder))
  end,
})
cell("S-NEW-gone", "OPEN", { GONE }, {}, { input = gives(("t"):rep(40) .. " r 1 0") })
cell("S-NEW-tomb", "OPEN", { "^x2" }, {}, {
  before = function(c)
    c.holder_p:lose()
    c.w:wait(61)
    c.p = to_server(c.w)
    c.node = c.w:last("server", "open").node
  end,
  input = asks_for "1 1",
})
cell("S-NEW-tomb-ended", "OPEN", { "^x2 d" }, {}, {
  before = function(c) c.holder_p:give "\16d3" end,
  input = asks_for "1 1",
})
cell("S-NEW-tomb-stranger", "OPEN", { GONE }, {}, {
  before = function(c)
    c.holder_p:give "\16d3"
    c.p = to_server(c.w, "eve")
    c.node = c.w:last("server", "open").node
  end,
  input = asks_for "1 1",
})
cell("S-NEW-twice", "DISCONNECTED", { GONE, 1008 }, { "close 1008" }, {
  input = function(c)
    c.p:give(("t"):rep(40) .. " r 1 0")
    asks_for("1 1")(c)
  end,
  after = holder_unharmed,
})
cell("S-NEW-gone-half", "PRECONNECTED", function(c) return { GONE, c.half } end, {}, {
  input = function(c)
    c.p:give(("t"):rep(40) .. " r 1 0")
    c.p:give(HALF)
  end,
})
cell("S-NEW-plain", "DISCONNECTED", { 1008 }, { "close 1008" }, {
  input = function(c) c.p:give(c.plain_token .. " r 1 0") end,
})
each("S-NEW", "ownT plainT bad binary", "DISCONNECTED", { 1008 }, { "close 1008" }, { after = holder_unharmed })
cell("S-NEW-number", "DISCONNECTED", { 1008 }, { "close 1008" }, { input = asks_for "01 1", after = holder_unharmed })
cell("S-NEW-lost", "DISCONNECTED", {}, { "close 1006" })
cell("S-NEW-late", "DISCONNECTED", { 1013 }, { "close 1013" })

--- Server, half-confirmed -------------------------------------------------------------------------
cell("S-HALF-again", "CONNECTED", { OURS }, { "connect" })
each("S-HALF", "other bad binary", "DISCONNECTED", { 1008 }, { "close 1008" }, {
  after = function(c)
    asks_for("1 0", nil, true)(c)
    newcomer_hears(GONE)(c)
  end,
})
cell("S-HALF-resume", "CONNECTED", { 4001 }, { "close 4001", "connect" }, {
  input = asks_for("1 0", nil, true),
  after = goes_on "^r1 0",
})
cell("S-HALF-stale", "PRECONNECTED", {}, {}, { after = newcomer_hears(4409) })
cell("S-HALF-stranger", "PRECONNECTED", {}, {}, { after = newcomer_hears(4403) })
cell("S-HALF-impossible", "DISCONNECTED", { 4400 }, { "close 4400" }, { after = newcomer_hears(4400) })
cell("S-HALF-lost", "RECONNECTING", {}, { "close 1006" })
cell("S-HALF-late", "RECONNECTING", { 1013 }, { "close 1013" })
cell("S-HALF-drop", "RECONNECTING", {}, { "close -" }, accepted)
cell("S-HALF-send", "PRECONNECTED", {}, {}, accepted)
cell("S-HALF-disconnect", "DISCONNECTED", { 1000 }, { "close 1000" }, accepted)
cell("S-HALF-shut", "DISCONNECTED", { 1001 }, { "close 1001" })

cell("S-HELD-resume", "CONNECTED", {}, { "connect" }, {
  input = asks_for("1 0", nil, true),
  after = goes_on "^r1 0",
})
cell("S-HELD-stale", "RECONNECTING", {}, {}, { after = newcomer_hears(4409) })
cell("S-HELD-stranger", "RECONNECTING", {}, {}, { after = newcomer_hears(4403) })
cell("S-HELD-impossible", "DISCONNECTED", {}, {}, { after = newcomer_hears(4400) })
cell("S-HELD-late", "DISCONNECTED", {}, {}, {
  after = function(c)
    asks_for("1 0", nil, true)(c)
    newcomer_hears("^x0")(c)
  end,
})
cell("S-HELD-cap", "DISCONNECTED", {}, {}, {
  input = function(c) for i = 1, 2 do begin(c, ("%020d"):format(i)):lose() end end,
})
cell("S-HELD-send", "RECONNECTING", {}, {}, accepted)
cell("S-HELD-disconnect", "DISCONNECTED", {}, {}, accepted)
cell("S-HELD-drop", "RECONNECTING", {}, {}, no_socket)
cell("S-HELD-shut", "DISCONNECTED", {}, {})

--- Server, CONNECTED ------------------------------------------------------------------------------
cell("S-EARLY-limits", "CONNECTED", {}, {})
each("S-EARLY", "data ack end binary literal", "DISCONNECTED", { 4400 }, { "close 4400", local_end "protocol" })
cell("S-EARLY-ownT", "DISCONNECTED", { 1000 }, { "close 1000", local_end "peer" })

cell("S-LIVE-data", "CONNECTED", {}, { 'message "text"' })
cell("S-LIVE-literal", "CONNECTED", {}, { 'message "text"' }, {
  after = function(c) assert.equal("\16text", c.w:last("server", "message")[1]) end,
})
cell("S-LIVE-binary", "CONNECTED", {}, { 'message "binary"' })
cell("S-LIVE-second", "CONNECTED", { "^a2" }, {}, { input = function(c) c.w:wait(1) end })
cell("S-LIVE-ack", "CONNECTED", {}, {}, { after = function(c) assert.equal(1, c.node.unacked) end })
cell("S-LIVE-end", "DISCONNECTED", { "^d2", 1000 }, { "close 1000", local_end "peer" }, {
  after = back("s3 undelivered"),
})
cell("S-LIVE-ownT", "DISCONNECTED", { "^a2", 1000 }, { "close 1000", local_end "peer" }, { after = unknown_server })
each("S-LIVE", "ack-high end-high mark limits", "DISCONNECTED", { "^a2", 4400 },
  { "close 4400", local_end "protocol" }, { after = unknown_server })
cell("S-LIVE-ack-low", "DISCONNECTED", { "^a2", 4400 }, { "close 4400", local_end "protocol" },
  { after = back("s3 unknown") })
cell("S-LIVE-toobig", "DISCONNECTED", { "^a2", 1009 }, { "close 1009", local_end "protocol" },
  { after = unknown_server })
cell("S-LIVE-send", "CONNECTED", { "queued" }, {}, accepted)
cell("S-LIVE-disconnect", "CONNECTED", { "^d2" }, {}, accepted)
cell("S-LIVE-drop", "RECONNECTING", {}, { "close -", "reconnecting" }, accepted)
cell("S-LIVE-lost", "RECONNECTING", {}, { "close 1006", "reconnecting" })
cell("S-LIVE-late", "RECONNECTING", { "^a2", "PING" }, { "close 1006", "reconnecting" }, { input = silence })
for name, code in pairs { frame = 1002, kind = 1003, utf = 1007, size = 1009, count = 4400 } do
  cell("S-LIVE-fatal-" .. name, "DISCONNECTED", { code }, { "close " .. code, local_end "protocol" },
    { input = close_code(code), after = unknown_server })
end
for name, code in pairs { closed = 1008, taken = 4001 } do
  cell("S-LIVE-" .. name, "RECONNECTING", { code }, { "close " .. code, "reconnecting" }, { input = close_code(code) })
end
cell("S-LIVE-resume", "CONNECTED", { 4001 }, { "close 4001", "reconnecting", "reconnect" }, {
  after = goes_on("^r1 2", "s2", "s3"),
})
cell("S-LIVE-stale", "CONNECTED", {}, {}, { after = newcomer_hears(4409) })
cell("S-LIVE-stranger", "CONNECTED", {}, {}, { after = newcomer_hears(4403) })
cell("S-LIVE-impossible", "DISCONNECTED", { "^a2", 4400 }, { "close 4400", local_end "protocol" },
  { after = both(newcomer_hears(4400), unknown_server) })
cell("S-LIVE-shut", "DISCONNECTED", { "^a2", 1001 }, { "close 1001", local_end "closed" }, { after = unknown_server })

--- Server, closing --------------------------------------------------------------------------------
each("S-ENDING", "data binary literal ack", "CONNECTED", {}, {})
cell("S-ENDING-end", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, { after = back("s3 undelivered") })
each("S-ENDING", "ack-high end-high mark limits", "DISCONNECTED", { 4400 },
  { "close 4400", local_end "local" }, { after = unknown_server })
cell("S-ENDING-ownT", "DISCONNECTED", { 1000 }, { "close 1000", local_end "peer" }, { after = unknown_server })
cell("S-ENDING-late", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, {
  input = function(c) c.w:wait(5) end,
  after = unknown_server,
})
cell("S-ENDING-lost", "DISCONNECTED", {}, { "close 1006", local_end "local" }, { after = unknown_server })
cell("S-ENDING-resume", "DISCONNECTED", { 4001 }, { "close 4001", local_end "local" }, {
  after = both(newcomer_hears("^x2 d"), back("s2 undelivered", "s3 undelivered")),
})
cell("S-ENDING-stale", "CONNECTED", {}, {}, { after = newcomer_hears(4409) })
cell("S-ENDING-stranger", "CONNECTED", {}, {}, { after = newcomer_hears(4403) })
cell("S-ENDING-impossible", "DISCONNECTED", { 4400 }, { "close 4400", local_end "local" },
  { after = both(newcomer_hears(4400), unknown_server) })
cell("S-ENDING-send", "CONNECTED", {}, {}, closed)
cell("S-ENDING-disconnect", "CONNECTED", {}, {}, closed)
cell("S-ENDING-drop", "DISCONNECTED", {}, { "close -", local_end "local" },
  { after = both(result(true), unknown_server) })
cell("S-ENDING-shut", "CONNECTED", {}, {})

--- Server, RECONNECTING ---------------------------------------------------------------------------
cell("S-AWAY-resume", "CONNECTED", {}, { "reconnect" }, { after = goes_on("^r1 2", "s2", "s3") })
cell("S-AWAY-stale", "RECONNECTING", {}, {}, { after = newcomer_hears(4409) })
cell("S-AWAY-stranger", "RECONNECTING", {}, {}, { after = newcomer_hears(4403) })
cell("S-AWAY-impossible", "DISCONNECTED", {}, { local_end "protocol" },
  { after = both(newcomer_hears(4400), unknown_server) })
cell("S-AWAY-window", "DISCONNECTED", {}, { local_end "expired" }, { after = unknown_server })
cell("S-AWAY-cap", "DISCONNECTED", {}, { local_end "evicted" }, {
  input = function(c)
    for i = 1, 2 do
      local half = ("%020d"):format(i)
      local p = begin(c, half)
      p:give(half)
      p:lose()
    end
  end,
  after = unknown_server,
})
cell("S-AWAY-send", "RECONNECTING", {}, {}, {
  after = function(c)
    assert.is_true(c.result[1])
    asks_for("1 3", nil, true)(c)
    goes_on("^r1 2", "queued")(c)
  end,
})
cell("S-AWAY-disconnect", "DISCONNECTED", {}, { local_end "local" }, { after = both(result(true), unknown_server) })
cell("S-AWAY-drop", "RECONNECTING", {}, {}, no_socket)
cell("S-AWAY-shut", "DISCONNECTED", {}, { local_end "closed" }, { after = unknown_server })

--- Client, half-confirmed -------------------------------------------------------------------------
cell("C-HALF-again", "CONNECTED", { OURS }, { "connect" })
cell("C-HALF-lost", "RECONNECTING", {}, { "close 1006" }, asks)
cell("C-HALF-drop", "RECONNECTING", {}, { "close -" }, { asks = true, after = result(true) })
each("C-HALF", "other bad binary", "RECONNECTING", { 1008 }, { "close 1008" }, asks)
cell("C-HALF-late", "RECONNECTING", { 1013 }, { "close 1013" }, asks)
cell("C-HALF-send", "PRECONNECTED", {}, {}, accepted)
cell("C-HALF-disconnect", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, accepted)
cell("C-HALF-shut", "DISCONNECTED", { 1001 }, { "close 1001", local_end "closed" })

cell("C-HELD-open", "RECONNECTING", function(c) return { c.token .. " r 1 0" } end, { "open" }, {
  input = function(c) c.p = from_client(c.w) end,
})
cell("C-HELD-gone", "PRECONNECTED", function(c)
  local fresh = c.node.token_local:reveal()
  return { c.token .. " r 1 0", fresh, fresh }
end, { "open" }, {
  input = function(c)
    c.p = from_client(c.w)
    c.p:give(OTHER)
    c.p:give "\16x"
  end,
  fresh = true,
})
cell("C-HELD-plain", "OPEN", function(c) return { c.node.token_local:reveal() } end, { "open" }, {
  input = function(c) c.p = from_client(c.w, "dop") end,
  fresh = true,
})
cell("C-HELD-failed", "RECONNECTING", {}, {}, asks)
cell("C-HELD-send", "RECONNECTING", {}, {}, accepted)
cell("C-HELD-disconnect", "DISCONNECTED", {}, { local_end "local" }, accepted)
cell("C-HELD-giveup", "DISCONNECTED", {}, { local_end "gaveup" })
cell("C-HELD-shut", "DISCONNECTED", {}, { local_end "closed" })

--- Client, CONNECTED ------------------------------------------------------------------------------
cell("C-LIVE-data", "CONNECTED", {}, { 'message "text"' })
cell("C-LIVE-literal", "CONNECTED", {}, { 'message "text"' })
cell("C-LIVE-binary", "CONNECTED", {}, { 'message "binary"' })
cell("C-LIVE-second", "CONNECTED", { "^a2" }, {}, { input = function(c) c.w:wait(1) end })
cell("C-LIVE-ack", "CONNECTED", {}, {}, { after = function(c) assert.equal(1, c.node.unacked) end })
cell("C-LIVE-end", "DISCONNECTED", { "^d2", 1000 }, { "close 1000", local_end "peer" }, {
  after = back("c3 undelivered"),
})
cell("C-LIVE-ownT", "DISCONNECTED", { "^a2", 1000 }, { "close 1000", local_end "peer" }, { after = unknown_client })
each("C-LIVE", "ack-high end-high mark limits", "DISCONNECTED", { "^a2", 4400 },
  { "close 4400", local_end "protocol" }, { asks = true, after = both(unknown_client, fresh_node "OPEN") })
cell("C-LIVE-toobig", "DISCONNECTED", { "^a2", 1009 }, { "close 1009", local_end "protocol" },
  { asks = true, after = unknown_client })
cell("C-LIVE-send", "CONNECTED", { "queued" }, {}, accepted)
cell("C-LIVE-disconnect", "CONNECTED", { "^d2" }, {}, accepted)
cell("C-LIVE-drop", "RECONNECTING", {}, { "close -", "reconnecting" }, { asks = true, after = result(true) })
cell("C-LIVE-lost", "RECONNECTING", {}, { "close 1006", "reconnecting" }, asks)
cell("C-LIVE-late", "RECONNECTING", { "^a2", "PING" }, { "close 1006", "reconnecting" },
  { input = silence, asks = true })
cell("C-LIVE-fatal", "DISCONNECTED", { 1007 }, { "close 1007", local_end "protocol" },
  { input = close_code(1007), asks = true, after = both(unknown_client, fresh_node "OPEN") })
cell("C-LIVE-taken", "DISCONNECTED", { 4001 }, { "close 4001", local_end "taken" },
  { input = close_code(4001), after = both(unknown_client, function(c) assert.is_true(c.w.client.closed) end) })
cell("C-LIVE-closed", "RECONNECTING", { 1001 }, { "close 1001", "reconnecting" },
  { input = close_code(1001), asks = true })
cell("C-LIVE-shut", "CONNECTED", { "^d2" }, {}, {
  after = function(c)
    c.p:give "\16d3"
    assert.equal("DISCONNECTED", c.node.status)
    assert.equal("closed", c.w:last("client", "disconnect")[1])
  end,
})

--- Client, closing --------------------------------------------------------------------------------
each("C-ENDING", "data binary literal ack", "CONNECTED", {}, {})
cell("C-ENDING-end", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, { after = back("c3 undelivered") })
each("C-ENDING", "ack-high end-high mark limits", "DISCONNECTED", { 4400 },
  { "close 4400", local_end "local" }, { after = unknown_client })
cell("C-ENDING-ownT", "DISCONNECTED", { 1000 }, { "close 1000", local_end "peer" }, { after = unknown_client })
cell("C-ENDING-late", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, {
  input = function(c) c.w:wait(5) end,
  after = unknown_client,
})
cell("C-ENDING-lost", "DISCONNECTED", {}, { "close 1006", local_end "local" }, { after = unknown_client })
cell("C-ENDING-send", "CONNECTED", {}, {}, closed)
cell("C-ENDING-disconnect", "CONNECTED", {}, {}, closed)
cell("C-ENDING-drop", "DISCONNECTED", {}, { "close -", local_end "local" },
  { after = both(result(true), unknown_client) })
cell("C-ENDING-shut", "CONNECTED", {}, {})

--- Client, RECONNECTING ---------------------------------------------------------------------------
cell("C-AWAY-open", "RECONNECTING", function(c) return { c.token .. " r 1 2" } end, { "open" }, {
  input = function(c) c.p = from_client(c.w) end,
})
cell("C-AWAY-plain", "DISCONNECTED", function(c) return { c.w.client.node.token_local:reveal() } end,
  { "open", local_end "unknown" }, {
  input = function(c) c.p = from_client(c.w, "dop") end,
  after = both(unknown_client, fresh_node "OPEN"),
})
cell("C-AWAY-failed", "RECONNECTING", {}, {}, asks)
cell("C-AWAY-send", "RECONNECTING", {}, {}, accepted)
cell("C-AWAY-disconnect", "DISCONNECTED", {}, { local_end "local" }, { after = unknown_client })
cell("C-AWAY-giveup", "DISCONNECTED", {}, { local_end "gaveup" }, { after = unknown_client })
cell("C-AWAY-drop", "RECONNECTING", {}, {}, no_socket)
cell("C-AWAY-shut", "DISCONNECTED", {}, { local_end "closed" }, { after = unknown_client })

cell("C-ASKED-half", "PRECONNECTED", {}, {})
each("C-ASKED", "ownT resumed gone bad binary", "DISCONNECTED", { 4400 }, { "close 4400", local_end "protocol" },
  { asks = true, after = both(unknown_client, fresh_node "OPEN") })
cell("C-ASKED-lost", "RECONNECTING", {}, { "close 1006" }, asks)
cell("C-ASKED-late", "RECONNECTING", { 1013 }, { "close 1013" }, asks)
cell("C-ASKED-send", "RECONNECTING", {}, {}, accepted)
cell("C-ASKED-disconnect", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, { after = unknown_client })
cell("C-ASKED-drop", "RECONNECTING", {}, { "close -" }, asks)
cell("C-ASKED-shut", "DISCONNECTED", { 1001 }, { "close 1001", local_end "closed" }, { after = unknown_client })

cell("C-TOLD-resumed", "CONNECTED", { OURS, "c3" }, { "reconnect" })
each("C-TOLD", "resumed-other resumed-high data ack limits end other binary", "DISCONNECTED", { 4400 },
  { "close 4400", local_end "protocol" }, { asks = true, after = both(unknown_client, fresh_node "OPEN") })
local function fresh_half_twice(c)
  local fresh = c.w.client.node.token_local:reveal()
  return { fresh, fresh }
end
cell("C-TOLD-gone", "DISCONNECTED", fresh_half_twice, { local_end "unknown" }, {
  after = both(unknown_client, fresh_node "PRECONNECTED"),
})
cell("C-TOLD-gone-impossible", "DISCONNECTED", fresh_half_twice, { local_end "unknown" }, { after = unknown_client })
cell("C-TOLD-gone-counted", "DISCONNECTED", fresh_half_twice, { local_end "unknown" }, {
  after = both(back("c3 undelivered"), fresh_node "PRECONNECTED"),
})
cell("C-TOLD-gone-ended", "DISCONNECTED", { 1000 }, { "close 1000", local_end "peer" }, {
  after = both(back("c3 undelivered"), function(c) assert.is_true(c.w.client.closed) end),
})
for name, code in pairs { stale = 4409, stranger = 4403, refused = 4400 } do
  cell("C-TOLD-" .. name, "DISCONNECTED", { code }, { "close " .. code, local_end "protocol" },
    { input = close_code(code), asks = true, after = both(unknown_client, fresh_node "OPEN") })
end
for name, code in pairs { closed = 1008, taken = 4001 } do
  cell("C-TOLD-" .. name, "RECONNECTING", { code }, { "close " .. code }, { input = close_code(code), asks = true })
end
cell("C-TOLD-lost", "RECONNECTING", {}, { "close 1006" }, asks)
cell("C-TOLD-late", "RECONNECTING", { 1013 }, { "close 1013" }, asks)
cell("C-TOLD-send", "PRECONNECTED", {}, {}, accepted)
cell("C-TOLD-disconnect", "DISCONNECTED", { 1000 }, { "close 1000", local_end "local" }, { after = unknown_client })
cell("C-TOLD-drop", "RECONNECTING", {}, { "close -" }, asks)
cell("C-TOLD-shut", "DISCONNECTED", { 1001 }, { "close 1001", local_end "closed" }, { after = unknown_client })

describe("the total table of dop.r1", function() r1.define(it) end)
