--- What a new user runs first: the examples, the README's blocks, and the paths that make prints. Each runs
-- in a process of its own, as it stands; only the port is another.

local real = require "spec.support.real"

after_each(real.close)

local LUA = os.getenv "LUA" or rawget(_G, "jit") and "luajit" or _VERSION:lower():gsub(" ", "")

-- A client of the spec's own: sends and waits for what comes back.
local function ask(client, message, kind)
  local heard
  local fn = client:on("message", function(_, ...)
    if (...) == message then heard = { ... } end
  end)
  client:send(message, kind)
  real.wait("the echo", function() return heard end)
  client:off("message", fn)
  return heard
end

describe("examples/echo.lua", function()
  it("sends back text as text and binary as binary, at the URL that it prints", function()
    local server = real.start("examples/echo.lua", "ws://127.0.0.1:0/dop")
    local url = server:expect "^listening on (ws://127%.0%.0%.1:%d+/dop)$"
    local client = real.connect(nil, { url = url })
    assert.same({ "hello", "text" }, ask(client, "hello", "text"))
    assert.same({ "\0\255", "binary" }, ask(client, "\0\255", "binary"))
  end)
end)

describe("examples/client.lua", function()
  it("says something every second, comes back to a server that was away, and ends at Ctrl-C", function()
    local server = real.start("examples/echo.lua", "ws://127.0.0.1:0/dop")
    local url = server:expect "^listening on (%S+)$"
    local client = real.start("examples/client.lua", url)
    client:expect "^PRECONNECTED %-> CONNECTED$"
    client:expect "^received: hello 1$"
    server:stop()
    client:expect "^CONNECTED %-> RECONNECTING$"
    client:expect "^no connection %(.+%), next attempt in %d+%.%d s$"
    real.start("examples/echo.lua", url):expect "^listening on "
    client:expect "%-> CONNECTED$"
    client:expect "^received: hello %d+$"
    local rest = client:stop "INT"
    assert.truthy(rest:find "CONNECTED %-> DISCONNECTED\n$", rest)
  end)
end)

