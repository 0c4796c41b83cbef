//! Keys and buttons by the numbers that pages use.

/// evdev code of each USB HID usage of the keyboard page, up to the last that `KeyboardEvent.code` names
/// below the modifiers; 0 where there is none. After `hid_keyboard` in Linux 6.1, `drivers/hid/hid-input.c`.
const EVDEV_BY_USAGE: [u8; 0x94] = [
    0, 0, 0, 0, 30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, //
    50, 49, 24, 25, 16, 19, 31, 20, 22, 47, 17, 45, 21, 44, 2, 3, //
    4, 5, 6, 7, 8, 9, 10, 11, 28, 1, 14, 15, 57, 12, 13, 26, //
    27, 43, 0, 39, 40, 41, 51, 52, 53, 58, 59, 60, 61, 62, 63, 64, //
    65, 66, 67, 68, 87, 88, 99, 70, 119, 110, 102, 104, 111, 107, 109, 106, //
    105, 108, 103, 69, 98, 55, 74, 78, 96, 79, 80, 81, 75, 76, 77, 71, //
    72, 73, 82, 83, 86, 127, 116, 117, 183, 184, 185, 186, 187, 188, 189, 190, //
    191, 192, 193, 194, 134, 138, 130, 132, 128, 129, 131, 137, 133, 135, 136, 113, //
    115, 114, 0, 0, 0, 121, 0, 89, 93, 124, 92, 94, 95, 0, 0, 0, //
    122, 123, 90, 91,
];
/// The modifiers, from usage 0xe0 on.
const EVDEV_OF_MODIFIERS: [u8; 8] = [29, 42, 56, 125, 97, 54, 100, 126];
const FIRST_MODIFIER: u8 = 0xe0;
/// Left, middle, right, back, forward.
const BUTTONS: [u32; 5] = [0x110, 0x112, 0x111, 0x113, 0x114];

/// `KEY_ENTER`.
pub(crate) const ENTER: u32 = 28;

/// The USB HID usage of a key.
pub(crate) fn usage(evdev: u32) -> Option<u8> {
    let evdev = u8::try_from(evdev).ok().filter(|code| *code != 0)?;
    let find = |table: &[u8]| table.iter().position(|code| *code == evdev).map(|i| i as u8);
    find(&EVDEV_BY_USAGE).or_else(|| find(&EVDEV_OF_MODIFIERS).map(|i| FIRST_MODIFIER + i))
}

/// The number of a pointer's button.
pub(crate) fn button(evdev: u32) -> Option<usize> {
    BUTTONS.iter().position(|code| *code == evdev)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_their_position() {
        // KEY_A, KEY_ENTER, KEY_SPACE, KEY_LEFTCTRL, KEY_RIGHTMETA, KEY_UP, KEY_RO, KEY_102ND
        let evdev = [30, ENTER, 57, 29, 126, 103, 89, 86];
        let usages = [4, 40, 44, 0xe0, 0xe7, 82, 0x87, 100];
        assert_eq!(evdev.map(usage), usages.map(Some));
        assert_eq!([0, 255, 300, 0x110].map(usage), [None; 4]);
        assert_eq!([0x110, 0x111, 0x112, 0x120].map(button), [Some(0), Some(2), Some(1), None]);
    }

    #[test]
    fn no_two_keys_share_a_code() {
        let mut codes: Vec<_> =
            EVDEV_BY_USAGE.iter().chain(&EVDEV_OF_MODIFIERS).filter(|c| **c != 0).collect();
        let all = codes.len();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }
}
