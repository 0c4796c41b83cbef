//! The receipt chain of one lease: which receipt may come next.
//!
//! Sequence numbers have no gaps, each receipt names the hash of the one before, the node's signature
//! is right, and all receipts together never claim more time than passed while the lease ran: the
//! lease is the third witness beside node and player.

use nearframe_protocol::receipt::{ReceiptHash, SignedReceipt};
use nearframe_protocol::{Generation, PublicKey, SessionId};

/// What the clocks of node and matchmaker may differ by at the ends of a lease, in µs.
pub const SLACK_US: u64 = 2_000_000;
/// What their rates may differ by: one part in a thousand, far beyond any working quartz.
pub const DRIFT_DIVISOR: u64 = 1000;
/// Receipts are taken this long after a lease ended, in ms: a node that lost its network for a night
/// still gets paid for what it spooled.
pub const LATE_WINDOW_MS: u64 = 24 * 3600 * 1000;

/// What a lease says about its receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The session leased to.
    pub session: SessionId,
    /// Its placement generation; each has its own chain.
    pub generation: Generation,
    /// The node's key.
    pub node_key: PublicKey,
    /// The player's session key.
    pub player_key: PublicKey,
    /// When the lease began, Unix ms by the matchmaker's clock.
    pub started_at_ms: u64,
    /// When it ended, by the same clock.
    pub ended_at_ms: Option<u64>,
}

impl Terms {
    /// The most time that receipts may have claimed by `now_ms`, in µs.
    pub fn claimable_us(&self, now_ms: u64) -> u64 {
        let until_ms = self.ended_at_ms.map_or(now_ms, |ended| ended.min(now_ms));
        let elapsed_us = until_ms.saturating_sub(self.started_at_ms).saturating_mul(1000);
        elapsed_us.saturating_add(elapsed_us / DRIFT_DIVISOR).saturating_add(SLACK_US)
    }
}

/// How far a lease's chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The sequence number that comes next.
    pub next_sequence: u32,
    /// Hash of the last receipt.
    pub head: ReceiptHash,
    /// Time claimed by all receipts so far, in µs.
    pub claimed_us: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next_sequence: 0, head: ReceiptHash::ZERO, claimed_us: 0 }
    }
}

/// A receipt that extends the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether the player's signature is there and right.
    pub countersigned: bool,
    /// The chain with this receipt at its end.
    pub chain: Chain,
}

/// What to do with a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Count it.
    Next(Link),
    /// It was counted before; acknowledge it again.
    Duplicate,
}

/// Why a receipt will never be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another session or generation than the lease.
    #[error("the receipt belongs to another session or generation")]
    WrongLease,
    /// The node's signature is wrong.
    #[error("the node's signature does not match the receipt and the key of the leased node")]
    Signature,
    /// A receipt before this one is missing.
    #[error("receipt {expected} comes next; send the missing ones first")]
    Gap {
        /// The sequence number that comes next.
        expected: u32,
    },
    /// Does not follow the receipt before it.
    #[error("the receipt does not name the hash of the one before it")]
    Broken,
    /// Another receipt was counted under this sequence number.
    #[error("a different receipt was already taken with this sequence number")]
    Fork,
    /// Claims more time than passed.
    #[error("the receipts claim {claimed_us} µs, but the lease lasted {lasted_us} µs, tolerance included")]
    TooLong {
        /// Sum over the chain with this receipt.
        claimed_us: u64,
        /// The most that could have been used.
        lasted_us: u64,
    },
    /// The session ended too long ago.
    #[error("the session ended more than 24 hours ago; its account is closed")]
    TooLate,
}

