/** Signing in through a provider and with a passkey, in a real browser; and what must let nobody in. */

import assert from 'node:assert/strict';
import type { CDPSession, Page } from 'playwright-core';
import { ask, field } from '../harness/api.js';
import { DESKTOP, PHONE, screenshot } from '../harness/browser.js';
import { Fleet } from '../harness/fleet.js';
import { agree, House, stayHere } from '../harness/provider.js';
import { inPage, separately } from '../harness/scenario.js';

/** The way back from the provider, as the browser went it last. */
function watchCallbacks(page: Page): () => string {
  let last = '';
  page.on('request', (request) => {
    if (request.url().includes('/callback?')) last = request.url();
  });
  return () => last;
}

async function signOut(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Not signed in' }).waitFor();
}

const isIn = (page: Page, account: string): Promise<void> => page.getByRole('heading', { level: 1, name: account }).waitFor();

separately('an invited owner joins with a provider, signs out and in again; forged and repeated answers let nobody in', async (browser, t) => {
  const house = await House.start();
  t.after(() => { house.discard(); });
  const where = { program: house.program, base: house.base, browser, t };
  const { link } = await house.invitation('studio', 'Hollow Lantern');
  await inPage('oidc', where, DESKTOP, async ({ page }) => {
    await stayHere(page);
    const callback = watchCallbacks(page);
    await page.goto(link, { waitUntil: 'commit' });
    await page.getByRole('button', { name: 'Join with Acme' }).click();
    await agree(page, 'vera');
    await isIn(page, 'Hollow Lantern');
    await page.getByText('you are vera of Acme', { exact: false }).waitFor();
    await page.getByRole('list', { name: 'Identities' }).getByText('Acme').first().waitFor();
    await page.getByText('signed in with a provider').first().waitFor();
    await screenshot(page, 'sign-in-oidc');
    await signOut(page);
    await screenshot(page, 'sign-in-ways');
    await page.getByRole('link', { name: 'Sign in with Acme' }).click();
    await isIn(page, 'Hollow Lantern');
    await signOut(page);

    const [used, code] = [callback(), new URL(callback()).searchParams.get('code') ?? ''];
    assert.ok(code !== '');
    const over = page.getByRole('alert').getByText('This sign-in is over');
    await page.goto(used, { waitUntil: 'commit' });
    await over.waitFor();
    assert.equal(new URL(page.url()).hash, '', 'it is said once');

    // Each time to the provider's page with the cookie that belongs to it, and back with something else.
    const begin = async (): Promise<URL> => {
      const answer = await page.context().request.get(`${house.base}/v1/sign-in/oidc/acme`, { maxRedirects: 0 });
      return new URL(answer.headers()['location'] ?? '');
    };
    const forged = new URL(used);
    await begin();
    forged.searchParams.set('state', 'x'.repeat(43));
    await page.goto(forged.href, { waitUntil: 'commit' });
    await over.waitFor();

    const asked = await begin();
    asked.searchParams.set('nonce', 'of somebody else');
    await page.goto(asked.href, { waitUntil: 'commit' });
    await page.getByRole('alert').getByText('proves nothing').waitFor();

    // A code that comes twice makes the provider forget that anybody agreed, so this comes last.
    const replayed = new URL(used);
    replayed.searchParams.set('state', (await begin()).searchParams.get('state') ?? '');
    await page.goto(replayed.href, { waitUntil: 'commit' });
    await page.getByRole('alert').getByText('proves nothing').waitFor();

    const declined = await begin();
    await page.goto(`${house.base}/v1/sign-in/oidc/acme/callback?error=access_denied&state=${declined.searchParams.get('state') ?? ''}`, { waitUntil: 'commit' });
    await page.getByRole('alert').getByText('You did not agree').waitFor();
    await screenshot(page, 'sign-in-denied');
    await page.getByRole('heading', { name: 'Not signed in' }).waitFor();
  });

  await inPage('newcomer', where, PHONE, async ({ page }) => {
    await stayHere(page);
    await page.goto(`${house.base}/account`, { waitUntil: 'commit' });
    await page.getByRole('link', { name: 'Sign in with Acme' }).click();
    await agree(page, 'max');
    await page.getByRole('heading', { name: 'Welcome, max of Acme' }).waitFor();
    await screenshot(page, 'sign-in-newcomer');
    await page.getByLabel('What it is called').fill('Max at home');
    await page.getByRole('button', { name: 'Make a player account' }).click();
    await isIn(page, 'Max at home');
  });

  await inPage('two accounts', where, DESKTOP, async ({ page }) => {
    await stayHere(page);
    const { link: second } = await house.invitation('host', 'Basement Racks');
    await page.goto(second, { waitUntil: 'commit' });
    await page.getByRole('button', { name: 'Join with Acme' }).click();
    await agree(page, 'vera');
    await isIn(page, 'Basement Racks');
    await signOut(page);
    await page.getByRole('link', { name: 'Sign in with Acme' }).click();
    await page.getByRole('heading', { name: 'As whom, vera of Acme?' }).waitFor();
    await screenshot(page, 'sign-in-choice');
    await page.getByRole('button', { name: 'Hollow Lantern' }).click();
    await isIn(page, 'Hollow Lantern');
  });
});

