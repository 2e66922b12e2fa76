#!/bin/sh
# Runs the tests that are for Windows on a Windows program, under wine: test.sh PROGRAM
set -eu

program=$(cd "$(dirname "${1:?names the program}")" && pwd)/$(basename "$1")
in_wine=$(dirname "$0")/in-wine.sh

# A wine of the program's own width. Where the kernel runs no 32-bit programs, a 64-bit wine runs the 32-bit one, but does
# not call its handlers of Ctrl-C.
bits=64
without_interruptions=
case $program in
    *i686*)
        if /lib/ld-linux.so.2 --version >/dev/null 2>&1; then
            bits=32
        else
            without_interruptions='--skip windows::an_interruption'
            echo 'skipped: the tests of Ctrl-C in the 32-bit program, since no 32-bit wine runs on this machine' >&2
        fi
        ;;
esac

suite() {
    DOCUSIGN_REFRESH_BINARY=$program sh "$in_wine" $bits "${CARGO:-cargo}" test --locked --test suite -- --include-ignored "$@"
}

echo "test-windows: $program"
# shellcheck disable=SC2086 # words
# Not for wine: what makes a disk full or a lock busy by Unix' own means.
suite cases:: login:: meanwhile:: windows scheduled_task:: it_does_not_tell_where the_file_is_small \
    --skip meanwhile::a_lock_that --skip meanwhile::lock_and --skip meanwhile::a_full_disk --skip windows::alone \
    $without_interruptions
suite windows::alone --test-threads 1
