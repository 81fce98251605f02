--- Faults that failmalloc must see: `way` names the scene, whose memory fails, and how; then perhaps, in numbers, each
-- how many-th request, from which one on and up to which. Run by sees.lua.

local list, fault = require "spec.support.planted".list "way"

fault("plain core once", "a token is not looked at", "csrc/session/token.c",
  "if (t) memcpy(t->text, text, len);", "memcpy(t->text, text, len);")
fault("replay core always", "nothing is owed", "csrc/session/engine.c",
  "if (never_lost[i] == type) return 1u << i;",
  "if (never_lost[i] == type && 0) return 1u << i;")
fault("plain lua once", "a message that Lua did not hear counts as heard", "csrc/bind/host.c",
  "if (d.in_hand && !d.told) {", "if (0) {")
fault("plain core once", "half a link is left", "csrc/link/link.c",
  "  if (!l->upgrade) {\n    dop_free(l);\n", "  if (!l->upgrade) {\n")
fault("lost core once", "a window has no place", "csrc/session/node.c",
  "(t->role == DOP_SERVER && dop_timers_reserve(",
  "(0 && dop_timers_reserve(")
fault("huge core always", "the rest of a write is not looked at", "csrc/uv/stream.c",
  "  if (!w) return UV_ENOMEM;\n", "")
fault("world lua once", "a world stays in the place of the host", "lua/dop/sim.lua",
  "  host.running = false\n  loop.swap(before)\n",
  "  host.running = false\n  if ok then loop.swap(before) end\n")
fault("drained core once", "a drain has no place", "csrc/session/transport.c",
  "(role == DOP_SERVER && dop_timers_reserve(&e->timers, &t->drain))",
  "(0 && dop_timers_reserve(&e->timers, &t->drain))")
fault("authorize core once", "who cannot be asked is not asked for", "csrc/link/handshake.c",
  "  if (!ev) {\n    dop_link_out_of_memory(l);\n    return;\n  }\n", "")
fault("caps core once", "without memory to count them all come in", "csrc/link/caps.c",
  "return DOP_REFUSED_MEMORY; /*", "return DOP_ADMITTED; /*")
fault("deflate core once", "half a deflater is left", "csrc/ws/deflate.c",
  "    return f;\n  dop_free(f);\n", "    return f;\n")
fault("deflate core once", "an inflater that was not made is used", "csrc/ws/deflate.c",
  "  if (!have_inflater(d)) return DOP_INFLATE_NOMEM;\n", "  have_inflater(d);\n")
fault("another-address ssl once 1 1 40", "a certificate for another address is good", "csrc/uv/tls_context.c",
  "!names_peer(dop_tls_context_of(t), cert)", "0")
fault("another-name ssl once 1 1 40", "a certificate for another name is good", "csrc/uv/tls_context.c",
  "  return X509_check_host(cert, c->name, 0, HOST_FLAGS, NULL) == 1;", "  return 1;")
fault("wss ssl once 1 1 40", "what OpenSSL calls back does not know its session", "csrc/uv/tls.c",
  "if (SSL_set_app_data(ssl, t) != 1) return -1;", "SSL_set_app_data(ssl, t);")
fault("server-context ssl once 29", "no memory is a bad certificate", "csrc/uv/tls_context.c",
  "return dop_tls_lacked_memory() || silent ? no_memory(m) : -1;", "return -1;")
fault("server-context ssl once 29", "a further name's context is left", "csrc/uv/tls_context.c",
  "    SSL_CTX_free(h->ctx);\n    c->api->free(h);\n    return -1;", "    c->api->free(h);\n    return -1;")

return list
