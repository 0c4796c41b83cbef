//! What is to be placed and what it weighs.

use crate::region::Residency;
use nearframe_protocol::{TitleHash, TitleId};

/// What is to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The title.
    pub title: TitleId,
    /// Exactly which bytes.
    pub hash: TitleHash,
    /// Rules of the title, the player and the job; all of them hold.
    pub residency: Vec<Residency>,
    /// Regions whose slots are kept for others: they are reserved or booked.
    pub shut: Vec<String>,
    /// What the node must have.
    pub needs: Needs,
    /// What makes one node better than another.
    pub weights: Weights,
    /// How long it has waited, ms.
    pub waited_ms: u64,
}

impl Request {
    /// A player of a title that asks nothing special.
    pub fn play(title: TitleId, hash: TitleHash) -> Self {
        Self {
            title,
            hash,
            residency: Vec::new(),
            shut: Vec::new(),
            needs: Needs::default(),
            weights: Weights::INTERACTIVE,
            waited_ms: 0,
        }
    }
}

/// Hard needs: a node that lacks one is never chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Codecs it must encode, as bits of [`crate::profile::codec`].
    pub codecs: u8,
    /// Pixels of a second.
    pub pixels_per_s: u64,
    /// Least GPU tier.
    pub gpu_tier: u8,
    /// Least trust tier.
    pub trust: u8,
    /// Least stake, micro-units.
    pub stake_micros: u64,
    /// Longest round trip, µs.
    pub rtt_ceiling_us: Option<u32>,
    /// Highest price of an hour, micro-units.
    pub price_ceiling_micros_per_hour: Option<u64>,
    /// Slots that it takes on one node; 0 counts as 1.
    pub slots: u32,
    /// Whether it may be interrupted, and so needs a node that takes such work.
    pub batch: bool,
}

/// What a difference costs. The unit of cost is one µs of round trip for a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// For each µs of round trip, in hundredths.
    pub rtt_percent: u32,
    /// For each thousandth of a unit of currency of an hour's price.
    pub price_per_milli: u32,
    /// For each session in a thousand that the node is expected to break.
    pub failure_per_permille: u32,
    /// For a node without a free slot beyond this one; an idle node costs nothing, others by their load.
    pub load: u32,
    /// For a title that is not warm on the node.
    pub cold_title: u32,
    /// What each second of waiting is worth.
    pub credit_per_waited_s: u32,
}

impl Weights {
    /// A player: a euro an hour weighs as much as 20 ms, a node that breaks one session in a hundred as 5 ms.
    pub const INTERACTIVE: Self = Self {
        rtt_percent: 100,
        price_per_milli: 20,
        failure_per_permille: 500,
        load: 1_000,
        cold_title: 2_000,
        credit_per_waited_s: 2_000,
    };
    /// A render task: price decides, and a millisecond weighs nothing.
    pub const BATCH: Self = Self {
        rtt_percent: 0,
        price_per_milli: 1_000,
        failure_per_permille: 500,
        load: 100,
        cold_title: 20_000,
        credit_per_waited_s: 100,
    };
}
