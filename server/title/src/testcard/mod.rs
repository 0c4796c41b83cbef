//! A moving, detailed picture with a machine-readable stamp and a beep on input: what benches and
//! tests measure with. Drawn on the CPU, so that its cost is known everywhere.

mod hands;
mod hdr;
mod picture;
mod sound;

use crate::cue::{CueSender, cue_channel};
use crate::source::{AudioSource, Drawn, FrameTick, TitleFailure, TitleNotice, TitleSource, TitleStatus};
use crate::stamp::{self, Stamp};
use hands::Hands;
use hdr::Wide;
use nearframe_gpu::{CpuPicture, Hdr10Picture, Hdr10Pixels, Picture};
use nearframe_protocol::Seat;
use nearframe_protocol::input::InputEvent;
use nearframe_protocol::title::HighDynamicRange;
use picture::Painter;
use sound::{Beep, BeepSource};

/// Frames that the marker stays lit after a press.
const FLASH_FRAMES: u32 = 8;
/// Lowest card in px: room for the stamp and the boxes.
const MIN_HEIGHT: u32 = 128;

/// The testcard.
pub(crate) struct Testcard {
    painter: Painter,
    /// Where it draws in HDR10.
    wide: Option<Wide>,
    hands: Hands,
    /// Frames moved so far; stands still while paused.
    step: u32,
    flash: u32,
    paused: bool,
    beeps: CueSender<Beep>,
    audio: Option<BeepSource>,
}

impl Testcard {
    /// A card of `width × height` px.
    ///
    /// # Errors
    /// A picture too small for the stamp.
    pub(crate) fn new(
        width: u32,
        height: u32,
        seed: u64,
        hdr: Option<HighDynamicRange>,
    ) -> Result<Self, TitleFailure> {
        if width < stamp::MIN_WIDTH || height < MIN_HEIGHT {
            return Err(TitleFailure(format!(
                "the testcard needs at least {} × {MIN_HEIGHT} px",
                stamp::MIN_WIDTH
            )));
        }
        let (beeps, receiver) = cue_channel();
        Ok(Self {
            painter: Painter::new(width, height, seed),
            wide: hdr.map(|hdr| Wide::new(width, height, hdr.peak_nits)),
            hands: Hands::default(),
            step: 0,
            flash: 0,
            paused: false,
            beeps,
            audio: Some(BeepSource::new(receiver)),
        })
    }
}

impl TitleSource for Testcard {
    fn size(&self) -> (u32, u32) {
        self.painter.size()
    }

    fn apply(&mut self, _: Seat, event: &InputEvent) {
        if self.hands.apply(event) {
            self.flash = FLASH_FRAMES;
            self.beeps.send(Beep);
        }
    }

    fn draw(&mut self, tick: FrameTick) -> Result<Drawn<'_>, TitleFailure> {
        self.painter.bands(self.step);
        self.painter.boxes(self.step);
        self.painter.zone_plate(self.step);
        self.painter.hands(&self.hands, self.flash > 0);
        let (width, height) = self.painter.size();
        let stride = width as usize * 4;
        let stamp = Stamp { now_us: tick.now_us, frame: tick.frame, input_serial: tick.input_serial };
        stamp.draw(self.painter.pixels_mut(), width, stride);
        self.flash = self.flash.saturating_sub(1);
        self.step = self.step.wrapping_add(u32::from(!self.paused));
        let data = &*self.painter.pixels_mut();
        let picture = |data| CpuPicture { width, height, stride: width * 4, data };
        let Some(wide) = &mut self.wide else { return Ok(Picture::Cpu(picture(data)).into()) };
        let peak_nits = wide.peak_nits();
        let pixels = Hdr10Pixels::Cpu(picture(wide.show(data)));
        Ok(Picture::Hdr10(Hdr10Picture { pixels, peak_nits }).into())
    }

    fn status(&self) -> TitleStatus {
        TitleStatus::Running
    }

    fn take_notice(&mut self) -> Option<TitleNotice> {
        None
    }

    fn audio(&mut self) -> Box<dyn AudioSource> {
        let silent = || BeepSource::new(cue_channel().1);
        Box::new(self.audio.take().unwrap_or_else(silent))
    }

    fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::input::Key;

    fn tick(frame: u32, input_serial: u32) -> FrameTick {
        FrameTick { frame, now_us: u64::from(frame) * 16_667, input_serial }
    }

    fn pixels(card: &mut Testcard, tick: FrameTick) -> Vec<u8> {
        match card.draw(tick).unwrap().picture {
            Picture::Cpu(picture) => picture.data.to_vec(),
            other => panic!("the testcard draws on the CPU, in standard range: {other:?}"),
        }
    }

    #[test]
    fn every_frame_carries_its_stamp_and_moves() {
        let mut card = Testcard::new(640, 360, 3, None).unwrap();
        let mut before = Vec::new();
        for frame in 0..5 {
            let now = pixels(&mut card, tick(frame, 9));
            let read = stamp::read(640, 360, |x, y| now[(y * 640 + x) as usize * 4 + 1]).unwrap();
            assert_eq!(read, Stamp { now_us: u64::from(frame) * 16_667, frame, input_serial: 9 });
            let moved = now.iter().zip(&before).filter(|(a, b)| a != b).count();
            assert!(before.is_empty() || moved > now.len() / 4, "only {moved} bytes moved");
            before = now;
        }
    }

    #[test]
    fn a_press_flashes_and_beeps_and_a_release_does_not() {
        let mut card = Testcard::new(640, 360, 3, None).unwrap();
        let mut audio = card.audio();
        let mut samples = [0.0; 960];
        let mut loudness = |audio: &mut dyn AudioSource| {
            audio.fill(&mut samples);
            samples.iter().map(|s| s.abs()).fold(0.0, f32::max)
        };
        assert_eq!(loudness(&mut *audio), 0.0);
        let corner = |data: &[u8]| data[(320 * 640 + 600) * 4];
        let calm = corner(&pixels(&mut card, tick(0, 0)));
        card.apply(Seat(0), &InputEvent::Key { key: Key(44), down: true });
        assert!(corner(&pixels(&mut card, tick(1, 1))) > calm.saturating_add(80));
        assert!(loudness(&mut *audio) > 0.1);
        for _ in 0..20 {
            loudness(&mut *audio);
            pixels(&mut card, tick(2, 1));
        }
        card.apply(Seat(0), &InputEvent::Key { key: Key(44), down: false });
        assert_eq!(corner(&pixels(&mut card, tick(3, 2))), calm);
        assert_eq!(loudness(&mut *audio), 0.0);
    }

    #[test]
    fn a_paused_card_stands_still_below_its_stamp() {
        let mut card = Testcard::new(640, 360, 3, None).unwrap();
        card.set_paused(true);
        let below = 640 * 4 * 60;
        assert_eq!(pixels(&mut card, tick(0, 0))[below..], pixels(&mut card, tick(1, 0))[below..]);
    }

    #[test]
    fn the_pointer_moves_the_cross_to_every_corner() {
        let mut card = Testcard::new(640, 360, 3, None).unwrap();
        let still = pixels(&mut card, tick(0, 0));
        card.set_paused(true);
        for (x, y) in [(0, 0), (65535, 0), (0, 65535), (65535, 65535), (30000, 30000)] {
            card.apply(Seat(0), &InputEvent::Position { x, y });
            assert_ne!(pixels(&mut card, tick(0, 0)), still);
        }
    }

    #[test]
    fn too_small_a_card_is_refused() {
        assert!(Testcard::new(128, 128, 0, None).is_err());
    }
}
