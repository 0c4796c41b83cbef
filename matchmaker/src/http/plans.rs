//! Plans, and who subscribes to which.
#![allow(unused_qualifications, reason = "the macro that describes a query names its type by its path")]

use super::accounts::known;
use super::problem::{Code, Json, Path, Problem, Query};
use crate::state::Shared;
use crate::store::plans::{ChargeRow, PlanRow, Subscribed, SubscriptionRow};
use axum::extract::State;
use nearframe_ledger::subscription::Plan as Month;
use nearframe_protocol::account::AccountKind;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::plan::{
    Charge, ChargeKind, Charges, MOST_HOURS, Plan, PlanName, SetPlan, Subscribe, Subscription,
};
use nearframe_protocol::{AccountId, Money};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

const HOUR_US: u64 = 3_600_000_000;
/// Charges that one listing gives.
const LISTED: u32 = 1_000;

fn shown(row: PlanRow) -> Plan {
    Plan {
        name: row.name,
        version: row.version,
        since_ms: row.since_ms,
        included_hours: u32::try_from(row.plan.included_us / HOUR_US).unwrap_or(u32::MAX),
        price: Money { amount_micros: row.plan.price_micros, currency: row.currency },
        is_offered: row.is_offered,
    }
}

fn shown_subscription(row: SubscriptionRow) -> Subscription {
    let money = |amount_micros| Money { amount_micros, currency: row.currency.clone() };
    Subscription {
        price: money(row.plan.price_micros),
        fee: money(row.term.fee_micros),
        account: row.account,
        plan: row.name,
        version: row.version,
        from_ms: row.term.from_ms,
        to_ms: row.term.to_ms,
        included_us: row.term.included_us,
        left_us: row.term.left_us(),
        is_cancelled: row.is_cancelled,
    }
}

