//! Whose a stake is that was taken: first of those who paid for the sessions that show it, the rest the platform's.

use crate::general::slashed;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::stake::{CreditKind, CreditRow, NewCredit};
use nearframe_ledger::{Account, Kind};
use nearframe_protocol::{CaseId, Currency, LeaseId, SessionId};
use nearframe_trust::stake::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What somebody paid for a lease and was neither paid back nor credited, in micro-units.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Borne {
    payer: Account,
    micros: i128,
}

/// Splits what was taken: each lease in the order of its id gets at most what its payer bears. The rest comes last.
fn split(taken_micros: i128, borne: &BTreeMap<LeaseId, Borne>) -> (Vec<(LeaseId, Account, i128)>, i128) {
    let mut rest = taken_micros;
    let mut parts = vec![];
    for (lease, Borne { payer, micros }) in borne {
        let part = rest.min(*micros);
        if part > 0 {
            parts.push((*lease, payer.clone(), part));
            rest -= part;
        }
    }
    (parts, rest)
}

/// What is credited out of a part of a stake that is taken for a case.
pub(super) async fn credits(
    shared: &Shared,
    case: CaseId,
    currency: &Currency,
    entry: &Entry,
) -> Result<Vec<NewCredit>, StoreError> {
    let row = shared.store.case(case).await?.ok_or(StoreError::Corrupt("case_id"))?;
    let sessions: BTreeSet<SessionId> =
        row.body.exhibits.iter().filter_map(|exhibit| exhibit.session).collect();
    let mut borne = BTreeMap::new();
    for session in sessions {
        let corrections = shared.store.corrections_of(session).await?;
        let credited = shared.store.credits_of_session(session).await?;
        for evidence in shared.store.evidence_of(session).await? {
            let account = &evidence.account;
            let posted = evidence.transfers.iter().filter(|transfer| transfer.kind == Kind::Post);
            let payer = account.debtor();
            let back = corrections.iter().map(|row| &row.transfer);
            let back = back.filter(|entry| entry.lease == account.lease && entry.credit == payer);
            let credited = credited.iter().filter(|credit| credit.lease == account.lease);
            let micros = posted.map(|transfer| transfer.amount_micros).sum::<i128>()
                - back.map(|entry| entry.amount_micros).sum::<i128>()
                - credited.map(|credit| credit.row.amount_micros).sum::<i128>();
            if account.tariff.currency == *currency {
                borne.insert(account.lease, Borne { payer, micros });
            }
        }
    }
    let (parts, rest) = split(entry.amount_micros, &borne);
    let credit = |credit: Account, amount_micros: i128, step: String| CreditRow {
        seq: 0,
        kind: CreditKind::Slash,
        about: case.to_string(),
        debit: slashed(),
        credit,
        amount_micros,
        currency: currency.clone(),
        key: format!("slash:{case}:{step}"),
        at_ms: entry.at_ms,
    };
    let of_lease = |(lease, payer, part): (LeaseId, Account, i128)| NewCredit {
        row: credit(payer, part, lease.to_string()),
        shares: vec![(lease, part)],
    };
    let mut rows: Vec<NewCredit> = parts.into_iter().map(of_lease).collect();
    if rest > 0 {
        let row = credit(Account::Platform, rest, "rest".to_owned());
        rows.push(NewCredit { row, shares: vec![] });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::AccountId;

    #[test]
    fn whoever_paid_comes_first_and_gets_no_more_than_that() {
        let payer = |n| Account::Customer(AccountId::from_bytes([n; 16]));
        let lease = |n| LeaseId::from_bytes([n; 16]);
        let borne: BTreeMap<_, _> = [(1, 30), (2, 0), (3, 50)]
            .into_iter()
            .map(|(n, micros)| (lease(n), Borne { payer: payer(n), micros }))
            .collect();
        let all = vec![(lease(1), payer(1), 30), (lease(3), payer(3), 50)];
        assert_eq!(split(100, &borne), (all, 20));
        assert_eq!(split(40, &borne), (vec![(lease(1), payer(1), 30), (lease(3), payer(3), 10)], 0));
        assert_eq!(split(0, &borne), (vec![], 0));
    }
}
