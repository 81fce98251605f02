--- Subprotocols (RFC 6455 1.9, 4): what a server makes of an offer, what a client offers and takes.

local core = require "dop.core"
local handshake = require "spec.ws.handshake"
local wire = require "spec.support.wire"
local request = handshake.request

local function offer(...)
  local lines = {}
  for i, list in ipairs { ... } do lines[i] = "Sec-WebSocket-Protocol: " .. list end
  return request(lines)
end

local function selects(protocol, bytes, limits)
  local got = handshake.ask(bytes, { limits = limits })
  assert.equal(101, got.status)
  assert.equal(protocol, got.fields["sec-websocket-protocol"])
end

local OWN = { lossless = true, protocols = "chat.v2, chat.v1" }

describe("a server", function()
  it("selects dop.r1, then dop, whatever else is offered before them", function()
    selects("dop.r1", offer "chat.v2, dop, dop.r1", OWN)
    selects("dop", offer("chat.v2", "dop"), OWN)
    selects("dop", offer "chat.v2, dop, dop.r1", { protocols = "chat.v2" })
  end)

  it("selects the first of its own list for who offers neither", function()
    selects("chat.v2", offer "chat.v1, chat.v2", OWN)
    selects("chat.v1", offer "x, chat.v1", OWN)
    selects("chat.v1", offer("x", "chat.v1"), OWN)
  end)

  it("selects nothing else: not in other case, not a part of a name, not without a list", function()
    selects(nil, offer "CHAT.V1, chat, chat.v11, chat.v", OWN)
    selects(nil, offer "chat.v1")
    selects(nil, request(), OWN)
  end)

  it("passes over empty elements, of which a list may have some", function()
    selects("chat.v1", offer ", ,chat.v1,\t,", OWN)
    selects(nil, offer "", OWN)
  end)

  for name, lines in pairs {
    ["a name that is no token"] = { "chat.v1, a b" }, ["a name with a slash"] = { "a/b" }, ["quotes"] = { '"chat"' },
    ["a name twice"] = { "chat.v1, x, chat.v1" }, ["a name twice on two lines"] = { "dop", "x, dop" },
  } do
    it("refuses with 400 an offer with " .. name, function()
      assert.equal(400, handshake.ask(offer((table.unpack or unpack)(lines)), { limits = OWN }).status)
    end)
  end

  it("takes an offer of 64 names, and refuses one of 65: each is compared with each", function()
    local names = {}
    for i = 1, 64 do names[i] = "p" .. i end
    selects(nil, offer(table.concat(names, ",")), OWN)
    assert.equal(400, handshake.ask(offer(table.concat(names, ",") .. ",p65")).status)
  end)

  it("speaks plain DOP over whatever it selected but dop.r1", function()
    for _, protocol in ipairs { "dop", "dop.r1", "chat.v2", "x" } do
      local w = wire.new { server = OWN }
      local p = w:to_server(true)
      p.link:feed(offer(protocol))
      w:turn()
      p:pull()
      p:give(("Y"):rep(16))
      p:give(("Y"):rep(16))
      local node = w.server:nodes()[1]
      assert.equal("CONNECTED", node.status)
      assert.equal(protocol == "dop.r1", node.lossless)
    end
  end)

  it("tells the application what was offered, in order, and what was selected", function()
    local w = wire.new { server = OWN }
    local seen, selected
    w.server:on("open", function(node) seen, selected = node.request.protocols, node.protocol end)
    w:to_server(true).link:feed(offer("b, chat.v1", "a"))
    w:turn()
    assert.same({ "b", "chat.v1", "a" }, seen)
    assert.equal("chat.v1", selected)
  end)
end)

describe("a client", function()
  local function dial(options)
    local w = wire.new { client = options }
    local p = w:from_client(true)
    return w, p, p.head:match("\r\nSec%-WebSocket%-Protocol: ([^\r]*)\r\n")
  end

  -- A server's answer that selects this protocol.
  local function answer(w, p, protocol)
    local text = w:answer_to(p.head):gsub("\r\nSec%-WebSocket%-Protocol: [^\r]*", "")
    p.link:feed((text:gsub("\r\n\r\n", "\r\nSec-WebSocket-Protocol: " .. protocol .. "\r\n\r\n")))
    w:turn()
  end

  it("offers its own behind ours", function()
    assert.equal("dop, dop.r1, chat.v2, chat.v1", select(3, dial(OWN)))
    assert.equal("dop, chat.v2", select(3, dial { protocols = "chat.v2" }))
  end)

  it("takes each that it offered, and speaks plain DOP over it", function()
    for _, protocol in ipairs { "dop", "dop.r1", "chat.v2", "chat.v1" } do
      local w, p = dial(OWN)
      answer(w, p, protocol)
      assert.equal(1, w:count("client", "open"))
      assert.equal(protocol, w.client.node.protocol)
      p:pull()
      p:give(("Y"):rep(16))
      p:give(("Y"):rep(16))
      assert.equal("CONNECTED", w.client.node.status)
      assert.equal(protocol == "dop.r1", w.client.node.lossless)
      p:lose()
      assert.is_nil(w.client.node.protocol)
    end
  end)

  it("fails the attempt for any other", function()
    for _, protocol in ipairs { "chat", "CHAT.V1", "chat.v11", "chat.v2, chat.v1", "x" } do
      local w, p = dial(OWN)
      local code, why
      core.values(w.client)[core.down] = { function(_, sentence, c) code, why = c, sentence end }
      answer(w, p, protocol)
      assert.equal("UPGRADE", code)
      assert.truthy(why:find("subprotocol", 1, true))
    end
    local w, p = dial { protocols = "chat.v1" } -- dop.r1 was not offered
    answer(w, p, "dop.r1")
    assert.equal(0, w:count("client", "open"))
  end)
end)
