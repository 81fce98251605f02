--- What the programs share that plant faults: spec/mutants/run.lua, spec/fuzz/sees.lua, spec/failmalloc/sees.lua.
--
-- A fault is a table: `name`, one of its kind in its list; `file`, a source, from the root of the repository on;
-- `from`, a text that stands in it once, and `to`, what it becomes; beside these, what its list says of it.
-- Here it is read, looked at, put into its file and compiled. Who sees it, and what that means, is the programs'.
-- What is wrong with a list, a file or the build is raised as a text without a position.

local planted = {}

local LISTS = { "spec/mutants/list.lua", "spec/fuzz/faults.lua", "spec/failmalloc/faults.lua" }

local function fail(text, ...) error(text:format(...), 0) end

--- Whether a shell command ended with 0. Takes what string.format does.
function planted.run(command, ...) return (os.execute(command:format(...))) end

--- All bytes of a file.
function planted.read(path)
  local f = io.open(path, "rb") or fail("%s cannot be read", path)
  local text = f:read "a"
  f:close()
  return text
end

function planted.write(path, text)
  local f = assert(io.open(path, "wb"))
  assert(f:write(text))
  f:close()
end

--- An empty list, and the function that adds a fault to it: add(what, name, file, from, to, more). `what` becomes
-- the field `field`; `more`, a table or nil, has the fields that only some faults have.
function planted.list(field)
  local list = {}
  return list, function(what, name, file, from, to, more)
    local fault = { [field] = what, name = name, file = file, from = from, to = to }
    for key, value in pairs(more or {}) do fault[key] = value end
    list[#list + 1] = fault
  end
end

--- The text of the fault's file with the fault in it.
function planted.text(fault)
  local source = planted.read(fault.file)
  local from, to = source:find(fault.from, 1, true)
  if not from then fail("%s: its text is not in %s", fault.name, fault.file) end
  if source:find(fault.from, from + 1, true) then
    fail("%s: its text is in %s more than once", fault.name, fault.file)
  end
  return source:sub(1, from - 1) .. fault.to .. source:sub(to + 1)
end

--- The list in the file `path`. Raises for the first look at each of its faults, all that is wrong at once: a list
-- that no longer fits its sources proves nothing.
function planted.load(path)
  local list, names, wrong = dofile(path), {}, {}
  for _, fault in ipairs(list) do
    local fits, why = pcall(planted.text, fault)
    if not fits then
      wrong[#wrong + 1] = why
    elseif names[fault.name] then
      wrong[#wrong + 1] = fault.name .. ": a second fault has this name"
    elseif fault.from == fault.to then
      wrong[#wrong + 1] = fault.name .. ": it changes nothing"
    elseif not fault.file:find "%.c$" and not fault.file:find "%.lua$" then
      wrong[#wrong + 1] = fault.name .. ": not a source that can be built alone: " .. fault.file
    end
    names[fault.name] = true
  end
  if #wrong > 0 then fail("%s:\n  %s", path, table.concat(wrong, "\n  ")) end
  return list
end

--- Looks at each list that there is (make lint).
function planted.check()
  for _, path in ipairs(LISTS) do planted.load(path) end
end

--- Compiles the faulty file to dir/fault.o. `cc` is the command with all its flags.
function planted.compile(fault, dir, cc)
  planted.write(dir .. "/fault.c", planted.text(fault))
  if not planted.run("%s -c -o %s/fault.o %s/fault.c", cc, dir, dir) then fail("%s does not compile", fault.name) end
end

--- The objects below `build` of the sources that the environment's `variable` names, in one line; then whether
-- dir/fault.o stands in the place of one. Without a fault they are as make built them.
function planted.objects(build, variable, fault, dir)
  local objects, exchanged = {}, false
  for path in (os.getenv(variable) or fail("make says what %s is", variable)):gmatch "%S+" do
    local here = fault ~= nil and path == fault.file
    objects[#objects + 1] = here and dir .. "/fault.o" or build .. path:sub(#"csrc" + 1, -2) .. "o"
    exchanged = exchanged or here
  end
  return table.concat(objects, " "), exchanged
end

return planted
