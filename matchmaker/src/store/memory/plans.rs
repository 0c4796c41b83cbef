//! Plans and subscriptions, in memory.

use super::{MemoryStore, State};
use crate::store::plans::{
    ChargeRow, MONTHS_AT_ONCE, PlanRow, PlanStore, RENEWED_AT_ONCE, Refund, Subscribed, SubscriptionRow,
};
use crate::store::{NewSession, StoreError};
use async_trait::async_trait;
use nearframe_ledger::subscription::Cover;
use nearframe_ledger::{Account, Kind, Tariff, Transfer};
use nearframe_protocol::plan::ChargeKind;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{AccountId, Currency, LeaseId};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// What is known of subscriptions.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    plans: Vec<PlanRow>,
    /// Those that run.
    subscriptions: BTreeMap<AccountId, SubscriptionRow>,
    covers: HashMap<LeaseId, (Cover, Tariff)>,
    charges: Vec<ChargeRow>,
}

impl Kept {
    fn charge(&mut self, charge: ChargeRow) {
        if charge.amount_micros > 0 {
            let seq = self.charges.len() as u64 + 1;
            self.charges.push(ChargeRow { seq, ..charge });
        }
    }

    /// Fees that an account has paid, less what it got back for months that it left early.
    pub(super) fn fees_micros(&self, account: AccountId) -> i128 {
        let of = self.charges.iter().filter(|row| row.account == account && row.kind != ChargeKind::Covered);
        of.map(ChargeRow::due_micros).sum()
    }

    /// What of that which was paid back of a lease was its payer's own.
    pub(super) fn own_share_micros(&self, lease: LeaseId, posted_micros: i128, back_micros: i128) -> i128 {
        let own = |(cover, _): &(Cover, Tariff)| cover.own_share_micros(posted_micros, 0, back_micros).ok();
        self.covers.get(&lease).and_then(own).unwrap_or(back_micros)
    }

    /// What of a lease's money is its payer's own.
    pub(super) fn own_micros(&self, lease: LeaseId, committed_micros: i128) -> i128 {
        let own = |(cover, tariff): &(Cover, Tariff)| cover.paid_micros(tariff, committed_micros).ok();
        self.covers.get(&lease).and_then(own).unwrap_or(committed_micros)
    }
}

impl State {
    /// Takes included time for what a lease is about to set aside.
    pub(super) fn take_included(&mut self, new: &NewSession, transfers: &[Transfer], now_ms: u64) {
        let pending = transfers.iter().filter(|transfer| transfer.kind == Kind::Pending);
        let more_micros: i128 = pending.map(|transfer| transfer.amount_micros).sum();
        let is_play = new.basis.as_ref().is_none_or(|basis| basis.work == Work::Interactive);
        let Some(payer) = new.payer.filter(|_| is_play && more_micros > 0) else { return };
        let Some(row) = self.plans.subscriptions.get_mut(&payer.account) else { return };
        if row.currency == new.tariff.currency && now_ms < row.term.to_ms {
            let cover =
                self.plans.covers.entry(new.lease).or_insert_with(|| (Cover::default(), new.tariff.clone()));
            cover.0.take(&mut row.term, &new.tariff, more_micros);
        }
    }

    /// Gives back what a lease has just released.
    pub(super) fn give_included_back(&mut self, new: &NewSession) {
        let own = self.journal.iter().filter(|transfer| transfer.lease == new.lease);
        let committed_micros: i128 = own.map(super::budgets::change_micros).sum();
        let Some((cover, tariff)) = self.plans.covers.get_mut(&new.lease) else { return };
        let term = new.payer.and_then(|payer| self.plans.subscriptions.get_mut(&payer.account));
        cover.give_back(term.map(|row| &mut row.term), tariff, committed_micros);
    }

    /// Posts back what is covered of a receipt whose transfers were written.
    pub(super) fn cover(&mut self, new: &NewSession, sequence: u32, now_ms: u64) -> Result<(), StoreError> {
        let own = self.journal.iter().filter(|transfer| transfer.lease == new.lease);
        let posted =
            own.filter(|transfer| transfer.kind == Kind::Post).map(|transfer| transfer.amount_micros);
        let posted_micros: i128 = posted.sum();
        let (Some(payer), Some((cover, tariff))) = (new.payer, self.plans.covers.get_mut(&new.lease)) else {
            return Ok(());
        };
        let amount_micros = cover.post(tariff, posted_micros)?;
        let from_ms = cover.from_ms;
        let subscription = self.plans.subscriptions.get_mut(&payer.account);
        let debit = match subscription.filter(|row| row.term.from_ms == from_ms) {
            Some(row) => {
                row.term.covered_micros += amount_micros;
                Account::Plans
            }
            None => Account::Platform,
        };
        self.plans.charge(ChargeRow {
            seq: 0,
            account: payer.account,
            at_ms: now_ms,
            kind: ChargeKind::Covered,
            debit,
            credit: Account::Customer(payer.account),
            amount_micros,
            currency: new.tariff.currency.clone(),
            key: format!("{}:plan:{sequence}", new.lease),
        });
        Ok(())
    }

    /// Takes back what a subscription had covered of what is paid back.
    pub(super) fn pay_back(&mut self, refund: &Refund<'_>) -> Result<(), StoreError> {
        let Some((cover, _)) =
            self.plans.covers.get(&refund.lease).filter(|(cover, _)| cover.posted_micros > 0)
        else {
            return Ok(());
        };
        let subscription = self.plans.subscriptions.get_mut(&refund.account);
        let (_, charges) = refund.settle(cover, subscription.map(|row| &mut row.term))?;
        charges.into_iter().for_each(|charge| self.plans.charge(charge));
        Ok(())
    }

