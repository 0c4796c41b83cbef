//! When meteors come, and which: wave after wave, faster and denser.

use super::entities::{HALF_WIDTH, Nature, Rock, SPAWN_Y, Size, tenths};
use crate::rng::Rng;
use glam::Vec2;

/// Quiet between waves, in which the banner is read.
const REST_STEPS: u32 = tenths(16);
/// Every so many meteors one holds a gem.
const GOLD_EVERY: u32 = 9;

/// One wave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wave {
    /// 1, 2, 3, …
    pub(crate) number: u32,
    /// Meteors yet to come.
    left: u32,
    /// Steps until the next one.
    pause: u32,
}

impl Wave {
    pub(crate) fn first() -> Self {
        Self::begin(1)
    }

    fn begin(number: u32) -> Self {
        Self { number, left: Self::meteors(number), pause: REST_STEPS }
    }

    /// Meteors of a wave, those apart that come from splitting.
    fn meteors(number: u32) -> u32 {
        10 + 4 * number.min(13)
    }

    /// Steps between two meteors.
    pub(crate) fn gap(&self) -> u32 {
        52u32.saturating_sub(5 * self.number.min(9)).max(13)
    }

    /// Usual speed of a meteor, units per second.
    pub(crate) fn speed(&self) -> f32 {
        (14.0 + 1.8 * self.number.min(20) as f32).min(32.0)
    }

    /// Whether the quiet before the first meteor still lasts.
    pub(crate) fn is_resting(&self) -> bool {
        self.left == Self::meteors(self.number)
    }

    /// The meteor due in this step, if any; `clear` says that none is left in the arena.
    pub(crate) fn next(&mut self, rng: &mut Rng, ship: Vec2, clear: bool) -> Option<Rock> {
        self.pause = self.pause.saturating_sub(1);
        if self.left == 0 && clear {
            *self = Self::begin(self.number.saturating_add(1));
        }
        if self.left == 0 || self.pause > 0 {
            return None;
        }
        self.left -= 1;
        self.pause = self.gap() * 3 / 4 + rng.below(self.gap() / 2);
        Some(self.rock(rng, ship))
    }

    fn rock(&self, rng: &mut Rng, ship: Vec2) -> Rock {
        let from = Vec2::new(rng.range(-HALF_WIDTH, HALF_WIDTH) * 1.1, SPAWN_Y);
        let (nature, size) = match rng.below(10) {
            _ if self.left % GOLD_EVERY == GOLD_EVERY - 3 => (Nature::Gold, Size::Medium),
            0..=1 if self.number > 1 => (Nature::Ember, Size::Small),
            0..=2 => (Nature::Stone, Size::Small),
            3..=6 => (Nature::Stone, Size::Medium),
            _ => (Nature::Stone, Size::Large),
        };
        let haste = match nature {
            Nature::Ember => 1.7,
            Nature::Gold => 0.9,
            Nature::Stone => rng.range(0.85, 1.2),
        };
        let speed = self.speed() * haste;
        // A third of them, and every ember, is aimed, so that no place is safe for long.
        let aimed = nature == Nature::Ember || rng.one_in(3);
        let goal = if aimed { ship } else { Vec2::new(rng.range(-HALF_WIDTH, HALF_WIDTH) * 1.1, 2.0) };
        let velocity = (goal - from).normalize_or_zero() * speed;
        Rock { id: 0, nature, size, position: from, velocity, hits_left: size.hits(), age: 0, flash: 0 }
    }

    /// Its state for hashing.
    #[cfg(test)]
    pub(crate) fn words(&self) -> [u32; 3] {
        [self.number, self.left, self.pause]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_grow_faster_and_denser_up_to_a_limit() {
        let (first, fifth, late) = (Wave::begin(1), Wave::begin(5), Wave::begin(u32::MAX / 8));
        assert!(fifth.speed() > first.speed() && fifth.gap() < first.gap() && fifth.left > first.left);
        assert!(late.speed() <= 32.0 && late.gap() >= 13 && late.left <= 62);
    }

    #[test]
    fn the_next_wave_waits_until_the_arena_is_clear() {
        let (mut wave, mut rng) = (Wave::first(), Rng::new(1));
        let mut rocks = 0;
        for _ in 0..100_000 {
            rocks += u32::from(wave.next(&mut rng, Vec2::ZERO, false).is_some());
        }
        assert_eq!((rocks, wave.number), (14, 1));
        wave.next(&mut rng, Vec2::ZERO, true);
        assert_eq!(wave.number, 2);
    }
}
