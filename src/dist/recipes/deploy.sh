#!/bin/sh
# Gets an access token that is valid for ten more minutes at least, and does what the exit code says.
set -u

token=$(docusign-refresh --quiet --min-ttl 10m --print access-token docusign.json)
case $? in
    0) ;;
    74) echo 'deploy: the new tokens are not in place: save the file named above, now' >&2; exit 1 ;;
    75) echo 'deploy: Docusign was not to be reached: run this again later' >&2; exit 75 ;;
    77) echo 'deploy: someone has to log in to Docusign again' >&2; exit 1 ;;
    *) echo 'deploy: this host or its settings are at fault: see above' >&2; exit 1 ;;
esac

# From here on $token is good. A shell's own printf shows it to no other process.
printf 'deploy: the access token has %s characters\n' "${#token}"
