//! What must hold for every link, and for some in numbers.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

use nearframe_link::{
    Delivery, Ecn, Fate, Jitter, Link, LinkSpec, Loss, Outage, Queue, Rate, Reordering, Trace,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

fn link(text: &str) -> Link<u64> {
    Link::new(text.parse().unwrap(), 1).unwrap()
}

/// Everything that arrives by `at`.
fn drain(link: &mut Link<u64>, at: Duration) -> Vec<Delivery<u64>> {
    std::iter::from_fn(|| link.poll(at)).collect()
}

/// Pushes `bps` of packets of 1200 bytes over a time and returns what arrived in it and after it.
fn send(link: &mut Link<u64>, bps: u64, from: Duration, length: Duration) -> Vec<Delivery<u64>> {
    let every = Duration::from_nanos(1200 * 8 * 1_000_000_000 / bps);
    let mut arrived = Vec::new();
    for number in 0..(length.as_nanos() / every.as_nanos()) as u32 {
        let at = from + every * number;
        arrived.extend(drain(link, at));
        link.push(at, 1200, Ecn::Ect1, u64::from(number));
    }
    arrived.extend(drain(link, Duration::from_secs(100_000)));
    arrived
}

fn bps_between(arrived: &[Delivery<u64>], from: Duration, until: Duration) -> f64 {
    let bytes: u64 =
        arrived.iter().filter(|one| (from..until).contains(&one.at)).map(|one| u64::from(one.size)).sum();
    bytes as f64 * 8.0 / (until - from).as_secs_f64()
}

#[test]
fn a_full_link_carries_exactly_its_rate_before_and_after_a_step() {
    let mut link = link("rate=20M:5M@10s queue=50ms");
    let arrived = send(&mut link, 30_000_000, Duration::ZERO, ms(20_000));
    for (from, bps) in [(1, 20e6), (5, 20e6), (8, 20e6), (11, 5e6), (15, 5e6), (18, 5e6)] {
        let seen = bps_between(&arrived, ms(from * 1000), ms(from * 1000 + 1000));
        assert!((seen / bps - 1.0).abs() < 0.002, "{seen} bit/s from {from} s");
    }
    assert_eq!(link.capacity_bytes(Duration::ZERO, ms(20_000)), Some(31_250_000));
}

#[test]
fn a_full_trace_carries_its_opportunities_in_every_period() {
    let moments: Vec<u32> = (0..500).map(|i| i * 2 + i % 3).collect();
    let trace = Trace::new(moments).unwrap();
    let (period, bps) = (trace.period(), trace.mean_bps() as f64);
    let spec = LinkSpec { rate: Rate::trace(trace), queue: Queue::Bytes(100_000), ..LinkSpec::default() };
    let arrived = send(&mut Link::new(spec, 1).unwrap(), 20_000_000, Duration::ZERO, period * 10);
    for cycle in 1..9 {
        let seen = bps_between(&arrived, period * cycle, period * (cycle + 1));
        assert!((seen / bps - 1.0).abs() < 0.003, "{seen} bit/s instead of {bps} in period {cycle}");
    }
}

#[test]
fn a_queue_in_time_delays_by_at_most_that_time() {
    let mut link = link("rate=4M queue=200ms delay=10ms");
    let arrived = send(&mut link, 8_000_000, Duration::ZERO, ms(5_000));
    let longest = arrived.iter().map(|one| one.queued).max().unwrap();
    assert!((ms(195)..=ms(200)).contains(&longest), "{longest:?}");
    assert!(link.stats().queue_full > 0);
}

#[test]
fn an_outage_delivers_nothing_and_what_waited_comes_after_it() {
    let mut link = link("rate=10M queue=1MB outage=1s+500ms");
    let arrived = send(&mut link, 5_000_000, Duration::ZERO, ms(3_000));
    assert!(!arrived.iter().any(|one| (ms(1_001)..ms(1_500)).contains(&one.at)));
    assert_eq!(link.stats().delivered, link.stats().sent);
    assert_eq!(arrived.iter().map(|one| one.queued).max().unwrap().as_millis(), 500);
}

#[test]
fn what_is_under_way_at_a_change_of_address_is_lost() {
    let mut link = link("delay=20ms address_change=100ms");
    let fates: Vec<_> = (0..200).map(|i| link.push(ms(i), 100, Ecn::NotEct, i)).collect();
    let lost: Vec<_> = (0..200).filter(|i| matches!(fates[*i], Fate::Lost { .. })).collect();
    assert_eq!(lost, (80..100).collect::<Vec<_>>());
}

#[test]
fn packets_that_allow_it_are_marked_when_they_would_wait_too_long() {
    let mut link = link("rate=10M queue=100ms mark=5ms");
    let arrived = send(&mut link, 12_000_000, Duration::ZERO, ms(2_000));
    assert!(arrived.iter().all(|one| (one.ecn == Ecn::Ce) == (one.queued > ms(5))));
    assert!(link.stats().marked > 100);
    // A sender that knows no marks gets none, and one that was marked before stays marked.
    let at = Duration::from_secs(200_000);
    for i in 0..30 {
        assert!(matches!(link.push(at, 1200, Ecn::NotEct, i), Fate::Arrives { marked: false, .. }));
    }
    assert!(matches!(link.push(at, 1200, Ecn::Ce, 30), Fate::Arrives { marked: false, .. }));
    assert_eq!(drain(&mut link, at * 2).pop().unwrap().ecn, Ecn::Ce);
}

#[test]
fn lost_packets_use_the_link_up_and_jitter_does_not_change_which_are_lost() {
    let lost = |text: &str| {
        let mut link = link(text);
        let fates = (0..20_000).map(|i| matches!(link.push(ms(i), 1200, Ecn::NotEct, i), Fate::Lost { .. }));
        fates.collect::<Vec<_>>()
    };
    let plain = lost("rate=20M loss=3% burst=5");
    assert_eq!(plain, lost("rate=20M loss=3% burst=5 jitter=5ms reorder=1%x5ms"));
    let share = plain.iter().filter(|lost| **lost).count() as f64 / plain.len() as f64;
    assert!((0.02..0.04).contains(&share), "{share}");
    let mut link = link("rate=12M loss=0.99");
    let queued = |fate: Fate| match fate {
        Fate::Lost { queued } | Fate::Arrives { queued, .. } => queued,
        Fate::QueueFull => panic!("there is room"),
    };
    let waits: Vec<_> = (0..3).map(|i| queued(link.push(ms(0), 1500, Ecn::NotEct, i))).collect();
    assert_eq!(waits, [ms(1), ms(2), ms(3)]);
}

#[test]
fn a_restart_begins_the_steps_anew_and_keeps_what_was_pushed() {
    let mut link = link("rate=12M:1.2M@1s queue=1MB");
    link.push(ms(5_000), 1500, Ecn::NotEct, 0);
    assert_eq!(link.poll_timeout(), Some(ms(5_010)));
    link.restart(ms(5_000), link.spec().clone()).unwrap();
    // Behind the first, now at the first step's rate.
    link.push(ms(5_000), 1500, Ecn::NotEct, 1);
    let arrived: Vec<_> = drain(&mut link, ms(6_000)).iter().map(|one| one.at).collect();
    assert_eq!(arrived, [ms(5_010), ms(5_011)]);
}

#[test]
fn a_restart_draws_the_same_chances_and_refuses_what_cannot_be() {
    let mut link = link("loss=20%");
    let mut fates = |from: u64| {
        let fates =
            (0..50).map(|i| matches!(link.push(ms(from + i), 100, Ecn::NotEct, i), Fate::Lost { .. }));
        let fates: Vec<_> = fates.collect();
        link.restart(ms(from + 50), link.spec().clone()).unwrap();
        let impossible = LinkSpec { rate: Rate::Steps(Vec::new()), ..LinkSpec::default() };
        assert!(link.restart(ms(from + 50), impossible).is_err());
        fates
    };
    assert_eq!(fates(0), fates(1_000));
}

#[test]
fn only_packets_held_back_are_overtaken_unless_jitter_is_free() {
    let overtaken = |text: &str| {
        let arrived = send(&mut link(text), 4_000_000, Duration::ZERO, ms(10_000));
        arrived.windows(2).filter(|pair| pair[0].packet > pair[1].packet).count()
    };
    assert_eq!(overtaken("delay=10ms jitter=10ms"), 0);
    assert!(overtaken("delay=10ms free_jitter=10ms") > 100);
    assert!((20..80).contains(&overtaken("delay=10ms reorder=1%x10ms")));
}

#[test]
fn a_simulated_hour_is_quick_to_run_and_holds_no_more_than_its_queue() {
    let mut link = link("rate=4M:1M@600s:8M@1200s queue=64kB delay=10ms loss=1% burst=3");
    let mut most = 0;
    for number in 0..360_000_u64 {
        link.push(ms(number * 10), 1200, Ecn::NotEct, number);
        most = most.max(link.queue_bytes());
        drain(&mut link, ms(number * 10));
    }
    assert!(most <= 64_000, "{most}");
    assert!(link.under_way() < 1000);
}

fn specs() -> impl Strategy<Value = LinkSpec> {
    let rates = prop_oneof![
        Just(Rate::Unlimited),
        (100_000u64..50_000_000).prop_map(Rate::constant),
        ("(20|3)M:[1-9]M@[1-3]s").prop_map(|text| text.parse().unwrap()),
        vec(0u32..400, 2..50).prop_map(|mut moments| {
            moments.sort_unstable();
            moments.push(401);
            Rate::trace(Trace::new(moments).unwrap())
        }),
    ];
    let queues = prop_oneof![
        (1_500u64..200_000).prop_map(Queue::Bytes),
        (1u64..500).prop_map(|time| Queue::Time(ms(time))),
    ];
    let losses = prop_oneof![
        Just(Loss::None),
        (0.0..0.5f64).prop_map(|share| Loss::Random { share }),
        (0.0..0.5f64, 1.0..10.0f64).prop_map(|(share, mean_length)| Loss::Bursts { share, mean_length }),
    ];
    let outages = prop_oneof![
        Just(Vec::new()),
        (0u64..2_000, 1u64..1_000)
            .prop_map(|(from, length)| { vec![Outage { from: ms(from), until: ms(from + length) }] })
    ];
    let jitters = (0u64..30, any::<bool>()).prop_map(|(spread, free)| Jitter { spread: ms(spread), free });
    let reorderings = (0.0..0.2f64, 0u64..30).prop_map(|(share, by)| Reordering { share, by: ms(by) });
    (rates, queues, 0u64..100, jitters, reorderings, losses, proptest::option::of(0u64..50), outages)
        .prop_map(|(rate, queue, delay, jitter, reordering, loss, mark, outages)| LinkSpec {
            rate,
            queue,
            delay: ms(delay),
            jitter,
            reordering,
            loss,
            mark_above: mark.map(ms),
            outages,
            address_change: None,
        })
}

/// What happens on a link that is polled after every push: fates and deliveries.
fn run(spec: &LinkSpec, seed: u64, sends: &[(u64, u32)]) -> (Vec<Fate>, Vec<Delivery<u64>>, Link<u64>) {
    let mut link = Link::new(spec.clone(), seed).unwrap();
    let (mut at, mut fates, mut arrived) = (Duration::ZERO, Vec::new(), Vec::new());
    for (number, (gap, size)) in sends.iter().enumerate() {
        at += us(*gap);
        arrived.extend(drain(&mut link, at));
        fates.push(link.push(at, *size, Ecn::Ect0, number as u64));
    }
    (fates, arrived, link)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_packet_appears_vanishes_or_travels_back_in_time(
        spec in specs(),
        seed: u64,
        sends in vec((0u64..20_000, 40u32..1500), 1..300),
    ) {
        let (fates, mut arrived, mut link) = run(&spec, seed, &sends);
        let stats = link.stats();
        prop_assert_eq!(stats.sent, stats.delivered + stats.queue_full + stats.lost + link.under_way() as u64);
        arrived.extend(drain(&mut link, Duration::from_secs(1_000_000)));
        let stats = link.stats();
        prop_assert_eq!(stats.sent, stats.delivered + stats.queue_full + stats.lost);
        prop_assert_eq!(link.queue_bytes(), 0);
        prop_assert!(arrived.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let mut packets: Vec<_> = arrived.iter().map(|one| one.packet).collect();
        packets.sort_unstable();
        let promised: Vec<_> = (0..fates.len() as u64)
            .filter(|i| matches!(fates[*i as usize], Fate::Arrives { .. }))
            .collect();
        prop_assert_eq!(packets, promised);
        for one in &arrived {
            let promised = Fate::Arrives { queued: one.queued, at: one.at, marked: one.ecn == Ecn::Ce };
            prop_assert_eq!(fates[one.packet as usize], promised);
        }
    }

    #[test]
    fn a_seed_decides_everything_and_how_often_one_polls_nothing(
        spec in specs(),
        seed: u64,
        sends in vec((0u64..20_000, 40u32..1500), 1..200),
    ) {
        let (fates, mut arrived, mut link) = run(&spec, seed, &sends);
        arrived.extend(drain(&mut link, Duration::from_secs(1_000_000)));
        let mut lazy = Link::new(spec.clone(), seed).unwrap();
        let mut at = Duration::ZERO;
        let again: Vec<_> = sends.iter().enumerate().map(|(number, (gap, size))| {
            at += us(*gap);
            lazy.push(at, *size, Ecn::Ect0, number as u64)
        }).collect();
        prop_assert_eq!(fates, again);
        prop_assert_eq!(arrived, drain(&mut lazy, Duration::from_secs(1_000_000)));
    }

    #[test]
    fn no_queue_is_ever_longer_than_its_bound_nor_a_packet_later_than_the_path_allows(
        spec in specs(),
        seed: u64,
        sends in vec((0u64..2_000, 40u32..1500), 1..300),
    ) {
        let mut link = Link::new(spec.clone(), seed).unwrap();
        let mut at = Duration::ZERO;
        let mut left_before = Duration::ZERO;
        let most_held = match spec.queue {
            Queue::Bytes(bytes) => bytes,
            // The highest rate of `specs` is 50 Mbit/s.
            Queue::Time(time) => ((time.as_millis() * 50_000 / 8) as u64).max(1514),
        };
        for (gap, size) in &sends {
            at += us(*gap);
            let fate = link.push(at, *size, Ecn::NotEct, 0);
            if spec.rate != Rate::Unlimited {
                prop_assert!(link.queue_bytes() <= most_held.max(1500), "{}", link.queue_bytes());
            }
            let Fate::Arrives { queued, at: arrives, .. } = fate else { continue };
            let leaves = at + queued;
            prop_assert!(leaves >= left_before);
            left_before = leaves;
            let slowest = spec.delay + spec.jitter.spread + spec.reordering.by;
            prop_assert!(arrives >= leaves + spec.delay);
            // One that keeps its order may wait for one before it, which itself left no later.
            prop_assert!(arrives <= leaves + slowest, "{:?} after {:?}", arrives, leaves);
        }
    }
}
