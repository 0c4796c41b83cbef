/** A folder of titles that tell what they see: `nearframe-probe` in its modes, and programs of the system. */

import assert from 'node:assert/strict';
import { copyFileSync, existsSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BINARY } from './program.js';

/** Built beside the program under test. */
const PROBE = process.env['NEARFRAME_PROBE'] ?? join(dirname(BINARY), 'nearframe-probe');

export interface ProbeTitle {
  readonly id: string;
  /** The program's arguments, the mode first. */
  readonly arguments: readonly string[];
  readonly display?: 'wayland' | 'x11' | 'auto';
  /** A shell script that is run in the place of the probe, with its arguments; the probe lies beside it. */
  readonly script?: string;
  /** Further lines below `[run]`. */
  readonly run?: string;
  /** Further tables. */
  readonly more?: string;
}

const KEEPS = '[policy]\nkeep_s = 30\n';

/** Small, so that many of them and a browser run on two processors. */
const WIDTH = 640;
const HEIGHT = 360;
const FPS = 30;

const MODES = ['stamp', 'dialog', 'launcher', 'crash', 'hang', 'exit', 'slow', 'flood', 'spin', 'lock', 'cursor', 'text', 'type', 'pad', 'touch', 'beep', 'voice', 'evil'];

/** Counts only when it is asked to end, and takes its time. */
const LATE = `#!/bin/sh
dir=$HOME/.local/share/nearframe-probe
late() {
  sleep 0.7
  mkdir -p "$dir"
  echo $(($(cat "$dir/count" 2>/dev/null || echo 0) + 100)) > "$dir/count"
  exit 0
}
trap late TERM
/title/game save &
wait
wait
`;

const PROBES: readonly ProbeTitle[] = [
  ...MODES.map((mode) => ({ id: `probe-${mode}`, arguments: [mode], more: KEEPS })),
  { id: 'probe-x11', arguments: ['x11'], display: 'x11', more: KEEPS },
  { id: 'probe-eat', arguments: ['eat'], more: '[requires]\nmemory_mib = 512\n' },
  {
    id: 'probe-late',
    arguments: [],
    script: LATE,
    run: 'saves = [".local/share/nearframe-probe"]',
    more: KEEPS,
  },
  { id: 'probe-save', arguments: ['save'], run: 'saves = [".local/share/nearframe-probe"]', more: KEEPS },
];

/** A program of the system that draws, and the package that brings it. */
const SYSTEM: readonly (ProbeTitle & { readonly program: string; readonly package: string })[] = [
  { id: 'gl', program: '/usr/bin/es2gears_wayland', package: 'mesa-utils', arguments: [] },
  { id: 'vulkan', program: '/usr/bin/vkcube-wayland', package: 'vulkan-tools', arguments: [] },
  { id: 'gl-x11', program: '/usr/bin/glxgears', package: 'mesa-utils', display: 'x11', arguments: [] },
  {
    id: 'doom-x11',
    program: '/usr/games/chocolate-doom',
    package: 'chocolate-doom',
    display: 'x11',
    arguments: ['-iwad', '/usr/share/games/doom/freedoom1.wad', '-nogui', '-fullscreen'],
  },
  { id: 'left-only', program: '/usr/bin/pacat', package: 'pulseaudio-utils', arguments: ['--raw', '--rate=48000', '--format=s16le', '--channels=2', '/title/left.raw'] },
];

/** Half a minute of a tone on the left, and nothing on the right. */
function leftOnly(): Buffer {
  const frames = 48_000 * 30;
  const samples = new Int16Array(frames * 2);
  for (let i = 0; i < frames; i += 1) samples[2 * i] = Math.round(8_000 * Math.sin((i * 2 * Math.PI * 440) / 48_000));
  return Buffer.from(samples.buffer);
}

function manifest(title: ProbeTitle, program: string, needs: string): string {
  const command = JSON.stringify([program, ...title.arguments]);
  const run = [`kind = "app"`, `command = ${command}`, `display = "${title.display ?? 'wayland'}"`, `width = ${WIDTH}`, `height = ${HEIGHT}`, `fps = ${FPS}`];
  if (title.run !== undefined) run.push(title.run);
  return [`id = "${title.id}"`, `name = "${title.id}"`, 'version = "1"', '[run]', ...run, needs, title.more ?? '', ''].join('\n');
}

/** Writes the folder; remove it with `removeTitles`. */
export function writeTitles(): string {
  assert(existsSync(PROBE), `${PROBE} is missing: cargo build -p nearframe-probe`);
  const root = mkdtempSync(join(tmpdir(), 'nearframe-titles-'));
  // One file under many names: every title has its own folder, none its own copy.
  const original = join(root, '.probe');
  copyFileSync(PROBE, original);
  for (const title of PROBES) {
    const dir = join(root, title.id);
    mkdirSync(dir);
    linkSync(original, join(dir, 'game'));
    if (title.script !== undefined) writeFileSync(join(dir, 'start'), title.script, { mode: 0o755 });
    writeFileSync(join(dir, 'title.toml'), manifest(title, title.script === undefined ? 'game' : 'start', ''));
  }
  for (const title of SYSTEM) {
    assert(existsSync(title.program), `${title.program} is missing: install ${title.package}`);
    const dir = join(root, title.id);
    mkdirSync(dir);
    writeFileSync(join(dir, 'title.toml'), manifest(title, title.program, ''));
  }
  writeFileSync(join(root, 'left-only', 'left.raw'), leftOnly());
  return root;
}

export function removeTitles(root: string): void {
  rmSync(root, { recursive: true, force: true });
}
