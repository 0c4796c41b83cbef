//! Congestion control against links of many kinds, other flows, and libwebrtc's own.
#![allow(clippy::unwrap_used, reason = "a world that breaks its own rules fails its test")]

mod flow;
mod gcc;
mod gcc_sender;
#[path = "../pair/link.rs"]
#[allow(dead_code, reason = "the pair uses the rest")]
mod link;
mod tcp;
mod trace;
mod world;

use flow::Flow;
use link::Path;
use nearframe_stream::{BandwidthEstimator, DelayEstimator, PacketReport};
use proptest::prelude::*;
use std::time::{Duration, Instant};
use tcp::Kind;
use world::{World, alone, jain, median, percentile};

const SECOND: Duration = Duration::from_secs(1);
const PROPAGATION_MS: f64 = 10.0;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Age p99 in ms, bits a second, seconds of stills in this time.
fn shown(flow: &Flow, from_s: f64, to_s: f64) -> [f64; 3] {
    let p99 = percentile(&flow.ages_ms(from_s, to_s), 0.99);
    [p99, flow.delivered_bps(from_s, to_s), flow.stalled_s(from_s, to_s)]
}

#[test]
fn a_steady_link_is_used_well_and_hardly_queued() {
    for (rate, seeds) in [(4e6, 0..6), (8e6, 0..3), (15e6, 0..3)] {
        for seed in seeds {
            let world = alone(&Path::of(rate, ms(200)), Flow::ours, 15 * SECOND, seed);
            let used = world.flows[0].delivered_bps(5.0, 15.0) / rate;
            let queued = percentile(&world.flows[0].queueing_ms(5.0, 15.0), 0.95);
            assert!(
                used > 0.85 && queued < 8.0,
                "{rate:e}, seed {seed}: used {used:.2}, queued {queued:.1} ms"
            );
        }
    }
}

#[test]
fn an_encoder_that_takes_half_a_frames_time_uses_a_link_as_well() {
    for (rate, seed) in [(4e6, 0), (6e6, 1), (6e6, 2), (15e6, 3)] {
        let world = World::new(&Path::of(rate, ms(200)), seed);
        let flow = Flow::ours(world.start(), Duration::ZERO, seed).slow(ms(8));
        let world = world.with(flow).run_until(15 * SECOND);
        let used = world.flows[0].delivered_bps(5.0, 15.0) / rate;
        let queued = percentile(&world.flows[0].queueing_ms(5.0, 15.0), 0.95);
        assert!(used > 0.85 && queued < 8.3, "{rate:e}, seed {seed}: used {used:.2}, queued {queued:.1} ms");
    }
}

#[test]
fn a_picture_on_a_narrow_link_is_never_old() {
    for seed in 0..6 {
        let world = alone(&Path::of(4e6, ms(200)), Flow::ours, 15 * SECOND, seed);
        let ages = world.flows[0].ages_ms(5.0, 14.5);
        let (p50, p95) = (percentile(&ages, 0.5) - PROPAGATION_MS, percentile(&ages, 0.95) - PROPAGATION_MS);
        // A frame of 0.9 of its interval takes 15 ms to pass, however it is sent.
        assert!(p50 < 17.0 && p95 < 20.0, "seed {seed}: p50 {p50:.1}, p95 {p95:.1} ms");
    }
}

#[test]
fn nine_tenths_of_a_fast_link_are_used_within_two_seconds_and_a_slow_one_is_not_flooded() {
    for seed in 0..6 {
        let fast = alone(&Path::of(22e6, ms(100)), Flow::ours, 3 * SECOND, seed);
        let used = fast.flows[0].delivered_bps(2.0, 3.0);
        assert!(used > 0.9 * 20e6, "seed {seed}: {used:e}");
        let slow = alone(&Path::of(4e6, ms(200)), Flow::ours, 5 * SECOND, seed);
        let queued = percentile(&slow.flows[0].queueing_ms(0.0, 5.0), 1.0);
        assert!(queued < 100.0, "seed {seed}: {queued:.0} ms");
    }
}

