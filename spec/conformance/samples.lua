--- Five kinds of data that compress as differently as those of the suite: {kind, bytes}. Made here, the same
-- each time; texts are ASCII, so that they may be cut anywhere.

local samples = {}

local SIZE = 150000

-- Numbers from 0 to n - 1, the same in each run.
local function dice(seed)
  local x = seed
  return function(n)
    x = (x * 1103515245 + 12345) % 2147483648
    return math.floor(x / 65536) % n
  end
end

local function gather(make)
  local out, size = {}, 0
  while size < SIZE do
    local piece = make(#out)
    out[#out + 1], size = piece, size + #piece
  end
  return table.concat(out):sub(1, SIZE)
end

local WORDS = {}
for word in ([[der die das und nicht ein ich zu in mit auf es den sich wie er so von dem an war Geist Welt Nacht Licht
  Berg Wasser Feuer Stadt Himmel kommen gehen sehen sagen denken alt neu gross klein hell dunkel niemals
  immer]]):gmatch "%S+" do
  WORDS[#WORDS + 1] = word
end

local function records()
  local roll = dice(1)
  return gather(function(i)
    return ('{"id": %d, "name": "%s %s", "active": %s, "score": %d.%02d, "tags": ["%s", "%s"]},\n'):format(i,
      WORDS[roll(#WORDS) + 1], WORDS[roll(#WORDS) + 1], roll(2) == 0 and "true" or "false", roll(1000), roll(100),
      WORDS[roll(#WORDS) + 1], WORDS[roll(#WORDS) + 1])
  end)
end

local function image()
  local roll = dice(2)
  return gather(function(i)
    local x, y = i % 512, math.floor(i / 512)
    return string.char((math.floor(x / 4) + y + roll(3)) % 256)
  end)
end

local function prose()
  local roll = dice(3)
  return gather(function() return WORDS[roll(#WORDS) + 1] .. (roll(9) == 0 and ",\n" or " ") end)
end

local function page()
  local roll = dice(4)
  return gather(function(i)
    return ('<tr class="row%d"><td><a href="/page/%d">%s</a></td><td>%s</td></tr>\n'):format(i % 2, roll(500),
      WORDS[roll(#WORDS) + 1], WORDS[roll(#WORDS) + 1])
  end)
end

-- Streams of noise between short texts.
local function document()
  local roll = dice(5)
  return gather(function(i)
    local noise = {}
    for k = 1, 200 + roll(800) do noise[k] = string.char(roll(256)) end
    return ("%d 0 obj << /Length %d >> stream\n"):format(i, #noise) .. table.concat(noise) .. "\nendstream\n"
  end)
end

local makers = {
  { "text", records }, { "binary", image }, { "binary", prose }, { "text", page }, { "binary", document },
}

--- The n-th of them: kind, bytes.
function samples.get(n)
  local maker = makers[n]
  maker[3] = maker[3] or maker[2]()
  return maker[1], maker[3]
end

return samples
