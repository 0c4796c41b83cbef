//! Audio that carries itself once more while packets are lost.

use crate::link::Path;
use crate::world::{AUDIO_SSRC, Encoder, RED_TYPE, World, percentile, resilient};
use nearframe_stream::PacketKind;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn lossy(loss: f64) -> Path {
    Path { loss, delay: Duration::from_millis(40), ..Path::of(50e6, Duration::from_millis(100)) }
}

#[test]
fn ten_per_cent_loss_leaves_hardly_a_gap_in_audio() {
    let mut world = World::with(resilient(), &lossy(0.1), Encoder::Quiet(2e6), 3);
    world.run_until(20 * SECOND);
    // The first second is not yet known to be lossy.
    let spoken = 100..world.audio_frames - 10;
    let missed = spoken.clone().filter(|frame| !world.receiver.audio.contains_key(&(frame * 480))).count();
    assert!(missed as f64 <= 0.003 * spoken.len() as f64, "{missed} of {}", spoken.len());
    assert_eq!(world.receiver.audio_blocks, 3);
}

#[test]
fn without_loss_audio_is_in_red_and_carries_nothing_twice() {
    let mut world = World::with(resilient(), &lossy(0.0), Encoder::Quiet(2e6), 3);
    world.fault = Box::new(|_, packet| {
        assert!(packet.ssrc != AUDIO_SSRC || packet.payload_type == RED_TYPE);
        assert!(packet.ssrc != AUDIO_SSRC || packet.payload.len() == 161);
        false
    });
    world.run_until(5 * SECOND);
    assert_eq!(world.receiver.audio_blocks, 1);
}

#[test]
fn audio_never_waits_for_video() {
    let path = Path { delay: Duration::from_millis(40), ..Path::of(50e6, Duration::from_millis(100)) };
    let mut world = World::with(resilient(), &path, Encoder::Hungry, 3);
    let mut late = 0;
    let mut next = 0;
    world.fault = Box::new(move |at, packet| {
        if packet.kind == PacketKind::Audio {
            late += usize::from(at > Duration::from_millis(10 * next + 1));
            next += 1;
            assert_eq!(late, 0, "audio of {} ms left after {at:?}", 10 * (next - 1));
        }
        false
    });
    world.run_until(5 * SECOND);
    let ages = world.receiver.audio.iter().map(|(&timestamp, &at)| {
        let made = Duration::from_millis(u64::from(timestamp) / 48);
        (at - world.start).saturating_sub(made).as_secs_f64() * 1000.0
    });
    let mut ages: Vec<f64> = ages.collect();
    ages.sort_by(f64::total_cmp);
    assert!(percentile(&ages, 0.99) < 60.0, "{:.1} ms", percentile(&ages, 0.99));
}
