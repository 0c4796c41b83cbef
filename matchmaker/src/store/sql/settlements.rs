//! What hosts have earned until the end of a day.

use super::rows::{blob, currency, int, signature, signed, text};
use super::{Connection, DbRow, SqlStore, StoreError};
use nearframe_ledger::Account;
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::settlement::{Epoch, SignedRoot, Totals};
use nearframe_protocol::NodeId;
use sqlx::query;

/// Everything posted to hosts before a moment. Of hosts that are named, by their leases, so that others are not read.
pub(super) async fn totals(
    store: &SqlStore,
    before_ms: u64,
    among: Option<&[NodeId]>,
) -> Result<Totals, StoreError> {
    let from = match among {
        None => "transfers t WHERE".to_owned(),
        Some([]) => return Ok(Totals::new()),
        Some(nodes) => {
            let places: Vec<String> = (2..nodes.len() + 2).map(|at| format!("${at}")).collect();
            let nodes = places.join(", ");
            format!("leases l JOIN transfers t ON t.lease_id = l.id WHERE l.node_id IN ({nodes}) AND")
        }
    };
    let sql = format!(
        "SELECT t.credit, t.currency, CAST(sum(t.amount_micros) AS BIGINT) AS earned FROM {from} t.kind = 'post'
            AND t.credit LIKE 'host:%' AND t.at_ms < $1 GROUP BY t.credit, t.currency"
    );
    let mut asked = query(&sql).bind(signed(before_ms));
    for node in among.into_iter().flatten() {
        asked = asked.bind(node.as_bytes().to_vec());
    }
    let rows = asked.fetch_all(&store.readers).await?;
    rows.iter()
        .map(|row| match text(row, "credit")?.parse() {
            Ok(Account::Host(host)) => Ok(((host, currency(row)?), int::<i64>(row, "earned")?.into())),
            _ => Err(StoreError::Corrupt("credit")),
        })
        .collect()
}

/// Keeps a root; the first of an epoch stays. True if this is it.
pub(super) async fn add(tx: &mut Connection, root: &SignedRoot) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO settlements (epoch, leaves, root, previous_root, signature) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (epoch) DO NOTHING",
    )
    .bind(i64::from(root.epoch.0))
    .bind(signed(root.leaves))
    .bind(&root.root.0[..])
    .bind(&root.previous.0[..])
    .bind(&root.signature.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The root of the last epoch that was settled.
pub(super) async fn last(store: &SqlStore) -> Result<Option<SignedRoot>, StoreError> {
    let row = query(
        "SELECT epoch, leaves, root, previous_root, signature FROM settlements ORDER BY epoch DESC LIMIT 1",
    )
    .fetch_optional(&store.readers)
    .await?;
    row.as_ref().map(root).transpose()
}

fn root(row: &DbRow) -> Result<SignedRoot, StoreError> {
    Ok(SignedRoot {
        epoch: Epoch(int(row, "epoch")?),
        leaves: int(row, "leaves")?,
        root: Hash32(blob(row, "root")?),
        previous: Hash32(blob(row, "previous_root")?),
        signature: signature(row, "signature")?.ok_or(StoreError::Corrupt("signature"))?,
    })
}
