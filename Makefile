# One Makefile for everything, read top to bottom: settings, flags, layers,
# the link rows, then the targets.  `make help` lists the targets.
#
#	make V=1		show whole commands
#	make WERROR=1		a warning is an error (CI)
#	make VARIANT=asan	build one variant: normal crash sim asan tsan fuzz
#				cover
#	make check T=wal	run only the tests whose name contains "wal"
#	make BUILD=/tmp/b	build there, beside another one's build

VERSION = 0.1.0

# ---- build-time settings: make PREFIX=/usr SEGMENT_SIZE=16777216 ------------

PREFIX		?= /usr/local
BINDIR		?= $(PREFIX)/bin
LIBDIR		?= $(PREFIX)/lib
INCLUDEDIR	?= $(PREFIX)/include
LIBEXECDIR	?= $(PREFIX)/libexec/kv
MANDIR		?= $(PREFIX)/share/man
SYSCONFDIR	?= /etc
UNITDIR		?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR	?= $(PREFIX)/lib/sysusers.d
COMPLETIONDIR	?= $(PREFIX)/share/bash-completion/completions
SEGMENT_SIZE	?= 67108864
VALUE_MAX	?= 16777216
MAX_PROCESSES	?= 128

# Each of these is a macro KV_BUILD_x in every file and a line of
# `kvd --version -v`; texts first, then numbers.
SETTINGS_TEXT	= PREFIX LIBEXECDIR SYSCONFDIR
SETTINGS_NUMBER	= SEGMENT_SIZE VALUE_MAX MAX_PROCESSES

# ---- variants: own objects in $(OBJ), own programs in $(OUT) ----------------

BUILD	?= build
VARIANT	?= normal
OBJ	= $(BUILD)/obj/$(VARIANT)
OUT	= $(BUILD)$(if $(filter normal,$(VARIANT)),,/$(VARIANT))

ifneq ($(filter-out normal crash sim asan tsan fuzz cover,$(VARIANT)),)
$(error VARIANT=$(VARIANT): expected normal, crash, sim, asan, tsan, fuzz \
    or cover)
endif

SANITIZE	= -fno-omit-frame-pointer -fno-sanitize-recover=all
VARIANT_crash	= -DKV_CRASH_POINTS
VARIANT_sim	= -DKV_MUTATE
VARIANT_asan	= -O1 -fsanitize=address,undefined $(SANITIZE)
VARIANT_tsan	= -O1 -fsanitize=thread $(SANITIZE)
VARIANT_fuzz	= -O1 -fsanitize=fuzzer-no-link,address,undefined $(SANITIZE)
VARIANT_cover	= -O0 --coverage
instrumented	= $(filter asan tsan fuzz cover,$(VARIANT))

ifneq ($(filter default undefined,$(origin CC)),)
CC = gcc
endif
ifeq ($(VARIANT),fuzz)
override CC = clang
endif
ifneq ($(filter default undefined,$(origin AR)),)
AR = ar
endif
OBJCOPY	?= objcopy

# ---- flags: gcc 12 and clang 14 know all of these ---------------------------

CFLAGS	?= -O2 -g
WARN	= -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual \
	  -Wformat=2 -Wvla -Wswitch-enum -Wstrict-prototypes \
	  -Wmissing-prototypes -Wundef -Wnull-dereference \
	  $(if $(WERROR),-Werror)
HARDEN	= -fstack-protector-strong -fstack-clash-protection -fcf-protection
ifeq ($(instrumented),)
HARDEN	+= -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
endif
LANG_FLAGS = -std=c17 -D_GNU_SOURCE -Iinclude -Isrc -pthread
# Everything is position independent once, so that programs (PIE) and libkv.so
# share their objects; hidden visibility makes that cost nothing.
CODEGEN	= -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections
ALL_CFLAGS = $(LANG_FLAGS) $(CODEGEN) $(WARN) $(HARDEN) $(CFLAGS) \
	  $(VARIANT_$(VARIANT))
ALL_LDFLAGS = -pthread -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro \
	  -Wl,-z,now -Wl,-z,noexecstack $(filter -fsanitize=% --coverage, \
	  $(VARIANT_$(VARIANT))) $(LDFLAGS)

