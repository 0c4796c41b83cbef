//! When the next frame is due, in phase with the player's display.
//!
//! The page says for every shown frame how long it lay ready before the display took it. The clock moves
//! its ticks so that this wait becomes a small margin: two free timers would cost half a frame on average
//! and a whole one at worst. Waits are angles on a circle of one period, so samples either side of the
//! wrap do not average to the middle.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::time::{Duration, Instant};

/// Waits in one mean: 0.4 s at 60 Hz.
const SAMPLES: usize = 24;
/// Waits that were on their way when a correction ended speak of the phase before it: 0.1 s at 60 Hz.
const STALE_SAMPLES: usize = 6;
/// Wait that is aimed at on a steady path, in ms. At 1.5 ms it was fragile, and at 3 ms a busy browser missed two
/// refreshes a second.
const TARGET_MS: f64 = 4.0;
/// Spread of the waits that the target covers already, in ms.
const STEADY_MS: f64 = 1.0;
/// The target grows by this many standard deviations beyond the steady spread.
const JITTER_FACTOR: f64 = 2.0;
/// The target is never more than this share of the period: above, the frame before would fit better.
const MAX_TARGET: f64 = 0.5;
/// Largest change of one period, as a share of it: too small to be seen as uneven motion.
const SLEW: f64 = 0.015;
/// Errors below this are noise, in ms.
const DEADBAND_MS: f64 = 0.3;
/// Larger errors are corrected whole, smaller ones in half, in ms.
const COARSE_MS: f64 = 1.5;
/// Below this concentration the waits have no phase: the display's rate does not divide into ours.
const MIN_CONCENTRATION: f64 = 0.3;

/// Ticks of one period, phase-locked to the display of one player: the first one's where there are more.
#[derive(Debug)]
pub struct FrameClock {
    period: Duration,
    next: Instant,
    waits_ms: VecDeque<f64>,
    stale: usize,
    /// Rest of the running correction in ms; positive makes ticks later.
    pending_ms: f64,
}

impl FrameClock {
    /// Ticks every `period`, first at `start`. A period of zero is taken as 1 ms.
    pub fn new(period: Duration, start: Instant) -> Self {
        let period = period.max(Duration::from_millis(1));
        Self { period, next: start, waits_ms: VecDeque::with_capacity(SAMPLES), stale: 0, pending_ms: 0.0 }
    }

    /// Ticks in another period from the next tick on; the phase is found anew.
    pub fn set_period(&mut self, period: Duration) {
        let period = period.max(Duration::from_millis(1));
        if period != self.period {
            self.period = period;
            self.waits_ms.clear();
            self.pending_ms = 0.0;
            self.stale = STALE_SAMPLES;
        }
    }

    /// When the next frame is due.
    pub fn next_tick(&self) -> Instant {
        self.next
    }

    /// The frame due at `next_tick` begins now. Returns how many later ones are skipped because their time
    /// has passed as well: a late clock never bursts.
    pub fn tick(&mut self, now: Instant) -> u32 {
        let step = self.step_ms();
        let signed = self.period.as_secs_f64() + step / 1000.0;
        self.next += Duration::from_secs_f64(signed);
        let late = now.saturating_duration_since(self.next);
        if now < self.next {
            return 0;
        }
        let skipped = u32::try_from(late.as_nanos() / self.period.as_nanos()).unwrap_or(u32::MAX - 1) + 1;
        self.next += self.period.saturating_mul(skipped);
        skipped
    }

    /// A frame lay ready for `wait_us` before the display took it; negative came too late for its turn.
    pub fn shown(&mut self, wait_us: i64) {
        if self.pending_ms != 0.0 {
            return;
        }
        if self.stale > 0 {
            self.stale -= 1;
            return;
        }
        self.waits_ms.push_back(wait_us as f64 / 1000.0);
        if self.waits_ms.len() >= SAMPLES {
            self.correct();
            self.waits_ms.clear();
        }
    }

