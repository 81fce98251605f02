--- dop: sessions that survive reconnects, over WebSocket, a unix socket, or in one process.
--
--   local dop = require "dop"
--   local server = assert(dop.listen { url = "ws://127.0.0.1:4444/dop" })
--   server:on("message", function(node, message, kind) node:send(message, kind) end)
--   dop.run()
--
-- This file is the table of contents of the public API; docs/api.md tells the rest.

local co = require "dop.co"
local log = require "dop.log"
local loop = require "dop.loop"
require "dop.emitter"
require "dop.transport"

local dop = {
  listen = require "dop.server",   -- (options) -> server | nil, message, code
  connect = require "dop.client",  -- (options) -> client | nil, message, code
  backoff = require "dop.backoff", -- (options) -> a retry policy
  run = loop.run,
  stop = loop.stop,
  timer = loop.timer,
  random = loop.random, -- () -> a number in [0, 1) from the system's CSPRNG
  go = co.go,
  sleep = co.sleep,
  log = log.set, -- (fn) -> the hook before: fn(level, event, fields) is told what happens
  loop = loop.get, -- () -> the loop: pollfd, timeout, step, for hosts that have a loop of their own
  VERSION = "scm",
}

--- The proposal's numbers of the statuses, by name, and the names by number.
dop.STATUS = {
  OPEN = 0, PRECONNECTED = 1, CONNECTED = 2, RECONNECTING = 3, DISCONNECTED = 4,
  [0] = "OPEN", [1] = "PRECONNECTED", [2] = "CONNECTED", [3] = "RECONNECTING", [4] = "DISCONNECTED",
}

return dop
