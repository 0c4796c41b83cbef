/** From the operator's link to a program that plays with a key, in the pages of three people. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { ask, assertProblem, createSession, field } from '../harness/api.js';
import { DESKTOP, PHONE, screenshot } from '../harness/browser.js';
import { Fleet } from '../harness/fleet.js';
import { inPage, separately } from '../harness/scenario.js';

async function copied(page: Page, what: string): Promise<string> {
  const field = page.locator('.field', { hasText: what }).locator('code');
  return (await field.innerText()).trim();
}

separately('an operator makes an account, its owner makes a key, a program plays with it until it is revoked', async (browser, t) => {
  const fleet = await Fleet.start('--price-micros-per-hour', '1000000');
  t.after(() => { fleet.discard(); });
  await fleet.node('alder', '--slots', '4');
  const [name = '', value = ''] = (await fleet.operatorCookie()).split('=');
  const where = { program: fleet.matchmaker, base: fleet.base, browser, t };
  let invitation = '';
  await inPage('operator', where, DESKTOP, async ({ page }) => {
    await page.context().addCookies([{ name, value, url: fleet.base }]);
    await page.goto(new URL('operator', fleet.base).href, { waitUntil: 'commit' });
    await page.getByLabel('New account').fill('Hollow Lantern');
    await page.getByRole('button', { name: 'Make', exact: true }).click();
    await page.getByLabel(/The most that it may spend/).fill('5');
    await page.getByRole('button', { name: 'Set', exact: true }).click();
    await page.getByRole('button', { name: /Hollow Lantern/, expanded: true }).getByText('€5.00').waitFor();
    await page.getByLabel('Invite as').selectOption('owner');
    await page.getByRole('button', { name: 'Make a link' }).click();
    await page.getByText('Give this link to one person').waitFor();
    invitation = await copied(page, 'the invitation');
    await screenshot(page, 'accounts-operator');
  });

  let secret = '';
  await inPage('owner', where, DESKTOP, async ({ page }) => {
    await page.goto(invitation, { waitUntil: 'commit' });
    await page.getByLabel('Your name').fill('Vera');
    assert.equal(new URL(page.url()).hash, '', 'the link is not left in the address');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Hollow Lantern' }).waitFor();
    await page.getByRole('button', { name: 'New key' }).click();
    await page.getByLabel('What it is for').fill('build server');
    await page.getByLabel(/The most that it may ever spend/).fill('1.5');
    await page.getByRole('button', { name: 'Make the key' }).click();
    await page.getByText('Copy its secret now').waitFor();
    secret = await copied(page, 'the secret of the new key');
    await screenshot(page, 'accounts-key');
    assert.match(secret, /^nf_live_[0-9A-Za-z]{49}$/);
    await page.getByRole('button', { name: 'I have copied it' }).click();
    await page.reload({ waitUntil: 'commit' });
    await page.getByText('build server').first().waitFor();
    assert.ok(!(await page.content()).includes(secret), 'the secret is shown once');

    const authorization = `Bearer ${secret}`;
    const started = await createSession(fleet.base, 'testcard', { authorization });
    assert.equal(started.status, 201, JSON.stringify(started.body));
    const more = await createSession(fleet.base, 'testcard', { authorization });
    assertProblem(more, 402);
    assert.equal(field(field(more.body, 'offer'), 'short'), 'key');

    await page.reload({ waitUntil: 'commit' });
    await page.getByText('started a session', { exact: false }).first().waitFor();
    await page.getByRole('button', { name: 'Revoke build server' }).click();
    await page.getByLabel('End the sessions that it started as well').check();
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    await page.locator('li[data-standing=revoked]', { hasText: 'build server' }).waitFor();
    const after = await ask(fleet.base, '/v1/sessions', { headers: { authorization } });
    assertProblem(after, 401);
    await page.reload({ waitUntil: 'commit' });
    await page.getByText('revoked a key').waitFor();
    await screenshot(page, 'accounts-owner');
    await page.setViewportSize(PHONE.viewport ?? { width: 390, height: 844 });
    await screenshot(page, 'accounts-phone');
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.equal(content, window, 'the page must not scroll sideways');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Not signed in' }).waitFor();
  });

  await inPage('too late', where, DESKTOP, async ({ page }) => {
    await page.goto(invitation, { waitUntil: 'commit' });
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText(/used already/).waitFor();
  });
});
