--- wss: what passes through it. Messages of every size in order, few records for many messages, a slow reader
-- that costs only itself, and sessions that outlive connections cut at any byte.

local certificates = require "spec.support.certificates"
local cutter = require "spec.support.cutter"
local dop = require "dop"
local preload = require "spec.support.preload"
local real = require "spec.support.real"

local pki = certificates.new()
teardown(function() pki:remove() end)
local over -- what a spec does again and again ends with it
before_each(function() over = false end)
after_each(function()
  over = true
  real.close()
end)

local function pair(server_options, client_options, through)
  server_options = server_options or {}
  server_options.url, server_options.tls = "wss://127.0.0.1:0/dop", pki:identity()
  local server = real.listen(server_options)
  client_options = client_options or {}
  client_options.tls = { ca = pki.ca }
  client_options.url = through and through(server).url or server.url
  local client = real.connect(server, client_options)
  real.wait("the session", function()
    return client.node.status == "CONNECTED" and server:stats().connects > 0
  end)
  return server, client, server:nodes()[1]
end

-- Counts the records of the server that carry data, and keeps the size of the largest.
local function watch_records()
  local rest, seen = "", { count = 0, largest = 0 }
  function seen.look(bytes, from)
    if from ~= "server" then return end
    rest = rest .. bytes
    while #rest >= 5 do
      local size = rest:byte(4) * 256 + rest:byte(5)
      if #rest < 5 + size then return end
      if rest:byte(1) == 23 then
        seen.count, seen.largest = seen.count + 1, math.max(seen.largest, size)
      end
      rest = rest:sub(6 + size)
    end
  end
  return seen
end

