-- Read by luacheck. Both Luas run the same source.
std = "max"
max_line_length = 120
files["spec"] = { std = "max+busted" }
files["spec/failmalloc"] = { read_globals = { "memory" } }
exclude_files = { "build" }
