--- The certificates of the scenes over TLS: a new folder of spec/support/certificates.lua, with one more that was
-- revoked and the list of such. Whoever calls it removes it.

return function()
  return require("spec.support.certificates").new [[
signed banned ca /CN=localhost DNS:localhost,IP:127.0.0.1
revoke ca banned
revoked ca list
]]
end
