# make          the static release binary, at target/dist/docusign-refresh
# make demo     that binary at work, against a token server of its own on the loopback interface
# make test     every test, on that binary
# make check    what CI runs: formatting, lints, make test
# make install  into $(DESTDIR)$(PREFIX)/bin

.DELETE_ON_ERROR:
.PHONY: all demo test check format lint install clean

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

install: $(BINARY)
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/docusign-refresh

clean:
	$(CARGO) clean
