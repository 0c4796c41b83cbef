//! `MediaSender` against a receiver's model over a simulated link: loss, bottlenecks, drops, outages.
#![allow(clippy::unwrap_used, reason = "a pair that breaks its own rules fails its test")]

mod ample;
mod audio;
mod colours;
mod link;
mod parity;
mod parts;
mod receiver;
mod recovery;
mod reference;
mod wire;
mod world;

use link::Path;
use nearframe_protocol::VideoCodec;
use nearframe_stream::{
    Feedback, MediaSender, OtherCodecs, PayloadTypes, SenderConfig, SenderEvent, TwccReport, VideoFrame,
};
use std::time::{Duration, Instant};
use world::{Encoder, World, config, percentile};

const SECOND: Duration = Duration::from_secs(1);

fn clean() -> Path {
    Path::of(50e6, Duration::from_millis(100))
}

#[test]
fn a_clean_fast_link_reaches_the_limit_within_three_seconds_and_stays_there() {
    for seed in 0..3 {
        let mut world = World::new(&clean(), Encoder::Hungry, seed);
        world.run_until(10 * SECOND);
        let late: Vec<_> = world.samples.iter().filter(|sample| sample.at > 3 * SECOND).collect();
        let lowest = late.iter().map(|sample| sample.target_bps).min().unwrap();
        assert_eq!(lowest, config().max_bps, "seed {seed}");
        assert_eq!((world.receiver.plis, world.link.dropped), (0, 0), "seed {seed}");
        assert!(world.receiver.decoded.len() + 2 >= world.frames as usize, "seed {seed}");
    }
}

#[test]
fn a_receiver_that_is_often_scheduled_late_is_not_taken_for_a_narrow_path() {
    for (every_ms, longest_ms) in [(100, 30), (500, 90)] {
        let stalls = Some((Duration::from_millis(every_ms), Duration::from_millis(longest_ms)));
        let path = Path { stalls, jitter: Duration::from_millis(6), ..clean() };
        let mut world = World::new(&path, Encoder::Hungry, 4);
        world.run_until(20 * SECOND);
        let late = world.samples.iter().filter(|sample| sample.at > 3 * SECOND);
        let lowest = late.map(|sample| sample.target_bps).min().unwrap();
        assert_eq!(lowest, config().max_bps, "stalls of {longest_ms} ms every {every_ms} ms");
    }
}

#[test]
fn a_quiet_encoder_keeps_its_target_and_probes_raise_it() {
    let mut world = World::new(&clean(), Encoder::Quiet(400_000.0), 1);
    world.run_until(12 * SECOND);
    let lowest = world.samples.iter().map(|sample| sample.target_bps).min().unwrap();
    assert!(lowest >= config().start_bps, "{lowest}");
    assert_eq!(world.samples.last().unwrap().target_bps, config().max_bps);
    assert!(world.receiver.probes > 0);
}

#[test]
fn every_frame_arrives_through_repairs_at_one_and_five_per_cent_loss() {
    for loss in [0.01, 0.05] {
        let mut world = World::new(&Path { loss, ..clean() }, Encoder::Hungry, 7);
        world.run_until(10 * SECOND);
        let wanted = (9.5 * 60.0) as usize;
        assert_eq!(world.decoded_between(0.0, 9.5), wanted, "loss {loss}");
        assert_eq!(world.receiver.plis, 0, "loss {loss}");
        assert!(world.sender.stats().retransmissions > 0);
        let reported = world.sender.usage().packets_lost as f64 / world.sender.usage().packets_sent as f64;
        assert!((reported / loss - 1.0).abs() < 0.3, "loss {loss} was counted as {reported}");
    }
}

#[test]
fn a_narrow_link_is_used_well_and_hardly_queued() {
    for seed in 0..3 {
        let mut world = World::new(&Path::of(4e6, Duration::from_millis(100)), Encoder::Hungry, seed);
        world.run_until(20 * SECOND);
        let queueing = world.queueing_ms(2.0, 20.0);
        let (p50, p95) = (percentile(&queueing, 0.5), percentile(&queueing, 0.95));
        let used = world.throughput_bps(2.0, 20.0) / 4e6;
        assert!(p95 < 60.0, "seed {seed}: p50 {p50:.1} p95 {p95:.1} ms, used {used:.2}");
        assert!(used > 0.7, "seed {seed}: p50 {p50:.1} p95 {p95:.1} ms, used {used:.2}");
    }
}

