//! The player's hands: keys, text, pointer, wheel and fingers.

use std::collections::{BTreeMap, BTreeSet};

use smithay::{
    backend::input::{Axis, AxisSource, ButtonState, KeyState, TouchSlot},
    input::{
        keyboard::{FilterResult, XkbConfig},
        pointer::{AxisFrame, ButtonEvent, MotionEvent, RelativeMotionEvent},
        touch::{DownEvent, MotionEvent as TouchMotion, UpEvent},
    },
    utils::{Logical, Point, SERIAL_COUNTER},
};

use super::State;
use crate::{Input, KeyboardLayout, Settings, TouchPhase, keymap};

/// Offset between Linux key codes and those of xkb.
const XKB_OFFSET: u32 = 8;
/// Pointer axis units of one notch of a wheel.
const NOTCH: f64 = 15.0;
/// How long the keymap of typed text stays, so that X11 clients can look its keys up.
const TEXT_KEYMAP_US: u64 = 300_000;

/// What is held now, and where the pointer is.
pub(crate) struct Hands {
    keys: BTreeSet<u16>,
    buttons: BTreeSet<u16>,
    /// Fingers on the picture and where they are.
    fingers: BTreeMap<u8, Point<f64, Logical>>,
    /// In pixels of the picture.
    at: (f64, f64),
    /// The position that the page named last, to make motion of it while the pointer is locked.
    named: Option<(f64, f64)>,
    pub(crate) layout: KeyboardLayout,
    /// Until when a keymap for text stands in for the layout, and whether one does.
    text_keymap_until_us: Option<u64>,
    /// Windows have moved below the pointer.
    pub(crate) repick: bool,
    pub(crate) now_us: u64,
}

impl Hands {
    pub(crate) fn new(settings: &Settings, layout: KeyboardLayout) -> Self {
        Self {
            keys: BTreeSet::new(),
            buttons: BTreeSet::new(),
            fingers: BTreeMap::new(),
            at: (f64::from(settings.width) / 2.0, f64::from(settings.height) / 2.0),
            named: None,
            layout,
            text_keymap_until_us: None,
            repick: false,
            now_us: 0,
        }
    }
    pub(crate) fn at(&self) -> (f64, f64) {
        self.at
    }
    pub(crate) fn time_ms(&self) -> u32 {
        (self.now_us / 1000) as u32
    }
}

impl State {
    /// Hands the inputs of one tick to the title, in order.
    pub(crate) fn apply(&mut self, inputs: Vec<Input>, now_us: u64) {
        self.hands.now_us = now_us;
        if self.hands.text_keymap_until_us.is_some_and(|until_us| now_us >= until_us) {
            self.restore_layout();
        }
        for input in inputs {
            match input {
                Input::Key { evdev, down } => self.key(evdev, down),
                Input::Text(text) => self.text(&text),
                Input::Motion { dx, dy } if dx.is_finite() && dy.is_finite() => self.motion(dx, dy),
                Input::Position { x, y } if x.is_finite() && y.is_finite() => self.position(x, y),
                Input::Button { evdev, down } => self.button(evdev, down),
                Input::Wheel { dx, dy } => self.wheel(dx, dy),
                Input::Touch { id, phase, x, y } if x.is_finite() && y.is_finite() => {
                    self.finger(id, phase, x, y);
                }
                Input::ReleaseAll => self.release_all(),
                Input::Motion { .. } | Input::Position { .. } | Input::Touch { .. } => {}
            }
        }
    }

    fn key(&mut self, evdev: u16, down: bool) {
        if self.hands.text_keymap_until_us.is_some() {
            self.restore_layout();
        }
        let new = if down { self.hands.keys.insert(evdev) } else { self.hands.keys.remove(&evdev) };
        if new {
            self.send_key(u32::from(evdev) + XKB_OFFSET, down);
        }
    }

    fn send_key(&mut self, keycode: u32, down: bool) {
        let keyboard = self.keyboard.clone();
        let state = if down { KeyState::Pressed } else { KeyState::Released };
        let (serial, time) = (SERIAL_COUNTER.next_serial(), self.hands.time_ms());
        keyboard.input::<(), _>(self, keycode.into(), state, serial, time, |_, _, _| FilterResult::Forward);
    }

