import { beforeEach, describe, expect, it } from 'vitest';
import { InputSender, KEEP_ALIVE_MS, MOTION_SPACING_MS, REPEAT_MS } from '../src/input/sender';
import { MAX_EVENTS, PAD_AT_REST, parseInput, type InputPacket } from '../src/wire/input';

const W = 26;

class Line {
  now_ms = 1_000;
  readonly packets: InputPacket[] = [];
  readonly serials: number[] = [];
  readonly sender = new InputSender({
    send: (bytes) => this.packets.push(parseInput(bytes)),
    now_ms: () => this.now_ms,
    onEvent: (serial) => this.serials.push(serial),
  });

  last(): InputPacket {
    const packet = this.packets.at(-1);
    if (packet === undefined) throw new Error('nothing was sent');
    return packet;
  }
  advance(ms: number): this {
    for (let step = 0; step < ms; step += 1) {
      this.now_ms += 1;
      this.sender.tick(this.now_ms);
    }
    return this;
  }
}

let line: Line;
beforeEach(() => {
  line = new Line();
});

describe('a key', () => {
  it('is sent at once, with the first serial 1', () => {
    line.sender.key(W, true);
    expect(line.last()).toMatchObject({ first_serial: 1, sent_us: 1_000_000n, focused: true });
    expect(line.last().events).toEqual([{ age: 0, event: { kind: 'key', key: W, down: true } }]);
    expect((line.last().held.keys[W >> 3] ?? 0) & (1 << (W & 7))).not.toBe(0);
  });

  it('is repeated with its age until it is acknowledged', () => {
    line.sender.key(W, true);
    line.advance(REPEAT_MS * 3);
    expect(line.packets).toHaveLength(4);
    expect(line.last().events[0]?.age).toBe(REPEAT_MS * 3 * 10);
    line.sender.acknowledge(1);
    line.advance(REPEAT_MS * 2);
    expect(line.packets).toHaveLength(4);
    expect(line.advance(KEEP_ALIVE_MS).last()).toMatchObject({ first_serial: 2, events: [] });
  });

  it('held down by auto-repeat makes no second event', () => {
    line.sender.key(W, true);
    line.sender.key(W, true);
    expect(line.serials).toEqual([1]);
  });
});

describe('acknowledgement', () => {
  it('drops only what was seen', () => {
    line.sender.key(W, true);
    line.sender.key(W, false);
    line.sender.acknowledge(1);
    line.advance(REPEAT_MS);
    expect(line.last()).toMatchObject({ first_serial: 2 });
    expect(line.last().events).toHaveLength(1);
  });

  it('of the past or of what was never sent changes nothing', () => {
    line.sender.key(W, true);
    for (const serial of [0, 2, 77, 0xffff_ffff]) line.sender.acknowledge(serial);
    expect(line.sender.unacknowledged).toBe(1);
  });

  it('of everything leaves nothing to repeat, however long the play', () => {
    const sender = line.sender;
    for (let i = 0; i < 200; i += 1) {
      sender.key(W, i % 2 === 0);
      sender.acknowledge(i + 1);
      expect(sender.unacknowledged).toBe(0);
    }
  });
});

describe('motion', () => {
  it('within a few milliseconds is one event with the sum', () => {
    for (let i = 0; i < 5; i += 1) line.sender.push({ kind: 'motion', dx: 2, dy: -1 });
    expect(line.packets).toHaveLength(1);
    line.advance(MOTION_SPACING_MS);
    expect(line.packets).toHaveLength(2);
    expect(line.last().events.map(({ event }) => event)).toEqual([
      { kind: 'motion', dx: 2, dy: -1 },
      { kind: 'motion', dx: 8, dy: -4 },
    ]);
  });

  it('is never merged into what was already sent', () => {
    line.sender.push({ kind: 'position', x: 1, y: 1 });
    line.advance(MOTION_SPACING_MS);
    line.sender.push({ kind: 'position', x: 2, y: 2 });
    expect(line.last().events).toHaveLength(2);
  });

  it('does not swallow a button between two moves', () => {
    line.sender.push({ kind: 'position', x: 1, y: 1 });
    line.sender.push({ kind: 'position', x: 2, y: 2 });
    line.sender.button(0, true);
    line.sender.push({ kind: 'position', x: 3, y: 3 });
    line.advance(MOTION_SPACING_MS);
    expect(line.last().events.map(({ event }) => event.kind)).toEqual(['position', 'position', 'button', 'position']);
  });

  it('of two fingers is kept apart', () => {
    const move = (id: number, x: number) => line.sender.push({ kind: 'touch', id, phase: 'move', x, y: 0 });
    move(0, 1);
    for (const [id, x] of [[0, 2], [0, 3], [1, 4], [0, 5]] as const) move(id, x);
    line.advance(MOTION_SPACING_MS);
    expect(line.last().events.map(({ event }) => (event.kind === 'touch' ? [event.id, event.x] : []))).toEqual([
      [0, 1],
      [0, 3],
      [1, 4],
      [0, 5],
    ]);
  });
});

