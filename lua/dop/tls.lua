--- The option `tls` of dop.listen and dop.connect: what may stand in it, and how it becomes what
-- connections are encrypted with.

local loop = require "dop.loop"
local url = require "dop.url"

local tls = {}

local identity = { cert = "string", key = "string" }
local known = {
  server = {
    cert = "string", key = "string", ca = "string", crl = "string", min_version = "string", ciphers = "string",
    client_cert = "string", hosts = "table",
  },
  client = {
    cert = "string", key = "string", ca = "string", crl = "string", min_version = "string", ciphers = "string",
    verify = "boolean", server_name = "string",
  },
}

local values = {
  min_version = { ["1.2"] = true, ["1.3"] = true },
  client_cert = { optional = true, required = true },
}

-- The functions that check return a sentence about the first mistake, or nothing.

local function check_names(given, list, prefix)
  for name, value in pairs(given) do
    local kind, shown = list[name], prefix .. tostring(name)
    if not kind then return "there is no " .. shown end
    if type(value) ~= kind then return ("%s: %s expected, got %s"):format(shown, kind, type(value)) end
    if kind == "string" and (value == "" or value:find("%z")) then
      return shown .. " is empty, or has a zero byte"
    end
    if values[name] and not values[name][value] then return ("%s cannot be %q"):format(shown, value) end
  end
end

local function check_server(given)
  if not given.cert then return "cert is missing: a server of wss: needs one, and its key" end
  if given.client_cert and not given.ca then return "client_cert needs ca: who signs those of the clients" end
  if given.ca and not given.client_cert then
    return 'ca does nothing without client_cert = "optional" or "required"'
  end
  if given.crl and not given.ca then return "crl does nothing without ca" end
  for name, host in pairs(given.hosts or {}) do
    if type(name) ~= "string" or type(host) ~= "table" then
      return 'hosts: {["name"] = {cert = ..., key = ...}} expected'
    end
    local prefix = ("hosts[%q]."):format(name)
    if not host.cert then return prefix .. "cert is missing" end
    local why = check_names(host, identity, prefix)
    if why then return why end
  end
end

local function check_client(given)
  if given.key and not given.cert then return "key does nothing without cert" end
  if given.crl and not given.ca then return "crl does nothing without ca" end
  if given.ca and given.verify == false then return "ca does nothing with verify = false" end
end

--- What is wrong with the option for a transport of that role, nil: nothing.
function tls.wrong(given, role)
  local why = check_names(given, known[role], "") or (role == "server" and check_server or check_client)(given)
  return why and ('option "tls": %s'):format(why)
end

--- A copy, for what is used again later: the application's table may be another one by then.
function tls.copy(given)
  local copy = {}
  for option, value in pairs(given) do copy[option] = value end
  copy.hosts = nil
  for name, host in pairs(given.hosts or {}) do
    copy.hosts = copy.hosts or {}
    copy.hosts[name] = { cert = host.cert, key = host.key }
  end
  return copy
end

--- What connections of the host are encrypted with; `name` is whom a client expects. nil, message, code
-- when something cannot be used.
function tls.make(host, role, given, name)
  local settings = {}
  for option, value in pairs(given or {}) do settings[option] = value end
  settings.name = name
  return host.get():tls(role, settings)
end

--- Looks at the options of `where`, "dop.listen", in which all but `tls` is right: raises at the caller of
-- that function for what is wrong. Returns false when the URL is not one of TLS; otherwise what connections
-- are encrypted with, or nil, message, code.
function tls.prepare(given, role, where)
  local parsed, why, code = url.parse(given.url)
  if not parsed then return nil, why, code end
  if not parsed.secure then
    if not given.tls then return false end
    error(("%s: option \"tls\" does nothing here: with TLS the URL begins with wss: or wss+unix:"):format(where), 3)
  end
  local wrong = tls.wrong(given.tls or {}, role)
  if wrong then error(("%s: %s"):format(where, wrong), 3) end
  local name
  if role == "client" then
    -- An IPv6 address may have a zone, which is this machine's own affair.
    name = given.tls and given.tls.server_name or (parsed.host or parsed.authority):gsub("%%.*", "")
  end
  return tls.make(loop.host(), role, given.tls, name)
end

return tls
