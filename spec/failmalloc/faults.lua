--- Faults that make failmalloc must see: faults.lua [NUMBER], run by make failmalloc-sees.
--
-- `from` stands in `file` once and becomes `to`; the scene, with that source of memory failing in that way, must
-- not end well then. Without a fault it must. Built from the objects of build/lua5.4.

local ROOT, BUILD = "build/failmalloc-faults", "build/lua5.4"
local CC = (os.getenv "CC" or "cc") .. " -std=gnu11 -O1 -g -Icsrc -I/usr/include/lua5.4"

local faults = {
  { "a token is not looked at", "session/token.c", "if (t) memcpy(t->text, text, len);", "memcpy(t->text, text, len);",
    "plain core once" },
  { "nothing is owed", "session/engine.c", "if (never_lost[i] == type) return 1u << i;",
    "if (never_lost[i] == type && 0) return 1u << i;", "replay core always" },
  { "a message that Lua did not hear counts as heard", "bind/host.c", "if (d.in_hand && !d.told) {", "if (0) {",
    "plain lua once" },
  { "half a link is left", "link/link.c", "  if (!l->upgrade) {\n    dop_free(l);\n", "  if (!l->upgrade) {\n",
    "plain core once" },
  { "a window has no place", "session/node.c", "(t->role == DOP_SERVER && dop_timers_reserve(",
    "(0 && dop_timers_reserve(", "lost core once" },
  { "the rest of a write is not looked at", "uv/stream.c", "  if (!w) return UV_ENOMEM;\n", "", "huge core once" },
  { "a world stays in the place of the host", "../lua/dop/sim.lua", "  host.running = false\n  loop.swap(before)\n",
    "  host.running = false\n  if ok then loop.swap(before) end\n", "world lua once" },
}

local function run(command, ...) return (os.execute(command:format(...))) end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  assert(f:write(text))
  f:close()
end

local function ends_well(program, lua, way)
  local scene, source, mode = way:match "^(%S+) (%S+) (%S+)$"
  return run("LUA_PATH='%s/?.lua;%s/?/init.lua;./?.lua;;' timeout -k 5 120 %s spec/failmalloc/run.lua %s %s %s 1 "
    .. ">%s/log 2>&1 </dev/null", lua, lua, program, scene, source, mode, ROOT)
end

local function replaced(fault)
  local path = ("csrc/" .. fault[2]):gsub("^csrc/%.%./", "")
  local source = read(path)
  local from, to = source:find(fault[3], 1, true)
  assert(from and not source:find(fault[3], from + 1, true), fault[1] .. ": its text does not stand once in " .. path)
  return path, source:sub(1, from - 1) .. fault[4] .. source:sub(to + 1)
end

-- The program with one object in the place of another.
local function link(path, program)
  local objects = { BUILD .. "/failmalloc-main.o" }
  for file in os.getenv("SOURCES"):gmatch "%S+" do
    objects[#objects + 1] = file == path and ROOT .. "/fault.o" or BUILD .. file:sub(5, -2) .. "o"
  end
  assert(run("%s -c -o %s/failmalloc-main.o spec/failmalloc/main.c", CC, BUILD))
  assert(run("%s -o %s %s -llua5.4 -luv -lssl -lcrypto -lz -lm", CC, program, table.concat(objects, " ")))
end

local function sees(fault)
  local path, text = replaced(fault)
  local program, lua = BUILD .. "/failmalloc", "lua"
  assert(ends_well(program, lua, fault[5]), fault[1] .. ": without the fault " .. fault[5] .. " fails")
  if path:find "%.lua$" then
    lua = ROOT .. "/lua"
    assert(run("rm -rf %s && cp -r lua %s", lua, lua))
    write(ROOT .. "/" .. path, text)
  else
    program = ROOT .. "/failmalloc"
    write(ROOT .. "/fault.c", text)
    assert(run("%s -fPIC -w -c -o %s/fault.o %s/fault.c", CC, ROOT, ROOT))
    link(path, program)
  end
  return not ends_well(program, lua, fault[5])
end

run("mkdir -p %s", ROOT)
local missed, only = 0, tonumber(arg[1])
for i, fault in ipairs(faults) do
  if not only or only == i then
    local seen = sees(fault)
    if not seen then missed = missed + 1 end
    print(("%s  %-20s %s"):format(seen and "seen  " or "MISSED", fault[5], fault[1]))
  end
end
os.exit(missed == 0)
