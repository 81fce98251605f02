-- The five scenes of plain DOP over a real loopback WebSocket, both ends in this process: what the
-- proposal prints of each node after each step, read from the live nodes, with messages before,
-- during and after each cut.
--   lua5.4 examples/demo.lua
-- Exits with 0 only when every state was the one expected and every message came.
local dop = require "dop"

local WINDOW, SOON, LATER = 0.5, 0.05, 1 -- seconds: the resume window; within it; after it

local nodes = { SERVER = {}, CLIENT = {} }     -- each end's nodes, in the order in which they appeared
local messages = { SERVER = {}, CLIENT = {} }  -- what that end is still to hear, in order
local returned = { SERVER = {}, CLIENT = {} }  -- what was handed back to that end when its session was over
local over = { SERVER = 0, CLIENT = 0 }        -- how many sessions have ended there
local names = {}                               -- the proposal's name of a token, "AAAA", to the token
local cast                                     -- which node plays "SERVER1" in this scene: its place in nodes.SERVER
local wait = SOON                              -- the client's reconnection policy answers this
local server, client, script, limit
local awaited, condition, failure              -- what the script waits for, in words and as a function

local function fail(sentence)
  failure = failure or sentence
  dop.stop()
end

-- ---- What is expected of a node, what it is, and the proposal's way to print it ----

local FIELDS = { "token", "token_local", "token_remote" }

local function node_of(name)
  return nodes[name:match("%u+")][cast[name]]
end

local function socket_of(node)
  return node.socket .. (node.attached and "" or " (closed)")
end

-- A name that was not seen before fits any token that has no name yet.
local function is_named(token, name)
  if not token or names[name] then return token == names[name] end
  for _, other in pairs(names) do
    if other == token then return false end
  end
  return true
end

local function fits(row)
  local node = node_of(row[1])
  if not node then return false end
  if row[2] == "(deleted)" then return node.status == "DISCONNECTED" and not node.attached end
  for _, field in ipairs(FIELDS) do
    if row[field] and not is_named(node[field], row[field]) then return false end
  end
  return node.status == row[2] and socket_of(node) == row.socket
end

