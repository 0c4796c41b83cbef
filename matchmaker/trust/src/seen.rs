//! What witnesses say about nodes and sessions.
//!
//! Players and hosts are known here by [`Mark`]s alone: keyed hashes of cookies and address prefixes, which can be
//! compared and say nothing else.

use nearframe_ledger::Refusal;
use nearframe_ledger::chain::{DRIFT_DIVISOR, SLACK_US};
use nearframe_protocol::receipt::Receipt;
use nearframe_protocol::{AccountId, NodeId, SessionId};
use serde::{Deserialize, Serialize};

/// A keyed hash of something that tells people or places apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub u64);

/// Everything that was seen in a time, such as a day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Nodes that were linked.
    pub nodes: Vec<NodeSeen>,
    /// Sessions on them.
    pub sessions: Vec<SessionSeen>,
    /// What checkers reported.
    pub checks: Vec<CheckSeen>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeSeen {
    /// It.
    pub node: NodeId,
    /// Who owns it.
    pub owner: Option<AccountId>,
    /// Browsers in which the owner's members are signed in.
    pub owner_devices: Vec<Mark>,
    /// Prefix of the address that it links from.
    pub address: Mark,
    /// GPU tier that it claims.
    pub gpu_tier: u8,
    /// Its links, by when they opened.
    pub links: Vec<LinkSeen>,
}

/// A node's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSeen {
    /// Prefix of the address that it came from.
    pub address: Mark,
    /// Unix ms.
    pub opened_at_ms: u64,
    /// When the last heartbeat came over it, Unix ms.
    pub heard_until_ms: u64,
}

/// Who played, as far as that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Player {
    /// The account that pays in the studio's place.
    pub account: Option<AccountId>,
    /// The browser's cookie.
    pub device: Mark,
    /// Prefix of its address.
    pub address: Mark,
}

/// A session on a node: one lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionSeen {
    /// It.
    pub session: SessionId,
    /// Where.
    pub node: NodeId,
    /// Who played.
    pub player: Player,
    /// Beginning of the lease, Unix ms.
    pub started_at_ms: u64,
    /// Its end, Unix ms; now, where it runs.
    pub until_ms: u64,
    /// Frames a second that the title asks for.
    pub asked_fps: u16,
    /// Receipts that were counted, by sequence.
    pub receipts: Vec<ReceiptSeen>,
    /// Receipts that were refused.
    pub refused: Vec<RefusedSeen>,
    /// What the player's page counted by itself.
    pub page: Option<PageSeen>,
}

/// What a receipt claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptSeen {
    /// Its place in the chain.
    pub sequence: u32,
    /// Time, µs.
    pub duration_us: u64,
    /// Frames handed to the network.
    pub frames: u32,
    /// Bytes handed to the network, retransmissions included.
    pub bytes: u64,
    /// Time the encoder worked, µs.
    pub encoder_us: u64,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

impl From<&Receipt> for ReceiptSeen {
    fn from(receipt: &Receipt) -> Self {
        Self {
            sequence: receipt.sequence,
            duration_us: receipt.duration_us,
            frames: receipt.frames,
            bytes: receipt.bytes,
            encoder_us: receipt.encoder_us,
            width: receipt.width,
            height: receipt.height,
        }
    }
}

/// A receipt that the chain did not take, as far as that says something about the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum RefusedSeen {
    /// It claimed more time than had passed.
    TooLong {
        /// Claimed by the chain with it, µs.
        claimed_us: u64,
        /// Had passed since the beginning of the lease, without tolerance, µs.
        passed_us: u64,
    },
    /// Another receipt was counted under its number, and the node signed both.
    Fork,
}

impl RefusedSeen {
    /// What a refusal of the chain says about the node; `None` where a node that works comes to it as well, or where
    /// anybody could have sent it.
    pub fn of(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::TooLong { claimed_us, lasted_us } => {
                let net_us = lasted_us.saturating_sub(SLACK_US);
                let passed_us = net_us - net_us / (DRIFT_DIVISOR + 1);
                Some(Self::TooLong { claimed_us: *claimed_us, passed_us })
            }
            Refusal::Fork => Some(Self::Fork),
            Refusal::WrongLease
            | Refusal::Signature
            | Refusal::Gap { .. }
            | Refusal::Broken
            | Refusal::TooLate => None,
        }
    }
}

/// What a page counted from the first receipt to one of them, at the moment at which it saw that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageSeen {
    /// The last receipt whose time is in it.
    pub until_sequence: u32,
    /// By the page's clock, µs.
    pub elapsed_us: u64,
    /// Frames that arrived whole.
    pub frames: u64,
    /// Media bytes that arrived.
    pub bytes: u64,
    /// Media packets that arrived.
    pub packets: u64,
    /// Media packets that did not, by their numbers.
    pub packets_lost: u64,
}

/// What a checker reported about a session of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSeen {
    /// Which checker.
    pub checker: Mark,
    /// Whom it checked.
    pub node: NodeId,
    /// In which session; it is among the sessions of [`Seen`].
    pub session: SessionId,
    /// How long it looked, µs.
    pub elapsed_us: u64,
    /// Frames a second that the title asks for.
    pub asked_fps: u16,
    /// Frames that it could decode.
    pub frames_shown: u64,
    /// Median age of a frame when it was shown, µs.
    pub frame_age_us: u32,
    /// Lowest round trip, µs.
    pub rtt_us: u32,
    /// Media bytes that arrived.
    pub bytes: u64,
    /// Challenge frames that it asked for.
    pub challenges_asked: u32,
    /// Of those, shown in time and right.
    pub challenges_answered: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_how_much_time_had_passed() {
        // 100 s passed: the chain allows 0.1 % and 2 s more.
        let refusal = Refusal::TooLong { claimed_us: 103_000_000, lasted_us: 102_100_000 };
        let seen = RefusedSeen::TooLong { claimed_us: 103_000_000, passed_us: 100_000_000 };
        assert_eq!(RefusedSeen::of(&refusal), Some(seen));
        assert_eq!(RefusedSeen::of(&Refusal::Signature), None, "anybody can send what the node never signed");
    }
}
