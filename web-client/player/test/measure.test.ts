import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { forgetMeasured, measure } from '../src/measure/measure';
import { answerOf } from '../src/transport/probe';

const SERVER = 'https://play.example.org';
const candidate = (node: string, behind_nat = false): object => ({
  node,
  addresses: ['192.0.2.1:4000', '[2001:db8::1]:4001'],
  ufrag: 'AAAA',
  password: 'p'.repeat(32),
  behind_nat,
});

/** A stand-in for a browser's connection: a pair that is checked every 48 ms, and answers after its node's round trip. */
class FakeConnection extends EventTarget {
  static made: FakeConnection[] = [];
  /** Round trips of successive connections, ms; none: silent. */
  static rtts: (number | undefined)[] = [];
  signalingState = 'stable';
  remote = '';
  readonly #rtt_ms: number | undefined;
  readonly #started_ms = performance.now();

  constructor(readonly configuration: RTCConfiguration) {
    super();
    this.#rtt_ms = FakeConnection.rtts[FakeConnection.made.length];
    FakeConnection.made.push(this);
  }
  createDataChannel(): void {}
  createOffer(): Promise<{ type: string; sdp: string }> {
    return Promise.resolve({ type: 'offer', sdp: 'v=0\r\na=mid:7\r\n' });
  }
  setLocalDescription(): Promise<void> {
    return Promise.resolve();
  }
  setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    this.remote = sdp;
    return Promise.resolve();
  }
  getStats(): Promise<Map<string, object>> {
    const since_ms = performance.now() - this.#started_ms;
    const rtt_ms = this.#rtt_ms;
    if (rtt_ms === undefined) return Promise.resolve(new Map<string, object>());
    const responsesReceived = Math.max(0, Math.floor((since_ms - rtt_ms) / 48) + 1);
    // The first check takes three times as long.
    const totalRoundTripTime = (responsesReceived * rtt_ms + (responsesReceived > 0 ? 2 * rtt_ms : 0)) / 1000;
    return Promise.resolve(new Map([['p', { id: 'p', type: 'candidate-pair', responsesReceived, totalRoundTripTime }]]));
  }
  close(): void {
    this.signalingState = 'closed';
  }
}

let survey: object;
let asked: { path: string; body: Record<string, unknown> }[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  FakeConnection.made = [];
  FakeConnection.rtts = [];
  asked = [];
  forgetMeasured();
  vi.stubGlobal('RTCPeerConnection', FakeConnection);
  vi.stubGlobal('fetch', (url: URL, init: RequestInit) => {
    asked.push({ path: url.pathname, body: JSON.parse(init.body as string) as Record<string, unknown> });
    return Promise.resolve(new Response(JSON.stringify(survey)));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function offered(nodes: object[], ice_servers: object[] = []): void {
  survey = { version: 1, survey: 'sealed', expires_at_ms: 1, candidates: nodes, ice_servers };
}

async function measured(): Promise<[Awaited<ReturnType<typeof measure>>, number]> {
  const start_ms = performance.now();
  const outcome = measure(SERVER);
  let took_ms = 0;
  void outcome.then(() => (took_ms = performance.now() - start_ms));
  await vi.advanceTimersByTimeAsync(6_000);
  return [await outcome, took_ms];
}

describe('measuring', () => {
  it('tells the lowest round trip of each node without its first check, all in the time of the useful ones', async () => {
    offered([candidate('far'), candidate('near'), candidate('silent'), candidate('hopeless')]);
    FakeConnection.rtts = [60, 8, undefined, 700];
    const [outcome, took_ms] = await measured();
    expect(outcome).toEqual({ survey: 'sealed', nodes: [{ node: 'far', rtt_us: 60_000 }, { node: 'near', rtt_us: 8_000 }] });
    // Three checks of the near node, then no more than 150 ms for the others, and a look every 25 ms.
    expect(took_ms).toBeLessThanOrEqual(8 + 2 * 48 + 150 + 50);
    expect(FakeConnection.made.every(({ signalingState }) => signalingState === 'closed')).toBe(true);
  });

  it('is made once for two callers, and taken again until it is old', async () => {
    offered([candidate('a'), candidate('b')]);
    FakeConnection.rtts = [5, 9, 5, 9];
    const both = Promise.all([measure(SERVER), measure(SERVER)]);
    await vi.advanceTimersByTimeAsync(2_000);
    const [one, other] = await both;
    expect(one).toEqual(other);
    expect(await measure(SERVER)).toEqual(one);
    expect(asked.map(({ path }) => path)).toEqual(['/v1/surveys']);
    await vi.advanceTimersByTimeAsync(4 * 60_000);
    const again = measure(SERVER);
    await vi.advanceTimersByTimeAsync(2_000);
    await again;
    expect(asked).toHaveLength(2);
  });

  it('goes through a relay where nothing answers directly', async () => {
    offered([candidate('a')], [{ urls: ['turn:t.example.org:3478'], username: 'u', credential: 'c' }]);
    FakeConnection.rtts = [undefined, 40];
    const [outcome] = await measured();
    expect(outcome?.nodes).toEqual([{ node: 'a', rtt_us: 40_000 }]);
    expect(FakeConnection.made.map(({ configuration }) => configuration.iceTransportPolicy)).toEqual([undefined, 'relay']);
  });

  it('tells a node behind a NAT where it is seen from', async () => {
    offered([candidate('a', true)], [{ urls: ['stun:s.example.org'] }, { urls: ['turn:t.example.org'] }]);
    FakeConnection.rtts = [30];
    const outcome = measure(SERVER);
    await vi.advanceTimersByTimeAsync(10);
    const event = new Event('icecandidate');
    FakeConnection.made[0]?.dispatchEvent(Object.assign(event, { candidate: { type: 'srflx', address: '203.0.113.7', port: 61000 } }));
    await vi.advanceTimersByTimeAsync(3_000);
    await outcome;
    expect(FakeConnection.made[0]?.configuration.iceServers).toEqual([{ urls: ['stun:s.example.org'] }]);
    expect(asked[1]).toEqual({
      path: '/v1/surveys/checks',
      body: { survey: 'sealed', checks: [{ node: 'a', address: '203.0.113.7:61000' }] },
    });
  });

  it('does not ask again where there was nothing to choose between', async () => {
    offered([]);
    expect((await measured())[0]).toBeUndefined();
    expect((await measured())[0]).toBeUndefined();
    expect(asked).toHaveLength(1);
  });

  it('fails softly: no answers, no server', async () => {
    offered([candidate('a')]);
    FakeConnection.rtts = [undefined];
    expect((await measured())[0]).toBeUndefined();
    vi.stubGlobal('fetch', () => Promise.reject(new Error('away')));
    expect((await measured())[0]).toBeUndefined();
  });
});

describe('the answer that a page makes for a node', () => {
  const sdp = answerOf({ node: 'n', addresses: ['192.0.2.1:4000', '[2001:db8::1]:4001', 'rubbish'], ufrag: 'uf', password: 'pw', behind_nat: false }, '3');

  it('names its addresses and credentials, for the very section that was offered', () => {
    expect(sdp).toContain('a=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host\r\n');
    expect(sdp).toContain('a=candidate:2 1 udp 2130706175 2001:db8::1 4001 typ host\r\n');
    for (const line of ['a=mid:3', 'a=ice-ufrag:uf', 'a=ice-pwd:pw', 'a=ice-lite', 'a=setup:active']) expect(sdp).toContain(`${line}\r\n`);
    expect(sdp).not.toContain('rubbish');
  });
});
