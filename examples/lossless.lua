-- What dop.r1 adds to the five scenes: messages both ways through a dozen cuts over a real loopback
-- WebSocket, each counted, none lost, none doubled; and what comes back when a session cannot go on.
--   lua5.4 examples/lossless.lua
-- Exits with 0 only when every message came once and in order.
local dop = require "dop"

local CUTS, MESSAGES, WINDOW = 12, 5000, 0.3 -- WINDOW: seconds for which the server keeps a lost session

local function fail(...)
  io.stderr:write("\nThe demonstration FAILED: ", string.format(...), "\n")
  os.exit(1, true)
end

local server = assert(dop.listen { url = "ws://127.0.0.1:0/dop", resume_window = WINDOW })
local wait = 0.01 -- the client's reconnection policy answers this
local client = assert(dop.connect { url = server.url, retry = function() return wait end })

local heard = { SERVER = 0, CLIENT = 0 } -- the number of the last message that came there
local sent = { SERVER = 0, CLIENT = 0 }
local cuts, replayed = 0, 0
local node -- the server's

-- Sends as long as there is room, in small parts, so that every cut finds messages under way.
local function say(who, from)
  for _ = 1, 40 do
    if sent[who] == MESSAGES or not from:send(("%d from %s"):format(sent[who] + 1, who)) then return end
    sent[who] = sent[who] + 1
  end
end

local function hear(who, other)
  return function(_, message)
    heard[who] = heard[who] + 1
    local expected = ("%d from %s"):format(heard[who], other)
    if message ~= expected then fail("%s expected %q, came %q", who, expected, message) end
  end
end

local function is_through() return heard.SERVER == MESSAGES and heard.CLIENT == MESSAGES end

local last_scene

-- Every few milliseconds: more messages, and from time to time a cut, by reset, by either end.
local function go_on(round)
  if node then say("SERVER", node) end
  say("CLIENT", client)
  if round % 12 == 0 and cuts < CUTS and client.node.status == "CONNECTED" then
    cuts = cuts + 1
    local victim = cuts % 2 == 0 and node or client.node
    if not victim:drop { reset = true } then cuts = cuts - 1 end
  end
  if is_through() and cuts == CUTS and client.node.status == "CONNECTED" then return last_scene() end
  dop.timer(0.002, function() go_on(round + 1) end)
end

server:on("connect", function(new) node = new end)
server:on("message", hear("SERVER", "CLIENT"))
client:on("message", hear("CLIENT", "SERVER"))
for _, transport in ipairs { server, client } do
  transport:on("reconnect", function(_, info) replayed = replayed + info.replayed end)
end
client:on("connect", function(new)
  if new.token and heard.CLIENT == 0 then print("=== NOTHING LOST\n") end
end)

-- The session is cut once more, and the client comes too late: what had not arrived is handed back, each
-- with its fate, and goes out again in the new session.
function last_scene()
  print(("%d messages each way, %d cuts by reset: all came, once and in order; %d had to be written again."):format(
    MESSAGES, cuts, replayed))
  print("\n=== HANDED BACK\n")
  wait = 3 * WINDOW
  client.node:drop { reset = true }
  for i = 1, 3 do assert(client:send(("%d from CLIENT"):format(MESSAGES + i))) end
  client:on("disconnect", function(_, reason, unsettled)
    print(("The session is over (%s); handed back to the client: %d"):format(reason, #unsettled))
    for _, entry in ipairs(unsettled) do
      print(("  %q: %s"):format(entry.message, entry.fate))
      assert(client:send(entry.message, entry.kind))
    end
  end)
  server:on("message", function(_, message)
    print(("  the new session's server heard %q"):format(message))
    if heard.SERVER < MESSAGES + 3 then return end
    print("\nEvery message came, once and in order.")
    os.exit(0, true)
  end)
end

dop.timer(20, function()
  fail("it took too long: %d and %d messages came, %d cuts", heard.SERVER, heard.CLIENT, cuts)
end)
go_on(1)
dop.run()
fail("it was interrupted")
