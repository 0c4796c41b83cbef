//! From the state of the game to lists of what to draw.

use super::effects::{Effects, gift_colour};
use super::entities::{GONE_Y, MAX_GEMS, MAX_ROCKS, Nature, Rock, Ship, tenths};
use super::mesh::{GEM, ROCK_SHAPES, SHAPES, SHIP};
use super::sim::{Mode, Sim};
use bytemuck::{Pod, Zeroable};
use glam::{EulerRot, Quat, Vec2, Vec3};

/// Most of each kind in one frame; what would exceed it is not drawn.
pub(crate) const MAX_SOLIDS: usize = MAX_ROCKS + MAX_GEMS + 1;
pub(crate) const MAX_SPRITES: usize = 900;
pub(crate) const MAX_GLYPHS: usize = 400;

/// Height of the ground below the arena.
const FLOOR_Y: f32 = -2.2;
/// Lines across the ground: their distance, and how far they are seen.
const LINE_GAP: f32 = 4.0;
const LINES: u32 = 24;

/// A shape somewhere: see `title_meteor_solid.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Solid {
    /// Position and scale.
    pub(crate) place: [f32; 4],
    /// Rotation, a unit quaternion.
    pub(crate) turn: [f32; 4],
    /// Linear tint; the fourth is light added everywhere.
    pub(crate) colour: [f32; 4],
}

/// A spot of light or shade: see `title_meteor_sprite.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Sprite {
    /// Position and radius.
    pub(crate) place: [f32; 4],
    /// Half of its length as a vector, zero for a round one; then the [`Look`].
    pub(crate) along: [f32; 4],
    /// Light added; the fourth is how much of what lies behind is hidden.
    pub(crate) colour: [f32; 4],
}

/// Shapes of a sprite.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    Glow = 0,
    Ring = 1,
    Bolt = 2,
    /// Lies flat: shade.
    Floor = 3,
    /// Lies flat: a ring.
    FloorRing = 4,
    /// Lies flat, from edge to edge of the ground.
    FloorLine = 5,
}

/// A letter or a bar: see `title_meteor_text.wgsl`. Units are px of a picture 720 px high.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Glyph {
    /// Left, top, width, height.
    pub(crate) rect: [f32; 4],
    /// Place in the atlas; zero width for a plain bar.
    pub(crate) cell: [f32; 4],
    /// Colour and opacity.
    pub(crate) colour: [f32; 4],
}

/// Everything in one frame. Reused: its lists are emptied, never freed.
pub(crate) struct Frame {
    pub(crate) solids: [Vec<Solid>; SHAPES],
    pub(crate) sprites: Vec<Sprite>,
    pub(crate) glyphs: Vec<Glyph>,
    /// How far the ground has scrolled since a line last was where one is now, in units.
    scroll: f32,
    pub(crate) shake: Vec2,
}

impl Frame {
    pub(crate) fn new() -> Self {
        Self {
            solids: std::array::from_fn(|_| Vec::with_capacity(MAX_SOLIDS)),
            sprites: Vec::with_capacity(MAX_SPRITES),
            glyphs: Vec::with_capacity(MAX_GLYPHS),
            scroll: 0.0,
            shake: Vec2::ZERO,
        }
    }

    /// Fills the lists for a moment `ahead_s` after the last step.
    pub(crate) fn compose(&mut self, sim: &Sim, effects: &mut Effects, ahead_s: f32) {
        self.solids.iter_mut().for_each(Vec::clear);
        self.sprites.clear();
        self.glyphs.clear();
        let time_s = sim.step as f32 * crate::clock::STEP_S + ahead_s;
        // 20 units per second pass one gap in a fifth of one.
        let within = sim.step % u64::from(tenths(2));
        self.scroll = (within as f32 * crate::clock::STEP_S + ahead_s) * 20.0;
        self.shake = effects.shake();
        self.grid_lines();
        for rock in &sim.rocks {
            self.rock(rock, ahead_s);
        }
        for gem in &sim.gems {
            self.gem(gem.position - Vec2::Y * 8.0 * ahead_s, gift_colour(gem.gift), gem.age as f32 / 120.0);
        }
        if !matches!(sim.mode, Mode::Over(_)) {
            self.ship(&sim.ship, time_s, ahead_s);
        }
        for shot in &sim.shots {
            let at = shot.position + shot.velocity * ahead_s;
            let along = shot.velocity.normalize_or_zero() * 0.9;
            self.sprite(over(at, 0.0), 0.3, over(along, 0.0), Look::Bolt, Vec3::new(0.25, 0.75, 1.0), 0.0);
            self.sprite(over(at, 0.0), 0.9, Vec3::ZERO, Look::Glow, Vec3::new(0.02, 0.12, 0.3), 0.0);
        }
        self.effects(effects);
    }

