#!/bin/sh
# Tests what `make dist` made: the part of CI that needs those files.
#
# Each archive holds what it should and its checksum fits; its list of what is inside is sound
# CycloneDX and has exactly the crates that cargo builds for that system, and the libraries that no
# crate brings; each part's licence is there. The programs from the archives pass the suite: this
# machine's all of it, those for other processors the cases, under qemu; the Windows programs are those that
# `make test-windows` tests. `make install` installs what it says.
set -eu

: "${SYSTEMS:?names the systems}"
cargo=${CARGO:-cargo}
rustc=${RUSTC:-rustc}
make=${MAKE:-make}
dist=${CARGO_TARGET_DIR:-$PWD/target}/dist

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
# Some tests run the program as another user.
chmod 755 "$scratch"

fail() {
    echo "check-dist: $1" >&2
    exit 1
}

# What src/dist/systems says of a system.
column() {
    awk -v name="$1" -v number="$2" '$1 == name { print $number }' src/dist/systems
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
    target=$(column "$system" 2)
    others="docusign-refresh.1 docusign-refresh.bash docusign-refresh.cdx.json $(
        find src/dist/recipes -type f ! -name 'windows-*' -printf 'recipes/%f '
    )"
    case $system in
        *-windows)
            libraries='libgcc mingw-w64 rust-std'
            program=docusign-refresh.exe
            others='docusign-refresh-task.xml docusign-refresh.cdx.json windows-task.ps1'
            unzip -q "$dist"/docusign-refresh-*-"$system".zip -d "$scratch/$system"
            ;;
        *)
            # A standard library that is built here (build.sh) is linked with gcc's own library.
            libraries='libgcc musl rust-std'
            case $system in
                x86_64-linux | aarch64-linux | riscv64-linux)
                    if ls "$("$rustc" --print target-libdir --target "$target")"/libstd-* >/dev/null 2>&1; then
                        libraries='musl rust-std'
                    fi
                    ;;
            esac
            mkdir "$scratch/$system"
            tar -xzf "$(echo "$dist"/docusign-refresh-*-"$system".tar.gz)" -C "$scratch/$system"
            ;;
    esac
    inside=$(echo "$scratch/$system"/docusign-refresh-*-"$system")
    wanted=$(echo "CHANGELOG.md LICENSE LICENSES-OF-PARTS README.md $program $others" | tr -s ' ' '\n' | LC_ALL=C sort | xargs)
    found=$(cd "$inside" && find . -type f | sed 's|^\./||' | LC_ALL=C sort | xargs)
    [ "$found" = "$wanted" ] || fail "$system: it holds: $found"
    [ -x "$inside/$program" ] || fail "$system: the program is not executable"
    cmp "$inside/docusign-refresh.cdx.json" "$dist/$(basename "$inside").cdx.json"
    grep -q "^| \`docusign-refresh-VERSION-$system\.[a-z.]*\` |" README.md || fail "$system: the README does not name it"

    "$cargo" tree --locked --edges normal --target "$target" --prefix none --format '{p}' |
        sed 's/ v\([^ ]*\).*/ \1/' | LC_ALL=C sort -u >"$scratch/crates"
    jq -r '(.metadata.component, .components[]) | select(.purl | startswith("pkg:cargo/")) | "\(.name) \(.version)"' \
        "$inside/docusign-refresh.cdx.json" | LC_ALL=C sort >"$scratch/listed"
    diff "$scratch/crates" "$scratch/listed" || fail "$system: the list does not have cargo's crates"
    jq -r '.components[] | "\(.name) \(.version) \(.purl)"' "$inside/docusign-refresh.cdx.json" >"$scratch/parts"
    listed=$(awk '$3 ~ "^pkg:generic/" { print $1 }' "$scratch/parts" | LC_ALL=C sort | xargs)
    [ "$listed" = "$libraries" ] || fail "$system: its libraries are said to be: $listed"
    # One licence text at least for each part but ours; libgcc's runtime exception asks for none.
    while read -r part version _; do
        [ "$part" = libgcc ] || grep -qF "==== $part $version: " "$inside/LICENSES-OF-PARTS" ||
            fail "$system: no licence text of $part"
    done <"$scratch/parts"
    validate "$inside/docusign-refresh.cdx.json"
done

for system in x86_64-windows i686-windows; do
    if [ -d "$scratch/$system" ]; then
        cmp "$dist/$system/docusign-refresh.exe" "$scratch/$system"/*/docusign-refresh.exe
    fi
done

echo 'check-dist: make install'
"$make" install DESTDIR="$scratch/root" PREFIX=/usr >/dev/null
(cd "$scratch/root" && find . -type f | LC_ALL=C sort) >"$scratch/installed"
printf '%s\n' ./usr/bin/docusign-refresh ./usr/share/bash-completion/completions/docusign-refresh \
    ./usr/share/man/man1/docusign-refresh.1 | cmp - "$scratch/installed"
"$scratch/root/usr/bin/docusign-refresh" --version

this=$(uname -m)
for program in "$scratch"/*-linux/*/docusign-refresh; do
    system=$(basename "$(dirname "$(dirname "$program")")")
    if [ "$system" = "$this-linux" ]; then
        echo 'check-dist: the suite, on the program from the archive'
        DOCUSIGN_REFRESH_BINARY=$program "$cargo" test --locked --test suite
    elif has "$(column "$system" 5)"; then
        echo "check-dist: the cases, on the program for $system"
        DOCUSIGN_REFRESH_RUNNER=$(column "$system" 5) DOCUSIGN_REFRESH_BINARY=$program \
            "$cargo" test --locked --test suite -- cases:: image:: clocks::
    fi
    # strace can't strike at the calls of a program that qemu runs. An x86_64 kernel runs 32-bit programs itself, as a rule.
    if [ "$system" = i686-linux ] && [ "$this" = x86_64 ]; then
        if "$program" --version >/dev/null 2>&1; then
            echo "check-dist: the failures and kills at each call, on the program for $system"
            DOCUSIGN_REFRESH_BINARY=$program "$cargo" test --locked --test suite -- \
                failures:: kills:: kept_responses:: power_cuts:: recovery:: publish_sweeps::
        else
            echo "skipped: failures and kills of the program for $system: this kernel runs no 32-bit programs" >&2
        fi
    fi
done
