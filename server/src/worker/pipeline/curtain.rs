//! The first frames of a session: they answer its challenge, and the title is shown after them.
//!
//! The title runs and is drawn behind them, so that it loses no time. Whoever has the session's nonce and the player's
//! input can draw them; `nearframe_protocol::check::challenge` says what they prove and what they do not.

use super::Shared;
use nearframe_gpu::{CpuPicture, Picture};
use nearframe_protocol::Seat;
use nearframe_protocol::check::challenge::{self, FRAMES, Heard, MOST_FRAMES};
use nearframe_protocol::input::InputEvent;
use nearframe_protocol::key::Nonce;
use nearframe_stream::Quality;
use nearframe_title::stamp;
use std::sync::atomic::Ordering;

/// Mid grey: next to nothing to encode.
const GREY: u8 = 128;

/// How much longer the title stays hidden.
#[derive(Debug)]
pub(super) struct Curtain {
    nonce: Nonce,
    /// Frames that are still to answer.
    left: u32,
    greeted: bool,
}

impl Curtain {
    pub(super) fn new(nonce: Nonce) -> Self {
        Self { nonce, left: MOST_FRAMES, greeted: false }
    }

    /// A page that does not cover these frames sees no more of them; of any other, the first greeting counts.
    pub(super) fn greeted(&mut self, covers: bool) {
        if !covers {
            self.left = 0;
        } else if !std::mem::replace(&mut self.greeted, true) {
            self.left = self.left.min(FRAMES);
        }
    }
}

/// What is shown in the title's place, and what it takes to draw it.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pointer: (u16, u16),
    pixels: Vec<u8>,
}

impl Sheet {
    /// Keeps where the first player points.
    pub(super) fn note(&mut self, seat: Seat, event: &InputEvent) {
        if let (Seat(0), InputEvent::Position { x, y }) = (seat, event) {
            self.pointer = (*x, *y);
        }
    }

    /// The picture to show in the title's place; none once that is to be seen.
    pub(super) fn covering(
        &mut self,
        shared: &Shared,
        quality: Quality,
        frame: u32,
        input_serial: u32,
    ) -> Option<Picture<'_>> {
        let Quality { width, height, .. } = quality;
        let nonce = shared.curtain().as_ref().filter(|curtain| curtain.left > 0).map(|it| it.nonce)?;
        if !stamp::has_room(width, height) {
            return None;
        }
        let stride = width as usize * 4;
        self.pixels.clear();
        self.pixels.resize(stride * height as usize, GREY);
        let heard = Heard { input_serial, frame, pointer: self.pointer };
        stamp::draw_bytes(&challenge::answer(&nonce, heard), &mut self.pixels, width, stride);
        Some(Picture::Cpu(CpuPicture { width, height, stride: width * 4, data: &self.pixels }))
    }
}

/// A frame is on its way to the encoder. True: it is the title's first.
pub(super) fn shown(shared: &Shared, is_title: bool) -> bool {
    let mut curtain = shared.curtain();
    let Some(hiding) = curtain.as_mut() else { return false };
    if !is_title {
        hiding.left = hiding.left.saturating_sub(1);
        return false;
    }
    *curtain = None;
    // Another picture altogether: nothing of the one before helps to encode it.
    shared.keyframe.store(true, Ordering::Release);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_shortens_the_wait_once_and_a_page_that_covers_nothing_ends_it() {
        let mut curtain = Curtain::new(Nonce::from_bytes([1; 32]));
        assert_eq!(curtain.left, MOST_FRAMES);
        curtain.greeted(true);
        assert_eq!(curtain.left, FRAMES);
        curtain.left = 2;
        curtain.greeted(true);
        assert_eq!(curtain.left, 2, "a repeated greeting changes nothing");
        curtain.greeted(false);
        assert_eq!(curtain.left, 0);
    }
}
