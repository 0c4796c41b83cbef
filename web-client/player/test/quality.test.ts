import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Controls } from '../src/element/controls';
import { QualityView } from '../src/element/quality';
import { Scope } from '../src/scope';
import { Dialogue } from '../src/session/dialogue';
import type { Play } from '../src/session/session';
import { PATIENCE_S } from '../src/stats/creep';
import { Statistics } from '../src/stats/snapshot';

let scope: Scope;
beforeEach(() => {
  scope = new Scope();
  localStorage.clear();
});
afterEach(() => {
  scope.close();
  document.body.replaceChildren();
  localStorage.clear();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** A play whose seconds are made up: frames, and the browser's report. */
class Pretend {
  readonly stats = new Statistics();
  readonly host = { renewBuffers: vi.fn(), reattach: vi.fn(), limited: vi.fn<(why: string | undefined) => void>() };
  readonly view = new QualityView(scope, this.host);
  #now_ms = 0;
  #lost = 0;

  run(seconds: number, { frames = 60, loss = 0, queued_ms = 6 } = {}): this {
    for (let i = 0; i < seconds; i += 1) {
      for (let frame = 0; frame < frames; frame += 1) {
        this.stats.frames.shown(undefined, this.#now_ms + (frame * 1000) / frames);
        this.stats.frames.queued_ms.push(queued_ms);
      }
      this.#now_ms += 1000;
      const at = this.#now_ms / 1000;
      const video = { id: 'V', type: 'inbound-rtp', kind: 'video', timestamp: this.#now_ms, framesDecoded: frames * at };
      this.#lost += loss * 1000;
      this.stats.sample([{ ...video, packetsReceived: 1000 * at, packetsLost: this.#lost, bytesReceived: 1e6 * at }], this.#now_ms);
      this.view.second(this.stats.snapshot(), this.#now_ms);
    }
    return this;
  }

  end(cut = false): this {
    this.view.end(this.#now_ms, cut);
    return this;
  }
}

describe('the player’s view of quality', () => {
  it('reports a play that has ended, and forgets it with the next', () => {
    const play = new Pretend();
    play.view.begin(play.stats);
    expect(play.run(20).view.report).toBeUndefined();
    expect(play.end().view.report).toMatchObject({ played_s: 19, used_bytes: 19e6, verdict: { limit: 'none' } });
    expect(play.view.card()?.textContent).toContain('Played19 s');
    play.end();
    expect(play.view.report).toBeDefined();
    play.view.begin(new Statistics());
    expect(play.view.card()).toBeUndefined();
  });

  it('has nothing to say of a start that was given up', () => {
    const play = new Pretend();
    play.view.begin(play.stats);
    expect(play.run(8, { frames: 0 }).end().view.card()).toBeUndefined();
  });

  it('shows the sign while trouble lasts, and says so to the menu', () => {
    const play = new Pretend();
    play.view.begin(play.stats);
    const [sign] = play.view.elements;
    play.run(10);
    expect(sign?.hidden).toBe(true);
    play.run(8, { loss: 0.1 });
    expect(sign?.hidden).toBe(false);
    expect(play.host.limited).toHaveBeenLastCalledWith('Network: packets get lost on the way.');
    play.end();
    expect(sign?.hidden).toBe(true);
    expect(play.host.limited).toHaveBeenLastCalledWith(undefined);
  });

  it('tells in the overlay what limits the picture and what to do', () => {
    const play = new Pretend();
    play.view.begin(play.stats);
    play.view.toggle(play.stats.snapshot());
    play.run(10, { loss: 0.1 });
    const words = play.view.panel.element.textContent;
    expect(words).toContain('Network: packets get lost on the way.');
    expect(words).toContain('Move nearer to the Wi-Fi router');
  });

  it('cures what has crept up, on its own', () => {
    const play = new Pretend();
    play.view.begin(play.stats);
    play.run(70).run(PATIENCE_S, { queued_ms: 60 });
    expect(play.host.renewBuffers).toHaveBeenCalledOnce();
    expect(play.run(PATIENCE_S, { queued_ms: 60 }).host.reattach).toHaveBeenCalledOnce();
  });

  it('leaves out what nobody saw, save for the data that it took', () => {
    const play = new Pretend();
    play.view.begin(play.stats);
    play.run(10);
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    document.dispatchEvent(new Event('visibilitychange'));
    play.run(60, { frames: 0 });
    hidden.mockReturnValue(false);
    document.dispatchEvent(new Event('visibilitychange'));
    const { report } = play.run(10).end().view;
    expect(report).toMatchObject({ stalls: { count: 0, total_s: 0 }, used_bytes: 78e6, verdict: { limit: 'none' } });
    expect(report?.timeline).toHaveLength(18);
  });
});

describe('what the node says of the picture', () => {
  it('is kept for the statistics, and ignored where it is malformed', () => {
    const stats = new Statistics();
    const unused = {} as ConstructorParameters<typeof Dialogue>;
    const talk = new Dialogue(stats, unused[1], unused[2], unused[3]);
    talk.control('{"type":"quality","width":960,"height":540,"fps":60,"limit":"network"}', 0);
    talk.control('{"type":"quality","width":-1,"height":540,"fps":60,"limit":"network"}', 0);
    expect(stats.snapshot().quality).toMatchObject({ width: 960, height: 540, fps: 60, limit: 'network' });
  });
});

describe('the data limit', () => {
  /** Controls over a page without a title; `told` is what the node would hear. */
  function controls(): { controls: Controls; told: (number | null)[]; choose: (id: string, value: string) => void } {
    const told: (number | null)[] = [];
    const nothing = (): void => undefined;
    const stage = document.createElement('div');
    document.body.append(stage);
    const made = new Controls(scope, {
      ...{ stage, picture: () => ({ left: 0, top: 0, shown_width: 1, shown_height: 1, width: 1, height: 1 }) },
      ...{ pointed: () => false, keysWanted: () => false, shortcut: () => false, usedPointer: nothing },
      ...{ onText: nothing, onTextWelcome: nothing, onMicrophone: nothing, closeSettings: nothing },
    });
    const input = { releaseAll: nothing, setFocused: nothing };
    const play = { input, keyboard: nothing, microphone: nothing, dataCap: (kbps: number | null) => told.push(kbps) };
    made.connect(play as unknown as Play, false);
    const choose = (id: string, value: string): void => {
      const select = made.settings.element.querySelector<HTMLSelectElement>(`#${id}`);
      if (select === null) throw new Error(`the settings have no ${id}`);
      select.value = value;
      select.dispatchEvent(new Event('change'));
    };
    return { controls: made, told, choose };
  }

  it('is told to every node that begins to listen, and again only when it changes', () => {
    const { controls: made, told, choose } = controls();
    made.greeted();
    expect(told).toEqual([null]);
    choose('cap', '4000');
    choose('layout', 'us:dvorak');
    expect(told).toEqual([null, 4_000]);
    made.greeted();
    choose('cap', '');
    expect(told).toEqual([null, 4_000, 4_000, null]);
    expect(made.settings.element.querySelector('#mobile-cap')).toBeNull();
  });

  it('follows the network where the browser tells what it is', () => {
    const connection = Object.assign(new EventTarget(), { type: 'wifi' });
    Object.defineProperty(navigator, 'connection', { value: connection, configurable: true });
    try {
      const { controls: made, told, choose } = controls();
      choose('mobile-cap', '2000');
      made.greeted();
      connection.type = 'cellular';
      connection.dispatchEvent(new Event('change'));
      connection.type = 'wifi';
      connection.dispatchEvent(new Event('change'));
      expect(told.slice(-3)).toEqual([null, 2_000, null]);
    } finally {
      Reflect.deleteProperty(navigator, 'connection');
    }
  });
});
