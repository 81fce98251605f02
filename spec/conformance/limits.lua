--- Category 9: large messages, many fragments, small reads, many round trips. The suite measures time;
-- here each must come back as it was sent. Beyond the default of 1 MiB `max_message` is raised.

local player = require "spec.conformance.player"
local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"
local echoes, blob = player.echoes, player.blob
local MORE, KIBI, MEBI = frames.CONTINUATION, 1024, 1048576

local cases = {}
local LIMITS = { max_message = 16 * MEBI, queue_bytes = 32 * MEBI }

-- The frames of a message of one repeated byte, in fragments of a size: three tables, however many.
local function fragments(opcode, byte, size, each)
  local piece = blob(byte, each)
  local first, middle, final = { opcode, piece, { fin = false } }, { MORE, piece, { fin = false } }, { MORE, piece }
  if size == each then return { { opcode, piece } } end
  local list = { first }
  for i = 2, size / each - 1 do list[i] = middle end
  list[#list + 1] = final
  return list
end

for kind = 1, 2 do
  local name = kind == 1 and "text" or "binary"
  local frame = stream[name]
  local unit = kind == 1 and "BAsd7&jh23" or "\0\254\35\250\240"
  local byte = kind == 1 and "*" or "\254"
  local function add(category, i, steps, payload, o)
    cases[#cases + 1] = echoes(("9.%d.%d"):format(category + kind, i), steps, { { name, payload } }, o)
  end
  for i, size in ipairs { 64 * KIBI, 256 * KIBI, MEBI, 4 * MEBI, 8 * MEBI, 16 * MEBI } do
    local payload = blob(unit, size)
    add(0, i, { frame(payload) }, payload, { limits = LIMITS })
  end
  for i, size in ipairs { 64, 256, KIBI, 4 * KIBI, 16 * KIBI, 64 * KIBI, 256 * KIBI, MEBI, 4 * MEBI } do
    add(2, i, fragments(kind, byte, 4 * MEBI, size), blob(byte, 4 * MEBI), { limits = LIMITS })
  end
  for i, chop in ipairs { 64, 128, 256, 512, 1024, 2048 } do
    local payload = blob(unit, MEBI)
    add(4, i, { frame(payload) }, payload, { chop = chop, limits = { queue_bytes = 2 * MEBI } })
  end
  for i, size in ipairs { 0, 16, 64, 256, 1024, 4096 } do
    local payload = blob(byte, size)
    add(6, i, { frame(payload) }, payload, { rounds = 1000 })
  end
end

return cases
