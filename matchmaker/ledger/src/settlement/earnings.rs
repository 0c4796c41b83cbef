//! Adding up.

use super::epoch::Epoch;
use crate::LedgerError;
use crate::books::Key;
use nearframe_protocol::{Currency, LeaseId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// What a host was paid by one posted transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earning {
    /// The transfer.
    pub key: Key,
    /// The host.
    pub host: NodeId,
    /// What it is counted in.
    pub currency: Currency,
    /// Micro-units, not negative.
    pub amount_micros: i128,
    /// When it was posted, Unix ms.
    pub at_ms: u64,
    /// For what.
    pub lease: LeaseId,
}

/// Everything a host ever earned in a currency that is not held, in micro-units.
pub type Totals = BTreeMap<(NodeId, Currency), i128>;

/// Why an epoch cannot be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// The dispute window is open.
    #[error("epoch {epoch} may still be disputed; it settles from {} on (Unix ms)", .epoch.settles_at_ms())]
    TooEarly {
        /// The epoch.
        epoch: Epoch,
    },
    /// Settled before.
    #[error("epoch {epoch} is settled already")]
    Settled {
        /// The epoch.
        epoch: Epoch,
    },
    /// An earning of another time.
    #[error(
        "transfer {key} was posted at {at_ms}, which is not after the last settled epoch and before this one's end"
    )]
    OutOfTime {
        /// The transfer.
        key: Key,
        /// When it was posted.
        at_ms: u64,
    },
    /// The same transfer twice.
    #[error("transfer {0} is named twice")]
    Twice(Key),
    /// A sum does not fit, or falls.
    #[error(transparent)]
    Amount(#[from] LedgerError),
}

/// What was earned until the end of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The last epoch that is in it; `None` before the first.
    pub epoch: Option<Epoch>,
    /// What hosts may have.
    pub totals: Totals,
    /// What is held because its lease is disputed.
    pub held: BTreeMap<Key, Earning>,
}

impl Settlement {
    /// Settles `epoch`, and with it all days since the last settled one. `earnings` are all transfers posted since
    /// then and before the epoch's end; what belongs to a lease in `disputed` is held, and what was held for a lease
    /// that no longer is, counts now.
    pub fn settle(
        &self,
        epoch: Epoch,
        earnings: Vec<Earning>,
        disputed: &BTreeSet<LeaseId>,
        now_ms: u64,
    ) -> Result<Self, SettlementError> {
        if self.epoch.is_some_and(|last| epoch <= last) {
            return Err(SettlementError::Settled { epoch });
        }
        if now_ms < epoch.settles_at_ms() {
            return Err(SettlementError::TooEarly { epoch });
        }
        let from_ms = self.epoch.map_or(0, Epoch::ends_at_ms);
        let mut next = Self { epoch: Some(epoch), totals: self.totals.clone(), held: BTreeMap::new() };
        let mut seen = BTreeSet::new();
        for earning in &earnings {
            if !(from_ms..epoch.ends_at_ms()).contains(&earning.at_ms) {
                return Err(SettlementError::OutOfTime { key: earning.key, at_ms: earning.at_ms });
            }
            if !seen.insert(earning.key) || self.held.contains_key(&earning.key) {
                return Err(SettlementError::Twice(earning.key));
            }
        }
        for earning in self.held.values().cloned().chain(earnings) {
            if disputed.contains(&earning.lease) {
                next.held.insert(earning.key, earning);
            } else {
                next.count(&earning)?;
            }
        }
        Ok(next)
    }

    fn count(&mut self, earning: &Earning) -> Result<(), LedgerError> {
        if earning.amount_micros < 0 {
            return Err(LedgerError::Negative);
        }
        let total = self.totals.entry((earning.host, earning.currency.clone())).or_default();
        *total = total.checked_add(earning.amount_micros).ok_or(LedgerError::Overflow)?;
        Ok(())
    }

    /// The leaves of its tree, by host and currency.
    pub fn leaves(&self) -> Vec<super::Leaf> {
        let leaf =
            |(index, ((host, currency), earned_micros)): (usize, (&(NodeId, Currency), &i128))| super::Leaf {
                index: index as u64,
                host: *host,
                currency: currency.clone(),
                earned_micros: *earned_micros,
            };
        self.totals.iter().enumerate().map(leaf).collect()
    }
}
