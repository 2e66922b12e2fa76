#!/bin/sh
# Runs the tests that are for Windows on a Windows program, under wine: test.sh PROGRAM
set -eu

program=$(cd "$(dirname "${1:?names the program}")" && pwd)/$(basename "$1")
in_wine=$(dirname "$0")/in-wine.sh

# A 64-bit wine brings a Ctrl-C to the handlers of 64-bit code alone: a 32-bit program's are not called.
without_interruptions=
case $program in
    *i686*) without_interruptions='--skip windows::an_interruption' ;;
esac

suite() {
    DOCUSIGN_REFRESH_BINARY=$program sh "$in_wine" "${CARGO:-cargo}" test --locked --test suite -- --include-ignored "$@"
}

echo "test-windows: $program"
# shellcheck disable=SC2086 # words
# Not for wine: what makes a disk full or a lock busy by Unix' own means.
suite cases:: login:: meanwhile:: windows scheduled_task:: it_does_not_tell_where the_file_is_small \
    --skip meanwhile::a_lock_that --skip meanwhile::lock_and --skip meanwhile::a_full_disk --skip windows::alone \
    $without_interruptions
suite windows::alone --test-threads 1
