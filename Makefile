# make               the static release binary, at target/dist/docusign-refresh
# make help          this list
# make demo          a login and a refresh with that binary, at a test server on the loopback interface
# make install       program, manual page and completion into $(DESTDIR)$(PREFIX)
# make clean         removes all that was built
#
# make test          every test, on that binary
# make format        checks the formatting of the sources
# make lint          the lints of the compiler and clippy
# make check         test, format and lint
# make deny          checks the licences and sources of the crates, with cargo-deny
# make bench         measures one cycle beside curl + jq, Python, Node and others: about 20 minutes the
#                    first time, then about five; needs Debian
#
# make windows       the programs for Windows 7 and later, 64 and 32 bits
# make lint-windows  the lints of clippy for the Windows code
# make test-windows  tests both programs under wine
#
# make dist          what is published, in target/dist: archives for each of $(SYSTEMS), and checksums
# make image         the container image, without a daemon
# make check-dist    tests the archives; builds those for this machine and for Windows twice, and compares
# make repro         builds all that is published again in another directory, and compares it bit for bit
# make check-all     every check above, for a release

.DELETE_ON_ERROR:
.PHONY: all help demo install clean test format lint check deny bench windows lint-windows test-windows \
  dist image check-dist repro check-all

PREFIX ?= /usr/local
CARGO ?= cargo
RUSTC ?= rustc
CARGO_HOME ?= $(HOME)/.cargo

BUILD := $(or $(CARGO_TARGET_DIR),target)
DIST := $(BUILD)/dist
BINARY := $(DIST)/docusign-refresh
ARCH := $(shell uname -m)

# musl where its target is installed, since it is smaller and loads no module of the host's; else
# the C library of the toolchain's own target, static as well.
MUSL := $(ARCH)-unknown-linux-musl
TARGET ?= $(if $(wildcard $(shell $(RUSTC) --print target-libdir --target $(MUSL) 2>/dev/null)/libstd-*),$(MUSL),$(ARCH)-unknown-linux-gnu)

# What is published; src/dist/systems says what each of them is.
ALL_SYSTEMS := $(shell sed -n 's/^\([a-z0-9_-]*\) .*/\1/p' src/dist/systems)
SYSTEMS ?= $(ALL_SYSTEMS)
LINUX_SYSTEMS := $(filter %-linux,$(ALL_SYSTEMS))
WINDOWS_SYSTEMS := $(filter %-windows,$(ALL_SYSTEMS))

# What is compiled, and how.
SOURCES := $(filter-out src/dist/% %.1,$(shell find src -type f)) Cargo.toml Cargo.lock \
  $(addprefix src/dist/,systems build.sh flags.sh libraries.sh musl.sh musl-std.toml windows.toml)

# For cargo and for the scripts: they all write to one place.
export CARGO RUSTC CARGO_HOME
export CARGO_TARGET_DIR := $(abspath $(BUILD))

all: $(BINARY)

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

$(BINARY): $(SOURCES)
	sh src/dist/build.sh $(TARGET) $@

demo: $(BINARY)
	$(CARGO) build --locked --quiet --example token-server
	BINARY=$(BINARY) TOKEN_SERVER=$(BUILD)/debug/examples/token-server sh tests/demo.sh

install: $(BINARY)
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/docusign-refresh
	install -D -m 644 src/docusign-refresh.1 $(DESTDIR)$(PREFIX)/share/man/man1/docusign-refresh.1
	install -D -m 644 src/dist/docusign-refresh.bash \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/docusign-refresh

clean:
	$(CARGO) clean

test: $(BINARY)
	$(CARGO) test --locked

# The configuration of both tools lives in .ci.
format:
	$(CARGO) fmt --check -- --config-path .ci/rustfmt.toml

lint:
	CLIPPY_CONF_DIR=$(CURDIR)/.ci $(CARGO) clippy --locked --all-targets -- -D warnings

check: format lint test

deny:
	$(CARGO) deny --locked --all-features --config .ci/deny.toml check licenses bans sources

