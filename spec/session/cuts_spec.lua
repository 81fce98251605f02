--- The conversations of the protocol, however the network cuts them: what an end hears in each of the five
-- scenes, and what it refuses, fed whole, byte by byte, and cut in two at each point. The same must be
-- told to the application, and said to the peer, each time.

local core = require "dop.core"
local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"
local wire = require "spec.support.wire"
local text, binary = stream.text, stream.binary

-- Halves of this end, in the order of its sockets, and of the peer.
local OURS, OURS2 = ("A"):rep(20), ("C"):rep(20)
local HALF, OTHER = ("h"):rep(20), ("o"):rep(20)
local TOKEN = core.merge(OURS, HALF)

-- --- from where a conversation begins: each returns the socket on which it is heard ---
-- `w.holder` is the socket of another session, kept because a socket that nobody holds is given up.

local states = {}

local function open(w, role) return role == "server" and w:to_server() or w:from_client() end

function states.open(w, role)
  local p = open(w, role)
  if role == "client" then w.client.node:send("queued") end
  return p
end

function states.connected(w, role)
  local connect = role == "server" and w.connected_server or w.connected_client
  return (connect(w, HALF))
end

function states.back(w, role) -- the session waits for a socket, and has one that is new
  states.connected(w, role):lose()
  w[role]:nodes()[1]:send("queued")
  return open(w, role)
end

function states.late(w, role) -- the same, when a server has forgotten the session
  states.connected(w, role):lose()
  w:wait(60)
  return open(w, role)
end

function states.claimed(w) -- a second socket beside that of a session
  w.holder = states.connected(w, "server")
  return w:to_server()
end

function states.spaced(w) -- the same, within a second of a probe that was answered
  local holder = states.connected(w, "server")
  w.holder = holder
  local first = w:to_server()
  first:give(TOKEN)
  repeat
    local payload, opcode = holder:take()
    if opcode == frames.PING then holder:give(payload, frames.PONG) end
  until opcode == frames.PING
  return w:to_server()
end

function states.relayed(w) -- two sockets to which somebody relays the halves of each other
  local one, two = w:to_server(), w:to_server()
  w.holder = one
  one:give(OURS2):give(OURS2)
  return two
end

-- --- what came of it ---

