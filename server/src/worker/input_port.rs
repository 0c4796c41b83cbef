//! Where players' input waits for the next frame.

use nearframe_protocol::Seat;
use nearframe_protocol::input::{InputEvent, InputPacket};
use nearframe_stream::InputSequencer;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

/// Players of a session.
pub(crate) const SEATS: usize = 4;
/// Events that may wait for a frame: far more than hands make in one; beyond it the oldest are dropped, and
/// the full state in every packet puts things right.
const MAX_WAITING: usize = 1024;

/// An event that a title is to see.
pub(crate) type SeatEvent = (Seat, InputEvent);

/// Put in order exactly once per seat, drained by the frame thread.
pub(crate) struct InputPort(Mutex<Inner>);

struct Inner {
    seats: [InputSequencer; SEATS],
    serials: [u32; SEATS],
    waiting: VecDeque<SeatEvent>,
    last_input: Instant,
}

impl InputPort {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Inner {
            seats: std::array::from_fn(|index| InputSequencer::new(Seat(index as u8))),
            serials: [0; SEATS],
            waiting: VecDeque::new(),
            last_input: now,
        }))
    }

    /// A new peer sits down: its serials start afresh, and what the one before held is released.
    pub(crate) fn sit(&self, seat: Seat) {
        self.with(|inner| {
            if let Some(sequencer) = inner.seats.get_mut(usize::from(seat.0)) {
                let released = sequencer.release();
                *sequencer = InputSequencer::new(seat);
                inner.serials[usize::from(seat.0)] = 0;
                inner.enqueue(seat, released);
            }
        });
    }

    /// Takes a packet that came over a peer of `seat`.
    pub(crate) fn receive(&self, seat: Seat, packet: &InputPacket, now: Instant) {
        if packet.seat != seat || !seat.is_player() {
            return;
        }
        self.with(|inner| {
            let events = inner.seats[usize::from(seat.0)].receive(now, packet);
            if !events.is_empty() {
                inner.last_input = now;
            }
            inner.enqueue(seat, events);
        });
    }

    /// Everything to be applied before the next frame, and per seat the serial of its newest event.
    pub(crate) fn drain(&self, now: Instant, into: &mut Vec<SeatEvent>) -> [u32; SEATS] {
        self.with(|inner| {
            for index in 0..SEATS {
                let released = inner.seats[index].handle_timeout(now);
                inner.enqueue(Seat(index as u8), released);
                inner.serials[index] = inner.seats[index].acked();
            }
            into.extend(inner.waiting.drain(..));
            inner.serials
        })
        .unwrap_or_default()
    }

    /// A session begins: its idle time counts from now.
    pub(crate) fn wake(&self, now: Instant) {
        self.with(|inner| inner.last_input = now);
    }

    /// When a player last did something.
    pub(crate) fn last_input(&self) -> Option<Instant> {
        self.with(|inner| inner.last_input)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> Option<T> {
        self.0.lock().ok().map(|mut inner| act(&mut inner))
    }
}

impl Inner {
    fn enqueue(&mut self, seat: Seat, events: Vec<(u32, InputEvent)>) {
        self.waiting.extend(events.into_iter().map(|(_, event)| (seat, event)));
        while self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::input::{HeldState, Key, TimedEvent};

    fn press(seat: u8, serial: u32) -> InputPacket {
        let mut held = HeldState::default();
        held.set_key(Key(4), true);
        let event = InputEvent::Key { key: Key(4), down: true };
        let events = vec![TimedEvent { age: 0, event }];
        InputPacket { seat: Seat(seat), focused: true, first_serial: serial, sent_us: 0, events, held }
    }

    #[test]
    fn a_repeated_packet_is_applied_once_and_its_serial_is_told() {
        let now = Instant::now();
        let port = InputPort::new(now);
        port.receive(Seat(0), &press(0, 1), now);
        port.receive(Seat(0), &press(0, 1), now);
        let mut events = Vec::new();
        assert_eq!(port.drain(now, &mut events), [1, 0, 0, 0]);
        assert_eq!(events, [(Seat(0), InputEvent::Key { key: Key(4), down: true })]);
    }

    #[test]
    fn nobody_plays_on_another_seat() {
        let now = Instant::now();
        let port = InputPort::new(now);
        port.receive(Seat(1), &press(0, 1), now);
        port.receive(Seat::VIEWER, &press(255, 1), now);
        let mut events = Vec::new();
        assert_eq!(port.drain(now, &mut events), [0; 4]);
        assert!(events.is_empty());
    }

    #[test]
    fn a_new_peer_finds_nothing_held_and_starts_its_serials_afresh() {
        let now = Instant::now();
        let port = InputPort::new(now);
        port.receive(Seat(0), &press(0, 5), now);
        port.sit(Seat(0));
        port.receive(Seat(0), &press(0, 1), now);
        let mut events = Vec::new();
        assert_eq!(port.drain(now, &mut events)[0], 1);
        let downs: Vec<_> =
            events.iter().map(|(_, e)| matches!(e, InputEvent::Key { down: true, .. })).collect();
        assert_eq!(downs, [true, false, true]);
    }
}
