//! `InputSequencer` against the sender it has on the other side, over a link that loses, repeats and
//! reorders.
#![allow(clippy::unwrap_used, reason = "a pair that breaks its own rules fails its test")]

mod repeater;

use nearframe_protocol::Seat;
use nearframe_protocol::input::{HeldState, InputEvent, InputPacket, Key, PadState, TimedEvent, TouchPhase};
use nearframe_stream::InputSequencer;
use proptest::prelude::*;
use repeater::InputRepeater;
use std::time::{Duration, Instant};

const SILENCE: Duration = Duration::from_secs(1);

fn key(code: u8, down: bool) -> InputEvent {
    InputEvent::Key { key: Key(code), down }
}

/// What is held after these events, pads in order of their index.
fn held_after(events: &[(u32, InputEvent)]) -> HeldState {
    let mut mirror = InputRepeater::new(1);
    events.iter().for_each(|(_, event)| mirror.push(0, event.clone()));
    sorted(mirror.held)
}

fn sorted(mut held: HeldState) -> HeldState {
    held.pads.sort_by_key(|(pad, _)| *pad);
    held
}

fn event() -> impl Strategy<Value = InputEvent> {
    let pad_state = (any::<u32>(), any::<[i16; 4]>(), any::<[u16; 2]>())
        .prop_map(|(buttons, axes, triggers)| PadState { buttons, axes, triggers });
    prop_oneof![
        (any::<u8>(), any::<bool>()).prop_map(|(code, down)| key(code, down)),
        (any::<i16>(), any::<i16>()).prop_map(|(dx, dy)| InputEvent::Motion { dx, dy }),
        (0u8..5, any::<bool>()).prop_map(|(button, down)| InputEvent::Button { button, down }),
        (0u8..4, pad_state).prop_map(|(pad, state)| InputEvent::Pad { pad, state }),
        (0u8..4).prop_map(|pad| InputEvent::PadGone { pad }),
        "[a-zé]{0,8}".prop_map(InputEvent::Text),
    ]
}

/// What the link does with one packet, and whether the acknowledgement comes back.
#[derive(Clone, Debug)]
struct Fortune {
    events: Vec<InputEvent>,
    lost: bool,
    repeated: bool,
    /// Packets that overtake it.
    late_by: usize,
    acknowledged: bool,
}

fn fortune() -> impl Strategy<Value = Fortune> {
    let events = proptest::collection::vec(event(), 0..4);
    (events, prop::bool::weighted(0.3), prop::bool::weighted(0.2), 0usize..4, prop::bool::weighted(0.7))
        .prop_map(|(events, lost, repeated, late_by, acknowledged)| Fortune {
            events,
            lost,
            repeated,
            late_by,
            acknowledged,
        })
}

