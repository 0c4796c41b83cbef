//! Plans, who subscribes to which, and what that was charged, as the store keeps it.

use super::StoreError;
use async_trait::async_trait;
use nearframe_ledger::Account;
use nearframe_ledger::subscription::{Cover, Plan, Term};
use nearframe_protocol::plan::{ChargeKind, PlanName};
use nearframe_protocol::{AccountId, Currency, DisputeId, LeaseId};
use std::ops::Range;

/// Subscriptions that one run of the job renews.
pub const RENEWED_AT_ONCE: u32 = 100;
/// Months that one renewal makes up for: a server that was away for longer goes on in the next run.
pub(super) const MONTHS_AT_ONCE: u32 = 12;

/// A version of a plan. Never changed: another is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRow {
    /// Which plan.
    pub name: PlanName,
    /// Counts up from 1.
    pub version: u32,
    /// Unix ms.
    pub since_ms: u64,
    /// What a month includes and costs.
    pub plan: Plan,
    /// What it is counted in.
    pub currency: Currency,
    /// Whether anybody may still subscribe.
    pub is_offered: bool,
}

/// An account's subscription, in its current month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Whose.
    pub account: AccountId,
    /// To which plan.
    pub name: PlanName,
    /// Which version of it: later ones change nothing.
    pub version: u32,
    /// What that includes and costs.
    pub plan: Plan,
    /// What it is counted in.
    pub currency: Currency,
    /// The month.
    pub term: Term,
    /// Whether it ends with the month.
    pub is_cancelled: bool,
}

impl SubscriptionRow {
    /// From now on.
    pub(super) fn begin(account: AccountId, row: &PlanRow, now_ms: u64) -> Self {
        Self {
            account,
            name: row.name.clone(),
            version: row.version,
            plan: row.plan,
            currency: row.currency.clone(),
            term: Term::first(row.plan, now_ms),
            is_cancelled: false,
        }
    }

    /// The same by another plan from now on.
    pub(super) fn by(&self, row: &PlanRow, now_ms: u64) -> Result<Self, StoreError> {
        let term = self.term.changed(self.plan, row.plan, now_ms)?;
        let (name, version, plan) = (row.name.clone(), row.version, row.plan);
        Ok(Self { name, version, plan, term, is_cancelled: false, ..self.clone() })
    }

    /// The fee of the month, which begins or began then.
    pub(super) fn fee(&self, at_ms: u64) -> ChargeRow {
        self.due(ChargeKind::Fee, "fee", self.term.fee_micros, at_ms)
    }

    /// What the change from an earlier plan costs, or gives back.
    pub(super) fn change(&self, before: &Self, now_ms: u64) -> ChargeRow {
        let step = format!("change:{}:{}:{now_ms}", self.name, self.version);
        self.due(ChargeKind::Change, &step, self.term.fee_micros - before.term.fee_micros, now_ms)
    }

    /// What the account pays, or gets back where it is below zero. `step` is part of the key.
    fn due(&self, kind: ChargeKind, step: &str, amount_micros: i128, at_ms: u64) -> ChargeRow {
        let (customer, plans) = (Account::Customer(self.account), Account::Plans);
        let (debit, credit) = if amount_micros < 0 { (plans, customer) } else { (customer, plans) };
        self.charge(kind, step, (debit, credit), amount_micros.abs(), at_ms)
    }

    /// What is left of the month's fee, which nobody will use any more, or what covering cost beyond it.
    pub(super) fn unused(&self) -> ChargeRow {
        let left_micros = self.term.fee_micros - self.term.covered_micros;
        let sides = if left_micros < 0 {
            (Account::Platform, Account::Plans)
        } else {
            (Account::Plans, Account::Platform)
        };
        self.charge(ChargeKind::Unused, "unused", sides, left_micros.abs(), self.term.to_ms)
    }

    fn charge(
        &self,
        kind: ChargeKind,
        step: &str,
        (debit, credit): (Account, Account),
        amount_micros: i128,
        at_ms: u64,
    ) -> ChargeRow {
        let key = format!("plan:{}:{}:{step}", self.account, self.term.from_ms);
        let (account, currency) = (self.account, self.currency.clone());
        ChargeRow { seq: 0, account, at_ms, kind, debit, credit, amount_micros, currency, key }
    }
}

