--- The states of lossless sessions in the total table of docs/protocol.md, and the inputs: each state is a
-- function that brings a fresh world to it, each input one that does what its name says. For
-- spec/session/table_r1_spec.lua; see cells.lua.

local core = require "dop.core"
local cells = require "spec.support.cells"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

local quiet = cells.quiet

local HALF, OTHER = ("h"):rep(20), ("o"):rep(20)
local LIMITS = "\16p60000 1048576 1048576 1024"
local OURS = "^p60000 1048576 1048576 1024"
local GONE = "^x"

local function instruction(text) return (text:gsub("%^", "\16")) end

--- Sockets ----------------------------------------------------------------------------------------

-- To the server: the spec is the client, of that principal.
local function to_server(w, user)
  local p = w:to_server(true)
  p.link:feed(wire.REQUEST .. "Sec-WebSocket-Protocol: dop, dop.r1\r\n" ..
    (user and "User: " .. user .. "\r\n" or "") .. "\r\n")
  w:turn()
  w.kept = { p, w.kept } -- a link that is collected is a socket that is lost
  return p:pull()
end

-- From the client: the spec is the server, and selects dop.r1, or what else is given.
local function from_client(w, selected)
  local p = w:from_client(true)
  p.head = w:answer_to(p.head):gsub("(Sec%-WebSocket%-Protocol: )[^\r]*", "%1" .. (selected or "dop.r1"))
  p.link:feed(p.head)
  w:turn()
  return p:pull()
end

--- The states -------------------------------------------------------------------------------------

local states = {}

local function server_world()
  local w = wire.new { server = { lossless = true, max_detached = 2, max_unconfirmed = 2 } }
  core.configure(w.server, function(request) return request.headers.user or "ada" end, false)
  local plain, plain_token = w:connected_server(("l"):rep(16))
  w.kept = { plain, w.kept }
  return { w = w, transport = w.server, plain_token = plain_token, asked = 0 }
end

local function begin(c, half)
  local p = to_server(c.w)
  local theirs = p:take()
  p:give(half)
  p:take()
  return p, core.merge(half, theirs)
end

-- A session of which the server delivered two messages and the client none of its three.
local function live(c)
  local p, token = begin(c, HALF)
  p:give(HALF)
  p:take()
  p:give(LIMITS)
  local node = c.w:last("server", "connect").node
  for i = 1, 2 do p:give("c" .. i) end
  for i = 1, 3 do node:send("s" .. i) end
  while p:take() do end
  return p, token, node
end

states["S-LIVE"] = function()
  local c = server_world()
  c.p, c.token, c.node = live(c)
  return quiet(c)
end

states["S-EARLY"] = function()
  local c = server_world()
  c.p, c.token = begin(c, HALF)
  c.p:give(HALF)
  c.node = c.w:last("server", "connect").node
  return quiet(c)
end

states["S-NEW"] = function()
  local c = server_world()
  c.holder_p, c.token, c.holder = live(c)
  c.p = to_server(c.w)
  c.node = c.w:last("server", "open").node
  return quiet(c)
end

states["S-HALF"] = function()
  local c = server_world()
  c.p, c.token = begin(c, HALF)
  c.node = c.w:last("server", "open").node
  return quiet(c)
end

states["S-HELD"] = function()
  local c = states["S-HALF"]()
  c.p:lose()
  c.p = nil
  return quiet(c)
end

states["S-AWAY"] = function()
  local c = states["S-LIVE"]()
  c.p:lose()
  c.p = nil
  return quiet(c)
end

states["S-ENDING"] = function()
  local c = states["S-LIVE"]()
  c.node:disconnect()
  return quiet(c)
end

local function client_world()
  local w = wire.new { client = { lossless = true } }
  local c = { w = w, transport = w.client, node = w.client.node, asked = 0 }
  core.values(w.client)[core.down] = { function() c.asked = c.asked + 1 end }
  return c
end

states["C-HALF"] = function()
  local c = client_world()
  c.p = from_client(c.w)
  local theirs = c.p:take()
  c.p:give(HALF)
  c.token = core.merge(HALF, theirs)
  return quiet(c)
