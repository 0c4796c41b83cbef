//! The record read from its beginning: every receipt, every bill, every transfer, every line of the audit trail.

use crate::general::Table;
use crate::state::ledger_key;
use crate::store::deeds::TrailRow;
use crate::store::{Store, StoreError};
use crate::{LEDGER, SECRET, random};
use nearframe_journal::{Folder, JournalError, Verified, verify_shared};
use nearframe_ledger::auction::clear;
use nearframe_ledger::bill::{BillError, Evidence};
use nearframe_ledger::books::{BlockHash, SignedHead};
use nearframe_ledger::rates::RateCard;
use nearframe_ledger::{Account, Imbalance, Tariff, verify};
use nearframe_protocol::api::LedgerHead;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{Currency, LeaseId, NodeId};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Error;
use std::path::Path;
use std::sync::Arc;

/// Leases read at once.
const PAGE_LEASES: u32 = 200;

/// What was read, and found right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// Leases whose bills follow from their receipts.
    pub leases: u64,
    /// Receipts whose signatures and chains are right.
    pub receipts: u64,
    /// Transfers that keep every rule.
    pub transfers: u64,
    /// Lines of the audit trail, in their chain.
    pub deeds: u64,
    /// What hosts earned and what the platform did, by currency, in micro-units.
    pub earned: BTreeMap<Currency, (i128, i128)>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bill does not follow from its receipts.
    #[error("lease {lease}: {error}; compare with a backup and with the node's own receipts")]
    Bill {
        /// The lease.
        lease: LeaseId,
        /// What is wrong.
        error: BillError,
    },
    /// A lease's price is not that of the rate card.
    #[error(
        "lease {lease}: its price does not follow from version {rate_card} of the rate card; compare with a backup"
    )]
    Price {
        /// The lease.
        lease: LeaseId,
        /// The version that it names.
        rate_card: u32,
    },
    /// A lease's price is not that of its auction, or its machine did not win it.
    #[error(
        "lease {lease}: its price does not follow from the auction of its reservation; compare with a backup"
    )]
    Auction {
        /// The lease.
        lease: LeaseId,
    },
    /// The journal as a whole breaks a rule.
    #[error("the journal: {0}; compare with a backup")]
    Journal(#[from] Imbalance),
    /// A line of the audit trail is not what was written, or not in its place.
    #[error("line {0} of the audit trail does not follow the one before it; compare with a backup")]
    Trail(u64),
    /// The general ledger is wrong.
    #[error(transparent)]
    Ledger(#[from] JournalError),
    /// The general ledger says that a host earned more than the record does.
    #[error(
        "the general ledger has {ledger_micros} micro-units for host {host}, the record only {record_micros}"
    )]
    Ahead {
        /// The host.
        host: NodeId,
        /// In the ledger.
        ledger_micros: i128,
        /// In the record.
        record_micros: i128,
    },
    /// The journal has transfers of leases that are not there, or lacks some.
    #[error("the journal has {journal} transfers, but the leases have {leases}; compare with a backup")]
    Count {
        /// In the journal.
        journal: u64,
        /// Of all leases.
        leases: u64,
    },
}

/// Lines of the audit trail that are read at once.
const PAGE_DEEDS: u32 = 500;

/// Reads the audit trail from its last line to its first; gives how many there are.
async fn audit_trail(store: &dyn Store) -> Result<u64, AuditError> {
    let mut newer: Option<TrailRow> = None;
    let mut count = 0;
    loop {
        let before = newer.as_ref().map(|row| row.number);
        let page = store.trail(None, before, PAGE_DEEDS).await?;
        let is_first = page.is_empty();
        for row in page {
            count += 1;
            let last = Some((row.number, row.hash));
            if let Some(newer) = newer.replace(row).filter(|newer| !newer.follows(last)) {
                return Err(AuditError::Trail(newer.number));
            }
        }
        if is_first {
            return match newer.filter(|first| !first.follows(None)) {
                Some(first) => Err(AuditError::Trail(first.number)),
                None => Ok(count),
            };
        }
    }
}

/// Computes every bill again from its receipts and compares it with what was posted, then checks the whole journal.
/// Also checks the audit trail. Right at one moment: run it while no session plays, or again where transfers were written meanwhile.
pub async fn audit(store: &dyn Store) -> Result<Audited, AuditError> {
    let mut audited = Audited::default();
    let mut cards = BTreeMap::new();
    let mut after = None;
    loop {
        let page = store.evidence(None, after, PAGE_LEASES).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.account.lease);
        for evidence in &page {
            let lease = evidence.account.lease;
            let bill = evidence.recompute().map_err(|error| AuditError::Bill { lease, error })?;
            price(store, &mut cards, evidence).await?;
            audited.leases += 1;
            audited.receipts += bill.lines.len() as u64;
            audited.transfers += evidence.transfers.len() as u64;
            let currency = evidence.account.tariff.currency.clone();
            let (hosts, platform) = audited.earned.entry(currency).or_default();
            *hosts += bill.host_micros;
            *platform += bill.platform_micros;
        }
    }
    audited.deeds = audit_trail(store).await?;
    let journal = store.journal().await?;
    verify(&journal)?;
    if journal.len() as u64 != audited.transfers {
        return Err(AuditError::Count { journal: journal.len() as u64, leases: audited.transfers });
    }
    Ok(audited)
}

