// A real OpenID provider: `provider.mjs PORT GENERATION`; another generation has other keys.
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';
const port = Number(process.argv[2]), generation = process.argv[3], back = 'https://app.example.com/back';
const key = (alg, kind, options) => ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), kid: `${alg}-${generation}`, alg, use: 'sig' });
const keys = [key('RS256', 'rsa', { modulusLength: 2048 }), key('ES256', 'ec', { namedCurve: 'P-256' })];
const resource = (alg) => ({ scope: 'read write', audience: 'web', accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg } } });
const common = { client_secret: 'not-so-secret-0123456789', token_endpoint_auth_method: 'client_secret_post' };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys },
  clients: [
    { ...common, client_id: 'machine', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'read write' },
    { ...common, client_id: 'page', grant_types: ['authorization_code', 'refresh_token'], redirect_uris: [back], response_types: ['code'], scope: 'openid offline_access read write' },
  ],
  scopes: ['openid', 'offline_access', 'read', 'write'],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: { enabled: true, defaultResource: () => 'https://rs256.test', useGrantedResource: () => true,
      getResourceServerInfo: (_, name) => resource(name.includes('es256') ? 'ES256' : 'RS256') },
  },
});
provider.listen(port, '127.0.0.1');