    /// Text goes to the text field in focus, or is typed on a keyboard that has just these characters.
    fn text(&mut self, text: &str) {
        if self.text_inputs.commit(text) {
            return;
        }
        for keys in keymap::typing(text) {
            let keyboard = self.keyboard.clone();
            if let Err(error) = keyboard.set_keymap_from_string(self, keys.keymap) {
                tracing::warn!(%error, "text cannot be typed");
                return;
            }
            self.hands.text_keymap_until_us = Some(self.hands.now_us + TEXT_KEYMAP_US);
            for keycode in keys.strokes {
                self.send_key(keycode, true);
                self.send_key(keycode, false);
            }
        }
    }

    /// Back from typed text to the player's layout.
    pub(crate) fn restore_layout(&mut self) {
        self.hands.text_keymap_until_us = None;
        let layout = self.hands.layout.clone();
        let keyboard = self.keyboard.clone();
        let names = XkbConfig { layout: &layout.layout, variant: &layout.variant, ..XkbConfig::default() };
        if let Err(error) = keyboard.set_xkb_config(self, names) {
            tracing::warn!(?layout, %error, "no such keyboard layout, taking us");
            self.hands.layout = KeyboardLayout::default();
            if let Err(error) =
                keyboard.set_xkb_config(self, XkbConfig { layout: "us", ..XkbConfig::default() })
            {
                tracing::warn!(%error, "the keyboard keeps the layout that it has");
            }
        }
    }

    fn motion(&mut self, dx: f64, dy: f64) {
        let focus = self.pointer_focus();
        let event = RelativeMotionEvent {
            delta: (dx, dy).into(),
            delta_unaccel: (dx, dy).into(),
            utime: self.hands.now_us,
        };
        let pointer = self.pointer.clone();
        pointer.relative_motion(self, focus, &event);
        if self.pointer_locked() {
            pointer.frame(self);
        } else {
            let (x, y) = self.hands.at;
            self.move_to(x + dx, y + dy);
        }
    }

    fn position(&mut self, x: f64, y: f64) {
        let before = self.hands.named.replace((x, y)).unwrap_or(self.hands.at);
        let locked = self.pointer_locked();
        let (from_x, from_y) = if locked { before } else { self.hands.at };
        let delta = (x - from_x, y - from_y);
        if delta != (0.0, 0.0) {
            let event = RelativeMotionEvent {
                delta: delta.into(),
                delta_unaccel: delta.into(),
                utime: self.hands.now_us,
            };
            let (focus, pointer) = (self.pointer_focus(), self.pointer.clone());
            pointer.relative_motion(self, focus, &event);
        }
        if locked {
            self.pointer.clone().frame(self);
        } else {
            self.move_to(x, y);
        }
    }

    /// Moves the pointer within the picture and the region that it is confined to.
    fn move_to(&mut self, x: f64, y: f64) {
        let (width, height) = (f64::from(self.settings.width), f64::from(self.settings.height));
        let wanted = (x.clamp(0.0, width - 1.0), y.clamp(0.0, height - 1.0));
        self.hands.at = self.confine(wanted);
        self.send_motion();
    }

    pub(crate) fn place_pointer(&mut self, point: Point<f64, Logical>) {
        let (x, y) = self.windows.view.to_picture(point);
        let (width, height) = (f64::from(self.settings.width), f64::from(self.settings.height));
        self.hands.at = (x.clamp(0.0, width - 1.0), y.clamp(0.0, height - 1.0));
    }

    pub(crate) fn pointer_point(&self) -> Point<f64, Logical> {
        self.windows.view.to_logical(self.hands.at.0, self.hands.at.1)
    }

    fn send_motion(&mut self) {
        let point = self.pointer_point();
        let focus = self.surface_at(point);
        let event =
            MotionEvent { location: point, serial: SERIAL_COUNTER.next_serial(), time: self.hands.time_ms() };
        let pointer = self.pointer.clone();
        pointer.motion(self, focus, &event);
        pointer.frame(self);
        self.activate_constraint();
    }

