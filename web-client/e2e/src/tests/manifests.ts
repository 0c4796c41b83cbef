/** What a studio is told of its mistakes before anybody plays. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { items, ask, field } from '../harness/api.js';
import { BINARY, Program } from '../harness/program.js';

const good = (id: string, command = '/bin/true'): string =>
  `id = "${id}"\nname = "Good"\nversion = "1"\n[run]\nkind = "app"\ncommand = ["${command}"]\n`;

/** `[folder, title.toml, what the message must name]`. */
const BROKEN: readonly (readonly [string, string, readonly RegExp[]])[] = [
  ['unknown-key', `colour = "red"\n${good('unknown-key')}`, [/line 1/, /colour/]],
  ['bad-id', good('No Such Thing!'), [/line 1/, /\bid\b/]],
  ['bad-size', `${good('bad-size')}width = 1\n`, [/line 7/, /run\.width/]],
  ['bad-toml', `${good('bad-toml')}height = \n`, [/line 7/, /height/]],
  ['no-command', good('no-command').replace(/^command.*\n/m, ''), [/run\.command/]],
  ['escapes', good('escapes', '../../bin/true'), [/line 6/, /run\.command/]],
  ['missing', `${good('missing', '/no/such/game')}[requires]\npackages = ["no-such-game"]\n`, [/run\.command/, /\/no\/such\/game/, /install no-such-game/]],
];

function writeTitle(root: string, folder: string, text: string): void {
  mkdirSync(join(root, folder));
  writeFileSync(join(root, folder, 'title.toml'), text);
}

void test('title check names the line and the key of every mistake', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'nearframe-broken-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  writeTitle(root, 'good', good('good'));
  const right = spawnSync(BINARY, ['title', 'check', root], { encoding: 'utf8' });
  assert.equal(right.status, 0, right.stderr);
  assert.match(right.stdout, /^ok +good 1: Good, program/m);
  for (const [folder, text] of BROKEN) writeTitle(root, folder, text);
  const all = spawnSync(BINARY, ['title', 'check', root], { encoding: 'utf8' });
  assert.notEqual(all.status, 0);
  // A message may have several lines: it ends where the next title's begins.
  const messages = all.stdout.split(/^(?=ok |wrong )/m);
  for (const [folder, , wanted] of BROKEN) {
    const message = messages.find((line) => line.startsWith('wrong') && line.includes(join(root, folder)));
    assert(message !== undefined, `nothing is said of ${folder}:\n${all.stdout}`);
    for (const one of wanted) assert.match(message, one);
  }
  assert.match(all.stderr, new RegExp(`${BROKEN.length} titles cannot be offered`));
});

void test('a node offers the titles that are right and names those that are not', { timeout: 60_000 }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'nearframe-mixed-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  writeTitle(root, 'good', good('good'));
  const [folder, text] = BROKEN[0] ?? ['', '', []];
  writeTitle(root, folder, text);
  const { program, base } = await Program.up('--titles', root);
  t.after(() => program.discard());
  const ids = items((await ask(base, '/v1/titles')).body).map((row) => field(row, 'id'));
  assert(ids.includes('good') && !ids.includes(folder), ids.join(', '));
  assert.match(program.log, /colour/);
  await program.stop();
});