    fn sprite(&mut self, at: Vec3, size: f32, along: Vec3, look: Look, light: Vec3, cover: f32) {
        if self.sprites.len() < MAX_SPRITES {
            let place = at.extend(size).to_array();
            let along = along.extend(look as u32 as f32).to_array();
            self.sprites.push(Sprite { place, along, colour: light.extend(cover).to_array() });
        }
    }

    fn shade(&mut self, at: Vec2, size: f32) {
        // Far shades are less than a px high.
        if at.y < 45.0 {
            self.sprite(over(at, FLOOR_Y), size, Vec3::ZERO, Look::Floor, Vec3::ZERO, 0.55);
        }
    }

    fn solid(&mut self, shape: usize, at: Vec3, scale: f32, turn: Quat, colour: Vec3, glow: f32) {
        if self.solids[shape].len() < MAX_SOLIDS {
            let place = at.extend(scale).to_array();
            self.solids[shape].push(Solid {
                place,
                turn: turn.to_array(),
                colour: colour.extend(glow).to_array(),
            });
        }
    }

    fn grid_lines(&mut self) {
        for line in 0..LINES {
            let z = line as f32 * LINE_GAP - self.scroll - 2.0;
            let far = (z / (LINES as f32 * LINE_GAP)).clamp(0.0, 1.0);
            let light = Vec3::new(0.10, 0.24, 0.62).lerp(Vec3::new(0.6, 0.14, 0.5), far) * (1.0 - far * far);
            // At least a px high, and dimmer instead of thinner.
            let px = 0.000_05 * (z + 9.0) * (z + 9.0);
            let half = 0.06f32.max(px);
            let at = Vec3::new(0.0, FLOOR_Y, z);
            self.sprite(at, half, Vec3::ZERO, Look::FloorLine, light * (0.06 / half).max(0.35), 0.0);
        }
    }

    fn rock(&mut self, rock: &Rock, ahead_s: f32) {
        let at = rock.position + rock.velocity * ahead_s;
        let radius = rock.size.radius();
        let spin = f32::from((rock.id % 7) as u8) * 0.45 + 0.6;
        let angle = (rock.age as f32 / 120.0 + ahead_s) * spin;
        let seed = rock.id as f32;
        let axis = Vec3::new((seed * 1.7).sin(), (seed * 2.3).cos(), 0.4).normalize_or(Vec3::X);
        let turn = Quat::from_axis_angle(axis, angle + seed);
        let (colour, glow) = match rock.nature {
            Nature::Stone => (stone_colour(rock.id), 0.0),
            Nature::Ember => (Vec3::new(1.0, 0.35, 0.1), 0.5),
            Nature::Gold => (Vec3::new(1.0, 0.72, 0.2), 0.12),
        };
        let flash = f32::from(rock.flash) / 10.0;
        // Far ones grow out of nothing instead of popping up.
        let born = (rock.age as f32 / tenths(4) as f32).min(1.0);
        let grown = if rock.flash > 0 { 1.0 } else { born };
        self.solid(rock.id as usize % ROCK_SHAPES, over(at, 0.0), radius * grown, turn, colour, glow + flash);
        self.shade(at, radius * 1.2);
        let back = over(-rock.velocity.normalize_or_zero(), 0.0);
        match rock.nature {
            Nature::Stone => {}
            Nature::Ember => {
                let tail = over(at, 0.0) + back * 2.4;
                self.sprite(tail, 0.75, back * 2.6, Look::Glow, Vec3::new(0.9, 0.28, 0.05), 0.0);
                self.sprite(over(at, 0.0), 2.2, Vec3::ZERO, Look::Glow, Vec3::new(0.6, 0.18, 0.04), 0.0);
            }
            Nature::Gold => {
                self.sprite(over(at, 0.0), 2.4, Vec3::ZERO, Look::Glow, Vec3::new(0.35, 0.24, 0.05), 0.0);
            }
        }
    }

    fn gem(&mut self, at: Vec2, colour: Vec3, age_s: f32) {
        let place = over(at, 0.25 + 0.2 * (age_s * 4.0).sin());
        self.solid(GEM, place, 0.8, Quat::from_rotation_y(age_s * 3.0), colour, 0.25);
        self.sprite(place, 1.9, Vec3::ZERO, Look::Glow, colour * 0.5, 0.0);
        self.sprite(place, 1.15, Vec3::ZERO, Look::Ring, colour * 0.8, 0.0);
        self.shade(at, 0.9);
    }

