//! Usage: what was used and what it cost, in sums.
#![allow(unused_qualifications, reason = "the macro that describes a query names its type by its path")]

use super::earnings;
use super::paging::{self, Cursor, page};
use super::problem::{Code, Path, Problem, Query};
use super::role::Caller;
use super::statements::month_of;
use super::who::Books;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::billing::{LeaseUsageRow, UsageBy, UsageKey, UsageOf, UsageRow, UsageSums};
use axum::Extension;
use axum::extract::State;
use nearframe_ledger::Tariff;
use nearframe_protocol::api::{self, Page, Usage};
use nearframe_protocol::bill::{
    BillTerms, NodeUsage, SessionUsage, Sums, TitleUsage, UsageSeries, UsageStep, WorkUsage,
};
use nearframe_protocol::prices::{Basis, Work};
use nearframe_protocol::{AccountId, Currency, LeaseId, Money, NodeId, TitleId};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use utoipa::IntoParams;

/// Steps of a series: a month of quarters of an hour.
const MAX_STEPS: u64 = 31 * 24 * 4;
/// Shortest step, in seconds.
const MIN_STEP_S: u32 = 60;

/// Which receipts: those that came in then, of everything or of one title or node.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Span {
    /// From then on, Unix ms.
    from_ms: u64,
    /// Until then, Unix ms, which is not in it.
    to_ms: u64,
    /// Of this title alone.
    title: Option<TitleId>,
    /// Of this node alone.
    node: Option<NodeId>,
    /// Of what the account's machines earned, in place of what it pays for. Operators see everything either way.
    #[serde(default)]
    earned: bool,
}

impl Span {
    /// Of what the caller may see.
    async fn of(self, shared: &Shared, caller: &Caller) -> Result<UsageOf, Problem> {
        if self.from_ms >= self.to_ms {
            return Err(Problem::new(Code::BadRequest, "from_ms has to be before to_ms."));
        }
        let range = self.from_ms..self.to_ms;
        let of = UsageOf { title: self.title, node: self.node, ..UsageOf::all(range) };
        Ok(match account(caller)? {
            None => of,
            Some(account) if self.earned => {
                UsageOf { among: Some(earnings::machines(shared, account).await?), ..of }
            }
            Some(account) => UsageOf { account: Some(account), ..of },
        })
    }
}

/// Into how long steps a time is cut.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Step {
    /// In seconds, at least 60; at most 2976 steps are given at once.
    step_s: u32,
}

/// What was used in a month in UTC, such as `2026-11`, and what it cost, by title. The lines behind a sum are in
/// `GET /v1/statements/{title}/{month}`. Of what an account pays for, where a member or a key of it asks: sessions of its
/// keys, and guests on its titles.
#[utoipa::path(get, path = "/v1/usage/{month}", tag = "money", operation_id = "usage",
    params(("month" = String, Path, description = "Year and month, such as 2026-11")),
    security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "By title and currency", body = Page<Usage>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(month): Path<String>,
) -> Result<axum::Json<Page<Usage>>, Problem> {
    let range = month_of(&month)
        .ok_or_else(|| Problem::new(Code::BadRequest, "A month is a year and a month, such as 2026-11."))?;
    let of = UsageOf { account: account(&caller)?, ..UsageOf::all(range) };
    let rows = shared.store.usage(&of, UsageBy::Title).await?;
    let usage = |row: UsageRow| {
        let UsageKey::Title(title) = row.key else { return Err(StoreError::Corrupt("title")) };
        let sums = sums(&row.sums, &row.currency);
        Ok(Usage {
            title,
            leases: sums.leases,
            receipts: sums.receipts,
            used_s: sums.used_us as f64 / 1e6,
            hosts: sums.hosts,
            platform: sums.platform,
            total: sums.total,
        })
    };
    let items = rows.into_iter().map(usage).collect::<Result<_, _>>()?;
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// What was used in a time, and what it cost, by title.
#[utoipa::path(get, path = "/v1/usage/titles", tag = "money", operation_id = "usage_by_title",
    params(Span), security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "By title and currency", body = Page<TitleUsage>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn titles(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(span): Query<Span>,
) -> Result<axum::Json<Page<TitleUsage>>, Problem> {
    let rows = shared.store.usage(&span.of(&shared, &caller).await?, UsageBy::Title).await?;
    let usage = |row: UsageRow| match row.key {
        UsageKey::Title(title) => Some(TitleUsage { title, sums: sums(&row.sums, &row.currency) }),
        _ => None,
    };
    Ok(axum::Json(Page { items: rows.into_iter().filter_map(usage).collect(), next_cursor: None }))
}

/// What was used in a time, and what it earned, by node.
#[utoipa::path(get, path = "/v1/usage/nodes", tag = "money", operation_id = "usage_by_node",
    params(Span), security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "By node and currency", body = Page<NodeUsage>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn nodes(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(span): Query<Span>,
) -> Result<axum::Json<Page<NodeUsage>>, Problem> {
    let rows = shared.store.usage(&span.of(&shared, &caller).await?, UsageBy::Node).await?;
    let asked =
        rows.iter().filter_map(|row| if let UsageKey::Node(node) = row.key { Some(node) } else { None });
    let known = names(&shared, asked).await?;
    let usage = |row: UsageRow| match row.key {
        UsageKey::Node(node) => {
            let (name, region) = known.get(&node).cloned().unwrap_or_default();
            Some(NodeUsage { node, name, region, sums: sums(&row.sums, &row.currency) })
        }
        _ => None,
    };
    Ok(axum::Json(Page { items: rows.into_iter().filter_map(usage).collect(), next_cursor: None }))
}

/// What was used in a time, and what it cost or earned, by kind of work: play, what may be interrupted, and standing by.
/// Sessions from before there were rate cards are not in it.
#[utoipa::path(get, path = "/v1/usage/work", tag = "money", operation_id = "usage_by_work",
    params(Span), security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "By kind of work and currency", body = Page<WorkUsage>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn work(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(span): Query<Span>,
) -> Result<axum::Json<Page<WorkUsage>>, Problem> {
    let rows = shared.store.usage(&span.of(&shared, &caller).await?, UsageBy::Rate).await?;
    let mut kinds: BTreeMap<(Work, Currency), UsageSums> = BTreeMap::new();
    for row in rows {
        if let UsageKey::Rate { work, .. } = row.key {
            let of = kinds.entry((work, row.currency)).or_default();
            of.leases += row.sums.leases;
            of.receipts += row.sums.receipts;
            of.billed_us += row.sums.billed_us;
            of.host_micros += row.sums.host_micros;
            of.platform_micros += row.sums.platform_micros;
        }
    }
    let usage = |((work, currency), of): ((Work, Currency), UsageSums)| WorkUsage {
        work,
        sums: sums(&of, &currency),
    };
    Ok(axum::Json(Page { items: kinds.into_iter().map(usage).collect(), next_cursor: None }))
}

/// What was used in a time, step by step from its beginning on: whoever shows days or hours of another zone begins
/// there. The steps come to the same sums as any other way to cut the time.
#[utoipa::path(get, path = "/v1/usage/series", tag = "money", operation_id = "usage_series",
    params(Span, Step), security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "Steps in which something came in, by time and currency", body = UsageSeries),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn series(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(span): Query<Span>,
    Query(Step { step_s }): Query<Step>,
) -> Result<axum::Json<UsageSeries>, Problem> {
    let of = span.of(&shared, &caller).await?;
    let step_ms = u64::from(step_s) * 1000;
    if step_s < MIN_STEP_S || (of.range.end - of.range.start).div_ceil(step_ms) > MAX_STEPS {
        let detail =
            "step_s is at least 60, and the time has at most 2976 steps. Ask for longer steps or less time.";
        return Err(Problem::new(Code::BadRequest, detail));
    }
    let rows = shared.store.usage(&of, UsageBy::Step(step_ms)).await?;
    let step = |row: UsageRow| match row.key {
        UsageKey::From(from_ms) => Some(UsageStep { from_ms, sums: sums(&row.sums, &row.currency) }),
        _ => None,
    };
    let items = rows.into_iter().filter_map(step).collect();
    Ok(axum::Json(UsageSeries { from_ms: of.range.start, to_ms: of.range.end, step_s, items }))
}