#[test]
fn paths_of_many_kinds_are_filled_without_standing_queues() {
    // Rate in Mbit/s, buffer, delay and jitter in ms, loss.
    for (name, rate, buffer, delay, jitter, loss) in [
        ("far", 15.0, 100, 60, 5, 0.0),
        ("far and lossy", 15.0, 100, 60, 20, 0.02),
        ("radio", 30.0, 100, 5, 20, 0.01),
        ("slow with a deep queue", 1.5, 1000, 15, 2, 0.0),
        ("deep queue", 8.0, 500, 20, 2, 0.0),
        ("narrow and lossy", 4.0, 100, 20, 2, 0.03),
    ] {
        let (delay, jitter) = (Duration::from_millis(delay), Duration::from_millis(jitter));
        let path = Path { delay, jitter, loss, ..Path::of(rate * 1e6, Duration::from_millis(buffer)) };
        let mut world = World::new(&path, Encoder::Hungry, 1);
        world.run_until(20 * SECOND);
        let p95 = percentile(&world.queueing_ms(3.0, 20.0), 0.95);
        assert!(p95 < 50.0, "{name}: {p95:.0} ms");
        let used = world.throughput_bps(3.0, 20.0) / (rate * 1e6).min(20e6);
        assert!(used > 0.65, "{name}: used {used:.2}");
        let decoded = world.decoded_between(0.0, 19.0);
        assert!(decoded >= 1130, "{name}: {decoded} of 1140 frames");
    }
}

#[test]
fn after_a_capacity_drop_the_queue_is_short_again_within_one_and_a_half_seconds() {
    for seed in 0..3 {
        let mut path = Path::of(8e6, Duration::from_millis(100));
        path.rate_bps.push((8 * SECOND, 2e6));
        let mut world = World::new(&path, Encoder::Hungry, seed);
        world.run_until(16 * SECOND);
        let p95 = percentile(&world.queueing_ms(9.5, 16.0), 0.95);
        assert!(p95 < 80.0, "seed {seed}: p95 {p95:.1} ms");
        let used = world.throughput_bps(9.5, 16.0) / 2e6;
        assert!(used > 0.6, "seed {seed}: used {used:.2}");
        let decoded = world.decoded_between(9.5, 15.5);
        assert!(decoded >= 350, "seed {seed}: {decoded} of 360 frames");
    }
}

#[test]
fn an_outage_of_three_seconds_ends_with_a_keyframe_and_no_backlog() {
    for seed in 0..3 {
        let path = Path { outage: 5 * SECOND..8 * SECOND, ..Path::of(10e6, Duration::from_millis(100)) };
        let mut world = World::new(&path, Encoder::Hungry, seed);
        world.run_until(14 * SECOND);
        assert!(world.keyframes_asked > 0, "seed {seed}");
        let most = world.samples.iter().map(|sample| sample.paced_bytes).max().unwrap();
        assert!(most < 300_000, "seed {seed}: {most} bytes waited");
        let back = world.receiver.decoded.iter().find(|(_, at)| *at - world.start > 8 * SECOND).unwrap();
        let took = back.1 - world.start - 8 * SECOND;
        assert!(took < SECOND, "seed {seed}: {took:?}");
        assert!(world.decoded_between(9.5, 13.5) >= 235, "seed {seed}");
        let soon = world.samples.iter().find(|sample| sample.at >= 9 * SECOND).unwrap().target_bps;
        let last = world.samples.last().unwrap().target_bps;
        assert!(
            soon > 5_000_000 && last > 6_000_000,
            "seed {seed}: {soon} after a second, {last} at the end"
        );
    }
}

#[test]
fn a_path_that_becomes_longer_does_not_starve_the_stream() {
    let mut world = World::new(&clean(), Encoder::Hungry, 5);
    world.run_until(5 * SECOND);
    world.link.lengthen(Duration::from_millis(30));
    world.run_until(16 * SECOND);
    let last = world.samples.last().unwrap().target_bps;
    assert!(last > config().max_bps / 2, "{last}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let path = Path { loss: 0.02, ..Path::of(6e6, Duration::from_millis(100)) };
        let mut world = World::new(&path, Encoder::Hungry, 11);
        world.run_until(4 * SECOND);
        (world.passed, world.samples)
    };
    assert!(run() == run());
}

