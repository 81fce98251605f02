--- The messages of the proofs over real sockets: both ends compute the n-th of a direction by
-- themselves, so that the one that hears it can compare every byte. Most are up to 4 KiB, empty ones
-- among them, one of 2,000 has 100 KiB; text and binary; some texts begin with the byte of dop.r1's
-- instructions, some hold letters of several bytes.

local messages = {}

local POOL, LARGE = 256 * 1024, 100 * 1024

-- Park and Miller's generator: its products are exact in doubles, so both Luas roll the same.
local function dice(seed)
  local x = seed % 2147483646 + 1
  return function(sides)
    x = x * 16807 % 2147483647
    return x % sides
  end
end

local function pool(roll, first, last)
  local parts = {}
  for i = 1, POOL / 16 do
    local bytes = {}
    for k = 1, 16 do bytes[k] = string.char(first + roll(last - first + 1)) end
    parts[i] = table.concat(bytes)
  end
  return table.concat(parts)
end

local function size_of(roll)
  local class = roll(2000)
  if class == 0 then return LARGE end
  if class < 1000 then return roll(200) end
  return roll(4097)
end

--- A function that returns the next message and its kind, from the first on.
function messages.of(seed, direction)
  local roll = dice(seed * 2 + (direction == "server" and 1 or 0))
  for _ = 1, 10 do roll(2) end -- small seeds begin alike
  local texts, binaries = pool(roll, 32, 126), pool(roll, 0, 255)
  local n = 0
  return function()
    n = n + 1
    local kind = roll(3) == 0 and "binary" or "text"
    local size, from = size_of(roll), roll(POOL - LARGE) + 1
    local body = (kind == "text" and texts or binaries):sub(from, from + size - 1)
    if size < 16 then return body, kind end
    local head = ("%d "):format(n)
    local start = kind == "text" and roll(16) or 2
    if start == 0 then
      head = "\16" .. head
    elseif start == 1 then
      head = "\195\164\226\130\172" .. head
    end
    return head .. body:sub(#head + 1), kind
  end
end

return messages
