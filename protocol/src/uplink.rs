//! What a node can send: measured once over a link of its own, by the matchmaker, which counts what arrives.
//!
//! The node asks (`measure_uplink`); the matchmaker answers `uplink_open` and takes binary messages until
//! [`MOST_BYTES`] or [`MOST_TIME`] have passed, whichever is first; then it says what it saw (`uplink_measured`), and the
//! node puts that into its signed report. It is the way to the matchmaker that is measured: a bottleneck beyond the
//! node's own access lowers it, nothing raises it.

use crate::wire::WireError;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Feature of a matchmaker that measures.
pub const FEATURE: &str = "uplink";
/// Payload that is taken of one measurement, bytes: 128 Mbit/s for as long as is measured.
pub const MOST_BYTES: u32 = 32 * 1024 * 1024;
/// From the first byte to the last.
pub const MOST_TIME: Duration = Duration::from_secs(2);
/// Longest binary message, bytes.
pub const MOST_CHUNK_BYTES: usize = 16 * 1024;
/// Messages that are counted: twice as many as whole ones hold [`MOST_BYTES`].
const MOST_MESSAGES: usize = 2 * (MOST_BYTES as usize / MOST_CHUNK_BYTES);
/// An answer is there by then, or none will come: the time itself, a second of round trips, and what waits in buffers.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Less than this that arrived in the part that counts says nothing, bytes.
pub const LEAST_BYTES: u32 = 32 * 1024;
/// Bits a second that a session is counted with: what pictures begin at.
pub const SESSION_BPS: u64 = 4_000_000;
/// Faster than any node sends, bits a second.
const MOST_BPS: u64 = 400_000_000_000;

/// What arrived of a node in one measurement, after the way had become fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Uplink {
    /// Payload that counts, in bytes: the later half of all, since a connection begins slowly.
    pub bytes: u32,
    /// In which it arrived, µs.
    pub elapsed_us: u32,
    /// The most that is taken had arrived before the time was over: the way may well carry more.
    pub at_least: bool,
}

impl Uplink {
    /// Payload bits a second.
    pub fn bps(&self) -> u64 {
        u64::from(self.bytes) * 8 * 1_000_000 / u64::from(self.elapsed_us.max(1))
    }

    /// Sessions of [`SESSION_BPS`] that it carries beside each other, never fewer than one: pictures follow what a path
    /// bears. `None`: it does not say how many are too many.
    pub fn sessions(&self) -> Option<u32> {
        let fitting = u32::try_from(self.bps() / SESSION_BPS).unwrap_or(u32::MAX);
        (!self.at_least).then_some(fitting.max(1))
    }

    /// Refuses what no measurement of these bounds gives.
    pub fn check(&self) -> Result<(), WireError> {
        let long = Duration::from_micros(self.elapsed_us.into()) <= ANSWERED_WITHIN;
        if !long || self.elapsed_us == 0 {
            return Err(WireError::Range("the uplink's time"));
        }
        let fits = (LEAST_BYTES..=MOST_BYTES).contains(&self.bytes);
        if !fits || self.bps() > MOST_BPS {
            return Err(WireError::Range("the uplink's bytes"));
        }
        Ok(())
    }
}

/// Gathers what arrives in one measurement. Reads no clock.
#[derive(Clone, Debug, Default)]
pub struct UplinkMeter {
    /// When each message was there, since the first, and how many bytes were then.
    arrivals: Vec<(Duration, u32)>,
}

/// What a measurement has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It goes on.
    Goes,
    /// It is over; `None`: too little came to say anything.
    Over(Option<Uplink>),
}

impl UplinkMeter {
    /// `bytes` more arrived, `at` since the first message.
    pub fn arrived(&mut self, at: Duration, bytes: usize) -> Seen {
        let before = self.arrivals.last().map_or(0, |(_, bytes)| *bytes);
        let all = before.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.arrivals.push((at, all));
        let full = all >= MOST_BYTES;
        let over = full || at >= MOST_TIME || self.arrivals.len() >= MOST_MESSAGES;
        if over { Seen::Over(self.result(full)) } else { Seen::Goes }
    }

