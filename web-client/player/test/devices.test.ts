import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { capOn, readPreferences } from '../src/element/preferences';
import { capLabel } from '../src/element/settings';
import { Clipboard } from '../src/input/clipboard';
import { Microphone, type MicrophoneState } from '../src/input/microphone';
import { PointerLock, type LockState } from '../src/input/pointer-lock';
import { InputSender } from '../src/input/sender';
import { networkKind, tellsNetworks, watchNetwork } from '../src/network';
import { Scope } from '../src/scope';
import { KEY_CODES } from '../src/wire/keys';
import { parseInput } from '../src/wire/input';

const [CONTROL, V] = [KEY_CODES.get('ControlLeft') ?? 0, KEY_CODES.get('KeyV') ?? 0];

let scope: Scope;
beforeEach(() => {
  scope = new Scope();
});
afterEach(() => {
  scope.close();
  document.body.replaceChildren();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('the microphone', () => {
  class Track extends EventTarget {
    stopped = false;
    stop(): void {
      this.stopped = true;
    }
  }
  const setUp = (open: () => Promise<unknown>) => {
    const heard: (MediaStreamTrack | undefined)[] = [];
    const states: MicrophoneState[] = [];
    const getUserMedia = vi.fn(open);
    vi.stubGlobal('navigator', { mediaDevices: { getUserMedia } });
    const microphone = new Microphone((track) => heard.push(track), (state) => states.push(state));
    return { microphone, heard, states, getUserMedia };
  };
  const stream = (track: Track) => Promise.resolve({ getAudioTracks: () => [track] });

  it('is opened by the first press and not before, with echo cancellation, and stopped by the second', async () => {
    const track = new Track();
    const { microphone, heard, states, getUserMedia } = setUp(() => stream(track));
    expect(getUserMedia).not.toHaveBeenCalled();
    microphone.toggle();
    await vi.waitFor(() => expect(microphone.state.kind).toBe('live'));
    expect(getUserMedia.mock.calls[0]).toEqual([{ audio: expect.objectContaining({ echoCancellation: true }) as unknown }]);
    microphone.toggle();
    expect(track.stopped).toBe(true);
    expect(heard).toEqual([track, undefined]);
    expect(states.map(({ kind }) => kind)).toEqual(['asking', 'live', 'off']);
  });

  it('is not turned on by permission that comes after it was turned off', async () => {
    const track = new Track();
    let allow: (value: unknown) => void = () => undefined;
    const { microphone, heard } = setUp(() => new Promise((resolve) => (allow = resolve)));
    microphone.toggle();
    microphone.toggle();
    allow({ getAudioTracks: () => [track] });
    await vi.waitFor(() => expect(track.stopped).toBe(true));
    expect(microphone.state.kind).toBe('off');
    expect(heard).toEqual([]);
  });

  it.each([
    ['NotAllowedError', 'Allow it'],
    ['NotFoundError', 'Plug one in'],
    ['NotReadableError', 'Close it there'],
    ['OtherError', 'could not be opened'],
  ])('says what to do after %s', async (name, advice) => {
    const { microphone } = setUp(() => Promise.reject(new DOMException('no', name)));
    microphone.toggle();
    await vi.waitFor(() => expect(microphone.state).toMatchObject({ kind: 'failed', why: expect.stringContaining(advice) as unknown }));
  });

  it('that is unplugged is off, and says so', async () => {
    const track = new Track();
    const { microphone, heard } = setUp(() => stream(track));
    microphone.toggle();
    await vi.waitFor(() => expect(microphone.state.kind).toBe('live'));
    track.dispatchEvent(new Event('ended'));
    expect(microphone.state.kind).toBe('failed');
    expect(heard.at(-1)).toBeUndefined();
  });
});

describe('the pointer lock', () => {
  let locked: Element | null;
  let states: LockState[];
  let stage: HTMLElement;
  let lock: PointerLock;
  const request = vi.fn<(options?: object) => Promise<void>>();
  const become = (element: Element | null): void => {
    locked = element;
    document.dispatchEvent(new Event('pointerlockchange'));
  };
  beforeEach(() => {
    locked = null;
    states = [];
    stage = document.createElement('div');
    document.body.append(stage);
    request.mockReset();
    Object.assign(stage, { requestPointerLock: request });
    Object.defineProperty(document, 'pointerLockElement', { get: () => locked, configurable: true });
    Object.assign(document, { exitPointerLock: () => become(null) });
    lock = new PointerLock(scope, stage, (state) => states.push(state));
  });

  it('is taken by the press after the title wants it, with raw motion where that is there', async () => {
    request.mockImplementation((options) => {
      if (options !== undefined) return Promise.reject(new DOMException('no raw motion', 'NotSupportedError'));
      become(stage);
      return Promise.resolve();
    });
    expect(lock.press()).toBe(false);
    lock.wanted = true;
    expect(lock.press()).toBe(true);
    await vi.waitFor(() => expect(lock.locked).toBe(true));
    expect(request.mock.calls).toEqual([[{ unadjustedMovement: true }], []]);
    expect(lock.press()).toBe(false);
    lock.wanted = false;
    expect(locked).toBeNull();
    expect(states).toEqual(['ready', 'locked', 'idle']);
  });

  it('that the player frees is told differently, and taken back by a press', () => {
    request.mockResolvedValue();
    lock.wanted = true;
    become(stage);
    become(null);
    expect(states).toEqual(['ready', 'locked', 'again']);
    expect(lock.press()).toBe(true);
  });

  it('that the browser keeps refusing leaves the presses to the title', async () => {
    request.mockRejectedValue(new DOMException('no', 'SecurityError'));
    lock.wanted = true;
    for (let tries = 0; tries < 3; tries += 1) {
      expect(lock.press()).toBe(true);
      await new Promise((resolve) => setTimeout(resolve));
    }
    expect(lock.press()).toBe(false);
    expect(states.at(-1)).toBe('refused');
  });
});

describe('the clipboard', () => {
  const setUp = () => {
    const order: string[] = [];
    let now_ms = 0;
    const sender: InputSender = new InputSender({
      send: (bytes) => {
        const packet = parseInput(bytes);
        for (const { event } of packet.events) if (event.kind === 'key') order.push(`${event.down ? '+' : '-'}${event.key}`);
        sender.acknowledge(packet.first_serial + packet.events.length - 1);
      },
      now_ms: () => (now_ms += 100),
    });
    const offer = vi.fn();
    const clipboard = new Clipboard(scope, {
      sender: () => sender,
      wanted: () => true,
      send: (text) => order.push(`text ${text}`) > 0,
      offer,
      tooLong: () => order.push('too long'),
    });
    return { clipboard, order, offer };
  };
  const paste = (text: string): void => {
    document.dispatchEvent(Object.assign(new Event('paste', { cancelable: true }), { clipboardData: { getData: () => text } }));
  };
  const key = (code: string, more: KeyboardEventInit = {}): KeyboardEvent => new KeyboardEvent('keydown', { code, ...more });

  it('of the player goes ahead of the key that pastes it', () => {
    const { clipboard, order } = setUp();
    expect(clipboard.key(key('KeyV', { ctrlKey: true }))).toBe(true);
    expect(order).toEqual([]);
    paste('hello');
    expect(order).toEqual(['text hello', `+${V}`]);
  });

  it('that the browser does not give holds the key up only for a moment', () => {
    vi.useFakeTimers();
    const { clipboard, order } = setUp();
    clipboard.key(key('KeyV', { ctrlKey: true }));
    vi.advanceTimersByTime(100);
    expect(order).toEqual([`+${V}`]);
    paste('');
    expect(order).toHaveLength(1);
  });

  it('is pasted with a Mac’s Command as with Control', () => {
    const { clipboard, order } = setUp();
    clipboard.key(key('KeyV', { metaKey: true }));
    paste('x');
    expect(order).toEqual(['text x', `+${CONTROL}`, `+${V}`, `-${V}`, `-${CONTROL}`]);
  });

  it('of the title is written when the player has just copied, and offered else', async () => {
    const writeText = vi.fn(() => Promise.resolve());
    vi.stubGlobal('navigator', { clipboard: { writeText } });
    document.hasFocus = () => true;
    const { clipboard, offer } = setUp();
    clipboard.fromTitle('unasked');
    expect(offer).toHaveBeenCalledWith('unasked');
    expect(clipboard.key(key('KeyC', { ctrlKey: true }))).toBe(false);
    clipboard.fromTitle('copied');
    await vi.waitFor(() => expect(writeText).toHaveBeenCalledWith('copied'));
    expect(offer).toHaveBeenCalledOnce();
    writeText.mockRejectedValueOnce(new DOMException('no', 'NotAllowedError'));
    clipboard.fromTitle('refused');
    await vi.waitFor(() => expect(offer).toHaveBeenLastCalledWith('refused'));
  });
});

describe('preferences', () => {
  const defaults = { layout: 'auto', touchOpacity: 0.7, touchHidden: false, mobileCap_kbps: null, cap_kbps: null };

  it('are read field by field, whatever is stored', () => {
    const chosen = { layout: 'de', touchOpacity: 0.4, touchHidden: true, mobileCap_kbps: 2_000, cap_kbps: 8_000 };
    expect(readPreferences(chosen)).toEqual(chosen);
    expect(readPreferences({ mobileCap_kbps: 4_000 })).toEqual({ ...defaults, mobileCap_kbps: 4_000 });
    for (const rubbish of [null, 3, 'x', [], { layout: 5, touchOpacity: 9, touchHidden: 'yes', cap_kbps: 1, mobileCap_kbps: '2000' }]) {
      expect(readPreferences(rubbish)).toEqual(defaults);
    }
  });
});

describe('a data limit', () => {
  const chosen = readPreferences({ mobileCap_kbps: 2_000, cap_kbps: 8_000 });

  it('is that of the network the player is on', () => {
    expect(capOn('mobile', chosen)).toBe(2_000);
    for (const network of ['wifi', 'cable', 'unknown'] as const) expect(capOn(network, chosen)).toBe(8_000);
  });

  it('says what it costs in an hour', () => {
    expect([2_000, 4_000, 8_000].map(capLabel)).toEqual([
      '2 Mbit/s · 0.9 GB an hour',
      '4 Mbit/s · 1.8 GB an hour',
      '8 Mbit/s · 3.6 GB an hour',
    ]);
  });
});

describe('the network', () => {
  it('is of the kind that the browser tells, and unknown where it tells none', () => {
    const kinds = ['ethernet', 'wifi', 'cellular', 'wimax', undefined].map((type) => {
      vi.stubGlobal('navigator', { connection: { type } });
      return [networkKind(), tellsNetworks()];
    });
    expect(kinds).toEqual([['cable', true], ['wifi', true], ['mobile', true], ['unknown', true], ['unknown', false]]);
    vi.stubGlobal('navigator', {});
    expect([networkKind(), tellsNetworks()]).toEqual(['unknown', false]);
  });

  it('is watched for as long as the scope lives', () => {
    const connection = new EventTarget();
    vi.stubGlobal('navigator', { connection });
    const changed = vi.fn();
    watchNetwork(scope, changed);
    connection.dispatchEvent(new Event('change'));
    scope.close();
    connection.dispatchEvent(new Event('change'));
    expect(changed).toHaveBeenCalledOnce();
  });
});