/// Something that was posted beside the transfers of leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRow {
    /// Grows with each row; 0 before it is written.
    pub seq: u64,
    /// Whose subscription it is about.
    pub account: AccountId,
    /// Unix ms.
    pub at_ms: u64,
    /// What for.
    pub kind: ChargeKind,
    /// Who pays.
    pub debit: Account,
    /// Who is paid.
    pub credit: Account,
    /// Micro-units; never negative.
    pub amount_micros: i128,
    /// What it is counted in.
    pub currency: Currency,
    /// Writing the same key twice changes nothing.
    pub key: String,
}

impl ChargeRow {
    /// What the account pays by it; below zero where it is paid.
    pub fn due_micros(&self) -> i128 {
        let customer = Account::Customer(self.account);
        match (self.debit == customer, self.credit == customer) {
            (true, _) => self.amount_micros,
            (_, true) => -self.amount_micros,
            _ => 0,
        }
    }
}

/// What became of a wish to subscribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// So it is now.
    Done(SubscriptionRow),
    /// The account's allowance does not hold the fee, or is in another currency.
    OverBudget,
}

/// What is paid back of a lease that a subscription covered a part of.
pub(super) struct Refund<'a> {
    pub(super) dispute: DisputeId,
    pub(super) lease: LeaseId,
    pub(super) account: AccountId,
    pub(super) currency: &'a Currency,
    /// What the lease posted in all.
    pub(super) posted_micros: i128,
    /// What of that was paid back before.
    pub(super) before_micros: i128,
    /// What is paid back now.
    pub(super) back_micros: i128,
    pub(super) at_ms: u64,
}

impl Refund<'_> {
    /// The payer's own part, which may be spent again, and what takes the rest back from them: included time comes back
    /// as time where its month runs, and never as money.
    pub(super) fn settle(
        &self,
        cover: &Cover,
        term: Option<&mut Term>,
    ) -> Result<(i128, [ChargeRow; 2]), StoreError> {
        let own_micros = cover.own_share_micros(self.posted_micros, self.before_micros, self.back_micros)?;
        let covered_micros = self.back_micros - own_micros;
        let over_micros = cover.pay_back(term, covered_micros);
        let charge = |credit: Account, amount_micros| ChargeRow {
            seq: 0,
            account: self.account,
            at_ms: self.at_ms,
            kind: ChargeKind::Covered,
            debit: Account::Customer(self.account),
            amount_micros,
            currency: self.currency.clone(),
            key: format!("dispute:{}:{}:covered:{credit}", self.dispute, self.lease),
            credit,
        };
        let of_month = charge(Account::Plans, covered_micros - over_micros);
        Ok((own_micros, [of_month, charge(Account::Platform, over_micros)]))
    }
}

/// The part of the store that knows of subscriptions. As of every method: one transaction, and repeating it changes
/// nothing.
#[async_trait]
pub trait PlanStore: Send + Sync + 'static {
    /// Writes a version of a plan if it follows the newest one; true if this call did.
    async fn add_plan(&self, plan: &PlanRow) -> Result<bool, StoreError>;
    /// The newest version of each plan, by name.
    async fn plans(&self) -> Result<Vec<PlanRow>, StoreError>;
    /// The account's subscription, if it has one.
    async fn subscription(&self, account: AccountId) -> Result<Option<SubscriptionRow>, StoreError>;
    /// Subscribes, or changes the plan for the rest of the month, or takes a cancellation back.
    async fn subscribe(
        &self,
        account: AccountId,
        plan: &PlanRow,
        now_ms: u64,
    ) -> Result<Subscribed, StoreError>;
    /// The subscription ends with its month. `None`: there is none.
    async fn cancel_subscription(&self, account: AccountId) -> Result<Option<SubscriptionRow>, StoreError>;
    /// Begins the next month of subscriptions whose month is over, or ends those that are cancelled or whose fee the
    /// allowance does not hold; gives how many, at most [`RENEWED_AT_ONCE`].
    async fn renew_subscriptions(&self, now_ms: u64) -> Result<u32, StoreError>;
    /// What an account was charged in a time, save what was covered, oldest first, at most `limit`.
    async fn charges(
        &self,
        account: AccountId,
        range: Range<u64>,
        limit: u32,
    ) -> Result<Vec<ChargeRow>, StoreError>;
    /// What an account pays in a time by each kind of charge, in micro-units, by kind and currency.
    async fn charge_sums(
        &self,
        account: AccountId,
        range: Range<u64>,
    ) -> Result<Vec<(ChargeKind, Currency, i128)>, StoreError>;
    /// Charges of all accounts after the row `after`, in writing order.
    async fn charges_after(&self, after: u64, limit: u32) -> Result<Vec<ChargeRow>, StoreError>;
}
