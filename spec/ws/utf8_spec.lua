--- Text must be UTF-8 (RFC 6455 8.1, RFC 3629), and what is not is refused as soon as it is there.

local stream = require "spec.ws.stream"
local frames = require "spec.support.frames"
local both, text, part, last = stream.both(it), stream.text, stream.part, stream.last
local TEXT, MORE = frames.TEXT, frames.CONTINUATION

local function hex(s) return (s:gsub(".", function(c) return ("%02X "):format(c:byte()) end):sub(1, -2)) end

local KOSME = "\206\186\225\189\185\207\131\206\188\206\181"

local GOOD = {
  { "the word of Autobahn", KOSME },
  { "U+0000", "\0" },
  { "U+007F", "\127" },
  { "U+0080, the first of two bytes", "\194\128" },
  { "U+07FF, the last of two bytes", "\223\191" },
  { "U+0800, the first of three bytes", "\224\160\128" },
  { "U+0FFF", "\224\191\191" },
  { "U+1000", "\225\128\128" },
  { "U+CFFF", "\236\191\191" },
  { "U+D7FF, the last before the surrogates", "\237\159\191" },
  { "U+E000, the first behind the surrogates", "\238\128\128" },
  { "U+FFFD", "\239\191\189" },
  { "U+FFFE, not a character", "\239\191\190" },
  { "U+FFFF, not a character", "\239\191\191" },
  { "U+FDD0, not a character", "\239\183\144" },
  { "U+FEFF, a byte order mark", "\239\187\191" },
  { "U+10000, the first of four bytes", "\240\144\128\128" },
  { "U+1FFFF, not a character", "\240\159\191\191" },
  { "U+3FFFF", "\240\191\191\191" },
  { "U+40000", "\241\128\128\128" },
  { "U+FFFFF", "\243\191\191\191" },
  { "U+100000", "\244\128\128\128" },
  { "U+10FFFF, the last of all", "\244\143\191\191" },
}

-- What is wrong, and at which byte that shows.
local BAD = {
  { "a continuation byte alone", "\128", 1 },
  { "the last continuation byte alone", "\191", 1 },
  { "C0, which begins nothing", "\192\128", 1 },
  { "C1, which begins nothing", "\193\191", 1 },
  { "F5, which begins nothing", "\245\128\128\128", 1 },
  { "F8, which began five bytes once", "\248\136\128\128\128", 1 },
  { "FC, which began six bytes once", "\252\132\128\128\128\128", 1 },
  { "FE", "\254", 1 },
  { "FF", "\255", 1 },
  { "an overlong slash of two bytes", "\192\175", 1 },
  { "an overlong slash of three bytes", "\224\128\175", 2 },
  { "an overlong slash of four bytes", "\240\128\128\175", 2 },
  { "the longest overlong form of three bytes", "\224\159\191", 2 },
  { "the longest overlong form of four bytes", "\240\143\191\191", 2 },
  { "the first surrogate, U+D800", "\237\160\128", 2 },
  { "U+DB7F", "\237\173\191", 2 },
  { "U+DC00", "\237\176\128", 2 },
  { "the last surrogate, U+DFFF", "\237\191\191", 2 },
  { "a pair of surrogates", "\237\160\128\237\176\128", 2 },
  { "U+110000, beyond the last", "\244\144\128\128", 2 },
  { "a letter in place of the second of two bytes", "\206a", 2 },
  { "a letter in place of the second of three bytes", "\225a\185", 2 },
  { "a letter in place of the third of three bytes", "\225\189a", 3 },
  { "a letter in place of the last of four bytes", "\240\144\128a", 4 },
  { "a new character inside one of two bytes", "\206\206\186", 2 },
  { "a new character inside one of three bytes", "\225\189\206\186", 3 },
  { "a new character inside one of four bytes", "\240\144\206\186", 3 },
  { "the second byte beyond the range", "\206\192", 2 },
  { "the third byte beyond the range", "\225\189\192", 3 },
  { "the fourth byte beyond the range", "\240\144\128\192", 4 },
}

