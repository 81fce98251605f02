-- Every dop.r1 scene of the JavaScript peer (README.md in this folder), an implementation of its own, against
-- this library: its client scenes against a server of ours, its server scenes against a client of ours.

local folder = debug.getinfo(1, "S").source:match("^@(.*)r1_spec%.lua$")
local play = dofile(folder .. "play.lua")

-- So that waiting takes little. The peer counts on these.
local SERVER = "r1.lua server resume_window=1 handshake_timeout=1 close_timeout=1"
local CLIENT = "r1.lua client %s close_timeout=1"

-- So many scenes are under way at once.
local ABREAST = 4

describe("the JavaScript peer, speaking dop.r1", function()
  local clients, usage = play.scenes_of "r1-client"
  local servers = play.scenes_of "r1-server"

  local names, begins = {}, {}

  for _, scene in ipairs(clients) do
    names[#names + 1] = "as a client of our server: " .. scene
    begins[#names] = function() return play.begin_client("r1-client", scene, SERVER) end
  end

  for _, scene in ipairs(servers) do
    names[#names + 1] = "as a server of our client: " .. scene
    begins[#names] = function() return play.begin_server("r1-server", scene, CLIENT) end
  end

  local plays = play.abreast(begins, ABREAST)
  teardown(plays.stop)

  it("is there, with node and the package ws", function()
    assert(#clients > 0 and #servers > 0, usage)
  end)

  for i, name in ipairs(names) do
    it(name, function() plays.finish(i) end)
  end
end)
