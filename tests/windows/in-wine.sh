#!/bin/sh
# Runs a command with a wine of its own: in-wine.sh COMMAND [ARGUMENT ...]
#
# The prefix is target/wine; nothing of the user's is touched. DOCUSIGN_REFRESH_RUNNER names the
# loader for the suite (tests/suite/kit.rs). One wineserver stays from the first process to the end
# of the command, and with it what wine starts for itself (services, drivers): none of that may
# start in the middle of a test, as the child of a run, with its pipes. What the server says is in
# target/wineserver.log.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
for loader in "$(command -v wine64 || true)" /usr/lib/wine/wine64 "$(command -v wine || true)"; do
    [ -x "$loader" ] && break
done
if [ ! -x "$loader" ] || ! command -v x86_64-w64-mingw32-gcc >/dev/null; then
    echo "skipped: no wine64 or no x86_64-w64-mingw32-gcc on this machine" >&2
    [ "${CI:-}" != true ]
    exit
fi
# Debian's script beside it asks the server to end with its last client.
for server in "$(dirname "$(readlink -f "$loader")")"/wineserver64 "$(command -v wineserver || true)"; do
    [ -x "$server" ] && break
done

export WINEPREFIX="$top/target/wine" WINEDEBUG=-all WINEARCH=win64 LC_ALL=C.UTF-8
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
export DOCUSIGN_REFRESH_RUNNER="$loader"

# wine needs the page at 0x7ffe0000. Its loader is at 0x7d000000, and Linux 6.18 puts a program's heap
# anywhere in the GiB behind it: one start in 8,000 hit that page, and ended with 1 and no word.
steady=
if setarch -R true 2>/dev/null; then
    steady="setarch -R"
fi

# A prefix is whole or made anew.
if [ ! -e "$WINEPREFIX/ready" ]; then
    "$server" -k 2>/dev/null || true
    rm -rf "$WINEPREFIX"
    mkdir -p "$WINEPREFIX"
    $steady "$loader" wineboot --init >/dev/null 2>&1
    "$server" -w
    system32="$WINEPREFIX/drive_c/windows/system32"
    [ -e "$system32/bcryptprimitives.dll" ] ||
        x86_64-w64-mingw32-gcc -shared -O2 -s -o "$system32/bcryptprimitives.dll" "$top/tests/windows/prng.c" -ladvapi32
    touch "$WINEPREFIX/ready"
fi
x86_64-w64-mingw32-gcc -O2 -s -municode -Wall -Werror -o "$top/target/witness.exe" "$top/tests/windows/witness.c" -ladvapi32

# A server that an interrupted run left behind, if any, ends here.
"$server" -k 2>/dev/null || true
"$server" -w
"$server" -p 2>"$top/target/wineserver.log"
trap '"$server" -k || true' EXIT
trap 'exit 1' HUP INT TERM
$steady "$loader" wineboot </dev/null >/dev/null 2>&1
$steady "$@"
