--- DEFLATE in Lua, for specs of permessage-deflate: written from RFC 1951 and RFC 7692 alone, slow and
-- plain, so that zlib and what stands around it are checked by something that shares nothing with
-- them. Runs on Lua 5.4 and LuaJIT, hence no bit operators.

local deflate = {}

deflate.TAIL = "\0\0\255\255" -- what each message ends with before it is sent without it

local floor = math.floor

-- Base and number of extra bits of the codes for lengths (257 ...) and distances (0 ...).
local lengths, distances = {}, {}
do
  local base = 3
  for code = 257, 284 do
    local extra = code < 265 and 0 or floor((code - 261) / 4)
    lengths[code], base = { base, extra }, base + 2 ^ extra
  end
  lengths[285] = { 258, 0 }
  base = 1
  for code = 0, 29 do
    local extra = code < 4 and 0 or floor((code - 2) / 2)
    distances[code], base = { base, extra }, base + 2 ^ extra
  end
end

-- Canonical codes (RFC 1951 3.2.2) for a table of lengths, from symbol 0 to `last`.
local function codes_of(sizes, last)
  local count, next_code, code, codes = {}, {}, 0, {}
  for symbol = 0, last do
    local size = sizes[symbol] or 0
    if size > 0 then count[size] = (count[size] or 0) + 1 end
  end
  for size = 1, 15 do
    code = (code + (count[size - 1] or 0)) * 2
    next_code[size] = code
  end
  for symbol = 0, last do
    local size = sizes[symbol] or 0
    if size > 0 then
      codes[symbol] = { next_code[size], size }
      next_code[size] = next_code[size] + 1
    end
  end
  return codes
end

local fixed_sizes, fixed_distances = {}, {}
for symbol = 0, 287 do
  fixed_sizes[symbol] = symbol < 144 and 8 or symbol < 256 and 9 or symbol < 280 and 7 or 8
end
for symbol = 0, 29 do fixed_distances[symbol] = 5 end

--- Reading -----------------------------------------------------------------------------------------

local reader = {}
reader.__index = reader

--- A reader of messages, which may refer to what came before; a distance beyond `window` bytes is an
-- error (32768 without).
function deflate.reader(window)
  return setmetatable({ window = window or 32768, past = {} }, reader)
end

function reader:bits(n)
  local value, at = 0, 1
  for _ = 1, n do
    if self.left == 0 then
      self.byte = self.bytes:byte(self.pos)
      if not self.byte then error("the data ends in a block", 0) end
      self.pos, self.left = self.pos + 1, 8
    end
    local bit = self.byte % 2
    self.byte, self.left = (self.byte - bit) / 2, self.left - 1
    value, at = value + bit * at, at * 2
  end
  return value
end

local function tree_of(sizes, last)
  local tree = {}
  for symbol, code in pairs(codes_of(sizes, last)) do tree[code[2] * 65536 + code[1]] = symbol end
  return tree
end

function reader:symbol(tree)
  local code = 0
  for size = 1, 15 do
    code = code * 2 + self:bits(1)
    local symbol = tree[size * 65536 + code]
    if symbol then return symbol end
  end
  error("no such code", 0)
end

local ORDER = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 }

