//! Stakes of machines: posted, noticed, released; set aside because of cases, appealed, taken or freed.
//!
//! What may happen is decided by `nearframe-trust` from a machine's entries, and written as its next one; whoever comes
//! second reads again. The general ledger follows the entries, wherever one is kept.
//!
//! **Architecture invariant:** a part of a stake is set aside only on `Grounds`, which only an upheld case of several
//! independent witnesses gives; and what is staked from earnings is never paid out as well, because both write only if nobody
//! spent of earnings since they read what is left.

mod leaving;
mod payers;
mod rules;

pub(crate) use leaving::{TICK, look, note, seen};
pub(crate) use rules::{credit_rules_at, open, rules_at};

use crate::general::{self, Ledger};
use crate::settlement;
use crate::state::{Phase, Shared};
use crate::store::StoreError;
use crate::store::accounts::Holding;
use crate::store::service::Reached;
use crate::store::stake::{NewCredit, StakeRow};
use crate::store::trust::CaseRow;
use crate::store::webhooks::EventRow;
use nearframe_journal::JournalError;
use nearframe_ledger::Account;
use nearframe_ledger::settlement::{DAY_MS, Totals};
use nearframe_protocol::account::{AccountKind, Actor, MemberRole};
use nearframe_protocol::stake::{StakeEntry, StakeEvent};
use nearframe_protocol::webhook::{EventData, EventKind};
use nearframe_protocol::{CaseId, Currency, EventId, Money, NodeId};
use nearframe_trust::stake::{Deed, Entry, Grounds, Judge, Source, Stake, StakeError};
use std::collections::{BTreeMap, BTreeSet};

/// Whoever decides by what another has just changed reads again so often.
const TRIES: u32 = 8;

/// Why nothing happened to a stake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StakingError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rules of stakes.
    #[error(transparent)]
    Rule(#[from] StakeError),
    /// Not so much was earned.
    #[error(
        "{0} of this machine's earnings are settled and neither paid out nor staked; no more can be staked"
    )]
    NotEnough(Money),
    /// Another currency.
    #[error("this machine's stake is counted in {0}")]
    OtherCurrency(Currency),
    /// The reference stands for another deposit.
    #[error("another deposit has this reference: of another amount, or for another machine")]
    ReferenceUsed,
    /// Others were faster, again and again.
    #[error("others changed this stake at the same time; try again")]
    Busy,
}

/// A machine's stake with its entries.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The machine.
    pub(crate) node: NodeId,
    /// What it is counted in.
    pub(crate) currency: Currency,
    /// As it stands.
    pub(crate) stake: Stake,
    /// What it comes from.
    pub(crate) entries: Vec<Entry>,
}

impl Held {
    fn of(node: NodeId, rows: Vec<StakeRow>, currency: &Currency) -> Result<Self, StoreError> {
        let currency = rows.first().map_or_else(|| currency.clone(), |row| row.currency.clone());
        let entries: Vec<Entry> = rows.into_iter().map(|row| row.entry).collect();
        let stake = Stake::of(&entries).map_err(|error| {
            tracing::error!(%node, %error, "entries of a stake do not follow each other");
            StoreError::Corrupt("stake_entries.number")
        })?;
        Ok(Self { node, currency, stake, entries })
    }
}

/// A machine's stake.
pub(crate) async fn of_node(shared: &Shared, node: NodeId) -> Result<Held, StoreError> {
    Held::of(node, shared.store.stake_entries(Some(node)).await?, &shared.config.currency)
}

/// All machines that ever staked, or of which something was decided.
pub(crate) async fn all(shared: &Shared) -> Result<Vec<Held>, StoreError> {
    let mut nodes: BTreeMap<NodeId, Vec<StakeRow>> = BTreeMap::new();
    for row in shared.store.stake_entries(None).await? {
        nodes.entry(row.node).or_default().push(row);
    }
    nodes.into_iter().map(|(node, rows)| Held::of(node, rows, &shared.config.currency)).collect()
}

/// An entry in the words of the API.
pub(crate) fn shown(entry: &Entry, currency: &Currency) -> StakeEntry {
    let reference = match &entry.deed {
        Deed::Posted { from: Source::Deposit { reference } } => Some(reference.clone()),
        _ => None,
    };
    StakeEntry {
        number: entry.number,
        at_ms: entry.at_ms,
        what: entry.deed.as_str().to_owned(),
        amount: Money { amount_micros: entry.amount_micros, currency: currency.clone() },
        case: entry.deed.case(),
        reference,
        by: entry.by.clone(),
    }
}

