--- Seeded schedules of broken networks against the real machine of both ends: run.lua SCHEDULES SEED
--
-- A virtual clock, one client, one server, and a network that delivers any number of bytes at a time,
-- cuts at any byte, lets one end notice before the other, falls silent, and lets the server forget.
-- Plain DOP may lose what was on the way; it may never double, reorder or change a message, confuse two
-- sessions, or fail to come back once the network is calm. The last line says how many schedules ran
-- and how many failed; a failing one is named by the command that replays it. Exit 0: none failed.

local core = require "dop.core"
local wire = require "spec.support.wire"

local MESSAGES, FAULTS = 50, 3 -- at least, in each direction and in each schedule

local coverage = {}

local function cover(what) coverage[what] = (coverage[what] or 0) + 1 end

-- What the total table of docs/protocol.md lets a status become, and for which reasons a session ends
-- there. Whatever is not here is a fault, however well the schedule ends otherwise.
local changes = {
  server = {
    ["OPEN->PRECONNECTED"] = true, ["OPEN->DISCONNECTED"] = true,
    ["PRECONNECTED->CONNECTED"] = true, ["PRECONNECTED->DISCONNECTED"] = true,
    ["CONNECTED->RECONNECTING"] = true, ["CONNECTED->DISCONNECTED"] = { "peer", "local", "closed" },
    ["RECONNECTING->CONNECTED"] = true,
    ["RECONNECTING->DISCONNECTED"] = { "expired", "evicted", "local", "closed" },
  },
  client = {
    ["OPEN->PRECONNECTED"] = true, ["OPEN->DISCONNECTED"] = { "local", "closed", "gaveup" },
    ["PRECONNECTED->CONNECTED"] = true, ["PRECONNECTED->OPEN"] = true, ["PRECONNECTED->RECONNECTING"] = true,
    ["PRECONNECTED->DISCONNECTED"] = { "unknown", "local", "closed" },
    ["CONNECTED->RECONNECTING"] = true, ["CONNECTED->DISCONNECTED"] = { "peer", "local", "closed" },
    ["RECONNECTING->PRECONNECTED"] = true,
    ["RECONNECTING->DISCONNECTED"] = { "gaveup", "local", "closed" },
  },
}

local function among(list, value)
  for _, one in ipairs(list) do if one == value then return true end end
  return false
end

-- Park and Miller's generator: the same numbers on every Lua.
local function generator(seed)
  local state = (seed * 7919 + 13) % 2147483646 + 1
  return function(n)
    state = state * 16807 % 2147483647
    return state % n
  end
end

local schedule = {}
schedule.__index = schedule

local function new(seed)
  local s = setmetatable({ random = generator(seed), sent = {}, heard = {}, faults = 0, nodes = {} }, schedule)
  s.w = wire.new { server = { resume_window = 60 } }
  s.w.engine:collect_always(false)
  for _, who in ipairs { "server", "client" } do
    s.sent[who], s.heard[who] = 0, {}
    s.w[who]:on("message", function(node, message) s:hear(who, node, message) end)
    s.w[who]:on("status", function(node, now, before, why) s:change(who, node, now, before, why) end)
    s.w[who]:on("disconnect", function(node, reason, unsettled)
      s:over(who, node, reason)
      s:settle(who, node, unsettled)
    end)
    -- A handler that raises is contained: what the checks in them found is raised by the next step.
    s.w[who]:on("error", function(_, message) s.found = s.found or message end)
    s.w[who]:on("close", function(_, code) cover(who .. " close " .. tostring(code)) end)
  end
  core.values(s.w.client)[core.down] = { function() s.dial_at = s.w.engine:now() + s.random(3000) / 1000 end }
  s.dial_at = s.w.engine:now()
  return s
end

local function body(number) return ("%d:%s"):format(number, ("x"):rep(number * 37 % 300)) end

local function other(who) return who == "server" and "client" or "server" end

-- A node's status changed: from the one that it had, to one that the table has for it.
function schedule:change(who, node, now, before, why)
  local known = self.nodes[node] or { status = before }
  self.nodes[node] = known
  if known.status ~= before then error(("%s was %s and left %s"):format(who, known.status, before)) end
  local change = before .. "->" .. now
  local reasons = changes[who][change]
  if not reasons then error(("%s %s is not in the table"):format(who, change)) end
  if reasons ~= true and not among(reasons, why) then
    error(("%s %s is not in the table for %q"):format(who, change, tostring(why)))
  end
  known.status, known.why = now, why
  cover(who .. " " .. change)
end

