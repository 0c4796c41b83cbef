//! Slots that stand by: kept free for whoever reserved them, and stated by receipts that say nothing but the time.
//!
//! The matchmaker countersigns them, because it sees that the link is up and holds the slot itself.

use super::chain::Chain;
use nearframe_protocol::receipt::{RECEIPT_INTERVAL_S, Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::{Generation, NodeKey, SessionId};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A receipt is due this often.
const INTERVAL: Duration = Duration::from_secs(RECEIPT_INTERVAL_S);

struct Standing {
    generation: Generation,
    chain: Chain,
    /// Until when receipts state the time.
    stated: Instant,
}

/// The slots of this node that stand by.
#[derive(Default)]
pub(crate) struct StandBy(HashMap<SessionId, Standing>);

impl StandBy {
    /// A slot stands by from now on; false: it does already.
    pub(crate) fn begin(
        &mut self,
        key: &NodeKey,
        session: SessionId,
        generation: Generation,
        now: Instant,
    ) -> bool {
        if self.0.contains_key(&session) {
            return false;
        }
        // Nobody signs here: the matchmaker does, when it has the receipt.
        let chain = Chain::new(key.public());
        self.0.insert(session, Standing { generation, chain, stated: now });
        true
    }

    /// Receipts that are due.
    pub(crate) fn due(&mut self, key: &NodeKey, now: Instant) -> Vec<SignedReceipt> {
        let due = self.0.iter_mut().filter(|(_, it)| now.saturating_duration_since(it.stated) >= INTERVAL);
        due.flat_map(|(session, standing)| state(key, *session, standing, now)).collect()
    }

    /// It stands by no more: its generation, and its last receipt.
    pub(crate) fn end(
        &mut self,
        key: &NodeKey,
        session: SessionId,
        now: Instant,
    ) -> Option<(Generation, Vec<SignedReceipt>)> {
        let mut standing = self.0.remove(&session)?;
        Some((standing.generation, state(key, session, &mut standing, now)))
    }

    /// All that stand by.
    pub(crate) fn all(&self) -> Vec<(SessionId, Generation)> {
        self.0.iter().map(|(session, standing)| (*session, standing.generation)).collect()
    }
}

fn state(key: &NodeKey, session: SessionId, standing: &mut Standing, now: Instant) -> Vec<SignedReceipt> {
    let passed = now.saturating_duration_since(standing.stated);
    standing.stated = now;
    let time = Receipt {
        session,
        generation: standing.generation,
        // The chain fills both in.
        sequence: 0,
        previous: ReceiptHash::ZERO,
        duration_us: u64::try_from(passed.as_micros()).unwrap_or(u64::MAX),
        frames: 0,
        bytes: 0,
        encoder_us: 0,
        width: 0,
        height: 0,
        rtt_us: 0,
        packets_sent: 0,
        packets_lost: 0,
    };
    standing.chain.append(key, time, now);
    standing.chain.ready(now, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_state_all_of_the_time_and_nothing_else() {
        let (key, session) = (NodeKey::from_seed([1; 32]), SessionId::from_bytes([2; 16]));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut standby = StandBy::default();
        assert!(standby.begin(&key, session, Generation(0), start));
        assert!(!standby.begin(&key, session, Generation(0), at(5)), "the command came twice");
        assert_eq!(standby.due(&key, at(9_999)), []);
        let first = standby.due(&key, at(10_250));
        assert_eq!(standby.due(&key, at(10_251)), []);
        let (generation, last) = standby.end(&key, session, at(12_000)).unwrap();
        assert_eq!((generation, standby.all()), (Generation(0), vec![]));
        let receipts: Vec<_> = first.iter().chain(&last).map(|signed| &signed.receipt).collect();
        let times: Vec<_> = receipts.iter().map(|receipt| receipt.duration_us).collect();
        assert_eq!(times, [10_250_000, 1_750_000]);
        assert_eq!((receipts[1].sequence, receipts[1].previous), (1, receipts[0].hash()));
        assert!(receipts.iter().all(|receipt| (receipt.frames, receipt.bytes, receipt.width) == (0, 0, 0)));
        assert_eq!(standby.end(&key, session, at(13_000)), None);
    }
}
