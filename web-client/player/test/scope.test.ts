import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Scope } from '../src/scope';
import { SignalSocket } from '../src/transport/signal';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a scope', () => {
  it('closes listeners, timers and children, newest first, once', () => {
    const scope = new Scope();
    const order: string[] = [];
    const target = new EventTarget();
    scope.add(() => order.push('first'));
    scope.listen(target, 'x', () => order.push('event'));
    scope.interval(10, () => order.push('interval'));
    scope.timeout(10, () => order.push('timeout'));
    scope.child().add(() => order.push('child'));
    scope.close();
    scope.close();
    target.dispatchEvent(new Event('x'));
    vi.advanceTimersByTime(100);
    expect(order).toEqual(['child', 'first']);
  });

  it('that is closed opens nothing and closes what is added at once', () => {
    const scope = new Scope();
    scope.close();
    const closed = vi.fn();
    const opened = vi.fn();
    scope.add(closed);
    scope.interval(1, opened);
    scope.timeout(1, opened);
    scope.listen(window, 'blur', opened);
    window.dispatchEvent(new Event('blur'));
    vi.advanceTimersByTime(10);
    expect(closed).toHaveBeenCalledOnce();
    expect(opened).not.toHaveBeenCalled();
  });

  it('does not grow with what has come and gone', () => {
    const scope = new Scope();
    for (let i = 0; i < 100; i += 1) {
      scope.timeout(1, () => undefined);
      scope.child().close();
    }
    vi.advanceTimersByTime(10);
    expect(scope.size).toBe(0);
  });
});

/** Stands in for the browser's socket: proves only our side of the conversation. */
class FakeSocket extends EventTarget {
  readyState: number = WebSocket.CONNECTING;
  readonly sent: { type: string; peer?: string }[] = [];
  closed = false;
  open(): void {
    this.readyState = WebSocket.OPEN;
    this.dispatchEvent(new Event('open'));
  }
  say(message: object): void {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }));
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as { type: string });
  }
  close(): void {
    this.closed = true;
    this.readyState = WebSocket.CLOSED;
  }
  lose(): void {
    this.close();
    this.dispatchEvent(new Event('close'));
  }
  get types(): string[] {
    return this.sent.map(({ type }) => type);
  }
}

describe('the signalling socket', () => {
  const setUp = () => {
    const sockets: FakeSocket[] = [];
    const scope = new Scope();
    const onMessage = vi.fn();
    const connect = (): WebSocket => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    };
    const signal = new SignalSocket(scope, { url: new URL('ws://x/'), ticket: 't', onMessage, connect });
    const newest = (): FakeSocket => {
      const socket = sockets.at(-1);
      if (socket === undefined) throw new Error('no socket');
      return socket;
    };
    return { sockets, scope, signal, newest, onMessage };
  };
  const offer = (peer: string) => ({ type: 'offer', peer, seat: 0, sdp: 'v=0', nonce: 'n' }) as const;
  const candidate = (peer: string) => ({ type: 'candidate', peer, candidate: 'c', sdp_mid: '0' }) as const;
  const answer = (peer: string) => ({
    type: 'answer',
    peer,
    sdp: 'v=0',
    attestation: { session: 's', fingerprint: 'f', nonce: 'n', expires_at_ms: 1, signature: 'x' },
  });

  it('says hello first, then what was queued before it was open', () => {
    const { signal, newest } = setUp();
    signal.sendPeer(offer('a'));
    signal.sendPeer(candidate('a'));
    newest().open();
    expect(newest().types).toEqual(['hello', 'offer', 'candidate']);
  });

  it('sends an unanswered offer again on a new socket, an answered one not', () => {
    const { signal, newest, sockets } = setUp();
    newest().open();
    signal.sendPeer(offer('a'));
    newest().lose();
    vi.advanceTimersByTime(300);
    newest().open();
    expect(newest().types).toEqual(['hello', 'offer']);
    newest().say(answer('a'));
    newest().lose();
    vi.advanceTimersByTime(1_000);
    newest().open();
    expect(newest().types).toEqual(['hello']);
    expect(sockets).toHaveLength(3);
  });

  it('forgets an older peer’s messages', () => {
    const { signal, newest } = setUp();
    signal.sendPeer(offer('a'));
    signal.sendPeer(offer('b'));
    signal.sendPeer(candidate('a'));
    newest().open();
    expect(newest().sent.map(({ type, peer }) => [type, peer])).toEqual([['hello', undefined], ['offer', 'b']]);
  });

  it('replaces a connection attempt that hangs, and backs off from a server that is down', () => {
    const { sockets, newest } = setUp();
    vi.advanceTimersByTime(700);
    expect(sockets).toHaveLength(2);
    expect(sockets[0]?.closed).toBe(true);
    vi.advanceTimersByTime(1_000);
    expect(sockets).toHaveLength(2);
    const before = sockets.length;
    for (let ms = 0; ms < 60_000; ms += 50) {
      if (newest().readyState === WebSocket.CONNECTING) newest().lose();
      vi.advanceTimersByTime(50);
    }
    expect(sockets.length - before).toBeLessThan(25);
    expect(sockets.length - before).toBeGreaterThan(10);
  });

  it('is replaced where it was silent for long, not where it is new or spoke just now', () => {
    const { signal, sockets, newest } = setUp();
    const renewIn = (ms: number): number => {
      vi.advanceTimersByTime(ms);
      signal.renew(performance.now());
      return sockets.length;
    };
    expect(renewIn(100)).toBe(1);
    newest().open();
    expect(renewIn(2_000)).toBe(2);
    newest().open();
    expect(renewIn(100)).toBe(2);
  });

  it('never sends candidates of a peer whose offer this socket has not carried', () => {
    const { signal, newest } = setUp();
    newest().open();
    signal.sendPeer(offer('a'));
    newest().say(answer('a'));
    newest().lose();
    vi.advanceTimersByTime(300);
    newest().open();
    signal.sendPeer(candidate('a'));
    expect(newest().types).toEqual(['hello']);
  });

  it.each([
    ['a passing error', { type: 'error', code: 'node_unreachable', message: '' }, true],
    ['a refused ticket', { type: 'error', code: 'bad_ticket', message: '' }, false],
    ['the end', { type: 'ended', reason: 'drained', message: '' }, false],
  ])('after %s connects again: %s → %s', (_name, message, again) => {
    const { newest, sockets, onMessage } = setUp();
    newest().open();
    newest().say(message);
    newest().lose();
    vi.advanceTimersByTime(20_000);
    expect(sockets.length > 1).toBe(again);
    expect(onMessage).toHaveBeenCalledTimes(again ? 0 : 1);
  });

  it('ignores rubbish and closes with its scope for good', () => {
    const { scope, newest, sockets, onMessage } = setUp();
    newest().open();
    newest().dispatchEvent(new MessageEvent('message', { data: '{"type":"answer"}' }));
    newest().dispatchEvent(new MessageEvent('message', { data: new ArrayBuffer(3) }));
    expect(onMessage).not.toHaveBeenCalled();
    scope.close();
    expect(newest().closed).toBe(true);
    vi.advanceTimersByTime(10_000);
    expect(sockets).toHaveLength(1);
  });
});
