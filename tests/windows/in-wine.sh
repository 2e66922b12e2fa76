#!/bin/sh
# Runs a command with a wine of its own, which says that it is Windows 7: in-wine.sh COMMAND [ARGUMENT ...]
#
# The prefix is wine in cargo's target directory; nothing of the user's is touched. DOCUSIGN_REFRESH_RUNNER
# names the loader for the suite (tests/suite/kit.rs). One wineserver stays from the first process to the end
# of the command, and with it what wine starts for itself (services, drivers): none of that may
# start in the middle of a test, as the child of a run, with its pipes. What the server says is in
# wineserver.log, beside the prefix.
#
# A 64-bit wine runs 32-bit programs as well, once Windows' libraries of that width lie beside its own. They
# are in Debian's libwine:i386, of which no other file is used. It need not be installed: unpacked into
# wine-i386, beside the prefix, it will do.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
for loader in "$(command -v wine64 || true)" /usr/lib/wine/wine64 "$(command -v wine || true)"; do
    [ -x "$loader" ] && break
done
for libraries in "$target/wine-i386/usr/lib/i386-linux-gnu/wine" /usr/lib/i386-linux-gnu/wine /usr/lib/wine; do
    [ -e "$libraries/i386-windows/ntdll.dll" ] && break
done
own_libraries=$(find /usr/lib /usr/lib64 -maxdepth 3 -type d -name x86_64-unix 2>/dev/null | sed 1q)
skip() {
    echo "skipped: $1 on this machine" >&2
    [ "${CI:-}" != true ]
    exit
}
[ -x "$loader" ] || skip 'no wine64'
[ -e "$libraries/i386-windows/ntdll.dll" ] || skip 'no 32-bit libraries of wine (see tests/windows/in-wine.sh)'
command -v x86_64-w64-mingw32-gcc >/dev/null || skip 'no x86_64-w64-mingw32-gcc'
# Debian's script beside it asks the server to end with its last client.
for server in "$(dirname "$(readlink -f "$loader")")"/wineserver64 "$(command -v wineserver || true)"; do
    [ -x "$server" ] && break
done

beside_each_other=$target/wine-libraries
mkdir -p "$beside_each_other"
ln -sfn "$libraries/i386-windows" "$beside_each_other/i386-windows"
ln -sfn "$own_libraries" "$beside_each_other/x86_64-unix"

export WINEPREFIX="$target/wine" WINEDEBUG=-all WINEARCH=win64 WINEDLLPATH="$beside_each_other" LC_ALL=C.UTF-8
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
    mkdir -p "$WINEPREFIX"
    $steady "$loader" wineboot --init >/dev/null 2>&1
    $steady "$loader" reg add 'HKCU\Software\Wine' /v Version /d win7 /f >/dev/null
    "$server" -w
    echo "$made_of" >"$WINEPREFIX/ready"
fi
x86_64-w64-mingw32-gcc -O2 -s -municode -Wall -Werror -o "$target/witness.exe" "$top/tests/windows/witness.c" -ladvapi32

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
