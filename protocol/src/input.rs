//! Input, binary and versioned: what the page sends on the input channel (data channel 0,
//! unordered, no retransmission).
//!
//! Every packet repeats all events that the node has not acknowledged, and ends with the full state
//! of keys, buttons and pads, so that a lost packet costs nothing and no key stays down.
//!
//! Layout, little-endian: version u8 = 1 · seat u8 · flags u8 (bit 0: the page has focus) ·
//! event count u8 (≤ 64) · first serial u32 · sent_us u64 (the page's clock) · events · state.
//! Event *i* has serial `first + i`. Serials start at 1 and grow by one.
//!
//! Event: tag u8, age u16 (in 0.1 ms before `sent_us`, saturating), then
//! 1 key down / 2 key up: code u8 (see [`Key`]) ·
//! 3 pointer motion: dx i16, dy i16 (1/8 px of the title's picture, relative) ·
//! 4 pointer position: x u16, y u16 (0..=65535 over the picture) ·
//! 5 button down / 6 button up: u8 (0 left, 1 middle, 2 right, 3 back, 4 forward) ·
//! 7 wheel: dx i16, dy i16 (1/120 notch) ·
//! 8 touch: id u8, phase u8 (0 begin, 1 move, 2 end, 3 cancel), x u16, y u16 ·
//! 9 pad: pad u8 (0..4), then the pad's state · 10 pad gone: pad u8 ·
//! 11 text: length u8 (≤ 64), UTF-8.
//!
//! Pad state (16 bytes): buttons u32 (W3C standard mapping, bit = index) · left x, left y, right x,
//! right y i16 (−32767..=32767, right and down positive) · left, right trigger u16 (0..=65535).
//!
//! State: keys 32 bytes (bit *c* = code *c* is down) · buttons u8 · pad count u8 (≤ 4) · per pad:
//! pad u8, pad state.

use crate::session::Seat;
use crate::wire::{Reader, WireError};

/// The only version spoken by this release.
pub const INPUT_VERSION: u8 = 1;
/// No packet carries more events; a sender with more keeps the newest and moves `first_serial`.
pub const MAX_EVENTS: usize = 64;
/// Gamepads per seat.
pub const MAX_PADS: usize = 4;
/// Longest text of one event, in bytes.
pub const MAX_TEXT: usize = 64;

/// A physical key: the USB HID usage id (page 7) of the position that `KeyboardEvent.code` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u8);

