//! What a caller asks for.

use super::key::{Fingerprint, Key};
use super::record::Body;
use super::state::{AccountNo, Limit};
use crate::Account;
use nearframe_protocol::Currency;

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// This much, in micro-units; more than zero.
    Micros(i128),
    /// All that is still pending.
    Rest,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Opens an account. It gets the next number.
    Open {
        /// Whose.
        account: Account,
        /// What it is counted in.
        currency: Currency,
        /// What its balance may never do.
        limit: Limit,
    },
    /// Moves an amount at once.
    Move {
        /// Who pays.
        debit: AccountNo,
        /// Who is paid.
        credit: AccountNo,
        /// Micro-units, more than zero.
        amount_micros: i128,
    },
    /// Sets an amount aside until it is posted, voided or expires.
    Pend {
        /// Who will pay.
        debit: AccountNo,
        /// Who is to be paid.
        credit: AccountNo,
        /// Micro-units, more than zero.
        amount_micros: i128,
        /// When it is released by itself, in seconds from now; 0: never.
        timeout_s: u32,
    },
    /// Moves some or all of what is pending.
    Post {
        /// The key of the [`Action::Pend`].
        pending: Key,
        /// Who is paid; of the same currency.
        credit: AccountNo,
        /// How much.
        amount: Amount,
        /// Whether what is left is released at once.
        close: bool,
    },
    /// Releases some or all of what is pending.
    Void {
        /// The key of the [`Action::Pend`].
        pending: Key,
        /// How much.
        amount: Amount,
    },
}

/// What an order is for: kept, never interpreted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memo {
    /// The kind of business, as the caller counts them.
    pub code: u16,
    /// What it is about: a lease, a payout.
    pub subject: [u8; 16],
    /// The evidence: the hash of a receipt, of a quote, of a settlement's root.
    pub evidence: [u8; 32],
}

/// An action under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Names this order for ever.
    pub key: Key,
    /// What to do.
    pub action: Action,
    /// What for.
    pub memo: Memo,
}

impl Order {
    /// What it asks for, without its key and without what the books add.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&Body::of(self).encode())
    }
}

/// Orders that are carried out together or not at all.
pub type Group = Vec<Order>;
