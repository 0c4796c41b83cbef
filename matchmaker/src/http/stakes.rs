//! Stakes, and appeals against what is set aside of them.

use super::accounts::known;
use super::cases::{actor, reason};
use super::problem::{Code, Json, Path, Problem};
use super::role::Caller;
use super::usage::names;
use crate::stakes::{self, Held, StakingError};
use crate::state::Shared;
use crate::store::accounts::Holding;
use crate::store::stake::RuleTable;
use crate::store::trust::CaseRow;
use axum::Extension;
use axum::extract::State;
use nearframe_ledger::settlement::Totals;
use nearframe_protocol::account::{AccountKind, MemberRole};
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::stake::{
    Appeal, AppealCase, DecideAppeal, DepositStake, GiveNotice, PostStake, Ruling, Slash, SlashState, Stake,
    StakeKind, StakeRules, StakeTier,
};
use nearframe_protocol::trust::{Case, CaseExhibit};
use nearframe_protocol::{AccountId, CaseId, Currency, Money, NodeId};
use nearframe_trust::stake::{Aside, Rules, StakeError};
use nearframe_trust::witness::Witness;
use std::sync::Arc;

/// Longest appeal, in bytes.
const MAX_APPEAL: usize = 4_000;
/// Longest reference of a deposit, in bytes.
const MAX_REFERENCE: usize = 140;

impl From<StakingError> for Problem {
    fn from(error: StakingError) -> Self {
        let code = match &error {
            StakingError::Rule(StakeError::NotPositive | StakeError::Overflow) => Code::BadBody,
            StakingError::Rule(StakeError::TooLate) => Code::AppealTooLate,
            StakingError::Rule(StakeError::SameOperator) => Code::SameOperator,
            StakingError::Rule(StakeError::NotSetAside | StakeError::NoAppeal) => Code::NothingToAppeal,
            StakingError::Rule(StakeError::AppealedBefore) => Code::DecidedOtherwise,
            StakingError::OtherCurrency(_) | StakingError::ReferenceUsed => Code::BadBody,
            StakingError::Rule(_) | StakingError::NotEnough(_) => Code::NotStakable,
            StakingError::Busy => Code::InProgress,
            StakingError::Store(_) => Code::Unavailable,
        };
        if let StakingError::Store(error) = error {
            return error.into();
        }
        let mut detail = error.to_string();
        if let Some(first) = detail.get(..1).map(str::to_uppercase) {
            detail.replace_range(..1, &first);
        }
        Self::new(code, format!("{detail}."))
    }
}

fn money(amount_micros: i128, currency: &Currency) -> Money {
    Money { amount_micros, currency: currency.clone() }
}

/// The words of witnesses.
pub(super) fn words(witnesses: &[Witness]) -> Vec<String> {
    let word = |witness: &Witness| {
        serde_json::to_value(witness).ok().and_then(|word| word.as_str().map(str::to_owned))
    };
    witnesses.iter().filter_map(word).collect()
}

fn appeal_of(aside: &Aside, case: &CaseRow) -> Option<Appeal> {
    let appeal = aside.appeal.as_ref()?;
    let decided = case.verdict.as_ref().map(|verdict| &verdict.actor);
    let ruling = appeal.ruling.as_ref().and_then(|ruling| {
        let by = ruling.by.clone()?;
        let same_operator = decided == Some(&by);
        let (allowed, reason, at_ms) = (ruling.is_allowed, ruling.reason.clone(), ruling.at_ms);
        Some(Ruling { allowed, reason, by, same_operator, at_ms })
    });
    Some(Appeal { text: appeal.text.clone(), at_ms: appeal.at_ms, ruling })
}