#[test]
fn when_capacity_rises_it_is_taken_within_a_second() {
    for seed in 0..3 {
        let mut path = Path::of(4e6, ms(200));
        path.rate_bps.push((6 * SECOND, 18e6));
        let world = alone(&path, Flow::ours, 9 * SECOND, seed);
        let used = world.flows[0].delivered_bps(7.0, 9.0) / 18e6;
        assert!(used > 0.75, "seed {seed}: {used:.2}");
    }
}

#[test]
fn when_capacity_falls_to_a_quarter_the_picture_is_young_again_at_once() {
    let recoveries = |make, seeds: u64, limit_s| -> Vec<f64> {
        (0..seeds)
            .map(|seed| {
                // At all phases of frames and reports.
                let at = 6 * SECOND + ms(seed * 7);
                let mut path = Path::of(20e6, ms(200));
                path.rate_bps.push((at, 5e6));
                let world = alone(&path, make, limit_s * SECOND, seed);
                let base = percentile(&world.flows[0].ages_ms(3.0, 6.0), 0.5);
                world.flows[0].recovery_s(at.as_secs_f64(), 2.0 * base)
            })
            .collect()
    };
    let gcc = median(recoveries(Flow::gcc, 4, 14));
    // Three and a half times what it takes to hear of it: 10 ms to arrive, up to 50 until the next report where
    // none can be asked for, 10 back, up to 17 until the next frame.
    for (make, limits) in [(Flow::ours as fn(_, _, _) -> _, (0.14, 0.2)), (Flow::unasked, (0.21, 0.33))] {
        let ours = recoveries(make, 20, 9);
        let (longest, ours) = (ours.iter().copied().fold(0.0, f64::max), median(ours));
        assert!(ours < limits.0 && longest < limits.1, "median {ours:.3}, longest {longest:.3} s");
        assert!(ours < 0.3 * gcc, "{ours:.3} against {gcc:.3} s");
    }
}

#[test]
fn while_only_the_way_back_stands_still_the_picture_goes_on() {
    let senders = [(Flow::ours as fn(_, _, _) -> _, 8e6), (Flow::unasked, 8e6), (Flow::ours, 30e6)];
    // After a second without an answer a picture comes every 80 ms.
    for ((make, rate), (silent, limit_ms)) in
        senders.into_iter().flat_map(|sender| [(sender, (500, 60.0)), (sender, (1500, 100.0))])
    {
        for seed in 0..4 {
            let world = World::new(&Path::of(rate, ms(200)), seed);
            let flow: Flow = make(world.start(), Duration::ZERO, seed);
            let silence = 6 * SECOND..6 * SECOND + ms(silent);
            let world = world.with(flow.deaf(silence)).run_until(9 * SECOND);
            let [p99, _, still] = shown(&world.flows[0], 5.0, 8.5);
            assert!(
                still == 0.0 && p99 < limit_ms,
                "{rate:e}, {silent} ms, seed {seed}: still {still:.2} s, p99 {p99:.0} ms"
            );
        }
    }
}

#[test]
fn flows_of_our_own_share_a_link_fairly() {
    let share = |count: u32, seed: u64| {
        let mut world = World::new(&Path::of(12e6, ms(150)), seed);
        let start = world.start();
        for index in 0..count {
            world = world.with(Flow::ours(start, ms(5003) * index, seed * 10 + u64::from(index)));
        }
        let world = world.run_until(75 * SECOND);
        let shares: Vec<f64> = world.flows.iter().map(|flow| flow.delivered_bps(15.0, 75.0)).collect();
        assert!(shares.iter().sum::<f64>() > 0.8 * 12e6, "{shares:?}");
        jain(&shares)
    };
    for seed in 0..4 {
        let jain = share(2, seed);
        assert!(jain > 0.9, "two flows, seed {seed}: {jain:.3}");
    }
    // Flows whose frames keep meeting at the same phase take long to come to terms.
    let three: Vec<f64> = (0..4).map(|seed| share(3, seed)).collect();
    let mean = three.iter().sum::<f64>() / 4.0;
    assert!(mean > 0.9, "three flows: {three:?}");
}