/// `KeyboardEvent.code` → USB HID usage id (HID Usage Tables 1.5, page 0x07).
pub const KEY_CODES: &[(&str, u8)] = &[
    ("KeyA", 4),
    ("KeyB", 5),
    ("KeyC", 6),
    ("KeyD", 7),
    ("KeyE", 8),
    ("KeyF", 9),
    ("KeyG", 10),
    ("KeyH", 11),
    ("KeyI", 12),
    ("KeyJ", 13),
    ("KeyK", 14),
    ("KeyL", 15),
    ("KeyM", 16),
    ("KeyN", 17),
    ("KeyO", 18),
    ("KeyP", 19),
    ("KeyQ", 20),
    ("KeyR", 21),
    ("KeyS", 22),
    ("KeyT", 23),
    ("KeyU", 24),
    ("KeyV", 25),
    ("KeyW", 26),
    ("KeyX", 27),
    ("KeyY", 28),
    ("KeyZ", 29),
    ("Digit1", 30),
    ("Digit2", 31),
    ("Digit3", 32),
    ("Digit4", 33),
    ("Digit5", 34),
    ("Digit6", 35),
    ("Digit7", 36),
    ("Digit8", 37),
    ("Digit9", 38),
    ("Digit0", 39),
    ("Enter", 40),
    ("Escape", 41),
    ("Backspace", 42),
    ("Tab", 43),
    ("Space", 44),
    ("Minus", 45),
    ("Equal", 46),
    ("BracketLeft", 47),
    ("BracketRight", 48),
    ("Backslash", 49),
    ("Semicolon", 51),
    ("Quote", 52),
    ("Backquote", 53),
    ("Comma", 54),
    ("Period", 55),
    ("Slash", 56),
    ("CapsLock", 57),
    ("F1", 58),
    ("F2", 59),
    ("F3", 60),
    ("F4", 61),
    ("F5", 62),
    ("F6", 63),
    ("F7", 64),
    ("F8", 65),
    ("F9", 66),
    ("F10", 67),
    ("F11", 68),
    ("F12", 69),
    ("PrintScreen", 70),
    ("ScrollLock", 71),
    ("Pause", 72),
    ("Insert", 73),
    ("Home", 74),
    ("PageUp", 75),
    ("Delete", 76),
    ("End", 77),
    ("PageDown", 78),
    ("ArrowRight", 79),
    ("ArrowLeft", 80),
    ("ArrowDown", 81),
    ("ArrowUp", 82),
    ("NumLock", 83),
    ("NumpadDivide", 84),
    ("NumpadMultiply", 85),
    ("NumpadSubtract", 86),
    ("NumpadAdd", 87),
    ("NumpadEnter", 88),
    ("Numpad1", 89),
    ("Numpad2", 90),
    ("Numpad3", 91),
    ("Numpad4", 92),
    ("Numpad5", 93),
    ("Numpad6", 94),
    ("Numpad7", 95),
    ("Numpad8", 96),
    ("Numpad9", 97),
    ("Numpad0", 98),
    ("NumpadDecimal", 99),
    ("IntlBackslash", 100),
    ("ContextMenu", 101),
    ("NumpadEqual", 103),
    ("IntlRo", 135),
    ("KanaMode", 136),
    ("IntlYen", 137),
    ("Convert", 138),
    ("NonConvert", 139),
    ("ControlLeft", 224),
    ("ShiftLeft", 225),
    ("AltLeft", 226),
    ("MetaLeft", 227),
    ("ControlRight", 228),
    ("ShiftRight", 229),
    ("AltRight", 230),
    ("MetaRight", 231),
];

impl Key {
    /// The key at the position that `KeyboardEvent.code` names.
    pub fn from_code(code: &str) -> Option<Self> {
        KEY_CODES.iter().find(|(name, _)| *name == code).map(|&(_, id)| Self(id))
    }
    /// The `KeyboardEvent.code` of this position.
    pub fn code(self) -> Option<&'static str> {
        KEY_CODES.iter().find(|(_, id)| *id == self.0).map(|&(name, _)| name)
    }
}

/// State of one gamepad in the W3C standard mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PadState {
    /// Bit *i* is button *i* of the standard mapping.
    pub buttons: u32,
    /// Left stick x, left stick y, right stick x, right stick y; right and down are positive.
    pub axes: [i16; 4],
    /// Left and right trigger, 0..=65535.
    pub triggers: [u16; 2],
}

/// Phase of a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchPhase {
    /// A finger came down.
    Begin,
    /// It moved.
    Move,
    /// It was lifted.
    End,
    /// The browser took it away.
    Cancel,
}

/// One thing the player did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A physical key went down or up.
    Key {
        /// Which.
        key: Key,
        /// Down or up.
        down: bool,
    },
    /// Relative motion (pointer lock), in 1/8 px of the title's picture.
    Motion {
        /// Right is positive.
        dx: i16,
        /// Down is positive.
        dy: i16,
    },
    /// Absolute position, 0..=65535 over the picture.
    Position {
        /// From the left.
        x: u16,
        /// From the top.
        y: u16,
    },
    /// A mouse button: 0 left, 1 middle, 2 right, 3 back, 4 forward.
    Button {
        /// Which.
        button: u8,
        /// Down or up.
        down: bool,
    },
    /// Wheel, in 1/120 notch.
    Wheel {
        /// Right is positive.
        dx: i16,
        /// Down is positive.
        dy: i16,
    },
    /// A finger on the picture.
    Touch {
        /// Which finger.
        id: u8,
        /// What it did.
        phase: TouchPhase,
        /// 0..=65535 from the left.
        x: u16,
        /// 0..=65535 from the top.
        y: u16,
    },
    /// A gamepad's new state.
    Pad {
        /// Which of the seat's pads.
        pad: u8,
        /// All of it.
        state: PadState,
    },
    /// A gamepad was unplugged.
    PadGone {
        /// Which.
        pad: u8,
    },
    /// Text the player composed.
    Text(String),
}

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedEvent {
    /// Age when the packet was sent, in 0.1 ms, saturating.
    pub age: u16,
    /// What happened.
    pub event: InputEvent,
}

