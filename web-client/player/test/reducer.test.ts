import { describe, expect, it } from 'vitest';
import {
  CREATE_LIMIT_MS,
  IDLE,
  PATIENCE_MAX_MS,
  PEER_LIMIT_MS,
  RECONNECT_LIMIT_MS,
  reduce,
  RESTART_PATIENCE_MS,
  START_LIMIT_MS,
} from '../src/session/reducer';
import type { Effect, Event, State } from '../src/session/state';
import { viewOf } from '../src/session/view';

const SESSION = { id: 's', node: 'n', node_name: 'attic' };
const PROBLEM = { code: 'no_capacity', title: 'Full', detail: 'Wait.' };

class Walk {
  state: State = IDLE;
  effects: readonly Effect[] = [];

  do(...events: Event[]): this {
    this.effects = [];
    for (const event of events) {
      const [state, effects] = reduce(this.state, event);
      this.state = state;
      this.effects = [...this.effects, ...effects];
    }
    return this;
  }
  has(effect: Effect): boolean {
    return this.effects.some((done) => JSON.stringify(done) === JSON.stringify(effect));
  }
}

const start: Event = { type: 'start', at_ms: 0 };
const created: Event = { type: 'created', at_ms: 100, session: SESSION };
const picture = (peer: number): Event => ({ type: 'picture', peer });
const tick = (at_ms: number): Event => ({ type: 'tick', at_ms });
const stalled: Event = { type: 'stalled', at_ms: 10_700, last_frame_ms: 10_000 };
const playing = (): Walk => new Walk().do(start, created, { type: 'connected', peer: 1 }, picture(1));

describe('a relay reached by TCP', () => {
  const byTcp: Event = { type: 'relayed_by_tcp' };
  const answers = (peer: number): Event => ({ type: 'udp_answers', peer });

  it('is asked once by UDP, and left where it answers, without a word to the player', () => {
    const walk = playing().do(byTcp);
    expect(walk.effects).toEqual([{ do: 'seek_udp', peer: 1 }]);
    expect(walk.do(byTcp).effects).toEqual([]);
    expect(walk.do(answers(1)).effects).toEqual([{ do: 'move_to_udp', peer: 1 }]);
    expect(viewOf(walk.state)).toMatchObject({ kind: 'playing' });
  });

  it('is not left on a connection that is another by now, or lost', () => {
    expect(playing().do(byTcp, answers(2)).has({ do: 'move_to_udp', peer: 2 })).toBe(false);
    const walk = playing().do(byTcp, stalled);
    expect(walk.do(answers(1), byTcp).effects).toEqual([]);
    expect(walk.do(picture(1), byTcp).has({ do: 'seek_udp', peer: 1 })).toBe(true);
  });
});

describe('starting', () => {
  it('prepares the connection while the session is being made', () => {
    const walk = new Walk().do(start);
    expect(walk.effects).toEqual([{ do: 'create_session' }, { do: 'open_peer', peer: 1 }]);
    expect(viewOf(walk.state)).toMatchObject({ kind: 'starting', step: 'finding' });
  });

  it('goes through connecting and the first picture to playing', () => {
    const walk = new Walk().do(start, created);
    expect(walk.has({ do: 'open_signal' })).toBe(true);
    expect(viewOf(walk.state)).toMatchObject({ step: 'connecting', session: 's' });
    expect(viewOf(walk.do({ type: 'connected', peer: 1 }).state)).toMatchObject({ step: 'picture' });
    expect(walk.do(picture(1)).state).toMatchObject({ kind: 'playing', peer: 1 });
  });

  it('waits in line for as long as the server answers, telling place and time', () => {
    const waiting = { place: 2, likely_ms: 30_000, at_most_ms: 200_000 };
    const walk = new Walk().do(start, { type: 'waiting', at_ms: 14_000, waiting }, tick(14_000 + CREATE_LIMIT_MS));
    expect(viewOf(walk.state)).toEqual({ kind: 'starting', step: 'finding', session: undefined, waiting });
    expect(walk.do({ type: 'leave' }).has({ do: 'tell_leave' })).toBe(true);
    const late = new Walk().do(start, { type: 'waiting', at_ms: 14_000, waiting }, tick(14_001 + CREATE_LIMIT_MS));
    expect(late.state).toMatchObject({ kind: 'failed', problem: { code: 'unreachable' } });
  });

  it('is given up when the server does not answer', () => {
    const walk = new Walk().do(start, tick(CREATE_LIMIT_MS + 1));
    expect(walk.state).toMatchObject({ kind: 'failed', problem: { code: 'unreachable' } });
    expect(walk.has({ do: 'release' })).toBe(true);
  });

  it('tells why the server refused', () => {
    const walk = new Walk().do(start, { type: 'refused', problem: PROBLEM });
    expect(walk.state).toMatchObject({ kind: 'failed', problem: PROBLEM });
  });

  it('replaces a peer that shows nothing, and gives up after a bounded time', () => {
    const walk = new Walk().do(start, created, tick(100 + PEER_LIMIT_MS + 1));
    expect(walk.has({ do: 'open_peer', peer: 2 })).toBe(true);
    walk.do(tick(100 + START_LIMIT_MS + 1));
    expect(walk.state).toMatchObject({ kind: 'failed', problem: { code: 'no_picture' } });
  });

  it('replaces a failed peer soon, but not at once', () => {
    const walk = new Walk().do(start, created, { type: 'peer_failed', peer: 1, at_ms: 500 }, tick(600));
    expect(walk.has({ do: 'open_peer', peer: 2 })).toBe(false);
    expect(walk.do(tick(1_700)).has({ do: 'open_peer', peer: 2 })).toBe(true);
  });

  it('does not count the time that the page was hidden', () => {
    const walk = new Walk().do(start, created, { type: 'resumed', at_ms: 90_000 }, tick(90_200));
    expect(walk.state).toMatchObject({ kind: 'connecting', peer: 1 });
  });
});

