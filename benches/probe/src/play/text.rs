//! The mode for text from an input method.

use super::screen::Screen;
use super::{Flow, Play, say};
use crate::wayland::{Client, Happening};
use anyhow::Result;
use nearframe_probe::cells;
use nearframe_probe::mode::Mode;

/// Prints text, and shows how much came and its hash.
pub(super) struct TextPlay {
    screen: Screen,
    ready: bool,
    bytes: u32,
    hash: u32,
}

impl TextPlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        client.ask_for_text()?;
        let screen = Screen::open(client, Mode::Text)?;
        Ok(Self { screen, ready: false, bytes: 0, hash: fnv1a(FNV_OFFSET, &[]) })
    }
}

impl Play for TextPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                let (bytes, hash) = (self.bytes, self.hash);
                self.screen.show(client, u16::from(self.ready), |canvas| {
                    cells::paint_number(canvas, 2, bytes);
                    cells::paint_number(canvas, 3, hash);
                })?;
            }
            Happening::TextReady(ready) => self.ready = ready,
            Happening::Text(text) => {
                say(&format!("text {text}"))?;
                self.bytes = self.bytes.wrapping_add(text.len() as u32);
                self.hash = fnv1a(self.hash, text.as_bytes());
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }
}

pub(super) const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// FNV-1a, 32 bit, continued.
pub(super) fn fnv1a(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_and_goes_on_from_piece_to_piece() {
        assert_eq!(fnv1a(FNV_OFFSET, b""), 0x811c_9dc5);
        assert_eq!(fnv1a(FNV_OFFSET, b"foobar"), 0xbf9c_f968);
        assert_eq!(fnv1a(fnv1a(FNV_OFFSET, b"foo"), b"bar"), 0xbf9c_f968);
    }
}
