//! From one run's samples to numbers. Pure.

use super::scenario::{Kind, Scenario};
use crate::latency::analysis::Samples;
use crate::latency::samples::{Done, Inbound};
use crate::quantile::{median, quantile};
use nearframe_link::emulator::{Logged, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Add;
use std::time::Duration;

/// A picture that stands still for longer has stalled.
const STALL_MS: f64 = 100.0;
/// A frame that is older than the path's delay and five frame times comes too late to matter.
const LATE_MS: f64 = 5.0 * 1000.0 / 60.0;
/// Frames drawn this shortly before the end are not missed: some are still under way.
const TAIL_MS: f64 = 500.0;
/// What the frame age is before a fall of capacity is taken from as long before it.
const BASE_MS: f64 = 5000.0;
/// A queue that a fall of capacity fills is noticed within this.
const NOTICED_MS: f64 = 2000.0;
/// The frame age is back when all frames of so long, and at least so many, are young again.
const BACK_MS: f64 = 500.0;
const BACK_FRAMES: usize = 10;
/// Ends of a long run that are compared.
const CREEP_MS: f64 = 60_000.0;
/// Of a plot.
pub(super) const BIN: Duration = Duration::from_millis(100);
const BIN_MS: f64 = BIN.as_millis() as f64;

/// Everything that one run left behind.
pub(super) struct Raw {
    pub(super) done: Done,
    /// The way down, from time zero.
    pub(super) log: Vec<Logged>,
    /// Time zero, ms of CLOCK_MONOTONIC.
    pub(super) origin_ms: f64,
    /// What the way down could have carried in each bin; nothing where it has no limit.
    pub(super) capacity_bytes: Option<Vec<u64>>,
}

/// The numbers of one run; `None` is what could not be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Metrics {
    /// From the beginning of drawing to the display callback.
    pub(super) age_p50_ms: Option<f64>,
    pub(super) age_p95_ms: Option<f64>,
    pub(super) age_p99_ms: Option<f64>,
    /// From a key to the first frame that shows it.
    pub(super) input_p50_ms: Option<f64>,
    pub(super) input_p95_ms: Option<f64>,
    pub(super) shown_fps: Option<f64>,
    /// Video that the browser received, repeated packets included; where it connected anew meanwhile, all that was
    /// delivered to it.
    pub(super) bitrate_mbps: Option<f64>,
    /// The sum of all gaps between frames of over 100 ms.
    pub(super) stall_ms: f64,
    /// Drawn frames that were never shown, or shown later than the delay and five frame times; of 1.
    pub(super) late_share: Option<f64>,
    pub(super) keyframes: f64,
    /// Repair packets and repetitions, in bytes, over all other video.
    pub(super) redundancy: Option<f64>,
    /// What the sender's packets waited for the way down.
    pub(super) queue_p50_ms: Option<f64>,
    pub(super) queue_p95_ms: Option<f64>,
    /// Bytes that the sender's packets used of what the way down could carry.
    pub(super) utilisation: Option<f64>,
    /// Of all bytes delivered those of TCP.
    pub(super) tcp_share: Option<f64>,
    pub(super) lost_packets: u64,
    pub(super) dropped_packets: u64,
    /// From a fall of capacity until the frame age is below twice what it was, or from a change of address to the
    /// first frame drawn after it.
    pub(super) recovery_ms: Option<f64>,
    /// Median frame age of the last minute less that of the first.
    pub(super) creep_ms: Option<f64>,
}

/// What is plotted of one tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Bin {
    /// Of the oldest frame shown; nothing where none was.
    pub(super) age_ms: Option<f64>,
    /// The longest wait.
    pub(super) queue_ms: f64,
    /// Delivered, TCP not included.
    pub(super) mbps: f64,
    /// What could have been; nothing where there is no limit.
    pub(super) capacity_mbps: Option<f64>,
}

/// One shown frame; times after time zero.
#[derive(Clone, Copy, Debug)]
struct Shown {
    at_ms: f64,
    drawn_ms: f64,
    number: u32,
}

impl Shown {
    fn age_ms(&self) -> f64 {
        self.at_ms - self.drawn_ms
    }
}

