-- Fills a server with sessions that wait for a client that is gone, more and larger ones than its caps allow,
-- and compares what the process has taken with what the options promise. One scenario a process, because
-- freed memory of another would hide what this one takes.
--   lua5.4 spec/real/caps.lua SCENARIO [NODES]
-- Prints "scenario=.. detached=.. bytes=.. evicted=.. rss=.. bound=.. each=..", and exits with 1 where the
-- memory is above the bound.
--
-- The machine is the real one, sockets are not: they are gone by then anyway, and 100,000 of them are more
-- than a process may have.
local core = require "dop.core"
require "dop.emitter"
local frames = require "spec.support.frames"
local wire = require "spec.support.wire"

local name, nodes = arg[1], tonumber(arg[2] or 120000)

-- The defaults, for 120,000 sessions; smaller runs have smaller caps.
local function part(of) return math.floor(of * nodes / 120000) end
local MAX_DETACHED, MAX_BYTES, MAX_TOMBSTONES = part(100000), part(256 * 1024 * 1024), part(100000)

-- What a waiting session may take beside its queue: node, account, token, places in the directory, the
-- timers and Lua's registry, its userdata, the allocator's overhead of each. And what a tombstone takes: they
-- lie in a ring that doubles, with a table of buckets.
local NODE, TOMBSTONE = 1024, 60
-- What the allocator loses between blocks: next to nothing where each queue lies in one piece, more where
-- all of them grew in turns and left holes that none fits into again.
local LOOSE = name == "later" and 1.4 or 1.2

local function resident()
  local file = assert(io.open("/proc/self/status"))
  local kib = file:read("*a"):match "RssAnon:%s+(%d+) kB"
  file:close()
  return tonumber(kib) * 1024
end

local engine = core.engine()
engine:advance(1)
local server = core.transport(engine, "server", {
  lossless = true, max_detached = MAX_DETACHED, max_detached_bytes = MAX_BYTES, max_tombstones = MAX_TOMBSTONES,
})

local evicted, handed_back, node = 0, 0, nil
server:on("connect", function(new) node = new end)
server:on("disconnect", function(_, reason, unsettled)
  assert(reason == "evicted", reason)
  evicted, handed_back = evicted + 1, handed_back + #unsettled
end)

local function turn() while engine:turn() do end end

local REQUEST = wire.REQUEST .. "Sec-WebSocket-Protocol: dop, dop.r1\r\n\r\n"
local count = 0
local LIMITS = "\16p60000 1048576 1048576 1024"

local function client_says(link, text)
  link:feed(frames.encode(frames.TEXT, text, { mask = "\0\0\0\0" }))
  turn()
end

-- A session, and its socket.
local function connect()
  count = count + 1
  local link = core.accept(server, "127.0.0.1:5")
  link:feed(REQUEST)
  turn()
  local half = ("client%016d"):format(count)
  client_says(link, half)
  client_says(link, half)
  client_says(link, LIMITS)
  assert(node.status == "CONNECTED" and node.lossless)
  link:output()
  return node, link
end

local function lose(link)
  link:lost()
  turn()
end

local function send(to, messages, size)
  local message = ("m"):rep(size)
  for _ = 1, messages do assert(to:send(message)) end
end

local scenarios = {}

-- What a session takes that has nothing to say.
function scenarios.empty()
  for _ = 1, nodes do lose(select(2, connect())) end
end

-- As much for each as the caps allow for all of them: 19 messages of 133 bytes.
function scenarios.even()
  for _ = 1, nodes do
    local n, link = connect()
    send(n, 19, 133)
    link:output()
    lose(link)
  end
end

-- Messages of no bytes: what is counted of them is the overhead alone.
function scenarios.hollow()
  for _ = 1, nodes do
    local n, link = connect()
    send(n, 335, 0)
    link:output()
    lose(link)
  end
end

-- The queue is full, 1 MiB: a few of them fill the cap.
function scenarios.full()
  for _ = 1, nodes / 100 do
    local n, link = connect()
    send(n, 1000, 1040)
    link:output()
    lose(link)
  end
end

-- Half of what was written has been acknowledged: its room lies before the rest.
function scenarios.half()
  for _ = 1, nodes do
    local n, link = connect()
    send(n, 19, 400)
    link:output()
    client_says(link, "\16a13")
    assert(n.unacked == 6)
    lose(link)
  end
end

-- They are sent to when the socket is gone, in turns: all queues grow at once.
function scenarios.later()
  local list = {}
  for i = 1, nodes do
    local link
    list[i], link = connect()
    lose(link)
  end
  for _ = 1, 19 do
    for i = 1, nodes do
      if list[i].status == "RECONNECTING" then list[i]:send(("m"):rep(133)) end
    end
    turn()
  end
end

collectgarbage()
local before = resident()
scenarios[name]()
node = nil
turn()
collectgarbage()
collectgarbage()

local stats = server:stats()
local taken = resident() - before
local ring = 64
while ring < math.min(evicted, MAX_TOMBSTONES) do ring = 2 * ring end
local bound = stats.detached * NODE + LOOSE * (name == "empty" and 0 or MAX_BYTES) + TOMBSTONE * ring
print(("scenario=%s detached=%d bytes=%d evicted=%d handed_back=%d rss=%.0f bound=%.0f each=%.0f"):format(name,
  stats.detached, stats.detached_bytes, evicted, handed_back, taken, bound, taken / stats.detached))
assert(stats.detached <= MAX_DETACHED and stats.detached_bytes <= MAX_BYTES)
assert(evicted + stats.detached == count, "each is there or was evicted")
os.exit(taken <= bound and 0 or 1)
