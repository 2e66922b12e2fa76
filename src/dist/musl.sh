#!/bin/sh
# Builds musl for a processor for which Debian 12 has no package of it: musl.sh TARGET DIRECTORY
#
# The sources are Debian's own (their version is that of Debian's packages), and apt checks who signed them.
# It asks the mirror that this machine's apt asks, keeps its lists in DIRECTORY, and changes nothing else.
set -eu

target=${1:?names the target}
directory=${2:?names the directory to install into}
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "musl.sh: $target: $1" >&2
    exit 1
}

gcc=$(awk -v target="$target" '$2 == target { print $3 }' "$here/systems")
for program in apt-get dpkg-source make "${gcc:-of src/dist/systems}"; do
    command -v "$program" >/dev/null || fail "no $program on this machine (Debian: apt, dpkg-dev, make, gcc-…)"
done

mkdir -p "$directory/apt/lists/partial" "$directory/apt/cache/archives/partial"
directory=$(cd "$directory" && pwd)
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Codename: bookworm' 'Label: Debian' | sed 1q)
[ -n "$mirror" ] || fail 'apt knows no mirror of Debian 12 here'
: >"$directory/apt/status"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" \
    >"$directory/apt/sources.list"

apt() {
    apt-get --quiet --quiet -o Dir::State::Lists="$directory/apt/lists" -o Dir::State::status="$directory/apt/status" \
        -o Dir::Cache="$directory/apt/cache" -o Dir::Etc::sourcelist="$directory/apt/sources.list" \
        -o Dir::Etc::sourceparts=- -o APT::Sandbox::User= -o Acquire::Retries=5 "$@"
}

cd "$directory"
rm -rf musl-*/
apt update
apt source musl >/dev/null
cd musl-*/
./configure --target="${gcc%-gcc}" CC="$gcc" --prefix="$directory" --disable-shared --enable-wrapper=no >log 2>&1 &&
    make install >>log 2>&1 || fail "it can't be built: see $directory/musl-*/log"
# As Debian's package has it: what makes a gcc for glibc one for musl.
sh tools/musl-gcc.specs.sh "$directory/include" "$directory/lib" /lib/ld-musl.so.1 >"$directory/lib/musl-gcc.specs"
