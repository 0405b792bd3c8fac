// Prints access tokens: `flow.mjs ISSUER machine|page RESOURCE`; a page gets two, of its code and of its refresh token.
import { createHash, randomBytes } from 'node:crypto';
const issuer = process.argv[2], kind = process.argv[3], resource = process.argv[4];
const common = { client_secret: 'not-so-secret-0123456789' }, back = 'https://app.example.com/back';
const token = async (fields) => {
  const answer = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams({ ...common, ...fields }) });
  const told = await answer.json();
  if (!told.access_token) throw new Error(JSON.stringify(told));
  return told;
};
if (kind === 'machine') console.log((await token({ client_id: 'machine', grant_type: 'client_credentials', resource, scope: 'read' })).access_token);
else {
  // A browser's way: the forms of login and consent, and the code that the last redirect brings (RFC 7636).
  const verifier = randomBytes(32).toString('base64url'), jar = new Map();
  const ask = async (url, form) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie }, ...(form && { method: 'POST', body: new URLSearchParams(form) }) });
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split('=');
      if (value) jar.set(name, value); else jar.delete(name);
    }
    return answer;
  };
  let url = `${issuer}/auth?${new URLSearchParams({ client_id: 'page', response_type: 'code', scope: 'openid offline_access read', resource, prompt: 'consent', redirect_uri: back,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' })}`;
  for (let hop = 0; hop < 20 && !url.startsWith(back); hop += 1) {
    const answer = await ask(url);
    if (answer.status === 200) {
      const prompt = /name="prompt" value="(\w+)"/.exec(await answer.text())[1];
      const next = await ask(url, prompt === 'login' ? { prompt, login: 'alice', password: 'any' } : { prompt });
      url = new URL(next.headers.get('location'), issuer).href;
    } else url = new URL(answer.headers.get('location'), issuer).href;
  }
  const code = new URL(url).searchParams.get('code');
  const first = await token({ client_id: 'page', grant_type: 'authorization_code', code, redirect_uri: back, code_verifier: verifier, resource });
  const again = await token({ client_id: 'page', grant_type: 'refresh_token', refresh_token: first.refresh_token, resource, scope: 'read' });
  console.log([first.access_token, again.access_token].join(' '));
}
