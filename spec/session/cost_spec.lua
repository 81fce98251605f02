--- What a message costs where it can be counted rather than timed: allocations of the core, and writes.

local core = require "dop.core"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

after_each(wire.close)

describe("the receive path", function()
  local function batch(n, options)
    local list = {}
    for i = 1, n do list[i] = frames.encode(frames.TEXT, ("message %d"):format(i), options) end
    return table.concat(list)
  end

  it("allocates nothing for a message that lies whole in the buffer", function()
    local w = wire.new()
    local p = w:connected_server()
    local heard = 0
    w.server:on("message", function() heard = heard + 1 end)
    w.log = {}
    local one, many = batch(1, { mask = true }), batch(1000, { mask = true })
    -- The link of a Lua host copies what it is fed, once; a driver in C hands over its own buffer.
    local for_one = core.allocations(function() p.link:feed(one) end)
    local for_many = core.allocations(function() p.link:feed(many) end)
    assert.equal(1001, heard)
    assert.equal(1, for_one)
    assert.equal(1, for_many)
  end)

  it("counts an allocation where there is one: a message in two parts", function()
    local w = wire.new()
    local p = w:connected_server()
    local frame = frames.encode(frames.TEXT, "in two parts", { mask = true })
    local n = core.allocations(function()
      p.link:feed(frame:sub(1, 8))
      p.link:feed(frame:sub(9))
    end)
    assert.truthy(n > 2)
  end)

  it("answers everything that one read brought in one write", function()
    local w = wire.new()
    local p = w:connected_server()
    while p:take() do end
    w.server:on("message", function(node, message, kind) node:send(message, kind) end)
    p.link:feed(batch(100, { mask = true }))
    local list, rest = frames.decode_all(p.link:output())
    assert.equal(100, #list)
    assert.equal("", rest)
    assert.equal("", p.link:output())
  end)
end)

describe("a lossless session", function()
  it("sends on and on without an allocation: what was acknowledged left its room behind", function()
    local w = wire.new { server = { lossless = true }, client = { lossless = true } }
    local s, c = w:join()
    local node = w.client.node
    local function flow()
      local moved
      repeat
        moved = false
        for from, to in pairs { [c] = s, [s] = c } do
          local payload, opcode = from:take()
          if payload then
            moved = true
            to:give(payload, opcode)
          end
        end
      until not moved
    end
    local function send_64()
      for i = 1, 64 do assert(node:send(("message %d"):format(i))) end
    end
    flow()
    send_64()
    assert.equal(64, node.unacked)
    flow()
    assert.equal(0, node.unacked)
    assert.equal(0, core.allocations(send_64))
    assert.equal(64, node.unacked)
  end)
end)
