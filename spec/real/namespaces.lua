--- Two network namespaces with a wire between them, for specs that lose packets. Each is held by a
-- process that is bounded in time, has no name, and is made of nothing outside of it: namespaces, wire and
-- rules are gone with their last process, however a spec ends.

local process = require "spec.real.process"
local real = require "spec.support.real"

local namespaces = {}
namespaces.__index = namespaces

local function shell(command)
  local pipe = assert(io.popen(("{ %s; } 2>&1; echo \"exit:$?\""):format(command)))
  local output = pipe:read "*a"
  pipe:close()
  local printed, status = output:match "^(.*)exit:(%d+)\n$"
  return printed, tonumber(status)
end

local function must(command)
  local printed, status = shell(command)
  if status ~= 0 then error(("%s: exit %d: %s"):format(command, status, printed), 2) end
  return printed
end

local function inside(holder, command)
  return must(("nsenter --net=/proc/%d/ns/net %s"):format(holder.pid, command))
end

local function hold(seconds)
  local ours = must "readlink /proc/self/ns/net"
  local holder = process.start(("unshare --net sleep %d"):format(seconds), seconds)
  real.wait("a network namespace", function()
    local its, status = shell(("readlink /proc/%d/ns/net"):format(holder.pid))
    return status == 0 and its ~= ours
  end)
  inside(holder, "ip link set lo up")
  return holder
end

--- `server` and `client` are the processes whose namespaces they are, `address` is the server's. Raises
-- where this cannot be done: nothing is skipped.
function namespaces.pair(seconds)
  if must("id -u"):match "%d+" ~= "0" then error("network namespaces need root", 2) end
  local n = setmetatable({ address = "10.77.0.1" }, namespaces)
  n.server, n.client = hold(seconds or 60), hold(seconds or 60)
  inside(n.server, "ip link add wire type veth peer name wire netns " .. n.client.pid)
  inside(n.server, "ip address add 10.77.0.1/24 dev wire")
  inside(n.client, "ip address add 10.77.0.2/24 dev wire")
  inside(n.server, "ip link set wire up")
  inside(n.client, "ip link set wire up")
  return n
end

-- What comes in at that end goes through the rule.
local function filter(holder, rule)
  local chain = "table inet broken {\nchain arriving {\ntype filter hook input priority 0\n%s\n}\n}"
  inside(holder, ("nft '" .. chain .. "'"):format(rule))
end

--- Swallows what comes from and goes to this port of the client: neither end is told.
function namespaces:swallow(port)
  filter(self.server, ("tcp sport %d counter drop"):format(port))
  filter(self.client, ("tcp dport %d counter drop"):format(port))
end

--- Loses so many of a hundred packets, each way.
function namespaces:lose(percent)
  for _, holder in ipairs { self.server, self.client } do
    filter(holder, ("numgen random mod 100 < %d counter drop"):format(percent))
  end
end

--- How many packets were dropped; and no more are.
function namespaces:calm()
  local dropped = 0
  for _, holder in ipairs { self.server, self.client } do
    dropped = dropped + tonumber(inside(holder, "nft list table inet broken"):match "packets (%d+)")
    inside(holder, "nft delete table inet broken")
  end
  return dropped
end

--- Pulls the wire, or puts it in again ("down", "up").
function namespaces:wire(state) inside(self.server, "ip link set wire " .. state) end

return namespaces