describe("examples/deploy/server.lua", function()
  it("answers a load balancer, and at SIGINT takes nobody new, drains and ends", function()
    local server = real.command(("env DOP_URL=ws://127.0.0.1:0/dop '%s' examples/deploy/server.lua"):format(LUA))
    local url = server:expect "^info listen .*url=(ws://127%.0%.0%.1:%d+/dop)$"
    local probe = real.raw_client({ url = url }, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    real.wait("the answer", function() return probe.ended end)
    assert.truthy(probe.received:find "^HTTP/1%.1 200 OK\r\n", probe.received)
    local closed, code
    local client = real.connect(nil, { url = url, retry = function(_, _, c)
      code = c
      return 0.05
    end })
    assert.same({ "hello", "text" }, ask(client, "hello", "text"))
    client:on("close", function(_, c) closed = c end)
    os.execute("kill -INT " .. server.pid)
    real.wait("what the next attempt hears", function() return code == "ECONNREFUSED" end)
    assert.equal(1012, closed)
    server:expect "^info draining .*nodes=1"
    server:expect "^info closed .*drained=1"
    assert.is_nil(server:read()) -- it has ended
  end)
end)

describe("examples/simulator.lua", function()
  it("compares two policies under 200 seeds, and every message came", function()
    local run = real.start "examples/simulator.lua"
    run:expect "^policy +losses"
    for _, name in ipairs { "default", "eager" } do
      local losses, messages = run:expect("^" .. name .. " +(%d+) +%d+%.%d+ s +%d+%.%d+ s +%d+%.%d+ +(%d+)$")
      assert.truthy(tonumber(losses) > 1000)
      assert.equal(200 * 241, tonumber(messages))
    end
    assert.is_nil(run:read())
  end)
end)

describe("docs/simulator.md", function()
  it("begins with a world that runs as it stands, and shows its trace", function()
    local file = assert(io.open("docs/simulator.md"))
    local code, shown = assert(file:read("*a"):match("\n```lua\n(.-)```\n\n```\n(.-)```"))
    file:close()
    local printed, status = real.script(code)
    assert.equal(0, status, printed)
    for line in shown:gmatch "[^\n]+" do -- what it shows of the trace is what comes
      assert.truthy(line:find "^ *%.%.%.$" or printed:find(line .. "\n", 1, true), line .. "\n\n" .. printed)
    end
  end)
end)

describe("the README", function()
  -- The first block of Lua, or of another language, below that heading.
  local function block(heading, language)
    local file = assert(io.open("README.md"))
    local document = file:read("*a")
    file:close()
    return assert(document:match("\n## " .. heading .. "\n.-\n```" .. (language or "lua") .. "\n(.-)```"), heading)
  end

  -- With `url` in place of the one that stands there.
  local function at(url, code)
    local out, count = code:gsub("ws://127%.0%.0%.1:4444/dop", url)
    assert.equal(1, count)
    return out
  end

  -- The server's block, which also says where it listens.
  local function serve(url)
    local code, count = at(url, block "A server"):gsub("dop%.run%(%)", "print(server.url) %0")
    assert.equal(1, count)
    local server = real.background(code)
    return server, server:expect "^ws://%S+$"
  end

  it("has a server and a client that speak to each other, and again when the server was away", function()
    local server, url = serve "ws://127.0.0.1:0/dop"
    local client = real.background(at(url, block "A client"))
    for _, line in ipairs { "OPEN -> PRECONNECTED", "PRECONNECTED -> CONNECTED", "welcome", "hello" } do
      assert.equal(line, client:read())
    end
    server:stop()
    assert.equal("CONNECTED -> RECONNECTING", client:read())
    serve(url)
    client:expect "%-> CONNECTED$"
    assert.equal("welcome", client:read())
  end)

  it("has a server that says who came back, and who is gone", function()
    local server, url = serve "ws://127.0.0.1:0/dop"
    local client = real.connect(nil, { url = url })
    assert.same({ "\0\255", "binary" }, ask(client, "\0\255", "binary"))
    client.node:drop { reset = true }
    real.wait("the return", function() return client.node.status == "CONNECTED" end)
    server:expect "^back after %d+%.%d s$"
    client:close()
    real.wait("the end", function() return client:stats().sockets == 0 end)
    assert.equal("gone: peer", server:read())
  end)

  it("has two ends that speak TLS, with a certificate made as it says", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local made = assert(io.popen(("unset LD_PRELOAD; cd %s; exec 2>&1\n%s"):format(folder, block("Encrypted", "sh"))))
    local said = made:read "*a"
    made:close()
    local code, ports = block("Encrypted"):gsub("wss://127%.0%.0%.1:4443", "wss://127.0.0.1:%%s")
    assert.equal(2, ports, said)
    local probe = require("socket").bind("127.0.0.1", 0)
    local port = select(2, probe:getsockname())
    probe:close()
    local printed = real.script(code:format(port, port), "(cd " .. folder .. "; %s)")
    os.execute("rm -r " .. folder)
    assert.equal("HELLO\tTLSv1.3\n", printed, said)
  end)

  it("has a handler that sends again what was handed back", function()
    local code = block "What is promised"
    local printed, status = real.script(([[
      local dop, sim = require "dop", require "dop.sim"
      local world = sim.new()
      world:run(60, function()
        local function listen()
          local server = assert(dop.listen { url = "ws://server:80/" })
          server:on("message", function(_, message) print(message) end)
          return server
        end
        local server = listen()
        local client = assert(dop.connect { url = "ws://server:80/", retry = function() return 1 end })
        dop.timer(5, function()
          world:kill(server)
          listen()
        end)
        dop.timer(5.5, function() client:send "after the end of the first server" end)
        %s
      end)
      assert(not world:errors()[1], world:errors()[1]) ]]):format(code))
    assert.equal("after the end of the first server\n", printed)
    assert.equal(0, status)
  end)

  it("has the paths of the checkout from make, and nothing else is printed", function()
    -- Nothing of the make and the Lua that run this may help; a sanitizer's runtime is not for compilers.
    local shell = assert(io.popen(([[
      unset MAKEFLAGS MAKELEVEL LUA_PATH LUA_CPATH LD_PRELOAD
      printed=$(timeout -s KILL 60 make -s env LUA=%s) || exit
      eval "$printed"
      echo "$printed"
      cd / && timeout -s KILL 20 %s -e 'print(require("dop").VERSION, require("dop.uv") ~= nil)' 2>&1
    ]]):format(LUA, LUA)))
    local output = shell:read("*a")
    shell:close()
    assert.truthy(output:find("^export LUA_PATH='[^\n]+' LUA_CPATH='[^\n]+'\n%S+\ttrue\n$"), output)
  end)
end)
