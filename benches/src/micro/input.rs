//! From the bytes of an input packet to events in order.

use super::seconds_per_unit;
use crate::report::{Report, Spec, lower};
use nearframe_protocol::Seat;
use nearframe_protocol::input::{HeldState, InputEvent, InputPacket, Key, TimedEvent};
use nearframe_stream::InputSequencer;
use std::hint::black_box;
use std::time::Instant;

const PACKETS: u32 = 4096;
/// Events repeated in every packet: what is unacknowledged within 20 ms of lively play.
const REPEATED: u32 = 8;

const INPUT: Spec = lower("input_ns_per_packet", "ns", None);

pub(super) fn run(report: &mut Report) {
    let packets: Vec<Vec<u8>> = (0..PACKETS).map(packet).collect();
    let now = Instant::now();
    let mut understood = true;
    let seconds = seconds_per_unit(|| {
        let mut sequencer = InputSequencer::new(Seat(0));
        for bytes in &packets {
            match InputPacket::parse(black_box(bytes)) {
                Ok(packet) => {
                    black_box(sequencer.receive(now, &packet));
                }
                Err(_) => understood = false,
            }
        }
        understood &= sequencer.acked() == PACKETS + REPEATED - 1;
        packets.len()
    });
    let seconds = if understood { seconds } else { None };
    report.add(INPUT, seconds.map(|s| s * 1e9), "the packets were not understood");
}

/// Packet `n` repeats all events but one of the packet before and adds one.
fn packet(n: u32) -> Vec<u8> {
    let mut held = HeldState::default();
    let events = (n..n + REPEATED)
        .map(|serial| {
            let down = serial % 2 == 0;
            held.set_key(Key(4), down);
            TimedEvent { age: 0, event: InputEvent::Key { key: Key(4), down } }
        })
        .collect();
    let packet = InputPacket {
        seat: Seat(0),
        focused: true,
        first_serial: n + 1,
        sent_us: u64::from(n),
        events,
        held,
    };
    let mut bytes = Vec::new();
    packet.write(&mut bytes);
    bytes
}
