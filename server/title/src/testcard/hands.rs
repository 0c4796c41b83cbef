//! What the player holds and points at, as the testcard shows it.

use nearframe_protocol::input::{InputEvent, MAX_PADS, PadState, TouchPhase};

/// Relative motion of this many px crosses the whole card.
const MOTION_PX: f32 = 1280.0;

/// Held keys, buttons and pads, and where the pointer is.
#[derive(Clone, Debug)]
pub(crate) struct Hands {
    pub(crate) keys: [bool; 256],
    pub(crate) buttons: [bool; 5],
    pub(crate) pads: [PadState; MAX_PADS],
    /// Pointer, 0..=1 over the picture.
    pub(crate) pointer: [f32; 2],
}

impl Default for Hands {
    fn default() -> Self {
        Self {
            keys: [false; 256],
            buttons: [false; 5],
            pads: [PadState::default(); MAX_PADS],
            pointer: [0.5; 2],
        }
    }
}

impl Hands {
    /// Applies an event; true when something was newly pressed.
    pub(crate) fn apply(&mut self, event: &InputEvent) -> bool {
        match *event {
            InputEvent::Key { key, down } => {
                let was = std::mem::replace(&mut self.keys[usize::from(key.0)], down);
                down && !was
            }
            InputEvent::Button { button, down } => {
                let Some(held) = self.buttons.get_mut(usize::from(button)) else { return false };
                down && !std::mem::replace(held, down)
            }
            InputEvent::Position { x, y } => {
                self.point_at(x, y);
                false
            }
            InputEvent::Motion { dx, dy } => {
                for (axis, delta) in self.pointer.iter_mut().zip([dx, dy]) {
                    *axis = (*axis + f32::from(delta) / 8.0 / MOTION_PX).clamp(0.0, 1.0);
                }
                false
            }
            InputEvent::Touch { phase, x, y, .. } => {
                self.point_at(x, y);
                phase == TouchPhase::Begin
            }
            InputEvent::Pad { pad, state } => {
                let Some(held) = self.pads.get_mut(usize::from(pad)) else { return false };
                let newly = state.buttons & !held.buttons != 0;
                *held = state;
                newly
            }
            InputEvent::PadGone { pad } => {
                if let Some(held) = self.pads.get_mut(usize::from(pad)) {
                    *held = PadState::default();
                }
                false
            }
            InputEvent::Wheel { .. } | InputEvent::Text(_) => false,
        }
    }

    fn point_at(&mut self, x: u16, y: u16) {
        self.pointer = [f32::from(x) / 65535.0, f32::from(y) / 65535.0];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::input::Key;

    #[test]
    fn only_what_is_newly_pressed_counts() {
        let mut hands = Hands::default();
        let key = |down| InputEvent::Key { key: Key(4), down };
        assert!(hands.apply(&key(true)));
        assert!(!hands.apply(&key(true)), "a repeat is no press");
        assert!(!hands.apply(&key(false)));
        let pad = |buttons| InputEvent::Pad { pad: 1, state: PadState { buttons, ..PadState::default() } };
        assert!(hands.apply(&pad(1)));
        assert!(!hands.apply(&pad(1)));
        assert!(hands.apply(&pad(3)));
        assert!(!hands.apply(&InputEvent::PadGone { pad: 1 }));
        assert!(hands.apply(&pad(1)));
    }

    #[test]
    fn rubbish_indices_are_ignored() {
        let mut hands = Hands::default();
        assert!(!hands.apply(&InputEvent::Button { button: 200, down: true }));
        assert!(!hands.apply(&InputEvent::Pad { pad: 9, state: PadState::default() }));
        assert!(!hands.apply(&InputEvent::PadGone { pad: 9 }));
    }
}
