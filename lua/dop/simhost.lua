--- What a simulated world is to lua/dop: its host (see dop.loop), with a virtual clock in place of the
-- system's, a network in place of its sockets and a seed in place of its randomness. Also who belongs to
-- which process, and the trace. Loads no driver.

local clock = require "dop.clock"
local core = require "dop.core"
local inproc = require "dop.inproc"
local log = require "dop.log"

local simhost = {}

-- Rounds of handlers that may follow each other in one millisecond: who answers each message with
-- another one in the same process must not stop the clock.
local ROUNDS = 16

-- --- the trace ---

local Host = {}
Host.__index = Host

function Host:log(format, ...)
  local lines = self.lines
  if lines then lines[#lines + 1] = ("%10.3f %s\n"):format(self.clock.now / 1000, format:format(...)) end
end

--- A transport's, or a node's, name in the trace: client1, server1.3 (its third node).
function Host:name(subject)
  local named = self.named[subject]
  if named then return named end
  local transport = subject.transport
  local values = core.values(transport)
  values.nodes_named = (values.nodes_named or 0) + 1
  named = ("%s.%d"):format(self:name(transport), values.nodes_named)
  self.named[subject] = named
  return named
end

-- What the trace says of each event of the machine.
local told = {
  open = function() return "has a socket" end,
  close = function(code, why) return ("lost its socket: %s %s"):format(code or "-", why) end,
  connect = function() return "connect" end,
  reconnecting = function(why) return "reconnecting: " .. why end,
  reconnect = function(info) return ("reconnect: away %.3f, replayed %d"):format(info.away, info.replayed) end,
  disconnect = function(why, unsettled) return ("disconnect: %s, %d unsettled"):format(why, #unsettled) end,
  status = function(new, old, why) return ("%s -> %s%s"):format(old, new, why and ": " .. why or "") end,
  drain = function() return "drain" end,
  down = function(why) return "has no socket: " .. why end,
  over = function() return "is over: no further attempt, or nobody is let in any more" end,
}

-- --- processes ---

local function new_process() return { transports = {} } end

-- To whom belongs what is made now: to the process that is being run, or whose handler or timer is.
local function owner_of(self)
  if self.process then return self.process end
  local transport = self.machine:telling()
  return transport and core.values(transport).process
end

local function made(self, transport, url)
  local process = owner_of(self) or new_process()
  if process.dead then
    core.kill(transport)
    error("this process was killed and makes nothing any more", 0)
  end
  local role = transport.role
  self.made_so_far[role] = (self.made_so_far[role] or 0) + 1
  self.named[transport] = role .. self.made_so_far[role]
  core.values(transport).process = process
  process.transports[#process.transports + 1] = transport
  self:log("%s is made: %s", self:name(transport), url)
end

-- Runs the process's program until it ends or waits in dop.run().
local function resume(self, process)
  local before = self.process
  self.process, process.waits = process, false
  local ok, err = coroutine.resume(process.program)
  self.process = before
  if ok and not process.waits and coroutine.status(process.program) ~= "dead" then
    return false, "a program may not yield; start a coroutine with dop.go"
  end
  return ok, err
end

--- Runs fn as the program of a process, which Host:kill takes.
function Host:run_process(fn)
  local process = new_process()
  process.program = coroutine.create(fn)
  local ok, err = resume(self, process)
  if not ok then error(err, 0) end
  return process
end

-- dop.run() in a program waits for its own dop.stop().
local function wait_for_stop(self)
  local process = self.process
  if not process or coroutine.running() ~= process.program then return false end
  process.waits = true
  coroutine.yield()
  return true
end

-- Once the current handlers have returned, the program that waits goes on.
local function stop(self)
  local process = owner_of(self)
  if not process or not process.waits then
    self.stopped = true
    return
  end
  process.waits = false
  self:later(0, function()
    if process.dead then return end
    local ok, err = resume(self, process)
    if not ok then self.complain("error in a program: " .. debug.traceback(process.program, tostring(err))) end
  end)
end

--- The process dies without a word to it: sockets reset, names are free, timers do not come.
function Host:kill(process)
  if process.dead then return false end
  process.dead = true
  for _, transport in ipairs(process.transports) do
    if not transport.closed then self:log("fault: %s is killed", self:name(transport)) end
    local values = core.values(transport)
    local release = values.unbind and values.unbind()
    if release then release() end
    if values.cancel then values.cancel() end
    values.unbind, values.cancel = nil, nil
    core.kill(transport)
  end
  return true
end

-- --- the loop that the application sees ---

local driver = {}
driver.__index = driver

local function refuse(what)
  return function() error(("a world runs already: dop.loop():%s is not for it"):format(what), 2) end
end

for _, what in ipairs { "step", "pollfd", "timeout" } do driver[what] = refuse(what) end

function driver:run()
  if wait_for_stop(self.host) then return true end
  error("a world runs already: dop.run waits in a program of world:process only", 2)
end

function driver:stop() stop(self.host) end
function driver:now() return self.host.clock.now / 1000 end
function driver:running() return self.host.running end
function driver.hold() end -- a world goes on for as long as it was told to
function driver.release() end

function driver:timer(seconds, fn)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= 1e9) then
    error("bad argument #1 to 'timer' (seconds between 0 and 1e9 expected)", 2)
  end
  if type(fn) ~= "function" then
    error(("bad argument #2 to 'timer' (function expected, got %s)"):format(type(fn)), 2)
  end
  local host = self.host
  local ms = math.max(1, math.ceil(seconds * 1000))
  return host.clock:add(host.clock.now + ms, fn, owner_of(host) or false)
end

-- Something of ours at that time, which belongs to no process.
function Host:later(ms, fn)
  return self.clock:add(self.clock.now + ms, fn)
end

-- --- names and connections ---

local function place(where, port)
  if where.socket then return where.socket end
  local name = where.host:lower()
  if name == "0.0.0.0" or name == "::" then name = "*" end
  return name .. ":" .. (port or where.port)
end

function driver:listen(server, where)
  local host = self.host
  local port = tonumber(where.port)
  if port == 0 then
    host.port = host.port + 1
    port = host.port
  end
  local at = place(where, port)
  -- Nothing is encrypted in a world, but who dials the wrong kind of port is told so.
  core.values(server).secure = where.tls
  if host.listening[at] then return nil, "cannot listen: address already in use", "EADDRINUSE" end
  host.listening[at] = server
  local listener = {}
  function listener.close()
    if host.listening[at] == server then host.listening[at] = nil end
  end
  function listener.secure() return true end -- what driver.tls made
  return listener, port
end

-- The attempt gets to the other machine.
local function arrive(self, number, client, where, seconds)
  local server = self.listening[place(where)] or where.port and self.listening["*:" .. where.port]
  if self.clock.now < self.refusing or not server then
    self:later(math.ceil(seconds * 1000), function()
      self.network:refuse(number, "ECONNREFUSED", "connection refused")
    end)
    return
  end
  if self.clock.now < (core.values(server).hole or 0) then return end
  local values = core.values(server)
  if where.tls ~= values.secure then
    self:later(math.ceil(seconds * 1000), function()
      if where.tls then
        self.network:refuse(number, "TLS_NOTTLS", "no TLS is spoken there; is the URL ws:?")
      else
        self.network:refuse(number, "UPGRADE", "the server answered with status 400: it speaks TLS")
      end
    end)
    return
  end
  local address = ("10.0.0.1:%d"):format(10000 + number % 50000)
  if self.network:answer(number, server, where.socket and "unix" or address) then
    self:log("connection %d: %s to %s", number, self:name(client), self:name(server))
  end
end

-- The options were checked; certificates are not looked at.
function driver.tls() return true end

function driver:dial(client, where)
  if where.tunnel then return nil, "a simulated network has no proxies", "PROXY" end
  local host = self.host
  local number, seconds, code = host.network:call(client, where.authority, where.target, where.headers)
  if not number then return nil, seconds, code end
  host:log("%s dials %s, connection %d", host:name(client), where.socket or where.authority, number)
  -- Into a hole: nothing comes back until the client's own patience ends.
  if host.clock.now < math.max(host.hole, core.values(client).hole or 0) then return true end
  host:later(math.ceil(seconds * 1000), function() arrive(host, number, client, where, seconds) end)
  return true
end

-- --- time ---

local function advance(self, to)
  self.clock.now = to
  self.machine:advance(to / 1000)
end

-- Lets everything happen that can without time passing. Whether something is left all the same.
local function settle(self)
  local more = self.network:turn()
  for _ = 2, ROUNDS do
    if not more or self.stopped then break end
    more = self.network:turn()
  end
  return more
end

local function run_timers(self)
  local fn, owner = self.clock:due()
  while fn do
    if owner == nil then
      fn()
    elseif not owner or not owner.dead then
      self.process = owner or nil
      self.machine:call(fn, "a timer")
      self.process = nil
    end
    if self.stopped then return end
    fn, owner = self.clock:due()
  end
end

--- Lets that much time pass, or less when the application stops it. Runs handlers.
function Host:drive(seconds)
  local now = self.clock.now
  local finish = now + math.floor(seconds * 1000 + 0.5)
  while true do
    local more = settle(self)
    if self.stopped then return end
    now = self.clock.now
    local at = self.clock:next() or math.huge
    local machine = self.machine:next()
    if machine then at = math.min(at, now + math.floor(machine * 1000 + 0.5)) end
    if more then at = math.min(at, now + 1) end
    if at > finish then return advance(self, finish) end
    advance(self, math.max(at, now))
    run_timers(self)
    if self.stopped then return end
  end
end

--- options: seed, least and most (latency in seconds), trace.
function simhost.new(options)
  local machine = core.engine(options.seed)
  local self = setmetatable({
    machine = machine,
    network = core.network(machine, options.seed, options.least, options.most),
    clock = clock.new(),
    random = core.generator(options.seed, 2),
    names = inproc.names(),
    listening = {},
    named = setmetatable({}, { __mode = "k" }),
    made_so_far = {},
    port = 49151,
    hole = 0,     -- ms; until then attempts hang
    refusing = 0, -- ms; until then they are refused
    complaints = {},
    lines = options.trace and {} or nil,
  }, Host)
  local loop = setmetatable({ host = self }, driver)
  function self.engine() return machine end
  function self.get() return loop end
  function self.stop() loop:stop() end
  function self.made(transport, url) made(self, transport, url) end
  local function note(text)
    self.complaints[#self.complaints + 1] = text
    self:log("complaint: %s", text:match("^[^\n]*"))
  end
  function self.complain(text)
    if not log.feed("complaint", text) then io.stderr:write("dop: ", text, "\n") end
    note(text)
  end
  machine:watch(function(event, subject, ...)
    if event == "complaint" then
      note(subject)
    elseif self.lines and told[event] then
      self:log("%s %s", self:name(subject), told[event](...))
    end
    return log.feed(event, subject, ...)
  end)
  return self
end

return simhost
