//! The testcard's stamp, lamps and marker. Without its moving picture they cost next to nothing to draw, so that
//! what is measured is the way to them; with it, they cost what the testcard does to encode and send. Places and
//! colours are those of `server/title/src/testcard/picture.rs`.

use crate::keys;
use nearframe_probe::canvas::{Canvas, Pixel, Rect};
use nearframe_probe::motion::Motion;
use nearframe_probe::stamp::Stamp;

/// Pictures that the marker stays lit after a press.
const FLASH_FRAMES: u32 = 8;
/// Lamps for a gamepad's buttons.
const PAD_LAMPS: usize = 16;
/// Decides the noise of the moving picture.
const SEED: u64 = 1;
/// Smallest side of a lamp in px.
const MIN_LAMP_PX: usize = 3;
const LIT: Pixel = [80, 255, 255, 255];
const DARK: Pixel = [70, 60, 60, 255];
const PANEL: Pixel = [24, 20, 20, 255];
const MARKER: Pixel = [40, 32, 32, 255];

/// The card and what it shows.
pub(crate) struct Card {
    keys: [bool; 256],
    buttons: [bool; 5],
    /// A gamepad's buttons, a bit each.
    pad: u32,
    /// Lamps that changed since they were drawn: number and state.
    changed: Vec<(usize, bool)>,
    flash: u32,
    frame: u32,
    /// Size that everything was drawn at.
    drawn: Option<(usize, usize)>,
    moving: bool,
    /// Made for the size that it is drawn at.
    motion: Option<Motion>,
}

impl Card {
    /// `moving`: with the testcard's moving picture.
    pub(crate) fn new(moving: bool) -> Self {
        Self {
            keys: [false; 256],
            buttons: [false; 5],
            pad: 0,
            changed: Vec::new(),
            flash: 0,
            frame: 0,
            drawn: None,
            moving,
            motion: None,
        }
    }

    /// A key by its evdev code.
    pub(crate) fn key(&mut self, code: u32, down: bool) {
        let Some(usage) = keys::usage(code).map(usize::from) else { return };
        let was = std::mem::replace(&mut self.keys[usage], down);
        self.set(usage, was, down);
    }

    /// A pointer's button by its evdev code.
    pub(crate) fn button(&mut self, code: u32, down: bool) {
        let Some(number) = keys::button(code) else { return };
        let was = std::mem::replace(&mut self.buttons[number], down);
        self.set(self.keys.len() + number, was, down);
    }

    /// A gamepad's buttons, a bit each, of which the first sixteen have lamps.
    pub(crate) fn pad(&mut self, buttons: u32) {
        let was = std::mem::replace(&mut self.pad, buttons);
        for bit in 0..PAD_LAMPS {
            let (was, down) = (was >> bit & 1 == 1, buttons >> bit & 1 == 1);
            self.set(self.keys.len() + self.buttons.len() + bit, was, down);
        }
    }

    /// A finger came down.
    pub(crate) fn touch(&mut self) {
        self.flash = FLASH_FRAMES;
    }

    /// The keyboard went elsewhere: nothing is held any more.
    pub(crate) fn release_keys(&mut self) {
        let held = self.keys.iter().enumerate().filter(|(_, down)| **down);
        self.changed.extend(held.map(|(usage, _)| (usage, false)));
        self.keys.fill(false);
    }

    /// The picture is a new one: everything is to be drawn again.
    pub(crate) fn redraw(&mut self) {
        self.drawn = None;
    }

    fn set(&mut self, lamp: usize, was: bool, down: bool) {
        if down && !was {
            self.flash = FLASH_FRAMES;
        }
        if down != was {
            self.changed.push((lamp, down));
        }
    }

    /// Draws what changed since the last picture, the stamp last.
    pub(crate) fn draw(&mut self, canvas: &mut Canvas, now_us: u64, input_serial: u32) {
        let size = (canvas.width(), canvas.height());
        if self.moving {
            self.draw_motion(canvas, size);
            self.draw_hands(canvas);
            self.changed.clear();
        } else {
            self.draw_changes(canvas, size);
        }
        self.flash = self.flash.saturating_sub(1);
        Stamp { now_us, frame: self.frame, input_serial }.draw(canvas);
        self.frame = self.frame.wrapping_add(1);
    }

    fn draw_motion(&mut self, canvas: &mut Canvas, size: (usize, usize)) {
        if self.motion.as_ref().is_none_or(|motion| motion.size() != size) {
            self.motion = Some(Motion::new(size.0, size.1, SEED));
        }
        if let Some(motion) = &self.motion {
            motion.draw(canvas, self.frame);
        }
    }

