#!/bin/sh
# Runs a command with a wine of its own: in-wine.sh COMMAND [ARGUMENT ...]
#
# The prefix is target/wine; nothing of the user's is touched. DOCUSIGN_REFRESH_RUNNER names the
# loader for the suite (tests/suite/kit.rs). One process stays until the command has ended: what wine
# starts with its first process (services, drivers) must not be the child, with the pipes, of a test.
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
server=$(dirname "$(readlink -f "$loader")")/wineserver
[ -x "$server" ] || server=wineserver

export WINEPREFIX="$top/target/wine" WINEDEBUG=-all WINEARCH=win64 LC_ALL=C.UTF-8
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
export DOCUSIGN_REFRESH_RUNNER="$loader"
mkdir -p "$WINEPREFIX"
if [ ! -e "$WINEPREFIX/system.reg" ]; then
    "$loader" wineboot -i >/dev/null 2>&1
    "$server" -w
fi
system32="$WINEPREFIX/drive_c/windows/system32"
if [ ! -e "$system32/bcryptprimitives.dll" ]; then
    x86_64-w64-mingw32-gcc -shared -O2 -s -o "$system32/bcryptprimitives.dll" "$top/tests/windows/prng.c" -ladvapi32
fi
x86_64-w64-mingw32-gcc -O2 -s -municode -Wall -Werror -o "$top/target/witness.exe" "$top/tests/windows/witness.c" -ladvapi32

trap '"$server" -k || true' EXIT
"$loader" "$top/target/witness.exe" stay </dev/null >/dev/null 2>&1 &
for _ in 1 2 3 4 5; do
    "$loader" "$top/target/witness.exe" attributes . </dev/null >/dev/null 2>&1 && break
done
"$@"
