"""The cycle with requests-oauthlib, as its documentation has it."""
import json
import os
import tempfile

from requests_oauthlib import OAuth2Session

file = os.environ["DOCUSIGN_TOKEN_FILE"]
with open(file, encoding="utf-8") as stored:
    tokens = json.load(stored)

client_id = os.environ["DOCUSIGN_CLIENT_ID"]
session = OAuth2Session(client_id, token=tokens)
tokens |= session.refresh_token(
    os.environ["DOCUSIGN_TOKEN_ENDPOINT"],
    auth=(client_id, os.environ["DOCUSIGN_CLIENT_SECRET"]),
    verify=os.environ["SSL_CERT_FILE"],
)

with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(file), encoding="utf-8", delete=False) as new:
    json.dump(tokens, new, indent=2)
os.replace(new.name, file)
