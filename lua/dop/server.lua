--- dop.listen: a server's transport.

local answers = require "dop.answers"
local core = require "dop.core"
local inproc = require "dop.inproc"
local log = require "dop.log"
local loop = require "dop.loop"
local options = require "dop.options"
local tls = require "dop.tls"
local url = require "dop.url"

local known = {
  lossless = "boolean",
  compression = "boolean table",
  url = "string",
  on = "table",
  authorize = "function",
  same_principal = "function",
  http = "function",
  protocols = "table",
  health = "string",
  origins = "string table",
  mode = "number",
  tls = "table",
  reuse_port = "boolean",
}

-- As browsers write it: in small letters, and without the port that the scheme has anyway.
local function normal(origin)
  origin = origin:lower()
  return origin:match("^(http://.*):80$") or origin:match("^(https://.*):443$") or origin
end

-- The list of origins, before the application's own decision.
local function gate(origins, authorize)
  local allowed = {}
  for _, origin in ipairs(origins) do allowed[normal(origin)] = true end
  return function(request)
    local origin = request.headers.origin
    if origin and not allowed[normal(origin)] then
      return nil, 403, "This origin may not connect.\n"
    end
    if authorize then return authorize(request) end
    return true
  end
end

local function check_origins(origins)
  if type(origins) == "string" and origins ~= "*" then
    error('dop.listen: option "origins": "*" or a list of origins expected', 3)
  end
  if type(origins) ~= "table" then return end
  options.check_list(origins, 'dop.listen: option "origins"', 3)
  for _, origin in ipairs(origins) do
    if type(origin) ~= "string" then
      error(('dop.listen: option "origins": a string expected, got %s'):format(type(origin)), 3)
    end
    if origin ~= "null" and not origin:find("^%a[%w+.-]*://[^/?#@\\%s*]+$") then
      error(('dop.listen: option "origins": %q is none: scheme://host[:port] expected, or null'):format(origin), 3)
    end
  end
end

local function configure(server, given)
  local origins, authorize = given.origins, given.authorize
  if authorize then authorize = answers.verdict(authorize) end
  if type(origins) == "table" then authorize = gate(origins, authorize) end
  local http = answers.http(server, given.health, given.http)
  core.configure(server, authorize, origins ~= nil, given.same_principal, http)
end

-- Takes the place where clients come in. `unbind` is there before the place is taken: what fails behind it
-- must leave the place free. What it returns is to be called once the last session is over.
local function bind(server, parsed, given, secure)
  local values, host = core.values(server), loop.host()
  if parsed.scheme == "local" then
    local driver = host.get()
    local function release() driver:release() end
    values.holds = false
    values.unbind = function()
      inproc.unbind(host, parsed.name, server)
      return values.holds and release
    end
    values.url = url.listening(parsed)
    local ok, why, code = inproc.bind(host, parsed.name, server)
    return not ok, why, code
  end
  local listener, port, code
  values.unbind = function()
    if listener then listener:close() end
  end
  listener, port, code = host.get():listen(server, {
    host = parsed.host, port = parsed.port, socket = parsed.socket, mode = given.mode,
    reuse_port = given.reuse_port, tls = secure or nil,
  })
  if not listener then return true, ("%s (%s)"):format(port, parsed.socket or parsed.authority), code end
  values.listener = secure and listener
  values.url = url.listening(parsed, port)
end

local function begin(server, given, parsed, secure)
  configure(server, given)
  local failed, why, code = bind(server, parsed, given, secure)
  if failed then return true, why, code end
  core.values(server).tls = given.tls and tls.copy(given.tls)
  if log.on() then log.enter("info", "listen", log.about(server, {})) end
  core.keep(server) -- last: until here whatever fails leaves garbage
  -- But for what needs no memory.
  local values = core.values(server)
  if values.holds == false then
    values.holds = true
    loop.get():hold()
  end
end

--- Listens. Resolves and binds before it returns. Returns the server, or nil, message, code.
-- Misuse raises. Options: docs/api.md.
local function listen(given)
  options.check(given, known, "dop.listen")
  check_origins(given.origins)
  if given.health and not given.health:find("^/[\33-\62\64-\126]*$") then
    error(('dop.listen: option "health": a path expected, as in "/health", got %q'):format(given.health), 2)
  end
  local mode = given.mode
  if mode and (mode ~= math.floor(mode) or mode < 0 or mode > 511) then
    error(('dop.listen: option "mode": a whole number from 0 to 511 (octal 777) expected, got %s'):format(mode), 2)
  end
  if given.reuse_port and not given.url:find "^[wW][sS][sS]?:" then
    error('dop.listen: option "reuse_port": only a port can be shared, of ws: and wss:', 2)
  end
  local secure, why, code = tls.prepare(given, "server", "dop.listen")
  if secure == nil then return nil, why, code end
  local server, parsed
  server, parsed, code = options.transport("server", given)
  if not server then return nil, parsed, code end
  return options.finish(server, begin, given, parsed, secure)
end

--- New connections of a wss server use these options from now on (without any: the ones that it has, their
-- files read anew); those that are there go on as they began. Tickets stay good. true; or nil, message,
-- code, and everything stays as it was. Misuse raises.
function core.transport_methods.reload_tls(server, given)
  options.check_self(server, "server:reload_tls()", 2)
  local values = core.values(server)
  if not values.listener then error("server:reload_tls: only a server of wss: has TLS", 2) end
  if given ~= nil and type(given) ~= "table" then
    error(("server:reload_tls: a table of options expected, got %s"):format(type(given)), 2)
  end
  local wrong = given and tls.wrong(given, "server")
  if wrong then error("server:reload_tls: " .. wrong, 2) end
  if server.closed or server.draining then return nil, "the server is closed", "CLOSED" end
  local options_now = given and tls.copy(given) or values.tls
  local secure, why, code = tls.make(values.host, "server", options_now)
  if not secure then return nil, why, code end
  local ok
  ok, why, code = values.listener:secure(secure)
  if not ok then return nil, why, code end
  values.tls = options_now
  return true
end

return listen
