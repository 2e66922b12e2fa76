#!/bin/sh
# Builds the container image, without a daemon: image.sh ARCHITECTURE BINARY OUTPUT
#
# The image holds the program and nothing else (Containerfile, next to this script). OUTPUT is an
# OCI archive, for `podman load`, `skopeo copy` or `docker load`. Needs buildah, as root or with
# subordinate user ids. The same program gives an image of the same digest.
set -eu

architecture=${1:?names the architecture}
binary=${2:?names the program}
output=${3:?names the file to write}
here=$(dirname "$0")

command -v buildah >/dev/null || {
    echo 'image.sh: no buildah on this machine' >&2
    exit 1
}
case $architecture in
    x86_64) platform=amd64 ;;
    aarch64) platform=arm64 ;;
    *) platform=$architecture ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$scratch/context"
install -m 755 "$binary" "$scratch/context/docusign-refresh"

# A store of its own, without overlay mounts, so that the machine's images play no part.
build() {
    STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot buildah --root "$scratch/store" --runroot "$scratch/run" "$@"
}
# The history has a digest in it that is another on another machine.
build bud --quiet --format oci --timestamp 0 --omit-history --identity-label=false --arch "$platform" \
    --file "$here/Containerfile" --tag docusign-refresh "$scratch/context" >/dev/null
rm -f "$output"
build push --quiet docusign-refresh "oci-archive:$output:docusign-refresh:latest"
digest=$(tar --extract --to-stdout --file "$output" index.json | grep -o 'sha256:[0-9a-f]*')
ls -l "$output"
echo "$digest"
