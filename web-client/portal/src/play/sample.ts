/** The player's statistics, reduced to what the report keeps of each second. */
import type { PlayerStats } from '@nearframe/player';
import type { Sample } from './log';

/** Reads one second's statistics. */
export function sampleOf(stats: PlayerStats): Sample {
  return {
    playedS: stats.played_s,
    fps: stats.fps,
    frameAgeMs: stats.frame_age_ms?.p50,
    inputVisibleMs: stats.input_visible_ms?.p50,
    bitrateBps: stats.rtc?.bitrate_bps,
  };
}
