#!/bin/sh
# Gives the tokens a user of their own. Run it as root, next to docusign.json and client-secret.
#
# Members of the group docusign can read the token file, including the refresh token. Only root and the user
# docusign can read the client secret. The directory must belong to the user, because each refresh puts a new
# file in the token file's place.
set -e
useradd --system --user-group --home-dir /var/lib/docusign-refresh --shell /usr/sbin/nologin docusign
install -d -o docusign -g docusign -m 750 /var/lib/docusign-refresh
install -o docusign -g docusign -m 640 docusign.json /var/lib/docusign-refresh/docusign.json
install -d -m 755 /etc/docusign-refresh
install -o docusign -g docusign -m 400 client-secret /etc/docusign-refresh/client-secret
