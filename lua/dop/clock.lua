--- A virtual clock: timers on a heap, in milliseconds from 0. Time moves when it is told to. Pure.

local clock = {}
clock.__index = clock

local timer = {}
timer.__index = timer

--- Whether it was still to come.
function timer:stop()
  local was = self.fn ~= nil
  self.fn = nil
  return was
end

function clock.new()
  return setmetatable({ now = 0, count = 0, number = 0 }, clock)
end

-- Timers of one millisecond come in the order in which they were started.
local function before(a, b)
  if a.at ~= b.at then return a.at < b.at end
  return a.number < b.number
end

--- A timer for fn at that time; `owner` is the caller's own.
function clock:add(at, fn, owner)
  local i = self.count + 1
  local new = setmetatable({ at = at, fn = fn, owner = owner, number = self.number + 1 }, timer)
  self[i] = new -- without memory for it nothing has changed yet
  self.number, self.count = self.number + 1, i
  while i > 1 and before(new, self[(i - i % 2) / 2]) do
    local up = (i - i % 2) / 2
    self[i] = self[up]
    i = up
  end
  self[i] = new
  return new
end

local function remove_first(self)
  local last, n = self[self.count], self.count - 1
  self[self.count] = nil
  self.count = n
  if n == 0 then return end
  local i = 1
  while 2 * i <= n do
    local child = 2 * i
    if child < n and before(self[child + 1], self[child]) then child = child + 1 end
    if not before(self[child], last) then break end
    self[i] = self[child]
    i = child
  end
  self[i] = last
end

--- When the next one is due; nil: none is to come.
function clock:next()
  while self[1] and not self[1].fn do remove_first(self) end
  return self[1] and self[1].at
end

--- Takes out the next one that is due by now: its function and its owner; nil: none is.
function clock:due()
  local at = self:next()
  if not at or at > self.now then return nil end
  local first = self[1]
  local fn = first.fn
  first.fn = nil
  remove_first(self)
  return fn, first.owner
end

return clock
