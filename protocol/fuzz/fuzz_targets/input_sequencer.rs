//! Any run of packets gives every serial at most once, in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nearframe_protocol::Seat;
use nearframe_protocol::input::InputPacket;
use nearframe_stream::InputSequencer;
use std::time::{Duration, Instant};

fuzz_target!(|bytes: &[u8]| {
    let mut sequencer = InputSequencer::new(Seat(0));
    let start = Instant::now();
    let mut rest = bytes;
    let mut step = 0;
    while let Some((&length, tail)) = rest.split_first() {
        let (packet, after) = tail.split_at(tail.len().min(usize::from(length)));
        let now = start + Duration::from_millis(step * 40);
        if let Ok(packet) = InputPacket::parse(packet) {
            let before = sequencer.acked();
            let applied = sequencer.receive(now, &packet);
            let ahead = sequencer.acked().wrapping_sub(before);
            assert!(ahead <= i32::MAX as u32, "serials never go back");
            assert!(applied.len() <= 64 + 2 * (256 + 5 + 4) + 256, "a packet makes a bounded number of events");
        }
        sequencer.handle_timeout(now);
        rest = after;
        step += 1;
    }
});
