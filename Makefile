# make          the static release binary, at target/dist/docusign-refresh
# make demo     that binary at work, against a token server of its own on the loopback interface
# make test     every test, on that binary
# make check    what CI runs: formatting, lints, make test
# make bench    the cycle beside curl + jq, Python, Node and others, measured: about 20 minutes the first
#               time, then about five; needs Debian
# make install  program, manual page and completion into $(DESTDIR)$(PREFIX)
# make dist     what is published, in target/dist: archives for each of $(SYSTEMS), and checksums
# make image    the container image, without a daemon
# make repro    builds all that again elsewhere, and compares it bit for bit
# make deny     licences and sources of the crates, by cargo-deny

.DELETE_ON_ERROR:
.PHONY: all demo test check format lint bench install clean

PREFIX ?= /usr/local
CARGO ?= cargo
RUSTC ?= rustc
CARGO_HOME ?= $(HOME)/.cargo

BUILD := $(or $(CARGO_TARGET_DIR),target)
DIST := target/dist
BINARY := $(DIST)/docusign-refresh
ARCH := $(shell uname -m)

# musl where its target is installed, since it is smaller and loads no module of the host's; else
# the C library of the toolchain's own target, static as well.
MUSL := $(ARCH)-unknown-linux-musl
TARGET ?= $(if $(wildcard $(shell $(RUSTC) --print target-libdir --target $(MUSL) 2>/dev/null)/libstd-*),$(MUSL),$(ARCH)-unknown-linux-gnu)

# No path of the machine that builds is left in the binary. Less inlining saves 32 KB and costs no
# measurable time, since the work is in ring's C and assembly.
DIST_FLAGS := -C target-feature=+crt-static -C llvm-args=-inline-threshold=10 \
  --remap-path-prefix=$(CURDIR)=/docusign-refresh --remap-path-prefix=$(CARGO_HOME)=/cargo

# Packed relocations save 100 KB where glibc can apply them to itself: from 2.36 on.
ifeq ($(TARGET),$(ARCH)-unknown-linux-gnu)
ifeq ($(shell printf '%s\n' 'glibc 2.36' "$$(getconf GNU_LIBC_VERSION)" | sort --check=quiet --version-sort && echo new),new)
DIST_FLAGS += -C link-arg=-Wl,-z,pack-relative-relocs
endif
endif

all: $(BINARY)

SOURCES := $(shell find src -type f) Cargo.toml Cargo.lock Makefile

$(BINARY): $(SOURCES)
	RUSTFLAGS='$(DIST_FLAGS)' $(CARGO) build --locked --release --target $(TARGET) --bin docusign-refresh
	@mkdir -p $(DIST)
	@cp $(BUILD)/$(TARGET)/release/docusign-refresh $@
	@ls -l $@

demo: $(BINARY)
	$(CARGO) build --locked --quiet --example token-server
	BINARY=$(BINARY) TOKEN_SERVER=$(BUILD)/debug/examples/token-server sh tests/demo.sh

test: $(BINARY)
	$(CARGO) test --locked

check: format lint test

# The configuration of both tools lives in .ci.
format:
	$(CARGO) fmt --check -- --config-path .ci/rustfmt.toml

lint:
	CLIPPY_CONF_DIR=$(CURDIR)/.ci $(CARGO) clippy --locked --all-targets -- -D warnings

# Prints the tables of the README's section "Measured", of the program as `make` builds it and as it is
# published.
bench: $(BINARY) $(DIST)/$(ARCH)-linux/docusign-refresh
	CARGO='$(CARGO)' TARGET='$(TARGET)' DIST_FLAGS='$(DIST_FLAGS)' sh tests/bench/install.sh target/bench
	$(CARGO) bench --locked --quiet --bench bench

install: $(BINARY)
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/docusign-refresh
	install -D -m 644 src/docusign-refresh.1 $(DESTDIR)$(PREFIX)/share/man/man1/docusign-refresh.1
	install -D -m 644 src/dist/docusign-refresh.bash \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/docusign-refresh

# What is published. The scripts say what they need; check-dist is the part of CI that tests it, and
# repeats the build for this machine's system and for Windows: repro takes all of $(SYSTEMS).
.PHONY: dist image repro deny check-dist

SYSTEMS ?= x86_64-linux aarch64-linux x86_64-windows
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
RELEASE := $(DIST)/docusign-refresh-$(VERSION)
LINUX_SYSTEMS := $(filter %-linux,$(SYSTEMS))
ARCHIVES := $(LINUX_SYSTEMS:%=$(RELEASE)-%.tar.gz) \
  $(patsubst %,$(RELEASE)-%.zip,$(filter %-windows,$(SYSTEMS)))
