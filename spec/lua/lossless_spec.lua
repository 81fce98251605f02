--- dop.r1 as an application meets it: over real sockets and local:, on by default, nothing lost.

local dop = require "dop"
local loop = require "dop.loop"
local real = require "spec.support.real"

after_each(real.close)

local URLS = {
  ws = function() return "ws://127.0.0.1:0/dop" end,
  unix = function()
    local name = os.tmpname()
    os.remove(name)
    return "ws+unix:" .. name
  end,
  ["local"] = function() return "local:lossless" end,
}

for name, url in pairs(URLS) do
  describe("a lossless session over " .. name, function()
    -- Thousands of messages: without the collection after each handler, which other specs have.
    before_each(function() loop.engine():collect_always(false) end)
    after_each(function() loop.engine():collect_always(true) end)

    it("loses nothing, doubles nothing and keeps the order through fifty cuts by either end", function()
      local MESSAGES, CUTS = 2000, 50
      local server = real.listen { url = url() }
      local client = real.connect(server)
      local sent, heard = { server = 0, client = 0 }, { server = 0, client = 0 }
      local node, wrong
      server:on("connect", function(n) node = n end)
      for _, end_ in ipairs { { "server", server, "client" }, { "client", client, "server" } } do
        local who, transport, other = end_[1], end_[2], end_[3]
        transport:on("message", function(_, message)
          heard[who] = heard[who] + 1
          local expected = ("%s %d"):format(other, heard[who])
          if message ~= expected then wrong = wrong or ("%s, not %s"):format(message, expected) end
        end)
      end
      real.wait("the session", function() return node and client.node.status == "CONNECTED" end)
      local function send(who, from)
        for _ = 1, 20 do
          if sent[who] == MESSAGES or not from:send(("%s %d"):format(who, sent[who] + 1)) then return end
          sent[who] = sent[who] + 1
        end
      end
      local cuts, round = 0, 0
      real.wait("every message and every cut", function()
        round = round + 1
        send("server", node)
        send("client", client)
        if round % 5 == 0 and cuts < CUTS and client.node.status == "CONNECTED" then
          local victim = cuts % 2 == 0 and client.node or node
          if victim:drop { reset = cuts % 3 ~= 0 } then cuts = cuts + 1 end
        end
        return wrong or heard.server == MESSAGES and heard.client == MESSAGES and cuts == CUTS
      end, 30)
      assert.is_nil(wrong)
      assert.same({ server = MESSAGES, client = MESSAGES }, heard)
      assert.equal(1, server:stats().connects)
    end)
  end)
end

describe("a lossless session", function()
  it("is what two ends of this library agree on; one that does not want it has plain DOP", function()
    for _, wanted in ipairs { { nil, nil, true }, { false, nil, false }, { nil, false, false } } do
      local _, client, node = real.pair({ lossless = wanted[1] }, { lossless = wanted[2] })
      assert.equal(wanted[3], client.node.lossless)
      assert.equal(wanted[3], node.lossless)
    end
  end)

  it("hands back what was under way when it is over, with the truth about it", function()
    local wait = 0.01
    local server, client, node = real.pair({ resume_window = 0.05 }, { retry = function() return wait end })
    local log = real.record(client, { "disconnect" })
    client:send("delivered")
    real.wait("its echo", function() return node.unacked > 0 end)
    wait = 0.3 -- the next attempt comes after the window
    client.node:drop { reset = true }
    client:send("never written")
    real.wait("the end of the session", function() return log:count "disconnect" == 1 end)
    assert.equal("unknown", log[1][1])
    assert.same({ { message = "never written", kind = "text", fate = "unsent" } }, log[1][2])
    assert.equal(1, server:stats().disconnects)
  end)

  it("keeps what comes while it is paused, hears everything else, and delivers it in order", function()
    local _, client, node = real.pair()
    local heard = {}
    client:on("message", function(_, message) heard[#heard + 1] = message end)
    client.node:pause()
    for i = 1, 10 do node:send("m" .. i) end
    client:send("still acknowledged")
    real.wait("an acknowledgement", function() return client.node.unacked == 0 end)
    assert.same({}, heard)
    assert.equal(11, node.unacked) -- the echo, too
    client.node:resume()
    real.wait("all", function() return #heard == 11 end)
    for i = 1, 10 do assert.equal("m" .. i, heard[i]) end
  end)

  it("tells the formal end behind what was sent before it, also to a reader who takes his time", function()
    local _, client, node = real.pair()
    local heard = {}
    dop.go(function()
      for message in client.node:messages() do
        heard[#heard + 1] = message
        dop.sleep(0.002)
      end
      heard[#heard + 1] = "over"
    end)
    for i = 1, 5 do node:send("m" .. i) end
    local log = real.record(node, { "disconnect" })
    node:disconnect()
    real.wait("the end", function() return heard[#heard] == "over" and log:count "disconnect" == 1 end)
    assert.same({ "m1", "m2", "m3", "m4", "m5", "over" }, heard)
    assert.same({}, log[1][2])
  end)
end)

describe("a principal", function()
  -- Whoever says "X-User: name" is that user.
  local function authorize(request) return request.headers["x-user"] or true end

  for _, lossless in ipairs { true, false } do
    local dialect = lossless and "lossless" or "plain"

    it("owns its session: it comes back, and is the node's (" .. dialect .. ")", function()
      local server = real.listen { authorize = authorize, lossless = lossless }
      local client = real.connect(server, { headers = { ["X-User"] = "ann" } })
      real.wait("the session", function() return server:stats().connects == 1 end)
      local node = server:nodes()[1]
      assert.equal("ann", node.principal)
      client.node:drop()
      real.wait("the return", function() return server:stats().reconnects == 1 end)
      assert.equal("ann", node.principal)
    end)

    it("that is another cannot take it, and does not harm it (" .. dialect .. ")", function()
      local user = "ann"
      -- The same client says another name when it comes back.
      local server = real.listen { authorize = function() return user end, lossless = lossless }
      local client = real.connect(server)
      real.wait("the session", function() return server:stats().connects == 1 end)
      local node = server:nodes()[1]
      local log = real.record(client, { "close", "connect" })
      user = "eve"
      client.node:drop { reset = true }
      real.wait("the refusal", function()
        local last = log:last "close"
        return last and last[1] == (lossless and 4403 or 1008)
      end)
      assert.equal("RECONNECTING", node.status)
      assert.equal("ann", node.principal)
    end)
  end
end)

describe("a message above 65,536 bytes", function()
  it("is refused as TOOLARGE above 65,536 bytes until the peer has said what it takes", function()
    local client = real.connect(real.listen())
    local why, code
    client:on("connect", function(node)
      why, code = select(2, node:send(("x"):rep(65537)))
    end)
    real.wait("the refusal", function() return why end)
    assert.equal("TOOLARGE", code)
    assert.truthy(why:find("65537 bytes is above 65536 bytes, the most until the peer has said", 1, true), why)
    real.wait("the limit", function() return client:send(("x"):rep(65537)) end)
  end)

  it("that was accepted while OPEN ends the session when the peer does not take it, and comes back", function()
    local client = real.connect(real.listen { max_message = 70000 })
    local log = real.record(client, { "disconnect" })
    for _, size in ipairs { 70001, 1 } do assert.is_true(client:send(("x"):rep(size))) end
    real.wait("the end", function() return log:count "disconnect" == 1 end)
    assert.equal("protocol", log[1][1])
    local back = {}
    for i, entry in ipairs(log[1][2]) do back[i] = #entry.message .. " " .. entry.fate end
    assert.same({ "70001 unsent", "1 unsent" }, back)
  end)
end)
