//! Traces of a path whose capacity changes all the time, as of a mobile network.

use crate::link::{Dice, Path};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Bits of one opportunity.
const BITS: f64 = 1504.0 * 8.0;
/// The rate takes a step this often, in ms.
const STEP_MS: u32 = 100;
const SLOWEST_BPS: f64 = 0.6e6;
const FASTEST_BPS: f64 = 20e6;
/// A step is silence with this probability.
const SILENCE: f64 = 0.01;
/// What a base station holds back for one phone.
const BUFFER_BYTES: usize = 500_000;

/// A seeded trace: the rate wanders by up to a quarter every 100 ms, falls to a third or triples now and
/// then, and is silent at times.
pub(crate) fn fading(seed: u64, seconds: u32) -> Arc<[u32]> {
    let mut dice = Dice(seed);
    let (mut bps, mut credit, mut trace) = (6e6, 0.0, Vec::new());
    for step in 0..seconds * 1000 / STEP_MS {
        bps *= match dice.roll() {
            roll if roll < 0.02 => 1.0 / 3.0,
            roll if roll < 0.04 => 3.0,
            _ => 0.8 + 0.45 * dice.roll(),
        };
        bps = bps.clamp(SLOWEST_BPS, FASTEST_BPS);
        let silent = dice.roll() < SILENCE;
        for ms in 0..STEP_MS {
            credit += if silent { 0.0 } else { bps / 1000.0 / BITS };
            while credit >= 1.0 {
                credit -= 1.0;
                trace.push(step * STEP_MS + ms);
            }
        }
    }
    trace.push(seconds * 1000);
    trace.into()
}

/// A radio that serves a phone in turns of 4 to 24 ms, so that delays vary by as much though nothing is congested:
/// `bps` on the whole, and a fifth of it in `dip`, ms.
pub(crate) fn radio(seed: u64, seconds: u32, bps: f64, dip: Range<u32>) -> Arc<[u32]> {
    let mut dice = Dice(seed);
    let (mut at, mut credit, mut trace) = (0, 0.0, Vec::new());
    while at < seconds * 1000 {
        let turn = 4 + (20.0 * dice.roll()) as u32;
        at += turn;
        credit += if dip.contains(&at) { 0.2 } else { 1.0 } * bps / 1000.0 * f64::from(turn) / BITS;
        while credit >= 1.0 {
            credit -= 1.0;
            trace.push(at);
        }
    }
    trace.into()
}

/// Reads a trace in mahimahi's format: each line a millisecond.
pub(crate) fn parse(text: &str) -> Result<Arc<[u32]>, std::num::ParseIntError> {
    text.lines().map(|line| line.trim().parse()).collect()
}

/// The same trace, begun `from_ms` later.
pub(crate) fn begun_at(trace: &[u32], from_ms: u32) -> Arc<[u32]> {
    let period = trace[trace.len() - 1];
    let from = from_ms % period;
    let (before, after) = trace.split_at(trace.partition_point(|&ms| ms <= from));
    after.iter().map(|ms| ms - from).chain(before.iter().map(|ms| ms + period - from)).collect()
}

/// A path that follows the trace and holds what it carries in 200 ms on the whole.
pub(crate) fn short(trace: Arc<[u32]>) -> Path {
    let mean_bps = trace.len() as f64 * BITS * 1000.0 / f64::from(trace[trace.len() - 1]);
    Path { trace: Some(trace), ..Path::of(mean_bps, Duration::from_millis(200)) }
}

/// A path that follows the trace.
pub(crate) fn path(trace: Arc<[u32]>) -> Path {
    Path {
        trace: Some(trace),
        buffer_bytes: BUFFER_BYTES,
        ..Path::of(FASTEST_BPS, Duration::from_millis(100))
    }
}
