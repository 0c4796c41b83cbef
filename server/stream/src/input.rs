//! One seat's input, in order and exactly once.
//!
//! Packets come unordered, repeated and with gaps; each repeats every event that the page does not yet
//! know to have arrived, and ends with the full state. Events are taken by serial; what no packet
//! repeats any more is skipped and counted. After the newest packet the full state decides: whatever we
//! hold that it does not is released, and the other way round. Without focus, or without a packet for a
//! second, everything is released.

use nearframe_protocol::Seat;
use nearframe_protocol::input::{HeldState, InputEvent, InputPacket, Key, MAX_PADS, PadState, TouchPhase};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The page sends at least four packets a second while anything is held.
const SILENCE: Duration = Duration::from_secs(1);
/// Mouse buttons that exist: 0 to 4.
const BUTTON_MASK: u8 = 0b1_1111;

/// An event and the serial of the page's event that it is or that it follows from.
type Applied = (u32, InputEvent);

/// What a title believes to be held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    keys: [u8; 32],
    buttons: u8,
    pads: [Option<PadState>; MAX_PADS],
}

impl Held {
    /// The state at the end of a packet; without focus nothing is pressed, but pads stay connected.
    fn of(packet: &InputPacket) -> Self {
        let HeldState { keys, buttons, pads } = &packet.held;
        let mut held = Self { keys: *keys, buttons: buttons & BUTTON_MASK, ..Self::default() };
        for (pad, state) in pads {
            if let Some(slot) = held.pads.get_mut(usize::from(*pad)) {
                *slot = Some(*state);
            }
        }
        if packet.focused { held } else { held.released() }
    }
    fn released(&self) -> Self {
        let pads = self.pads.map(|pad| pad.map(|_| PadState::default()));
        Self { pads, ..Self::default() }
    }
    fn is_down(&self, code: u8) -> bool {
        self.keys[usize::from(code) / 8] >> (code % 8) & 1 == 1
    }
    fn apply(&mut self, event: &InputEvent) {
        match *event {
            InputEvent::Key { key: Key(code), down } => {
                let bit = 1 << (code % 8);
                let byte = &mut self.keys[usize::from(code) / 8];
                *byte = if down { *byte | bit } else { *byte & !bit };
            }
            InputEvent::Button { button, down } => {
                let bit = 1u8.checked_shl(u32::from(button)).unwrap_or(0) & BUTTON_MASK;
                self.buttons = if down { self.buttons | bit } else { self.buttons & !bit };
            }
            InputEvent::Pad { pad, state } => self.set_pad(pad, Some(state)),
            InputEvent::PadGone { pad } => self.set_pad(pad, None),
            _ => {}
        }
    }
    fn set_pad(&mut self, pad: u8, state: Option<PadState>) {
        if let Some(slot) = self.pads.get_mut(usize::from(pad)) {
            *slot = state;
        }
    }
    /// The events that lead from here to `wanted`.
    fn changes(&self, wanted: &Self) -> Vec<InputEvent> {
        let keys = (0..=255u8).filter(|&code| self.is_down(code) != wanted.is_down(code));
        let keys = keys.map(|code| InputEvent::Key { key: Key(code), down: wanted.is_down(code) });
        let changed = self.buttons ^ wanted.buttons;
        let buttons = (0..5u8).filter(|button| changed >> button & 1 == 1);
        let buttons =
            buttons.map(|button| InputEvent::Button { button, down: wanted.buttons >> button & 1 == 1 });
        let pads =
            (0u8..).zip(self.pads.iter().zip(&wanted.pads)).filter(|(_, (ours, theirs))| ours != theirs);
        let pads = pads.map(|(pad, (_, theirs))| match *theirs {
            Some(state) => InputEvent::Pad { pad, state },
            None => InputEvent::PadGone { pad },
        });
        keys.chain(buttons).chain(pads).collect()
    }
}

