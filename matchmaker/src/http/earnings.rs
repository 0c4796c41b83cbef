//! What hosts earned, and the proof of it.

use super::problem::{Code, Path, Problem};
use crate::state::Shared;
use crate::{general, settlement};
use axum::extract::State;
use nearframe_ledger::settlement::Epoch;
use nearframe_protocol::api::{self, Earnings, LedgerHead, SettledRoot};
use nearframe_protocol::{Money, NodeId};
use std::sync::Arc;

/// The last signed root over what hosts have earned, and the key it is signed with. Whoever keeps it can prove later
/// that another was shown to somebody else.
#[utoipa::path(get, path = "/v1/settlement", tag = "money", operation_id = "settlement", responses(
    (status = 200, description = "Of the last day whose dispute window is over", body = SettledRoot),
    (status = "default", description = "Any error, such as `not_found` before the first day is settled",
     body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn root(State(shared): State<Arc<Shared>>) -> Result<axum::Json<SettledRoot>, Problem> {
    let last = shared.store.last_settlement().await?;
    let last = last.ok_or_else(|| {
        Problem::new(Code::NotFound, "No day is settled yet: that is three days after its end.")
    })?;
    Ok(axum::Json(SettledRoot {
        epoch: last.epoch.0,
        date: last.epoch.to_string(),
        leaves: last.leaves,
        root: last.root.to_string(),
        previous_root: last.previous.to_string(),
        signature: last.signature,
        ledger_key: shared.ledger_key.public(),
    }))
}

/// How far the general ledger goes, signed: whoever keeps it can prove later that something was removed or changed.
#[utoipa::path(get, path = "/v1/ledger/head", tag = "money", operation_id = "ledger_head", responses(
    (status = 200, description = "As of now", body = LedgerHead),
    (status = "default", description = "Any error, such as `not_found` where this server keeps none",
     body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn head(State(shared): State<Arc<Shared>>) -> Result<axum::Json<LedgerHead>, Problem> {
    let general = shared.general.ledger().ok_or_else(|| {
        Problem::new(
            Code::NotFound,
            "This server keeps its record in a shared database and no ledger of its own.",
        )
    })?;
    let head = general::lock(general).head();
    Ok(axum::Json(LedgerHead {
        blocks: head.blocks,
        records: head.records,
        at_ms: head.at_ms,
        hash: head.hash.to_string(),
        signature: head.signature,
        ledger_key: shared.ledger_key.public(),
    }))
}

/// What a node has earned: everything so far, what of it is settled, and for each currency the proof of that, which
/// `nearframe payout verify` checks without the network.
#[utoipa::path(get, path = "/v1/nodes/{id}/earnings", tag = "money", operation_id = "node_earnings",
    params(("id" = NodeId, Path, description = "Node id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "By currency", body = Earnings),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn of_node(
    State(shared): State<Arc<Shared>>,
    Path(node): Path<NodeId>,
) -> Result<axum::Json<Earnings>, Problem> {
    let totals = shared.store.host_totals(u64::MAX).await?;
    let earned = totals.into_iter().filter(|((host, _), _)| *host == node);
    let earned = earned.map(|((_, currency), amount_micros)| Money { amount_micros, currency }).collect();
    let proofs = settlement::proofs(&shared, node).await?;
    let settled = proofs.iter().map(|proof| proof.earned.clone()).collect();
    let settled_until_ms = proofs.first().map(|proof| Epoch(proof.epoch).ends_at_ms());
    let shown = proofs.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    let proofs =
        shown.map_err(|error| Problem::new(Code::Internal, format!("A proof is no JSON: {error}.")))?;
    let ledger_key = shared.ledger_key.public();
    Ok(axum::Json(Earnings { node, earned, settled, settled_until_ms, ledger_key, proofs }))
}
