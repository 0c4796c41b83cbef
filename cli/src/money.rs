//! `nearframe ledger` and `nearframe payout`: what anyone checks without trusting who wrote it.

use crate::command::{LedgerCommand, PayoutCommand};
use crate::data_dir::matchmaker_folder;
use crate::options::{General, Record};
use crate::say;
use anyhow::{Context, Result};
use nearframe_ledger::settlement::PayoutProof;
use nearframe_matchmaker::audit::{AuditError, AuditedLedger, KeptIn, audit, audit_ledger};
use nearframe_matchmaker::open_record;
use nearframe_protocol::api::LedgerHead;
use nearframe_protocol::{Currency, Money, PublicKey};
use std::fs;
use std::path::{Path, PathBuf};

/// Runs a `ledger` command.
pub(crate) async fn ledger(general: &General, command: &LedgerCommand) -> Result<()> {
    match command {
        LedgerCommand::Verify { record, head } => verify_ledger(general, record, head).await,
    }
}

async fn verify_ledger(general: &General, record: &Record, heads: &[PathBuf]) -> Result<()> {
    let heads = heads.iter().map(|file| published(file)).collect::<Result<Vec<_>>>()?;
    // A database needs no folder.
    let is_shared = record.database_url.is_some();
    let folder = if is_shared { PathBuf::new() } else { matchmaker_folder(general)? };
    let store = open_record(record.database_url.as_deref(), &folder).await?;
    let read = async {
        let kept = if is_shared { KeptIn::Store } else { KeptIn::Folder(&folder) };
        let ledger = audit_ledger(&store, kept, &heads).await?;
        Ok::<_, AuditError>((ledger, audit(store.as_ref()).await?))
    };
    let read = read.await;
    store.close().await;
    let (ledger, audited) = read?;
    say::line(&format!(
        "{} leases, {} receipts, {} transfers: every signature, chain, bill and sum is right",
        audited.leases, audited.receipts, audited.transfers
    ));
    say::line(&format!("audit trail: {} lines: every hash follows the one before", audited.deeds));
    if let Some(AuditedLedger { blocks, records, unfinished_bytes, refused }) = ledger {
        say::line(&format!(
            "general ledger: {blocks} blocks, {records} records: every hash, key and balance is right"
        ));
        if refused > 0 {
            say::line(&format!(
                "general ledger: {refused} entries of the record are set aside, because it refuses them: see \
                 GET /v1/ledger/refused"
            ));
        }
        if unfinished_bytes > 0 {
            say::line(&format!(
                "general ledger: {unfinished_bytes} bytes follow the last whole block: a write that a crash cut short, of \
                 which nobody was told, or a last block that was changed since; these look alike, and a head that was \
                 published (--head) tells which"
            ));
        }
    }
    for (currency, (hosts, platform)) in &audited.earned {
        let (hosts, platform) = (amount(*hosts, currency), amount(*platform, currency));
        say::line(&format!("earned: hosts {hosts}, platform {platform}"));
    }
    Ok(())
}

/// A head of the ledger that somebody kept.
fn published(file: &Path) -> Result<LedgerHead> {
    let text = fs::read_to_string(file).with_context(|| format!("--head: reading {}", file.display()))?;
    let wrong = || format!("--head: {} is no answer of GET /v1/ledger/head", file.display());
    serde_json::from_str(&text).with_context(wrong)
}

fn amount(amount_micros: i128, currency: &Currency) -> String {
    Money { amount_micros, currency: currency.clone() }.to_string()
}

/// Runs a `payout` command.
pub(crate) fn payout(command: &PayoutCommand) -> Result<()> {
    match command {
        PayoutCommand::Verify { file, key } => verify_payout(file, key),
    }
}

fn verify_payout(file: &Path, key: &str) -> Result<()> {
    let key = PublicKey::try_from(key.to_owned()).context("--key")?;
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let proof: PayoutProof =
        serde_json::from_str(&text).with_context(|| format!("{} is no proof of earnings", file.display()))?;
    proof.verify(&key).with_context(|| format!("{} proves nothing", file.display()))?;
    let PayoutProof { host, earned, date, .. } = &proof;
    say::line(&format!("right: until the end of {date}, host {host} earned {earned} in all"));
    Ok(())
}
