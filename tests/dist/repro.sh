#!/bin/sh
# Builds everything a second time, elsewhere, and compares the two bit for bit.
#
# `make repro` runs this after `make dist image`. The second build has its own copy of the sources,
# its own target directory, its own CARGO_HOME, another time, another umask, and a path of another length
# that is on the other side of /usr in the order of names: ld sorts by file names (see
# src/dist/build.sh). Compared are the program of a plain `make`, and for each of SYSTEMS the
# archive and the list of what is inside; of the image, the digest.
set -eu

: "${SYSTEMS:?names the systems}" "${CARGO_HOME:?names the first CARGO_HOME}"
make=${MAKE:-make}
built=${CARGO_TARGET_DIR:-target}

case $(printf '%s\n' "$PWD" /usr | LC_ALL=C sort | head -n 1) in
    /usr) scratch=$(mktemp -d --tmpdir=/tmp) ;;
    *) scratch=$(mktemp -d --tmpdir=/var/tmp) ;;
esac
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
elsewhere="$scratch/a-checkout/that/lies/somewhere/else"
second_home="$scratch/second-cargo-home"

umask 027
mkdir -p "$elsewhere" "$second_home/registry"
cp -R Cargo.toml Cargo.lock Makefile README.md LICENSE .ci src tests "$elsewhere"
# As they were fetched; cargo unpacks them anew.
cp -R "$CARGO_HOME/registry/index" "$CARGO_HOME/registry/cache" "$second_home/registry"
for settings in config config.toml; do
    if [ -f "$CARGO_HOME/$settings" ]; then cp "$CARGO_HOME/$settings" "$second_home"; fi
done
find "$elsewhere" -exec touch --date=@1000000000 {} +

"$make" all
env -u RUSTFLAGS -u CARGO_BUILD_TARGET_DIR CARGO_HOME="$second_home" CARGO_TARGET_DIR="$elsewhere/target" \
    "$make" -C "$elsewhere" all dist image SYSTEMS="$SYSTEMS"

differences=0
compare() {
    if cmp "$built/dist/$1" "$elsewhere/target/dist/$1"; then
        echo "repro: the same bit for bit: $1"
    else
        differences=$((differences + 1))
    fi
}
compare docusign-refresh
for system in $SYSTEMS; do
    for file in "$elsewhere"/target/dist/docusign-refresh-*-"$system".*; do
        compare "$(basename "$file")"
    done
done

digest() {
    tar --extract --to-stdout --file "$1" index.json | grep -o 'sha256:[0-9a-f]*'
}
for image in "$elsewhere"/target/dist/*-image.tar; do
    first=$(digest "$built/dist/$(basename "$image")")
    second=$(digest "$image")
    if [ "$first" = "$second" ]; then
        echo "repro: the same digest: $(basename "$image"): $first"
    else
        echo "repro: $(basename "$image"): $first, then $second" >&2
        differences=$((differences + 1))
    fi
done

if [ "$differences" -ne 0 ]; then
    echo "repro: $differences files differ" >&2
    exit 1
fi
