--- Other people's proxies beside a spec: nginx and HAProxy in front of servers, out of the very files of
-- examples/deploy that operators are given, with this machine's ports and certificates put in; tinyproxy on the
-- way of a client. `programs.close()` in an after_each ends them and removes the folder that each has.

local process = require "spec.real.process"
local real = require "spec.support.real"
local socket = require "socket"

local programs = {}

local folders = {}

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function folder()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir -p " .. path))
  folders[#folders + 1] = path
  return path
end

-- Replaces a piece of the file, which must be in it.
local function put(text, from, to)
  local at, stop = text:find(from, 1, true)
  assert(at, "the file has no " .. from)
  return text:sub(1, at - 1) .. to .. text:sub(stop + 1)
end

-- A port that nobody has at the moment.
local function free_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return tonumber(port)
end

local function wait_for(port)
  real.wait("the proxy on port " .. port, function()
    local probe = socket.connect("127.0.0.1", port)
    if probe then probe:close() end
    return probe
  end, 10, 0.05)
end

-- The sanitizers' runtime is for the process that runs the specs, not for other people's programs.
local function start(command, port)
  local p = process.start("env -u LD_PRELOAD " .. command)
  wait_for(port)
  return p
end

local function certificate(path)
  assert(os.execute(("env -u LD_PRELOAD openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes " ..
    "-days 2 -subj /CN=example.org -addext subjectAltName=DNS:example.org -keyout %s/privkey.pem " ..
    "-out %s/fullchain.pem 2>/dev/null"):format(path, path)))
  write(path .. "/both.pem", read(path .. "/fullchain.pem") .. read(path .. "/privkey.pem"))
end

-- An example with two servers' ports, and our certificate, in the place of those that stand there.
local function example(name, path, one, two)
  local text = read("examples/deploy/" .. name)
  certificate(path)
  text = put(text, "127.0.0.1:4444", "127.0.0.1:" .. one)
  text = put(text, "127.0.0.1:4445", "127.0.0.1:" .. two)
  local count
  text, count = text:gsub("/etc/ssl/example.org", path)
  assert(count > 0, "the file names no certificate")
  return text
end

-- What a client needs to come in.
local function way_in(path, port)
  return {
    url = ("wss://127.0.0.1:%d/dop"):format(port),
    tls = { ca = path .. "/fullchain.pem", server_name = "example.org" },
    proxy = false,
  }
end

-- What the example is included into.
local NGINX = [[
daemon off;
pid PATH/pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path PATH;
  proxy_temp_path PATH;
  fastcgi_temp_path PATH;
  uwsgi_temp_path PATH;
  scgi_temp_path PATH;
  include PATH/dop.conf;
}
]]

--- nginx in front of the servers on two ports. Returns options for dop.connect, and the process.
function programs.nginx(one, two)
  local path, port = folder(), free_port()
  local text = example("nginx.conf", path, one, two)
  write(path .. "/dop.conf", put(text, "listen 443 ssl", ("listen 127.0.0.1:%d ssl"):format(port)))
  write(path .. "/nginx.conf", (NGINX:gsub("PATH", path)))
  local p = start(("nginx -p %s -c %s/nginx.conf"):format(path, path), port)
  return way_in(path, port), p
end

--- The same with HAProxy.
function programs.haproxy(one, two)
  local path, port = folder(), free_port()
  local text = example("haproxy.cfg", path, one, two)
  text = put(text, "bind :443", "bind 127.0.0.1:" .. port)
  text = put(text, "inter 2s", "inter 100ms")
  text = put(text, "maxconn 20000", "maxconn 1000") -- as many descriptors as any machine has
  write(path .. "/haproxy.cfg", text)
  local p = start(("haproxy -W -db -f %s/haproxy.cfg"):format(path), port)
  return way_in(path, port), p
end

--- tinyproxy with these further lines of configuration, and this text, if any, for the file FILTER of theirs.
-- Returns its URL, and the process, which prints what it is asked.
function programs.tinyproxy(lines, filter)
  local path, port = folder(), free_port()
  write(path .. "/filter", filter or "")
  lines = (lines or ""):gsub("FILTER", path .. "/filter")
  write(path .. "/tinyproxy.conf", ("Port %d\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nMaxClients 20\n%s\n")
    :format(port, lines))
  local p = start(("tinyproxy -d -c %s/tinyproxy.conf"):format(path), port)
  return "http://127.0.0.1:" .. port, p
end

--- Ends them, and removes their folders.
function programs.close()
  process.close()
  for _, path in ipairs(folders) do os.execute("rm -rf " .. path) end
  folders = {}
end

return programs
