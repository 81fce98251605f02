--- What a server says that is no WebSocket, over real sockets: refusals with headers, plain requests,
-- the health of the server.

local dop = require "dop"
local real = require "spec.support.real"
local wire = require "spec.support.wire"

local UPGRADE = wire.REQUEST .. "\r\n"
local function get(path, method) return ("%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(method or "GET", path) end

-- The whole answer to these bytes: status, head, body. The server ends the connection; a 101 does not.
local function ask(server, bytes)
  local p = real.raw_client(server, bytes)
  real.wait("the answer", function() return p.ended or p.received:find("^HTTP/1%.1 101 .*\r\n\r\n") end)
  p:close()
  local head, body = p.received:match("^(.-\r\n)\r\n(.*)$")
  return tonumber(head:match("^HTTP/1%.1 (%d+)")), head, body
end

local function listen(options)
  local told = {}
  options.on = { error = function(_, why) told[#told + 1] = why end }
  return real.listen(options), told
end

describe("authorize", function()
  after_each(real.close)

  it("may add headers to a refusal", function()
    local server, told = listen {
      authorize = function()
        local headers = { ["WWW-Authenticate"] = 'Basic realm="x"', ["Set-Cookie"] = { "a=1", "b=2" } }
        return nil, 401, "who are you?\n", headers
      end,
    }
    local status, head, body = ask(server, UPGRADE)
    assert.equal(401, status)
    assert.equal("who are you?\n", body)
    assert.truthy(head:find('\r\nSet%-Cookie: a=1\r\nSet%-Cookie: b=2\r\nWWW%-Authenticate: Basic realm="x"\r\n'))
    assert.truthy(head:find("\r\nContent-Type: text/plain; charset=utf-8\r\n", 1, true))
    assert.equal(0, #told)
    assert.equal(1, server:stats().refused)
  end)

  it("may say what kind of content the text of a refusal is", function()
    local server = listen {
      authorize = function() return nil, 403, "{}", { ["content-type"] = "application/json" } end,
    }
    local _, head = ask(server, UPGRADE)
    assert.truthy(head:find("\r\ncontent-type: application/json\r\n", 1, true))
    assert.is_nil(head:find("text/plain", 1, true))
  end)

  it("may add headers to the 101, as those that keep a client with its server", function()
    local server, told = listen { authorize = function() return "ada", { ["Set-Cookie"] = "server=3" } end }
    local status, head = ask(server, UPGRADE)
    assert.equal(101, status)
    assert.truthy(head:find("\r\nSet-Cookie: server=3\r\n", 1, true))
    local client = real.connect(server)
    real.wait("the session", function() return client.node.status == "CONNECTED" end)
    assert.equal("ada", server:nodes()[#server:nodes()].principal)
    assert.equal(0, #told)
  end)

  it("may let in with something behind it that is no table", function()
    assert.equal(101, (ask(listen { authorize = function() return true, "more" end }, UPGRADE)))
  end)

  local wrong = {
    ["that dop writes itself"] = { Connection = "keep-alive" },
    ["that dop writes itself, in other case"] = { ["content-length"] = "3" },
    ["that announces chunks"] = { ["Transfer-Encoding"] = "chunked" },
    ["that selects a subprotocol"] = { ["Sec-WebSocket-Protocol"] = "x" },
    ["that is no name"] = { ["a b"] = "c" },
    ["that would split the head"] = { A = "b\r\nC: d" },
    ["that would split the head, in a list"] = { A = { "b", "c\nd" } },
    ["that is a number"] = { A = 1 },
    ["without a name"] = { "A: b" },
  }
  for name, headers in pairs(wrong) do
    it("with a header " .. name .. " is told so, and the client hears 500", function()
      local function refuses() return nil, 403, "no", headers end
      local function allows() return true, headers end
      for _, authorize in ipairs { refuses, allows } do
        local server, told = listen { authorize = authorize }
        local status, head = ask(server, UPGRADE)
        assert.equal(500, status)
        assert.is_nil(head:find("keep-alive", 1, true))
        assert.equal(1, #told)
        assert.truthy(told[1]:find("authorize: the headers: ", 1, true), told[1])
        assert.equal(0, server:stats().nodes)
      end
    end)
  end

  it("with headers that are no table is told so, and the client hears 500", function()
    local server, told = listen { authorize = function() return nil, 403, "no", "A: b\r\n" end }
    assert.equal(500, (ask(server, UPGRADE)))
    assert.truthy(told[1]:find("a table of headers expected", 1, true))
  end)
end)

describe("the option `http`", function()
  after_each(real.close)

  it("answers what asks for no upgrade", function()
    local server = listen {
      http = function(request)
        if request.path == "/robots.txt" then return 200, "User-agent: *\nDisallow: /\n" end
        if request.path == "/old" then return 301, nil, { Location = "/new" } end
        if request.path == "/page" then return 200, "<p>", { ["Content-Type"] = "text/html" } end
      end,
    }
    assert.equal("User-agent: *\nDisallow: /\n", select(3, ask(server, get "/robots.txt")))
    local status, head = ask(server, get "/old")
    assert.equal(301, status)
    assert.truthy(head:find("\r\nLocation: /new\r\n", 1, true))
    assert.truthy(select(2, ask(server, get "/page")):find("\r\nContent-Type: text/html\r\n", 1, true))
    status, head = ask(server, get "/other")
    assert.equal(426, status)
    assert.truthy(head:find("\r\nUpgrade: websocket\r\n", 1, true))
    assert.equal(405, (ask(server, get("/page", "POST"))))
    assert.equal(101, (ask(server, UPGRADE)))
    assert.equal(3, server:stats().http)
    assert.equal(2, server:stats().refused)
  end)

  it("may answer more than the system takes at once", function()
    local large = ("0123456789abcdef"):rep(65536)
    local server = listen { http = function() return 200, large end }
    assert.equal(large, select(3, ask(server, get "/")))
  end)

  local wrong = {
    ["raises"] = { function() error "a mistake" end, "a mistake" },
    ["yields"] = { function() coroutine.yield() end, "yield" },
    ["answers 101"] = { function() return 101 end, "a status from 200 to 599 expected" },
    ["answers 200.5"] = { function() return 200.5 end, "a status from 200 to 599 expected" },
    ["answers with true"] = { function() return true end, "a status from 200 to 599 expected" },
    ["answers with a table for a text"] = { function() return 200, {} end, "a string expected for the text" },
    ["answers with a wrong header"] = { function() return 200, "", { Connection = "x" } end, "written by dop itself" },
  }
  for name, case in pairs(wrong) do
    it("that " .. name .. " is told so; the client hears 500, and the server goes on", function()
      local server, told = listen { http = case[1] }
      assert.equal(500, (ask(server, get "/")))
      assert.equal(1, #told)
      assert.truthy(told[1]:find(case[2], 1, true), told[1])
      assert.equal(101, (ask(server, UPGRADE)))
    end)
  end
end)

describe("the option `health`", function()
  after_each(real.close)

  it("answers at that path, and leaves the others to `http`", function()
    local server = listen { health = "/health", http = function(request) return 200, request.path end }
    local status, head, body = ask(server, get "/health")
    assert.equal(200, status)
    assert.equal("ok\n", body)
    assert.truthy(head:find("\r\nCache-Control: no-store\r\n", 1, true))
    assert.equal("ok\n", select(3, ask(server, get "/health?verbose")))
    assert.equal("", select(3, ask(server, get("/health", "HEAD"))))
    assert.equal("/health/", select(3, ask(server, get "/health/")))
    assert.equal(4, server:stats().http)
  end)

  it("does without `http`", function()
    local server = listen { health = "/health" }
    assert.equal(200, (ask(server, get "/health")))
    assert.equal(426, (ask(server, get "/")))
  end)

  it("says 503 while the server is full", function()
    local server = listen { health = "/health", max_pending = 1 }
    local p = real.raw_client(server, "GET")
    real.wait("the first socket", function() return server:stats().pending == 1 end)
    local status, head = ask(server, get "/health")
    assert.equal(503, status)
    assert.truthy(head:find("\r\nRetry-After: 5\r\n", 1, true))
    p:close()
    real.wait("its end", function() return server:stats().pending == 0 end)
    assert.equal(200, (ask(server, get "/health")))
  end)

  it("is a path: anything else is misuse", function()
    for _, path in ipairs { "", "health", "/a?b", "/a b", "*", "http://localhost/health" } do
      local ok, why = pcall(dop.listen, { url = "ws://127.0.0.1:0/", health = path })
      assert.is_false(ok)
      assert.truthy(why:find('option "health"', 1, true))
    end
  end)
end)