local function show(value)
  if type(value) ~= "table" then return tostring(value) end
  local list = {}
  for _, entry in ipairs(value) do list[#list + 1] = entry.kind .. ":" .. entry.message end
  return "{" .. table.concat(list, " ") .. "}"
end

-- Everything that was told and said since, as one string; the node's status; the close code.
local function outcome(w, role, p)
  local out, events, names, count = {}, {}, {}, 0
  for i, e in ipairs(w.log) do
    assert(e.who == role, "an event of the other role")
    if not names[e.node] then count, names[e.node] = count + 1, count + 1 end
    out[i] = ("%d %s %s %s %s"):format(names[e.node], e.event, show(e[1]), show(e[2]), show(e[3]))
    if e.event ~= "status" then events[#events + 1] = e.event end
  end
  local code
  for _, frame in ipairs(p:pull().sent) do
    local payload = frame.payload
    if frame.opcode == frames.CLOSE then code = payload:byte(1) * 256 + payload:byte(2) end
    out[#out + 1] = ("said %d %q"):format(frame.opcode, payload)
  end
  out[#out + 1] = "ending " .. tostring((p.link:ending()))
  local status = {}
  for _, node in ipairs(w[role]:nodes()) do status[#status + 1] = node.status end
  return { text = table.concat(out, "\n"), status = table.concat(status, " "), code = code, events = events }
end

local function same(whole, other, how)
  if whole.text == other.text and whole.status == other.status then return end
  error(("whole:\n%s\n%s\n\n%s:\n%s\n%s"):format(whole.text, whole.status, how, other.text, other.status), 0)
end

-- Feeds the messages in every way. Returns what came of the whole.
local function hear(role, state, list)
  local bytes, edges = stream.bytes(role, list)
  return stream.cuts(bytes, edges, function(pieces, fast)
    local w = wire.new { [role] = { halves = { OURS, OURS2 } } }
    w.engine:collect_always(not fast)
    local p = states[state](w, role)
    p:pull()
    p.sent, w.log = {}, {}
    for _, piece in ipairs(pieces) do
      p.link:feed(piece)
      w:turn()
    end
    local got = outcome(w, role, p)
    stream.over(w, p)
    return got
  end, same)
end

-- A conversation after which the nodes have that status; `told` are the application's events but `status`.
local function scene(role, name, state, list, status, told)
  it(("%s (%s)"):format(name, role), function()
    local got = hear(role, state, list)
    assert.same(told, got.events)
    assert.equal(status, got.status)
  end)
end

-- A message, or several, that cost the socket.
local function refused(role, name, state, list, status, code)
  it(("%s: %d (%s)"):format(name, code or 1008, role), function()
    local got = hear(role, state, list)
    assert.equal(code or 1008, got.code)
    assert.equal(status, got.status)
  end)
end

local DATA = { text "data", binary "\0\255" }
local function and_data(...)
  local list = { ... }
  for _, message in ipairs(DATA) do list[#list + 1] = message end
  return list
end

describe("a scene, cut anywhere:", function()
  scene("server", "connection", "open", and_data(text(HALF), text(HALF)), "CONNECTED",
    { "connect", "message", "message" })
  scene("client", "connection", "open", and_data(text(HALF), text(HALF)), "CONNECTED",
    { "connect", "message", "message" })

  scene("server", "reconnection", "back", and_data(text(TOKEN)), "CONNECTED", { "reconnect", "message", "message" })
  scene("client", "reconnection", "back", and_data(text(OTHER), text(TOKEN)), "CONNECTED",
    { "reconnect", "message", "message" })

  local stranger = ("S"):rep(44)
  scene("server", "reconnection that becomes a connection", "open", and_data(text(stranger), text(stranger)),
    "CONNECTED", { "connect", "message", "message" })
  scene("client", "reconnection that becomes a connection", "back", and_data(text(OTHER), text(OTHER)),
    "CONNECTED", { "disconnect", "connect", "message", "message" })

  for _, role in ipairs(stream.ROLES) do
    scene(role, "disconnection", "connected", { text "data", text(TOKEN), text "left over" }, "",
      { "message", "close", "disconnect" })
  end

  scene("server", "forgetting", "late", and_data(text(TOKEN), text(TOKEN)), "CONNECTED",
    { "connect", "message", "message" })
  scene("client", "forgetting", "late", and_data(text(OTHER), text(OTHER)), "CONNECTED",
    { "disconnect", "connect", "message", "message" })
end)

describe("a refusal, cut anywhere:", function()
  local bad = {
    { "a half of no bytes", text "" },
    { "a half of 15 bytes", text(("a"):rep(15)) },
    { "a half of 257 bytes", text(("a"):rep(257)) },
    { "a half with a space", text(("a"):rep(15) .. " ") },
    { "a half with a character beyond ASCII", text(("a"):rep(15) .. "\195\164") },
    { "a half with a zero byte", text(("a"):rep(15) .. "\0") },
    { "a binary half", binary(HALF) },
    { "more than 1,024 bytes", text(("a"):rep(1025)) },
  }
  for _, case in ipairs(bad) do
    refused("server", case[1], "open", { case[2], text(HALF) }, "")
    refused("client", case[1], "open", { case[2], text(HALF) }, "OPEN")
    refused("client", case[1] .. " for an answer", "back", { case[2], text(HALF) }, "RECONNECTING")
  end

  -- What a socket says after the first half, but for that half.
  local second = { text(OTHER), text(HALF .. "x"), text "", binary(HALF), text(("a"):rep(1025)) }
  for i, message in ipairs(second) do
    local name = ("another second message, %d"):format(i)
    refused("server", name, "open", { text(HALF), message, text(HALF) }, "")
    refused("client", name, "open", { text(HALF), message, text(HALF) }, "OPEN")
    refused("client", name .. " for an answer", "back", { text(HALF), message, text(HALF) }, "RECONNECTING")
  end

  for _, own in ipairs { OURS, OURS:sub(1, 16), OURS .. "and more" } do
    refused("server", ("its own half, %d bytes"):format(#own), "open", { text(own), text(own) }, "")
    refused("client", ("its own half, %d bytes"):format(#own), "open", { text(own), text(own) }, "OPEN")
  end
  for _, own in ipairs { TOKEN, TOKEN:sub(1, 16), TOKEN .. "and more" } do
    refused("client", ("its own token, %d bytes"):format(#own), "back", { text(own), text(own) }, "RECONNECTING")
  end

  refused("server", "more than the token of a session that is CONNECTED", "claimed",
    { text(TOKEN), text "?" }, "CONNECTED")
  refused("server", "that token within a second of a probe", "spaced", { text(TOKEN) }, "CONNECTED", 1013)
  refused("server", "a token that is registered already", "relayed", { text(OURS), text(OURS) }, "CONNECTED")
end)
