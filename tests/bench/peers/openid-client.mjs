// The cycle with openid-client; Node trusts the CA that NODE_EXTRA_CA_CERTS names.
import { readFile, rename, writeFile } from "node:fs/promises";
import * as client from "openid-client";

const { DOCUSIGN_TOKEN_FILE: file, DOCUSIGN_TOKEN_ENDPOINT: endpoint } = process.env;
const server = { issuer: new URL(endpoint).origin, token_endpoint: endpoint };
const secret = client.ClientSecretBasic(process.env.DOCUSIGN_CLIENT_SECRET);
const configuration = new client.Configuration(server, process.env.DOCUSIGN_CLIENT_ID, undefined, secret);

const stored = JSON.parse(await readFile(file, "utf8"));
const answer = await client.refreshTokenGrant(configuration, stored.refresh_token);
await writeFile(`${file}.new`, `${JSON.stringify({ ...stored, ...answer }, null, 2)}\n`, { mode: 0o600 });
await rename(`${file}.new`, file);
