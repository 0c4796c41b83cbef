//! What is seen and not played: sparks, debris, shock rings, floating points, the shaking camera.

use super::entities::{Gift, Happening, Nature, Size};
use crate::clock::STEP_S;
use crate::rng::Rng;
use glam::{Vec2, Vec3};

/// Most sparks at once; what would exceed it is left out.
pub(crate) const MAX_SPARKS: usize = 420;
/// Most shock rings and floating points at once.
const MAX_RINGS: usize = 12;
const MAX_NOTES: usize = 10;
/// Strongest shake, in units.
const MAX_SHAKE: f32 = 0.5;

/// A glowing speck.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spark {
    pub(crate) position: Vec3,
    pub(crate) velocity: Vec3,
    pub(crate) colour: Vec3,
    pub(crate) size: f32,
    /// Seconds left, and at the beginning.
    pub(crate) left_s: f32,
    pub(crate) life_s: f32,
}

/// A growing ring on the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    pub(crate) at: Vec2,
    pub(crate) colour: Vec3,
    pub(crate) reach: f32,
    /// 0..=1 of its life.
    pub(crate) progress: f32,
}

/// Points that float up where they were won, or a word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    pub(crate) at: Vec2,
    pub(crate) text: NoteText,
    /// 0..=1 of its life.
    pub(crate) progress: f32,
}

/// What a note says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NoteText {
    Points(u32),
    Gift(Gift),
    Life,
}

/// All effects in flight.
pub(crate) struct Effects {
    pub(crate) sparks: Vec<Spark>,
    pub(crate) rings: Vec<Ring>,
    pub(crate) notes: Vec<Note>,
    /// 0..=1, how bright the whole picture flashes.
    pub(crate) flash: f32,
    shake: f32,
    rng: Rng,
}

/// Colours of light, linear.
pub(crate) fn gift_colour(gift: Gift) -> Vec3 {
    match gift {
        Gift::Shield => Vec3::new(0.15, 0.7, 1.0),
        Gift::Rapid => Vec3::new(1.0, 0.75, 0.1),
        Gift::Spread => Vec3::new(0.3, 1.0, 0.35),
        Gift::Nova => Vec3::new(1.0, 0.3, 0.9),
    }
}

const FIRE: Vec3 = Vec3::new(1.0, 0.45, 0.12);
const DUST: Vec3 = Vec3::new(0.65, 0.45, 0.85);
const GOLD: Vec3 = Vec3::new(1.0, 0.8, 0.25);

