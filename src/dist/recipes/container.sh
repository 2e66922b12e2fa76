#!/bin/sh
# One refresh in a container. Directory, token file and secret belong to user 65532. Mount the directory, not the
# token file alone: a file that is mounted by itself cannot be replaced, only overwritten.
podman run --rm --read-only --cap-drop all --security-opt no-new-privileges \
  --volume /srv/docusign/tokens:/tokens \
  --volume /srv/docusign/client-secret:/run/secrets/docusign-client-secret:ro \
  --env DOCUSIGN_CLIENT_ID=5f2a7c1e-0d2b-4b6e-9a53-3c1d2e4f5a6b \
  --env DOCUSIGN_CLIENT_SECRET_FILE=/run/secrets/docusign-client-secret \
  docusign-refresh