proptest! {
    #[test]
    fn every_event_is_delivered_once_and_in_order_and_the_held_state_agrees(
        fortunes in proptest::collection::vec(fortune(), 1..60),
    ) {
        let start = Instant::now();
        let mut sender = InputRepeater::new(1);
        let mut sequencer = InputSequencer::new(Seat(0));
        let (mut pushed, mut delivered) = (Vec::new(), Vec::new());
        let mut flying: Vec<(usize, InputPacket)> = Vec::new();
        for (i, fortune) in fortunes.iter().enumerate() {
            for event in &fortune.events {
                pushed.push(event.clone());
                sender.push(i as u64 * 8000, event.clone());
            }
            let packet = sender.packet(i as u64 * 8000);
            if !fortune.lost {
                flying.push((i + fortune.late_by, packet.clone()));
                flying.extend(fortune.repeated.then_some((i + 1, packet)));
            }
            let now = start + Duration::from_millis(8) * i as u32;
            let (due, later) = flying.into_iter().partition(|(at, _)| *at <= i);
            flying = later;
            for (_, packet) in due {
                delivered.extend(sequencer.receive(now, &packet));
            }
            if fortune.acknowledged {
                sender.acknowledge(sequencer.acked());
            }
        }
        delivered.extend(sequencer.receive(start, &sender.packet(1_000_000)));
        // While a later packet's events are on their way, nothing but they may correct the state: what is
        // delivered is what was pushed, unless more than 64 events were out at once.
        let lost = sequencer.skipped();
        if lost == 0 {
            let events: Vec<_> = delivered.iter().map(|(_, event)| event.clone()).collect();
            prop_assert_eq!(events, pushed);
            prop_assert!(delivered.iter().map(|(serial, _)| *serial).eq(1..=sequencer.acked()));
        }
        prop_assert_eq!(held_after(&delivered), sorted(sender.held.clone()));
        prop_assert!(delivered.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn whatever_a_page_sends_is_taken_without_panic_and_without_growth(
        packets in proptest::collection::vec(
            (any::<u32>(), any::<u64>(), any::<bool>(), proptest::collection::vec(event(), 0..8), any::<[u8; 32]>(), any::<u8>()),
            0..40,
        ),
    ) {
        let now = Instant::now();
        let mut sequencer = InputSequencer::new(Seat(0));
        for (first_serial, sent_us, focused, events, keys, buttons) in packets {
            let events: Vec<_> = events.into_iter().map(|event| TimedEvent { age: 0, event }).collect();
            let most = events.len() + 256 + 8 + 4;
            let held = HeldState { keys, buttons, pads: vec![(9, PadState::default()), (1, PadState::default())] };
            let packet = InputPacket { seat: Seat(0), focused, first_serial, sent_us, events, held };
            prop_assert!(sequencer.receive(now, &packet).len() <= most);
        }
        prop_assert!(sequencer.release().len() <= 256 + 8 + 4);
    }
}

#[test]
fn serials_wrap() {
    let now = Instant::now();
    let mut sequencer = InputSequencer::new(Seat(0));
    for quarter in 1..4 {
        sequencer.receive(now, &InputRepeater::new(quarter << 30).packet(0));
    }
    let mut sender = InputRepeater::new(u32::MAX);
    (4..8).for_each(|code| sender.push(0, key(code, true)));
    let mut taken = |packet: &InputPacket| -> Vec<u32> {
        sequencer.receive(now, packet).into_iter().map(|(serial, _)| serial).collect()
    };
    assert_eq!(taken(&sender.packet(1)), [u32::MAX, 0, 1, 2]);
    sender.acknowledge(1);
    sender.push(2, key(8, true));
    assert_eq!(taken(&sender.packet(2)), [3]);
    assert_eq!(sequencer.acked(), 3);
}

#[test]
fn events_that_no_packet_repeats_any_more_are_skipped_and_the_state_makes_up_for_them() {
    let now = Instant::now();
    let mut sequencer = InputSequencer::new(Seat(0));
    let mut sender = InputRepeater::new(1);
    sender.push(0, key(4, true));
    (0..70).for_each(|dx| sender.push(0, InputEvent::Motion { dx, dy: 0 }));
    let out = sequencer.receive(now, &sender.packet(0));
    assert_eq!(sequencer.skipped(), 7);
    assert_eq!(out[0], (8, InputEvent::Motion { dx: 6, dy: 0 }));
    assert_eq!(out.last().unwrap(), &(71, key(4, true)));
}

#[test]
fn losing_focus_releases_everything_but_keeps_pads_connected() {
    let now = Instant::now();
    let mut sequencer = InputSequencer::new(Seat(0));
    let mut sender = InputRepeater::new(1);
    let pushed = PadState { buttons: 1, ..PadState::default() };
    let touch = |phase| InputEvent::Touch { id: 3, phase, x: 10, y: 20 };
    sender.push(0, key(4, true));
    sender.push(0, InputEvent::Button { button: 0, down: true });
    sender.push(0, InputEvent::Pad { pad: 0, state: pushed });
    sender.push(0, touch(TouchPhase::Begin));
    assert_eq!(sequencer.receive(now, &sender.packet(0)).len(), 4);
    sender.acknowledge(4);
    sender.focused = false;
    let out: Vec<_> = sequencer.receive(now, &sender.packet(1)).into_iter().map(|(_, event)| event).collect();
    let neutral = InputEvent::Pad { pad: 0, state: PadState::default() };
    assert_eq!(
        out,
        [touch(TouchPhase::Cancel), key(4, false), InputEvent::Button { button: 0, down: false }, neutral]
    );
    assert_eq!(sequencer.poll_timeout(), None, "nothing is held any more");
    sender.focused = true;
    assert_eq!(sequencer.receive(now, &sender.packet(2)).len(), 3, "still held in the page");
}

#[test]
fn a_second_of_silence_releases_what_is_held_and_the_next_packet_presses_it_again() {
    let now = Instant::now();
    let mut sequencer = InputSequencer::new(Seat(0));
    let mut sender = InputRepeater::new(1);
    assert_eq!(sequencer.poll_timeout(), None);
    sender.push(0, key(26, true));
    sequencer.receive(now, &sender.packet(0));
    assert_eq!(sequencer.poll_timeout(), Some(now + SILENCE));
    assert_eq!(sequencer.handle_timeout(now + SILENCE / 2), []);
    assert_eq!(sequencer.handle_timeout(now + SILENCE), [(1, key(26, false))]);
    assert_eq!(sequencer.handle_timeout(now + SILENCE * 2), []);
    assert_eq!(sequencer.receive(now + SILENCE * 3, &sender.packet(3_000_000)), [(1, key(26, true))]);
}

#[test]
fn an_old_packet_changes_nothing() {
    let now = Instant::now();
    let mut sequencer = InputSequencer::new(Seat(0));
    let mut sender = InputRepeater::new(1);
    sender.push(0, key(26, true));
    let old = sender.packet(0);
    sender.push(1, key(26, false));
    assert_eq!(sequencer.receive(now, &sender.packet(1)).len(), 2);
    assert_eq!(sequencer.receive(now, &old), []);
    sender.push(2, key(26, true));
    let focused = sender.packet(2);
    sequencer.receive(now, &focused);
    sender.focused = false;
    assert_eq!(sequencer.receive(now, &sender.packet(3)), [(3, key(26, false))]);
    assert_eq!(sequencer.receive(now, &focused), [], "focus was lost after it was sent");
}

#[test]
fn the_input_of_viewers_and_of_other_seats_is_ignored() {
    let now = Instant::now();
    let mut sender = InputRepeater::new(1);
    sender.push(0, key(26, true));
    for (ours, theirs) in [(Seat(0), Seat(1)), (Seat::VIEWER, Seat::VIEWER)] {
        let mut sequencer = InputSequencer::new(ours);
        let packet = InputPacket { seat: theirs, ..sender.packet(0) };
        assert_eq!(sequencer.receive(now, &packet), []);
    }
}
