-- Networks that lose packets without a word, in namespaces of their own (namespaces.lua): a connection
-- whose packets are swallowed while both ends believe that it lives, a third of all packets lost, a wire
-- that is pulled.
--
-- NETWORK_LOSS (5): seconds for which packets are lost.

local dop = require "dop"
local namespaces = require "spec.real.namespaces"
local process = require "spec.real.process"
local real = require "spec.support.real"

local LOSS = process.setting("NETWORK_LOSS", 5)

after_each(process.close)
after_each(real.close)

-- Says each event of its nodes with the time. The holder of a session hears a number each 10 ms.
local SERVER = [[
  local dop = require "dop"
  local server = assert(dop.listen { url = "ws://" .. ... .. ":0/dop", lossless = false })
  print("listening " .. server.url)
  local function say(event)
    server:on(event, function(node) print(("%s %.3f %s"):format(event, dop.loop():now(), node.peer or "-")) end)
  end
  for _, event in ipairs { "open", "connect", "reconnecting", "reconnect", "disconnect" } do say(event) end
  server:on("connect", function(node)
    local n = 0
    local function go_on()
      n = n + 1
      if node.status == "CONNECTED" then assert(node:send(tostring(n))) end
      dop.timer(0.01, go_on)
    end
    go_on()
  end)
  dop.run() ]]

-- It finds a dead socket by itself long before the server does (20 s and 10 s).
local CLIENT = [[
  local dop = require "dop"
  local client = assert(dop.connect {
    url = ..., lossless = false, ping_interval = 0.3, ping_timeout = 0.3, retry = function() return 0.01 end,
  })
  client:on("connect", function(node) print("connect " .. node.token:reveal()) end)
  client:on("message", function(_, message) print("heard " .. message) end)
  for _, event in ipairs { "reconnecting", "reconnect", "disconnect" } do
    client:on(event, function() print(event) end)
  end
  dop.run() ]]

-- Presents a token that is somebody else's and says how that ended.
local THIEF = [[
  local dop = require "dop"
  local hand = require "spec.support.hand"
  local url, token = (...):match "^(.-)#(.*)$"
  local p = hand.client { url = url }
  p:take()
  local began = dop.loop():now()
  p:say(token)
  print(("closed %d %.3f"):format(p:closed_with(), dop.loop():now() - began))
  os.exit(0) ]]

local function plain()
  local net = namespaces.pair()
  local server = process.script(SERVER, net.address, net.server)
  local url = server:expect "^listening (%S+)$"
  local client = process.script(CLIENT, url, net.client)
  local token = client:expect "^connect (%w+)$"
  local port = server:expect "^connect %S+ [%d.]+:(%d+)$"
  client:expect "^heard 5$"
  return net, server, client, url, token, tonumber(port)
end

describe("a plain session", function()
  it("whose holder died unnoticed is taken over when the probe was not answered", function()
    local net, server, client, _, _, port = plain()
    net:swallow(port)
    client:expect "^reconnecting$"
    local came = tonumber((server:expect "^open (%S+)"))
    local lost = tonumber((server:expect "^reconnecting (%S+)"))
    local back = tonumber((server:expect "^reconnect (%S+)"))
    client:expect "^reconnect$"
    -- 2 s from when its token came, which is a moment after the socket.
    assert.is_true(lost - came >= 1.9 and lost - came < 3, "after " .. lost - came)
    assert.is_true(back - lost < 0.1)
    client:expect "^heard %d+$"
    assert.is_true(net:calm() > 0)
    assert.is_false(server:said "^disconnect" or client:said "^disconnect")
  end)

  it("whose holder lives is not disturbed by who presents its token", function()
    local net, server, client, url, token = plain()
    local thief = process.script(THIEF, ("'%s#%s'"):format(url, token):gsub("'", '"'), net.client)
    local code, after = thief:expect "^closed (%d+) (%S+)$"
    assert.equal("1013", code)
    assert.is_true(tonumber(after) < 1, "the holder answers at once")
    client:expect("^heard " .. tonumber(client:expect "^heard (%d+)$") + 100 .. "$")
    assert.is_false(server:said "^reconnecting" or server:said "^reconnect" or server:said "^disconnect")
    -- Each number came, and once.
    local expected = 0
    for n in client:output():gmatch "heard (%d+)\n" do
      expected = expected + 1
      assert.equal(expected, tonumber(n))
    end
    assert.is_nil(client:output():find "reconnecting")
  end)
end)

