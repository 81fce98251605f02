--- The documents name what the code has, by the same names, and nothing else. What the code can be asked is
-- asked; what it cannot is read in its source.

local core = require "dop.core"
local dop = require "dop"
local tls = require "dop.tls"

local function read(name)
  local file = assert(io.open(name))
  local text = file:read("*a")
  file:close()
  return text
end

local function output(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  assert(#list > 0, command)
  return list
end

local function sources(...)
  local text = {}
  for _, name in ipairs(output("ls " .. table.concat({ ... }, " "))) do text[#text + 1] = read(name) end
  return table.concat(text, "\n")
end

local api = read "docs/api.md"

-- What stands below a heading ("### Options of both"), up to the next one.
local function below(document, heading)
  local _, finish = ("\n" .. document):find("\n" .. heading .. "\n", 1, true)
  assert(finish, heading)
  return (document:sub(finish):match("^(.-)\n#+ ") or document:sub(finish))
end

-- The table below a head row that begins so, its rows as lists of cells.
local function rows(text, head)
  local _, finish = ("\n" .. text):find("\n| " .. head, 1, true)
  assert(finish, head)
  local list = {}
  for line in (text:sub(finish) .. "\n"):gmatch("([^\n]*)\n") do
    if #list > 0 and not line:find "^|" then break end
    local cells = {}
    for cell in line:gsub("^| ?", ""):gsub("\\|", "\1"):gmatch("([^|]*)|") do cells[#cells + 1] = cell end
    if line:find "^| " then list[#list + 1] = cells end
  end
  return list
end

-- What the pattern finds in the first cells of these rows, sorted.
local function named(list, pattern)
  local found, seen = {}, {}
  for _, cells in ipairs(list) do
    for name in cells[1]:gmatch(pattern or "`([%w_]+)`") do
      if not seen[name] then found[#found + 1] = name end
      seen[name] = true
    end
  end
  table.sort(found)
  return found
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function set(list)
  local names = {}
  for _, name in ipairs(list) do names[name] = true end
  return names
end

-- The keys of a table of Lua that a source file has between `first` and the next `last`.
local function keys(text, first, last)
  local _, start = text:find(first, 1, true)
  assert(start, first)
  local names = {}
  for name in text:sub(start, text:find(last, start, true)):gmatch("([%w_]+) = ") do names[name] = true end
  return names
end

-- The names in an array of methods or getters in C: a list, sorted, and a set.
local function methods_of(file, array)
  local names = {}
  local text = read(file):match("luaL_Reg " .. array .. "%[%] = {(.-)NULL")
  for name in text:gmatch '{"([%w_]+)"' do names[name] = true end
  return sorted(names), names
end

describe("docs/api.md", function()
  local both, listens, connects =
    below(api, "### Options of both"), below(api, "### Options of dop.listen"), below(api, "### Options of dop.connect")
  local of_both, of_listen, of_connect = rows(both, "option"), rows(listens, "option"), rows(connects, "option")
  local limits = {}
  for _, name in ipairs(core.limits) do limits[name] = name ~= "half_min" or nil end

  it("has the options of dop.listen and dop.connect, each where it belongs", function()
    local server = keys(read "lua/dop/server.lua", "local known = {", "\n}")
    local client = keys(read "lua/dop/client.lua", "local known = {", "\n}")
    local expected = { both = {}, listen = {}, connect = {} }
    for name in pairs(server) do expected[client[name] and "both" or "listen"][name] = true end
    for name in pairs(client) do if not server[name] then expected.connect[name] = true end end
    local documented = set(named(of_both))
    for name in pairs(limits) do expected[documented[name] and "both" or "listen"][name] = true end
    assert.same(sorted(expected.both), named(of_both))
    assert.same(sorted(expected.listen), named(of_listen))
    assert.same(sorted(expected.connect), named(of_connect))
  end)

  it("has the range of each limit", function()
    local function number(text)
      local base, power = text:match "^(%d+)^(%d+)$"
      return base and base ^ power or tonumber(text)
    end
    local seen = {}
    for _, list in ipairs { of_both, of_listen } do
      for _, cells in ipairs(list) do
        local name = cells[1]:match "`([%w_]+)`"
        local least, most = (cells[3] or ""):match "^%s*([%d.^]+)[^%d]* to (%S+)"
        if most == "`high_mark`" then most = "2^30" end
        if limits[name] and least then
          seen[name] = true
          least, most = number(least), number(most)
          assert.is_nil(core.wrong_limit { [name] = least }, name)
          assert.is_nil(core.wrong_limit { [name] = most }, name)
          assert.truthy(core.wrong_limit { [name] = least - (least < 1 and 0.0001 or 1) }, name)
          assert.truthy(core.wrong_limit { [name] = most + 1 }, name)
        end
      end
    end
    assert.same(sorted(limits), sorted(seen))
  end)

  it("has the options of tls, for each role", function()
    local source = read "lua/dop/tls.lua"
    for role, head in pairs { server = "in `tls` of dop.listen", client = "in `tls` of dop.connect" } do
      local documented = named(rows(below(api, "## TLS"), head))
      for _, name in ipairs(documented) do
        assert.falsy(tls.wrong({ [name] = 0 }, role):find("there is no", 1, true), name)
      end
      assert.same(sorted(keys(source, "\n  " .. role .. " = {", "}")), documented)
    end
  end)

  it("has the fields of compression, with their ranges", function()
    local documented = rows(below(api, "## Compression"), "field")
    local names = {}
    for name in read("csrc/bind/compression.c"):gmatch '\n    NUMBER%(([%w_]+)' do names[name] = true end
    for name in read("csrc/bind/compression.c"):gmatch '\n    {"([%w_]+)", FLAG' do names[name] = true end
    assert.same(sorted(names), named(documented))
    for _, cells in ipairs(documented) do
      local name = cells[1]:match "`([%w_]+)`"
      local least, most = cells[3]:match "(%d+) to (%S+)"
      if most then
        most = most == "2^30" and 2 ^ 30 or tonumber(most)
        assert.is_nil(core.wrong_compression { [name] = tonumber(least) })
        assert.is_nil(core.wrong_compression { [name] = most })
        assert.truthy(core.wrong_compression { [name] = least - 1 })
        assert.truthy(core.wrong_compression { [name] = most + 1 })
      end
    end
  end)

  it("has all of dop", function()
    local documented = named(rows(below(api, "## dop"), "|"), "`dop%.([%w_]+)")
    assert.same(sorted(dop), documented)
  end)

  it("has the defaults of dop.backoff", function()
    local defaults = read("lua/dop/backoff.lua"):match "\nlocal defaults = {%s*(.-)%s*}\n"
    assert.truthy(api:find(("`dop.backoff{%s}`"):format(defaults), 1, true), defaults)
  end)

  it("has what stats() counts, and nothing else", function()
    local server = assert(dop.listen { url = "local:documents" })
    local stats = server:stats()
    server:close()
    local row = api:match "\n| `t:stats%(%)` | ([^\n]*)"
    local documented = {}
    for words in row:gmatch "`([^`]*)`" do
      for word in words:gmatch "[%w_]+" do
        if not limits[word] and not (core.events[word] and not stats[word]) then documented[word] = true end
      end
    end
    assert.same(sorted(stats), sorted(documented))
  end)

  it("has the methods and properties of transports and nodes", function()
    local internal = { end_sessions = true, drain_sessions = true, give_up = true } -- lua/dop's own
    local documented = set(named(rows(below(api, "## Transports: servers and clients"), "|"), "`%w+:([%w_]+)[({]"))
    for name in pairs(internal) do documented[name] = true end
    assert.same(sorted(core.transport_methods), sorted(documented))
    local nodes = below(api, "## Nodes")
    documented = set(named(rows(nodes, "|"), "`node:([%w_]+)"))
    for name in pairs(set(named(rows(nodes, "|"), "`([%a]+)`"))) do documented[name] = true end
    assert.same(sorted(core.node_methods), sorted(documented))
    assert.same(methods_of("csrc/bind/node.c", "node_getters"), named(rows(nodes, "property")))
    documented = named(rows(below(api, "## Transports: servers and clients"), "|"), "`%w+%.([%w_]+)`")
    assert.same(methods_of("csrc/bind/transport.c", "transport_getters"), documented)
  end)

  it("has the events", function()
    assert.same(sorted(core.events), named(rows(below(api, "## Events"), "event")))
  end)

  it("has the entries of the log, each with its level", function()
    local levels = {}
    local function entry(level, event) levels[event] = (levels[event] or "") .. " " .. level end
    local source = read "lua/dop/log.lua"
    source = source:gsub('\nfunction of%.(%w+)%([^\n]-return "(%w+)"[^\n]*', function(event, level)
      entry(level, event)
      return ""
    end)
    for event, body in source:gmatch "\nfunction of%.(%w+)%([^\n]*\n(.-)\nend\n" do
      local told = body:match "\n  return ([^\n]*)"
      for level in told:gmatch '"(%w+)",?' do entry(level, event) end
    end
    for level, event in sources("lua/dop/*.lua"):gmatch 'log%.enter%("(%w+)", "(%w+)"' do entry(level, event) end
    levels.over = nil -- told as `closed`
    local documented = {}
    for _, cells in ipairs(rows(below(api, "## Logging"), "event | level")) do
      for event in cells[1]:gmatch "`(%w+)`" do documented[event] = cells[2] end
    end
    assert.same(sorted(levels), sorted(documented))
    for event, found in pairs(levels) do
      for level in found:gmatch "%a+" do assert.truthy(documented[event]:find(level, 1, true), event) end
    end
  end)

  it("has the methods of the loop", function()
    local documented = {}
    for name in below(api, "## Other hosts"):gmatch "loop:(%w+)" do documented[name] = true end
    local _, methods = methods_of("csrc/bind/uv.c", "loop_methods")
    for _, internal in ipairs { "hold", "release", "listen", "dial", "tls" } do methods[internal] = nil end
    assert.same(sorted(methods), sorted(documented))
  end)

  it("has every code that somebody can hear, and no other", function()
    -- Statuses, methods, variables of the environment, and codes that stay at the end that says them.
    local others = set {
      "OPEN", "PRECONNECTED", "CONNECTED", "RECONNECTING", "DISCONNECTED", "GET", "HEAD", "LOCAL", "ALL_PROXY",
      "HTTPS_PROXY", "NO_PROXY", "DOP_SEED", "BUSY", "PRINCIPAL", "STALE", "SUPERSEDED", "TLS_",
    }
    local said = {}
    for code in sources("lua/dop/*.lua", "csrc/[!bfp]*/*.c", "csrc/bind/*.c"):gmatch '"(%u[%u_][%u_]+)"' do
      if not others[code] then said[code] = true end
    end
    local documented = {}
    for _, cells in ipairs(rows(below(api, "## Error codes"), "code")) do
      for code in cells[1]:gmatch "`(%u[%u_]+)`" do
        if said[code] or not code:find "^E" then documented[code] = true end -- the others are libuv's
      end
    end
    assert.same(sorted(said), sorted(documented))
  end)
end)

describe("docs/simulator.md", function()
  local document = read "docs/simulator.md"
  local source = read "lua/dop/sim.lua"

  it("has what a world can do", function()
    local methods, documented = { seed = true }, {}
    for name in source:gmatch "\nfunction World:(%w+)" do methods[name] = true end
    for name in document:gmatch "\n| `world[:.](%w+)" do documented[name] = true end
    assert.same(sorted(methods), sorted(documented))
  end)

  it("has the options of sim.new, sim.try and faults", function()
    assert.same(sorted(keys(source, "local known = {", "}")), named(rows(document, "option")))
    for name in pairs(keys(source, "local try_options = {", "}")) do
      assert.truthy(below(document, "## Many seeds"):find(name .. " = {", 1, true) or
        below(document, "## Many seeds"):find(name .. " = %d"), name)
    end
    local shown = keys(document, "faults = {", "}")
    for kind in source:match("local kinds = {(.-)}"):gmatch '"([%w_]+)"' do
      assert.truthy(shown[kind], kind)
      shown[kind] = nil
    end
    assert.same({ "every" }, sorted(shown))
  end)
end)

describe("docs/architecture.md", function()
  local document = read "docs/architecture.md"

  it("has every folder of csrc, and the table of drivers", function()
    local documented = {}
    for _, name in ipairs(named(rows(below(document, "## Layers"), "folder"), "`csrc/([%w_]+)`")) do
      documented[name] = true
    end
    assert.same(output "ls csrc", sorted(documented))
    local said = {}
    for name in read("csrc/link/driver.h"):gmatch "%(%*([%w_]+)%)%([csv]" do
      if not name:find "ref$" and name ~= "fn" and name ~= "facts" then said[name] = true end -- references, arguments
    end
    assert.same(sorted(said), named(rows(below(document, "## Two modules"), "|")))
  end)
end)

describe("docs/proof/fuzz.md", function()
  it("has every fault that the fuzz targets must find", function()
    local expected, documented = {}, {}
    for _, fault in ipairs(require "spec.fuzz.faults") do expected[fault.target .. ": " .. fault.name] = true end
    for target, name in read("docs/proof/fuzz.md"):gmatch "\n| `([%w_]+)` | ([^|]+) | %d" do
      documented[target .. ": " .. name] = true
    end
    assert.same(sorted(expected), sorted(documented))
  end)
end)

describe("every document", function()
  local tree = {}
  for _, path in ipairs(output "find . -name .git -prune -o -path ./build -prune -o -type f -print") do
    tree[#tree + 1] = path:sub(3)
  end
  local documents = {}
  for _, name in ipairs(tree) do
    if name:find "%.md$" then documents[#documents + 1] = name end
  end
  local files, folders = {}, {}
  for _, name in ipairs(tree) do
    files[name] = true
    for at in name:gmatch "()/" do folders[name:sub(1, at - 1)] = true end
  end

  -- As the pages that show them make them of headings.
  local function anchors(document)
    local list = {}
    for heading in ("\n" .. document):gmatch "\n#+ ([^\n]+)" do
      list[heading:lower():gsub("[^%w%s_-]", ""):gsub(" ", "-")] = true
    end
    return list
  end

  it("has links that lead somewhere", function()
    local checked = 0
    for _, name in ipairs(documents) do
      for target in read(name):gmatch "%]%(([^)]+)%)" do
        if not target:find "^https?:" then
          local path, anchor = target:match "^([^#]*)#?(.*)$"
          local folder = name:match "^(.*/)" or ""
          path = path == "" and name or folder .. path
          repeat
            local count
            path, count = path:gsub("[^/]+/%.%./", "", 1)
          until count == 0
          path = path:gsub("/$", "")
          assert.truthy(files[path] or folders[path], name .. ": " .. target)
          if anchor ~= "" then assert.truthy(anchors(read(path))[anchor], name .. ": " .. target) end
          checked = checked + 1
        end
      end
    end
    assert.is_true(checked > 30)
  end)

  it("names files that are there", function()
    local bases = {}
    for path in pairs(files) do bases[path:match "[^/]+$"] = true end
    local checked = 0
    for _, name in ipairs(documents) do
      for path in read(name):gmatch "`([%w_./-]+%.[chl][ua]*)`" do
        if path ~= "lua.h" then
          assert.truthy(files[path] or bases[path] or files[(name:match "^(.*/)" or "") .. path], name .. ": " .. path)
          checked = checked + 1
        end
      end
      for path in read(name):gmatch "`([%w_]+/[%w_/.-]+)`" do
        local first = path:match "^[^/]+"
        if folders[first] and first ~= "build" then
          path = path:gsub("/$", "")
          local found = files[path] or files[path .. ".lua"] or folders[path] or path:find "TARGET"
          assert.truthy(found, name .. ": " .. path)
          checked = checked + 1
        end
      end
    end
    assert.is_true(checked > 60, checked)
  end)
end)

describe("the README", function()
  it("has every target of make", function()
    local targets, documented = {}, {}
    for name in read("Makefile"):gmatch "\n([%l-]+):[^\n]-## " do targets[name] = true end
    for _, cells in ipairs(rows(below(read "README.md", "## Make"), "target")) do
      for text in table.concat(cells, " "):gmatch "`([%l-]+)`" do
        if targets[text] then documented[text] = true end
      end
      for text in cells[1]:gmatch "`([%l-]+)`" do assert.truthy(targets[text], text) end
    end
    assert.same(sorted(targets), sorted(documented))
  end)
end)

describe("the rock", function()
  it("has every source", function()
    local rock = read "rockspec/dop-scm-1.rockspec"
    local listed = {}
    for path in rock:gmatch '"([%w_/]+%.c)"' do listed[path] = true end
    for path in rock:gmatch '"(lua/[%w_/]+%.lua)"' do listed[path] = true end
    local expected = set(output "ls lua/dop/*.lua csrc/b*/*.c csrc/inproc/*.c csrc/link/*.c csrc/s*/*.c csrc/[uw]*/*.c")
    assert.same(sorted(expected), sorted(listed))
  end)
end)