/// The sessions behind the sums of a time, newest first: what each used and cost then. The receipts behind one are in
/// `GET /v1/sessions/{id}/bill`.
#[utoipa::path(get, path = "/v1/usage/sessions", tag = "money", operation_id = "usage_by_session",
    params(Span, ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "At most 50 rows", body = Page<SessionUsage>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn sessions(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(span): Query<Span>,
    Query(cursor): Query<Cursor>,
) -> Result<axum::Json<Page<SessionUsage>>, Problem> {
    let after: Option<LeaseId> = cursor.read()?;
    let rows = shared.store.lease_usage(&span.of(&shared, &caller).await?, after, paging::ROWS + 1).await?;
    let rows = rows.into_iter().map(session).collect();
    Ok(axum::Json(page(rows, paging::ROWS, |last: &SessionUsage, _| last.lease.to_string())))
}

fn session(row: LeaseUsageRow) -> SessionUsage {
    SessionUsage {
        session: row.session,
        lease: row.lease,
        title: row.title,
        node: row.node,
        node_name: row.node_name,
        state: row.state,
        started_at_ms: row.started_at_ms,
        ended_at_ms: row.ended_at_ms,
        sums: sums(&row.sums, &row.tariff.currency),
        terms: terms(&row.tariff, row.basis.as_ref()),
    }
}

/// The account whose books the caller may read; `None`: all of them.
fn account(caller: &Caller) -> Result<Option<AccountId>, Problem> {
    Ok(match caller.who.books()? {
        Books::All => None,
        Books::Of(account) => Some(account),
    })
}

/// A lease's price in the words of the API.
pub(super) fn terms(tariff: &Tariff, basis: Option<&Basis>) -> BillTerms {
    BillTerms {
        price_per_hour: Money {
            amount_micros: tariff.price_micros_per_hour.into(),
            currency: tariff.currency.clone(),
        },
        fee_permille: tariff.fee_permille,
        basis: basis.cloned(),
    }
}

/// Sums in the words of the API.
pub(super) fn sums(sums: &UsageSums, currency: &Currency) -> Sums {
    let money = |amount_micros| Money { amount_micros, currency: currency.clone() };
    Sums {
        leases: sums.leases,
        receipts: sums.receipts,
        used_us: sums.billed_us,
        hosts: money(sums.host_micros),
        platform: money(sums.platform_micros),
        total: money(sums.host_micros + sums.platform_micros),
    }
}

/// Names and regions of these nodes, where they are enrolled.
pub(super) async fn names(
    shared: &Shared,
    nodes: impl Iterator<Item = NodeId>,
) -> Result<HashMap<NodeId, (String, String)>, StoreError> {
    let asked: Vec<_> = nodes.collect::<BTreeSet<_>>().into_iter().collect();
    let nodes = shared.store.nodes_of(&asked).await?;
    Ok(nodes.into_iter().map(|node| (node.id, (node.name, node.region))).collect())
}
