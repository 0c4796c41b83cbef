/** What the mock and the tests of the pages share: names, and one of each thing to start from. */
import type { components } from '../src/api/generated';

type Schemas = components['schemas'];

/** The visitor's newest session. */
export const SESSION = '6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11';

/** The account of whoever is signed in. */
export const ACCOUNT_ID = 'cc1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b01';

/** The hash of a title's files. */
export const HASH = '4be1c0aa'.repeat(8);

/** The id of a machine. */
export function machineId(at: number): string {
  return `bb1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b1${at}`;
}

/** A version of a saved game, made of the one before. */
export function save(title: string, version: number, rest: Partial<Schemas['Save']> = {}): Schemas['Save'] {
  return {
    title,
    version,
    current: false,
    ...(version > 1 && { based_on: version - 1 }),
    hash: HASH,
    size_bytes: 48_213 * version,
    title_version: '1.0.0',
    session: SESSION,
    created_at_ms: version * 1000,
    ...rest,
  };
}

/** A machine with a free seat, as operators see it. */
export function fleetNode(rest: Partial<Schemas['FleetNode']>): Schemas['FleetNode'] {
  return {
    id: machineId(0),
    name: 'living-room',
    region: 'DE',
    online: true,
    draining: false,
    banned: false,
    orders: [],
    slots: 4,
    busy: 1,
    measurable: true,
    adapter: 'NVIDIA GeForce RTX 4070',
    ...rest,
  };
}

/** What a checker reports of a machine that does well. */
export function report(rest: Partial<Schemas['CheckReport']>): Schemas['CheckReport'] {
  return {
    checker: 'ab'.repeat(32),
    node: machineId(0),
    session: SESSION,
    verdict: 'passed',
    findings: [],
    started_at_ms: 1,
    connect_ms: 310,
    first_frame_ms: 420,
    challenge_us: 61_000,
    width: 1280,
    height: 720,
    played_ms: 20_000,
    frames: 1196,
    freezes: 1,
    frozen_ms: 210,
    age_p50_us: 24_400,
    age_p95_us: 30_000,
    rtt_us: 0,
    bytes: 24_800_000,
    packets: 21_400,
    lost: 3,
    receipts: 2,
    refused: 0,
    claimed_frames: 1196,
    claimed_bytes: 24_800_000,
    claimed_us: 20_000_000,
    ...rest,
  };
}
