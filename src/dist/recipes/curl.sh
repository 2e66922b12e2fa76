#!/bin/sh
# --print header writes the whole header line and --header @- reads it: the token is never an argument.
header=$(docusign-refresh --quiet --min-ttl 10m --print header docusign.json) &&
printf '%s\n' "$header" |
curl --fail --silent --show-error --header @- https://account-d.docusign.com/oauth/userinfo
