//! What flies in the arena.
//!
//! The arena is a plane: x to the right, y into the picture, in units of about one ship. Only +, −, ×,
//! ÷ and √ touch these numbers, so that every machine computes the same game.

use crate::clock::STEPS_PER_S;
use glam::Vec2;

/// The ship's range: `−HALF_WIDTH..=HALF_WIDTH`.
pub(crate) const HALF_WIDTH: f32 = 9.0;
/// The ship's range into the picture.
pub(crate) const NEAR_Y: f32 = 3.0;
pub(crate) const FAR_Y: f32 = 13.0;
/// Where meteors appear.
pub(crate) const SPAWN_Y: f32 = 66.0;
/// Where they turn back from the sides.
pub(crate) const WALL_X: f32 = 11.5;
/// What flies below this has passed the player.
pub(crate) const GONE_Y: f32 = -4.0;

/// Most of each kind at once; what would exceed it is not made.
pub(crate) const MAX_ROCKS: usize = 72;
pub(crate) const MAX_SHOTS: usize = 64;
pub(crate) const MAX_GEMS: usize = 6;

/// Lives at the start and at most.
pub(crate) const START_LIVES: u8 = 3;
pub(crate) const MAX_LIVES: u8 = 5;

/// Steps of a duration in tenths of a second.
pub(crate) const fn tenths(tenths: u32) -> u32 {
    tenths * STEPS_PER_S / 10
}

/// Size of a meteor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    pub(crate) fn radius(self) -> f32 {
        match self {
            Self::Small => 0.75,
            Self::Medium => 1.25,
            Self::Large => 2.0,
        }
    }
    pub(crate) fn hits(self) -> u8 {
        match self {
            Self::Small => 1,
            Self::Medium => 2,
            Self::Large => 4,
        }
    }
    /// What it falls apart into: two of these.
    pub(crate) fn smaller(self) -> Option<Self> {
        match self {
            Self::Small => None,
            Self::Medium => Some(Self::Small),
            Self::Large => Some(Self::Medium),
        }
    }
}

/// Nature of a meteor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Splits when it breaks.
    Stone,
    /// Fast, aimed at the ship, worth more.
    Ember,
    /// Holds a gem.
    Gold,
}

/// A meteor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rock {
    /// Grows with every meteor of a game: picks shape and tumble.
    pub(crate) id: u32,
    pub(crate) nature: Nature,
    pub(crate) size: Size,
    pub(crate) position: Vec2,
    /// Units per second.
    pub(crate) velocity: Vec2,
    pub(crate) hits_left: u8,
    /// Steps since it was made: how far it has tumbled.
    pub(crate) age: u32,
    /// Steps for which it still shines from a hit.
    pub(crate) flash: u8,
}

impl Rock {
    pub(crate) fn points(&self) -> u32 {
        match (self.nature, self.size) {
            (Nature::Ember, _) => 250,
            (Nature::Gold, _) => 100,
            (Nature::Stone, Size::Large) => 50,
            (Nature::Stone, Size::Medium) => 75,
            (Nature::Stone, Size::Small) => 125,
        }
    }
}

/// A shot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shot {
    pub(crate) position: Vec2,
    pub(crate) velocity: Vec2,
}

/// What a gem does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gift {
    /// Takes one blow.
    Shield,
    /// Doubles the rate of fire.
    Rapid,
    /// Fires a fan.
    Spread,
    /// Breaks everything in sight.
    Nova,
}

/// A gem that drifts towards the player.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gem {
    pub(crate) gift: Gift,
    pub(crate) position: Vec2,
    pub(crate) age: u32,
}

/// The ship.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ship {
    pub(crate) position: Vec2,
    pub(crate) velocity: Vec2,
    pub(crate) shield: bool,
    /// Steps left of each weapon.
    pub(crate) rapid: u32,
    pub(crate) spread: u32,
    /// Steps until the next shot.
    pub(crate) cooldown: u32,
    /// Steps during which nothing hurts.
    pub(crate) safe: u32,
}

impl Ship {
    pub(crate) fn new() -> Self {
        Self {
            position: Vec2::new(0.0, 5.0),
            velocity: Vec2::ZERO,
            shield: false,
            rapid: 0,
            spread: 0,
            cooldown: 0,
            safe: tenths(20),
        }
    }
}

/// Something happened that is seen, heard or felt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Happening {
    GameBegan,
    WaveBegan { number: u32 },
    Fired { at: Vec2 },
    Chipped { at: Vec2 },
    Broke { at: Vec2, size: Size, nature: Nature, points: u32 },
    Caught { at: Vec2, gift: Gift },
    ShieldLost { at: Vec2 },
    ShipLost { at: Vec2 },
    LifeWon,
    GameLost,
}
