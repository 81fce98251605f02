-- The server under attack: an echo with the library's own limits, but for times that a short round sees
-- the end of, and less memory for sessions that lost their socket, so that it is reached. "?" is answered
-- with what the server counted.
local dop = require "dop"

local closed = {}

-- A certificate for as long as this runs; clients of an attack check none.
local function identity()
  local name = os.tmpname()
  local key, cert = name .. ".key", name .. ".pem"
  local made = os.execute(("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost " ..
    "-keyout %s -out %s 2>%s"):format(key, cert, name))
  assert(made == true or made == 0, "openssl made no certificate")
  return { key = key, cert = cert }, function() for _, file in ipairs { name, key, cert } do os.remove(file) end end
end

local function listen(url, tls)
  local server = assert(dop.listen {
    url = url,
    tls = tls,
    compression = true,
    handshake_timeout = 2,
    close_timeout = 1,
    max_detached_bytes = 32 * 1024 * 1024,
  })
  server:on("close", function(_, code)
    local name = "closed" .. tostring(code)
    closed[name] = (closed[name] or 0) + 1
  end)
  return server
end

local server = listen "ws://127.0.0.1:0/dop"
local secure
if arg[1] == "tls" then
  local tls, remove = identity()
  secure = listen("wss://127.0.0.1:0/dop", tls)
  remove()
end

local function report()
  local sums, parts = {}, {}
  for _, transport in pairs { server, secure } do
    for name, value in pairs(transport:stats()) do sums[name] = (sums[name] or 0) + value end
  end
  for name, value in pairs(sums) do parts[#parts + 1] = name .. "=" .. tostring(value) end
  for name, value in pairs(closed) do parts[#parts + 1] = name .. "=" .. value end
  return "?" .. table.concat(parts, " ") .. " "
end

server:on("message", function(node, message, kind)
  if message == "?" then
    node:send(report())
  else
    node:send(message, kind)
  end
end)

print("listening on " .. server.url .. (secure and " " .. secure.url or ""))
io.stdout:flush()
dop.run()