-- Two talkers (talker.lua) that find a dead socket soon.
local function talk(net, options, server_options, seconds)
  local how = { net = net.server, seconds = seconds }
  for name, value in pairs(options) do
    if server_options[name] == nil then server_options[name] = value end
  end
  local server = process.talker("server", ("ws://%s:0/dop"):format(net.address), server_options, how)
  how = { net = net.client, seconds = seconds }
  local client = process.talker("client", server:expect "^listening (%S+)$", options, how)
  client:expect "^connect "
  return client, server, tonumber((server:expect "^connect %d+ [%d.]+:(%d+)$"))
end

local function finish(client, server, seconds)
  client:expect("^through ", seconds)
  server:expect("^through ", seconds)
  client:signal "INT"
  local figures = {}
  for i, p in ipairs { client, server } do
    local reason, rest = p:expect "^over reason=(%w+) (.*)$"
    figures[i] = process.figures(rest)
    assert.equal(i == 1 and "local" or "peer", reason)
    assert.equal(0, figures[i].unsent + figures[i].undelivered + figures[i].unknown)
    assert.equal(figures[i].sent, figures[i].heard)
  end
  return figures[1]
end

describe("a lossless session", function()
  it("whose socket died unnoticed goes on at once over the next one, and nothing is lost", function()
    local net = namespaces.pair()
    local options = { messages = 3000, pace = 1000, ping_interval = 0.3, ping_timeout = 0.3 }
    local client, server, port = talk(net, options, { ping_interval = 20, ping_timeout = 10 }, 60)
    net:swallow(port)
    client:expect "^reconnecting"
    local away = tonumber((client:expect "^reconnect .*away=(%S+)$"))
    assert.is_true(away < 0.5, "no probe is waited for")
    local replayed = tonumber((server:expect "^reconnect replayed=(%d+)"))
    assert.is_true(replayed > 0, "what the dead socket had swallowed was written again")
    finish(client, server)
    assert.is_true(net:calm() > 0)
  end)

  local function pass(seconds)
    local over = false
    dop.timer(seconds, function() over = true end)
    real.wait("time to pass", function() return over end, seconds + 5)
  end

  it("loses nothing where three of ten packets are lost", function()
    local seconds = 120 + 3 * LOSS
    local net = namespaces.pair(seconds)
    local options = {
      messages = 600 * LOSS, pace = 300, patience = seconds,
      ping_interval = 0.3, ping_timeout = 0.6, handshake_timeout = 3,
    }
    local client, server = talk(net, options, {}, seconds)
    net:lose(30)
    pass(LOSS)
    -- Chance may take longer than the messages do.
    if not client:said "^reconnecting" then net:wire "down" end
    client:expect "^reconnecting"
    net:wire "up"
    local dropped = net:calm()
    local before = process.figures(client:expect "^at (.*)$")
    local ended = finish(client, server, seconds)
    assert.is_true(dropped > 0 and ended.resumes > 0)
    print(("\n%d s with 30 %% loss: %d packets lost, %d resumes; sent %d and heard %d by then, all in the end"):format(
      LOSS, dropped, ended.resumes, before.sent, before.heard))
  end)

  it("waits for a wire that is pulled and put in again", function()
    local net = namespaces.pair()
    local options = {
      messages = 3000, pace = 1000, ping_interval = 0.3, ping_timeout = 0.3, handshake_timeout = 1,
    }
    local client, server = talk(net, options, {}, 60)
    net:wire "down"
    client:expect "^reconnecting"
    server:expect "^reconnecting"
    net:wire "up"
    client:expect "^reconnect "
    server:expect "^reconnect "
    finish(client, server)
  end)
end)
