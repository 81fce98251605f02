--- Certificates for specs of TLS, made by the openssl command when a spec file begins and removed when it
-- ends: `local pki = certificates.new()`, `teardown(function() pki:remove() end)`. pki.NAME is the path of
-- NAME.pem, pki:key(NAME) that of its key. certificates.new(script) makes more, by the functions of the shell
-- below.

-- (The sanitizers' runtime is for the process that runs the specs, not for openssl.)

local certificates = {}

-- What the shell does; $1 is the directory. An authority and what it signs; another authority.
local SCRIPT = [[
set -eu
cd "$1"
cat >ca.conf <<END
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
default_days = 7
default_crl_days = 7
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
commonName = nobody
END
: >index
new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
authority() { # name
  new_key "$1"
  openssl req -config ca.conf -x509 -new -key "$1.key" -subj "/CN=$1" -days 7 -out "$1.pem" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign
}
signed() { # name, authority, subject, names, more for the signing...
  name=$1 by=$2 subject=$3 names=$4
  shift 4
  new_key "$name"
  openssl req -config ca.conf -new -key "$name.key" -subj "$subject" \
    ${names:+-addext "subjectAltName=$names"} -out "$name.csr"
  openssl ca -config ca.conf -batch -notext -cert "$by.pem" -keyfile "$by.key" \
    -in "$name.csr" -out "$name.pem" "$@"
}
issued() { # name, authority, subject, an extension a word...
  name=$1 by=$2 subject=$3 extensions=
  shift 3
  for extension in "$@"; do extensions="$extensions -addext $extension"; done
  new_key "$name"
  openssl req -config ca.conf -new -key "$name.key" -subj "$subject" $extensions -out "$name.csr"
  openssl ca -config ca.conf -batch -notext -cert "$by.pem" -keyfile "$by.key" -in "$name.csr" -out "$name.pem"
}
revoked() { # authority, the list's name, more for it...
  by=$1 name=$2
  shift 2
  openssl ca -config ca.conf -gencrl -cert "$by.pem" -keyfile "$by.key" -out "$name.pem" "$@"
}
revoke() { # authority, name
  openssl ca -config ca.conf -cert "$1.pem" -keyfile "$1.key" -revoke "$2.pem"
}
authority ca
authority other_ca
signed server ca /CN=localhost DNS:localhost,IP:127.0.0.1
signed renewed ca /CN=renewed DNS:localhost,IP:127.0.0.1
signed example ca /CN=example DNS:www.example.org,DNS:example.org
signed wild ca /CN=wild 'DNS:*.example.org,DNS:f*.example.net'
signed expired ca /CN=localhost DNS:localhost,IP:127.0.0.1 -startdate 20200101000000Z -enddate 20210101000000Z
signed early ca /CN=localhost DNS:localhost,IP:127.0.0.1 -startdate 20900101000000Z -enddate 20910101000000Z
signed alice ca /CN=alice ""
signed mallory other_ca /CN=mallory ""
new_key self
openssl req -config ca.conf -x509 -new -key self.key -subj /CN=localhost -days 7 -out self.pem \
  -addext subjectAltName=DNS:localhost,IP:127.0.0.1
openssl pkey -in server.key -aes256 -passout pass:secret -out locked.key
cat server.pem server.key >both.pem
mkdir hashed
cp ca.pem hashed/
openssl rehash hashed
]]

local pki = {}

function pki:__index(name)
  return pki[name] or self.dir .. "/" .. name .. ".pem"
end

function pki:key(name) return self.dir .. "/" .. name .. ".key" end

--- The option `tls` of a server with that certificate, and more.
function pki:identity(name, more)
  local options = { cert = self[name or "server"], key = self:key(name or "server") }
  for option, value in pairs(more or {}) do options[option] = value end
  return options
end

--- The text of a file.
function pki.text(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- Runs openssl with these arguments; returns what it printed.
function pki.openssl(arguments)
  local pipe = assert(io.popen("unset LD_PRELOAD; openssl " .. arguments .. " 2>/dev/null"))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

function pki:remove()
  assert(self.dir:find("^/[%w/._-]*dop%-pki%.%w+$"), self.dir)
  os.execute(("rm -r '%s'"):format(self.dir))
end

--- Those that another process made in that folder, and removes.
function certificates.at(dir) return setmetatable({ dir = dir }, pki) end

function certificates.new(more)
  local pipe = assert(io.popen([[mktemp -d "${TMPDIR:-/tmp}/dop-pki.XXXXXX"]]))
  local dir = pipe:read("*l")
  pipe:close()
  local script = dir .. "/make"
  local file = assert(io.open(script, "w"))
  file:write(SCRIPT, more or "")
  file:close()
  local shell = assert(io.popen(("unset LD_PRELOAD; sh '%s' '%s' >'%s/log' 2>&1; echo $?"):format(script, dir, dir)))
  local status = shell:read("*l")
  shell:close()
  local made = certificates.at(dir)
  if status ~= "0" then
    local log = pki.text(dir .. "/log")
    made:remove()
    error("openssl cannot make certificates:\n" .. log)
  end
  return made
end

return certificates
