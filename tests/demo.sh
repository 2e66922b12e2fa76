#!/bin/sh
# A login and a refresh, as a user would run them, at a server of our own.
#
# `make demo` runs this with two programs in the environment: BINARY, the program that ships, and
# TOKEN_SERVER, the one in tests/token-server.rs, which also is the browser. It needs no network but
# loopback, leaves nothing behind, and fails unless both runs succeed and the second one has changed the file.
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
# script. Its first lines say that it listens, and where.
mkfifo addresses redirected said pasted
"$token_server" . <addresses >redirected 2>server.log &
exec 3>addresses 4<redirected
read -r authorization_endpoint <&4
read -r endpoint <&4
id=$(cat client-id)

cat <<END
\$ docusign-refresh login --client-id $id \\
      --client-secret-file client-secret \\
      --authorization-endpoint $authorization_endpoint \\
      --token-endpoint $endpoint \\
      --ca-file ca.pem docusign.json
END
env -i "$binary" login --client-id "$id" \
    --client-secret-file client-secret \
    --authorization-endpoint "$authorization_endpoint" \
    --token-endpoint "$endpoint" \
    --ca-file ca.pem docusign.json <pasted 2>said &
login=$!
exec 5>pasted 6<said
# The address stands alone on its line. What follows it ends with the line that is to be pasted.
while read -r line <&6; do
    printf '%s\n' "$line"
    case $line in
        https://*) printf '%s\n' "$line" >&3 ;;
        *'paste the whole address'*) break ;;
    esac
done
read -r address <&4
printf '%s\n' "$address"
printf '%s\n' "$address" >&5
exec 5>&-
cat <&6
status=0
wait "$login" || status=$?
echo
echo '$ echo $?'
echo "$status"
if [ "$status" -ne 0 ]; then
    echo 'demo: the login failed' >&2
    exit 1
fi

echo
echo '$ cat docusign.json'
cat docusign.json
cp docusign.json before.json

cat <<END

\$ docusign-refresh --client-id $id \\
      --client-secret-file client-secret \\
      --token-endpoint $endpoint \\
      --ca-file ca.pem --print tokens docusign.json
END
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
