import { afterEach, describe, expect, it, vi } from 'vitest';
import { Scope } from '../src/scope';
import { answersByUdp, byUdp } from '../src/transport/relay';

describe('servers reached by UDP', () => {
  const account = { username: '1:me', credential: 'x' };

  it('keep their accounts and lose their other ways', () => {
    const urls = ['turn:a:3478?transport=udp', 'turn:a:3478?transport=tcp', 'turns:a:5349?transport=tcp', 'turn:b'];
    expect(byUdp([{ urls: 'stun:a:3478' }, { urls, ...account }])).toEqual([
      { urls: ['stun:a:3478'] },
      { urls: ['turn:a:3478?transport=udp', 'turn:b'], ...account },
    ]);
  });

  it('are none where every way is TCP', () => {
    expect(byUdp([{ urls: ['turn:a?transport=TCP', 'turns:a'], ...account }])).toEqual([]);
  });
});

/** A connection that finds what the test says. */
class Asking extends EventTarget {
  static found: (string | null)[] = [];
  static closed = 0;
  readonly createDataChannel = (): void => undefined;

  setLocalDescription(): Promise<void> {
    for (const type of Asking.found) {
      const event = Object.assign(new Event('icecandidate'), { candidate: type === null ? null : { type } });
      queueMicrotask(() => this.dispatchEvent(event));
    }
    return Promise.resolve();
  }

  close(): void {
    Asking.closed += 1;
  }
}

describe('whether a relay answers by UDP', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
    Asking.closed = 0;
  });

  const ask = (found: (string | null)[], scope = new Scope()): Promise<boolean> => {
    vi.stubGlobal('RTCPeerConnection', Asking);
    Asking.found = found;
    return answersByUdp(scope, [{ urls: 'turn:a' }]);
  };

  it('is told by the first candidate, and the connection is closed', async () => {
    expect(await ask(['relay', null])).toBe(true);
    expect(await ask([null])).toBe(false);
    expect(Asking.closed).toBe(2);
  });

  it('is not waited for beyond five seconds, or the play', async () => {
    vi.useFakeTimers();
    const silent = ask([]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await silent).toBe(false);
    const scope = new Scope();
    const left = ask([], scope);
    scope.close();
    expect(await left).toBe(false);
    expect(Asking.closed).toBe(2);
  });

  it('is not asked where no server is reached by UDP', async () => {
    expect(await answersByUdp(new Scope(), [{ urls: 'turns:a' }])).toBe(false);
  });
});
