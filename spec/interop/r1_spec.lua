-- Every dop.r1 scene of the JavaScript peer (README.md in this folder), an implementation of its own, against
-- this library: its client scenes against a server of ours, its server scenes against a client of ours.

local folder = debug.getinfo(1, "S").source:match("^@(.*)r1_spec%.lua$")
local play = dofile(folder .. "play.lua")

-- So that waiting takes little. The peer counts on these.
local SERVER = "r1.lua server resume_window=1 handshake_timeout=1 close_timeout=1"
local CLIENT = "r1.lua client %s close_timeout=1"

describe("the JavaScript peer, speaking dop.r1", function()
  local clients, usage = play.scenes_of "r1-client"
  local servers = play.scenes_of "r1-server"

  it("is there, with node and the package ws", function()
    assert(#clients > 0 and #servers > 0, usage)
  end)

  for _, scene in ipairs(clients) do
    it("as a client of our server: " .. scene, function() play.client("r1-client", scene, SERVER) end)
  end

  for _, scene in ipairs(servers) do
    it("as a server of our client: " .. scene, function() play.server("r1-server", scene, CLIENT) end)
  end
end)
