//! Hands that play: a pointer that wanders and keys that are pressed now and then, repeated until they are acknowledged as
//! a page repeats them.

use crate::dice::Dice;
use nearframe_protocol::Seat;
use nearframe_protocol::input::{HeldState, InputEvent, InputPacket, Key, MAX_EVENTS, TimedEvent};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The pointer moves this often, at first and later.
const MOVES: (Duration, Duration) = (Duration::from_millis(16), Duration::from_millis(120));
/// How long hands are busy at first: a player has just pressed Play.
const BUSY: Duration = Duration::from_millis(1500);
/// A key is pressed about this often, and held for about as long.
const KEY_EVERY: Duration = Duration::from_millis(700);
/// Left, right, up and space: what most titles know.
const KEYS: [u8; 4] = [80, 79, 82, 44];
/// What happened longer ago is not asked for any more: the challenge is over.
const MOST_REMEMBERED: usize = 2048;

/// One thing that hands did.
#[derive(Clone, Copy, Debug)]
struct Done {
    serial: u32,
    at: Instant,
    pointer: (u16, u16),
}

/// The hands of one player.
#[derive(Debug)]
pub(crate) struct Hands {
    dice: Dice,
    since: Instant,
    next_serial: u32,
    unacknowledged: VecDeque<(Instant, InputEvent)>,
    held: HeldState,
    pressed: Option<Key>,
    pointer: (u16, u16),
    done: VecDeque<Done>,
    moves_at: Instant,
    keys_at: Instant,
}

impl Hands {
    pub(crate) fn new(seed: u64, now: Instant) -> Self {
        Self {
            dice: Dice::new(seed),
            since: now,
            next_serial: 1,
            unacknowledged: VecDeque::new(),
            held: HeldState::default(),
            pressed: None,
            pointer: (0, 0),
            done: VecDeque::new(),
            moves_at: now,
            keys_at: now + KEY_EVERY,
        }
    }

    /// Moves as is due, and writes what is to be sent.
    pub(crate) fn packet(&mut self, now: Instant) -> Vec<u8> {
        if now >= self.moves_at {
            let pause = if now - self.since < BUSY { MOVES.0 } else { MOVES.1 };
            self.moves_at = now + pause;
            self.wander();
            let (x, y) = self.pointer;
            self.act(InputEvent::Position { x, y }, now);
        }
        if now >= self.keys_at {
            self.keys_at = now + KEY_EVERY / 2 + KEY_EVERY * self.dice.below(100) as u32 / 100;
            self.press_or_release(now);
        }
        self.write(now)
    }

    /// The title has seen everything up to `serial`.
    pub(crate) fn acknowledge(&mut self, serial: u32) {
        let first = self.next_serial - self.unacknowledged.len() as u32;
        let seen = serial.saturating_add(1).saturating_sub(first).min(self.unacknowledged.len() as u32);
        self.unacknowledged.drain(..seen as usize);
    }

    /// Where the pointer was as of this input, and when that was sent; (0, 0) and no time before the first.
    pub(crate) fn as_of(&self, serial: u32) -> Option<((u16, u16), Option<Instant>)> {
        if serial == 0 {
            return Some(((0, 0), None));
        }
        let first = self.done.front()?.serial;
        let done = self.done.get(serial.checked_sub(first)? as usize)?;
        Some((done.pointer, Some(done.at)))
    }

    /// The first place is anywhere; from there on in steps of a hand.
    fn wander(&mut self) {
        let is_first = self.done.is_empty();
        let mut step = |from: u16| {
            if is_first {
                return self.dice.below(1 << 16) as u16;
            }
            let by = self.dice.below(4001) as i32 - 2000;
            (i32::from(from) + by).clamp(0, 65_535) as u16
        };
        let (x, y) = self.pointer;
        self.pointer = (step(x), step(y));
    }

    fn press_or_release(&mut self, now: Instant) {
        let (key, down) = match self.pressed.take() {
            Some(key) => (key, false),
            None => (Key(KEYS[self.dice.below(KEYS.len() as u64) as usize]), true),
        };
        self.pressed = down.then_some(key);
        self.held.set_key(key, down);
        self.act(InputEvent::Key { key, down }, now);
    }

    fn act(&mut self, event: InputEvent, now: Instant) {
        if self.unacknowledged.len() == MAX_EVENTS {
            self.unacknowledged.pop_front();
        }
        self.unacknowledged.push_back((now, event));
        self.done.push_back(Done { serial: self.next_serial, at: now, pointer: self.pointer });
        if self.done.len() > MOST_REMEMBERED {
            self.done.pop_front();
        }
        self.next_serial += 1;
    }

    fn write(&self, now: Instant) -> Vec<u8> {
        let age = |at: Instant| (now.saturating_duration_since(at).as_micros() / 100).min(0xffff) as u16;
        let packet = InputPacket {
            seat: Seat(0),
            focused: true,
            first_serial: self.next_serial - self.unacknowledged.len() as u32,
            sent_us: now.saturating_duration_since(self.since).as_micros() as u64,
            events: self
                .unacknowledged
                .iter()
                .map(|(at, event)| TimedEvent { age: age(*at), event: event.clone() })
                .collect(),
            held: self.held.clone(),
        };
        let mut bytes = Vec::new();
        packet.write(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_acknowledged_is_repeated_and_where_the_pointer_was_is_remembered() {
        let start = Instant::now();
        let mut hands = Hands::new(7, start);
        let first = InputPacket::parse(&hands.packet(start)).unwrap();
        let [TimedEvent { event: InputEvent::Position { x, y }, .. }] = first.events[..] else {
            panic!("{first:?}")
        };
        assert_eq!(hands.as_of(1), Some(((x, y), Some(start))));
        assert_eq!((hands.as_of(0), hands.as_of(2)), (Some(((0, 0), None)), None));
        let second = InputPacket::parse(&hands.packet(start + Duration::from_millis(20))).unwrap();
        assert_eq!((second.first_serial, second.events.len()), (1, 2));
        hands.acknowledge(1);
        hands.acknowledge(1);
        let third = InputPacket::parse(&hands.packet(start + Duration::from_millis(21))).unwrap();
        assert_eq!((third.first_serial, third.events.len()), (2, 1));
    }

    #[test]
    fn keys_go_down_and_up_again_and_a_node_that_never_answers_is_survived() {
        let start = Instant::now();
        let mut hands = Hands::new(7, start);
        let mut downs = 0;
        for ms in (0..20_000).step_by(16) {
            let packet = InputPacket::parse(&hands.packet(start + Duration::from_millis(ms))).unwrap();
            let down: u32 = packet.held.keys.iter().map(|byte| byte.count_ones()).sum();
            assert!(down <= 1 && packet.events.len() <= MAX_EVENTS);
            downs += down;
        }
        assert!(downs > 0);
        hands.acknowledge(u32::MAX - 1);
        assert!(InputPacket::parse(&hands.write(start)).unwrap().events.is_empty());
    }
}
