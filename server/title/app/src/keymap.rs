//! Keyboard layouts by name, and keymaps made up for text that the player's layout cannot type.

use std::fmt::Write as _;

use crate::{KeyboardLayout, limits};

/// Key codes of xkb for typed text: those of rarely used multimedia keys, so that a game that reads
/// positions takes none for a key it knows, and within the 8 bits of X11.
const FIRST_KEYCODE: u32 = 203;
const KEYCODES: usize = 52;

/// The layout as wanted, or the American one when its names are none.
pub(crate) fn usable(layout: KeyboardLayout) -> KeyboardLayout {
    if layout.is_valid() {
        return layout;
    }
    tracing::warn!(?layout, "not the name of a keyboard layout, taking us");
    KeyboardLayout::default()
}

/// A keymap with just the characters of a piece of text, and the keys to strike.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Typing {
    /// In the text format of xkb.
    pub(crate) keymap: String,
    /// xkb key codes, in order.
    pub(crate) strokes: Vec<u32>,
}

/// Splits text into pieces that one keymap each can type. Control characters other than line feed and
/// tab are left out.
pub(crate) fn typing(text: &str) -> Vec<Typing> {
    let mut pieces = Vec::new();
    let mut symbols: Vec<char> = Vec::new();
    let mut strokes = Vec::new();
    let typed = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    for c in typed.take(limits::TEXT_CHARS) {
        let known = symbols.iter().position(|symbol| *symbol == c);
        if known.is_none() && symbols.len() == KEYCODES {
            pieces.push(Typing { keymap: keymap(&symbols), strokes: std::mem::take(&mut strokes) });
            symbols.clear();
        }
        let index = known.unwrap_or_else(|| {
            symbols.push(c);
            symbols.len() - 1
        });
        strokes.push(FIRST_KEYCODE + index as u32);
    }
    if !strokes.is_empty() {
        pieces.push(Typing { keymap: keymap(&symbols), strokes });
    }
    pieces
}

fn keymap(symbols: &[char]) -> String {
    let mut codes = String::new();
    let mut keys = String::new();
    for (index, symbol) in symbols.iter().enumerate() {
        let code = FIRST_KEYCODE + index as u32;
        let _ = write!(codes, "<T{index}> = {code};");
        let _ = match symbol {
            '\n' => write!(keys, "key <T{index}> {{[Return]}};"),
            '\t' => write!(keys, "key <T{index}> {{[Tab]}};"),
            c => write!(keys, "key <T{index}> {{[U{:04X}]}};", u32::from(*c)),
        };
    }
    format!(
        "xkb_keymap {{ xkb_keycodes \"text\" {{ minimum = 8; maximum = 255; {codes} }}; \
         xkb_types \"text\" {{ include \"complete\" }}; \
         xkb_compatibility \"text\" {{ include \"complete\" }}; \
         xkb_symbols \"text\" {{ {keys} }}; }};"
    )
}

#[cfg(test)]
mod tests {
    use smithay::input::keyboard::xkb;

    use super::*;

    fn typed(piece: &Typing) -> String {
        let context = xkb::Context::new(xkb::CONTEXT_NO_FLAGS);
        let keymap = xkb::Keymap::new_from_string(
            &context,
            piece.keymap.clone(),
            xkb::KEYMAP_FORMAT_TEXT_V1,
            xkb::KEYMAP_COMPILE_NO_FLAGS,
        )
        .expect("the keymap compiles");
        let state = xkb::State::new(&keymap);
        piece.strokes.iter().map(|code| state.key_get_utf8((*code).into())).collect()
    }

    #[test]
    fn any_text_can_be_typed() {
        let text = "Grüße, 世界! ñ ß \u{1F600}";
        assert_eq!(typing(text).iter().map(typed).collect::<String>(), text);
        assert_eq!(typed(&typing("a\tb\nc")[0]), "a\tb\rc");
    }

    #[test]
    fn long_text_is_split_where_the_keys_run_out() {
        let text: String = ('\u{4e00}'..'\u{4f00}').collect();
        let pieces = typing(&text);
        assert_eq!(pieces.len(), 256_usize.div_ceil(KEYCODES));
        assert_eq!(pieces.iter().map(typed).collect::<String>(), text);
        assert!(pieces.iter().flat_map(|piece| &piece.strokes).all(|code| (8..=255).contains(code)));
    }

    #[test]
    fn control_characters_and_endless_text_are_cut() {
        assert!(typing("\u{1b}\u{7}\0").is_empty());
        let strokes: usize = typing(&"a".repeat(100_000)).iter().map(|piece| piece.strokes.len()).sum();
        assert_eq!(strokes, limits::TEXT_CHARS);
    }
}
