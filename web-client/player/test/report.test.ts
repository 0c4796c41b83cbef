import { beforeEach, describe, expect, it } from 'vitest';
import { QualitySign } from '../src/element/quality-sign';
import { bytes, duration, reportCard, reportRows } from '../src/element/report-card';
import { Histogram } from '../src/stats/histogram';
import { QualityLog, type QualityReport } from '../src/stats/report';
import { Statistics } from '../src/stats/snapshot';
import { StallLog } from '../src/stats/stalls';
import { verdictOf, type Cause } from '../src/stats/verdict';
import { Watch, type Second } from '../src/stats/watch';
import type { Limit, Quality, SessionFacts } from '../src/wire/control';

const SESSION: SessionFacts = {
  type: 'session',
  seat: 0,
  title: 'meteor',
  kind: 'builtin',
  width: 1280,
  height: 720,
  fps: 60,
  encoder: 'openh264',
  adapter: 'none',
  conversion: 'simd',
};
const quality = (over: Partial<Quality> = {}): Quality => ({ type: 'quality', width: 1280, height: 720, fps: 60, limit: 'none', ...over });

describe('stalls', () => {
  /** Frames that are shown as they are made, the first with number `number`; gives the time and number of the last. */
  const show = (log: StallLog, frames: number, gap_ms = 16, number = 0): [number, number] => {
    for (let i = 0; i < frames; i += 1) log.shown(i * gap_ms, number + i);
    return [(frames - 1) * gap_ms, number + frames - 1];
  };

  it('are gaps that are long beside the usual one', () => {
    const log = new StallLog();
    const [last_ms, number] = show(log, 60);
    log.shown(last_ms + 160, number + 10);
    expect(log.count).toBe(0);
    log.shown(last_ms + 160 + 400, number + 35);
    expect([log.count, log.past_ms]).toEqual([1, 400]);
  });

  it('are not what a title at five frames a second does', () => {
    const log = new StallLog();
    show(log, 60, 200);
    expect(log.count).toBe(0);
  });

  it('are not the rests of a title that has nothing new to show', () => {
    const log = new StallLog();
    const [last_ms, number] = show(log, 60);
    expect(log.total_ms(last_ms + 4_000, number)).toBe(0);
    log.shown(last_ms + 5_000, number + 1);
    expect(log.count).toBe(0);
    log.shown(last_ms + 10_000, number + 200);
    expect([log.count, log.past_ms]).toEqual([1, 5_000]);
  });

  it('are all long gaps where the node announces nothing', () => {
    const log = new StallLog();
    for (let i = 0; i < 60; i += 1) log.shown(i * 16, Number.NaN);
    log.shown(2_000, Number.NaN);
    expect(log.count).toBe(1);
  });

  it('count while they go on, and once', () => {
    const log = new StallLog();
    const [last_ms, number] = show(log, 60);
    expect(log.total_ms(last_ms + 100, number + 6)).toBe(0);
    expect(log.total_ms(last_ms + 500, number + 30)).toBe(500);
    log.shown(last_ms + 800, number + 48);
    expect(log.total_ms(last_ms + 810, number + 48)).toBe(800);
    expect(log.count).toBe(1);
  });

  it('count as far as the end that they brought about, whatever was announced', () => {
    const log = new StallLog();
    const [last_ms] = show(log, 60);
    log.cut(last_ms + 30_000);
    expect([log.count, log.past_ms]).toEqual([1, 30_000]);
  });

  it('are nobody’s while nobody looks', () => {
    const log = new StallLog();
    const [last_ms, number] = show(log, 60);
    log.skip();
    expect(log.total_ms(last_ms + 60_000, number + 3_600)).toBe(0);
    log.shown(last_ms + 60_000, number + 3_600);
    expect(log.count).toBe(0);
  });
});

describe('a histogram', () => {
  it('gives quantiles to half a millisecond, of any number of values', () => {
    const histogram = new Histogram();
    expect(histogram.spread).toBeUndefined();
    for (let i = 0; i < 200_000; i += 1) histogram.push(i % 100);
    const spread = histogram.spread;
    expect(spread?.p50).toBeCloseTo(49, 0);
    expect(spread?.p95).toBeCloseTo(94, 0);
  });

  it('keeps what is out of its range at its ends', () => {
    const histogram = new Histogram();
    histogram.push(-5);
    histogram.push(60_000);
    expect(histogram.spread).toEqual({ p50: 0.25, p95: 3_999.75 });
  });
});

