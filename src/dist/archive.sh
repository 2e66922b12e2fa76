#!/bin/sh
# Packs the program for one system: archive.sh SYSTEM BINARY DIRECTORY
#
# Writes two files into DIRECTORY: docusign-refresh-VERSION-SYSTEM.tar.gz (for Windows: .zip), and the same name
# with .cdx.json at the end: the CycloneDX list of the program's parts, which is also in the archive. The lines of
# the file BINARY.libraries name the parts that are not crates: name, version, and the file with the licence, or
# nothing if no licence has to accompany copies. The same input gives the same bytes: the order of names is fixed,
# owners are 0, and every time is SOURCE_DATE_EPOCH, by default the earliest that zip knows.
set -eu

system=${1:?names the system}
binary=${2:?names the program}
directory=${3:?names the directory to write to}
cargo=${CARGO:-cargo}
here=$(dirname "$0")
target=$(awk -v name="$system" '$1 == name { print $2 }' "$here/systems")
date=@${SOURCE_DATE_EPOCH:-315532800}

fail() {
    echo "archive.sh: $system: $1" >&2
    exit 1
}

for program in jq gzip zip; do
    command -v "$program" >/dev/null || fail "no $program on this machine (Debian: $program)"
done
[ -n "$target" ] || fail 'not one of src/dist/systems'
[ -f "$binary.libraries" ] || fail "no $binary.libraries: what built the program writes it"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

"$cargo" tree --locked --edges normal --target "$target" --prefix none --format '{p}' |
    awk '{ sub("^v", "", $2); print $1, $2 }' | LC_ALL=C sort -u >"$scratch/crates"
"$cargo" metadata --locked --format-version 1 --filter-platform "$target" >"$scratch/metadata"
# Each crate's checksum, one a line: name, version, checksum.
awk -F '"' '/^name/ { name = $2 } /^version/ { version = $2 } /^checksum/ { print name, version, $2 }' \
    Cargo.lock >"$scratch/checksums"
jq --arg system "$system" --rawfile crates "$scratch/crates" --rawfile checksums "$scratch/checksums" \
    --rawfile libraries "$binary.libraries" --from-file "$here/bill-of-materials.jq" "$scratch/metadata" >"$scratch/bill"
version=$(jq -r .metadata.component.version "$scratch/bill")
name=docusign-refresh-$version-$system
inside=$scratch/$name

mkdir "$inside"
install -m 755 "$binary" "$inside/$(basename "$binary")"
install -m 644 README.md LICENSE "$here/CHANGELOG.md" "$inside"
case $system in
    *-windows) install -m 644 "$here/docusign-refresh-task.xml" "$here/recipes/windows-task.ps1" "$inside" ;;
    *)
        install -m 644 "$here/../docusign-refresh.1" "$here/docusign-refresh.bash" "$inside"
        mkdir "$inside/recipes"
        cp "$here"/recipes/* "$inside/recipes"
        rm "$inside/recipes/windows-task.ps1"
        ;;
esac
install -m 644 "$scratch/bill" "$inside/docusign-refresh.cdx.json"

# Most licences of the crates and libraries ask that their texts go with the program.
licence() {
    printf '==== %s: %s ====\n\n' "$1" "$(basename "$2")"
    cat "$2"
    echo
}
jq -r --slurpfile bill "$scratch/bill" '
    [$bill[0].components[]["bom-ref"]] as $inside
    | .packages[] | select("pkg:cargo/\(.name)@\(.version)" | IN($inside[]))
    | "\(.name) \(.version) \(.manifest_path | rtrimstr("/Cargo.toml"))"' "$scratch/metadata" | LC_ALL=C sort |
    while read -r part part_version sources; do
        find "$sources" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'copyright*' \) |
            LC_ALL=C sort |
            while read -r text; do licence "$part $part_version" "$text"; done
    done >"$inside/LICENSES-OF-PARTS"
while read -r part part_version text; do
    [ -z "$text" ] || [ -f "$text" ] || fail "no $text, the licence of $part, on this machine"
    [ -z "$text" ] || licence "$part $part_version" "$text" >>"$inside/LICENSES-OF-PARTS"
done <"$binary.libraries"
chmod -R u=rwX,go=rX "$inside"

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
install -m 644 "$scratch/bill" "$directory/$name.cdx.json"
cd "$scratch"
find "$name" -exec touch --date="$date" {} +
case $system in
    *-windows)
        archive=$directory/$name.zip
        rm -f "$archive"
        find "$name" -type f | LC_ALL=C sort | TZ=UTC0 zip -X -9 -q "$archive" -@
        ;;
    *)
        archive=$directory/$name.tar.gz
        tar --create --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$date" "$name" |
            gzip -9 -n >"$archive"
        ;;
esac
chmod 644 "$archive"
ls -l "$archive"
