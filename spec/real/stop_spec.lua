-- SIGSTOP of either end of a dop.r1 session while messages go both ways, for less than the other end
-- takes to miss it, for longer, and for longer than the resume window. What was accepted at one end was
-- delivered at the other or is handed back, exactly, and never twice: each end compares what it hears.
--
-- NETWORK_STOPS ("1 15 40 100"): seconds; the same with the default options instead of shortened ones.

local dop = require "dop"
local process = require "spec.real.process"
local real = require "spec.support.real"

after_each(process.close)
after_each(real.close)

-- Lets the time pass that a spec is about.
local function pass(seconds)
  local over = false
  dop.timer(seconds, function() over = true end)
  real.wait("time to pass", function() return over end, seconds + 5)
end

local function talk(options, seconds)
  options.messages, options.pace, options.keep = 1000000, 300, true
  options.patience = seconds
  local how = { seconds = seconds }
  local server = process.talker("server", "ws://127.0.0.1:0/dop", options, how)
  local client = process.talker("client", server:expect "^listening (%S+)$", options, how)
  client:expect "^connect "
  server:expect "^connect "
  return client, server
end

-- Both go on: each hears more than it has heard, within some of its reports, one a second.
local function goes_on(client, server)
  for _, p in ipairs { client, server } do
    local before, reports = process.figures(p:expect "^at (.*)$").heard, 0
    repeat
      reports = reports + 1
      assert.is_true(reports <= 60, "no further message")
    until process.figures(p:expect "^at (.*)$").heard > before
  end
end

local function the_end(p, seconds)
  local reason, rest = p:expect("^over reason=(%w+) (.*)$", seconds)
  local figures = process.figures(rest)
  figures.reason = reason
  return figures
end

-- Every message that `from` accepted was heard by `to`, or came back.
local function account(from, to)
  local open = from.sent - from.unsent - from.undelivered
  assert.is_true(to.heard <= open, "something came that was called undelivered")
  assert.is_true(to.heard >= open - from.unknown, "something is neither delivered nor handed back")
end

local function formal_end(client, server)
  client:signal "INT"
  local c, s = the_end(client), the_end(server)
  assert.equal("local", c.reason)
  assert.equal("peer", s.reason)
  assert.equal(0, c.unknown + s.unknown)
  account(c, s)
  account(s, c)
  return c, s
end

local NAMES = { "client", "server" }

local function roles(which, client, server)
  if which == "client" then return client, server end
  return server, client
end

local SHORT = { ping_interval = 0.4, ping_timeout = 0.6, handshake_timeout = 1, resume_window = 1.5 }

local function short()
  local options = {}
  for name, value in pairs(SHORT) do options[name] = value end
  return options
end

for _, name in ipairs(NAMES) do
  describe("a " .. name .. " that is stopped", function()
    it("for less than a ping takes is not even missed", function()
      local client, server = talk(short(), 60)
      local victim = roles(name, client, server)
      victim:signal "STOP"
      pass(0.2)
      victim:signal "CONT"
      goes_on(client, server)
      local c, s = formal_end(client, server)
      assert.equal(0, c.resumes + s.resumes)
    end)

    it("for longer than a ping takes comes back, and nothing is lost", function()
      local client, server = talk(short(), 60)
      local victim, other = roles(name, client, server)
      victim:signal "STOP"
      other:expect "^reconnecting"
      victim:signal "CONT"
      other:expect "^reconnect "
      victim:expect "^reconnect "
      goes_on(client, server)
      local c, s = formal_end(client, server)
      assert.is_true(c.resumes > 0 and s.resumes > 0)
    end)
  end)
end

describe("longer than the resume window", function()
  it("a client that is stopped settles exactly when it comes back", function()
    local client, server = talk(short(), 60)
    client:signal "STOP"
    local s = the_end(server)
    assert.equal("expired", s.reason)
    client:signal "CONT"
    local c = the_end(client)
    assert.equal("unknown", c.reason)
    -- The tombstone has the server's last word; of the client's there was none.
    assert.equal(0, c.unknown)
    account(c, s)
    account(s, c)
  end)

  it("what the server had read and not delivered is handed back as undelivered", function()
    local server = real.listen { ping_interval = 0.4, ping_timeout = 0.6, resume_window = 0.5 }
    local heard, ended = {}, nil
    server:on("message", function(node, message)
      heard[#heard + 1] = message
      if message == "2" then node:pause() end
    end)
    server:on("disconnect", function(_, reason) ended = reason end)
    local client = process.script([[
      local dop = require "dop"
      local client
      client = assert(dop.connect { url = ..., retry = function() return 0.01 end, on = {
        connect = function(node) for i = 1, 5 do assert(node:send(tostring(i))) end print "said" end,
        disconnect = function(_, reason, unsettled)
          for _, entry in ipairs(unsettled) do print(entry.message, entry.fate) end
          print("over " .. reason)
          client:close()
        end,
      }})
      dop.run() ]], server.url)
    client:expect "^said$"
    real.wait("two messages", function() return #heard == 2 end)
    pass(0.1) -- and the others, which nobody shows
    client:signal "STOP"
    real.wait("the end of the window", function() return ended end)
    assert.equal("expired", ended)
    client:signal "CONT"
    for i = 3, 5 do client:expect("^" .. i .. "\tundelivered$") end
    client:expect "^over unknown$"
    assert.same({ "1", "2" }, heard)
  end)

  it("a server that is stopped counts only from when it runs again: the session survives", function()
    local client, server = talk(short(), 60)
    server:signal "STOP"
    client:expect "^reconnecting"
    pass(2)
    server:signal "CONT"
    client:expect "^reconnect "
    goes_on(client, server)
    local c, s = formal_end(client, server)
    assert.equal(0, c.undelivered + c.unsent)
    assert.is_true(s.resumes > 0)
  end)
end)

-- With the default options: 20 s + 10 s until a stopped end is missed, 60 s that a server waits.
for seconds in (os.getenv "NETWORK_STOPS" or ""):gmatch "%S+" do
  seconds = tonumber(seconds)
  for _, name in ipairs(NAMES) do
    it(("a %s that is stopped for %d s, with the default options"):format(name, seconds), function()
      local client, server = talk({}, seconds + 120)
      local victim, other = roles(name, client, server)
      victim:signal "STOP"
      pass(seconds)
      assert.equal(seconds > 30, other:said "^reconnecting", "missed after 30 s, not before")
      victim:signal "CONT"
      if name == "client" and seconds > 90 then
        local s, c = the_end(server), the_end(client)
        assert.equal("expired", s.reason)
        assert.equal("unknown", c.reason)
        assert.equal(0, c.unknown)
        account(c, s)
        account(s, c)
        return
      end
      if seconds > 30 then other:expect "^reconnect " end
      goes_on(client, server)
      local c, s = formal_end(client, server)
      assert.equal(seconds > 30, s.resumes > 0)
      assert.equal(seconds > 30, c.resumes > 0)
      print(("\n%s stopped for %d s: %d resumes, accepted %d and %d, delivered %d and %d"):format(name, seconds,
        c.resumes, c.sent, s.sent, s.heard, c.heard))
    end)
  end
end
