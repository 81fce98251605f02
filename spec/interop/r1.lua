-- The end under test of the peer's r1 scenes (README.md), in either role: it echoes every data message in
-- its kind, except for what it is asked for in texts that begin with "please ". Whatever else it writes
-- to its output is a complaint.
--   lua5.4 r1.lua server [OPTION=NUMBER ...]     such as resume_window=1
--   lua5.4 r1.lua client URL [OPTION=NUMBER ...]
local dop = require "dop"

local role = arg[1]
local options = {
  url = role == "client" and arg[2] or "ws://127.0.0.1:0/dop",
  retry = role == "client" and function() return 0.02 end or nil,
  authorize = role == "server" and function(request) return request.query ~= "" and request.query or true end or nil,
}
for i = role == "client" and 3 or 2, #arg do
  local name, value = arg[i]:match("^([%w_]+)=([%d.]+)$")
  options[assert(name, "OPTION=NUMBER expected, got " .. arg[i])] = tonumber(value)
end

-- What is still to be sent by a node, because it was full.
local waiting = setmetatable({}, { __mode = "k" })
-- Of the sessions so far: the events by name, and the hand-back of the last that ended.
local events = { connect = 0, reconnect = 0, disconnect = 0, message = 0 }
local last = { reason = "none", unsettled = {} }

local function flush(node)
  local queue = waiting[node]
  while queue and queue.first <= queue.last do
    local said, message, code = node:send(queue[queue.first].message, queue[queue.first].kind)
    if not said and code == "FULL" then return end
    if not said and code ~= "CLOSED" then error(message) end
    queue[queue.first], queue.first = nil, queue.first + 1
  end
end

local function say(node, message, kind)
  local queue = waiting[node] or { first = 1, last = 0 }
  waiting[node], queue.last = queue, queue.last + 1
  queue[queue.last] = { message = message, kind = kind }
  flush(node)
end

local function report(node)
  local lines = { "report " .. last.reason }
  lines[2] = ("events %d %d %d %d"):format(events.connect, events.reconnect, events.disconnect, events.message)
  for _, entry in ipairs(last.unsettled) do
    lines[#lines + 1] = ("%s %s %s"):format(entry.fate, entry.kind, (entry.message:gsub("[^ -~]", ".")))
  end
  say(node, table.concat(lines, "\n"), "text")
end

local please = {
  disconnect = function(node) assert(node:disconnect()) end,
  close = function(node) node.transport:close() end,
  report = report,
  pause = function(node, seconds)
    node:pause()
    dop.timer(seconds / 1000, function() node:resume() end)
  end,
  -- So many numbered messages of its own, in both kinds.
  count = function(node, count)
    for i = 1, count do say(node, "counted " .. i, i % 2 == 0 and "binary" or "text") end
  end,
  -- So many messages, and then the socket is lost before they can have left.
  cut = function(node, count)
    for i = 1, count do say(node, "cut " .. i, "text") end
    node:drop { reset = true }
  end,
}

local function hear(node, message, kind)
  events.message = events.message + 1
  local what, number = message:match("^please (%l+) ?(%d*)$")
  if kind == "text" and please[what] then
    please[what](node, tonumber(number))
  else
    say(node, message, kind)
  end
end

local function watch(transport)
  transport:on("message", hear)
  transport:on("drain", flush)
  transport:on("connect", function() events.connect = events.connect + 1 end)
  transport:on("reconnect", function() events.reconnect = events.reconnect + 1 end)
  transport:on("disconnect", function(_, reason, unsettled)
    events.disconnect = events.disconnect + 1
    last = { reason = reason, unsettled = unsettled }
  end)
end

-- A client that ended for good comes back as a new one, for its report, unless somebody else has its session.
local function client()
  local transport = assert(dop.connect(options))
  watch(transport)
  transport:on("disconnect", function(_, reason)
    if reason == "peer" or reason == "local" or reason == "taken" then dop.timer(0.1, client) end
  end)
end

if role == "client" then
  client()
else
  local server = assert(dop.listen(options))
  watch(server)
  io.stdout:write("listening ", server.url, "\n")
  io.stdout:flush()
end
dop.run()
