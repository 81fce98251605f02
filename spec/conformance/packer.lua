--- A compressor and the memory of a decompressor, for the cases of permessage-deflate: spec/support/deflate.lua is slow
-- and plain, so what it has read once is not read again. Shares nothing with zlib.

local deflate = require "spec.support.deflate"

local packer = {}

local LONGEST, SHORTEST = 258, 4

-- How far the bytes at i and j are equal, at most to `last`.
local function match(whole, i, j, last)
  local n = SHORTEST
  local most = math.min(LONGEST, last - i + 1)
  while n < most and whole:byte(i + n) == whole:byte(j + n) do n = n + 1 end
  return n
end

-- What writer:fixed takes for the bytes from `first` to `last`, and how many of them are alone.
local function find_repeats(whole, first, last, known, reach)
  local list, alone, from, i = {}, 0, first, first
  local function literals(to)
    if to >= from then list[#list + 1], alone = whole:sub(from, to), alone + to - from + 1 end
  end
  while i <= last do
    local key = i + SHORTEST - 1 <= last and whole:sub(i, i + SHORTEST - 1)
    local j = key and known[key]
    if key then known[key] = i end
    if j and reach(i, j) then
      local n = match(whole, i, j, last)
      literals(i - 1)
      list[#list + 1] = { n, i - j }
      for at = i + 1, math.min(i + n, last - SHORTEST + 2) - 1 do known[whole:sub(at, at + SHORTEST - 1)] = at end
      i = i + n
      from = i
    else
      i = i + 1
    end
  end
  literals(last)
  return list, alone
end

local function payload_of(message, list, alone)
  local writer = deflate.writer()
  if alone * 4 > #message * 3 then
    for at = 1, #message, 65535 do writer:stored(message:sub(at, at + 65534)) end
  else
    writer:fixed(list)
  end
  return writer:payload()
end

--- The payloads of messages, one behind the other, within a window of `bits`. `takeover`: each may look back at
-- those before it.
function packer.pack(messages, bits, takeover)
  local whole, known, payloads, first = table.concat(messages), {}, {}, 1
  local window = 2 ^ bits
  for n, message in ipairs(messages) do
    local start = first
    local list, alone = find_repeats(whole, first, first + #message - 1, known, function(i, j)
      return i - j <= window and (takeover or j >= start)
    end)
    payloads[n] = payload_of(message, list, alone)
    first = first + #message
  end
  return payloads
end

-- What streams that began in the same way were read as: {text, past, next = {[payload] = the same}}.
local read = {}

--- A reader of the payloads of one connection within a window of `bits`; without takeover each stands alone.
function packer.reader(bits, takeover)
  local name = bits .. (takeover and "+" or "-")
  read[name] = read[name] or { past = "", next = {} }
  local here = read[name]
  return function(payload)
    local known = here.next[payload]
    if not known then
      local reader = deflate.reader(2 ^ bits)
      for i = 1, #here.past do reader.past[i] = here.past:byte(i) end
      local text = reader:message(payload)
      known = { text = text, past = takeover and (here.past .. text):sub(-32768) or "", next = {} }
      here.next[payload] = known
    end
    if takeover then here = known end
    return known.text
  end
end

--- Forgets what was read.
function packer.forget() read = {} end

return packer
