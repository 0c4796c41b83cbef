/** What the mock knows: three titles, a small fleet, a few sessions. */
import type { components } from '../src/api/generated';

type Schemas = components['schemas'];

const HASH = '4be1c0aa'.repeat(8);
const MINUTE_MS = 60_000;

/** Titles of a busy day. */
export const TITLES: Schemas['Title'][] = [
  {
    id: 'meteor',
    kind: 'builtin',
    name: 'Meteor',
    version: '1.0.0',
    hash: HASH,
    description: 'Fly into the storm, split the rocks, catch what glows, and keep the chain alive. Two minutes are never enough.',
    cover: '/v1/titles/meteor/cover',
    width: 1280,
    height: 720,
    fps: 60,
    controls: [
      {
        action: 'Steer',
        keys: ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'KeyW', 'KeyA', 'KeyS', 'KeyD', 'Mouse'],
        pad: ['LeftStick', 'DPad'],
        touch: 'Drag anywhere',
      },
      { action: 'Fire', keys: ['Space', 'MouseLeft'], pad: ['A', 'RightTrigger'], touch: 'Fires while you touch' },
      { action: 'Start and restart', keys: ['Enter', 'Space'], pad: ['Start', 'A'], touch: 'Tap' },
      { action: 'Pause', keys: ['KeyP'], pad: ['Back'] },
    ],
    touch: { stick: true, buttons: [{ label: 'Fire', button: 0 }] },
    available: true,
  },
  {
    id: 'testcard',
    kind: 'builtin',
    name: 'Testcard',
    version: '1.0.0',
    hash: HASH,
    description: 'A busy moving picture that carries its own time stamp, shows every key you hold, and beeps when you press one.',
    cover: '/v1/titles/testcard/cover',
    width: 1280,
    height: 720,
    fps: 60,
    controls: [{ action: 'Beep', keys: ['Space', 'MouseLeft'], pad: ['A'], touch: 'Tap anywhere' }],
    touch: { stick: false, buttons: [] },
    available: true,
  },
  {
    id: 'scene',
    kind: 'scene',
    name: 'Observatory',
    version: '1.0.0',
    hash: HASH,
    description: 'A small island at dusk with an observatory on it. Walk around it, or let the camera do it for you.',
    cover: '/v1/titles/scene/cover',
    width: 1280,
    height: 720,
    fps: 60,
    controls: [{ action: 'Orbit', keys: ['Mouse'], pad: ['RightStick'], touch: 'Drag' }],
    touch: { stick: true, buttons: [] },
    available: false,
  },
];

function session(index: number, rest: Partial<Schemas['Session']>): Schemas['Session'] {
  const nibble = index.toString(16);
  return {
    id: `6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b1${nibble}`,
    title: 'meteor',
    title_hash: HASH,
    state: 'ended',
    generation: 0,
    lease: `aa1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b1${nibble}`,
    node: 'bb1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b10',
    node_name: 'living-room',
    created_at_ms: Date.now() - index * 37 * MINUTE_MS,
    end_reason: 'player_left',
    end_message: 'You left the game.',
    receipts: 14,
    used_s: 141.2,
    cost: { amount: '0.015690', currency: 'EUR' },
    ...rest,
  };
}

/** The visitor's sessions, newest first. */
export const SESSIONS: Schemas['Session'][] = [
  session(1, {}),
  session(2, { title: 'testcard', used_s: 31, receipts: 3, cost: { amount: '0.003444', currency: 'EUR' } }),
  session(5, { end_reason: 'node_lost', end_message: 'The machine running your game went away. Start again to be placed on another one.' }),
  session(9, { title: 'scene', used_s: 4021, cost: { amount: '1.250000', currency: 'EUR' } }),
];

function save(title: string, version: number, rest: Partial<Schemas['Save']>): Schemas['Save'] {
  return {
    title,
    version,
    current: false,
    ...(version > 1 && { based_on: version - 1 }),
    hash: HASH,
    size_bytes: 48_213 * version,
    title_version: '1.0.0',
    session: SESSIONS[0]?.id ?? '',
    created_at_ms: Date.now() - (9 - version) * 53 * MINUTE_MS,
    ...rest,
  };
}

/** The visitor's saved games: one with a history, one that forked, one of a title that is gone. */
export const SAVES: Schemas['Save'][] = [
  save('meteor', 8, { current: true }),
  save('meteor', 7, {}),
  save('meteor', 6, {}),
  save('scene', 3, { current: true, based_on: 1 }),
  save('scene', 2, {}),
  save('lost-title', 1, { current: true }),
];

/** Receipts of any session. */
export const RECEIPTS: Schemas['StoredReceipt'][] = Array.from({ length: 14 }, (_, sequence) => ({
  receipt: {
    session: SESSIONS[0]?.id ?? '',
    generation: 0,
    sequence,
    previous: sequence === 0 ? '0'.repeat(64) : `${sequence.toString(16)}f2c41d0`.padEnd(64, '7b'),
    duration_us: 10_000_000 + sequence * 137,
    frames: 598 + (sequence % 3),
    bytes: 12_400_000 + sequence * 91_000,
    encoder_us: 2_100_000,
    width: 1280,
    height: 720,
    rtt_us: sequence === 0 ? 0 : 3800 + sequence * 20,
    packets_sent: 11_000,
    packets_lost: sequence % 5 === 4 ? 3 : 0,
  },
  node_signature: 'ab'.repeat(64),
  player_signature: 'cd'.repeat(64),
  received_at_ms: Date.now(),
  countersigned: sequence !== 13,
}));

function node(index: number, rest: Partial<Schemas['Node']>): Schemas['Node'] {
  return {
    id: `bb1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b1${index}`,
    name: 'living-room',
    region: 'eu-central',
    online: true,
    draining: false,
    slots: 4,
    busy: 1,
    adapter: 'NVIDIA GeForce RTX 4070',
    encoders: ['nvenc', 'openh264'],
    titles: ['meteor', 'testcard', 'scene'],
    ...rest,
  };
}

/** Machines in every state. */
export const FLEET: Schemas['Node'][] = [
  node(0, {}),
  node(1, { name: 'attic', slots: 1, busy: 1, adapter: 'llvmpipe (software)', encoders: ['openh264'], region: '' }),
  node(2, { name: 'studio-north', slots: 32, busy: 20, draining: true }),
  node(3, { name: 'old-laptop', online: false, busy: 0, titles: [] }),
];
