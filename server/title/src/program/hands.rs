//! What players do, as the compositor and the pads take it.

use super::keys::{evdev_button, evdev_key};
use nearframe_compositor as compositor;
use nearframe_protocol::Seat;
use nearframe_protocol::input::{InputEvent, MAX_PADS, PadState, TouchPhase};

/// Relative motion travels in eighths of a pixel.
const MOTION_UNIT: f64 = 1.0 / 8.0;

/// A gamepad's new state, or `None` when it was unplugged.
pub(super) type PadChange = (u8, Option<PadState>);

/// Collects what is to be applied before the next frame.
pub(super) struct Hands {
    size: (f64, f64),
    /// Which player's which pad plays as the title's first, second, … pad: by order of appearance.
    pads: [Option<(Seat, u8)>; MAX_PADS],
    pub(super) inputs: Vec<compositor::Input>,
    pub(super) pad_changes: Vec<PadChange>,
}

impl Hands {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self {
            size: (f64::from(width), f64::from(height)),
            pads: [None; MAX_PADS],
            inputs: Vec::new(),
            pad_changes: Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, seat: Seat, event: &InputEvent) {
        let input = match event {
            InputEvent::Key { key, down } => {
                let Some(evdev) = evdev_key(*key) else { return };
                compositor::Input::Key { evdev, down: *down }
            }
            InputEvent::Button { button, down } => {
                let Some(evdev) = evdev_button(*button) else { return };
                compositor::Input::Button { evdev, down: *down }
            }
            InputEvent::Motion { dx, dy } => compositor::Input::Motion {
                dx: f64::from(*dx) * MOTION_UNIT,
                dy: f64::from(*dy) * MOTION_UNIT,
            },
            InputEvent::Position { x, y } => {
                let (x, y) = self.point(*x, *y);
                compositor::Input::Position { x, y }
            }
            InputEvent::Wheel { dx, dy } => compositor::Input::Wheel { dx: *dx, dy: *dy },
            InputEvent::Touch { id, phase, x, y } => {
                let (x, y) = self.point(*x, *y);
                compositor::Input::Touch { id: *id, phase: touch_phase(*phase), x, y }
            }
            InputEvent::Text(text) => compositor::Input::Text(text.clone()),
            InputEvent::Pad { pad, state } => return self.pad(seat, *pad, Some(*state)),
            InputEvent::PadGone { pad } => return self.pad(seat, *pad, None),
        };
        self.inputs.push(input);
    }

    /// Who holds the title's pad `slot`, to shake the right one.
    pub(super) fn holder(&self, slot: u8) -> Option<(Seat, u8)> {
        self.pads.get(usize::from(slot)).copied().flatten()
    }

    fn point(&self, x: u16, y: u16) -> (f64, f64) {
        let scale = |value: u16, pixels: f64| f64::from(value) / f64::from(u16::MAX) * (pixels - 1.0);
        (scale(x, self.size.0), scale(y, self.size.1))
    }

    /// A pad keeps its place while it is plugged in, so that player two does not become player one.
    fn pad(&mut self, seat: Seat, pad: u8, state: Option<PadState>) {
        let known = self.pads.iter().position(|holder| *holder == Some((seat, pad)));
        let free = || self.pads.iter().position(Option::is_none).filter(|_| state.is_some());
        let Some(slot) = known.or_else(free) else { return };
        self.pads[slot] = state.is_some().then_some((seat, pad));
        self.pad_changes.push((slot as u8, state));
    }
}

fn touch_phase(phase: TouchPhase) -> compositor::TouchPhase {
    match phase {
        TouchPhase::Begin => compositor::TouchPhase::Down,
        TouchPhase::Move => compositor::TouchPhase::Move,
        TouchPhase::End => compositor::TouchPhase::Up,
        TouchPhase::Cancel => compositor::TouchPhase::Cancel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed() -> PadState {
        PadState { buttons: 1, ..PadState::default() }
    }

    #[test]
    fn pads_of_several_players_keep_their_places() {
        let mut hands = Hands::new(64, 64);
        let plug = |hands: &mut Hands, seat, pad| {
            hands.apply(Seat(seat), &InputEvent::Pad { pad, state: pressed() });
            hands.pad_changes.pop().map(|(slot, _)| slot)
        };
        assert_eq!(plug(&mut hands, 0, 0), Some(0));
        assert_eq!(plug(&mut hands, 1, 0), Some(1));
        hands.apply(Seat(0), &InputEvent::PadGone { pad: 0 });
        assert_eq!(hands.pad_changes.pop(), Some((0, None)));
        assert_eq!(plug(&mut hands, 1, 0), Some(1));
        assert_eq!(hands.holder(1), Some((Seat(1), 0)));
        assert_eq!(
            (0..3).map(|pad| plug(&mut hands, 2, pad)).collect::<Vec<_>>(),
            [Some(0), Some(2), Some(3)]
        );
        assert_eq!(plug(&mut hands, 3, 0), None, "there is no fifth pad");
        hands.apply(Seat(3), &InputEvent::PadGone { pad: 3 });
        assert!(hands.pad_changes.is_empty(), "what was never there does not go");
    }

    #[test]
    fn positions_reach_the_last_pixel_and_not_beyond() {
        let mut hands = Hands::new(1280, 720);
        hands.apply(Seat(0), &InputEvent::Position { x: u16::MAX, y: 0 });
        let Some(compositor::Input::Position { x, y }) = hands.inputs.pop() else { panic!("no position") };
        assert_eq!((x, y), (1279.0, 0.0));
    }
}
