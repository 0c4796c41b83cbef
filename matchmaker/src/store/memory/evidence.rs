//! What bills rest on, in memory.

use super::State;
use crate::store::StoreError;
use nearframe_ledger::bill::{Counted, Evidence};
use nearframe_protocol::{AccountId, LeaseId, TitleId};

pub(super) fn page(
    state: &State,
    account: Option<AccountId>,
    title: Option<&TitleId>,
    after: Option<LeaseId>,
    limit: u32,
) -> Result<Vec<Evidence>, StoreError> {
    let wanted = |held: &&super::Held| {
        let new = &held.new;
        after.is_none_or(|after| new.lease > after)
            && title.is_none_or(|title| *title == new.title)
            && account.is_none_or(|account| state.who.pays(account, new))
    };
    let mut leases: Vec<_> = state.sessions.values().filter(wanted).collect();
    leases.sort_by_key(|held| held.new.lease);
    let evidence = |held: &super::Held| -> Result<Evidence, StoreError> {
        let lease = state.lease(held)?;
        let receipts = held.receipts.iter().map(|(stored, _)| Counted {
            signed: stored.signed.clone(),
            received_at_ms: stored.received_at_ms,
            countersigned: stored.countersigned,
        });
        let transfers = state.journal.iter().filter(|transfer| transfer.lease == held.new.lease);
        let (receipts, transfers) = (receipts.collect(), transfers.cloned().collect());
        let basis = held.new.basis.clone();
        Ok(Evidence { terms: lease.terms, account: lease.account, basis, receipts, transfers })
    };
    leases.into_iter().take(limit as usize).map(evidence).collect()
}
