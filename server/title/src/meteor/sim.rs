//! The game itself: a pure state that goes on by fixed steps.
//!
//! **Invariant:** equal seeds and equal controls give equal states on every machine; nothing here reads
//! a clock, a picture or a sound.

use super::entities::{
    FAR_Y, GONE_Y, Gem, Gift, HALF_WIDTH, Happening, MAX_GEMS, MAX_LIVES, MAX_ROCKS, MAX_SHOTS, NEAR_Y,
    Nature, Rock, START_LIVES, Ship, Shot, WALL_X, tenths,
};
use super::pilot;
use super::wave::Wave;
use crate::clock::STEP_S;
use crate::rng::Rng;
use glam::Vec2;

/// What a step may report at most; more at once would be neither seen nor heard.
const MAX_HAPPENINGS: usize = 96;
/// Fastest flight of the ship, units per second.
const SHIP_SPEED: f32 = 17.0;
/// Share of the wanted speed reached per second: high, so that the ship answers at once.
const SHIP_AGILITY: f32 = 16.0;
const SHIP_RADIUS: f32 = 0.55;
const SHOT_SPEED: f32 = 58.0;
/// Shots end here, so that meteors are met where they can be seen well.
const SHOT_REACH_Y: f32 = 46.0;
const SHOT_RADIUS: f32 = 0.4;
const GEM_SPEED: f32 = 8.0;
/// Gems come to the ship from here.
const GEM_PULL: f32 = 4.0;
const GEM_RADIUS: f32 = 1.5;
/// A blow breaks what is this near, so that the next life begins with room.
const BLAST_RADIUS: f32 = 7.0;
/// Steps in which the next meteor must break for the chain to go on.
const CHAIN_STEPS: u32 = tenths(24);
/// Links per step of the multiplier, and its limit.
const CHAIN_LINKS: u32 = 5;
const MAX_MULTIPLIER: u32 = 8;
const POINTS_PER_LIFE: u32 = 25_000;
/// Game over is shown at least this long before fire restarts, so that nobody skips it by firing on.
const OVER_MIN_STEPS: u32 = tenths(12);
/// After this long the demonstration takes over.
const OVER_MAX_STEPS: u32 = tenths(150);

/// What the player wants in this step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Controls {
    /// Direction and strength, length at most 1; y is into the picture.
    pub(crate) steer: Vec2,
    /// A place to fly to; goes before `steer`.
    pub(crate) target: Option<Vec2>,
    pub(crate) fire: bool,
    /// Start or restart was pressed.
    pub(crate) start: bool,
}

/// Who plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The pilot of the house, behind the title.
    Demo,
    /// The player.
    Play,
    /// Nobody; steps since the last ship was lost.
    Over(u32),
}

