//! Budgets, in memory: added up from the journal each time.

use super::State;
use crate::store::accounts::Purse;
use crate::store::{BudgetRow, NewSession, Payer};
use nearframe_ledger::{Account, Kind, Transfer};
use nearframe_protocol::{AccountId, ApiKeyId, Currency, LeaseId, Money, SpendLimit, TitleId};
use std::collections::BTreeMap;

/// Limits by title and currency, in micro-units.
pub(super) type Limits = BTreeMap<(TitleId, Currency), Option<i128>>;

pub(super) fn change_micros(transfer: &Transfer) -> i128 {
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
        let back = self.trust.paid_back(|entry| entry.credit == studio && entry.currency == *currency);
        own.map(change_micros).sum::<i128>() - back
    }

    /// Which limit does not hold what these transfers of one lease set aside, if any: budgets first, then caps.
    pub(super) fn over(&self, new: &NewSession, transfers: &[Transfer]) -> Option<SpendLimit> {
        self.over_budget(transfers).or_else(|| self.over_cap(new, transfers))
    }

    fn over_budget(&self, transfers: &[Transfer]) -> Option<SpendLimit> {
        let first = transfers.first().filter(|first| first.kind == Kind::Pending)?;
        let title = match &first.debit {
            Account::Studio(title) => title,
            Account::Customer(account) => {
                let over = || self.over_purses(*account, first, transfers);
                return match self.reservation_holds(transfers) {
                    Some(true) => None,
                    Some(false) => Some(SpendLimit::AccountBudget),
                    None => over(),
                };
            }
            _ => return None,
        };
        let more: i128 = transfers.iter().map(change_micros).sum();
        let limit = self.limits.get(&(title.clone(), first.currency.clone())).copied().flatten()?;
        let is_over = more > 0 && self.committed_micros(title, &first.currency) + more > limit;
        is_over.then_some(SpendLimit::TitleBudget)
    }

    /// Which of account and key does not hold it, or whether the key sets nothing aside any more.
    fn over_purses(
        &self,
        account: AccountId,
        transfer: &Transfer,
        transfers: &[Transfer],
    ) -> Option<SpendLimit> {
        let key = self.payers.get(&transfer.lease).and_then(|payer| payer.key);
        let Some(key) = key.and_then(|key| self.who.keys.get(&key)) else {
            return Some(SpendLimit::KeyBudget);
        };
        let Some(account) = self.who.accounts.get(&account) else { return Some(SpendLimit::AccountBudget) };
        let more = self.own_with(transfer.lease, transfers) - self.own_with(transfer.lease, &[]);
        let holds = |purse: &Purse, committed: i128| {
            let within = purse.limit_micros.is_none_or(|limit| committed + more <= limit);
            more <= 0 || (purse.currency == transfer.currency && within)
        };
        if !holds(&account.purse, self.account_spent(account.id)) {
            return Some(SpendLimit::AccountBudget);
        }
        let key_holds = key.revoked_at_ms.is_none() && holds(&key.purse, self.key_spent(key.id));
        (!key_holds).then_some(SpendLimit::KeyBudget)
    }

    /// What a lease would take of its payer's own money with these transfers.
    fn own_with(&self, lease: LeaseId, transfers: &[Transfer]) -> i128 {
        let of = self.journal.iter().chain(transfers).filter(|transfer| transfer.lease == lease);
        self.plans.own_micros(lease, of.map(change_micros).sum())
    }

    /// What is set aside or spent for leases of such payers, beyond what subscriptions include.
    pub(super) fn set_aside(&self, of: impl Fn(&Payer) -> bool) -> i128 {
        let own = |lease: &LeaseId| self.payers.get(lease).is_some_and(&of);
        let mut leases: BTreeMap<LeaseId, i128> = BTreeMap::new();
        for transfer in self.journal.iter().filter(|transfer| own(&transfer.lease)) {
            *leases.entry(transfer.lease).or_default() += change_micros(transfer);
        }
        let mut paid_back: BTreeMap<LeaseId, i128> = BTreeMap::new();
        for (lease, back) in self.trust.paid_back_by_lease() {
            *paid_back.entry(lease).or_default() += back;
        }
        let freed = |lease: LeaseId| {
            let back = paid_back.get(&lease).copied().filter(|back| *back > 0);
            back.map_or(0, |back| self.plans.own_share_micros(lease, self.posted_micros(lease), back))
        };
        let own = |(lease, committed)| self.plans.own_micros(lease, committed) - freed(lease);
        leases.into_iter().map(own).sum()
    }

    /// What a lease posted in all.
    pub(super) fn posted_micros(&self, lease: LeaseId) -> i128 {
        let own = self.journal.iter().filter(|t| t.lease == lease && t.kind == Kind::Post);
        own.map(|transfer| transfer.amount_micros).sum()
    }

    /// What an account has set aside or spent, fees of its subscription included.
    pub(super) fn account_spent(&self, account: AccountId) -> i128 {
        let of = |payer: &Payer| payer.account == account;
        self.set_aside(of) + self.reserved_micros(of) + self.plans.fees_micros(account)
    }

    /// What a key has set aside or spent.
    pub(super) fn key_spent(&self, key: ApiKeyId) -> i128 {
        let of = |payer: &Payer| payer.key == Some(key);
        self.set_aside(of) + self.reserved_micros(of)
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