    /// After windows have moved, the pointer may be over another one.
    pub(crate) fn settle_pointer(&mut self) {
        if std::mem::take(&mut self.hands.repick) && !self.pointer_locked() {
            self.send_motion();
        }
        self.activate_constraint();
        self.outlet.pointer_locked = self.pointer_locked();
        self.outlet.text_input = self.text_input_state();
    }

    fn button(&mut self, evdev: u16, down: bool) {
        let new = if down { self.hands.buttons.insert(evdev) } else { self.hands.buttons.remove(&evdev) };
        if !new {
            return;
        }
        if down
            && !self.pointer.is_grabbed()
            && let Some(surface) = self.pointer.current_focus()
        {
            self.raise(&Self::root_of(&surface));
        }
        let state = if down { ButtonState::Pressed } else { ButtonState::Released };
        let event = ButtonEvent {
            serial: SERIAL_COUNTER.next_serial(),
            time: self.hands.time_ms(),
            button: u32::from(evdev),
            state,
        };
        let pointer = self.pointer.clone();
        pointer.button(self, &event);
        pointer.frame(self);
    }

    fn wheel(&mut self, dx: i16, dy: i16) {
        let mut frame = AxisFrame::new(self.hands.time_ms()).source(AxisSource::Wheel);
        for (axis, steps) in [(Axis::Horizontal, dx), (Axis::Vertical, dy)] {
            if steps != 0 {
                frame = frame.v120(axis, i32::from(steps)).value(axis, f64::from(steps) / 120.0 * NOTCH);
            }
        }
        let pointer = self.pointer.clone();
        pointer.axis(self, frame);
        pointer.frame(self);
    }

    fn finger(&mut self, id: u8, phase: TouchPhase, x: f64, y: f64) {
        let slot = slot_of(id);
        let location = self.windows.view.to_logical(x, y);
        let (serial, time) = (SERIAL_COUNTER.next_serial(), self.hands.time_ms());
        let touch = self.touch.clone();
        let known = self.hands.fingers.contains_key(&id);
        match phase {
            TouchPhase::Down if !known => {
                self.hands.fingers.insert(id, location);
                let focus = self.surface_at(location);
                if let Some((surface, _)) = &focus {
                    self.raise(&Self::root_of(surface));
                }
                touch.down(self, focus, &DownEvent { slot, location, serial, time });
            }
            TouchPhase::Move if known => {
                self.hands.fingers.insert(id, location);
                let focus = self.surface_at(location);
                touch.motion(self, focus, &TouchMotion { slot, location, time });
            }
            TouchPhase::Up if known => {
                self.hands.fingers.remove(&id);
                touch.up(self, &UpEvent { slot, serial, time });
            }
            TouchPhase::Cancel => return self.cancel_touch(),
            _ => return,
        }
        touch.frame(self);
    }

    /// All fingers are gone and what they did does not count. smithay cancels only fingers that have done
    /// something since the last frame, so each does.
    fn cancel_touch(&mut self) {
        let (touch, time) = (self.touch.clone(), self.hands.time_ms());
        let fingers = std::mem::take(&mut self.hands.fingers);
        for (id, location) in &fingers {
            let focus = self.surface_at(*location);
            touch.motion(self, focus, &TouchMotion { slot: slot_of(*id), location: *location, time });
        }
        if !fingers.is_empty() {
            touch.cancel(self);
            touch.frame(self);
        }
    }

    /// Nothing stays pressed.
    fn release_all(&mut self) {
        for key in std::mem::take(&mut self.hands.keys) {
            self.send_key(u32::from(key) + XKB_OFFSET, false);
        }
        for button in self.hands.buttons.clone() {
            self.button(button, false);
        }
        self.cancel_touch();
        self.hands.named = None;
    }
}

fn slot_of(finger: u8) -> TouchSlot {
    TouchSlot::from(Some(u32::from(finger)))
}
