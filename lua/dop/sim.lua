--- dop.sim: worlds in which an application meets bad networks. The real machine of both ends, a virtual
-- clock, one seed: what took an hour takes milliseconds, and the same seed does the same again. The
-- application is unchanged: inside world:run all of `dop` is the world's. docs/simulator.md tells the rest.

local core = require "dop.core"
local loop = require "dop.loop"
local simhost = require "dop.simhost"

local sim = {}

local World = {}
World.__index = World

-- --- options ---

-- Raises at the line of whoever called the function that checks, or `above` it.
local function check_number(value, what, least, most, above)
  if type(value) == "number" and value >= least and value <= most then return end
  local got = type(value) == "number" and ("%.16g"):format(value) or type(value)
  error(("%s: a number from %.16g to %.16g expected, got %s"):format(what, least, most, got), 3 + (above or 0))
end

-- In this order: the same seed picks the same ones whatever pairs() does.
local kinds = { "cut", "reset", "half_close", "blackhole", "delay", "refuse" }

local fault_options = { every = true, seconds = true }
for _, kind in ipairs(kinds) do fault_options[kind] = true end

local function check_faults(faults)
  if type(faults) ~= "table" then
    error(('sim.new: option "faults": a table expected, got %s'):format(type(faults)), 3)
  end
  local sum = 0
  for name, value in pairs(faults) do
    if not fault_options[name] then error(("sim.new: there is no fault %q"):format(tostring(name)), 3) end
    check_number(value, ('sim.new: faults, %q'):format(name), name == "every" and 0.001 or 0, 1e9, 1)
  end
  for _, kind in ipairs(kinds) do sum = sum + (faults[kind] or 0) end
  if sum == 0 then error("sim.new: faults: none has a weight", 3) end
  return sum
end

local known = { seed = true, latency = true, faults = true, trace = true }

local function check(options)
  if type(options) ~= "table" then
    error(("sim.new: a table of options expected, got %s"):format(type(options)), 3)
  end
  for name in pairs(options) do
    if not known[name] then error(("sim.new has no option %q"):format(tostring(name)), 3) end
  end
  local seed, latency = options.seed or 1, options.latency or { 0.01, 0.05 }
  check_number(seed, 'sim.new: option "seed"', 0, 2 ^ 53, 1)
  if seed % 1 ~= 0 then error(('sim.new: option "seed": a whole number expected, got %s'):format(seed), 3) end
  if type(latency) == "number" then latency = { latency, latency } end
  if type(latency) ~= "table" then
    error(('sim.new: option "latency": seconds or {least, most} expected, got %s'):format(type(latency)), 3)
  end
  check_number(latency[1], 'sim.new: option "latency"', 0, 3600, 1)
  check_number(latency[2], 'sim.new: option "latency"', latency[1], 3600, 1)
  return seed, latency
end

-- --- faults ---

-- The connections that are meant: of a transport or a node, or all of them.
local function struck(world, target, what)
  if target ~= nil and type(target) ~= "userdata" then
    error(("%s: a transport or a node expected, got %s"):format(what, type(target)), 3)
  end
  return world.host.network:connections(target)
end

local function check_side(side, what)
  if side ~= nil and side ~= "client" and side ~= "server" then
    error(('%s: "client" or "server" expected, got %s'):format(what, tostring(side)), 3)
  end
end

local function cut_one(world, number, side, some)
  local host = world.host
  local up, down, up_after, down_after =
    host.network:cut(number, side ~= "server", side ~= "client", some)
  host:log("fault: connection %d %s%s: %d of %d bytes to the server still come, %d of %d to the client", number,
    some and "cut" or "reset", side and ", only the " .. side .. " is told" or "",
    up_after, up, down_after, down)
end

local function half_close_one(world, number, side)
  world.host.network:half_close(number, side ~= "server")
  world.host:log("fault: connection %d: the %s can say no more", number, side or "client")
end

local function swallow_one(world, number)
  local up, down = world.host.network:swallow(number)
  world.host:log("fault: connection %d is a black hole: %d and %d bytes were under way", number, up, down)
end

local function delay_one(world, number, seconds)
  world.host.network:delay(number, seconds)
  world.host:log("fault: connection %d stalls for %.3f s", number, seconds)
end

--- Breaks connections: of what is under way a random part, up to any byte, still arrives, then both ends
-- see a reset; with `side` ("client" or "server") only that one does. `target` is a transport or a node;
-- all connections without one. Returns how many. So do the other faults.
function World:cut(target, side)
  check_side(side, "world:cut")
  local list = struck(self, target, "world:cut")
  for _, number in ipairs(list) do cut_one(self, number, side, true) end
  return #list
end

