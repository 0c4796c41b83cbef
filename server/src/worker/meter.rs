//! What a session has used since the last receipt.

use nearframe_protocol::receipt::{RECEIPT_INTERVAL_S, Receipt, ReceiptHash};
use nearframe_protocol::{Generation, SessionId};
use nearframe_stream::Usage;
use std::time::{Duration, Instant};

/// Adds up time in which a player is connected; hands out unchained receipts.
pub(crate) struct Meter {
    session: SessionId,
    generation: Generation,
    used: Duration,
    running_since: Option<Instant>,
    stated: Totals,
    /// What peers that are gone had used.
    gone: Usage,
}

/// Running totals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Sum over peers.
    pub(crate) usage: Usage,
    /// Time the encoder worked.
    pub(crate) encoder_us: u64,
}

impl Meter {
    pub(crate) fn new(session: SessionId, generation: Generation) -> Self {
        Self {
            session,
            generation,
            used: Duration::ZERO,
            running_since: None,
            stated: Totals::default(),
            gone: Usage::default(),
        }
    }

    /// Whether a player has ever been there.
    pub(crate) fn has_run(&self) -> bool {
        self.running_since.is_some() || !self.used.is_zero() || self.stated != Totals::default()
    }

    /// Time counts while a player is connected.
    pub(crate) fn set_running(&mut self, running: bool, now: Instant) {
        self.used = self.elapsed(now);
        self.running_since = running.then_some(now);
    }

    /// A peer is gone; what it used stays.
    pub(crate) fn keep(&mut self, usage: &Usage) {
        self.gone = sum(&self.gone, usage);
    }

    /// Totals over peers that are here and peers that are gone.
    pub(crate) fn totals<'a>(&self, peers: impl Iterator<Item = &'a Usage>, encoder_us: u64) -> Totals {
        Totals { usage: peers.fold(self.gone, |total, usage| sum(&total, usage)), encoder_us }
    }

    /// Whether a receipt is due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.elapsed(now) >= Duration::from_secs(RECEIPT_INTERVAL_S)
    }

    /// States what was used since the last call; `None` when nothing was.
    pub(crate) fn state(&mut self, totals: Totals, size: (u32, u32), now: Instant) -> Option<Receipt> {
        let used = self.elapsed(now);
        if used.is_zero() {
            return None;
        }
        self.used = Duration::ZERO;
        self.running_since = self.running_since.map(|_| now);
        let before = std::mem::replace(&mut self.stated, totals);
        Some(Receipt {
            session: self.session,
            generation: self.generation,
            sequence: 0,
            previous: ReceiptHash::ZERO,
            duration_us: used.as_micros() as u64,
            frames: totals.usage.frames.saturating_sub(before.usage.frames) as u32,
            bytes: totals.usage.bytes.saturating_sub(before.usage.bytes),
            encoder_us: totals.encoder_us.saturating_sub(before.encoder_us),
            width: size.0 as u16,
            height: size.1 as u16,
            rtt_us: totals.usage.rtt.map_or(0, |rtt| rtt.as_micros() as u32),
            packets_sent: totals.usage.packets_sent.saturating_sub(before.usage.packets_sent) as u32,
            packets_lost: totals.usage.packets_lost.saturating_sub(before.usage.packets_lost) as u32,
        })
    }

    fn elapsed(&self, now: Instant) -> Duration {
        self.used + self.running_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

fn sum(a: &Usage, b: &Usage) -> Usage {
    Usage {
        frames: a.frames + b.frames,
        bytes: a.bytes + b.bytes,
        packets_sent: a.packets_sent + b.packets_sent,
        packets_lost: a.packets_lost + b.packets_lost,
        rtt: b.rtt.or(a.rtt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connected_time_is_stated_and_nothing_is_stated_twice() {
        let mut meter = Meter::new(SessionId::from_bytes([1; 16]), Generation(0));
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(meter.state(Totals::default(), (2, 2), at(5)), None);
        meter.set_running(true, at(5));
        assert!(!meter.is_due(at(14)));
        assert!(meter.is_due(at(15)));
        let usage = Usage { frames: 600, bytes: 1000, packets_sent: 10, packets_lost: 1, rtt: None };
        let totals = meter.totals([&usage].into_iter(), 7);
        let first = meter.state(totals, (1280, 720), at(15)).unwrap();
        assert_eq!(
            (first.duration_us, first.frames, first.bytes, first.encoder_us),
            (10_000_000, 600, 1000, 7)
        );
        meter.set_running(false, at(18));
        let second = meter.state(totals, (1280, 720), at(30)).unwrap();
        assert_eq!((second.duration_us, second.frames, second.bytes), (3_000_000, 0, 0));
    }

    #[test]
    fn what_a_gone_peer_used_still_counts() {
        let mut meter = Meter::new(SessionId::from_bytes([1; 16]), Generation(0));
        let usage = Usage { frames: 5, bytes: 50, packets_sent: 5, packets_lost: 0, rtt: None };
        meter.keep(&usage);
        assert_eq!(meter.totals([&usage].into_iter(), 0).usage.frames, 10);
    }
}
