//! What bills rest on, lease by lease.

use super::receipts::{account_and_terms, stored, transfers_of};
use super::rows::{basis, blob};
use super::{DbRow, SqlStore, StoreError, Subject, lock};
use nearframe_ledger::bill::{Counted, Evidence};
use nearframe_protocol::{AccountId, LeaseId, SessionId, TitleId};
use sqlx::query;

/// Whether an account pays for a lease: its key asked, or a guest did, for a title that is the account's now.
macro_rules! paid_by {
    ($parameter:literal) => {
        concat!(
            "($",
            $parameter,
            " IS NULL OR l.account_id = $",
            $parameter,
            " OR (l.account_id IS NULL AND EXISTS (SELECT 1
               FROM owners o WHERE o.kind = 'title' AND o.subject = s.title AND o.account_id = $",
            $parameter,
            ")))"
        )
    };
}
pub(super) const PAID_BY_5: &str = paid_by!("5");
const PAID_BY_4: &str = paid_by!("4");

/// At most `limit` leases after `after`, by id; of one title and of what one account pays for, where they are named.
pub(super) async fn page(
    store: &SqlStore,
    account: Option<AccountId>,
    title: Option<&TitleId>,
    after: Option<LeaseId>,
    limit: u32,
) -> Result<Vec<Evidence>, StoreError> {
    let leases = query(&format!(
        "SELECT l.id AS lease_id, l.session_id FROM leases l JOIN sessions s ON s.id = l.session_id
          WHERE ($1 IS NULL OR l.id > $1) AND ($2 IS NULL OR s.title = $2) AND {PAID_BY_4}
          ORDER BY l.id LIMIT $3"
    ))
    .bind(after.map(|id| id.as_bytes().to_vec()))
    .bind(title.map(TitleId::as_str))
    .bind(i64::from(limit))
    .bind(account.map(|account| account.as_bytes().to_vec()))
    .fetch_all(&store.readers)
    .await?;
    let mut page = Vec::with_capacity(leases.len());
    for row in &leases {
        page.push(one(store, row).await?);
    }
    Ok(page)
}

/// All leases of a session, by generation.
pub(super) async fn of_session(store: &SqlStore, session: SessionId) -> Result<Vec<Evidence>, StoreError> {
    let leases =
        query("SELECT id AS lease_id, session_id FROM leases WHERE session_id = $1 ORDER BY generation")
            .bind(&session.as_bytes()[..])
            .fetch_all(&store.readers)
            .await?;
    let mut bills = Vec::with_capacity(leases.len());
    for row in &leases {
        bills.push(one(store, row).await?);
    }
    Ok(bills)
}

/// One lease, as it stood at one moment: no receipt is counted between the reads.
async fn one(store: &SqlStore, row: &DbRow) -> Result<Evidence, StoreError> {
    let lease = LeaseId::from_bytes(blob(row, "lease_id")?);
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Session(SessionId::from_bytes(blob(row, "session_id")?))).await?;
    let head = query(
        "SELECT l.id AS lease_id, l.session_id, l.generation, l.node_id, l.price_micros_per_hour, l.fee_permille,
                l.currency, l.account_id, l.started_at_ms, l.ended_at_ms, l.rate_card, l.work, l.rate_region, l.gpu_tier,
                s.title, s.player_key, n.public_key
           FROM leases l JOIN sessions s ON s.id = l.session_id JOIN nodes n ON n.id = l.node_id WHERE l.id = $1",
    )
    .bind(&lease.as_bytes()[..])
    .fetch_one(&mut *tx)
    .await?;
    let (account, terms) = account_and_terms(&head)?;
    let receipts = query(
        "SELECT canonical, node_signature, player_signature, countersigned, received_at_ms FROM receipts
          WHERE session_id = $1 AND generation = $2 ORDER BY sequence",
    )
    .bind(&terms.session.as_bytes()[..])
    .bind(i64::from(terms.generation.0))
    .fetch_all(&mut *tx)
    .await?;
    let counted = |row| {
        let stored = stored(row)?;
        let (received_at_ms, countersigned) = (stored.received_at_ms, stored.countersigned);
        Ok(Counted { signed: stored.signed, received_at_ms, countersigned })
    };
    let receipts = receipts.iter().map(counted).collect::<Result<_, StoreError>>()?;
    let transfers = transfers_of(&mut tx, lease).await?;
    Ok(Evidence { terms, account, basis: basis(&head)?, receipts, transfers })
}
