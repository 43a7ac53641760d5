// oidc-provider with people of a test: node oidc_provider.mjs FOLDER OPTIONS, where FOLDER has the package
// and OPTIONS is JSON with issuer, saga (its address), client, secret and people (name -> claims).
// It prints a line once it listens; its pages take any password.

import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, options] = process.argv.slice(2);
const { issuer, saga, client, secret, people } = JSON.parse(options);
const entry = path.join(folder, "node_modules", "oidc-provider", "lib", "index.js");
const { Provider } = await import(pathToFileURL(entry).href);

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: client,
      client_secret: secret,
      redirect_uris: [`${saga}/admin/login/provider/callback/`],
      post_logout_redirect_uris: [`${saga}/admin/login/`],
      backchannel_logout_uri: `${saga}/admin/login/provider/backchannel-logout/`,
      backchannel_logout_session_required: true,
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
  features: { backchannelLogout: { enabled: true } },
  // It refuses calls to this machine, and waits no longer than 2.5 seconds.
  fetch: (url, options) =>
    fetch(url, { ...options, dispatcher: undefined, signal: AbortSignal.timeout(60_000) }),
  pkce: { required: () => true },
  findAccount: (_context, name) =>
    people[name] && { accountId: name, claims: () => ({ sub: name, preferred_username: name, ...people[name] }) },
});
const { hostname, port } = new URL(issuer);
provider.listen(Number(port), hostname, () => console.log("listening"));
