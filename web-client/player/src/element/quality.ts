/**
 * What the player sees of the stream's quality: the statistics overlay, the small sign, the report after the play.
 * Fetched beside the first start, as the controls are; until then nothing is missed, since what was measured waits.
 */

import { networkKind } from '../network';
import type { Scope } from '../scope';
import { CreepGuard } from '../stats/creep';
import { QualityLog, type QualityReport } from '../stats/report';
import type { PlayerStats, Statistics } from '../stats/snapshot';
import type { Verdict } from '../stats/verdict';
import { Watch } from '../stats/watch';
import { QualitySign } from './quality-sign';
import { reportCard } from './report-card';
import { StatsPanel } from './stats-panel';

export { QUALITY_STYLES } from './quality-styles';

export interface QualityHost {
  readonly renewBuffers: () => void;
  readonly reattach: () => void;
  /** What limits the picture while the sign shows, in a sentence. */
  readonly limited: (why: string | undefined) => void;
}

/** A play that is watched. */
interface Watched {
  readonly stats: Statistics;
  readonly watch: Watch;
  readonly log: QualityLog;
  readonly guard: CreepGuard;
  reconnections: number;
}

export class QualityView {
  readonly panel = new StatsPanel();
  readonly #sign = new QualitySign();
  #watched: Watched | undefined;
  #verdict: Verdict | undefined;
  #report: QualityReport | undefined;

  constructor(
    scope: Scope,
    private readonly host: QualityHost,
  ) {
    scope.listen(document, 'visibilitychange', () => this.#skip());
  }

  /** Sign and panel, lowest first. */
  get elements(): HTMLElement[] {
    return [this.#sign.element, this.panel.element];
  }

  /** A play begins, and the one before is forgotten. */
  begin(stats: Statistics): void {
    const { reconnections } = stats;
    this.#watched = { stats, watch: new Watch(stats), log: new QualityLog(), guard: new CreepGuard(), reconnections };
    this.#report = undefined;
    this.#clear();
  }

  /** Once a second while a play goes on. */
  second(stats: PlayerStats, now_ms: number): void {
    const watched = this.#watched;
    if (watched === undefined) return;
    if (document.hidden) {
      watched.log.used(stats.rtc?.used_bytes);
      this.#skip();
    } else this.#judge(watched, stats, now_ms);
    this.panel.update(stats, this.#verdict);
  }

  /** The play is over, `cut` off while the picture stood; ending it twice does nothing. */
  end(now_ms: number, cut: boolean): void {
    const watched = this.#watched;
    if (watched === undefined) return;
    this.#report = watched.log.report(watched.stats.snapshot(), watched.watch.close(cut ? now_ms : undefined), cut);
    this.#watched = undefined;
    this.#clear();
  }

  /** How the play went that has ended; nothing before that, and where no picture was shown. */
  get report(): QualityReport | undefined {
    return this.#report;
  }

  /** The report for the card. */
  card(): HTMLElement | undefined {
    return this.#report && reportCard(this.#report);
  }

  toggle(stats: PlayerStats): void {
    this.panel.shown = !this.panel.shown;
    this.panel.update(stats, this.#verdict);
  }

  #judge(watched: Watched, stats: PlayerStats, now_ms: number): void {
    const network = networkKind();
    const second = watched.watch.second(now_ms, network);
    if (second === undefined) return;
    watched.log.add(second, stats.rtc?.used_bytes, network);
    this.#verdict = second.verdict;
    this.host.limited(this.#sign.second(second.verdict));
    this.#guard(watched, stats, second.queued_ms);
  }

  #guard(watched: Watched, { rtc, reconnections }: PlayerStats, queued_ms: number | undefined): void {
    if (watched.reconnections !== reconnections) watched.guard.reset();
    watched.reconnections = reconnections;
    const { jitter_buffer_ms, sound_delay_ms } = rtc ?? {};
    const cure = watched.guard.second({ jitter_buffer_ms, queued_ms, sound_delay_ms });
    if (cure === 'renew_buffers') this.host.renewBuffers();
    else if (cure === 'reattach') this.host.reattach();
  }

  #skip(): void {
    this.#watched?.watch.skip();
    this.#watched?.guard.pause();
  }

  #clear(): void {
    this.#verdict = undefined;
    this.#sign.hide();
    this.host.limited(undefined);
  }
}