function reader:trees()
  local literals, dists, count = self:bits(5) + 257, self:bits(5) + 1, self:bits(4) + 4
  local sizes = {}
  for i = 1, count do sizes[ORDER[i]] = self:bits(3) end
  local tree, all = tree_of(sizes, 18), {}
  while #all < literals + dists do
    local symbol = self:symbol(tree)
    local value, times = symbol, 1
    if symbol == 16 then value, times = all[#all], 3 + self:bits(2)
    elseif symbol == 17 then value, times = 0, 3 + self:bits(3)
    elseif symbol == 18 then value, times = 0, 11 + self:bits(7) end
    for _ = 1, times do all[#all + 1] = value end
  end
  local a, b = {}, {}
  for i = 1, literals do a[i - 1] = all[i] end
  for i = 1, dists do b[i - 1] = all[literals + i] end
  return tree_of(a, literals - 1), tree_of(b, dists - 1)
end

function reader:stored(out)
  self.left = 0
  local length, check = self:bits(16), self:bits(16)
  if length + check ~= 65535 then error("a stored block's length is wrong", 0) end
  for _ = 1, length do out[#out + 1] = self:bits(8) end
end

function reader:copy(out, length, distance)
  if distance > self.window or distance > #out then error("a distance is too far", 0) end
  for _ = 1, length do out[#out + 1] = out[#out + 1 - distance] end
end

function reader:coded(out, literals, dists)
  while true do
    local symbol = self:symbol(literals)
    if symbol == 256 then return end
    if symbol < 256 then
      out[#out + 1] = symbol
    else
      local length = lengths[symbol]
      local size = length[1] + self:bits(length[2])
      local distance = distances[self:symbol(dists)]
      self:copy(out, size, distance[1] + self:bits(distance[2]))
    end
  end
end

--- What a message's payload means. Raises for what is wrong.
function reader:message(payload)
  local out = self.past
  local from = #out
  self.bytes, self.pos, self.left = payload .. deflate.TAIL, 1, 0
  self.blocks = {}
  while self.pos <= #self.bytes do
    self.final = self:bits(1) == 1
    local kind = self:bits(2)
    self.blocks[#self.blocks + 1] = kind
    if kind == 0 then self:stored(out)
    elseif kind == 1 then self:coded(out, tree_of(fixed_sizes, 287), tree_of(fixed_distances, 29))
    elseif kind == 2 then self:coded(out, self:trees())
    else error("a reserved type of block", 0) end
    if self.final then self.left = 0 end
  end
  local text = {}
  for i = from + 1, #out do text[#text + 1] = string.char(out[i]) end
  self.past = {}
  for i = math.max(1, #out - 32767), #out do self.past[#self.past + 1] = out[i] end
  return table.concat(text)
end

--- The same for one message that refers to nothing.
function deflate.inflate(payload, window) return deflate.reader(window):message(payload) end

--- Writing -----------------------------------------------------------------------------------------

local writer = {}
writer.__index = writer

function deflate.writer() return setmetatable({ out = {}, hold = 0, count = 0, place = 1 }, writer) end

function writer:bits(value, n)
  for _ = 1, n do
    local bit = value % 2
    self.hold, self.place, self.count = self.hold + bit * self.place, self.place * 2, self.count + 1
    value = (value - bit) / 2
    if self.count == 8 then self:align() end
  end
  return self
end

function writer:align()
  if self.count > 0 then self.out[#self.out + 1] = string.char(self.hold) end
  self.hold, self.place, self.count = 0, 1, 0
  return self
end

-- A Huffman code: its first bit comes first.
function writer:code(code)
  for i = code[2] - 1, 0, -1 do self:bits(floor(code[1] / 2 ^ i) % 2, 1) end
  return self
end

--- A stored block.
function writer:stored(data, final)
  self:bits(final and 1 or 0, 1):bits(0, 2):align()
  self:bits(#data, 16):bits(65535 - #data, 16)
  self.out[#self.out + 1] = data
  return self
end

local fixed, fixed_distance = codes_of(fixed_sizes, 287), codes_of(fixed_distances, 29)

--- A block in fixed codes: bytes of strings, and {length, distance} for what repeats.
function writer:fixed(list, final)
  self:bits(final and 1 or 0, 1):bits(1, 2)
  for _, item in ipairs(list) do
    if type(item) == "string" then
      for i = 1, #item do self:code(fixed[item:byte(i)]) end
    else
      for code = 257, 285 do
        local l = lengths[code]
        if item[1] >= l[1] and item[1] < l[1] + 2 ^ l[2] and (item[1] < 258 or code == 285) then
          self:code(fixed[code]):bits(item[1] - l[1], l[2])
          break
        end
      end
      for code = 0, 29 do
        local d = distances[code]
        if item[2] >= d[1] and item[2] < d[1] + 2 ^ d[2] then
          self:code(fixed_distance[code]):bits(item[2] - d[1], d[2])
          break
        end
      end
    end
  end
  return self:code(fixed[256])
end

--- A block of its own codes that means 1 + 258 * n times the letter x in n / 4 bytes: 1032 to 1.
function writer:bomb(n)
  self:bits(0, 1):bits(2, 2):bits(286 - 257, 5):bits(0, 5):bits(18 - 4, 4)
  -- Codes of the code lengths: 18 (a run of zeros) and 1 in two bits, 2 in two, 0 in two.
  local sizes = { [18] = 2, [0] = 2, [1] = 2, [2] = 2 }
  for i = 1, 18 do self:bits(sizes[ORDER[i]] or 0, 3) end
  local codes = codes_of(sizes, 18)
  local function zeros(k)
    while k >= 11 do
      local run = math.min(k, 138)
      self:code(codes[18]):bits(run - 11, 7)
      k = k - run
    end
    for _ = 1, k do self:code(codes[0]) end
  end
  zeros(("x"):byte())
  self:code(codes[2]) -- x
  zeros(255 - ("x"):byte())
  self:code(codes[2]) -- the end of the block
  zeros(285 - 257)
  self:code(codes[1]) -- a length of 258
  self:code(codes[1]) -- a distance of 1
  local own = codes_of({ [("x"):byte()] = 2, [256] = 2, [285] = 1 }, 285)
  self:code(own[("x"):byte()])
  for _ = 1, n do self:code(own[285]):bits(0, 1) end
  return self:code(own[256])
end

--- The payload so far, as a message ends: with an empty stored block, of which the last four bytes are
-- not sent.
function writer:payload()
  self:bits(0, 3):align()
  return table.concat(self.out)
end

--- The bytes as they are, a last one that is not full filled up with zeros.
function writer:raw()
  self:align()
  return table.concat(self.out)
end

--- Payloads of whole messages.
function deflate.stored(data) return deflate.writer():stored(data):payload() end

function deflate.fixed(...) return deflate.writer():fixed({ ... }):payload() end

function deflate.bomb(n) return deflate.writer():bomb(n):payload() end

return deflate
