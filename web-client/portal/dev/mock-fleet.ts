/** What the mock knows of placement: a fleet over three continents, a queue, a decision with its reasons. */
import type { components } from '../src/api/generated';

type Schemas = components['schemas'];

const MINUTE_MS = 60_000;
const SESSION = '6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11';

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

function node(index: number, name: string, place: [number, number] | undefined, rest: Partial<Schemas['FleetNode']>): Schemas['FleetNode'] {
  return {
    id: `bb1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b1${index}`,
    name,
    region: 'DE',
    ...(place && { place }),
    online: true,
    draining: false,
    banned: false,
    orders: [],
    slots: 4,
    busy: 1,
    rtt_ms: 8.2,
    measurable: true,
    adapter: 'NVIDIA GeForce RTX 4070',
    ...rest,
  };
}

function order(kind: string, reason: string): Schemas['Order'] {
  return { kind, reason, evidence: '', since_ms: Date.now() - 90 * MINUTE_MS };
}

const NODES: Schemas['FleetNode'][] = [
  node(0, 'living-room', [52.5, 13.4], { busy: 3 }),
  node(1, 'attic', [48.1, 11.6], { slots: 1, busy: 1, adapter: 'llvmpipe (software)', rtt_ms: 12.9, region: 'DE-BY' }),
  node(2, 'studio-north', [59.3, 18.1], { slots: 32, busy: 20, draining: true, region: 'SE', orders: [order('drain', 'new driver')], rtt_ms: 27 }),
  node(3, 'quick-claims', [37.4, -122.1], { banned: true, orders: [order('ban', 'claims US-CA, answers from DE')], region: 'US-CA' }),
  node(4, 'tokyo-rack', [35.7, 139.7], { slots: 64, busy: 11, region: 'JP', rtt_ms: 241 }),
  node(5, 'nowhere', undefined, { region: '', measurable: false, adapter: '' }),
  node(6, 'old-laptop', [-33.9, 151.2], { online: false, busy: 0, region: 'AU' }),
].map((one) => (one.name === 'nowhere' ? { ...one, rtt_ms: null } : one));

const NOTHING = { queue: [], waiting: 0, placements: [], bookings: [], regions: [], clients_remembered: 0, sites: 0 };

/** No machine has joined. */
export const EMPTY_FLEET: Schemas['FleetView'] = { ...NOTHING, nodes: [], total: 0 };

/** A busy day. */
export const FLEET_VIEW: Schemas['FleetView'] = {
  nodes: NODES,
  total: NODES.length,
  regions: [
    { region: 'DE', nodes: 1, slots: 4, free: 1, reserve: 1, booked: 0 },
    { region: 'DE-BY', nodes: 1, slots: 1, free: 0, reserve: 0, booked: 0 },
    { region: 'JP', nodes: 1, slots: 64, free: 53, reserve: 8, booked: 4 },
  ],
  queue: [
    { title: 'scene', since_ms: Date.now() - 2 * MINUTE_MS, wait: { place: 1, likely_ms: 20_000, at_most_ms: 90_000 } },
    { title: 'scene', since_ms: Date.now() - MINUTE_MS, wait: { place: 2 } },
  ],
  waiting: 2,
  placements: [
    { session: SESSION, decided_at_ms: Date.now() - 5 * MINUTE_MS, node: NODES[0]?.id ?? '', name: 'living-room', state: 'live' },
    { session: SESSION.replace('6f', '7a'), decided_at_ms: Date.now() - 50 * MINUTE_MS, node: NODES[4]?.id ?? '', name: 'tokyo-rack', state: 'ended' },
  ],
  bookings: [
    { booking: 'b', region: 'JP', from_ms: Date.now(), until_ms: Date.now() + 120 * MINUTE_MS, slots: 4, used: 2, note: 'tournament' },
  ],
  clients_remembered: 1204,
  sites: 6,
};

function candidate(at: number, rtt_ms: number, terms: Partial<Schemas['PlacementCost']>): Schemas['PlacementCandidate'] {
  const cost = { rtt: 0, price: 0, failure: 0, scarcity: 0, load: 0, locality: 0, credit: 0, total: 0, ...terms };
  const { id = '', name = '', region = '' } = NODES[at] ?? {};
  return { node: id, name, region, rtt_us: rtt_ms * 1000, cost: { ...cost, total: cost.rtt + cost.price + cost.load + cost.locality } };
}

/** A decision. */
export const PLACEMENT: Schemas['Placement'] = {
  session: SESSION,
  decided_at_ms: Date.now() - 5 * MINUTE_MS,
  chosen: NODES[0]?.id ?? '',
  candidates: [candidate(0, 7.4, { load: 500 }), candidate(1, 12.9, { rtt: 5_500, locality: 2_000 }), candidate(4, 241, { rtt: 233_600, load: 170 })],
  allowed: 3,
  refused: [
    { obstacle: 'banned', words: 'shut out by the operator', nodes: 1 },
    { obstacle: 'draining', words: 'shutting down', nodes: 1 },
  ],
  examples: [],
  complete: true,
};