--- The same, but nothing that is under way arrives.
function World:reset(target, side)
  check_side(side, "world:reset")
  local list = struck(self, target, "world:reset")
  for _, number in ipairs(list) do cut_one(self, number, side, false) end
  return #list
end

--- One way carries nothing any more: after what is under way, the other end sees that `side` (the client)
-- has ended its stream, and can still speak itself.
function World:half_close(target, side)
  check_side(side, "world:half_close")
  local list = struck(self, target, "world:half_close")
  for _, number in ipairs(list) do half_close_one(self, number, side) end
  return #list
end

--- Connections become black holes for good: nobody is told. For `seconds` (0) new attempts, of the target
-- or to it, hang as well.
function World:blackhole(seconds, target)
  seconds = seconds or 0
  check_number(seconds, "world:blackhole: seconds", 0, 1e9)
  local host = self.host
  local list = struck(self, target, "world:blackhole")
  for _, number in ipairs(list) do swallow_one(self, number) end
  local finish = host.clock.now + math.ceil(seconds * 1000)
  if target == nil then
    host.hole = finish
  elseif self.host.named[target] and target.role then
    core.values(target).hole = finish
  end
  if seconds > 0 then host:log("fault: attempts hang for %.3f s", seconds) end
  return #list
end

--- What is under way and what will be written arrives in `seconds` at the earliest: a new connection
-- overtakes an old one.
function World:delay(seconds, target)
  check_number(seconds, "world:delay: seconds", 0, 1e9)
  local list = struck(self, target, "world:delay")
  for _, number in ipairs(list) do delay_one(self, number, seconds) end
  return #list
end

--- For so long nobody accepts: each attempt is refused. Connections that are there stay.
function World:refuse(seconds)
  check_number(seconds, "world:refuse: seconds", 0, 1e9)
  self.host.refusing = self.host.clock.now + math.ceil(seconds * 1000)
  self.host:log("fault: attempts are refused for %.3f s", seconds)
end

--- Kills a process of world:process, or the one that a transport belongs to: its sockets reset, its nodes
-- and timers vanish, none of its handlers is called any more, its address is free. Returns whether it
-- lived.
function World:kill(target)
  local process = target
  if type(target) == "userdata" then
    local ok, values = pcall(core.values, target)
    process = ok and values.process
  end
  if type(process) ~= "table" or not process.transports then
    error("world:kill: a transport or a process of this world expected", 2)
  end
  return self.host:kill(process)
end

--- Ends the random faults, and the times for which attempts hang or are refused.
function World:calm()
  local host = self.host
  if self.next_fault then self.next_fault:stop() end
  self.next_fault = nil
  host.hole, host.refusing = 0, 0
  for transport in pairs(host.named) do
    if transport.role then core.values(transport).hole = nil end
  end
  host:log("calm")
end

local strike = {
  cut = function(world, number) cut_one(world, number, nil, true) end,
  reset = function(world, number) cut_one(world, number, nil, false) end,
  half_close = function(world, number, part) half_close_one(world, number, part < 0.5 and "client" or "server") end,
  blackhole = function(world, number) swallow_one(world, number) end,
  delay = function(world, number, part) delay_one(world, number, part * world.fault_seconds) end,
}

