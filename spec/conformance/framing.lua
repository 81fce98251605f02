--- Categories 1 to 5 and 10: frames, pings, reserved bits, opcodes, fragments.

local player = require "spec.conformance.player"
local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"
local text, binary, ping, pong, part, last =
  stream.text, stream.binary, stream.ping, stream.pong, stream.part, stream.last
local echoes, fails, quiet, blob = player.echoes, player.fails, player.quiet, player.blob
local TEXT, MORE, CLOSE, PING, PONG =
  frames.TEXT, frames.CONTINUATION, frames.CLOSE, frames.PING, frames.PONG

local cases = {}
local function add(case) cases[#cases + 1] = case end

-- 1: messages of every form of length, both kinds; the last in chops.
for kind, frame in ipairs { text, binary } do
  local unit, name = kind == 1 and "*" or "\254", kind == 1 and "text" or "binary"
  for i, size in ipairs { 0, 125, 126, 127, 128, 65535, 65536, 65536 } do
    local payload = blob(unit, size)
    local chops = { chop = i == 8 and 997 or nil }
    add(echoes(("1.%d.%d"):format(kind, i), { frame(payload) }, { { name, payload } }, chops))
  end
end

-- 2: pings are answered with their payload, pongs with nothing.
local octets = "\0\255\254\253\252\251\0\255"
add(echoes("2.1", { ping("") }, { { "pong", "" } }))
add(echoes("2.2", { ping("Hello, world!") }, { { "pong", "Hello, world!" } }))
add(echoes("2.3", { ping(octets) }, { { "pong", octets } }))
add(echoes("2.4", { ping(blob("\254", 125)) }, { { "pong", blob("\254", 125) } }))
add(fails("2.5", { ping(blob("\254", 126)) }, {}, 1002))
add(echoes("2.6", { ping(blob("\254", 125)) }, { { "pong", blob("\254", 125) } }))
add(echoes("2.7", { pong("") }, {}))
add(echoes("2.8", { pong("nobody asked") }, {}))
add(echoes("2.9", { pong("nobody asked"), ping("but here") }, { { "pong", "but here" } }))
local pings, pongs = {}, {}
for i = 1, 10 do pings[i], pongs[i] = ping("ping " .. i), { "pong", "ping " .. i } end
add(echoes("2.10", pings, pongs))
add(echoes("2.11", pings, pongs))

-- 3: no extension gives the reserved bits a meaning. What came before is answered, what comes behind is not.
local hello = { "text", "Hello, world!" }
local function reserved(bits) return text("Hello, world!", { rsv = bits }) end
add(fails("3.1", { reserved(1) }, {}, 1002))
add(fails("3.2", { text("Hello, world!"), reserved(2), ping("") }, { hello }, 1002))
add(fails("3.3", { text("Hello, world!"), reserved(3), ping("") }, { hello }, 1002))
add(fails("3.4", { text("Hello, world!"), reserved(4), ping("") }, { hello }, 1002))
add(fails("3.5", { binary(octets, { rsv = 5 }) }, {}, 1002))
add(fails("3.6", { ping("Hello, world!", { rsv = 6 }) }, {}, 1002))
add(fails("3.7", { { CLOSE, "", { rsv = 7 } } }, {}, 1002))

-- 4: opcodes that nobody has defined, first of data, then of control frames.
for kind, first in ipairs { 3, 11 } do
  local function number(i) return ("4.%d.%d"):format(kind, i) end
  add(fails(number(1), { { first, "" } }, {}, 1002))
  add(fails(number(2), { { first + 1, "reserved" } }, {}, 1002))
  add(fails(number(3), { text("Hello, world!"), { first + 2, "" }, ping("") }, { hello }, 1002))
  add(fails(number(4), { text("Hello, world!"), { first + 3, "reserved" }, ping("") }, { hello }, 1002))
  add(fails(number(5), { text("Hello, world!"), { first + 4, "reserved" }, ping("") }, { hello }, 1002))
end

-- 5: fragments. Some numbers differ in their chops only; here each comes in all of them.
local function for_numbers(from, to, make)
  for n = from, to do add(make("5." .. n)) end
end
local two = { part(TEXT, "one and "), last("two") }
local whole = { "text", "one and two" }
add(fails("5.1", { { PING, "one and ", { fin = false } }, last("two") }, {}, 1002))
add(fails("5.2", { { PONG, "one and ", { fin = false } }, last("two") }, {}, 1002))
for_numbers(3, 5, function(n) return echoes(n, two, { whole }) end)
for_numbers(6, 8, function(n)
  return echoes(n, { two[1], ping("between"), quiet { { "pong", "between" } }, two[2] }, { whole })
end)
for_numbers(9, 11, function(n) return fails(n, { last("of nothing"), text("Hello, world!") }, {}, 1002) end)
for_numbers(12, 14, function(n) return fails(n, { part(MORE, "of nothing"), text("Hello, world!") }, {}, 1002) end)
add(fails("5.15", { two[1], two[2], part(MORE, "of nothing"), text("more") }, { whole }, 1002))
for i, stray in ipairs { part(MORE, "of nothing"), last("of nothing") } do
  add(fails("5." .. 15 + i, { stray, two[1], two[2], stray, two[1], two[2] }, {}, 1002))
end
add(fails("5.18", { part(TEXT, "one and "), text("two") }, {}, 1002))
for_numbers(19, 20, function(n)
  return echoes(n, {
    part(TEXT, "a"), part(MORE, "b"), ping("first"), quiet { { "pong", "first" } },
    part(MORE, "c"), part(MORE, "d"), ping("second"), last("e"),
  }, { { "pong", "second" }, { "text", "abcde" } })
end)

-- 10: what the peer fragments by itself. Ours come back whole, which is as good.
local auto, size, left = {}, 1300, 65536
while left > 0 do
  local payload = blob("*", math.min(size, left))
  left = left - payload.size
  auto[#auto + 1] = { #auto == 0 and TEXT or MORE, payload, { fin = left == 0 } }
end
add(echoes("10.1.1", auto, { { "text", blob("*", 65536) } }))

return cases
