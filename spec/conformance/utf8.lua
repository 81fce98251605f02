--- Category 6: text is UTF-8, and what is not is refused at the byte that shows it.

local player = require "spec.conformance.player"
local frames = require "spec.support.frames"
local stream = require "spec.ws.stream"
local text, part, last = stream.text, stream.part, stream.last
local echoes, fails, quiet = player.echoes, player.fails, player.quiet
local TEXT, MORE = frames.TEXT, frames.CONTINUATION

local cases = {}
local function add(case) cases[#cases + 1] = case end

-- Bytes written in hexadecimal.
local function hex(s) return (s:gsub("%s", ""):gsub("..", function(h) return string.char(tonumber(h, 16)) end)) end

-- A text in fragments of one byte.
local function bytewise(s)
  local list = {}
  for i = 1, #s do list[i] = { i == 1 and TEXT or MORE, s:sub(i, i), { fin = i == #s } } end
  return list
end

add(echoes("6.1.1", { text("") }, { { "text", "" } }))
add(echoes("6.1.2", { part(TEXT, ""), part(MORE, ""), last("") }, { { "text", "" } }))
add(echoes("6.1.3", { part(TEXT, ""), part(MORE, "in the middle"), last("") }, { { "text", "in the middle" } }))

local KOSME = hex "CEBA E1BDB9 CF83 CEBC CEB5"
local UMLAUTS = "Hello-" .. hex "C2B5 40 C39F C3B6 C3A4 C3BC C3A0 C3A1" .. "-UTF-8!!"
add(echoes("6.2.1", { text(UMLAUTS) }, { { "text", UMLAUTS } }))
add(echoes("6.2.2", { part(TEXT, UMLAUTS:sub(1, 15)), last(UMLAUTS:sub(16)) }, { { "text", UMLAUTS } }))
add(echoes("6.2.3", bytewise(UMLAUTS), { { "text", UMLAUTS } }))
add(echoes("6.2.4", bytewise(KOSME), { { "text", KOSME } }))

-- Right up to byte 11; the thirteenth shows what is wrong.
local surrogate = KOSME .. hex "EDA080" .. "edited"
add(fails("6.3.1", { text(surrogate) }, {}, 1007))
add(fails("6.3.2", bytewise(surrogate), {}, 1007))

-- Nothing is said to what may still become right, and nothing more is waited for once it cannot: the
-- peer never comes to its third part. In frames, then in one frame that says how long it will be.
local beyond = KOSME .. hex "F4908080" .. "edited"
local function frame_so_far(s) return { TEXT, s, { length = #beyond } } end
add(fails("6.4.1", { part(TEXT, KOSME), quiet(), part(MORE, hex "F4908080") }, {}, 1007))
add(fails("6.4.2", { part(TEXT, beyond:sub(1, 12)), quiet(), part(MORE, beyond:sub(13, 13)) }, {}, 1007))
add(fails("6.4.3", { frame_so_far(KOSME), quiet(), { more = hex "F4908080", behind = 11 } }, {}, 1007))
add(fails("6.4.4", { frame_so_far(beyond:sub(1, 12)), quiet(), { more = beyond:sub(13, 13), behind = 12 } }, {}, 1007))

-- One text each, by subject. What begins with "!" is not UTF-8.
local function range(from, to, behind)
  local out = {}
  for byte = from, to do out[#out + 1] = ("%02X"):format(byte) .. behind end
  return table.concat(out)
end

-- The nine-and-twenty code points that end in FFFE or FFFF, from the planes that there are.
local function no_characters()
  local list = { "EFBFBE", "EFBFBF" }
  for _, lead in ipairs { "F0", "F1", "F2", "F3" } do
    for _, second in ipairs { "8F", "9F", "AF", "BF" } do
      if lead .. second ~= "F08F" then -- that would be the first plane in a form too long
        list[#list + 1] = lead .. second .. "BFBE"
        list[#list + 1] = lead .. second .. "BFBF"
      end
    end
  end
  list[#list + 1], list[#list + 2] = "F48FBFBE", "F48FBFBF"
  return list
end

local world = "776F726C64"
local cut_short = { "C0", "E080", "F08080", "F8808080", "FC80808080", "DF", "EFBF", "F7BFBF", "FBBFBFBF", "FDBFBFBFBF" }
local function wrong(list)
  local out = {}
  for i, s in ipairs(list) do out[i] = "!" .. s end
  return out
end

local SUBJECTS = {
  [5] = { -- right ones
    "68656C6C6F 24" .. world, "68656C6C6F C2A2" .. world, "68656C6C6F E282AC" .. world, "68656C6C6F F0A4ADA2" .. world,
    "CEBA E1BDB9 CF83 CEBC CEB5",
  },
  [6] = { -- all that the last of them can be cut to
    "!CE", "CEBA", "!CEBA E1", "!CEBA E1BD", "CEBA E1BDB9", "!CEBA E1BDB9 CF", "CEBA E1BDB9 CF83",
    "!CEBA E1BDB9 CF83 CE", "CEBA E1BDB9 CF83 CEBC", "!CEBA E1BDB9 CF83 CEBC CE", "CEBA E1BDB9 CF83 CEBC CEB5",
  },
  [7] = { "00", "C280", "E0A080", "F0908080" }, -- the first of each length
  [8] = wrong { "F888808080", "FC8480808080" }, -- of lengths that there were once
  [9] = { "7F", "DFBF", "EFBFBF", "F48FBFBF" }, -- the last of each length
  [10] = wrong { "F7BFBFBF", "FBBFBFBFBF", "FDBFBFBFBFBF" }, -- beyond what there is
  [11] = { "ED9FBF", "EE8080", "EFBFBD", "F48FBFBF", "!F4908080" }, -- the edges
  [12] = wrong { "80", "BF", "80BF", "80BF80", "80BF80BF", "80BF80BF80", "80BF80BF80BF", range(0x80, 0xBE, "") },
  [13] = wrong { range(0xC0, 0xDE, "20"), range(0xE0, 0xEE, "20"), range(0xF0, 0xF6, "20"), range(0xF8, 0xFA, "20"),
    range(0xFC, 0xFC, "20") }, -- beginnings alone
  [14] = wrong(cut_short), -- the last byte is missing
  [15] = wrong { table.concat(cut_short) },
  [16] = wrong { "FE", "FF", "FEFEFFFF" }, -- bytes that never are
  [17] = wrong { "C0AF", "E080AF", "F08080AF", "F8808080AF", "FC80808080AF" }, -- a slash in forms too long
  [18] = wrong { "C1BF", "E09FBF", "F08FBFBF", "F887BFBFBF", "FC83BFBFBFBF" }, -- the longest such forms
  [19] = wrong { "C080", "E08080", "F0808080", "F880808080", "FC8080808080" }, -- NUL in such forms
  [20] = wrong { "EDA080", "EDADBF", "EDAE80", "EDAFBF", "EDB080", "EDBE80", "EDBFBF" }, -- surrogates
  [21] = wrong { "EDA080EDB080", "EDA080EDBFBF", "EDADBFEDB080", "EDADBFEDBFBF", "EDAE80EDB080", "EDAE80EDBFBF",
    "EDAFBFEDB080", "EDAFBFEDBFBF" }, -- pairs of them
  [22] = no_characters(), -- code points that are no characters may be in a text
  [23] = { "EFBFB9", "EFBFBA", "EFBFBB", "EFBFBC", "EFBFBD", "EFBFBE", "EFBFBF" }, -- the specials
}
for subject = 5, 23 do
  for i, s in ipairs(SUBJECTS[subject]) do
    local number, bytes = ("6.%d.%d"):format(subject, i), hex((s:gsub("!", "")))
    if s:sub(1, 1) == "!" then
      add(fails(number, { text(bytes) }, {}, 1007))
    else
      add(echoes(number, { text(bytes) }, { { "text", bytes } }))
    end
  end
end

return cases
