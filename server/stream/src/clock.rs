//! When the next frame is due, in phase with the player's display.
//!
//! The page says for every shown frame how long it lay ready before the display took it. The clock moves
//! its ticks so that this wait becomes a small margin: two free timers would cost half a frame on average
//! and a whole one at worst. Waits are angles on a circle of one cycle, the time after which frames and
//! refreshes meet again, so samples either side of the wrap do not average to the middle.
//!
//! How small the margin may be is learnt ([`margin`]): every frame that was sent and never shown came too
//! late for its turn.

mod margin;
mod phase;

use margin::Margin;
use phase::{Response, circular_mean, common_cycle, wrap};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Waits in one mean: 0.4 s at 60 Hz.
const SAMPLES: usize = 24;
/// Waits that were on their way when a correction ended speak of the phase before it: 0.1 s at 60 Hz.
const STALE_SAMPLES: usize = 6;
/// The margin is never more than this share of a cycle: above, the refresh before would fit better.
const MAX_MARGIN: f64 = 0.5;
/// Largest change of one period, as a share of it: too small to be seen as uneven motion.
const SLEW: f64 = 0.015;
/// Errors below this are noise, in ms.
const DEADBAND_MS: f64 = 0.3;
/// Larger errors are corrected whole, smaller ones in half, in ms.
const COARSE_MS: f64 = 1.5;
/// Share of an error that is taken for drift of the display against our period, and made up for with every tick
/// from then on: without it the wait would be off by what the display drifts between two corrections.
const TRIM: f64 = 0.12;
/// No display's clock is further from what it says than this share: 59.94 Hz for 60 is 0.001.
const MAX_TRIM: f64 = 0.0015;
/// Frames on their way to the display; more than this and the page has stopped reporting.
const MAX_UNREPORTED: usize = 256;

/// Ticks of one period, phase-locked to the display of one player: the first one's where there are more.
#[derive(Debug)]
pub struct FrameClock {
    period: Duration,
    /// Of the display, where the page has told.
    refresh: Option<Duration>,
    next: Instant,
    waits_ms: VecDeque<f64>,
    /// RTP timestamps of frames that were sent and not yet reported, oldest first.
    unreported: VecDeque<u32>,
    margin: Margin,
    response: Response,
    stale: usize,
    /// Rest of the running correction in ms; positive makes ticks later.
    pending_ms: f64,
    /// What each period is longer than it is said to be, in ms.
    trim_ms: f64,
}

impl FrameClock {
    /// Ticks every `period`, first at `start`. A period of zero is taken as 1 ms.
    pub fn new(period: Duration, start: Instant) -> Self {
        Self {
            period: period.max(Duration::from_millis(1)),
            refresh: None,
            next: start,
            waits_ms: VecDeque::with_capacity(SAMPLES),
            unreported: VecDeque::new(),
            margin: Margin::default(),
            response: Response::default(),
            stale: 0,
            pending_ms: 0.0,
            trim_ms: 0.0,
        }
    }

    /// Ticks in another period from the next tick on; the phase is found anew.
    pub fn set_period(&mut self, period: Duration) {
        let period = period.max(Duration::from_millis(1));
        if period != self.period {
            self.period = period;
            self.forget();
        }
    }

    /// Begins again at `now`, after a pause; what was learnt of the way to the display is kept.
    pub fn restart(&mut self, now: Instant) {
        self.next = now;
        self.unreported.clear();
        self.forget();
    }

