--- The resume window belongs to one loss of the socket: it begins with it and ends with the return.

local wire = require "spec.support.wire"

after_each(wire.close)

describe("a session that was resumed", function()
  it("outlives the window that began when it was lost before", function()
    local w = wire.new()
    local p, token = w:connected_server()
    p:lose()
    w:wait(5)
    local q = w:to_server()
    q:take()
    q:give(token)
    assert.equal(token, q:take())
    for i = 1, 7 do
      w:wait(10)
      q:give("data " .. i)
      assert.equal("data " .. i, w:last("server", "message")[1])
    end
    assert.equal(0, w:count("server", "disconnect"))
    assert.equal("CONNECTED", w.server:nodes()[1].status)
  end)
end)
