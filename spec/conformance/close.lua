--- Category 7: the end of a connection, begun by the peer. Wherever the suite lets an end choose between
-- a close frame and none, ours says the code that is right.

local player = require "spec.conformance.player"
local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"
local text, ping, part, last, close = stream.text, stream.ping, stream.part, stream.last, stream.close
local echoes, fails, closes, blob = player.echoes, player.fails, player.closes, player.blob

local cases = {}
local function add(case) cases[#cases + 1] = case end

local hello = { "text", "Hello World!" }
add(echoes("7.1.1", { text("Hello World!") }, { hello }))
add(closes("7.1.2", { close(1000), close() }, {}, 1000))
add(closes("7.1.3", { close(1000), ping("") }, {}, 1000))
add(closes("7.1.4", { close(1000), text("Hello World!") }, {}, 1000))
add(closes("7.1.5", { part(frames.TEXT, "one and "), close(1000), last("two") }, {}, 1000))
-- The suite leaves it open what of this comes back before the close. Here the large message does; the
-- small one, which the full socket has not taken by then, is kept for the session's next socket.
local large = blob("BAsd7&jh23", 262144)
add(closes("7.1.6", { text(large), text("Hello World!"), close(1000), ping("") }, { { "text", large } }, 1000,
  #"Hello World!" + 8)) -- and 8 for itself, see docs/api.md

add(closes("7.3.1", { close() }, {}, 1005))
add(fails("7.3.2", { close("a") }, {}, 1002))
add(closes("7.3.3", { close(1000) }, {}, 1000))
add(closes("7.3.4", { close(1000, "Hello World!") }, {}, 1000))
add(closes("7.3.5", { close(1000, ("*"):rep(123)) }, {}, 1000))
add(fails("7.3.6", { close(1000, ("*"):rep(124)) }, {}, 1002))

-- A surrogate in the reason.
add(fails("7.5.1", { close(1000, "\206\186\225\189\185\207\131\206\188\206\181\237\160\128edited") }, {}, 1007))

for i, code in ipairs { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999 } do
  add(closes("7.7." .. i, { close(code) }, {}, code))
end
for i, code in ipairs { 0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999 } do
  add(fails("7.9." .. i, { close(code) }, {}, 1002))
end
-- The RFC defines no codes from 5000 on, so the suite takes any answer.
for i, code in ipairs { 5000, 65535 } do add(fails("7.13." .. i, { close(code) }, {}, 1002)) end

return cases
