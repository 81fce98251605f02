--- Scripts in processes of their own for which the system is as the spec wants it (preload.c): what a
-- machine's names stand for, and how fast they resolve, decides nothing; and what a process writes can
-- be counted, how many bytes it looks at, and what it holds.

local real = require "spec.support.real"

local preload = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)%.lua$")

-- Runs a script as real.script does, with these variables (lines of shell) in its environment.
local function run(variables, text)
  local library = os.tmpname()
  -- What is preloaded here already, a sanitizer perhaps, is not meant for the compiler.
  local build = ("env -u LD_PRELOAD %s -shared -fPIC -o '%s' '%s.c' -ldl"):format(os.getenv "CC" or "cc", library, here)
  local built = os.execute(build)
  assert(built == true or built == 0, "no C compiler: " .. build)
  local printed, status = real.script(text, ("%s LD_PRELOAD=\"$LD_PRELOAD:%s\" %%s"):format(variables, library))
  os.remove(library)
  return printed, status
end

--- Runs a script for which `name` resolves to `addresses` (numeric, by commas) after `delay`
-- milliseconds. Returns what it printed, and its exit status.
function preload.names(name, addresses, delay, text)
  return run(("NAME=%s ADDRESSES=%s DELAY=%d"):format(name, addresses, delay), text)
end

--- Runs a script with these variables (lines of shell; preload.c), which those that it starts have too. Returns
-- what all of them printed, and its exit status. With `HURRY=4000` an hour of the day is a second.
preload.with = run

--- Runs a script and counts its writes to files and sockets. Returns what it printed before it ended,
-- and their number.
function preload.writes(text)
  local printed, count = (run("COUNT=1", text)):match("^(.*)writes: (%d+) ")
  return printed, tonumber(count)
end

--- Runs a script, and counts the bytes in which it looked for the end of a line, and those that it moved
-- within a buffer. Returns what it printed, and both.
function preload.work(text)
  local printed, searched, moved = (run("COUNT=1", text)):match("^(.*)writes: %d+ searched: (%d+) moved: (%d+) ")
  return printed, tonumber(searched), tonumber(moved)
end

--- Runs a script, and says how many bytes malloc() has given out and not got back when it ends by
-- os.exit(). Returns what it printed before, and that.
function preload.held(text)
  -- All that it holds at its end is no leak, but LSan cannot see what hangs on LuaJIT's own memory.
  local printed = run("ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 COUNT=1", text)
  local before, held = printed:match("^(.*)writes: .* held: (%d+)\n")
  assert(held, printed)
  return before, tonumber(held)
end

return preload
