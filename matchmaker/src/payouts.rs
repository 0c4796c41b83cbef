//! Payouts: a run collects what is settled and not paid; each step is an order of the general ledger first, and a row
//! second.
//!
//! Sending is a person's: the bank's file is downloaded once it is submitted, claims are published; a rail's word comes in as
//! an outcome. Whichever of several matchmakers is asked does it.
//!
//! **Architecture invariant:** a row never knows more than the ledger. After a crash between the two, the row is brought to
//! what the ledger says before anything else happens; a payout that the ledger never set aside is set aside then. Rows are
//! made of what is left of earnings only if nobody spent of these since that was read ([`Spent`]).

use crate::general::{self, Ledger, PostError};
use crate::settlement;
use crate::stakes;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::accounts::Holding;
use crate::store::payouts::{DestinationRow, MOST_PAYOUTS, PayoutRow, Spent};
use crate::store::webhooks::EventRow;
use nearframe_journal::JournalError;
use nearframe_ledger::LedgerError;
use nearframe_ledger::payout::bank::{self, BankError, Debtor};
use nearframe_ledger::payout::evm::Claims;
use nearframe_ledger::payout::{
    Address, Destination, DestinationError, Due, Event, Manifest, ManifestError, PaidSoFar, PayoutError,
    State,
};
use nearframe_ledger::settlement::{Epoch, Totals};
use nearframe_protocol::payout::{PayTo, PayoutId, PayoutState};
use nearframe_protocol::webhook::{EventData, EventKind};
use nearframe_protocol::{AccountId, Currency, EventId, Money, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Less than this waits for the next run, in micro-units: a cent is the least that a bank moves.
const LEAST_MICROS: i128 = 10_000;
/// Where other matchmakers pay or stake at the same time, what is left is read again so often.
const TRIES: u32 = 8;

/// Why nothing was paid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayError {
    /// No general ledger here.
    #[error("this server has no general ledger open, from which alone it pays")]
    NoLedger,
    /// Others were faster, again and again.
    #[error("others spent of the same earnings at the same time; try again")]
    Busy,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Sums.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Sums of claims.
    #[error(transparent)]
    Amount(#[from] LedgerError),
    /// An outcome that cannot be.
    #[error(transparent)]
    State(#[from] PayoutError),
    /// The bank's file.
    #[error(transparent)]
    Bank(#[from] BankError),
    /// Who pays is not configured.
    #[error("the configuration says no payer: `company` and `payer_iban`")]
    NoPayer,
    /// The ledger's limits say no.
    #[error("the ledger refuses payout {0}: the host has less than that; an operator has to look at it")]
    Refused(PayoutId),
    /// No such payout or run.
    #[error("there is no such payout or run")]
    Unknown,
}

impl From<PostError> for PayError {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Store(error) => error.into(),
            PostError::Journal(error) => error.into(),
        }
    }
}

/// The destination that somebody wrote, checked.
pub(crate) fn destination(pay_to: &PayTo) -> Result<Destination, DestinationError> {
    match pay_to {
        PayTo::Bank { name, iban, bic } => {
            let bic = bic.as_ref().map(|bic| bic.parse()).transpose()?;
            Destination::bank(name, iban.parse()?, bic)
        }
        PayTo::Evm { address } => Ok(Destination::Evm { address: address.parse()? }),
    }
}

/// A destination in the words of the API.
pub(crate) fn pay_to(destination: &Destination) -> PayTo {
    match destination {
        Destination::Bank { name, iban, bic } => PayTo::Bank {
            name: name.clone(),
            iban: iban.to_string(),
            bic: bic.as_ref().map(ToString::to_string),
        },
        Destination::Evm { address } => PayTo::Evm { address: address.to_string() },
    }
}

/// A payout in the words of the API.
pub(crate) fn shown(row: &PayoutRow) -> nearframe_protocol::payout::Payout {
    let payout = &row.payout;
    nearframe_protocol::payout::Payout {
        id: row.id(),
        run: row.run,
        settled_until: payout.epoch.to_string(),
        account: row.account,
        node: payout.host,
        amount: Money { amount_micros: payout.amount_micros, currency: payout.currency.clone() },
        pay_to: pay_to(&payout.destination),
        state: match row.state {
            State::Created => PayoutState::Created,
            State::Submitted => PayoutState::Submitted,
            State::Settled => PayoutState::Settled,
            State::Failed => PayoutState::Failed,
        },
        created_at_ms: row.created_at_ms,
        changed_at_ms: row.changed_at_ms,
    }
}

/// What is told of a payout that came so far; its id follows from that, so that it is told once.
fn event(row: &PayoutRow) -> Result<Option<EventRow>, StoreError> {
    let kind = match row.state {
        State::Created => EventKind::PayoutCreated,
        State::Submitted => return Ok(None),
        State::Settled => EventKind::PayoutSettled,
        State::Failed => EventKind::PayoutFailed,
    };
    let mut hasher = blake3::Hasher::new_derive_key("nearframe payout event v1");
    hasher.update(row.id().as_bytes()).update(kind.as_str().as_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    let data = EventData::Payout(Box::new(shown(row)));
    EventRow::with_id(EventId::from_random(bytes), row.account, kind, row.changed_at_ms, data).map(Some)
}

async fn ledger(shared: &Shared) -> Result<Ledger, PayError> {
    // Whatever is settled has to be on the hosts' accounts before it is set aside.
    general::posted(shared).await?.cloned().ok_or(PayError::NoLedger)
}

/// Writes a step into the ledger.
async fn step(ledger: &Ledger, row: &PayoutRow, event: Event, now_ms: u64) -> Result<(), PayError> {
    let payout = row.payout.clone();
    let written = ledger.with(move |general| general.pay(&payout, event, now_ms)).await?;
    if written { Ok(()) } else { Err(PayError::Refused(row.id())) }
}

/// Brings every row that is open to what the ledger says; sets aside what it does not know.
pub(crate) async fn reconcile(shared: &Shared) -> Result<(), PayError> {
    let open = shared.store.open_payouts().await?;
    let mut runs: BTreeSet<u64> = open.iter().map(|row| row.run).collect();
    runs.insert(shared.store.spent().await?.run);
    if !open.is_empty() {
        bring(shared, open).await?;
    }
    take_back(shared, &runs).await
}

async fn bring(shared: &Shared, open: Vec<PayoutRow>) -> Result<(), PayError> {
    let ledger = ledger(shared).await?;
    for mut row in open {
        let (payout, now_ms) = (row.payout.clone(), shared.now_ms());
        let brought = ledger.with(move |general| general.bring(&payout, now_ms)).await?;
        let state = brought.unwrap_or_else(|| {
            tracing::error!(payout = %row.id(), "the ledger does not hold what a payout would set aside");
            State::Failed
        });
        if state != row.state {
            (row.state, row.changed_at_ms) = (state, shared.now_ms());
            shared.store.set_payout_state(row.id(), state, row.changed_at_ms, event(&row)?.as_ref()).await?;
        }
    }
    Ok(())
}

/// Where one matchmaker gave a payout up while another set it aside, both see it here, whoever comes later: it was not sent, and
/// what it holds is free again.
async fn take_back(shared: &Shared, runs: &BTreeSet<u64>) -> Result<(), PayError> {
    let mut given_up = vec![];
    for run in runs {
        let rows = shared.store.payouts_of_run(*run).await?.into_iter();
        given_up.extend(rows.filter(|row| row.state == State::Failed).map(|row| row.payout));
    }
    if given_up.is_empty() {
        return Ok(());
    }
    let (ledger, now_ms) = (ledger(shared).await?, shared.now_ms());
    let taken = ledger.with(move |general| general.take_back(&given_up, now_ms)).await?;
    if taken > 0 {
        tracing::warn!(payouts = taken, "what was set aside for payouts that were given up is free again");
    }
    Ok(())
}

/// Collects what is settled and not paid. Whoever asks again gets nothing twice.
pub(crate) async fn run(shared: &Shared) -> Result<Vec<PayoutRow>, PayError> {
    let _alone = shared.paying.lock().await;
    for _ in 0..TRIES {
        reconcile(shared).await?;
        ledger(shared).await?;
        let spent = shared.store.spent().await?;
        let rows = due(shared, spent).await?;
        if rows.is_empty() {
            return Ok(vec![]);
        }
        let told = rows.iter().map(|row| Ok::<_, StoreError>(event(row)?.map(|event| (row.clone(), event))));
        let told = told.collect::<Result<Vec<_>, _>>()?;
        if !shared.store.add_payouts(&told.into_iter().flatten().collect::<Vec<_>>(), spent).await? {
            continue;
        }
        // A crash here is made up for by the next that looks: the rows say what the ledger is still to set aside.
        reconcile(shared).await?;
        let run = spent.run + 1;
        tracing::info!(run, payouts = rows.len(), "payouts were collected");
        return Ok(shared.store.payouts_of_run(run).await?);
    }
    Err(PayError::Busy)
}

/// What is settled and not paid, as the next run.
async fn due(shared: &Shared, spent: Spent) -> Result<Vec<PayoutRow>, PayError> {
    let Some(last) = shared.store.last_settlement().await? else { return Ok(vec![]) };
    let mut totals = settlement::until(shared, last.epoch, None).await?.totals;
    let deducted = shared.store.deducted(None).await?;
    // What was released of a stake is due, however little its machine has earned.
    for (place, _) in deducted.iter().filter(|(_, micros)| **micros < 0) {
        totals.entry(place.clone()).or_default();
    }
    let retained = stakes::retained(shared, &totals).await?;
    let Receivers { accounts, destinations } = receivers(shared, &totals).await?;
    totals.retain(|place, _| destinations.contains_key(place));
    let paid = shared.store.paid(None).await?.into_iter();
    let paid: PaidSoFar =
        paid.map(|(host, currency, rail, micros)| ((host, currency, rail), micros)).collect();
    let failed = shared.store.failed_payouts(last.epoch.0).await?;
    let attempts = failed.into_iter().map(|(host, currency, count)| ((host, currency), count)).collect();
    let mut manifest = Manifest::of(&Due {
        epoch: last.epoch,
        root: last.root,
        totals: &totals,
        paid: &paid,
        deducted: &deducted,
        retained: &retained,
        destinations: &destinations,
        attempts: &attempts,
        least_micros: LEAST_MICROS,
    })?;
    manifest.payouts.truncate(MOST_PAYOUTS);
    let (run, now_ms) = (spent.run + 1, shared.now_ms());
    let row = |payout: nearframe_ledger::payout::Payout| {
        let account = accounts.get(&payout.host).copied()?;
        let state = State::Created;
        Some(PayoutRow { run, account, payout, state, created_at_ms: now_ms, changed_at_ms: now_ms })
    };
    Ok(manifest.payouts.into_iter().filter_map(row).collect())
}

/// Whose machines earned, and where they want it.
struct Receivers {
    accounts: BTreeMap<NodeId, AccountId>,
    destinations: BTreeMap<(NodeId, Currency), Destination>,
}

async fn receivers(shared: &Shared, totals: &Totals) -> Result<Receivers, StoreError> {
    let wanted = shared.store.destinations(None).await?;
    let mut receivers = Receivers { accounts: BTreeMap::new(), destinations: BTreeMap::new() };
    for (host, currency) in totals.keys() {
        let Some(account) = shared.store.owner(&Holding::Node(*host)).await? else { continue };
        receivers.accounts.insert(*host, account);
        let is_theirs = |row: &&DestinationRow| row.account == account && row.currency == *currency;
        if let Some(row) = wanted.iter().find(is_theirs) {
            receivers.destinations.insert((*host, currency.clone()), row.destination.clone());
        }
    }
    Ok(receivers)
}

/// Writes down that a run's payouts are about to be handed to their rails. From then on they are only asked about.
pub(crate) async fn submit(shared: &Shared, run: u64) -> Result<Vec<PayoutRow>, PayError> {
    let _alone = shared.paying.lock().await;
    reconcile(shared).await?;
    let ledger = ledger(shared).await?;
    let rows = shared.store.payouts_of_run(run).await?;
    if rows.is_empty() {
        return Err(PayError::Unknown);
    }
    for row in rows.iter().filter(|row| row.state == State::Created) {
        step(&ledger, row, Event::Submitting, shared.now_ms()).await?;
        shared.store.set_payout_state(row.id(), State::Submitted, shared.now_ms(), None).await?;
    }
    Ok(shared.store.payouts_of_run(run).await?)
}

/// Writes down what a rail said.
pub(crate) async fn outcome(
    shared: &Shared,
    run: u64,
    id: PayoutId,
    settled: bool,
) -> Result<PayoutRow, PayError> {
    let _alone = shared.paying.lock().await;
    let said = if settled { Event::Settled } else { Event::Failed };
    match decide(shared, run, id, said).await {
        // Another matchmaker was told of another outcome a moment before: what the ledger says now tells.
        Err(PayError::Refused(_)) => decide(shared, run, id, said).await,
        decided => decided,
    }
}

async fn decide(shared: &Shared, run: u64, id: PayoutId, said: Event) -> Result<PayoutRow, PayError> {
    reconcile(shared).await?;
    let ledger = ledger(shared).await?;
    let rows = shared.store.payouts_of_run(run).await?;
    let mut row = rows.into_iter().find(|row| row.id() == id).ok_or(PayError::Unknown)?;
    let state = row.state.after(said)?;
    if state != row.state {
        let now_ms = shared.now_ms();
        step(&ledger, &row, said, now_ms).await?;
        (row.state, row.changed_at_ms) = (state, now_ms);
        shared.store.set_payout_state(id, state, now_ms, event(&row)?.as_ref()).await?;
    }
    Ok(row)
}

/// The rows of a run that was submitted, as its manifest: without those that were given up before they were sent; and empty while a part of it is not submitted, because what is handed out stays what it is.
async fn manifest(shared: &Shared, rows: &[PayoutRow]) -> Result<Manifest, PayError> {
    let first = rows.first().ok_or(PayError::Unknown)?;
    let (epoch, root) = (first.payout.epoch, first.payout.root);
    if rows.iter().any(|row| row.state == State::Created) {
        return Ok(Manifest { epoch, root, payouts: vec![] });
    }
    let ledger = general::open(shared).await?.ok_or(PayError::NoLedger)?;
    let payouts = rows.iter().map(|row| row.payout.clone()).collect();
    let payouts = ledger.with(move |general| general.sent(payouts)).await?;
    Ok(Manifest { epoch, root, payouts })
}

/// The bank's file of a run that was submitted: the same bytes whenever it is asked for, so that a bank that gets it twice
/// can tell.
pub(crate) async fn bank_file(shared: &Shared, run: u64) -> Result<String, PayError> {
    let rows = shared.store.payouts_of_run(run).await?;
    let config = &shared.config;
    let iban = config.payer_iban.as_ref().and_then(|iban| iban.parse().ok());
    let (Some(name), Some(iban)) = (config.company.first().cloned(), iban) else {
        return Err(PayError::NoPayer);
    };
    let bic = config.payer_bic.as_ref().and_then(|bic| bic.parse().ok());
    let made_at_ms = rows.first().map_or(0, |row| row.created_at_ms);
    let manifest = manifest(shared, &rows).await?;
    Ok(bank::file(&manifest, &Debtor { name, iban, bic }, made_at_ms)?)
}

/// The claims of a run that was submitted, by token: everybody who was ever paid so, with all that they were paid.
pub(crate) async fn claims(shared: &Shared, run: u64) -> Result<Vec<(Currency, Claims)>, PayError> {
    let rows = shared.store.payouts_of_run(run).await?;
    if rows.is_empty() {
        return Err(PayError::Unknown);
    }
    let mut totals: BTreeMap<Currency, BTreeMap<[u8; 20], i128>> = BTreeMap::new();
    for earlier in 1..=run {
        let rows = if earlier == run { rows.clone() } else { shared.store.payouts_of_run(earlier).await? };
        for row in rows.iter().filter(|row| matches!(row.state, State::Submitted | State::Settled)) {
            if let Destination::Evm { address } = row.payout.destination {
                let of = totals.entry(row.payout.currency.clone()).or_default();
                *of.entry(*address.as_bytes()).or_default() += row.payout.amount_micros;
            }
        }
    }
    let none = Manifest { epoch: Epoch(0), root: nearframe_ledger::hash::Hash32::default(), payouts: vec![] };
    let claims = totals.into_iter().map(|(currency, of)| {
        let all: Vec<_> =
            of.into_iter().map(|(bytes, micros)| (Address::from_bytes(bytes), micros)).collect();
        Ok::<_, PayError>((currency, Claims::of(&none, &all, shared.config.token_decimals)?))
    });
    claims.collect()
}

#[cfg(test)]
mod tests;