/// Everything that is held down right now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldState {
    /// Bit *c* of the 256 is set while the key with code *c* is down.
    pub keys: [u8; 32],
    /// Bit *b* is set while mouse button *b* is down.
    pub buttons: u8,
    /// Connected pads, by index, with their state.
    pub pads: Vec<(u8, PadState)>,
}

impl HeldState {
    /// Whether this key is down.
    pub fn is_down(&self, key: Key) -> bool {
        self.keys[usize::from(key.0) / 8] >> (key.0 % 8) & 1 == 1
    }
    /// Sets or clears a key.
    pub fn set_key(&mut self, key: Key, down: bool) {
        let bit = 1 << (key.0 % 8);
        let byte = &mut self.keys[usize::from(key.0) / 8];
        *byte = if down { *byte | bit } else { *byte & !bit };
    }
}

/// One packet of the input channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPacket {
    /// Whose hands.
    pub seat: Seat,
    /// Whether the page has focus; without it everything counts as released.
    pub focused: bool,
    /// Serial of the first event; of the next event to come when there is none.
    pub first_serial: u32,
    /// The page's clock when it was sent, in µs.
    pub sent_us: u64,
    /// All unacknowledged events, oldest first.
    pub events: Vec<TimedEvent>,
    /// What is held after the last event.
    pub held: HeldState,
}

impl InputPacket {
    /// Appends the byte form; events beyond [`MAX_EVENTS`] and pads beyond [`MAX_PADS`] must not exist.
    pub fn write(&self, out: &mut Vec<u8>) {
        assert!(
            self.events.len() <= MAX_EVENTS && self.held.pads.len() <= MAX_PADS,
            "input packet too large"
        );
        out.extend([INPUT_VERSION, self.seat.0, u8::from(self.focused), self.events.len() as u8]);
        out.extend(self.first_serial.to_le_bytes());
        out.extend(self.sent_us.to_le_bytes());
        for event in &self.events {
            write_event(event, out);
        }
        out.extend(self.held.keys);
        out.extend([self.held.buttons, self.held.pads.len() as u8]);
        for (pad, state) in &self.held.pads {
            out.push(*pad);
            write_pad(state, out);
        }
    }

    /// Reads one packet; every field is checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let version = r.u8()?;
        if version != INPUT_VERSION {
            return Err(WireError::Version(version));
        }
        let seat = Seat(r.u8()?);
        let focused = match r.u8()? {
            0 => false,
            1 => true,
            _ => return Err(WireError::Range("flags")),
        };
        let count = usize::from(r.u8()?);
        if count > MAX_EVENTS {
            return Err(WireError::Range("event count"));
        }
        let first_serial = r.u32()?;
        let sent_us = r.u64()?;
        let events = (0..count).map(|_| read_event(&mut r)).collect::<Result<_, _>>()?;
        let keys = r.array()?;
        let buttons = r.u8()?;
        let pad_count = usize::from(r.u8()?);
        if pad_count > MAX_PADS {
            return Err(WireError::Range("pad count"));
        }
        let pads =
            (0..pad_count).map(|_| Ok((pad_index(&mut r)?, read_pad(&mut r)?))).collect::<Result<_, _>>()?;
        r.end()?;
        Ok(Self { seat, focused, first_serial, sent_us, events, held: HeldState { keys, buttons, pads } })
    }
}

