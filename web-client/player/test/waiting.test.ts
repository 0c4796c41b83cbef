// @vitest-environment happy-dom
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createSession } from '../src/api';
import { waitingText } from '../src/element/cards';
import type { Waiting } from '../src/session/state';

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const wish = { server: 'https://play.example.org', title: 'meteor', playerKey: new Uint8Array(32), measured: undefined, group: undefined };
const session = { id: 's', node: 'n', node_name: 'attic' };
const made = { session, ticket: 't', signal_path: '/p', node_key: 'k', ice_servers: [], now_ms: 1 };
const answer = (status: number, body: object): Response => new Response(JSON.stringify(body), { status });

describe('a full house', () => {
  it('is asked again with the place that was given, until there is a seat', async () => {
    vi.useFakeTimers();
    const answers = [
      answer(202, { queue: 'q1', again_in_ms: 2_000, wait: { place: 2 } }),
      answer(202, { queue: 'q1', again_in_ms: 1, wait: { place: 1, likely_ms: 5_000, at_most_ms: 9_000 } }),
      answer(201, made),
    ];
    const asked: { body: Record<string, unknown>; key: string; at_ms: number }[] = [];
    vi.stubGlobal('fetch', (_: URL, { body, headers }: { body: string; headers: Record<string, string> }) => {
      asked.push({ body: JSON.parse(body) as Record<string, unknown>, key: headers['idempotency-key'] ?? '', at_ms: Date.now() });
      return Promise.resolve(answers.shift());
    });
    const told: Waiting[] = [];
    const created = createSession(wish, new AbortController().signal, (waiting) => told.push(waiting));
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await created).id).toBe('s');
    expect(told).toEqual([{ place: 2 }, { place: 1, likely_ms: 5_000, at_most_ms: 9_000 }]);
    expect(asked.map(({ body }) => [body['wait'], body['queue']])).toEqual([[true, undefined], [true, 'q1'], [true, 'q1']]);
    expect(new Set(asked.map(({ key }) => key)).size, 'one request, asked again').toBe(1);
    const [first, second, third] = asked.map(({ at_ms }) => at_ms);
    expect([(second ?? 0) - (first ?? 0), (third ?? 0) - (second ?? 0)], 'as the server wants it, within reason').toEqual([2_000, 500]);
  });

  it('is left when the player leaves', async () => {
    vi.useFakeTimers();
    vi.stubGlobal('fetch', () => Promise.resolve(answer(202, { queue: 'q', again_in_ms: 2_000, wait: { place: 1 } })));
    const abort = new AbortController();
    const created = createSession(wish, abort.signal, () => undefined).catch(() => 'left');
    await vi.advanceTimersByTimeAsync(100);
    abort.abort();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await created).toBe('left');
  });
});

describe('what somebody who waits is told', () => {
  it.each([
    [{ place: 3 }, 'Every seat is taken. You are number 3 in the queue. How long it takes cannot be told yet.'],
    [{ place: 1, likely_ms: 12_000, at_most_ms: 100_000 }, 'Every seat is taken. You are number 1 in the queue: probably 15 seconds, hardly more than 2 minutes.'],
    [{ gathered: { joined: 1, size: 4 } }, 'Waiting for your group: 1 of 4 are here.'],
    [{}, 'Waiting for a free seat.'],
  ])('%o', (waiting, text) => {
    expect(waitingText(waiting)).toBe(text);
  });
});
