import { describe, expect, it } from 'vitest';
import { WireError } from '../src/wire/bytes';
import { parseControl, type ControlFromPage } from '../src/wire/control';
import { parseFacts, writeFacts, type FactsMessage } from '../src/wire/facts';
import { parseInput, writeInput, type InputEvent, type InputPacket } from '../src/wire/input';
import { KEY_CODES } from '../src/wire/keys';
import { parseSignal } from '../src/wire/signal';
import { agree } from '../src/wire/version';
import { bytesOf, plain, vectors, withBigInts, type Vector } from './vectors';

const good = (file: string): Vector[] => vectors(file).filter((vector) => !('error' in vector));
const bad = (file: string): Vector[] => vectors(file).filter((vector) => 'error' in vector);

/** The vectors' plain form of a packet: events flat, held keys as a list of codes. */
function plainPacket(packet: InputPacket): unknown {
  const keys = Array.from({ length: 256 }, (_, code) => code).filter(
    (code) => (((packet.held.keys[code >> 3] ?? 0) >> (code & 7)) & 1) === 1,
  );
  const pads = packet.held.pads.map(([pad, state]) => ({ pad, state }));
  const events = packet.events.map(({ age, event }) => ({ age, ...event }));
  return plain({ ...packet, events, held: { keys, buttons: packet.held.buttons, pads } });
}

interface PlainPacket extends Omit<InputPacket, 'events' | 'held' | 'sent_us'> {
  readonly sent_us: number;
  readonly events: readonly (InputEvent & { age: number })[];
  readonly held: { readonly keys: number[]; readonly buttons: number; readonly pads: { pad: number; state: never }[] };
}

function packetOf(value: PlainPacket): InputPacket {
  const keys = new Uint8Array(32);
  for (const code of value.held.keys) keys[code >> 3] = (keys[code >> 3] ?? 0) | (1 << (code & 7));
  return {
    ...value,
    sent_us: BigInt(value.sent_us),
    events: value.events.map(({ age, ...event }) => ({ age, event })),
    held: { keys, buttons: value.held.buttons, pads: value.held.pads.map(({ pad, state }) => [pad, state] as const) },
  };
}

describe('input packets', () => {
  it.each(good('input.json'))('reads and writes: $name', (vector) => {
    const packet = parseInput(bytesOf(vector));
    expect(plainPacket(packet)).toEqual(vector['value']);
    expect(writeInput(packetOf(vector['value'] as PlainPacket))).toEqual(bytesOf(vector));
  });
  it.each(bad('input.json'))('refuses: $name', (vector) => {
    expect(() => parseInput(bytesOf(vector))).toThrow(WireError);
  });
});

describe('frame facts', () => {
  it.each(good('facts.json'))('reads and writes: $name', (vector) => {
    expect(plain(parseFacts(bytesOf(vector)))).toEqual(vector['value']);
    const value = withBigInts(vector['value'], ['captured_us', 't', 'node_us']) as FactsMessage;
    expect(writeFacts(value)).toEqual(bytesOf(vector));
  });
  it.each(bad('facts.json'))('refuses: $name', (vector) => {
    expect(() => parseFacts(bytesOf(vector))).toThrow(WireError);
  });
});

describe('messages', () => {
  const toPage = vectors('messages.json').filter((vector) => vector['from'] !== 'page');
  it.each(toPage)('reads: $name', (vector) => {
    const read = vector['door'] === 'control' ? parseControl : parseSignal;
    expect(plain(read(JSON.stringify(vector['value'])))).toEqual(vector['value']);
  });
  it('skips types of a later release', () => {
    expect(parseControl('{"type":"confetti"}')).toBeUndefined();
    expect(parseSignal('{"type":"confetti","x":[1]}')).toBeUndefined();
  });
  it.each(['', 'null', '[]', '{}', '{"type":3}', '{"type":"answer"}', '{"type":"welcome","version":1,"ice_servers":{}}'])(
    'refuses rubbish: %s',
    (raw) => expect(() => parseSignal(raw)).toThrow(WireError),
  );
  it.each(['{"type":"session"}', '{"type":"receipt","bytes":4}', '{"type":"rumble","pad":"0"}', '{"type":"hello"}'])(
    'refuses a control message with missing or mistyped fields: %s',
    (raw) => expect(() => parseControl(raw)).toThrow(WireError),
  );
});

describe('the picture’s quality', () => {
  const good = { type: 'quality', width: 960, height: 540, fps: 60, limit: 'network' };
  it.each([
    ['a limit that nobody knows', { limit: 'weather' }],
    ['no limit', { limit: undefined }],
    ['half a pixel', { width: 960.5 }],
    ['no height', { height: 0 }],
    ['a rate below zero', { fps: -60 }],
    ['a rate beyond what it is written in', { fps: 2 ** 32 }],
    ['a size in words', { width: '960' }],
  ])('is refused with %s', (_what, fault) => {
    expect(parseControl(JSON.stringify(good))).toEqual(good);
    expect(() => parseControl(JSON.stringify({ ...good, ...fault }))).toThrow(WireError);
  });
});

describe('a data cap', () => {
  it('is written as the node reads it', () => {
    const said: ControlFromPage[] = [
      { type: 'data_cap', kbps: 3000 },
      { type: 'data_cap', kbps: null },
    ];
    const read = vectors('messages.json').filter(({ name }) => name === 'control from page: data_cap');
    expect(said.map(plain)).toEqual(read.map(({ value }) => value));
  });
});

describe('what the device decodes', () => {
  it('is written as the node reads it', () => {
    const codecs = ['h264', 'hevc', 'hevc10', 'av1'] as const;
    const decoders = codecs.map((codec) => ({ codec, smooth: codec !== 'hevc10', efficient: codec === 'h264' }));
    const said: ControlFromPage = { type: 'decoders', decoders, on_battery: true, hdr: true };
    const [read] = vectors('messages.json').filter(({ name }) => name === 'control from page: decoders');
    expect(plain(said)).toEqual(read?.value);
  });
});

describe('key codes', () => {
  it('are the same table as the node’s, both ways', () => {
    const table = vectors('key_codes.json').map(({ code, hid }) => [code, hid]);
    expect([...KEY_CODES]).toEqual(table);
  });
});

describe('versions', () => {
  const offer = (min: number, max: number) => ({ min, max, features: [] });
  it('agree on the highest common one', () => {
    expect(agree(offer(1, 3), offer(2, 5))).toBe(3);
  });
  it('do not agree where ranges are disjoint or inverted', () => {
    expect(agree(offer(1, 1), offer(2, 3))).toBeUndefined();
    expect(agree(offer(3, 1), offer(1, 9))).toBeUndefined();
  });
});