fn write_event(timed: &TimedEvent, out: &mut Vec<u8>) {
    let tag = match &timed.event {
        InputEvent::Key { down: true, .. } => 1,
        InputEvent::Key { down: false, .. } => 2,
        InputEvent::Motion { .. } => 3,
        InputEvent::Position { .. } => 4,
        InputEvent::Button { down: true, .. } => 5,
        InputEvent::Button { down: false, .. } => 6,
        InputEvent::Wheel { .. } => 7,
        InputEvent::Touch { .. } => 8,
        InputEvent::Pad { .. } => 9,
        InputEvent::PadGone { .. } => 10,
        InputEvent::Text(_) => 11,
    };
    out.push(tag);
    out.extend(timed.age.to_le_bytes());
    match &timed.event {
        InputEvent::Key { key, .. } => out.push(key.0),
        InputEvent::Motion { dx, dy } | InputEvent::Wheel { dx, dy } => {
            out.extend(dx.to_le_bytes());
            out.extend(dy.to_le_bytes());
        }
        InputEvent::Position { x, y } => {
            out.extend(x.to_le_bytes());
            out.extend(y.to_le_bytes());
        }
        InputEvent::Button { button, .. } => out.push(*button),
        InputEvent::Touch { id, phase, x, y } => {
            out.extend([*id, *phase as u8]);
            out.extend(x.to_le_bytes());
            out.extend(y.to_le_bytes());
        }
        InputEvent::Pad { pad, state } => {
            out.push(*pad);
            write_pad(state, out);
        }
        InputEvent::PadGone { pad } => out.push(*pad),
        InputEvent::Text(text) => {
            assert!(text.len() <= MAX_TEXT, "text event too long");
            out.push(text.len() as u8);
            out.extend(text.as_bytes());
        }
    }
}

fn read_event(r: &mut Reader<'_>) -> Result<TimedEvent, WireError> {
    let tag = r.u8()?;
    let age = r.u16()?;
    let event = match tag {
        1 | 2 => InputEvent::Key { key: Key(r.u8()?), down: tag == 1 },
        3 => InputEvent::Motion { dx: r.i16()?, dy: r.i16()? },
        4 => InputEvent::Position { x: r.u16()?, y: r.u16()? },
        5 | 6 => {
            let button = r.u8()?;
            if button > 4 {
                return Err(WireError::Range("button"));
            }
            InputEvent::Button { button, down: tag == 5 }
        }
        7 => InputEvent::Wheel { dx: r.i16()?, dy: r.i16()? },
        8 => {
            let id = r.u8()?;
            let phase = match r.u8()? {
                0 => TouchPhase::Begin,
                1 => TouchPhase::Move,
                2 => TouchPhase::End,
                3 => TouchPhase::Cancel,
                _ => return Err(WireError::Range("touch phase")),
            };
            InputEvent::Touch { id, phase, x: r.u16()?, y: r.u16()? }
        }
        9 => InputEvent::Pad { pad: pad_index(r)?, state: read_pad(r)? },
        10 => InputEvent::PadGone { pad: pad_index(r)? },
        11 => {
            let len = usize::from(r.u8()?);
            if len > MAX_TEXT {
                return Err(WireError::Range("text length"));
            }
            let text = std::str::from_utf8(r.bytes(len)?).map_err(|_| WireError::Range("text"))?;
            InputEvent::Text(text.to_owned())
        }
        _ => return Err(WireError::Range("event tag")),
    };
    Ok(TimedEvent { age, event })
}

fn pad_index(r: &mut Reader<'_>) -> Result<u8, WireError> {
    let pad = r.u8()?;
    if usize::from(pad) < MAX_PADS { Ok(pad) } else { Err(WireError::Range("pad")) }
}

fn write_pad(state: &PadState, out: &mut Vec<u8>) {
    out.extend(state.buttons.to_le_bytes());
    out.extend(state.axes.iter().flat_map(|axis| axis.to_le_bytes()));
    out.extend(state.triggers.iter().flat_map(|trigger| trigger.to_le_bytes()));
}

fn read_pad(r: &mut Reader<'_>) -> Result<PadState, WireError> {
    Ok(PadState {
        buttons: r.u32()?,
        axes: [r.i16()?, r.i16()?, r.i16()?, r.i16()?],
        triggers: [r.u16()?, r.u16()?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_whatever_parses_has_one_byte_form(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Ok(packet) = InputPacket::parse(&bytes) {
                let mut again = Vec::new();
                packet.write(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn key_codes_are_unique_both_ways() {
        for (i, (name, id)) in KEY_CODES.iter().enumerate() {
            assert!(KEY_CODES[..i].iter().all(|(n, d)| n != name && d != id), "{name}");
        }
    }
}
