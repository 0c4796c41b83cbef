//! Loss, and what the player sees of it.

use crate::link::{Dice, Path};
use crate::world::{
    AUDIO_SSRC, Encoder, FEC_SSRC, Fault, RTX_SSRC, VIDEO_SSRC, World, percentile, resilient,
};
use nearframe_stream::PacketKind;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const FRAME_MS: f64 = 1000.0 / 60.0;

fn path(delay_ms: u64) -> Path {
    Path { delay: Duration::from_millis(delay_ms), ..Path::of(50e6, Duration::from_millis(100)) }
}

/// Gilbert–Elliott: loses this share of all packets, in bursts of `burst` on average.
fn bursts(loss: f64, burst: f64, seed: u64) -> Fault {
    let mut dice = Dice(seed);
    let mut bad = false;
    let enters = loss / (1.0 - loss) / burst;
    Box::new(move |_, _| {
        bad = if bad { dice.roll() >= 1.0 / burst } else { dice.roll() < enters };
        bad
    })
}

/// Redundant bytes over bytes of video.
fn redundancy(world: &World) -> f64 {
    let stats = world.sender.stats();
    let media = stats.usage.packets_sent - stats.retransmissions - stats.fec_packets;
    (stats.retransmissions + stats.fec_packets) as f64 / media as f64
}

fn run(delay_ms: u64, loss: f64, burst: f64, parity: bool, seed: u64) -> World {
    let mut config = resilient();
    config.fec = config.fec.filter(|_| parity);
    let mut world = World::with(config, &path(delay_ms), Encoder::Quiet(10e6), seed);
    world.fault = bursts(loss, burst, seed + 100);
    world.run_until(12 * SECOND);
    world
}

#[test]
fn loss_at_any_distance_costs_no_keyframe_and_little_redundancy() {
    for delay_ms in [10, 40] {
        for (loss, burst) in [(0.01, 1.0), (0.03, 1.0), (0.05, 1.0), (0.01, 5.0), (0.03, 5.0), (0.05, 5.0)] {
            let world = run(delay_ms, loss, burst, true, 5);
            let name = format!("{delay_ms} ms, loss {loss}, bursts of {burst}");
            assert_eq!((world.keyframes_asked, world.receiver.plis), (0, 0), "{name}");
            assert!(world.nothing_corrupt(), "{name}");
            let decoded = world.decoded_between(1.0, 11.0);
            assert!(decoded >= 580, "{name}: {decoded} of 600 frames");
            assert!(redundancy(&world) <= 0.13, "{name}: {:.3}", redundancy(&world));
        }
    }
}

#[test]
fn parity_halves_the_late_frames_where_a_round_trip_is_long() {
    for (loss, burst, share) in [(0.01, 1.0, 0.4), (0.03, 1.0, 0.4), (0.03, 5.0, 0.65)] {
        let late = |parity| -> usize {
            (0..2)
                .map(|seed| {
                    let world = run(40, loss, burst, parity, seed);
                    let ages = world.ages_ms(2.0, 11.0);
                    ages.iter().filter(|&&age| age > 40.0 + 3.0 * FRAME_MS).count()
                })
                .sum()
        };
        let (with, without) = (late(true), late(false));
        assert!(
            with as f64 <= without as f64 * share,
            "loss {loss}, bursts of {burst}: {with} late, {without} without parity"
        );
    }
}

#[test]
fn parity_lets_frames_keep_their_turn_where_a_round_trip_is_short() {
    // A frame that comes half an interval later than it may finds the next one in its turn.
    for (loss, burst, share) in [(0.01, 1.0, 0.3), (0.03, 1.0, 0.3), (0.05, 1.0, 0.6), (0.03, 5.0, 0.85)] {
        let late = |parity| -> usize {
            (0..2)
                .map(|seed| {
                    let ages = run(10, loss, burst, parity, seed).ages_ms(2.0, 11.0);
                    ages.iter().filter(|&&age| age > 10.0 + FRAME_MS).count()
                })
                .sum()
        };
        let (with, without) = (late(true), late(false));
        assert!(
            with as f64 <= without as f64 * share,
            "loss {loss}, bursts of {burst}: {with} late, {without} without parity"
        );
    }
}

#[test]
fn a_packet_that_is_lost_with_its_parity_is_repeated_before_it_is_asked_for_again() {
    const LOST: u32 = 300;
    let mut world = World::with(resilient(), &path(20), Encoder::Quiet(8e6), 3);
    world.receiver.nack_interval = Duration::from_millis(300);
    let (mut count, mut of_frame) = (0, 0);
    world.fault = Box::new(move |_, packet| {
        count += 1;
        if packet.timestamp != LOST * 1500 || packet.ssrc == AUDIO_SSRC {
            // There is parity only where packets are lost.
            return packet.timestamp < LOST * 1500 && count % 60 == 0;
        }
        of_frame += u32::from(packet.ssrc == VIDEO_SSRC);
        packet.ssrc == FEC_SSRC || packet.ssrc == VIDEO_SSRC && of_frame == 4
    });
    world.run_until(8 * SECOND);
    assert!(world.sender.stats().fec_packets > 50);
    let (_, at) = world.receiver.decoded.iter().find(|(timestamp, _)| *timestamp == LOST * 1500).unwrap();
    let age_ms = (*at - world.start).as_secs_f64() * 1000.0 - f64::from(LOST) * FRAME_MS;
    // To the receiver, its report, which comes every 50 ms here, and the way back and forth.
    assert!(age_ms < 20.0 + 50.0 + 40.0 + 2.0 * FRAME_MS, "{age_ms:.0} ms");
}