-- A session ended: once, after the change of status, and for the same reason.
function schedule:over(who, node, reason)
  local known = self.nodes[node] or {}
  if known.status ~= "DISCONNECTED" or known.over then
    error(("%s disconnect %q in %s"):format(who, reason, tostring(known.status)))
  end
  if known.why ~= reason then error(("%s disconnect %q after status %q"):format(who, reason, tostring(known.why))) end
  known.over = true
  cover(who .. " disconnect " .. reason)
end

-- A message came: it must be one that the other end sent, whole, and later than all before it.
function schedule:hear(who, _, message)
  local number = tonumber(message:match("^(%d+):"))
  local last = self.heard[who].last or 0
  if not number or message ~= body(number) then error(who .. " heard a changed message") end
  if number <= last then error(("%s heard message %d after %d"):format(who, number, last)) end
  if number > self.sent[other(who)] then error(who .. " heard a message that was never sent") end
  self.heard[who].last = number
  self.heard[who][number] = true
  cover(who .. " message")
end

-- What is handed back at the end of a session was not heard by the other end, though later messages may
-- have been: over the session that came after it.
function schedule:settle(who, _, unsettled)
  local heard, last = self.heard[other(who)], 0
  for _, entry in ipairs(unsettled) do
    local number = tonumber(entry.message:match("^(%d+):"))
    if entry.message ~= body(number) then error(who .. " got a changed message back") end
    if heard[number] then error(("%s got message %d back, which was heard"):format(who, number)) end
    if number <= last then error(("%s got message %d back after %d"):format(who, number, last)) end
    last = number
    cover(who .. " unsent")
  end
end

function schedule:send(who)
  local node
  if who == "client" then
    node = self.w.client.node
  else
    for _, n in ipairs(self.w.server:nodes()) do
      if n.status == "CONNECTED" or n.status == "RECONNECTING" then node = n end
    end
  end
  if not node then return end
  local ok, _, code = node:send(body(self.sent[who] + 1), self.random(2) == 0 and "text" or "binary")
  if ok then self.sent[who] = self.sent[who] + 1 else cover(who .. " send " .. code) end
end

-- --- the network: one socket at a time, and old ones whose server end has not noticed yet ---

function schedule:dial()
  self.dial_at = nil
  self.socket = {
    client = core.dial(self.w.client, "localhost", "/"),
    server = core.accept(self.w.server, "127.0.0.1:7"),
    to = { client = "", server = "" }, -- bytes on the way
  }
  cover("sockets")
end

-- Brings what the links have to say onto the wire, and ends to the other end.
function schedule:collect()
  local socket = self.socket
  if not socket then return end
  socket.to.server = socket.to.server .. socket.client:output()
  socket.to.client = socket.to.client .. socket.server:output()
  for _, who in ipairs { "client", "server" } do
    local ending = socket[who]:ending()
    if (ending == "dead" or ending == "over" or ending == "fin") and socket.to[other(who)] == "" then
      self:lose(socket, "client")
      self:lose(socket, "server")
      self.socket = nil
      return
    end
  end
end

function schedule:lose(socket, who)
  socket[who]:lost()
  self.w:turn()
end

