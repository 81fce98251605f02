--- Shows that the fuzz targets find the faults of faults.lua, one at a time: sees.lua all, or a NUMBER.
--
-- Run by make fuzz-sees. The fault's target must find it from the inputs that are kept, within SECONDS (60) of
-- fuzzing. Without a fault it must pass over those inputs. The objects are those of make fuzz. JOBS (2) faults are
-- tried at a time.

local planted = require "spec.support.planted"

local ROOT, BUILD = "build/fuzz-faults", os.getenv "BUILD" or "build/lua5.4-fuzz"
local SECONDS, JOBS = tonumber(os.getenv "SECONDS" or 60), tonumber(os.getenv "JOBS" or 2)
local CC = ("%s -std=gnu11 -fPIC -fvisibility=hidden -w -Icsrc %s"):format(os.getenv "CC" or "clang",
  os.getenv "CFLAGS" or error "make fuzz-sees says how it is built")

local run, faults = planted.run, planted.load "spec/fuzz/faults.lua"

-- The target's program with one object in the place of another.
local function build(fault, dir)
  planted.compile(fault, dir, CC)
  local objects, exchanged = planted.objects(BUILD, "FUZZ_C", fault, dir)
  assert(exchanged, fault.name .. ": no target is built of " .. fault.file)
  assert(run("%s %s -o %s/program %s/fuzz/%s.o %s -lz", CC, os.getenv "LDFLAGS", dir, BUILD, fault.target, objects))
end

local function fuzz(program, target, dir, flags)
  local words = "spec/fuzz/" .. target .. ".dict"
  words = run("test -f %s", words) and "-dict=" .. words or ""
  return run("ASAN_OPTIONS=quarantine_size_mb=16:detect_leaks=1 timeout -k 5 %d %s -seed=1 -max_len=4096 -timeout=10 "
    .. "-rss_limit_mb=1024 -artifact_prefix=%s/ %s %s %s spec/fuzz/corpus/%s >%s/log 2>&1 </dev/null",
    SECONDS + 30, program, dir, words, flags, dir .. "/corpus", target, dir)
end

-- What the log says was wrong: the target's own sentence, or the sanitizer's headline.
local function said(dir)
  local log = planted.read(dir .. "/log")
  return log:match "csrc/fuzz/[%w_]+%.c:%d+: ([^\n]+)" or log:match "ERROR: (%w+: [^\n]-) on " or
    log:match "runtime error: ([^\n]+)" or log:match "ERROR: ([^\n]+)" or "it ended"
end

local function try(i)
  local fault, dir = faults[i], ("%s/%d"):format(ROOT, i)
  assert(run("rm -rf %s && mkdir -p %s/corpus", dir, dir))
  build(fault, dir)
  local began = os.time()
  local seen = not fuzz(dir .. "/program", fault.target, dir, "-max_total_time=" .. SECONDS)
  print(("%s  %-16s %3d s  %-50s %s"):format(seen and "seen  " or "MISSED", fault.target, os.time() - began, fault.name,
    seen and said(dir) or ""))
  run("rm -rf %s%s", dir, seen and "" or "/program " .. dir .. "/corpus")
  return seen
end

local function passes()
  local dir, done = ROOT .. "/none", {}
  assert(run("rm -rf %s && mkdir -p %s/corpus", dir, dir))
  for _, fault in ipairs(faults) do
    if not done[fault.target] then
      done[fault.target] = true
      local passed = fuzz(("%s/fuzz/%s"):format(BUILD, fault.target), fault.target, dir, "-runs=0")
      assert(passed, fault.target .. " fails without a fault: " .. dir .. "/log")
    end
  end
end

if arg[1] == "all" then
  passes()
  os.exit(run("seq %d | xargs -P %d -I{} lua5.4 spec/fuzz/sees.lua {}", #faults, JOBS))
else
  os.exit(try(assert(tonumber(arg[1]))))
end