PACKED := README.md LICENSE $(wildcard src/dist/* src/dist/recipes/*) src/docusign-refresh.1
BUILD_ENVIRONMENT := CARGO='$(CARGO)' RUSTC='$(RUSTC)' CARGO_HOME='$(CARGO_HOME)' CARGO_TARGET_DIR='$(abspath $(BUILD))'

dist: $(ARCHIVES)
	cd $(DIST) && sha256sum $(notdir $(ARCHIVES)) $(SYSTEMS:%=docusign-refresh-$(VERSION)-%.cdx.json) > SHA256SUMS
	@cat $(DIST)/SHA256SUMS

$(patsubst %,$(DIST)/%/docusign-refresh,$(sort $(LINUX_SYSTEMS) $(ARCH)-linux)): $(DIST)/%-linux/docusign-refresh: $(SOURCES)
	$(BUILD_ENVIRONMENT) sh src/dist/linux.sh $* $@

$(RELEASE)-%-linux.tar.gz: $(DIST)/%-linux/docusign-refresh $(PACKED)
	$(BUILD_ENVIRONMENT) sh src/dist/archive.sh $*-linux $*-unknown-linux-musl $< $(DIST)

$(RELEASE)-%-windows.zip: $(DIST)/docusign-refresh.exe $(PACKED)
	$(BUILD_ENVIRONMENT) sh src/dist/archive.sh $*-windows $*-pc-windows-gnu $< $(DIST)

image: $(RELEASE)-$(ARCH)-image.tar

$(RELEASE)-%-image.tar: $(DIST)/%-linux/docusign-refresh src/dist/image.sh src/dist/Containerfile
	sh src/dist/image.sh $* $< $@

repro: dist image
	$(BUILD_ENVIRONMENT) SYSTEMS='$(SYSTEMS)' MAKE='$(MAKE)' sh tests/dist/repro.sh

deny:
	$(CARGO) deny --locked --all-features --config .ci/deny.toml check licenses bans sources

check-dist: dist image
	SYSTEMS='$(SYSTEMS)' CARGO='$(CARGO)' RUSTC='$(RUSTC)' MAKE='$(MAKE)' sh tests/dist/check.sh
	$(BUILD_ENVIRONMENT) SYSTEMS='$(filter $(ARCH)-linux %-windows,$(SYSTEMS))' MAKE='$(MAKE)' sh tests/dist/repro.sh

clean:
	$(CARGO) clean

# Windows. `make windows` leaves $(WINDOWS_BINARY); `make test-windows` runs it, under wine, through
# every case and its own tests. Where rustup has the target (rustup target add
# x86_64-pc-windows-gnu) that is used; else the standard library is built from Debian's sources
# (rustc-web, rust-web-src). Both link with mingw-w64 (gcc-mingw-w64-x86-64-win32).
.PHONY: windows test-windows lint-windows

WINDOWS := x86_64-pc-windows-gnu
WINDOWS_BINARY := $(DIST)/docusign-refresh.exe
WINDOWS_FLAGS := -C target-feature=+crt-static -C llvm-args=-inline-threshold=2 \
  -C link-arg=-Wl,--no-insert-timestamp \
  --remap-path-prefix=$(CURDIR)=/docusign-refresh --remap-path-prefix=$(CARGO_HOME)=/cargo
# Every function has its tables for unwinding on Windows, used or not: 60 KB. What pays for them:
# size before speed in everything but ring, and overflow checks in our own code alone, as is usual.
WINDOWS_PROFILE := --config profile.release.opt-level='"z"' \
  --config profile.release.package.ring.opt-level='"s"' \
  --config 'profile.release.package."*".overflow-checks=false'
DEBIAN_STD := RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc $(CARGO)

# The command before `build`, and the options after it.
WINDOWS_TOOL = $(if $(wildcard $(shell $(RUSTC) --print target-libdir --target $(WINDOWS) 2>/dev/null)/libstd-*),$(CARGO),$(DEBIAN_STD))
WINDOWS_STD = $(if $(findstring BOOTSTRAP,$(WINDOWS_TOOL)),-Z build-std=std$(comma)panic_abort -Z build-std-features=optimize_for_size)
WINDOWS_RUSTC = $(if $(findstring BOOTSTRAP,$(WINDOWS_TOOL)),/usr/bin/rustc,$(RUSTC))
comma := ,

windows: $(WINDOWS_BINARY)

$(WINDOWS_BINARY): $(SOURCES)
	CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=$(CURDIR)/src/dist/windows-link.sh RUSTFLAGS='$(WINDOWS_FLAGS)' \
	  $(WINDOWS_TOOL) build $(WINDOWS_STD) $(WINDOWS_PROFILE) --locked --release --target $(WINDOWS) --bin docusign-refresh
	@mkdir -p $(DIST)
	@cp $(BUILD)/$(WINDOWS)/release/docusign-refresh.exe $@
	@RUSTC='$(WINDOWS_RUSTC)' CC=x86_64-w64-mingw32-gcc sh src/dist/libraries.sh $(WINDOWS) >$@.libraries
	@ls -l $@

# Not for wine: what makes a disk full or a lock busy by Unix' own means.
test-windows: $(WINDOWS_BINARY)
	$(IN_WINE) $(CARGO) test --locked --test suite -- --include-ignored cases:: meanwhile:: windows scheduled_task:: \
	  it_does_not_tell_where the_file_is_small --skip meanwhile::a_lock_that --skip meanwhile::lock_and --skip meanwhile::a_full_disk \
	  --skip windows::alone
	$(IN_WINE) $(CARGO) test --locked --test suite -- --include-ignored windows::alone --test-threads 1

IN_WINE = DOCUSIGN_REFRESH_BINARY=$(CURDIR)/$(WINDOWS_BINARY) sh tests/windows/in-wine.sh

# The code as it is for Windows, which `make lint` does not see; and the tests, which use less of their
# kit there. Clippy comes with the compiler: rustup's, or Debian's (rust-web-clippy).
lint-windows:
	$(WINDOWS_CLIPPY) --bins -- -D warnings
	$(WINDOWS_CLIPPY) --tests -- -D warnings -A unused

WINDOWS_CLIPPY = CLIPPY_CONF_DIR=$(CURDIR)/.ci \
  $(if $(WINDOWS_STD),RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc /usr/bin/cargo-clippy,$(CARGO)) clippy \
  $(if $(WINDOWS_STD),-Z build-std=std$(comma)panic_abort$(comma)test) --locked --target $(WINDOWS)
