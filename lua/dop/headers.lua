--- Header lines of the application, for the heads that dop writes. What would split a head, or say a
-- second time what dop says itself, is misuse.

local core = require "dop.core"

local headers = {}

local function set(list)
  local names = {}
  for _, name in ipairs(list) do names[name] = true end
  return names
end

-- What the upgrade says by itself: a second one would be refused by any server.
headers.REQUEST = set {
  "host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol",
  "sec-websocket-extensions", "content-length", "transfer-encoding",
}

-- The same in an answer, whatever it is. Content-Type is the application's, if it likes.
headers.ANSWER = set {
  "upgrade", "connection", "keep-alive", "sec-websocket-accept", "sec-websocket-version", "sec-websocket-protocol",
  "sec-websocket-extensions", "content-length", "transfer-encoding", "trailer",
}

-- Values may be secrets, and so may what stands behind a colon in the place of a name: they are not told.
local function line(name, value, what)
  if type(value) ~= "string" then
    error(("%s: a string, or a list of them, expected for %q, got %s"):format(what, name, type(value)), 0)
  end
  if not core.header_ok(name, value) then
    local shown = name:match("^[^:%s]*")
    local why = core.header_ok(name, "") and "its value has bytes that" or "a name with such bytes"
    error(("%s: %q: %s cannot stand in a head"):format(what, shown, why), 0)
  end
  return name .. ": " .. value .. "\r\n"
end

--- The lines of {name = value}, sorted; a value may be a list of values, one line each. `taken`: the
-- names that dop writes itself. Raises, at no line, with `what` in front. Second result: whether they
-- say the content's type.
function headers.lines(fields, taken, what)
  local list, typed = {}, false
  if type(fields) ~= "table" then
    error(("%s: a table of headers expected, as in { name = value }, got %s"):format(what, type(fields)), 0)
  end
  for name, value in pairs(fields) do
    if type(name) ~= "string" then
      error(("%s: the name of a header is a string, got %s"):format(what, tostring(name)), 0)
    end
    if taken[name:lower()] then error(("%s: %s is written by dop itself"):format(what, name), 0) end
    if type(value) == "table" then
      for i, one in ipairs(value) do list[#list + 1] = { name, i, line(name, one, what) } end
    else
      list[#list + 1] = { name, 1, line(name, value, what) }
    end
    typed = typed or name:lower() == "content-type"
  end
  -- In an order that is always the same, for worlds that are to run twice in one way.
  table.sort(list, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  for i, entry in ipairs(list) do list[i] = entry[3] end
  return table.concat(list), typed
end

return headers