/// What was set aside for a case, in the words of the API.
pub(super) fn slash(aside: &Aside, case: &CaseRow, currency: &Currency) -> Slash {
    let appeal = appeal_of(aside, case);
    let ruling = appeal.as_ref().map(|appeal| appeal.ruling.as_ref().map(|ruling| ruling.allowed));
    let state = match (aside.taken_at_ms, ruling) {
        (Some(_), _) => SlashState::Taken,
        (None, None) => SlashState::Pending,
        (None, Some(None)) => SlashState::Appealed,
        (None, Some(Some(true))) => SlashState::Freed,
        (None, Some(Some(false))) => SlashState::Confirmed,
    };
    let exhibits = case.body.exhibits.iter();
    Slash {
        case: case.id,
        kind: aside.kind.as_str().to_owned(),
        witnesses: words(&case.body.witnesses),
        exhibits: exhibits
            .map(|exhibit| CaseExhibit { session: exhibit.session, what: exhibit.what.clone() })
            .collect(),
        reason: case.verdict.as_ref().map(|verdict| verdict.reason.clone()).unwrap_or_default(),
        rules: aside.rules,
        amount: money(aside.amount_micros, currency),
        set_aside_at_ms: aside.at_ms,
        takes_at_ms: aside.takes_at_ms,
        state,
        appeal,
    }
}

/// What a case cost, if anything was set aside for it.
pub(super) async fn slash_of(shared: &Shared, case: &CaseRow) -> Result<Option<Box<Slash>>, Problem> {
    let held = stakes::of_node(shared, case.node).await?;
    Ok(held.stake.asides.get(&case.id).map(|aside| Box::new(slash(aside, case, &held.currency))))
}

async fn shown(
    shared: &Shared,
    held: &Held,
    name: String,
    rules: &Rules,
    available: &Totals,
) -> Result<Stake, Problem> {
    let currency = &held.currency;
    let mut asides: Vec<_> = held.stake.asides.iter().collect();
    asides.sort_by_key(|(_, aside)| aside.number);
    let mut slashes = Vec::with_capacity(asides.len());
    for (case, aside) in asides {
        if let Some(case) = shared.store.case(*case).await? {
            slashes.push(slash(aside, &case, currency));
        }
    }
    let free_micros = available.get(&(held.node, currency.clone())).copied().unwrap_or(0);
    Ok(Stake {
        node: held.node,
        node_name: name,
        staked: money(held.stake.staked_micros, currency),
        set_aside: money(held.stake.aside_micros(), currency),
        least: money(rules.least_micros(shared.fleet().gpu_tier(held.node)), currency),
        available: money(free_micros, currency),
        releases_at_ms: held.stake.releases_at_ms,
        slashes,
        entries: held.entries.iter().map(|entry| stakes::shown(entry, currency)).collect(),
    })
}

async fn one(shared: &Shared, held: &Held) -> Result<axum::Json<Stake>, Problem> {
    let name = names(shared, [held.node].into_iter()).await?.remove(&held.node);
    let rules = stakes::rules_at(shared, shared.now_ms()).await?;
    let available = stakes::available(shared).await?;
    let name = name.map(|(name, _)| name).unwrap_or_default();
    Ok(axum::Json(shown(shared, held, name, &rules, &available).await?))
}

/// What an account's machines have at stake: what is staked and what has to be, what is set aside and why, what could be
/// staked of their earnings.
#[utoipa::path(get, path = "/v1/accounts/{account}/stake", tag = "trust", operation_id = "stakes",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "One for each machine", body = Page<Stake>),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn of_account(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<Page<Stake>>, Problem> {
    let nodes: Vec<NodeId> = shared
        .store
        .holdings(account)
        .await?
        .into_iter()
        .filter_map(|holding| if let Holding::Node(node) = holding { Some(node) } else { None })
        .collect();
    let names = names(&shared, nodes.iter().copied()).await?;
    let rules = stakes::rules_at(&shared, shared.now_ms()).await?;
    let available = stakes::available(&shared).await?;
    let mut items = Vec::with_capacity(nodes.len());
    for node in nodes {
        let held = stakes::of_node(&shared, node).await?;
        let name = names.get(&node).map(|(name, _)| name.clone()).unwrap_or_default();
        items.push(shown(&shared, &held, name, &rules, &available).await?);
    }
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Refuses a machine that is not the account's.
async fn own(shared: &Shared, account: AccountId, node: NodeId) -> Result<(), Problem> {
    if known(shared, account).await?.kind != AccountKind::Host {
        return Err(Problem::new(Code::BadBody, "Accounts of hosts stake; this is another kind."));
    }
    if shared.store.owner(&Holding::Node(node)).await? != Some(account) {
        return Err(Problem::new(Code::UnknownNode, "The account has no such machine."));
    }
    Ok(())
}

