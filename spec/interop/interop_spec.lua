-- Every scene of the JavaScript peer (README.md in this folder) against this library: its client
-- scenes against server.lua, its server scenes against client.lua, each in a process of its own
-- under the Lua that runs this file. Each process is bounded, and stopped by its own id.

local folder = debug.getinfo(1, "S").source:match("^@(.*)interop_spec%.lua$")
local LUA = os.getenv "LUA" or rawget(_G, "jit") and "luajit" or _VERSION:lower():gsub(" ", "")
-- The peer is not under test: a sanitizer's runtime that is preloaded into our Lua stays out of it.
local PEER = "env -u LD_PRELOAD node " .. folder .. "peer.js "

-- So that waiting takes little: a session is forgotten after one second, a socket must be CONNECTED
-- within one, a holder is dead after half of one.
local SECONDS = "1"
local LIMITS = "resume_window=1 handshake_timeout=1 probe_timeout=0.5"

-- The names of the peer's scenes, from its own usage text: a scene that is new there is played here.
local function scenes_of(role)
  local pipe = io.popen(PEER .. "2>&1")
  local usage = pipe:read "*a"
  pipe:close()
  local names = {}
  for name in (usage:match(role .. " scenes: ([^\n]*)") or ""):gmatch "%S+" do names[#names + 1] = name end
  return names, usage
end

-- Starts a command. The shell says its process id and becomes `timeout`, which passes signals on.
local function start(command)
  local pipe = assert(io.popen("echo $$; exec timeout -k 1 30 " .. command .. " 2>&1"))
  return { pipe = pipe, pid = assert(tonumber(pipe:read "*l")) }
end

-- Waits for the end and returns what was written.
local function finish(process)
  local rest = process.pipe:read "*a"
  process.pipe:close()
  return rest
end

local function stop(process)
  os.execute(("kill %d 2>&-"):format(process.pid)) -- not reaped yet: the id is still its own
  return finish(process)
end

-- The URL of a process that listens.
local function listening(process)
  local line = process.pipe:read "*l" or "nothing"
  local url = line:match "^listening (%S+)$"
  if not url then error(("expected a process that listens, came: %s\n%s"):format(line, stop(process)), 0) end
  return url
end

-- The peer's verdict, with its own sentence; and ours may not have said a word.
local function judge(verdict, expected, ours)
  if verdict ~= expected .. "\n" then error(verdict .. ours, 0) end
  if ours ~= "" then error("the end under test complained: " .. ours, 0) end
end

local function play_client(scene, offer)
  local server = start(LUA .. " " .. folder .. "server.lua " .. LIMITS)
  local url = listening(server)
  local peer = start(("env PEER_OFFER=%s %sclient %s %s %s"):format(offer or "", PEER, url, scene, SECONDS))
  local verdict = finish(peer)
  judge(verdict, "ok client " .. scene, stop(server))
end

local function play_server(scene)
  local peer = start(PEER .. "server 0 " .. scene)
  local client = start(("%s %sclient.lua %s"):format(LUA, folder, listening(peer)))
  local verdict = finish(peer)
  judge(verdict, "ok server " .. scene, stop(client))
end

describe("the JavaScript peer", function()
  local clients, usage = scenes_of "client"
  local servers = scenes_of "server"

  it("is there, with node and the package ws", function()
    assert(#clients > 0 and #servers > 0, usage)
  end)

  for _, scene in ipairs(clients) do
    it("as a client of our server: " .. scene, function() play_client(scene) end)
  end

  -- A client that offers the subprotocol of plain DOP hears the same.
  for _, scene in ipairs { "connection", "reconnection", "reconnection-becomes-connection" } do
    it("as a client that offers \"dop\": " .. scene, function() play_client(scene, "dop") end)
  end

  for _, scene in ipairs(servers) do
    it("as a server of our client: " .. scene, function() play_server(scene) end)
  end
end)
