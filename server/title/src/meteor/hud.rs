//! Score, lives, banners and menus as letters and bars.

use super::draw::{Frame, Glyph, MAX_GLYPHS};
use super::effects::{Effects, Note, NoteText, gift_colour};
use super::entities::{Gift, tenths};
use super::font::{ADVANCE, CELL_RATIO, CELL_TALL, SHIP_GLYPH, cell, line_width};
use super::sim::{Mode, Sim};
use glam::{Mat4, Vec2, Vec3};
use std::fmt::Write;

/// Height of the picture in units of the layout.
pub(crate) const LAYOUT_H: f32 = 720.0;
const EDGE: f32 = 28.0;

const WHITE: Vec3 = Vec3::new(0.95, 0.97, 1.0);
const DIM: Vec3 = Vec3::new(0.55, 0.62, 0.85);
const CYAN: Vec3 = Vec3::new(0.35, 0.9, 1.0);
const ICE: Vec3 = Vec3::new(0.78, 0.97, 1.0);
const PINK: Vec3 = Vec3::new(1.0, 0.36, 0.62);
const AMBER: Vec3 = Vec3::new(1.0, 0.78, 0.3);

/// Where a line stands relative to its point.
#[derive(Clone, Copy)]
enum Align {
    Left,
    Middle,
    Right,
}

/// Writes letters into a frame.
pub(crate) struct Hud {
    width: f32,
    line: String,
}

impl Hud {
    pub(crate) fn new(aspect: f32) -> Self {
        Self { width: LAYOUT_H * aspect, line: String::with_capacity(32) }
    }

    /// Writes everything that belongs over this moment.
    pub(crate) fn compose(
        &mut self,
        frame: &mut Frame,
        sim: &Sim,
        effects: &Effects,
        projection: &Mat4,
        paused: bool,
    ) {
        if effects.flash > 0.0 {
            bar(frame, [0.0, 0.0, self.width, LAYOUT_H], WHITE, effects.flash * 0.35);
        }
        for note in &effects.notes {
            self.note(frame, note, projection);
        }
        match sim.mode {
            Mode::Demo => self.title(frame, sim),
            Mode::Play => {
                self.score(frame, sim);
                if sim.wave.is_resting() && sim.lives > 0 {
                    self.banner(frame, sim.wave.number);
                }
            }
            Mode::Over(steps) => {
                self.score(frame, sim);
                self.over(frame, sim, steps);
            }
        }
        if paused {
            bar(frame, [0.0, 0.0, self.width, LAYOUT_H], Vec3::new(0.02, 0.01, 0.06), 0.55);
            self.write(frame, "PAUSED", Vec2::new(self.width / 2.0, 310.0), 64.0, WHITE, Align::Middle);
        }
    }

    fn write(&self, frame: &mut Frame, text: &str, at: Vec2, height: f32, colour: Vec3, align: Align) {
        self.write_faded(frame, text, at, height, colour.extend(1.0).to_array(), align);
    }

    fn write_faded(
        &self,
        frame: &mut Frame,
        text: &str,
        at: Vec2,
        height: f32,
        colour: [f32; 4],
        align: Align,
    ) {
        let line = line_width(text) * height - (ADVANCE - 4.0 / 6.0) * height;
        let left = match align {
            Align::Left => at.x,
            Align::Middle => at.x - line / 2.0,
            Align::Right => at.x - line,
        };
        let (w, h) = (CELL_RATIO * height, CELL_TALL * height);
        // A cell has a margin around its letter, so that the glow has room.
        let (inset_x, inset_y) = ((w - height * 4.0 / 6.0) / 2.0, (h - height) / 2.0);
        for (i, character) in text.chars().enumerate() {
            let Some(cell) = cell(character) else { continue };
            let x = left + i as f32 * ADVANCE * height - inset_x;
            push(frame, Glyph { rect: [x, at.y - inset_y, w, h], cell, colour });
        }
    }

