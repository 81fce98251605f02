--- dop.connect: a client's transport, and when it dials. The machine says that there is no socket
-- (`down`); the policy says how long to wait; a timer dials.

local backoff = require "dop.backoff"
local core = require "dop.core"
local headers = require "dop.headers"
local inproc = require "dop.inproc"
local log = require "dop.log"
local loop = require "dop.loop"
local options = require "dop.options"
local proxy = require "dop.proxy"
local tls = require "dop.tls"
local url = require "dop.url"

local known = {
  lossless = "boolean", url = "string", on = "table", retry = "function", headers = "table", stable = "number",
  tls = "table", compression = "boolean table", proxy = "string boolean", protocols = "table",
}

-- What the policy works with lies in the transport's values: state = {attempt, timer, waits, ...}. The
-- host is that on which the client was made, whichever is the one of the moment. Its fields are there from
-- the beginning: what waits or dials must not end halfway for want of memory. When it cannot even begin,
-- `down` comes once more, and it begins again.
local function state_of(client) return core.values(client).state end

local function timer(client, seconds, fn)
  return core.values(client).host.get():timer(seconds, fn, client)
end

local dial

local function report(client, message)
  -- The application's `error` handlers, or stderr: as for a handler that raised.
  local values = core.values(client)
  local handlers, complain = values[core.events.error], values.host.complain
  if not handlers then return complain(message) end
  for _, fn in ipairs(handlers) do
    local ok, err = pcall(fn, client.node, message)
    if not ok then complain("error in an 'error' handler: " .. tostring(err)) end
  end
end

-- Message handler: a traceback, and for a yield the way out; as for other callbacks.
local function explain(message)
  message = "the retry policy failed, the default is used instead: " .. tostring(message)
  if message:find("attempt to yield", 1, true) then
    message = message .. " (a policy may not yield; start a coroutine with dop.go)"
  end
  return debug.traceback(message, 2)
end

-- The policy's answer: seconds, or nil to give up. A policy that fails or answers nonsense is
-- reported, and the default stands in for it: a client must not end for a mistake in a formula.
local function ask(client, state, why, code, info)
  local ok, seconds = xpcall(state.retry, explain, state.attempt, why, code, info)
  if ok and (seconds == nil or type(seconds) == "number" and seconds >= 0 and seconds <= 1e9) then
    return seconds
  end
  report(client, not ok and seconds or (
    "the retry policy must return seconds (0 to 1e9) or nil, the default is used instead: it returned %s, a %s"):format(
    tostring(seconds), type(seconds)))
  return state.default(state.attempt, why, code, info)
end

-- The attempt to come, if there is one, is called off.
local function cancel(state)
  if state.timer then state.timer:stop() end
  state.timer, state.waits = false, false
end

-- `held`: for how long the session had the socket that was lost. Only a connection that proved
-- stable begins the count anew: a server that accepts and drops must not be hammered.
local function retry(client, why, code, held, number, retry_after)
  local state = state_of(client)
  if client.closed or state.timer then return end
  if held >= state.stable then state.attempt = 0 end
  local closed = number and number >= 1000
  local seconds = ask(client, state, why, code, {
    status = not closed and number or nil, close = closed and number or nil, retry_after = retry_after,
  })
  -- The policy is the application's: it may have closed the client.
  if client.closed then return end
  if not seconds then
    if log.on() then
      log.enter("warn", "gaveup", log.about(client, { attempt = state.attempt, why = why, code = code }))
    end
    client:give_up("gaveup")
    return
  end
  state.timer = timer(client, seconds, function()
    state.timer, state.waits = false, false
    if not client.closed then dial(client) end
  end)
  state.attempt, state.waits = state.attempt + 1, true
  if log.on() then
    log.enter("info", "retry", log.about(client, {
      attempt = state.attempt - 1, seconds = seconds, why = why, code = code,
      status = not closed and number or nil, close = closed and number or nil,
    }))
  end
end

function dial(client)
  local state, host = state_of(client), core.values(client).host
  local where = state.where
  local ok, why, code
  if log.on() then log.enter("debug", "dial", log.about(client, { attempt = state.attempt })) end
  if where.scheme == "local" then
    ok, why, code = inproc.dial(host, client, where.name)
  else
    ok, why, code = host.get():dial(client, where)
  end
  -- Told with the next events: the policy is not to be called before dop.connect has returned.
  if not ok then core.unreachable(client, code, why) end
