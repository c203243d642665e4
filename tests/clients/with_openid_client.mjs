// openid-client, authenticated as METHOD says. Where the endpoints are it looks up at the issuer, which
// leads to the gateway here.
import assert from 'node:assert/strict';
import * as client from 'openid-client';

const { GATE, KEY, SECRET, OTHER_SECRET, METHOD } = process.env;

const ISSUER = 'http://gate.example.com';
const here = (url, options) => fetch(url.replace(ISSUER, GATE), options);

async function configured(secret) {
  const basic = METHOD === 'client_secret_basic';
  const authentication = basic ? client.ClientSecretBasic : client.ClientSecretPost;
  return client.discovery(new URL(ISSUER), KEY, undefined, authentication(secret), {
    algorithm: 'oauth2',
    // It insists on https otherwise, and this is 127.0.0.1.
    execute: [client.allowInsecureRequests],
    [client.customFetch]: here,
  });
}

const configuration = await configured(SECRET);
assert.equal(configuration.serverMetadata().revocation_endpoint, `${ISSUER}/oauth/revoke`);
const token = await client.clientCredentialsGrant(configuration, { scope: 'items:read' });
assert.equal(token.scope, 'items:read');
assert.ok(token.expiresIn() > 0);

const call = (method, path) =>
  client.fetchProtectedResource(configuration, token.access_token, new URL(path, GATE), method);
const allowed = await call('GET', '/v1/items/7');
assert.deepEqual([allowed.status, await allowed.json()], [200, { ok: true }]);

// It reads the challenge of a refusal, so the challenge has to be one.
await assert.rejects(call('DELETE', '/v1/items/7'), (error) => {
  assert.equal(error.code, 'OAUTH_WWW_AUTHENTICATE_CHALLENGE', error);
  assert.equal(error.status, 403);
  assert.equal(error.cause[0].scheme, 'bearer');
  assert.equal(error.cause[0].parameters.error, 'insufficient_scope');
  assert.equal(error.cause[0].parameters.scope, 'items:delete');
  return true;
});

// What is given back is refused from then on.
await client.tokenRevocation(configuration, token.access_token);
await assert.rejects(call('GET', '/v1/items/8'), (error) => {
  assert.equal(error.status, 401, error);
  return true;
});

const wrong = await configured(OTHER_SECRET);
await assert.rejects(client.clientCredentialsGrant(wrong), (error) => {
  assert.equal(error.code, 'OAUTH_WWW_AUTHENTICATE_CHALLENGE', error);
  assert.equal(error.status, 401);
  assert.equal(error.cause[0].scheme, 'basic');
  return true;
});