/// Puts one seat's input in order. A new peer in the seat counts from 1 again: it needs a new sequencer,
/// after [`release`](Self::release) on the old one.
#[derive(Debug)]
pub struct InputSequencer {
    seat: Seat,
    /// Serial of the next event.
    next: u32,
    held: Held,
    /// Fingers on the picture and where they last were; at most 256, by their ids.
    touches: BTreeMap<u8, (u16, u16)>,
    newest_sent_us: u64,
    heard: Option<Instant>,
    skipped: u64,
}

impl InputSequencer {
    /// Nothing held, serial 1 next.
    pub fn new(seat: Seat) -> Self {
        Self {
            seat,
            next: 1,
            held: Held::default(),
            touches: BTreeMap::new(),
            newest_sent_us: 0,
            heard: None,
            skipped: 0,
        }
    }

    /// Takes one packet. Returns the events that are new, in order, each with its serial, and after them
    /// whatever the full state corrects, with the serial of the newest event. A viewer's input and that of
    /// another seat is ignored.
    pub fn receive(&mut self, now: Instant, packet: &InputPacket) -> Vec<Applied> {
        if packet.seat != self.seat || !self.seat.is_player() {
            return Vec::new();
        }
        self.heard = Some(now);
        let mut out = self.apply_new(packet);
        let end = packet.first_serial.wrapping_add(packet.events.len() as u32);
        if end == self.next && packet.sent_us >= self.newest_sent_us {
            self.newest_sent_us = packet.sent_us;
            if !packet.focused {
                self.cancel_touches(&mut out);
            }
            self.reach(&Held::of(packet), &mut out);
        }
        out
    }

    /// Serial of the newest event taken; 0 before the first.
    pub fn acked(&self) -> u32 {
        self.next.wrapping_sub(1)
    }

    /// Events that were lost for good: the page stopped repeating them before they arrived.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// When everything is released unless a packet comes; `None` while nothing is held.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let holds = self.held != self.held.released() || !self.touches.is_empty();
        self.heard.filter(|_| holds).map(|heard| heard + SILENCE)
    }

    /// To be called at `poll_timeout`. The next packet's state presses again what is still held.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Applied> {
        match self.poll_timeout() {
            Some(at) if at <= now => self.release(),
            _ => Vec::new(),
        }
    }

    /// Releases everything: the peer is gone.
    pub fn release(&mut self) -> Vec<Applied> {
        let mut out = Vec::new();
        self.cancel_touches(&mut out);
        self.reach(&self.held.released(), &mut out);
        out
    }

    fn apply_new(&mut self, packet: &InputPacket) -> Vec<Applied> {
        let ahead = packet.first_serial.wrapping_sub(self.next) as i32;
        if let Ok(gap @ 1..) = u64::try_from(ahead) {
            // Every packet repeats what is not acknowledged: what lies before it will not come again.
            self.skipped += gap;
            self.next = packet.first_serial;
        }
        let known = usize::try_from(-i64::from(ahead)).unwrap_or(0);
        let mut out = Vec::new();
        for timed in packet.events.iter().skip(known) {
            self.note(&timed.event);
            out.push((self.next, timed.event.clone()));
            self.next = self.next.wrapping_add(1);
        }
        out
    }

    fn note(&mut self, event: &InputEvent) {
        self.held.apply(event);
        if let InputEvent::Touch { id, phase, x, y } = *event {
            match phase {
                TouchPhase::Begin | TouchPhase::Move => self.touches.insert(id, (x, y)),
                TouchPhase::End | TouchPhase::Cancel => self.touches.remove(&id),
            };
        }
    }

    fn reach(&mut self, wanted: &Held, out: &mut Vec<Applied>) {
        if self.held != *wanted {
            out.extend(self.held.changes(wanted).into_iter().map(|event| (self.acked(), event)));
            self.held = wanted.clone();
        }
    }

    fn cancel_touches(&mut self, out: &mut Vec<Applied>) {
        let serial = self.acked();
        let cancel = |(id, (x, y))| (serial, InputEvent::Touch { id, phase: TouchPhase::Cancel, x, y });
        out.extend(std::mem::take(&mut self.touches).into_iter().map(cancel));
    }
}
