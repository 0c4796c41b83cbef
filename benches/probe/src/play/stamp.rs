//! The mode `stamp`: one picture for each frame callback, at once.

use super::{Flow, Play};
use crate::card::Card;
use crate::clock::now_us;
use crate::wayland::{Client, Happening, Place, WindowId};
use anyhow::Result;
use std::time::Instant;

pub(super) struct StampPlay {
    card: Card,
    window: WindowId,
}

impl StampPlay {
    pub(super) fn begin(client: &mut Client, moving: bool) -> Result<Self> {
        Ok(Self { card: Card::new(moving), window: client.open(Place::FullScreen)? })
    }
}

impl Play for StampPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(id) => {
                let (now_us, inputs) = (now_us(), client.inputs);
                if let Some(canvas) = client.canvas(id) {
                    self.card.draw(canvas, now_us, inputs);
                }
                client.show(id)?;
            }
            Happening::Key { code, down } => self.card.key(code, down),
            Happening::KeysLost => self.card.release_keys(),
            Happening::Button { code, down } => self.card.button(code, down),
            Happening::Touch { begins: true, .. } => self.card.touch(),
            Happening::Closed(id) if id == self.window => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }

    fn wake_at(&self) -> Option<Instant> {
        None
    }

    fn wake(&mut self, _: &mut Client) -> Result<Flow> {
        Ok(Flow::On)
    }
}
