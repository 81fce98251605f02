--- The loop and the process around it: timers, other hosts' loops, signals, the end of a script, unix
-- sockets, descriptors that run out.

local dop = require "dop"
local real = require "spec.support.real"

describe("dop.run", function()
  after_each(real.close)

  it("returns true when nothing is left that could happen", function()
    assert.is_true(dop.run())
    local order = {}
    dop.timer(0.1, function() order[#order + 1] = "c" end)
    dop.timer(0, function() order[#order + 1] = "a" dop.timer(0, function() order[#order + 1] = "b" end) end)
    assert.is_true(dop.run())
    assert.same({ "a", "b", "c" }, order)
  end)

  it("is left by dop.stop, and what is open stays open", function()
    local _, client = real.pair()
    dop.timer(0, dop.stop)
    assert.is_true(dop.run())
    assert.equal("CONNECTED", client.node.status)
  end)

  it("refuses to run inside itself, and so does step", function()
    local messages = {}
    dop.timer(0, function()
      messages[1] = select(2, pcall(dop.run))
      messages[2] = select(2, pcall(function() return dop.loop():step() end))
    end)
    dop.run()
    assert.truthy(messages[1]:find("run was called from a handler", 1, true))
    assert.truthy(messages[2]:find("step was called from a handler", 1, true))
  end)
end)

describe("dop.timer", function()
  after_each(real.close)

  -- Each of them takes longer than the other waits, so at any time one of the two is due.
  for _, seconds in ipairs { 0, 0.002 } do
    it(("leaves the sockets their turn, however busy the handlers (%g s)"):format(seconds), function()
      local _, client = real.pair()
      local echoes, rounds = 0, 0
      local function busy()
        rounds = rounds + 1
        local from = os.clock()
        while os.clock() - from < 0.003 do from = from + 0 end
        if echoes == 0 and rounds < 1000 then dop.timer(seconds, busy) end
      end
      client:on("message", function()
        echoes = echoes + 1
        dop.stop()
      end)
      client:send("hello")
      busy()
      busy()
      dop.run()
      assert.equal(1, echoes)
      assert.truthy(rounds < 1000)
    end)
  end

  it("counts from the call, also late in a long handler", function()
    local from, took
    local clock = require("socket").gettime
    dop.timer(0, function()
      local cpu = os.clock()
      while os.clock() - cpu < 0.03 do cpu = cpu + 0 end
      from = clock()
      dop.timer(0.02, function() took = clock() - from end)
    end)
    dop.run()
    assert.truthy(took >= 0.019, took)
  end)

  it("stops, and tells whether it was still to come", function()
    local fired = 0
    local one = dop.timer(0, function() fired = fired + 1 end)
    local two = dop.timer(0, function() fired = fired + 1 end)
    assert.is_true(two:stop())
    assert.is_false(two:stop())
    dop.run()
    assert.is_false(one:stop())
    assert.equal(1, fired)
  end)

  it("runs though nobody holds it, and refuses misuse", function()
    local fired
    dop.timer(0.002, function() fired = true end)
    collectgarbage()
    dop.run()
    assert.is_true(fired)
    for _, bad in ipairs { { -1, print }, { 0 / 0, print }, { 1e10, print }, { "x", print }, { 1, "x" }, { 1 } } do
      assert.is_false((pcall(dop.timer, bad[1], bad[2])))
    end
  end)
end)

describe("dop.random", function()
  it("is in [0, 1), and different in every process", function()
    for _ = 1, 1000 do
      local x = dop.random()
      assert.truthy(x >= 0 and x < 1)
    end
    local script = [[print(require("dop").random())]]
    assert.are_not.equal((real.script(script)), (real.script(script)))
  end)
end)

describe("a host with a loop of its own", function()
  after_each(real.close)

  it("drives sessions with pollfd, timeout and step", function()
    local server = real.listen()
    server:on("message", function(node, message) node:send(message) end)
    local client = real.connect(server)
    local heard
    client:on("message", function(_, message) heard = message end)
    client:send("stepwise")
    local loop = dop.loop()
    assert.truthy(loop:pollfd() >= 0)
    local poll = { getfd = function() return loop:pollfd() end, dirty = function() return false end }
    local steps = 0
    while not heard and steps < 1000 do
      local alive = loop:step()
      assert.is_true(alive)
      steps = steps + 1
      require("socket").select({ poll }, nil, math.min(loop:timeout() or 1, 1))
    end
    assert.equal("stepwise", heard)
  end)
end)

describe("Ctrl-C", function()
  it("makes dop.run return, once; the script decides what then", function()
    local printed, status = real.script([[
      local dop = require "dop"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      -- Not os.execute, which ignores the signal while its command runs.
      dop.timer(0, function() io.popen("kill -INT " .. io.open("/proc/self/stat"):read("*n")):close() end)
      print(dop.run())
      server:close()
      print(dop.run())
    ]])
    assert.equal("nil\tinterrupted\tINTERRUPTED\ntrue\n", printed)
    assert.equal(0, status)
  end)
end)

describe("a script that ends with everything open", function()
  local opening = [[
    local dop = require "dop"
    local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
    local other = assert(dop.listen { url = "local:other" })
    local clients = {}
    for i = 1, 3 do clients[i] = assert(dop.connect { url = i < 3 and server.url or "local:other" }) end
    dop.connect { url = "ws://127.0.0.1:1/" }
    dop.connect { url = "ws://name.invalid/" }
    dop.timer(100, function() end)
    dop.go(function() dop.sleep(100) end)
    dop.go(function() clients[1].node:receive() end)
    server:on("connect", function()
      if server:stats().connects == 2 then dop.timer(0, dop.stop) end
    end)
    dop.run()
    for _, client in ipairs(clients) do client:send("left behind") end
    server:nodes()[1]:drop()
  ]]
  for ending, status in pairs {
    [""] = 0,
    ["os.exit(0, true)"] = 0,
    ["os.exit(7)"] = 7,
    ["error('the end')"] = 1,
    ["dop.timer(0, function() os.exit(3, true) end) dop.run()"] = 3,
  } do
    it("ends with its own status: " .. (ending == "" and "the end of the file" or ending), function()
      -- os.exit without its second argument leaves the Lua state as it is: that is no leak, but LSan
      -- cannot see what hangs on LuaJIT's own memory.
      local around = ending == "os.exit(7)" and "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 %s" or nil
      local printed, code = real.script(opening .. ending, around)
      assert.equal(status, code, printed)
      if status ~= 1 then assert.equal("", printed) end
    end)
  end
end)

describe("a unix socket", function()
  after_each(real.close)

  local name

  before_each(function() name = os.tmpname() os.remove(name) end)

  local function exists() return os.rename(name, name) end

  it("has a file while it listens, with the mode that was asked for", function()
    local server = real.listen { url = "ws+unix:" .. name, mode = tonumber("600", 8) }
    assert.equal(("ws+unix:%s:/"):format(name), server.url)
    local ls = io.popen("ls -l " .. name)
    assert.equal("srw-------", ls:read("*l"):sub(1, 10))
    ls:close()
    server:close()
    dop.run()
    assert.is_nil((exists()))
  end)

  it("replaces the file that a dead process left, and no other", function()
    real.script(([[
      local dop = require "dop"
      assert(dop.listen { url = "ws+unix:%s" })
      os.execute("kill -KILL " .. io.open("/proc/self/stat"):read("*n"))
    ]]):format(name))
    assert.truthy(exists())
    local server = real.listen { url = "ws+unix:" .. name }
    local again, _, code = dop.listen { url = "ws+unix:" .. name }
    assert.is_nil(again)
    assert.equal("EADDRINUSE", code)
    local client = real.connect(server)
    real.wait("CONNECTED", function() return client.node.status == "CONNECTED" end)
    assert.equal("unix", server:nodes()[1].peer)
  end)

  it("is its owner's, who may be too busy to take anybody: nobody waits for him", function()
    assert.equal("EADDRINUSE\n", (real.script(([[
      local dop, unix = require "dop", require "socket.unix"
      local owner, crowd = unix.stream(), {}
      assert(owner:bind(%q))
      assert(owner:listen(0))
      repeat -- until there is no room
        local one = unix.stream()
        one:settimeout(0)
        crowd[#crowd + 1] = one
      until not one:connect(%q)
      print((select(3, dop.listen { url = "ws+unix:%s" })))
    ]]):format(name, name, name))))
    assert.truthy(exists())
    os.remove(name)
  end)

  it("leaves alone what is no socket", function()
    local file = io.open(name, "w")
    file:write("precious")
    file:close()
    assert.equal("EADDRINUSE", select(3, dop.listen { url = "ws+unix:" .. name }))
    assert.equal("precious", io.open(name):read("*a"))
    os.remove(name)
  end)

  it("is refused with a path that no socket can have", function()
    assert.equal("ENAMETOOLONG", select(3, dop.listen { url = "ws+unix:/" .. ("x"):rep(200) }))
    assert.equal("EACCES", select(3, dop.listen { url = "ws+unix:" .. name .. "/none/x" }))
  end)
end)

describe("descriptors that run out", function()
  it("cost the newest sockets; the others go on, and the listener serves again", function()
    local printed, status = real.script([[
      local dop = require "dop"
      local socket = require "socket"
      local server = assert(dop.listen { url = "ws://127.0.0.1:0/" })
      server:on("message", function(node, message) node:send(message) end)
      local client = assert(dop.connect { url = server.url, retry = function() return 0.01 end })
      local port = tonumber(server.url:match(":(%d+)/"))
      local raw, echoes = {}, 0
      client:on("connect", function()
        for i = 1, 60 do raw[i] = socket.tcp() and socket.connect("127.0.0.1", port) end
        client:send("while there are none")
      end)
      client:on("message", function(_, message)
        echoes = echoes + 1
        print(message)
        if echoes == 2 then return os.exit(0, true) end
        for i = 1, 60 do if raw[i] then raw[i]:close() end end
        local second = assert(dop.connect { url = server.url, retry = function() return 0.01 end })
        second:on("connect", function(node) node:send("and afterwards") end)
        second:on("message", function(_, m) client:send(m) end)
      end)
      dop.run()
    ]], "ulimit -n 40; %s")
    assert.equal("while there are none\nand afterwards\n", printed)
    assert.equal(0, status)
  end)
end)
