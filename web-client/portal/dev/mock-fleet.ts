/** What the mock knows of placement: a fleet over three continents, a queue, a decision with its reasons. */
import type { components } from '../src/api/generated';
import { SESSION } from './fixtures.ts';
import { MACHINES } from './mock-machines.ts';

type Schemas = components['schemas'];

const MINUTE_MS = 60_000;

/** What a visitor may expect. */
export const OUTLOOK: Schemas['Outlook'] = {
  titles: [
    { title: 'meteor', rtt_ms: 7.4, known_by: 'measured', region: 'DE', picture: { width: 1280, height: 720, fps: 60 }, quality: 'excellent' },
    { title: 'testcard', rtt_ms: 61, known_by: 'history', region: 'FR', picture: { width: 1280, height: 720, fps: 60 }, quality: 'fair' },
    {
      title: 'scene',
      known_by: 'nothing',
      region: '',
      picture: { width: 1280, height: 720, fps: 60 },
      quality: 'unknown',
      wait: { place: 3, likely_ms: 45_000, at_most_ms: 210_000 },
    },
  ],
};

const NOTHING = { queue: [], waiting: 0, placements: [], bookings: [], regions: [], clients_remembered: 0, sites: 0 };

/** No machine has joined. */
export const EMPTY_FLEET: Schemas['FleetView'] = { ...NOTHING, nodes: [], total: 0 };

function region(name: string, reserve: number, booked: number): Schemas['FleetRegion'] {
  const there = MACHINES.filter((one) => one.region === name && one.online && !one.draining && !one.banned);
  const slots = there.reduce((sum, one) => sum + one.slots, 0);
  const busy = there.reduce((sum, one) => sum + one.busy, 0);
  return { region: name, nodes: there.length, slots, free: slots - busy, reserve, booked };
}

/** A busy day. */
export const FLEET_VIEW: Schemas['FleetView'] = {
  nodes: [...MACHINES],
  total: MACHINES.length,
  regions: [region('DE', 1, 0), region('DE-BY', 0, 0), region('JP', 8, 4)],
  queue: [
    { title: 'scene', since_ms: Date.now() - 2 * MINUTE_MS, wait: { place: 1, likely_ms: 20_000, at_most_ms: 90_000 } },
    { title: 'scene', since_ms: Date.now() - MINUTE_MS, wait: { place: 2 } },
  ],
  waiting: 2,
  placements: [
    { session: SESSION, decided_at_ms: Date.now() - 5 * MINUTE_MS, node: MACHINES[0]?.id ?? '', name: 'living-room', state: 'live' },
    { session: SESSION.replace('6f', '7a'), decided_at_ms: Date.now() - 50 * MINUTE_MS, node: MACHINES[4]?.id ?? '', name: 'tokyo-rack', state: 'ended' },
  ],
  bookings: [
    { booking: 'b', region: 'JP', from_ms: Date.now(), until_ms: Date.now() + 120 * MINUTE_MS, slots: 4, used: 2, note: 'tournament' },
  ],
  clients_remembered: 1204,
  sites: 6,
};

function candidate(at: number, rtt_ms: number, terms: Partial<Schemas['PlacementCost']>): Schemas['PlacementCandidate'] {
  const cost = { rtt: 0, price: 0, failure: 0, scarcity: 0, load: 0, locality: 0, credit: 0, total: 0, ...terms };
  const { id = '', name = '', region = '' } = MACHINES[at] ?? {};
  return { node: id, name, region, rtt_us: rtt_ms * 1000, cost: { ...cost, total: cost.rtt + cost.price + cost.load + cost.locality } };
}

/** A decision. */
export const PLACEMENT: Schemas['Placement'] = {
  session: SESSION,
  decided_at_ms: Date.now() - 5 * MINUTE_MS,
  chosen: MACHINES[0]?.id ?? '',
  candidates: [candidate(0, 7.4, { load: 500 }), candidate(1, 12.9, { rtt: 5_500, locality: 2_000 }), candidate(4, 241, { rtt: 233_600, load: 170 })],
  allowed: 3,
  refused: [
    { obstacle: 'banned', words: 'shut out by the operator', nodes: 1 },
    { obstacle: 'draining', words: 'shutting down', nodes: 1 },
  ],
  examples: [],
  complete: true,
};
