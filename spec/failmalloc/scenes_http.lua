--- Scenes of what comes before a session, and of what a server says to those whom it does not let in; and of
-- compression, drains and the log. See scenes.lua.

local core = require "dop.core"
local dop = require "dop"
local frames = require "spec.support.frames"
local kit = require "spec.failmalloc.kit"
local wire = require "spec.support.wire"

local insist, wait, say = kit.insist, kit.wait, kit.bystander.say

-- What the server answers to these bytes on a socket that is the scene's own; "" when it only ends it.
local function ask(server, bytes, address)
  local link = core.accept(server, address or "127.0.0.1:7")
  if not link then error("ENOMEM", 0) end
  link:feed(bytes)
  local answer = link:output()
  return answer, link
end

-- The status of an answer, which is whole: there is none only where memory failed.
local function status(server, bytes)
  local answer, link = ask(server, bytes)
  link:lost()
  local number, rest = answer:match "^HTTP/1%.1 (%d%d%d) (.*)$"
  insist(number and rest:find("\r\n\r\n", 1, true) or answer == "" and memory.failed(), answer)
  return tonumber(number)
end

local function get(path, lines) return ("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"):format(path, lines or "") end

local UPGRADE = wire.REQUEST .. "Sec-WebSocket-Protocol: dop\r\n"

local function is(expected, number)
  insist(number == expected or memory.failed(), ("%s, not %d"):format(tostring(number), expected))
end

-- A client's attempt that fails: `note` is its policy, and told() waits for the code and what comes with it.
local function attempt()
  local code, info
  local function note(_, _, name, more)
    code, info = name, more
    return nil
  end
  return note, function()
    wait("the refusal", function() return code end)
    return code, info
  end
end