fn frame(number: u32, keyframe: bool, size: usize) -> Vec<u8> {
    let mut data = vec![0x77; size];
    data[..6].copy_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, number as u8 | 1]);
    data
}

fn push(sender: &mut MediaSender, now: Instant, number: u32, keyframe: bool) {
    let data = frame(number, keyframe, 5000);
    let rtp_timestamp = number * 1500;
    let frame = VideoFrame {
        frame: number,
        rtp_timestamp,
        keyframe,
        codec: VideoCodec::H264,
        refers_to: None,
        data: &data,
    };
    sender.push_video(now, frame);
}

/// Everything but changes of the target.
fn events(sender: &mut MediaSender) -> Vec<SenderEvent> {
    let events = std::iter::from_fn(|| sender.poll_event());
    events.filter(|event| !matches!(event, SenderEvent::TargetBitrate { .. })).collect()
}

#[test]
fn a_keyframe_is_asked_for_once_however_often_the_picture_is_reported_lost() {
    let now = Instant::now();
    let mut sender = MediaSender::new(config(), now, 0);
    push(&mut sender, now, 0, true);
    let mut at = now;
    while let Some(due) = sender.poll_timeout() {
        at = at.max(due);
        while sender.poll_packet(at).is_some() {}
    }
    events(&mut sender);
    sender.handle_feedback(at, Feedback::Pli);
    assert_eq!(events(&mut sender), [], "the keyframe that just left answers it");
    let later = at + SECOND;
    (0..5).for_each(|_| sender.handle_feedback(later, Feedback::Pli));
    assert_eq!(events(&mut sender), [SenderEvent::KeyframeNeeded]);
}

#[test]
fn video_that_waited_too_long_is_dropped_until_the_next_keyframe() {
    let now = Instant::now();
    let mut sender = MediaSender::new(config(), now, 0);
    push(&mut sender, now, 0, true);
    let late = now + SECOND;
    push(&mut sender, late, 1, false);
    assert_eq!(sender.poll_packet(late), None);
    assert_eq!(events(&mut sender), [SenderEvent::KeyframeNeeded]);
    assert_eq!(sender.stats().frames_dropped, 2);
    push(&mut sender, late, 2, true);
    let packet = sender.poll_packet(late).unwrap();
    assert_eq!(packet.timestamp, 3000);
    assert_eq!(events(&mut sender), [SenderEvent::FrameSent { frame: 2, at: late }]);
}

#[test]
fn every_video_packet_asks_for_no_playout_delay_and_has_its_own_transport_number() {
    let now = Instant::now();
    let mut sender = MediaSender::new(config(), now, 3);
    push(&mut sender, now, 0, true);
    sender.push_audio(now, 480, &[1, 2, 3]);
    let packets: Vec<_> =
        (0..40).filter_map(|ms| sender.poll_packet(now + Duration::from_millis(ms))).collect();
    assert_eq!(packets.len(), 6);
    let numbers: Vec<u16> = packets
        .iter()
        .map(|packet| {
            let (_, content) = packet.extensions.iter().find(|(id, _)| *id == 5).unwrap();
            u16::from_be_bytes([content[0], content[1]])
        })
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    let video = packets.iter().filter(|packet| packet.ssrc == world::VIDEO_SSRC);
    for packet in video {
        assert!(packet.extensions.iter().any(|extension| extension == (4, &[0; 3][..])));
    }
    assert_eq!(packets.iter().filter(|packet| packet.marker).count(), 1);
}

#[test]
fn without_transport_feedback_receiver_reports_count_the_lost_and_steer_the_target() {
    let now = Instant::now();
    let mut plain = config();
    plain.extensions.transport_cc = None;
    plain.audio_extensions.transport_cc = None;
    let mut sender = MediaSender::new(plain, now, 0);
    let report = |fraction_lost, highest_seq| Feedback::ReceiverReport {
        ssrc: world::VIDEO_SSRC,
        fraction_lost,
        highest_seq,
        jitter: 0,
        rtt: Some(Duration::from_millis(30)),
    };
    let start_bps = sender.stats().target_bps;
    sender.handle_feedback(now, report(0.0, 1000));
    assert!(sender.stats().target_bps > start_bps);
    sender.handle_feedback(now, report(0.25, 1400));
    assert_eq!(sender.usage().packets_lost, 100);
    assert!(sender.stats().target_bps < start_bps);
    assert_eq!(sender.usage().rtt, Some(Duration::from_millis(30)));
}

