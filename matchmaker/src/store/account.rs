//! The bookkeeping of one lease, the same for every store: read the state, count, write the result.

use super::{StoreError, Taken};
use nearframe_ledger::{
    Bill, Chain, Imbalance, LeaseAccount, Meter, Reservation, Terms, Transfer, Verdict, verify,
};
use nearframe_protocol::receipt::{ReceiptHash, SignedReceipt};
use nearframe_trust::seen::RefusedSeen;

/// Reads a lease's journal again before its account is closed: every rule of [`verify`] holds, and
/// nothing is set aside any more.
pub(super) fn audit(journal: &[Transfer]) -> Result<(), StoreError> {
    let balances = verify(journal)?;
    match journal.first().filter(|_| balances.values().any(|balance| balance.pending_micros != 0)) {
        Some(transfer) => Err(Imbalance::Unreleased(transfer.lease).into()),
        None => Ok(()),
    }
}

/// A lease with everything its receipts add up to.
#[derive(Debug, Clone)]
pub(super) struct LeaseState {
    pub(super) terms: Terms,
    pub(super) account: LeaseAccount,
    pub(super) chain: Chain,
    pub(super) meter: Meter,
    pub(super) reservation: Reservation,
}

/// What a counted receipt writes.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) countersigned: bool,
    pub(super) bill: Bill,
    pub(super) transfers: Vec<Transfer>,
}

impl LeaseState {
    /// Judges a receipt; `Ok(Err(_))` is an outcome that writes nothing.
    pub(super) fn count(
        &self,
        signed: &SignedReceipt,
        known: Option<ReceiptHash>,
        now_ms: u64,
    ) -> Result<Result<Entry, Taken>, StoreError> {
        let link = match self.chain.judge(&self.terms, signed, known, now_ms) {
            Ok(Verdict::Next(link)) => link,
            Ok(Verdict::Duplicate) => return Ok(Err(Taken::Duplicate)),
            Err(refusal) => {
                let message = refusal.to_string();
                return Ok(Err(match RefusedSeen::of(&refusal) {
                    Some(seen) => Taken::Caught(message, seen),
                    None => Taken::Refused(message),
                }));
            }
        };
        let mut meter = self.meter;
        let receipt = &signed.receipt;
        let bill = meter.bill(&self.account.tariff, receipt.duration_us, link.countersigned)?;
        let ids = std::array::from_fn(|_| crate::random::transfer_id());
        let transfers = self.account.post(&self.reservation, &bill, receipt.sequence, ids)?;
        Ok(Ok(Entry { countersigned: link.countersigned, bill, transfers }))
    }

    /// The transfer that releases what the end of the lease leaves over.
    pub(super) fn at_end(&self, ended_at_ms: u64) -> Result<Option<Transfer>, StoreError> {
        let terms = Terms { ended_at_ms: Some(ended_at_ms), ..self.terms.clone() };
        let claimable_us = terms.claimable_us(ended_at_ms).saturating_sub(self.chain.claimed_us);
        let id = crate::random::transfer_id();
        Ok(self.account.release(&self.reservation, claimable_us, "end", id)?)
    }

    /// The transfer that releases the rest when no receipt can come any more.
    pub(super) fn at_close(&self) -> Result<Option<Transfer>, StoreError> {
        Ok(self.account.release(&self.reservation, 0, "close", crate::random::transfer_id())?)
    }
}
