# make help lists the targets. Variables: LUA (lua5.4 or luajit; both where it is not given), CC,
# CFLAGS, and those that the targets below name.
#
# Everything that is built lies under build/, a folder for each Lua and each kind of build, so that
# they never mix. Each target brings the packages that it needs, see .ci/need.

CFLAGS ?= -O2 -g
KIND ?=
LUAS = $(if $(LUA),$(LUA),lua5.4 luajit)
THE_LUA = $(firstword $(LUAS))

BUILD = build/$(THE_LUA)$(KIND)
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wimplicit-function-declaration -Werror
LUA_INCLUDE = $(if $(filter luajit,$(THE_LUA)),/usr/include/luajit-2.1,/usr/include/$(THE_LUA))
FLAGS = -std=gnu11 -fPIC -fvisibility=hidden -MMD -MP $(WARN) -Icsrc -I$(LUA_INCLUDE) $(CFLAGS)

CORE = base session ws link inproc sim bind
CORE_C = $(filter-out csrc/bind/uv.c csrc/bind/uv_%.c,$(foreach d,$(CORE),$(wildcard csrc/$(d)/*.c)))
UV_C = $(wildcard csrc/uv/*.c csrc/bind/uv_*.c) csrc/bind/uv.c
PROOF_C = $(wildcard csrc/proof/*.c)
objects = $(patsubst csrc/%.c,$(BUILD)/%.o,$(1))

PATHS = LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;' \
  LUA_CPATH='$(CURDIR)/$(BUILD)/?.so;;'
WITH = $(PATHS) LUA=$(THE_LUA)
SPECS ?= spec/session spec/ws spec/conformance spec/lua spec/tls spec/regress
INTEROP ?= spec/interop

# Runs a target of this Makefile once for each Lua.
each = @for lua in $(LUAS); do $(MAKE) --no-print-directory $(1) LUA=$$lua || exit 1; done

.PHONY: all
all: need-build ## build the two modules for each Lua
	$(call each,modules)

.PHONY: modules
modules: $(BUILD)/dop/core.so $(BUILD)/dop/uv.so

$(BUILD)/dop/core.so: $(call objects,$(CORE_C))
	@mkdir -p $(@D)
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -o $@ $^ -lz -lm

$(BUILD)/dop/uv.so: $(call objects,$(UV_C))
	@mkdir -p $(@D)
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -o $@ $^ -luv -lssl -lcrypto -lm

$(BUILD)/%.o: csrc/%.c
	@mkdir -p $(@D)
	@echo "CC $(BUILD) $<"
	@$(CC) $(FLAGS) -c -o $@ $<

-include $(patsubst %.o,%.d,$(call objects,$(CORE_C) $(UV_C) $(PROOF_C) $(wildcard csrc/fuzz/*.c)))

.PHONY: need-%
need-%:
	@.ci/need $(subst +, ,$*)

.PHONY: demo
demo: need-build ## the five scenes of the protocol, then a dozen cuts that lose nothing
	@$(MAKE) --no-print-directory -s modules LUA=$(THE_LUA)
	@$(WITH) $(THE_LUA) examples/demo.lua
	@echo; $(WITH) $(THE_LUA) examples/lossless.lua

.PHONY: test
test: need-build+test ## all specs that need nobody else's program, on Lua 5.4 and on LuaJIT
	$(call each,specs)

# A process for each file: a collection after each handler walks over what that file left alone.
.PHONY: specs
specs: modules
	@for file in $$(find $(SPECS) -name '*_spec.lua' | sort); do \
	  echo "== $(THE_LUA): $$file"; $(WITH) busted --lua=$(THE_LUA) $(BUSTED) $$file || exit 1; \
	done

.PHONY: interop
interop: need-build+test+interop ## the specs against a peer in JavaScript
	$(call each,specs SPECS=$(INTEROP))

.PHONY: peers
peers: need-build+test+peers ## other people's WebSockets in both roles: ws, websockets, gorilla
	@.ci/peers
	$(call each,specs SPECS=spec/peers)

.PHONY: proxies
proxies: need-build+test+proxies ## other people's proxies, in front and on the way: installs nginx, HAProxy and tinyproxy
	$(call each,specs SPECS=spec/proxies)

# Each end is a process of its own, so both Luas are built whichever runs the specs.
NETWORK ?= spec/real
.PHONY: network
network: need-build+test+network ## proofs over real sockets and processes; network namespaces need root
	@$(MAKE) --no-print-directory -s all build/real/breaker LUA=
	$(call each,specs SPECS='$(NETWORK)')

build/real/breaker: spec/support/breaker.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< -lm

# The simulator drives the objects that the core is made of.
SIM = build/sim
SIM_C = $(PROOF_C) $(filter-out csrc/bind/% csrc/inproc/%,$(CORE_C))
.PHONY: sim
sim: need-build ## seeded schedules of broken networks, both dialects; SCHEDULES=n SEED=s
	@$(MAKE) --no-print-directory -s $(SIM) LUA=$(THE_LUA)
	@$(SIM) --named
	@$(SIM) --plain $(or $(SCHEDULES),10000) $(or $(SEED),1)
	@$(SIM) $(or $(SCHEDULES),10000) $(or $(SEED),1)

$(SIM): $(call objects,$(SIM_C))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lz

# The core, its driver and a Lua whose memory fails, in one program.
FAIL = $(BUILD)/failmalloc
FAIL_LIB = $(if $(filter luajit,$(THE_LUA)),luajit-5.1,$(THE_LUA))
.PHONY: failmalloc
failmalloc: need-build ## every allocation fails in turn, once and for good; FAILMALLOC_STEP=n: each n-th; FAILMALLOC_JOBS=n; SCENES=...
	$(call each,failmalloc-one)

.PHONY: failmalloc-one
failmalloc-one:
	@$(MAKE) --no-print-directory -s $(FAIL) LUA=$(THE_LUA)
	@$(THE_LUA) spec/failmalloc/all.lua $(THE_LUA) $(FAIL) $(SCENES)

.PHONY: failmalloc-asan
failmalloc-asan: need-build+asan ## the same under the sanitizers, on one Lua: LUA, FAILMALLOC_STEP (7), SCENES
	@FAILMALLOC_STEP=$(or $(FAILMALLOC_STEP),7) $(MAKE) --no-print-directory failmalloc-one LUA=$(THE_LUA) $(SAN)

.PHONY: failmalloc-sees
failmalloc-sees: need-build ## faults that failmalloc must see, one after the other; FAULT=n: one alone
	@$(MAKE) --no-print-directory -s build/lua5.4/failmalloc LUA=lua5.4
	@SOURCES="$(CORE_C) $(UV_C)" lua5.4 spec/failmalloc/sees.lua $(FAULT)

$(FAIL): $(wildcard spec/failmalloc/*.c) $(call objects,$(CORE_C) $(UV_C))
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -MF $@.d $(LDFLAGS) -o $@ $^ -l$(FAIL_LIB) -luv -lssl -lcrypto -lz -lm

.PHONY: proof
proof: ## everything that takes long, as a report: 10^7 schedules, mutants, long networks
	@.ci/proof

.PHONY: mutants
mutants: need-build+test ## small faults in the machine, each seen by a schedule or a spec; FAULT=n: one alone
	@CORE_C="$(sort $(CORE_C))" UV_C="$(UV_C)" SIM_C="$(sort $(SIM_C))" lua5.4 spec/mutants/run.lua $(FAULT)

# The sanitizers' runtime must come first in the process, and the modules must stay loaded until it
# has named the leaks. A build that cannot see faults would pass everything: it must see two first.
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN = KIND=-asan CFLAGS="-O1 -g $(SANITIZE)" LDFLAGS=-Wl,-z,nodelete
.PHONY: asan
asan: need-build+test+asan+interop ## those specs but conformance's, and interop's, under AddressSanitizer, UBSan and LeakSanitizer
	$(call each,asan-one)

# Those of spec/conformance take minutes so, and what they reach spec/ws reaches as well: unless they are asked
# for, `make proof` has them.
ASAN_SPECS = $(if $(filter file,$(origin SPECS)),$(filter-out spec/conformance,$(SPECS)),$(SPECS))
.PHONY: asan-one
asan-one:
	@$(MAKE) --no-print-directory modules $(SAN)
	@.ci/asan $(THE_LUA) build/$(THE_LUA)-asan $(ASAN_SPECS) $(INTEROP)

# A target is a file of csrc/fuzz with fuzz_run() in it; libFuzzer is clang's. What it finds is left
# in build/fuzz/.
FUZZ_TARGETS = $(patsubst csrc/fuzz/%.c,%,$(shell grep -l '^void fuzz_run' csrc/fuzz/*.c))
FUZZ_SHARED = $(filter-out $(FUZZ_TARGETS:%=csrc/fuzz/%.c) csrc/fuzz/replay.c,$(wildcard csrc/fuzz/*.c))
FUZZ_C = $(FUZZ_SHARED) $(filter-out csrc/proof/%,$(SIM_C))
FUZZ_SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_CFLAGS = -O1 -g -fsanitize=fuzzer-no-link $(FUZZ_SANITIZE)
FUZZ_BUILD = LUA=$(THE_LUA) CC=clang KIND=-fuzz CFLAGS="$(FUZZ_CFLAGS)" LDFLAGS="-fsanitize=fuzzer $(FUZZ_SANITIZE)"
FUZZ_TIME ?= 60
FUZZ_JOBS ?= 1
.PHONY: fuzz
fuzz: need-build+fuzz ## inputs made up by libFuzzer: TARGET=name (all), FUZZ_TIME=s (60), FUZZ_JOBS=n at a time
	@$(MAKE) --no-print-directory -s fuzz-programs $(FUZZ_BUILD)
	@.ci/fuzz build/$(THE_LUA)-fuzz/fuzz $(FUZZ_TIME) $(FUZZ_JOBS) $(or $(TARGET),$(FUZZ_TARGETS))

.PHONY: fuzz-sees
fuzz-sees: need-build+fuzz ## faults that the fuzz targets must find, SECONDS (60) for each; FAULT=n: one alone
	@$(MAKE) --no-print-directory -s fuzz-programs $(FUZZ_BUILD)
	@FUZZ_C="$(FUZZ_C)" CC=clang CFLAGS="$(FUZZ_CFLAGS)" LDFLAGS="-fsanitize=fuzzer" BUILD=build/$(THE_LUA)-fuzz \
	  lua5.4 spec/fuzz/sees.lua $(or $(FAULT),all)

# The same targets without clang, on the inputs that are kept.
.PHONY: replay
replay: need-build ## the inputs in spec/fuzz/corpus again, under gcc's sanitizers
	@$(MAKE) --no-print-directory -s fuzz-programs LUA=$(THE_LUA) $(SAN) FUZZ_MAIN=csrc/fuzz/replay.c
	@for target in $(FUZZ_TARGETS); do \
	  build/$(THE_LUA)-asan/fuzz/$$target spec/fuzz/corpus/$$target || exit 1; done

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%)
$(FUZZ_TARGETS:%=$(BUILD)/fuzz/%): %: %.o $(call objects,$(FUZZ_C) $(FUZZ_MAIN))
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lz

# What the specs of the parsers and the inputs that are kept reach, by gcc's own gcov.
COVERAGE = KIND=-coverage CFLAGS="-Og -g --coverage" LDFLAGS=--coverage LUA=$(THE_LUA)
COVERAGE_SPECS ?= spec/ws spec/session spec/regress spec/lua/http_spec.lua
.PHONY: coverage
coverage: need-build+test ## lines that the specs and the kept inputs reach; the parsers need 95 %
	@find build/$(THE_LUA)-coverage -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory -s specs $(COVERAGE) SPECS="$(COVERAGE_SPECS)"
	@$(MAKE) --no-print-directory -s fuzz-programs $(COVERAGE) FUZZ_MAIN=csrc/fuzz/replay.c
	@for target in $(FUZZ_TARGETS); do \
	  build/$(THE_LUA)-coverage/fuzz/$$target spec/fuzz/corpus/$$target || exit 1; done
	@.ci/coverage build/$(THE_LUA)-coverage

# LuaJIT's machine code is not for memcheck to read; AddressSanitizer looks at it under LuaJIT, too.
VALGRIND_SPECS ?= spec/lua/smoke_spec.lua spec/session/queue_spec.lua
.PHONY: valgrind
valgrind: need-build+test+valgrind ## specs of the core under valgrind's memcheck, Lua 5.4: VALGRIND_SPECS
	@$(MAKE) --no-print-directory -s modules LUA=lua5.4 KIND=-valgrind CFLAGS="-O1 -g" LDFLAGS=-Wl,-z,nodelete
	@.ci/valgrind lua5.4 build/lua5.4-valgrind $(VALGRIND_SPECS)

.PHONY: lint
lint: need-build+lint ## luacheck, clang-format, warnings of gcc and clang, direction of includes, texts of planted faults
	@luacheck -q lua spec examples bench
	@clang-format --dry-run -Werror csrc/*/*.[ch] bench/*.[ch] bench/*/*.[ch] spec/support/*.c spec/failmalloc/*.c
	@.ci/includes
	@lua5.4 -e "require 'spec.support.planted'.check()"
	@for cc in gcc clang; do for lua in lua5.4 luajit-2.1; do for file in csrc/*/*.c spec/failmalloc/*.c; do \
	  $$cc -std=gnu11 $(WARN) -O1 -Icsrc -I/usr/include/$$lua -fsyntax-only $$file || exit 1; \
	done; done; done
	@for cc in gcc clang; do for file in bench/*.c bench/*/*.c spec/support/*.c; do \
	  $$cc -std=gnu11 $(WARN) -O1 -fsyntax-only $$file || exit 1; \
	done; done
	@echo "lint: nothing to mend"

.PHONY: bench
bench: need-build+bench ## CPU a message and bytes a session against a bare epoll loop
	@$(MAKE) --no-print-directory -s modules bench-tools LUA=$(THE_LUA)
	@$(WITH) BENCH_FLAGS="$(CC) $(CFLAGS)" bench/run

.PHONY: bench-tools
bench-tools: build/bench/bare build/bench/load build/bench/abuse

build/bench/load: bench/load.c bench/options.c bench/gauge.c bench/account.c bench/tls.c
build/bench/bare: bench/bare.c bench/tls.c
build/bench/%: $(wildcard bench/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $(filter %.c,$^) -lssl -lcrypto

# ABUSE=brief asserts what is no speed, within a minute; ABUSE_FLAGS="--scene pings" plays one scene.
.PHONY: abuse
abuse: need-build+bench+test ## what attacks cost a healthy client and the server's memory; ABUSE=brief: no speed is judged
	@$(MAKE) --no-print-directory -s modules build/bench/abuse LUA=$(THE_LUA)
	@$(WITH) build/bench/abuse $(if $(filter brief,$(ABUSE)),--brief) $(ABUSE_FLAGS) $(THE_LUA) bench/abuse/server.lua

build/bench/abuse: $(wildcard bench/abuse/*.c) bench/gauge.c bench/account.c $(wildcard bench/*.h bench/abuse/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $(filter %.c,$^) -lssl -lcrypto -lz

.PHONY: env
env: need-build ## print the paths: eval "$$(make -s env)", or make -s env LUA=luajit
	@$(MAKE) --no-print-directory -s modules LUA=$(THE_LUA) >&2
	@echo "export $(PATHS)"

PREFIX ?= /usr/local
LUA_VERSION = $(if $(filter luajit,$(THE_LUA)),5.1,$(patsubst lua%,%,$(THE_LUA)))
.PHONY: install
install: need-build ## install below PREFIX (/usr/local), for LUA
	@$(MAKE) --no-print-directory -s modules LUA=$(THE_LUA)
	install -d $(DESTDIR)$(PREFIX)/share/lua/$(LUA_VERSION)/dop $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_VERSION)/dop
	install -m 644 lua/dop/*.lua $(DESTDIR)$(PREFIX)/share/lua/$(LUA_VERSION)/dop
	install -m 755 $(BUILD)/dop/*.so $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_VERSION)/dop

.PHONY: rock
rock: need-build+rock ## build the rock into a clean tree and use it from there, for each Lua
	$(call each,rock-one)

.PHONY: rock-one
rock-one:
	@.ci/rock $(THE_LUA) $(LUA_VERSION) $(LUA_INCLUDE)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { gsub(/[$$][$$]/, "$$"); printf "  make %-15s %s\n", $$1, $$2 }' Makefile
