--- What a server's application says to requests, made into what the machine takes: `authorize` and
-- `http` as docs/api.md has them become functions as csrc/bind/decide.c has them. What raises here is
-- told as an error of the application's function, and the client hears 500.

local core = require "dop.core"
local headers = require "dop.headers"

local answers = {}

-- Header lines behind the results that are there already. Most have none.
local function with_lines(what, fields, ...)
  if fields == nil then return ... end
  local lines, typed = headers.lines(fields, headers.ANSWER, what)
  if select("#", ...) == 1 then return (...), lines end
  local verdict, status, text = ...
  return verdict, status, text, lines, typed
end

local function judge(verdict, second, text, fields)
  if not verdict then return with_lines("authorize: the headers", fields, verdict, second, text) end
  return with_lines("authorize: the headers", type(second) == "table" and second or nil, verdict)
end

--- `authorize(request)` returns true or a principal, and may add a table of headers for the 101; or
-- nil, and may add a status, a text and a table of headers.
function answers.verdict(authorize)
  return function(request) return judge(authorize(request)) end
end

local function check(status, text, fields)
  if status == nil then return nil end
  if type(status) ~= "number" or status ~= math.floor(status) or status < 200 or status > 599 then
    error(("http: a status from 200 to 599 expected, or nil, got %s"):format(tostring(status)), 0)
  end
  if text ~= nil and type(text) ~= "string" then
    error(("http: a string expected for the text, got %s"):format(type(text)), 0)
  end
  if fields == nil then return status, text end
  return status, text, headers.lines(fields, headers.ANSWER, "http: the headers")
end

local BUSY = "Retry-After: 5\r\n"

--- The function for requests without an upgrade: the path `health` answers by itself, http(request)
-- returns status, text and perhaps a table of headers, or nil. Either may be nil, and the result with
-- both.
function answers.http(server, health, http)
  if not health and not http then return nil end
  return function(request)
    if health and request.path == health then
      if core.accepting(server) then return 200, "ok\n", "Cache-Control: no-store\r\n" end
      return 503, "This server takes no sessions now.\n", BUSY .. "Cache-Control: no-store\r\n"
    end
    if not http then return nil end
    return check(http(request))
  end
end

return answers