describe('losing the network', () => {
  it('tries an ICE restart first, then new peers, keeping the old one', () => {
    const walk = playing().do(stalled);
    expect(walk.effects).toEqual([{ do: 'renew_signal' }, { do: 'restart_ice', peer: 1 }]);
    expect(viewOf(walk.state)).toMatchObject({ kind: 'reconnecting', since_ms: 10_000 });
    walk.do(tick(10_700 + RESTART_PATIENCE_MS + 1));
    expect(walk.effects).toEqual([
      { do: 'keep_peers', peers: [1] },
      { do: 'renew_signal' },
      { do: 'open_peer', peer: 2 },
    ]);
  });

  it('goes on with whichever peer shows a picture first', () => {
    for (const peer of [1, 2]) {
      const walk = playing().do(stalled, tick(13_000), picture(peer));
      expect(walk.state).toMatchObject({ kind: 'playing', peer });
      expect(walk.has({ do: 'keep_peers', peers: [peer] })).toBe(true);
    }
  });

  it('finishes the restart of a peer that came back by itself meanwhile', () => {
    expect(playing().do(stalled, picture(1)).has({ do: 'settle_ice', peer: 1 })).toBe(true);
    expect(playing().do(stalled, tick(13_000), picture(2)).has({ do: 'settle_ice', peer: 2 })).toBe(false);
  });

  it('never uses a peer number twice, also after the old peer came back', () => {
    const walk = playing().do(stalled, tick(13_000), picture(1));
    walk.do({ type: 'stalled', at_ms: 20_700, last_frame_ms: 20_000 }, tick(23_000));
    expect(walk.has({ do: 'open_peer', peer: 3 })).toBe(true);
  });

  it('tries a bounded number of times, then offers to try again', () => {
    const walk = playing().do(stalled);
    let attempts = 0;
    for (let at_ms = 10_700; walk.state.kind === 'reconnecting' && at_ms < 100_000; at_ms += 200) {
      walk.do(tick(at_ms));
      attempts += walk.effects.filter((effect) => effect.do === 'open_peer').length;
    }
    expect(walk.state).toMatchObject({ kind: 'failed', problem: { code: 'connection_lost' }, session: SESSION });
    expect(walk.has({ do: 'release' })).toBe(true);
    expect(attempts).toBeGreaterThanOrEqual(RECONNECT_LIMIT_MS / PATIENCE_MAX_MS - 1);
    expect(attempts).toBeLessThan(10);
    expect(walk.do({ type: 'start', at_ms: 60_000 }).has({ do: 'create_session' })).toBe(true);
  });

  it('hurries when the network is back, but never faster than once a second', () => {
    const walk = playing().do(stalled, tick(13_000), { type: 'online', at_ms: 13_500 }, tick(13_800));
    expect(walk.has({ do: 'open_peer', peer: 3 })).toBe(false);
    expect(walk.do(tick(14_100)).has({ do: 'open_peer', peer: 3 })).toBe(true);
  });

  it('goes straight to a new peer where the connection itself has failed', () => {
    const walk = playing().do({ type: 'peer_failed', peer: 1, at_ms: 9_000 });
    expect(walk.state).toMatchObject({ kind: 'reconnecting', since_ms: 9_000 });
    expect(walk.has({ do: 'open_peer', peer: 2 })).toBe(true);
    expect(walk.has({ do: 'restart_ice', peer: 1 })).toBe(false);
    expect(walk.has({ do: 'keep_peers', peers: [] })).toBe(true);
  });

  it('does not count the time that the page was hidden', () => {
    const walk = playing().do(stalled, { type: 'resumed', at_ms: 500_000 }, tick(500_200));
    expect(walk.state.kind).toBe('reconnecting');
  });
});

