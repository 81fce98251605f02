--- Processes beside a spec: each writes to a file of its own, is waited for by what it prints, and is
-- bounded in time. `process.close()` in an after_each ends them and removes what they left. Signals go to
-- the process itself, never to another one that got its number.

local real = require "spec.support.real"

local process = {}
process.__index = process

local processes = {}

process.LUA = os.getenv "LUA" or rawget(_G, "jit") and "luajit" or _VERSION:lower():gsub(" ", "")
process.OTHER = process.LUA == "luajit" and "lua5.4" or "luajit"

--- A number from the environment, which the longer runs of `make proof` set.
function process.setting(name, default)
  local text = os.getenv(name)
  if not text or text == "" then return default end
  return assert(tonumber(text), name .. " is no number: " .. text)
end

local function read_all(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "*a" or "" -- a process that ends meanwhile
  file:close()
  return text
end

-- The first line that it prints is its own process id: `timeout` has another.
local CALL = "exec timeout --foreground -k 1 %d sh -c 'echo $$; exec %s' >%s 2>&1"

--- Starts a line of shell words, for at most so many seconds (60).
function process.start(command, seconds)
  local path = os.tmpname()
  local pipe = assert(io.popen("echo $$; " .. CALL:format(seconds or 60, command, path)))
  local p = setmetatable({ command = command, path = path, pipe = pipe, seen = 0 }, process)
  processes[#processes + 1] = p
  p.guard = assert(tonumber(pipe:read "*l"))
  p.pid = tonumber(p:expect "^(%d+)$")
  return p
end

-- The modules of the other Lua lie beside those of this one.
local function path_for(lua)
  local path = os.getenv "LUA_CPATH" or ""
  if lua == process.LUA then return path end
  return (path:gsub("build/[%w.]+/", "build/" .. lua .. "/"))
end

--- Starts a script of the repository under `lua`, in the network namespace of the process `net` if there
-- is one.
function process.lua(lua, net, seconds, script, ...)
  local words = { "env", "LUA=" .. lua, ('"LUA_CPATH=%s"'):format(path_for(lua)), lua, script, ... }
  if net then table.insert(words, 1, ("nsenter --net=/proc/%d/ns/net"):format(net.pid)) end
  return process.start(table.concat(words, " "), seconds)
end

--- The same for a script that the spec says itself; it finds its argument in `...`.
function process.script(text, argument, net)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("io.stdout:setvbuf 'line' ", text)
  file:close()
  local p = process.lua(process.LUA, net, 60, path, argument)
  p.script_path = path
  return p
end

--- A talker.lua; see there. `options` is a table.
function process.talker(role, url, options, how)
  how = how or {}
  local words = {}
  for name, value in pairs(options) do words[#words + 1] = ("%s=%s"):format(name, tostring(value)) end
  return process.lua(how.lua or process.LUA, how.net, how.seconds, "spec/real/talker.lua", role, url,
    (table.unpack or unpack)(words))
end

--- All that it printed so far.
function process:output() return read_all(self.path) end

local function next_match(self, pattern)
  local text = self:output()
  for line, stop in text:sub(self.seen + 1):gmatch "([^\n]*)\n()" do
    if line:find(pattern) then return line, stop end
  end
end

--- Waits for a further line in which the pattern is found, and returns what string.match finds.
function process:expect(pattern, seconds)
  local line, stop
  local ok = pcall(real.wait, pattern, function()
    line, stop = next_match(self, pattern)
    return line or self:output():find "wrong: [^\n]*\n"
  end, seconds or 20, 0.01)
  if not line then line, stop = next_match(self, pattern) end
  if not line then
    local said = {}
    for _, p in ipairs(processes) do
      if p ~= self then said[#said + 1] = p.command .. "\n" .. p:output():sub(-500) end
    end
    error(("%s\nno line with %q%s in:\n%s\nthe others:\n%s"):format(self.command, pattern, ok and "" or " in time",
      self:output():sub(-2000), table.concat(said, "\n")), 2)
  end
  self.seen = self.seen + stop - 1
  return line:match(pattern)
end

--- Whether a line with the pattern was printed since the last one that was waited for.
function process:said(pattern) return next_match(self, pattern) ~= nil end

--- The numbers of a line of "name=value"s.
function process.figures(line)
  local figures = {}
  for name, value in line:gmatch "([%w_]+)=([%d.]+)" do figures[name] = tonumber(value) end
  return figures
end

--- Whether it still runs; its guard is a child of ours, so the numbers are those of nobody else.
function process:alive()
  local stat = read_all(("/proc/%d/stat"):format(self.pid or 0))
  local state, parent = stat:match "%) (%a) (%d+)"
  return tonumber(parent) == self.guard and state ~= "Z"
end

function process:signal(name)
  assert(self:alive(), self.command .. " has ended:\n" .. self:output():sub(-2000))
  assert(os.execute(("kill -%s %d"):format(name, self.pid)))
end

--- Ends it and waits for that; the second call does nothing.
function process:stop(name)
  if not self.pipe then return end
  if self:alive() then
    os.execute(("{ kill -CONT %d; kill -%s %d; } 2>&-"):format(self.pid, name or "TERM", self.pid))
  end
  self.pipe:read "*a"
  self.pipe:close() -- waits
  self.pipe = nil
end

--- Waits until it ended by itself.
function process:join()
  if not self.pipe then return end
  self.pipe:read "*a"
  self.pipe:close()
  self.pipe = nil
end

--- Ends all, and removes their files.
function process.close()
  for _, p in ipairs(processes) do
    p:stop()
    os.remove(p.path)
    if p.script_path then os.remove(p.script_path) end
  end
  processes = {}
end

return process
