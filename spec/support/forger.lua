--- TLS peers of which the spec says each record (forger.c), whatever TLS thinks of it. They are peers of
-- real.lua: what they hear comes in plaintext, and what they send leaves in records as large as may be.
-- Besides they take orders, which leave in one write:
-- `p:order(forger.data "x" .. forger.CLOSE_NOTIFY .. forger.FIN)`.

local frames = require "spec.support.frames"
local real = require "spec.support.real"

local forger = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)%.lua$")

--- An order of forger.c, as bytes. 20 to 24 is a record of that type.
function forger.order(number, payload)
  payload = payload or ""
  return string.char(number) .. frames.u16(#payload) .. payload
end

function forger.raw(bytes) return forger.order(0, bytes) end           -- as they are
function forger.key_update(request) return forger.order(1, string.char(request or 0)) end
function forger.spoilt(bytes) return forger.order(4, bytes) end        -- data whose last byte is wrong
function forger.alert(level, what) return forger.order(21, string.char(level, what)) end
function forger.handshake(bytes) return forger.order(22, bytes) end
function forger.data(bytes) return forger.order(23, bytes) end         -- one record: 16,384 bytes at most

forger.RESET = forger.order(2)
forger.FIN = forger.order(3)
forger.DRIP = forger.order(5) -- from now on each byte leaves by itself
forger.CLOSE_NOTIFY = forger.alert(1, 0)

-- Compiled once a process, into the directory of its certificates.
local function program(pki)
  local path = pki.dir .. "/forger"
  local file = io.open(path)
  if file then
    file:close()
    return path
  end
  local build = ("env -u LD_PRELOAD %s -o '%s' '%s.c' -lssl -lcrypto"):format(os.getenv "CC" or "cc", path, here)
  local built = os.execute(build)
  assert(built == true or built == 0, "no C compiler: " .. build)
  return path
end

local function start(pki, ...)
  local process = real.command(("env -u LD_PRELOAD '%s' %s"):format(program(pki), table.concat({ ... }, " ")))
  return process:expect "^listening (%d+)$"
end

local LARGEST = 16384 -- bytes in a record, RFC 8446 5.1

local function forging(p)
  p.order = p.send
  function p:send(bytes)
    local list = {}
    for i = 1, #bytes, LARGEST do list[#list + 1] = forger.data(bytes:sub(i, i + LARGEST - 1)) end
    self:order(table.concat(list))
  end
  return p
end

--- What real.raw_client is without TLS, as a function of the server.
function forger.client(pki, version)
  return function(server)
    local port = start(pki, "client", server.url:match ":(%d+)/", version)
    return forging(real.raw_client { url = ("ws://127.0.0.1:%d/"):format(port) })
  end
end

--- What real.raw_server is without TLS, as a function of on_accept and on_bytes.
function forger.server(pki, version)
  return function(on_accept, on_bytes)
    local back = real.raw_server(function(p) on_accept(forging(p)) end, on_bytes)
    local port = start(pki, "server", back.url:match ":(%d+)/", version, pki.server, pki:key "server")
    return { url = ("wss://127.0.0.1:%d/dop"):format(port) }
  end
end

return forger
