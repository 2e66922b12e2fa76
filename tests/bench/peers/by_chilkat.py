"""The cycle in the shape of the vendor's sample "Docusign Refresh OAuth2 Access Token"."""
import os
import sys

import chilkat


def must(succeeded, of):
    if not succeeded:
        sys.exit(of.lastErrorText())


unlock = chilkat.CkGlobal()
must(unlock.UnlockBundle("Anything for 30-day trial"), unlock)

roots = chilkat.CkTrustedRoots()
must(roots.LoadCaCertsPem(os.environ["SSL_CERT_FILE"]), roots)
must(roots.Activate(), roots)

file = os.environ["DOCUSIGN_TOKEN_FILE"]
tokens = chilkat.CkJsonObject()
must(tokens.LoadFile(file), tokens)

oauth2 = chilkat.CkOAuth2()
oauth2.put_TokenEndpoint(os.environ["DOCUSIGN_TOKEN_ENDPOINT"])
oauth2.put_ClientId(os.environ["DOCUSIGN_CLIENT_ID"])
oauth2.put_ClientSecret(os.environ["DOCUSIGN_CLIENT_SECRET"])
oauth2.put_UseBasicAuth(True)
oauth2.put_RefreshToken(tokens.stringOf("refresh_token"))
must(oauth2.RefreshAccessToken(), oauth2)

tokens.UpdateString("access_token", oauth2.accessToken())
tokens.UpdateString("refresh_token", oauth2.refreshToken())
tokens.put_EmitCompact(False)
text = chilkat.CkStringBuilder()
tokens.EmitSb(text)
must(text.WriteFile(file, "utf-8", False), text)
