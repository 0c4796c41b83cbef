//! Transfers: the only way money moves.

use crate::{Account, LedgerError};
use nearframe_protocol::{Currency, LeaseId, TransferId};

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sets an amount aside until it is posted or voided.
    Pending,
    /// Moves an amount out of what the lease set aside.
    Post,
    /// Releases an amount that the lease had set aside.
    Void,
}

impl Kind {
    /// The form the database keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Post => "post",
            Self::Void => "void",
        }
    }
    /// The kind with this form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Post, Self::Void].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One row of the journal. Never changed, never removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// The lease whose account it belongs to.
    pub lease: LeaseId,
    /// What it does.
    pub kind: Kind,
    /// Who pays.
    pub debit: Account,
    /// Who is paid.
    pub credit: Account,
    /// Micro-units; never negative.
    pub amount_micros: i128,
    /// What it is counted in.
    pub currency: Currency,
    /// Chosen by the caller; writing the same key twice changes nothing.
    pub key: String,
}

impl Transfer {
    /// Refuses amounts below zero.
    pub fn check(self) -> Result<Self, LedgerError> {
        if self.amount_micros < 0 { Err(LedgerError::Negative) } else { Ok(self) }
    }
}
