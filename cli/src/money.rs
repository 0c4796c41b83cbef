//! `nearframe ledger` and `nearframe payout`: what anyone checks without trusting who wrote it.

use crate::command::{LedgerCommand, PayoutCommand};
use crate::data_dir::matchmaker_folder;
use crate::options::{General, Record};
use crate::say;
use anyhow::{Context, Result};
use nearframe_ledger::settlement::PayoutProof;
use nearframe_matchmaker::audit::{AuditError, audit, audit_ledger};
use nearframe_matchmaker::open_record;
use nearframe_protocol::{Currency, Money, PublicKey};
use std::fs;
use std::path::Path;

/// Runs a `ledger` command.
pub(crate) async fn ledger(general: &General, command: &LedgerCommand) -> Result<()> {
    match command {
        LedgerCommand::Verify { record } => verify_ledger(general, record).await,
    }
}

async fn verify_ledger(general: &General, record: &Record) -> Result<()> {
    let folder = matchmaker_folder(general)?;
    let store = open_record(record.database_url.as_deref(), &folder).await?;
    let read = async {
        Ok::<_, AuditError>((audit_ledger(store.as_ref(), &folder).await?, audit(store.as_ref()).await?))
    };
    let read = read.await;
    store.close().await;
    let (ledger, audited) = read?;
    say::line(&format!(
        "{} leases, {} receipts, {} transfers: every signature, chain, bill and sum is right",
        audited.leases, audited.receipts, audited.transfers
    ));
    say::line(&format!("audit trail: {} lines: every hash follows the one before", audited.deeds));
    if let Some((blocks, records)) = ledger {
        say::line(&format!(
            "general ledger: {blocks} blocks, {records} records: every hash, key and balance is right"
        ));
    }
    for (currency, (hosts, platform)) in &audited.earned {
        let (hosts, platform) = (amount(*hosts, currency), amount(*platform, currency));
        say::line(&format!("earned: hosts {hosts}, platform {platform}"));
    }
    Ok(())
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