impl Chain {
    /// Judges a receipt at `now_ms`. `known` is the hash of the receipt already counted under the
    /// same sequence number, if there is one.
    pub fn judge(
        &self,
        terms: &Terms,
        signed: &SignedReceipt,
        known: Option<ReceiptHash>,
        now_ms: u64,
    ) -> Result<Verdict, Refusal> {
        let receipt = &signed.receipt;
        if (receipt.session, receipt.generation) != (terms.session, terms.generation) {
            return Err(Refusal::WrongLease);
        }
        let bytes = receipt.signed_bytes();
        terms.node_key.verify(&bytes, &signed.node_signature).map_err(|_| Refusal::Signature)?;
        if let Some(known) = known {
            return if known == receipt.hash() { Ok(Verdict::Duplicate) } else { Err(Refusal::Fork) };
        }
        if receipt.sequence != self.next_sequence {
            return Err(Refusal::Gap { expected: self.next_sequence });
        }
        if receipt.previous != self.head {
            return Err(Refusal::Broken);
        }
        if terms.ended_at_ms.is_some_and(|ended| now_ms.saturating_sub(ended) > LATE_WINDOW_MS) {
            return Err(Refusal::TooLate);
        }
        let claimed_us = self.claimed_us.saturating_add(receipt.duration_us);
        let lasted_us = terms.claimable_us(now_ms);
        if claimed_us > lasted_us {
            return Err(Refusal::TooLong { claimed_us, lasted_us });
        }
        let countersigned = signed
            .player_signature
            .is_some_and(|signature| terms.player_key.verify(&bytes, &signature).is_ok());
        let next_sequence =
            self.next_sequence.checked_add(1).ok_or(Refusal::Gap { expected: self.next_sequence })?;
        Ok(Verdict::Next(Link {
            countersigned,
            chain: Chain { next_sequence, head: receipt.hash(), claimed_us },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::NodeKey;
    use nearframe_protocol::receipt::Receipt;

    const START_MS: u64 = 1_000_000;

    fn node() -> NodeKey {
        NodeKey::from_seed([1; 32])
    }
    fn player() -> NodeKey {
        NodeKey::from_seed([2; 32])
    }
    fn terms() -> Terms {
        Terms {
            session: SessionId::from_random([3; 16]),
            generation: Generation(0),
            node_key: node().public(),
            player_key: player().public(),
            started_at_ms: START_MS,
            ended_at_ms: None,
        }
    }
    fn receipt(sequence: u32, previous: ReceiptHash, duration_us: u64) -> SignedReceipt {
        let receipt = Receipt {
            session: terms().session,
            generation: Generation(0),
            sequence,
            previous,
            duration_us,
            frames: 600,
            bytes: 1,
            encoder_us: 1,
            width: 1280,
            height: 720,
            rtt_us: 0,
            packets_sent: 1,
            packets_lost: 0,
        };
        SignedReceipt::sign(&node(), receipt)
    }
    fn next(chain: &Chain, signed: &SignedReceipt, now_ms: u64) -> Link {
        match chain.judge(&terms(), signed, None, now_ms) {
            Ok(Verdict::Next(link)) => link,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn receipts_that_follow_each_other_are_counted_with_or_without_the_player() {
        let mut first = receipt(0, ReceiptHash::ZERO, 10_000_000);
        first.player_signature = Some(player().sign(&first.receipt.signed_bytes()));
        let link = next(&Chain::default(), &first, START_MS + 10_000);
        assert!(link.countersigned);
        let second = receipt(1, first.receipt.hash(), 10_000_000);
        let link = next(&link.chain, &second, START_MS + 20_000);
        assert!(!link.countersigned);
        assert_eq!((link.chain.next_sequence, link.chain.claimed_us), (2, 20_000_000));
    }

    #[test]
    fn a_wrong_player_signature_counts_as_none() {
        let mut first = receipt(0, ReceiptHash::ZERO, 1);
        first.player_signature = Some(node().sign(&first.receipt.signed_bytes()));
        assert!(!next(&Chain::default(), &first, START_MS).countersigned);
    }

    #[test]
    fn a_repeated_receipt_is_a_duplicate_and_a_changed_one_a_fork() {
        let first = receipt(0, ReceiptHash::ZERO, 1);
        let chain = next(&Chain::default(), &first, START_MS).chain;
        let known = Some(first.receipt.hash());
        assert_eq!(chain.judge(&terms(), &first, known, START_MS), Ok(Verdict::Duplicate));
        let changed = receipt(0, ReceiptHash::ZERO, 2);
        assert_eq!(chain.judge(&terms(), &changed, known, START_MS), Err(Refusal::Fork));
    }

    #[test]
    fn gaps_broken_chains_and_wrong_signatures_are_refused() {
        let first = receipt(0, ReceiptHash::ZERO, 1);
        let chain = next(&Chain::default(), &first, START_MS).chain;
        let judge = |signed: &SignedReceipt| chain.judge(&terms(), signed, None, START_MS);
        assert_eq!(judge(&receipt(2, first.receipt.hash(), 1)), Err(Refusal::Gap { expected: 1 }));
        assert_eq!(judge(&receipt(1, ReceiptHash::ZERO, 1)), Err(Refusal::Broken));
        let mut forged = receipt(1, first.receipt.hash(), 1);
        forged.receipt.frames += 1;
        assert_eq!(judge(&forged), Err(Refusal::Signature));
        let elsewhere = Terms { generation: Generation(1), ..terms() };
        assert_eq!(chain.judge(&elsewhere, &first, None, START_MS), Err(Refusal::WrongLease));
    }

    #[test]
    fn no_more_time_is_claimed_than_the_lease_lasted() {
        let chain = Chain { claimed_us: 9_000_000, ..Chain::default() };
        let greedy = receipt(0, ReceiptHash::ZERO, 4_000_000);
        let at = |ms| chain.judge(&terms(), &greedy, None, START_MS + ms);
        assert!(matches!(at(10_000), Err(Refusal::TooLong { claimed_us: 13_000_000, .. })));
        assert!(at(11_000).is_ok());
        let ended = Terms { ended_at_ms: Some(START_MS + 10_000), ..terms() };
        assert!(matches!(
            chain.judge(&ended, &greedy, None, START_MS + 60_000),
            Err(Refusal::TooLong { .. })
        ));
    }

    #[test]
    fn spooled_receipts_are_taken_for_a_day_after_the_end() {
        let ended = Terms { ended_at_ms: Some(START_MS + 10_000), ..terms() };
        let late = receipt(0, ReceiptHash::ZERO, 1);
        let at = |ms| Chain::default().judge(&ended, &late, None, START_MS + 10_000 + ms);
        assert!(at(LATE_WINDOW_MS).is_ok());
        assert_eq!(at(LATE_WINDOW_MS + 1), Err(Refusal::TooLate));
    }
}
