//! From input events to [`Controls`].

use super::entities::{FAR_Y, HALF_WIDTH, NEAR_Y};
use super::sim::Controls;
use super::view::{View, clip};
use glam::Vec2;
use nearframe_protocol::Seat;
use nearframe_protocol::input::{InputEvent, Key, PadState, TouchPhase};

/// Sticks rest anywhere within this of their middle.
const DEAD_ZONE: f32 = 0.18;
/// Trigger travel that counts as pressed.
const TRIGGER_ON: u16 = 16_384;
/// Arena units per px of relative mouse motion at a 1280 px wide picture.
const UNITS_PER_PX: f32 = 0.024;
/// A drag across the whole picture flies this many units: more than the arena, to spare the thumb.
const UNITS_PER_DRAG: f32 = 34.0;

/// Buttons of the W3C standard mapping.
const PAD_A: u32 = 1 << 0;
const PAD_RIGHT_TRIGGER: u32 = 1 << 7;
const PAD_BACK: u32 = 1 << 8;
const PAD_START: u32 = 1 << 9;
const PAD_UP: u32 = 1 << 12;
const PAD_DOWN: u32 = 1 << 13;
const PAD_LEFT: u32 = 1 << 14;
const PAD_RIGHT: u32 = 1 << 15;

/// Keys, by what they do.
const UP: [u8; 2] = [82, 26];
const DOWN: [u8; 2] = [81, 22];
const LEFT: [u8; 2] = [80, 4];
const RIGHT: [u8; 2] = [79, 7];
const SPACE: u8 = 44;
const ENTER: [u8; 2] = [40, 88];
const PAUSE: u8 = 19;

/// One finger that steers.
#[derive(Clone, Copy, Debug)]
struct Finger {
    id: u8,
    at: Vec2,
}

/// What all players hold, and what they have asked for since the last frame.
#[derive(Clone, Debug)]
pub(crate) struct Hands {
    view: View,
    keys: [bool; 256],
    mouse_down: bool,
    pad: PadState,
    /// Whose pad moved last: the one to shake.
    pad_owner: Option<(Seat, u8)>,
    finger: Option<Finger>,
    /// Where the pointer or the finger wants the ship; none once a key or stick steers.
    target: Option<Vec2>,
    start: bool,
    pause: bool,
}

impl Hands {
    pub(crate) fn new(view: View) -> Self {
        Self {
            view,
            keys: [false; 256],
            mouse_down: false,
            pad: PadState::default(),
            pad_owner: None,
            finger: None,
            target: None,
            start: false,
            pause: false,
        }
    }

    /// Applies one event; `ship` is where the ship is now.
    pub(crate) fn apply(&mut self, seat: Seat, event: &InputEvent, ship: Vec2) {
        match *event {
            InputEvent::Key { key, down } => self.key(key, down),
            InputEvent::Motion { dx, dy } => {
                let moved = Vec2::new(f32::from(dx), -f32::from(dy)) / 8.0 * UNITS_PER_PX;
                self.target = Some(in_arena(self.target.unwrap_or(ship) + moved));
            }
            InputEvent::Position { x, y } => {
                self.target = Some(in_arena(self.view.arena_at(clip(x, y), FAR_Y)));
            }
            InputEvent::Button { button: 0, down } => {
                self.start |= down && !self.mouse_down;
                self.mouse_down = down;
            }
            InputEvent::Touch { id, phase, x, y } => self.touch(id, phase, clip(x, y), ship),
            InputEvent::Pad { pad, state } => {
                let pressed = state.buttons & !self.pad.buttons;
                self.start |= pressed & (PAD_A | PAD_START) != 0;
                self.pause ^= pressed & PAD_BACK != 0;
                self.pad = state;
                self.pad_owner = Some((seat, pad));
                if self.steer() != Vec2::ZERO {
                    self.target = None;
                }
            }
            InputEvent::PadGone { pad } => {
                if self.pad_owner.is_some_and(|(_, owned)| owned == pad) {
                    self.pad = PadState::default();
                    self.pad_owner = None;
                }
            }
            InputEvent::Button { .. } | InputEvent::Wheel { .. } | InputEvent::Text(_) => {}
        }
    }

    /// The controls of the first step of a frame; `start` is asked for once.
    pub(crate) fn controls(&mut self) -> Controls {
        let fire = self.keys[usize::from(SPACE)]
            || self.mouse_down
            || self.finger.is_some()
            || self.pad.buttons & (PAD_A | PAD_RIGHT_TRIGGER) != 0
            || self.pad.triggers[1] > TRIGGER_ON;
        Controls { steer: self.steer(), target: self.target, fire, start: std::mem::take(&mut self.start) }
    }

    /// Whether pause was pressed since the last call.
    pub(crate) fn take_pause(&mut self) -> bool {
        std::mem::take(&mut self.pause)
    }

    /// The pad to shake, if anybody plays with one.
    pub(crate) fn pad_owner(&self) -> Option<(Seat, u8)> {
        self.pad_owner
    }

    fn key(&mut self, key: Key, down: bool) {
        let newly = down && !std::mem::replace(&mut self.keys[usize::from(key.0)], down);
        self.keys[usize::from(key.0)] = down;
        self.start |= newly && (key.0 == SPACE || ENTER.contains(&key.0));
        self.pause ^= newly && key.0 == PAUSE;
        if newly && [UP, DOWN, LEFT, RIGHT].iter().any(|codes| codes.contains(&key.0)) {
            self.target = None;
        }
    }

