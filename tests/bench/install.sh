#!/bin/sh
# Installs what `make bench` compares with into the directory $1, and nowhere else. Versions are pinned
# beside this script. What comes from Debian is not installed but asked for. Each step is done once:
# a change of what it reads makes it run again.
set -eu
into=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"

# A command, and Debian's package that brings it.
missing=
while read -r command package; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$command" > "$into/found" || missing="$missing $package"
done <<END
curl curl
jq jq
/usr/bin/python3 python3
node nodejs
npm npm
valgrind valgrind
strace strace
/usr/bin/time time
timeout coreutils
/usr/bin/xargs findutils
END
/usr/bin/python3 -c 'import ensurepip' 2> "$into/found" || missing="$missing python3-venv"
if [ -n "$missing" ]; then
  echo "make bench needs more of Debian: apt-get install$missing" >&2
  exit 1
fi

# once NAME FILES -- COMMAND: runs the command unless it has succeeded on just these files.
once() {
  name=$1
  shift
  files=
  while [ "$1" != -- ]; do
    files="$files $1"
    shift
  done
  shift
  # shellcheck disable=SC2086 # names without spaces
  now=$(cat $files install.sh | sha256sum)
  if [ ! -f "$into/$name.done" ] || [ "$(cat "$into/$name.done")" != "$now" ]; then
    echo "bench: installing $name" >&2
    "$@"
    printf '%s\n' "$now" > "$into/$name.done"
  fi
}

# pip is what installs, not what runs: it does not count.
python() {
  rm -rf "${into:?}/$1"
  /usr/bin/python3 -m venv "$into/$1"
  "$into/$1/bin/pip" install --quiet --disable-pip-version-check --requirement "peers/$1.txt"
  "$into/$1/bin/pip" uninstall --quiet --yes setuptools pip
}

node() {
  mkdir -p "$into/openid-client"
  cp peers/package.json peers/package-lock.json peers/openid-client.mjs "$into/openid-client"
  npm ci --silent --prefix "$into/openid-client"
}

# As its author builds it, or `cargo install` does: with the default flags.
rust() {
  "${CARGO:-cargo}" build --quiet --locked --release --manifest-path "$1/Cargo.toml" --target-dir "$into/build"
  cp "$into/build/release/$1" "$into/$1"
}

# With the flags and for the target that `make` builds the program with.
floor() {
  RUSTFLAGS=$DIST_FLAGS "${CARGO:-cargo}" build --quiet --locked --release --target "$TARGET" \
    --manifest-path floor/Cargo.toml --target-dir "$into/build"
  cp "$into/build/$TARGET/release/floor" "$into/floor"
}

ortie() {
  "${CARGO:-cargo}" install --quiet --locked --version "$(cat peers/ortie.version)" --root "$into" \
    --target-dir "$into/build" ortie
}

unset RUSTFLAGS
once requests-oauthlib peers/requests-oauthlib.txt -- python requests-oauthlib
once chilkat peers/chilkat.txt -- python chilkat
once openid-client peers/package.json peers/package-lock.json peers/openid-client.mjs -- node
once floor floor/main.rs floor/Cargo.toml floor/Cargo.lock -- floor
once oauth2-peer oauth2-peer/main.rs oauth2-peer/Cargo.toml oauth2-peer/Cargo.lock -- rust oauth2-peer
once slow-disk slow-disk/main.rs slow-disk/Cargo.toml slow-disk/Cargo.lock -- rust slow-disk
once ortie peers/ortie.version -- ortie