# ---- layers -----------------------------------------------------------------
# A folder is a layer; its archive holds all but main.c, so that unit tests can
# reach every module.  A folder that is not there yet is skipped.

LAYERS	= syncd supervisor checkpointer walwriter worker lib engine secret \
	  sync serve tree wal shm conf proto io base
sources	 = $(sort $(filter-out %/main.c,$(wildcard src/$1/*.c)))
objects	 = $(patsubst %.c,$(OBJ)/%.o,$1)
archives = $(foreach l,$1,$(if $(call sources,$l),$(OBJ)/src/$l.a))

# ---- link rows: what each program may reach, highest layer first ------------
# The order is the architecture: one pass over the archives must do, so a lower
# layer that calls a higher one, or a program that calls what its row does not
# name, does not link.

DIR_kvd			= src/supervisor
LAYERS_kvd		= supervisor conf io shm base
LIBS_kvd		= -linih

DIR_kv-worker		= src/worker
LAYERS_kv-worker	= worker engine tree wal shm serve proto io conf base
LIBS_kv-worker		= -llmdb -lsodium -linih

DIR_kv-walwriter	= src/walwriter
LAYERS_kv-walwriter	= walwriter engine tree wal shm io conf base
LIBS_kv-walwriter	= -llmdb -lsodium -linih

DIR_kv-checkpointer	= src/checkpointer
LAYERS_kv-checkpointer	= checkpointer engine tree wal shm io conf base
LIBS_kv-checkpointer	= -llmdb -lsodium -linih

DIR_kv-syncd		= src/syncd
LAYERS_kv-syncd		= syncd engine secret sync tree wal shm serve proto io \
			  conf base
LIBS_kv-syncd		= -llmdb -lsodium -linih -lcares

LAYERS_libkv		= lib engine secret sync tree wal shm proto io conf base
LIBS_libkv		= -llmdb -lsodium -linih

# Tools see <kv.h> and nothing else of ours.
DIR_kv			= tools/kv
LIBS_kv			= $(LIBS_libkv) -ledit -ljansson
DIR_kv-bench		= tools/bench
LIBS_kv-bench		= $(LIBS_libkv)

LIBS_tests		= $(LIBS_libkv) -lcares -lcmocka

have	 = $(foreach p,$1,$(if $(wildcard $(DIR_$p)/main.c),$p))
ROLES	:= $(call have,kv-worker kv-walwriter kv-checkpointer kv-syncd)
DAEMONS	:= $(call have,kvd) $(ROLES)
TOOLS	:= $(call have,kv kv-bench)
LIBKV	:= $(if $(call sources,lib),libkv.a libkv.so)
PROGRAMS = $(addprefix $(OUT)/,$(DAEMONS) $(LIBKV) $(TOOLS))

# ---- tests ------------------------------------------------------------------
# Every test_*.c and thread_*.c is a program; other files beside them are
# helpers linked into all of them.  A fuzzer's seeds are replayed as a test.

T	?=
pick	 = $(if $(T),$(foreach f,$1,$(if $(findstring $(T),$f),$f)),$1)
named	 = $(sort $(patsubst %.c,$(OUT)/tests/%,$(notdir $(wildcard $1))))
UNIT_HELPERS := $(filter-out tests/unit/test_% tests/unit/thread_%, \
	$(wildcard tests/unit/*.c))
SIM_PARTS := $(filter-out tests/sim/test_% tests/sim/main.c, \
	$(wildcard tests/sim/*.c))
UNIT	 = $(call named,tests/unit/test_*.c tests/unit/thread_*.c \
	tests/sim/test_*.c tests/fuzz/fuzz_*.c)
THREADS	 = $(call named,tests/unit/thread_*.c)
TEST_AIDS = $(call named,tests/integration/*.c tests/crash/*.c)
SCRIPTS	 = $(sort $(wildcard tests/integration/test_*.py tests/sim/test_*.py))
CRASH	 = $(sort $(wildcard tests/crash/test_*.py))
HOSTS	 = $(sort $(wildcard tests/net/test_*.py))
FUZZ	 = $(sort $(notdir $(basename $(wildcard tests/fuzz/fuzz_*.c))))
C_FILES	 = $(shell find include src tools tests -name '*.[ch]' 2>/dev/null | sort)

# ---- what is installed ------------------------------------------------------

SONAME	= libkv.so.0
HEADERS	= $(wildcard include/*.h)
MAN	= $(wildcard man/*.[1-8])
INSTALL_DIRS = $(BINDIR) $(LIBEXECDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR) \
	$(UNITDIR) $(SYSUSERSDIR) $(COMPLETIONDIR)
built	= $(addprefix $(BUILD)/,$1)
fill	= sed -e 's|@VERSION@|$(VERSION)|g; s|@PREFIX@|$(PREFIX)|g' \
	-e 's|@BINDIR@|$(BINDIR)|g; s|@LIBDIR@|$(LIBDIR)|g' \
	-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g; s|@LIBS@|$(LIBS_libkv)|g; \
	s|@SYSCONFDIR@|$(SYSCONFDIR)|g'

# ---- packages of Debian 12 --------------------------------------------------

RUN_DEPS = gcc libc6-dev liblmdb-dev libsodium-dev libxxhash-dev uthash-dev \
	libinih-dev libedit-dev libjansson-dev libc-ares-dev
CHECK_DEPS = $(RUN_DEPS) libcmocka-dev python3 redis-tools procps iproute2 \
	libfaketime
DEV_DEPS = $(CHECK_DEPS) git clang libclang-rt-14-dev clang-format clang-tidy tcl

# ---- targets ----------------------------------------------------------------

MAKEFLAGS += -rR --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL = all
Q	= $(if $(V),,@)
say	= $(if $(V),,@echo '  $1	$(2:$(CURDIR)/%=%)')
# A build is locked, so that `make run` and `make check` may start together.
submake	= mkdir -p $(BUILD) && flock -o $(BUILD)/lock $(MAKE)
bin	= $(abspath $(BUILD))

.PHONY: all run demo deps check unit asan tsan fuzz cover lint format bench \
	check-redis check-hosts bench-creates bench-sync install uninstall clean help FORCE sim sim-mutations \
	programs test-programs thread-programs fuzz-programs sim-program

all: ## build all programs and libkv into build/
	+@$(submake) programs

run: ## install what is missing, build, serve ports 4050 and 4051
	@tools/dev/deps $(RUN_DEPS)
	+@$(submake) programs
	@state="$${XDG_STATE_HOME:-$$HOME/.local/state}/kv/run" && \
	    mkdir -p "$$state" && \
	    exec $(BUILD)/kvd --dir "$$state" --port $${PORT:-4050,4051}

demo: ## show CREATE, PUT, GET and SUBSCRIBE over two ports
	@tools/dev/deps $(RUN_DEPS)
	+@$(submake) programs
	@tools/dev/demo $(bin)

deps: ## install the Debian packages for building, testing, linting, measuring
	@tools/dev/deps $(DEV_DEPS)

check: ## install what is missing, build, run all tests
	@tools/dev/deps $(CHECK_DEPS)
	+@$(submake) programs test-programs
	+@$(if $(CRASH),$(submake) VARIANT=crash programs test-programs)
	+@$(submake) VARIANT=sim sim-program
	@KV_BIN=$(bin) KV_CRASH_BIN=$(bin)/crash KV_ROUNDS=$${KV_ROUNDS:-10} \
	    KV_SIM=$(bin)/sim/tests/sim \
	    tools/dev/run-tests $(call pick,$(UNIT) $(SCRIPTS) $(CRASH) $(HOSTS))

unit: ## only the unit tests (make unit T=wal LAYERS="wal shm io base")
	+@$(submake) test-programs
	@tools/dev/run-tests $(call pick,$(UNIT))

asan: ## all tests under the address and undefined behaviour sanitizers
	+@$(submake) VARIANT=asan programs test-programs sim-program
	@KV_BIN=$(bin)/asan KV_SIM=$(bin)/asan/tests/sim KV_SIM_RUNS=100 \
	    KV_SLOW=$${KV_SLOW:-4} tools/dev/run-tests -t 900 -s $(bin)/asan/log \
	    $(call pick,$(UNIT:$(OUT)/%=$(BUILD)/asan/%) $(SCRIPTS))

tsan: ## the threaded unit tests under the thread sanitizer
	+@$(submake) VARIANT=tsan thread-programs
	@tools/dev/run-tests -s $(bin)/tsan/log \
	    $(call pick,$(THREADS:$(OUT)/%=$(BUILD)/tsan/%))

SIM	= $(BUILD)/sim/tests/sim
SIM_SEEDS ?= 1:20000
sim: ## simulate replication: SIM_SEEDS (1:20000) of every profile of faults
	+@$(submake) VARIANT=sim sim-program
	@$(SIM) --seeds $(SIM_SEEDS)

sim-mutations: ## is each mechanism of replication missed when it is taken away?
	+@$(submake) VARIANT=sim sim-program
	@$(SIM) --mutations

FUZZ_SECONDS ?= 30
fuzz: ## run every fuzzer for FUZZ_SECONDS (30)
	+@$(submake) VARIANT=fuzz fuzz-programs
	@tools/dev/fuzz $(BUILD)/fuzz $(FUZZ_SECONDS) $(call pick,$(FUZZ))

cover: ## line coverage of all tests, per file
	+@$(submake) VARIANT=cover programs test-programs sim-program
	@find $(BUILD)/obj/cover -name '*.gcda' -delete
	-@KV_BIN=$(bin)/cover KV_SIM=$(bin)/cover/tests/sim KV_SIM_RUNS=100 \
	    tools/dev/run-tests \
	    $(call pick,$(UNIT:$(OUT)/%=$(BUILD)/cover/%) $(SCRIPTS))
	@tools/dev/cover $(BUILD)/obj/cover

lint: $(OBJ)/build_settings.h ## layout, layers, sizes, clang-tidy
	@tools/dev/lint $(OBJ)/build_settings.h $(C_FILES)

format: ## let clang-format lay out all C files
	@clang-format -i $(C_FILES)

check-redis: ## Redis' own Tcl tests (of Debian's source package) against kvd
	@tools/dev/deps $(RUN_DEPS) python3 tcl
	+@$(submake) programs
	@KV_BIN=$(bin) tools/dev/redis-suite || [ $$? -eq 77 ]

check-hosts: ## hosts in network namespaces, a bad network, KV_NET_SECONDS (20) a test
	@tools/dev/deps $(CHECK_DEPS)
	+@$(submake) programs
	@KV_BIN=$(bin) KV_NET_SECONDS=$${KV_NET_SECONDS:-20} \
	    tools/dev/run-tests -t 3600 -v $(call pick,$(HOSTS))

# redis-tools holds the server's binary under another name; the redis-server
# package would also start a service.
bench: ## measure this server beside redis-server
	@tools/dev/deps $(RUN_DEPS) python3 redis-tools procps
	+@$(submake) programs
	@ln -sfn "$$(command -v redis-server redis-check-rdb | head -n 1)" \
	    $(BUILD)/redis-server
	@KV_BIN=$(bin) REDIS_SERVER=$(bin)/redis-server tools/bench/run

bench-creates: ## measure CREATE with other nodes and buckets there
	+@$(submake) programs
	@KV_BIN=$(bin) tools/bench/creates

bench-sync: ## measure replication between two servers beside redis with a replica
	@tools/dev/deps $(RUN_DEPS) python3 redis-tools procps
	+@$(submake) programs
	@ln -sfn "$$(command -v redis-server redis-check-rdb | head -n 1)" \
	    $(BUILD)/redis-server
	@KV_BIN=$(bin) REDIS_SERVER=$(bin)/redis-server tools/bench/sync

install: all ## install under DESTDIR/PREFIX
	@install -d $(addprefix $(DESTDIR),$(INSTALL_DIRS))
	$(Q)install -m 755 $(call built,$(call have,kvd kv kv-bench)) $(DESTDIR)$(BINDIR)
	$(Q)install -m 755 $(call built,$(ROLES)) $(DESTDIR)$(LIBEXECDIR)
	$(Q)install -m 755 $(BUILD)/libkv.so $(DESTDIR)$(LIBDIR)/$(SONAME)
	$(Q)ln -sfn $(SONAME) $(DESTDIR)$(LIBDIR)/libkv.so
	$(Q)install -m 644 $(BUILD)/libkv.a $(DESTDIR)$(LIBDIR)
	$(Q)install -m 644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)
	$(Q)for page in $(MAN); do install -m 644 -D -t \
	    $(DESTDIR)$(MANDIR)/man$${page##*.} $$page || exit; done
	$(Q)$(fill) tools/dist/kv.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/kv.pc
	$(Q)$(fill) tools/dist/kvd.service.in >$(DESTDIR)$(UNITDIR)/kvd.service
	$(Q)install -m 644 tools/dist/kv.sysusers \
	    $(DESTDIR)$(SYSUSERSDIR)/kv.conf
	$(Q)install -m 644 tools/dist/kv.bash-completion \
	    $(DESTDIR)$(COMPLETIONDIR)/kv
	$(Q)ln -sfn kv $(DESTDIR)$(COMPLETIONDIR)/kvd

uninstall: ## remove what install put there, never a store
	rm -f $(addprefix $(DESTDIR),$(addprefix $(BINDIR)/,kvd kv kv-bench) \
	    $(addprefix $(LIBEXECDIR)/,$(ROLES)) \
	    $(addprefix $(LIBDIR)/,libkv.a libkv.so $(SONAME) pkgconfig/kv.pc) \
	    $(patsubst include/%,$(INCLUDEDIR)/%,$(HEADERS)) \
	    $(foreach p,$(MAN),$(MANDIR)/man$(lastword $(subst ., \
	    ,$p))/$(notdir $p)) $(UNITDIR)/kvd.service $(SYSUSERSDIR)/kv.conf \
	    $(COMPLETIONDIR)/kv $(COMPLETIONDIR)/kvd)
	-rmdir $(DESTDIR)$(LIBEXECDIR)

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile | expand -t 14

programs: $(PROGRAMS) $(call archives,$(LAYERS)) ; @:
test-programs: $(call pick,$(UNIT)) $(TEST_AIDS) ; @:
thread-programs: $(call pick,$(THREADS)) ; @:
sim-program: $(OUT)/tests/sim ; @:
fuzz-programs: $(addprefix $(BUILD)/fuzz/,$(call pick,$(FUZZ))) ; @:

# ---- rules ------------------------------------------------------------------

# The settings, the version and the flags themselves: every object depends on
# this header, so a changed setting or flag rebuilds what it must.  -Werror is
# left out: it changes no object.
define settings_h
/* Made by the Makefile; included in front of every file. */
#define KV_VERSION "$(VERSION)"
$(foreach s,$(SETTINGS_TEXT),#define KV_BUILD_$s "$($s)"
)$(foreach s,$(SETTINGS_NUMBER),#define KV_BUILD_$s $($s)
)#define KV_BUILD_SETTINGS \
$(foreach s,$(SETTINGS_TEXT) $(SETTINGS_NUMBER),	"$s=$($s)\n" \
)	"VARIANT=$(VARIANT)\n" \
	"CC=$(CC)\n" \
	"CFLAGS=$(strip $(subst ",\",$(filter-out -Werror,$(ALL_CFLAGS))))\n"
endef

$(OBJ)/build_settings.h: FORCE | $(OBJ)/.dir
	$(file >$(OBJ)/settings.new,$(settings_h))
	@cmp -s $(OBJ)/settings.new $@ && rm $(OBJ)/settings.new || \
	    mv $(OBJ)/settings.new $@
FORCE:

$(OBJ)/%.o: %.c $(OBJ)/build_settings.h
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -include $(OBJ)/build_settings.h -MMD -MP \
	    -c -o $@ $<

define archive_rule
$(OBJ)/src/$1.a: $(call objects,$(call sources,$1))
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$^
endef
$(foreach l,$(LAYERS),$(if $(call sources,$l),$(eval $(call archive_rule,$l))))

define program_rule
$(OUT)/$1: $(OBJ)/$(DIR_$1)/main.o $(call archives,$(LAYERS_$1)) | $(OUT)/.dir
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) -pie $$(ALL_LDFLAGS) -o $$@ $$^ $(LIBS_$1)
endef
$(foreach p,$(DAEMONS),$(eval $(call program_rule,$p)))

define tool_rule
$(OUT)/$1: $(call objects,$(sort $(wildcard $(DIR_$1)/*.c))) $(OUT)/libkv.a
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) -pie $$(ALL_LDFLAGS) -o $$@ $$^ $(LIBS_$1)
endef
$(foreach p,$(TOOLS),$(eval $(call tool_rule,$p)))

# libkv.a is one object in which only what <kv.h> marks KV_API is global: who
# links it cannot reach a layer below, and no inner name can clash with his.
LIBKV_PARTS = $(call objects,$(call sources,lib)) \
	$(call archives,$(filter-out lib,$(LAYERS_libkv)))

only_kv	= if nm -g --defined-only $1 | grep -v ' kv_[a-z]'; then \
	    echo "$@: these names are global and not kv_*" >&2; exit 1; fi

$(OBJ)/libkv.o: $(LIBKV_PARTS)
	$(call say,LD -r,$@)
	$(Q)$(CC) -r -nostdlib -o $@ $^
	$(if $(instrumented),,$(Q)$(OBJCOPY) --localize-hidden $@)
	$(if $(instrumented),,@$(call only_kv,$@))

$(OUT)/libkv.a: $(OBJ)/libkv.o | $(OUT)/.dir
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

# Sanitizer runtimes live in the program, so the library may leave them open.
$(OUT)/libkv.so: $(LIBKV_PARTS) | $(OUT)/.dir
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) $(if $(instrumented),,-Wl,-z,defs) \
	    -Wl,-soname,$(SONAME) -o $@ $^ $(LIBS_libkv)
	$(if $(instrumented),,@$(call only_kv,-D $@))

# An archive, so that a test is linked with the helpers it uses only.
$(OBJ)/tests/unit/helpers.a: $(call objects,$(UNIT_HELPERS))
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

$(OBJ)/tests/sim/parts.a: $(call objects,$(SIM_PARTS))
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

define test_rule
$(OUT)/tests/$(basename $(notdir $1)): $(call objects,$1) \
    $2 $(call archives,$(LAYERS)) | $(OUT)/tests/.dir
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) -pie $$(ALL_LDFLAGS) -o $$@ $$^ $(LIBS_tests)
endef
$(foreach t,$(wildcard tests/unit/test_*.c tests/unit/thread_*.c \
    tests/sim/test_*.c),$(eval $(call test_rule,$t,$(if \
    $(UNIT_HELPERS),$(OBJ)/tests/unit/helpers.a) $(OBJ)/tests/sim/parts.a)))
# In the fuzz variant the same sources are linked with libFuzzer instead.
$(foreach t,$(wildcard tests/fuzz/fuzz_*.c), \
    $(eval $(call test_rule,$t,$(OBJ)/tools/dev/fuzz_replay.o \
    $(OBJ)/tests/sim/parts.a)))
$(foreach t,$(wildcard tests/integration/*.c tests/crash/*.c), \
    $(eval $(call test_rule,$t,)))

$(BUILD)/fuzz/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/sim/parts.a \
    $(call archives,$(LAYERS)) | $(OUT)/.dir
	$(call say,LINK,$@)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS_libkv) -lcares

# The simulator has the product's core with switches in it (sync/mutate.h), so
# it is a program of the variant `sim`, and of those that look for mistakes.
$(OUT)/tests/sim: $(OBJ)/tests/sim/main.o $(OBJ)/tests/sim/parts.a \
    $(call objects,src/syncd/clocks.c) \
    $(call archives,sync secret conf base) | $(OUT)/tests/.dir
	$(call say,LINK,$@)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lsodium

%/.dir:
	@mkdir -p $(@D) && touch $@

.SECONDARY:
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
