//! What an Xbox 360 pad reports through the kernel's `xpad` driver (`drivers/input/joystick/xpad.c`).

use nearframe_protocol::input::PadState;

/// As `xpad` names the wired pad.
pub(crate) const NAME: &str = "Microsoft X-Box 360 pad";
/// USB, Microsoft, Xbox 360 controller, revision 1.10.
pub(crate) const ID: [u16; 4] = [0x03, 0x045e, 0x028e, 0x0110];

/// `EV_SYN`.
pub(crate) const EV_SYN: u16 = 0;
/// `EV_KEY`.
pub(crate) const EV_KEY: u16 = 1;
/// `EV_ABS`.
pub(crate) const EV_ABS: u16 = 3;
/// `EV_FF`.
pub(crate) const EV_FF: u16 = 0x15;
/// `SYN_DROPPED`.
pub(crate) const SYN_DROPPED: u16 = 3;

/// Key codes in ascending order, as joydev numbers them, each with its index in the W3C mapping: A, B, X,
/// Y, left and right bumper, back, start, guide, left and right stick.
pub(crate) const KEYS: [(u16, u8); 11] = [
    (0x130, 0),
    (0x131, 1),
    (0x133, 2),
    (0x134, 3),
    (0x136, 4),
    (0x137, 5),
    (0x13a, 8),
    (0x13b, 9),
    (0x13c, 16),
    (0x13d, 10),
    (0x13e, 11),
];

/// One absolute axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) code: u16,
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) fuzz: i32,
    pub(crate) flat: i32,
}

const fn stick(code: u16) -> Axis {
    Axis { code, min: -32768, max: 32767, fuzz: 16, flat: 128 }
}
const fn trigger(code: u16) -> Axis {
    Axis { code, min: 0, max: 255, fuzz: 0, flat: 0 }
}
const fn hat(code: u16) -> Axis {
    Axis { code, min: -1, max: 1, fuzz: 0, flat: 0 }
}

/// Axes in ascending order: left x and y, left trigger, right x and y, right trigger, hat x and y.
pub(crate) const AXES: [Axis; 8] =
    [stick(0), stick(1), trigger(2), stick(3), stick(4), trigger(5), hat(0x10), hat(0x11)];

/// Bits of the standard mapping that are not keys here.
const LEFT_TRIGGER: u32 = 6;
const RIGHT_TRIGGER: u32 = 7;
const UP: u32 = 12;
const DOWN: u32 = 13;
const LEFT: u32 = 14;
const RIGHT: u32 = 15;

/// All keys and axes of a pad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Bit *i* is set while `KEYS[i]` is down.
    pub(crate) keys: u16,
    /// `axes[i]` belongs to `AXES[i]`.
    pub(crate) axes: [i32; 8],
}

/// A key or an axis and its new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Index into [`KEYS`], down or up.
    Key(usize, bool),
    /// Index into [`AXES`], value.
    Axis(usize, i32),
}

impl Report {
    /// The pad's view of a state in the standard mapping.
    pub(crate) fn from_state(state: &PadState) -> Self {
        let down = |bit: u32| state.buttons >> bit & 1 == 1;
        let mut keys = 0;
        for (i, &(_, button)) in KEYS.iter().enumerate() {
            keys |= u16::from(down(button.into())) << i;
        }
        let pull = |analog: u16, bit| match analog {
            0 if down(bit) => 255,
            analog => i32::from(analog >> 8),
        };
        let [lx, ly, rx, ry] = state.axes.map(i32::from);
        let [left, right] = state.triggers;
        let hat = |less, more| i32::from(down(more)) - i32::from(down(less));
        let axes = [
            lx,
            ly,
            pull(left, LEFT_TRIGGER),
            rx,
            ry,
            pull(right, RIGHT_TRIGGER),
            hat(LEFT, RIGHT),
            hat(UP, DOWN),
        ];
        Self { keys, axes }
    }

    /// What became different since `before`.
    pub(crate) fn changes_since(&self, before: &Self) -> impl Iterator<Item = Change> {
        let before = *before;
        self.everything().filter(move |change| match *change {
            Change::Key(i, down) => (before.keys >> i & 1 == 1) != down,
            Change::Axis(i, value) => before.axes[i] != value,
        })
    }

    /// Every key and axis.
    pub(crate) fn everything(&self) -> impl Iterator<Item = Change> {
        let now = *self;
        let keys = (0..KEYS.len()).map(move |i| Change::Key(i, now.keys >> i & 1 == 1));
        keys.chain((0..AXES.len()).map(move |i| Change::Axis(i, now.axes[i])))
    }
}

impl Change {
    /// Type, code and value of an `input_event`.
    pub(crate) fn event(self) -> (u16, u16, i32) {
        match self {
            Self::Key(i, down) => (EV_KEY, KEYS[i].0, i32::from(down)),
            Self::Axis(i, value) => (EV_ABS, AXES[i].code, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_button_of_the_standard_mapping_moves_exactly_one_thing() {
        for bit in 0..17 {
            let report = Report::from_state(&PadState { buttons: 1 << bit, ..PadState::default() });
            assert_eq!(report.changes_since(&Report::default()).count(), 1, "button {bit}");
        }
    }

    #[test]
    fn a_digital_trigger_counts_as_fully_pulled_and_an_analog_one_as_far_as_it_is() {
        let digital = PadState { buttons: 1 << 6, ..PadState::default() };
        assert_eq!(Report::from_state(&digital).axes[2], 255);
        let half = PadState { buttons: 1 << 6, triggers: [0x8000, 0xffff], ..PadState::default() };
        assert_eq!(Report::from_state(&half).axes[2], 128);
        assert_eq!(Report::from_state(&half).axes[5], 255);
    }

    #[test]
    fn sticks_and_hat_point_where_the_player_points() {
        let state = PadState { buttons: 1 << 12 | 1 << 15, axes: [1, -2, 3, -4], triggers: [0; 2] };
        assert_eq!(Report::from_state(&state).axes, [1, -2, 0, 3, -4, 0, 1, -1]);
    }
}
