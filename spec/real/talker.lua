-- One end of a session, in a process of its own: sends the messages of its direction as fast as there
-- is room, and compares each that it hears, its number, kind and bytes, with what it has to be.
--   lua5.4 spec/real/talker.lua client|server URL messages=N seed=S [OPTION=VALUE ...]
-- OPTION is one of dop's, or `patience`: seconds without progress that are a failure (30); `pace`:
-- messages a second (0: no limit); `keep`: a server goes on listening when its session is over.
--
-- Lines: "listening URL", "connect TOKEN-SIZE PEER", "reconnecting", "reconnect", each second
-- "at sent=.. heard=..", "through ..." once all came and all are acknowledged, "over ..." at the end of
-- the session. What must not be ends it with 1 and a line "wrong: ...". On an interrupt a client ends the
-- session formally.
local dop = require "dop"
local messages = require "spec.real.messages"

io.stdout:setvbuf "line"

local role, url = arg[1], arg[2]
local options = { url = url }
local own = { messages = 0, seed = 1, patience = 30, pace = 0, keep = false }
for i = 3, #arg do
  local name, value = arg[i]:match("^([%w_]+)=(.+)$")
  local into = own[name] ~= nil and own or options
  if value == "true" or value == "false" then into[name] = value == "true" else into[name] = tonumber(value) end
end

local function wrong(...)
  print("wrong: " .. string.format(...))
  os.exit(1)
end

local other = role == "client" and "server" or "client"
local next_said, next_heard = messages.of(own.seed, role), messages.of(own.seed, other)
local sent, heard, resumes, replayed = 0, 0, 0, 0
local began, through
local transport, node
local over = false
local waiting, waiting_kind -- a message that found no room

local function may_send()
  return sent < own.messages and (own.pace == 0 or sent < (dop.loop():now() - began) * own.pace)
end

local function say()
  while node and may_send() do
    if not waiting then waiting, waiting_kind = next_said() end
    local ok, message, code = node:send(waiting, waiting_kind)
    if code == "FULL" or code == "CLOSED" then return end
    -- Above 64 KiB only once the peer's limit is known: it is tried again.
    if code == "TOOLARGE" then return end
    if not ok then wrong("send: %s", message) end
    sent, waiting = sent + 1, nil
  end
end

local function hear(_, message, kind)
  local expected, expected_kind = next_heard()
  heard = heard + 1
  if heard > own.messages then wrong("message %d of %d: %q", heard, own.messages, message:sub(1, 20)) end
  if message ~= expected or kind ~= expected_kind then
    wrong("message %d is %s of %d bytes, %q; expected %s of %d bytes, %q", heard, kind, #message,
      message:sub(1, 20), expected_kind, #expected, expected:sub(1, 20))
  end
end

local function figures()
  return ("sent=%d heard=%d resumes=%d replayed=%d seconds=%.2f"):format(sent, heard, resumes, replayed,
    began and dop.loop():now() - began or 0)
end

local function fates(unsettled)
  local count = { unsent = 0, undelivered = 0, unknown = 0 }
  for _, entry in ipairs(unsettled) do
    if not entry.fate then wrong("an entry without a fate") end
    count[entry.fate] = count[entry.fate] + 1
  end
  return ("unsent=%d undelivered=%d unknown=%d"):format(count.unsent, count.undelivered, count.unknown)
end

local on = {
  connect = function(new)
    if over then return print "another session" end -- a late client's
    if node then wrong("a second session") end
    node = new
    began = began or dop.loop():now()
    print(("connect %d %s"):format(#new.token, new.peer or "-"))
    say()
  end,
  drain = say,
  message = hear,
  reconnecting = function() print "reconnecting" end,
  reconnect = function(_, info)
    resumes, replayed = resumes + 1, replayed + info.replayed
    print(("reconnect replayed=%d away=%.2f"):format(info.replayed, info.away))
    say()
  end,
  disconnect = function(ended, reason, unsettled)
    if ended ~= node then return end
    print(("over reason=%s %s %s"):format(reason, figures(), fates(unsettled)))
    over = true
    if not own.keep then transport:close() end
  end,
}

options.on = on
if role == "client" then
  math.randomseed(own.seed)
  options.retry = function() return 0.001 + math.random() * 0.004 end
  transport = assert(dop.connect(options))
else
  transport = assert(dop.listen(options))
  print("listening " .. transport.url)
end

local last, since = -1, dop.loop():now()
local function look()
  if over or transport.closed then return end
  local now = dop.loop():now()
  if sent + heard ~= last then last, since = sent + heard, now end
  if node then say() end
  if not through and sent == own.messages and heard == own.messages and node.unacked == 0 and node.queued == 0 then
    through = true
    print("through " .. figures())
  end
  if not through and now - since > own.patience then wrong("no progress: %s, %s", figures(), node and node.status) end
  dop.timer(own.pace > 0 and 0.01 or 0.05, look)
end
look()

local function report()
  if over or transport.closed then return end
  print("at " .. figures())
  dop.timer(1, report)
end
dop.timer(1, report)

local ok = dop.run()
if not ok and not over and role == "client" then
  assert(node:disconnect())
  ok = dop.run()
end
os.exit(ok and 0 or 1)
