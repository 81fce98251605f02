--- The proposal's own transcript: halves AAAA, BBBB, CCCC, DDDD, message by message; after each step both
-- nodes are as the proposal prints them.
--
-- What is looked at are the fields that it prints for that step, and no others. In the third scene ours
-- differ from it in two places. It prints OPEN and RECONNECTING for two nodes that know a remote half
-- already: these are PRECONNECTED. And its CLIENT1, which it calls deleted, still shows PRECONNECTED, as
-- it was left behind: here it is DISCONNECTED, since an application that holds on to it must see, and is
-- told by `disconnect` ("unknown"), that this session is over.

local wire = require "spec.support.wire"

after_each(wire.close)

-- What the proposal prints of a node; a field that it does not print for that step is not looked at.
local function shows(node, expected)
  local function text(token) return token and token:reveal() end
  for field, value in pairs(expected) do
    local found
    if field == "closed" then
      found = not node.attached
    elseif field:find("^token") then
      found = text(node[field])
    else
      found = node[field]
    end
    assert.equal(value, found, field)
  end
end

local function world()
  local w = wire.new {
    server = { half_min = 4, halves = { "AAAA", "CCCC", "DDDD" } },
    client = { half_min = 4, halves = { "BBBB" } },
  }
  return w
end

-- The first scene, up to CONNECTED. Returns both ends of the socket and both nodes.
local function connect(w)
  local s, c = w:join()
  local server, client = w.server:nodes()[1], w.client.node
  w.carry(c, s)
  w.carry(s, c)
  w.carry(s, c)
  w.carry(c, s)
  return s, c, server, client
end

local function lose(s, c)
  s:lose()
  c:lose()
end

describe("the proposal's transcript", function()
  it("connection", function()
    local w = world()
    local s, c = w:join()
    local server, client = w.server:nodes()[1], w.client.node
    shows(server, { status = "OPEN", token_local = "AAAA", socket = 1 })
    shows(client, { status = "OPEN", token_local = "BBBB", socket = 1 })

    assert.equal("BBBB", w.carry(c, s))
    assert.equal("AAAA", w.carry(s, c))
    shows(server, { status = "PRECONNECTED", token_local = "AAAA", token_remote = "BBBB", socket = 1 })
    shows(client, { status = "PRECONNECTED", token_local = "BBBB", token_remote = "AAAA", socket = 1 })

    assert.equal("AAAA", w.carry(s, c))
    assert.equal("BBBB", w.carry(c, s))
    shows(server, { status = "CONNECTED", token = "AAAABBBB", socket = 1 })
    shows(client, { status = "CONNECTED", token = "AAAABBBB", socket = 1 })
    assert.is_nil(s:take())
    assert.is_nil(c:take())
  end)

  it("reconnection", function()
    local w = world()
    local s, c, server1, client = connect(w)
    lose(s, c)
    s, c = w:join()
    local server2 = w.server:nodes()[1]
    shows(server1, { status = "RECONNECTING", token = "AAAABBBB", socket = 1, closed = true })
    shows(server2, { status = "OPEN", token_local = "CCCC", socket = 2 })
    shows(client, { status = "RECONNECTING", token = "AAAABBBB", socket = 2, closed = false })

    assert.equal("CCCC", w.carry(s, c))
    shows(server1, { status = "RECONNECTING", token = "AAAABBBB", socket = 1, closed = true })
    shows(server2, { status = "OPEN", token_local = "CCCC", socket = 2 })
    shows(client, { status = "PRECONNECTED", token = "AAAABBBB", socket = 2 })

    assert.equal("AAAABBBB", w.carry(c, s))
    shows(server1, { status = "CONNECTED", token = "AAAABBBB", socket = 2 })
    shows(server2, { status = "DISCONNECTED", closed = true })
    shows(client, { status = "PRECONNECTED", token = "AAAABBBB", socket = 2 })
    assert.same({ server1 }, w.server:nodes())

    assert.equal("AAAABBBB", w.carry(s, c))
    shows(server1, { status = "CONNECTED", token = "AAAABBBB", socket = 2 })
    shows(client, { status = "CONNECTED", token = "AAAABBBB", socket = 2 })
    assert.equal(client, w.client.node)
    assert.is_nil(s:take())
    assert.is_nil(c:take())
  end)

  it("reconnection that becomes a new connection, then disconnection", function()
    local w = world()
    local s, c, _, client1 = connect(w)
    lose(s, c)
    s, c = w:join() -- socket 2, CCCC: the second scene
    w.carry(s, c)
    w.carry(c, s)
    w.carry(s, c)
    lose(s, c)
    w:wait(60)
    assert.same({}, w.server:nodes())

    s, c = w:join()
    local server2 = w.server:nodes()[1]
    shows(server2, { status = "OPEN", token_local = "DDDD", socket = 3 })
    shows(client1, { status = "RECONNECTING", token = "AAAABBBB", socket = 3 })

    assert.equal("DDDD", w.carry(s, c))
    assert.equal("AAAABBBB", w.carry(c, s))
    shows(server2, { status = "PRECONNECTED", token_local = "DDDD", token_remote = "AAAABBBB", socket = 3 })
    shows(client1, { status = "PRECONNECTED", token_local = "AAAABBBB", token_remote = "DDDD", socket = 3 })

    assert.equal("DDDD", w.carry(s, c))
    local client2 = w.client.node
    assert.are_not.equal(client1, client2)
    shows(server2, { status = "PRECONNECTED", token_local = "DDDD", token_remote = "AAAABBBB", socket = 3 })
    shows(client1, { status = "DISCONNECTED", closed = true })
    shows(client2, { status = "CONNECTED", token = "AAAADDDD", socket = 3 })

    assert.equal("AAAABBBB", w.carry(c, s))
    shows(server2, { status = "CONNECTED", token = "AAAADDDD", socket = 3 })
    shows(client2, { status = "CONNECTED", token = "AAAADDDD", socket = 3 })
    assert.is_nil(s:take())
    assert.is_nil(c:take())

    client2:disconnect()
    w:turn()
    assert.equal("AAAADDDD", w.carry(c, s))
    shows(server2, { status = "DISCONNECTED", token = "AAAADDDD", socket = 3, closed = true })
    shows(client2, { status = "DISCONNECTED", token = "AAAADDDD", socket = 3, closed = true })
    assert.equal("peer", w:last("server", "disconnect")[1])
    assert.equal("local", w:last("client", "disconnect")[1])
  end)

  it("forgetting: after the window the server's node is DISCONNECTED, not before", function()
    local w = world()
    local s, c, server = connect(w)
    lose(s, c)
    w:wait(59.9)
    shows(server, { status = "RECONNECTING", token = "AAAABBBB", socket = 1, closed = true })
    w:wait(0.2)
    shows(server, { status = "DISCONNECTED", token = "AAAABBBB", socket = 1, closed = true })
    assert.equal("expired", w:last("server", "disconnect")[1])
  end)
end)
