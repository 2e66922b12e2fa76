#!/bin/sh
# The cycle as people write it in a shell: curl and jq, a new file, a rename.
set -eu
file=${1:-$DOCUSIGN_TOKEN_FILE}
refresh_token=$(jq --exit-status --raw-output .refresh_token "$file")
new=$(mktemp "$file.XXXXXX")
curl --silent --show-error --fail --cacert "$SSL_CERT_FILE" \
  --user "$DOCUSIGN_CLIENT_ID:$DOCUSIGN_CLIENT_SECRET" \
  --data grant_type=refresh_token --data-urlencode "refresh_token=$refresh_token" \
  "$DOCUSIGN_TOKEN_ENDPOINT" | jq --slurp '.[0] * .[1]' "$file" - > "$new"
mv "$new" "$file"