/// Compares a lease's price with the card that it names.
async fn price(
    store: &dyn Store,
    cards: &mut BTreeMap<u32, Option<RateCard>>,
    evidence: &Evidence,
) -> Result<(), AuditError> {
    // Leases from before rate cards have their price alone.
    let Some(basis) = &evidence.basis else { return Ok(()) };
    let rate_card = basis.rate_card;
    if basis.work == Work::Reserve {
        return stood(store, evidence).await;
    }
    if let Entry::Vacant(place) = cards.entry(rate_card) {
        place.insert(store.card(rate_card).await?.map(|row| row.card));
    }
    let card = cards.get(&rate_card).and_then(Option::as_ref);
    let follows = card.is_some_and(|card| card.tariff(basis) == evidence.account.tariff);
    if follows { Ok(()) } else { Err(AuditError::Price { lease: evidence.account.lease, rate_card }) }
}

/// Compares the price of a lease that stood by with the auction of its reservation, which is cleared again.
async fn stood(store: &dyn Store, evidence: &Evidence) -> Result<(), AuditError> {
    let lease = evidence.account.lease;
    let wrong = || AuditError::Auction { lease };
    let session = store.session(evidence.terms.session).await?;
    let id = session.and_then(|row| row.reservation).ok_or_else(wrong)?;
    let row = store.reservation(id).await?.ok_or_else(wrong)?;
    let bids = store.bids(row.auction.wanted.auction).await?;
    let cleared = clear(&row.auction.wanted, &bids, &row.auction.seed).map_err(|_| wrong())?;
    let price = cleared.price_micros_per_hour.ok_or_else(wrong)?;
    let tariff = Tariff { price_micros_per_hour: price, ..row.tariff() };
    let mut paid = cleared.winners.iter().chain(&cleared.next);
    let is_right = tariff == evidence.account.tariff && paid.any(|node| *node == evidence.account.node);
    if is_right { Ok(()) } else { Err(wrong()) }
}

/// A general ledger that was read, and found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditedLedger {
    /// Whole blocks.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes after the last whole block: a write under way or cut short by a crash, or a last block that was changed.
    pub unfinished_bytes: u64,
    /// Entries of the record that it refuses, which are set aside there.
    pub refused: u64,
}

/// Where a general ledger is kept.
#[derive(Clone, Copy, Debug)]
pub enum KeptIn<'a> {
    /// In this data folder.
    Folder(&'a Path),
    /// In the store, of which each matchmaker has a copy.
    Store,
}

/// Reads the general ledger from its first block: hashes, chain, rules, keys, checkpoints; and compares what hosts earned
/// with the record, which may be a few seconds ahead. Each of the published `heads` has to be in it. `None` where there is
/// none.
pub async fn audit_ledger(
    store: &Arc<dyn Store>,
    kept: KeptIn<'_>,
    heads: &[LedgerHead],
) -> Result<Option<AuditedLedger>, AuditError> {
    let key = ledger_key(&store.secret(SECRET, random::bytes()).await?).public();
    let heads = heads.iter().map(signed_head).collect::<Result<Vec<_>, _>>()?;
    // The ledger first: what it has, the record had before.
    let verified = match kept {
        KeptIn::Folder(data_dir) => {
            let path = data_dir.join(LEDGER);
            if !path.exists() {
                return match heads.first() {
                    Some(head) => Err(JournalError::Missing { blocks: head.blocks }.into()),
                    None => Ok(None),
                };
            }
            let folder = Folder::inspect(&path).map_err(JournalError::from)?;
            nearframe_journal::verify(&folder, &key, &heads)?
        }
        KeptIn::Store => {
            let table = Table::new(store);
            let verified = tokio::task::spawn_blocking(move || verify_shared(&table, &key, &heads)).await;
            verified.unwrap_or_else(|error| Err(Error::other(error).into()))?
        }
    };
    let Verified { books, unfinished_bytes, .. } = verified;
    if matches!(kept, KeptIn::Store) && books.next_height() == 0 {
        return Ok(None);
    }
    let refused = store.asides(u32::MAX).await?.len() as u64;
    let mut totals = store.host_totals(u64::MAX, None).await?;
    for (place, released_micros) in store.released().await? {
        *totals.entry(place).or_default() += released_micros;
    }
    for state in books.accounts() {
        let Account::Host(host) = state.account else { continue };
        let record_micros = totals.get(&(host, state.currency.clone())).copied().unwrap_or(0);
        let ledger_micros = state.balance.credits_micros;
        if ledger_micros > record_micros {
            return Err(AuditError::Ahead { host, ledger_micros, record_micros });
        }
    }
    let (blocks, records) = (books.next_height(), books.records());
    Ok(Some(AuditedLedger { blocks, records, unfinished_bytes, refused }))
}

/// A head as it was published.
fn signed_head(head: &LedgerHead) -> Result<SignedHead, AuditError> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&head.hash, &mut hash).map_err(|_| JournalError::ForeignHead)?;
    let LedgerHead { blocks, records, at_ms, signature, .. } = *head;
    Ok(SignedHead { blocks, records, at_ms, hash: BlockHash::from_bytes(hash), signature })
}