/// Loses every packet of frame `frame`, however often it is sent.
fn without_frame(frame: u32) -> Fault {
    let mut first = None;
    let mut lost = std::collections::BTreeSet::new();
    Box::new(move |_, packet| match (packet.ssrc, packet.kind) {
        (VIDEO_SSRC, PacketKind::Video) if packet.timestamp == frame * 1500 => {
            first.get_or_insert(packet.sequence);
            lost.insert(packet.sequence);
            true
        }
        (RTX_SSRC, _) => lost.contains(&u16::from_be_bytes([packet.payload[0], packet.payload[1]])),
        _ => false,
    })
}

#[test]
fn after_a_frame_is_lost_for_good_the_picture_is_whole_within_a_round_trip_and_two_frames() {
    for (delay_ms, lost) in [(10, 200), (30, 201), (60, 202)] {
        let mut world = World::with(resilient(), &path(delay_ms), Encoder::Quiet(6e6), 1);
        world.fault = without_frame(lost);
        world.run_until(8 * SECOND);
        assert_eq!((world.keyframes_asked, world.receiver.plis), (0, 0), "{delay_ms} ms");
        assert_eq!(world.lost_at.len(), 1, "{delay_ms} ms: {:?}", world.lost_at);
        assert!(world.nothing_corrupt());
        let told = world.lost_at[0];
        let back = world.receiver.decoded.iter().find(|(timestamp, _)| *timestamp > lost * 1500).unwrap();
        let took = (back.1 - world.start).saturating_sub(told);
        let allowed = Duration::from_millis(2 * delay_ms) + Duration::from_secs_f64(2.0 * FRAME_MS / 1000.0);
        assert!(took <= allowed, "{delay_ms} ms: whole again after {took:?}, allowed {allowed:?}");
        let reference = world.references[(back.0 / 1500) as usize].unwrap();
        assert!(reference < lost, "{reference}");
        // All that follows is shown.
        let first = f64::from(back.0 / 1500) / 60.0;
        assert_eq!(world.decoded_between(first, 7.5), ((7.5 - first) * 60.0).round() as usize);
    }
}

#[test]
fn frames_are_reported_received_once_in_order_and_never_the_lost_one() {
    let mut world = World::with(resilient(), &path(10), Encoder::Quiet(6e6), 1);
    world.fault = without_frame(200);
    world.run_until(6 * SECOND);
    assert!(world.received.is_sorted_by(|before, after| before < after));
    assert!(!world.received.contains(&200));
    let newest = *world.received.last().unwrap();
    assert!(newest + 15 > world.frames, "{newest} of {}", world.frames);
    let shown: Vec<u32> = world.receiver.decoded.iter().map(|(timestamp, _)| timestamp / 1500).collect();
    assert!(world.received.iter().all(|frame| shown.binary_search(frame).is_ok()));
}

#[test]
fn lost_reports_and_lost_requests_are_no_lost_frames() {
    for (delay_ms, loss) in [(10, 0.05), (40, 0.03)] {
        // Both directions lose.
        let path = Path { loss, ..path(delay_ms) };
        let mut world = World::with(resilient(), &path, Encoder::Quiet(6e6), 8);
        world.run_until(12 * SECOND);
        let name = format!("{delay_ms} ms, loss {loss}");
        assert_eq!((world.keyframes_asked, world.receiver.plis), (0, 0), "{name}");
        assert!(world.lost_at.len() <= 1, "{name}: {:?}", world.lost_at);
        let newest = *world.received.last().unwrap();
        assert!(newest + 60 > world.frames, "{name}: {newest} of {}", world.frames);
        assert!(world.nothing_corrupt(), "{name}");
    }
}

#[test]
fn an_outage_ends_with_the_picture_back_and_nothing_corrupt() {
    for seed in 0..3 {
        let outage = 4 * SECOND..4 * SECOND + Duration::from_millis(400);
        let path = Path { outage, ..path(20) };
        let mut world = World::with(resilient(), &path, Encoder::Hungry, seed);
        world.run_until(8 * SECOND);
        assert!(world.nothing_corrupt());
        let back =
            world.receiver.decoded.iter().find(|(_, at)| *at - world.start > Duration::from_millis(4400));
        let took = back.unwrap().1 - world.start - Duration::from_millis(4400);
        assert!(took < Duration::from_millis(700), "seed {seed}: {took:?}");
        assert!(world.decoded_between(6.0, 7.5) >= 85, "seed {seed}");
    }
}

#[test]
fn percentiles_of_a_clean_path_are_unchanged_by_all_this() {
    let mut plain = World::new(&path(10), Encoder::Quiet(6e6), 2);
    let mut resilient = World::with(resilient(), &path(10), Encoder::Quiet(6e6), 2);
    let age = |world: &mut World| {
        world.run_until(6 * SECOND);
        percentile(&world.ages_ms(3.0, 5.5), 0.95)
    };
    let (plain, resilient) = (age(&mut plain), age(&mut resilient));
    assert!(resilient < plain + 0.5, "{resilient:.2} ms, {plain:.2} ms without");
}