    fn touch(&mut self, id: u8, phase: TouchPhase, at: Vec2, ship: Vec2) {
        match (phase, self.finger) {
            (TouchPhase::Begin, None) => {
                self.finger = Some(Finger { id, at });
                self.target = Some(ship);
                self.start = true;
            }
            (TouchPhase::Move, Some(finger)) if finger.id == id => {
                let moved = (at - finger.at) * Vec2::new(0.5, 0.5 / self.view.aspect()) * UNITS_PER_DRAG;
                self.target = Some(in_arena(self.target.unwrap_or(ship) + moved));
                self.finger = Some(Finger { id, at });
            }
            (TouchPhase::End | TouchPhase::Cancel, Some(finger)) if finger.id == id => self.finger = None,
            _ => {}
        }
    }

    fn steer(&self) -> Vec2 {
        let held = |codes: [u8; 2]| codes.iter().any(|code| self.keys[usize::from(*code)]);
        let pressed = |bit: u32| self.pad.buttons & bit != 0;
        let axis = |positive: bool, negative: bool| f32::from(i8::from(positive) - i8::from(negative));
        let keys = Vec2::new(
            axis(held(RIGHT) || pressed(PAD_RIGHT), held(LEFT) || pressed(PAD_LEFT)),
            axis(held(UP) || pressed(PAD_UP), held(DOWN) || pressed(PAD_DOWN)),
        );
        let stick = Vec2::new(f32::from(self.pad.axes[0]), -f32::from(self.pad.axes[1])) / 32767.0;
        let length = stick.length().min(1.0);
        let live = if length > DEAD_ZONE {
            stick * ((length - DEAD_ZONE) / (1.0 - DEAD_ZONE) / length)
        } else {
            Vec2::ZERO
        };
        (keys + live).clamp_length_max(1.0)
    }
}

fn in_arena(place: Vec2) -> Vec2 {
    place.clamp(Vec2::new(-HALF_WIDTH, NEAR_Y), Vec2::new(HALF_WIDTH, FAR_Y))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIP: Vec2 = Vec2::new(1.0, 5.0);

    fn hands(events: &[InputEvent]) -> Hands {
        let mut hands = Hands::new(View::new(16.0 / 9.0));
        events.iter().for_each(|event| hands.apply(Seat(0), event, SHIP));
        hands
    }

    fn key(code: &str) -> InputEvent {
        InputEvent::Key { key: Key::from_code(code).unwrap(), down: true }
    }

    #[test]
    fn keys_steer_fire_start_once_and_pause() {
        let mut held = hands(&[key("ArrowLeft"), key("KeyW"), key("Space")]);
        let first = held.controls();
        assert!(first.steer.x < -0.5 && first.steer.y > 0.5 && first.fire && first.start);
        assert!(!held.controls().start && held.controls().fire);
        assert!(hands(&[key("Enter")]).controls().start);
        assert!(hands(&[key("KeyP")]).take_pause());
    }

    #[test]
    fn the_pointer_leads_the_ship_until_a_key_or_stick_takes_over() {
        let middle = InputEvent::Position { x: 32768, y: 50000 };
        let target = hands(std::slice::from_ref(&middle)).controls().target.unwrap();
        assert!(target.x.abs() < 0.1, "{target}");
        assert_eq!(hands(&[middle.clone(), key("KeyA")]).controls().target, None);
        let state = PadState { axes: [32767, 0, 0, 0], ..PadState::default() };
        let stick = hands(&[middle, InputEvent::Pad { pad: 0, state }]).controls();
        assert_eq!((stick.target, stick.steer), (None, Vec2::X));
    }

    #[test]
    fn relative_motion_and_drags_move_the_target_from_the_ship() {
        let motion = hands(&[InputEvent::Motion { dx: 800, dy: -80 }]).controls().target.unwrap();
        assert!(motion.x > SHIP.x + 1.0 && motion.y > SHIP.y);
        let touch = |phase, x| InputEvent::Touch { id: 4, phase, x, y: 30000 };
        let drag = hands(&[touch(TouchPhase::Begin, 30000), touch(TouchPhase::Move, 20000)]).controls();
        assert!(drag.target.unwrap().x < SHIP.x - 1.0 && drag.fire && drag.start);
        let lifted = [touch(TouchPhase::Begin, 0), touch(TouchPhase::End, 0)];
        assert!(!hands(&lifted).controls().fire);
    }

    #[test]
    fn a_pad_fires_with_a_or_the_trigger_and_its_drift_is_ignored() {
        let pad = |state| hands(&[InputEvent::Pad { pad: 2, state }]);
        assert!(pad(PadState { buttons: PAD_A, ..PadState::default() }).controls().fire);
        assert!(pad(PadState { triggers: [0, 60_000], ..PadState::default() }).controls().fire);
        let drift = pad(PadState { axes: [3000, -3000, 0, 0], ..PadState::default() }).controls();
        assert_eq!((drift.steer, drift.fire, drift.start), (Vec2::ZERO, false, false));
        let mut gone = pad(PadState { buttons: PAD_A, ..PadState::default() });
        assert_eq!(gone.pad_owner(), Some((Seat(0), 2)));
        gone.apply(Seat(0), &InputEvent::PadGone { pad: 2 }, SHIP);
        assert!(!gone.controls().fire && gone.pad_owner().is_none());
    }
}
