#!/bin/sh
# Says with which flags rustc builds the program: flags.sh TARGET
set -eu

target=${1:?names the target}

# Less inlining saves 32 KB and costs no measurable time, since the work is in ring's C and assembly.
inlining=10
case $target in
    *-windows-gnu)
        inlining=2
        others='-C link-arg=-Wl,--no-insert-timestamp'
        ;;
    *)
        # Panics abort and no one reads a backtrace: tables for unwinding would be 5 % of the file.
        others='-C force-unwind-tables=no'
        ;;
esac
case $target in
    *-linux-gnu)
        # Packed relocations save 100 KB where glibc can apply them to itself: from 2.36 on.
        if printf '%s\n' 'glibc 2.36' "$(getconf GNU_LIBC_VERSION)" | sort --check=quiet --version-sort; then
            others="$others -C link-arg=-Wl,-z,pack-relative-relocs"
        fi
        ;;
esac

# No path of the machine that builds is left in the program, nor the name of the registry that the crates came from.
# Where two prefixes fit, the later one counts.
home=${CARGO_HOME:-$HOME/.cargo}
paths="--remap-path-prefix=$PWD=/docusign-refresh --remap-path-prefix=$home=/cargo"
for registry in "$home"/registry/src/*; do
    paths="$paths --remap-path-prefix=$registry=/crates"
done

echo "-C target-feature=+crt-static -C llvm-args=-inline-threshold=$inlining $others $paths"
