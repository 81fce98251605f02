--- What is done while memory fails, by scenes: `run` on a loop where a bystander has a session, `state` in
-- a Lua state of its own, which is closed at its end; a `check` fails memory itself, where that must do no
-- harm. Together they reach everything that allocates.

local core = require "dop.core"
local dop = require "dop"
local frames = require "spec.support.frames"
local kit = require "spec.failmalloc.kit"

local scenes = {}

local function add(name, kind, entry)
  entry.name, entry.kind = name, kind
  scenes[#scenes + 1] = entry
end

local function scene(name, run) add(name, "call", { ready = function() return run end }) end
local function check(name, run) add(name, "check", { ready = function() return run end }) end
local function state(name, run) add(name, "state", { run = run }) end

local wait, say = kit.wait, kit.bystander.say

-- --- the five scenes of the protocol, in both dialects ---

local function five(lossless, url)
  return function()
    local server, client = kit.pair({ url = url, lossless = lossless }, { lossless = lossless })
    say()
    kit.echo(client, "hello")
    local back = 0
    client:on("reconnect", function() back = back + 1 end)
    client.node:drop()
    client:send "while away"
    wait("the return", function() return back == 1 end)
    say()
    kit.echo(client, "and again", "binary")
    -- The server forgets: the old session becomes a new one.
    local old = client.node
    server:nodes()[1]:drop { reset = true }
    server:close()
    local other = kit.listen_again { url = server.url, lossless = lossless }
    wait("a new session", function() return client.node ~= old and client.node.status == "CONNECTED" end)
    say()
    client.node:disconnect()
    wait("the end", function() return other:stats().nodes == 0 end)
  end
end

scene("plain", five(false))
scene("lossless", five(true))
scene("local", five(true, "local:failmalloc"))
scene("local-plain", five(false, "local:failmalloc"))

local path = os.tmpname()
os.remove(path)
scene("unix", function()
  kit.finally(collectgarbage) -- a listener whose end found no memory either is there, and its file, until then
  local _, client = kit.pair { url = "ws+unix:" .. path, mode = 384 }
  say()
  kit.echo(client, "through a file")
end)

-- --- sessions ---

scene("replay", function()
  local server = kit.listen {}
  local got = 0
  server:on("message", function() got = got + 1 end)
  local client = kit.connect(server)
  kit.connected(client)
  for round = 1, 3 do
    for _ = 1, 20 do assert(client:send "some text that will have to be written again") end
    client.node:drop()
    say()
    wait("what was sent", function() return got == 20 * round end)
  end
  assert(client.node.unacked >= 0)
end)

scene("hand-back", function()
  local server = kit.listen {}
  local client = kit.connect(server, { retry = function() return 60 end })
  kit.connected(client)
  local back
  client:on("disconnect", function(_, _, unsettled) back = unsettled end)
  server:close()
  wait("the loss", function() return not client.node.attached end)
  for i = 1, 30 do assert(client:send("message " .. i)) end
  say()
  client:close()
  wait("what comes back", function() return back end)
  assert(#back == 30 and back[1].message == "message 1" and back[30].fate == "unsent")
end)

scene("window", function()
  local server = kit.listen { resume_window = 0.01 }
  local client = kit.connect(server, { retry = function() return nil end })
  local gone
  server:on("disconnect", function() gone = true end)
  kit.connected(client)
  server:nodes()[1]:send "never heard"
  client.node:drop()
  wait("the window's end", function() return gone and client.closed end)
end)

-- A session that loses its socket waits for the next one, though there is no memory at all. Of local: there
-- are no timers but those of the sessions, so that nothing else leaves them a place.
check("lost", function()
  local server = kit.listen { url = "local:lost", resume_window = 0.05 }
  local clients, ended = {}, 0
  server:on("disconnect", function() ended = ended + 1 end)
  for i = 1, 40 do
    clients[i] = kit.must(dop.connect { url = server.url, retry = function() return 60 end })
  end
  for _, client in ipairs(clients) do kit.connected(client) end
  local nodes = server:nodes()
  memory.call("core", "always", 1, function()
    for _, node in ipairs(nodes) do node:drop() end
  end)
  assert(server:stats().detached == 40, "a session ended with its socket")
  wait("the end of their windows", function() return ended == 40 end)
  assert(server:stats().expired == 40)
end)

-- A drain goes on, though there is no memory for a deadline: each server keeps a place for it.
check("drained", function()
  local servers = {}
  for i = 1, 24 do
    servers[i] = kit.listen { url = "local:drained-" .. i }
    local client = kit.connect(servers[i])
    kit.connected(client)
    client.node:pause()
    assert(servers[i]:nodes()[1]:send "held up")
  end
  memory.call("core", "always", 1, function()
    for _, server in ipairs(servers) do server:close { drain = 0.05 } end
  end)
  for _, server in ipairs(servers) do assert(server.draining, "a drain ended before its time") end
  wait("their end", function()
    for _, server in ipairs(servers) do if not server.closed then return end end
    return true
  end)
end)

scene("pause", function()
  local server = kit.listen {}
  local got, node = 0, nil
  server:on("connect", function(n) node = n n:pause() end)
  server:on("message", function() got = got + 1 end)
  local client = kit.connect(server)
  kit.connected(client)
  for _ = 1, 12 do assert(client:send(("x"):rep(200))) end
  say()
  client:send "last"
  wait("the node", function() return node end)
  for _ = 1, 5 do dop.loop():step() end
  node:resume()
  wait("what was parked", function() return got == 13 end)
end)

scene("full", function()
  local server = kit.listen { queue_messages = 8 }
  local client = kit.connect(server, { queue_messages = 8 })
  server:on("message", function() end)
  local drained
  client:on("drain", function() drained = true end)
  kit.connected(client)
  local ok, why, code = true, nil, nil
  for _ = 1, 20 do
    if ok then ok, why, code = client:send(("y"):rep(300)) end
  end
  assert(code == "FULL" or code == "ENOMEM", why)
  say()
  wait("drain", function() return drained end)
end)

-- --- messages ---

scene("large", function()
  local _, client = kit.pair()
  kit.echo(client, ("0123456789"):rep(30000), "binary")
  say()
  kit.echo(client, ("z"):rep(100000))
  assert(select(3, client:send(("z"):rep(2000000))) == "TOOLARGE")
end)

-- More than the system takes at once.
scene("huge", function()
  local server = kit.listen { max_message = 8000000 }
  local got
  server:on("message", function(_, message) got = #message end)
  local client = kit.connect(server, { queue_bytes = 8000000, max_message = 8000000, lossless = false })
  kit.connected(client)
  assert(client:send(("0123456789"):rep(600000), "binary"))
  say()
  wait("it", function() return got == 6000000 or not client.node.attached end)
end)

scene("fragments", kit.by_hand({ lossless = false }, function(_, far, turn, client, server, _, heard)
  if client.node.status ~= "CONNECTED" then error("ENOMEM", 0) end
  local function feed(bytes)
    for i = 1, #bytes, 3 do far:feed(bytes:sub(i, i + 2)) end
    turn()
  end
  feed(frames.encode(frames.TEXT, "in thr", { mask = true, fin = false })
    .. frames.encode(frames.PING, "ping", { mask = true })
    .. frames.encode(0, "ee par", { mask = true, fin = false })
    .. frames.encode(0, "ts", { mask = true }))
  feed(frames.encode(frames.BINARY, ("b"):rep(400), { mask = true }))
  assert(heard() <= 2 and server:stats().sockets <= 1)
  feed(frames.encode(frames.CLOSE, "\3\232bye", { mask = true }))
end))

scene("by-hand", kit.by_hand({ lossless = true }, function(near, far, turn, client, server, engine)
  client.node:send "one"
  client.node:send "\16ack-like"
  turn()
  near:lost("ECONNRESET", "reset")
  far:lost()
  engine:advance(engine:now() + 1)
  turn()
  local link = core.dial(client, "localhost", "/x")
  local other = core.accept(server, "127.0.0.1:8")
  if link and other then
    for _ = 1, 6 do
      other:feed(link:output())
      engine:turn()
      link:feed(other:output())
      engine:turn()
    end
    engine:advance(engine:now() + 25)
    other:feed(link:output())
    link:feed(other:output())
  end
  if link then link:lost() end
  if other then other:lost() end
end))

-- Somebody presents the token of a session that has a socket: it is probed, and lost.
scene("two-holders", kit.by_hand({ lossless = false }, function(near, far, _, client, server, engine)
  local token = client.node.token
  if not token then error("ENOMEM", 0) end
  for seconds = 0, 3, 3 do
    local link = core.accept(server, "127.0.0.1:9")
    if link then
      link:feed(require("spec.support.wire").REQUEST .. "Sec-WebSocket-Protocol: dop\r\n\r\n")
      engine:turn()
      link:feed(frames.encode(frames.TEXT, token:reveal(), { mask = true }))
      engine:turn()
      if seconds == 0 then
        near:feed(far:output())
        engine:turn()
        far:feed(near:output()) -- its pong: the newcomer is sent away
      end
      engine:advance(engine:now() + seconds)
      engine:turn()
      link:output()
      link:lost()
    end
  end
end))

-- --- ways to come in ---

local function gate(request)
  if request.headers["x-no"] then return nil, 403, "No.\n" end
  return request.headers["x-who"] or true
end

scene("authorize", function()
  local server = kit.listen { authorize = gate, same_principal = function(a, b) return a:sub(1, 1) == b:sub(1, 1) end }
  local asked
  server:on("connect", function(node) asked = node.request.headers["x-who"] end)
  local client = kit.connect(server, { headers = { ["X-Who"] = "ann" } })
  wait("both ends", function() return asked and client.node.status == "CONNECTED" end)
  say()
  local node = server:nodes()[1]
  assert(node.principal == "ann" and node.request and node.peer)
  core.values(client).state.where.headers = "X-Who: anna\r\n" -- another name for her
  client.node:drop()
  wait("the return", function() return server:stats().reconnects == 1 end)
  local refused
  kit.connect(server, { headers = { ["X-No"] = "1" }, retry = function(_, why) refused = why return nil end })
  wait("the refusal", function() return refused end)
end)

scene("authorize-local", function()
  local _, client = kit.pair {
    url = "local:failmalloc", authorize = function(request) return request.path ~= "" end,
  }
  kit.echo(client, "in one process")
end)

scene("refused", function()
  local why
  local function note(_, reason)
    why = reason
    return nil
  end
  kit.connect(nil, { url = "ws://127.0.0.1:1/", retry = note })
  wait("nobody there", function() return why end)
  why = nil
  kit.connect(nil, { url = "local:nobody", retry = note })
  wait("nobody there either", function() return why end)
  say()
  why = nil
  local server = kit.listen { max_pending = 1, origins = { "http://good" } }
  kit.connect(server, { headers = { Origin = "http://evil" }, retry = note })
  wait("a bad origin", function() return why end)
  assert(not dop.listen { url = server.url })
  local _, _, code = dop.connect { url = "what is this" }
  assert(code)
end)

scene("resolve", function()
  local server = kit.listen { url = "ws://localhost:0/" }
  kit.connected(kit.connect(server))
end)

scene("gives-up", function()
  local over
  local client = kit.connect(nil, {
    url = "ws://127.0.0.1:1/", retry = dop.backoff { first = 0.001, attempts = 3 },
  })
  client:on("disconnect", function(_, why) over = why end)
  client:send "kept"
  wait("the end", function() return over end)
  assert(over == "gaveup" and client.closed)
end)

-- --- closing in all states ---

scene("closings", function()
  local server = kit.listen { authorize = function() return true end }
  local asleep = kit.connect(nil, { url = "ws://127.0.0.1:1/", retry = function() return 60 end })
  for steps = 0, 8 do
    local client = kit.connect(server)
    for _ = 1, steps do dop.loop():step() end
    client:close()
    if steps % 4 == 0 then say() end
  end
  asleep:close()
  wait("the end of their sockets", function() return server:stats().sockets == 0 end)
end)

scene("server-closes", function()
  local server, client = kit.pair()
  local url = server.url
  client:send "on its way"
  server:close()
  say()
  wait("the loss", function() return client.node.status == "RECONNECTING" end)
  kit.listen_again { url = url }
  wait("the new one", function() return client.node.status == "CONNECTED" end)
end)

-- --- Lua's side ---

scene("coroutines", function()
  local server = kit.listen {}
  server:on("connect", function(node)
    dop.go(function()
      for message, kind in node:messages() do node:send(message, kind) end
    end)
  end)
  local client = kit.connect(server)
  local answer, ended
  dop.go(function()
    dop.sleep(0.001)
    client:send "ask"
    answer = client.node:receive(1)
    client.node:receive(0.001)
    client:close()
    ended = true
  end)
  wait("the answer", function() return answer and ended end)
  say()
end)

scene("handlers", function()
  local _, client = kit.pair()
  local once, node = 0, client.node
  local function count() once = once + 1 end
  node:once("message", count)
  node:on("message", count)
  client:on("error", function() end)
  client:once("message", function() error "on purpose" end)
  client:on("status", count)
  kit.echo(client, "x")
  wait("both", function() return once >= 2 end)
  node:off("message", count)
  client:off "status"
  node.data = { "anything" }
  assert(node.data[1] == "anything")
end)

scene("looking", function()
  local server, client = kit.pair()
  for _ = 1, 3 do
    assert(#server:nodes() == 1 and server:stats().nodes == 1)
    local node = server:nodes()[1]
    assert(node.token == client.node.token and #tostring(node.token) > 0 and #node.token:reveal() > 20)
    assert(tostring(server) and tostring(node) and node.queued and node.transport == server)
  end
  assert(client.url and client.role == "client" and not client.closed)
end)

scene("timers", function()
  local fired = 0
  local function fire() fired = fired + 1 end
  local first = dop.timer(0.001, fire)
  dop.timer(0, function()
    dop.timer(0, fire)
    error "on purpose"
  end)
  local never = dop.timer(60, fire)
  never:stop()
  wait("the timers", function() return fired == 2 end)
  assert(not first:stop())
end)

scene("world", function()
  local sim = require "dop.sim"
  local world = sim.new { seed = 7, faults = { every = 1, cut = 1, reset = 1, refuse = 0.2 } }
  local got = 0
  world:run(10, function(w)
    w:process(function()
      local server = assert(dop.listen { url = "ws://127.0.0.1:80/" })
      server:on("message", function() got = got + 1 end)
    end)
    local client = assert(dop.connect { url = "ws://127.0.0.1:80/" })
    local function talk()
      client:send "hello"
      dop.timer(1, talk)
    end
    talk()
  end)
  assert(got >= 0)
end)

-- --- from the first line to lua_close ---

state("loading", function()
  assert(require("dop").loop())
end)

state("abandoned", function()
  local lib = require "dop"
  local server = lib.listen { url = "ws://127.0.0.1:0/" }
  if not server then return end
  server:on("message", function(node, message) node:send(message) end)
  local client = lib.connect { url = server.url, retry = function() return 0.001 end }
  lib.listen { url = "local:here" }
  lib.connect { url = "local:here" }
  if client then client:send "hello" end
  lib.go(function() lib.sleep(60) end)
  for _ = 1, 20 do lib.loop():step() end
  -- Nothing is closed.
end)

-- --- what has a file of its own ---

for _, file in ipairs { "scenes_http", "scenes_tls" } do
  require("spec.failmalloc." .. file)(add)
end

return scenes
