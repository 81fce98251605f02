--- What a head costs that comes byte by byte: each byte is looked at once for the end of the head, and once more
-- in each reading of the whole. Counted, not timed: a process counts the bytes in which the C library looks for
-- an LF, and those that it moves (spec/support/preload.c).

local preload = require "spec.support.preload"

-- A world whose ends take heads of that many bytes, and the bytes that are fed one by one; then what to print.
local SCRIPT = [[
  local core = require "dop.core"
  local wire = require "spec.support.wire"
  local n = %d
  local options = { max_header = 1048576 }
  local w = wire.new { server = options, client = options }
  w.engine:collect_always(false)
  local function drip(link, bytes)
    for i = 1, #bytes do link:feed(bytes:sub(i, i)) end
    w:turn()
  end
  local more = "X: " .. ("y"):rep(n) .. "\r\n\r\n"
  %s
]]

local ROLES = {
  ["a server's request"] = [[
    local p = w:to_server(true)
    drip(p.link, w:from_client(true).head:gsub("\r\n\r\n$", "\r\n" .. more, 1))
    print(p.link:output():match "^HTTP/1.1 (%d+) ", w:count("server", "open"))
  ]],
  ["a client's answer"] = [[
    local p = w:from_client(true)
    drip(p.link, (w:answer_to(p.head):gsub("\r\n\r\n$", "\r\n" .. more)))
    print(101, w:count("client", "open"))
  ]],
  ["a proxy's answer"] = [[
    local link = core.dial(w.client, "example.com", "/dop", "", "example.com:80", "")
    link:output()
    drip(link, "HTTP/1.1 200 OK\r\n" .. more)
    drip(link, w:answer_to(link:output()))
    print(101, w:count("client", "open"))
  ]],
}

local function work(role, n)
  local printed, searched, moved = preload.work(SCRIPT:format(n, ROLES[role]))
  assert.equal("101\t1\n", printed)
  return searched, moved
end

describe("a head that comes byte by byte", function()
  for role in pairs(ROLES) do
    it(("is read in one go as far as it came: %s"):format(role), function()
      local least, moved_least = work(role, 0)
      local n = 32768
      local searched, moved = work(role, n)
      -- Once as it comes, and whole by who reads it: the server twice, when it hears and when it answers.
      assert.is_true(searched - least >= n, "the count counts")
      assert.is_true(searched - least <= 4 * n, ("%d bytes were searched for %d"):format(searched - least, n))
      assert.is_true(moved - moved_least <= 4 * n, ("%d bytes were moved for %d"):format(moved - moved_least, n))
    end)
  end
end)
