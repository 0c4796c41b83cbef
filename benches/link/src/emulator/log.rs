//! What a path has done, for figures and plots.

use crate::histogram::Histogram;
use crate::link::{Fate, LinkStats};
use std::time::Duration;

/// Packets logged between two takings: ten minutes at 20 Mbit/s. Those that follow are counted but not logged.
pub(super) const MOST_LOGGED: usize = 1 << 20;

/// What became of a logged packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It arrived with a mark.
    Marked,
    /// It was lost on the way.
    Lost,
    /// The queue was full.
    QueueFull,
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// When it came, after the latest restart.
    pub at: Duration,
    /// Its wait, until its last byte had left; nothing where the queue was full.
    pub queued: Duration,
    /// Bytes, its IP header included.
    pub size: u32,
    /// Whether it belongs to a TCP connection: signalling, or a competing flow.
    pub tcp: bool,
    /// What became of it.
    pub outcome: Outcome,
}

impl Logged {
    pub(super) fn new(at: Duration, size: u32, tcp: bool, fate: Fate) -> Self {
        let (queued, outcome) = match fate {
            Fate::QueueFull => (Duration::ZERO, Outcome::QueueFull),
            Fate::Lost { queued } => (queued, Outcome::Lost),
            Fate::Arrives { queued, marked: true, .. } => (queued, Outcome::Marked),
            Fate::Arrives { queued, .. } => (queued, Outcome::Delivered),
        };
        Self { at, queued, size, tcp, outcome }
    }
}

/// One direction since the latest restart.
#[derive(Clone, Debug, Default)]
pub struct DirectionStats {
    /// Counters.
    pub link: LinkStats,
    /// Waits of everything that was not dropped at the queue.
    pub queue_delay: Histogram,
    /// Packets since the latest restart or taking.
    pub log: Vec<Logged>,
}

/// How the relay kept to the model.
#[derive(Clone, Debug, Default)]
pub struct RelayStats {
    /// How much later than the model's time packets were handed to the other end.
    pub lateness: Histogram,
    /// Whether it runs before all other programs; without the right to it, a busy machine makes it late.
    pub realtime: bool,
    /// Packets that the other end's device would not take.
    pub refused: u64,
}
