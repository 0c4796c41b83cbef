//! The receipt chain of one session: fills in sequence and previous hash, signs, waits for the player.

use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::{NodeKey, PublicKey, Signature};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A player has this long to sign; after that the receipt goes out with the node's signature alone.
const SIGN_TIME: Duration = Duration::from_secs(3);
/// Receipts that may wait for the player: one every 10 s, 3 s each, so a second one is already odd.
const MAX_WAITING: usize = 8;

/// One session's chain.
pub(crate) struct Chain {
    player_key: PublicKey,
    sequence: u32,
    previous: ReceiptHash,
    waiting: VecDeque<(Instant, SignedReceipt)>,
}

impl Chain {
    pub(crate) fn new(player_key: PublicKey) -> Self {
        Self { player_key, sequence: 0, previous: ReceiptHash::ZERO, waiting: VecDeque::new() }
    }

    /// Chains and signs what a worker used.
    pub(crate) fn append(&mut self, key: &NodeKey, mut usage: Receipt, now: Instant) -> Receipt {
        usage.sequence = self.sequence;
        usage.previous = self.previous;
        self.sequence += 1;
        self.previous = usage.hash();
        self.waiting.push_back((now, SignedReceipt::sign(key, usage.clone())));
        usage
    }

    /// Takes the player's signature; a wrong one is as good as none.
    pub(crate) fn countersign(&mut self, sequence: u32, signature: Signature) -> bool {
        let Some((_, waiting)) = self.waiting.iter_mut().find(|(_, w)| w.receipt.sequence == sequence) else {
            return false;
        };
        let good = self.player_key.verify(&waiting.receipt.signed_bytes(), &signature).is_ok();
        if good {
            waiting.player_signature = Some(signature);
        }
        good
    }

    /// Receipts that wait no longer, in order: signed by both, too old, or all of them at the end.
    pub(crate) fn ready(&mut self, now: Instant, at_end: bool) -> Vec<SignedReceipt> {
        let mut ready = Vec::new();
        while let Some((since, receipt)) = self.waiting.front() {
            let done = receipt.player_signature.is_some()
                || now.saturating_duration_since(*since) >= SIGN_TIME
                || self.waiting.len() > MAX_WAITING
                || at_end;
            if !done {
                break;
            }
            ready.extend(self.waiting.pop_front().map(|(_, receipt)| receipt));
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::{Generation, SessionId};

    fn usage() -> Receipt {
        Receipt {
            session: SessionId::from_bytes([7; 16]),
            generation: Generation(0),
            sequence: 0,
            previous: ReceiptHash::ZERO,
            duration_us: 10_000_000,
            frames: 600,
            bytes: 1,
            encoder_us: 1,
            width: 1280,
            height: 720,
            rtt_us: 1,
            packets_sent: 1,
            packets_lost: 0,
        }
    }

    #[test]
    fn receipts_are_chained_in_order_and_leave_when_both_signed() {
        let (node, player) = (NodeKey::from_seed([1; 32]), NodeKey::from_seed([2; 32]));
        let mut chain = Chain::new(player.public());
        let now = Instant::now();
        let first = chain.append(&node, usage(), now);
        let second = chain.append(&node, usage(), now);
        assert_eq!((second.sequence, second.previous), (1, first.hash()));
        assert!(chain.ready(now, false).is_empty());
        assert!(!chain.countersign(0, node.sign(&first.signed_bytes())), "not the player's key");
        assert!(chain.countersign(0, player.sign(&first.signed_bytes())));
        let ready = chain.ready(now, false);
        assert_eq!(ready.len(), 1);
        assert!(ready[0].verify(&node.public(), &player.public()).is_ok());
        assert!(ready[0].player_signature.is_some());
    }

    #[test]
    fn a_silent_player_delays_a_receipt_but_never_loses_it() {
        let mut chain = Chain::new(NodeKey::from_seed([2; 32]).public());
        let now = Instant::now();
        chain.append(&NodeKey::from_seed([1; 32]), usage(), now);
        assert!(chain.ready(now + SIGN_TIME / 2, false).is_empty());
        assert_eq!(chain.ready(now + SIGN_TIME, false).len(), 1);
        chain.append(&NodeKey::from_seed([1; 32]), usage(), now);
        assert_eq!(chain.ready(now, true).len(), 1, "the end of a session waits for nobody");
    }
}
