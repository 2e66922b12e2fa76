#!/bin/sh
# Builds the static program for Linux: linux.sh ARCHITECTURE OUTPUT
#
# ARCHITECTURE is x86_64 or aarch64; the C library is musl. Where rustc has that target's standard
# library (rustup target add), it is used. Elsewhere the standard library is built as well, from
# the sources that a rustc has beside it (rustup component add rust-src, or Debian's rustc-web and
# rust-web-src), against Debian's musl (musl-tools; for aarch64 musl-dev:arm64 and
# gcc-aarch64-linux-gnu).
#
# Beside OUTPUT it writes OUTPUT.libraries: what is inside that no crate of ours brings (libraries.sh).
#
# CARGO, RUSTC, CARGO_HOME and CARGO_TARGET_DIR mean what they mean to cargo. None of these
# directories stands in the program: the same sources give the same bytes wherever they lie.
set -eu

architecture=${1:?names the architecture}
output=${2:?names the file to write}
cargo=${CARGO:-cargo}
rustc=${RUSTC:-rustc}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR

target=$architecture-unknown-linux-musl
if [ "$architecture" = "$(uname -m)" ]; then
    gcc=gcc
else
    gcc=$architecture-linux-gnu-gcc
fi

fail() {
    echo "linux.sh: $target: $1" >&2
    exit 1
}

command -v "$gcc" >/dev/null ||
    fail "no $gcc on this machine (Debian: gcc, or gcc-$(echo "$architecture" | tr _ -)-linux-gnu)"

# Panics abort and no one reads a backtrace: tables for unwinding would be 5 % of the file. Less
# inlining saves 32 KB and no measurable time, since the work is in ring's C and assembly.
flags="-C target-feature=+crt-static -C llvm-args=-inline-threshold=10 -C force-unwind-tables=no"
flags="$flags --remap-path-prefix=$PWD=/docusign-refresh --remap-path-prefix=$cargo_home=/cargo"
c_flags='-fno-asynchronous-unwind-tables -fno-unwind-tables'
compiler=$gcc
set --

if ! ls "$("$rustc" --print target-libdir --target "$target")"/libstd-* >/dev/null 2>&1; then
    for candidate in "$rustc" /usr/bin/rustc; do
        library=$("$candidate" --print sysroot 2>/dev/null)/lib/rustlib/src/rust
        [ -d "$library/library/std" ] && break
        library=
    done
    [ -n "$library" ] || fail "neither its standard library nor that library's sources are here \
(rustup target add $target; or Debian: rustc-web rust-web-src)"
    specs=/usr/lib/$architecture-linux-musl/musl-gcc.specs
    [ -f "$specs" ] || fail "no $specs on this machine (Debian: musl-tools; for aarch64 musl-dev:arm64)"

    # rustc asks for libunwind. gcc's libgcc_eh has it, but looks up tables by a function that
    # only glibc has. No table is ever looked up: panics abort.
    mkdir -p "$CARGO_TARGET_DIR/$target/linking"
    linking=$(cd "$CARGO_TARGET_DIR/$target/linking" && pwd)
    echo 'void *_dl_find_object(void *at, void *found) { (void)at; (void)found; return (void *)-1; }' \
        >"$linking/no-tables.c"
    "$gcc" -Os -c "$linking/no-tables.c" -o "$linking/no-tables.o"
    echo "INPUT($("$gcc" -print-file-name=libgcc_eh.a) $linking/no-tables.o)" >"$linking/libunwind.a"
    # A program of its own, so that no flag which names this directory takes part in the hashes.
    printf '#!/bin/sh\nexec %s "$@" -L %s -specs %s\n' "$gcc" "$linking" "$specs" >"$linking/cc"
    chmod +x "$linking/cc"

    rustc=$candidate
    compiler=$linking/cc
    # Without the static relocation model these specs would link a dynamic program, silently.
    flags="$flags -C link-self-contained=no -C relocation-model=static --remap-path-prefix=$library=/rust"
    set -- -Z build-std=std,panic_abort -Z build-std-features=
    # Without overflow checks, as rustup's has it: with them no loop that zeroes a buffer is seen to
    # be one, and a run takes 0.6 million instructions and the file 16 KB more.
    for crate in core alloc std; do
        set -- "$@" --config "profile.release.package.$crate.overflow-checks=false"
    done
    export RUSTC_BOOTSTRAP=1
fi

as_variable=$(echo "$target" | tr a-z- A-Z_)
env RUSTC="$rustc" RUSTFLAGS="$flags" \
    "CARGO_TARGET_${as_variable}_LINKER=$compiler" \
    "CC_$(echo "$target" | tr - _)=$compiler" "CFLAGS_$(echo "$target" | tr - _)=$c_flags" \
    "$cargo" build --locked --release --target "$target" --bin docusign-refresh "$@"

mkdir -p "$(dirname "$output")"
cp "$CARGO_TARGET_DIR/$target/release/docusign-refresh" "$output"
RUSTC="$rustc" CC="$gcc" sh "$(dirname "$0")/libraries.sh" "$target" >"$output.libraries"
ls -l "$output"