end

-- Header lines of the application for the upgrade. Raises for what would split the head.
local function lines(given)
  local ok, list = pcall(headers.lines, given or {}, headers.REQUEST, 'dop.connect: option "headers"')
  if not ok then error(list, 3) end
  return list
end

local function begin(client, given, parsed, more, secure, via)
  parsed.headers, parsed.tls = more, secure or nil
  for name, value in pairs(via or {}) do parsed[name] = value end
  local default = backoff()
  local values = core.values(client)
  values.url = given.url
  values.state = {
    where = parsed,
    attempt = 0,
    default = default,
    retry = given.retry or default,
    stable = given.stable or 5,
    timer = false,
    waits = false,
  }
  values.cancel = function() cancel(values.state) end
  values[core.over] = { values.cancel }
  values[core.down] = { function(_, ...) retry(client, ...) end }
  dial(client)
  core.keep(client) -- last: until here whatever fails leaves garbage
end

-- Where the attempts of a client go first: nil for straight on, false and a sentence for a proxy that
-- cannot be used.
local function way(given)
  local parsed = url.parse(given.url)
  if not parsed then return nil end -- whoever asks finds that out
  if given.proxy and not parsed.host then
    error('dop.connect: option "proxy" does nothing here: only ws: and wss: with a host go through one', 3)
  end
  return proxy.choose(parsed, given.proxy, loop.host().getenv)
end

--- Connects, and keeps the session over any number of sockets. Never blocks: client.node is there at
-- once and takes messages. Returns the client, or nil, message, code. Options: docs/api.md.
local function connect(given)
  options.check(given, known, "dop.connect")
  if given.stable and (given.stable < 0 or given.stable ~= given.stable) then
    error(('dop.connect: option "stable": seconds expected, got %s'):format(given.stable), 2)
  end
  if given.proxy == true then
    error('dop.connect: option "proxy": a URL or false expected, got true', 2)
  end
  local more = lines(given.headers)
  local secure, why, code = tls.prepare(given, "client", "dop.connect")
  if secure == nil then return nil, why, code end
  local via
  via, why = way(given)
  if via == false then return nil, why, "BADURL" end
  local client, parsed
  client, parsed, code = options.transport("client", given)
  if not client then return nil, parsed, code end
  return options.finish(client, begin, given, parsed, more, secure, via)
end

--- Sends on the client's node, whichever that is now; see node:send().
function core.transport_methods.send(client, message, kind, how)
  -- Here, so that it is told of the caller's line.
  options.check_self(client, "client:send(...)", 2)
  if type(message) ~= "string" then error(("client:send: string expected, got %s"):format(type(message)), 2) end
  if kind ~= nil and kind ~= "text" and kind ~= "binary" then
    error('client:send: the kind is wrong, "text" or "binary" expected', 2)
  end
  for name, value in pairs(type(how) == "table" and how or {}) do
    if name ~= "compress" or type(value) ~= "boolean" then how = false end
  end
  if how ~= nil and type(how) ~= "table" then
    error("client:send: { compress = true } or { compress = false } expected behind the kind", 2)
  end
  local node = client.node
  if not node then error("only a client sends by itself; a server's nodes do", 2) end
  return node:send(message, kind, how)
end

--- A client that waits between two attempts dials now, and counts its attempts from 0 again: for who
-- knows that the world has changed, say that the network is back. true; or nil, a sentence and
-- "NOTWAITING" when it has a socket, is on its way to one or was not told yet by its policy how long to
-- wait, "CLOSED" when it makes no further attempt.
function core.transport_methods.reconnect_now(client)
  options.check_self(client, "client:reconnect_now()", 2)
  local state = state_of(client)
  if not state then error("only a client reconnects", 2) end
  if client.closed then return nil, "the client is closed", "CLOSED" end
  if not state.waits then return nil, "no wait between two attempts is under way", "NOTWAITING" end
  cancel(state)
  state.attempt = 0
  dial(client)
  return true
end

return connect