/// Moves earnings of a machine into its stake: what is settled, and neither paid out nor staked. It is not paid out then,
/// until the time of a notice is over.
#[utoipa::path(post, path = "/v1/accounts/{account}/stake", tag = "trust", operation_id = "post_stake",
    params(("account" = AccountId, Path, description = "Account id"),
           ("Idempotency-Key" = Option<String>, Header, description = "Chosen by the caller, at most 128 bytes")),
    request_body = PostStake, security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "As it stands now", body = Stake),
    (status = "default", description = "Any error, such as `not_stakable`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(account): Path<AccountId>,
    Json(asked): Json<PostStake>,
) -> Result<axum::Json<Stake>, Problem> {
    own(&shared, account, asked.node).await?;
    let held = stakes::post(&shared, asked.node, &asked.amount, Some(actor(&caller))).await?;
    one(&shared, &held).await
}

/// Gives notice for a machine: its stake is free when the time of the rules is over, and its earnings' to be paid. What cases
/// cost until then is set aside all the same. A machine that goes away after its notice has not left early.
#[utoipa::path(post, path = "/v1/accounts/{account}/stake/notice", tag = "trust", operation_id = "give_notice",
    params(("account" = AccountId, Path, description = "Account id")),
    request_body = GiveNotice, security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "As it stands now; the first notice stays", body = Stake),
    (status = "default", description = "Any error, such as `not_stakable`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn notice(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(account): Path<AccountId>,
    Json(asked): Json<GiveNotice>,
) -> Result<axum::Json<Stake>, Problem> {
    own(&shared, account, asked.node).await?;
    let held = stakes::notice(&shared, asked.node, Some(actor(&caller))).await?;
    one(&shared, &held).await
}