    /// Posts a fee within the account's allowance; false: it does not hold it.
    fn charge_account(&mut self, fee: ChargeRow) -> bool {
        let Some(row) = self.who.accounts.get(&fee.account) else { return false };
        let after_micros = self.account_spent(fee.account) + fee.due_micros();
        let within =
            fee.due_micros() <= 0 || row.purse.limit_micros.is_none_or(|limit| after_micros <= limit);
        let holds = row.purse.currency == fee.currency && within;
        if holds {
            self.plans.charge(fee);
        }
        holds
    }

    fn subscribe(
        &mut self,
        account: AccountId,
        plan: &PlanRow,
        now_ms: u64,
    ) -> Result<Subscribed, StoreError> {
        let row = match self.plans.subscriptions.get(&account).cloned() {
            None => {
                let row = SubscriptionRow::begin(account, plan, now_ms);
                if !self.charge_account(row.fee(now_ms)) {
                    return Ok(Subscribed::OverBudget);
                }
                row
            }
            Some(row) if (&row.name, row.version) == (&plan.name, plan.version) => {
                SubscriptionRow { is_cancelled: false, ..row }
            }
            Some(before) => {
                let row = before.by(plan, now_ms)?;
                let fee = row.change(&before, now_ms);
                if before.currency != plan.currency || !self.charge_account(fee) {
                    return Ok(Subscribed::OverBudget);
                }
                row
            }
        };
        self.plans.subscriptions.insert(account, row.clone());
        Ok(Subscribed::Done(row))
    }

    fn renew(&mut self, account: AccountId, now_ms: u64) {
        for _ in 0..MONTHS_AT_ONCE {
            let Some(row) =
                self.plans.subscriptions.get(&account).filter(|row| row.term.to_ms <= now_ms).cloned()
            else {
                return;
            };
            self.plans.charge(row.unused());
            let next = SubscriptionRow { term: row.term.next(row.plan), ..row.clone() };
            let fee = next.fee(next.term.from_ms);
            if row.is_cancelled || !self.charge_account(fee) {
                self.plans.subscriptions.remove(&account);
            } else {
                self.plans.subscriptions.insert(account, next);
            }
        }
    }
}

#[async_trait]
impl PlanStore for MemoryStore {
    async fn add_plan(&self, plan: &PlanRow) -> Result<bool, StoreError> {
        self.transact(|state| {
            let versions = state.plans.plans.iter().filter(|row| row.name == plan.name).count() as u32;
            let follows = plan.version == versions + 1;
            state.plans.plans.extend(follows.then(|| plan.clone()));
            Ok(follows)
        })
    }
    async fn plans(&self) -> Result<Vec<PlanRow>, StoreError> {
        Ok(self.read(|state| {
            let newest: BTreeMap<_, _> =
                state.plans.plans.iter().map(|row| (row.name.clone(), row)).collect();
            newest.into_values().cloned().collect()
        }))
    }
    async fn subscription(&self, account: AccountId) -> Result<Option<SubscriptionRow>, StoreError> {
        Ok(self.read(|state| state.plans.subscriptions.get(&account).cloned()))
    }
    async fn subscribe(
        &self,
        account: AccountId,
        plan: &PlanRow,
        now_ms: u64,
    ) -> Result<Subscribed, StoreError> {
        self.transact(|state| state.subscribe(account, plan, now_ms))
    }
    async fn cancel_subscription(&self, account: AccountId) -> Result<Option<SubscriptionRow>, StoreError> {
        self.transact(|state| {
            let row = state.plans.subscriptions.get_mut(&account);
            Ok(row.map(|row| {
                row.is_cancelled = true;
                row.clone()
            }))
        })
    }
    async fn renew_subscriptions(&self, now_ms: u64) -> Result<u32, StoreError> {
        self.transact(|state| {
            let all = state.plans.subscriptions.values().filter(|row| row.term.to_ms <= now_ms);
            let due: Vec<_> = all.map(|row| row.account).take(RENEWED_AT_ONCE as usize).collect();
            due.iter().for_each(|account| state.renew(*account, now_ms));
            Ok(due.len() as u32)
        })
    }
    async fn charges(
        &self,
        account: AccountId,
        range: Range<u64>,
        limit: u32,
    ) -> Result<Vec<ChargeRow>, StoreError> {
        Ok(self.read(|state| {
            let rows = state.plans.charges.iter();
            let of = rows.filter(|row| row.account == account && range.contains(&row.at_ms));
            let of = of.filter(|row| row.kind != ChargeKind::Covered);
            of.take(limit as usize).cloned().collect()
        }))
    }
    async fn charge_sums(
        &self,
        account: AccountId,
        range: Range<u64>,
    ) -> Result<Vec<(ChargeKind, Currency, i128)>, StoreError> {
        Ok(self.read(|state| {
            let rows = state.plans.charges.iter();
            let mut sums: BTreeMap<(&str, Currency), i128> = BTreeMap::new();
            for row in rows.filter(|row| row.account == account && range.contains(&row.at_ms)) {
                *sums.entry((row.kind.as_str(), row.currency.clone())).or_default() += row.due_micros();
            }
            let sum = |((kind, currency), due)| Some((ChargeKind::parse(kind)?, currency, due));
            sums.into_iter().filter_map(sum).collect()
        }))
    }
    async fn charges_after(&self, after: u64, limit: u32) -> Result<Vec<ChargeRow>, StoreError> {
        Ok(self.read(|state| {
            let rows = state.plans.charges.iter().filter(|row| row.seq > after);
            rows.take(limit as usize).cloned().collect()
        }))
    }
}
