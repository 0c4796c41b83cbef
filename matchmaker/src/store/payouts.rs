//! Where hosts want their money, and payouts, as the store keeps them.
//!
//! **Architecture invariant:** the general ledger says how far a payout came; a row here repeats it, so that it can be
//! listed, and says where to.

use super::StoreError;
use super::webhooks::EventRow;
use async_trait::async_trait;
use nearframe_ledger::payout::{Destination, Payout, Rail, State};
use nearframe_protocol::payout::PayoutId;
use nearframe_protocol::{AccountId, Currency, NodeId};

/// Payouts of a run: more wait for the next.
pub const MOST_PAYOUTS: usize = 5_000;

/// Where an account wants its earnings of one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationRow {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub currency: Currency,
    /// Where to.
    pub destination: Destination,
    /// Since when, Unix ms.
    pub since_ms: u64,
}

/// A payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutRow {
    /// What made it; counts up.
    pub run: u64,
    /// Who is paid.
    pub account: AccountId,
    /// It.
    pub payout: Payout,
    /// How far it came, as last written down.
    pub state: State,
    /// Unix ms.
    pub created_at_ms: u64,
    /// Unix ms.
    pub changed_at_ms: u64,
}

impl PayoutRow {
    /// Names it for ever.
    pub fn id(&self) -> PayoutId {
        PayoutId::from_bytes(*self.payout.id().as_bytes())
    }
}

/// How often earnings were spent, on runs of payouts and on stakes. Whoever spends reads this first and shows it when it
/// writes: where another spent meanwhile, nothing is written, and it reads again what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The last run of payouts; 0 before the first.
    pub run: u64,
    /// How often something was staked.
    pub stakes: u64,
}

/// The form that databases keep.
pub fn state_text(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Submitted => "submitted",
        State::Settled => "settled",
        State::Failed => "failed",
    }
}

/// The part of the store that pays out. As of every method: one transaction, and repeating it changes nothing.
#[async_trait]
pub trait PayoutStore: Send + Sync + 'static {
    /// From now on the account's earnings go there.
    async fn set_destination(&self, row: &DestinationRow) -> Result<(), StoreError>;
    /// Where earnings go, of one account or of all.
    async fn destinations(&self, account: Option<AccountId>) -> Result<Vec<DestinationRow>, StoreError>;

    /// How often earnings were spent.
    async fn spent(&self) -> Result<Spent, StoreError>;
    /// Writes payouts and what is told of them; those with an id that is there stay. False: earnings were spent since
    /// `spent` was read, and nothing was written.
    async fn add_payouts(&self, rows: &[(PayoutRow, EventRow)], spent: Spent) -> Result<bool, StoreError>;
    /// Writes down how far a payout came, and tells of it, where it had not come so far: a payout never goes back.
    async fn set_payout_state(
        &self,
        id: PayoutId,
        state: State,
        now_ms: u64,
        event: Option<&EventRow>,
    ) -> Result<(), StoreError>;
    /// Payouts, the newest run first, at most `limit`, after `after` where given; of one account where one is named.
    async fn payouts(
        &self,
        account: Option<AccountId>,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<PayoutRow>, StoreError>;
    /// The payouts of a run, by id.
    async fn payouts_of_run(&self, run: u64) -> Result<Vec<PayoutRow>, StoreError>;
    /// Payouts that are neither settled nor failed.
    async fn open_payouts(&self) -> Result<Vec<PayoutRow>, StoreError>;
    /// What hosts were paid or are being paid, by rail, in micro-units; some of them where they are named.
    async fn paid(&self, among: Option<&[NodeId]>)
    -> Result<Vec<(NodeId, Currency, Rail, i128)>, StoreError>;
    /// How many payouts of an epoch failed.
    async fn failed_payouts(&self, epoch: u32) -> Result<Vec<(NodeId, Currency, u32)>, StoreError>;
}
