rockspec_format = "3.0"
package = "dop"
version = "scm-1"
source = { url = "git+https://github.com/dop-lua/dop.git" }
description = {
  summary = "Sessions that survive reconnects, over WebSocket",
  detailed = [[
    Two ends exchange random tokens over a WebSocket; together they make a session. When the socket
    dies the client opens another, presents the token, and the same node goes on. A C core on libuv,
    for Lua 5.4 and LuaJIT 2.1.
  ]],
  license = "MIT",
}
supported_platforms = { "unix" }
dependencies = { "lua >= 5.1" }
external_dependencies = {
  LIBUV = { header = "uv.h", library = "uv" },
  OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
  CRYPTO = { header = "openssl/crypto.h", library = "crypto" },
  ZLIB = { header = "zlib.h", library = "z" },
}
build = {
  type = "builtin",
  modules = {
    ["dop.core"] = {
      sources = {
        "csrc/base/alloc.c",
        "csrc/base/bytes.c",
        "csrc/base/random.c",
        "csrc/base/sha1.c",
        "csrc/base/siphash.c",
        "csrc/base/timers.c",
        "csrc/bind/anchor.c",
        "csrc/bind/check.c",
        "csrc/bind/core.c",
        "csrc/bind/decide.c",
        "csrc/bind/engine.c",
        "csrc/bind/host.c",
        "csrc/bind/link.c",
        "csrc/bind/network.c",
        "csrc/bind/node.c",
        "csrc/bind/token.c",
        "csrc/bind/transport.c",
        "csrc/bind/type.c",
        "csrc/inproc/inproc.c",
        "csrc/link/handshake.c",
        "csrc/link/link.c",
        "csrc/session/claim.c",
        "csrc/session/dialogue.c",
        "csrc/session/directory.c",
        "csrc/session/engine.c",
        "csrc/session/lossless.c",
        "csrc/session/node.c",
        "csrc/session/principal.c",
        "csrc/session/queue.c",
        "csrc/session/r1.c",
        "csrc/session/resume.c",
        "csrc/session/socket.c",
        "csrc/session/token.c",
        "csrc/session/tombs.c",
        "csrc/session/transport.c",
        "csrc/sim/network.c",
        "csrc/sim/wire.c",
        "csrc/ws/connection.c",
        "csrc/ws/frame.c",
        "csrc/ws/upgrade.c",
        "csrc/ws/utf8.c",
      },
      incdirs = { "csrc", "$(ZLIB_INCDIR)" },
      libraries = { "z", "m" },
      libdirs = { "$(ZLIB_LIBDIR)" },
    },
    ["dop.uv"] = {
      sources = {
        "csrc/uv/address.c",
        "csrc/uv/dialer.c",
        "csrc/uv/listener.c",
        "csrc/uv/loop.c",
        "csrc/uv/stream.c",
        "csrc/bind/uv.c",
      },
      incdirs = { "csrc", "$(LIBUV_INCDIR)", "$(OPENSSL_INCDIR)" },
      libraries = { "uv", "ssl", "crypto", "m" },
      libdirs = { "$(LIBUV_LIBDIR)", "$(OPENSSL_LIBDIR)", "$(CRYPTO_LIBDIR)" },
    },
    ["dop.answers"] = "lua/dop/answers.lua",
    ["dop.backoff"] = "lua/dop/backoff.lua",
    ["dop.client"] = "lua/dop/client.lua",
    ["dop.clock"] = "lua/dop/clock.lua",
    ["dop.co"] = "lua/dop/co.lua",
    ["dop.emitter"] = "lua/dop/emitter.lua",
    ["dop.headers"] = "lua/dop/headers.lua",
    ["dop"] = "lua/dop/init.lua",
    ["dop.inproc"] = "lua/dop/inproc.lua",
    ["dop.loop"] = "lua/dop/loop.lua",
    ["dop.options"] = "lua/dop/options.lua",
    ["dop.server"] = "lua/dop/server.lua",
    ["dop.sim"] = "lua/dop/sim.lua",
    ["dop.simhost"] = "lua/dop/simhost.lua",
    ["dop.transport"] = "lua/dop/transport.lua",
    ["dop.url"] = "lua/dop/url.lua",
  },
  copy_directories = { "docs", "examples" },
}