/// What is told of an entry; its id follows from that, so that it is told once.
async fn event(shared: &Shared, held: &Held, entry: &Entry) -> Result<Option<EventRow>, StoreError> {
    let kind = match &entry.deed {
        Deed::SetAside { .. } => EventKind::StakePending,
        Deed::Taken { .. } => EventKind::StakeSlashed,
        Deed::Freed { .. } => EventKind::StakeFreed,
        Deed::Released => EventKind::StakeReleased,
        Deed::Posted { .. } | Deed::Noticed { .. } | Deed::Appealed { .. } | Deed::Confirmed { .. } => {
            return Ok(None);
        }
    };
    let Some(account) = shared.store.owner(&Holding::Node(held.node)).await? else { return Ok(None) };
    let mut after = held.stake.clone();
    let staked_micros = after.apply(entry).map_or(held.stake.staked_micros, |()| after.staked_micros);
    let takes_at_ms = match entry.deed {
        Deed::SetAside { takes_at_ms, .. } => Some(takes_at_ms),
        _ => None,
    };
    let mut hasher = blake3::Hasher::new_derive_key("nearframe stake event v1");
    hasher.update(held.node.as_bytes()).update(&entry.number.to_le_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    let data = EventData::Stake(Box::new(StakeEvent {
        node: held.node,
        entry: shown(entry, &held.currency),
        staked: Money { amount_micros: staked_micros, currency: held.currency.clone() },
        takes_at_ms,
    }));
    EventRow::with_id(EventId::from_random(bytes), account, kind, entry.at_ms, data).map(Some)
}

/// Writes the next entry; false: another was faster.
async fn add(shared: &Shared, held: &Held, entry: &Entry, credits: &[NewCredit]) -> Result<bool, StoreError> {
    let event = event(shared, held, entry).await?;
    let (node, currency) = (held.node, held.currency.clone());
    let row = StakeRow { seq: 0, node, currency, entry: entry.clone() };
    shared.store.add_stake_entry(&row, credits, event.as_ref()).await
}

/// Decides by how the stake stands and writes that; again where another was faster. `None` of `decide`: nothing to write.
async fn change(
    shared: &Shared,
    node: NodeId,
    decide: impl Fn(&Held) -> Result<Option<Entry>, StakingError>,
) -> Result<Held, StakingError> {
    for _ in 0..TRIES {
        let held = of_node(shared, node).await?;
        let Some(entry) = decide(&held)? else { return Ok(held) };
        if add(shared, &held, &entry, &[]).await? {
            tracing::info!(%node, what = entry.deed.as_str(), micros = %entry.amount_micros, "a stake changed");
            return Ok(of_node(shared, node).await?);
        }
    }
    Err(StakingError::Busy)
}

/// What could be staked of each machine's earnings: what is settled, less what is paid, staked or borne; and never more
/// than its account holds.
pub(crate) async fn available(shared: &Shared) -> Result<Totals, StoreError> {
    general::post(shared).await?;
    let Some(last) = shared.store.last_settlement().await? else { return Ok(Totals::new()) };
    let mut totals = settlement::until(shared, last.epoch, None).await?.totals;
    let mut earned = shared.store.host_totals(u64::MAX, None).await?;
    for (place, micros) in shared.store.corrected(None).await? {
        *earned.entry(place).or_default() -= micros;
    }
    for (place, settled) in &mut totals {
        *settled = (*settled).min(earned.get(place).copied().unwrap_or(0));
    }
    for (host, currency, _, micros) in shared.store.paid(None).await? {
        *totals.entry((host, currency)).or_default() -= micros;
    }
    for (place, micros) in shared.store.deducted(None).await? {
        *totals.entry(place).or_default() -= micros;
    }
    if let Some(ledger) = shared.general.ledger() {
        totals = at_most_on_accounts(ledger, totals).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the ledger cannot be read; nothing can be staked of earnings");
            Totals::new()
        });
    }
    totals.retain(|_, free| *free > 0);
    Ok(totals)
}