    fn ship(&mut self, ship: &Ship, time_s: f32, ahead_s: f32) {
        let blink = ship.safe > 0 && ship.safe / 8 % 2 == 1;
        let at = ship.position + ship.velocity * ahead_s;
        let place = over(at, 0.0);
        let bank = (ship.velocity.x * -0.035).clamp(-0.7, 0.7);
        let pitch = (ship.velocity.y * 0.012).clamp(-0.2, 0.2);
        let turn = Quat::from_euler(EulerRot::YXZ, ship.velocity.x * 0.012, -pitch, bank);
        if !blink {
            self.solid(SHIP, place, 1.1, turn, Vec3::ONE, 0.06);
        }
        self.shade(at, 1.3);
        let flicker = 1.0 + 0.15 * (time_s * 70.0).sin();
        for side in [-0.22, 0.22] {
            let jet = place + turn * Vec3::new(side, 0.05, -1.25);
            let flame = Vec3::new(0.0, 0.0, -0.75 * flicker);
            self.sprite(jet + flame * 0.6, 0.22, flame, Look::Bolt, Vec3::new(0.2, 0.5, 1.0), 0.0);
        }
        self.sprite(
            place - Vec3::Z * 1.3,
            1.5 * flicker,
            Vec3::ZERO,
            Look::Glow,
            Vec3::new(0.05, 0.2, 0.55),
            0.0,
        );
        let sight = Vec3::new(0.0, 0.0, 14.0);
        self.sprite(place + sight + Vec3::Z * 1.5, 0.06, sight, Look::Glow, Vec3::new(0.1, 0.32, 0.4), 0.0);
        if ship.shield {
            let pulse = 0.75 + 0.25 * (time_s * 6.0).sin();
            self.sprite(place, 1.75, Vec3::ZERO, Look::Ring, Vec3::new(0.15, 0.6, 1.0) * pulse, 0.0);
            self.sprite(place, 1.9, Vec3::ZERO, Look::Glow, Vec3::new(0.02, 0.1, 0.2), 0.0);
        }
    }

    fn effects(&mut self, effects: &Effects) {
        for spark in &effects.sparks {
            let life = spark.left_s / spark.life_s;
            let along = spark.velocity * 0.03;
            self.sprite(spark.position, spark.size, along, Look::Bolt, spark.colour * life, 0.0);
        }
        for ring in &effects.rings {
            if ring.at.y < GONE_Y {
                continue;
            }
            let open = 1.0 - (1.0 - ring.progress).powi(3);
            let light = ring.colour * (1.0 - ring.progress) * 0.8;
            self.sprite(over(ring.at, 0.0), ring.reach * open, Vec3::ZERO, Look::FloorRing, light, 0.0);
            if ring.progress < 0.3 {
                let burst = ring.colour * (0.3 - ring.progress) * 2.4;
                let size = ring.reach.min(6.0) * 0.6;
                self.sprite(over(ring.at, 0.0), size, Vec3::ZERO, Look::Glow, burst, 0.0);
            }
        }
    }
}

fn stone_colour(id: u32) -> Vec3 {
    match id % 3 {
        0 => Vec3::new(0.60, 0.44, 0.88),
        1 => Vec3::new(0.88, 0.50, 0.42),
        _ => Vec3::new(0.40, 0.56, 0.88),
    }
}

/// A place of the arena at a height.
fn over(place: Vec2, height: f32) -> Vec3 {
    Vec3::new(place.x, height, place.y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meteor::sim::Controls;

    #[test]
    fn the_busiest_moment_stays_within_the_buffers() {
        let (mut sim, mut effects) = (Sim::new(3), Effects::new(1));
        let mut frame = Frame::new();
        let mut most = (0, 0);
        for _ in 0..60 * 120 {
            sim.advance(Controls::default());
            sim.happenings().collect::<Vec<_>>().iter().for_each(|h| effects.show(h));
            effects.advance();
            frame.compose(&sim, &mut effects, 0.004);
            let solids = frame.solids.iter().map(Vec::len).sum::<usize>();
            most = (most.0.max(solids), most.1.max(frame.sprites.len()));
        }
        assert!(most.0 > 5 && most.0 <= MAX_SOLIDS, "{most:?}");
        assert!(most.1 > 100 && most.1 <= MAX_SPRITES, "{most:?}");
    }
}
