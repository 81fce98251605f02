--- Other people's WebSockets against ours, in both roles, as they are and with TLS and compression: README.md in
-- this folder says what a peer does.

local certificates = require "spec.support.certificates"
local real = require "spec.support.real"
local process = require "spec.real.process"

local BUILT = "build/peers/"

-- Each peer: the command before "client URL" or "server".
local PEERS = {
  ["ws of Debian"] = "PEER_WS=/usr/share/nodejs/ws node spec/peers/node.js",
  ["ws as released"] = "PEER_WS=$PWD/" .. BUILT .. "npm/node_modules/ws node spec/peers/node.js",
  ["websockets"] = "/usr/bin/python3 spec/peers/python.py",
  ["gorilla"] = BUILT .. "gorilla",
}

-- The names of those that .ci/peers could not make, one a line.
local left_out = {}
for name in assert(io.lines(BUILT .. "left-out"), "make peers makes the peers") do left_out[name] = true end

-- A short ping interval, so that pings of ours reach the peer within a scene.
local LIMITS = { ping_interval = 0.1, ping_timeout = 2, close_timeout = 2, max_message = 1048576 }

-- The same samples as the peers make.
local function sample(size, kind)
  if kind == "binary" then
    local all = {}
    for i = 0, 255 do all[i + 1] = string.char(i) end
    return table.concat(all):rep(math.ceil(size / 256)):sub(1, size)
  end
  local unit = "\195\164b\226\130\172\240\144\141\136c"
  local times = math.floor(size / #unit)
  return unit:rep(times) .. ("."):rep(size - times * #unit)
end

local pki = certificates.new()
teardown(function() pki:remove() end)

-- How the two are connected: what our end and the peer are told, and which scenes are played. Our server's
-- answer to an offer, and what it makes of messages, shows that compression was agreed on.
local WAYS = {
  { "" },
  { "by TLS, ", tls = true, scenes = 5 },
  { "compressed, ", deflate = true, scenes = 5 },
  { "compressed, by TLS, ", tls = true, deflate = true, scenes = 2 },
}

local COMPRESSION = { takeover = true, peer_takeover = true, min_size = 0 }

-- A session between the peer and our end.
local pair = {}
pair.__index = pair

local function environment(way)
  return (way.tls and ("PEER_CERT=%s PEER_KEY=%s PEER_CA=%s "):format(pki.server, pki:key "server", pki.ca) or "")
    .. (way.deflate and "PEER_DEFLATE=1 " or "")
end

-- `role` is the peer's.
local function begin(command, role, way)
  local limits = { compression = way.deflate and COMPRESSION }
  for k, v in pairs(LIMITS) do limits[k] = v end
  local p = setmetatable({ messages = {}, losses = 0 }, pair)
  local call = "env " .. environment(way) .. command
  local scheme = way.tls and "wss" or "ws"
  local function hear(ours)
    p.ours, p.log = ours, real.record(ours, { "connect", "reconnect", "close", "disconnect" })
    ours:on("message", function(_, message, kind) table.insert(p.messages, { message, kind }) end)
  end
  if role == "client" then
    limits.url = scheme .. "://127.0.0.1:0/dop"
    limits.tls = way.tls and pki:identity()
    hear(real.listen(limits)) -- a process is waited for, and may be CONNECTED by then
    p.peer = process.start(("%s client %s"):format(call, p.ours.url))
  else
    p.peer = process.start(call .. " server")
    limits.url = ("%s://127.0.0.1:%d/dop"):format(scheme, p.peer:expect("^listening (%d+)$"))
    limits.tls = way.tls and { ca = pki.ca }
    hear(real.connect(nil, limits))
  end
  p.peer:expect "^connected$"
  real.wait("the session", function() return p.log:count "connect" == 1 end)
  p.node = p.log:last("connect").node
  assert.equal(way.deflate or false, p.node.compression)
  assert.equal(way.tls or false, p.node.tls ~= nil)
  return p
end

-- The next message.
function pair:hear()
  real.wait("a message", function() return self.messages[1] end, 10)
  local message = table.remove(self.messages, 1)
  return message[1], message[2]
end

function pair:echoes(message, kind)
  assert(self.node:send(message, kind))
  local heard, as = self:hear()
  assert(heard == message and as == kind, ("%d bytes of %s came back as %d of %s"):format(#message, kind, #heard, as))
end

-- Asks the peer for something.
function pair:please(...) assert(self.node:send(table.concat({ "please", ... }, " "))) end

-- Waits until our end has lost its socket once more, and has it back; returns the code and reason of the close.
function pair:comes_back()
  self.losses = self.losses + 1
  self.peer:expect "^reconnected$"
  real.wait("the session on another socket", function()
    return self.log:count "close" == self.losses and self.log:count "reconnect" == self.losses
      and self.node.status == "CONNECTED"
  end)
  self:echoes("on another socket", "text")
  assert.equal(1, self.log:count "connect")
  return self.log:last("close")[1], self.log:last("close")[2]
end

-- What the peer does. Scenes that end the session say so; the others go on with what the one before left.
local SCENES = {
  { "echoes messages of every form of length, in both kinds", function(p)
    for _, size in ipairs { 0, 1, 125, 126, 127, 128, 65535, 65536, 1048576 } do
      for _, kind in ipairs { "text", "binary" } do p:echoes(sample(size, kind), kind) end
    end
  end },
  { "sends in fragments, empty ones too", function(p)
    for _, size in ipairs { 0, 1, 600, 5000, 70000 } do
      for _, kind in ipairs { "text", "binary" } do
        p:please("send", size, kind, 7)
        local heard, as = p:hear()
        assert(heard == sample(size, kind) and as == kind, ("%d bytes of %s in fragments"):format(size, kind))
      end
    end
  end },
  { "is pinged and pings", function(p)
    p:please("ping", "are-you-there")
    assert.equal("ponged are-you-there", (p:hear()))
    p.peer:expect "^pinged$"
    assert.equal(p.losses, p.log:count "close")
  end },
  { "closes with a code of its own, hears it back, and goes on with its token", function(p)
    p:please("close", 4000, "because")
    assert.equal("4000", p.peer:expect "^closed (%d+)$")
    local code, why = p:comes_back()
    assert.same({ 4000, "because" }, { code, why })
    p:please("close", 1001, "soon-back")
    assert.equal("1001", p.peer:expect "^closed (%d+)$")
    assert.equal(1001, (p:comes_back()))
  end },
  { "is cut off, by either end, and goes on with its token", function(p)
    p:please "cut"
    assert.equal(1006, (p:comes_back()))
    p.node:drop()
    p:comes_back()
    p.node:drop { reset = true }
    p:comes_back()
  end },
  { "is disconnected formally", function(p)
    assert(p.node:disconnect())
    p.peer:expect "^disconnected heard$"
    assert.equal("1000", p.peer:expect "^closed (%d+)$")
    real.wait("the end", function() return p.log:count "disconnect" == 1 end)
    assert.equal("local", p.log:last("disconnect")[1])
    real.wait("the end of the socket", function() return p.ours:stats().sockets == 0 end)
  end, ends = true },
  { "hears 1001 when our server closes", function(p)
    p.ours:close()
    assert.equal("1001", p.peer:expect "^closed (%d+)$")
    real.wait("the end of the socket", function() return p.ours:stats().sockets == 0 end)
  end, ends = true, only = "client" },
}

local function play(name, command, role, way)
  describe(("%s, %sas a %s of ours,"):format(name, way[1], role), function()
    local p

    local function over()
      process.close()
      real.close()
      p = nil
    end
    teardown(over)

    for i, scene in ipairs(SCENES) do
      if i <= (way.scenes or #SCENES) and (not scene.only or scene.only == role) then
        it(scene[1], function()
          p = p or begin(command, role, way)
          local ok, why = xpcall(scene[2], debug.traceback, p)
          local complaint = p.peer:output():match "error [^\n]*"
          if scene.ends or not ok then over() end
          if not ok then error(why, 0) end
          assert.is_nil(complaint)
        end)
      end
    end
  end)
end

for name, command in pairs(PEERS) do
  if left_out[name] then
    pending(name .. " is not here")
  else
    for _, way in ipairs(WAYS) do
      for _, role in ipairs { "client", "server" } do play(name, command, role, way) end
    end
  end
end
