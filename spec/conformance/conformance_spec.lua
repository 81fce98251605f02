--- The cases of the Autobahn testsuite, each by its number, in both roles: see docs/proof/conformance.md.

local player = require "spec.conformance.player"

-- How many cases each subject of the suite has.
local COUNTS = {
  ["1.1"] = 8, ["1.2"] = 8, ["2"] = 11, ["3"] = 7, ["4.1"] = 5, ["4.2"] = 5, ["5"] = 20,
  ["6.1"] = 3, ["6.2"] = 4, ["6.3"] = 2, ["6.4"] = 4, ["6.5"] = 5, ["6.6"] = 11, ["6.7"] = 4, ["6.8"] = 2,
  ["6.9"] = 4, ["6.10"] = 3, ["6.11"] = 5, ["6.12"] = 8, ["6.13"] = 5, ["6.14"] = 10, ["6.15"] = 1, ["6.16"] = 3,
  ["6.17"] = 5, ["6.18"] = 5, ["6.19"] = 5, ["6.20"] = 7, ["6.21"] = 8, ["6.22"] = 34, ["6.23"] = 7,
  ["7.1"] = 6, ["7.3"] = 6, ["7.5"] = 1, ["7.7"] = 13, ["7.9"] = 9, ["7.13"] = 2,
  ["9.1"] = 6, ["9.2"] = 6, ["9.3"] = 9, ["9.4"] = 9, ["9.5"] = 6, ["9.6"] = 6, ["9.7"] = 6, ["9.8"] = 6,
  ["10.1"] = 1,
  ["12.1"] = 18, ["12.2"] = 18, ["12.3"] = 18, ["12.4"] = 18, ["12.5"] = 18,
  ["13.1"] = 18, ["13.2"] = 18, ["13.3"] = 18, ["13.4"] = 18, ["13.5"] = 18, ["13.6"] = 18, ["13.7"] = 18,
}
local TOTAL = 517

local ran = { server = {}, client = {} }

for _, category in ipairs { "framing", "utf8", "close", "limits", "deflate" } do
  describe("Autobahn, " .. category, function()
    for _, case in ipairs(require("spec.conformance." .. category)) do
      for _, role in ipairs { "server", "client" } do
        it(("%s (%s)"):format(case.number, role), function()
          assert(not ran[role][case.number], "no number twice")
          local play = case.play or player.play
          play(case, role)
          ran[role][case.number] = true
        end)
      end
    end
  end)
end

-- The numbers of a cell such as "6.5.1 to 6.5.5, 7.5.1".
local function numbers_of(cell)
  local list = {}
  for item in (cell .. ","):gmatch("%s*([^,]+),") do
    local from, to = item:match("^(%S+) to (%S+)%s*$")
    from = from or item:match("^(%S+)%s*$")
    local subject, first = from:match("^(.*)%.(%d+)$")
    local last = to and to:match("^(.*)%.(%d+)$") == subject and to:match("%d+$") or first
    for i = tonumber(first), tonumber(last) do list[#list + 1] = subject .. "." .. i end
  end
  return list
end

describe("Autobahn", function()
  for _, role in ipairs { "server", "client" } do
    it(("has %d cases, and all of them ran (%s)"):format(TOTAL, role), function()
      local missing, count = {}, 0
      for subject, n in pairs(COUNTS) do
        for i = 1, n do
          count = count + 1
          local number = subject .. "." .. i
          if not ran[role][number] then missing[#missing + 1] = number end
        end
      end
      assert.same({}, missing)
      assert.equal(TOTAL, count)
      local extra = 0
      for _ in pairs(ran[role]) do extra = extra + 1 end
      assert.equal(TOTAL, extra)
    end)
  end

  it("has its cases in docs/proof/conformance.md, each once", function()
    local file = assert(io.open("docs/proof/conformance.md"))
    local listed, count = {}, 0
    for line in file:lines() do
      local cell = line:match("^| (%d[%d%., to]*) |")
      for _, number in ipairs(cell and numbers_of(cell) or {}) do
        assert(not listed[number], number .. " is listed twice")
        listed[number], count = true, count + 1
        assert(ran.server[number], number .. " is listed and was not played")
      end
    end
    file:close()
    assert.equal(TOTAL, count)
  end)
end)
