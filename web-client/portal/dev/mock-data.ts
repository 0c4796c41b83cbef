/** What the mock knows of a visitor: three titles, a few sessions with their receipts, saves. */
import type { components } from '../src/api/generated';
import { HASH, save as savedGame } from './fixtures.ts';
import { OWN_PLAYS, PLAYS, receiptsOf, sums } from './mock-plays.ts';

type Schemas = components['schemas'];

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
  const play = OWN_PLAYS[index];
  if (play === undefined) throw new Error('the visitor has played as often as this list is long');
  return {
    id: play.session,
    title: play.title,
    title_hash: HASH,
    state: 'ended',
    generation: 0,
    lease: play.lease,
    node: play.node,
    node_name: 'living-room',
    created_at_ms: play.started_ms,
    ended_at_ms: play.started_ms + play.used_us / 1000,
    end_reason: 'player_left',
    end_message: 'You left the game.',
    receipts: receiptsOf(play).length,
    used_s: play.used_us / 1e6,
    cost: sums(receiptsOf(play)).total,
    ...rest,
  };
}

/** The visitor's sessions, newest first. */
export const SESSIONS: Schemas['Session'][] = [
  session(0, {}),
  session(1, {}),
  session(2, { end_reason: 'node_lost', end_message: 'The machine running your game went away. Start again to be placed on another one.' }),
  session(3, {}),
];

function save(title: string, version: number, rest: Partial<Schemas['Save']>): Schemas['Save'] {
  return savedGame(title, version, { created_at_ms: Date.now() - (9 - version) * 53 * MINUTE_MS, ...rest });
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

/** Receipts of a session. */
export function receipts(session: string): Schemas['StoredReceipt'][] {
  const play = PLAYS.find((one) => one.session === session);
  const parts = play === undefined ? [] : receiptsOf(play);
  return parts.map(({ used_us }, sequence) => ({
    receipt: {
      session,
      generation: 0,
      sequence,
      previous: sequence === 0 ? '0'.repeat(64) : `${sequence.toString(16)}f2c41d0`.padEnd(64, '7b'),
      duration_us: used_us,
      frames: Math.floor((used_us * 60) / 1e6) - (sequence % 3),
      bytes: Math.round(used_us * 1.24) + sequence * 91_000,
      encoder_us: Math.round(used_us * 0.21),
      width: 1280,
      height: 720,
      rtt_us: sequence === 0 ? 0 : 3800 + (sequence % 40) * 20,
      packets_sent: Math.round(used_us / 900),
      packets_lost: sequence % 5 === 4 ? 3 : 0,
    },
    node_signature: 'ab'.repeat(64),
    player_signature: 'cd'.repeat(64),
    received_at_ms: (play?.started_ms ?? 0) + (sequence + 1) * 10_000,
    countersigned: sequence + 1 < parts.length,
  }));
}
