--- WebSocket frames in Lua, for specs that speak bytes: written from RFC 6455 alone, slow and plain,
-- so that the codec under test is checked by something that shares nothing with it. Runs on Lua 5.4
-- and LuaJIT, hence no bit operators.

local frames = {}

frames.CONTINUATION, frames.TEXT, frames.BINARY = 0, 1, 2
frames.CLOSE, frames.PING, frames.PONG = 8, 9, 10

local function xor_byte(a, b)
  local result, bit = 0, 1
  while a > 0 or b > 0 do
    if a % 2 ~= b % 2 then result = result + bit end
    a, b, bit = math.floor(a / 2), math.floor(b / 2), bit * 2
  end
  return result
end

local xor = {}
for a = 0, 255 do
  xor[a] = {}
  for b = 0, 255 do xor[a][b] = xor_byte(a, b) end
end

--- Masks or unmasks `payload` with the four bytes of `key`.
function frames.mask(payload, key)
  local out = {}
  for i = 1, #payload do
    out[i] = string.char(xor[payload:byte(i)][key:byte((i - 1) % 4 + 1)])
  end
  return table.concat(out)
end

function frames.u16(n) return string.char(math.floor(n / 256) % 256, n % 256) end

--- One frame. Options: fin (true), rsv (0..7), mask (a key of four bytes, true for a fixed one),
-- length_bytes (0, 2 or 8: to write a length that is not in its shortest form), length (to lie).
function frames.encode(opcode, payload, o)
  o = o or {}
  payload = payload or ""
  local first = opcode + (o.fin == false and 0 or 128) + (o.rsv or 0) * 16
  local n = o.length or #payload
  local size = o.length_bytes or (n < 126 and 0 or n < 65536 and 2 or 8)
  local key = o.mask == true and "\1\2\3\4" or o.mask
  local bit = key and 128 or 0
  local length
  if size == 0 then
    length = string.char(bit + n)
  elseif size == 2 then
    length = string.char(bit + 126) .. frames.u16(n)
  else
    length = string.char(bit + 127) .. ("\0"):rep(4) .. frames.u16(math.floor(n / 65536)) .. frames.u16(n % 65536)
  end
  return string.char(first) .. length .. (key and key .. frames.mask(payload, key) or payload)
end

function frames.close(code, reason, o)
  return frames.encode(frames.CLOSE, code and frames.u16(code) .. (reason or "") or "", o)
end

--- Takes the first frame off `bytes`. Returns {opcode, payload, fin, rsv, masked} and the rest, or nil
-- when it is not whole.
function frames.decode(bytes)
  if #bytes < 2 then return nil end
  local first, second = bytes:byte(1, 2)
  local masked, n, at = second >= 128, second % 128, 3
  if n == 126 then
    if #bytes < 4 then return nil end
    n, at = bytes:byte(3) * 256 + bytes:byte(4), 5
  elseif n == 127 then
    if #bytes < 10 then return nil end
    n, at = 0, 11
    for i = 3, 10 do n = n * 256 + bytes:byte(i) end
  end
  local key
  if masked then key, at = bytes:sub(at, at + 3), at + 4 end
  if #bytes < at + n - 1 then return nil end
  local payload = bytes:sub(at, at + n - 1)
  return {
    opcode = first % 16,
    fin = first >= 128,
    rsv = math.floor(first / 16) % 8,
    masked = masked,
    payload = masked and frames.mask(payload, key) or payload,
  }, bytes:sub(at + n)
end

--- All whole frames in `bytes`; what is left comes second.
function frames.decode_all(bytes)
  local list = {}
  while true do
    local frame, rest = frames.decode(bytes)
    if not frame then return list, bytes end
    list[#list + 1], bytes = frame, rest
  end
end

return frames
