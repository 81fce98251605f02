--- What two ends agree on about extensions (RFC 6455 9.1, RFC 7692 section 7). Every head is fed whole,
-- byte by byte and cut in two at each point.

local core = require "dop.core"
local handshake = require "spec.ws.handshake"
local stream = require "spec.ws.stream"
local wire = require "spec.support.wire"

local ON = { compression = true } -- takes over nothing, windows of 15 bits
local KEEP = { compression = { takeover = true, peer_takeover = true } }
local NONE = "; server_no_context_takeover; client_no_context_takeover"

-- What a server answers to these lines of offers: the value of its header, nil without one.
local function answers(options, ...)
  local lines = {}
  for i, offer in ipairs { ... } do lines[i] = "Sec-WebSocket-Extensions: " .. offer end
  local got = handshake.ask(handshake.request(lines), { limits = options })
  assert.equal(101, got.status)
  return got.fields["sec-websocket-extensions"]
end

describe("a server", function()
  it("selects no extension unless it was asked to compress", function()
    assert.is_nil(answers({}, "permessage-deflate"))
    assert.is_nil(answers({ compression = false }, "permessage-deflate; client_max_window_bits"))
  end)

  it("selects permessage-deflate when it is offered, and nothing when it is not", function()
    assert.equal("permessage-deflate", answers(KEEP, "permessage-deflate"))
    assert.is_nil(answers(KEEP))
    assert.is_nil(answers(KEEP, "x-other", "permessage-deflate-not", "Permessage-Deflate"))
  end)

  it("takes over no context by default, in either direction, whatever the offer says", function()
    assert.equal("permessage-deflate" .. NONE, answers(ON, "permessage-deflate"))
    assert.equal("permessage-deflate" .. NONE, answers(ON, "permessage-deflate; client_no_context_takeover"))
  end)

  it("gives up a takeover that the offer does not want", function()
    for _, name in ipairs { "server_no_context_takeover", "client_no_context_takeover" } do
      assert.equal("permessage-deflate; " .. name, answers(KEEP, "permessage-deflate; " .. name))
    end
    assert.equal("permessage-deflate" .. NONE,
      answers(KEEP, "permessage-deflate; client_no_context_takeover; server_no_context_takeover"))
  end)

  it("keeps its own window within what is offered, 9 to 15 bits; 8 it cannot, and declines", function()
    for bits = 9, 15 do
      local said = answers(KEEP, "permessage-deflate; server_max_window_bits=" .. bits)
      assert.equal("permessage-deflate; server_max_window_bits=" .. bits, said)
      said = answers({ compression = { takeover = true, peer_takeover = true, window = 11 } },
        "permessage-deflate; server_max_window_bits=" .. bits)
      assert.equal("permessage-deflate; server_max_window_bits=" .. math.min(bits, 11), said)
    end
    assert.is_nil(answers(KEEP, "permessage-deflate; server_max_window_bits=8"))
  end)

  it("takes every window that a client says it has, 8 to 15 bits", function()
    for bits = 8, 15 do
      local said = answers(KEEP, "permessage-deflate; client_max_window_bits=" .. bits)
      assert.equal("permessage-deflate" .. (bits < 15 and "; client_max_window_bits=" .. bits or ""), said)
    end
    assert.equal("permessage-deflate", answers(KEEP, "permessage-deflate; client_max_window_bits"))
  end)

  it("bounds the client's window when it was told to, and only a client that can be bound", function()
    local bound = { compression = { takeover = true, peer_takeover = true, peer_window = 10 } }
    assert.equal("permessage-deflate; client_max_window_bits=10",
      answers(bound, "permessage-deflate; client_max_window_bits"))
    for bits = 8, 15 do
      assert.equal("permessage-deflate; client_max_window_bits=" .. math.min(bits, 10),
        answers(bound, "permessage-deflate; client_max_window_bits=" .. bits))
    end
    assert.is_nil(answers(bound, "permessage-deflate"))
    assert.is_nil(answers(bound, "permessage-deflate; server_max_window_bits=10"))
  end)

  it("goes with the first offer that it can take, over several lines", function()
    local first = "permessage-deflate; server_max_window_bits=8"
    assert.equal("permessage-deflate; server_max_window_bits=12",
      answers(KEEP, first .. ", permessage-deflate; server_max_window_bits=12, permessage-deflate"))
    assert.equal("permessage-deflate", answers(KEEP, "x", first, "y; z=1, permessage-deflate"))
    assert.equal("permessage-deflate; server_no_context_takeover",
      answers(KEEP, "permessage-deflate; server_no_context_takeover", "permessage-deflate"))
  end)

  for what, offer in pairs {
    ["an unknown parameter"] = "; x", ["an unknown parameter with a value"] = "; window=15",
    ["a name in the wrong case"] = "; Server_No_Context_Takeover",
    ["a parameter twice"] = "; server_no_context_takeover; server_no_context_takeover",
    ["a window twice"] = "; client_max_window_bits=10; client_max_window_bits=10",
    ["a window with and without a value"] = "; client_max_window_bits; client_max_window_bits=10",
    ["a value where there is none"] = "; server_no_context_takeover=1",
    ["a true value where there is none"] = "; client_no_context_takeover=true",
    ["no value where there must be one"] = "; server_max_window_bits",
    ["a window of 7 bits"] = "; server_max_window_bits=7", ["a window of 16 bits"] = "; server_max_window_bits=16",
    ["a client's window of 7 bits"] = "; client_max_window_bits=7",
    ["a client's window of 16 bits"] = "; client_max_window_bits=16",
    ["a client's window of 0 bits"] = "; client_max_window_bits=0",
    ["a zero before the number"] = "; client_max_window_bits=010",
    ["a zero before a number of one digit"] = "; client_max_window_bits=08",
    ["a sign"] = "; client_max_window_bits=+9", ["a fraction"] = "; client_max_window_bits=9.0",
    ["hexadecimal digits"] = "; client_max_window_bits=0xf", ["a long number"] = "; client_max_window_bits=10000000010",
    ["a word"] = "; client_max_window_bits=fifteen",
  } do
    it(("declines an offer with %s, and takes the next one"):format(what), function()
      assert.is_nil(answers(KEEP, "permessage-deflate" .. offer))
      assert.equal("permessage-deflate", answers(KEEP, "permessage-deflate" .. offer .. ", permessage-deflate"))
    end)
  end

  it("reads quoted values, blanks and empty elements as the grammar has them", function()
    for _, offer in ipairs {
      'permessage-deflate; server_max_window_bits="10"', 'permessage-deflate; server_max_window_bits="1\\0"',
      'permessage-deflate;server_max_window_bits=10', 'permessage-deflate\t ;\tserver_max_window_bits = "\\1\\0"',
      ',, permessage-deflate ; server_max_window_bits= 10 ,,',
      'x;z="a\\-b";y="c", permessage-deflate; server_max_window_bits=10',
    } do
      assert.equal("permessage-deflate; server_max_window_bits=10", answers(KEEP, offer))
    end
  end)

  for what, offer in pairs {
    ["a parameter without a name"] = "permessage-deflate;", ["two semicolons"] = "permessage-deflate;; x",
    ["no extension's name"] = "; x", ["a name that is no token"] = "permessage deflate",
    ["a value that is missing"] = "permessage-deflate; x=", ["a quote that does not end"] = 'permessage-deflate; x="10',
    ["an empty quoted string"] = 'x; y=""', ["a quoted string that is no token"] = 'x; y="a b"',
    ["a quoted comma"] = 'x; y="a,b"', ["a quote that ends in a backslash"] = 'x; y="a\\',
    ["a quoted name"] = '"permessage-deflate"', ["something behind a value"] = 'x; y="a"b',
    ["something behind a valid offer"] = "permessage-deflate, x y", ["a slash"] = "a/b", ["a lone equals sign"] = "x=y",
  } do
    it(("answers 400 to %s, also when it compresses nothing"):format(what), function()
      for _, options in ipairs { KEEP, {} } do
        local got = handshake.ask(handshake.request { "Sec-WebSocket-Extensions: " .. offer }, { limits = options })
        assert.equal(400, got.status)
      end
    end)
  end

  it("counts that among the requests that are malformed, not as a word of the application", function()
    local w = wire.new {}
    w:to_server(true).link:feed(handshake.request { "Sec-WebSocket-Extensions: x=y" })
    local stats = w.server:stats()
    assert.same({ 1, 0 }, { stats.refused_request, stats.refused_authorize })
    stream.over(w)
  end)

  it("reads a header of any length in time that grows with it", function()
    local w = wire.new { server = { compression = true, max_header = 1048576 } }
    for _, unit in ipairs {
      "permessage-deflate; x, ", "permessage-deflate; server_max_window_bits=8,", ",", "x;y, ", "x; y=\"\\a\", ",
    } do
      local line = unit:rep(math.floor(900000 / #unit)) .. "permessage-deflate"
      local p = w:to_server(true)
      local before = os.clock()
      p.link:feed(handshake.request { "Sec-WebSocket-Extensions: " .. line })
      assert.truthy(p.link:output():find("^HTTP/1%.1 101 "))
      assert.is_true(os.clock() - before < 1)
      p.link:lost()
    end
    stream.over(w)
  end)
end)

-- What a client makes of an answer with this header; nil: without one.
local function hears(options, value)
  return handshake.answer(function(w, head)
    local plain = w:answer_to(head)
    if not value then return plain end
    return plain:sub(1, -3) .. "Sec-WebSocket-Extensions: " .. value .. "\r\n\r\n"
  end, { limits = options })
end

local function agrees(options, value)
  local got = hears(options, value)
  assert.is_nil(got.down)
  assert.equal("open", got.events)
  return got
end

local function fails(options, value)
  local got = hears(options, value)
  assert.equal("UPGRADE", got.down)
  assert.equal("dead", got.ending)
  return got.why
end

describe("a client", function()
  local function offer(options)
    local w = wire.new { client = options }
    local link = core.dial(w.client, "localhost", "/")
    local offered = link:output():match("Sec%-WebSocket%-Extensions: ([^\r]*)\r\n")
    stream.over(w, { link = link })
    return offered
  end

  it("offers nothing unless it was asked to", function()
    assert.is_nil(offer {})
    assert.is_nil(offer { compression = false })
  end)

  it("offers what it wants, and that its window may be bound", function()
    assert.equal("permessage-deflate" .. NONE .. "; client_max_window_bits", offer(ON))
    assert.equal("permessage-deflate; client_max_window_bits", offer(KEEP))
    assert.equal("permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=12",
      offer { compression = { takeover = true, window = 12, peer_window = 9 } })
  end)

  it("goes on without it when the server does", function()
    agrees(ON, nil)
    agrees(KEEP, "")
  end)

  it("takes a server's windows of 8 to 15 bits, and its bounds of 8 to 15", function()
    for bits = 8, 15 do
      agrees(KEEP, "permessage-deflate; server_max_window_bits=" .. bits)
      agrees(KEEP, "permessage-deflate; client_max_window_bits=" .. bits)
    end
    for bits = 8, 10 do
      agrees({ compression = { takeover = true, peer_takeover = true, peer_window = 10 } },
        "permessage-deflate; server_max_window_bits=" .. bits)
    end
    agrees(KEEP, 'permessage-deflate; server_no_context_takeover; client_no_context_takeover; ' ..
      'server_max_window_bits="9"')
  end)

  it("takes an answer that binds it although it did not offer that", function()
    agrees(KEEP, "permessage-deflate; client_no_context_takeover")
    agrees(ON, "permessage-deflate; server_no_context_takeover")
  end)

  for what, value in pairs {
    ["an unknown parameter"] = "permessage-deflate; x", ["a parameter twice"] =
      "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
    ["a value where there is none"] = "permessage-deflate; server_no_context_takeover=1",
    ["a server's window without a value"] = "permessage-deflate; server_max_window_bits",
    ["a client's window without a value"] = "permessage-deflate; client_max_window_bits",
    ["a window of 7 bits"] = "permessage-deflate; server_max_window_bits=7",
    ["a window of 16 bits"] = "permessage-deflate; client_max_window_bits=16",
    ["another extension"] = "x-other", ["another extension beside it"] = "permessage-deflate, x-other",
    ["it twice"] = "permessage-deflate, permessage-deflate", ["a header that is malformed"] = "permessage-deflate;",
    ["something malformed behind it"] = "permessage-deflate, =",
  } do
    it(("refuses an answer with %s"):format(what), function() fails(KEEP, value) end)
  end

  it("refuses an answer that does not keep to its offer", function()
    fails(ON, "permessage-deflate")
    fails(ON, "permessage-deflate; client_no_context_takeover")
    local bound = { compression = { takeover = true, peer_takeover = true, peer_window = 10 } }
    fails(bound, "permessage-deflate")
    for bits = 11, 15 do fails(bound, "permessage-deflate; server_max_window_bits=" .. bits) end
  end)

  it("refuses what it did not offer", function()
    assert.truthy(fails({}, "permessage-deflate"):find("not offered", 1, true))
  end)
end)
