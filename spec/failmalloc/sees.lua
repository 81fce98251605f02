--- Shows that failmalloc sees the faults of faults.lua: sees.lua, or a NUMBER alone.
--
-- Run by make failmalloc-sees. The fault's scene, with that source of memory failing in that way, must not end well.
-- Without a fault it must. Built from the objects of build/lua5.4.

local certificates = require "spec.failmalloc.pki"
local planted = require "spec.support.planted"

local ROOT, BUILD = "build/failmalloc-faults", "build/lua5.4"
local CC = (os.getenv "CC" or "cc") .. " -std=gnu11 -O1 -g -Icsrc -I/usr/include/lua5.4"

local run, faults = planted.run, planted.load "spec/failmalloc/faults.lua"

local pki = certificates()

local function ends_well(program, lua, way, wait)
  local scene, how = way:match "^(%S+) (.+)$"
  return run("FAILMALLOC_WAIT=%d FAILMALLOC_PKI='%s' LUA_PATH='%s/?.lua;%s/?/init.lua;./?.lua;;' timeout -k 5 120 %s "
    .. "spec/failmalloc/run.lua %s %s >%s/log 2>&1 </dev/null",
    wait or 20, pki.dir, lua, lua, program, scene, how:gsub(" ", "-"), ROOT)
end

-- The program with one object in the place of another.
local function link(fault, program)
  local objects, exchanged = planted.objects(BUILD, "SOURCES", fault, ROOT)
  assert(exchanged, fault.name .. ": the program is not built of " .. fault.file)
  assert(run("%s -o %s spec/failmalloc/*.c %s -llua5.4 -luv -lssl -lcrypto -lz -lm", CC, program, objects))
end

local sound = {}
local function must_be_sound(fault, program, lua)
  if sound[fault.way] then return end
  sound[fault.way] = ends_well(program, lua, fault.way)
  assert(sound[fault.way], fault.name .. ": without the fault " .. fault.way .. " fails")
end

local function sees(fault)
  local program, lua = BUILD .. "/failmalloc", "lua"
  must_be_sound(fault, program, lua)
  if fault.file:find "%.lua$" then
    lua = ROOT .. "/lua"
    assert(run("rm -rf %s && cp -r lua %s", lua, lua))
    planted.write(ROOT .. "/" .. fault.file, planted.text(fault))
  else
    program = ROOT .. "/failmalloc"
    planted.compile(fault, ROOT, CC .. " -fPIC -w")
    link(fault, program)
  end
  return not ends_well(program, lua, fault.way, 5) -- most are seen by a wait in vain
end

run("mkdir -p %s", ROOT)
local missed, only = 0, tonumber(arg[1])
for i, fault in ipairs(faults) do
  if not only or only == i then
    local seen = sees(fault)
    if not seen then missed = missed + 1 end
    print(("%s  %-20s %s"):format(seen and "seen  " or "MISSED", fault.way, fault.name))
  end
end
pki:remove()
os.exit(missed == 0)