local function print_node(row)
  local node = node_of(row[1])
  if row[2] == "(deleted)" then return print(row[1] .. " (deleted)") end
  print(("%s\n- status: %s"):format(row[1], node.status))
  for _, field in ipairs(FIELDS) do
    if row[field] then
      names[row[field]] = node[field]
      print(("- %s: (%d bytes, not shown)"):format(field, #node[field]))
    end
  end
  print("- socket: " .. socket_of(node))
end

-- Something happened: the script goes on if that is what it waits for. Handlers run event by event, so that inside
-- them the nodes are as they were at that step.
local function look()
  if failure or coroutine.status(script) ~= "suspended" or condition and not condition() then return end
  local ok, err = coroutine.resume(script)
  if not ok then fail(debug.traceback(script, err)) end
end

local function wait_until(what, holds)
  awaited, condition = what, holds
  if not holds() then coroutine.yield() end
end

-- Waits for a step: a row for each node, { name, status, token = its name, ..., socket = as it is printed }.
local function see(what, rows)
  wait_until(what, function()
    for _, row in ipairs(rows) do
      if not fits(row) then return false end
    end
    return true
  end)
  print(("\n%s:"):format(what))
  for i, row in ipairs(rows) do
    if i > 1 and row[1]:find "^CLIENT" and rows[i - 1][1]:find "^SERVER" then print() end
    print_node(row)
  end
end

local function scene(title, players)
  print("\n=== " .. title)
  cast = players
end

-- ---- Messages ----

-- One message each way, at any time: a node that is not CONNECTED keeps it until it is.
local function say(server_name, client_name, text)
  for name, to in pairs { [server_name] = messages.CLIENT, [client_name] = messages.SERVER } do
    to[#to + 1] = ("%s, said by %s"):format(text, name)
    assert(node_of(name):send(to[#to]))
  end
end

local function exchange(server_name, client_name, text)
  say(server_name, client_name, text)
  wait_until("every message", function() return #messages.SERVER == 0 and #messages.CLIENT == 0 end)
end

local function watch(transport, role)
  local known = {}
  local function meet(node)
    if not known[node] then table.insert(nodes[role], node) end
    known[node] = true
  end
  -- A session that is over hands back what it could not send; it goes out first in the next one.
  transport:on("status", function(node, status)
    meet(node)
    while status == "CONNECTED" and returned[role][1] do assert(node:send(table.remove(returned[role], 1))) end
    look()
  end)
  transport:on("disconnect", function(_, reason, unsettled)
    for _, entry in ipairs(unsettled) do table.insert(returned[role], entry.message) end
    over[role] = over[role] + 1
    print(("  %s: the session is over (%s), handed back: %d"):format(role, reason, #unsettled))
    look()
  end)
  transport:on("open", function(node)
    meet(node)
    look()
  end)
  transport:on("message", function(_, message)
    local due = table.remove(messages[role], 1)
    if message ~= due then return fail(("%s expected %q, came %q"):format(role, tostring(due), message)) end
    print(("  %s heard %q"):format(role, message))
    look()
  end)
end

local function connect()
  client = assert(dop.connect { url = server.url, lossless = false, retry = function() return wait end })
  watch(client, "CLIENT")
end

-- ---- The five scenes ----

script = coroutine.create(function()
  scene("CONNECTION", { SERVER = 1, CLIENT = 1 })
  see("The socket is open", {
    { "SERVER", "OPEN", token_local = "AAAA", socket = "1" },
    { "CLIENT", "OPEN", token_local = "BBBB", socket = "1" } })
  see("Each has heard the other's half", {
    { "SERVER", "PRECONNECTED", token_local = "AAAA", token_remote = "BBBB", socket = "1" },
    { "CLIENT", "PRECONNECTED", token_local = "BBBB", token_remote = "AAAA", socket = "1" } })
  see("Each has heard it again", {
    { "SERVER", "CONNECTED", token = "AAAABBBB", socket = "1" },
    { "CLIENT", "CONNECTED", token = "AAAABBBB", socket = "1" } })
  exchange("SERVER", "CLIENT", "before the first cut")

  scene("RECONNECTION", { SERVER1 = 1, SERVER2 = 2, CLIENT = 1 })
  assert(client.node:drop { reset = true })
  wait_until("the server's loss of the socket", function() return node_of("SERVER1").status == "RECONNECTING" end)
  say("SERVER1", "CLIENT", "during the first cut")
  see("The client's new socket is open", {
    { "SERVER1", "RECONNECTING", token = "AAAABBBB", socket = "1 (closed)" },
    { "SERVER2", "OPEN", token_local = "CCCC", socket = "2" },
    { "CLIENT", "RECONNECTING", token = "AAAABBBB", socket = "2" } })
  see("The client has heard another half", {
    { "SERVER1", "RECONNECTING", token = "AAAABBBB", socket = "1 (closed)" },
    { "SERVER2", "OPEN", token_local = "CCCC", socket = "2" },
    { "CLIENT", "PRECONNECTED", token = "AAAABBBB", socket = "2" } })
  see("The server has heard its token", {
    { "SERVER1", "CONNECTED", token = "AAAABBBB", socket = "2" },
    { "SERVER2", "(deleted)" },
    { "CLIENT", "PRECONNECTED", token = "AAAABBBB", socket = "2" } })
  see("The client has heard it, too", {
    { "SERVER1", "CONNECTED", token = "AAAABBBB", socket = "2" },
    { "CLIENT", "CONNECTED", token = "AAAABBBB", socket = "2" } })
  exchange("SERVER1", "CLIENT", "after the first cut")

  scene("RECONNECTION FAILS AND BECOMES A NEW CONNECTION",
    { SERVER1 = 1, SERVER2 = 3, CLIENT = 1, CLIENT1 = 1, CLIENT2 = 2 })
  wait = LATER
  assert(node_of("SERVER1"):drop { reset = true })
  wait_until("the client's loss of the socket", function() return node_of("CLIENT").status == "RECONNECTING" end)
  say("SERVER1", "CLIENT", "during the second cut")
  see("The server has forgotten, the client's new socket is open", {
    { "SERVER1", "(deleted)" },
    { "SERVER2", "OPEN", token_local = "DDDD", socket = "3" },
    { "CLIENT", "RECONNECTING", token = "AAAABBBB", socket = "3" } })
  see("The server takes the token for a half", {
    { "SERVER2", "PRECONNECTED", token_local = "DDDD", token_remote = "AAAABBBB", socket = "3" },
    { "CLIENT", "PRECONNECTED", token_local = "AAAABBBB", token_remote = "DDDD", socket = "3" } })
  see("The client has heard the half again", {
    { "SERVER2", "PRECONNECTED", token_local = "DDDD", token_remote = "AAAABBBB", socket = "3" },
    { "CLIENT1", "(deleted)" },
    { "CLIENT2", "CONNECTED", token = "AAAADDDD", socket = "3" } })
  see("The server has heard the token again", {
    { "SERVER2", "CONNECTED", token = "AAAADDDD", socket = "3" },
    { "CLIENT1", "(deleted)" },
    { "CLIENT2", "CONNECTED", token = "AAAADDDD", socket = "3" } })
  exchange("SERVER2", "CLIENT2", "after the second cut")

  scene("DISCONNECTION", { SERVER2 = 3, CLIENT2 = 2 })
  assert(client.node:disconnect())
  see("The client has sent the token", {
    { "SERVER2", "DISCONNECTED", token = "AAAADDDD", socket = "3 (closed)" },
    { "CLIENT2", "DISCONNECTED", token = "AAAADDDD", socket = "3 (closed)" } })
  wait_until("the end of the session on both ends", function() return over.SERVER == 2 and over.CLIENT == 2 end)

  scene("FORGETTING", { SERVER = 4, CLIENT = 3 })
  connect()
  see("Another client", {
    { "SERVER", "CONNECTED", token = "EEEEFFFF", socket = "4" },
    { "CLIENT", "CONNECTED", token = "EEEEFFFF", socket = "1" } })
  exchange("SERVER", "CLIENT", "before the last cut")
  assert(client.node:drop { reset = true })
  see("The socket is lost", {
    { "SERVER", "RECONNECTING", token = "EEEEFFFF", socket = "4 (closed)" },
    { "CLIENT", "RECONNECTING", token = "EEEEFFFF", socket = "1 (closed)" } })
  say("SERVER", "CLIENT", "never")
  see("The resume window is over", {
    { "SERVER", "DISCONNECTED", token = "EEEEFFFF", socket = "4 (closed)" },
    { "CLIENT", "RECONNECTING", token = "EEEEFFFF", socket = "1 (closed)" } })
  client:close()
  wait_until("one message handed back to each", function() return #returned.SERVER == 1 and #returned.CLIENT == 1 end)
  server:close()
  limit:stop()
end)

server = assert(dop.listen { url = "ws://127.0.0.1:0/dop", lossless = false, resume_window = WINDOW })
watch(server, "SERVER")
connect()
limit = dop.timer(10, function() fail("it did not come in time") end)
look()
dop.run()

if failure or coroutine.status(script) ~= "dead" then
  io.stderr:write("\nThe demonstration FAILED: ", failure or "it was interrupted", ". It waited for: ", awaited,
    ". There are:\n")
  for role, list in pairs(nodes) do
    for i, node in ipairs(list) do io.stderr:write(("  %s %d: %s\n"):format(role, i, tostring(node))) end
  end
  os.exit(1, true)
end
print("\nEvery state was the one expected, and every message came.")
