-- A reconnection policy of one's own against bad networks: 200 seeds, five minutes each, for it and for the
-- default. How long were sessions without a socket, and how many attempts did that cost?
--   lua5.4 examples/simulator.lua
-- Exits with 0 only when every message of every seed arrived, once and in order.
local dop = require "dop"
local sim = require "dop.sim"

local SEEDS, SECONDS = 200, 300

-- At first it tries again almost at once, then it holds back, and never waits for more than three seconds.
local function eager(attempt)
  if attempt < 3 then return 0.1 * dop.random() end
  return math.min(3, 0.2 * 2 ^ attempt) * (0.5 + dop.random() / 2)
end

-- The application: a client says something every second, the server hears it.
local function application(policy, figures)
  return function(world)
    local sent, heard = 0, 0
    local server = assert(dop.listen { url = "ws://server:80/", resume_window = SECONDS })
    local client = assert(dop.connect {
      url = "ws://server:80/", ping_interval = 5, ping_timeout = 2,
      retry = function(attempt, why)
        figures.attempts = figures.attempts + 1
        return policy(attempt, why)
      end,
    })
    server:on("message", function(_, message)
      heard = heard + 1
      assert(message == tostring(heard), message)
    end)
    client:on("reconnect", function(_, info)
      figures.losses = figures.losses + 1
      figures.away = figures.away + info.away
      figures.longest = math.max(figures.longest, info.away)
    end)
    local function say()
      if world:now() > SECONDS - 60 then return world:calm() end -- what is under way shall arrive
      sent = sent + 1
      assert(client:send(tostring(sent)))
      dop.timer(1, say)
    end
    say()
    return function()
      figures.messages = figures.messages + heard
      return heard == sent, ("%d messages were sent, %d came"):format(sent, heard)
    end
  end
end

print("policy    losses  without a socket: mean, longest  attempts a loss  messages")
for _, case in ipairs { { "default", dop.backoff() }, { "eager", eager } } do
  local figures = { losses = 0, away = 0, longest = 0, attempts = 0, messages = 0 }
  local seeds, failure = sim.try {
    seeds = { 1, SEEDS }, seconds = SECONDS,
    world = {
      faults = { every = 10, seconds = 10, cut = 4, reset = 2, blackhole = 1, delay = 2, half_close = 1, refuse = 3 },
    },
    application(case[2], figures),
  }
  if not seeds then
    io.stderr:write(failure)
    os.exit(1, true)
  end
  print(("%-8s %7d %19.2f s %7.2f s %16.2f %9d"):format(case[1], figures.losses, figures.away / figures.losses,
    figures.longest, figures.attempts / figures.losses, figures.messages))
end