describe('the end', () => {
  const running: [string, () => Walk][] = [
    ['creating', () => new Walk().do(start)],
    ['connecting', () => new Walk().do(start, created)],
    ['playing', playing],
    ['reconnecting', () => playing().do(stalled)],
  ];

  it.each(running)('by leaving while %s tells the server and releases everything', (_name, walk) => {
    const after = walk().do({ type: 'leave' });
    expect(after.state).toMatchObject({ kind: 'ended', reason: 'player_left' });
    expect(after.effects).toEqual([{ do: 'tell_leave' }, { do: 'release' }]);
  });

  it.each(running)('by the node while %s keeps its reason', (_name, walk) => {
    const after = walk().do({ type: 'ended', reason: 'node_lost', message: 'Gone.' });
    expect(after.state).toMatchObject({ kind: 'ended', reason: 'node_lost', message: 'Gone.' });
    expect(after.has({ do: 'release' })).toBe(true);
  });

  it.each(running)('by a node that cannot prove itself while %s is a failure', (_name, walk) => {
    const after = walk().do({ type: 'refused', problem: PROBLEM });
    expect(after.state.kind).toBe('failed');
    expect(after.has({ do: 'release' })).toBe(true);
  });

  it('is left only by a new start', () => {
    const events: Event[] = [
      created,
      picture(1),
      { type: 'connected', peer: 1 },
      { type: 'peer_failed', peer: 1, at_ms: 0 },
      stalled,
      { type: 'online', at_ms: 0 },
      { type: 'resumed', at_ms: 0 },
      tick(1e9),
      { type: 'ended', reason: 'drained', message: '' },
      { type: 'refused', problem: PROBLEM },
      { type: 'leave' },
    ];
    for (const terminal of [IDLE, playing().do({ type: 'leave' }).state, new Walk().do(start, { type: 'refused', problem: PROBLEM }).state]) {
      for (const event of events) expect(reduce(terminal, event)).toEqual([terminal, []]);
      expect(reduce(terminal, start)[0].kind).toBe('creating');
    }
  });
});

describe('any order of events', () => {
  /** A small deterministic generator (mulberry32). */
  function random(seed: number): () => number {
    let a = seed;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  it('opens each peer once and ends every play with one release', () => {
    for (let seed = 0; seed < 300; seed += 1) {
      const next = random(seed);
      let state: State = IDLE;
      let opened = 0;
      let releases = 0;
      for (let at_ms = 0; at_ms < 120_000; at_ms += 50 + next() * 2_000) {
        const peer = 1 + Math.floor(next() * 4);
        const choices: Event[] = [
          { type: 'start', at_ms },
          { type: 'created', at_ms, session: SESSION },
          { type: 'connected', peer },
          { type: 'picture', peer },
          { type: 'peer_failed', peer, at_ms },
          { type: 'stalled', at_ms, last_frame_ms: at_ms - 700 },
          { type: 'online', at_ms },
          { type: 'resumed', at_ms },
          ...Array.from({ length: 6 }, () => tick(at_ms)),
          ...(next() < 0.02 ? [{ type: 'leave' } as const] : []),
        ];
        const event = choices[Math.floor(next() * choices.length)] ?? tick(at_ms);
        const [after, effects]: readonly [State, readonly Effect[]] = reduce(state, event);
        if (effects.some((effect) => effect.do === 'create_session')) [opened, releases] = [0, 0];
        for (const effect of effects) {
          if (effect.do === 'open_peer') expect(effect.peer).toBe((opened += 1));
          if (effect.do === 'release') releases += 1;
        }
        state = after;
        const terminal = state.kind === 'ended' || state.kind === 'failed';
        expect(releases).toBe(terminal ? 1 : 0);
      }
    }
  });
});

describe('a page that goes away from a title that is kept', () => {
  it('closes its connections without telling that the player left', () => {
    const [creating] = reduce(IDLE, { type: 'start', at_ms: 0 });
    const [connecting] = reduce(creating, { type: 'created', at_ms: 1, session: { id: 's', node: 'n', node_name: 'n' } });
    const [state, effects] = reduce(connecting, { type: 'suspend' });
    expect(state).toMatchObject({ kind: 'ended', reason: 'suspended' });
    expect(effects).toEqual([{ do: 'release' }]);
  });
});