/** What Chromium's tools know of a virtual authenticator's credential. */
interface Credential {
  readonly credentialId: string;
  readonly signCount: number;
}

async function authenticator(page: Page): Promise<{ cdp: CDPSession; authenticatorId: string }> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { cdp, authenticatorId };
}

separately('a member adds a passkey, signs in with it, and a copy of it is noticed', async (browser, t) => {
  const house = await House.start();
  t.after(() => { house.discard(); });
  const where = { program: house.program, base: house.base, browser, t };
  const { account, link } = await house.invitation('studio', 'Hollow Lantern');
  await inPage('passkey', where, DESKTOP, async ({ page }) => {
    const { cdp, authenticatorId } = await authenticator(page);
    await page.goto(link, { waitUntil: 'commit' });
    await page.getByLabel('Your name').fill('Vera');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await isIn(page, 'Hollow Lantern');
    await page.getByLabel('Name of a new passkey').fill('laptop');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    const passkeys = page.getByRole('list', { name: 'Passkeys' });
    await passkeys.getByText('laptop').first().waitFor();
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByRole('alert').getByText('has one already').waitFor();
    await signOut(page);

    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await isIn(page, 'Hollow Lantern');
    await passkeys.getByText(/· used/).first().waitFor();
    await screenshot(page, 'sign-in-passkey');
    await signOut(page);

    const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId });
    const [credential] = credentials;
    assert.ok(credential !== undefined && (credential as Credential).signCount > 1, 'its counter counts');
    await cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId: credential.credentialId });
    await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credential, signCount: 0 } });
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('alert').getByText('counter of this passkey went back').waitFor();

    await page.goto(await house.another(account), { waitUntil: 'commit' });
    await page.getByRole('button', { name: 'Sign in' }).click();
    await isIn(page, 'Hollow Lantern');
    await page.getByText('tried: signed in with a passkey (401)').waitFor();
    await page.goto(new URL('account', house.address).href, { waitUntil: 'commit' });
    await page.getByText('Passkeys belong to localhost').waitFor();
  });
});

separately('members of a host find the earnings of their machines and of no others', async (browser, t) => {
  const fleet = await Fleet.start('--price-micros-per-hour', '1000000');
  t.after(() => { fleet.discard(); });
  await fleet.node('alder');
  await fleet.node('birch');
  const cookie = await fleet.operatorCookie();
  const headers = { cookie, 'content-type': 'application/json' };
  const send = async (method: string, path: string, body: unknown): Promise<unknown> =>
    (await ask(fleet.base, path, { method, headers, body: JSON.stringify(body) })).body;
  const account = String(field(await send('POST', '/v1/accounts', { kind: 'host', name: 'Basement Racks' }), 'id'));
  const link = String(field(await send('POST', `/v1/accounts/${account}/invitations`, { role: 'viewer' }), 'url'));
  const nodes = field((await ask(fleet.base, '/v1/nodes')).body, 'items') as readonly unknown[];
  const alder = nodes.find((row) => field(row, 'name') === 'alder');
  await send('PUT', `/v1/nodes/${String(field(alder, 'id'))}/owner`, { account });

  await inPage('host', { program: fleet.matchmaker, base: fleet.base, browser, t }, DESKTOP, async ({ page }) => {
    await page.goto(link, { waitUntil: 'commit' });
    await page.getByRole('button', { name: 'Sign in' }).click();
    await isIn(page, 'Basement Racks');
    await page.getByRole('link', { name: 'Earnings' }).click();
    await page.getByRole('heading', { name: 'Nothing is earned yet' }).waitFor();
    const choices = page.getByLabel('Host').locator('option');
    await choices.filter({ hasText: 'alder' }).waitFor({ state: 'attached' });
    assert.deepEqual((await choices.allInnerTexts()).map((text) => text.split(',')[0]), ['All machines', 'alder']);
    await screenshot(page, 'earnings-host');
    await page.goto(new URL('costs', fleet.base).href, { waitUntil: 'commit' });
    await page.getByRole('heading', { name: 'Nothing was used in this time' }).waitFor();
    await page.getByText('What may be spent is said on the').waitFor();
  });
});
