//! What goes over a node's socket (`SOCK_SEQPACKET`, native byte order: both ends are on one machine).
//!
//! To the title: one byte 1 when the connection is served, then one datagram for each `input_event`
//! (24 bytes) or `js_event` (8 bytes), so that a read of any size gets whole events. From the title:
//! `input_event`s as it wrote them, and [`Message`]s of the library, told apart by their length.
//!
//! The state file: 64 bytes for each pad: keys u32 (bit *i* = `KEYS[i]`), eight axes i32, zeros.

use crate::motor::Effect;
use crate::report::{AXES, Change, EV_FF, Report};
use nearframe_protocol::input::MAX_PADS;
use std::time::Duration;

/// Bytes of the state file.
pub(crate) const STATE_LEN: usize = MAX_PADS * PAD_STATE_LEN;
/// Bytes of one pad in it.
pub(crate) const PAD_STATE_LEN: usize = 64;
/// Sent when the connection is served.
pub(crate) const SERVED: [u8; 1] = [1];
/// `struct input_event` with 64-bit `timeval`.
pub(crate) const EVENT_LEN: usize = 24;
/// The longest datagram that is read: 64 events, as many as evdev takes at once.
pub(crate) const MAX_DATAGRAM: usize = 64 * EVENT_LEN;
const MESSAGE_LEN: usize = 20;

/// Something the title asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Upload(u16, Effect),
    Erase(u16),
    /// Timestamps count from boot rather than from 1970.
    Monotonic(bool),
}

const OP_UPLOAD: u16 = 1;
const OP_ERASE: u16 = 2;
const OP_CLOCK: u16 = 3;

impl Message {
    /// op u16 · id u16 · strong u16 · weak u16 · length u16 ms · delay u16 ms · zeros; `None` for
    /// anything else.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; MESSAGE_LEN] = bytes.try_into().ok()?;
        let at = |i: usize| u16::from_ne_bytes([bytes[2 * i], bytes[2 * i + 1]]);
        let ms = |i| Duration::from_millis(at(i).into());
        match at(0) {
            OP_UPLOAD => {
                Some(Self::Upload(at(1), Effect { strong: at(2), weak: at(3), length: ms(4), delay: ms(5) }))
            }
            OP_ERASE => Some(Self::Erase(at(1))),
            OP_CLOCK => Some(Self::Monotonic(at(1) != 0)),
            _ => None,
        }
    }
}

/// The force feedback commands, code and value, among the `input_event`s that the title wrote.
pub(crate) fn commands(bytes: &[u8]) -> impl Iterator<Item = (u16, i32)> {
    bytes.chunks_exact(EVENT_LEN).filter_map(|event| {
        let kind = u16::from_ne_bytes([event[16], event[17]]);
        let code = u16::from_ne_bytes([event[18], event[19]]);
        let value = i32::from_ne_bytes([event[20], event[21], event[22], event[23]]);
        (kind == EV_FF).then_some((code, value))
    })
}

/// A `struct input_event`; `time` is seconds and microseconds.
pub(crate) fn input_event(time: (i64, i64), (kind, code, value): (u16, u16, i32)) -> [u8; EVENT_LEN] {
    let mut event = [0; EVENT_LEN];
    event[..8].copy_from_slice(&time.0.to_ne_bytes());
    event[8..16].copy_from_slice(&time.1.to_ne_bytes());
    event[16..18].copy_from_slice(&kind.to_ne_bytes());
    event[18..20].copy_from_slice(&code.to_ne_bytes());
    event[20..].copy_from_slice(&value.to_ne_bytes());
    event
}

/// A `struct js_event`; `init` marks those that tell where things stand.
pub(crate) fn js_event(time_ms: u32, change: Change, init: bool) -> [u8; 8] {
    const BUTTON: u8 = 1;
    const AXIS: u8 = 2;
    const INIT: u8 = 0x80;
    let (value, kind, number) = match change {
        Change::Key(i, down) => (i16::from(down), BUTTON, i),
        Change::Axis(i, value) => (joystick_value(i, value), AXIS, i),
    };
    let mut event = [0; 8];
    event[..4].copy_from_slice(&time_ms.to_ne_bytes());
    event[4..6].copy_from_slice(&value.to_ne_bytes());
    event[6] = kind | if init { INIT } else { 0 };
    event[7] = number as u8;
    event
}

/// joydev spreads every axis over −32767..=32767, with a dead zone around the middle
/// (`joydev_connect` and `joydev_correct` in `drivers/input/joydev.c`).
fn joystick_value(axis: usize, value: i32) -> i16 {
    let [min, max, flat, value] = [AXES[axis].min, AXES[axis].max, AXES[axis].flat, value].map(i64::from);
    let middle = (min + max) / 2;
    let slope = (1 << 29) / ((max - min) / 2 - 2 * flat);
    let beyond = match value {
        value if value <= middle - flat => value - (middle - flat),
        value if value < middle + flat => 0,
        value => value - (middle + flat),
    };
    ((slope * beyond) >> 14).clamp(-32767, 32767) as i16
}

/// A pad's part of the state file.
pub(crate) fn state(report: &Report) -> [u8; PAD_STATE_LEN] {
    let mut bytes = [0; PAD_STATE_LEN];
    bytes[..4].copy_from_slice(&u32::from(report.keys).to_ne_bytes());
    for (place, value) in bytes[4..].chunks_exact_mut(4).zip(report.axes) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joystick_axes_reach_both_ends_and_rest_where_the_device_rests() {
        assert_eq!([-32768, 0, 32767].map(|v| joystick_value(0, v)), [-32767, 0, 32767]);
        assert_eq!([0, 255].map(|v| joystick_value(2, v)), [-32767, 32767]);
        assert_eq!([-1, 0, 1].map(|v| joystick_value(6, v)), [-32767, 0, 32767]);
    }

    #[test]
    fn what_is_neither_message_nor_event_says_nothing() {
        for len in 0..100 {
            let bytes = vec![0xff; len];
            assert_eq!(Message::parse(&bytes), None, "{len}");
            assert_eq!(commands(&bytes).count(), 0, "{len}");
        }
    }
}
