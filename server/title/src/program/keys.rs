//! From USB HID usage ids to Linux's key codes (`linux/input-event-codes.h`).

use nearframe_protocol::input::Key;

/// `(first HID id, evdev codes of it and the ids that follow)`.
const RUNS: &[(u8, &[u16])] = &[
    // A … Z
    (
        4,
        &[
            30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50, 49, 24, 25, 16, 19, 31, 20, 22, 47, 17, 45,
            21, 44,
        ],
    ),
    // 1 … 9, 0
    (30, &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    // Enter, Escape, Backspace, Tab, Space, -, =, [, ], \, (non-US #), ;, ', `, comma, ., /, Caps Lock
    (40, &[28, 1, 14, 15, 57, 12, 13, 26, 27, 43, 43, 39, 40, 41, 51, 52, 53, 58]),
    // F1 … F12
    (58, &[59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 87, 88]),
    // Print Screen, Scroll Lock, Pause, Insert, Home, Page Up, Delete, End, Page Down, →, ←, ↓, ↑
    (70, &[99, 70, 119, 110, 102, 104, 111, 107, 109, 106, 105, 108, 103]),
    // Num Lock and the keypad: / * - + Enter 1 … 9 0 .
    (83, &[69, 98, 55, 74, 78, 96, 79, 80, 81, 75, 76, 77, 71, 72, 73, 82, 83]),
    // The key beside the left Shift, Menu, Power, keypad =
    (100, &[86, 127, 116, 117]),
    // F13 … F24
    (104, &[183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194]),
    // Ro, Katakana/Hiragana, Yen, Henkan, Muhenkan
    (135, &[89, 93, 124, 92, 94]),
    // Hangul, Hanja
    (144, &[122, 123]),
    // Left Control, Shift, Alt, Meta, right Control, Shift, Alt, Meta
    (224, &[29, 42, 56, 125, 97, 54, 100, 126]),
];

/// `BTN_LEFT`, `BTN_MIDDLE`, `BTN_RIGHT`, `BTN_SIDE`, `BTN_EXTRA`, as browsers number them.
const BUTTONS: [u16; 5] = [0x110, 0x112, 0x111, 0x113, 0x114];

/// Linux's code of a physical key; `None` for keys that keyboards of Linux do not have.
pub(super) fn evdev_key(key: Key) -> Option<u16> {
    RUNS.iter().find_map(|(first, codes)| codes.get(usize::from(key.0.checked_sub(*first)?)).copied())
}

/// Linux's code of a mouse button.
pub(super) fn evdev_button(button: u8) -> Option<u16> {
    BUTTONS.get(usize::from(button)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::input::KEY_CODES;

    #[test]
    fn every_key_that_a_page_can_name_has_a_code() {
        for (name, id) in KEY_CODES {
            assert!(evdev_key(Key(*id)).is_some(), "{name}");
        }
        assert_eq!(evdev_key(Key(0)), None);
        assert_eq!(evdev_key(Key(255)), None);
    }

    #[test]
    fn known_pairs() {
        let code =
            |name: &str| KEY_CODES.iter().find(|(n, _)| *n == name).and_then(|(_, id)| evdev_key(Key(*id)));
        for (name, evdev) in [
            ("KeyA", 30),
            ("KeyZ", 44),
            ("Digit0", 11),
            ("Enter", 28),
            ("Backquote", 41),
            ("CapsLock", 58),
            ("F12", 88),
            ("ArrowUp", 103),
            ("ArrowLeft", 105),
            ("NumpadEnter", 96),
            ("Numpad0", 82),
            ("NumpadDecimal", 83),
            ("IntlBackslash", 86),
            ("NumpadEqual", 117),
            ("ControlLeft", 29),
            ("MetaRight", 126),
            ("IntlRo", 89),
            ("ContextMenu", 127),
            ("Pause", 119),
        ] {
            assert_eq!(code(name), Some(evdev), "{name}");
        }
    }
}
