// oidc-provider on a loopback port, for tests/suite/peers.rs.
//
// The first line of standard input is JSON: key, cert and ca in PEM, and clients, each with id,
// secret and method. The answer is a line with the port. Each line after that is a command, answered
// by one line of JSON: {"browse": ADDRESS} opens an authorization request's address as a human with a browser
// does, agrees, and answers the address to which the browser is sent; with "decline" it is declined.
// {"login": CLIENT_ID} goes through the whole authorization code flow, as a browser and a web application
// would, and answers the token response; {"revoke": TOKEN, "client": CLIENT_ID} answers the status of the
// revocation. It ends with its standard input. Every login needs PKCE.

import { createHash, randomBytes } from 'node:crypto';
import https from 'node:https';
import readline from 'node:readline';
import Provider from 'oidc-provider';

// Standard output is for the answers alone.
console.info = console.warn = console.error;

const REDIRECT_URI = 'https://application.test/callback';
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const setup = JSON.parse((await lines.next()).value);

const server = https.createServer({ key: setup.key, cert: setup.cert });
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `https://localhost:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: setup.clients.map(({ id, secret, method }) => ({
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: method,
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [REDIRECT_URI, 'http://localhost/'],
  })),
  cookies: { keys: [randomBytes(16).toString('hex')] },
  features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
  pkce: { required: () => true },
  rotateRefreshToken: true,
});
server.on('request', provider.callback());
console.log(JSON.stringify({ port: server.address().port }));

// One HTTP request: the answer's status, Location and body. Cookies are kept in the jar.
function ask(jar, method, url, form, authorization) {
  const body = form && new URLSearchParams(form).toString();
  const headers = { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') };
  if (body) headers['content-type'] = 'application/x-www-form-urlencoded';
  if (authorization) headers.authorization = authorization;
  return new Promise((resolve, reject) => {
    const request = https.request(url, { method, headers, ca: setup.ca, agent: false }, (response) => {
      for (const cookie of response.headers['set-cookie'] ?? []) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
        jar.set(name, value);
      }
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, location: response.headers.location, text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

// The client's credentials, as RFC 6749, section 2.3.1 wants them: [fields, Authorization].
function credentials(id) {
  const { secret, method } = setup.clients.find((client) => client.id === id);
  if (method === 'client_secret_post') return [{ client_id: id, client_secret: secret }];
  const encoded = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
  return [{}, `Basic ${Buffer.from(encoded).toString('base64')}`];
}

// The address to which the browser is sent in the end.
async function browse(address, decline) {
  const jar = new Map();
  let url = address;
  while (url.startsWith(issuer)) {
    let answer = await ask(jar, 'GET', url);
    if (!answer.location) {
      // The page of an interaction: a form that asks who one is, then one that asks for consent. Both have a link
      // to leave.
      const prompt = /name="prompt" value="(\w+)"/.exec(answer.text)?.[1];
      if (!prompt) throw new Error(`${url}: ${answer.status}: ${answer.text}`);
      answer = decline
        ? await ask(jar, 'GET', `${url}/abort`)
        : await ask(jar, 'POST', url, { prompt, login: 'someone', password: 'anything' });
    }
    url = new URL(answer.location, issuer).href;
  }
  return url;
}

async function login(id) {
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: id,
    redirect_uri: REDIRECT_URI,
    response_type: 'code',
    scope: 'openid offline_access',
    prompt: 'consent',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const code = new URL(await browse(`${issuer}/auth?${query}`)).searchParams.get('code');
  const [fields, authorization] = credentials(id);
  const form = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI, code_verifier: verifier, ...fields };
  return JSON.parse((await ask(new Map(), 'POST', `${issuer}/token`, form, authorization)).text);
}

async function revoke(token, id) {
  const [fields, authorization] = credentials(id);
  return (await ask(new Map(), 'POST', `${issuer}/token/revocation`, { token, ...fields }, authorization)).status;
}

function run(command) {
  if (command.browse) return browse(command.browse, command.decline);
  return command.login ? login(command.login) : revoke(command.revoke, command.client);
}

for await (const line of lines) console.log(JSON.stringify(await run(JSON.parse(line))));
server.close();
server.closeAllConnections();
