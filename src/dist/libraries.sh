#!/bin/sh
# Tells what is in a program for TARGET that no crate of ours brings: libraries.sh TARGET
#
# One line for each on standard output: its name, its version, and the file with its licence, or
# nothing where that need not go with copies. RUSTC is the compiler that builds the program, CC the
# one that links it, and MUSL the directory of the musl that it is linked with. Without MUSL, that is
# the one that comes with rustc.
set -eu

target=${1:?names the target}
rustc=${RUSTC:-rustc}
cc=${CC:-cc}

fail() {
    echo "libraries.sh: $target: $1" >&2
    exit 1
}

version=$("$rustc" --version | cut -d ' ' -f 2)
sysroot=$("$rustc" --print sysroot)
# rustup's toolchains have the first of these, Debian's the second.
for rust_licence in "$sysroot/share/doc/rust/COPYRIGHT-library.html" /usr/share/doc/rust-web-src/copyright; do
    [ ! -f "$rust_licence" ] || break
done
echo "rust-std $version $rust_licence"

case $target in
    *-musl*)
        library=$("$rustc" --print target-libdir --target "$target")/self-contained/libc.a
        if [ -n "${MUSL:-}" ]; then
            library=$MUSL/libc.a
            echo "libgcc $("$cc" -dumpfullversion)"
        fi
        # rustup has the terms of the licence, but not the authors' names.
        licence=/usr/share/doc/musl-dev/copyright
        [ -f "$licence" ] || licence=$sysroot/share/doc/rust/licenses/MIT.txt
        musl=$(ar p "$library" version.lo version.o 2>/dev/null | grep --text --only-matching '1\.[0-9][0-9.]*') ||
            fail "$library does not tell its version"
        echo "musl $musl $licence"
        ;;
    *-windows-gnu)
        mingw=$(echo __MINGW64_VERSION_STR | "$cc" -E -P -include _mingw.h - | tail -n 1 | tr -d '" ')
        [ -n "$mingw" ] || fail "$cc does not tell the version of mingw-w64"
        licence=$(find /usr/share/doc/mingw-w64*-dev -name copyright 2>/dev/null | sed 1q)
        echo "libgcc $("$cc" -dumpversion | cut -d - -f 1)"
        echo "mingw-w64 $mingw $licence"
        ;;
    *) fail 'nothing is known of its libraries' ;;
esac
