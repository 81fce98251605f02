--- Every scene, with every source of memory failing in every way: make failmalloc.
--
--   all.lua LUA PROGRAM [SCENE...]
--
-- A process for each scene, so that a crash is one failure and not the end; FAILMALLOC_JOBS=n of them side by side.
-- FAILMALLOC_STEP=n fails each n-th request only, from another one in each scene. What a process says lies beside the
-- program, in a file named after the scene, and is shown when it fails.

local certificates = require "spec.failmalloc.pki"

local lua, program = arg[1], arg[2]
local step = tonumber(os.getenv "FAILMALLOC_STEP" or 1)
local jobs = tonumber(os.getenv "FAILMALLOC_JOBS" or 1)
local wanted = {}
for i = 3, #arg do wanted[arg[i]] = true end

-- A handshake asks OpenSSL thousands of times, mostly at places that another one of the same handshake shares. Whether
-- a request is the first of those that fail, or one of the next eight is, makes no difference that is worth so many
-- handshakes; nor does the Lua beside it.
local SSL_ALWAYS, SSL_OTHER_LUA = 9, 9
local MANY = 12 -- once requests are left out, so many times as many of OpenSSL's are

local ways = { { "core", "once" }, { "core", "always" }, { "uv", "once" } }
-- LuaJIT's fast functions (tostring, string.sub) raise for memory with a stale top of the stack: the message
-- lands on a frame, and the process dies in LuaJIT alone. What fails in Lua's memory is tried on 5.4.
if lua ~= "luajit" then
  for _, mode in ipairs { "once", "always", "retry" } do ways[#ways + 1] = { "lua", mode } end
end
local ssl = step == 1 and 1 or step * MANY
if lua == "luajit" then ssl = ssl * SSL_OTHER_LUA end
local tls_ways = { { "ssl", "once", ssl }, { "ssl", "always", ssl == 1 and SSL_ALWAYS or ssl } }

local pki = certificates()
local environment = ("FAILMALLOC_PKI='%s' LUA_PATH='lua/?.lua;lua/?/init.lua;./?.lua;;'"):format(pki.dir)

local function lines_of(command, ...)
  local p, list = assert(io.popen(command:format(...))), {}
  for line in p:lines() do list[#list + 1] = line end
  p:close()
  return list
end

-- A line for each process: the scene and its ways.
local calls, steps = {}, {}
for number, line in ipairs(lines_of("%s %s spec/failmalloc/run.lua --list", environment, program)) do
  local scene, kind, tls = line:match "^(%S+)\t(%S+)\t(%S*)$"
  if not next(wanted) or wanted[scene] then
    local call = { scene }
    local function add(way)
      local each = way[3] or step
      steps[way[1] .. way[2]] = each
      call[#call + 1] = ("%s-%s-%d-%d"):format(way[1], way[2], each, 1 + number % each)
    end
    if kind == "check" then add(ways[1]) else for _, way in ipairs(ways) do add(way) end end
    if tls ~= "" then for _, way in ipairs(tls_ways) do add(way) end end
    calls[#calls + 1] = table.concat(call, " ")
  end
end
assert(#calls > 0, "there are no such scenes")

-- Prints a scene's name and exit code when its process has ended.
local run = assert(io.popen(([[
export %s
xargs -P %d -L 1 sh -c 'timeout -k 5 3000 %s spec/failmalloc/run.lua "$@" >%s.$1 2>&1 </dev/null; echo $1 $?' sh <<'END'
%s
END]]):format(environment, jobs, program, program, table.concat(calls, "\n"))))

local ended, failed, requests = 0, 0, 0
for line in run:lines() do
  local scene, status = line:match "^(%S+) (%d+)$"
  local told, log = {}, ("%s.%s"):format(program, scene)
  for _, text in ipairs(lines_of("cat %s", log)) do
    local source, mode, count = text:match "^(%a+)\t(%a+)\t(%d+)$"
    if source then
      told[#told + 1] = ("%s %s %s"):format(source, mode, count)
      requests = requests + math.ceil(tonumber(count) / steps[source .. mode])
    end
  end
  ended = ended + 1
  if status ~= "0" then
    failed = failed + 1
    told[#told + 1] = "FAILED, exit " .. status
    for _, text in ipairs(lines_of("tail -n 15 %s", log)) do io.stderr:write("    ", text, "\n") end
  end
  print(("%-8s %-26s %s"):format(lua, scene, table.concat(told, ", ")))
end
run:close()
pki:remove()
print(("%s: about %d requests failed, %d of the processes did not end well"):format(lua, requests, failed))
os.exit(failed == 0 and ended == #calls)
