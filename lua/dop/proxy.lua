--- Through which HTTP proxy a client goes, if any: its option, or the usual variables of the environment.
-- Pure but for the environment that it is given. What it says of a proxy's URL never holds the password.

local core = require "dop.core"

local proxy = {}

-- --- addresses ---

local function ipv4(text)
  local bytes = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for i, part in ipairs(bytes) do
    bytes[i] = tonumber(part)
    if #part > 3 or bytes[i] > 255 then return nil end
  end
  return bytes[1] and bytes
end

-- The groups of a part of an IPv6 address as bytes.
local function groups(text)
  local bytes = {}
  if text == "" then return bytes end
  for group in (text .. ":"):gmatch("([^:]*):") do
    local four = ipv4(group)
    if four then
      for _, byte in ipairs(four) do bytes[#bytes + 1] = byte end
    elseif group:find("^%x%x?%x?%x?$") then
      local number = tonumber(group, 16)
      bytes[#bytes + 1] = math.floor(number / 256)
      bytes[#bytes + 1] = number % 256
    else
      return nil
    end
  end
  return bytes
end

local function ipv6(text)
  text = text:gsub("%%.*", "") -- the zone is this machine's own affair
  local head, tail = text:match("^(.-)::(.*)$")
  local first, last = groups(head or text), groups(tail or "")
  if not first or not last then return nil end
  if not head then return #first == 16 and first or nil end
  if #first + #last > 14 then return nil end
  for _ = 1, 16 - #first - #last do first[#first + 1] = 0 end
  for _, byte in ipairs(last) do first[#first + 1] = byte end
  return first
end

-- An address as its 4 or 16 bytes, nil for a name. What is IPv4 inside IPv6 is IPv4.
local function address(text)
  local bytes = ipv4(text) or text:find(":", 1, true) and ipv6(text) or nil
  if not bytes or #bytes == 4 then return bytes end
  for i = 1, 12 do
    if bytes[i] ~= (i > 10 and 255 or 0) then return bytes end
  end
  return { bytes[13], bytes[14], bytes[15], bytes[16] }
end

local function same_bits(a, b, bits)
  if #a ~= #b or bits > #a * 8 then return false end
  for i = 1, #a do
    local unit = 2 ^ (8 - math.max(0, math.min(8, bits - (i - 1) * 8)))
    if math.floor(a[i] / unit) ~= math.floor(b[i] / unit) then return false end
  end
  return true
end

-- --- who goes straight on ---

local function is_name(host, name)
  return host == name or host:sub(-#name - 1) == "." .. name
end

-- This machine itself. No proxy that the environment names can mean the same by it.
local function is_here(host)
  local bytes = address(host)
  if not bytes then return is_name(host, "localhost") end
  if #bytes == 4 then return bytes[1] == 127 or same_bits(bytes, { 0, 0, 0, 0 }, 32) end
  return same_bits(bytes, address("::1"), 128) or same_bits(bytes, address("::"), 128)
end

-- Whether an entry of no_proxy means the host: "*", a name with all below it, an address, a range of
-- addresses; each of the last three perhaps with a port.
local function means(entry, host, port)
  if entry == "*" then return true end
  local bare, wanted = entry:match("^%[([^%]]*)%]:?(%d*)$")
  if not bare then bare, wanted = entry:match("^([^:]*):(%d+)$") end
  if wanted and wanted ~= "" and tonumber(wanted) ~= tonumber(port) then return false end
  bare = bare or entry
  local bytes = address(host)
  local base, bits = bare:match("^(.*)/(%d+)$")
  local range = address(base or bare)
  if bytes or range then
    return bytes ~= nil and range ~= nil and same_bits(bytes, range, tonumber(bits) or #range * 8)
  end
  bare = bare:gsub("^%*?%.", ""):gsub("%.$", "")
  return bare ~= "" and is_name(host, bare)
end

local function goes_straight(list, host, port)
  for entry in (list or ""):lower():gmatch("[^%s,]+") do
    if means(entry, host, port) then return true end
  end
  return false
end

-- --- the proxy itself ---

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- http://[user:password@]host[:port], or without http://. A table of what a dialer needs; or nil and what
-- is wrong.
local function parse(text)
  local scheme, rest = text:match("^(%a[%w+.-]*)://(.*)$")
  if scheme and scheme:lower() ~= "http" then
    return nil, ("it is no HTTP proxy: the scheme %q is not spoken to proxies"):format(scheme:lower())
  end
  local authority = (rest or text):match("^([^/?#%s]*)/?$")
  if not authority then return nil, "it is no host and port" end
  local user, where = authority:match("^(.*)@([^@]*)$")
  where = where or authority
  local host, port = where:match("^%[([%x:.%%%w]+)%](.*)$")
  if not host then host, port = where:match("^([%w%-._]+)(.*)$") end
  local number = host and (port == "" and 80 or tonumber(port:match("^:(%d+)$")))
  if not number or number < 1 or number > 65535 then return nil, "it is no host and port" end
  local headers
  if user then
    local name, password = user:match("^([^:]*):?(.*)$")
    name, password = unescape(name), unescape(password)
    if name:find(":", 1, true) or (name .. password):find("%c") then
      return nil, "its user and password cannot be sent"
    end
    headers = "Proxy-Authorization: Basic " .. core.base64(name .. ":" .. password) .. "\r\n"
  end
  return { proxy_host = host, proxy_port = ("%d"):format(number), tunnel_headers = headers }
end

local function from_environment(secure, getenv)
  -- HTTP_PROXY in capitals is what a CGI program has of its client's header Proxy.
  local names = secure and { "https_proxy", "HTTPS_PROXY" } or { "http_proxy" }
  names[#names + 1] = "all_proxy"
  names[#names + 1] = "ALL_PROXY"
  for _, name in ipairs(names) do
    local text = getenv(name)
    if text then return text ~= "" and text or nil, name end
  end
end

--- What a dialer needs to reach `parsed` (of dop.url) through a proxy: proxy_host, proxy_port, tunnel and
-- tunnel_headers; nil when the way is straight; false and a sentence when the proxy cannot be used.
-- `given`: a URL; false for none; nil for what `getenv` says, which may be nil too.
function proxy.choose(parsed, given, getenv)
  if given == false or not parsed.host then return nil end
  local text, source = given, 'option "proxy"'
  if not text then
    local host = parsed.host:lower():gsub("%.$", "")
    if not getenv or is_here(host) then return nil end
    text, source = from_environment(parsed.scheme == "wss", getenv)
    local straight = getenv("no_proxy") or getenv("NO_PROXY")
    if not text or goes_straight(straight, host, parsed.port) then return nil end
  end
  local way, why = parse(text)
  if not way then return false, ("bad proxy (%s): %s, as in http://127.0.0.1:3128"):format(source, why) end
  way.tunnel = ("%s:%s"):format(parsed.shown, parsed.port)
  return way
end

return proxy
