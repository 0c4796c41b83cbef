//! What hosts earned, and the proof of it.
#![allow(unused_qualifications, reason = "the macro that describes a query names its type by its path")]

use super::problem::{Code, Path, Problem, Query};
use super::role::Caller;
use super::usage::names;
use super::who::Books;
use crate::settlement;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::accounts::Holding;
use crate::store::aside::AsideRow;
use axum::Extension;
use axum::extract::State;
use nearframe_ledger::settlement::{Epoch, Totals};
use nearframe_protocol::api::{self, Earnings, LedgerHead, Page, RefusedEntry, SettledRoot};
use nearframe_protocol::bill::{EarningsOverview, NodeEarned};
use nearframe_protocol::{AccountId, Money, NodeId};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

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
    let ledger = shared.general.ledger();
    let ledger =
        ledger.ok_or_else(|| Problem::new(Code::NotFound, "This server has no general ledger open."))?;
    let head = ledger.head();
    Ok(axum::Json(LedgerHead {
        blocks: head.blocks,
        records: head.records,
        at_ms: head.at_ms,
        hash: head.hash.to_string(),
        signature: head.signature,
        ledger_key: shared.ledger_key.public(),
    }))
}

/// At most so many are shown; the rest comes up as those are taken.
const MOST_REFUSED: u32 = 200;

/// What the general ledger refuses of the record, the oldest first. Such an entry is set aside with the reason, is tried again
/// whenever the ledger is written, and leaves this list once it is taken; meanwhile nothing waits for it.
#[utoipa::path(get, path = "/v1/ledger/refused", tag = "money", operation_id = "ledger_refused",
    security(("operator" = [])), responses(
    (status = 200, description = "At most 200 of them", body = Page<RefusedEntry>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn refused(
    State(shared): State<Arc<Shared>>,
) -> Result<axum::Json<Page<RefusedEntry>>, Problem> {
    let shown = |row: AsideRow| RefusedEntry {
        journal: row.feed.as_str().to_owned(),
        key: row.key,
        from: row.debit.to_string(),
        to: row.credit.to_string(),
        amount: Money { amount_micros: row.amount_micros, currency: row.currency },
        reason: row.reason,
        at_ms: row.at_ms,
    };
    let items = shared.store.asides(MOST_REFUSED).await?.into_iter().map(shown).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Whose earnings.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Of {
    /// Of this node alone.
    node: Option<NodeId>,
}

/// The nodes of an account.
pub(super) async fn machines(shared: &Shared, account: AccountId) -> Result<Vec<NodeId>, StoreError> {
    let held = shared.store.holdings(account).await?;
    Ok(held
        .into_iter()
        .filter_map(|holding| if let Holding::Node(node) = holding { Some(node) } else { None })
        .collect())
}

/// Which nodes the caller may ask for, of those that are asked for; `None`: all of them.
async fn allowed(
    shared: &Shared,
    caller: &Caller,
    node: Option<NodeId>,
) -> Result<Option<Vec<NodeId>>, Problem> {
    let Books::Of(account) = caller.who.books()? else { return Ok(node.map(|node| vec![node])) };
    let own = machines(shared, account).await?;
    match node {
        None => Ok(Some(own)),
        Some(node) if own.contains(&node) => Ok(Some(vec![node])),
        Some(_) => Err(Problem::new(Code::NotYours, "This machine belongs to another account.")),
    }
}

/// Everything that was posted to hosts, less what they paid back; of some nodes where they are named.
async fn net(shared: &Shared, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
    let mut totals = shared.store.host_totals(u64::MAX, among).await?;
    for (place, corrected_micros) in shared.store.corrected(among).await? {
        *totals.entry(place).or_default() -= corrected_micros;
    }
    Ok(totals)
}

/// What nodes have earned, what of it is settled, and what is held, until when and why. Proofs of what is settled are in
/// `GET /v1/nodes/{id}/earnings`. Members of an account see its machines alone.
#[utoipa::path(get, path = "/v1/earnings", tag = "money", operation_id = "earnings", params(Of),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "As of now", body = EarningsOverview),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn overview(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(Of { node }): Query<Of>,
) -> Result<axum::Json<EarningsOverview>, Problem> {
    let now_ms = shared.now_ms();
    let among = allowed(&shared, &caller, node).await?;
    // What is settled is read first: what comes in meanwhile is earned and held.
    let settled_until = shared.store.last_settlement().await?.map(|last| last.epoch);
    let settled = match settled_until {
        Some(epoch) => settlement::until(&shared, epoch, among.as_deref()).await?.totals,
        None => Totals::new(),
    };
    let held = settlement::held(&shared, settled_until, among.clone(), now_ms).await?;
    let withheld = settlement::withheld(&shared, among.as_deref(), now_ms).await?;
    let mut earned = net(&shared, among.as_deref()).await?;
    // A machine may have a stake to be paid and have earned nothing.
    let deducted = shared.store.deducted(among.as_deref()).await?;
    for place in deducted.keys() {
        earned.entry(place.clone()).or_default();
    }
    let known = names(&shared, earned.keys().map(|(host, _)| *host)).await?;
    let mut paid = Totals::new();
    for (host, currency, _, micros) in shared.store.paid(among.as_deref()).await? {
        *paid.entry((host, currency)).or_default() += micros;
    }
    let nodes = earned.into_iter().map(|(place, amount_micros)| {
        let (name, region) = known.get(&place.0).cloned().unwrap_or_default();
        let money = |amount_micros| Money { amount_micros, currency: place.1.clone() };
        let settled = money(settled.get(&place).copied().unwrap_or(0));
        let paid = money(paid.get(&place).copied().unwrap_or(0));
        let deducted = money(deducted.get(&place).copied().unwrap_or(0));
        NodeEarned { node: place.0, name, region, earned: money(amount_micros), settled, paid, deducted }
    });
    Ok(axum::Json(EarningsOverview {
        nodes: nodes.collect(),
        held,
        withheld,
        settled_until_ms: settled_until.map(Epoch::ends_at_ms),
        now_ms,
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
    let totals = net(&shared, Some(&[node])).await?;
    let earned =
        totals.into_iter().map(|((_, currency), amount_micros)| Money { amount_micros, currency }).collect();
    let proofs = settlement::proofs(&shared, node).await?;
    let settled = proofs.iter().map(|proof| proof.earned.clone()).collect();
    let settled_until_ms = proofs.first().map(|proof| Epoch(proof.epoch).ends_at_ms());
    let shown = proofs.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    let proofs =
        shown.map_err(|error| Problem::new(Code::Internal, format!("A proof is no JSON: {error}.")))?;
    let ledger_key = shared.ledger_key.public();
    Ok(axum::Json(Earnings { node, earned, settled, settled_until_ms, ledger_key, proofs }))
}