describe("a text", function()
  for _, case in ipairs(GOOD) do
    local name, bytes = case[1], case[2]
    both(("may hold %s (%s)"):format(name, hex(bytes)), function(role)
      stream.hears(role, { text(bytes) }, { "text:" .. bytes })
      -- At any distance from the strides in which ASCII is passed, and before more of it.
      for before = 0, 9 do
        local s = ("a"):rep(before) .. bytes .. bytes .. ("b"):rep(9)
        local w, p = stream.session(role, nil, true)
        p:give(s)
        assert.same({ "text:" .. s }, stream.seen(role, w, p).messages)
        stream.over(w, p)
      end
      local long = ("x"):rep(70) .. bytes .. ("y"):rep(41) .. bytes
      stream.hears(role, { text(long) }, { "text:" .. long })
    end)

    both(("may hold %s cut over two fragments, and by a ping"):format(name), function(role)
      for at = 1, #bytes - 1 do
        local list = { part(TEXT, "a" .. bytes:sub(1, at)), stream.ping("?"), last(bytes:sub(at + 1) .. "b") }
        stream.hears(role, list, { "text:a" .. bytes .. "b" })
      end
      local list = { part(TEXT, "") }
      for at = 1, #bytes do list[#list + 1] = part(MORE, bytes:sub(at, at)) end
      list[#list + 1] = last("")
      stream.hears(role, list, { "text:" .. bytes })
    end)
  end

  for _, case in ipairs(BAD) do
    local name, bytes, at = case[1], case[2], case[3]
    both(("may not hold %s (%s): 1007"):format(name, hex(bytes)), function(role)
      local seen = stream.refused(role, { text("before"), text(bytes), text("after") }, 1007)
      assert.same({ "text:before" }, seen.messages)
      for _, before in ipairs { 1, 5, 6, 7, 8, 31, 32, 64 } do
        local w, p = stream.session(role, nil, true)
        p:give(("a"):rep(before) .. bytes .. ("b"):rep(20))
        local wrong = stream.seen(role, w, p)
        assert.same({ {}, 1007 }, { wrong.messages, wrong.code })
        stream.over(w, p)
      end
    end)

    both(("may not hold %s over its fragments: 1007"):format(name), function(role)
      for cut = 1, #bytes - 1 do
        local list = { part(TEXT, bytes:sub(1, cut)), part(MORE, ""), last(bytes:sub(cut + 1)) }
        assert.same({}, stream.refused(role, list, 1007).messages)
      end
    end)

    both(("with %s is refused at byte %d of it, whatever may still come: 1007"):format(name, at), function(role)
      -- A frame that announces more, of which only so much has come.
      local options = { length = 100, mask = role == "server" and "\0\0\0\0" }
      local function so_far(n)
        local w, p = stream.session(role, nil, true)
        p.link:feed(stream.bytes(role, { { TEXT, "ab" .. bytes:sub(1, n), options } }))
        local code = stream.seen(role, w, p).code
        stream.over(w, p)
        return code
      end
      assert.is_nil(so_far(at - 1))
      assert.equal(1007, so_far(at))
    end)
  end

  both("that ends inside a character is refused: 1007", function(role)
    for _, bytes in ipairs { "\206", "\225", "\225\189", "\240", "\240\144", "\240\144\128", KOSME:sub(1, -2) } do
      assert.same({}, stream.refused(role, { text(bytes) }, 1007).messages)
      assert.same({}, stream.refused(role, { text(("a"):rep(60) .. bytes) }, 1007).messages)
      assert.same({}, stream.refused(role, { part(TEXT, bytes), last("") }, 1007).messages)
    end
  end)

  both("does not complete the character that the text before it left open", function(role)
    local seen = stream.refused(role, { part(TEXT, "a"), last("\206"), text("\186") }, 1007)
    assert.same({}, seen.messages)
  end)

  both("begins anew behind a binary message that ends like half a character", function(role)
    stream.hears(role, { stream.binary("\206"), text("a"), part(frames.BINARY, "\225"), last("\189"), text("b") },
      { "binary:\206", "text:a", "binary:\225\189", "text:b" })
  end)

  both("that is wrong in its first fragment is refused before the second one: 1007", function(role)
    stream.refused(role, { part(TEXT, KOSME .. "\237\160\128" .. "edited") }, 1007)
  end)

  both("of 64 KiB is refused for its last byte: 1007", function(role)
    stream.refused(role, { text(("x"):rep(65535) .. "\206") }, 1007)
  end)
end)

describe("the check of text", function()
  -- Every character of the plane, and every pair of bytes, against what RFC 3629 says.
  local function char(c)
    if c < 0x80 then return string.char(c) end
    if c < 0x800 then return string.char(0xC0 + math.floor(c / 64), 0x80 + c % 64) end
    local tail = string.char(0x80 + math.floor(c / 64) % 64, 0x80 + c % 64)
    if c < 0x10000 then return string.char(0xE0 + math.floor(c / 4096)) .. tail end
    return string.char(0xF0 + math.floor(c / 262144), 0x80 + math.floor(c / 4096) % 64) .. tail
  end

  it("lets every character pass that there is", function()
    local all = {}
    for c = 0, 0x10FFFF, 7 do
      if c < 0xD800 or c > 0xDFFF then all[#all + 1] = char(c) end
    end
    local whole = table.concat(all)
    local w, p = stream.session("client")
    p:give(whole)
    assert.is_true(w.log[1].event == "message" and w.log[1][1] == whole)
    stream.over(w, p)
  end)

  it("knows which two bytes can begin a text", function()
    local function allowed(a, b)
      if a < 0x80 then return b < 0x80 or (b >= 0xC2 and b <= 0xF4) end
      if a < 0xC2 or a > 0xF4 then return false end
      local least = a == 0xE0 and 0xA0 or a == 0xF0 and 0x90 or 0x80
      local most = a == 0xED and 0x9F or a == 0xF4 and 0x8F or 0xBF
      return b >= least and b <= most
    end
    local wrong = {}
    for a = 0, 255 do
      for b = 0, 255 do
        local w, p = stream.session("client", nil, true)
        p.link:feed("\1\2" .. string.char(a, b)) -- a first fragment
        if (p.link:ending() == nil) ~= allowed(a, b) then wrong[#wrong + 1] = hex(string.char(a, b)) end
        stream.over(w, p)
      end
    end
    assert.same({}, wrong)
  end)
end)

describe("a binary message", function()
  both("may hold any of it", function(role)
    for _, case in ipairs(BAD) do stream.hears(role, { stream.binary(case[2]) }, { "binary:" .. case[2] }) end
  end)
end)
