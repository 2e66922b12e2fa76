#!/usr/bin/env bash
# Puts a real kube-apiserver and a real etcd into target/kubernetes, once per machine: build.sh
#
# There is no package of kube-apiserver, but Debian 12's source package `kubernetes` (1.20.2) is the
# whole tree, and Debian's own Go builds it: about six minutes of two cores and 3 GB while it lasts,
# 110 MB afterwards. etcd is Debian's. Nothing is installed: packages are unpacked in target/kubernetes.
# Where this can't be had it says `skipped`, and so do the tests; with CI=true both fail.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
into=$top/target/kubernetes
work=$into/build

if [[ -x $into/kube-apiserver && -x $into/etcd ]]; then
    exit 0
fi

skip() {
    echo "skipped: no kube-apiserver: $1" >&2
    [[ ${CI:-} != true ]]
    exit
}

for tool in apt-get dpkg make patch tar xz; do
    type -P "$tool" >/dev/null || skip "$tool is missing"
done
# The mirror that this machine's apt uses; security and backports have other packages.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Component: main' | sed -n '/ [a-z]*$/{s/ .*//p;q}')
[[ -n $mirror ]] || skip "apt knows no Debian mirror"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -e $keyring ]] || skip "$keyring is missing"

rm -rf "$work"
mkdir -p "$work"/{lists/partial,cache/archives/partial,packages,root,home}
: >"$work/status"
printf '%s [signed-by=%s] %s bookworm main\n' deb "$keyring" "$mirror" deb-src "$keyring" "$mirror" >"$work/sources.list"
# With a status of its own, in which nothing is installed: apt-get would ask for the version of a package that this machine
# has, and that may be an update which is not on these lists.
apt() {
    apt-get -qq -o Acquire::Retries=5 -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$work/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status" \
        -o Dir::Cache="$work/cache" "$@"
}
apt update || skip "the mirror's lists can't be read"
cd "$work/packages"
apt --download-only source kubernetes || skip "Debian 12's source package kubernetes can't be read"
apt download golang-1.19-go golang-1.19-src rsync libpopt0 libxxhash0 golang-github-modern-go-reflect2-dev etcd-server ||
    skip "Debian 12's packages can't be read"
for package in *.deb; do
    dpkg --extract "$package" "$work/root"
done
cp "$work/root/usr/bin/etcd" "$into/etcd"

cd "$work"
tar --extract --file packages/kubernetes_*.orig.tar.gz
tar --extract --file packages/kubernetes_*.debian.tar.xz
cd kubernetes-*/
while read -r name; do
    patch --quiet --strip 1 <"../debian/patches/$name"
done < <(grep -v '^#' ../debian/patches/series)
# The vendored reflect2 1.0.1 panics at the first POST if built with Go 1.18 or later; Debian's 1.0.2 does not.
reflect=vendor/github.com/modern-go/reflect2
rm $reflect/*.go $reflect/*.s
cp "$work"/root/usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} $reflect/
rm -f $reflect/*_test.go

export GOROOT=$work/root/usr/lib/go-1.19 GOPATH=$PWD/.go GOPROXY=off GOSUMDB=off CGO_ENABLED=0 HOME=$work/home
export PATH=$GOROOT/bin:$work/root/usr/bin:$PATH
LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
# A tree without git says itself what it is.
export KUBE_GIT_VERSION=v1.20.2 KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20 KUBE_GIT_TREE_STATE=archive \
    KUBE_GIT_COMMIT=faecb196815e248d3ecfb03c680a4507229c2a56 SOURCE_DATE_EPOCH=1610525040
mkdir -p .go/src/k8s.io
ln -s ../../.. .go/src/k8s.io/kubernetes
make WHAT=cmd/kube-apiserver
mv _output/bin/kube-apiserver "$into/kube-apiserver"
cd "$into"
rm -rf "$work"
./kube-apiserver --version
