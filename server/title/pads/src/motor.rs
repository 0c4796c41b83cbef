//! Which effects a pad plays and how strongly it shakes: the sums of the kernel's `ff-memless`, without
//! envelopes. Time is an argument.

use crate::Rumble;
use std::time::{Duration, Instant};

/// Effects a program may hold on one pad, as in `ff-memless`.
pub(crate) const MAX_EFFECTS: usize = 16;
/// The longest vibration that browsers take at once (W3C Gamepad, `effect duration`).
const LONGEST: Duration = Duration::from_secs(5);
/// An effect that goes on is said again this long before the page would stop it.
const REFRESH_EARLY: Duration = Duration::from_millis(500);

/// An uploaded effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) strong: u16,
    pub(crate) weak: u16,
    /// For how long it plays; zero is until stopped.
    pub(crate) length: Duration,
    /// Wait before it starts.
    pub(crate) delay: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Play {
    start: Instant,
    /// `None`: until stopped.
    end: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    effect: Option<Effect>,
    play: Option<Play>,
}

/// The effects that one program holds on one pad.
#[derive(Debug)]
pub(crate) struct Effects {
    slots: [Slot; MAX_EFFECTS],
    gain: u16,
}

impl Default for Effects {
    fn default() -> Self {
        Self { slots: [Slot::default(); MAX_EFFECTS], gain: u16::MAX }
    }
}

impl Effects {
    /// Holds an effect under `id`; one that plays goes on with the new strength, for its new length.
    pub(crate) fn upload(&mut self, now: Instant, id: u16, effect: Effect) {
        let Some(slot) = self.slots.get_mut(usize::from(id)) else { return };
        slot.effect = Some(effect);
        if slot.play.is_some() {
            slot.play = Some(Play::of(&effect, now, 1));
        }
    }

    /// Forgets an effect and stops it.
    pub(crate) fn erase(&mut self, id: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(id)) {
            *slot = Slot::default();
        }
    }

    /// Plays an effect `times` times; 0 or less stops it. An effect that was never uploaded is ignored.
    pub(crate) fn play(&mut self, now: Instant, id: u16, times: i32) {
        let Some(slot) = self.slots.get_mut(usize::from(id)) else { return };
        let times = u32::try_from(times).unwrap_or(0);
        slot.play = slot.effect.as_ref().filter(|_| times > 0).map(|effect| Play::of(effect, now, times));
    }

    /// Scales everything, 0..=65535.
    pub(crate) fn set_gain(&mut self, gain: i32) {
        self.gain = gain.clamp(0, i32::from(u16::MAX)) as u16;
    }

    /// Adds these effects' strengths to `level`, and gives the next time at which they differ.
    fn add_to(&mut self, now: Instant, level: &mut [u32; 2]) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for slot in &mut self.slots {
            let (Some(effect), Some(play)) = (slot.effect, slot.play) else { continue };
            if play.end.is_some_and(|end| end <= now) {
                slot.play = None;
                continue;
            }
            let change = if now < play.start {
                Some(play.start)
            } else {
                let scale = |strength: u16| u32::from(strength) * u32::from(self.gain) / u32::from(u16::MAX);
                level[0] += scale(effect.strong);
                level[1] += scale(effect.weak);
                play.end
            };
            next = next.into_iter().chain(change).min();
        }
        next
    }
}

impl Play {
    fn of(effect: &Effect, now: Instant, times: u32) -> Self {
        let start = now + effect.delay;
        let end =
            (!effect.length.is_zero()).then(|| start + effect.length.saturating_mul(times.min(1 << 16)));
        Self { start, end }
    }
}

/// The motors of one pad, which all programs that hold it share.
#[derive(Debug, Default)]
pub(crate) struct Motor {
    said: [u16; 2],
    /// When to look again: an effect starts or ends, or the page would stop.
    next: Option<Instant>,
}

