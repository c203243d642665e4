// openid-client, authenticated as METHOD says. There is no discovery document of OpenID here, so
// the metadata of the server is written by hand.
import assert from 'node:assert/strict';
import * as client from 'openid-client';

const { GATE, KEY, SECRET, OTHER_SECRET, METHOD } = process.env;

function configured(secret) {
  const basic = METHOD === 'client_secret_basic';
  const authentication = basic ? client.ClientSecretBasic : client.ClientSecretPost;
  const server = { issuer: GATE, token_endpoint: `${GATE}/oauth/token` };
  const configuration = new client.Configuration(server, KEY, undefined, authentication(secret));
  // It insists on https otherwise, and this is 127.0.0.1.
  client.allowInsecureRequests(configuration);
  return configuration;
}

const configuration = configured(SECRET);
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

await assert.rejects(client.clientCredentialsGrant(configured(OTHER_SECRET)), (error) => {
  assert.equal(error.code, 'OAUTH_WWW_AUTHENTICATE_CHALLENGE', error);
  assert.equal(error.status, 401);
  assert.equal(error.cause[0].scheme, 'basic');
  return true;
});
