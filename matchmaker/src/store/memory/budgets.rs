//! Budgets, in memory: added up from the journal each time.

use super::State;
use crate::store::BudgetRow;
use nearframe_ledger::{Account, Kind, Transfer};
use nearframe_protocol::{Currency, Money, TitleId};
use std::collections::BTreeMap;

/// Limits by title and currency, in micro-units.
pub(super) type Limits = BTreeMap<(TitleId, Currency), Option<i128>>;

fn change_micros(transfer: &Transfer) -> i128 {
    match transfer.kind {
        Kind::Pending => transfer.amount_micros,
        Kind::Void => -transfer.amount_micros,
        Kind::Post => 0,
    }
}

impl State {
    fn committed_micros(&self, title: &TitleId, currency: &Currency) -> i128 {
        let studio = Account::Studio(title.clone());
        let own = self.journal.iter().filter(|t| t.debit == studio && t.currency == *currency);
        own.map(change_micros).sum()
    }

    /// Whether the title's budget holds what these transfers of one lease set aside.
    pub(super) fn holds(&self, transfers: &[Transfer]) -> bool {
        let more: i128 = transfers.iter().map(change_micros).sum();
        let Some(first) = transfers.first().filter(|_| more > 0) else { return true };
        let Account::Studio(title) = &first.debit else { return true };
        match self.limits.get(&(title.clone(), first.currency.clone())) {
            Some(Some(limit)) => self.committed_micros(title, &first.currency) + more <= *limit,
            Some(None) | None => true,
        }
    }

    pub(super) fn set_limit(&mut self, title: &TitleId, currency: &Currency, limit_micros: Option<i128>) {
        self.limits.insert((title.clone(), currency.clone()), limit_micros);
    }

    pub(super) fn budgets(&self) -> Vec<BudgetRow> {
        let mut places: BTreeMap<(TitleId, Currency), Option<i128>> = BTreeMap::new();
        for transfer in &self.journal {
            if let Account::Studio(title) = &transfer.debit {
                places.insert((title.clone(), transfer.currency.clone()), None);
            }
        }
        places.extend(self.limits.clone());
        let row = |((title, currency), limit): ((TitleId, Currency), Option<i128>)| {
            let money = |amount_micros| Money { amount_micros, currency: currency.clone() };
            let committed = money(self.committed_micros(&title, &currency));
            BudgetRow { limit: limit.map(money), committed, title }
        };
        places.into_iter().map(row).collect()
    }
}