    /// The time was over before more came.
    pub fn ended(&self) -> Option<Uplink> {
        self.result(false)
    }

    /// The later half of the bytes with their time.
    fn result(&self, at_least: bool) -> Option<Uplink> {
        let &(end, all) = self.arrivals.last()?;
        let &(begin, before) = self.arrivals.iter().find(|(_, bytes)| *bytes >= all / 2)?;
        let elapsed_us = u32::try_from(end.saturating_sub(begin).as_micros()).ok()?;
        let seen = Uplink { bytes: all - before, elapsed_us, at_least };
        seen.check().is_ok().then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uplink(bytes: u32, elapsed_us: u32, at_least: bool) -> Uplink {
        Uplink { bytes, elapsed_us, at_least }
    }

    /// Feeds messages of 16 KiB that come at a rate which `bps` gives by the time.
    fn measured(bps: impl Fn(f64) -> f64) -> Option<Uplink> {
        let (mut meter, mut at) = (UplinkMeter::default(), 0.0);
        loop {
            match meter.arrived(Duration::from_secs_f64(at), MOST_CHUNK_BYTES) {
                Seen::Over(result) => return result,
                Seen::Goes => at += MOST_CHUNK_BYTES as f64 * 8.0 / bps(at),
            }
            if at > MOST_TIME.as_secs_f64() {
                return meter.ended();
            }
        }
    }

    #[test]
    fn a_steady_way_is_measured_to_a_hundredth() {
        for mbps in [3.0, 10.0, 40.0, 100.0] {
            let seen = measured(|_| mbps * 1e6).unwrap();
            assert!(
                (seen.bps() as f64 / 1e6 / mbps - 1.0).abs() < 0.01 && !seen.at_least,
                "{mbps}: {seen:?}"
            );
        }
    }

    #[test]
    fn a_slow_beginning_does_not_count() {
        let seen = measured(|at| if at < 0.3 { 2e6 } else { 50e6 }).unwrap();
        assert!((seen.bps() as f64 / 50e6 - 1.0).abs() < 0.02, "{seen:?}");
    }

    #[test]
    fn a_way_that_is_faster_than_can_be_told_limits_nothing_and_one_that_carries_nothing_says_nothing() {
        let fast = measured(|_| 2e9).unwrap();
        assert!(fast.at_least && fast.sessions().is_none());
        assert_eq!(measured(|_| 100_000.0), None);
        assert_eq!(UplinkMeter::default().ended(), None);
        let mut at_once = UplinkMeter::default();
        assert_eq!(at_once.arrived(Duration::ZERO, usize::MAX), Seen::Over(None), "no time has passed");
    }

    #[test]
    fn messages_of_a_byte_fill_no_memory() {
        let mut meter = UplinkMeter::default();
        let most = (0..1_000_000_u64).find(|at| meter.arrived(Duration::from_micros(*at), 1) != Seen::Goes);
        assert_eq!(most, Some(MOST_MESSAGES as u64 - 1));
    }

    #[test]
    fn sessions_are_counted_by_what_they_begin_at_and_one_always_fits() {
        let at = |mbps: u32| uplink(mbps * 125_000, 1_000_000, false).sessions();
        assert_eq!((at(1), at(11), at(40)), (Some(1), Some(2), Some(10)));
    }

    #[test]
    fn what_no_measurement_gives_is_refused() {
        assert_eq!(uplink(1_000_000, 500_000, false).check(), Ok(()));
        for wrong in [
            uplink(0, 1_000_000, false),
            uplink(MOST_BYTES + 1, 1_000_000, true),
            uplink(1_000_000, 0, true),
            uplink(1_000_000, 6_000_000, false),
            uplink(MOST_BYTES, 1, true),
            uplink(u32::MAX, u32::MAX, false),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