describe("messages", function()
  -- Around the sizes of records (1,369 and 16,384), of what is encrypted at once (65,536), of buffers.
  local sizes = {
    0, 1, 125, 126, 1368, 1369, 1370, 16000, 16382, 16383, 16384, 16385, 32768, 65500, 65535, 65536,
    65537, 66559, 66560, 66561, 70656, 131072, 200000, 1048576,
  }

  for _, lossless in ipairs { true, false } do
    it("of every size come back whole, " .. (lossless and "without losses" or "by plain DOP"), function()
      local server, client = pair({ lossless = lossless, queue_bytes = 2^24 }, { queue_bytes = 2^24 })
      server:on("message", function(node, message, kind) assert(node:send(message, kind)) end)
      local heard = {}
      client:on("message", function(_, message) heard[#heard + 1] = message end)
      for i, size in ipairs(sizes) do
        assert(client:send(string.char(96 + i):rep(size)))
        -- Each of them alone, then with the next ones.
        if i % 2 == 0 then real.wait("the echoes", function() return #heard == i end) end
      end
      real.wait("the echoes", function() return #heard == #sizes end)
      for i, size in ipairs(sizes) do assert.equal(string.char(96 + i):rep(size), heard[i]) end
    end)
  end

  it("that have left take no memory, however long others wait behind them", function()
    local size, most = 2^24, 0
    local server, client, node = pair({ lossless = false, queue_bytes = size, queue_messages = size,
      high_mark = 2^18, low_mark = 2^17 })
    local heard, sent = 0, 0
    client:on("message", function()
      heard, most = heard + 1, math.max(most, server:stats().bytes)
    end)
    while node:send(("x"):rep(65536)) do sent = sent + 1 end
    local waiting = server:stats().bytes
    real.wait("all of them", function() return heard == sent end, 20)
    assert.truthy(most <= waiting + 2^20, ("%d bytes, then %d"):format(waiting, most))
  end)

  it("of one turn leave in one record, as long as they fit into one", function()
    local records = watch_records()
    local _, client, node = pair(nil, nil, function(server) return cutter.new(server, nil, records.look) end)
    local heard, before = 0, nil
    client:on("message", function() heard = heard + 1 end)
    dop.timer(0, function()
      before = records.count
      for i = 1, 100 do node:send("message " .. i) end
    end)
    real.wait("all of them", function() return heard == 100 end)
    assert.truthy(records.count - before <= 2, records.count - before)
  end)
end)

describe("records", function()
  local HEAD = 64 -- more than what a record takes beside what it carries

  it("are small at first, then large, and small again after a second of silence", function()
    local records = watch_records()
    local _, client, node = pair(nil, nil, function(server) return cutter.new(server, nil, records.look) end)
    local heard = 0
    client:on("message", function() heard = heard + 1 end)
    local function largest_of(size)
      local before = heard
      records.largest = 0
      assert(node:send(("x"):rep(size)))
      real.wait("the message", function() return heard > before end)
      return records.largest
    end
    assert.truthy(largest_of(60000) <= 1369 + HEAD, records.largest)
    largest_of(10000)
    assert.truthy(largest_of(60000) > 16384, records.largest)
    local rested
    dop.timer(1.1, function() rested = true end)
    real.wait("the silence", function() return rested end)
    assert.truthy(largest_of(60000) <= 1369 + HEAD, records.largest)
  end)

  it("arrive on connections that all die before 6,000 bytes: the session gets on", function()
    local proxy
    local server, client, node = pair(nil, { retry = function() return 0.001 end }, function(server)
      proxy = cutter.new(server, function() return 6000 end)
      return proxy
    end)
    local heard = {}
    client:on("message", function(_, message) heard[#heard + 1] = tonumber(message:match "^%d+") end)
    for i = 1, 60 do assert(node:send(i .. (" "):rep(400))) end
    real.wait("all of them", function() return #heard == 60 end)
    for i = 1, 60 do assert.equal(i, heard[i]) end
    assert.truthy(proxy.cuts >= 4, proxy.cuts)
    assert.equal(1, server:stats().connects)
  end)
end)

describe("a receiver that does not read", function()
  local SIZE, MOST = 500 * 1024, 64
  local body = ("x"):rep(SIZE)

  for _, lossless in ipairs { true, false } do
    it("holds the sender back, and gets everything in order when it reads again, " ..
      (lossless and "without losses" or "by plain DOP"), function()
      local server, client, node = pair { lossless = lossless }
      local heard, taken = {}, 0
      client:on("message", function(_, message) heard[#heard + 1] = message end)
      client.node:pause()
      local function fill()
        while not over and taken < MOST and node:send(("%d:"):format(taken + 1) .. body) do taken = taken + 1 end
      end
      node:on("drain", fill)
      fill()
      dop.timer(0.3, function() over = true end)
      real.wait("the time to pass", function() return over end)
      assert.truthy(taken > 1 and taken < MOST, taken)
      assert.equal(0, #heard)
      client.node:resume()
      real.wait("all of them", function() return #heard == taken end, 15)
      for i, message in ipairs(heard) do
        assert.equal(i, tonumber(message:match("^(%d+):")))
        assert.equal(SIZE, #message:match(":(x+)$"))
      end
      -- On one connection: a session without losses would hide that one broke.
      assert.equal(1, server:stats().sockets_opened)
    end)
  end

  it("has in the sender's memory what one turn sent, and the system did not take", function()
    local server, client, node = pair { lossless = false, high_mark = 2^24 }
    local heard, COUNT = {}, 24
    client:on("message", function(_, message) heard[#heard + 1] = message end)
    client.node:pause()
    for i = 1, COUNT do assert(node:send(("%d:"):format(i) .. body)) end
    client.node:resume()
    real.wait("all of them", function() return #heard == COUNT end)
    for i, message in ipairs(heard) do assert.equal(i, tonumber(message:match("^(%d+):"))) end
    assert.equal(1, server:stats().sockets_opened)
  end)
end)

describe("a session whose connections are cut at any byte", function()
  -- Numbers by a generator of their own, so that a failure comes again.
  local function numbers(seed)
    return function(least, most)
      seed = (seed * 16807) % 2147483647
      return least + seed % (most - least + 1)
    end
  end

  for seed = 1, 3 do
    it("loses nothing and tells nothing twice: seed " .. seed, function()
      local number = numbers(seed * 7919)
      local proxy
      local server, client, node = pair(nil, { retry = function() return 0.001 end }, function(server)
        -- Some are cut in the middle of a handshake, which takes some 2,000 bytes.
        proxy = cutter.new(server, function()
          return proxy.connections == 0 and 4000 or number(0, 2) == 0 and number(1, 4000) or number(1, 40000)
        end)
        return proxy
      end)
      local COUNT = 400
      local heard, sent = { {}, {} }, { 0, 0 }
      node:on("message", function(_, message) heard[1][#heard[1] + 1] = message end)
      client:on("message", function(_, message) heard[2][#heard[2] + 1] = message end)
      local function say()
        for i, who in ipairs { client.node, node } do
          for _ = 1, number(0, 8) do
            if sent[i] < COUNT and who:send(("%d %s"):format(sent[i] + 1, ("x"):rep(number(0, 1200)))) then
              sent[i] = sent[i] + 1
            end
          end
        end
        if not over and (sent[1] < COUNT or sent[2] < COUNT) then dop.timer(0.002, say) end
      end
      say()
      real.wait("all messages", function() return #heard[1] >= COUNT and #heard[2] >= COUNT end, 15)
      for _, list in ipairs(heard) do
        assert.equal(COUNT, #list)
        for i, message in ipairs(list) do assert.equal(i, tonumber(message:match "^%d+")) end
      end
      assert.truthy(proxy.cuts >= 5, proxy.cuts)
      assert.equal(1, server:stats().connects)
      assert.truthy(server:stats().reconnects >= 3, server:stats().reconnects)
    end)
  end
end)

describe("the end", function()
  -- openssl minds an end of TCP that TLS did not announce.
  it("is announced before the connection ends, also where the announcement has to wait for room", function()
    local printed = preload.with("FULL=1", ([[
      local dop = require "dop"
      local server = assert(dop.listen {
        url = "wss://127.0.0.1:0/", tls = { cert = %q, key = %q }, health = "/health",
      })
      local call = "{ printf 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n' |" ..
        " env -u FULL -u LD_PRELOAD openssl s_client -quiet -ign_eof -connect %%s 2>&1; echo status $?; }"
      local client = io.popen(call:format(server.url:match "//(.-)/"))
      local function look()
        if server:stats().http == 1 and server:stats().sockets == 0 then server:close() else dop.timer(0.01, look) end
      end
      look()
      dop.run()
      io.write(client:read "*a")
    ]]):format(pki.server, pki:key "server"))
    assert.truthy(printed:find("HTTP/1.1 200 OK", 1, true), printed)
    assert.is_nil(printed:find("unexpected eof", 1, true), printed)
    assert.truthy(printed:find("status 0", 1, true), printed)
  end)
end)
