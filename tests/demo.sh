#!/bin/sh
# One refresh, as a user would run it, at a token server of our own.
#
# `make demo` runs this with two programs in the environment: BINARY, the program that ships, and
# TOKEN_SERVER, the one in tests/token-server.rs. It needs no network but loopback, leaves
# nothing behind, and fails unless the run succeeds and the file has changed.
set -eu

# The commands run in a directory of their own, so the paths to the programs must not depend on
# where we are.
absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s/%s\n' "$PWD" "$1" ;;
    esac
}
binary=$(absolute "${BINARY:?names the program to show}")
token_server=$(absolute "${TOKEN_SERVER:?names the token server}")

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' HUP INT TERM
cd "$directory"

# The server lives as long as its standard input, which is ours to close: it can't outlive this
# script. Its first line says that it listens, and where.
mkfifo life endpoint
"$token_server" . <life >endpoint 2>server.log &
exec 3>life
read -r endpoint <endpoint
id=$(cat client-id)

echo '$ cat docusign.json'
cat docusign.json
cp docusign.json before.json

cat <<END

\$ docusign-refresh --client-id $id \\
      --client-secret-file client-secret \\
      --token-endpoint $endpoint \\
      --ca-file ca.pem --print tokens docusign.json
END
status=0
env -i "$binary" --client-id "$id" \
    --client-secret-file client-secret \
    --token-endpoint "$endpoint" \
    --ca-file ca.pem --print tokens docusign.json 2>&1 || status=$?

echo
echo '$ echo $?'
echo "$status"
echo
echo '$ cat docusign.json'
cat docusign.json

exec 3>&-
wait
echo
echo 'What the server saw:'
cat server.log

if [ "$status" -ne 0 ]; then
    echo 'demo: the run failed' >&2
    exit 1
fi
if cmp -s before.json docusign.json; then
    echo 'demo: the token file did not change' >&2
    exit 1
fi
