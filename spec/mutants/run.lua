--- Puts small faults into the machine and what stands around it, one at a time, and shows that a test sees each.
--
--   make mutants           all of list.lua, three at a time: a line for each, then the figures
--   make mutants FAULT=n   the n-th alone
--
-- In this order: the named schedule that must see it, when the list says which; all named schedules;
-- random ones of both dialects; then, with modules of its own, the specs of the machine. A fault of which the list
-- names the specs is no machine's: they alone must see it, and the simulator is not asked. Whatever sees
-- the fault first is told. With FIRST=random in the environment chance comes before the names, which shows
-- what it sees alone; that takes longer. A process that hangs or dies has seen it. Everything is built below
-- build/mutants; the objects without a fault are built once.

local planted = require "spec.support.planted"

local ROOT = "build/mutants"
local OBJECTS = "build/lua5.4-mutants"
local FLAGS = "-O1"
local CC = (os.getenv("CC") or "cc") .. " -std=gnu11 -fPIC -fvisibility=hidden -Icsrc -I/usr/include/lua5.4 " .. FLAGS
local MODULES = {
  ["core.so"] = { sources = "CORE_C", libraries = "-lz -lm" },
  ["uv.so"] = { sources = "UV_C", libraries = "-luv -lssl -lcrypto -lm" },
}
local SPECS = { "spec/session", "spec/lua/lossless_spec.lua" }

local run, list = planted.run, planted.load "spec/mutants/list.lua"

local function fail(text, ...) error(text:format(...), 0) end

