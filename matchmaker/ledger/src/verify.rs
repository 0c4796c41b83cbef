//! Rebuilding every balance from the journal, and asserting what must always hold.

use crate::{Account, Kind, LedgerError, Reservation, Transfer};
use nearframe_protocol::{Currency, LeaseId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What an account moved, in micro-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Posted to its debit.
    pub debits_micros: i128,
    /// Posted to its credit.
    pub credits_micros: i128,
    /// Set aside on its debit, neither posted nor voided.
    pub pending_micros: i128,
}

/// Every account's balance, by currency.
pub type Balances = BTreeMap<(Account, String), Balance>;

/// Something in the journal that must never be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// The same key twice.
    #[error("the key {0} was written twice")]
    Key(String),
    /// More posted and voided than was set aside.
    #[error("lease {0} posted or voided more than it had set aside")]
    Overdrawn(LeaseId),
    /// Something is still set aside for a lease that is over.
    #[error("lease {0} still has money set aside after it was closed")]
    Unreleased(LeaseId),
    /// One lease, two currencies.
    #[error("lease {0} mixes currencies")]
    Currency(LeaseId),
    /// Debits and credits differ.
    #[error("debits and credits in {0} differ")]
    Sums(String),
    /// A sum does not fit.
    #[error(transparent)]
    Amount(#[from] LedgerError),
}

/// Rebuilds all balances from the journal in writing order; refuses a journal that breaks a rule.
pub fn verify(journal: &[Transfer]) -> Result<Balances, Imbalance> {
    let mut keys = HashSet::new();
    let mut leases: HashMap<LeaseId, (Currency, Reservation)> = HashMap::new();
    let mut balances = Balances::new();
    for transfer in journal {
        let amount = transfer.clone().check()?.amount_micros;
        if !keys.insert(&transfer.key) {
            return Err(Imbalance::Key(transfer.key.clone()));
        }
        let (currency, lease) = leases
            .entry(transfer.lease)
            .or_insert_with(|| (transfer.currency.clone(), Reservation::default()));
        if *currency != transfer.currency {
            return Err(Imbalance::Currency(transfer.lease));
        }
        let sum = match transfer.kind {
            Kind::Pending => &mut lease.pending_micros,
            Kind::Post => &mut lease.posted_micros,
            Kind::Void => &mut lease.voided_micros,
        };
        *sum = sum.checked_add(amount).ok_or(LedgerError::Overflow)?;
        if lease.open_micros() < 0 {
            return Err(Imbalance::Overdrawn(transfer.lease));
        }
        book(&mut balances, transfer)?;
    }
    check_sums(&balances)?;
    Ok(balances)
}

fn book(balances: &mut Balances, transfer: &Transfer) -> Result<(), LedgerError> {
    let amount = transfer.amount_micros;
    let currency = transfer.currency.to_string();
    let add = |sum: &mut i128, by: i128| {
        *sum = sum.checked_add(by).ok_or(LedgerError::Overflow)?;
        Ok(())
    };
    let debit = balances.entry((transfer.debit.clone(), currency.clone())).or_default();
    match transfer.kind {
        Kind::Pending => add(&mut debit.pending_micros, amount),
        Kind::Void => add(&mut debit.pending_micros, -amount),
        Kind::Post => {
            add(&mut debit.pending_micros, -amount)?;
            add(&mut debit.debits_micros, amount)?;
            let credit = balances.entry((transfer.credit.clone(), currency)).or_default();
            add(&mut credit.credits_micros, amount)
        }
    }
}

fn check_sums(balances: &Balances) -> Result<(), Imbalance> {
    let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
    for ((_, currency), balance) in balances {
        let sum = sums.entry(currency).or_default();
        *sum = balance
            .debits_micros
            .checked_sub(balance.credits_micros)
            .and_then(|difference| sum.checked_add(difference))
            .ok_or(LedgerError::Overflow)?;
    }
    match sums.into_iter().find(|(_, sum)| *sum != 0) {
        Some((currency, _)) => Err(Imbalance::Sums(currency.to_owned())),
        None => Ok(()),
    }
}