/// Numbers and plot of one run.
pub(super) fn measure(scenario: &Scenario, raw: Raw) -> (Metrics, Vec<Bin>) {
    let end_ms = scenario.seconds as f64 * 1000.0;
    let frames = frames(&raw, end_ms);
    let log: Vec<_> = raw.log.into_iter().filter(|one| ms(one.at) < end_ms).collect();
    let mut bins = bins(&frames, &log, end_ms);
    for (bin, bytes) in bins.iter_mut().zip(raw.capacity_bytes.iter().flatten()) {
        bin.capacity_mbps = Some(*bytes as f64 * 8.0 / BIN_MS / 1000.0);
    }
    let capacity_bytes = raw.capacity_bytes.map(|bins| bins.iter().sum());
    let metrics = of_video(&Samples::from(raw.done));
    let metrics = of_path(&log, capacity_bytes, end_ms, metrics);
    (of_frames(scenario, &frames, end_ms, metrics), bins)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn frames(raw: &Raw, end_ms: f64) -> Vec<Shown> {
    let shift = raw.done.time_origin_ms - raw.origin_ms;
    let shown = raw.done.frames.iter().map(|&(at, drawn_us, number, _)| Shown {
        at_ms: at + shift,
        drawn_ms: drawn_us / 1000.0 - raw.origin_ms,
        number,
    });
    shown.filter(|frame| (0.0..end_ms).contains(&frame.at_ms)).collect()
}

/// What the browser says of its stream.
fn of_video(samples: &Samples) -> Metrics {
    let inputs = samples.input_visible_ms();
    // A page that connected anew meanwhile counts from nothing again; what came before is not known.
    let anew = samples.after.bytes_received < samples.before.bytes_received;
    let before = if anew { Inbound::default() } else { samples.before };
    let since = |of: fn(&Inbound) -> f64| of(&samples.after) - of(&before);
    let repeated = since(|video| video.retransmitted_bytes_received);
    let media = since(|video| video.bytes_received) - repeated;
    Metrics {
        input_p50_ms: quantile(&inputs, 0.5),
        input_p95_ms: quantile(&inputs, 0.95),
        shown_fps: samples.shown_fps(),
        bitrate_mbps: samples.bitrate_mbps().filter(|_| !anew),
        keyframes: since(|video| video.key_frames_decoded),
        redundancy: (media > 0.0).then(|| (since(|video| video.fec_bytes_received) + repeated) / media),
        ..Metrics::default()
    }
}

/// What the way down saw.
fn of_path(log: &[Logged], capacity_bytes: Option<u64>, end_ms: f64, metrics: Metrics) -> Metrics {
    let bytes = |tcp: bool| {
        let delivered = log.iter().filter(|one| one.tcp == tcp && is_delivered(one));
        delivered.map(|one| u64::from(one.size)).sum::<u64>() as f64
    };
    let own = || log.iter().filter(|one| !one.tcp);
    let count = |outcome| own().filter(|one| one.outcome == outcome).count() as u64;
    let waits: Vec<_> =
        own().filter(|one| one.outcome != Outcome::QueueFull).map(|one| ms(one.queued)).collect();
    let (media, tcp) = (bytes(false), bytes(true));
    Metrics {
        bitrate_mbps: metrics.bitrate_mbps.or(Some(media * 8.0 / end_ms / 1000.0)),
        queue_p50_ms: quantile(&waits, 0.5),
        queue_p95_ms: quantile(&waits, 0.95),
        utilisation: capacity_bytes.filter(|all| *all > 0).map(|all| media / all as f64),
        tcp_share: (media + tcp > 0.0).then(|| tcp / (media + tcp)),
        lost_packets: count(Outcome::Lost),
        dropped_packets: count(Outcome::QueueFull),
        ..metrics
    }
}

/// What the display showed.
fn of_frames(scenario: &Scenario, frames: &[Shown], end_ms: f64, metrics: Metrics) -> Metrics {
    let ages: Vec<_> = frames.iter().map(Shown::age_ms).collect();
    let recovery_ms = match scenario.kind {
        Kind::Step { at } => back_ms(frames, ms(at)),
        Kind::AddressChange { at } => {
            let first = frames.iter().find(|frame| frame.drawn_ms >= ms(at));
            first.map(|frame| frame.at_ms - ms(at))
        }
        _ => None,
    };
    Metrics {
        age_p50_ms: quantile(&ages, 0.5),
        age_p95_ms: quantile(&ages, 0.95),
        age_p99_ms: quantile(&ages, 0.99),
        stall_ms: stall_ms(frames, end_ms),
        late_share: late_share(frames, ms(scenario.delay()), end_ms),
        recovery_ms,
        creep_ms: creep_ms(frames, end_ms),
        ..metrics
    }
}

fn is_delivered(one: &Logged) -> bool {
    matches!(one.outcome, Outcome::Delivered | Outcome::Marked)
}

fn stall_ms(frames: &[Shown], end_ms: f64) -> f64 {
    let times: Vec<f64> =
        [0.0].into_iter().chain(frames.iter().map(|frame| frame.at_ms)).chain([end_ms]).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > STALL_MS).fold(0.0, f64::add)
}

