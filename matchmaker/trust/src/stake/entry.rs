//! What is written of a stake: entries that are never changed, in the order in which they happened.

use crate::fraud::Kind;
use nearframe_ledger::Account;
use nearframe_protocol::account::Actor;
use nearframe_protocol::{CaseId, NodeId};
use serde::{Deserialize, Serialize};

/// Where a stake came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Source {
    /// Settled earnings of the machine that were not paid out.
    Earnings,
    /// Money that came from outside.
    Deposit {
        /// The operator's reference, such as a bank's: the same one again is the same deposit.
        reference: String,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub enum Deed {
    /// The amount was staked.
    Posted {
        /// From where.
        from: Source,
    },
    /// The host gave notice.
    Noticed {
        /// When the stake is free, Unix ms.
        releases_at_ms: u64,
        /// Version of the rules that say so.
        rules: u32,
    },
    /// The amount went back to the host, who is paid it.
    Released,
    /// The amount was set aside because of a case.
    SetAside {
        /// Which.
        case: CaseId,
        /// What was found.
        kind: Kind,
        /// Version of the rules that say how much.
        rules: u32,
        /// When it is taken, Unix ms; until then the host may appeal.
        takes_at_ms: u64,
    },
    /// The host appealed.
    Appealed {
        /// Against what was set aside for this case.
        case: CaseId,
        /// Why.
        text: String,
    },
    /// The appeal was refused: the decision stands.
    Confirmed {
        /// The case.
        case: CaseId,
        /// Why.
        reason: String,
    },
    /// The appeal was allowed: the amount is free again.
    Freed {
        /// The case.
        case: CaseId,
        /// The number of the entry that set it aside.
        aside: u32,
        /// Why.
        reason: String,
    },
    /// The amount was taken.
    Taken {
        /// The case.
        case: CaseId,
        /// The number of the entry that set it aside.
        aside: u32,
    },
}

impl Deed {
    /// The form in databases.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Posted { .. } => "posted",
            Self::Noticed { .. } => "noticed",
            Self::Released => "released",
            Self::SetAside { .. } => "set_aside",
            Self::Appealed { .. } => "appealed",
            Self::Confirmed { .. } => "confirmed",
            Self::Freed { .. } => "freed",
            Self::Taken { .. } => "taken",
        }
    }

    /// The case that it is about.
    pub fn case(&self) -> Option<CaseId> {
        match self {
            Self::SetAside { case, .. }
            | Self::Appealed { case, .. }
            | Self::Confirmed { case, .. }
            | Self::Freed { case, .. }
            | Self::Taken { case, .. } => Some(*case),
            Self::Posted { .. } | Self::Noticed { .. } | Self::Released => None,
        }
    }
}

/// One entry of a machine's stake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts up from 1, for each machine.
    pub number: u32,
    /// Unix ms.
    pub at_ms: u64,
    /// How much, in micro-units; 0 of what moves nothing.
    pub amount_micros: i128,
    /// What happened.
    pub deed: Deed,
    /// Who did it; `None`: time.
    pub by: Option<Actor>,
}

/// What an entry means to the general ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posting {
    /// Moves the amount.
    Move {
        /// Who pays.
        debit: Account,
        /// Who is paid.
        credit: Account,
    },
    /// Sets the amount of the stake aside.
    Pend,
    /// Takes what was set aside under this key.
    Take {
        /// Of the entry that set it aside.
        pending: String,
    },
    /// Frees what was set aside under this key.
    Void {
        /// Of the entry that set it aside.
        pending: String,
    },
}

/// Where what is taken waits until it is known whose it is, and money from outside comes from: names of a reserve and of
/// a rail.
pub mod label {
    /// Taken from stakes.
    pub const SLASHED: &str = "slashed";
    /// Paid to the operator by some way of its own.
    pub const DEPOSITS: &str = "deposits";
}

impl Entry {
    /// Names the order in the general ledger.
    pub fn key(node: NodeId, number: u32) -> String {
        format!("stake:{node}:{number}")
    }

    /// What it means to the general ledger. `deposits` is the rail of money from outside.
    pub fn posting(&self, node: NodeId, deposits: Account) -> Option<Posting> {
        if self.amount_micros == 0 {
            return None;
        }
        let (host, stake) = (Account::Host(node), Account::Stake(node));
        match &self.deed {
            Deed::Posted { from: Source::Earnings } => Some(Posting::Move { debit: host, credit: stake }),
            Deed::Posted { from: Source::Deposit { .. } } => {
                Some(Posting::Move { debit: deposits, credit: stake })
            }
            Deed::Released => Some(Posting::Move { debit: stake, credit: host }),
            Deed::SetAside { .. } => Some(Posting::Pend),
            Deed::Taken { aside, .. } => Some(Posting::Take { pending: Self::key(node, *aside) }),
            Deed::Freed { aside, .. } => Some(Posting::Void { pending: Self::key(node, *aside) }),
            Deed::Noticed { .. } | Deed::Appealed { .. } | Deed::Confirmed { .. } => None,
        }
    }
}
