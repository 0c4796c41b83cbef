//! What is due to whom, and by which rail.

use super::destination::{Destination, Rail};
use super::state::Payout;
use crate::LedgerError;
use crate::hash::Hash32;
use crate::settlement::{Epoch, Totals};
use nearframe_protocol::{Currency, NodeId};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a host was paid or is being paid, by rail, in micro-units.
pub type PaidSoFar = BTreeMap<(NodeId, Currency, Rail), i128>;

/// Why a manifest cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More was paid than was ever settled.
    #[error("host {host} was paid more {currency} than it has settled; an operator has to look at it")]
    Overpaid {
        /// The host.
        host: NodeId,
        /// The currency.
        currency: Currency,
    },
    /// A sum does not fit.
    #[error(transparent)]
    Amount(#[from] LedgerError),
}

/// What is asked of a manifest.
#[derive(Clone, Debug)]
pub struct Due<'a> {
    /// The settled epoch.
    pub epoch: Epoch,
    /// Its root.
    pub root: Hash32,
    /// What hosts may have.
    pub totals: &'a Totals,
    /// What they have, or have under way.
    pub paid: &'a PaidSoFar,
    /// What of it went elsewhere, such as into a stake; below zero where more came back than went.
    pub deducted: &'a Totals,
    /// What waits on the account, however much is due.
    pub retained: &'a Totals,
    /// Where they want it. Who is not named is not paid; the amount stays.
    pub destinations: &'a BTreeMap<(NodeId, Currency), Destination>,
    /// How many payouts of this epoch failed before.
    pub attempts: &'a BTreeMap<(NodeId, Currency), u32>,
    /// Less than this, in micro-units, waits for the next epoch.
    pub least_micros: i128,
}

/// All payouts of one settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The settled epoch.
    pub epoch: Epoch,
    /// Its root.
    pub root: Hash32,
    /// By host and currency.
    pub payouts: Vec<Payout>,
}

/// Decimal places of a currency's smallest coin (ISO 4217); of tokens and everything else two, which a micro-unit
/// always holds.
pub fn minor_decimals(currency: &Currency) -> u32 {
    match currency.as_str() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// What a rail can move, in micro-units.
fn unit_micros(rail: Rail, currency: &Currency) -> i128 {
    match rail {
        Rail::Bank => 10_i128.pow(6 - minor_decimals(currency)),
        // Tokens with fewer decimals than a micro-unit has are rounded down where the claim is made.
        Rail::Evm => 1,
    }
}

impl Manifest {
    /// What is due: everything settled less everything paid or deducted, and what is retained, in whole coins; the
    /// remainder stays on the account.
    pub fn of(due: &Due<'_>) -> Result<Self, ManifestError> {
        let mut payouts = vec![];
        for ((host, currency), earned_micros) in due.totals {
            let paid = |rail| due.paid.get(&(*host, currency.clone(), rail)).copied().unwrap_or(0);
            let all = paid(Rail::Bank).checked_add(paid(Rail::Evm)).ok_or(LedgerError::Overflow)?;
            let place = (*host, currency.clone());
            let of = |totals: &Totals| totals.get(&place).copied().unwrap_or(0);
            let open_micros = earned_micros.checked_sub(all).ok_or(LedgerError::Overflow)?;
            let open_micros = open_micros.checked_sub(of(due.deducted)).ok_or(LedgerError::Overflow)?;
            if open_micros < 0 {
                return Err(ManifestError::Overpaid { host: *host, currency: currency.clone() });
            }
            let open_micros = open_micros.saturating_sub(of(due.retained)).max(0);
            let Some(destination) = due.destinations.get(&place) else { continue };
            let rail = destination.rail();
            let amount_micros = open_micros - open_micros % unit_micros(rail, currency);
            if amount_micros == 0 || amount_micros < due.least_micros {
                continue;
            }
            payouts.push(Payout {
                epoch: due.epoch,
                root: due.root,
                attempt: due.attempts.get(&place).copied().unwrap_or(0),
                host: *host,
                currency: currency.clone(),
                amount_micros,
                destination: destination.clone(),
            });
        }
        Ok(Self { epoch: due.epoch, root: due.root, payouts })
    }

    /// The payouts of one rail.
    pub fn by(&self, rail: Rail) -> impl Iterator<Item = &Payout> {
        self.payouts.iter().filter(move |payout| payout.destination.rail() == rail)
    }

    /// Names what this manifest says: SHA-256 over the epoch (u32), the root and, for each payout in order, its id
    /// (16), its amount (i128) and its destination as text after its length (u32), all little-endian.
    pub fn digest(&self) -> Hash32 {
        let mut hash = Sha256::new_with_prefix(self.epoch.0.to_le_bytes()).chain_update(self.root.0);
        for payout in &self.payouts {
            let destination = match &payout.destination {
                Destination::Bank { name, iban, bic: Some(bic) } => format!("bank {iban} {bic} {name}"),
                Destination::Bank { name, iban, bic: None } => format!("bank {iban} {name}"),
                Destination::Evm { address } => format!("evm {address}"),
            };
            hash.update(payout.id().as_bytes());
            hash.update(payout.amount_micros.to_le_bytes());
            hash.update((destination.len() as u32).to_le_bytes());
            hash.update(destination.as_bytes());
        }
        Hash32(hash.finalize().into())
    }
}