/// No more than the hosts' accounts hold.
async fn at_most_on_accounts(ledger: &Ledger, mut totals: Totals) -> Result<Totals, JournalError> {
    ledger
        .with(move |general| {
            for ((host, currency), free) in &mut totals {
                *free = (*free).min(general.free_micros(&Account::Host(*host), currency));
            }
            Ok(totals)
        })
        .await
}

/// Moves earnings that are settled and not paid out into a machine's stake.
pub(crate) async fn post(
    shared: &Shared,
    node: NodeId,
    amount: &Money,
    by: Option<Actor>,
) -> Result<Held, StakingError> {
    // Whatever is paid out meanwhile could not be staked.
    let _alone = shared.paying.lock().await;
    for _ in 0..TRIES {
        // Before anything else: where another server pays or stakes after that, it is found out.
        let spent = shared.store.spent().await?;
        let held = of_node(shared, node).await?;
        same_currency(&held, amount)?;
        let entry = held.stake.post(amount.amount_micros, Source::Earnings, by.clone(), shared.now_ms())?;
        let place = (node, amount.currency.clone());
        let free_micros = available(shared).await?.get(&place).copied().unwrap_or(0);
        if amount.amount_micros > free_micros {
            return Err(StakingError::NotEnough(Money { amount_micros: free_micros, currency: place.1 }));
        }
        let row = StakeRow { seq: 0, node, currency: held.currency.clone(), entry };
        if shared.store.stake_earnings(&row, spent).await? {
            tracing::info!(%node, micros = %amount.amount_micros, "earnings were staked");
            general::post(shared).await?;
            return Ok(of_node(shared, node).await?);
        }
    }
    Err(StakingError::Busy)
}

fn same_currency(held: &Held, amount: &Money) -> Result<(), StakingError> {
    if held.currency != amount.currency {
        return Err(StakingError::OtherCurrency(held.currency.clone()));
    }
    Ok(())
}

/// Whether an entry is the deposit with this reference.
fn is_deposit(entry: &Entry, reference: &str) -> bool {
    match &entry.deed {
        Deed::Posted { from: Source::Deposit { reference: known } } => known == reference,
        _ => false,
    }
}

/// Books money that came from outside into a machine's stake; the same reference again is the same deposit.
pub(crate) async fn deposit(
    shared: &Shared,
    node: NodeId,
    amount: &Money,
    reference: &str,
    by: Option<Actor>,
) -> Result<Held, StakingError> {
    let others = all(shared).await?.into_iter().filter(|held| held.node != node);
    if others.flat_map(|held| held.entries).any(|entry| is_deposit(&entry, reference)) {
        return Err(StakingError::ReferenceUsed);
    }
    let held = change(shared, node, |held| {
        same_currency(held, amount)?;
        if let Some(known) = held.entries.iter().find(|entry| is_deposit(entry, reference)) {
            let is_same = known.amount_micros == amount.amount_micros;
            return if is_same { Ok(None) } else { Err(StakingError::ReferenceUsed) };
        }
        let from = Source::Deposit { reference: reference.to_owned() };
        Ok(Some(held.stake.post(amount.amount_micros, from, by.clone(), shared.now_ms())?))
    })
    .await?;
    general::post(shared).await?;
    Ok(held)
}

/// Gives notice; again changes nothing.
pub(crate) async fn notice(shared: &Shared, node: NodeId, by: Option<Actor>) -> Result<Held, StakingError> {
    let now_ms = shared.now_ms();
    let rules = rules_at(shared, now_ms).await?;
    change(shared, node, |held| Ok(held.stake.notice(&rules, by.clone(), now_ms)?)).await
}

/// Appeals against what was set aside for a case.
pub(crate) async fn appeal(
    shared: &Shared,
    case: &CaseRow,
    text: &str,
    by: Option<Actor>,
) -> Result<Held, StakingError> {
    change(shared, case.node, |held| {
        Ok(Some(held.stake.appeal(case.id, text, by.clone(), shared.now_ms())?))
    })
    .await
}

/// Rules on an appeal. Whoever decided the case may only where no other operator could.
pub(crate) async fn rule(
    shared: &Shared,
    case: &CaseRow,
    is_allowed: bool,
    reason: &str,
    by: Actor,
) -> Result<Held, StakingError> {
    let judge = Judge {
        others: other_operators(shared, &by).await?,
        decided: case.verdict.as_ref().map(|verdict| verdict.actor.clone()),
        by,
    };
    let held = change(shared, case.node, |held| {
        Ok(held.stake.decide(case.id, is_allowed, reason, &judge, shared.now_ms())?)
    })
    .await?;
    general::post(shared).await?;
    Ok(held)
}

