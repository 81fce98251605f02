--- dop.connect: the policy that decides when to try again, and what happens to messages meanwhile.

local core = require "dop.core"
local dop = require "dop"
local real = require "spec.support.real"

-- Nothing listens on this port: it was free a moment ago.
local function nobody()
  local server = assert(dop.listen { url = "ws://127.0.0.1:0/dop" })
  local url = server.url
  server:close()
  dop.run()
  return url
end

local function connected(client)
  real.wait("CONNECTED", function() return client.node.status == "CONNECTED" end)
end

describe("the retry policy", function()
  after_each(real.close)

  it("is asked with 0, 1, 2 ... and a reason, and nil gives up: what was queued comes back", function()
    local asked = {}
    local client = real.connect({ url = nobody() }, {
      retry = function(attempt, why)
        asked[#asked + 1] = attempt
        assert.truthy(why:find("refused"))
        return attempt < 3 and 0 or nil
      end,
    })
    local log = real.record(client, { "disconnect", "connect" })
    client:send("one")
    client:send("two", "binary")
    real.wait("the end", function() return log:count("disconnect") > 0 end)
    assert.same({ 0, 1, 2, 3 }, asked)
    assert.equal("gaveup", log:last("disconnect")[1])
    assert.same({
      { message = "one", kind = "text", fate = "unsent" },
      { message = "two", kind = "binary", fate = "unsent" },
    }, log:last("disconnect")[2])
    assert.equal("DISCONNECTED", client.node.status)
    assert.is_true(client.closed)
    assert.equal("CLOSED", select(3, client:send("three")))
  end)

  it("goes on counting when a connection did not last, and begins anew when it was stable", function()
    for _, case in ipairs { { 3600, { 0, 1, 2 } }, { 0, { 0, 0, 0 } } } do
      local asked = {}
      local server = real.listen()
      local client = real.connect(server, {
        stable = case[1],
        retry = function(attempt)
          asked[#asked + 1] = attempt
          return 0
        end,
      })
      connected(client)
      for i = 1, 3 do
        client.node:drop()
        real.wait("the reconnection", function() return server:stats().reconnects == i end)
        connected(client)
      end
      assert.same(case[2], asked)
    end
  end)

  local nonsense = {
    ["raises"] = function() error("a mistake in a formula") end,
    ["returns a string"] = function() return "soon" end,
    ["returns a negative number"] = function() return -1 end,
    ["returns no number"] = function() return 0 / 0 end,
    ["returns a table"] = function() return {} end,
  }
  for what, retry in pairs(nonsense) do
    it("is reported when it " .. what .. ", and the default stands in", function()
      local server = real.listen()
      local told = {}
      local client = real.connect(server, { retry = retry, on = { error = function(_, e) told[#told + 1] = e end } })
      connected(client)
      client.node:drop()
      real.wait("the reconnection", function() return client.node.status == "CONNECTED" end)
      assert.equal(1, #told)
      assert.truthy(told[1]:find("retry policy"))
    end)
  end

  it("is told what went wrong as a code, and what the server said", function()
    local answers = {
      { "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n", "UPGRADE", { status = 503, retry_after = 7 } },
      { "HTTP/1.1 401 Who\r\n\r\n", "UPGRADE", { status = 401 } },
      { "HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n", "REDIRECT", { status = 302 } },
      { "SSH-2.0\r\n\r\n", "UPGRADE", {} },
    }
    local asked = {}
    local server = real.raw_server(nil, function(peer) peer:send(answers[#asked + 1][1]) end)
    real.connect(server, {
      retry = function(_, why, code, info)
        assert.equal("string", type(why))
        asked[#asked + 1] = { code, info }
        return #asked < #answers and 0 or nil
      end,
    })
    real.wait("four attempts", function() return #asked == #answers end)
    for i, answer in ipairs(answers) do assert.same({ answer[2], answer[3] }, asked[i]) end
  end)

  it("is told how the session's socket was closed", function()
    local server, asked = real.listen(), nil
    local client = real.connect(server, { retry = function(_, why, code, info)
      asked = { why, code, info }
      return nil
    end })
    connected(client)
    real.wait("the session", function() return server:stats().connects == 1 end)
    server:close()
    real.wait("the end", function() return asked end)
    assert.same({ close = 1001 }, asked[3])
    assert.is_nil(asked[2])
  end)

  it("is told of an attempt that could not begin", function()
    local code
    real.connect({ url = "local:nobody-here" }, { retry = function(_, _, c) code = c end })
    real.wait("the answer", function() return code end)
    assert.equal("ECONNREFUSED", code)
  end)

  it("may close the client", function()
    local client
    client = real.connect({ url = nobody() }, { retry = function() client:close() return 0 end })
    assert.is_true(dop.run())
    assert.equal("DISCONNECTED", client.node.status)
  end)
end)

describe("client:reconnect_now()", function()
  after_each(real.close)

  for _, url in ipairs { "ws://127.0.0.1:0/dop", "local:reconnect-now" } do
    it("dials while the policy would have waited for an hour, over " .. url, function()
      local server = real.listen { url = url }
      local client = real.connect(server, { retry = function() return 3600 end })
      connected(client)
      assert.equal("NOTWAITING", select(3, client:reconnect_now()))
      client.node:drop { reset = true }
      real.wait("the wait", function() return core.values(client).state.waits end)
      assert.is_true(client:reconnect_now())
      connected(client)
      assert.equal(1, client:stats().reconnects)
    end)
  end
end)

describe("dop.backoff", function()
  it("leaves the server alone for as long as it asks, up to a bound", function()
    local policy = dop.backoff { first = 0, heed = 100 }
    local function wait(retry_after) return policy(0, "why", "UPGRADE", { status = 503, retry_after = retry_after }) end
    assert.equal(0, wait(nil))
    assert.equal(7, wait(7))
    assert.equal(100, wait(101))
    assert.equal(300, dop.backoff { first = 0 }(0, "why", "UPGRADE", { retry_after = 1e9 }))
    local spread = {}
    policy = dop.backoff()
    for i = 1, 50 do spread[i] = policy(3, "why", "UPGRADE", { retry_after = 60 }) end
    table.sort(spread)
    assert.is_true(spread[1] >= 60 and spread[50] < 64 and spread[50] - spread[1] > 1)
  end)

  it("draws from 0 to a bound that doubles from half a second to 20", function()
    local policy = dop.backoff()
    for attempt, bound in pairs { [0] = 0.5, [1] = 1, [2] = 2, [5] = 16, [6] = 20, [1000] = 20 } do
      local largest = 0
      for _ = 1, 500 do
        local wait = policy(attempt, "why")
        assert.truthy(wait >= 0 and wait <= bound)
        largest = math.max(largest, wait)
      end
      assert.truthy(largest > bound * 0.9) -- 500 draws miss the last tenth once in 10^22
    end
  end)

  it("has options, and tells which one is wrong", function()
    local policy = dop.backoff { first = 1, factor = 3, most = 10, jitter = false, attempts = 4 }
    assert.same({ 1, 3, 9, 10 }, { policy(0), policy(1), policy(2), policy(3) })
    assert.is_nil(policy(4))
    for name, value in pairs { first = -1, factor = 0.5, most = "much", jitter = 1, attempts = false, firs = 1 } do
      local ok, message = pcall(dop.backoff, { [name] = value })
      assert.is_false(ok)
      assert.truthy(message:find('"' .. name .. '"', 1, true), message)
    end
  end)
end)

describe("a client's messages", function()
  after_each(real.close)

  for _, url in ipairs { "ws://127.0.0.1:0/dop", "local:client-spec" } do
    it("leave in order, those sent before CONNECTED and while RECONNECTING too, over " .. url, function()
      local server = real.listen { url = url }
      local heard = {}
      server:on("message", function(_, message) heard[#heard + 1] = message end)
      local client = real.connect(server)
      client:send("before")
      connected(client)
      client:send("after")
      real.wait("both", function() return #heard == 2 end)
      client.node:drop { reset = true }
      client:send("during")
      client:send("during, too", "binary")
      connected(client)
      client:send("then")
      real.wait("all", function() return #heard == 5 end)
      assert.same({ "before", "after", "during", "during, too", "then" }, heard)
    end)
  end
end)

describe("the end of a client", function()
  after_each(real.close)

  it("by close() is formal: the server's session ends at once", function()
    local server, client = real.pair()
    local log = real.record(server, { "disconnect", "reconnecting" })
    client:close()
    real.wait("the server's end", function() return log:count("disconnect") == 1 end)
    assert.equal("peer", log:last("disconnect")[1])
    assert.equal(0, log:count("reconnecting"))
    assert.same({}, client:nodes())
  end)

  it("stops an attempt that was to come, and leaves nothing that would keep the loop running", function()
    local client = real.connect({ url = nobody() }, { retry = function() return 3600 end })
    real.wait("the wait", function() return core.values(client).state.timer end)
    client:close()
    assert.is_true(dop.run())
  end)

  it("does not come when the server only went away: a session at a new server follows", function()
    local server, client = real.pair()
    local url, first = server.url, client.node
    local log = real.record(client, { "disconnect", "connect" })
    server:close()
    real.wait("the loss", function() return client.node.status == "RECONNECTING" end)
    server = real.listen { url = url }
    real.wait("the new session", function() return log:count("connect") == 1 end)
    assert.equal("unknown", log:last("disconnect")[1])
    assert.equal(first, log:last("disconnect").node)
    assert.are_not.equal(first, client.node)
    assert.equal(1, server:stats().connects)
  end)

  it("by the server's node:disconnect() is formal too: no further attempt", function()
    local asked = 0
    local _, client, node = real.pair(nil, { retry = function() asked = asked + 1 return 0 end })
    local log = real.record(client, { "disconnect" })
    node:disconnect()
    real.wait("the client's end", function() return log:count("disconnect") == 1 end)
    assert.equal("peer", log:last("disconnect")[1])
    assert.equal(0, asked)
    assert.is_true(client.closed)
  end)
end)

describe("authorize", function()
  after_each(real.close)

  it("sees the request, and lets in with anything true", function()
    local seen
    local server = real.listen {
      url = "ws://127.0.0.1:0/",
      authorize = function(request)
        seen = request
        return request.headers.authorization == "Bearer xyz"
      end,
    }
    local url = server.url:gsub("/$", "/a/b?c=d")
    local client = real.connect(nil, { url = url, headers = { Authorization = "Bearer xyz", ["X-Two"] = "2" } })
    connected(client)
    assert.equal("GET", seen.method)
    assert.equal("/a/b", seen.path)
    assert.equal("c=d", seen.query)
    assert.equal("/a/b?c=d", seen.target)
    assert.equal("2", seen.headers["x-two"])
    assert.equal(url:match("//([^/]+)"), seen.headers.host)
    assert.truthy(seen.address:find("^127%.0%.0%.1:%d+$"))
  end)

  it("refuses with a status, and the policy is told; an error in it is a 500; others get in", function()
    local errors = 0
    local server = real.listen {
      on = { error = function() errors = errors + 1 end },
      authorize = function(request)
        local who = request.headers["x-who"]
        if who == "raise" then error("no decision") end
        if who == "status" then return nil, 401, "Who are you?\n" end
        return who ~= "nobody"
      end,
    }
    for who, status in pairs { raise = "500", status = "401", nobody = "403" } do
      local told
      local client = real.connect(server, {
        headers = { ["X-Who"] = who },
        retry = function(_, why) told = why end,
      })
      real.wait("the refusal", function() return told end)
      assert.truthy(told:find(status, 1, true), told)
      assert.equal("DISCONNECTED", client.node.status)
    end
    assert.equal(1, errors)
    connected(real.connect(server))
    assert.equal(3, server:stats().refused)
  end)

  it("is asked in-process too", function()
    local seen
    local server = real.listen {
      url = "local:guarded",
      authorize = function(request)
        seen = request
        return nil, 401
      end,
    }
    local told
    real.connect(server, { retry = function(_, why) told = why end })
    real.wait("the refusal", function() return told end)
    assert.truthy(told:find("401", 1, true))
    assert.same({ "LOCAL", "guarded" }, { seen.method, seen.path })
  end)

  it("comes after the list of origins", function()
    for _, case in ipairs {
      { nil, "https://elsewhere.example", false }, { "*", "https://elsewhere.example", true },
      { { "https://app.example" }, "https://app.example", true },
      { { "https://app.example" }, "https://b.example", false },
      { { "https://app.example" }, nil, true },
      { { "HTTPS://app.example:443" }, "https://APP.example", true },
      { { "https://app.example:444" }, "https://app.example", false },
      { { "https://app.example" }, "null", false }, { { "null" }, "null", true },
    } do
      local asked = 0
      local server = real.listen { origins = case[1], authorize = function() asked = asked + 1 return true end }
      local refused
      local client = real.connect(server, {
        headers = { Origin = case[2] },
        retry = function(_, why) refused = why end,
      })
      real.wait("the decision", function() return refused or client.node.status == "CONNECTED" end)
      assert.equal(case[3], not refused)
      assert.equal(case[3] and 1 or 0, asked)
    end
  end)
end)

describe("headers", function()
  it("that would split the request are misuse", function()
    for name, value in pairs {
      ["X-A"] = "b\r\nX-C: d", ["X-B"] = "b\nc", ["X:C"] = "d", ["X D"] = "e", [""] = "f", ["X-Z"] = "\0",
    } do
      local ok, message = pcall(dop.connect, { url = "ws://127.0.0.1:1/", headers = { [name] = value } })
      assert.is_false(ok)
      assert.truthy(message:find("headers", 1, true))
    end
    assert.is_false((pcall(dop.connect, { url = "ws://127.0.0.1:1/", headers = { 1, 2 } })))
  end)
end)
