//! The sending half of the input channel, as the page implements it: every packet repeats all events that
//! are not acknowledged, and ends with the full state.

use nearframe_protocol::Seat;
use nearframe_protocol::input::{HeldState, InputEvent, InputPacket, MAX_EVENTS, TimedEvent};
use std::collections::VecDeque;

pub(crate) struct InputRepeater {
    /// Events not acknowledged, with when they happened, in µs.
    events: VecDeque<(u64, InputEvent)>,
    first_serial: u32,
    pub(crate) held: HeldState,
    pub(crate) focused: bool,
}

impl InputRepeater {
    pub(crate) fn new(first_serial: u32) -> Self {
        Self { events: VecDeque::new(), first_serial, held: HeldState::default(), focused: true }
    }

    /// Notes an event; the oldest is given up where there are too many, and the state speaks for it.
    pub(crate) fn push(&mut self, at_us: u64, event: InputEvent) {
        match &event {
            InputEvent::Key { key, down } => self.held.set_key(*key, *down),
            InputEvent::Button { button, down: true } => self.held.buttons |= 1 << button,
            InputEvent::Button { button, down: false } => self.held.buttons &= !(1 << button),
            InputEvent::Pad { pad, state } => {
                self.held.pads.retain(|(index, _)| index != pad);
                self.held.pads.push((*pad, *state));
            }
            InputEvent::PadGone { pad } => self.held.pads.retain(|(index, _)| index != pad),
            _ => {}
        }
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
            self.first_serial = self.first_serial.wrapping_add(1);
        }
        self.events.push_back((at_us, event));
    }

    /// The node has taken every event up to this serial.
    pub(crate) fn acknowledge(&mut self, serial: u32) {
        let taken = serial.wrapping_add(1).wrapping_sub(self.first_serial) as i32;
        for _ in 0..taken {
            if self.events.pop_front().is_some() {
                self.first_serial = self.first_serial.wrapping_add(1);
            }
        }
    }

    pub(crate) fn packet(&self, now_us: u64) -> InputPacket {
        let age = |at_us: &u64| u16::try_from(now_us.saturating_sub(*at_us) / 100).unwrap_or(u16::MAX);
        let events =
            self.events.iter().map(|(at_us, event)| TimedEvent { age: age(at_us), event: event.clone() });
        InputPacket {
            seat: Seat(0),
            focused: self.focused,
            first_serial: self.first_serial,
            sent_us: now_us,
            events: events.collect(),
            held: self.held.clone(),
        }
    }
}