fn late_share(frames: &[Shown], delay_ms: f64, end_ms: f64) -> Option<f64> {
    let counted = frames.iter().filter(|frame| (0.0..end_ms - TAIL_MS).contains(&frame.drawn_ms));
    let numbers = counted.clone().map(|frame| frame.number);
    let drawn = numbers.clone().max()? - numbers.min()? + 1;
    let in_time = counted.filter(|frame| frame.age_ms() <= delay_ms + LATE_MS).map(|frame| frame.number);
    let in_time = in_time.collect::<BTreeSet<_>>().len();
    Some(1.0 - in_time as f64 / f64::from(drawn))
}

/// From `at_ms` until frames that had grown older than twice what they were are younger again; nothing where none grew
/// older, the rest of the run where they stay so.
fn back_ms(frames: &[Shown], at_ms: f64) -> Option<f64> {
    let before = frames.iter().filter(|frame| (at_ms - BASE_MS..at_ms).contains(&frame.at_ms));
    let limit = 2.0 * median(&before.map(Shown::age_ms).collect::<Vec<_>>())?;
    let after: Vec<_> = frames.iter().filter(|frame| frame.at_ms >= at_ms).collect();
    let is_back = |from: f64| {
        let mut seen = after.iter().filter(|frame| (from..from + BACK_MS).contains(&frame.at_ms));
        seen.clone().count() >= BACK_FRAMES && seen.all(|frame| frame.age_ms() < limit)
    };
    let old = after.iter().find(|frame| frame.age_ms() >= limit && frame.at_ms < at_ms + NOTICED_MS);
    let Some(old) = old else { return Some(0.0) };
    let back = after.iter().map(|frame| frame.at_ms).find(|&from| from > old.at_ms && is_back(from));
    Some(back.or(after.last().map(|frame| frame.at_ms))? - at_ms)
}

fn creep_ms(frames: &[Shown], end_ms: f64) -> Option<f64> {
    let age = |from: f64| {
        let within = frames.iter().filter(|frame| (from..from + CREEP_MS).contains(&frame.at_ms));
        median(&within.map(Shown::age_ms).collect::<Vec<_>>())
    };
    if end_ms < 2.0 * CREEP_MS {
        return None;
    }
    Some(age(end_ms - CREEP_MS)? - age(0.0)?)
}

