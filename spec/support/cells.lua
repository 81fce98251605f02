--- Cells of a total table (docs/protocol.md): each brings a world to a state, gives it one input, and
-- compares all that follows. A spec file fills in its states and inputs, then its cells.
--
-- A state is a function that returns c: c.w (a world of wire.lua), c.node, c.p (the other end of the
-- node's socket, nil without one), c.asked (how often a client's policy was asked).

local assert = require "luassert"
local frames = require "spec.support.frames"

local cells = {}

--- Forgets what was said and seen so far. Returns c.
function cells.quiet(c)
  for i = #c.w.log, 1, -1 do c.w.log[i] = nil end
  if c.p then while c.p:take() do end end
  c.half = c.node.token_local and c.node.token_local:reveal()
  c.asked = 0
  return c
end

--- What came out of a socket since: texts as they are, with `^` for the byte 0x10, "PING", and the close
-- code as a number.
function cells.said(p)
  local list = {}
  while true do
    local payload, opcode = p:take()
    if not payload then return list end
    if opcode == frames.CLOSE then
      list[#list + 1] = payload:byte(1) * 256 + payload:byte(2)
    elseif opcode == frames.PING then
      list[#list + 1] = "PING"
    else
      list[#list + 1] = (payload:gsub("\16", "^"))
    end
  end
end

--- The node's events but `status`, as the table writes them.
function cells.seen(c, node)
  local list = {}
  for _, e in ipairs(c.w.log) do
    if e.node == node and e.event ~= "status" then
      local what = e.event
      if what == "close" then what = ("close %s"):format(e[1] or "-") end
      if what == "disconnect" then what = ("disconnect %q"):format(e[1]) end
      if what == "message" then what = ("message %q"):format(e[2]) end
      list[#list + 1] = what
    end
  end
  return list
end

--- A table: its states by name, its inputs by name.
function cells.new(states, inputs)
  local t = { names = {}, order = {} }

  --- A cell: its name, the status afterwards, what is sent, the events. More: `asks`, the policy is
  -- asked; `fresh`, the node has another half; `input`, `before` and `after` where the name alone does
  -- not say what happens.
  function t.cell(name, status, sends, events, more)
    more = more or {}
    local state, input = name:match("^([SC]%-%u+)%-(.+)$")
    assert(not t.names[name], name)
    t.names[name] = state
    t.order[#t.order + 1] = function(it)
      it(name, function()
        local c = states[state]()
        if more.before then
          more.before(c)
          cells.quiet(c)
        end
        (more.input or inputs[input])(c)
        if status then assert.equal(status, c.node.status) end
        if type(sends) == "function" then sends = sends(c) end
        if c.p then assert.same(sends, cells.said(c.p)) end
        assert.same(events, cells.seen(c, c.node))
        assert.equal(more.asks and 1 or 0, c.asked)
        if more.fresh then
          assert.are_not.equal(c.half, c.node.token_local:reveal())
          assert.equal(22, #c.node.token_local:reveal())
        end
        if more.after then more.after(c) end
      end)
    end
  end

  --- Several cells of one state that differ in their inputs only.
  function t.each(state, names, ...)
    for name in names:gmatch("%S+") do t.cell(state .. "-" .. name, ...) end
  end

  --- Defines a spec for each cell by busted's `it`, and one that compares their names with those that
  -- docs/protocol.md has for these states, both ways.
  function t.define(it)
    for _, define in ipairs(t.order) do define(it) end

    it("is the table of docs/protocol.md", function()
      local file = assert(io.open("docs/protocol.md"))
      local document = file:read("*a")
      file:close()
      local documented = {}
      for line in document:gmatch("[^\n]+") do
        local state
        for name in line:gmatch("`([^`]+)`") do
          local prefix = name:match("^([SC]%-%u+)%-[%a-]+$")
          if prefix and states[prefix] then
            state = prefix
            documented[name] = true
          elseif state and name:match("^%-%a[%a-]*$") then
            documented[state .. name] = true
          end
        end
      end
      local differ = {}
      for name in pairs(documented) do if not t.names[name] then differ[#differ + 1] = "no spec: " .. name end end
      for name in pairs(t.names) do
        if not documented[name] then differ[#differ + 1] = "not documented: " .. name end
      end
      table.sort(differ)
      assert.same({}, differ)
    end)
  end

  return t
end

return cells
