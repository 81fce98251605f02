-- nginx and HAProxy as docs/operations.md sets them up, in front of two servers: clients come in over TLS,
-- sessions outlive cut sockets because a client comes back to its server, browsers' origins are judged
-- by the name that they see.

local programs = require "spec.proxies.programs"
local real = require "spec.support.real"

after_each(programs.close)
after_each(real.close)

local function port_of(server) return server.url:match ":(%d+)/" end

local function echo_server(options)
  local own = { health = "/health" }
  for name, value in pairs(options or {}) do own[name] = value end
  local server = real.listen(own)
  server:on("message", function(node, message, kind) node:send(message, kind) end)
  return server
end

-- Two servers, a proxy in front of them, and a client of it that is CONNECTED.
local function behind(proxy, options, server_options)
  local one, two = echo_server(server_options), echo_server(server_options)
  local way, program = programs[proxy](port_of(one), port_of(two))
  options = options or {}
  options.url, options.tls = way.url, way.tls
  local client = real.connect(nil, options)
  real.wait("the session", function() return client.node.status == "CONNECTED" end, 10)
  return client, one:stats().nodes == 1 and one or two, way, program
end

for _, proxy in ipairs { "nginx", "haproxy" } do
  describe("a server behind " .. proxy, function()
    it("is reached over TLS, by small messages and by large ones", function()
      local client = behind(proxy)
      local heard = {}
      client:on("message", function(_, message) heard[#heard + 1] = message end)
      local large = ("x"):rep(1000000)
      assert(client:send "small")
      assert(client:send(large, "binary"))
      real.wait("the echo", function() return #heard == 2 end, 10)
      assert.equal("small", heard[1])
      assert.is_true(heard[2] == large)
    end)

    it("keeps its sessions: the client of a cut socket comes back to it", function()
      local client, server = behind(proxy)
      local node, heard = client.node, {}
      client:on("message", function(_, message) heard[#heard + 1] = message end)
      for round = 1, 5 do
        server:nodes()[1]:drop { reset = round % 2 == 0 }
        assert(client:send("round " .. round))
        real.wait("round " .. round, function() return #heard == round end, 10)
      end
      assert.equal(node, client.node)
      assert.equal(5, server:stats().reconnects)
      assert.same({ "round 1", "round 2", "round 3", "round 4", "round 5" }, heard)
    end)

    it("judges a browser's origin by the name that the browser sees", function()
      local _, _, way = behind(proxy)
      local seen = way.url:gsub("^wss:", "https:"):gsub("/dop$", "")
      local own = real.connect(nil, { url = way.url, tls = way.tls, headers = { Origin = seen } })
      real.wait("the session of a page of the same site", function() return own.node.status == "CONNECTED" end, 10)
      local why
      real.connect(nil, {
        url = way.url, tls = way.tls, headers = { Origin = "https://elsewhere.example" },
        retry = function(_, reason) why = reason end,
      })
      real.wait("the refusal of another one", function() return why end, 10)
      assert.truthy(why:find("403", 1, true), why)
    end)

    it("is asked for nothing but its own path: what else it answers is not for the world", function()
      local asked = {}
      local _, _, way = behind(proxy, {}, { http = function(request) asked[#asked + 1] = request.path end })
      for _, path in ipairs { "/metrics", "/health" } do
        local status
        local client = real.connect(nil, {
          url = way.url:gsub("/dop$", path), tls = way.tls,
          retry = function(_, _, _, info) status = info.status end,
        })
        real.wait("the proxy's own answer", function() return status end, 10)
        assert.equal(({ nginx = 404, haproxy = 503 })[proxy], status)
        client:close()
      end
      assert.same({}, asked)
    end)
  end)
end

describe("HAProxy", function()
  it("gives no new sockets to a server that says it is full, and leaves the open ones alone", function()
    local client, server, way = behind("haproxy", {}, { max_sockets = 1 })
    local heard = 0
    client:on("message", function() heard = heard + 1 end)
    local other = real.connect(nil, { url = way.url, tls = way.tls })
    real.wait("a client with the other server", function() return other.node.status == "CONNECTED" end, 20)
    assert.equal(1, server:stats().nodes)
    assert(client:send "still here")
    real.wait("the echo of the first", function() return heard == 1 end)
  end)
end)
