/** What was played is receipted, signed by both ends. */

import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { field, items } from '../harness/api.js';
import { screenshot } from '../harness/browser.js';
import { leave, open, sessionOf } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { sleep, until } from '../harness/wait.js';

/** A receipt is due every 10 s (protocol/src/receipt.rs). */
const PLAY_MS = 12_000;
const DELIVERY_LIMIT_MS = 10_000;
/** The DER of an Ed25519 public key up to the key itself (RFC 8410). */
const ED25519_DER = '302a300506032b6570032100';

scenario('twelve seconds of play give receipts that both ends signed', async ({ page, base }) => {
  let playerKey = '';
  let nodeKey = '';
  page.on('request', (request) => {
    const asks = request.method() === 'POST' && new URL(request.url()).pathname === '/v1/sessions';
    if (asks) playerKey = String(field(JSON.parse(request.postData() ?? '{}'), 'player_key'));
  });
  const created = page.waitForResponse((response) => response.request().method() === 'POST' && response.url().endsWith('/v1/sessions'));
  await open(page, base, 'testcard');
  nodeKey = String(field(await (await created).json(), 'node_key'));
  const session = await sessionOf(page);
  await sleep(PLAY_MS);
  const told = page.waitForResponse((response) => response.url().endsWith(`/v1/sessions/${session}/count`));
  await leave(page);
  const counted = await told;
  assert.equal(counted.status(), 204);

  const path = `/v1/sessions/${session}/receipts`;
  const rows = await until('a countersigned receipt is kept', DELIVERY_LIMIT_MS, async () => {
    const found = items(await page.evaluate(async (url) => (await fetch(url)).json() as unknown, path));
    return found.some((row) => field(row, 'countersigned') === true) ? found : undefined;
  });
  const ordered = [...rows].sort((a, b) => Number(sequence(a)) - Number(sequence(b)));
  let previous = '0'.repeat(64);
  for (const row of ordered) {
    const receipt = field(row, 'receipt');
    assert.equal(field(receipt, 'session'), session);
    assert.equal(field(receipt, 'previous'), previous, 'the chain is broken');
    const canonical = canonicalBytes(receipt);
    assert(signed(canonical, field(row, 'node_signature'), nodeKey), 'the node did not sign this');
    if (field(row, 'countersigned') === true) {
      assert(signed(canonical, field(row, 'player_signature'), playerKey), 'the player did not sign this');
    }
    previous = createHash('sha256').update(canonical).digest('hex');
  }
  const first = field(ordered[0], 'receipt');
  agrees(JSON.parse(counted.request().postData() ?? '{}'), first);
  assert(Number(field(first, 'duration_us')) > 5e6 && Number(field(first, 'frames')) > 0 && Number(field(first, 'bytes')) > 0);

  await page.goto(new URL(`sessions/${session}`, base).href, { waitUntil: 'commit' });
  await page.locator('table').first().waitFor();
  await screenshot(page, 'receipts-desktop');
});

/** What the page counted by itself is what the first receipt claims, within what matchmaker/trust allows. */
function agrees(count: unknown, receipt: unknown): void {
  const [of, claimed] = [(name: string) => Number(field(count, name)), (name: string) => Number(field(receipt, name))];
  assert.equal(of('until_sequence'), 0);
  assert(of('elapsed_us') + 700_000 >= claimed('duration_us'), 'the page measured less time than the receipt claims');
  assert(of('frames') + 42 >= claimed('frames'), `${of('frames')} frames came of ${claimed('frames')}`);
  assert(of('bytes') * 1.03 >= claimed('bytes'), `${of('bytes')} bytes came of ${claimed('bytes')}`);
  assert(of('packets') > 100);
}

function sequence(row: unknown): unknown {
  return field(field(row, 'receipt'), 'sequence');
}

/** Read and written again by what protocol/src/receipt.rs says, independently of the player. */
function canonicalBytes(receipt: unknown): Buffer {
  const bytes = Buffer.alloc(148);
  const number = (name: string): number => Number(field(receipt, name));
  const hex = (name: string): Buffer => Buffer.from(String(field(receipt, name)).replaceAll('-', ''), 'hex');
  bytes.write('NFRCPT01', 0, 'ascii');
  hex('session').copy(bytes, 8);
  bytes.writeUInt32LE(number('generation'), 24);
  bytes.writeUInt32LE(number('sequence'), 28);
  hex('previous').copy(bytes, 32);
  bytes.writeBigUInt64LE(BigInt(number('duration_us')), 64);
  bytes.writeUInt32LE(number('frames'), 72);
  bytes.writeBigUInt64LE(BigInt(number('bytes')), 76);
  bytes.writeBigUInt64LE(BigInt(number('encoder_us')), 84);
  bytes.writeUInt16LE(number('width'), 92);
  bytes.writeUInt16LE(number('height'), 94);
  bytes.writeUInt32LE(number('rtt_us'), 96);
  bytes.writeUInt32LE(number('packets_sent'), 100);
  bytes.writeUInt32LE(number('packets_lost'), 104);
  return bytes;
}

function signed(canonical: Buffer, signature: unknown, key: string): boolean {
  const publicKey = createPublicKey({ key: Buffer.from(ED25519_DER + key, 'hex'), format: 'der', type: 'spki' });
  const message = Buffer.concat([Buffer.from('nearframe/receipt/v1\0'), canonical]);
  return verify(null, message, publicKey, Buffer.from(String(signature), 'hex'));
}
