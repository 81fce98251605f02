--- Without randomness there is no node, no key and no mask: nothing guessable stands in for it, and what
-- needs none goes on.

local core = require "dop.core"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

after_each(wire.close)

describe("when the system gives no randomness", function()
  it("there is no transport", function()
    local engine = core.engine()
    engine:fail_random(true)
    for _, role in ipairs { "server", "client" } do
      local transport, why, code = core.transport(engine, role, {})
      assert.is_nil(transport)
      assert.truthy(why:find("no randomness", 1, true), why)
      assert.equal("ENOMEM", code)
    end
  end)

  it("a server refuses a newcomer in HTTP, and serves the next one when there is some again", function()
    local w = wire.new()
    w.engine:fail_random(true)
    local p = w:to_server()
    assert.truthy(p.head:find("^HTTP/1.1 503 "), p.head)
    assert.same({}, w.server:nodes())
    w.engine:fail_random(false)
    w:connected_server()
    assert.equal(1, w.server:stats().connects)
  end)

  it("a client that needs another half has none, and ends", function()
    local w = wire.new()
    local p = w:from_client()
    w.engine:fail_random(true)
    p:lose()
    assert.equal("DISCONNECTED", w:last("client", "disconnect").node.status)
    assert.equal("no randomness for a new half", w:last("client", "disconnect")[1])
    assert.is_true(w.client.closed)
  end)

  it("a client does not dial: it has no key", function()
    local w = wire.new()
    w.engine:fail_random(true)
    local link, why, code = core.dial(w.client, "localhost", "/dop")
    assert.is_nil(link)
    assert.truthy(why:find("no randomness", 1, true), why)
    assert.equal("ENOMEM", code)
    assert.equal(0, w.client:stats().sockets)
  end)

  it("a client sends nothing that is not masked: what there is no mask for is refused", function()
    local w = wire.new()
    local p = w:connected_client()
    w.engine:fail_random(true)
    local sent, code = 0, nil
    while not code and sent < 100 do
      code = select(3, w.client.node:send("x"))
      if not code then sent = sent + 1 end
    end
    assert.equal("ENOMEM", code)
    p:pull()
    assert.equal(sent, #p.sent)
    for _, frame in ipairs(p.sent) do
      assert.is_true(frame.masked)
      assert.equal(frames.TEXT, frame.opcode)
    end
  end)

  it("a session is not given away for want of a probe: the newcomer hears 1013", function()
    local w = wire.new()
    local holder, token = w:connected_server()
    local newcomer = w:to_server()
    newcomer:take()
    w.engine:fail_random(true)
    newcomer:give(token)
    assert.equal(1013, newcomer:closed_with())
    assert.is_nil(holder:take())
    w:wait(5)
    holder:give("still here")
    assert.equal("still here", w:last("server", "message")[1])
    assert.equal(0, w:count("server", "reconnecting"))
  end)
end)
