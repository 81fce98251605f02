--- The option `compression` as an application meets it: over real sockets, on sessions that are cut, and
-- what it does not take.

local core = require "dop.core"
local deflate = require "spec.support.deflate"
local dop = require "dop"
local frames = require "spec.support.frames"
local loop = require "dop.loop"
local real = require "spec.support.real"
local stream = require "spec.ws.stream"
local wire = require "spec.support.wire"

after_each(real.close)

local KEPT = { takeover = true, peer_takeover = true, min_size = 0 }
local LINE = "the same words again and again, the same words; "

local function url(name)
  if name == "ws" then return "ws://127.0.0.1:0/" end
  local path = os.tmpname()
  os.remove(path)
  return "ws+unix:" .. path
end

for _, name in ipairs { "ws", "unix" } do
  describe("two ends that compress, over " .. name, function()
    for what, compression in pairs {
      ["with the defaults"] = true, ["from the first byte"] = { min_size = 0 }, ["with context takeover"] = KEPT,
      ["with small windows"] = { min_size = 0, window = 9, peer_window = 9, mem_level = 1, level = 1 },
      ["with small windows and takeover"] = { min_size = 0, window = 9, peer_window = 10, takeover = true,
        peer_takeover = true },
    } do
      it(("understand each other %s"):format(what), function()
        local server = real.listen { url = url(name), compression = compression }
        local client = real.connect(server, { compression = compression })
        local heard = {}
        server:on("message", function(n, message, kind) n:send(message, kind) end)
        client:on("message", function(_, message, kind) heard[#heard + 1] = kind .. ":" .. message end)
        local wanted = {}
        for i = 0, 60 do
          local message = LINE:rep(math.floor(i * i / 2)) .. i .. " \226\130\172"
          assert.is_true(client:send(message, i % 2 == 0 and "text" or "binary"))
          wanted[#wanted + 1] = (i % 2 == 0 and "text:" or "binary:") .. message
          if i % 5 == 4 then real.wait("the echo", function() return #heard == #wanted end) end
        end
        real.wait("the last echo", function() return #heard == #wanted end)
        for i, message in ipairs(wanted) do assert.is_true(heard[i] == message, "message " .. i) end
        assert.is_true(client.node.compression)
        assert.is_true(server:nodes()[1].compression)
        local s, c = server:stats(), client:stats()
        assert.is_true(s.inflated_from < s.inflated_to / 8 and s.inflated_to > 1500000)
        assert.same({ s.inflated_from, s.inflated_to, s.deflated_from, s.deflated_to },
          { c.deflated_to, c.deflated_from, c.inflated_to, c.inflated_from })
      end)
    end
  end)
end

describe("compression", function()
  it("is off unless both ends ask for it", function()
    for _, ends in ipairs { { nil, nil }, { true, nil }, { nil, true }, { true, false }, { false, {} } } do
      local server, client, node = real.pair({ compression = ends[1] }, { compression = ends[2] })
      local heard
      server:on("message", function(_, message) heard = message end)
      client:send(LINE:rep(100))
      real.wait("the message", function() return heard end)
      assert.is_true(heard == LINE:rep(100))
      assert.same({ false, false, 0 }, { client.node.compression, node.compression, client:stats().deflated_from })
    end
  end)

  it("does nothing in one process", function()
    local server = real.listen { url = "local:compression", compression = true }
    local client = real.connect(server, { compression = true })
    local heard
    server:on("message", function(_, message) heard = message end)
    client:send(LINE:rep(100), "text", { compress = true })
    real.wait("the message", function() return heard end)
    assert.is_true(heard == LINE:rep(100))
    assert.same({ false, 0 }, { client.node.compression, client:stats().deflated_from })
  end)

  it("is a message's own choice, also through the client", function()
    local server, client = real.pair({ compression = true }, { compression = true })
    local heard = 0
    server:on("message", function() heard = heard + 1 end)
    client:send(("x"):rep(100), nil, { compress = true })
    client:send(LINE:rep(100), "text", { compress = false })
    real.wait("both", function() return heard == 2 end)
    assert.same({ 100, 100 }, { client:stats().deflated_from, server:stats().inflated_to })
    assert.has_error(function() client:send("x", "text", { compress = "yes" }) end)
  end)
end)

describe("a session that is cut and compresses", function()
  before_each(function() loop.engine():collect_always(false) end)
  after_each(function() loop.engine():collect_always(true) end)

  for what, compression in pairs { ["with takeover"] = KEPT, ["without takeover"] = { min_size = 0 } } do
    it("loses nothing, doubles nothing and keeps the order, " .. what, function()
      local MESSAGES, CUTS = 600, 20
      local server = real.listen { url = "ws://127.0.0.1:0/", compression = compression }
      local client = real.connect(server, { compression = compression })
      local sent, heard = { server = 0, client = 0 }, { server = 0, client = 0 }
      local node, wrong
      server:on("connect", function(n) node = n end)
      local function body(who, i) return ("%s %d %s"):format(who, i, LINE:rep(i % 50)) end
      for who, transport in pairs { server = server, client = client } do
        local other = who == "server" and "client" or "server"
        transport:on("message", function(_, message)
          heard[who] = heard[who] + 1
          if message ~= body(other, heard[who]) then wrong = wrong or message end
        end)
      end
      real.wait("the session", function() return node and client.node.status == "CONNECTED" end)
      local function send(who, from)
        for _ = 1, 10 do
          if sent[who] == MESSAGES or not from:send(body(who, sent[who] + 1)) then return end
          sent[who] = sent[who] + 1
        end
      end
      local cuts, round = 0, 0
      real.wait("every message and every cut", function()
        round = round + 1
        send("server", node)
        send("client", client)
        if round % 5 == 0 and cuts < CUTS and client.node.status == "CONNECTED" then
          if (cuts % 2 == 0 and client.node or node):drop { reset = cuts % 3 ~= 0 } then cuts = cuts + 1 end
        end
        return wrong or heard.server == MESSAGES and heard.client == MESSAGES and cuts == CUTS
      end, 30)
      assert.is_nil(wrong)
      assert.same({ server = MESSAGES, client = MESSAGES }, heard)
      assert.equal(1, server:stats().connects)
      assert.is_true(client:stats().deflated_from > 100000)
    end)
  end

  -- Both ends are the library's; the spec carries their bytes and looks at the frames.
  local function carry(w, a, b)
    local flows = {}
    for i, from in ipairs { a, b } do flows[i] = { from = from, to = i == 1 and b or a, bytes = "" } end
    local moved
    repeat
      moved = false
      for _, f in ipairs(flows) do
        local bytes = f.from:output()
        if #bytes > 0 then
          moved, f.bytes = true, f.bytes .. bytes
          f.to:feed(bytes)
          w:turn()
        end
      end
    until not moved
    local sent = {}
    for i, f in ipairs(flows) do
      local stop = select(2, f.bytes:find("\r\n\r\n", 1, true)) or 0
      sent[i] = frames.decode_all(f.bytes:sub(stop + 1))
    end
    return sent[1], sent[2]
  end

  local function world(compression)
    local options = { lossless = true, compression = compression }
    local w = wire.new { server = options, client = options }
    local function socket()
      return core.dial(w.client, "localhost", "/"), core.accept(w.server, "127.0.0.1:5")
    end
    return w, socket
  end

  it("writes each message again as it was to be written, and the protocol's own never compressed", function()
    -- With takeover what may be compressed is, whether it becomes smaller or not.
    local w, socket = world { min_size = 100, takeover = true, peer_takeover = true }
    local a, b = socket()
    carry(w, a, b)
    local node = w.client.node
    local marked = "\16" .. LINE:rep(5)
    for _, m in ipairs {
      { "small", true }, { LINE:rep(10), false }, { LINE:rep(10), nil }, { "tiny", nil }, { marked, nil },
    } do
      assert.is_true(node:send(m[1], "text", m[2] ~= nil and { compress = m[2] } or nil))
    end
    local token = node.token:reveal()
    assert.is_true(node:send(token, "text", { compress = true }))
    local function compressed(list)
      local seen = {}
      for i = 1, #list do seen[#seen + 1] = list[i].rsv == 4 end
      return seen
    end
    local wanted = { true, false, true, false, true, false }
    local out = carry(w, a, b)
    assert.same(wanted, compressed(out))
    assert.equal(#"small" + #LINE * 10 + 2 + #marked, w.client:stats().deflated_from)
    assert.equal("\16m" .. token, out[6].payload)
    local reader = deflate.reader()
    assert.equal("small", reader:message(out[1].payload))
    assert.equal(LINE:rep(10), reader:message(out[3].payload))
    assert.equal("\16m" .. marked, reader:message(out[5].payload))
    assert.equal(6, w:count("server", "message"))
    a:lost()
    b:lost()
    stream.over(w)
  end)

  it("writes again what was lost, each as it chose", function()
    local w, socket = world { min_size = 100 }
    local a, b = socket()
    carry(w, a, b)
    local node = w.client.node
    local repeated = ("y"):rep(60)
    node:send(repeated, "text", { compress = true })
    node:send(LINE:rep(10), "text", { compress = false })
    node:send(LINE:rep(10), "text")
    node:send(repeated, "text")
    local function compressed(list)
      local seen = {}
      for _, frame in ipairs(list) do
        if frame.rsv == 4 or frame.payload:find("^[yt]") then seen[#seen + 1] = frame.rsv == 4 end
      end
      return seen
    end
    local wanted = { true, false, true, false }
    assert.same(wanted, compressed((frames.decode_all(a:output()))))
    a:lost() -- the server never saw them
    b:lost()
    w:turn()
    a, b = socket()
    assert.same(wanted, compressed((carry(w, a, b))))
    local heard = {}
    for _, e in ipairs(w.log) do
      if e.event == "message" then heard[#heard + 1] = e[1] end
    end
    assert.same({ repeated, LINE:rep(10), LINE:rep(10), repeated }, heard)
    stream.over(w)
  end)
end)

describe("the option raises", function()
  local function says(value, ...)
    for name, make in pairs { ["dop.listen"] = dop.listen, ["dop.connect"] = dop.connect } do
      local ok, why = pcall(make, { url = "local:x", compression = value })
      assert.is_false(ok)
      for _, part in ipairs { name, ... } do assert.truthy(why:find(part, 1, true), why) end
    end
  end

  it("for what is neither true, false nor a table", function()
    says("yes", '"compression"')
    says(9, '"compression"')
  end)

  it("for a name that it does not know", function()
    says({ levle = 9 }, '"compression"', "levle")
    says({ 9 }, '"compression"')
    says({ [true] = 9 }, '"compression"')
  end)

  for name, range in pairs {
    level = { 1, 9 }, window = { 9, 15 }, peer_window = { 9, 15 }, mem_level = { 1, 9 }, min_size = { 0, 2 ^ 30 },
  } do
    it(("for a %s out of range, or no whole number"):format(name), function()
      for _, wrong in ipairs { range[1] - 1, range[2] + 1, range[1] + 0.5, 0 / 0, 1 / 0, "9", true, {} } do
        says({ [name] = wrong }, '"compression"', name)
      end
      for _, right in ipairs(range) do
        local w = wire.new { server = { compression = { [name] = right } } }
        stream.over(w)
      end
    end)
  end

  for _, name in ipairs { "takeover", "peer_takeover" } do
    it(("for a %s that is no boolean"):format(name), function()
      says({ [name] = 1 }, '"compression"', name)
      says({ [name] = "true" }, '"compression"', name)
    end)
  end

  it("also in the core, for those who make transports there", function()
    assert.has_error(function() wire.new { server = { compression = { level = 0 } } } end)
  end)
end)
