-- Every scene of the JavaScript peer (README.md in this folder) against this library: its client
-- scenes against server.lua, its server scenes against client.lua.

local folder = debug.getinfo(1, "S").source:match("^@(.*)interop_spec%.lua$")
local play = dofile(folder .. "play.lua")

-- So that waiting takes little: a session is forgotten after one second, a socket must be CONNECTED
-- within one, a holder is dead after half of one.
local SECONDS = "1"
local LIMITS = "resume_window=1 handshake_timeout=1 probe_timeout=0.5"

local function play_client(scene, offer)
  play.client("client", scene, "server.lua " .. LIMITS, offer, SECONDS)
end

describe("the JavaScript peer", function()
  local clients, usage = play.scenes_of "client"
  local servers = play.scenes_of "server"

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
    it("as a server of our client: " .. scene, function()
      play.server("server", scene, "client.lua %s")
    end)
  end
end)