#[test]
fn beside_tcp_the_share_is_between_half_and_twice_the_fair_one() {
    for kind in [Kind::Cubic, Kind::Reno] {
        for (buffer, seed) in [(60, 1), (100, 2), (150, 3), (200, 4), (300, 5)] {
            let world = World::new(&Path::of(12e6, ms(buffer)), seed);
            let flow = Flow::ours(world.start(), Duration::ZERO, seed);
            let world = world.with(flow).with_tcp(kind, 5 * SECOND..Duration::MAX).run_until(70 * SECOND);
            let ours = world.flows[0].delivered_bps(10.0, 70.0) / 6e6;
            let theirs = world.tcp_bps(0, 10.0, 70.0) / 6e6;
            let fair = 0.5..2.0;
            assert!(
                fair.contains(&ours) && fair.contains(&theirs),
                "{kind:?}, {buffer} ms: {ours:.2} and {theirs:.2} of a fair share"
            );
        }
    }
}

#[test]
fn when_others_are_gone_the_queue_is_short_again() {
    for seed in 0..3 {
        let world = World::new(&Path::of(12e6, ms(150)), seed);
        let flow = Flow::ours(world.start(), Duration::ZERO, seed);
        let world = world.with(flow).with_tcp(Kind::Cubic, 5 * SECOND..20 * SECOND).run_until(56 * SECOND);
        let queued = percentile(&world.flows[0].queueing_ms(46.0, 56.0), 0.95);
        let used = world.flows[0].delivered_bps(46.0, 56.0) / 12e6;
        assert!(queued < 25.0 && used > 0.8, "seed {seed}: queued {queued:.1} ms, used {used:.2}");
    }
}

#[test]
fn congestion_marks_hold_the_queue_below_where_it_is_seen() {
    for seed in 0..3 {
        // Frames of 2.5 Mbit/s in packets too few to measure dispersion: without marks the queue decides.
        let queued = |mark| {
            let path = Path { mark, ..Path::of(2e6, ms(200)) };
            let world = alone(&path, Flow::ours, 20 * SECOND, seed);
            let queued = percentile(&world.flows[0].queueing_ms(5.0, 20.0), 0.95);
            (queued, world.flows[0].delivered_bps(5.0, 20.0) / 2e6)
        };
        let ((without, _), (with, used)) = (queued(None), queued(Some(ms(12))));
        assert!(
            with < without + 1.0 && with < 12.0 && used > 0.7,
            "seed {seed}: {without:.1} → {with:.1} ms, {used:.2}"
        );
    }
}

#[test]
fn probes_of_a_quiet_encoder_hardly_queue() {
    for seed in 0..4 {
        let world = World::new(&Path::of(4e6, ms(200)), seed);
        let flow = Flow::ours(world.start(), Duration::ZERO, seed).quiet(1e6);
        let world = world.with(flow).run_until(40 * SECOND);
        let queued = percentile(&world.flows[0].queueing_ms(2.0, 40.0), 1.0);
        let target = world.flows[0].targets.last().unwrap().1;
        assert!(queued < 25.0 && target > 2e6, "seed {seed}: queued {queued:.1} ms, target {target:e}");
    }
}

/// Median ratios of p99 ages and of rates, ours to libwebrtc's, and seconds of stills of both.
fn compared(seeds: u64, run: impl Fn(u64, bool) -> [f64; 3]) -> (f64, f64, Vec<[f64; 2]>) {
    let pairs: Vec<_> = (0..seeds).map(|seed| (run(seed, true), run(seed, false))).collect();
    let ratio = |of: usize| median(pairs.iter().map(|(ours, gcc)| ours[of] / gcc[of]).collect());
    (ratio(0), ratio(1), pairs.iter().map(|(ours, gcc)| [ours[2], gcc[2]]).collect())
}

#[test]
fn on_a_fading_path_more_arrives_sooner_than_with_libwebrtc() {
    let (age, rate, stalls) = compared(6, |seed, ours| {
        let path = trace::path(trace::fading(seed, 60));
        let world = alone(&path, if ours { Flow::ours } else { Flow::gcc }, 60 * SECOND, seed);
        shown(&world.flows[0], 1.0, 59.0)
    });
    assert!(age < 0.33 && rate > 1.0, "age {age:.2}, rate {rate:.2}, stalls {stalls:?}");
    // Where the path is silent, nobody is shown anything: what is left to lose is little.
    assert!(stalls.iter().all(|[ours, gcc]| *ours < gcc + 0.2), "{stalls:?}");
}

