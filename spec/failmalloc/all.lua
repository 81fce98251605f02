--- Every scene, with every source of memory failing in every way: make failmalloc.
--
--   all.lua LUA PROGRAM [SCENE...]
--
-- A process for each, so that a crash is one failure and not the end. FAILMALLOC_STEP=n fails each n-th
-- request only, from another one in each scene. The output of a process lies beside the program, in a file
-- named after it, and is shown when it fails.

local lua, program = arg[1], arg[2]
local step = tonumber(os.getenv "FAILMALLOC_STEP" or 1)
local wanted = {}
for i = 3, #arg do wanted[arg[i]] = true end

-- LuaJIT's fast functions (tostring, string.sub) raise for memory with a stale top of the stack: the message
-- lands on a frame, and the process dies in LuaJIT alone. What fails in Lua's memory is tried on 5.4.
local ways = { { "core", "once" }, { "core", "always" }, { "uv", "once" } }
if lua ~= "luajit" then
  for _, mode in ipairs { "once", "always", "retry" } do ways[#ways + 1] = { "lua", mode } end
end

local paths = "LUA_PATH='lua/?.lua;lua/?/init.lua;./?.lua;;'"

local function lines_of(command)
  local p, list = assert(io.popen(command)), {}
  for line in p:lines() do list[#list + 1] = line end
  p:close()
  return list
end

local failed, requests = 0, 0
local scenes = lines_of(("%s %s spec/failmalloc/run.lua --list"):format(paths, program))
assert(#scenes > 0, "there are no scenes")
for number, line in ipairs(scenes) do
  local scene, kind = line:match "^(%S+)%s+(%S+)"
  if not next(wanted) or wanted[scene] then
    local told = {}
    for _, way in ipairs(kind == "check" and { ways[1] } or ways) do
      local log = ("%s.%s-%s-%s"):format(program, scene, way[1], way[2])
      local call = ("%s spec/failmalloc/run.lua %s %s %s %d %d"):format(
        program, scene, way[1], way[2], step, 1 + number % step)
      local ok = os.execute(("%s timeout -k 5 300 %s >%s 2>&1 </dev/null"):format(paths, call, log))
      local last = lines_of("tail -n 1 " .. log)[1] or ""
      if ok == true or ok == 0 then
        told[#told + 1] = ("%s %s %s"):format(way[1], way[2], last)
        requests = requests + math.floor(tonumber(last) / step)
      else
        failed = failed + 1
        told[#told + 1] = ("%s %s FAILED"):format(way[1], way[2])
        for _, text in ipairs(lines_of("tail -n 15 " .. log)) do io.stderr:write("    ", text, "\n") end
      end
    end
    print(("%-8s %-16s %s"):format(lua, scene, table.concat(told, ", ")))
  end
end
print(("%s: about %d requests failed, %d of the processes did not end well"):format(lua, requests, failed))
os.exit(failed == 0)
