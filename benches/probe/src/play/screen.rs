//! The game's window: a stamp and cells.

use crate::clock::now_us;
use crate::wayland::{Client, Manners, Place, WindowId};
use anyhow::Result;
use nearframe_probe::canvas::Canvas;
use nearframe_probe::cells;
use nearframe_probe::mode::Mode;
use nearframe_probe::stamp::Stamp;

/// A full-screen window that says its mode.
pub(super) struct Screen {
    pub(super) window: WindowId,
    mode: Mode,
    frame: u32,
}

impl Screen {
    /// Opens the window.
    pub(super) fn open(client: &mut Client, mode: Mode) -> Result<Self> {
        Ok(Self { window: client.open(Place::FullScreen)?, mode, frame: 0 })
    }

    /// Draws and shows a picture, and asks for the next turn.
    pub(super) fn show(
        &mut self,
        client: &mut Client,
        phase: u16,
        paint: impl FnOnce(&mut Canvas),
    ) -> Result<()> {
        self.draw(client, phase, paint);
        client.show(self.window)
    }

    /// Draws and shows a picture without asking for a turn.
    pub(super) fn show_unasked(&mut self, client: &mut Client, manners: Manners) -> Result<()> {
        self.draw(client, 0, |_| ());
        client.show_unasked(self.window, manners)
    }

    fn draw(&mut self, client: &mut Client, phase: u16, paint: impl FnOnce(&mut Canvas)) {
        let stamp = Stamp { now_us: now_us(), frame: self.frame, input_serial: client.inputs };
        let Some(canvas) = client.canvas(self.window) else { return };
        cells::paint_mode(canvas, self.mode, phase);
        paint(canvas);
        stamp.draw(canvas);
        self.frame = self.frame.wrapping_add(1);
    }
}