impl Effects {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            sparks: Vec::with_capacity(MAX_SPARKS),
            rings: Vec::with_capacity(MAX_RINGS),
            notes: Vec::with_capacity(MAX_NOTES),
            flash: 0.0,
            shake: 0.0,
            rng: Rng::new(seed),
        }
    }

    /// Where the camera is pushed to, in its own plane.
    pub(crate) fn shake(&mut self) -> Vec2 {
        let strength = self.shake * self.shake * MAX_SHAKE;
        Vec2::new(self.rng.range(-1.0, 1.0), self.rng.range(-1.0, 1.0)) * strength
    }

    /// Begins the effects of what happened.
    pub(crate) fn show(&mut self, happening: &Happening) {
        match *happening {
            Happening::GameBegan => {
                self.notes.clear();
                self.flash = 0.5;
            }
            Happening::WaveBegan { .. } | Happening::GameLost => {}
            Happening::LifeWon => self.note(Vec2::new(0.0, 9.0), NoteText::Life),
            Happening::Fired { at } => self.burst(at, 2, 5.0, Vec3::new(0.3, 0.8, 1.0), 0.12),
            Happening::Chipped { at } => self.burst(at, 5, 9.0, FIRE, 0.3),
            Happening::Broke { at, size, nature, points } => {
                let (count, ring, shake) = match size {
                    Size::Small => (14, 1.8, 0.12),
                    Size::Medium => (22, 2.8, 0.22),
                    Size::Large => (34, 4.2, 0.4),
                };
                let colour = match nature {
                    Nature::Stone => DUST,
                    Nature::Ember => FIRE,
                    Nature::Gold => GOLD,
                };
                self.burst(at, count, 13.0, colour, 0.7);
                self.burst(at, count / 2, 7.0, FIRE, 0.45);
                self.ring(at, colour, ring);
                self.note(at, NoteText::Points(points));
                self.shake = (self.shake + shake).min(1.0);
            }
            Happening::Caught { at, gift } => {
                self.burst(at, 24, 10.0, gift_colour(gift), 0.6);
                self.ring(at, gift_colour(gift), if gift == Gift::Nova { 30.0 } else { 4.0 });
                self.note(at, NoteText::Gift(gift));
                self.flash = self.flash.max(if gift == Gift::Nova { 0.7 } else { 0.15 });
            }
            Happening::ShieldLost { at } => {
                self.burst(at, 40, 14.0, gift_colour(Gift::Shield), 0.6);
                self.ring(at, gift_colour(Gift::Shield), 8.0);
                self.shake = 0.8;
                self.flash = self.flash.max(0.3);
            }
            Happening::ShipLost { at } => {
                self.burst(at, 60, 17.0, FIRE, 1.0);
                self.burst(at, 30, 9.0, Vec3::new(0.4, 0.8, 1.0), 0.9);
                self.ring(at, FIRE, 9.0);
                self.shake = 1.0;
                self.flash = self.flash.max(0.6);
            }
        }
    }

    /// The engine's exhaust.
    pub(crate) fn exhaust(&mut self, ship: Vec2) {
        let jet = Vec3::new(ship.x + self.rng.range(-0.12, 0.12), 0.0, ship.y - 1.0);
        let velocity = Vec3::new(self.rng.range(-0.7, 0.7), self.rng.range(-0.2, 0.5), -9.0);
        self.spark(Spark {
            position: jet,
            velocity,
            colour: Vec3::new(0.15, 0.4, 1.0),
            size: 0.22,
            left_s: 0.22,
            life_s: 0.22,
        });
    }

    /// Goes on by one step.
    pub(crate) fn advance(&mut self) {
        for spark in &mut self.sparks {
            spark.velocity *= 1.0 - 2.2 * STEP_S;
            spark.velocity.y -= 4.0 * STEP_S;
            spark.position += spark.velocity * STEP_S;
            spark.left_s -= STEP_S;
        }
        self.sparks.retain(|spark| spark.left_s > 0.0);
        self.rings.iter_mut().for_each(|ring| ring.progress += 1.7 * STEP_S);
        self.rings.retain(|ring| ring.progress < 1.0);
        self.notes.iter_mut().for_each(|note| note.progress += 1.1 * STEP_S);
        self.notes.retain(|note| note.progress < 1.0);
        self.shake = (self.shake - 1.8 * STEP_S).max(0.0);
        self.flash = (self.flash - 2.2 * STEP_S).max(0.0);
    }

    fn burst(&mut self, at: Vec2, count: u32, speed: f32, colour: Vec3, life_s: f32) {
        for _ in 0..count {
            let way =
                Vec3::new(self.rng.range(-1.0, 1.0), self.rng.range(-0.2, 1.0), self.rng.range(-1.0, 1.0));
            let life_s = life_s * self.rng.range(0.4, 1.0);
            let colour = colour * self.rng.range(0.6, 1.3);
            let size = self.rng.range(0.14, 0.34);
            let position = Vec3::new(at.x, 0.0, at.y);
            self.spark(Spark { position, velocity: way * speed, colour, size, left_s: life_s, life_s });
        }
    }

    fn spark(&mut self, spark: Spark) {
        if self.sparks.len() < MAX_SPARKS {
            self.sparks.push(spark);
        }
    }

    fn ring(&mut self, at: Vec2, colour: Vec3, reach: f32) {
        if self.rings.len() < MAX_RINGS {
            self.rings.push(Ring { at, colour, reach, progress: 0.0 });
        }
    }

    fn note(&mut self, at: Vec2, text: NoteText) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(Note { at, text, progress: 0.0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_happenings_stays_bounded_and_dies_down() {
        let mut effects = Effects::new(1);
        for _ in 0..200 {
            effects.show(&Happening::ShipLost { at: Vec2::ZERO });
            effects.show(&Happening::LifeWon);
        }
        assert!(effects.sparks.len() <= MAX_SPARKS && effects.rings.len() <= MAX_RINGS);
        assert!(effects.notes.len() <= MAX_NOTES && effects.shake().length() <= MAX_SHAKE * 2.0);
        for _ in 0..240 {
            effects.advance();
        }
        assert!(effects.sparks.is_empty() && effects.rings.is_empty() && effects.notes.is_empty());
        assert_eq!((effects.shake(), effects.flash), (Vec2::ZERO, 0.0));
    }
}