#[test]
fn where_both_ways_fade_and_fall_silent_more_arrives_sooner_than_with_libwebrtc() {
    let (age, rate, stalls) = compared(6, |seed, ours| {
        let path = |seed: u64| {
            let trace = trace::begun_at(&trace::fading(seed, 60), seed as u32 % 64 * 7000);
            trace::short(trace)
        };
        let world = World::new(&path(seed), seed).back_over(&path(seed ^ 64), seed);
        let make = if ours { Flow::ours_to_ten } else { Flow::gcc_to_ten };
        let flow = make(world.start(), Duration::ZERO, seed);
        let world = world.with(flow).run_until(40 * SECOND);
        shown(&world.flows[0], 6.0, 40.0)
    });
    assert!(age < 0.33 && rate > 1.5, "age {age:.2}, rate {rate:.2}, stalls {stalls:?}");
    assert!(stalls.iter().all(|[ours, gcc]| *ours < gcc + 0.1), "{stalls:?}");
}

#[test]
fn after_a_dip_of_an_uneven_radio_the_rate_is_back_within_a_second() {
    let rate = 6e6;
    let used = (0..6).map(|seed| {
        let path = trace::path(trace::radio(seed, 20, rate, 8000..8600));
        let world = alone(&path, Flow::ours, 14 * SECOND, seed);
        let flow = &world.flows[0];
        assert!(flow.delivered_bps(5.0, 8.0) > 0.6 * rate, "seed {seed}: {:e}", flow.delivered_bps(5.0, 8.0));
        flow.delivered_bps(9.6, 12.6) / flow.delivered_bps(5.0, 8.0)
    });
    let used: Vec<f64> = used.collect();
    assert!(median(used.clone()) > 0.8 && used.iter().all(|used| *used > 0.6), "{used:.2?}");
}

#[test]
fn a_trace_is_read_as_mahimahi_writes_it() {
    assert_eq!(*trace::parse("0\n0\n3\n").unwrap(), [0, 0, 3]);
    assert!(trace::parse("1.5\n").is_err());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let world = alone(&trace::path(trace::fading(3, 5)), Flow::ours, 5 * SECOND, 9);
        (world.flows[0].targets.clone(), world.flows[0].passed.clone())
    };
    assert!(run() == run());
}

/// An arrival as a receiver may report it: nearly true, late, out of order, absurd, or none.
fn arrival(elapsed_us: u64) -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![
        6 => (0..60_000u64).prop_map(move |late| Some(Duration::from_micros(elapsed_us + late))),
        1 => (0..u64::MAX).prop_map(|at| Some(Duration::from_micros(at))),
        1 => Just(Some(Duration::MAX)),
        1 => Just(None),
    ]
}

/// Up to 40 reports of up to 30 packets each.
fn reports() -> impl Strategy<Value = Vec<Vec<(Option<Duration>, usize, bool)>>> {
    let packet = |report: u64| (arrival(report * 50_000), 60..1400usize, any::<bool>());
    let report = move |index| prop::collection::vec(packet(index), 1..30);
    (1..40u64).prop_flat_map(move |count| (0..count).map(report).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_reported_target_and_budget_stay_within_their_limits(reports in reports()) {
        let start = Instant::now();
        let mut estimator = DelayEstimator::new(start, 3e5, 3e6, 2e7);
        let mut now = start;
        for packets in reports {
            let sent: Vec<PacketReport> = packets
                .into_iter()
                .map(|(arrival, size, ce)| {
                    now += Duration::from_millis(1);
                    estimator.on_sent(now, size, ce);
                    PacketReport { departure: now, arrival, size, probe: None, ce }
                })
                .collect();
            now += Duration::from_millis(20);
            estimator.on_packets(now, &sent);
            let target = estimator.target_bps();
            prop_assert!((3e5..=2e7).contains(&target), "{}", target);
            let room = estimator.room_bytes(now, flow::FRAME, Duration::ZERO, 0);
            prop_assert!((0.0..=2e7).contains(&room), "{}", room);
        }
    }
}
