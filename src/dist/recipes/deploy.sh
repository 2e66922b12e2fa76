#!/bin/sh
# Gets an access token that is valid for at least ten more minutes, and acts on the exit code.
set -u

token=$(docusign-refresh --quiet --min-ttl 10m --print access-token docusign.json)
case $? in
    0) ;;
    74) echo 'deploy: the new tokens are not in place: save the file named above, now' >&2; exit 1 ;;
    75) echo 'deploy: Docusign could not be reached: run this again later' >&2; exit 75 ;;
    77) echo 'deploy: someone has to log in to Docusign again' >&2; exit 1 ;;
    *) echo 'deploy: this host or its settings are at fault: see above' >&2; exit 1 ;;
esac

# From here on $token is valid. The shell's builtin printf does not show it to other processes.
printf 'deploy: the access token has %s characters\n' "${#token}"