/// Books money that came from outside into a machine's stake. The same reference again is the same deposit.
#[utoipa::path(post, path = "/v1/nodes/{id}/stake/deposits", tag = "trust", operation_id = "deposit_stake",
    params(("id" = NodeId, Path, description = "Node id")),
    request_body = DepositStake, security(("operator" = [])), responses(
    (status = 200, description = "As it stands now", body = Stake),
    (status = "default", description = "Any error, such as `bad_body`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn deposit(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(node): Path<NodeId>,
    Json(asked): Json<DepositStake>,
) -> Result<axum::Json<Stake>, Problem> {
    let reference = asked.reference.trim();
    if reference.is_empty() || reference.len() > MAX_REFERENCE {
        return Err(Problem::new(Code::BadBody, "reference: 1 to 140 characters, such as the bank's."));
    }
    if shared.store.node_key(node).await?.is_none() {
        return Err(Problem::new(Code::UnknownNode, "No enrolled machine has this id."));
    }
    let by = Some(actor(&caller));
    let held = stakes::deposit(&shared, node, &asked.amount, reference, by).await?;
    one(&shared, &held).await
}

/// The rules of stakes, in all versions, the oldest first. What is set aside names the version that was in force when its
/// case was opened.
#[utoipa::path(get, path = "/v1/stake/rules", tag = "trust", operation_id = "stake_rules", responses(
    (status = 200, description = "All versions", body = Page<StakeRules>),
    (status = "default", description = "Any error, such as `unavailable`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn rules(
    State(shared): State<Arc<Shared>>,
) -> Result<axum::Json<Page<StakeRules>>, Problem> {
    let mut items = vec![];
    for row in shared.store.rule_tables(RuleTable::Stake).await? {
        let rules: Rules = serde_json::from_str(&row.body).map_err(|error| {
            tracing::error!(%error, version = row.version, "rules of stakes are no JSON");
            Problem::new(Code::Internal, "The rules cannot be read. Tell whoever runs this server.")
        })?;
        let tier = |tier: nearframe_trust::stake::TierLeast| StakeTier {
            gpu_tier: tier.gpu_tier,
            least_micros: tier.least_micros,
        };
        let kind = |share: nearframe_trust::stake::KindShare| StakeKind {
            kind: share.kind.as_str().to_owned(),
            permille: share.permille,
        };
        items.push(StakeRules {
            version: row.version,
            since_ms: row.since_ms,
            least_micros: rules.least_micros,
            tiers: rules.tiers.into_iter().map(tier).collect(),
            notice_days: rules.notice_days,
            leave_hours: rules.leave_hours,
            left_early_permille: rules.left_early_permille,
            deceived_permille: rules.deceived_permille,
            kinds: rules.kinds.into_iter().map(kind).collect(),
            appeal_days: rules.appeal_days,
            cap_permille: rules.cap_permille,
        });
    }
    Ok(axum::Json(Page { items, next_cursor: None }))
}

async fn case(shared: &Shared, id: CaseId) -> Result<CaseRow, Problem> {
    let row = shared.store.case(id).await?;
    row.ok_or_else(|| Problem::new(Code::UnknownCase, "No case has this id."))
}

/// Appeals against what was set aside of a stake because of a case: by an owner of the account that has the machine, once,
/// until it is taken. Nothing is taken until somebody ruled.
#[utoipa::path(post, path = "/v1/cases/{case}/appeal", tag = "trust", operation_id = "appeal_case",
    params(("case" = CaseId, Path, description = "Case id")), request_body = AppealCase,
    security(("member" = [])), responses(
    (status = 200, description = "The machine's stake as it stands now", body = Stake),
    (status = "default", description = "Any error, such as `appeal_too_late`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn appeal(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<CaseId>,
    Json(asked): Json<AppealCase>,
) -> Result<axum::Json<Stake>, Problem> {
    let case = case(&shared, id).await?;
    let owner = shared.store.owner(&Holding::Node(case.node)).await?;
    // A stranger learns nothing about whom a case is.
    if owner.and_then(|owner| caller.who.role_in(owner)) != Some(MemberRole::Owner) {
        let detail = "Only an owner of the account that has the machine may appeal.";
        return Err(Problem::new(Code::NotYours, detail));
    }
    let text = asked.text.trim();
    if text.is_empty() || text.len() > MAX_APPEAL {
        return Err(Problem::new(Code::BadBody, "text: say why in 1 to 4000 characters."));
    }
    let held = stakes::appeal(&shared, &case, text, Some(actor(&caller))).await?;
    one(&shared, &held).await
}

/// Rules on an appeal: allowed, what was set aside is free again; refused, it is taken when its time has come. Once: the same
/// again changes nothing. Another operator than the one who decided the case has to, where there is one.
#[utoipa::path(post, path = "/v1/cases/{case}/appeal/decision", tag = "trust", operation_id = "decide_appeal",
    params(("case" = CaseId, Path, description = "Case id")), request_body = DecideAppeal,
    security(("operator" = [])), responses(
    (status = 200, description = "The case as it stands now", body = Case),
    (status = "default", description = "Any error, such as `same_operator`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn decide(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<CaseId>,
    Json(asked): Json<DecideAppeal>,
) -> Result<axum::Json<Case>, Problem> {
    let (case, reason) = (case(&shared, id).await?, reason(&asked.reason)?);
    stakes::rule(&shared, &case, asked.allowed, &reason, actor(&caller)).await?;
    Ok(axum::Json(super::cases::shown(&shared, case).await?))
}

/// Cases with an appeal that nobody ruled on, the oldest appeal first.
#[utoipa::path(get, path = "/v1/appeals", tag = "trust", operation_id = "appeals",
    security(("operator" = [])), responses(
    (status = 200, description = "All of them", body = Page<Case>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn appeals(State(shared): State<Arc<Shared>>) -> Result<axum::Json<Page<Case>>, Problem> {
    let mut open: Vec<(u64, CaseId)> = vec![];
    for held in stakes::all(&shared).await? {
        for (case, aside) in held.stake.asides.iter().filter(|(_, aside)| aside.awaits_ruling()) {
            open.push((aside.appeal.as_ref().map_or(0, |appeal| appeal.at_ms), *case));
        }
    }
    open.sort_unstable();
    let mut items = Vec::with_capacity(open.len());
    for (_, id) in open {
        items.push(super::cases::shown(&shared, case(&shared, id).await?).await?);
    }
    Ok(axum::Json(Page { items, next_cursor: None }))
}
