# SPDX-License-Identifier: BSD-2-Clause
# make            lists the targets
# make V=1 ...    shows the commands
# make SAN=1 ...  builds with address and undefined-behaviour sanitizers, in a folder of its own
# make CC=clang-19 ...  builds with another compiler, in a folder of its own

CC       := $(if $(filter default,$(origin CC)),gcc,$(CC))
BPF_CC   ?= $(firstword $(shell command -v clang-19 clang-16 clang 2>/dev/null) clang-19)
BPFTOOL  ?= $(firstword $(shell command -v bpftool 2>/dev/null) $(wildcard /usr/sbin/bpftool) bpftool)
STRIP    ?= $(firstword $(shell command -v llvm-strip-19 llvm-strip-16 llvm-strip 2>/dev/null) llvm-strip-19)
BUILD    ?= build$(if $(SAN),-san)$(if $(filter-out gcc,$(CC)),-$(notdir $(CC)))
PREFIX   ?= /usr/local
TRIPLET  := $(shell gcc -dumpmachine 2>/dev/null)
VERSION  := 0.1.0

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

# The packages: pkg-config is asked only when something is compiled.
PKGS     := libbpf libxdp libconfuse libevent_core libmnl libseccomp jansson openssl zlib \
            libbrotlienc libzstd libpcre2-8 libcares
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)