    /// How often the player's display refreshes. Unknown, it is taken to refresh once for each frame.
    pub fn set_refresh(&mut self, refresh: Option<Duration>) {
        if refresh != self.refresh {
            self.refresh = refresh;
            self.forget();
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

    /// A frame was sent.
    pub fn sent(&mut self, rtp_timestamp: u32) {
        if self.unreported.len() >= MAX_UNREPORTED {
            self.unreported.pop_front();
        }
        self.unreported.push_back(rtp_timestamp);
    }

    /// A frame lay ready for `wait_us` before the display took it; negative came too late for its turn.
    pub fn shown(&mut self, rtp_timestamp: u32, wait_us: i64) {
        let missed = self.missed_before(rtp_timestamp);
        if self.pending_ms != 0.0 {
            return;
        }
        if self.stale > 0 {
            self.stale -= 1;
            return;
        }
        self.margin.missed(missed);
        self.waits_ms.push_back(wait_us as f64 / 1000.0);
        if self.waits_ms.len() >= SAMPLES {
            self.correct();
            self.waits_ms.clear();
        }
    }

    /// Frames that were sent before this one and never shown.
    fn missed_before(&mut self, rtp_timestamp: u32) -> usize {
        let Some(index) = self.unreported.iter().position(|&sent| sent == rtp_timestamp) else { return 0 };
        self.unreported.drain(..=index);
        index
    }

    /// Where the mean of the collected waits calls for it, begins a correction.
    fn correct(&mut self) {
        let Some(cycle_ms) = common_cycle(self.period, self.refresh) else { return };
        let Some(mean_ms) = circular_mean(&self.waits_ms, cycle_ms) else { return };
        self.margin.learn(self.waits_ms.iter().map(|wait| wrap(mean_ms - wait, cycle_ms)));
        if !self.response.follows(mean_ms, cycle_ms) {
            self.trim_ms = 0.0;
            return;
        }
        let target_ms = self.margin.target_ms().min(MAX_MARGIN * cycle_ms);
        let error_ms = wrap(mean_ms - target_ms, cycle_ms);
        let is_coarse = error_ms.abs() > COARSE_MS;
        if !is_coarse {
            let most = MAX_TRIM * self.period.as_secs_f64() * 1000.0;
            self.trim_ms = (self.trim_ms + error_ms * TRIM / SAMPLES as f64).clamp(-most, most);
        }
        if error_ms.abs() > DEADBAND_MS {
            self.pending_ms = if is_coarse { error_ms } else { error_ms / 2.0 };
            self.response.moved(mean_ms, self.pending_ms);
        }
    }

    /// Takes this tick's part of the running correction.
    fn step_ms(&mut self) -> f64 {
        let most = self.period.as_secs_f64() * 1000.0 * (SLEW - MAX_TRIM);
        let step = self.pending_ms.clamp(-most, most);
        if step != 0.0 {
            self.pending_ms -= step;
            self.stale = STALE_SAMPLES;
        }
        step + self.trim_ms
    }

    fn forget(&mut self) {
        self.waits_ms.clear();
        (self.pending_ms, self.trim_ms) = (0.0, 0.0);
        self.response = Response::default();
        self.stale = STALE_SAMPLES;
    }
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
    fn waits_without_a_phase_move_nothing() {
        let start = Instant::now();
        let mut clock = FrameClock::new(PERIOD, start);
        (0..SAMPLES as u32).for_each(|i| clock.shown(i, i64::from(i) * 16_667 / SAMPLES as i64));
        clock.tick(start);
        assert_eq!(clock.next_tick(), start + PERIOD);
    }

    #[test]
    fn frames_are_missed_that_were_sent_before_a_shown_one_and_others_are_not() {
        let mut clock = FrameClock::new(PERIOD, Instant::now());
        (0..6).for_each(|frame| clock.sent(frame * 1500));
        assert_eq!(clock.missed_before(0), 0);
        assert_eq!(clock.missed_before(3000), 1);
        assert_eq!(clock.missed_before(77), 0, "a frame that was never sent");
        assert_eq!(clock.missed_before(4500), 0);
        (0..2 * MAX_UNREPORTED as u32).for_each(|frame| clock.sent(frame));
        assert_eq!(clock.unreported.len(), MAX_UNREPORTED);
    }

    proptest! {
        #[test]
        fn whatever_is_reported_ticks_move_forward_by_at_most_the_slew(
            waits in proptest::collection::vec((any::<u32>(), any::<i64>()), 0..400),
            refresh_us in proptest::option::of(0u64..100_000),
            lateness_us in proptest::collection::vec(0u64..60_000, 100),
        ) {
            let start = Instant::now();
            let mut clock = FrameClock::new(PERIOD, start);
            clock.set_refresh(refresh_us.map(Duration::from_micros));
            let mut waits = waits.into_iter();
            for late in lateness_us {
                for (timestamp, wait) in waits.by_ref().take(4) {
                    clock.sent(timestamp);
                    clock.shown(timestamp, wait);
                }
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
