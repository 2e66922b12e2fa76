#!/bin/sh
# Links the program for Windows, by mingw's gcc: what rustc runs as its linker.
#
# ld sorts imports by the name of the file that they come from. Under absolute names those of Rust's
# libraries would come before or after mingw's own, which lie in /usr, by where the sources lie, and the
# program would be another one. Relative to / they always come after.
set -eu
cd /
for argument; do
    shift
    set -- "$@" "${argument#/}"
done
exec x86_64-w64-mingw32-gcc "$@"
