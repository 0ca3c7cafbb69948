// A certified OpenID Connect provider (npm's oidc-provider) with its development forms: any name signs in.
// Called as: node oidc_provider.mjs DIRECTORY JSON, see oidc_provider.py.
import { pathToFileURL } from "node:url";

const [directory, told] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${directory}/node_modules/oidc-provider/lib/index.js`));
const { issuer, port, client, groups, inIdToken } = JSON.parse(told);

const provider = new Provider(issuer, {
  clients: [{ grant_types: ["authorization_code"], ...client }],
  scopes: ["openid", "profile", "email", "groups"],
  claims: { openid: ["sub"], groups: ["groups"], profile: ["preferred_username", "name"], email: ["email"] },
  conformIdTokenClaims: !inIdToken,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
  cookies: { keys: ["a key for the provider's own cookies"] },
  ttl: { Session: 3600, Grant: 3600, Interaction: 3600, AccessToken: 600, IdToken: 600 },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: groups[id] ?? [] }),
  }),
});
provider.listen(port, "127.0.0.1");
