--- Specs over real sockets: the loop is run until something has happened, never for a time, and every
-- wait has a bound. A full garbage collection runs after every handler. `real.close()` in an
-- after_each leaves nothing behind.

local dop = require "dop"
local loop = require "dop.loop"

local real = {}

local open, raw = {}, {}

loop.engine():collect_always(true)

--- Runs the loop until `condition()` is true, which is asked each millisecond or `every` so many seconds;
-- fails after `seconds` (5), saying what was awaited; SLOW in the environment is how often they count.
function real.wait(what, condition, seconds, every)
  local late = false
  local deadline = dop.timer((seconds or 5) * (tonumber(os.getenv "SLOW") or 1), function()
    late = true
    dop.stop()
  end)
  local function poll()
    if condition() or late then return dop.stop() end
    real.poll = dop.timer(every or 0.001, poll)
  end
  if not condition() then
    poll()
    local ok, why = dop.run()
    if real.poll then real.poll:stop() end
    deadline:stop()
    if not ok then error(why) end
  end
  deadline:stop()
  if not condition() then error("waited in vain for " .. what, 2) end
end

--- dop.listen on a free port of 127.0.0.1 (or options.url), closed at the end of the spec.
function real.listen(options)
  options = options or {}
  options.url = options.url or "ws://127.0.0.1:0/dop"
  local server = assert(dop.listen(options))
  open[#open + 1] = server
  return server
end

--- dop.connect with a policy that tries again after 10 ms, closed at the end of the spec.
function real.connect(server, options)
  options = options or {}
  options.url = options.url or server.url
  options.retry = options.retry or function() return 0.01 end
  local client = assert(dop.connect(options))
  open[#open + 1] = client
  return client
end

--- A server that echoes, and a client of it that is CONNECTED. Returns both and the server's node.
function real.pair(server_options, client_options)
  local server = real.listen(server_options)
  server:on("message", function(node, message, kind) node:send(message, kind) end)
  local client = real.connect(server, client_options)
  real.wait("the session", function()
    return client.node.status == "CONNECTED" and server:stats().connects > 0
  end)
  return server, client, server:nodes()[1]
end

--- Collects the events of a transport or node: a list of {event, node, ...}, with :count(event) and
-- :last(event).
function real.record(object, events)
  local log = {}
  function log.count(_, event)
    local n = 0
    for _, entry in ipairs(log) do if entry.event == event then n = n + 1 end end
    return n
  end
  function log.last(_, event)
    for i = #log, 1, -1 do if log[i].event == event then return log[i] end end
  end
  for _, event in ipairs(events) do
    object:on(event, function(node, ...)
      log[#log + 1] = { event = event, node = node, ... }
    end)
  end
  return log
end

-- --- peers that speak bytes ---

-- A TCP socket in the hands of the spec: `received` is what came so far, `ended` tells that the other
-- side closed. It is looked after while the loop runs.
local peer = {}
peer.__index = peer

function peer:send(bytes)
  self.socket:settimeout(1)
  self.socket:send(bytes)
  self.socket:settimeout(0)
end

function peer:close()
  self.closed = true
  self.socket:close()
end

--- Ends the connection as a process does that dies: what was not read or sent is lost.
function peer:reset()
  self.socket:setoption("linger", { on = true, timeout = 0 })
  self:close()
end

local function new_peer(socket, on_bytes)
  socket:settimeout(0)
  socket:setoption("tcp-nodelay", true) -- a byte that waits for the next one would make specs slow
  local p = setmetatable({ socket = socket, received = "", on_bytes = on_bytes }, peer)
  raw[#raw + 1] = p
  return p
end

local function look_after(p)
  if p.closed then return end
  if p.on_accept then
    local socket = p.socket:accept()
    if socket then
      p.accepted = p.accepted + 1
      p.on_accept(new_peer(socket, p.on_bytes))
    end
    return
  end
  local whole, why, part = p.socket:receive(65536)
  local bytes = whole or part or ""
  if #bytes > 0 then
    p.received = p.received .. bytes
    if p.on_bytes then p:on_bytes(bytes) end
  end
  if why == "closed" and not p.ended then
    p.ended = true
    if p.on_end then p:on_end() end
  end
end

local function look_after_all()
  for i = 1, #raw do look_after(raw[i]) end
  if raw[1] then raw.timer = dop.timer(0.002, look_after_all) end
end

--- A TCP server on a free port of 127.0.0.1 that is none of ours: `on_accept(peer)` and
-- `on_bytes(peer, bytes)` say what it does. `url` is where to dial.
function real.raw_server(on_accept, on_bytes)
  local socket = assert(require("socket").bind("127.0.0.1", 0))
  local p = new_peer(socket, on_bytes)
  p.on_accept, p.accepted = on_accept or function() end, 0
  p.url = ("ws://127.0.0.1:%d/dop"):format(select(2, socket:getsockname()))
  if not raw.timer then look_after_all() end
  return p
end

--- A TCP socket to a server of ours, of which the spec sends every byte.
function real.raw_client(server, bytes)
  local host, port = server.url:match "^wss?://([%d.]+):(%d+)"
  local socket = assert(require("socket").connect(host, tonumber(port)))
  local p = new_peer(socket)
  if bytes then p:send(bytes) end
  if not raw.timer then look_after_all() end
  return p
end

--- The first bytes that a client with these options of `tls` says: a whole ClientHello.
function real.client_hello(tls)
  local hello = ""
  local raw_server = real.raw_server(nil, function(_, bytes) hello = hello .. bytes end)
  local client = real.connect(nil, { url = raw_server.url:gsub("^ws", "wss"), tls = tls })
  real.wait("the hello", function() return #hello >= 5 and #hello >= 5 + hello:byte(4) * 256 + hello:byte(5) end)
  client:close()
  return hello
end

local function close_raw()
  if raw.timer then raw.timer:stop() end
  for _, p in ipairs(raw) do p:close() end
  raw = {}
end

--- How many transports and nodes the registry keeps alive, counted by hand.
function real.registry_count()
  collectgarbage()
  collectgarbage()
  local n = 0
  for key, value in pairs(debug.getregistry()) do
    if type(key) == "number" and type(value) == "userdata" and tostring(value):find("^dop%.") then n = n + 1 end
  end
  return n
end

-- --- processes ---

local interpreter
do
  local i = 0
  while arg and arg[i - 1] do i = i - 1 end
  interpreter = arg and arg[i]
end

--- Runs a script in a process of its own, by the interpreter that runs the specs; `timeout` ends it
-- after 20 seconds. `around` is a line of shell in which %s is the call. Returns all it printed, and
-- its exit status.
function real.script(text, around)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
  local call = ("timeout -s KILL 20 '%s' '%s'"):format(interpreter, name)
  local shell = assert(io.popen(("{ %s; } 2>&1; echo \"exit:$?\""):format((around or "%s"):format(call))))
  local output = shell:read("*a")
  shell:close()
  os.remove(name)
  local printed, status = output:match("^(.*)exit:(%d+)\n$")
  return printed, tonumber(status)
end

-- A process that goes on beside the spec; real.close() ends it.
local process = {}
process.__index = process

local processes = {}

--- The next line that it prints, waited for; nil at its end.
function process:read() return self.pipe and self.pipe:read("*l") end

--- Waits for a line in which the pattern is found, and returns what string.match finds. Raises with all
-- that was printed when it ends without one.
function process:expect(pattern)
  local printed = {}
  for line in self.read, self do
    printed[#printed + 1] = line
    if line:find(pattern) then return line:match(pattern) end
  end
  error(("no line with %q in:\n%s"):format(pattern, table.concat(printed, "\n")), 2)
end

--- Sends it a signal ("TERM") and waits for its end. Returns what it still printed; the second call does
-- nothing.
function process:stop(signal)
  if not self.pipe then return end
  os.execute(("kill -%s %d 2>&-"):format(signal or "TERM", self.pid)) -- not reaped yet: the id is its own
  local rest = self.pipe:read("*a")
  self.pipe:close()
  self.pipe = nil
  if self.file then os.remove(self.file) end
  return rest
end

-- The shell says its process id and becomes `timeout`, which hands signals on.
-- In the foreground, or `timeout` would pass each signal on twice.
local function spawn_command(command, file)
  local call = ("echo $$; exec timeout --foreground -s KILL 20 %s 2>&1"):format(command)
  local pipe = assert(io.popen(call))
  local p = setmetatable({ pipe = pipe, pid = assert(tonumber(pipe:read("*l"))), file = file }, process)
  processes[#processes + 1] = p
  return p
end

local function spawn(arguments, file, environment)
  return spawn_command(("env %s '%s' %s"):format(environment or "", interpreter, arguments), file)
end

--- Starts a command of the shell's language, a simple one, in a process of its own and goes on.
function real.command(command) return spawn_command(command) end

--- Starts a script in a process of its own and goes on, as if a terminal showed its output: line by line.
-- `timeout` ends it after 20 seconds; `environment` is words for `env`. Returns a process with read(),
-- expect(pattern) and stop(signal).
function real.background(text, environment)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write("io.stdout:setvbuf 'line' ", text)
  file:close()
  return spawn(("'%s'"):format(name), name, environment)
end

--- The same for a script of the repository and its arguments.
function real.start(script, ...)
  local arguments = { "-e \"io.stdout:setvbuf 'line'\"", script, ... }
  return spawn(table.concat(arguments, " "))
end

--- Closes what the spec opened and runs until nothing is left: a handle that stays is a failure.
function real.close()
  close_raw()
  for _, p in ipairs(processes) do p:stop() end
  processes = {}
  for _, transport in ipairs(open) do transport:close() end
  local late = false
  local deadline
  deadline = dop.timer(8, function()
    late = true
    dop.stop()
  end)
  -- The deadline itself keeps the loop alive: it is taken away once all sockets are gone.
  local function check()
    local sockets = 0
    for _, transport in ipairs(open) do sockets = sockets + transport:stats().sockets end
    if sockets == 0 then deadline:stop() else dop.timer(0.001, check) end
  end
  check()
  dop.run()
  open = {}
  if late then error("something is still open after 8 seconds", 2) end
end

return real