function schedule:deliver(who, most)
  local socket = self.socket
  if not socket or socket.to[who] == "" then return end
  local n = math.min(#socket.to[who], most)
  local bytes = socket.to[who]:sub(1, n)
  socket.to[who] = socket.to[who]:sub(n + 1)
  socket[who]:feed(bytes)
  self.w:turn()
end

-- --- faults ---

local faults = {
  function(self) -- both ends notice at once; what was on the way is lost
    cover("fault cut")
    local socket = self.socket
    self.socket = nil
    self:lose(socket, "server")
    self:lose(socket, "client")
  end,
  function(self) -- the client notices, the server keeps a dead socket: the probe must decide
    cover("fault half-open")
    local socket = self.socket
    self.socket = nil
    self.stale = self.stale or {}
    table.insert(self.stale, socket)
    self:lose(socket, "client")
  end,
  function(self) -- nothing gets through for longer than liveness waits
    cover("fault blackhole")
    self.w:wait(45)
  end,
  function(self) -- away for longer than the window
    cover("fault forgotten")
    local socket = self.socket
    self.socket = nil
    self:lose(socket, "server")
    self.w:wait(61)
    self:lose(socket, "client")
  end,
  function(self) -- the application drops its own socket
    local who = self.random(2) == 0 and "client" or "server"
    cover("fault drop by " .. who)
    for _, node in ipairs(self.w[who]:nodes()) do node:drop { reset = true } end
    self.w:turn()
  end,
}

function schedule:fault()
  if not self.socket then return end
  self.faults = self.faults + 1
  faults[self.random(#faults) + 1](self)
end

-- Raises what a handler found.
function schedule:judge()
  if self.found then error(self.found, 0) end
end

function schedule:step()
  self:collect()
  if self.dial_at and self.w.engine:now() >= self.dial_at then self:dial() end
  local what = self.random(100)
  if what < 25 then
    self:send("client")
  elseif what < 50 then
    self:send("server")
  elseif what < 70 then
    self:deliver("client", 1 + self.random(200))
  elseif what < 90 then
    self:deliver("server", 1 + self.random(200))
  elseif what < 97 then
    self.w:wait(self.random(500) / 1000)
  elseif self.faults < 40 then
    self:fault()
  end
  self.w:turn()
  self:judge()
end

-- The network heals: both ends must come to one session that carries messages both ways.
function schedule:calm()
  for _ = 1, 400 do
    self:collect()
    if self.dial_at and self.w.engine:now() >= self.dial_at then self:dial() end
    self:deliver("client", 1e9)
    self:deliver("server", 1e9)
    self:collect()
    if not self.socket or self.w.client.node.status ~= "CONNECTED" then self.w:wait(0.5) end
  end
  local client = self.w.client.node
  if client.status ~= "CONNECTED" then error("the client is " .. client.status .. " after the calm") end
  local same
  for _, node in ipairs(self.w.server:nodes()) do
    if node.token == client.token and node.status == "CONNECTED" then same = node end
  end
  if not same then error("the server has no CONNECTED node with the client's token") end
  local before = { self.heard.client.last or 0, self.heard.server.last or 0 }
  self.sent.client, self.sent.server = self.sent.client + 1, self.sent.server + 1
  client:send(body(self.sent.client))
  same:send(body(self.sent.server))
  for _ = 1, 4 do
    self:collect()
    self:deliver("client", 1e9)
    self:deliver("server", 1e9)
  end
  if self.heard.client.last == before[1] or self.heard.server.last == before[2] then
    error("a message after the calm did not arrive")
  end
  self:judge()
end

local function run(seed)
  local s = new(seed)
  local steps = 0
  while (s.sent.client < MESSAGES or s.sent.server < MESSAGES or s.faults < FAULTS) and steps < 20000 do
    s:step()
    steps = steps + 1
  end
  s:calm()
  wire.close()
  s:judge()
  for _, socket in ipairs(s.stale or {}) do s:lose(socket, "server") end
end

-- What a run of some size must have reached; a count of zero would mean that nothing was proved there.
local wanted = {
  "client OPEN->PRECONNECTED", "client PRECONNECTED->CONNECTED", "client CONNECTED->RECONNECTING",
  "client RECONNECTING->PRECONNECTED", "client PRECONNECTED->RECONNECTING", "client PRECONNECTED->OPEN",
  "client PRECONNECTED->DISCONNECTED", "client disconnect unknown", "client disconnect closed",
  "server OPEN->PRECONNECTED", "server PRECONNECTED->CONNECTED", "server CONNECTED->RECONNECTING",
  "server RECONNECTING->CONNECTED", "server RECONNECTING->DISCONNECTED", "server OPEN->DISCONNECTED",
  "server PRECONNECTED->DISCONNECTED", "server disconnect expired", "client message", "server message",
  "client unsent", "server unsent", "fault cut", "fault half-open", "fault blackhole", "fault forgotten",
  "fault drop by client", "fault drop by server",
}

local function main(schedules, seed)
  local failed = 0
  local from = os.clock()
  for i = seed, seed + schedules - 1 do
    local ok, why = xpcall(run, debug.traceback, i)
    if not ok then
      failed = failed + 1
      print(("schedule %d: %s\n  replay: make sim SCHEDULES=1 SEED=%d"):format(i, why, i))
    end
  end
  local names = {}
  for name in pairs(coverage) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do print(("%10d  %s"):format(coverage[name], name)) end
  local missing = 0
  if schedules >= 500 then
    for _, name in ipairs(wanted) do
      if not coverage[name] then
        missing = missing + 1
        print("never reached: " .. name)
      end
    end
  end
  print(("%.0f schedules a second"):format(schedules / math.max(os.clock() - from, 1e-3)))
  print(("%d schedules, %d failed"):format(schedules, failed))
  os.exit(failed == 0 and missing == 0 and 0 or 1, true)
end

main(tonumber(arg[1]) or 5000, tonumber(arg[2]) or 1)
