//! Cheating, read out of what witnesses say.
//!
//! Each module looks for one kind and knows nothing of the others. A finding names a node, how sure it is, which
//! witnesses it rests on and the sessions that show it. What only one witness says is watched: it makes checkers come,
//! and holds nothing.
//!
//! Peers are compared by medians and by how many independent parties agree, never by sums, so that neither one lying
//! player nor one with a bad network decides.

mod cloned;
mod inflated;
mod pretended;
mod recorded;
mod replayed;
mod shared;
mod washed;

use crate::seen::{NodeSeen, Seen, SessionSeen};
use crate::witness::Witness;
use nearframe_protocol::{NodeId, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Receipts claim more time than was played.
    InflatedTime,
    /// Receipts claim more frames than were sent.
    InflatedFrames,
    /// Receipts claim more bytes than were sent.
    InflatedBytes,
    /// Receipts repeat what other receipts said, or contradict one that was counted.
    ReplayedReceipts,
    /// Two machines use one key.
    ClonedKey,
    /// The GPU is weaker than claimed.
    PretendedTier,
    /// What is shown was recorded before.
    RecordedPicture,
    /// Several nodes share what each of them claims as its own.
    SharedCapacity,
    /// The owner plays on the own machine, and is paid for it.
    OwnPlay,
    /// A machine with stake went away without notice. No deception: [`reach`](crate::reach) finds it.
    LeftEarly,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::InflatedTime,
        Self::InflatedFrames,
        Self::InflatedBytes,
        Self::ReplayedReceipts,
        Self::ClonedKey,
        Self::PretendedTier,
        Self::RecordedPicture,
        Self::SharedCapacity,
        Self::OwnPlay,
        Self::LeftEarly,
    ];

    /// The form in databases and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InflatedTime => "inflated_time",
            Self::InflatedFrames => "inflated_frames",
            Self::InflatedBytes => "inflated_bytes",
            Self::ReplayedReceipts => "replayed_receipts",
            Self::ClonedKey => "cloned_key",
            Self::PretendedTier => "pretended_tier",
            Self::RecordedPicture => "recorded_picture",
            Self::SharedCapacity => "shared_capacity",
            Self::OwnPlay => "own_play",
            Self::LeftEarly => "left_early",
        }
    }

    /// The kind with this form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sure a finding is, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// One witness says so: checkers come more often, nothing is held.
    Watch,
    /// Witnesses agree, or what they say has no harmless explanation that is likely: earnings are held until somebody
    /// looked at it.
    Review,
    /// At least two independent witnesses prove it: if upheld, it costs stake.
    Slash,
}

impl Grade {
    /// The form in databases and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Review => "review",
            Self::Slash => "slash",
        }
    }

    /// The grade with this form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Watch, Self::Review, Self::Slash].into_iter().find(|grade| grade.as_str() == text)
    }
}

/// What shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhibit {
    /// In which session, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// What, in words, with the numbers that it rests on.
    pub what: String,
}

/// Something that looks like cheating.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// By whom.
    pub node: NodeId,
    /// How.
    pub kind: Kind,
    /// How sure.
    pub grade: Grade,
    /// Who says so; independent of each other.
    pub witnesses: Vec<Witness>,
    /// What shows it; at most [`MOST_EXHIBITS`].
    pub exhibits: Vec<Exhibit>,
}

/// Exhibits of one finding; more of the same prove nothing more to whoever decides.
pub const MOST_EXHIBITS: usize = 20;

/// A node with what was seen of it.
struct Subject<'a> {
    seen: &'a NodeSeen,
    sessions: Vec<&'a SessionSeen>,
}

/// Everything that looks like cheating, by node and kind.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut subjects: BTreeMap<NodeId, Subject<'_>> = BTreeMap::new();
    for node in &seen.nodes {
        subjects.insert(node.node, Subject { seen: node, sessions: Vec::new() });
    }
    for session in &seen.sessions {
        if let Some(subject) = subjects.get_mut(&session.node) {
            subject.sessions.push(session);
        }
    }
    let checks = recorded::by_node(&seen.checks);
    let mut findings = Vec::new();
    for subject in subjects.values() {
        let node = subject.seen.node;
        let checks = checks.get(&node).map_or(&[][..], Vec::as_slice);
        findings.extend(inflated::look(subject, checks));
        findings.extend(cloned::look(subject.seen));
        findings.extend(pretended::look(subject, checks));
        findings.extend(recorded::look(node, checks));
        findings.extend(washed::look(subject));
    }
    findings.extend(replayed::look(&seen.sessions));
    findings.extend(shared::look(&subjects));
    for finding in &mut findings {
        finding.exhibits.truncate(MOST_EXHIBITS);
    }
    findings.sort_by_key(|finding| (finding.node, finding.kind));
    findings
}

/// The share of `part` in `whole` in millionths; `None` of nothing.
fn ppm(part: u64, whole: u64) -> Option<i64> {
    let ratio = i128::from(part).checked_mul(1_000_000)?.checked_div(i128::from(whole))?;
    i64::try_from(ratio).ok()
}
