#!/bin/sh
# Runs a command with a wine of its own, which says that it is Windows 7: in-wine.sh 64|32 COMMAND [ARGUMENT ...]
#
# The prefix is wine-64 or wine-32 in cargo's target directory; nothing of the user's is touched. DOCUSIGN_REFRESH_RUNNER
# names the loader for the suite (tests/suite/kit.rs). One wineserver stays from the first process to the end
# of the command, and with it what wine starts for itself (services, drivers): none of that may
# start in the middle of a test, as the child of a run, with its pipes. What the server says is in
# wineserver.log, beside the prefix.
#
# 64 is a 64-bit wine, which runs 32-bit programs as well once Windows' libraries of that width lie beside its own.
# 32 is a 32-bit wine and runs nothing else. Its loader and those libraries are in Debian's wine32:i386 and
# libwine:i386, and FreeType in libfreetype6:i386 and what that needs; unpacked into wine-i386, beside the prefixes, they need
# not be installed. The C library that the loader needs is in libc6-i386 and lib32gcc-s1.
set -eu

bits=${1:?64 or 32}
shift
top=$(cd "$(dirname "$0")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
unpacked=$target/wine-i386

skip() {
    echo "skipped: $1 on this machine" >&2
    [ "${CI:-}" != true ]
    exit
}

# Prints the first of these files that is there.
first_of() {
    for file; do
        if [ -e "$file" ]; then
            echo "$file"
            return
        fi
    done
}

libraries=$(first_of "$unpacked/usr/lib/i386-linux-gnu/wine" /usr/lib/i386-linux-gnu/wine /usr/lib/wine)
[ -e "$libraries/i386-windows/ntdll.dll" ] || skip 'no 32-bit libraries of wine (see tests/windows/in-wine.sh)'
case $bits in
    64)
        loader=$(first_of "$(command -v wine64 || true)" /usr/lib/wine/wine64 "$(command -v wine || true)")
        [ -n "$loader" ] || skip 'no wine64'
        # Debian's script `wineserver` asks the server to end with its last client.
        server=$(first_of "$(dirname "$(readlink -f "$loader")")/wineserver64" "$(command -v wineserver || true)")
        triple=x86_64-w64-mingw32
        WINEDLLPATH=$target/wine-libraries
        mkdir -p "$WINEDLLPATH"
        ln -sfn "$libraries/i386-windows" "$WINEDLLPATH/i386-windows"
        ln -sfn "$(find /usr/lib /usr/lib64 -maxdepth 3 -type d -name x86_64-unix 2>/dev/null | sed 1q)" "$WINEDLLPATH/x86_64-unix"
        ;;
    32)
        loader=$(first_of "$unpacked/usr/lib/wine/wine" /usr/lib/wine/wine)
        [ -n "$loader" ] || skip 'no 32-bit wine (see tests/windows/in-wine.sh)'
        server=$(dirname "$loader")/wineserver32
        triple=i686-w64-mingw32
        WINEDLLPATH=$libraries
        ;;
esac
compiler=$triple-gcc
command -v $compiler >/dev/null || skip "no $compiler"
# Debian's wine has this library from its package libz-mingw-w64, and an unpacked wine looks for it in the prefix.
zlib=/usr/$triple/lib/zlib1.dll
[ -e "$zlib" ] || skip "no $zlib"

export WINEPREFIX="$target/wine-$bits" WINEARCH="win$bits" WINESERVER="$server" WINEDLLPATH WINEDEBUG=-all LC_ALL=C.UTF-8
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
export DOCUSIGN_REFRESH_RUNNER="$loader"

# wine needs the page at 0x7ffe0000. Its loader is at 0x7d000000, and Linux 6.18 puts a program's heap
# anywhere in the GiB behind it: one start in 8,000 hit that page, and ended with 1 and no word.
steady=
if setarch -R true 2>/dev/null; then
    steady="setarch -R"
fi

# A prefix is whole or made anew, and says of what.
made_of="Windows 7, with $libraries"
if [ "$(cat "$WINEPREFIX/ready" 2>/dev/null)" != "$made_of" ]; then
    "$server" -k 2>/dev/null || true
    rm -rf "$WINEPREFIX"
    mkdir -p "$WINEPREFIX/drive_c/windows/system32"
    cp "$zlib" "$WINEPREFIX/drive_c/windows/system32/"
    $steady "$loader" wineboot --init >/dev/null 2>&1
    $steady "$loader" reg add 'HKCU\Software\Wine' /v Version /d win7 /f >/dev/null 2>&1
    "$server" -w
    echo "$made_of" >"$WINEPREFIX/ready"
fi
# Without FreeType wine writes four lines to each program's standard error. The 32-bit one finds it here; but a prefix is
# made without it, or wine starts desktops without end on a machine that has no display.
[ "$bits" = 64 ] || export LD_LIBRARY_PATH="$unpacked/usr/lib/i386-linux-gnu:$unpacked/lib/i386-linux-gnu"
$compiler -O2 -s -municode -Wall -Werror -o "$target/witness.exe" "$top/tests/windows/witness.c" -ladvapi32

# A server that an interrupted run left behind, if any, ends here.
"$server" -k 2>/dev/null || true
"$server" -w
"$server" -p 2>"$target/wineserver.log"
trap '"$server" -k || true' EXIT
trap 'exit 1' HUP INT TERM
$steady "$loader" wineboot </dev/null >/dev/null 2>&1
$steady "$loader" cmd /c ver </dev/null 2>/dev/null | grep -q 'Windows 6\.1\.7601' || {
    echo 'in-wine.sh: wine does not say that it is Windows 7' >&2
    exit 1
}
$steady "$@"