impl Motor {
    /// When [`Motor::update`] has something to do again.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Sums the effects; a value when the page has to hear of it. Call it after any change and when
    /// [`Motor::next`] has come.
    pub(crate) fn update<'a>(
        &mut self,
        now: Instant,
        pad: u8,
        effects: impl Iterator<Item = &'a mut Effects>,
    ) -> Option<Rumble> {
        let due = self.next.is_some_and(|next| next <= now);
        let mut level = [0; 2];
        let mut next: Option<Instant> = None;
        for effects in effects {
            next = next.into_iter().chain(effects.add_to(now, &mut level)).min();
        }
        let level = level.map(|strength| u16::try_from(strength).unwrap_or(u16::MAX));
        let silent = level == [0; 2];
        let refresh = (!silent).then(|| now + LONGEST - REFRESH_EARLY);
        // An effect that goes on unchanged keeps the time at which it was to be said again.
        if level == self.said && !due {
            self.next = if silent { next } else { self.next.into_iter().chain(next).min() };
            return None;
        }
        let changed = level != self.said;
        self.said = level;
        self.next = next.into_iter().chain(refresh).min();
        if silent {
            return changed.then_some(Rumble { pad, strong: 0, weak: 0, duration_ms: 0 });
        }
        let duration = next.map_or(LONGEST, |next| (next - now).min(LONGEST));
        Some(Rumble { pad, strong: level[0], weak: level[1], duration_ms: duration.as_millis() as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn one(strong: u16, length_ms: u32) -> Effect {
        Effect { strong, weak: 0, length: MS * length_ms, delay: Duration::ZERO }
    }

    #[test]
    fn an_effect_plays_for_its_length_and_then_stops_by_itself() {
        let (mut effects, mut motor, now) = (Effects::default(), Motor::default(), Instant::now());
        effects.upload(now, 3, one(1000, 200));
        assert_eq!(motor.update(now, 1, [&mut effects].into_iter()), None);
        effects.play(now, 3, 2);
        let said = motor.update(now, 1, [&mut effects].into_iter());
        assert_eq!(said, Some(Rumble { pad: 1, strong: 1000, weak: 0, duration_ms: 400 }));
        assert_eq!(motor.next(), Some(now + 400 * MS));
        let said = motor.update(now + 400 * MS, 1, [&mut effects].into_iter());
        assert_eq!(said, Some(Rumble { pad: 1, strong: 0, weak: 0, duration_ms: 0 }));
        assert_eq!(motor.next(), None);
    }

    #[test]
    fn an_endless_effect_is_said_again_before_the_page_stops_it() {
        let (mut effects, mut motor, mut now) = (Effects::default(), Motor::default(), Instant::now());
        effects.upload(now, 0, one(7, 0));
        effects.play(now, 0, 1);
        for _ in 0..3 {
            let said = motor.update(now, 0, [&mut effects].into_iter());
            assert_eq!(said.map(|rumble| rumble.duration_ms), Some(5000));
            assert_eq!(motor.update(now + MS, 0, [&mut effects].into_iter()), None);
            let next = motor.next().unwrap();
            assert!(next > now && next < now + LONGEST);
            now = next;
        }
        effects.play(now, 0, 0);
        let said = motor.update(now, 0, [&mut effects].into_iter());
        assert_eq!(said.map(|rumble| rumble.strong), Some(0));
    }

    #[test]
    fn strengths_add_up_to_the_most_and_gain_scales_them() {
        let (mut a, mut b) = (Effects::default(), Effects::default());
        let (mut motor, now) = (Motor::default(), Instant::now());
        for effects in [&mut a, &mut b] {
            effects.upload(now, 0, one(40_000, 100));
            effects.play(now, 0, 1);
        }
        let said = motor.update(now, 0, [&mut a, &mut b].into_iter()).unwrap();
        assert_eq!(said.strong, u16::MAX);
        b.set_gain(0);
        let said = motor.update(now, 0, [&mut a, &mut b].into_iter()).unwrap();
        assert_eq!(said.strong, 40_000);
    }

    #[test]
    fn ids_out_of_range_and_effects_never_uploaded_do_nothing() {
        let (mut effects, mut motor, now) = (Effects::default(), Motor::default(), Instant::now());
        effects.upload(now, 16, one(1, 1));
        effects.play(now, 16, 1);
        effects.play(now, 5, i32::MAX);
        effects.erase(u16::MAX);
        assert_eq!(motor.update(now, 0, [&mut effects].into_iter()), None);
    }
}