/// One game, or the demonstration.
#[derive(Clone, Debug)]
pub(crate) struct Sim {
    pub(crate) mode: Mode,
    pub(crate) step: u64,
    pub(crate) ship: Ship,
    pub(crate) rocks: Vec<Rock>,
    pub(crate) shots: Vec<Shot>,
    pub(crate) gems: Vec<Gem>,
    pub(crate) score: u32,
    pub(crate) best: u32,
    pub(crate) lives: u8,
    pub(crate) wave: Wave,
    /// Meteors broken without a pause.
    pub(crate) chain: u32,
    pub(crate) chain_left: u32,
    next_life_at: u32,
    next_id: u32,
    rng: Rng,
    happenings: Vec<Happening>,
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            mode: Mode::Demo,
            step: 0,
            ship: Ship::new(),
            rocks: Vec::with_capacity(MAX_ROCKS),
            shots: Vec::with_capacity(MAX_SHOTS),
            gems: Vec::with_capacity(MAX_GEMS),
            score: 0,
            best: 0,
            lives: START_LIVES,
            wave: Wave::first(),
            chain: 0,
            chain_left: 0,
            next_life_at: POINTS_PER_LIFE,
            next_id: 0,
            rng: Rng::new(seed),
            happenings: Vec::with_capacity(MAX_HAPPENINGS),
        }
    }

    /// Points are multiplied by this.
    pub(crate) fn multiplier(&self) -> u32 {
        (1 + self.chain / CHAIN_LINKS).min(MAX_MULTIPLIER)
    }

    /// Share of the chain's time that is left, 0..=1.
    pub(crate) fn chain_share(&self) -> f32 {
        self.chain_left as f32 / CHAIN_STEPS as f32
    }

    /// What happened since the last call, oldest first.
    pub(crate) fn happenings(&mut self) -> impl Iterator<Item = Happening> + '_ {
        self.happenings.drain(..)
    }

    /// Goes on by one step of 1/120 s.
    pub(crate) fn advance(&mut self, controls: Controls) {
        self.step += 1;
        let controls = match self.mode {
            Mode::Demo => Controls { start: controls.start, ..pilot::fly(self) },
            Mode::Play | Mode::Over(_) => controls,
        };
        self.change_mode(controls.start);
        if !matches!(self.mode, Mode::Over(_)) {
            self.fly(&controls);
            self.shoot(controls.fire);
        }
        self.spawn();
        self.drift();
        self.hit_rocks();
        if !matches!(self.mode, Mode::Over(_)) {
            self.catch_gems();
            self.hit_ship();
        }
        self.chain_left = self.chain_left.saturating_sub(1);
        if self.chain_left == 0 {
            self.chain = 0;
        }
    }

    fn change_mode(&mut self, start: bool) {
        match self.mode {
            Mode::Demo if start => self.begin(Mode::Play),
            Mode::Over(steps) if start && steps >= OVER_MIN_STEPS => self.begin(Mode::Play),
            Mode::Over(steps) if steps >= OVER_MAX_STEPS => self.begin(Mode::Demo),
            Mode::Over(steps) => self.mode = Mode::Over(steps + 1),
            Mode::Demo | Mode::Play => {}
        }
    }

    fn begin(&mut self, mode: Mode) {
        let fresh = Self::new(self.rng.bits());
        let happenings = std::mem::take(&mut self.happenings);
        *self = Self { mode, step: self.step, best: self.best, happenings, ..fresh };
        if mode == Mode::Play {
            self.report(Happening::GameBegan);
        }
    }

    fn report(&mut self, happening: Happening) {
        if self.happenings.len() < MAX_HAPPENINGS {
            self.happenings.push(happening);
        }
    }

    fn fly(&mut self, controls: &Controls) {
        let ship = &mut self.ship;
        let wanted = match controls.target {
            Some(target) => ((target - ship.position) * SHIP_AGILITY).clamp_length_max(SHIP_SPEED * 1.5),
            None => controls.steer.clamp_length_max(1.0) * SHIP_SPEED,
        };
        ship.velocity += (wanted - ship.velocity) * (SHIP_AGILITY * STEP_S);
        let free = ship.position + ship.velocity * STEP_S;
        ship.position = free.clamp(Vec2::new(-HALF_WIDTH, NEAR_Y), Vec2::new(HALF_WIDTH, FAR_Y));
        if ship.position.x != free.x {
            ship.velocity.x = 0.0;
        }
        if ship.position.y != free.y {
            ship.velocity.y = 0.0;
        }
        for left in [&mut ship.rapid, &mut ship.spread, &mut ship.cooldown, &mut ship.safe] {
            *left = left.saturating_sub(1);
        }
    }

    fn shoot(&mut self, fire: bool) {
        if !fire || self.ship.cooldown > 0 {
            return;
        }
        self.ship.cooldown = if self.ship.rapid > 0 { 8 } else { 16 };
        let fan: &[f32] = if self.ship.spread > 0 { &[-0.16, 0.0, 0.16] } else { &[0.0] };
        let nose = self.ship.position + Vec2::new(0.0, 1.0);
        for side in fan {
            if self.shots.len() < MAX_SHOTS {
                let velocity = Vec2::new(*side, 1.0) * SHOT_SPEED;
                self.shots.push(Shot { position: nose, velocity });
            }
        }
        self.report(Happening::Fired { at: nose });
    }

    fn spawn(&mut self) {
        let clear = self.rocks.is_empty();
        let number = self.wave.number;
        if let Some(rock) = self.wave.next(&mut self.rng, self.ship.position, clear) {
            self.add_rock(rock);
        }
        if self.wave.number != number && self.mode == Mode::Play {
            self.report(Happening::WaveBegan { number: self.wave.number });
        }
    }

    fn add_rock(&mut self, rock: Rock) {
        if self.rocks.len() < MAX_ROCKS {
            self.rocks.push(Rock { id: self.next_id, ..rock });
            self.next_id += 1;
        }
    }

    fn drift(&mut self) {
        for rock in &mut self.rocks {
            rock.position += rock.velocity * STEP_S;
            let outward = rock.position.x * rock.velocity.x > 0.0;
            if outward && rock.position.x.abs() > WALL_X {
                rock.velocity.x = -rock.velocity.x;
            }
            rock.age += 1;
            rock.flash = rock.flash.saturating_sub(1);
        }
        self.rocks.retain(|rock| rock.position.y > GONE_Y);
        for shot in &mut self.shots {
            shot.position += shot.velocity * STEP_S;
        }
        self.shots.retain(|shot| shot.position.y < SHOT_REACH_Y);
        let ship = self.ship.position;
        for gem in &mut self.gems {
            let way = ship - gem.position;
            let pull = if way.length() < GEM_PULL { way.normalize_or_zero() * 14.0 } else { Vec2::ZERO };
            gem.position += (Vec2::new(0.0, -GEM_SPEED) + pull) * STEP_S;
            gem.age += 1;
        }
        self.gems.retain(|gem| gem.position.y > GONE_Y);
    }

    fn hit_rocks(&mut self) {
        let mut next = 0;
        while next < self.shots.len() {
            let shot = self.shots[next].position;
            let met = |rock: &Rock| rock.position.distance(shot) < rock.size.radius() + SHOT_RADIUS;
            let Some(index) = self.rocks.iter().position(met) else {
                next += 1;
                continue;
            };
            self.shots.swap_remove(next);
            let rock = &mut self.rocks[index];
            rock.flash = 10;
            rock.hits_left -= 1;
            if rock.hits_left == 0 {
                self.break_rock(index, true);
            } else {
                self.report(Happening::Chipped { at: shot });
            }
        }
    }

    /// Breaks a meteor; `split` says whether parts and gems fly on.
    fn break_rock(&mut self, index: usize, split: bool) {
        let rock = self.rocks.swap_remove(index);
        self.chain += 1;
        self.chain_left = CHAIN_STEPS;
        let points = rock.points() * self.multiplier();
        self.win(points);
        self.report(Happening::Broke { at: rock.position, size: rock.size, nature: rock.nature, points });
        match (rock.nature, rock.size.smaller()) {
            (Nature::Gold, _) if self.gems.len() < MAX_GEMS => {
                let gift = match self.rng.below(8) {
                    0..=2 => Gift::Spread,
                    3..=4 => Gift::Rapid,
                    5..=6 => Gift::Shield,
                    _ => Gift::Nova,
                };
                self.gems.push(Gem { gift, position: rock.position, age: 0 });
            }
            (Nature::Stone, Some(size)) if split => {
                for side in [-1.0, 1.0] {
                    let apart = Vec2::new(side * self.rng.range(2.5, 5.5), self.rng.range(-1.0, 2.5));
                    let velocity = rock.velocity + apart;
                    let position = rock.position + Vec2::new(side * size.radius() * 0.6, 0.0);
                    let part =
                        Rock { size, position, velocity, hits_left: size.hits(), age: 0, flash: 6, ..rock };
                    self.add_rock(part);
                }
            }
            _ => {}
        }
    }

    fn win(&mut self, points: u32) {
        self.score = self.score.saturating_add(points);
        if self.mode != Mode::Play {
            return;
        }
        self.best = self.best.max(self.score);
        if self.score >= self.next_life_at {
            self.next_life_at = self.next_life_at.saturating_add(POINTS_PER_LIFE);
            if self.lives < MAX_LIVES {
                self.lives += 1;
                self.report(Happening::LifeWon);
            }
        }
    }

    fn catch_gems(&mut self) {
        let ship = self.ship.position;
        while let Some(index) = self.gems.iter().position(|gem| gem.position.distance(ship) < GEM_RADIUS) {
            let gem = self.gems.swap_remove(index);
            self.report(Happening::Caught { at: gem.position, gift: gem.gift });
            match gem.gift {
                Gift::Shield => self.ship.shield = true,
                Gift::Rapid => self.ship.rapid = tenths(120),
                Gift::Spread => self.ship.spread = tenths(120),
                Gift::Nova => self.break_all(|_| true),
            }
            self.win(50);
        }
    }

    fn break_all(&mut self, doomed: impl Fn(&Rock) -> bool) {
        while let Some(index) = self.rocks.iter().position(&doomed) {
            self.break_rock(index, false);
        }
    }

    fn hit_ship(&mut self) {
        let ship = self.ship.position;
        let near = |rock: &Rock, reach: f32| rock.position.distance(ship) < rock.size.radius() * 0.85 + reach;
        if self.ship.safe > 0 || !self.rocks.iter().any(|rock| near(rock, SHIP_RADIUS)) {
            return;
        }
        self.break_all(|rock| near(rock, BLAST_RADIUS));
        (self.chain, self.chain_left) = (0, 0);
        self.ship.safe = tenths(22);
        if self.ship.shield {
            self.ship.shield = false;
            self.report(Happening::ShieldLost { at: ship });
            return;
        }
        self.report(Happening::ShipLost { at: ship });
        self.lives = self.lives.saturating_sub(1);
        (self.ship.rapid, self.ship.spread) = (0, 0);
        if self.lives > 0 {
            return;
        }
        match self.mode {
            Mode::Play => {
                self.mode = Mode::Over(0);
                self.report(Happening::GameLost);
            }
            Mode::Demo | Mode::Over(_) => self.begin(Mode::Demo),
        }
    }

    /// A hash of the whole state that decides how the game goes on.
    #[cfg(test)]
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::default();
        let (mode, over) = match self.mode {
            Mode::Demo => (0, 0),
            Mode::Play => (1, 0),
            Mode::Over(steps) => (2, steps),
        };
        let ship = &self.ship;
        hash.words([mode, over, self.score, self.best, u32::from(self.lives), self.chain, self.chain_left]);
        hash.words([ship.rapid, ship.spread, ship.cooldown, ship.safe, u32::from(ship.shield), self.next_id]);
        hash.vectors([ship.position, ship.velocity]);
        hash.words(self.wave.words());
        for rock in &self.rocks {
            hash.words([rock.id, rock.nature as u32, rock.size as u32, rock.hits_left.into(), rock.age]);
            hash.vectors([rock.position, rock.velocity]);
        }
        self.shots.iter().for_each(|shot| hash.vectors([shot.position, shot.velocity]));
        for gem in &self.gems {
            hash.words([gem.gift as u32, gem.age]);
            hash.vectors([gem.position]);
        }
        hash.words([self.step as u32, self.rng.state() as u32, (self.rng.state() >> 32) as u32]);
        hash.0
    }
}

/// FNV-1a over 32-bit words: to compare states, not against anybody.
#[cfg(test)]
struct Fnv(u64);

#[cfg(test)]
impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

#[cfg(test)]
impl Fnv {
    fn words<const N: usize>(&mut self, words: [u32; N]) {
        for word in words {
            self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    fn vectors<const N: usize>(&mut self, vectors: [Vec2; N]) {
        vectors.iter().for_each(|v| self.words([v.x.to_bits(), v.y.to_bits()]));
    }
}

#[cfg(test)]
mod tests;
