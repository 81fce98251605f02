-- A client and a server of dop.r1, each a process of its own, with a proxy between them that ends, resets,
-- half-closes and holds their connections at random places (spec/support/breaker.c). Both send as fast as
-- there is room; each compares every byte that it hears with what the other had to send: nothing lost,
-- doubled, changed or out of order.
--
-- NETWORK_MESSAGES (50,000): each way. NETWORK_SEED: of faults and messages. NETWORK_MEAN: bytes between
-- faults.

local process = require "spec.real.process"
local real = require "spec.support.real"

local MESSAGES = process.setting("NETWORK_MESSAGES", 50000)
local SEED = process.setting("NETWORK_SEED", 1)
local MEAN = process.setting("NETWORK_MEAN", 30000)
local SECONDS = 60 + MESSAGES / 500 -- a bound, ten times what is usual

after_each(process.close)
after_each(real.close)

local function run(client_lua, server_lua)
  local options = {
    messages = MESSAGES, seed = SEED, ping_interval = 0.3, ping_timeout = 0.5, handshake_timeout = 2,
  }
  local server = process.talker("server", "ws://127.0.0.1:0/dop", options, { lua = server_lua, seconds = SECONDS })
  local port = server:expect "^listening ws://127.0.0.1:(%d+)/dop$"
  local breaker = process.start(("build/real/breaker %d %d %d 1500"):format(port, SEED, MEAN), SECONDS)
  local url = ("ws://127.0.0.1:%d/dop"):format(breaker:expect "^listening (%d+)$")
  local client = process.talker("client", url, options, { lua = client_lua, seconds = SECONDS })

  local here = process.figures(client:expect("^through (.*)$", SECONDS))
  local there = process.figures(server:expect("^through (.*)$", SECONDS))

  -- Calm, to see the end of the session: nothing is open, and nothing came behind the last message.
  breaker:signal "USR1"
  client:signal "INT"
  local ends = {}
  for name, p in pairs { client = client, server = server } do
    local reason, rest = p:expect("^over reason=(%w+) (.*)$")
    ends[name] = process.figures(rest)
    ends[name].reason = reason
    p:join()
  end
  breaker:stop()
  local broke = process.figures(breaker:expect "^broke (.*)$")

  local seconds = math.max(here.seconds, there.seconds)
  print(("\n%s client, %s server: %d messages each way in %.1f s, %.0f a second; %d connections, faults: %d fin," ..
    " %d rst, %d one, %d half, %d hold (%d went on late); %d resumes, %d messages written again"):format(client_lua,
    server_lua, MESSAGES, seconds, 2 * MESSAGES / seconds, broke.connections, broke.fin, broke.rst, broke.one,
    broke.half, broke.hold, broke.late, ends.client.resumes, here.replayed + there.replayed))
  return ends, broke
end

for _, pair in ipairs { { process.LUA, process.LUA }, { process.LUA, process.OTHER } } do
  describe(("a %s client and a %s server with a proxy between them that breaks connections"):format(pair[1], pair[2]),
    function()
      it("hear every message once and in order", function()
        local ends, broke = run(pair[1], pair[2])
        assert.equal("local", ends.client.reason)
        assert.equal("peer", ends.server.reason)
        for _, e in pairs(ends) do
          assert.equal(MESSAGES, e.sent)
          assert.equal(MESSAGES, e.heard)
          assert.equal(0, e.unsent + e.undelivered + e.unknown)
          assert.is_true(e.replayed > 0)
        end
        -- It was broken often, and in every way.
        assert.is_true(ends.client.resumes >= MESSAGES / 500)
        for _, fault in ipairs { "fin", "rst", "one", "half", "hold" } do assert.is_true(broke[fault] > 0, fault) end
      end)
    end)
end
