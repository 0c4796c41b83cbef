//! What replicas say to each other.
//!
//! A word about a node or its slots carries how new it is, so that an old one is known as such whenever it comes.

use crate::placing::groups::{Member, Told};
use crate::store::{Created, NewSession};
use nearframe_placement::{Home, Stage};
use nearframe_protocol::api::CreateSession;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::measure::Reflector;
use nearframe_protocol::placement::Placement;
use nearframe_protocol::{GuestId, NodeId, SessionId, TitleHash, TitleId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One run of one matchmaker process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(u64);

impl ReplicaId {
    /// Of bytes that the caller drew.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        // The sign bit stays clear: databases count in signed numbers.
        Self(u64::from_le_bytes(bytes) & (u64::MAX >> 1))
    }
    /// Where the nodes are that are linked to it.
    pub fn home(self) -> Home {
        Home::There(self.0)
    }
    /// As fleets know it.
    pub fn raw(self) -> u64 {
        self.0
    }
    /// What a fleet knows.
    pub fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    /// As databases keep it.
    pub fn number(self) -> i64 {
        self.0.cast_signed()
    }
    /// What a database kept.
    pub fn from_number(number: i64) -> Self {
        Self(number.cast_unsigned())
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplicaId({self})")
    }
}

/// An announcement with who makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub replica: ReplicaId,
    /// Counts up by one with each of this replica's announcements: a hole is something missed.
    pub number: u64,
    /// What.
    pub word: Word,
}

/// What a replica tells all others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Word {
    /// It is there, and whether its database answers.
    Here {
        /// Whether it does.
        store: bool,
    },
    /// Nodes that are linked to it, or no longer.
    Nodes(Vec<NodeWord>),
    /// Slots that leases hold.
    Held(Vec<HeldSlots>),
    /// Places in the queue.
    Line(Vec<LineWord>),
}

/// A place in the queue, by the replica that was asked for it last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineWord {
    /// Whose.
    pub guest: GuestId,
    /// For which title.
    pub title: TitleId,
    /// Which bytes of it.
    pub hash: TitleHash,
    /// Since when, Unix ms by the database's clock.
    pub since_ms: u64,
    /// What became of it.
    pub step: LineStep,
}

/// What becomes of a place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineStep {
    /// It is asked for.
    Waits,
    /// It is given up.
    Left,
    /// It became a session.
    Served,
}

/// Where a node stands, by the replica that it is linked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeWord {
    /// Which.
    pub node: NodeId,
    /// Which of its links; a newer one has a higher number.
    pub link: u64,
    /// How far this link has come.
    pub stage: Stage,
    /// What it offers, without pictures; absent where only the stage changed.
    pub offer: Option<Box<NodeOffer>>,
    /// How pages may measure it, where it said so.
    #[serde(default)]
    pub reflector: Option<Box<Reflector>>,
}

/// Slots of a node that leases hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSlots {
    /// Which node.
    pub node: NodeId,
    /// How many.
    pub held: u32,
    /// Grows with each change.
    pub change: u64,
}

/// What one replica asks another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// All nodes that are linked to you, from this one on, please.
    Nodes {
        /// The node after which to go on.
        after: Option<NodeId>,
    },
    /// The picture of a title, by a node that is linked to you.
    Cover {
        /// The title.
        title: TitleId,
    },
    /// Why a session runs where it runs, if you decided it.
    Reasons {
        /// The session.
        session: SessionId,
    },
    /// Take this member into its group: you keep it.
    Gather {
        /// The group's secret.
        group: String,
        /// What the member asked for.
        asked: Box<CreateSession>,
        /// It.
        member: Box<Member>,
    },
    /// Lease this session on its node: the region is yours.
    Place {
        /// The session.
        new: Box<NewSession>,
        /// The region.
        region: String,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Some nodes in the order of their ids; none are left after an empty answer.
    Nodes {
        /// They.
        nodes: Vec<NodeWord>,
        /// The number of the last announcement before this answer.
        number: u64,
    },
    /// The picture, base64.
    Cover(Option<String>),
    /// Why.
    Reasons(Option<Box<Placement>>),
    /// What the member is told.
    Gathered(Told),
    /// What became of it.
    Placed(Box<Created>),
    /// The region is not mine (any more).
    NotMine,
    /// It cannot be done now.
    Failed,
}