fn bins(frames: &[Shown], log: &[Logged], end_ms: f64) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); (end_ms / BIN_MS).ceil() as usize];
    for frame in frames {
        if let Some(bin) = bins.get_mut((frame.at_ms / BIN_MS) as usize) {
            bin.age_ms = Some(bin.age_ms.unwrap_or_default().max(frame.age_ms()));
        }
    }
    for one in log.iter().filter(|one| !one.tcp && is_delivered(one)) {
        if let Some(bin) = bins.get_mut((ms(one.at) / BIN_MS) as usize) {
            bin.queue_ms = bin.queue_ms.max(ms(one.queued));
        }
        if let Some(bin) = bins.get_mut((ms(one.at + one.queued) / BIN_MS) as usize) {
            bin.mbps += f64::from(one.size) * 8.0 / BIN_MS / 1000.0;
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::super::{scenario, tests::parse};
    use super::*;

    /// 60 frames a second; of each, by its number, its age, or nothing where it was lost.
    fn shown(count: u32, age: impl Fn(u32) -> Option<f64>) -> Vec<Shown> {
        let frame = |number: u32| {
            let drawn_ms = f64::from(number) * 1000.0 / 60.0;
            Some(Shown { at_ms: drawn_ms + age(number)?, drawn_ms, number })
        };
        (0..count).filter_map(frame).collect()
    }

    #[test]
    fn frames_that_are_lost_or_late_count_and_the_last_ones_do_not() {
        let perfect = shown(600, |_| Some(20.0));
        assert_eq!(late_share(&perfect, 10.0, 10_000.0), Some(0.0));
        let lossy = shown(600, |number| match number % 10 {
            0 if number > 0 => None,
            5 => Some(120.0),
            _ => Some(20.0),
        });
        let share = late_share(&lossy, 10.0, 10_000.0).unwrap();
        assert!((share - 0.2).abs() < 0.01, "{share}");
        assert_eq!(late_share(&[], 10.0, 10_000.0), None);
    }

    #[test]
    fn stalls_are_gaps_of_more_than_a_tenth_of_a_second() {
        let frames = shown(600, |number| (!(100..130).contains(&number)).then_some(20.0));
        let stalled = stall_ms(&frames, 10_000.0);
        assert!((stalled - 31.0 * 1000.0 / 60.0).abs() < 1.0, "{stalled}");
        assert_eq!(stall_ms(&[], 10_000.0), 10_000.0);
    }

    #[test]
    fn a_frame_age_is_back_when_it_stays_below_twice_its_base() {
        // Capacity falls at 5 s; the age rises for 600 ms, with one young frame in between.
        let aged =
            |number: u32| Some(if (305..336).contains(&number) && number != 320 { 200.0 } else { 20.0 });
        let back = back_ms(&shown(600, aged), 5000.0).unwrap();
        assert!((600.0..800.0).contains(&back), "{back}");
        assert_eq!(back_ms(&shown(600, |_| Some(20.0)), 5000.0), Some(0.0));
        let never =
            back_ms(&shown(600, |number| Some(if number < 300 { 20.0 } else { 99.0 })), 5000.0).unwrap();
        assert!(never > 4900.0, "{never}");
    }

    #[test]
    fn a_run_of_minutes_tells_its_creep_and_a_short_one_none() {
        let frames = shown(60 * 180, |number| Some(20.0 + f64::from(number) / 1000.0));
        let crept = creep_ms(&frames, 180_000.0).unwrap();
        assert!((crept - 7.2).abs() < 0.1, "{crept}");
        assert_eq!(creep_ms(&frames, 100_000.0), None);
    }

    #[test]
    fn waits_and_bytes_are_those_of_the_senders_own_packets() {
        let one = |at, queued, tcp, outcome| Logged {
            at: Duration::from_millis(at),
            queued: Duration::from_millis(queued),
            size: 1000,
            tcp,
            outcome,
        };
        let log = [
            one(0, 5, false, Outcome::Delivered),
            one(1, 7, false, Outcome::Marked),
            one(2, 9, false, Outcome::Lost),
            one(3, 0, false, Outcome::QueueFull),
            one(4, 99, true, Outcome::Delivered),
        ];
        let metrics = of_path(&log, Some(8000), 100.0, Metrics::default());
        assert_eq!((metrics.queue_p50_ms, metrics.queue_p95_ms), (Some(7.0), Some(9.0)));
        assert_eq!((metrics.utilisation, metrics.tcp_share), (Some(0.25), Some(1.0 / 3.0)));
        assert_eq!(metrics.bitrate_mbps, Some(0.16));
        assert_eq!((metrics.lost_packets, metrics.dropped_packets), (1, 1));
        let bins = bins(&shown(6, |_| Some(20.0)), &log, 100.0);
        assert_eq!((bins[0].queue_ms, bins[0].mbps), (7.0, 0.16));
    }

    #[test]
    fn samples_are_put_on_the_paths_clock() {
        let text = r#"{"frames": [[100.0, 1090000.0, 7, 0], [900000.0, 1.0, 8, 0]], "shown": 2, "unreadable": 0,
            "keys": [], "sent": [], "since_ms": 0, "until_ms": 1000, "time_origin_ms": 1010.0,
            "before": {"bytesReceived": 1000}, "video": {"bytesReceived": 12000, "retransmittedBytesReceived": 1000,
            "fecBytesReceived": 500, "keyFramesDecoded": 2}}"#;
        let done = serde_json::from_str(text).unwrap();
        let raw = Raw { done, log: Vec::new(), origin_ms: 1000.0, capacity_bytes: None };
        let scenario = &scenario::all(&parse("--rate 4M").unwrap(), 30).unwrap()[0];
        let (metrics, bins) = measure(scenario, raw);
        assert_eq!((metrics.age_p50_ms, metrics.keyframes), (Some(20.0), 2.0));
        assert_eq!(metrics.redundancy, Some(0.15));
        assert_eq!((bins.len(), bins[1].age_ms), (300, Some(20.0)));
    }
}