/// Whether somebody else could rule: another member of an operator's account who may change something.
async fn other_operators(shared: &Shared, by: &Actor) -> Result<bool, StoreError> {
    let accounts = shared.store.accounts().await?;
    for account in accounts.iter().filter(|account| account.kind == AccountKind::Operator) {
        let members = shared.store.members(account.id).await?;
        let is_other = |id| *by != Actor::Member { id };
        if members.iter().any(|member| member.role >= MemberRole::Member && is_other(member.id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sets aside what upheld cases cost, as far as that was not done: after a crash between the two, the next run does it.
pub(crate) async fn set_aside(shared: &Shared) -> Result<(), StakingError> {
    for case in shared.store.unpunished().await? {
        let verdict = case.verdict.as_ref().map(|verdict| verdict.verdict);
        let grounds = Grounds::of(case.id, case.kind, case.grade, &case.body.witnesses, verdict);
        let Some(grounds) = grounds else { continue };
        // What was the rule when the case was opened, and no later one.
        let rules = rules_at(shared, case.opened_at_ms).await?;
        change(shared, case.node, |held| Ok(held.stake.set_aside(grounds, &rules, shared.now_ms()))).await?;
    }
    Ok(())
}

/// What time brings: parts that cases cost, parts that are taken, stakes that are released.
pub(crate) async fn tick(shared: &Shared) -> Result<(), StoreError> {
    if *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    match pass(shared).await {
        Ok(()) => Ok(()),
        Err(StakingError::Store(error)) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "stakes are looked at again soon");
            Ok(())
        }
    }
}

async fn pass(shared: &Shared) -> Result<(), StakingError> {
    set_aside(shared).await?;
    let open = shared.store.disputes(true, None, u32::MAX).await?;
    let undecided: BTreeSet<CaseId> = open.into_iter().filter_map(|row| row.case).collect();
    for held in all(shared).await? {
        ripen(shared, held, &undecided).await?;
    }
    Ok(())
}

async fn ripen(shared: &Shared, mut held: Held, undecided: &BTreeSet<CaseId>) -> Result<(), StakingError> {
    while let Some(entry) = held.stake.due(shared.now_ms(), |case| undecided.contains(&case)) {
        let credits = match entry.deed {
            Deed::Taken { case, .. } => payers::credits(shared, case, &held.currency, &entry).await?,
            _ => vec![],
        };
        if !add(shared, &held, &entry, &credits).await? {
            return Err(StakingError::Busy);
        }
        tracing::info!(node = %held.node, what = entry.deed.as_str(), micros = %entry.amount_micros, "a stake changed");
        held = of_node(shared, held.node).await?;
    }
    Ok(())
}

/// What is not paid out, because it is missing of the least stake: of machines that are there, or were lately.
pub(crate) async fn retained(shared: &Shared, totals: &Totals) -> Result<Totals, StoreError> {
    let now_ms = shared.now_ms();
    let rules = rules_at(shared, now_ms).await?;
    if rules.least_micros == 0 && rules.tiers.is_empty() {
        return Ok(Totals::new());
    }
    let since_ms = now_ms.saturating_sub(u64::from(rules.notice_days) * DAY_MS);
    let lately = shared.store.reached(since_ms..u64::MAX).await?;
    let lately: BTreeSet<_> = lately.into_iter().map(|row| row.subject).collect();
    let staked: BTreeMap<NodeId, i128> =
        all(shared).await?.into_iter().map(|held| (held.node, held.stake.staked_micros)).collect();
    let mut retained = Totals::new();
    for place in totals.keys().filter(|(_, currency)| *currency == shared.config.currency) {
        let node = place.0;
        if lately.contains(&Reached::Node(node)) {
            let least = rules.least_micros(shared.fleet().gpu_tier(node));
            let missing = least - staked.get(&node).copied().unwrap_or(0);
            retained.insert(place.clone(), missing.max(0));
        }
    }
    Ok(retained)
}

#[cfg(test)]
pub(crate) mod tests;