local function lines_of(command)
  local p, all = assert(io.popen(command)), {}
  for line in p:lines() do all[#all + 1] = line end
  p:close()
  return all
end

-- The modules below dir/dop: linked anew where the fault's file is one of theirs, a copy otherwise.
local function modules(dir, m)
  local planted_in
  run("mkdir -p %s/dop", dir)
  for name, made_of in pairs(MODULES) do
    local objects, faulty = planted.objects(OBJECTS, made_of.sources, m, dir)
    local there = dir .. "/dop/" .. name
    local made
    if faulty then
      planted_in = name
      made = run("%s -shared -o %s %s %s", CC, there, objects, made_of.libraries)
    else
      made = run("cp %s/dop/%s %s", OBJECTS, name, there)
    end
    if not made then fail("%s: no %s", m and m.name or "without a fault", name) end
  end
  if m and not planted_in then fail("%s: no module is built of %s", m.name, m.file) end
end

local function specs_see(dir, m, where)
  modules(dir, m)
  for _, file in ipairs(lines_of("find " .. (where or table.concat(SPECS, " ")) .. " -name '*_spec.lua' | sort")) do
    local paths = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='%s/?.so;;' LUA=lua5.4"):format(dir)
    local busted = ("busted --lua=lua5.4 --no-keep-going %s >%s/specs 2>&1 </dev/null"):format(file, dir)
    if not run("%s timeout -k 2 100 %s", paths, busted) then return file end
  end
end

-- What random schedules see, nil: nothing.
local function random_sees(dir)
  for _, flags in ipairs { "--brief", "--plain --brief" } do
    if not run("timeout -k 2 60 %s/sim %s 5000 1 >%s/random 2>&1", dir, flags, dir) then return flags end
  end
end

-- Who sees the fault first: "named", "random", "specs" or "nobody", and which of them.
local function try(m, dir)
  if m.specs then
    local file = specs_see(dir, m, m.specs)
    return file and "specs" or "missed", file or m.specs
  end
  local sim = dir .. "/sim"
  if os.getenv("FIRST") == "random" then
    local flags = random_sees(dir)
    if flags then return "random", flags end
  end
  if m.schedule then
    if run("timeout -k 2 30 %s --named %s >%s/named 2>&1", sim, m.schedule, dir) then return "missed", m.schedule end
    return "named", m.schedule
  end
  if not run("timeout -k 2 30 %s --named >%s/named 2>&1", sim, dir) then
    local which = {}
    for name in planted.read(dir .. "/named"):gmatch("FAILED  (%S+)") do which[#which + 1] = name end
    if #which > 3 then which = { which[1], which[2], which[3], "..." } end
    return "named", #which > 0 and table.concat(which, " ") or "it died"
  end
  local flags = random_sees(dir)
  if flags then return "random", flags end
  local file = specs_see(dir, m)
  if file then return "specs", file end
  return "nobody", m.survives or "and the list does not say why"
end

local function one(i)
  local m = list[i] or fail("there is no number %d", i)
  local dir = ("%s/%d"):format(ROOT, i)
  run("rm -rf %s && mkdir -p %s", dir, dir)
  planted.compile(m, dir, CC)
  if not m.specs then
    local objects, faulty = planted.objects(OBJECTS, "SIM_C", m, dir)
    if not faulty then fail("%s: the simulator is not built of %s; the specs must be named", m.name, m.file) end
    if not run("%s -o %s/sim %s -lz", CC, dir, objects) then fail("%s does not link", m.name) end
  end
  local who, which = try(m, dir)
  print(("%-8s %-9s %-34s %s"):format(who, m.point, m.name, which))
  run("rm -rf %s", dir)
  planted.write(("%s/%d.result"):format(ROOT, i), who)
end

local function build()
  run("mkdir -p %s", ROOT)
  local made = run("make --no-print-directory -s modules %s/sim LUA=lua5.4 KIND=-mutants SIM=%s/sim CFLAGS=%s "
    .. ">/dev/null", ROOT, ROOT, FLAGS)
  if not made then fail("the machine itself does not build") end
end

local function check_machine()
  -- A machine without a fault must pass, or every fault would seem to be seen.
  for _, what in ipairs { "--named", "--brief 5000 1", "--plain --brief 5000 1" } do
    if not run("%s/sim %s >%s/log 2>&1", ROOT, what, ROOT) then fail("without a fault: sim %s fails", what) end
  end
  local dir = ROOT .. "/none"
  run("mkdir -p %s", dir)
  local named = { table.concat(SPECS, " ") }
  for _, m in ipairs(list) do
    if m.specs and not named[m.specs] then named[m.specs], named[#named + 1] = true, m.specs end
  end
  local file = specs_see(dir, nil, table.concat(named, " "))
  if file then fail("without a fault: %s fails", file) end
end

local function summary()
  local points, order, all, machine = {}, {}, { n = 0 }, 0
  local wrong = 0
  for i, m in ipairs(list) do
    local p = points[m.point]
    if not p then
      p = { n = 0 }
      points[m.point], order[#order + 1] = p, m.point
    end
    if not m.specs then machine = machine + 1 end
    local who = planted.read(("%s/%d.result"):format(ROOT, i))
    for _, t in ipairs { p, all } do
      t.n = t.n + 1
      t[who] = (t[who] or 0) + 1
    end
    if who == "missed" or (who == "nobody" and not m.survives) then wrong = wrong + 1 end
    if who ~= "nobody" and m.survives then
      print(("%s: the list says that it survives"):format(m.name))
      wrong = wrong + 1
    end
  end
  print("\npoint     faults   named  random   specs  nobody")
  for _, name in ipairs(order) do
    local p = points[name]
    print(("%-9s %6d  %6d  %6d  %6d  %6d"):format(name, p.n, p.named or 0, p.random or 0, p.specs or 0, p.nobody or 0))
    if p.n < 3 then
      print("  fewer than three faults")
      wrong = wrong + 1
    end
  end
  local sim = (all.named or 0) + (all.random or 0)
  local seen, alone = 100 * (sim + (all.specs or 0)) / all.n, 100 * sim / machine
  print(("%d faults: %.1f %% seen (95 wanted); of the machine's %d: %.1f %% by the simulator alone (80 wanted)")
    :format(all.n, seen, machine, alone))
  return wrong == 0 and seen >= 95 and alone >= 80
end

if arg[1] then
  if not arg[2] then build() end
  one(tonumber(arg[1]))
else
  run("rm -f %s/*.result", ROOT)
  build()
  check_machine()
  -- A spec that waits in vain needs no core.
  if not run("seq %d | xargs -P 3 -I{} lua5.4 spec/mutants/run.lua {} built", #list) then os.exit(1) end
  os.exit(summary() and 0 or 1)
end
