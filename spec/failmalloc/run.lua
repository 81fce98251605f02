--- One scene while memory fails, run by main.c: run.lua SCENE SOURCE-MODE[-STEP[-FIRST[-LAST]]]...
--
-- For each of those ways runs the scene with its first, second, third ... request for memory failing, until none of
-- its own is left; STEP leaves some out, it begins with FIRST, and ends behind LAST. After each: the bystander lost
-- nothing, a new session works, and what was made is gone. Prints each way with its number of requests.
-- `run.lua --list` names the scenes. FAILMALLOC_PKI is the folder of pki.lua, for TLS.

local scenes = dofile "spec/failmalloc/scenes.lua"

local name = ...
if name == "--list" then
  for _, scene in ipairs(scenes) do print(scene.name, scene.kind, scene.tls and "tls" or "") end
  return
end
local every = tonumber(os.getenv "EVERY" or 8) -- so many rounds go by until it is looked at what they left

local scene
for _, one in ipairs(scenes) do if one.name == name then scene = one end end
assert(scene, "no such scene: " .. name)

local source, mode = "core", "once" -- of the way that is under way

local function broken(n, what, why)
  io.stderr:write(("FAILED %s, request %d of %s, %s: %s: %s\n"):format(name, n, source, mode, what, tostring(why)))
  os.exit(1)
end

-- --- scenes that have a state of their own, which is closed in the middle ---

local function in_state()
  local code = string.dump(scene.run)
  -- What OpenSSL makes once in a process belongs to no state. It may throw that away when something fails, and make it
  -- anew: there may never be more of it than there was at first.
  local kept = 0
  for _ = 1, 3 do memory.state("core", "once", 0, code) end
  return function(n)
    local why, count, failed, left = memory.state(source, mode, n, code)
    kept = kept + left.ssl
    left.ssl = math.max(kept, 0)
    for of, blocks in pairs(left) do
      if blocks ~= 0 then broken(n, "left after lua_close", ("%d blocks of %s"):format(blocks, of)) end
    end
    if not failed and why then broken(n, "without a failure", why) end
    return count, failed
  end
end

-- --- the others ---

-- What LuaJIT has compiled holds the objects that it took for constants: a client in an upvalue, and its node.
local function collect()
  if jit then jit.flush() end
  collectgarbage()
  collectgarbage()
end

local function in_call()
  local kit = require "spec.failmalloc.kit"
  local bystander = kit.bystander
  local baseline, anchors, sites = 0, 0, {}

  -- Memory does not fail yet while the scene is made ready.
  local function play(from, how, n)
    local ok, run = pcall(scene.ready)
    if not ok then broken(n, "making it ready", run) end
    return memory.call(from, how, n, run)
  end

  local function settle(n)
    for _, what in ipairs { { "closing", kit.close }, { "the bystander", bystander.check },
      { "a new session", kit.newcomer }, { "closing", kit.close } } do
      local ok, why = pcall(what[2])
      if not ok then broken(n, what[1], why) end
    end
  end

  local function tell_left()
    for place, number in pairs(memory.sites()) do
      local more = number - (sites[place] or 0)
      if more > 0 then io.stderr:write(("-- of OpenSSL: %d more at %s\n"):format(more, place)) end
    end
    for _, text in ipairs(kit.anchored()) do io.stderr:write("-- anchored: ", text, "\n") end
  end

  local function check_left(n)
    local ok = pcall(kit.wait, "what is left", function()
      collect()
      return memory.live() <= baseline and kit.anchors() <= anchors
    end)
    if ok then return end
    tell_left()
    broken(n, "what is left", ("%d blocks more than before, %d anchors more"):format(
      memory.live() - baseline, kit.anchors() - anchors))
  end

  -- What is there while nothing happens: the most that the first rounds needed, which do not fail.
  bystander.begin(scene.tls)
  for _ = 1, 3 do
    local ok, why = play("core", "once", 0)
    if not ok then broken(0, "without a failure", why) end
    settle(0)
    collect()
    baseline, anchors, sites = math.max(baseline, memory.live()), math.max(anchors, kit.anchors()), memory.sites()
  end

  local runs = 0
  return function(n)
    local ok, why, count, failed = play(source, mode, n)
    if not failed and not ok then broken(n, "without a failure", why) end
    if not ok then
      io.stderr:write("-- it ended with: ", tostring(why), "\n")
      if type(why) == "string" and why:find "attempt to" then broken(n, "an error that is none of memory", why) end
    end
    settle(n)
    runs = runs + 1
    if runs % every == 0 or not failed then check_left(n) end
    return count, failed
  end, function()
    bystander.finish()
    require("dop").run()
  end
end

-- --- the ways ---

local round, finish = (scene.kind == "state" and in_state or in_call)()
for _, way in ipairs { select(2, ...) } do
  local step, first, last
  source, mode, step, first, last = way:match "^(%a+)-(%a+)-?(%d*)-?(%d*)-?(%d*)$"
  assert(source, "no such way: " .. way)
  local n, count, failed = tonumber(first) or 1, 0, scene.kind ~= "check"
  while failed and n <= (tonumber(last) or math.huge) do
    io.stderr:write(("-- request %d of %s, %s\n"):format(n, source, mode))
    count, failed = round(n)
    n = n + (tonumber(step) or 1)
  end
  print(source, mode, count)
end
if finish then finish() end
