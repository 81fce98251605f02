--- When a client tries again, on a virtual clock: the default policy, policies of one's own, reconnect_now,
-- and what the handlers are told of it.

local dop = require "dop"
local sim = require "dop.sim"
local worlds = require "spec.support.worlds"

local URL, pair, connected, record = worlds.URL, worlds.pair, worlds.connected, worlds.record

-- The waits of the first client of that world: seconds from each loss or failure to the attempt behind it.
local function waits(world)
  local list, from = {}, nil
  for time, what in world:trace():gmatch "(%d+%.%d+) client1 (%l+ %l*)" do
    if what == "has no" then from = tonumber(time) end
    if what == "dials server" and from then list[#list + 1] = tonumber(time) - from end
  end
  return list
end

-- A policy that notes what it is asked, and always answers `seconds`.
local function noting(seconds)
  local asked = {}
  return asked, function(attempt, why)
    asked[#asked + 1] = attempt
    asked.why = why
    return seconds
  end
end

describe("the default policy", function()
  it("waits at most 0.5, 1, 2 ... 20 seconds, and anything from 0 on", function()
    local bounds, least, most = { 0.5, 1, 2, 4, 8, 16, 20, 20 }, {}, {}
    for seed = 1, 150 do
      local world = sim.new { seed = seed, latency = 0 }
      world:run(200, function() dop.connect { url = URL } end)
      local list = waits(world)
      assert.truthy(#list >= #bounds, world:trace())
      for i in ipairs(bounds) do
        least[i], most[i] = math.min(least[i] or 1e9, list[i]), math.max(most[i] or 0, list[i])
      end
    end
    for i, bound in ipairs(bounds) do
      assert.truthy(least[i] < 0.05 * bound + 0.002, ("%d: %s"):format(i, least[i]))
      assert.truthy(most[i] > 0.95 * bound and most[i] <= bound + 0.002, ("%d: %s"):format(i, most[i]))
    end
  end)

  it("waits as long as a policy may at most, whatever the numbers", function()
    local patient = dop.backoff { most = math.huge, heed = math.huge, jitter = false }
    assert.equal(1e9, patient(2000))
    assert.equal(1e9, patient(2000, "", "UPGRADE", { retry_after = 1e9 }))
    assert.equal(0, dop.backoff { first = 0, jitter = false }(2000))
  end)

  it("brings a client back within half a second of a loss", function()
    for seed = 1, 50 do
      local world = connected { seed = seed }
      world:reset()
      world:run(5)
      local list = waits(world)
      assert.equal(1, #list)
      assert.truthy(list[1] <= 0.501, list[1])
    end
  end)

  it("does not bring a thousand clients back in the same instant", function()
    local world = sim.new { latency = 0.01 }
    world:run(20, function()
      assert(dop.listen { url = URL })
      for _ = 1, 1000 do dop.connect { url = URL } end
      dop.timer(10, function() assert.equal(1000, world:reset()) end)
    end)
    local bins, count = {}, 0
    for time in world:trace():gmatch "(1%d%.%d+) client%d+ dials" do
      local bin = math.floor(tonumber(time) * 20)
      bins[bin] = (bins[bin] or 0) + 1
      count = count + 1
    end
    assert.equal(1000, count)
    for bin, n in pairs(bins) do assert.truthy(n > 50 and n < 160, ("%.2f: %d"):format(bin / 20, n)) end
  end)
end)

describe("attempts are counted from 0 again", function()
  -- The attempt for which the policy is asked when the third socket is lost that long after CONNECTED.
  local function attempt_after(seconds, stable)
    local asked, policy = noting(0.5)
    local world, _, client = connected({ latency = 0 }, nil, { retry = policy, stable = stable })
    world:run(30, function()
      world:refuse(0.9)
      world:reset()
      client:once("reconnect", function()
        dop.timer(seconds, function() world:reset() end)
        dop.timer(seconds + 0.01, dop.stop)
      end)
    end)
    assert.same({ 0, 1 }, { asked[1], asked[2] })
    return asked[#asked]
  end

  it("after 5 seconds CONNECTED, not earlier", function()
    assert.equal(2, attempt_after(0.1))
    assert.equal(2, attempt_after(4.99))
    assert.equal(0, attempt_after(5))
  end)

  it("after `stable` seconds when that is given", function()
    assert.equal(2, attempt_after(0.99, 1))
    assert.equal(0, attempt_after(1, 1))
  end)
end)

describe("a policy", function()
  it("is asked again and again after the session is gone: a new one begins", function()
    local asked, policy = noting(1)
    local world, server, client = connected(nil, nil, { retry = policy })
    local first = client.node
    local over, begun = record(world, client, "disconnect"), record(world, client, "connect")
    world:run(60, function()
      world:kill(server)
      dop.timer(30, function() assert(dop.listen { url = URL }) end)
    end)
    assert.truthy(#asked > 20 and #asked < 40, #asked)
    assert.equal("unknown", over[1][3])
    assert.equal(first, over[1][2])
    assert.equal(client.node, begun[1][2])
    assert.equal("CONNECTED", client.node.status)
  end)

  it("gives up with nil: no attempt follows", function()
    local world, server, client = connected(nil, nil, {
      retry = function(attempt) return attempt < 3 and 1 or nil end,
    })
    local over = record(world, client, "disconnect")
    world:run(60, function() world:kill(server) end)
    assert.equal("gaveup", over[1][3])
    assert.is_true(client.closed)
    local dials = select(2, world:trace():gsub("client1 dials", ""))
    assert.equal(1 + 3, dials)
  end)

  for what, answer in pairs {
    ["raises"] = function() error "a mistake in a formula" end, ["says soon"] = function() return "soon" end,
    ["says -1"] = function() return -1 end, ["says true"] = function() return true end,
    ["says nan"] = function() return 0 / 0 end, ["yields"] = function() coroutine.yield() end,
  } do
    it("that " .. what .. " is reported, and the default stands in each time", function()
      local told = {}
      local world, server, client = connected({ latency = 0 }, nil, {
        retry = answer, on = { error = function(_, message) told[#told + 1] = message end },
      })
      world:run(60, function()
        world:kill(server)
        dop.timer(30, function() pair() end)
      end)
      assert.equal("CONNECTED", client.node.status)
      local list = waits(world)
      assert.equal(#list, #told)
      assert.truthy(told[1]:find "the retry policy", told[1])
      for i, wait in ipairs(list) do assert.truthy(wait <= math.min(20, 0.5 * 2 ^ (i - 1)) + 0.002, wait) end
    end)
  end
end)

describe("client:reconnect_now()", function()
  it("ends a wait: it dials at once, and counts from 0 again", function()
    local asked, policy = noting(1000)
    local world, _, client = connected({ latency = 0.01 }, nil, { retry = policy })
    world:run(60, function()
      world:refuse(20)
      world:reset()
      dop.timer(10, function() assert.is_true(client:reconnect_now()) end) -- and is refused
      dop.timer(30, function()
        assert.is_true(client:reconnect_now())
        dop.timer(0.1, function() assert.equal("CONNECTED", client.node.status) end)
      end)
    end)
    assert.same({ 0, 0 }, { asked[1], asked[2] })
    assert.equal(2, #asked)
    assert.same({}, world:errors())
    assert.equal("CONNECTED", client.node.status)
    local dials = {}
    for time in world:trace():gmatch "(%d+%.%d+) client1 dials" do dials[#dials + 1] = tonumber(time) end
    assert.same({ 0, 12, 32 }, dials)
    assert.equal("time", world:run(2000)) -- the wait that it ended does not end later
    assert.equal(3, select(2, world:trace():gsub("client1 dials", "")))
  end)

  it("may be called between two runs", function()
    local world, _, client = connected(nil, nil, { retry = function() return 1000 end })
    world:reset()
    world:run(1)
    assert.is_true(client:reconnect_now())
    world:run(1)
    assert.equal("CONNECTED", client.node.status)
  end)

  it("says NOTWAITING while there is a socket, an attempt or a loss that the policy has not heard of", function()
    local world, _, client = connected(nil, nil, { retry = function() return 5 end })
    local codes = {}
    local function try(what) codes[what] = select(3, client:reconnect_now()) or "dialled" end
    try "connected"
    client:on("reconnecting", function() try "reconnecting" end)
    world:reset()
    world:run(30, function()
      dop.timer(1, function()
        try "waiting"
        try "dialling"
      end)
    end)
    assert.same({
      connected = "NOTWAITING", reconnecting = "NOTWAITING", waiting = "dialled", dialling = "NOTWAITING",
    }, codes)
  end)

  it("says NOTWAITING before the policy has heard that an attempt failed", function()
    local world = sim.new()
    local asked, policy = noting(1)
    local code
    world:run(1, function()
      local client = dop.connect { url = "local:nobody", retry = policy }
      code = select(3, client:reconnect_now())
    end)
    assert.equal("NOTWAITING", code)
    assert.truthy(#asked > 0)
  end)

  it("says CLOSED once the client makes no further attempt", function()
    local world, _, client = connected(nil, nil, { retry = function() return 5 end })
    client:close()
    assert.same({ nil, "the client is closed", "CLOSED" }, { client:reconnect_now() })
    world:run(5)
    assert.equal("CLOSED", select(3, client:reconnect_now()))
    local other, server, late = connected(nil, nil, { retry = function() end })
    other:run(5, function() other:kill(server) end)
    assert.equal("CLOSED", select(3, late:reconnect_now()))
  end)

  it("is a client's alone", function()
    local _, server = connected()
    local ok, message = pcall(server.reconnect_now, server)
    assert.is_false(ok)
    assert.truthy(message:find "only a client")
  end)
end)

describe("the handlers of a client and a server", function()
  it("are told why the socket was lost, for how long, and how much is written again", function()
    local world, server, client = connected({ latency = 0.01 }, nil, { retry = function() return 3 end })
    local why, info = {}, {}
    for name, transport in pairs { client = client, server = server } do
      why[name], info[name] = record(world, transport, "reconnecting"), record(world, transport, "reconnect")
    end
    world:run(10, function()
      for i = 1, 7 do client:send(tostring(i)) end
      dop.timer(0.001, function() world:reset() end)
    end)
    for _, name in ipairs { "client", "server" } do
      assert.equal(1, #why[name])
      assert.equal("connection reset by peer", why[name][1][3])
      local away = info[name][1][1] - why[name][1][1]
      assert.truthy(away > 3 and away < 3.2, away)
      assert.truthy(math.abs(away - info[name][1][3].away) < 0.0005)
    end
    assert.equal(7, info.client[1][3].replayed)
    assert.equal(0, info.server[1][3].replayed)
  end)
end)