describe('a dead connection', () => {
  it('never makes a packet of more than 64 events, and keeps serials consecutive', () => {
    for (let i = 0; i < 100; i += 1) line.sender.key(W, i % 2 === 0);
    expect(line.last().events).toHaveLength(MAX_EVENTS);
    expect(line.last().first_serial).toBe(100 - MAX_EVENTS + 1);
    expect(line.sender.nextSerial).toBe(101);
  });

  it('is not flooded: after a second only the keep-alive repeats', () => {
    line.sender.key(W, true);
    line.advance(1_200);
    const before = line.packets.length;
    line.advance(KEEP_ALIVE_MS * 4);
    expect(line.packets.length - before).toBeLessThanOrEqual(4);
  });
});

describe('losing focus', () => {
  it('releases keys, buttons, fingers and sticks, and says so', () => {
    line.sender.key(W, true);
    line.sender.button(2, true);
    line.sender.push({ kind: 'touch', id: 1, phase: 'begin', x: 5, y: 6 });
    line.sender.pad(0, { ...PAD_AT_REST, axes: [32_767, 0, 0, 0] });
    line.sender.setFocused(false);
    const packet = line.last();
    expect(packet.focused).toBe(false);
    expect(packet.held.keys.every((byte) => byte === 0)).toBe(true);
    expect(packet.held.buttons).toBe(0);
    expect(packet.held.pads).toEqual([[0, PAD_AT_REST]]);
    expect(packet.events.map(({ event }) => event).slice(4)).toEqual([
      { kind: 'key', key: W, down: false },
      { kind: 'button', button: 2, down: false },
      { kind: 'touch', id: 1, phase: 'cancel', x: 5, y: 6 },
      { kind: 'pad', pad: 0, state: PAD_AT_REST },
    ]);
  });
});

describe('a pad', () => {
  it('is sent when it changes, and stays in the held state until it is unplugged', () => {
    line.sender.pad(1, PAD_AT_REST);
    line.sender.pad(1, PAD_AT_REST);
    expect(line.serials).toEqual([1]);
    expect(line.last().held.pads).toEqual([[1, PAD_AT_REST]]);
    line.sender.padGone(1);
    expect(line.last().held.pads).toEqual([]);
    line.sender.padGone(1);
    expect(line.serials).toEqual([1, 2]);
  });

  it('beyond the fourth is not sent', () => {
    line.sender.pad(4, PAD_AT_REST);
    expect(line.packets).toEqual([]);
  });
});

describe('a session that an earlier page began', () => {
  it('goes on with serials where the node says they stopped, and sends nothing before', () => {
    const packets: InputPacket[] = [];
    const sender = new InputSender({ send: (bytes) => packets.push(parseInput(bytes)), now_ms: () => 0, continued: true });
    sender.key(W, true);
    sender.setFocused(false);
    sender.tick(1_000);
    expect(packets).toEqual([]);
    sender.setFocused(true);
    sender.acknowledge(41);
    sender.key(W, true);
    expect(packets.at(-1)).toMatchObject({ first_serial: 42, focused: true });
    expect(packets.at(-1)?.events).toHaveLength(1);
    sender.acknowledge(42);
    expect(sender.unacknowledged).toBe(0);
  });
});