    fn draw_changes(&mut self, canvas: &mut Canvas, size: (usize, usize)) {
        if self.drawn != Some(size) {
            self.drawn = Some(size);
            canvas.fill(Rect { x: 0, y: 0, w: size.0, h: size.1 }, [64, 64, 64, 255]);
            self.draw_hands(canvas);
        }
        for (lamp, down) in std::mem::take(&mut self.changed) {
            canvas.fill(lamp_rect(size.1, lamp), if down { LIT } else { DARK });
        }
        if self.flash == FLASH_FRAMES {
            canvas.fill(marker_rect(size), [255; 4]);
        } else if self.flash == 1 {
            canvas.fill(marker_rect(size), MARKER);
        }
    }

    /// Panel, lamps and marker as they are now.
    fn draw_hands(&self, canvas: &mut Canvas) {
        let (width, height) = (canvas.width(), canvas.height());
        let step = lamp_px(height) + 1;
        canvas.fill(Rect { x: 0, y: height - 11 * step, w: 34 * step, h: 11 * step }, PANEL);
        let lamps = self.keys.iter().chain(&self.buttons);
        for (lamp, down) in lamps.enumerate() {
            canvas.fill(lamp_rect(height, lamp), if *down { LIT } else { DARK });
        }
        canvas.fill(marker_rect((width, height)), if self.flash > 1 { [255; 4] } else { MARKER });
    }
}

fn lamp_px(height: usize) -> usize {
    (height / 60).max(MIN_LAMP_PX)
}

/// 32 lamps in a row, eight rows of keys and then the buttons.
fn lamp_rect(height: usize, lamp: usize) -> Rect {
    let side = lamp_px(height);
    let step = side + 1;
    Rect { x: step + lamp % 32 * step, y: height - 10 * step + lamp / 32 * step, w: side, h: side }
}

fn marker_rect((width, height): (usize, usize)) -> Rect {
    let side = height / 8;
    Rect { x: width - side, y: height - side, w: side, h: side }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_probe::canvas::runs;

    fn lamp(canvas: &Canvas, lamp: usize) -> Pixel {
        let rect = lamp_rect(canvas.height(), lamp);
        canvas.at(rect.x + rect.w / 2, rect.y + rect.h / 2)
    }

    #[test]
    fn keys_and_buttons_light_their_lamps_until_released() {
        let (mut card, mut canvas) = (Card::new(false), Canvas::new(1280, 720));
        card.key(30, true);
        card.button(0x111, true);
        card.draw(&mut canvas, 1, 2);
        assert_eq!((lamp(&canvas, 4), lamp(&canvas, 258), lamp(&canvas, 5)), (LIT, LIT, DARK));
        card.key(30, false);
        card.draw(&mut canvas, 2, 3);
        assert_eq!((lamp(&canvas, 4), lamp(&canvas, 258)), (DARK, LIT));
        card.key(31, true);
        card.release_keys();
        card.draw(&mut canvas, 2, 3);
        assert_eq!(lamp(&canvas, 22), DARK);
    }

    #[test]
    fn a_press_flashes_for_eight_pictures_and_a_repeat_does_not() {
        let (mut card, mut canvas) = (Card::new(false), Canvas::new(640, 360));
        card.draw(&mut canvas, 0, 0);
        card.key(57, true);
        let mut lit = 0;
        for _ in 0..12 {
            card.key(57, true);
            card.draw(&mut canvas, 0, 0);
            lit += usize::from(canvas.at(630, 350) == [255; 4]);
        }
        assert_eq!(lit, 7, "the eighth picture clears it");
        assert_eq!(canvas.at(630, 350), MARKER);
    }

    #[test]
    fn a_moving_picture_is_new_all_over_and_shows_the_same_hands() {
        let (mut card, mut canvas) = (Card::new(true), Canvas::new(640, 360));
        card.draw(&mut canvas, 0, 0);
        canvas.take_touched();
        card.key(57, true);
        let mut lit = 0;
        for _ in 0..12 {
            let before = canvas.pixels().to_vec();
            card.draw(&mut canvas, 1, 1);
            assert_eq!(runs(&canvas.take_touched()), [(0, 360)]);
            let moved = canvas.pixels().iter().zip(&before).filter(|(a, b)| a != b).count();
            assert!(moved > before.len() / 4, "only {moved} bytes moved");
            lit += usize::from(canvas.at(630, 350) == [255; 4]);
        }
        assert_eq!((lit, lamp(&canvas, 44)), (7, LIT));
    }

    #[test]
    fn a_calm_picture_redraws_nothing_but_its_stamp() {
        let (mut card, mut canvas) = (Card::new(false), Canvas::new(1280, 720));
        card.draw(&mut canvas, 0, 0);
        canvas.take_touched();
        card.draw(&mut canvas, 1, 0);
        assert_eq!(runs(&canvas.take_touched()), [(0, 48)]);
        let mut wider = Canvas::new(1920, 1080);
        card.draw(&mut wider, 2, 0);
        assert_eq!(lamp(&wider, 0), DARK, "another size is drawn whole");
    }
}
