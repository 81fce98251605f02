-- kill -9 of either end of a dop.r1 session. Nothing in memory outlives a process: what was written and
-- not acknowledged is handed back as "unknown", what was on no socket as "unsent", and a session that
-- follows begins with nothing of the old one.

local process = require "spec.real.process"
local real = require "spec.support.real"

after_each(process.close)
after_each(real.close)

-- "message fate" for each entry that was handed back, in order.
local function fates(unsettled)
  local list = {}
  for i, entry in ipairs(unsettled) do list[i] = entry.message .. " " .. entry.fate end
  return list
end

-- A client that says what it hears.
local CLIENT = [[
  local dop = require "dop"
  local client = assert(dop.connect { url = ..., retry = function() return 0.01 end })
  client:on("message", function(_, message) print("heard " .. message) end)
  client:on("connect", function() print "connected" end)
  dop.run() ]]

-- A server that says what it hears.
local SERVER = [[
  local dop = require "dop"
  local server = assert(dop.listen { url = ... })
  print("listening " .. server.url)
  server:on("connect", function() print "connected" end)
  server:on("message", function(_, message) print("heard " .. message) end)
  dop.run() ]]

describe("a client that is killed", function()
  it("leaves a session that waits for it, and ends with its window", function()
    local server = real.listen { resume_window = 0.5 }
    local log = real.record(server, { "connect", "reconnecting", "disconnect" })
    local client = process.script(CLIENT, server.url)
    real.wait("the session", function() return log:count "connect" == 1 end)
    local node = server:nodes()[1]
    assert(node:send "1")
    client:expect "^heard 1$"
    real.wait("the acknowledgement", function() return node.unacked == 0 end)

    client:signal "STOP" -- so that it surely hears nothing of these
    for i = 2, 4 do assert(node:send(tostring(i))) end
    real.wait("their way to the system", function() return node.unacked == 3 end)
    client:signal "KILL"
    real.wait("the loss", function() return log:count "reconnecting" == 1 end)
    assert.equal("RECONNECTING", node.status)
    for i = 5, 6 do assert(node:send(tostring(i))) end

    real.wait("the end of the window", function() return log:count "disconnect" == 1 end)
    assert.equal("DISCONNECTED", node.status)
    assert.equal("expired", log:last "disconnect"[1])
    assert.same({ "2 unknown", "3 unknown", "4 unknown", "5 unsent", "6 unsent" }, fates(log:last "disconnect"[2]))
    assert.same({}, server:nodes())
  end)

  it("before it was CONNECTED leaves nothing", function()
    local server = real.listen { handshake_timeout = 0.5 }
    local log = real.record(server, { "connect", "reconnecting", "disconnect" })
    local client = process.script([[
      local socket = require("socket").connect("127.0.0.1", ...)
      socket:send "GET /dop HTTP/1.1\r\n"
      print "sent"
      socket:receive(1) ]], server.url:match ":(%d+)")
    client:expect "^sent$"
    client:signal "KILL"
    real.wait("the end of the socket", function()
      return server:stats().sockets_opened == 1 and server:stats().sockets == 0
    end)
    assert.equal(0, #log)
    assert.same({}, server:nodes())
  end)
end)

describe("a server that is killed and started again on its port", function()
  it("knows nothing: written entries are unknown, the others unsent, and a new session begins", function()
    local server = process.script(SERVER, "ws://127.0.0.1:0/dop")
    local url = server:expect "^listening (%S+)$"
    local client = real.connect(nil, { url = url })
    local log = real.record(client, { "open", "connect", "reconnecting", "disconnect" })
    real.wait("the session", function() return log:count "connect" == 1 end)
    local old = client.node
    for i = 1, 3 do assert(client:send(tostring(i))) end
    server:expect "^heard 3$"
    real.wait("the acknowledgement", function() return old.unacked == 0 end)

    server:signal "STOP"
    for i = 4, 6 do assert(client:send(tostring(i))) end
    real.wait("their way to the system", function() return old.unacked == 3 end)
    server:signal "KILL"
    real.wait("the loss", function() return log:count "reconnecting" == 1 end)
    for i = 7, 8 do assert(client:send(tostring(i))) end

    client:once("disconnect", function()
      for i = 1, 3 do assert(client:send("new " .. i)) end
    end)
    local again = process.script(SERVER, url)
    again:expect "^listening "
    real.wait("the end of the old session", function() return log:count "disconnect" == 1 end)
    local ended = log:last "disconnect"
    assert.equal(old, ended.node)
    assert.equal("unknown", ended[1])
    assert.same({ "4 unknown", "5 unknown", "6 unknown", "7 unsent", "8 unsent" }, fates(ended[2]))

    real.wait("the new session", function() return log:count "connect" == 2 end)
    assert.are_not.equal(old, client.node)
    assert.equal(old.socket, client.node.socket, "on the socket on which the end was heard")
    assert.equal(2, log:count "open")
    for i = 1, 3 do again:expect("^heard new " .. i .. "$") end
    assert(client:send "last")
    again:expect "^heard last$"
    real.wait("the acknowledgement", function() return client.node.unacked == 0 end)
    local heard = {}
    for message in again:output():gmatch "heard ([^\n]+)" do heard[#heard + 1] = message end
    assert.same({ "new 1", "new 2", "new 3", "last" }, heard)
  end)
end)