    fn number(&mut self, frame: &mut Frame, number: u32, at: Vec2, height: f32, colour: Vec3, align: Align) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        // Writing into a String cannot fail.
        let _ = write!(line, "{number:06}");
        self.write(frame, &line, at, height, colour, align);
        self.line = line;
    }

    fn score(&mut self, frame: &mut Frame, sim: &Sim) {
        let right = self.width - EDGE;
        self.write(frame, "SCORE", Vec2::new(EDGE, EDGE), 13.0, DIM, Align::Left);
        self.number(frame, sim.score, Vec2::new(EDGE, EDGE + 24.0), 30.0, WHITE, Align::Left);
        self.write(frame, "BEST", Vec2::new(right, EDGE), 13.0, DIM, Align::Right);
        self.number(frame, sim.best, Vec2::new(right, EDGE + 24.0), 30.0, AMBER, Align::Right);
        for life in 0..sim.lives {
            let at = Vec2::new(EDGE + f32::from(life) * 30.0, LAYOUT_H - EDGE - 24.0);
            self.write(frame, SHIP_GLYPH.encode_utf8(&mut [0; 4]), at, 24.0, CYAN, Align::Left);
        }
        let multiplier = sim.multiplier();
        if sim.chain > 1 {
            let mut line = std::mem::take(&mut self.line);
            line.clear();
            let _ = write!(line, "x{multiplier}");
            self.write(frame, &line, Vec2::new(EDGE, EDGE + 74.0), 26.0, PINK, Align::Left);
            self.line = line;
            bar(frame, [EDGE + 64.0, EDGE + 84.0, 120.0, 6.0], DIM, 0.3);
            bar(frame, [EDGE + 64.0, EDGE + 84.0, 120.0 * sim.chain_share(), 6.0], PINK, 0.9);
        }
        self.weapons(frame, sim);
    }

    fn weapons(&self, frame: &mut Frame, sim: &Sim) {
        let full = tenths(120) as f32;
        let shield = if sim.ship.shield { 1.0 } else { 0.0 };
        let rows = [
            ("SHIELD", Gift::Shield, shield),
            ("RAPID", Gift::Rapid, sim.ship.rapid as f32 / full),
            ("SPREAD", Gift::Spread, sim.ship.spread as f32 / full),
        ];
        let mut y = LAYOUT_H - EDGE - 14.0;
        for (name, gift, share) in rows.into_iter().filter(|(.., share)| *share > 0.0) {
            let colour = gift_colour(gift);
            self.write(frame, name, Vec2::new(self.width - EDGE - 140.0, y), 14.0, colour, Align::Right);
            bar(frame, [self.width - EDGE - 120.0, y + 3.0, 120.0, 8.0], DIM, 0.25);
            bar(frame, [self.width - EDGE - 120.0, y + 3.0, 120.0 * share, 8.0], colour, 0.9);
            y -= 28.0;
        }
    }

    fn banner(&mut self, frame: &mut Frame, wave: u32) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let _ = write!(line, "WAVE {wave}");
        self.write(frame, &line, Vec2::new(self.width / 2.0, 230.0), 54.0, CYAN, Align::Middle);
        self.line = line;
    }

    fn title(&mut self, frame: &mut Frame, sim: &Sim) {
        let middle = self.width / 2.0;
        self.write(frame, "METEOR", Vec2::new(middle, 116.0), 128.0, ICE, Align::Middle);
        if sim.step / u64::from(tenths(5)) % 3 != 2 {
            self.write(frame, "PRESS FIRE", Vec2::new(middle, 316.0), 38.0, WHITE, Align::Middle);
        }
        self.write(
            frame,
            "STEER AND SHOOT - BREAK GOLD FOR GEMS",
            Vec2::new(middle, 384.0),
            17.0,
            DIM,
            Align::Middle,
        );
        if sim.best > 0 {
            self.write(frame, "BEST", Vec2::new(middle - 20.0, 442.0), 20.0, DIM, Align::Right);
            self.number(frame, sim.best, Vec2::new(middle, 440.0), 24.0, AMBER, Align::Left);
        }
    }

    fn over(&mut self, frame: &mut Frame, sim: &Sim, steps: u32) {
        let middle = self.width / 2.0;
        let shade = (steps as f32 / tenths(8) as f32).min(1.0) * 0.5;
        bar(frame, [0.0, 190.0, self.width, 270.0], Vec3::new(0.02, 0.01, 0.06), shade);
        self.write(frame, "GAME OVER", Vec2::new(middle, 220.0), 76.0, PINK, Align::Middle);
        let record = sim.score == sim.best && sim.score > 0;
        let (label, colour) = if record { ("NEW BEST", AMBER) } else { ("SCORE", DIM) };
        self.write(frame, label, Vec2::new(middle - 20.0, 341.0), 24.0, colour, Align::Right);
        self.number(frame, sim.score, Vec2::new(middle + 4.0, 336.0), 34.0, WHITE, Align::Left);
        if steps > tenths(12) && steps / tenths(5) % 3 != 2 {
            self.write(
                frame,
                "PRESS FIRE TO FLY AGAIN",
                Vec2::new(middle, 410.0),
                26.0,
                WHITE,
                Align::Middle,
            );
        }
    }

    fn note(&mut self, frame: &mut Frame, note: &Note, projection: &Mat4) {
        let seen = projection.project_point3(Vec3::new(note.at.x, 1.0 + note.progress * 2.0, note.at.y));
        if seen.z > 1.0 {
            return;
        }
        let at = Vec2::new((seen.x + 1.0) / 2.0 * self.width, (1.0 - seen.y) / 2.0 * LAYOUT_H);
        let fade = 1.0 - note.progress * note.progress;
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let (colour, height) = match note.text {
            NoteText::Points(points) => {
                let _ = write!(line, "{points}");
                (if points >= 400 { AMBER } else { WHITE }, 15.0 + (points as f32 / 90.0).min(11.0))
            }
            NoteText::Gift(gift) => {
                line.push_str(match gift {
                    Gift::Shield => "SHIELD",
                    Gift::Rapid => "RAPID FIRE",
                    Gift::Spread => "SPREAD",
                    Gift::Nova => "NOVA!",
                });
                (gift_colour(gift), 26.0)
            }
            NoteText::Life => {
                line.push_str("EXTRA LIFE");
                (CYAN, 34.0)
            }
        };
        self.write_faded(frame, &line, at, height, colour.extend(fade).to_array(), Align::Middle);
        self.line = line;
    }
}

fn bar(frame: &mut Frame, rect: [f32; 4], colour: Vec3, opacity: f32) {
    push(frame, Glyph { rect, cell: [0.0; 4], colour: colour.extend(opacity).to_array() });
}

fn push(frame: &mut Frame, glyph: Glyph) {
    if frame.glyphs.len() < MAX_GLYPHS {
        frame.glyphs.push(glyph);
    }
}