/** A play whose frames, facts and reports are made up, second by second. */
class Pretend {
  readonly stats = new Statistics();
  readonly watch = new Watch(this.stats);
  readonly log = new QualityLog();
  now_ms = 0;
  #rtp = 0;
  #bytes = 0;

  constructor() {
    this.stats.session = SESSION;
    this.stats.clock.pong(0, 5_000n, 10);
  }

  /** One second at 60 frames; `skip` frames are not shown. */
  second({ age_ms = 12, loss = 0, decode_ms = 2, skip = 0 } = {}): Second | undefined {
    const start_ms = this.now_ms;
    for (let i = 0; i < 60; i += 1) {
      const at_ms = start_ms + (i + 1) * (1000 / 60);
      this.#rtp += 1;
      if (i < skip) continue;
      const captured_us = BigInt(Math.round((at_ms - age_ms) * 1000));
      this.stats.frames.facts({
        ...{ kind: 'frame', keyframe: false, rtp_timestamp: this.#rtp, captured_us, input_serial: 0, frame: this.#rtp },
        ...{ target_kbps: 8_000, size_bytes: 1, drawn_us: 2_000, converted_us: 3_000, encoded_us: 6_000, sent_us: 7_000 },
      });
      this.stats.frames.shown(this.#rtp, at_ms);
    }
    this.now_ms += 1000;
    this.#bytes += 1e6;
    const seconds = this.now_ms / 1000;
    const video = {
      ...{ id: 'V', type: 'inbound-rtp', kind: 'video', timestamp: this.now_ms, framesDecoded: 60 * seconds },
      ...{ totalDecodeTime: (decode_ms / 1000) * 60 * seconds, packetsReceived: 1000 * seconds, packetsLost: (loss * 1000 * seconds) / (1 - loss) },
    };
    this.stats.sample([video, { id: 'T', type: 'transport', bytesReceived: this.#bytes, bytesSent: 0 }], this.now_ms);
    const second = this.watch.second(this.now_ms, 'wifi');
    if (second !== undefined) this.log.add(second, this.stats.snapshot().rtc?.used_bytes, 'wifi');
    return second;
  }

  run(seconds: number, how: Parameters<Pretend['second']>[0] = {}): Second | undefined {
    let last: Second | undefined;
    for (let i = 0; i < seconds; i += 1) last = this.second(how);
    return last;
  }

  report(cut = false): QualityReport | undefined {
    return this.log.report(this.stats.snapshot(), this.watch.close(cut ? this.now_ms : undefined), cut);
  }
}

describe('the watch', () => {
  let play: Pretend;
  beforeEach(() => {
    play = new Pretend();
  });

  it('finds nothing in a good play', () => {
    const last = play.run(30);
    expect(last).toMatchObject({ seconds: 1, stalled_ms: 0, reduced: undefined, verdict: { limit: 'none' } });
    expect(last?.ages_ms).toHaveLength(60);
  });

  it('takes several seconds to blame, and to forgive', () => {
    play.run(10);
    expect(play.second({ age_ms: 90 })?.verdict.cause).toBe('none');
    expect(play.run(5, { age_ms: 90 })?.verdict.cause).toBe('queue');
    expect(play.run(6)?.verdict.cause).toBe('none');
  });

  it('measures the queue against the youngest frames of the newest minutes', () => {
    play.run(130, { age_ms: 20 });
    expect(play.run(30, { age_ms: 80 })?.verdict.cause).toBe('queue');
    expect(play.run(125, { age_ms: 80 })?.verdict.cause).toBe('none');
  });

  it('sees a picture that stands, whose packets are not lost', () => {
    play.run(10);
    expect(play.run(3, { skip: 30 })?.verdict).toMatchObject({ limit: 'network', cause: 'frozen' });
  });

  it('believes the node about a reduced picture', () => {
    play.stats.quality = quality({ width: 960, height: 540, limit: 'network' });
    expect(play.run(3)).toMatchObject({ reduced: true, verdict: { limit: 'network', cause: 'capacity' } });
    play.stats.quality = quality();
    expect(play.second()).toMatchObject({ reduced: false, verdict: { limit: 'none' } });
  });

  it('leaves out what nobody saw', () => {
    play.run(5);
    play.watch.skip();
    play.now_ms += 60_000;
    expect(play.second()).toBeUndefined();
    expect(play.second()).toMatchObject({ seconds: 1, stalled_ms: 0, verdict: { limit: 'none' } });
  });
});

describe('the report after a play', () => {
  let play: Pretend;
  beforeEach(() => {
    play = new Pretend();
  });

  it('is nothing where no picture was shown', () => {
    expect(play.report()).toBeUndefined();
  });

  it('sums a good play up', () => {
    play.stats.quality = quality();
    play.run(61);
    const report = play.report();
    expect(report).toMatchObject({ played_s: 60, full_s: 60, reduced_s: 0, stalls: { count: 0, total_s: 0 }, reconnections: 0, used_bytes: 60e6 });
    expect(report?.frame_age_ms?.p50).toBeCloseTo(12, 0);
    expect(report?.verdict.limit).toBe('none');
    expect(report?.timeline).toHaveLength(60);
  });

  it('tells reduced from full time, and blames what limited it longest', () => {
    play.run(21);
    play.stats.quality = quality({ width: 640, height: 360, limit: 'network' });
    play.run(10, { loss: 0.05 });
    play.run(30);
    play.stats.quality = quality();
    play.run(40);
    const report = play.report();
    expect(report).toMatchObject({ full_s: 40, reduced_s: 40, verdict: { limit: 'network', cause: 'capacity' } });
    expect(report?.timeline.filter(({ reduced }) => reduced)).toHaveLength(40);
  });

  it('says nothing of trouble that passed at once', () => {
    play.run(200);
    play.run(4, { age_ms: 100 });
    play.run(200);
    expect(play.report()?.verdict.limit).toBe('none');
  });

  it('blames interruptions where nothing else held for long', () => {
    play.run(100);
    play.stats.reconnections = 1;
    expect(play.report()?.verdict).toMatchObject({ limit: 'network', cause: 'outage' });
  });

  it('takes a picture that stood for an interruption where the network was lost', () => {
    play.run(20);
    play.run(10, { skip: 30 });
    expect(play.report()?.verdict.cause).toBe('frozen');
    play.stats.reconnections = 1;
    expect(play.report()?.verdict.cause).toBe('outage');
  });

  it('counts the stall that ended a play, and none for an end that was wanted', () => {
    play.run(20);
    const { now_ms } = play;
    play.now_ms = now_ms + 30_000;
    expect(play.report()?.stalls).toEqual({ count: 0, total_s: 0 });
    const cut = play.report(true);
    expect(cut?.stalls.count).toBe(1);
    expect(cut?.stalls.total_s).toBeCloseTo(30);
    expect(cut?.verdict.cause).toBe('outage');
  });

  it('stays bounded over an evening, and covers all of it', () => {
    const log = new QualityLog();
    const verdict = verdictOf('none', 'none', 'wifi');
    for (let i = 0; i < 20_000; i += 1) {
      log.add({ seconds: 1, ages_ms: [i === 9_999 ? 300 : 10], inputs_ms: [], queued_ms: 1, stalled_ms: 0, verdict, reduced: false }, 10, 'wifi');
    }
    const timeline = log.report({ played_s: 20_000, reconnections: 0 }, new StallLog(), false)?.timeline ?? [];
    expect(timeline.length).toBeLessThanOrEqual(240);
    expect(timeline.reduce((sum, { seconds }) => sum + seconds, 0)).toBe(20_000);
    expect(Math.max(...timeline.map(({ age_ms }) => age_ms ?? 0))).toBe(300);
  });
});

describe('the card', () => {
  const report: QualityReport = {
    played_s: 750,
    frame_age_ms: { p50: 9.75, p95: 14.25 },
    input_visible_ms: { p50: 18.25, p95: 31 },
    full_s: 700,
    reduced_s: 50,
    stalls: { count: 2, total_s: 1.44 },
    reconnections: 1,
    used_bytes: 912e6,
    verdict: verdictOf('network', 'loss', 'wifi'),
    timeline: [
      { seconds: 10, age_ms: 10, reduced: false, stalled: false },
      { seconds: 5, age_ms: undefined, reduced: true, stalled: true },
      { seconds: 10, age_ms: 30, reduced: true, stalled: false },
    ],
  };

  it('has a line for each figure that was measured', () => {
    expect(reportRows(report)).toEqual([
      { label: 'Played', value: '12 min 30 s' },
      { label: 'Picture delay', value: '9.8 ms', more: '95% within 14 ms' },
      { label: 'Input to picture', value: '18 ms', more: '95% within 31 ms' },
      { label: 'Full picture', value: '11 min 40 s' },
      { label: 'Reduced picture', value: '50 s' },
      { label: 'Stalls', value: '2', more: '1.4 s in all' },
      { label: 'Reconnections', value: '1' },
      { label: 'Data used', value: '912 MB' },
    ]);
    const unmeasured = { ...report, frame_age_ms: undefined, input_visible_ms: undefined, full_s: undefined, reduced_s: undefined, used_bytes: undefined };
    expect(reportRows(unmeasured).map(({ label }) => label)).toEqual(['Played', 'Stalls', 'Reconnections']);
  });

  it('draws the play, and says what limited it and what to do', () => {
    const card = reportCard(report);
    expect(card.querySelectorAll('rect.stalled, rect.reduced')).toHaveLength(2);
    expect(card.querySelector('path')?.getAttribute('d')).toMatch(/^M[\d.]+ [\d.]+L[\d.]+ [\d.]+$/);
    expect(card.textContent).toContain('up to 30 ms');
    expect(card.textContent).toContain('Network: packets get lost on the way.');
    expect(card.textContent).toContain('Move nearer to the Wi-Fi router');
  });

  it('draws nothing of a play of moments', () => {
    expect(reportCard({ ...report, timeline: report.timeline.slice(0, 1) }).querySelector('figure')).toBeNull();
  });

  it('writes times and sizes as people read them', () => {
    expect([0.4, 59.6, 3_599, 3_840].map(duration)).toEqual(['0 s', '1 min 0 s', '59 min 59 s', '1 h 4 min']);
    expect([1, 640_000, 2.34e6, 640e6, 1.44e9].map(bytes)).toEqual(['1 kB', '640 kB', '2.3 MB', '640 MB', '1.4 GB']);
  });
});

describe('the sign', () => {
  const say = (sign: QualitySign, seconds: number, limit: Limit, cause: Cause): string | undefined => {
    let said: string | undefined;
    for (let i = 0; i < seconds; i += 1) said = sign.second(verdictOf(limit, cause, 'wifi'));
    return said;
  };

  it('comes after five seconds of trouble, with a name, and goes soon after', () => {
    const sign = new QualitySign();
    expect(say(sign, 5, 'network', 'loss')).toBeUndefined();
    expect(sign.element.hidden).toBe(true);
    expect(say(sign, 1, 'network', 'loss')).toBe('Network: packets get lost on the way.');
    expect([sign.element.hidden, sign.element.getAttribute('role')]).toEqual([false, 'img']);
    expect(say(sign, 2, 'none', 'none')).toBeDefined();
    expect(say(sign, 1, 'none', 'none')).toBeUndefined();
    expect(sign.element.hidden).toBe(true);
  });

  it('follows the limit', () => {
    const sign = new QualitySign();
    say(sign, 6, 'network', 'loss');
    expect(say(sign, 1, 'device', 'decode')).toMatch(/^This device/);
    expect(sign.element.getAttribute('aria-label')).toMatch(/^This device/);
  });

  it('never shows for trouble that comes and goes, or for the player’s own limit', () => {
    const sign = new QualitySign();
    for (let i = 0; i < 20; i += 1) {
      expect(say(sign, 4, 'network', 'queue')).toBeUndefined();
      expect(say(sign, 1, 'none', 'none')).toBeUndefined();
    }
    expect(say(sign, 60, 'data_cap', 'cap')).toBeUndefined();
  });
});
