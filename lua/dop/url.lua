--- URLs of transports: what may be written, and what it means. Pure.
--
--   ws://host[:port][/path][?query]     host: a name, an IPv4 address, or [an IPv6 address]
--   ws+unix:/absolute/file.sock[:/path] a unix socket
--   wss://..., wss+unix:...             the same two with TLS
--   local:name                          the in-process transport

local url = {}

-- What of a URL may stand in a sentence: no query, and nothing that could be a password.
local function harmless(text)
  local scheme = text:match("^%a[%w+.-]*:/*") or ""
  if text:find("@", 1, true) then return scheme .. "..." end
  return (text:gsub("?.*", "?..."))
end

local function bad(text, why)
  return nil, ("bad URL %q: %s"):format(harmless(text), why), "BADURL"
end

local function parse_ws(text, scheme, rest)
  local authority, target = rest:match("^([^/?#]*)(.*)$")
  if target:find("#", 1, true) then return bad(text, "a WebSocket URL has no fragment") end
  if target:find("[^\33-\126]") then return bad(text, "spaces and bytes outside ASCII must be escaped") end
  if authority:find("@", 1, true) then return bad(text, "user names and passwords do not belong here") end
  local host, port = authority:match("^%[([%x:.%%%w]+)%](.*)$")
  -- The zone is this machine's own affair.
  local shown = host and "[" .. host:gsub("%%.*", "") .. "]"
  if not host then
    host, port = authority:match("^([%w%-._]+)(.*)$")
    shown = host
  end
  if not host then return bad(text, "there is no host in it (as in ws://127.0.0.1:4444/dop)") end
  if port ~= "" and port:sub(1, 1) ~= ":" then
    return bad(text, "its host is none: a name in ASCII, an IPv4 address or [an IPv6 address]")
  end
  local usual = scheme == "wss" and 443 or 80
  if port == "" then port = ":" .. usual end
  local number = tonumber(port:match("^:(%d+)$"))
  if not number or number > 65535 then return bad(text, "its port is none; one is 0 to 65535") end
  if target == "" then target = "/" elseif target:sub(1, 1) == "?" then target = "/" .. target end
  return {
    scheme = scheme,
    secure = scheme == "wss",
    host = host,
    port = ("%d"):format(number),
    target = target,
    authority = number == usual and shown or ("%s:%d"):format(shown, number),
    shown = shown,
  }
end

local function parse_unix(text, scheme, rest)
  local path, target = rest:match("^([^:]+):(.*)$")
  path, target = path or rest, target or "/"
  if path:sub(1, 2) == "//" then path = path:sub(3) end
  if path:sub(1, 1) ~= "/" then return bad(text, "the socket's file must be an absolute path") end
  if path:find("%z") then return bad(text, "a path has no zero bytes") end
  if target:sub(1, 1) ~= "/" or target:find("[^\33-\126]") then
    return bad(text, "what follows the second colon is a path, as in ws+unix:/run/app.sock:/dop")
  end
  return { scheme = scheme, secure = scheme == "wss+unix", socket = path, target = target, authority = "localhost" }
end

--- Parses a URL. Returns a table, or nil, a sentence and "BADURL". The table has `scheme` and
-- `authority`, `target` for the upgrade; `host` and `port` (a string), or `socket`, or `name`.
function url.parse(text)
  local scheme, rest = text:match("^(%a[%w+.-]*):(.*)$")
  if not scheme then return bad(text, "it has no scheme (ws:, wss:, ws+unix:, wss+unix: or local:)") end
  scheme = scheme:lower()
  if scheme == "ws" or scheme == "wss" then
    if rest:sub(1, 2) ~= "//" then return bad(text, scheme .. ": is followed by //") end
    return parse_ws(text, scheme, rest:sub(3))
  elseif scheme == "ws+unix" or scheme == "wss+unix" then
    return parse_unix(text, scheme, rest)
  elseif scheme == "local" then
    if rest == "" or rest:find("%c") then return bad(text, "local: is followed by a name") end
    return { scheme = "local", name = rest }
  end
  return bad(text, ("the scheme %q is not one of ws, wss, ws+unix, wss+unix, local " ..
    "(as in ws://127.0.0.1:4444/dop)"):format(scheme))
end

--- The URL under which a listener can be reached that took the port `port`.
function url.listening(parsed, port)
  if parsed.host then return ("%s://%s:%d%s"):format(parsed.scheme, parsed.shown, port, parsed.target) end
  if parsed.socket then return ("%s:%s:%s"):format(parsed.scheme, parsed.socket, parsed.target) end
  return "local:" .. parsed.name
end

return url
