//! Setting money aside for a lease: pending first, posted by receipts, voided at the end.
//!
//! A lease sets aside one hour at a time. Each receipt posts out of that and sets more aside when the
//! rest no longer covers it; the end of the lease voids what its last receipts cannot need any more.

use crate::{Account, Bill, Kind, LedgerError, Tariff, Transfer};
use nearframe_protocol::{AccountId, LeaseId, NodeId, TitleId, TransferId};

/// Time that is set aside at once, in µs.
pub const RESERVE_US: u64 = 3_600_000_000;

/// The sums of a lease's transfers, in micro-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// Set aside by pending transfers.
    pub pending_micros: i128,
    /// Moved by posts.
    pub posted_micros: i128,
    /// Released by voids.
    pub voided_micros: i128,
}

impl Reservation {
    /// What is still set aside.
    pub fn open_micros(&self) -> i128 {
        self.pending_micros - self.posted_micros - self.voided_micros
    }
}

/// Who stands on either side of a lease's transfers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseAccount {
    /// The lease.
    pub lease: LeaseId,
    /// Whose title plays: pays, unless somebody else does.
    pub title: TitleId,
    /// Who pays in the studio's place.
    pub payer: Option<AccountId>,
    /// Where it plays: earns.
    pub node: NodeId,
    /// What an hour costs.
    pub tariff: Tariff,
}

impl LeaseAccount {
    /// The transfer that a new lease starts with.
    pub fn open(&self, id: TransferId) -> Result<Transfer, LedgerError> {
        self.open_with(id, self.tariff.cost_micros(RESERVE_US)?)
    }

    /// The same with another amount than an hour's.
    pub fn open_with(&self, id: TransferId, amount_micros: i128) -> Result<Transfer, LedgerError> {
        self.transfer(id, Kind::Pending, self.host(), amount_micros, "open")
    }

    /// The transfers of one counted receipt: more set aside where needed, then the host's and the
    /// platform's part. `ids` are fresh ones, used in order.
    pub fn post(
        &self,
        reservation: &Reservation,
        bill: &Bill,
        sequence: u32,
        ids: [TransferId; 3],
    ) -> Result<Vec<Transfer>, LedgerError> {
        let missing = bill.total_micros() - reservation.open_micros();
        let more = if missing > 0 { missing.max(self.tariff.cost_micros(RESERVE_US)?) } else { 0 };
        let rows = [
            (Kind::Pending, self.host(), more, format!("more:{sequence}")),
            (Kind::Post, self.host(), bill.host_micros, format!("host:{sequence}")),
            (Kind::Post, Account::Platform, bill.platform_micros, format!("fee:{sequence}")),
        ];
        let moving = rows.into_iter().zip(ids).filter(|((_, _, amount, _), _)| *amount != 0);
        moving
            .map(|((kind, credit, amount, key), id)| self.transfer(id, kind, credit, amount, &key))
            .collect()
    }

    /// Releases all but what `claimable_us` more could still cost; `None` where nothing is to release.
    /// `stage` tells the end of the lease from the closing of its account.
    pub fn release(
        &self,
        reservation: &Reservation,
        claimable_us: u64,
        stage: &str,
        id: TransferId,
    ) -> Result<Option<Transfer>, LedgerError> {
        // One micro-unit more than the floor: the rounding of the cumulative cost may still need it.
        let keep = match claimable_us {
            0 => 0,
            more => self.tariff.cost_micros(more)?.checked_add(1).ok_or(LedgerError::Overflow)?,
        };
        let surplus = reservation.open_micros() - keep;
        if surplus <= 0 {
            return Ok(None);
        }
        self.transfer(id, Kind::Void, self.host(), surplus, stage).map(Some)
    }

    /// Whose money it is.
    pub fn debtor(&self) -> Account {
        self.payer.map_or_else(|| Account::Studio(self.title.clone()), Account::Customer)
    }

    fn host(&self) -> Account {
        Account::Host(self.node)
    }

    fn transfer(
        &self,
        id: TransferId,
        kind: Kind,
        credit: Account,
        amount_micros: i128,
        step: &str,
    ) -> Result<Transfer, LedgerError> {
        Transfer {
            id,
            lease: self.lease,
            kind,
            debit: self.debtor(),
            credit,
            amount_micros,
            currency: self.tariff.currency.clone(),
            key: format!("{}:{step}", self.lease),
        }
        .check()
    }
}