-- One random fault. It draws as often whatever it finds, so that what the application does moves none of
-- those to come.
local function random_fault(world, faults, sum)
  local draw, host = world.draw, world.host
  local kind, which, part = draw() * sum, draw(), draw()
  local name = kinds[#kinds]
  for _, candidate in ipairs(kinds) do
    kind = kind - (faults[candidate] or 0)
    if kind < 0 then
      name = candidate
      break
    end
  end
  if name == "refuse" then return world:refuse(part * world.fault_seconds) end
  local list = host.network:connections()
  if #list == 0 then return end
  strike[name](world, list[1 + math.floor(which * #list)], part)
end

local function schedule(world, faults, sum)
  local ms = math.max(1, math.floor(world.draw() * 2 * (faults.every or 5) * 1000))
  world.next_fault = world.host:later(ms, function()
    random_fault(world, faults, sum)
    schedule(world, faults, sum)
  end)
end

-- --- the world ---

--- A world. Options: seed (1), latency ({0.01, 0.05} seconds), faults, trace (true).
function sim.new(options)
  options = options or {}
  local seed, latency = check(options)
  local sum = options.faults and check_faults(options.faults)
  local host = simhost.new {
    seed = seed, least = latency[1], most = latency[2], trace = options.trace ~= false,
  }
  local world = setmetatable({ seed = seed, host = host, draw = core.generator(seed, 3) }, World)
  if options.faults then
    world.fault_seconds = options.faults.seconds or 5
    schedule(world, options.faults, sum)
  end
  return world
end

--- Calls fn(world), then lets `seconds` of virtual time pass, or less when dop.stop() is called. May be
-- called again, to go on. Returns how it ended: "time" or "stopped". Raises what fn raises; an error in a
-- handler is reported as anywhere, see world:errors().
function World:run(seconds, fn)
  check_number(seconds, "world:run: seconds", 0, 1e9)
  if fn ~= nil and type(fn) ~= "function" then
    error(("world:run: a function expected, got %s"):format(type(fn)), 2)
  end
  local host = self.host
  if loop.host().running then error("a world runs already: world:run was called inside of one", 2) end
  local function life()
    if fn then fn(self) end
    if not host.stopped then host:drive(seconds) end
  end
  -- From here to the swap back nothing asks for memory but what the call protects.
  local before = loop.swap(host)
  host.running, host.stopped = true, false
  -- Through C: no coroutine may yield out of here and leave the world in the place of the real host.
  local ok, err = pcall(core.call, life)
  host.running = false
  loop.swap(before)
  if not ok then error(err, 0) end
  return host.stopped and "stopped" or "time"
end

--- Runs fn() as a process of its own: what it makes, and what its handlers and timers make, dies with
-- world:kill(process). Returns the process, at the latest when fn waits in dop.run(), which its own
-- dop.stop() ends.
function World:process(fn)
  if loop.host() ~= self.host then error("world:process works only while the world runs", 2) end
  if type(fn) ~= "function" then error(("world:process: a function expected, got %s"):format(type(fn)), 2) end
  return self.host:run_process(fn)
end

--- Seconds of virtual time since the beginning.
function World:now() return self.host.clock.now / 1000 end

--- All that happened, a line each, with its time.
function World:trace() return table.concat(self.host.lines or {}) end

--- The errors of handlers, timers, policies and coroutines that were reported, as a list.
function World:errors()
  local list = {}
  for i, text in ipairs(self.host.complaints) do list[i] = text end
  return list
end

-- --- many seeds ---

local function verdict(world, seconds, fn)
  local check_after
  local ok, err = xpcall(function()
    world:run(seconds, function(w)
      local fine, result = xpcall(function() return fn(w) end, debug.traceback)
      if not fine then error(result, 0) end
      check_after = result
    end)
  end, tostring)
  if not ok then return err end
  if world.host.complaints[1] then return world.host.complaints[1] end
  if check_after == nil or check_after == true then return nil end
  if type(check_after) ~= "function" then return "the function returned " .. tostring(check_after) end
  local good, why
  ok, good, why = xpcall(check_after, debug.traceback)
  if not ok then return tostring(good) end
  if good == nil and why == nil or good == true then return nil end
  return type(good) == "string" and good or tostring(why or "the check returned " .. tostring(good))
end

local try_options = { seeds = "table", seconds = "number", world = "table" }

--- Runs fn(world) in a world for each seed from seeds[1] to seeds[2]. fn may return a check, which is called
-- when the time has passed: false, a message, or an error in it or anywhere before fails the seed. Returns
-- the number of seeds; or nil, a text with the first seed that failed, how to replay it and its trace,
-- and its world. Options: seeds, seconds (60), world (options of sim.new), and fn as [1].
function sim.try(options)
  if type(options) ~= "table" or type(options[1]) ~= "function" then
    error("sim.try: a table of options with a function in it expected", 2)
  end
  for name, value in pairs(options) do
    local kind = try_options[name]
    if name ~= 1 and not kind then error(("sim.try has no option %q"):format(tostring(name)), 2) end
    if name ~= 1 and type(value) ~= kind then
      error(("sim.try: option %q: a %s expected, got %s"):format(name, kind, type(value)), 2)
    end
  end
  local seeds, seconds = options.seeds or { 1, 100 }, options.seconds or 60
  local first, last = seeds[1], seeds[2] or seeds[1]
  local asked = tonumber(os.getenv "DOP_SEED" or "")
  if asked then first, last = asked, asked end
  check_number(first, "sim.try: seeds", 0, 2 ^ 53)
  check_number(last, "sim.try: seeds", first, 2 ^ 53)
  for seed = first, last do
    local given = { seed = seed }
    for name, value in pairs(options.world or {}) do given[name] = value end
    given.seed = seed
    local world = sim.new(given)
    local why = verdict(world, seconds, options[1])
    if why then
      local text = ("seed %d failed: %s\nreplay: DOP_SEED=%d, or sim.try { seeds = { %d }, ... }\n%s"):format(
        seed, why, seed, seed, world:trace())
      return nil, text, world
    end
  end
  return last - first + 1
end

return sim
