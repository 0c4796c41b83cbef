//! How long a frame takes to leave, by what its path has shown.

use crate::link::Path;
use crate::world::{Encoder, VIDEO_SSRC, World, percentile};
use nearframe_stream::RtpPacket;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Of its packets, 0.25 ms after the first one the world has made its next step.
const AT_ONCE_MS: f64 = 0.1;

/// First and last departure of each frame's packets, by timestamp.
type Departures = Rc<RefCell<BTreeMap<u32, (Duration, Duration)>>>;

/// Whether a packet that leaves at this time is lost.
type Judge = Box<dyn FnMut(Duration, &RtpPacket) -> bool>;

/// Lets packets go and notes when video left; every `nth` packet from `from` on is lost.
fn watch(departures: &Departures, nth: usize, from: Duration) -> Judge {
    let (departures, mut count) = (Rc::clone(departures), 0);
    Box::new(move |at, packet| {
        if packet.ssrc == VIDEO_SSRC {
            let mut departures = departures.borrow_mut();
            departures.entry(packet.timestamp).or_insert((at, at)).1 = at;
        }
        count += 1;
        at >= from && count % nth == 0
    })
}

/// Times in ms that frames took to leave in this time, ascending.
fn spans_ms(departures: &Departures, from: Duration, to: Duration) -> Vec<f64> {
    let departures = departures.borrow();
    let chosen = departures.values().filter(|(first, _)| (from..to).contains(first));
    let mut spans: Vec<f64> = chosen.map(|(first, last)| (*last - *first).as_secs_f64() * 1000.0).collect();
    spans.sort_by(f64::total_cmp);
    spans
}

#[test]
fn a_path_that_carries_all_for_long_gets_each_frame_in_one_go_until_it_loses_something() {
    let path = Path::of(100e6, Duration::from_millis(100));
    let mut world = World::new(&path, Encoder::Hungry, 1);
    let departures = Departures::default();
    world.fault = watch(&departures, 40, 8 * SECOND);
    world.run_until(12 * SECOND);
    let before = spans_ms(&departures, SECOND / 2, SECOND * 3 / 2);
    let trusted = spans_ms(&departures, 6 * SECOND, 8 * SECOND);
    let after = spans_ms(&departures, 9 * SECOND, 12 * SECOND);
    assert!(percentile(&before, 0.5) > 1.0, "before it is known: {:.1} ms", percentile(&before, 0.5));
    // The largest of these frames are longer than what goes in one burst.
    assert!(percentile(&trusted, 0.75) < AT_ONCE_MS, "trusted: {:.1} ms", percentile(&trusted, 0.75));
    assert!(percentile(&after, 0.5) > 1.0, "lossy: {:.1} ms", percentile(&after, 0.5));
}

#[test]
fn a_path_that_is_hardly_wider_than_the_picture_is_not_filled_by_bursts() {
    // 20 Mbit/s are asked for at most, with headers and repairs some 23: a frame takes most of its interval.
    let path = Path::of(30e6, Duration::from_millis(100));
    let mut world = World::new(&path, Encoder::Hungry, 2);
    let departures = Departures::default();
    world.fault = watch(&departures, usize::MAX, SECOND);
    world.run_until(12 * SECOND);
    assert_eq!(world.link.dropped, 0);
    let queueing = world.queueing_ms(4.0, 12.0);
    let p95 = percentile(&queueing, 0.95);
    assert!(p95 < 17.0, "what a frame queues is gone before the next: {p95:.1} ms");
}
