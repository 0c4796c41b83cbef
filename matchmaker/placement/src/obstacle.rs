//! Why a node cannot take a request.

use nearframe_protocol::NodeId;
use std::collections::BTreeMap;
use std::fmt;

/// In order of checking: the first one that holds is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// Not connected, or not heard in time.
    Offline,
    /// Shut out by an operator.
    Banned,
    /// Takes no new sessions.
    Draining,
    /// Does not hold the title.
    TitleMissing,
    /// Holds other bytes of the title.
    OtherVersion,
    /// Outside the allowed regions, or in a region that nothing vouches for.
    Region,
    /// In a region whose slots are reserved or booked for others.
    Reserved,
    /// Lacks a codec.
    Codec,
    /// Does not encode so many pixels a second.
    Resolution,
    /// Its GPU is too slow.
    GpuTier,
    /// Not trusted enough.
    Trust,
    /// Too little is pledged.
    Stake,
    /// Costs more than the request pays.
    Price,
    /// Takes no work that may be interrupted.
    NotForBatch,
    /// Too far away.
    Distance,
    /// Too few free slots.
    Full,
}

impl Obstacle {
    /// A stable code for JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Banned => "banned",
            Self::Draining => "draining",
            Self::TitleMissing => "title_missing",
            Self::OtherVersion => "other_version",
            Self::Region => "region",
            Self::Reserved => "reserved",
            Self::Codec => "codec",
            Self::Resolution => "resolution",
            Self::GpuTier => "gpu_tier",
            Self::Trust => "trust",
            Self::Stake => "stake",
            Self::Price => "price",
            Self::NotForBatch => "not_for_batch",
            Self::Distance => "distance",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "offline",
            Self::Banned => "shut out by the operator",
            Self::Draining => "shutting down",
            Self::TitleMissing => "without the title",
            Self::OtherVersion => "with another version of the title",
            Self::Region => "outside the allowed regions",
            Self::Reserved => "with all slots reserved",
            Self::Codec => "without the codec",
            Self::Resolution => "too slow for the picture",
            Self::GpuTier => "with too slow a GPU",
            Self::Trust => "not trusted enough",
            Self::Stake => "with too small a pledge",
            Self::Price => "too dear",
            Self::NotForBatch => "not for interruptible work",
            Self::Distance => "too far away",
            Self::Full => "full",
        })
    }
}

/// No node can take the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct NoNode {
    /// How many nodes each obstacle stops.
    pub counts: BTreeMap<Obstacle, usize>,
    /// Some of them by name.
    pub examples: Vec<(NodeId, Obstacle)>,
}

impl fmt::Display for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counts.is_empty() {
            return f.write_str("no node is connected");
        }
        let parts: Vec<_> =
            self.counts.iter().map(|(obstacle, count)| format!("{count} {obstacle}")).collect();
        write!(f, "no node can take it: {}", parts.join(", "))
    }
}
