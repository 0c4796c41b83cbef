//! The player's side of metering, as the page does it: what is plausible is countersigned; beside it, what receipts claim
//! is added up to be held against what came.

use nearframe_protocol::receipt::{Receipt, ReceiptHash};
use nearframe_protocol::{NodeKey, SessionId, Signature};
use std::time::{Duration, Instant};

/// Clocks drift and messages take time: a claim may exceed what was measured here by this much.
const SLACK: Duration = Duration::from_secs(2);

/// One session's chain.
#[derive(Debug)]
pub(crate) struct Receipts {
    session: SessionId,
    key: NodeKey,
    since: Instant,
    last: Option<Receipt>,
    signed_us: u64,
    pub(crate) signed: u32,
    pub(crate) refused: u32,
    /// Refused because it does not follow the one before, or is another session's.
    pub(crate) is_broken: bool,
    pub(crate) claimed_us: u64,
    pub(crate) claimed_frames: u32,
    pub(crate) claimed_bytes: u64,
}

/// Why a receipt is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Broken,
    TooMuch,
}

impl Receipts {
    /// `since`: when the session was made.
    pub(crate) fn new(session: SessionId, key: NodeKey, since: Instant) -> Self {
        Self {
            session,
            key,
            since,
            last: None,
            signed_us: 0,
            signed: 0,
            refused: 0,
            is_broken: false,
            claimed_us: 0,
            claimed_frames: 0,
            claimed_bytes: 0,
        }
    }

    /// The number of a receipt and the signature under it, if it deserves one.
    pub(crate) fn check(&mut self, canonical: &[u8], now: Instant) -> Option<(u32, Signature)> {
        let Ok(receipt) = Receipt::parse(canonical) else {
            (self.refused, self.is_broken) = (self.refused + 1, true);
            return None;
        };
        let is_repeated = self.last.as_ref() == Some(&receipt);
        if !is_repeated {
            self.claimed_us = self.claimed_us.saturating_add(receipt.duration_us);
            self.claimed_frames = self.claimed_frames.saturating_add(receipt.frames);
            self.claimed_bytes = self.claimed_bytes.saturating_add(receipt.bytes);
            if let Err(refusal) = self.judge(&receipt, now) {
                self.refused += 1;
                self.is_broken |= refusal == Refusal::Broken;
                return None;
            }
            self.signed += 1;
            self.signed_us = self.signed_us.saturating_add(receipt.duration_us);
        }
        let signature = self.key.sign(&receipt.signed_bytes());
        let sequence = receipt.sequence;
        self.last = Some(receipt);
        Some((sequence, signature))
    }

    fn judge(&self, receipt: &Receipt, now: Instant) -> Result<(), Refusal> {
        let follows = match &self.last {
            None => receipt.sequence > 0 || receipt.previous == ReceiptHash::ZERO,
            Some(last) if last.sequence.checked_add(1) == Some(receipt.sequence) => {
                receipt.previous == last.hash()
            }
            Some(last) => receipt.sequence > last.sequence,
        };
        if receipt.session != self.session || !follows {
            return Err(Refusal::Broken);
        }
        let most = now.saturating_duration_since(self.since) + SLACK;
        let claimed = Duration::from_micros(self.signed_us.saturating_add(receipt.duration_us));
        if claimed > most { Err(Refusal::TooMuch) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::Generation;

    fn receipt(sequence: u32, previous: ReceiptHash, seconds: u64) -> Receipt {
        Receipt {
            session: SessionId::from_bytes([1; 16]),
            generation: Generation(0),
            sequence,
            previous,
            duration_us: seconds * 1_000_000,
            frames: 60,
            bytes: 1000,
            encoder_us: 0,
            width: 2,
            height: 2,
            rtt_us: 0,
            packets_sent: 1,
            packets_lost: 0,
        }
    }

    #[test]
    fn a_chain_is_signed_once_each_and_what_is_beyond_time_or_broken_is_not() {
        let start = Instant::now();
        let key = NodeKey::from_seed([2; 32]);
        let mut receipts = Receipts::new(SessionId::from_bytes([1; 16]), key.clone(), start);
        let at = |s| start + Duration::from_secs(s);
        let first = receipt(0, ReceiptHash::ZERO, 10);
        let (sequence, signature) = receipts.check(&first.canonical(), at(10)).unwrap();
        assert_eq!(sequence, 0);
        key.public().verify(&first.signed_bytes(), &signature).unwrap();
        assert!(receipts.check(&first.canonical(), at(10)).is_some(), "a repetition is signed again");
        assert_eq!((receipts.signed, receipts.claimed_us), (1, 10_000_000), "and counts once");

        let greedy = receipt(1, first.hash(), 13);
        assert_eq!(receipts.check(&greedy.canonical(), at(20)), None);
        assert!(!receipts.is_broken);
        let stray = receipt(1, ReceiptHash::ZERO, 1);
        assert_eq!(receipts.check(&stray.canonical(), at(30)), None);
        assert!(receipts.is_broken);
        assert_eq!(receipts.check(b"rubbish", at(30)), None);
        assert_eq!((receipts.signed, receipts.refused), (1, 3));
    }
}