    /// Where the mean of the collected waits calls for it, begins a correction.
    fn correct(&mut self) {
        let period_ms = self.period.as_secs_f64() * 1000.0;
        let Some((mean_ms, spread_ms)) = circular_mean(&self.waits_ms, period_ms) else { return };
        let target_ms =
            (TARGET_MS + JITTER_FACTOR * (spread_ms - STEADY_MS).max(0.0)).min(MAX_TARGET * period_ms);
        let error_ms = wrap(mean_ms - target_ms, period_ms);
        if error_ms.abs() > DEADBAND_MS {
            self.pending_ms = if error_ms.abs() > COARSE_MS { error_ms } else { error_ms / 2.0 };
        }
    }

    /// Takes this tick's part of the running correction.
    fn step_ms(&mut self) -> f64 {
        let most = self.period.as_secs_f64() * 1000.0 * SLEW;
        let step = self.pending_ms.clamp(-most, most);
        if step != 0.0 {
            self.pending_ms -= step;
            self.stale = STALE_SAMPLES;
        }
        step
    }
}

/// Circular mean and standard deviation of waits, in ms; `None` where they have no common phase.
fn circular_mean(waits_ms: &VecDeque<f64>, period_ms: f64) -> Option<(f64, f64)> {
    let count = waits_ms.len() as f64;
    let (x, y) = waits_ms.iter().fold((0.0, 0.0), |(x, y), wait| {
        let angle = wait / period_ms * TAU;
        (x + angle.cos(), y + angle.sin())
    });
    if x.hypot(y) / count < MIN_CONCENTRATION {
        return None;
    }
    let mean = y.atan2(x) / TAU * period_ms;
    let squares: f64 = waits_ms.iter().map(|wait| wrap(wait - mean, period_ms).powi(2)).sum();
    Some((mean, (squares / count).sqrt()))
}

/// The value in −period/2..period/2 that differs by whole periods.
fn wrap(ms: f64, period_ms: f64) -> f64 {
    ms - (ms / period_ms).round() * period_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PERIOD: Duration = Duration::from_nanos(16_666_667);

    #[test]
    fn a_late_clock_skips_and_never_bursts() {
        let start = Instant::now();
        let mut clock = FrameClock::new(PERIOD, start);
        assert_eq!(clock.tick(start), 0);
        assert_eq!(clock.tick(start + PERIOD + PERIOD / 2), 0);
        let late = start + PERIOD * 5 + PERIOD / 2;
        assert_eq!(clock.tick(late), 3);
        assert_eq!(clock.next_tick(), start + PERIOD * 6);
    }

    #[test]
    fn waits_either_side_of_the_wrap_have_their_mean_at_the_wrap() {
        let waits = VecDeque::from([0.5, 16.2, 0.5, 16.2]);
        let (mean, spread) = circular_mean(&waits, 16.667).unwrap();
        assert!(mean.abs() < 0.1 && spread < 0.6, "{mean} {spread}");
    }

    #[test]
    fn waits_without_a_phase_move_nothing() {
        let start = Instant::now();
        let mut clock = FrameClock::new(PERIOD, start);
        (0..SAMPLES as i64).for_each(|i| clock.shown(i * 16_667 / SAMPLES as i64));
        clock.tick(start);
        assert_eq!(clock.next_tick(), start + PERIOD);
    }

    proptest! {
        #[test]
        fn whatever_is_reported_ticks_move_forward_by_at_most_the_slew(
            waits in proptest::collection::vec(any::<i64>(), 0..400),
            lateness_us in proptest::collection::vec(0u64..60_000, 100),
        ) {
            let start = Instant::now();
            let mut clock = FrameClock::new(PERIOD, start);
            let mut waits = waits.into_iter();
            for late in lateness_us {
                waits.by_ref().take(4).for_each(|wait| clock.shown(wait));
                let due = clock.next_tick();
                let now = due + Duration::from_micros(late);
                let skipped = clock.tick(now);
                prop_assert!(clock.next_tick() > now);
                let per_tick = (clock.next_tick() - due).as_secs_f64() - PERIOD.as_secs_f64() * f64::from(skipped);
                prop_assert!((per_tick / PERIOD.as_secs_f64() - 1.0).abs() <= SLEW + 1e-6);
            }
        }
    }
}