return function(add)
  local function scene(name, run) add(name, "call", { ready = function() return run end }) end

  -- --- requests and refusals ---

  scene("http", function()
    local server = kit.listen {
      health = "/health",
      http = function(request)
        if request.path == "/none" then return nil end
        if request.path == "/wrong" then error "on purpose" end
        return 200, ("%s?%s"):format(request.path, request.query or ""), { ["Content-Type"] = "text/plain" }
      end,
    }
    server:on("error", function() end)
    is(200, status(server, get "/health"))
    is(200, status(server, get("/page?query", "X-Twice: 1\r\nX-Twice: 2\r\n")))
    is(200, status(server, (get("/page"):gsub("^GET", "HEAD"))))
    say()
    is(426, status(server, get "/none"))
    is(500, status(server, get "/wrong"))
    is(400, status(server, get("/page", "No colon\r\n")))
    is(431, status(server, get("/" .. ("x"):rep(9000))))
    insist(server:stats().http <= 5, "answers that nobody asked for")
  end)

  scene("answers", function()
    local server = kit.listen {
      authorize = function(request)
        local path = request.path
        if path == "/later" then return nil, 503, "Later.\n", { ["Retry-After"] = "7", ["X-Two"] = { "1", "2" } } end
        return true, { ["Set-Cookie"] = { "a=1", "b=2" } }
      end,
    }
    local note, told = attempt()
    kit.connect(server, { url = server.url .. "later", retry = note })
    local _, info = told()
    insist(info and info.retry_after == 7 or memory.failed())
    say()
    is(101, status(server, UPGRADE .. "\r\n"))
    kit.connected(kit.connect(server))
  end)

  -- A client whose engine is its own, dialling by hand. Returns it and its link.
  local function dial(options)
    local engine = core.engine()
    local client, link
    kit.finally(function()
      if link then link:lost() end
      if client then client:close() end
      kit.run_out(engine)
    end)
    client = kit.must(core.transport(engine, "client", options))
    link = core.dial(client, "localhost", "/")
    if not link then error("ENOMEM", 0) end
    return client, link
  end

  scene("redirect", function()
    local client, link = dial {}
    local code
    core.values(client)[core.down] = { function(_, _, name) code = name end }
    link:feed "HTTP/1.1 302 Found\r\nLocation: wss://example.org/secret?a=b\r\n\r\n"
    insist(code == "REDIRECT" or memory.failed(), code)
  end)

  scene("protocols", function()
    local server = kit.listen { protocols = { "chat", "other" } }
    local client = kit.connect(server, { protocols = { "other", "chat" } })
    kit.connected(client)
    say()
    local answer, link = ask(server, wire.REQUEST .. "Sec-WebSocket-Protocol: other, chat\r\n\r\n")
    insist(answer:find("Sec-WebSocket-Protocol: chat\r\n", 1, true) or memory.failed(), answer)
    link:lost()
    -- And a server that has never heard of dop, for a client of ours.
    local own, near = dial { protocols = "chat" }
    answer, link = ask(server, (near:output():gsub("dop, ", "")))
    near:feed(answer)
    insist(own.node.protocol == "chat" or memory.failed(), own.node.protocol)
    link:lost()
  end)

  scene("caps", function()
    local server = kit.listen {
      max_pending = 3, max_sockets = 4, max_pending_per_address = 2, max_sockets_per_address = 2,
    }
    local links, refused, here = {}, 0, 0
    kit.finally(function()
      for _, link in ipairs(links) do link:lost() end
    end)
    for _, address in ipairs { "10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3", "[2001:db8::1]:1", "10.0.0.2:1" } do
      local link = core.accept(server, address)
      if link then links[#links + 1] = link end
      if link and link:output():find "^HTTP/1%.1 503 " then
        refused = refused + 1
      elseif link and link:ending() == nil and address:find "^10%.0%.0%.1:" then
        here = here + 1
      end
    end
    say()
    insist(here <= 2, "more from one address than there may be")
    insist(refused == 2 or memory.failed(), ("%d were refused"):format(refused))
  end)

  -- Closed with 1013: one that never says its half, and one that fills the server with what is not whole.
  scene("late", kit.by_hand({ handshake_timeout = 1 }, function(_, _, turn, _, server, engine)
    local link = core.accept(server, "127.0.0.1:8")
    if not link then error("ENOMEM", 0) end
    link:feed(UPGRADE .. "\r\n")
    turn()
    link:output()
    engine:advance(engine:now() + 2)
    turn()
    local said = link:output()
    link:lost()
    insist(said:find("\3\245", 1, true) or memory.failed())
  end))

  scene("shed", kit.by_hand({ max_bytes = 30000, lossless = false }, function(_, far, turn, client, server)
    if client.node.status ~= "CONNECTED" then error("ENOMEM", 0) end
    local whole = frames.encode(frames.BINARY, ("b"):rep(60000), { mask = true })
    for at = 1, 50000, 10000 do
      far:feed(whole:sub(at, at + 9999))
      turn()
    end
    insist(server:stats().shed == 1 or memory.failed())
  end))

  -- --- through a proxy ---

  scene("proxy", function()
    local proxy = ("http://ann:secret@127.0.0.1:%d"):format(memory.proxy())
    local _, client = kit.pair(nil, { proxy = proxy })
    say()
    kit.echo(client, "through a tunnel")
    local note, told = attempt()
    kit.connect(nil, { url = "ws://127.0.0.1:1/", proxy = proxy, retry = note })
    local code = told()
    insist(code == "PROXY" or memory.failed(), code)
  end)

  -- --- compression ---

  local text = ("what is said again and again, "):rep(100)

  -- Each end keeps its states from message to message.
  scene("deflate", function()
    local takeover = { takeover = true, peer_takeover = true }
    local server, client = kit.pair({ compression = takeover }, { compression = takeover })
    kit.echo(client, text)
    say()
    kit.echo(client, text .. "!")
    kit.echo(client, text:rep(60), "binary")
    local back = 0
    client:on("reconnect", function() back = back + 1 end)
    client.node:drop()
    wait("the return", function() return back == 1 end)
    kit.echo(client, text .. "?")
    local stats = server:stats()
    insist(stats.deflated_to > 0 and stats.inflated_from < stats.inflated_to or memory.failed(), "not compressed")
  end)

  -- One state for all, which is of another kind than the next message needs.
  scene("deflate-fresh", function()
    local small, large = { window = 9, mem_level = 1 }, { window = 15, mem_level = 9 }
    local _, one = kit.pair({ compression = small }, { compression = small })
    local _, other = kit.pair({ compression = large }, { compression = large })
    kit.echo(one, text)
    kit.echo(other, text:rep(10))
    say()
    kit.echo(one, text:rep(10))
  end)

  -- --- ends and marks ---

  scene("drain", function()
    local server, client = kit.pair()
    for i = 1, 5 do client:send("message " .. i) end
    say()
    local other = kit.connect(server)
    kit.connected(other)
    other.node:pause()
    server:nodes()[1]:send "on its way"
    server:close { drain = 0.02 }
    assert(server.draining or server.closed)
    wait("the end of the drain", function() return server.closed end)
    kit.listen_again { url = server.url }
    wait("a new session", function() return client.node.status == "CONNECTED" end)
  end)

  scene("marks", function()
    local options = { high_mark = 400, low_mark = 100, queue_messages = 6 }
    local server, client = kit.pair({ high_mark = 400, low_mark = 100 }, options)
    local got, drains, accepted = 0, 0, 0
    client:on("message", function() got = got + 1 end)
    client:on("drain", function() drains = drains + 1 end)
    local node = server:nodes()[1]
    if not node then error("ENOMEM", 0) end
    node:pause()
    for round = 1, 3 do
      local code
      repeat
        local ok, _, why = client:send(("m"):rep(200))
        if ok then accepted = accepted + 1 else code = why end
      until code
      assert(code == "FULL" or code == "ENOMEM", code)
      if round == 1 then node:resume() end
      wait("drain", function() return code == "ENOMEM" or drains >= round end)
    end
    say()
    wait("what was accepted", function() return got == accepted end)
  end)

  scene("reuse-port", function()
    local first = kit.listen { reuse_port = true }
    local second = kit.listen { url = first.url, reuse_port = true }
    local client = kit.connect(first)
    kit.connected(client)
    first:close()
    say()
    wait("the one that is left", function()
      return client.node.status == "CONNECTED" and second:stats().nodes == 1
    end)
  end)

  -- --- the log ---

  scene("log", function()
    local seen = {}
    kit.finally(function() dop.log(nil) end)
    dop.log(function(_, event)
      seen[event] = true
      if event == "refuse" then error "on purpose" end
    end)
    local server, client = kit.pair { authorize = function(request) return request.headers["x-no"] == nil end }
    kit.echo(client, "nobody reads this")
    client:once("message", function() error "on purpose" end)
    kit.echo(client, "this neither")
    client.node:drop()
    wait("the return", function() return server:stats().reconnects == 1 end)
    say()
    local note, told = attempt()
    kit.connect(server, { headers = { ["X-No"] = "1" }, retry = note })
    told()
    server:close { drain = 0.01 }
    wait("the end of the drain", function() return server.closed end)
    dop.log(nil)
    for _, event in ipairs { "listen", "dial", "open", "connect", "error", "refuse", "retry", "draining", "closed" } do
      insist(seen[event] or memory.failed(), event)
    end
  end)
end