end

states["C-HELD"] = function()
  local c = states["C-HALF"]()
  c.p:lose()
  c.p = nil
  return quiet(c)
end

states["C-LIVE"] = function()
  local c = states["C-HALF"]()
  c.p:give(HALF)
  c.p:give(LIMITS)
  for i = 1, 2 do c.p:give("s" .. i) end
  for i = 1, 3 do c.node:send("c" .. i) end
  return quiet(c)
end

states["C-AWAY"] = function()
  local c = states["C-LIVE"]()
  c.p:lose()
  c.p = nil
  return quiet(c)
end

states["C-ASKED"] = function()
  local c = states["C-AWAY"]()
  c.p = from_client(c.w)
  return quiet(c)
end

states["C-TOLD"] = function()
  local c = states["C-ASKED"]()
  c.p:give(OTHER)
  return quiet(c)
end

states["C-ENDING"] = function()
  local c = states["C-LIVE"]()
  c.node:disconnect()
  return quiet(c)
end

--- The inputs -------------------------------------------------------------------------------------

local function gives(text)
  text = instruction(text)
  return function(c) c.p:give(text) end
end

-- The session is asked for on the state's socket, or on another one.
local function asks_for(what, user, socket)
  return function(c)
    local p = c.p
    if socket then
      p = to_server(c.w, user)
      p:take()
      c.newcomer = p
    end
    p:give((c.token or "") .. " r " .. what)
  end
end

local inputs = {
  half = gives(OTHER),
  again = gives(HALF),
  other = gives(("q"):rep(30)),
  bad = gives "two words",
  binary = function(c) c.p:give(("x"):rep(20), frames.BINARY) end,
  ownT = function(c) c.p:give(c.token) end,
  plainT = function(c) c.p:give(c.plain_token) end,
  data = gives "data",
  literal = gives "^m^text",
  mark = gives "^z",
  ack = gives "^a2",
  ["ack-high"] = gives "^a4",
  ["ack-low"] = function(c) c.p:give "\16a2" c.p:give "\16a1" end,
  limits = gives(OURS),
  ["limits-shrink"] = gives "^p60000 1048576 1048576 9",
  ["end"] = gives "^d2",
  ["end-high"] = gives "^d4",
  toobig = function(c) c.p:give(("b"):rep(1048577)) end,
  resume = asks_for("1 1", nil, true),
  stale = asks_for("0 1", nil, true),
  stranger = asks_for("1 1", "eve", true),
  impossible = asks_for("1 4", nil, true),
  lost = function(c) c.p:lose() end,
  late = function(c) c.w:wait(10) end,
  send = function(c) c.result = { c.node:send("queued") } end,
  disconnect = function(c) c.result = { c.node:disconnect() } c.w:turn() end,
  drop = function(c) c.result = { c.node:drop() } c.w:turn() end,
  shut = function(c) c.transport:end_sessions() c.w:turn() end,
  window = function(c) c.w:wait(60) end,
  giveup = function(c) c.transport:give_up("gaveup") c.w:turn() end,
  failed = function(c)
    core.dial(c.w.client, "localhost", "/"):lost("ECONNREFUSED", "connection refused")
    c.w:turn()
  end,
  resumed = gives "^r1 2",
  ["resumed-other"] = gives "^r2 2",
  ["resumed-high"] = gives "^r1 4",
  gone = gives "^x",
  ["gone-counted"] = gives "^x2",
  ["gone-ended"] = gives "^x2 d",
  ["gone-impossible"] = gives "^x4",
}

-- For as long as a ping and its answer may take.
local function silence(c)
  c.w:wait(20)
  c.w:wait(10)
end

local function close_code(code)
  return function(c) c.p:give(frames.u16(code), frames.CLOSE) end
end

return {
  to_server = to_server,
  from_client = from_client,
  begin = begin,
  gives = gives,
  asks_for = asks_for,
  silence = silence,
  close_code = close_code,
  HALF = HALF,
  OTHER = OTHER,
  LIMITS = LIMITS,
  OURS = OURS,
  GONE = GONE,
  states = states,
  inputs = inputs,
}
