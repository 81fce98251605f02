--- Categories 12 and 13: permessage-deflate, by data and by parameters. Each message goes and comes back before the
-- next one. The suite sends a thousand; here it is as many as make 64 KiB, at least 2 and at most 50.

local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"
local packer = require "spec.conformance.packer"
local samples = require "spec.conformance.samples"

local KEY = "\55\250\33\61"

-- Size of the messages, and of the fragments of what a message is compressed to.
local SIZES = {
  { 16 }, { 64 }, { 256 }, { 1024 }, { 4096 }, { 8192 }, { 16384 }, { 32768 }, { 65536 }, { 131072 },
  { 8192, 256 }, { 16384, 256 }, { 32768, 256 }, { 65536, 256 }, { 131072, 256 }, { 131072, 1024 }, { 131072, 4096 },
  { 131072, 32768 },
}

-- What the peer asks of our end: no takeover, a window. As a client it offers so, as a server it answers so.
local DEMANDS = { {}, { fresh = true }, { bits = 9 }, { bits = 15 }, { fresh = true, bits = 9 },
  { fresh = true, bits = 15 }, { fresh = true, bits = 9, more = { { fresh = true }, {} } } }

local function demand(of, d)
  return (d.fresh and ("; %s_no_context_takeover"):format(of) or "")
    .. (d.bits and ("; %s_max_window_bits=%d"):format(of, d.bits) or "")
end

-- The suite's client says of itself that it can do without takeover and with any window.
local function offer(d)
  local list = {}
  for i, one in ipairs { d, (d.more or {})[1], (d.more or {})[2] } do
    list[i] = "permessage-deflate; client_no_context_takeover; client_max_window_bits" .. demand("server", one)
  end
  return table.concat(list, ", ")
end

local function params_of(header)
  local params = {}
  for name, value in header:gmatch(";%s*([%w_]+)=?(%d*)") do params[name] = tonumber(value) or true end
  return params
end

-- A session of our end, with what was agreed on: `ours` and `theirs` {bits, takeover}.
local function agree(role, d)
  local answer = "permessage-deflate" .. demand("client", d)
  local limits = {
    compression = { takeover = true, peer_takeover = true, min_size = 0 },
    deflate = role == "server" and offer(d) or answer,
  }
  local w, p = stream.session(role, limits, true)
  local said
  if role == "server" then
    said = assert(p.head:match "Sec%-WebSocket%-Extensions: (permessage%-deflate[^\r]*)\r\n", "nothing was agreed on")
    local params = params_of(said)
    assert(not d.fresh == not params.server_no_context_takeover, "the takeover that was asked for")
    assert((d.bits or 15) >= (params.server_max_window_bits or 15), "the window that was asked for")
  else
    said = answer
    local offered = p.head:match "Sec%-WebSocket%-Extensions: (permessage%-deflate[^\r]*)\r\n"
    assert(offered and offered:find "client_max_window_bits", "our client offers to be bound")
  end
  local params = params_of(said)
  local function terms(of)
    return { bits = params[of .. "_max_window_bits"] or 15, takeover = not params[of .. "_no_context_takeover"] }
  end
  local client, server = terms "client", terms "server"
  if role == "server" then return w, p, server, client end
  return w, p, client, server
end

local function messages_of(data, size)
  local list, at = {}, 0
  for i = 1, math.max(2, math.min(50, math.floor(65536 / size))) do
    list[i] = data:sub(at + 1, at + size)
    if #list[i] < size then list[i] = list[i] .. data:sub(1, size - #list[i]) end
    at = (at + size) % #data
  end
  return list
end

-- The same messages are packed once for all cases that need them so.
local packed = {}
local function pack(sample, size, terms)
  local name = table.concat({ sample, size, terms.bits, tostring(terms.takeover) }, " ")
  local kind, data = samples.get(sample)
  if not packed[name] then
    local messages = messages_of(data, size)
    packed[name] = { kind = kind, messages = messages, payloads = packer.pack(messages, terms.bits, terms.takeover) }
  end
  return packed[name]
end

-- The frames of a payload; the first one says that the message is compressed.
local function frames_of(role, kind, payload, fragment)
  local out = {}
  local step = fragment or #payload
  for at = 1, #payload, step do
    local opcode = at > 1 and frames.CONTINUATION or kind == "text" and frames.TEXT or frames.BINARY
    out[#out + 1] = frames.encode(opcode, payload:sub(at, at + step - 1),
      { fin = at + step > #payload, rsv = at == 1 and 4 or 0, mask = role == "server" and KEY })
  end
  return table.concat(out)
end

local function feed(w, p, bytes, step)
  for at = 1, #bytes, step do
    p.link:feed(bytes:sub(at, at + step - 1))
    w:turn()
  end
end

-- What our end sent: kind, text, and whether it was compressed.
local function heard(role, p, inflate)
  local frame, rest = frames.decode(p.link:output())
  assert(frame and rest == "" and frame.fin and frame.masked == (role == "client"), "one frame comes back")
  assert(frame.rsv == 0 or frame.rsv == 4, "no other reserved bit")
  local text = frame.rsv == 4 and inflate(frame.payload) or frame.payload
  return frame.opcode == frames.TEXT and "text" or "binary", text, frame.rsv == 4
end

local cases = {}

local function play(case, role)
  local w, p, ours, theirs = agree(role, case.demand)
  w[role]:on("message", function(node, message, kind) assert(node:send(message, kind)) end)
  local sent = pack(case.sample, case.size, theirs)
  local inflate, compressed = packer.reader(ours.bits, ours.takeover), 0
  for i, payload in ipairs(sent.payloads) do
    local bytes = frames_of(role, sent.kind, payload, case.fragment)
    feed(w, p, bytes, case.size <= 64 and 1 or 4093)
    local kind, text, so = heard(role, p, inflate)
    assert(kind == sent.kind and text == sent.messages[i], ("message %d came back otherwise"):format(i))
    if so then compressed = compressed + 1 end
  end
  -- Noise and what is short may go as it is; the rest has to become smaller.
  assert(case.sample == 5 or case.size < 256 or compressed == #sent.payloads, "our end compresses as well")
  assert(p.link:ending() == nil and w:count(role, "close") == 0, "nothing was wrong")
  feed(w, p, frames.close(1000, "", { mask = role == "server" and KEY }), 65536)
  local frame = frames.decode(p.link:output())
  assert(frame and frame.opcode == frames.CLOSE and frame.payload == "\3\232", "1000 is answered with 1000")
  assert(w:last(role, "close")[1] == 1000, "the application hears it")
  stream.over(w, p)
end

local function add(category, subject, sample, d)
  for i, size in ipairs(SIZES) do
    cases[#cases + 1] = {
      number = ("%d.%d.%d"):format(category, subject, i), play = play,
      sample = sample, demand = d, size = size[1], fragment = size[2],
    }
  end
end

for sample = 1, 5 do add(12, sample, sample, DEMANDS[1]) end
for i, d in ipairs(DEMANDS) do add(13, i, 1, d) end

return cases