#[test]
fn whatever_the_receiver_reports_is_survived() {
    [config(), world::resilient()].into_iter().for_each(survives);
}

fn survives(config: SenderConfig) {
    let now = Instant::now();
    let mut sender = MediaSender::new(config, now, 0);
    push(&mut sender, now, 0, true);
    while sender.poll_packet(now).is_some() {}
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let arrivals = [None, Some(Duration::MAX), Some(Duration::ZERO)];
    let reports = all.iter().map(|&seq| (seq, arrivals[usize::from(seq) % 3])).collect();
    for feedback in [
        Feedback::Nack { ssrc: world::VIDEO_SSRC, sequences: all.clone() },
        Feedback::Nack { ssrc: 99, sequences: all },
        Feedback::TransportCc(TwccReport { base_seq: 7, reports, marked: vec![9; 3] }),
        Feedback::Remb { bps: 0 },
        Feedback::Remb { bps: u64::MAX },
        Feedback::ReceiverReport {
            ssrc: world::VIDEO_SSRC,
            fraction_lost: f32::NAN,
            highest_seq: u32::MAX,
            jitter: u32::MAX,
            rtt: Some(Duration::MAX),
        },
    ] {
        sender.handle_feedback(now, feedback.clone());
        sender.handle_feedback(now + SECOND, feedback);
        sender.handle_timeout(now + SECOND * 2);
    }
    let target = sender.stats().target_bps;
    assert!((config.min_bps..=config.max_bps).contains(&target), "{target}");
}

#[test]
fn at_half_the_frame_rate_a_frame_may_be_twice_as_large() {
    let mut world = World::new(&Path::of(4e6, Duration::from_millis(100)), Encoder::Hungry, 3);
    world.run_until(8 * SECOND);
    let now = world.now;
    let before = world.sender.frame_limit(now, 8_000_000).unwrap() as f64;
    world.sender.set_frame_rate(30);
    let after = world.sender.frame_limit(now, 8_000_000).unwrap() as f64;
    // What is queued already counts against both.
    assert!(after > 1.8 * before && after > 8_000.0, "{before} bytes at 60, {after} at 30 frames a second");
}

#[test]
fn a_pictures_codec_is_its_payload_type_also_when_it_is_sent_again_and_what_is_not_agreed_is_not_sent() {
    let now = Instant::now();
    let av1 = PayloadTypes { media: 45, rtx: Some(46) };
    let config =
        SenderConfig { other_codecs: OtherCodecs { av1: Some(av1), ..OtherCodecs::default() }, ..config() };
    let mut sender = MediaSender::new(config, now, 0);
    assert!(
        sender.takes(VideoCodec::H264) && sender.takes(VideoCodec::Av1) && !sender.takes(VideoCodec::Hevc)
    );
    // A frame OBU of 300 bytes.
    let data = [vec![0x32, 0xac, 2], vec![0x77; 300]].concat();
    let (rtp_timestamp, keyframe, refers_to) = (0, true, None);
    for codec in [VideoCodec::Hevc, VideoCodec::Av1] {
        let frame = VideoFrame { frame: 0, rtp_timestamp, keyframe, codec, refers_to, data: &data };
        sender.push_video(now, frame);
    }
    let sent: Vec<_> = std::iter::from_fn(|| sender.poll_packet(now)).collect();
    assert_eq!(sent.len(), 1, "one packet, of AV1");
    assert_eq!((sent[0].payload_type, sent[0].ssrc, sent[0].payload[0]), (45, world::VIDEO_SSRC, 0x10));
    let later = now + Duration::from_millis(100);
    sender.handle_feedback(
        later,
        Feedback::Nack { ssrc: world::VIDEO_SSRC, sequences: vec![sent[0].sequence] },
    );
    let again = std::iter::from_fn(|| sender.poll_packet(later)).next().unwrap();
    assert_eq!((again.payload_type, again.ssrc), (46, world::RTX_SSRC));
}
