#!/bin/sh
# Tests what `make dist image` made: the part of CI that needs those files.
#
# Each archive holds what it should and its checksum fits; its list of what is inside is sound
# CycloneDX and has exactly the crates that cargo builds for that system. The programs from the
# archives pass the suite: this machine's all of it, that of aarch64 the cases, under qemu (the
# Windows program is tested by `make windows`). `make install` installs what it says.
set -eu

: "${BINARY:?names the program of this machine}" "${SYSTEMS:?names the systems}"
cargo=${CARGO:-cargo}
dist=$PWD/target/dist

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "check-dist: $1" >&2
    exit 1
}

# Whether a tool that only tests need is here. In CI it must be.
has() {
    command -v "$1" >/dev/null && return
    [ "${CI:-}" != true ] || fail "no $1 on this machine: in CI every check must run"
    echo "check-dist: skipped: no $1 on this machine"
    return 1
}

# Against the published schema, by the Python library of CycloneDX's own makers.
validate() {
    python3 -c 'import cyclonedx.validation.json' 2>/dev/null || {
        [ "${CI:-}" != true ] || fail 'no cyclonedx-python-lib for python3: see .ci/requirements.txt'
        echo 'check-dist: skipped: no cyclonedx-python-lib for python3 (.ci/requirements.txt)'
        return
    }
    python3 - "$1" <<'END'
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
with open(sys.argv[1]) as bill:
    sys.exit(JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill.read()) and "not sound CycloneDX")
END
}

echo 'check-dist: checksums'
(cd "$dist" && sha256sum --check --strict --quiet SHA256SUMS)

for system in $SYSTEMS; do
    echo "check-dist: the archive for $system"
    program=docusign-refresh
    others='docusign-refresh.1 docusign-refresh.bash docusign-refresh.cdx.json'
    case $system in
        *-windows)
            target=${system%-windows}-pc-windows-gnu
            program=docusign-refresh.exe
            others='docusign-refresh-task.xml docusign-refresh.cdx.json'
            unzip -q "$dist"/docusign-refresh-*-"$system".zip -d "$scratch/$system"
            ;;
        *)
            target=${system%-linux}-unknown-linux-musl
            mkdir "$scratch/$system"
            tar -xzf "$(echo "$dist"/docusign-refresh-*-"$system".tar.gz)" -C "$scratch/$system"
            ;;
    esac
    inside=$(echo "$scratch/$system"/docusign-refresh-*-"$system")
    wanted=$(echo "LICENSE LICENSES-OF-CRATES README.md $program $others" | tr ' ' '\n' | LC_ALL=C sort | xargs)
    found=$(cd "$inside" && find . -type f | sed 's|^\./||' | LC_ALL=C sort | xargs)
    [ "$found" = "$wanted" ] || fail "$system: it holds: $found"
    [ -x "$inside/$program" ] || fail "$system: the program is not executable"
    cmp "$inside/docusign-refresh.cdx.json" "$dist/$(basename "$inside").cdx.json"

    "$cargo" tree --locked --edges normal --target "$target" --prefix none --format '{p}' |
        sed 's/ v\([^ ]*\).*/ \1/' | LC_ALL=C sort -u >"$scratch/crates"
    jq -r '(.metadata.component, .components[]) | select(.purl | startswith("pkg:cargo/")) | "\(.name) \(.version)"' \
        "$inside/docusign-refresh.cdx.json" | LC_ALL=C sort >"$scratch/listed"
    cmp "$scratch/crates" "$scratch/listed"
    # One licence text at least for each of them but ours.
    while read -r crate version; do
        [ "$crate" = docusign-refresh ] || grep -q "^==== $crate $version: " "$inside/LICENSES-OF-CRATES" ||
            fail "$system: no licence text of $crate"
    done <"$scratch/crates"
    validate "$inside/docusign-refresh.cdx.json"
done

echo 'check-dist: the suite, on the program from the archive'
DOCUSIGN_REFRESH_BINARY=$BINARY "$cargo" test --locked

for program in "$scratch"/aarch64-linux/*/docusign-refresh; do
    if [ "$(uname -m)" != aarch64 ] && [ -f "$program" ] && has qemu-aarch64-static; then
        echo 'check-dist: the cases, on the program for aarch64'
        DOCUSIGN_REFRESH_RUNNER=qemu-aarch64-static DOCUSIGN_REFRESH_BINARY=$program \
            "$cargo" test --locked --test suite -- cases:: image::
    fi
done

echo 'check-dist: make install'
make install DESTDIR="$scratch/root" PREFIX=/usr >/dev/null
(cd "$scratch/root" && find . -type f | LC_ALL=C sort) >"$scratch/installed"
printf '%s\n' ./usr/bin/docusign-refresh ./usr/share/bash-completion/completions/docusign-refresh \
    ./usr/share/man/man1/docusign-refresh.1 | cmp - "$scratch/installed"
"$scratch/root/usr/bin/docusign-refresh" --version
