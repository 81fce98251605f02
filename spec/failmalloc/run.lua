--- One scene while memory fails, run by main.c: run.lua SCENE SOURCE MODE STEP [FIRST]
--
-- Runs the scene with its first, second, third ... request for memory failing, until none of its own is
-- left; STEP leaves some out. After each: the bystander lost nothing, a new session works, and what was
-- made is gone. `run.lua --list` names the scenes.

local scenes = dofile "spec/failmalloc/scenes.lua"

local name, source, mode, step, first = ...
if name == "--list" then
  for _, scene in ipairs(scenes) do print(scene.name, scene.check and "check" or scene.state and "state" or "call") end
  return
end
step, first = tonumber(step), tonumber(first or 1)
local every = tonumber(os.getenv "EVERY" or 8) -- so many rounds go by until it is looked at what they left

local scene
for _, one in ipairs(scenes) do if one.name == name then scene = one end end
assert(scene, "no such scene: " .. name)

local function broken(n, what, why)
  io.stderr:write(("FAILED %s, request %d of %s, %s: %s: %s\n"):format(name, n, source, mode, what, tostring(why)))
  os.exit(1)
end

local function mark(n) io.stderr:write("-- request ", n, "\n") end

-- --- scenes that have a state of their own, which is closed in the middle ---

local function in_state()
  local code = string.dump(scene.state)
  local n = first
  while true do
    mark(n)
    local why, count, failed, left = memory.state(source, mode, n, code)
    for of, blocks in pairs(left) do
      if blocks ~= 0 then broken(n, "left after lua_close", ("%d blocks of %s"):format(blocks, of)) end
    end
    if not failed then
      if why then broken(n, "without a failure", why) end
      return print(count)
    end
    n = n + step
  end
end

-- --- the others ---

local function in_call()
  local kit = require "spec.failmalloc.kit"
  local bystander = kit.bystander
  local baseline, anchors = 0, 0
  bystander.begin()

  -- What LuaJIT has compiled holds the objects that it took for constants: a client in an upvalue, and its node.
  local function collect()
    if jit then jit.flush() end
    collectgarbage()
    collectgarbage()
  end

  -- What is there while nothing happens: the most that the first rounds needed, which do not fail.
  local function settle(n)
    for _, what in ipairs { { "closing", kit.close }, { "the bystander", bystander.check },
      { "a new session", kit.newcomer }, { "closing", kit.close } } do
      local ok, why = pcall(what[2])
      if not ok then broken(n, what[1], why) end
    end
  end

  local function check_left(n)
    local ok = pcall(kit.wait, "what is left", function()
      collect()
      return memory.live() <= baseline and kit.anchors() <= anchors
    end)
    if not ok then
      for _, text in ipairs(kit.anchored()) do io.stderr:write("-- anchored: ", text, "\n") end
      broken(n, "what is left", ("%d blocks more than before, %d anchors more"):format(
        memory.live() - baseline, kit.anchors() - anchors))
    end
  end

  for _ = 1, 3 do
    local ok, why = memory.call(source, mode, 0, scene.run)
    if not ok then broken(0, "without a failure", why) end
    settle(0)
    collect()
    baseline, anchors = math.max(baseline, memory.live()), math.max(anchors, kit.anchors())
  end

  if scene.check then print(0) end
  local n, runs = first, 0
  while not scene.check do
    mark(n)
    local ok, why, count, failed = memory.call(source, mode, n, scene.run)
    if not failed and not ok then broken(n, "without a failure", why) end
    if not ok then
      io.stderr:write("-- it ended with: ", tostring(why), "\n")
      if type(why) == "string" and why:find "attempt to" then broken(n, "an error that is none of memory", why) end
    end
    settle(n)
    runs = runs + 1
    if runs % every == 0 or not failed then check_left(n) end
    if not failed then
      print(count)
      break
    end
    n = n + step
  end
  bystander.finish()
  require("dop").run()
end

if scene.state then in_state() else in_call() end
