//! The mode for text that keys make, as toolkits do: by the keyboard's layout, with dead keys composed.

use super::screen::Screen;
use super::text::{FNV_OFFSET, fnv1a};
use super::{Flow, Play, say};
use crate::wayland::{Client, Happening};
use anyhow::{Context, Result};
use nearframe_probe::cells;
use nearframe_probe::mode::Mode;
use std::ffi::OsStr;
use xkbcommon::xkb;

/// Offset between Linux key codes and those of xkb.
const XKB_OFFSET: u32 = 8;
/// Its table of dead keys is there with every X11 library.
const LOCALE: &str = "en_US.UTF-8";

/// Prints text, and shows how much came and its hash.
pub(super) struct TypePlay {
    screen: Screen,
    context: xkb::Context,
    compose: xkb::compose::State,
    layout: Option<xkb::State>,
    bytes: u32,
    hash: u32,
}

impl TypePlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        let context = xkb::Context::new(xkb::CONTEXT_NO_FLAGS);
        let table = xkb::compose::Table::new_from_locale(
            &context,
            OsStr::new(LOCALE),
            xkb::compose::COMPILE_NO_FLAGS,
        );
        let table = table.ok().context("there is no table of dead keys; is libx11-data installed?")?;
        let compose = xkb::compose::State::new(&table, xkb::compose::STATE_NO_FLAGS);
        let screen = Screen::open(client, Mode::Type)?;
        Ok(Self { screen, context, compose, layout: None, bytes: 0, hash: fnv1a(FNV_OFFSET, &[]) })
    }

    /// What pressing a key writes; nothing for a dead one.
    fn written(&mut self, code: u32) -> String {
        let Some(layout) = &self.layout else { return String::new() };
        let key = xkb::Keycode::new(code + XKB_OFFSET);
        // Modifiers leave a sequence as it is.
        if self.compose.feed(layout.key_get_one_sym(key)) == xkb::compose::FeedResult::Ignored {
            return String::new();
        }
        let text = match self.compose.status() {
            xkb::compose::Status::Composing | xkb::compose::Status::Cancelled => String::new(),
            xkb::compose::Status::Composed => self.compose.utf8().unwrap_or_default(),
            xkb::compose::Status::Nothing => layout.key_get_utf8(key),
        };
        text.chars().filter(|c| !c.is_control()).collect()
    }
}

impl Play for TypePlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                let (bytes, hash) = (self.bytes, self.hash);
                self.screen.show(client, 0, |canvas| {
                    cells::paint_number(canvas, 2, bytes);
                    cells::paint_number(canvas, 3, hash);
                })?;
            }
            Happening::Keymap(text) => {
                let format = xkb::KEYMAP_FORMAT_TEXT_V1;
                let keymap =
                    xkb::Keymap::new_from_string(&self.context, text, format, xkb::KEYMAP_COMPILE_NO_FLAGS);
                self.layout = Some(xkb::State::new(&keymap.context("the layout cannot be compiled")?));
            }
            Happening::Modifiers([depressed, latched, locked, group]) => {
                if let Some(layout) = &mut self.layout {
                    layout.update_mask(depressed, latched, locked, 0, 0, group);
                }
            }
            Happening::Key { code, down: true } => {
                let text = self.written(code);
                say(&format!("typed {text}"))?;
                self.bytes = self.bytes.wrapping_add(text.len() as u32);
                self.hash = fnv1a(self.hash, text.as_bytes());
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }
}