# Prints the tables of tests/bench/RESULTS.md, for the program as `make` builds it and as it is published.
bench: $(BINARY) $(DIST)/$(ARCH)-linux/docusign-refresh
	TARGET='$(TARGET)' DIST_FLAGS="$$(sh src/dist/flags.sh $(TARGET))" sh tests/bench/install.sh $(BUILD)/bench
	$(CARGO) bench --locked --quiet --bench bench

# Windows. Either width runs through every case and its own tests, under wine.
WINDOWS_PROGRAMS := $(WINDOWS_SYSTEMS:%=$(DIST)/%/docusign-refresh.exe)

windows: $(WINDOWS_PROGRAMS)

$(WINDOWS_PROGRAMS): $(DIST)/%/docusign-refresh.exe: $(SOURCES)
	sh src/dist/build.sh $* $@

test-windows: $(WINDOWS_PROGRAMS)
	for program in $^; do sh tests/windows/test.sh "$$program" || exit; done

# Lints the Windows code, which `make lint` does not see, and the tests, which use only a part of their kit
# there. Clippy comes with the compiler whose sources of the standard library are here: rustup's
# (rust-src), or Debian's (rust-web-clippy).
lint-windows:
	$(WINDOWS_CLIPPY) --bins -- -D warnings
	$(WINDOWS_CLIPPY) --tests -- -D warnings -A unused

WINDOWS_CLIPPY = CLIPPY_CONF_DIR=$(CURDIR)/.ci RUSTC_BOOTSTRAP=1 \
  $(if $(wildcard $(shell $(RUSTC) --print sysroot)/lib/rustlib/src/rust/library/std),$(CARGO),RUSTC=/usr/bin/rustc /usr/bin/cargo-clippy) \
  clippy -Z build-std=std,panic_abort,test --locked --target x86_64-win7-windows-gnu

# What is published. The scripts say what they need.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
RELEASE := $(DIST)/docusign-refresh-$(VERSION)
ARCHIVES := $(patsubst %,$(RELEASE)-%.tar.gz,$(filter %-linux,$(SYSTEMS))) \
  $(patsubst %,$(RELEASE)-%.zip,$(filter %-windows,$(SYSTEMS)))
PACKED := README.md LICENSE $(wildcard src/dist/* src/dist/recipes/*) src/docusign-refresh.1

dist: $(ARCHIVES)
	cd $(DIST) && sha256sum $(notdir $(ARCHIVES)) $(SYSTEMS:%=docusign-refresh-$(VERSION)-%.cdx.json) > SHA256SUMS
	@cat $(DIST)/SHA256SUMS

$(LINUX_SYSTEMS:%=$(DIST)/%/docusign-refresh): $(DIST)/%/docusign-refresh: $(SOURCES)
	sh src/dist/build.sh $* $@

$(LINUX_SYSTEMS:%=$(RELEASE)-%.tar.gz): $(RELEASE)-%.tar.gz: $(DIST)/%/docusign-refresh $(PACKED)
	sh src/dist/archive.sh $* $< $(DIST)

$(WINDOWS_SYSTEMS:%=$(RELEASE)-%.zip): $(RELEASE)-%.zip: $(DIST)/%/docusign-refresh.exe $(PACKED)
	sh src/dist/archive.sh $* $< $(DIST)

image: $(RELEASE)-$(ARCH)-image.tar

$(RELEASE)-%-image.tar: $(DIST)/%-linux/docusign-refresh src/dist/image.sh src/dist/Containerfile
	sh src/dist/image.sh $* $< $@

check-dist: dist image
	SYSTEMS='$(SYSTEMS)' sh tests/dist/check.sh
	SYSTEMS='$(filter $(ARCH)-linux %-windows,$(SYSTEMS))' sh tests/dist/repro.sh

repro: dist image
	SYSTEMS='$(SYSTEMS)' sh tests/dist/repro.sh

check-all: check lint-windows test-windows dist image
	SYSTEMS='$(SYSTEMS)' sh tests/dist/check.sh
	SYSTEMS='$(SYSTEMS)' sh tests/dist/repro.sh
