-- How the specs of this folder play a scene of the JavaScript peer against this library: each end in a
-- process of its own, under the Lua that runs the spec, bounded, and stopped by its own id. Knows no scene.

local play = {}

local folder = debug.getinfo(1, "S").source:match("^@(.*)play%.lua$")
local LUA = os.getenv "LUA" or rawget(_G, "jit") and "luajit" or _VERSION:lower():gsub(" ", "")
-- The peer is not under test: a sanitizer's runtime that is preloaded into our Lua stays out of it.
local PEER = "env -u LD_PRELOAD PEER_TIMEOUT_MS=25000 PEER_OFFER=%s node " .. folder .. "peer.js "

local function peer(offer) return PEER:format(offer or "") end

-- The names of the peer's scenes, from its own usage text: a scene that is new there is played here.
function play.scenes_of(role)
  local pipe = io.popen(peer() .. "2>&1")
  local usage = pipe:read "*a"
  pipe:close()
  local names = {}
  for name in (usage:match("\n" .. role:gsub("%-", "%%-") .. " scenes: ([^\n]*)") or ""):gmatch "%S+" do
    names[#names + 1] = name
  end
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

-- `role` is the peer's, `ours` the file of the end under test and its arguments, %s standing for the URL. Both
-- return a play under way: finish() waits for the verdict, stop() does not.
function play.begin_client(role, scene, ours, offer, more)
  local server = start(("%s %s%s"):format(LUA, folder, ours))
  local url = listening(server)
  local judging = start(("%s%s %s %s %s"):format(peer(offer), role, url, scene, more or ""))
  return {
    finish = function()
      local verdict = finish(judging)
      judge(verdict, ("ok %s %s"):format(role, scene), stop(server))
    end,
    stop = function()
      stop(judging)
      stop(server)
    end,
  }
end

function play.begin_server(role, scene, ours)
  local server = start(("%s%s 0 %s"):format(peer(), role, scene))
  local client = start(("%s %s%s"):format(LUA, folder, ours:format(listening(server))))
  return {
    finish = function()
      local verdict = finish(server)
      judge(verdict, ("ok %s %s"):format(role, scene), stop(client))
    end,
    stop = function()
      stop(server)
      stop(client)
    end,
  }
end

function play.client(...) play.begin_client(...).finish() end

function play.server(...) play.begin_server(...).finish() end

-- Plays that are finished in their order, while the next few are under way already: most of a play is waiting.
-- `begins` are functions that begin one each.
function play.abreast(begins, most)
  local under_way, next_one = {}, 1
  return {
    finish = function(i)
      next_one = math.max(next_one, i)
      while next_one <= math.min(i + most - 1, #begins) do
        local ok, begun = pcall(begins[next_one])
        under_way[next_one], next_one = ok and begun or { failure = begun }, next_one + 1
      end
      local this = under_way[i]
      under_way[i] = nil
      if this.failure then error(this.failure, 0) end
      this.finish()
    end,
    stop = function()
      for _, this in pairs(under_way) do
        if this.stop then this.stop() end
      end
    end,
  }
end

return play