, := ,
OPT      ?= -O2 -g
SANFLAGS := $(if $(SAN),-fsanitize=address$(,)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
CFLAGS   += -std=c17 -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' $(WARN) $(OPT) $(SANFLAGS) \
            -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2) -pthread \
            -Iinclude -Iuserspace -I$(BUILD)
LDFLAGS  += $(SANFLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed -pthread
BPFFLAGS := -std=gnu17 -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Iinclude -I/usr/include/$(TRIPLET)

# Everything below a room of userspace/ goes into one archive; the programs and the tests
# take from it what they call.
LIB_SRC  := $(wildcard userspace/*/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o)
LIB      := $(BUILD)/libsluice.a
SKEL     := $(patsubst bpf/%.bpf.c,$(BUILD)/%.skel.h,$(wildcard bpf/*.bpf.c))
PROGRAMS := $(BUILD)/sluice $(BUILD)/sluiced
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
XDP      := $(patsubst tests/xdp/%.c,$(BUILD)/tests/xdp/%,$(wildcard tests/xdp/test_*.c))
# Helpers shared by the tests of one folder: every other .c there.
XDP_HELP := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(wildcard tests/xdp/test_*.c),$(wildcard tests/xdp/*.c)))
BENCH    := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/*.c))
FUZZ     := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH_BPF := $(patsubst tests/bench/%.bpf.c,$(BUILD)/tests/bench/%.bpf.o,$(wildcard tests/bench/*.bpf.c))
BENCH    := $(filter-out %.bpf,$(BENCH))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: help deps build demo test test-unit test-xdp test-proxy test-lab \
        test-vm test-vagrant check lab bench bench-l4 \
        bench-ipvs bench-l7 fuzz install uninstall clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

deps: ## install the Debian packages that are missing (asks for root only then)
	$(Q)scripts/deps

build: $(PROGRAMS) ## build sluice and sluiced

demo: deps ## the whole path in a lab of network namespaces, in about a minute
	$(Q)$(MAKE) --no-print-directory build
	$(Q)BUILD=$(BUILD) scripts/demo

test: deps ## all tests; ends with `N passed, N failed, N skipped`
	$(Q)$(MAKE) --no-print-directory build tests
	$(Q)BUILD=$(BUILD) scripts/test all

tests: $(UNIT) $(XDP)

test-unit: build tests ## the pure modules alone, no root needed
	$(Q)BUILD=$(BUILD) scripts/test unit
test-xdp: build tests ## packets through the gate by BPF_PROG_RUN (root)
	$(Q)BUILD=$(BUILD) scripts/test xdp
test-proxy: build ## requests through sluiced on loopback
	$(Q)BUILD=$(BUILD) scripts/test proxy
test-lab: build ## the whole path in network namespaces (root)
	$(Q)BUILD=$(BUILD) scripts/test lab
test-vm: ## the xdp and lab tests in Debian's kernels under qemu; KERNELS= and GROUPS= select
	$(Q)scripts/deps vm
	$(Q)$(MAKE) --no-print-directory build tests
	$(Q)BUILD=$(BUILD) tests/vm/run
test-vagrant: ## the Vagrant lab: box, up, checks, destroy (root; minutes)
	$(Q)scripts/deps vagrant
	$(Q)$(MAKE) --no-print-directory build
	$(Q)BUILD=$(BUILD) tests/vm/vagrant
check: ## the rules of the house: include directions, file sizes, licence lines
	$(Q)scripts/layers

lab: build ## raise the lab and open a shell in its balancer
	$(Q)BUILD=$(BUILD) scripts/lab up && BUILD=$(BUILD) scripts/lab shell balancer; scripts/lab down

bench: bench-l4 bench-l7 ## measure against the peers; tables and tests/bench/out/*.json
bench-l4: ## the gate against xdp-filter and an empty program (root)
	$(Q)scripts/deps bench
	$(Q)$(MAKE) --no-print-directory build $(BENCH) $(BENCH_BPF)
	$(Q)BUILD=$(BUILD) scripts/bench l4
bench-ipvs: ## packets per second beside the kernel's IPVS, in a guest (root)
	$(Q)scripts/deps vm
	$(Q)$(MAKE) --no-print-directory build $(BENCH) $(BENCH_BPF)
	$(Q)BUILD=$(BUILD) scripts/vm run 6.1 tests/vm/ipvs
bench-l7: ## the daemon against nginx and HAProxy (root)
	$(Q)scripts/deps bench
	$(Q)$(MAKE) --no-print-directory build $(BENCH)
	$(Q)BUILD=$(BUILD) scripts/bench l7

fuzz: $(FUZZ) ## each fuzz target for FUZZ_SECONDS (60)
	$(Q)BUILD=$(BUILD) scripts/fuzz $(FUZZ)

install: build ## into PREFIX (/usr/local), with DESTDIR
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man5 \
		$(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/doc/sluice/examples
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/sbin
	install -m 644 userspace/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 userspace/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 examples/*.conf $(DESTDIR)$(PREFIX)/share/doc/sluice/examples

uninstall: ## what install put there
	rm -f $(DESTDIR)$(PREFIX)/sbin/sluice $(DESTDIR)$(PREFIX)/sbin/sluiced
	rm -f $(patsubst userspace/man/%.5,$(DESTDIR)$(PREFIX)/share/man/man5/%.5,$(wildcard userspace/man/*.5))
	rm -f $(patsubst userspace/man/%.8,$(DESTDIR)$(PREFIX)/share/man/man8/%.8,$(wildcard userspace/man/*.8))
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/sluice

clean: ## remove what was built
	rm -rf build build-*

# ---- rules ------------------------------------------------------------------------------

$(BUILD)/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(BPF_CC) $(BPFFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@
	$(Q)$(STRIP) -g $@

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

$(BUILD)/tests/bench/%.bpf.o: tests/bench/%.bpf.c
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(BPF_CC) $(BPFFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@

$(BUILD)/%.o: %.c $(BUILD)/flags | $(SKEL)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(PKG_CFLAGS) -MMD -MP -c $< -o $@

# Other flags than last time: everything is compiled again.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(CFLAGS))' | cmp -s - $@ || echo '$(subst ','\'',$(CC) $(CFLAGS))' >$@
FORCE:
.PHONY: FORCE tests

$(LIB): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/sluice $(BUILD)/sluiced: $(BUILD)/%: $(BUILD)/userspace/%.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(BUILD)/tests/xdp/%: $(BUILD)/tests/xdp/%.o $(XDP_HELP) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) $$(sed -n 's,^// links: ,,p' tests/bench/$*.c)

# Fuzz targets: clang's libFuzzer with sanitizers; each names the sources that it needs in a
# line `// needs: userspace/...c`.
FUZZ_CC ?= $(BPF_CC)
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(LIB_SRC) $(wildcard tests/fuzz/*.h)
	$(call say,FUZZ,$<)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -std=c17 -D_GNU_SOURCE -g -O1 -Iinclude -Iuserspace -Wall -Wextra \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-o $@ $< $$(sed -n 's,^// needs: ,,p' $<) $$(sed -n 's,^// links: ,,p' $<)

-include $(LIB_OBJ:.o=.d) $(wildcard $(BUILD)/*.d $(BUILD)/userspace/*.d $(BUILD)/tests/*/*.d)
