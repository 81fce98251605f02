--- The upgrade without memory: whichever request for it fails, the other end gets an answer that is whole
-- or none, nothing is left behind, and the next one comes through.

local core = require "dop.core"
local wire = require "spec.support.wire"

local NO_TAKEOVER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
local DEFLATE = "Sec-WebSocket-Extensions: " .. NO_TAKEOVER .. "\r\n"
local COMPRESSION = { compression = true }

after_each(wire.close)

-- Calls attempt(n) for n = from, from + 1, ... until it had no n-th allocation; returns how many failed.
local function at_each(from, attempt)
  local n = from - 1
  repeat
    n = n + 1
    local count = attempt(n)
  until count < n
  return n - from
end

-- The first allocation of what is fed is the host's own, for the bytes.
local FED = 2

local function whole(answer)
  local head = answer:match("^HTTP/1%.1 %d%d%d [^\r]+\r\n.-\r\n\r\n")
  return head and tonumber(head:sub(10, 12)), head and answer:sub(#head + 1)
end

describe("a server's upgrade", function()
  local function ways(headers, options, authorize)
    local statuses = {}
    local failed = at_each(FED, function(n)
      local w = wire.new { server = options }
      if authorize then core.configure(w.server, authorize) end
      local p = w:to_server(true)
      local count = core.allocations(function()
        p.link:feed(wire.REQUEST .. headers .. "\r\n")
        w:turn()
      end, n)
      local answer, ending = p.link:output(), p.link:ending()
      local status, rest = whole(answer)
      statuses[status or "none"] = true
      if status == 503 then
        assert.equal("Out of memory.\n", rest)
        assert.equal("fin", ending)
      elseif status then
        assert.equal(101, status)
      else
        assert.same({ "", "dead" }, { answer, ending })
      end
      p:lose()
      local again = w:to_server()
      assert.truthy(again.head:find("^HTTP/1%.1 101 "), "the next one is let in")
      again:lose()
      assert.equal(0, w.server:stats().sockets)
      return count
    end)
    assert.is_true(failed >= 3)
    return statuses
  end

  it("is an answer, or an end", function()
    local statuses = ways("", nil)
    assert.is_true(statuses[101] and statuses[503] and statuses.none)
  end)

  it("goes without compression when there is no memory for it", function()
    assert.is_true(ways(DEFLATE, COMPRESSION)[101])
  end)

  it("is refused when the application cannot be asked", function()
    local asked = 0
    local statuses = ways(DEFLATE, COMPRESSION, function()
      asked = asked + 1
      return true
    end)
    assert.is_true(statuses[503] and statuses[101] and asked > 1)
  end)
end)

describe("a client's upgrade", function()
  it("is not begun without memory for the request", function()
    for _, via in ipairs { false, "example.com:80" } do
      local missed = 0
      at_each(1, function(n)
        local w = wire.new { client = COMPRESSION }
        local link, why, code
        local count = core.allocations(function()
          link, why, code = core.dial(w.client, "localhost", "/", nil, via or nil)
        end, n)
        if not link then
          missed = missed + 1
          assert.same({ "string", "ENOMEM" }, { type(why), code })
        else
          link:lost()
        end
        assert.equal(0, w.client:stats().sockets)
        return count
      end)
      assert.is_true(missed >= 3)
    end
  end)

  it("fails with ENOMEM, or comes through", function()
    local missed, opened = 0, 0
    at_each(FED, function(n)
      local w = wire.new { client = COMPRESSION }
      local p, down = w:from_client(true), nil
      core.values(w.client)[core.down] = { function(_, _, code) down = code end }
      local answer = w:answer_to(p.head):sub(1, -3) .. DEFLATE .. "\r\n"
      local count = core.allocations(function()
        p.link:feed(answer)
        w:turn()
      end, n)
      if down then
        missed = missed + 1
        assert.equal("ENOMEM", down)
        assert.equal("dead", (p.link:ending()))
      else
        opened = opened + w:count("client", "open")
      end
      p:lose()
      return count
    end)
    assert.is_true(missed >= 1 and opened >= 1)
  end)

  it("that nobody waits for any more ends without a word", function()
    local w = wire.new()
    local first, second = w:from_client(true), w:from_client(true)
    first.link:feed(w:answer_to(first.head))
    second.link:feed(w:answer_to(second.head))
    w:turn()
    assert.equal("dead", (second.link:ending()))
    assert.equal("", second.link:output())
    assert.is_nil(first.link:ending())
    assert.equal(1, w:count("client", "open"))
  end)
end)
