/** What the operator sees and orders. */

import assert from 'node:assert/strict';
import { ask, field, items } from '../harness/api.js';
import { DESKTOP, screenshot } from '../harness/browser.js';
import { Fleet } from '../harness/fleet.js';
import { leave, open } from '../harness/play.js';
import { inPage, separately } from '../harness/scenario.js';

separately('the operator sees the fleet, learns why who plays where, and drains a machine with a reason', async (browser, t) => {
  const fleet = await Fleet.start();
  t.after(() => { fleet.discard(); });
  await fleet.node('alder', '--region', 'DE', '--location', '52.5,13.4', '--slots', '4');
  await fleet.node('birch', '--region', 'JP', '--location', '35.7,139.7', '--slots', '4');
  const cookie = await fleet.operatorCookie();
  const [name = '', value = ''] = cookie.split('=');
  const where = { program: fleet.matchmaker, base: fleet.base, browser, t };
  await inPage('player', where, DESKTOP, async ({ page: player }) => {
    await open(player, fleet.base, 'testcard');
    await inPage('operator', where, DESKTOP, async ({ page }) => {
      await page.goto(new URL('fleet', fleet.base).href, { waitUntil: 'commit' });
      await page.getByRole('heading', { name: 'Sign in first' }).waitFor();
      await page.context().addCookies([{ name, value, url: fleet.base }]);
      await page.reload({ waitUntil: 'commit' });
      await page.getByRole('img', { name: /Map of the machines/ }).waitFor();
      await page.getByRole('button', { expanded: false, name: /alder|birch/ }).first().click();
      await page.getByRole('region', { name: 'Candidates' }).waitFor();
      assert.equal(await page.getByRole('region', { name: 'Candidates' }).getByRole('row').count(), 3, 'a heading and both machines');

      await page.getByRole('button', { name: 'Drain birch' }).click();
      await page.getByRole('heading', { name: 'Drain birch?' }).waitFor();
      await page.getByLabel('Reason').fill('new driver');
      await page.getByRole('button', { name: 'Drain', exact: true }).click();
      await page.getByText('Draining: new driver').waitFor();
      await screenshot(page, 'fleet');
      const birch = items((await ask(fleet.base, '/v1/nodes')).body).find((row) => field(row, 'name') === 'birch');
      assert.equal(field(birch, 'draining'), true);
      await page.getByRole('button', { name: 'Give sessions again to birch' }).click();
      await page.getByRole('button', { name: 'Drain birch' }).waitFor();
    });
    await leave(player);
  });
});