/// The plans, by name, each in its newest version.
#[utoipa::path(get, path = "/v1/plans", tag = "money", operation_id = "list_plans", responses(
    (status = 200, description = "Also those that are not offered any more", body = Page<Plan>),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<axum::Json<Page<Plan>>, Problem> {
    let items = shared.store.plans().await?.into_iter().map(shown).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Writes the next version of a plan, or its first. Who subscribes already keeps the version that they have until they
/// change. Repeating it without a change writes nothing.
#[utoipa::path(put, path = "/v1/plans/{plan}", tag = "money", operation_id = "set_plan",
    params(("plan" = PlanName, Path, description = "Its name")),
    request_body = SetPlan, security(("operator" = [])), responses(
    (status = 200, description = "The plan as it is now", body = Plan),
    (status = "default", description = "Any error, such as `bad_body`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<PlanName>,
    Json(asked): Json<SetPlan>,
) -> Result<axum::Json<Plan>, Problem> {
    let currency = shared.config.currency.clone();
    let is_price = asked.price.currency == currency
        && i64::try_from(asked.price.amount_micros).is_ok_and(|price| price >= 0);
    if !is_price || !(1..=MOST_HOURS).contains(&asked.included_hours) {
        let detail = format!(
            "included_hours is 1 to {MOST_HOURS}, and price an amount of zero or more in {currency}."
        );
        return Err(Problem::new(Code::BadBody, detail));
    }
    let plan = Month {
        included_us: u64::from(asked.included_hours) * HOUR_US,
        price_micros: asked.price.amount_micros,
    };
    let before = shared.store.plans().await?.into_iter().find(|row| row.name == name);
    let version = before.as_ref().map_or(0, |row| row.version) + 1;
    let row =
        PlanRow { name, version, since_ms: shared.now_ms(), plan, currency, is_offered: asked.is_offered };
    if let Some(before) = before {
        let same = PlanRow { version: before.version, since_ms: before.since_ms, ..row.clone() };
        if before == same {
            return Ok(axum::Json(shown(before)));
        }
    }
    if !shared.store.add_plan(&row).await? {
        return Err(Problem::new(
            Code::PricesChanged,
            "Somebody else has just changed the plan. Look at it again.",
        ));
    }
    Ok(axum::Json(shown(row)))
}

/// What an account subscribes to.
#[utoipa::path(get, path = "/v1/accounts/{account}/subscription", tag = "money", operation_id = "subscription",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "In its current month", body = Subscription),
    (status = "default", description = "Any error, such as `not_found` where it has none", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<Subscription>, Problem> {
    let row = shared.store.subscription(account).await?;
    row.map(|row| axum::Json(shown_subscription(row))).ok_or_else(none)
}

/// Subscribes an account of a player or studio to a plan from now on: the month's fee is spent at once, out of the
/// account's allowance, and again on the same day of each month. With a subscription, changes its plan for the rest of
/// the month: of both, the share of the time is paid. Also takes a cancellation back. Repeating it changes nothing.
#[utoipa::path(put, path = "/v1/accounts/{account}/subscription", tag = "money", operation_id = "subscribe",
    params(("account" = AccountId, Path, description = "Account id")),
    request_body = Subscribe, security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "As it is now", body = Subscription),
    (status = "default", description = "Any error, such as `budget_used_up` where the allowance does not hold the fee",
     body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn subscribe(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
    Json(asked): Json<Subscribe>,
) -> Result<axum::Json<Subscription>, Problem> {
    let row = known(&shared, account).await?;
    if !matches!(row.kind, AccountKind::Player | AccountKind::Studio) {
        return Err(Problem::new(
            Code::BadBody,
            "Accounts of players and studios subscribe; this is another kind.",
        ));
    }
    let plan =
        shared.store.plans().await?.into_iter().find(|plan| plan.name == asked.plan && plan.is_offered);
    let plan =
        plan.ok_or_else(|| Problem::new(Code::NotFound, "No such plan is offered. See GET /v1/plans."))?;
    match shared.store.subscribe(account, &plan, shared.now_ms()).await? {
        Subscribed::Done(row) => Ok(axum::Json(shown_subscription(row))),
        Subscribed::OverBudget => {
            let detail = "The account's allowance does not hold the fee. An operator raises it.";
            Err(Problem::new(Code::BudgetUsedUp, detail))
        }
    }
}

/// Ends an account's subscription with its month, which stays paid and usable until then. Repeating it changes nothing.
#[utoipa::path(delete, path = "/v1/accounts/{account}/subscription", tag = "money", operation_id = "cancel_subscription",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "As it is now", body = Subscription),
    (status = "default", description = "Any error, such as `not_found` where it has none", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<Subscription>, Problem> {
    let row = shared.store.cancel_subscription(account).await?;
    row.map(|row| axum::Json(shown_subscription(row))).ok_or_else(none)
}

fn none() -> Problem {
    Problem::new(Code::NotFound, "The account has no subscription.")
}

/// Which charges.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Time {
    /// From then on, Unix ms.
    from_ms: u64,
    /// Until then, Unix ms, which is not in it.
    to_ms: u64,
}

/// What an account was charged beside its sessions in a time, and what of these its subscription covered.
#[utoipa::path(get, path = "/v1/accounts/{account}/charges", tag = "money", operation_id = "charges",
    params(("account" = AccountId, Path, description = "Account id"), Time),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "At most 1000 charges", body = Charges),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn charges(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
    Query(Time { from_ms, to_ms }): Query<Time>,
) -> Result<axum::Json<Charges>, Problem> {
    let rows = shared.store.charges(account, from_ms..to_ms, LISTED).await?;
    let sums = shared.store.charge_sums(account, from_ms..to_ms).await?;
    let charge = |row: ChargeRow| {
        let amount_micros = row.due_micros();
        let due = Money { amount_micros, currency: row.currency };
        Charge { at_ms: row.at_ms, kind: row.kind, due }
    };
    let covered = sums.into_iter().filter(|(kind, ..)| *kind == ChargeKind::Covered);
    let covered = covered.map(|(_, currency, amount_micros)| Money { amount_micros, currency }).collect();
    Ok(axum::Json(Charges { charges: rows.into_iter().map(charge).collect(), covered }))
}
