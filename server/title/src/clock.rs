//! Fixed simulation steps from the ticks of frames.

use crate::source::FrameTick;

/// Simulation steps per second: two per frame at 60 Hz.
pub(crate) const STEPS_PER_S: u32 = 120;
/// Seconds per step.
pub(crate) const STEP_S: f32 = 1.0 / STEPS_PER_S as f32;

/// A gap longer than this (a stall, a debugger) is not caught up with: play would jump.
const MAX_GAP_US: u64 = 100_000;
/// Accumulator units of one step: µs × steps per second.
const UNITS_PER_STEP: u64 = 1_000_000;

/// Turns tick times into whole steps with integers only, so that equal ticks give equal steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepClock {
    last_us: Option<u64>,
    units: u64,
    paused: bool,
}

impl StepClock {
    /// Steps due at this tick; at most 12.
    pub(crate) fn steps(&mut self, tick: FrameTick) -> u32 {
        let gap_us = tick.now_us.saturating_sub(self.last_us.unwrap_or(tick.now_us)).min(MAX_GAP_US);
        self.last_us = Some(tick.now_us);
        if self.paused {
            return 0;
        }
        self.units += gap_us * u64::from(STEPS_PER_S);
        let steps = self.units / UNITS_PER_STEP;
        self.units %= UNITS_PER_STEP;
        steps as u32
    }

    /// Seconds since the last whole step, below one step: how far a drawing runs ahead of it.
    pub(crate) fn ahead_s(&self) -> f32 {
        self.units as f32 / UNITS_PER_STEP as f32 * STEP_S
    }

    /// Stops time or lets it go on from where it stood.
    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now_us: u64) -> FrameTick {
        FrameTick { frame: 0, now_us, input_serial: 0 }
    }

    #[test]
    fn a_second_of_uneven_ticks_is_exactly_120_steps() {
        let mut clock = StepClock::default();
        let mut total = clock.steps(at(5));
        let mut now = 5;
        for gap in [16_667, 3, 40_000, 99_999].iter().cycle().take(40) {
            now += gap;
            total += clock.steps(at(now));
        }
        assert_eq!(u64::from(total), (now - 5) * 120 / 1_000_000);
    }

    #[test]
    fn a_stall_or_a_clock_that_runs_backwards_does_not_jump() {
        let mut clock = StepClock::default();
        clock.steps(at(1_000_000));
        assert_eq!(clock.steps(at(60_000_000)), 12);
        assert_eq!(clock.steps(at(3)), 0);
    }

    #[test]
    fn no_step_is_due_for_the_time_of_a_pause() {
        let mut clock = StepClock::default();
        clock.steps(at(0));
        clock.set_paused(true);
        assert_eq!(clock.steps(at(90_000)), 0);
        clock.set_paused(false);
        assert_eq!(clock.steps(at(100_000)), 1);
    }
}
