--- Faults that failmalloc must see: `way` names the scene, whose memory fails, and how. Run by sees.lua.

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
fault("huge core once", "the rest of a write is not looked at", "csrc/uv/stream.c",
  "  if (!w) return UV_ENOMEM;\n", "")
fault("world lua once", "a world stays in the place of the host", "lua/dop/sim.lua",
  "  host.running = false\n  loop.swap(before)\n",
  "  host.running = false\n  if ok then loop.swap(before) end\n")

return list
