/** The mock's machines, in every state: what the pages of machines and of the fleet both show. */
import type { components } from '../src/api/generated';
import { fleetNode, machineId } from './fixtures.ts';
import { PLAYS } from './mock-plays.ts';

type Schemas = components['schemas'];

const MINUTE_MS = 60_000;

type Machine = Schemas['FleetNode'] & Pick<Schemas['Node'], 'encoders' | 'titles'>;

function machine(at: number, name: string, place: [number, number] | undefined, rest: Partial<Machine>): Machine {
  const id = machineId(at);
  return {
    ...fleetNode({ id, name }),
    ...(place && { place }),
    busy: PLAYS.filter(({ node, isRunning }) => isRunning && node === id).length,
    rtt_ms: 8.2,
    encoders: ['nvenc', 'openh264'],
    titles: ['meteor', 'testcard', 'scene'],
    ...rest,
  };
}

function order(kind: string, reason: string): Schemas['Order'] {
  return { kind, reason, evidence: '', since_ms: Date.now() - 90 * MINUTE_MS };
}

/** The whole fleet. The first two are one host's. */
export const MACHINES: readonly Machine[] = [
  machine(0, 'living-room', [52.5, 13.4], {}),
  machine(1, 'attic', [48.1, 11.6], { slots: 1, adapter: 'llvmpipe (software)', encoders: ['openh264'], rtt_ms: 12.9, region: 'DE-BY' }),
  machine(2, 'studio-north', [59.3, 18.1], { slots: 32, draining: true, region: 'SE', orders: [order('drain', 'new driver')], rtt_ms: 27 }),
  machine(3, 'quick-claims', [37.4, -122.1], { banned: true, orders: [order('ban', 'claims US-CA, answers from DE')], region: 'US-CA' }),
  machine(4, 'tokyo-rack', [35.7, 139.7], { slots: 64, region: 'JP', rtt_ms: 241 }),
  machine(5, 'nowhere', undefined, { region: '', measurable: false, adapter: '', rtt_ms: null }),
  machine(6, 'old-laptop', [-33.9, 151.2], { online: false, region: 'AU', titles: [] }),
];

/** The machines of the host's account. */
export const HOST_MACHINES = MACHINES.slice(0, 2);

/** As `GET /v1/nodes` tells of them. */
export const NODES: readonly Schemas['Node'][] = MACHINES.map(
  ({ id, name, region, online, draining, slots, busy, adapter, encoders, titles }) => ({
    id,
    name,
    region,
    online,
    draining,
    slots,
    busy,
    adapter,
    encoders,
    titles,
  }),
);
